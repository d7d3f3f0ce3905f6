"""Bugs as somebody might write them, put into the product for a night: a simulator that does not
find them is worth nothing.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any
from unittest import mock

import alerts.coverage
import alerts.grouping.placement
import alerts.grouping.sightings
import alerts.grouping.stage
import alerts.notify.sender
import alerts.service.process
import alerts.service.upkeep
import alerts.store.queries
import matcher.cli.match
import ullage.bus.sqlite
import ullage.files.atomic_write
import ullage.files.database
import ullage.security.keys
from alerts.grouping.placement import KnownIncident
from alerts.http_post import UndeliveredError
from alerts.notify import Message
from alerts.notify.sender import Sender
from alerts.records import Incident, Notification
from alerts.records.document import Document
from alerts.store import WriteResult
from alerts.store.sqlite import SqliteStore
from crawlers.frontier.database import Frontier
from crawlers.frontier.leases import PageLease
from crawlers.intake.feed import FLUSH_SECONDS, IntakeWriter
from crawlers.scheduling.site_status import SiteStates
from crawlers.visiting.publish import PublishPipeline
from crawlers.visiting.spider import PageRead
from crawlers.visiting.visit import Visit
from matcher.match.capture_key import CaptureKey
from ullage.bus import Record
from ullage.bus.sqlite import SqliteSubscription
from ullage.files.database import transaction
from ullage.records.heartbeat import SEEN
from ullage.running_time import ClockReading, Old
from ullage.runtime.worker import Worker
from ullage.settings import Context


def _commit_first() -> Any:
    """Commit an offset before the results of its records are durable."""
    handle = Worker._handle

    def commit(worker: Worker, records: Sequence[Record]) -> int:
        worker._commit(records)
        return handle(worker, records)

    return mock.patch.object(Worker, "_handle", commit)


def _done_first() -> Any:
    """Mark a page as done before its captures are on the bus."""
    publish = PublishPipeline.process_item

    async def finish(pipeline: PublishPipeline, item: PageRead) -> PageRead:
        pipeline._visit.finished(
            item.leased, item.parsed, len(item.posts), item.size, item.outcome, item.validators
        )
        return await publish(pipeline, item)

    return mock.patch.object(PublishPipeline, "process_item", finish)


def _no_claims() -> Any:
    """Treat a repeated post as a new one."""
    return mock.patch.object(alerts.grouping.placement, "list_content_claims", return_value=())


def _failed_is_told() -> Any:
    """Count a message that did not arrive as sent."""
    deliver = Sender._deliver

    class Swallowing:
        def __init__(self, channel: Any) -> None:
            self._channel = channel

        def send(self, message: Message) -> None:
            with contextlib.suppress(UndeliveredError):
                self._channel.send(message)

    def deliver_all(sender: Sender, some: Any) -> bool:
        with mock.patch.object(sender, "channel", Swallowing(sender.channel)):
            return deliver(sender, some)

    return mock.patch.object(Sender, "_deliver", deliver_all)


def _forgets_lost_answers() -> Any:
    """After a refusal a message gets a new id, although an earlier attempt may have arrived.

    It was so, and a night found it.
    """
    deliver = Sender._deliver

    def delivered(sender: Sender, some: Sequence[Notification]) -> bool:
        outcome = deliver(sender, some)
        again = sender.setup.store.mget(Notification, [notice.id for notice in some])
        if not outcome and not getattr(sender.channel, "lost", False):
            sender.setup.store.put(
                [
                    notice.model_copy(update={"message": ""})
                    for notice in again.values()
                    if notice.outcome == "pending"
                ]
            )
        return outcome

    return mock.patch.object(Sender, "_deliver", delivered)


def _new_id_each_time() -> Any:
    """Send a message that may have arrived again under another id."""
    compose = Sender._compose

    def composed(sender: Sender, some: Any, incidents: Any) -> Message:
        message = compose(sender, some, incidents)
        return Message(f"msg_{secrets.token_hex(12)}", message.entries, message.page)

    return mock.patch.object(Sender, "_compose", composed)


def _told_first() -> Any:
    """Record a message and its id only when it has gone out."""
    deliver, put = Sender._deliver, SqliteStore.put

    def delivered(sender: Sender, some: Sequence[Notification]) -> bool:
        def unless_under_way(
            store: SqliteStore, documents: Sequence[Document], *over: Any
        ) -> Sequence[WriteResult]:
            known_notices = [
                document
                for document in documents
                if not (
                    isinstance(document, Notification)
                    and document.outcome == "pending"
                    and document.message
                )
            ]
            return put(store, known_notices, *over)

        with mock.patch.object(SqliteStore, "put", unless_under_way):
            return deliver(sender, some)

    return mock.patch.object(Sender, "_deliver", delivered)


def _sent_first() -> Any:
    """Record a message as sent before it is."""
    deliver, put = Sender._deliver, SqliteStore.put

    def delivered(sender: Sender, some: Sequence[Notification]) -> bool:
        def as_sent(
            store: SqliteStore, documents: Sequence[Document], *over: Any
        ) -> Sequence[WriteResult]:
            at = sender.setup.clock.now()
            marked = [
                document.model_copy(update={"outcome": "sent", "sent_at": at})
                if isinstance(document, Notification)
                and document.outcome == "pending"
                and document.message
                else document
                for document in documents
            ]
            return put(store, marked, *over)

        with mock.patch.object(SqliteStore, "put", as_sent):
            return deliver(sender, some)

    return mock.patch.object(Sender, "_deliver", delivered)


def _taken_first() -> Any:
    """Whoever hands a message in is told that it is durable before it is."""
    flush = IntakeWriter.flush

    def later(feed: IntakeWriter) -> None:
        if feed._waiting and feed.clock.monotonic() - feed._since >= FLUSH_SECONDS:
            flush(feed)

    return mock.patch.object(IntakeWriter, "flush", later)


def _values_of_all() -> Any:
    """Look up holdings by value alone, so that a tenant finds those of another."""
    return mock.patch.object(
        alerts.grouping.placement, "claim_id", lambda _, of, value: f"{of}:{value}"
    )


def _posts_of_all() -> Any:
    """Keep the presence of a post for all tenants together."""
    return mock.patch.object(alerts.grouping.sightings, "presence_id", lambda _, post: post)


def _incidents_of_all() -> Any:
    """Give a post's findings, and so its incidents, the same id for all tenants."""
    identity = CaptureKey.identity
    return mock.patch.object(
        CaptureKey, "identity", lambda key, served, _tenant: identity(key, served, "")
    )


