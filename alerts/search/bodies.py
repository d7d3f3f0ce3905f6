"""How large the body of a request may be: a property of its route, as what it needs is.

    @router.post("/things", dependencies=[may("..."), streams(MOST_BYTES)])

Every other body is at most `guard.MAX_BODY` and whole before its route sees anything. One that streams is read by its route,
piece by piece, after the guard has seen who sends it; whoever sends it has `STREAM_SECONDS` for it.
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

    def __call__(self) -> None:
        """Nothing: the guard has seen to it."""


def streams(most: int) -> Any:
    """The dependency of a route that reads a body of at most `most` bytes itself."""
    return Depends(Streams(most))


def streamed(app: FastAPI) -> Mapping[str, int]:
    """The paths whose bodies stream, with the most bytes of each."""
    return {
        route.path: one.call.most
        for route in routes_of(app)
        for one in dependencies_of(route.dependant)
        if isinstance(one.call, Streams)
    }
