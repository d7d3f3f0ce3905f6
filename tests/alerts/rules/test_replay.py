"""Rules replayed over stored facts: what would change, what people said of each rule's
incidents, and that nothing is written.
"""

import pytest

from alerts.grouping.benign import BACKGROUND, BenignRules, load_shipped_rules
from alerts.grouping.replay import RuleCount, read_judgements, replay
from alerts.records import Decision, Incident, Sighting, incident_id
from alerts.records.sighting import Traits
from alerts.store import DocumentFilter
from tests.alerts.builders import everything, finding, fold_all
from tests.alerts.noise.posts import post
from ullage.records import Term
from ullage.settings import Tenant
from ullage.verdict import load_verdict_rules
from ullage.verdict.rules import SeverityConditions
from ullage.vocabulary.lexicon import Vocabulary, parse_rows

LOAN = ("NAME", "PHONE", "LOAN")
A, B = incident_id("a"), incident_id("b")
WIDE = """
version = 99
[[rule]]
id = "B90"
title = "everything of one phone"
title_zh = "单个号码"
reason = "a test"
kinds = ["phone"]
candidates = 1
fields = ["PHONE"]
jargon = ["*"]
"""
PLAIN = Traits(
    category="",
    candidates={"phone": 1},
    fields=(),
    jargon={},
    context={},
    rows=1,
    subjects=1,
    own_fields=1,
)


def tenant_of(_: str) -> Tenant:
    return Tenant()


@pytest.fixture
def two_incidents(store, clock):
    """Store two incidents, one of loans, and a post of somebody's own number."""
    findings = [
        finding("a", range(10), people="ab", fields=LOAN),
        finding("b", range(20, 30), people="cd"),
    ]
    fold_all(store, clock, [*findings, post().model_copy(update={"id": "own"})])
    return store


def with_points(points: int):
    """Return the rules of this version with other points for a loan."""
    rules = load_verdict_rules()
    scenarios = tuple(
        s.model_copy(
            update={"ways": tuple(w.model_copy(update={"points": points}) for w in s.ways)}
        )
        if s.id == "X9"
        else s
        for s in rules.scenario
    )
    return rules.model_copy(update={"scenario": scenarios})


def test_rules_in_force_change_nothing(two_incidents, clock):
    # judged as of the day on which it was written: age alone is no change
    clock.advance(40 * 86400)
    trial = replay(two_incidents, load_verdict_rules(), tenant_of)
    assert (trial.judged, trial.frozen, trial.changes) == (2, 0, [])


def test_changed_points_change_the_exposure_and_write_nothing(two_incidents):
    before = everything(two_incidents)
    trial = replay(two_incidents, with_points(60), tenant_of)
    (change,) = trial.changes
    assert (change.incident, change.after.exposure - change.before.exposure) == (A, 10)
    assert trial.count_by_severity().total() == 0
    assert everything(two_incidents) == before


def test_scenario_with_fewer_points_gives_way_to_the_next(two_incidents):
    (change,) = replay(two_incidents, with_points(1), tenant_of).changes
    assert (change.before.scenario, change.after.scenario) == ("X9", "X17")


def test_changed_thresholds_change_severities_and_are_counted(two_incidents):
    rules = load_verdict_rules()
    grave = rules.severity.row[2].model_copy(update={"when": (SeverityConditions(people=1),)})
    stricter = rules.model_copy(
        update={
            "severity": rules.severity.model_copy(update={"row": (grave, rules.severity.row[-1])})
        }
    )
    trial = replay(two_incidents, stricter, tenant_of)
    assert (
        trial.count_by_severity().total()
        == len([c for c in trial.changes if c.before.severity != c.after.severity])
        > 0
    )


def test_frozen_incident_is_counted_but_not_replayed(two_incidents, clock):
    two_incidents.put(
        [two_incidents.get(Incident, A).model_copy(update={"frozen_at": clock.as_clock().now()})]
    )
    trial = replay(two_incidents, with_points(60), tenant_of)
    assert (trial.judged, trial.frozen, trial.changes) == (1, 1, [])


def test_one_tenant_can_be_replayed(two_incidents):
    assert replay(two_incidents, with_points(60), tenant_of, "shop").judged == 0
    assert replay(two_incidents, load_shipped_rules(), tenant_of, "shop").judged == 0


def test_incident_with_expired_facts_is_counted_but_not_replayed(two_incidents):
    gone = [sighting.id for sighting in two_incidents.scroll(Sighting, DocumentFilter())]
    two_incidents.delete(Sighting, gone)
    trial = replay(two_incidents, load_verdict_rules(), tenant_of)
    assert (trial.judged, trial.frozen) == (0, two_incidents.count(Incident, DocumentFilter()))


def test_benign_rules_in_force_change_nothing(two_incidents):
    trial = replay(two_incidents, load_shipped_rules(), tenant_of)
    assert (trial.judged, trial.posts.total()) == (3, 0)


def test_without_benign_rules_posts_would_be_incidents(two_incidents):
    before = everything(two_incidents)
    trial = replay(two_incidents, BenignRules(version=2, rule=()), tenant_of)
    assert dict(trial.posts) == {("paste", "B1", "incident"): 1}
    assert everything(two_incidents) == before


