"""Read texts in base85, the alphabet of Git and Python (RFC 1924), which has no marks of its own.

A file is recognised by its name. Ascii85 in its marks `<~ … ~>` is undone in any text, by the
table of spellings.
"""

from __future__ import annotations

import base64

from matcher.unpack import formats
from matcher.unpack.formats import FileFormat
from matcher.unpack.protocol import CONTENT, SEPARATOR
from matcher.unpack.walk import Body, Walk, slices

ENDINGS = (".b85", ".base85")


def read_base85(walk: Walk, body: Body, path: str, depth: int) -> None:
    """Read the file in a text of base85 as an entry. Raises ValueError if the text is damaged."""
    content = base64.b85decode(b"".join(bytes(body).split()))
    name = formats.stem(path) or CONTENT
    walk.entry(f"{path}{SEPARATOR}{name}", slices(content), lambda: len(body), depth)


FORMATS = (
    FileFormat(
        "base85",
        read_base85,
        is_text=lambda _head, name: name.lower().endswith(ENDINGS),
        containers=("other",),
    ),
)
