"""Compares what the clients saw with the ledger, exchange by exchange and account by account."""
import dataclasses
import time

from harness import crash_in
from pricing_oracle import Card

from .load import MODEL, worst_case

DRAIN_SECONDS = 90
# A killed proxy may lose a second of a stream's progress; some more for a busy machine.
UNBILLED_SECONDS = 1.5
# One delta of the upstream is one token for it; a tokenizer that only saw its text may count fewer.
TOKENS_PER_DELTA_MIN = 0.6
TOKENS_SLACK = 3
FREE_STATUSES = {400, 401, 402, 403, 404, 409, 429, 503}


@dataclasses.dataclass
class Findings:
    """`lost` and `doubled` are exchanges (or accounts whose balance is not explained), `overspent` is millicredits."""

    lost: int = 0
    doubled: int = 0
    overspent: int = 0
    details: list = dataclasses.field(default_factory=list)

    def note(self, kind, text):
        setattr(self, kind, getattr(self, kind) + 1)
        self.details.append(f"{kind}: {text}")


def settle_down(cluster):
    """Heals and drains everything, and restarts every instance; what did not end as it should, in words."""
    problems = []
    cluster.heal()
    wait_for_holds(cluster, problems, "after healing")
    codes = cluster.restart_instances()
    if any(codes):
        problems.append(f"instances ended with {codes} when they were drained")
    wait_for_holds(cluster, problems, "after the restart")
    sums = [(a, n, fields.get(n, "0")) for a, fields in cluster.redis.entries().items() for n in ("H", "U")]
    if wrong := [entry for entry in sums if entry[2] != "0"]:
        problems.append(f"Redis still sums up holds or captures of {len(wrong)} accounts, such as {wrong[0]}")
    # Every host has journals of its own to compare with the ledger (I9).
    for instance in cluster.instances:
        verified = cluster.cli("verify", check=False, JOURNAL_DIR=str(instance.journal / "journal"))
        if verified.returncode != 0:
            problems.append(
                f"verify exited {verified.returncode}: {verified.stdout[-1500:]}{verified.stderr[-500:]}"
                + crash_in(verified.stderr))
    for table in ("settlement_conflict", "settlement_quarantine", "usage_events_default"):
        if count := cluster.postgres.query(f"SELECT count(*) FROM {table}")[0][0]:
            problems.append(f"{table} has {count} rows")
    return problems


def wait_for_holds(cluster, problems, when):
    if cluster.until_no_hold_is_left(DRAIN_SECONDS) is None:
        problems.append(
            f"{cluster.redis.count('h:')} holds and {cluster.redis.count('u:')} captures are left {when}, "
            f"{DRAIN_SECONDS} s later")


def check(cluster, accounts, exchanges, excuses=()):
    """Findings about these accounts, after `settle_down`.

    - Parameter excuses: (instance, from, to): the disk of this instance was lost together with what it had just told
      its clients; those exchanges are held to the rule of the cut ones.
    """
    findings, card = Findings(), Card.newest_openai()
    rows = settlements(cluster, accounts, exchanges)
    for exchange in exchanges:
        charge, output = rows.get((exchange.account.id, exchange.hold), (None, 0))
        excused = is_excused(exchange, excuses)
        if exchange.result == "complete" and not excused:
            check_complete(findings, card, exchange, charge)
        elif exchange.result in ("complete", "cut") or exchange.status not in FREE_STATUSES:
            check_cut(findings, exchange, charge)
            if charge and exchange.result == "cut" and not excused:
                check_progress(findings, exchange, output)
        elif charge:
            findings.note("doubled", f"refused with {exchange.status} and charged {charge}: {exchange}")
    for account in accounts:
        own = [e for e in exchanges if e.account is account]
        charges = {hold: charge for (owner, hold), (charge, _) in rows.items() if owner == account.id}
        check_unknown_holds(findings, account, own, charges)
        check_balance(cluster, findings, account, own, charges)
    return findings


