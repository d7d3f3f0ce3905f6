"""Runs an `ullage` command in a process that SIGKILLs itself at a named point, as a power cut there
would end it.

    python -m tests.faults.dying POINT COUNT -- WORD…    dies at POINT, the COUNTth time

The points lie between two durable steps: whatever the order of steps promises has to hold in each
of them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from ullage import cli
from ullage.bus.kafka import client
from ullage.runtime.service import SUPERVISOR

SESSION_SECONDS, HEARTBEAT_SECONDS = 3, 1
"""The broker hands on what a dead process read after so long, and the next one waits for it;
ullage's own time is tried by `tests/servers/test_kafka.py`.
"""
MID_REQUEST_SECONDS = 0.004
"""A bulk of some documents takes the server longer than this: it dies while it writes them."""


def die() -> None:
    """End as a power cut would: nothing is flushed, closed or told."""
    os.kill(os.getpid(), signal.SIGKILL)


def before(
    owner: type, name: str, count: int, matters: Callable[..., bool] = lambda *_: True
) -> None:
    """Die instead of the `count`th call of a method that `matters`."""
    original, remaining = getattr(owner, name), [count]

    def dying(self: Any, *args: Any, **kwargs: Any) -> Any:
        if matters(self, *args):
            remaining[0] -= 1
            if remaining[0] == 0:
                die()
        return original(self, *args, **kwargs)

    setattr(owner, name, dying)


def during(owner: type, name: str, count: int, seconds: float) -> None:
    """Die `seconds` after the `count`th call of a method has begun."""
    original, remaining = getattr(owner, name), [count]

    def dying(self: Any, *args: Any, **kwargs: Any) -> Any:
        remaining[0] -= 1
        if remaining[0] == 0:
            threading.Timer(seconds, die).start()
        return original(self, *args, **kwargs)

    setattr(owner, name, dying)


def append_before_done(count: int) -> None:
    """Die when captures are on the bus and their page is not done."""
    from crawlers.frontier.database import Frontier

    before(Frontier, "finish", count, lambda _self, _leased, parsed, *_rest: bool(parsed.posts))


def match_before_publish(count: int) -> None:
    """Die when captures are matched and their findings are not on the bus."""
    from ullage.bus.kafka.publisher import KafkaPublisher

    before(KafkaPublisher, "append", count)


def publish_before_commit(count: int) -> None:
    """Die when results are published and what they came from is not committed.

    Findings are on the bus and their captures not committed, or incidents are stored and their
    findings not committed.
    """
    from ullage.bus.kafka.consumer import KafkaSubscription

    before(KafkaSubscription, "commit", count)


def mid_bulk(count: int) -> None:
    """Die when the store has been sent documents and has not answered."""
    from alerts.store.elasticsearch import ElasticsearchStore

    during(ElasticsearchStore, "_send", count, MID_REQUEST_SECONDS)


def mid_fold(count: int) -> None:
    """Die when some facts of a batch are stored, and those that follow from them are not."""
    from alerts.store.elasticsearch import ElasticsearchStore

    before(ElasticsearchStore, "_send", count)


POINTS: dict[str, Callable[[int], None]] = {
    "append": append_before_done,
    "match": match_before_publish,
    "commit": publish_before_commit,
    "fold": mid_fold,
    "bulk": mid_bulk,
}


def with_its_supervisor() -> None:
    """Go on in a child; this process is its supervisor and dies with it, so that the death counts
    as one from outside.

    One at which the supervisor lives on is held against what was in hand: R10,
    `tests/flow/test_quarantine.py`.
    """
    if child := os.fork():
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if ended == -signal.SIGKILL:
            die()
        sys.exit(ended)
    os.environ[SUPERVISOR] = str(os.getppid())


if __name__ == "__main__":
    point, number, _, *words = sys.argv[1:]
    with_its_supervisor()
    POINTS[point](int(number))
    client.SESSION_SECONDS, client.HEARTBEAT_SECONDS = SESSION_SECONDS, HEARTBEAT_SECONDS
    sys.argv = ["ullage", *words]
    cli.main()
