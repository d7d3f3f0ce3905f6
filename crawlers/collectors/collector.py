"""Run the sessions of one chat service and report the state of its channels.

Batches of messages go to the bus, then to the channel log. A channel is not covered while its
service reports that it cannot be read, while no session can be opened, or after
`STALL_SECONDS` without an answer. A gap makes it incomplete until the history has been read,
and for `LOST_SECONDS` where the history was not complete. Each of these is a state with a
reason, shown by `ullage collect`, in the metrics, and in the heartbeats that are sent with the
captured posts.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from crawlers.collectors.channel import ChannelFolder, ChatChannel
from crawlers.collectors.channel_log import ChannelLedger, ChannelState
from crawlers.collectors.metrics import CollectMetrics
from crawlers.collectors.session import (
    STATE_OF,
    BlindError,
    ChatMessage,
    ChatSession,
    DeliveryBatch,
    Reason,
    SessionFactory,
)
from crawlers.intake.feed import IntakeWriter
from crawlers.publishing.batching import PatientAppends
from crawlers.scheduling.heartbeats import LATE, HoursSeen, Told
from crawlers.scheduling.site_status import LETTERS
from ullage import log
from ullage.bus import CAPTURES, Outgoing
from ullage.clock import Backoff, Clock
from ullage.errors import ConfigError, RecordError, UnavailableError
from ullage.records import Capture
from ullage.records.heartbeat import (
    HEARTBEAT_SCHEMA,
    HOUR_SECONDS,
    MOST_TOLD,
    PURPOSE,
    SEEN,
    Coverage,
    Heartbeat,
    SiteHour,
)
from ullage.security import keys
from ullage.settings import Context

TURN_SECONDS = 2.0
STALL_SECONDS = 45.0
"""A session that is silent for so long is considered dead; each reports every 30 seconds."""
LOST_SECONDS = 3600.0
LONGEST_WAIT_SECONDS = 15.0
CLOSE_SECONDS = 5.0
KEPT_HOURS = 4
"""How many hours of message counts are kept; heartbeats report no earlier hour."""
SECRETS = "collect"
"""The folder of the accounts' secret files, in the key folder."""