def settlements(cluster, accounts, exchanges):
    """(account, hold) → (charge, output tokens) as they count; waits a little for the rows of complete exchanges."""
    wanted = {(e.account.id, e.hold) for e in exchanges if e.result == "complete"}
    for _ in range(50):
        found = dict(
            ((account, hold), (charge, output)) for account, hold, charge, output in cluster.postgres.query(
                "SELECT account_id, hold_id::text, charged_millicredits, output_tokens FROM usage_effective "
                "WHERE account_id = ANY(%s)",
                [account.id for account in accounts]))
        if wanted <= found.keys():
            break
        time.sleep(0.1)
    return found


def is_excused(exchange, excuses):
    return any(exchange.instance == i and begin <= exchange.ended <= end for i, begin, end in excuses)


def check_complete(findings, card, exchange, charge):
    """Its last byte was seen: it is settled once, at exactly the price of what it reported."""
    if charge is None:
        return findings.note("lost", f"complete and not settled: {exchange}")
    if exchange.usage is None:
        # The upstream reported nothing: estimated, but not free and not above the hold.
        return check_cut(findings, exchange, charge)
    expected = card.charge(MODEL, exchange.usage, exchange.tier)
    if charge != expected:
        findings.note("lost" if charge < expected else "doubled", f"charged {charge}, not {expected}: {exchange}")


def check_cut(findings, exchange, charge):
    """Charged at most its hold; and something, when its client saw any output."""
    bound = exchange.held or worst_case(exchange)
    if charge is not None and charge > bound:
        findings.note("doubled", f"charged {charge}, above {bound}: {exchange}")
    if exchange.deltas and not charge:
        findings.note("lost", f"output was seen and nothing charged: {exchange}")


def check_progress(findings, exchange, output):
    """What its client saw is billed, but for the last moment."""
    seen = exchange.deltas - exchange.rate * UNBILLED_SECONDS
    if output < seen * TOKENS_PER_DELTA_MIN - TOKENS_SLACK:
        findings.note("lost", f"{exchange.deltas} deltas were seen and {output} tokens billed: {exchange}")


def check_unknown_holds(findings, account, exchanges, charges):
    """A hold that no client knows belongs to one that was cut before the head of its reply."""
    known = {e.hold for e in exchanges}
    headless = [worst_case(e) for e in exchanges if e.result == "cut" and e.hold is None and e.is_sent]
    unknown = sorted((charge for hold, charge in charges.items() if charge and hold not in known), reverse=True)
    for charge, bound in zip(unknown, sorted(headless, reverse=True)):
        if charge > bound:
            findings.note("doubled", f"a hold of {account.user} without a reply was charged {charge}, above {bound}")
    for charge in unknown[len(headless):]:
        findings.note("doubled", f"{account.user} was charged {charge} for a hold that nobody asked for")


def check_balance(cluster, findings, account, exchanges, charges):
    """Balance = credits − charges, and never further below zero than declared."""
    balance = cluster.postgres.query(
        "SELECT balance_millicredits FROM credit_balance WHERE account_id = %s", account.id)[0][0]
    unexplained = balance - (account.granted - sum(charges.values()))
    if unexplained:
        findings.note("lost" if unexplained > 0 else "doubled", f"balance of {account.user} is off by {unexplained}")
    lowest = cluster.postgres.query(
        "SELECT min(balance_after_millicredits) FROM credit_ledger WHERE account_id = %s", account.id)[0][0] or 0
    over_hold = sum(max(0, (charges.get(e.hold) or 0) - e.held) for e in exchanges if e.held is not None)
    beyond = -lowest - over_hold - account.over_admission
    if beyond > 0:
        findings.overspent += beyond
        findings.details.append(
            f"overspent: {account.user} went to {lowest}; {over_hold} above holds and {account.over_admission} by a "
            "loss of Redis' data are allowed")
