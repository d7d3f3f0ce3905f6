"""What is seen again while retention looks is kept: it goes by what it reads last, and not by
what it found first.
"""

from datetime import timedelta

import pytest

from alerts.records import Exposure, Incident
from alerts.service import upkeep
from alerts.store import DocumentFilter, IncidentStore
from tests.alerts.builders import finding, fold_all, handle
from tests.factories import clocks_at
from ullage.settings import StoreSettings

KEEP = StoreSettings(exposures_days=30, incidents_days=90)


def exposures(store: IncidentStore) -> dict[str, int]:
    """Map each customer to the number of posts that show them."""
    return {
        exposure.subject: len(exposure.sightings)
        for exposure in store.scroll(Exposure, DocumentFilter())
    }


@pytest.mark.parametrize("moment", ["read", "delete"])
def test_exposure_seen_again_during_expiry_stays(store, clock, monkeypatch, moment):
    fold_all(store, clock, [finding("f", range(10), people="ab")])
    clock.advance(31 * 86400)
    act, now = getattr(store, moment), clock.as_clock().now()
    [shown] = [
        exposure
        for exposure in store.scroll(Exposure, DocumentFilter())
        if exposure.subject == handle("a")
    ]
    again = [
        shown.model_copy(update={"last_seen": now - timedelta(days=29), "sightings": ("f", "g")})
    ]

    def meanwhile(kind, *words):
        if kind is Exposure and again:
            store.put([again.pop()])
        return act(kind, *words)

    monkeypatch.setattr(store, moment, meanwhile)
    removed = upkeep.expire(store, KEEP, clocks_at(now))
    assert not again
    assert exposures(store) == {handle("a"): 2}
    assert removed[Exposure] == 1


def test_last_sighting_decides_the_expiry(store, clock):
    fold_all(store, clock, [finding("f", range(10), people="ab")])
    clock.advance(20 * 86400)
    fold_all(
        store,
        clock,
        [finding("g", range(10), people="a", capture={"fetched_at": clock.as_clock().now()})],
    )
    clock.advance(11 * 86400)
    assert upkeep.expire(store, KEEP, clocks_at(clock.as_clock().now()))[Exposure] == 1
    assert exposures(store) == {handle("a"): 2}
    [incident] = store.scroll(Incident, DocumentFilter())
    assert incident.frozen_at == clock.as_clock().now()
    clock.advance(timedelta(days=20).total_seconds())
    assert upkeep.expire(store, KEEP, clocks_at(clock.as_clock().now()))[Exposure] == 1
    [again] = store.scroll(Incident, DocumentFilter())
    assert (again.frozen_at, exposures(store)) == (incident.frozen_at, {})
