"""What the program says of its own commands, and whether a command line is one of them."""
import concurrent.futures
import functools
import json
import re
import shlex
import subprocess

from harness import BIN


def page(path):
    done = subprocess.run([str(BIN / "tollgate"), *path, "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (path, done.stderr)
    return done.stdout


def subcommands(text):
    _, found, rest = text.partition("SUBCOMMANDS:\n")
    return re.findall(r"^  ([a-z][a-z-]*)", rest.split("\n\n")[0], re.MULTILINE) if found else []


@functools.cache
def help_pages():
    """The help text of every command, by its path: `("account", "create")`."""
    pages, level = {}, [()]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        while level:
            texts = dict(zip(level, pool.map(page, level)))
            pages |= texts
            level = [(*path, name) for path, text in texts.items() for name in subcommands(text)]
    return pages


@functools.cache
def grammar():
    """The same as the program's own description of it for tools."""
    done = subprocess.run(
        [str(BIN / "tollgate"), "--experimental-dump-help"], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)["command"]


class Wrong(Exception):
    pass


def descend(words):
    """(command, its path, what is left of the words)"""
    command, path, words = grammar(), (), list(words)
    while words and (found := [sub for sub in command.get("subcommands", []) if sub["commandName"] == words[0]]):
        command, path = found[0], (*path, words.pop(0))
    return command, path, words


def demand(words, is_whole):
    """Raises what is wrong with the words after `tollgate`. `is_whole`: they are to be run as they stand, so nothing may be
    missing; in a sentence a command may be named without what it needs."""
    command, path, words = descend(words)
    shown = " ".join(("tollgate", *path))
    if not path and words and not words[0].startswith("-"):
        raise Wrong(f"there is no command '{words[0]}'")
    if default := re.search(r"^  (\S+) \(default\)", help_pages()[path], re.MULTILINE):
        command, path, words = descend([*path, default[1], *words])
    elif command.get("subcommands") and (words and not words[0].startswith("-") or is_whole and not words):
        raise Wrong(f"'{shown}' has no command '{' '.join(words[:1])}'")
    arguments = [one for one in command.get("arguments", []) if one["shouldDisplay"]]
    options = {
        ("--" if name["kind"] == "long" else "-") + name["name"]: one
        for one in arguments for name in one.get("names") or []}
    positional = [one for one in arguments if one["kind"] == "positional"]
    given, plain = set(), 0
    while words:
        word, _, value = words.pop(0).partition("=")
        if not word.startswith("-"):
            plain += 1
            continue
        if word not in options or word not in help_pages()[path]:
            raise Wrong(f"'{shown}' has no option '{word}'")
        given.add(id(options[word]))
        if options[word]["kind"] == "option" and not value:
            if not words or words[0].startswith("--"):
                raise Wrong(f"'{word}' of '{shown}' needs a value")
            words.pop(0)
    if plain > len(positional) and not any(one["isRepeating"] for one in positional):
        raise Wrong(f"'{shown}' takes {len(positional)} arguments, not {plain}")
    if is_whole and not {"--help", "--version"} & {name for name in options if id(options[name]) in given}:
        missing = [one["valueName"] for one in positional[plain:] if not one["isOptional"]]
        missing += [f"--{one['preferredName']['name']}" for one in arguments
                    if one["kind"] == "option" and not one["isOptional"] and id(one) not in given]
        if missing:
            raise Wrong(f"'{shown}' needs {', '.join(missing)}")


def commands_in(shell):
    """The words after each `tollgate` of a shell text, those in `$(…)` included."""
    for line in shell.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        current = []
        for token in [*lexer, ";"]:
            if "$(" in token:
                yield from commands_in(re.search(r"\$\((.*)\)", token)[1])
            if re.fullmatch(r"[;&|()<>]+", token):
                at = next((i for i, word in enumerate(current) if word == "tollgate" or word.endswith("/tollgate")), None)
                # Before it there may be settings for it, and nothing else.
                if at is not None and all("=" in word for word in current[:at]):
                    yield current[at + 1:]
                current = []
            else:
                current.append(token)
