"""How far a command is that reads files, for whoever waits at a terminal; nothing is shown where nobody does."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ullage.verdict.words import counted

BETWEEN_SECONDS = 0.2


@dataclass(slots=True)
class ReadProgress:
    """Told of each file as it begins and of what was read of it; `show` gets the bytes so far, of how many, and a text.

    Bytes are those of files. Where more comes out of a file than is in it, as of an archive, nobody knows how much is left of it:
    `show` then gets None for the whole.
    """

    sizes: Sequence[int | None]
    """Bytes of each file, in the order in which they are read; None where that is not known."""
    show: Callable[[int, int | None, str], None] | None = None
    monotonic: Callable[[], float] = time.monotonic
    _begun: int = 0
    _before: int = 0
    _read: int = 0
    _shown_at: float = float("-inf")
    _whole: int | None = field(init=False)

    def __post_init__(self) -> None:
        known = [size for size in self.sizes if size is not None]
        self._whole = sum(known) if len(known) == len(self.sizes) else None

    def begin(self) -> None:
        """The next file is read."""
        if self.show is None:
            return
        self._before += (self.sizes[self._begun - 1] or self._read) if self._begun else 0
        self._begun, self._read = self._begun + 1, 0

    def read(self, size: int, customers: Callable[[], int]) -> None:
        """So many bytes more were read; `customers` counts those found so far, and is asked only where that is shown."""
        self._read += size
        if self.show is None or self.monotonic() - self._shown_at < BETWEEN_SECONDS:
            return
        self._shown_at = self.monotonic()
        size_now, count = self.sizes[self._begun - 1], len(self.sizes)
        is_within = size_now is not None and self._read <= size_now
        files = f"file {self._begun:,} of {count:,}, " if count > 1 else ""
        self.show(
            self._before + self._read, self._whole if is_within else None, f"{files}{counted(customers(), 'customer')} so far"
        )


@contextlib.contextmanager
def read_progress(sizes: Sequence[int | None], *, shown: bool) -> Iterator[ReadProgress]:
    """Shows on standard error how files of these sizes are read, until the block ends; nothing unless `shown`."""
    if not shown:
        yield ReadProgress(sizes)
        return
    from rich import progress  # noqa: PLC0415  takes 50 ms, and a program that reads the output sees none of it
    from rich.console import Console  # noqa: PLC0415

    columns = (
        progress.BarColumn(), progress.DownloadColumn(binary_units=True), progress.TimeRemainingColumn(compact=True),
        progress.TextColumn("{task.description}"),
    )  # fmt: skip
    console = Console(file=sys.stderr)
    with progress.Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int | None, text: str) -> None:
            bar.update(task, completed=done, total=total, description=text)

        yield ReadProgress(sizes, show)
