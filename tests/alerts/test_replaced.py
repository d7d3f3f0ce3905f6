"""An incomplete finding and the whole one of the same capture: whichever comes first, and
however often, the whole one stands.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
from datetime import UTC
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.cases.incident_list import load_details
from alerts.cases.incident_view import details, incompleteness, summary
from alerts.grouping.sightings import drop_superseded, get_served_claim
from alerts.records import Background, Exposure, Holding, Incident, Original, Sighting
from alerts.records.sighting import Traits
from alerts.store import DocumentFilter, IncidentStore
from alerts.store.sqlite import SqliteStore
from tests.alerts.browser import Browser
from tests.alerts.builders import everything, finding, fold_all, handle, queue_row, record, stage
from tests.conftest import HeldClock
from tests.factories import match
from ullage.errors import UnavailableError
from ullage.records import Finding

SEEN = {"fields": ("PHONE",), "kinds": ("phone",)}


def cut(people: Any = "ab", **changes: Any) -> Finding:
    """Return the finding published for a partly searched capture."""
    partial = finding("served", people=people, **SEEN, **changes)
    return partial.model_copy(update={"incomplete": ("bytes",), "served": "served"})


def full(people: Any = "abcd", **changes: Any) -> Finding:
    """Return the finding published once the whole capture was searched."""
    whole = finding(
        "whole",
        range(20),
        people=people,
        kinds=("phone", "resident_id"),
        fields=("NAME", "PHONE", "ID"),
        **changes,
    )
    return whole.model_copy(update={"served": "served"})


def facts(store: IncidentStore) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Sightings, and for each customer the sightings that show them."""
    exposures = {e.subject: e.sightings for e in store.scroll(Exposure, DocumentFilter())}
    return sorted(s.id for s in store.scroll(Sighting, DocumentFilter())), exposures


def the_incident(store: IncidentStore) -> Incident:
    [incident] = store.scroll(Incident, DocumentFilter())
    return incident


def test_incomplete_finding_shows_at_least(store: SqliteStore, clock: HeldClock) -> None:
    fold_all(store, clock, [cut()])
    incident = the_incident(store)
    assert (incident.customers, incident.incomplete, incident.counted) == (2, ("bytes",), "≥ 2")
    text = incompleteness(incident)
    assert text.startswith("incomplete: at least 2 customers (")
    assert summary(incident, "open")["incomplete"] == ["bytes"]
    [sighting] = store.scroll(Sighting, DocumentFilter())
    assert sighting.traits == Traits.from_finding(cut()), (
        "other rules of background can be tried on it"
    )


def test_second_incomplete_finding_doubles_nothing(store: SqliteStore, clock: HeldClock) -> None:
    fold_all(store, clock, [cut()])
    before = everything(store)
    clock.advance(3600)
    fold_all(store, clock, [cut(), cut()])
    assert everything(store) == before


@pytest.mark.parametrize("batch", [1, 64])
def test_whole_finding_replaces_the_incomplete_one(
    store: SqliteStore, clock: HeldClock, batch: int
) -> None:
    fold_all(store, clock, [cut("abx")])
    opened = the_incident(store)
    clock.advance(3600)
    fold_all(store, clock, [full()], batch)
    incident = the_incident(store)
    assert (incident.id, incident.opened_at, incident.sightings, incident.customers) == (
        opened.id,
        opened.opened_at,
        1,
        4,
    )
    assert (incident.incomplete, incident.counted, incident.opened_by) == ((), "4", "whole")
    assert incident.kinds == ("phone", "resident_id")
    assert facts(store) == (["whole"], {handle(p): ("whole",) for p in "abcd"}), (
        "x is nobody's any more"
    )
    for exposure in store.scroll(Exposure, DocumentFilter()):
        assert (exposure.fields, exposure.corroborated) == (("ID", "NAME", "PHONE"), True)


def test_late_incomplete_finding_is_ignored(store: SqliteStore, clock: HeldClock) -> None:
    fold_all(store, clock, [full()])
    before = everything(store)
    fold_all(store, clock, [cut("xyz")])
    assert everything(store) == before


