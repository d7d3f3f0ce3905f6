"""Findings of erased customers are not stored, whenever the erasure comes."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from alerts.incidents.erased import bury
from alerts.maintenance.retention import erase
from alerts.records import Background, Exposure, Original, Sighting
from alerts.store import Where
from tests.alerts.builders import everything, finding, fold_all, handle, record, stage
from tests.factories import WHEN
from ullage.lookup.erased import EVERYBODY, SETTLED


def people(store) -> set[str]:
    return {exposure.subject for exposure in store.scroll(Exposure, Where())}


def test_an_erased_customer_is_left_out_of_what_was_collected_before_and_a_day_after(store, clock) -> None:
    bury(store, "bank", handle("a"), WHEN)
    late = finding("late", range(20, 30), people="a", capture={"fetched_at": WHEN + SETTLED})
    fold_all(store, clock, [finding("f", range(10), people="ab"), finding("alone", range(40, 50), people="a"), late])
    assert people(store) == {handle("b")}
    [sighting] = store.scroll(Sighting, Where())
    assert (sighting.id, sighting.customers, sighting.matches) == ("f", 1, 1)
    back = finding("back", range(60, 70), people="a", capture={"fetched_at": WHEN + SETTLED + timedelta(seconds=1)})
    fold_all(store, clock, [back])
    assert people(store) == {handle("a"), handle("b")}


def test_an_offer_that_names_the_tenant_stays_an_incident_without_its_only_customer(store, clock) -> None:
    bury(store, "bank", handle("a"), WHEN)
    fold_all(store, clock, [finding("f", range(10), people="a", alarm=True, original="sealed", original_key="k")])
    assert (people(store), store.count(Sighting, Where()), store.count(Original, Where())) == (set(), 1, 0)
    assert handle("a") not in "".join(everything(store).values())


def test_another_tenant_s_customer_of_the_same_handle_is_kept(store, clock) -> None:
    bury(store, "shop", handle("a"), WHEN)
    fold_all(store, clock, [finding("f", range(10), people="a")])
    assert people(store) == {handle("a")}


@pytest.mark.parametrize("whom", [handle("a"), EVERYBODY])
@pytest.mark.parametrize("kind", [Exposure, Background])
def test_an_erasure_while_a_batch_is_written_holds(store, clock, whom: str, kind: type) -> None:
    """The batch has read the tombstones already: it looks again when it has written."""

    @contextlib.contextmanager
    def erased_now() -> Iterator[None]:
        bury(store, "bank", whom, WHEN)
        erase(store, "bank", handle("a"))
        yield

    plain = finding("f", people="a", fields=("PHONE",)) if kind is Background else finding("f", range(10), people="ab")
    fold_all(store, clock, [plain.model_copy(update={"id": "before"})])
    assert store.count(kind, Where({"subject": (handle("a"),)}))
    replace(stage(store, clock), writing=erased_now).handle([record(plain)])
    assert not store.count(kind, Where({"subject": (handle("a"),)}))