@dataclass(slots=True)
class Runner:
    """The loop of one service's process. `opener` makes a session for each account."""

    context: Context
    service: str
    folder: ChannelFolder
    ledger: ChannelLedger
    feed: IntakeWriter
    appends: PatientAppends
    metrics: CollectMetrics
    opener: SessionFactory
    _channels: dict[str, ChatChannel] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _mine: dict[str, dict[str, ChatChannel]] = field(default_factory=dict)
    """The channels that each account's task reads."""
    _began: dict[str, float] = field(default_factory=dict)
    _beat_at: float = float("-inf")
    _hours: HoursSeen = field(init=False)
    _posts: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Messages by channel and hour since 1970."""

    def __post_init__(self) -> None:
        self._hours = HoursSeen(self.ledger.names())

    @property
    def clock(self) -> Clock:
        """Return the clock of the context."""
        return self.context.clock

    async def run(self, stopped: asyncio.Event) -> None:
        """Read all channels until `stopped` is set.

        About every TURN_SECONDS (2 s) it reads the channel files again, marks silent channels, and
        updates metrics and heartbeat. Ends all tasks on return. Raises any error of the bus or of
        this program; faults of a service only change the states of its channels.
        """
        appending = asyncio.create_task(self.appends.run())
        stop: asyncio.Task[Any] = asyncio.create_task(stopped.wait())
        try:
            while not stopped.is_set():
                self._read_files()
                self._watch()
                await self._tell()
                await asyncio.wait(
                    {stop, appending, *self._tasks.values()},
                    timeout=TURN_SECONDS,
                    return_when="FIRST_COMPLETED",
                )
                for task in (appending, *self._tasks.values()):
                    if task.done():
                        # our own error ends the process; faults of a service never get here
                        task.result()
        finally:
            for task in (stop, appending, *self._tasks.values()):
                task.cancel()
            await asyncio.gather(stop, appending, *self._tasks.values(), return_exceptions=True)

    def _read_files(self) -> None:
        """Read the channel files, and start, cancel or restart the tasks of accounts to match them.

        A task is restarted when any of its account's channels changed. A channel whose `expires`
        has passed gets the state of the reason "expired" and is not read.
        """
        configured = self.folder.read(self.service)
        self.metrics.faults.set(len(self.folder.faults))
        today, by_service = self.clock.now().date(), dict[str, dict[str, ChatChannel]]()
        for name, channel in configured.items():
            if channel.expires < today:
                self._blame(name, "expired")
            else:
                by_service.setdefault(channel.account, {})[name] = channel
        self._channels = configured
        self.feed.more = {name: channel.site() for name, channel in configured.items()}
        for account, channels in by_service.items():
            task = self._tasks.get(account)
            if task and self._mine[account] == channels:
                continue
            if task:
                task.cancel()
            self._mine[account] = channels
            for name in channels:
                self._began.setdefault(name, self.clock.wall())
            self._tasks[account] = asyncio.create_task(self._account(account, channels))
        for account in self._tasks.keys() - by_service.keys():
            self._tasks.pop(account).cancel()

    async def _account(self, account: str, channels: Mapping[str, ChatChannel]) -> None:
        """Keep a session of an account open, for ever.

        After any failure, all its channels (or the one that the error names) are marked as not
        read, with the reason: that of a BlindError, "login" for a ConfigError of its secret,
        "unreachable" for a connection that fails. It then waits, up to LONGEST_WAIT_SECONDS (15 s),
        and opens a new session.
        """
        backoff = Backoff(first=1.0, cap=LONGEST_WAIT_SECONDS)
        while True:
            session: ChatSession | None = None
            try:
                session = self.opener(
                    self.context.keys.read_lines(f"{SECRETS}/{account}"),
                    account,
                    channels,
                    self.ledger,
                )
                await self._read(session, backoff)
            except BlindError as error:
                self._blame_all(channels, error.reason, error.channel)
            except ConfigError as error:
                log.get("collect").error("account_refused", error=str(error))
                self._blame_all(channels, "login")
            except (OSError, TimeoutError):
                self._blame_all(channels, "unreachable")
            finally:
                if session is not None:
                    with contextlib.suppress(Exception):
                        async with asyncio.timeout(CLOSE_SECONDS):
                            await session.close()
            await asyncio.sleep(backoff.next())

    async def _read(self, session: ChatSession, backoff: Backoff) -> None:
        """Process the batches of a session, for ever.

        Stops taking batches while match is too far behind. While one batch is made durable, only
        the next one is fetched: a cursor must be stored before the session asks for what lies
        behind it. Raises BlindError where no batch arrives in time.
        """
        batches = aiter(session.batches())
        coming = asyncio.ensure_future(_next(batches))
        try:
            while True:
                while self.appends.behind:  # noqa: ASYNC110 - it changes every 15 seconds
                    # messages read now would expire on the bus; the history keeps them
                    await asyncio.sleep(TURN_SECONDS)
                batch = await coming
                coming = asyncio.ensure_future(_next(batches))
                await self._take(batch)
                backoff.reset()
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def _take(self, batch: DeliveryBatch) -> None:
        """Publish the new messages of one batch, then record them, then update the channel's state.

        New are those that are not recorded yet; the batch's cursor is stored with them. A message
        that is too large for a record is counted as refused and recorded as read. A batch without a
        channel changes no state of its own; channels in `answered` are marked as read.
        """
        now = self.clock.wall()
        fresh = self.ledger.unseen(batch.channel, batch.messages) if batch.messages else []
        captures = list[Capture]()
        for message in fresh:
            try:
                captures += self.feed.captures(message.line)
            except RecordError as error:  # too large for a record: it counts as read
                self._refuse(batch.channel, error.reason)
        if batch.refused:
            self._refuse(batch.channel, "malformed", batch.refused)
        if captures:
            await self.appends.append(captures)
        if fresh or batch.cursor:
            self.ledger.note(batch.channel, fresh, batch.cursor, now)
            self._posts[batch.channel, int(now // HOUR_SECONDS)] += len(fresh)
            self._count_files(fresh)
        if batch.channel:
            self._gap(batch, len(fresh), now)
        if batch.blind:
            self._blame(batch.channel, batch.blind)
        for name in batch.answered:
            self._seen(name, now)

    def _refuse(self, channel: str, reason: str, count: int = 1) -> None:
        self.metrics.refused.labels(reason).inc(count)
        log.get("collect").warning("message_refused", site=channel, reason=reason, count=count)

    def _count_files(self, messages: Iterable[ChatMessage]) -> None:
        for message in messages:
            read = sum(not isinstance(file, str) for file in message.line.attachments)
            self.metrics.files.labels("read").inc(read)
            for why in message.unread:
                self.metrics.files.labels(why).inc()

    def _gap(self, batch: DeliveryBatch, fresh: int, now: float) -> None:
        before = self.ledger.standing(batch.channel)
        if batch.gap == "seen":
            self.ledger.change(batch.channel, gaps=before.gaps + 1)
            self._blame(batch.channel, "gap")
            log.get("collect").warning("gap", site=batch.channel)
        elif batch.gap:
            self.metrics.gaps.labels(batch.gap).inc()
            lost = batch.gap == "lost"
            self.ledger.change(
                batch.channel, lost=before.lost + lost, lost_at=now if lost else before.lost_at
            )
            log.get("collect").warning("gap_ended", site=batch.channel, status=batch.gap)
        if before.reason == "gap" and fresh:
            self.ledger.change(
                batch.channel, refetched=self.ledger.standing(batch.channel).refetched + fresh
            )

    def _seen(self, name: str, now: float) -> None:
        """Record that the service answered for a channel and has nothing more to deliver.

        The state becomes "ok", unless messages were lost less than LOST_SECONDS (1 h) ago: then it
        keeps the reason "gap". Where the state is "ok" already, the time is stored at most every
        TURN_SECONDS (2 s).
        """
        before = self.ledger.standing(name)
        if before.lost_at and now - before.lost_at < LOST_SECONDS:
            self.ledger.change(name, last_success=now)
            self._blame(name, "gap")
        elif before.state != "ok":
            self.ledger.change(name, state="ok", reason=None, since=now, last_success=now)
            log.get("collect").info("channel_state", site=name, state="ok")
        # a service that is read without pauses answers all the time: write less often
        elif now - before.last_success >= TURN_SECONDS:
            self.ledger.change(name, last_success=now)

    def _blame_all(
        self, channels: Mapping[str, ChatChannel], reason: Reason, channel: str = ""
    ) -> None:
        for name in [channel] if channel else channels:
            before = self.ledger.standing(name)
            if before.reason not in ("banned", "kicked", "closed", "encrypted") or reason not in (
                "unreachable",
                "timeout",
            ):
                self._blame(name, reason)

    def _blame(self, name: str, reason: Reason) -> None:
        """Record why a channel is not read, or not completely."""
        before = self.ledger.standing(name)
        if before.reason != reason:
            self.ledger.change(name, state=STATE_OF[reason], reason=reason, since=self.clock.wall())
            log.get("collect").warning(
                "channel_state", site=name, state=STATE_OF[reason], reason=reason
            )

    def _watch(self) -> None:
        """Set the state of channels that have been silent for too long to "timeout".

        Too long is over STALL_SECONDS + TURN_SECONDS (47 s) since the last success or since the
        channel was started. Applies to channels that are "ok" or have no state yet, even where
        their session still considers itself connected; not while match is behind.
        """
        now = self.clock.wall()
        for name, channel in self._channels.items():
            standing = self.ledger.standing(name)
            last = max(standing.last_success, self._began.get(name, now))
            read = channel.account in self._mine and not self.appends.behind
            if (
                read
                and standing.state in ("ok", None)
                and now - last > STALL_SECONDS + TURN_SECONDS
            ):
                self._blame(name, "timeout")

    async def _tell(self) -> None:
        """Update the metrics, and send a heartbeat with the coverage of past hours if one is due.

        With `crawl.heartbeat_seconds` 0 none is sent. If the bus is unreachable, the heartbeat is
        skipped and logged, and its unsent hours are discarded. After sending, counts of posts older
        than KEPT_HOURS (4) are deleted.
        """
        standings = [self.ledger.standing(name) for name in self._channels]
        self.metrics.show(standings)
        seconds = self.context.settings.crawl.heartbeat_seconds
        if not seconds or self.clock.monotonic() < self._beat_at:
            return
        self._beat_at = self.clock.monotonic() + seconds
        letters = self._letters(standings)
        self._hours.files(letters)
        self._hours.note(self.clock.wall(), self.clock.monotonic(), letters, LATE * seconds)
        hours, gone = self._hours.told(MOST_TOLD)
        try:
            await self.appends.on_bus(
                partial(self.feed.publisher.spread, self.heartbeat(standings, hours, gone))
            )
        except UnavailableError as error:
            self._hours.forget()
            log.get("collect").warning("heartbeat_skipped", error=str(error))
        else:
            self._hours.sent(hours, gone)
            oldest = int(self.clock.wall() // HOUR_SECONDS) - KEPT_HOURS
            self._posts = Counter(
                {key: count for key, count in self._posts.items() if key[1] >= oldest}
            )

    def _letters(self, standings: Iterable[ChannelState]) -> dict[str, str]:
        """Return each channel's status letter, as the coverage log uses them.

        Files without a valid channel and disabled channels are included.
        """
        files = {
            name: "f"
            for name, service in self.folder.refused.items()
            if service in ("", self.service)
        }
        off = {
            name: "d" for name, service in self.folder.disabled.items() if service == self.service
        }
        return files | off | {standing.name: self._letter(standing) for standing in standings}

    def _letter(self, standing: ChannelState) -> str:
        if standing.reason == "expired":
            return "x"
        letter = LETTERS[standing.state]
        return "p" if letter == SEEN and self.appends.behind else letter

    def heartbeat(
        self, standings: list[ChannelState], told: Iterable[Told] = (), gone: tuple[str, ...] = ()
    ) -> Outgoing:
        """Return a sealed heartbeat: the state of the channels, and their coverage by hour.

        `told` are the hours to report, and `gone` the names of channels that were removed. Channels
        without a state and faulty channel files count as `unseen`. Sends nothing. Raises
        ConfigError if no sealing key is here.
        """
        states = Counter(standing.state for standing in standings if standing.state)
        coverage = Coverage(
            watched=tuple(standing.report() for standing in standings),
            sites=dict(states),
            unseen=len(standings) - states.total() + len(self.folder.faults),
        )
        origin = f"{self.context.settings.crawl.origin[:50]}.{self.service}"
        hours = tuple(
            SiteHour(site=s, hour=h, slots=slots, posts=self._posts.get((s, h), 0))
            for s, h, slots in told
        )
        beat = Heartbeat(
            id=secrets.token_hex(16),
            origin=origin,
            inserted_at=self.clock.now(),
            coverage=coverage,
            hours=hours,
            gone=gone,
        )
        sealer = keys.load_sealer(self.context.keys)
        signed = self.feed.signer.enclose(beat.encode(), PURPOSE)
        sealed = sealer.seal(signed, purpose=PURPOSE, topic=CAPTURES, schema=HEARTBEAT_SCHEMA)
        return Outgoing(beat.id, sealed, {**beat.headers(), "key_id": sealer.key_id})


async def _next(batches: AsyncIterator[DeliveryBatch]) -> DeliveryBatch:
    """Return the next batch; raises BlindError where none arrives in time."""
    try:
        async with asyncio.timeout(STALL_SECONDS):
            return await anext(batches)
    except StopAsyncIteration:
        raise BlindError("unreachable") from None
    except TimeoutError:
        raise BlindError("timeout") from None
