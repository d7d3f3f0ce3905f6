"""Bugs as somebody might write them, put into the product for a night: a simulator that does not find them is worth nothing."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import alerts.notify.sender
import alerts.stage.pipeline
from alerts.notify.channels import UndeliveredError
from alerts.notify.message import Message
from alerts.notify.sender import Sender
from alerts.records import Notification
from alerts.store.sqlite import SqliteStore
from crawlers.scheduling.site_state import SiteStates
from crawlers.visiting.pipelines.publish import PublishPipeline
from crawlers.visiting.spider import PageRead
from ullage.bus import Record
from ullage.records.hours import SEEN
from ullage.runtime.worker import Worker


def _commit_first() -> Any:
    """The offset is committed before what came of the records is durable."""
    handle = Worker._handle

    def committed(worker: Worker, records: Sequence[Record]) -> int:
        worker._commit(records)
        return handle(worker, records)

    return mock.patch.object(Worker, "_handle", committed)


def _done_first() -> Any:
    """A page is done before its captures are on the bus."""
    publish = PublishPipeline.process_item

    async def finished(pipeline: PublishPipeline, item: PageRead) -> PageRead:
        pipeline._visit.finished(item.leased, item.parsed, len(item.posts), item.size, item.outcome, item.validators)
        return await publish(pipeline, item)

    return mock.patch.object(PublishPipeline, "process_item", finished)


def _no_claims() -> Any:
    """What is posted again is not known again."""
    return mock.patch.object(alerts.stage.pipeline.fold, "claims_of", return_value=())


def _failed_is_told() -> Any:
    """A message that did not arrive counts as sent."""
    deliver = Sender._deliver

    class Swallowing:
        def __init__(self, channel: Any) -> None:
            self._channel = channel

        def send(self, message: Message) -> None:
            with contextlib.suppress(UndeliveredError):
                self._channel.send(message)

    def delivered(sender: Sender, some: Any) -> bool:
        with mock.patch.object(sender, "channel", Swallowing(sender.channel)):
            return deliver(sender, some)

    return mock.patch.object(Sender, "_deliver", delivered)


def _forgets_lost_answers() -> Any:
    """After a refusal a message gets a new id, although an earlier attempt may have arrived. It was so, and a night found it."""
    deliver = Sender._deliver

    def delivered(sender: Sender, some: Sequence[Notification]) -> bool:
        done = deliver(sender, some)
        again = sender.setup.store.mget(Notification, [one.id for one in some])
        if not done and not getattr(sender.channel, "lost", False):
            sender.setup.store.put([one.model_copy(update={"message": ""}) for one in again.values() if one.outcome == "pending"])
        return done

    return mock.patch.object(Sender, "_deliver", delivered)


def _new_id_each_time() -> Any:
    """A message that may have arrived is sent again as another one."""
    compose = Sender._compose

    def composed(sender: Sender, some: Any, incidents: Any) -> Message:
        made = compose(sender, some, incidents)
        return Message(f"msg_{secrets.token_hex(12)}", made.entries, made.page)

    return mock.patch.object(Sender, "_compose", composed)


def _always_seen() -> Any:
    """The ledger says that every site is seen, whatever came of its visits."""
    return mock.patch.object(SiteStates, "letter", return_value=SEEN)


def _overwrites() -> Any:
    """What was read is written over whatever is there by now. It was so; here a write that comes late takes something away."""
    return mock.patch.object(SqliteStore, "_others", return_value=frozenset())


BUGS: dict[str, Callable[[], Any]] = {
    "commit-first": _commit_first,
    "done-first": _done_first,
    "no-claims": _no_claims,
    "failed-is-told": _failed_is_told,
    "forgets-lost-answers": _forgets_lost_answers,
    "new-id-each-time": _new_id_each_time,
    "always-seen": _always_seen,
    "overwrites": _overwrites,
}


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """The product with that bug; none where it is ""."""
    with BUGS[name]() if name else contextlib.nullcontext():
        yield
