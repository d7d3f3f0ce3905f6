"""XML as it comes, by expat. A document type is refused: office files have none, and entities are what XML bombs are made of."""

from __future__ import annotations

import pyexpat
from collections.abc import Callable, Iterable, Iterator

Attributes = dict[str, str]


def parsed(
    chunks: Iterable[bytes],
    start: Callable[[str, Attributes], None],
    end: Callable[[str], None],
    text: Callable[[str], None],
) -> Iterator[None]:
    """Call back for each tag and stretch of text; yields after each chunk.

    Where the outermost tag has a namespace's prefix, all names come without theirs. Where it has none, its kin have none either,
    and names come as they are: most sheets, for which a second call a tag would be half of the time.
    """
    parser = pyexpat.ParserCreate()
    parser.buffer_text = True

    def first(name: str, attributes: Attributes) -> None:
        if ":" in name:
            parser.StartElementHandler = lambda name, attributes: start(name.rpartition(":")[2], attributes)
            parser.EndElementHandler = lambda name: end(name.rpartition(":")[2])
        else:
            parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.StartElementHandler(name, attributes)

    parser.StartElementHandler = first
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _refuse
    for chunk in chunks:
        parser.Parse(chunk, False)
        yield
    parser.Parse(b"", True)
    yield


def _refuse(*_: object) -> None:
    raise ValueError("document type in an office file")


def attribute(attributes: Attributes, name: str) -> str:
    """An attribute by its name without the namespace's prefix."""
    if name in attributes:
        return attributes[name]
    return next((value for key, value in attributes.items() if key.rpartition(":")[2] == name), "")
