"""What a container has used up of its limits. In the child; the parent counts again for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator


class Halt(Exception):  # noqa: N818  not a fault of ours: the end of reading, with its reason
    """Reading ends here: of one member or container, or of everything (`whole`)."""

    def __init__(self, reason: str, *, whole: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.whole = reason, whole


class Budget:
    """Counts bytes and entries, and raises `Halt` where a limit ends them."""

    def __init__(self, words: list[str], size: int) -> None:
        numbers = [int(word) for word in words]
        self.ratio, self.free, self.total, self.member, self.nested, self.depth, self.entries = numbers[:7]
        self.cpu_seconds, self.memory = numbers[7:9]
        self._spent, self._size = 0, size

    def entry(self) -> None:
        """Count an entry."""
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