def _messages_of_all() -> Any:
    """Put what is due for several tenants into the same message."""

    def by_message(due: Sequence[Notification]) -> Iterator[tuple[str, list[Notification]]]:
        for id_ in sorted({notice.message for notice in due}, reverse=True):
            yield id_, [notice for notice in due if notice.message == id_]

    return mock.patch.object(alerts.notify.sender, "group_by_message", by_message)


def _kept_after_all() -> Any:
    """Keep a page leased when it is done, until the next visit."""
    return mock.patch.object(Frontier, "_release", return_value=None)


def _kept_after_failure() -> Any:
    """Keep a page leased that was not read."""
    leave = Frontier._set_state

    def leave_leased(frontier: Frontier, leased: PageLease, *how: Any, **more: Any) -> None:
        leave(frontier, leased, *how, **more)
        frontier._held.setdefault(leased.site, set()).add(leased.name)

    return mock.patch.object(Frontier, "_set_state", leave_leased)


def _kept_after_break_off() -> Any:
    """Keep the pages leased that a visit held when it was broken off."""
    return mock.patch.object(Frontier, "recover", return_value=0)


def _kept_after_crash() -> Any:
    """Keep leases on the disk that no restarted process takes back."""
    lease = Frontier.lease

    def lease_noted(frontier: Frontier, site: str) -> PageLease | None:
        if (leased_page := lease(frontier, site)) is not None:
            with frontier._change(durable=False) as database:
                database.execute(
                    "update pages set state = 'leased' where site = ? and name = ?",
                    (site, leased_page.name),
                )
        return leased_page

    return mock.patch.object(Frontier, "lease", lease_noted)


def _permit_kept() -> Any:
    """Let a request that waits for an unread page keep its place among those under way."""

    def kept(visit: Visit, name: bytes) -> None:
        if timer := visit._permitted.pop(name, None):
            timer.cancel()

    return mock.patch.object(Visit, "_yield_permit", kept)


def _goes_back() -> Any:
    """Take whatever was committed last as a group's offset."""
    return mock.patch.object(
        ullage.bus.sqlite,
        "COMMIT",
        ullage.bus.sqlite.COMMIT.replace("max(next, excluded.next)", "excluded.next"),
    )


def _begins_before() -> Any:
    """Whoever begins takes the record again that was committed last."""
    begin = SqliteSubscription.__init__

    def begun(subscription: SqliteSubscription, *args: Any) -> None:
        begin(subscription, *args)
        subscription._next = max(1, subscription._next - 1)

    return mock.patch.object(SqliteSubscription, "__init__", begun)


def _commits_back() -> Any:
    """Commit the first record of a batch once more, so that the offset may go back."""
    commit = Worker._commit

    def committed(worker: Worker, records: Sequence[Record]) -> bool:
        return commit(worker, records) and worker._retry(
            lambda: worker.subscription.commit(records[0])
        )

    return _both(_goes_back(), mock.patch.object(Worker, "_commit", committed))


