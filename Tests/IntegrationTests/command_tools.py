"""What the program says of its own commands."""
import concurrent.futures
import functools
import re
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
