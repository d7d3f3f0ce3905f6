"""Runs a container through its child and puts what comes out side by side."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from matcher.unpack.limits import Limits
from matcher.unpack.parent import ForkServer, unpack
from matcher.unpack.protocol import UnreadPart

QUICK = Limits(cpu_seconds=20, wall_seconds=60.0)
shared: list[ForkServer] = []
"""Where a module's children come from, as long as one of `ON_ONE_SERVER` runs; else each has a server of its own."""
ON_ONE_SERVER = ("containers", "documents", "envelopes", "formats", "hostile", "letters", "nested", "tables")
"""Modules that change nothing of how children are started: to start a server for each takes fifty times as long."""


@pytest.fixture(autouse=True, scope="module")
def one_server(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.path.stem.removeprefix("test_") not in ON_ONE_SERVER:
        yield
        return
    with ForkServer() as server:
        shared.append(server)
        yield
        shared.remove(server)


@dataclass
class Came:
    """Members by path below the container, outcomes likewise."""

    members: dict[str, bytes] = field(default_factory=dict)
    outcomes: list[tuple[str, str]] = field(default_factory=list)
    flags: int = 0

    @property
    def texts(self) -> dict[str, str]:
        """Without the lists of names."""
        return {path: body.decode() for path, body in self.members.items() if not path.endswith("!/")}


def out_of(body: bytes, name: str = "a", limits: Limits = QUICK, *, alone: bool = False) -> Came:
    """What comes out of a container; `alone` starts a server for it, as where libraries are hidden from children."""
    came = Came()
    with unpack(body, name, limits, server=None if alone or not shared else shared[0]) as unpacked:
        for item in unpacked:
            assert item.path.startswith(name)
            if isinstance(item, UnreadPart):
                came.outcomes.append((item.path[len(name) :], item.reason))
            else:
                came.members[item.path[len(name) :]] = item.read()
        came.flags = unpacked.flags
    return came
