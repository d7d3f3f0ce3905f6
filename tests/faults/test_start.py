"""Servers that are down when the daemon starts: every role waits for them and says that it is
not ready; none gives up.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from deploy.local.kafka import Broker
from tests.faults.rig import DRAIN_SECONDS, Rig, Role
from tests.flow.daemon import until

pytestmark = pytest.mark.servers


def ready(role: Role) -> int:
    """Status of `/readyz`; 0 before it is served."""
    port = role.port()
    if port is None:
        return 0
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def test_broker_that_is_down_at_the_start_is_waited_for(
    make_rig: Callable[..., Rig], broker: Broker
) -> None:
    rig = make_rig()
    rig.ingest(10)
    broker.kill()
    match, alert = rig.start("match", "alert")
    until(
        lambda: all("waiting" in role.log.read_text() for role in (match, alert)),
        "both roles wait",
        60,
    )
    assert ready(alert) == 503
    broker.start()
    until(rig.is_everything_stored, "what waited on the bus is found", DRAIN_SECONDS)
    assert ready(alert) == 200
    assert (match.process.poll(), alert.process.poll()) == (None, None)
    rig.assert_found()
