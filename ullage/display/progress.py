"""Show the progress of a command, and the time that remains, at a terminal.

`progress_bar` and `read_progress` are contexts that draw one line on standard error and remove it
at the end. If standard error is no terminal, nothing is drawn, and callbacks that compute a text
are never called, so a command in a pipe loses no time.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ullage.verdict.words import format_count

BETWEEN_SECONDS = 0.2


@dataclass(slots=True)
class ProgressBar:
    """Counts progress of `total` bytes or things, None if unknown.

    `show` gets progress, total and a text, at most five times a second; None if nobody watches.
    """

    total: int | None = None
    show: Callable[[int, int | None, str], None] | None = None
    monotonic: Callable[[], float] = time.monotonic
    _done: int = 0
    _shown_at: float = float("-inf")

    def add(self, amount: int = 1, text: str = "") -> None:
        """Add `amount` to the progress."""
        self.reach(self._done + amount, self.total, lambda: text)

    def reach(self, done: int, total: int | None, text: Callable[[], str] = str) -> None:
        """Set the progress to `done` of `total`; `text` is only called if it is shown."""
        self._done = done
        if self.show is None or (now := self.monotonic()) - self._shown_at < BETWEEN_SECONDS:
            return
        self._shown_at = now
        self.show(done, None if total is None or done > total else total, text())

    @contextlib.contextmanager
    def growth(self, path: Path, size: int) -> Iterator[None]:
        """Count the bytes of a file while the block writes them; `size` of them when it ends.

        While the bar is shown, a thread looks at the file's size; `path` need not exist yet. After
        an error of the block, nothing more is counted.
        """
        before, ended = self._done, threading.Event()

        def look() -> None:
            while not ended.wait(BETWEEN_SECONDS):
                with contextlib.suppress(OSError):  # it may not be there yet
                    self.reach(before + min(size, path.stat().st_size), self.total)

        thread = threading.Thread(target=look, daemon=True)
        if self.show is not None:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            if self.show is not None:
                thread.join()
        self.reach(before + size, self.total)


@dataclass(slots=True)
class ReadProgress:
    """Tracks reading of files.

    If more comes out of a file than is in it, as of an archive, the remaining amount is unknown.
    """

    sizes: Sequence[int | None] = ()
    """Bytes of each file, in reading order; None if unknown."""
    progress: ProgressBar = field(default_factory=ProgressBar)
    _begun: int = 0
    _before: int = 0
    _read: int = 0
    _whole: int | None = field(init=False)

    def __post_init__(self) -> None:
        known_sizes = [size for size in self.sizes if size is not None]
        self._whole = sum(known_sizes) if len(known_sizes) == len(self.sizes) else None

    def begin(self) -> None:
        """Begin the next file."""
        if self.progress.show is None:
            return
        self._before += (self.sizes[self._begun - 1] or self._read) if self._begun else 0
        self._begun, self._read = self._begun + 1, 0

    def read(self, size: int, customers: Callable[[], int] | None = None) -> None:
        """Count `size` more bytes.

        `customers` counts those found so far, and is only called if the count is shown.
        """
        self._read += size
        if self.progress.show is None:
            return
        size_now, count = self.sizes[self._begun - 1], len(self.sizes)
        is_within = size_now is not None and self._read <= size_now

        def text() -> str:
            file = [f"file {self._begun:,} of {count:,}"] if count > 1 else []
            return ", ".join(
                [*file, *([f"{format_count(customers(), 'customer')} so far"] if customers else [])]
            )

        self.progress.reach(self._before + self._read, self._whole if is_within else None, text)

    def end(self, text: str) -> None:
        """Show `text` for the phase after reading, whose duration is unknown."""
        if self.progress.show is not None:
            self.progress.show(self._before + self._read, None, text)


@contextlib.contextmanager
def progress_bar(
    total: int | None, noun: str = "", *, shown: bool | None = None
) -> Iterator[ProgressBar]:
    """Show a progress bar on standard error until the block ends.

    It counts `total` things (None if unknown) with the plural `noun`, or for "" bytes. It is shown
    on a terminal unless `shown` says otherwise; if it is not shown, a ProgressBar that only counts
    is yielded.
    """
    if not (sys.stderr.isatty() if shown is None else shown):
        yield ProgressBar(total)
        return
    # takes 50 ms, and a program that reads the output sees none of it
    from rich import progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    amounts = (
        (progress.MofNCompleteColumn(" of "), progress.TextColumn(noun))
        if noun
        else (progress.DownloadColumn(True),)
    )
    columns = (
        progress.BarColumn(),
        *amounts,
        progress.TimeRemainingColumn(compact=True),
        progress.TextColumn("{task.description}"),
    )
    with progress.Progress(
        *columns, console=Console(file=sys.stderr), transient=True, redirect_stdout=False
    ) as bar:
        task = bar.add_task("", total=total)

        def show(done: int, total: int | None, text: str) -> None:
            bar.tasks[0].total = total  # `update` takes None for no change
            bar.update(task, completed=done, description=text)

        yield ProgressBar(total, show)


@contextlib.contextmanager
def read_progress(
    sizes: Sequence[int | None], *, shown: bool | None = None
) -> Iterator[ReadProgress]:
    """Show how files of these sizes are read, as `progress_bar` does."""
    with progress_bar(None, shown=shown) as progress:
        yield ReadProgress(sizes, progress)
