"""Store the messages, positions and states of channels in `collect.sqlite`.

A message is stored as a keyed digest of its id, so the file does not disclose which messages
there were. The last `KEPT` messages of each channel are recognised again, which is more than
any service delivers twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

import apsw

from crawlers.collectors.session import ChatMessage, Reason
from crawlers.frontier.cipher import FrontierCipher
from ullage.files.database import SCHEMAS, check_database, open_database, sqlite_errors, transaction
from ullage.inventory import Inventory
from ullage.records.heartbeat import SiteReport, State
from ullage.settings import Context

FILE = "collect.sqlite"
KEPT, FORGET_EVERY = 50_000, 1_000
SCHEMA = """
create table channels (
    name text primary key,
    state text not null default '',
    reason text not null default '',
    since real not null default 0,
    last_new real not null default 0,
    last_success real not null default 0,
    seen integer not null default 0,
    gaps integer not null default 0,
    refetched integer not null default 0,
    lost integer not null default 0,
    lost_at real not null default 0,
    service text not null default '',
    unread integer not null default 0
) strict;
create table messages (
    number integer primary key,
    channel text not null,
    digest blob not null,
    unique (channel, digest)
) strict;
create table cursors (name text primary key, value text not null) strict;
"""


@dataclass(frozen=True, slots=True)
class ChannelState:
    """The state of a channel, with its counts.

    Times are in Unix seconds, 0 for never. `lost` counts gaps that were not filled.
    """

    name: str
    state: State | None = None
    reason: Reason | None = None
    since: float = 0.0
    last_new: float = 0.0
    last_success: float = 0.0
    seen: int = 0
    gaps: int = 0
    refetched: int = 0
    lost: int = 0
    lost_at: float = 0.0
    service: str = ""
    unread: int = 0
    """Posted files that were not read, or not completely."""

    def report(self) -> SiteReport:
        """Return the part of the state that heartbeats carry."""
        return SiteReport(
            site=self.name,
            state=self.state,
            since=self.since,
            last_new=self.last_new,
            last_success=self.last_success,
        )


def split_digests(digests: Iterable[bytes], most: int = 500) -> list[list[bytes]]:
    """Split digests into consecutive lists of at most `most`, one for each query; [] for none."""
    listed = list(digests)
    return [listed[first : first + most] for first in range(0, len(listed), most)]


class ChannelLedger:
    """A connection to the channel log, for one thread at a time.

    `service` is the service whose channels it writes.
    """

    def __init__(
        self,
        path: Path,
        cipher: FrontierCipher,
        service: str = "",
        inventory: Inventory | None = None,
    ) -> None:
        self._path, self._cipher, self._service = path, cipher, service
        self._connection: apsw.Connection = open_database(
            path, SCHEMA, SCHEMAS["collect"], inventory=inventory
        )

    @classmethod
    def of(cls, context: Context, service: str = "") -> ChannelLedger:
        """Open the channel log of a data folder."""
        cipher = FrontierCipher(context.keys.read("frontier.key"))
        return cls(context.data / FILE, cipher, service, context.inventory)

    def names(self) -> set[str]:
        """Return the names of all channels in the log that belong to this ledger's service.

        Raises CorruptError if the log is damaged, UnavailableError if it cannot be read.
        """
        with sqlite_errors(self._path):
            rows = self._connection.execute(
                "select name from channels where service = ?", (self._service,)
            )
            return {str(name) for (name,) in rows}

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def check(self) -> None:
        """Read the whole file and raise CorruptError if any part of it is damaged."""
        check_database(self._connection, self._path)

    def cursor(self, name: str) -> str:
        """Return the value stored for the cursor `name`; "" where there is none.

        Raises CorruptError if the log is damaged, UnavailableError if it cannot be read.
        """
        with sqlite_errors(self._path):
            return str(
                self._connection.execute("select value from cursors where name = ?", (name,)).get
                or ""
            )

    def unseen(self, channel: str, messages: Iterable[ChatMessage]) -> list[ChatMessage]:
        """Return the messages of `channel` that are not recorded yet, in order.

        Of messages with the same `event`, only the first is returned. Records nothing. Raises
        CorruptError if the log is damaged, UnavailableError if it cannot be read.
        """
        unlogged = dict[bytes, ChatMessage]()
        for message in messages:
            unlogged.setdefault(self._digest(channel, message), message)
        for digests in split_digests(unlogged):
            places = ",".join("?" * len(digests))
            rows_of = "select digest from messages where channel = ?"
            query = f"{rows_of} and digest in ({places})"
            with sqlite_errors(self._path):
                rows = self._connection.execute(query, (channel, *digests)).fetchall()
            for (digest,) in rows:
                del unlogged[bytes(cast("bytes", digest))]
        return list(unlogged.values())

    def note(
        self,
        channel: str,
        messages: Sequence[ChatMessage],
        cursor: tuple[str, str] | None,
        now: float,
    ) -> None:
        """Record `messages` of `channel` and store `cursor` (name, value), in one transaction.

        The transaction is durable on return. The messages must be durable on the bus already, and
        not recorded (`unseen`): all are counted, with their unread files, and `now` (Unix seconds)
        becomes the time of the last new message. From time to time, records of all but the last
        KEPT (50,000) messages are deleted. Without messages, only the cursor is stored; None stores
        no cursor. Raises UnavailableError or CorruptError if the file cannot be written
        (`sqlite_errors`).
        """
        rows = [(channel, self._digest(channel, message)) for message in messages]
        with sqlite_errors(self._path), transaction(self._connection):
            self._connection.executemany(
                "insert or ignore into messages (channel, digest) values (?, ?)", rows
            )
            if rows:
                self._add(channel)
                unread = sum(len(message.unread) for message in messages)
                add = (
                    "update channels set seen = seen + ?, last_new = ?, unread = unread + ? where"
                    " name = ? returning seen"
                )
                total = int(self._connection.execute(add, (len(rows), now, unread, channel)).get)
                # rarely: it scans all digests of the channel
                if total // FORGET_EVERY != (total - len(rows)) // FORGET_EVERY:
                    self._forget(channel)
            if cursor:
                self._connection.execute("insert or replace into cursors values (?, ?)", cursor)

    def _forget(self, channel: str) -> None:
        """Delete the digests of all but the last `KEPT` messages of a channel."""
        oldest = (
            "select number from messages where channel = ? order by number desc limit 1 offset ?"
        )
        number = self._connection.execute(oldest, (channel, KEPT)).get
        if number is not None:
            self._connection.execute(
                "delete from messages where channel = ? and number <= ?", (channel, number)
            )

    def standing(self, channel: str) -> ChannelState:
        """Return the stored state of `channel`; default values if it is not in the log.

        A stored state or reason that this version does not know is returned as None. Raises
        CorruptError if the log is damaged, UnavailableError if it cannot be read.
        """
        with sqlite_errors(self._path):
            row = self._connection.execute(
                "select * from channels where name = ?", (channel,)
            ).fetchone()
        if row is None:
            return ChannelState(channel)
        name, state, reason, *counters = row
        checked_state = state if state in get_args(State) else None
        why = reason if reason in get_args(Reason) else None
        return ChannelState(name, checked_state, why, *counters)

    def keep(self, standing: ChannelState) -> None:
        """Store the state of a channel durably, and enter the channel in the log if it is new.

        The counts of messages and of unread files, and the time of the last new message, are not
        stored here: `note` maintains them. Raises CorruptError if the log is damaged,
        UnavailableError if it cannot be written.
        """
        s = standing
        values = (
            s.state or "",
            s.reason or "",
            s.since,
            s.last_success,
            s.gaps,
            s.refetched,
            s.lost,
            s.lost_at,
            s.name,
        )
        with sqlite_errors(self._path), transaction(self._connection):
            self._add(s.name)
            self._connection.execute(
                "update channels set state = ?, reason = ?, since = ?, last_success = ?, gaps = ?,"
                " refetched = ?, lost = ?, lost_at = ? where name = ?",
                values,
            )

    def change(self, channel: str, **fields: object) -> ChannelState:
        """Replace `fields` of a channel's state, store it durably, and return it as stored.

        Fields that `keep` does not store stay as they are.
        """
        self.keep(replace(self.standing(channel), **fields))  # type: ignore[arg-type]
        return self.standing(channel)

    def _add(self, channel: str) -> None:
        add = (
            "insert into channels (name, service) values (?1, ?2) on conflict (name) do update set"
            " service = ?2"
        )
        self._connection.execute(add, (channel, self._service))

    def _digest(self, channel: str, message: ChatMessage) -> bytes:
        return self._cipher.name(channel, f"\x1d{message.event}")