def _two_at_once() -> Any:
    """Whoever comes second takes a group's place all the same."""
    return mock.patch.object(
        ullage.bus.sqlite, "take_lock", lambda path, _: os.open(path, os.O_RDWR | os.O_CREAT)
    )


def _names_not_synced() -> Any:
    """Rename a file before its folder is synced, and never sync it afterwards."""
    return _both(
        *(
            mock.patch.object(module, "sync_folder")
            for module in (ullage.files.atomic_write, ullage.files.database)
        )
    )


def _not_waited_for() -> Any:
    """Go on before the disk has what was appended."""
    return mock.patch.object(ullage.bus.sqlite, "transaction", partial(transaction, durable=False))


def _trusts_the_clock() -> Any:
    """Compute ages by the wall clock, whatever it was set to."""

    def older(reading: ClockReading, seconds: float, **_: bool) -> Old:
        return Old(((-math.inf, reading.wall - seconds),))

    return mock.patch.multiple(ClockReading, older=older, is_suspended=False)


def _always_seen() -> Any:
    """Write into the ledger that every site was seen, whatever its visits brought."""
    return mock.patch.object(SiteStates, "letter", return_value=SEEN)


def _overwrites() -> Any:
    """Write over whatever is stored by now.

    This was once so; here a late write takes something away.
    """
    return mock.patch.object(SqliteStore, "_find_conflicts", return_value=frozenset())


def _erased_return() -> Any:
    """Store an erased customer again with their next post, and never look later."""
    return _both(
        mock.patch.object(alerts.store.queries, "_is_erased", return_value=False),
        mock.patch.object(alerts.service.process, "remove_late", return_value=set()),
    )


def _holds_ignored() -> Any:
    """Retention takes what somebody holds for a case."""
    return mock.patch.object(alerts.service.upkeep, "find_held", return_value=set())


def _numbers_not_frozen() -> Any:
    """Retention takes exposures of an incident whose numbers then follow what is left."""
    return mock.patch.object(alerts.service.upkeep, "_freeze", return_value=None)


def _frozen_takes_more() -> Any:
    """Add a post to an incident whose exposures retention has taken."""
    known = KnownIncident.from_incident

    def thaw(incident: Incident) -> KnownIncident:
        return known(incident)._replace(frozen=False)

    return mock.patch.object(KnownIncident, "from_incident", thaw)


def _keys_go_early() -> Any:
    """Destroy a seal key as soon as another is made, while its captures still wait."""

    def rotated(context: Context) -> None:
        store, today = context.keys, context.running_time.read().now()
        if not store.exists(name := f"seal/{today:%Y%m%d}.key"):
            ullage.security.keys.make_seal_pair(store, f"{today:%Y%m%d}")
        for old in store.list_names("seal", ".key"):
            if old != name.removeprefix("seal/") and old != name:
                store.destroy(old)

    return mock.patch.object(matcher.cli.match, "rotate_seal_keys", rotated)


def _coverage_overwritten() -> Any:
    """Replace what an earlier heartbeat says of an hour by what a later one says."""
    return mock.patch.object(alerts.coverage, "merge_slots", lambda _, told: told)


@contextlib.contextmanager
def _both(*patches: Any) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield


BUGS: dict[str, Callable[[], Any]] = {
    "commit-first": _commit_first,
    "done-first": _done_first,
    "no-claims": _no_claims,
    "failed-is-told": _failed_is_told,
    "forgets-lost-answers": _forgets_lost_answers,
    "new-id-each-time": _new_id_each_time,
    "always-seen": _always_seen,
    "overwrites": _overwrites,
    "told-first": _told_first,
    "sent-first": _sent_first,
    "taken-first": _taken_first,
    "values-of-all": _values_of_all,
    "posts-of-all": _posts_of_all,
    "incidents-of-all": _incidents_of_all,
    "messages-of-all": _messages_of_all,
    "kept-after-all": _kept_after_all,
    "kept-after-failure": _kept_after_failure,
    "kept-after-break-off": _kept_after_break_off,
    "kept-after-crash": _kept_after_crash,
    "permit-kept": _permit_kept,
    "goes-back": _goes_back,
    "begins-before": _begins_before,
    "commits-back": _commits_back,
    "two-at-once": _two_at_once,
    "names-not-synced": _names_not_synced,
    "trusts-the-clock": _trusts_the_clock,
    "not-waited-for": _not_waited_for,
    "erased-return": _erased_return,
    "holds-ignored": _holds_ignored,
    "numbers-not-frozen": _numbers_not_frozen,
    "frozen-takes-more": _frozen_takes_more,
    "keys-go-early": _keys_go_early,
    "coverage-overwritten": _coverage_overwritten,
}


@contextlib.contextmanager
def planted(names: Sequence[str]) -> Iterator[None]:
    """Run the product with these bugs."""
    with _both(*(BUGS[name]() for name in names)):
        yield
