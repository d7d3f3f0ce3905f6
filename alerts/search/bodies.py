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

from alerts.search.permissions import dependencies_of, routes_of

STREAM_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Body:
    """That the body of a route may have so many bytes; the route reads it itself where it `streams`, else it is whole before."""

    most: int
    streams: bool

    async def __call__(self) -> None:
        """Nothing: the guard has seen to it."""


def streams(most: int) -> Any:
    """The dependency of a route that reads a body of at most `most` bytes itself."""
    return Depends(Body(most, streams=True))


def holds(most: int) -> Any:
    """The dependency of a route whose body has at most `most` bytes."""
    return Depends(Body(most, streams=False))


def held(app: FastAPI) -> Mapping[str, int]:
    """The paths whose bodies may be larger than others, with the most bytes of each."""
    return _having(app, streams=False)


def streamed(app: FastAPI) -> Mapping[str, int]:
    """The paths whose bodies stream, with the most bytes of each."""
    return _having(app, streams=True)


def _having(app: FastAPI, *, streams: bool) -> Mapping[str, int]:
    return {
        route.path: one.call.most
        for route in routes_of(app)
        for one in dependencies_of(route.dependant)
        if isinstance(one.call, Body) and one.call.streams == streams
    }