def test_wider_benign_rules_hide_no_leak_and_name_the_new_rule(two_incidents, clock):
    (shipped,) = [rule for rule in load_shipped_rules().rule if rule.id == "B1"]
    wider = shipped.model_copy(
        update={"id": "B9", "fields": shipped.fields | {"LOAN", "NAME"}, "candidates": 9}
    )
    fold_all(
        two_incidents,
        clock,
        [finding("c", range(40, 50), people="e", statistics={"sketch_of": "shingles"})],
    )
    trial = replay(two_incidents, BenignRules(version=2, rule=(wider,)), tenant_of)
    assert dict(trial.posts) == {("paste", "B1", "B9"): 1, ("paste", "incident", "B9"): 1}, (
        "those of two people stay incidents"
    )


JARGON = "{}\t\tzh\tQUAL\tm\t{}\tM\tK"


def lexicon(**weights: int):
    terms = parse_rows(
        "\n".join(JARGON.format(term, weight) for term, weight in weights.items()), "a.tsv"
    )
    return Vocabulary(9, tuple(terms))


@pytest.fixture
def two_offers(two_incidents, clock):
    """Store two posts that were raised by terms alone, of weights 4 + 1 and 5."""
    for name, terms in (("o", {"一手料": 4, "走样": 1}), ("p", {"内料": 5})):
        weighted = tuple(
            Term(id=term, category="QUAL", weight=weight, count=2) for term, weight in terms.items()
        )
        fold_all(
            two_incidents,
            clock,
            [finding(name, (), site=name, statistics={"terms": weighted, "brands": ("某某银行",)})],
        )
    return two_incidents


@pytest.mark.parametrize(
    ("weights", "gone"),
    [
        ({"一手料": 4, "走样": 1, "内料": 5}, set()),
        ({"一手料": 3, "走样": 1, "内料": 5}, {"o"}),
        ({"一手料": 4, "走样": 1}, {"p"}),
        ({"新词": 5}, {"o", "p"}),
    ],
)
def test_changed_weights_list_offers_that_would_be_missed(two_offers, weights, gone):
    before = everything(two_offers)
    trial = replay(two_offers, lexicon(**weights), tenant_of)
    assert {site for site, *_ in trial.posts} == gone
    assert trial.judged == 2, "what a customer was found in is raised by that"
    assert everything(two_offers) == before


def test_report_is_not_an_offer_in_a_replay(two_offers):
    (sighting,) = [s for s in two_offers.scroll(Sighting, DocumentFilter()) if s.id == "p"]
    report = sighting.traits.model_copy(update={"context": {"reporting": 2}})
    two_offers.put([sighting.model_copy(update={"traits": report})])
    assert {
        site for site, *_ in replay(two_offers, lexicon(一手料=4, 走样=1, 内料=5), tenant_of).posts
    } == {"p"}


@pytest.fixture
def judge(two_incidents, clock):
    """Somebody decides of an incident, each time a minute later."""

    def judge_incident(incident: str, *statuses: str) -> None:
        for status in statuses:
            clock.advance(60)
            at = clock.as_clock().now()
            two_incidents.create(
                [
                    Decision(
                        id=f"{incident}:{at}",
                        tenant="bank",
                        incident=incident,
                        at=at,
                        by="Li",
                        status=status,
                    )
                ]
            )
        two_incidents.refresh()

    return judge_incident


def count(store, rule: str, rules=None) -> RuleCount:
    trial = replay(store, rules or load_verdict_rules(), tenant_of)
    (rule_count,) = [
        rule_count
        for rule_count in trial.count_by_rule(read_judgements(store))
        if rule_count.rule == rule
    ]
    return rule_count


def test_incidents_of_a_rule_are_counted_with_their_resolutions(two_incidents, judge):
    assert count(two_incidents, "X9") == ("X9", count(two_incidents, "X9").title, 1, 0, 0, 0)
    assert count(two_incidents, "X9").precision is None
    judge(A, "confirmed")
    judge(B, "false_positive")
    assert (
        count(two_incidents, "X9").confirmed,
        count(two_incidents, "X9").false_positives,
        count(two_incidents, "X9").precision,
    ) == (1, 0, 1.0)
    assert (count(two_incidents, "C1").incidents, count(two_incidents, "X17").precision) == (
        0,
        0.0,
    ), "one that fits nothing is listed too"


def test_last_resolution_counts_and_other_decisions_do_not(two_incidents, judge):
    judge(A, "confirmed", "false_positive", "acknowledged", "resolved")
    judge(B, "resolved")
    assert read_judgements(two_incidents) == {A: False}
    judge(A, "reported")
    assert read_judgements(two_incidents) == {A: True}


def test_benign_rule_counts_its_posts_and_their_incidents(two_incidents, judge):
    two_incidents.put(
        [
            sighting.model_copy(update={"traits": PLAIN})
            for sighting in two_incidents.scroll(Sighting, DocumentFilter())
        ]
    )
    judge(A, "false_positive")
    judge(B, "confirmed")
    counted = count(two_incidents, "B90", BACKGROUND.read(WIDE, "a test"))
    assert counted == ("B90", "everything of one phone", 2, 3, 1, 1), (
        "with the post that was set aside"
    )
    leak = PLAIN.model_copy(update={"subjects": 2})
    two_incidents.put(
        [
            sighting.model_copy(update={"traits": leak})
            for sighting in two_incidents.scroll(Sighting, DocumentFilter())
        ]
    )
    assert count(two_incidents, "B90", BACKGROUND.read(WIDE, "a test")).incidents == 0, (
        "what shows a leak is never hidden"
    )
