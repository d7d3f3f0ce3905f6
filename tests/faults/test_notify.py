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
from tests.factories import sign_finding_record
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
    """Publish a finding per name, of every tenant in turn, with nothing in common."""
    outgoing, store = [], Context(rig.data).keys
    for n in names:
        tenant = TENANTS[n % len(TENANTS)]
        new_finding = finding(
            f"f{n}", range(n * 100, n * 100 + 10), people=(f"{n}a", f"{n}b"), tenant=tenant
        )
        outgoing.append(sign_finding_record(store, new_finding.encode(), tenant, new_finding.id))
    with (
        contextlib.closing(Context(rig.data).bus()) as bus,
        contextlib.closing(bus.publisher(FINDINGS)) as publisher,
    ):
        publisher.append(outgoing)


def incidents(receiver: Receiver) -> dict[str, set[str]]:
    """Return the incidents of each message by its id; a repeated one must have the same."""
    by_message: dict[str, set[str]] = {}
    for message in receiver.received:
        ids = {incident["id"] for incident in message.json["incidents"]}
        assert by_message.setdefault(message.headers["webhook-id"], ids) == ids
    return by_message


@pytest.mark.timeout(600)
def test_second_process_takes_over_sending_when_the_first_is_killed(
    make_rig: Callable[..., Rig], receiver: Receiver
) -> None:
    rig = make_rig()
    grouped = security_team.configuration(PAGE).replace(
        "[notify]\n", "[notify]\ngroup_seconds = 1\n"
    )
    with (rig.data / "ullage.toml").open("a", encoding="utf-8") as file:
        file.write(grouped)
    key = security_team.introduce(rig.data / "keys", receiver)
    try:
        first, _ = rig.start("alert", "alert")
        publish(rig, range(30))
        assert receiver.wait_for(
            lambda _: len(set().union(*incidents(receiver).values())) == 30, 180
        )
        first.end(signal.SIGKILL)
        publish(rig, range(30, 60))
        assert receiver.wait_for(
            lambda _: len(set().union(*incidents(receiver).values())) == 60, 300
        )
    finally:
        rig.end()
    times = Counter(incident for of_it in incidents(receiver).values() for incident in of_it)
    assert set(times.values()) == {1}
    assert all(message.signed_with(key) for message in receiver.received)
