"""Runs a container through its child and puts what comes out side by side."""

from dataclasses import dataclass, field

from matcher.unpack.parent import ForkServer, unpack
from matcher.unpack.protocol import Limits, UnreadPart
from tests.matcher.conftest import SharedServer

QUICK = Limits(cpu_seconds=20, wall_seconds=60.0)


@dataclass
class UnpackResult:
    """Members by path below the container, outcomes likewise."""

    members: dict[str, bytes] = field(default_factory=dict)
    outcomes: list[tuple[str, str]] = field(default_factory=list)
    flags: int = 0

    @property
    def texts(self) -> dict[str, str]:
        """Without the lists of names."""
        return {
            path: body.decode() for path, body in self.members.items() if not path.endswith("!/")
        }


def out_of(
    body: bytes, name: str = "a", limits: Limits = QUICK, *, alone: bool = False
) -> UnpackResult:
    """Return what a container unpacks to.

    `alone` starts a server for it, for tests of what servers are given and how they end.
    """
    result = UnpackResult()
    with (
        ForkServer() if alone else SharedServer() as server,
        unpack(body, name, limits, server=server) as unpacked,
    ):
        for item in unpacked:
            assert item.path.startswith(name)
            if isinstance(item, UnreadPart):
                result.outcomes.append((item.path[len(name) :], item.reason))
            else:
                result.members[item.path[len(name) :]] = item.read()
        result.flags = unpacked.flags
    return result
