"""The table of a run: one row per fault."""
import dataclasses
import statistics

COUNTS = ("times", "exchanges", "acknowledged", "lost", "doubled", "overspent")


@dataclasses.dataclass
class Row:
    fault: str
    times: int = 0
    exchanges: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    overspent: int = 0
    recoveries: list = dataclasses.field(default_factory=list)  # seconds
    hits: list = dataclasses.field(default_factory=list)        # exchanges that each fault was about
    skipped: str = ""

    @property
    def is_clean(self):
        return not (self.lost or self.doubled or self.overspent)

    @property
    def note(self):
        if self.skipped or not any(self.hits):
            return self.skipped
        low, high = min(self.hits), max(self.hits)
        return f"{low} exchanges hit" if low == high else f"{low}–{high} exchanges hit"

    def cells(self):
        recovery = "–"
        if self.recoveries:
            recovery = f"{statistics.median(self.recoveries):.1f} (max {max(self.recoveries):.1f})"
        return [
            self.fault, *(str(getattr(self, name)) for name in COUNTS), recovery, self.note]


HEAD = [
    "fault", "times", "exchanges", "acknowledged", "lost", "doubled", "overspent (mc)", "recovery s, median (max)",
    "note"]


def total(rows):
    sums = {name: sum(getattr(row, name) for row in rows) for name in COUNTS}
    return Row("total", recoveries=[s for row in rows for s in row.recoveries], **sums)


def markdown(rows):
    """A Markdown table whose columns also line up as text."""
    table = [HEAD, *(row.cells() for row in [*rows, total(rows)])]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(HEAD))]

    def line(cells):
        # Names to the left, numbers to the right.
        padded = (
            c.rjust(w) if 0 < i < len(HEAD) - 1 else c.ljust(w) for i, (c, w) in enumerate(zip(cells, widths)))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join(
        "-" * (w + 1) + (":" if 0 < i < len(HEAD) - 1 else "-") for i, w in enumerate(widths)) + "|"
    return "\n".join([line(table[0]), rule, *map(line, table[1:])])
