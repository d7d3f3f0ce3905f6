"""The real alert process is killed while a message is on its way: that one comes again with its
id, and no other does.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo import security_team
from deploy.demo.drive import configuration
from deploy.local.webhook import Received, Receiver, receiving
from tests.alerts.builders import finding
from tests.alerts.notify.support import log_of
from tests.factories import sign_finding_record
from tests.flow.daemon import until
from ullage import setup
from ullage.bus import FINDINGS
from ullage.runtime.supervisor import command
from ullage.settings import Context

pytestmark = pytest.mark.flow
PAGE = "http://127.0.0.1:8600"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def context(tmp_path: Path, receiver: Receiver) -> Context:
    grouped = security_team.configuration(PAGE).replace(
        "[notify]\n", "[notify]\ngroup_seconds = 0\n"
    )
    tmp_path.joinpath("ullage.toml").write_text(configuration("bank") + grouped, encoding="utf-8")
    new_context = Context(tmp_path)
    list(setup.initialise(new_context))
    security_team.introduce(tmp_path / "keys", receiver)
    return new_context


@contextlib.contextmanager
def alert(context: Context) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process of `ullage alert`; it is killed at the end, whatever it is doing."""
    environment = {**os.environ, "ULLAGE_LOG_LEVEL": "error"}
    process = subprocess.Popen(
        command(context.data, "alert"), stdin=subprocess.DEVNULL, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def publish(context: Context, name: str, first: int) -> None:
    with (
        contextlib.closing(context.bus()) as bus,
        contextlib.closing(bus.publisher(FINDINGS)) as publisher,
    ):
        new_finding = finding(name, range(first, first + 10), people=(f"{name}1", f"{name}2"))
        publisher.append(
            [sign_finding_record(context.keys, new_finding.encode(), id_=new_finding.id)]
        )


def ids(receiver: Receiver) -> list[str]:
    return [message.headers["webhook-id"] for message in receiver.received]


def test_kill_while_sending_repeats_the_message_under_its_id(context, receiver, store_of):
    entered, let_go = threading.Event(), threading.Event()

    def hang(_: Received) -> tuple[int, dict[str, str], bytes]:
        entered.set()
        let_go.wait(120)
        return 200, {}, b""

    receiver.answer = hang
    publish(context, "a", 0)
    with alert(context):
        assert entered.wait(60)
    receiver.answer = lambda _: (200, {}, b"")
    let_go.set()
    with alert(context):
        assert receiver.wait_for(lambda received: len(received) == 2, 60)
        until(lambda: store_of("sent") == 1, "the log has it", 30)
    with alert(context):
        publish(context, "b", 100)
        assert receiver.wait_for(lambda received: len(received) == 3, 60)
    first, second, third = ids(receiver)
    assert first == second != third
    told_of = [
        [incident["id"] for incident in message.json["incidents"]] for message in receiver.received
    ]
    assert told_of[0] == told_of[1] != told_of[2]


@pytest.fixture
def store_of(context: Context):
    """Return a function that counts the notifications with an outcome."""
    from alerts.store import open_configured_store

    def count(outcome: str) -> int:
        with contextlib.closing(open_configured_store(context)) as store:
            return len(log_of(store, outcome=outcome))

    return count
