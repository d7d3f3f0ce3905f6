"""How far a container may go: the limits, each with its unit and reason, and the budget that counts against them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ullage.errors import UllageError

MIB, GIB = 1 << 20, 1 << 30


class Limits(NamedTuple):
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
    ocr_seconds: int = 0
    """Seconds of the clock for all pictures in it together, each read in a child of its own; 0 reads none."""
    wall_seconds: float = 120.0
    """Time that the parent waits for the child in all, its own time between two members not counted."""

    def of_picture(self, left: float) -> Limits:
        """Those of one picture that is read, where `left` seconds are left for pictures."""
        return self._replace(
            cpu_seconds=PICTURE_SECONDS, memory_bytes=PICTURE_MEMORY, wall_seconds=min(left, 2.0 * PICTURE_SECONDS)
        )

    def words(self) -> list[str]:
        """What the child is told on its command line: numbers, and nothing of the container."""
        return [str(value) for value in self[:10]]


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

OCR_SECONDS, LOCAL_OCR_SECONDS = 120, 3600
"""`Limits.ocr_seconds` where pictures are read, of a capture and of a file that a person chose: a picture takes 1 to 20."""
PICTURE_SECONDS = 60
"""Processor time of one picture: a long screenshot with a thousand cells takes as much."""
PICTURE_MEMORY = 3 * GIB
"""Address space for one picture: 0.6 GiB of libraries and models, and up to 1.5 GiB for 2000 by 2000 pixels, which is what is
looked at at once; far more than any other reader takes, so only the child of a picture has it."""
PICTURE_BYTES = 32 * MIB
"""Of one picture as it lies there: more is no screenshot."""
PICTURE_PIXELS = 40_000_000
"""Of one picture, by its header: 120 MB of memory. A phone's camera has 12 to 50 million, a long screenshot 20."""


class Halt(UllageError):  # noqa: N818  not a fault of ours: the end of reading, with its reason
    """Reading ends here: of one member or container, or of everything (`whole`)."""

    def __init__(self, reason: str, *, whole: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.whole = reason, whole


class UnpackBudget:
    """Counts bytes and entries, and raises `Halt` where a limit ends them."""

    def __init__(self, words: list[str], size: int) -> None:
        numbers = [int(word) for word in words]
        self.ratio, self.free, self.total, self.member, self.nested, self.depth, self.entries = numbers[:7]
        self.cpu_seconds, self.memory, ocr_seconds = numbers[7:10]
        self.reads_pictures = ocr_seconds > 0
        self.crashed = numbers[10:]
        """Numbers of entries at which earlier children crashed."""
        self.taken = 0
        """Entries so far."""
        self._spent, self._size = 0, size

    def entry(self) -> None:
        """Count an entry."""
        self.taken += 1
        self.entries -= 1
        if self.entries < 0:
            raise Halt("too_many", whole=True)

    def spend(self, count: int) -> None:
        """Count bytes that came out of something, whatever becomes of them."""
        self._spent += count
        if self._spent > self.total:
            raise Halt("too_large", whole=True)
        if self._spent > max(self.free, self.ratio * self._size):
            raise Halt("bomb", whole=True)

    def measured(self, chunks: Iterable[bytes], packed: Callable[[], int], limit: int = 0) -> Iterator[bytes]:
        """The chunks, counted; `packed` says how many bytes they were made of so far, `limit` how many are wanted."""
        size, most = 0, limit or self.member
        for chunk in chunks:
            left = self.total - self._spent
            size += len(chunk)
            try:
                self.spend(len(chunk))
            except Halt as halt:
                if halt.reason == "too_large" and left > 0:
                    yield chunk[:left][: most - size + len(chunk)]  # the prefix up to the limit is kept whole
                raise
            if size > self.free and size > self.ratio * packed():
                raise Halt("bomb")
            if size > most:
                yield chunk[: most - size]
                raise Halt("too_large")
            yield chunk