def test_ignored_finding_removes_no_other() -> None:
    """What stands behind it in the batch is current."""
    whole, late, unrelated = full(), cut(), finding("other", people="x")
    assert drop_superseded([whole, late, unrelated], ()) == [whole, unrelated]
    assert drop_superseded([late, unrelated], {get_served_claim(late): None}) == [unrelated]
    assert drop_superseded([late, whole, unrelated], ()) == [late, whole, unrelated]


@pytest.mark.parametrize("batch", [1, 2, 3, 64])
@pytest.mark.parametrize(
    "order", sorted({*itertools.permutations("ccww"), *itertools.permutations("cccw")}), ids="".join
)
def test_whole_finding_wins_in_any_order_and_batch(
    store: SqliteStore, clock: HeldClock, order: tuple[str, ...], batch: int
) -> None:
    fold_all(store, clock, [full() if which == "w" else cut("abx") for which in order], batch)
    incident = the_incident(store)
    assert (incident.sightings, incident.customers, incident.incomplete) == (1, 4, ())
    assert facts(store) == (["whole"], {handle(p): ("whole",) for p in "abcd"})


def parts_of(whole_one: Finding, size: int) -> list[Finding]:
    """Split a finding into continuation records of `size` matches."""
    slices = [whole_one.matches[n : n + size] for n in range(0, len(whole_one.matches), size)]
    return [
        whole_one.model_copy(update={"matches": part_matches, "part": n, "parts": len(slices)})
        for n, part_matches in enumerate(slices, 1)
    ]


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_parts_of_the_whole_finding_replace_the_incomplete_one(
    store: SqliteStore, clock: HeldClock, batch: int
) -> None:
    fold_all(store, clock, [*parts_of(cut("abx"), 1), *parts_of(full(), 2)], batch)
    incident = the_incident(store)
    assert (incident.sightings, incident.customers, incident.incomplete) == (1, 4, ())
    assert facts(store) == (["whole"], {handle(p): ("whole",) for p in "abcd"})


def test_no_customer_is_lost_or_doubled_between_two_parts(
    store: SqliteStore, clock: HeldClock
) -> None:
    fold_all(store, clock, [cut("abcd")])
    fold_all(store, clock, parts_of(full(), 2)[:-1])
    incident = the_incident(store)
    assert (incident.customers, incident.sightings, incident.incomplete) == (4, 1, ())


def test_customer_shown_by_another_sighting_stays(store: SqliteStore, clock: HeldClock) -> None:
    second_post = finding("other", people="ab", site="forum")
    fold_all(store, clock, [cut("ab"), second_post])
    assert the_incident(store).sightings == 2, "the same people: the same incident"
    fold_all(store, clock, [full("acd")])
    assert facts(store)[1] == {
        handle("a"): ("other", "whole"),
        handle("b"): ("other",),
        handle("c"): ("whole",),
        handle("d"): ("whole",),
    }


def test_other_tenants_and_captures_are_untouched(store: SqliteStore, clock: HeldClock) -> None:
    foreign = cut("z").model_copy(update={"tenant": "other", "id": "foreign", "served": "foreign"})
    fold_all(store, clock, [foreign, cut(), finding("apart", range(50, 60), people="q")])
    fold_all(store, clock, [full()])
    assert facts(store)[0] == ["apart", "foreign", "whole"]


@given(cuts=st.lists(st.integers(0, 12), min_size=1, max_size=4), orders=st.permutations(range(6)))
@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_crash_at_any_write_ends_in_the_same_facts(
    tmp_path_factory: Any, clock: HeldClock, cuts: list[int], orders: list[int]
) -> None:
    store = SqliteStore(tmp_path_factory.mktemp("killed") / "incidents.sqlite")
    for calls in cuts:
        with pytest.MonkeyPatch.context() as patch:
            calls_left = [calls]
            for name in ("put", "create", "delete"):
                patch.setattr(store, name, _dying(getattr(store, name), calls_left))
            with contextlib.suppress(UnavailableError):
                fold_all(store, clock, [cut("abx"), full()], 1)
    fold_all(store, clock, [cut("abx"), full()], 1)
    assert facts(store) == (["whole"], {handle(p): ("whole",) for p in "abcd"})
    assert (the_incident(store).customers, the_incident(store).incomplete) == (4, ())
    store.close()


