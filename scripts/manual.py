#!/usr/bin/env python3
"""Writes the manual page of tollgate(1) in mdoc from what the program says of itself.

Usage: scripts/manual.py TOLLGATE > tollgate.1      TOLLGATE: the program; it is asked by --experimental-dump-help.
"""
import json
import re
import subprocess
import sys

DATE = "$Mdocdate$"


def text(words):
    """Words that roff takes for nothing but words."""
    lines = []
    # Each sentence on a line of its own, as mdoc wants it.
    for line in re.sub(r"(?<=[.!?]) +", "\n", words.replace("\\", "\\e")).split("\n"):
        line = line.strip()
        # A line that begins with a dot or a quote would be a request.
        lines.append("\\&" + line if line[:1] in (".", "'") else line)
    return "\n".join(line for line in lines if line)


def argument(words):
    """One argument of a macro."""
    return '"' + words.replace("\\", "\\e").replace('"', '\\(dq') + '"'


def name_of(option):
    """`--flag`, `--option <value>` or `<argument>`."""
    value = option.get("valueName", "value")
    if option["kind"] == "positional":
        return f".Ar {argument(value)}"
    shown = next((n for n in option["names"] if n["kind"] == "long"), option["names"][0])
    flag = ("-" if shown["kind"] == "long" else "") + shown["name"]
    return f".Fl {argument(flag)}" + (f" Ar {argument(value)}" if option["kind"] == "option" else "")


def visible(command):
    return [a for a in command.get("arguments", [])
            if a.get("shouldDisplay", True) and not any(n["name"] in ("help", "version") for n in a.get("names") or [])]


def options(command):
    shown = visible(command)
    if not shown:
        return
    yield ".Bl -tag -width Ds"
    for option in shown:
        yield name_of(option).replace(".", ".It ", 1)
        for key in ("abstract", "discussion"):
            if option.get(key):
                yield text(option[key])
        if option.get("defaultValue"):
            yield text(f"Default: {option['defaultValue']}.")
    yield ".El"


def commands(command, path):
    """Each command under its full name, depth first."""
    for sub in command.get("subcommands", []):
        if sub["commandName"] == "help":
            continue
        full = [*path, sub["commandName"]]
        yield f".Ss {argument('tollgate ' + ' '.join(full))}"
        parts = [part for key in ("abstract", "discussion") if sub.get(key) for part in sub[key].split("\n\n")]
        yield "\n.Pp\n".join(text(part) for part in parts)
        yield from options(sub)
        yield from commands(sub, full)


def manual(help_):
    root = help_["command"]
    yield from (
        f".Dd {DATE}", ".Dt TOLLGATE 1", ".Os", ".Sh NAME", ".Nm tollgate",
        ".Nd a metering reverse proxy for the OpenAI API", ".Sh SYNOPSIS", ".Nm", ".Ar command",
        ".Op Ar options", ".Sh DESCRIPTION", text(root.get("discussion", root["abstract"])), ".Sh COMMANDS")
    yield from commands(root, [])
    yield from (".Sh FILES", ".Bl -tag -width Ds", ".It Pa /etc/tollgate/tollgate.env", "Configuration of the service.",
                ".It Pa /etc/tollgate/secrets", "Secrets, named by NAME_FILE.", ".It Pa /var/lib/tollgate/journal",
                "The journal of this host; never to be shared or removed while it holds usage.", ".El",
                ".Sh EXIT STATUS", ".Bl -tag -width Ds -compact", ".It 0", "It went well.", ".It 1", "A check failed.",
                ".It 64", "Usage.", ".It 69", "A store is unavailable.", ".It 78", "Bad configuration.", ".El")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    said = subprocess.run([sys.argv[1], "--experimental-dump-help"], check=True, capture_output=True, text=True).stdout
    print("\n".join(manual(json.loads(said))).replace(DATE, "November 27, 2026"))


if __name__ == "__main__":
    main()
