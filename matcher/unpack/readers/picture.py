"""Pictures: nothing is read of them, but an archive that is appended to one is, which is shown by no viewer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from matcher.unpack.limits import Halt
from matcher.unpack.protocol import SEPARATOR
from matcher.unpack.registry import Format
from matcher.unpack.walk import Walk

ARCHIVE = re.compile(
    rb"PK\x03\x04[\x0a-\x3f]\0|Rar!\x1a\x07[\0\x01]|7z\xbc\xaf\x27\x1c"
    rb"|\x1f\x8b\x08[\0\x08].{4}[\0\x02\x04][\0\x03\xff]",
    re.DOTALL,
)
"""How an archive begins; of zip and gzip with more than their marks, which stand in a picture by chance."""
OVERLAP = 15


def picture(walk: Walk, chunks: Iterable[bytes], path: str, depth: int) -> None:
    """Read what stands behind a picture, if it is an archive; say that the picture is not read."""
    before, rest = b"", iter(chunks)
    for chunk in rest:
        seen = before + chunk
        if found := ARCHIVE.search(seen, 1):
            behind = itertools.chain((seen[found.start() :],), rest)
            walk.entry(f"{path}{SEPARATOR}behind the picture", _whole(behind), lambda: 1 << 20, depth)
            break
        before = seen[-OVERLAP:]
    raise Halt("image")


def _whole(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield from chunks


FORMATS = (
    Format(
        "picture",
        picture,
        starts=(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a"),
        containers=("other",),
        streams=True,
    ),
)
