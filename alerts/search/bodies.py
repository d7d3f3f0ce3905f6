"""How large the body of a request may be: a property of its route, as what it needs is.

    @router.post("/things", dependencies=[may("..."), streams(MOST_BYTES)])

    @router.post("/lists", dependencies=[may("..."), holds(MOST_BYTES)])

Every body that does not stream is whole before its route sees anything, and at most `guard.MAX_BODY` unless its route `holds`
more. One that streams is read by its route, piece by piece, after the guard has seen who sends it; whoever sends it has
`STREAM_SECONDS` for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Depends, FastAPI

from alerts.search.may import dependencies_of, routes_of

STREAM_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Streams:
    """That a route reads its body itself, at most so many bytes."""

    most: int

    async def __call__(self) -> None:
        """Nothing: the guard has seen to it."""


def streams(most: int) -> Any:
    """The dependency of a route that reads a body of at most `most` bytes itself."""
    return Depends(Streams(most))


@dataclass(frozen=True, slots=True)
class Holds:
    """That the body of a route, which is whole before the route sees it, may have so many bytes."""

    most: int

    async def __call__(self) -> None:
        """Nothing: the guard has seen to it."""


def holds(most: int) -> Any:
    """The dependency of a route whose body has at most `most` bytes."""
    return Depends(Holds(most))


def held(app: FastAPI) -> Mapping[str, int]:
    """The paths whose bodies may be larger than others, with the most bytes of each."""
    return _having(app, Holds)


def streamed(app: FastAPI) -> Mapping[str, int]:
    """The paths whose bodies stream, with the most bytes of each."""
    return _having(app, Streams)


def _having(app: FastAPI, kind: type[Streams | Holds]) -> Mapping[str, int]:
    return {
        route.path: one.call.most
        for route in routes_of(app)
        for one in dependencies_of(route.dependant)
        if isinstance(one.call, kind)
    }
