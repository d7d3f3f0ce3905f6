"""Two alert processes on real servers, one of them killed: every incident is told, and none in
two messages.
"""

from __future__ import annotations

import contextlib
import signal
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from deploy.demo import security_team
from deploy.local.webhook import Receiver, receiving
from tests.alerts.builders import finding
from tests.factories import signed
from tests.faults.rig import Rig
from ullage.bus import FINDINGS
from ullage.settings import Context

pytestmark = pytest.mark.servers
PAGE = "http://127.0.0.1:8600"
TENANTS = tuple(f"bank{n}" for n in range(6))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def publish(rig: Rig, names: range) -> None:
    """Publish a finding per name, of every tenant in turn; none has anything in common."""
    outgoing, store = [], Context(rig.data).keys
    for n in names:
        tenant = TENANTS[n % len(TENANTS)]
        found = finding(
            f"f{n}", range(n * 100, n * 100 + 10), people=(f"{n}a", f"{n}b"), tenant=tenant
        )
        outgoing.append(signed(store, found.encode(), tenant, found.id))
    with (
        contextlib.closing(Context(rig.data).bus()) as bus,
        contextlib.closing(bus.publisher(FINDINGS)) as publisher,
    ):
        publisher.append(outgoing)


def incidents(receiver: Receiver) -> dict[str, set[str]]:
    """Return what each message was about, by its id; a repeated one must be the same."""
    found: dict[str, set[str]] = {}
    for message in receiver.received:
        of_it = {incident["id"] for incident in message.json["incidents"]}
        assert found.setdefault(message.headers["webhook-id"], of_it) == of_it
    return found


@pytest.mark.timeout(600)
def test_of_two_processes_one_sends_and_when_it_is_killed_the_other_goes_on(
    rig: Callable[..., Rig], receiver: Receiver
) -> None:
    made = rig()
    grouped = security_team.configuration(PAGE).replace(
        "[notify]\n", "[notify]\ngroup_seconds = 1\n"
    )
    with (made.data / "ullage.toml").open("a", encoding="utf-8") as file:
        file.write(grouped)
    key = security_team.introduce(made.data / "keys", receiver)
    try:
        first, _ = made.start("alert", "alert")
        publish(made, range(30))
        assert receiver.wait_for(
            lambda _: len(set().union(*incidents(receiver).values())) == 30, 180
        )
        first.end(signal.SIGKILL)
        publish(made, range(30, 60))
        assert receiver.wait_for(
            lambda _: len(set().union(*incidents(receiver).values())) == 60, 300
        )
    finally:
        made.end()
    times = Counter(incident for of_it in incidents(receiver).values() for incident in of_it)
    assert set(times.values()) == {1}
    assert all(message.signed_with(key) for message in receiver.received)
