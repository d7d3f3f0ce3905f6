"""Turn submitted lines into captures and write them to the bus.

They are written in batches, by number, size and time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Self

from crawlers.frontier.cipher import FrontierCipher
from crawlers.intake.submission import CaptureLine, captures_of
from crawlers.publishing.outbox import BATCH, CaptureOutbox
from crawlers.sites.site import Site, SiteFolder
from ullage import log
from ullage.bus import CAPTURES, Publisher
from ullage.clock import Backoff, Clock
from ullage.errors import ConfigError, UnavailableError
from ullage.records import Capture
from ullage.runtime.worker import run_until_answered
from ullage.security import keys
from ullage.security.signing import Signer
from ullage.settings import SITES, Context

FLUSH_SECONDS = 1.0
"""The longest time that a capture waits for others."""
FLUSH_BYTES = 8 * 2**20
SITES_SECONDS = 5.0
"""How often the site files are read."""


@dataclass(slots=True)
class IntakeWriter:
    """A writer of submitted posts to the bus, for one thread at a time.

    `stop` ends the wait for a bus that is down.
    """

    context: Context
    publisher: Publisher
    signer: Signer
    cipher: FrontierCipher
    folder: SiteFolder
    clock: Clock
    stop: threading.Event = field(default_factory=threading.Event)
    more: Mapping[str, Site] = field(default_factory=dict)
    """Further sites without a site file: a collector's channels."""
    faults: list[ConfigError] = field(default_factory=list)
    """Faults of the site files at the last reading."""
    _sites: Mapping[str, Site] = field(default_factory=dict)
    _read_at: float = float("-inf")
    _waiting: list[Capture] = field(default_factory=list)
    _bytes: int = 0
    _since: float = 0.0

    @classmethod
    def of(cls, context: Context, stop: threading.Event | None = None) -> Self:
        """Create the writer for a data folder and read its site files.

        `stop` is set when the process is to end. Raises ConfigError where a key is missing or
        faulty, UnavailableError where the bus cannot be reached.
        """
        publisher = context.bus().publisher(CAPTURES)
        signer = keys.load_signer(context.keys, "ingest")
        keys.load_sealer(context.keys)  # a faulty key is reported at the start
        cipher = FrontierCipher(context.keys.read("frontier.key"))
        folder = SiteFolder(context.data / SITES, lambda _: None)
        feed = cls(
            context, publisher, signer, cipher, folder, context.clock, stop or threading.Event()
        )
        feed.read_sites()
        return feed

    def read_sites(self) -> Mapping[str, Site]:
        """Return the current sites, by name; the files are read every few seconds."""
        if (now := self.clock.monotonic()) >= self._read_at:
            self._sites, self.faults = self.folder.read()
            self._read_at = now + SITES_SECONDS
        return {**self._sites, **self.more} if self.more else self._sites

    def captures(self, line: CaptureLine, now: datetime | None = None) -> list[Capture]:
        """Return the captures of `line`.

        Raises RecordError where one exceeds the limits of a record, or is not text.
        """
        return self.maker(now)(line)

    def maker(self, now: datetime | None = None) -> Callable[[CaptureLine], list[Capture]]:
        """Return a function that makes captures of lines as `captures` does.

        It uses the site files as they are now, and may be called in another thread. `now` is the
        time of the captures, None the present. The function raises RecordError where a line is
        refused or too large for a record.
        """
        sites, at = self.read_sites(), now or self.clock.now()

        def made(line: CaptureLine) -> list[Capture]:
            captures = list(captures_of(line, sites, self.cipher, at))
            for capture in captures:
                capture.encode()
            return captures

        return made

    def outbox(self) -> CaptureOutbox:
        """Return an outbox with the current sealing key, which is replaced once a day.

        Raises ConfigError if no sealing key is here.
        """
        return CaptureOutbox(
            self.publisher, keys.load_sealer(self.context.keys), self.signer, self.clock.wall
        )

    def put(self, captures: Iterable[Capture]) -> None:
        """Accept captures, and flush when enough have accumulated.

        Enough are BATCH captures or FLUSH_BYTES (8 MiB); what waits is also flushed when its time
        has come. They are durable only once `flush` was called.
        """
        for capture in captures:
            self._since = self._since if self._waiting else self.clock.monotonic()
            self._waiting.append(capture)
            self._bytes += len(capture.body)
            if len(self._waiting) >= BATCH or self._bytes >= FLUSH_BYTES:
                self.flush()
        self.turn()

    def turn(self) -> None:
        """Flush the captures that have waited long enough."""
        if self._waiting and self.clock.monotonic() - self._since >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Make all accepted captures durable.

        While the bus is down this waits, and the sender with it: nothing is dropped. Raises
        UnavailableError if the process is told to stop meanwhile.
        """
        if self._waiting:
            append = partial(self.outbox().append, self._waiting)
            if not run_until_answered("ingest", append, self.stop, Backoff()):
                raise UnavailableError(
                    "stopped while the bus (bus.url) was unreachable: the last posts read are"
                    " not stored; once it answers, start again with the same file"
                )
            log.get("ingest").debug("appended", count=len(self._waiting))
        self._waiting, self._bytes = [], 0

    def end(self) -> None:
        """Flush, and close the connection to the bus."""
        self.flush()
        self.publisher.close()
