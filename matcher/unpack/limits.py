"""How far a container may go. One place, each with its unit and reason."""

from __future__ import annotations

from dataclasses import astuple, dataclass

MIB, GIB = 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one container with all that is nested in it. What a limit cuts off has an outcome that says so."""

    ratio: int = 250
    """Bytes out for each byte in, of a member and of the whole, beyond `free_bytes`. Dumps compress 5–20 times, sheets up to 60,
    repeated log lines 200; a deflate bomb 1,030."""
    free_bytes: int = 16 * MIB
    """Bytes out at which the ratio begins to count: a small file of equal lines is no bomb."""
    total_bytes: int = 1 * GIB
    """Bytes out of everything, intermediate containers included: about ten seconds of matching."""
    member_bytes: int = 512 * MIB
    """Bytes of one member that are read; the rest of it is cut off."""
    nested_bytes: int = 128 * MIB
    """Bytes of a container inside a container: it is held in the child's memory. Streams and tars are not."""
    depth: int = 6
    """Containers inside containers: a mail with a zip of a tar.gz of workbooks is 4; 42.zip is 6."""
    entries: int = 100_000
    """Entries of everything. A stealer's archive has about 20 for each victim."""
    cpu_seconds: int = 60
    """Processor time, whole seconds: 1 GiB of LZMA takes about 20."""
    memory_bytes: int = 768 * MIB
    """Address space beyond the container itself: the parsers' code takes about 100 MiB of it, LZMA dictionaries up to 64 MiB."""
    wall_seconds: float = 120.0
    """Time that the parent waits for the child in all, its own time between two members not counted."""

    def words(self) -> list[str]:
        """What the child is told on its command line: numbers, and nothing of the container."""
        return [str(value) for value in astuple(self)[:9]]


LOCAL = Limits(
    total_bytes=64 * GIB,
    member_bytes=64 * GIB,
    nested_bytes=512 * MIB,
    entries=1_000_000,
    cpu_seconds=3600,
    memory_bytes=2 * GIB,
    wall_seconds=7200.0,
)
"""For files that a person chose, on the command line: larger than a capture can be, and nobody waits behind them."""
