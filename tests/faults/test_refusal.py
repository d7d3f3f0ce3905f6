"""R8: Elasticsearch takes the documents of all findings but one.

That one is a dead letter, and nothing waits for it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import pytest

from alerts.records import Exposure, Sighting
from alerts.store import DocumentFilter, open_store
from matcher.cli.evidence_vault import outgoing
from tests.alerts.builders import finding
from tests.faults.rig import CUSTOMERS, DRAIN_SECONDS, Rig
from tests.flow.daemon import until
from ullage.bus import FINDINGS
from ullage.security import keys
from ullage.settings import Context

pytestmark = pytest.mark.servers
FOUND, REFUSED = 1000, 500
LONGER_THAN_A_KEYWORD = 40_000
"""Bytes of a site's name; Lucene takes no term of more than 32,766."""


def publish(rig: Rig) -> None:
    """Put a thousand findings on the bus, signed by match, one of which no Elasticsearch takes."""
    context = Context(rig.data)
    signer, now = keys.load_signer(context.keys, "match"), context.clock.now()
    records = []
    for n in range(FOUND):
        site = "x" * LONGER_THAN_A_KEYWORD if n == REFUSED else "paste"
        new_finding = finding(
            str(n), people=[n % CUSTOMERS], site=site, capture={"fetched_at": now}, matched_at=now
        )
        records.append(outgoing(new_finding, signer))
    with (
        contextlib.closing(context.bus()) as bus,
        contextlib.closing(bus.publisher(FINDINGS)) as publisher,
    ):
        publisher.append(records)


@pytest.mark.timeout(600)
def test_rejected_finding_is_a_dead_letter_and_the_others_are_stored(
    make_rig: Callable[..., Rig],
) -> None:
    rig = make_rig(heartbeats=0)
    publish(rig)
    (alert,) = rig.start("alert")
    until(
        lambda: not any(place.waiting for place in rig.places(FINDINGS)),
        "the offset moves on",
        4 * DRAIN_SECONDS,
    )
    assert alert.value("ullage_alert_dropped_total") == 1
    assert alert.end() == 0
    assert rig.sightings() == FOUND - 1
    [letter] = [json.loads(line) for line in rig.ask("dead-letters", "--json").splitlines()]
    assert (letter["topic"], letter["stage"], letter["reason"]) == (FINDINGS, "alert", "rejected")
    with contextlib.closing(open_store(rig.store_url, rig.data)) as store:
        exposing = {
            sighting
            for exposure in store.scroll(Exposure, DocumentFilter())
            for sighting in exposure.sightings
        }
        assert exposing == {sighting.id for sighting in store.scroll(Sighting, DocumentFilter())}
    assert "Traceback" not in alert.log.read_text()
