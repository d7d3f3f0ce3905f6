"""Other rules on stored facts: what would change, and that nothing does."""

import pytest

from alerts.noise.background import Rules, shipped
from alerts.records import Incident, Sighting, incident_id
from alerts.rules.trial import try_background, try_lexicon, try_verdict
from alerts.store import Where
from tests.alerts.builders import everything, finding, fold_all
from tests.alerts.noise.posts import post
from ullage.records import Term
from ullage.settings import Tenant
from ullage.verdict import own_rules
from ullage.verdict.rules import When
from ullage.vocabulary.lexicon import rows

LOAN = ("NAME", "PHONE", "LOAN")
A = incident_id("a")


@pytest.fixture
def stored(store, clock):
    """Two incidents, one of loans; one post of somebody's own number."""
    findings = [finding("a", range(10), people="ab", fields=LOAN), finding("b", range(20, 30), people="cd")]
    fold_all(store, clock, [*findings, post().model_copy(update={"id": "own"})])
    return store


def with_points(points: int):
    """The rules of this version, but for what a loan counts."""
    rules = own_rules()
    scenarios = tuple(
        s.model_copy(update={"ways": tuple(w.model_copy(update={"points": points}) for w in s.ways)}) if s.id == "X9" else s
        for s in rules.scenario
    )
    return rules.model_copy(update={"scenario": scenarios})


def test_the_rules_in_force_change_nothing(stored, clock):
    clock.advance(40 * 86400)  # judged as of the day on which it was written: age alone is no change
    trial = try_verdict(stored, own_rules(), lambda _: Tenant())
    assert (trial.judged, trial.frozen, trial.changes) == (2, 0, [])


def test_other_points_change_the_exposure_of_what_they_are_in_and_nothing_is_written(stored):
    before = everything(stored)
    trial = try_verdict(stored, with_points(60), lambda _: Tenant())
    (change,) = trial.changes
    assert (change.incident, change.after.exposure - change.before.exposure) == (A, 10)
    assert trial.by_severity().total() == 0
    assert everything(stored) == before


def test_a_scenario_that_counts_less_gives_way_to_the_next(stored):
    (change,) = try_verdict(stored, with_points(1), lambda _: Tenant()).changes
    assert (change.before.scenario, change.after.scenario) == ("X9", "X17")


def test_other_thresholds_change_severities_and_they_are_summed(stored):
    rules = own_rules()
    grave = rules.severity.row[2].model_copy(update={"when": (When(people=1),)})
    other = rules.model_copy(update={"severity": rules.severity.model_copy(update={"row": (grave, rules.severity.row[-1])})})
    trial = try_verdict(stored, other, lambda _: Tenant())
    assert trial.by_severity().total() == len([c for c in trial.changes if c.before.severity != c.after.severity]) > 0


def test_a_frozen_incident_is_counted_and_left(stored, clock):
    stored.put([stored.get(Incident, A).model_copy(update={"frozen_at": clock.as_clock().now()})])
    trial = try_verdict(stored, with_points(60), lambda _: Tenant())
    assert (trial.judged, trial.frozen, trial.changes) == (1, 1, [])


def test_a_tenant_can_be_tried_alone(stored):
    assert try_verdict(stored, with_points(60), lambda _: Tenant(), "shop").judged == 0
    assert try_background(stored, shipped(), "shop").judged == 0


def test_an_incident_whose_facts_have_expired_is_counted_and_not_judged(stored):
    gone = [sighting.id for sighting in stored.scroll(Sighting, Where())]
    stored.delete(Sighting, gone)
    trial = try_verdict(stored, own_rules(), lambda _: Tenant())
    assert (trial.judged, trial.frozen) == (0, stored.count(Incident, Where()))


def test_the_background_rules_in_force_change_nothing(stored):
    trial = try_background(stored, shipped())
    assert (trial.judged, trial.posts.total()) == (3, 0)


def test_without_background_rules_posts_would_be_incidents(stored):
    before = everything(stored)
    trial = try_background(stored, Rules(version=2, rule=()))
    assert dict(trial.posts) == {("paste", "B1", "incident"): 1}
    assert everything(stored) == before


def test_wider_background_rules_take_no_leak_and_name_the_new_rule(stored, clock):
    (own,) = [rule for rule in shipped().rule if rule.id == "B1"]
    wider = own.model_copy(update={"id": "B9", "fields": own.fields | {"LOAN", "NAME"}, "candidates": 9})
    fold_all(stored, clock, [finding("c", range(40, 50), people="e", statistics={"sketch_of": "shingles"})])
    trial = try_background(stored, Rules(version=2, rule=(wider,)))
    assert dict(trial.posts) == {("paste", "B1", "B9"): 1, ("paste", "incident", "B9"): 1}, "those of two people stay incidents"


JARGON = "{}\t\tzh\tQUAL\tm\t{}\tM\tK"


def lexicon(**weights: int):
    return list(rows("\n".join(JARGON.format(term, weight) for term, weight in weights.items()), "a.tsv"))


@pytest.fixture
def offered(stored, clock):
    """Two posts that were raised by terms alone, of weights 4 + 1 and 5."""
    for name, terms in (("o", {"一手料": 4, "走样": 1}), ("p", {"内料": 5})):
        said = tuple(Term(id=term, category="QUAL", weight=weight, count=2) for term, weight in terms.items())
        fold_all(stored, clock, [finding(name, (), site=name, statistics={"terms": said, "brands": ("某某银行",)})])
    return stored


@pytest.mark.parametrize(
    ("weights", "gone"),
    [
        ({"一手料": 4, "走样": 1, "内料": 5}, set()),
        ({"一手料": 3, "走样": 1, "内料": 5}, {"o"}),
        ({"一手料": 4, "走样": 1}, {"p"}),
        ({"新词": 5}, {"o", "p"}),
    ],
)
def test_other_weights_say_which_offers_nobody_would_have_heard_of(offered, weights, gone):
    before = everything(offered)
    trial = try_lexicon(offered, lexicon(**weights))
    assert {site for site, *_ in trial.posts} == gone
    assert trial.judged == 2, "what a customer was found in is raised by that"
    assert everything(offered) == before


def test_a_report_is_no_offer_in_a_trial_either(offered):
    (told,) = [s for s in offered.scroll(Sighting, Where()) if s.id == "p"]
    report = told.traits.model_copy(update={"context": {"reporting": 2}})
    offered.put([told.model_copy(update={"traits": report})])
    assert {site for site, *_ in try_lexicon(offered, lexicon(一手料=4, 走样=1, 内料=5)).posts} == {"p"}