def _dying(method: Any, left: list[int]) -> Any:
    def fail_when_spent(*words: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise UnavailableError("killed")
        return method(*words)

    return fail_when_spent


def alone(**changes: Any) -> Finding:
    """Return a finding that the benign rules match."""
    plain = finding("whole", people="a", fields=("PHONE",), **changes)
    number_match = match(
        subject=handle("a"),
        index_tag=handle("aphone"),
        kind="phone",
        fields=("PHONE",),
        own_fields=("PHONE",),
    )
    statistics = plain.statistics.model_copy(
        update={
            "candidates": {"phone": 1},
            "rows": 1,
            "field_map": {"PHONE": 1},
            "context": {"shop": 3, "reporting": 3},
        }
    )
    return plain.model_copy(
        update={
            "matches": (number_match,),
            "statistics": statistics,
            "served": "served",
            "alarm": False,
        }
    )


def test_incomplete_finding_is_never_benign(
    store: SqliteStore, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "alerts.grouping.benign.BenignRules.decide", lambda self, traits: self.rule[0]
    )
    part = alone().model_copy(update={"id": "served", "incomplete": ("evidence",)})
    fold_all(store, clock, [part])
    assert facts(store)[0] == ["served"]
    fold_all(store, clock, [alone()])
    assert facts(store)[0] == ["whole"], "somebody may have taken it up: it stays an incident"


def test_late_incomplete_finding_of_a_benign_one_is_ignored(
    store: SqliteStore, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "alerts.grouping.benign.BenignRules.decide", lambda self, traits: self.rule[0]
    )
    fold_all(store, clock, [alone()])
    assert store.count(Background, DocumentFilter()) == 1
    fold_all(
        store, clock, [alone().model_copy(update={"id": "served", "incomplete": ("evidence",)})]
    )
    assert (facts(store)[0], store.count(Incident, DocumentFilter())) == ([], 0)


def test_findings_of_earlier_schemas_leave_no_claim(store: SqliteStore, clock: HeldClock) -> None:
    fold_all(store, clock, [finding("f", range(10), people="a")])
    assert not [
        value
        for holding in store.scroll(Holding, DocumentFilter())
        for value in holding.values
        if ":served:" in value
    ]


def test_sealed_originals_of_replaced_findings_are_deleted(
    store: SqliteStore, clock: HeldClock
) -> None:
    sealed = {"original": "c2VhbGVk", "original_key": "desk"}
    fold_all(store, clock, [cut("abcdefgh").model_copy(update=sealed)])
    fold_all(store, clock, [full().model_copy(update=sealed)])
    assert {original.id for original in store.scroll(Original, DocumentFilter())} <= {"whole"}


def test_terminal_and_json_say_at_least(store: SqliteStore, clock: HeldClock) -> None:
    from rich.console import Console

    from alerts.cli.tables import incident_in_full, incidents_table

    fold_all(store, clock, [cut(range(1234))])
    incident_view = load_details(store, the_incident(store).id)
    assert incident_view is not None
    out = Console(width=160, record=True, file=io.StringIO())
    out.print(incident_in_full(incident_view, UTC))
    row = queue_row(incident_view.incident)
    out.print(incidents_table([row], clock.as_clock().now(), UTC))
    text = out.export_text()
    assert (
        "incomplete: at least 1,234 customers (it exceeds the size limit of a captured post)"
        in " ".join(text.split())
    )
    assert text.count("≥ 1,234") == 2
    assert json.loads(json.dumps(details(incident_view)))["incomplete"] == ["bytes"]


def test_alert_reads_both_findings_from_the_bus(store: SqliteStore, clock: HeldClock) -> None:
    stage(store, clock).handle([record(cut()), record(full())])
    assert facts(store)[0] == ["whole"]


def test_page_and_api_say_at_least_until_the_whole_finding(
    store: SqliteStore, clock: HeldClock, browser: Browser
) -> None:
    fold_all(store, clock, [cut(range(1234))])
    id_ = the_incident(store).id
    page = browser.get(f"/incidents/{id_}").text
    assert "≥ 1,234" in page
    assert "at least 1,234 customers" in page
    assert "≥ 1,234" in browser.get("/").text
    assert browser.get(f"/v1/incidents/{id_}").json()["incomplete"] == ["bytes"]
    fold_all(store, clock, [full(range(900))])
    assert "≥" not in browser.get(f"/incidents/{id_}").text + browser.get("/").text
