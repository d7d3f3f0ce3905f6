"""Which formats are read. Each is declared by the module of `matcher.unpack.readers` that reads it, and found there by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import NamedTuple

from matcher.unpack import readers


class Format(NamedTuple):
    """How a format is recognised, and who reads it. A reader's module lists its own as `FORMATS`.

    A format is recognised by any one of its marks; those that a text may begin with count only where control characters follow.
    """

    kind: str
    read: Callable[..., None]
    """Called with the walk, the body, its path and its depth; one with `in_zip` with the open zip as well."""
    starts: tuple[bytes, ...] = ()
    """First bytes that no text begins with."""
    faint: tuple[bytes, ...] = ()
    """First bytes that a text may begin with."""
    inside: tuple[tuple[int, bytes], ...] = ()
    """Place and bytes further in."""
    is_binary: Callable[[bytes, str], bool] | None = None
    """Asked of the head and the name of a file with control characters."""
    is_text: Callable[[bytes, str], bool] | None = None
    """Asked of the head and the name of a file without; what is left is text."""
    in_zip: Callable[[frozenset[str]], bool] | None = None
    """Asked of the names in a zip."""
    containers: tuple[str, ...] = ()
    """What a finding says that a text came out of, where that is not the kind."""
    streams: bool = False
    """Whether the body is given in chunks, as it comes, and never held whole."""
    packages: tuple[str, ...] = ()
    """Optional packages that the reader imports."""
    load: Callable[[], object] | None = None
    """Imports and opens what the reader needs: no file can be opened once a container is read."""
    is_heavy: bool = False
    """Whether loading takes so long that only a server for such files does it: one in another container gets its own child."""


@cache
def formats() -> Mapping[str, Format]:
    """All formats by kind, in the order of the modules' names."""
    files = [file for folder in readers.__path__ for file in os.listdir(folder)]  # noqa: PTH208  pathlib costs the child's start
    names = {file.removesuffix(".py") for file in files if file.endswith(".py")}
    found = {}
    for name in sorted(names - {"__init__"}):
        declared: tuple[Format, ...] = import_module(f"{readers.__name__}.{name}").FORMATS
        found.update({one.kind: one for one in declared})
    return found


def load() -> None:
    """Have every reader load what it needs, but for the heavy ones."""
    for one in formats().values():
        if one.load is not None and not one.is_heavy:
            one.load()
