"""Background is stored and counted, opens nothing, and reconciles."""

from dataclasses import replace
from datetime import timedelta

import pytest

from alerts.grouping.benign import BenignRules, load_shipped_rules
from alerts.records import Background, Exposure, Holding, Incident, Sighting
from alerts.service.upkeep import erase, expire
from alerts.store import DocumentFilter
from tests.alerts.builders import everything, finding, fold_all, handle, record, stage
from tests.alerts.noise.posts import post
from tests.factories import clocks_at
from ullage.settings import StoreSettings


def own_number(name: str, person: object, site: str = "board"):
    phone_finding = finding(name, people=[person], site=site, fields=("PHONE",))
    return phone_finding.model_copy(update={"statistics": post().statistics})


def test_benign_post_is_stored_with_its_site_and_rule_only(store, clock):
    fold_all(
        store,
        clock,
        [own_number("f", "a"), own_number("g", "b", "shop"), own_number("h", "a", "shop")],
    )
    (of_board,) = store.scroll(Background, DocumentFilter({"site": ("board",)}))
    assert (of_board.id, of_board.rule, of_board.version, of_board.subject) == (
        "f",
        "B1",
        load_shipped_rules().version,
        handle("a"),
    )
    assert store.count(Background, DocumentFilter({"site": ("shop",), "rule": ("B1",)})) == 2
    assert [
        store.count(kind, DocumentFilter()) for kind in (Sighting, Exposure, Holding, Incident)
    ] == [0, 0, 0, 0]


def test_findings_equal_sightings_plus_benign_posts(store, clock, registry):
    findings = [own_number(f"b{n}", n) for n in range(7)]
    findings += [finding(f"f{n}", range(n * 20, n * 20 + 9), people=(n, n + 1)) for n in range(5)]
    alert = stage(store, clock, registry)
    alert.handle([record(f) for f in findings])
    assert (
        store.count(Background, DocumentFilter()) + store.count(Sighting, DocumentFilter())
        == len(findings)
        == 12
    )
    assert registry.get_sample_value("ullage_alert_findings_total", {"tenant": "bank"}) == 12
    alert.metrics.recount(store)
    assert registry.get_sample_value("ullage_alert_background", {"tenant": "bank"}) == 7


def test_repeated_findings_change_nothing_in_any_batch(store, clock):
    findings = [own_number("f", "a"), finding("g", range(9), people="ab"), own_number("h", "b")]
    fold_all(store, clock, findings)
    before = everything(store)
    clock.advance(60)
    fold_all(store, clock, findings[::-1], batch=1)
    assert everything(store) == before


def test_changed_rules_do_not_change_earlier_decisions(store, clock):
    """A batch that comes again after the rules were changed ends in the same facts, whatever
    they say now.
    """
    background, leak = own_number("f", "a"), finding("g", range(9), people="ab")
    fold_all(store, clock, [background, leak])
    none = BenignRules(version=9, rule=())
    replace(stage(store, clock), background=lambda: none).handle(
        [record(background), record(leak), record(own_number("new", "c"))]
    )
    assert {b.id for b in store.scroll(Background, DocumentFilter())} == {"f"}
    assert {s.id for s in store.scroll(Sighting, DocumentFilter())} == {"g", "new"}


def test_leak_of_a_customer_seen_in_a_benign_post_is_an_incident(store, clock):
    fold_all(
        store,
        clock,
        [own_number("f", "a"), finding("g", range(9), people="a"), own_number("h", "a")],
    )
    assert [i.sightings for i in store.scroll(Incident, DocumentFilter())] == [1]
    assert store.count(Background, DocumentFilter()) == 2


def test_finding_in_parts_is_never_benign(store, clock):
    part = own_number("f", "a").model_copy(update={"parts": 2})
    fold_all(store, clock, [part, part.model_copy(update={"part": 2})])
    assert (store.count(Background, DocumentFilter()), store.count(Sighting, DocumentFilter())) == (
        0,
        1,
    )
    assert store.get(Sighting, "f").traits is None


@pytest.mark.parametrize(("days", "left"), [(179, 1), (181, 0)])
def test_benign_posts_expire_like_exposures(store, clock, days, left):
    fold_all(store, clock, [own_number("f", "a")])
    expire(store, StoreSettings(), clocks_at(clock.as_clock().now() + timedelta(days=days)))
    assert store.count(Background, DocumentFilter()) == left


def test_erasing_a_customer_erases_their_benign_posts(store, clock):
    fold_all(
        store,
        clock,
        [own_number("f", "a"), own_number("g", "b"), finding("h", range(9), people="ab")],
    )
    assert erase(store, "bank", handle("a")).total() == 2
    assert {b.subject for b in store.scroll(Background, DocumentFilter())} == {handle("b")}
