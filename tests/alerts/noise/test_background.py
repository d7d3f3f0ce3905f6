"""What is background, by which rule; and that no rule whatever takes a leak away."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.grouping.benign import (
    ANY,
    BACKGROUND,
    SELLING,
    BenignRule,
    BenignRules,
    leak_signs,
    load_shipped_rules,
)
from alerts.records.sighting import Traits
from tests.alerts.builders import finding
from tests.alerts.noise.posts import post, term
from tests.factories import match
from ullage.errors import ConfigError
from ullage.records import Finding, Honeytoken
from ullage.vocabulary.fields import FieldLabel

RULES = load_shipped_rules()


def rule_of(told: Finding) -> str:
    rule = RULES.decide(Traits.from_finding(told))
    return rule.id if rule else ""


CONTACT = ("NAME", "PHONE", "QQ")


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        (post(), "B1"),
        (post(terms=(term("CHAN", 1),)), "B1"),
        (post(fields=CONTACT), ""),
        (post(fields=CONTACT, context={"shop": 1}), ""),
        (post(fields=CONTACT, context={"shop": 2}), "B3"),
        (
            post(
                fields=CONTACT, context={"shop": 2}, candidates={"phone": 1, "qq": 1, "wechat": 1}
            ),
            "B3",
        ),
        (post(fields=CONTACT, category="shop"), "B2"),
        (post(fields=CONTACT, category="Classified"), "B2"),
        (
            post(
                terms=(term("FRAUD", 3), term("LAUND", 4), term("CARD", 4)),
                context={"reporting": 2},
            ),
            "B5",
        ),
        (post(terms=(term("FRAUD", 3),), context={"reporting": 1}), ""),
        (post(terms=(term("FRAUD", 3),), category="news"), "B4"),
        (post(terms=(term("FRAUD", 3),), category="court"), "B4"),
        (post(terms=(term("FRAUD", 3),), category="forum"), ""),
        (post(terms=(term("FRAUD", 3),)), ""),
        (post(fields=("PHONE", "BALANCE"), category="shop"), ""),
        (post(fields=("PHONE", "LOAN"), context={"reporting": 5}), ""),
        (post(candidates={"phone": 1, "resident_id": 1}, context={"reporting": 5}), ""),
        (post(candidates={"phone": 1, "card": 1}, category="news"), ""),
    ],
)
def test_first_fitting_rule_decides(told, rule):
    assert rule_of(told) == rule


NEWS = {"context": {"reporting": 5, "shop": 5}}
LEAKS = {
    "sample rows": post(**NEWS, rows=3),
    "a second person": finding(
        "f", (), people="ab", fields=("PHONE",), statistics={**NEWS, "candidates": {"phone": 2}}
    ),
    "a second number": post(**NEWS, candidates={"phone": 2}),
    "a second mail address": post(**NEWS, candidates={"phone": 1, "email": 2}),
    "sales terms": post(**NEWS, terms=(term("TRADE", 3),)),
    "vague sales terms": post(**NEWS, terms=(term("QUAL", 2), term("DATA", 1))),
    "an offer of the brand": post(**NEWS).model_copy(update={"alarm": True}),
    "logins": post(**NEWS, logins=1),
    "the tenant's cards": post(**NEWS, own_cards=1),
    "invalid IDs": post(**NEWS, failures={"resident_id": 1}),
    "unread content": post(**NEWS, unread={"encrypted": 1}),
    "a digest": post(**NEWS).model_copy(
        update={"matches": (match(form="md5", fields=("PHONE",)),)}
    ),
    "record words": post(context={"reporting": 5, "shop": 5, "record": 1}),
    "a login": post(**NEWS, skeleton="<PHONE>:<…>"),
    "a row": post(**NEWS, skeleton="<PHONE>----<…>"),
    "a honeytoken": post(**NEWS).model_copy(
        update={"honeytokens": (Honeytoken(label="sms-a", customers=1),)}
    ),
    "the customer's name": post(**NEWS).model_copy(
        update={"matches": (match(own_fields=("NAME", "PHONE")),)}
    ),
    "two fields in two rows": post(**NEWS).model_copy(
        update={"matches": (match(fields=()), match(kind="email", row=9, fields=()))}
    ),
    "no customer": finding("f", (), statistics=NEWS).model_copy(update={"alarm": False}),
}


@pytest.mark.parametrize("category", ["", "news", "shop"])
@pytest.mark.parametrize("told", LEAKS.values(), ids=LEAKS)
def test_leak_wins_over_every_rule(told, category):
    capture = told.capture.model_copy(update={"category": category})
    traits = Traits.from_finding(told.model_copy(update={"capture": capture}))
    assert leak_signs(traits)
    assert RULES.decide(traits) is None


words = st.sampled_from(["shop", "reporting", "record", "other"])
kinds = st.sampled_from(["phone", "email", "qq", "wechat", "resident_id", "card"])
labels = st.sampled_from([field.value for field in FieldLabel])
categories = st.sampled_from(["TRADE", "QUAL", "DATA", "CARD", "FRAUD", "CHAN"])
anything = st.builds(
    Traits,
    subjects=st.integers(0, 3),
    own_fields=st.integers(0, 3),
    candidates=st.dictionaries(kinds, st.integers(1, 3)),
    rows=st.integers(0, 5),
    fields=st.sets(labels, max_size=4).map(tuple),
    jargon=st.dictionaries(categories, st.integers(1, 8)),
    context=st.dictionaries(words, st.integers(1, 5)),
    category=st.sampled_from(["", "news", "shop", "forum"]),
    signs=st.sets(st.sampled_from(["offer", "unread"])).map(tuple),
)
wide = st.builds(
    BenignRule,
    id=st.just("B9"),
    title=st.just("t"),
    title_zh=st.just("t"),
    reason=st.just("r"),
    kinds=st.just(frozenset("phone email qq wechat resident_id card".split())),
    candidates=st.integers(1, 99),
    fields=st.just(frozenset(field.value for field in FieldLabel)),
    jargon=st.just(frozenset({ANY})),
)


@given(traits=anything, rule=wide)
def test_no_rule_file_can_suppress_a_leak(traits, rule):
    """The rule allows everything; what it decides has none of the four marks of a leak."""
    if BenignRules(version=1, rule=(rule,)).decide(traits):
        assert traits.rows < 3
        assert traits.subjects == 1
        assert all(count == 1 for count in traits.candidates.values())
        assert traits.own_fields <= 1
        assert "record" not in traits.context
        assert sum(traits.jargon.get(category, 0) for category in SELLING) < 3
        assert not traits.signs


@given(traits=anything)
def test_additional_content_never_makes_a_post_benign(traits):
    """Whatever is no background stays so with another row, person, field or term beside it."""
    if RULES.decide(traits) is None:
        more = [
            {"rows": traits.rows + 1},
            {"subjects": traits.subjects + 1} if traits.subjects else {},
            {"own_fields": traits.own_fields + 1},
            {"fields": (*traits.fields, "BALANCE")},
            {"jargon": {**traits.jargon, "TRADE": 9}},
            {"candidates": {**traits.candidates, "card": 9}},
        ]
        assert [RULES.decide(traits.model_copy(update=change)) for change in more] == [None] * len(
            more
        )


def test_every_rule_has_a_title_and_a_reason():
    assert RULES.version >= 1
    assert len({rule.id for rule in RULES.rule}) == len(RULES.rule) >= 5
    assert all(rule.title and rule.title_zh and len(rule.reason) > 20 for rule in RULES.rule)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version = 1\nrule = [", "Invalid value"),
        ("version = 0\nrule = []", "version"),
        ("version = 1\nrule = [{id = 'X1'}]", "rule.0.id"),
        ("version = 1\nrule = []\nmore = 1", "more"),
    ],
)
def test_invalid_rule_file_is_a_one_line_error(text, told):
    with pytest.raises(ConfigError, match=told) as caught:
        BACKGROUND.read(text, "rules.toml")
    assert str(caught.value).startswith("rules.toml")
    assert "\n" not in str(caught.value)
