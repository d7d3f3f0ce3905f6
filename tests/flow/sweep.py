"""Searches bytes for planted values in every form in which a leak could hide them."""

from __future__ import annotations

import base64
import functools
import hashlib
import urllib.parse
from collections.abc import Iterable
from pathlib import Path

import hyperscan

SHORTEST_SECRET = 16


def forms(value: str) -> dict[str, bytes]:
    """Return `value` in UTF-8, UTF-16, GBK, escapes, base64, hex and as a plain digest."""
    encoded: dict[str, bytes] = {}
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "gb18030"):
        raw = value.encode(encoding)
        encoded[encoding] = raw
        encoded[f"hex {encoding}"] = raw.hex().encode()
        encoded[f"HEX {encoding}"] = raw.hex().upper().encode()
        # base64 of it anywhere within a longer text; the edges depend on the neighbours
        for shift in range(3):
            whole = base64.b64encode(b"\0" * shift + raw)
            inner = whole[(0, 2, 3)[shift] : -4 if (shift + len(raw)) % 3 else None]
            if len(inner) >= 8:
                encoded[f"base64 {encoding}+{shift}"] = inner
    encoded["url"] = urllib.parse.quote(value).encode()
    encoded["URL"] = urllib.parse.quote_plus(value, safe="").encode()
    encoded["json"] = "".join(c if c.isascii() else f"\\u{ord(c):04x}" for c in value).encode()
    for name in ("md5", "sha1", "sha256"):
        digest = hashlib.new(name, value.encode(), usedforsecurity=False)
        encoded[name], encoded[f"raw {name}"] = digest.hexdigest().encode(), digest.digest()
        encoded[name.upper()] = digest.hexdigest().upper().encode()
    return encoded


def find(data: bytes, planted: Iterable[str]) -> list[tuple[str, str]]:
    """Return (value, form) of each planted value in `data`, in the order of values and forms."""
    needles, search = _search(tuple(planted))
    numbers = set[int]()

    def add(number: int, _start: int, _end: int, _flags: int, _context: object) -> None:
        numbers.add(number)

    search.scan(data, match_event_handler=add)
    return [needles[number] for number in sorted(numbers)]


@functools.cache
def _search(planted: tuple[str, ...]) -> tuple[list[tuple[str, str]], hyperscan.Database]:
    """Return the needles by number, and one compiled search for all of them.

    A broker's folder has a hundred megabytes.
    """
    needles = [(value, form, needle) for value in planted for form, needle in forms(value).items()]
    search = hyperscan.Database()
    search.compile(
        expressions=[b"".join(b"\\x%02x" % byte for byte in needle) for *_, needle in needles],
        ids=list(range(len(needles))),
        elements=len(needles),
        flags=hyperscan.HS_FLAG_SINGLEMATCH,
    )
    return [(value, form) for value, form, _ in needles], search


def files(folders: Iterable[Path], planted: Iterable[str]) -> list[tuple[str, str, str]]:
    """Return (file, value, form) of each planted value in a file below `folders`.

    Every byte of a file and of its path is searched.
    """
    values, hits = list(planted), []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            hits += [
                (str(path), value, f"name, {form}")
                for value, form in find(str(path).encode(), values)
            ]
            if path.is_file():
                hits += [
                    (str(path), value, form) for value, form in find(path.read_bytes(), values)
                ]
    return hits


def secrets(keys: Path, folders: Iterable[Path]) -> list[tuple[str, str, str]]:
    """Return (file, key, form) of each key that is in a file below `folders` outside `keys`."""
    needles = [
        (name, form, needle)
        for name, secret in _secrets(keys)
        for form, needle in forms_of_key(secret).items()
    ]
    assert needles, "there is a key to look for"
    outside = [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and keys not in path.parents
    ]
    return [
        (str(path), name, form)
        for path in outside
        for name, form, needle in needles
        if needle in path.read_bytes()
    ]


def forms_of_key(secret: bytes) -> dict[str, bytes]:
    """Return a key as it is, in hex and in base64, whatever precedes it."""
    encoded = {"raw": secret, "hex": secret.hex().encode(), "HEX": secret.hex().upper().encode()}
    for shift in range(3):
        inner = base64.b64encode(b"\0" * shift + secret)[(0, 2, 3)[shift] :]
        inner = inner[: -4 if (shift + len(secret)) % 3 else None]
        encoded[f"base64+{shift}"], encoded[f"base64url+{shift}"] = (
            inner,
            inner.translate(bytes.maketrans(b"+/", b"-_")),
        )
    return encoded


def _secrets(keys: Path) -> Iterable[tuple[str, bytes]]:
    """Yield every secret of a key folder.

    A key is a file of bytes; tokens, passwords and keys of channels are lines of text.
    """
    for path in sorted(keys.rglob("*")):
        if path.is_file() and path.suffix != ".pub":
            content, name = path.read_bytes(), str(path.relative_to(keys))
            lines = (
                [line.strip() for line in content.splitlines()] if content.isascii() else [content]
            )
            yield from (
                (name, line)
                for line in lines
                if len(line) >= SHORTEST_SECRET and not line.startswith(b"http")
            )
