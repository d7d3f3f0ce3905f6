"""Facts in few words, and what this version's own rules say of them."""

from datetime import date
from typing import Any

from ullage import verdict
from ullage.guard import STRICT
from ullage.records import RowGroup
from ullage.verdict import (
    Crowd,
    ExposureScore,
    Origin,
    VerdictFacts,
    VerdictRules,
    load_verdict_rules,
)
from ullage.vocabulary.fields import FieldLabel, classify, shows

TODAY = date(2026, 9, 21)
GROUP = frozenset((FieldLabel.NAME, FieldLabel.PHONE))


def crowd(customers: int, *fields: str) -> Crowd:
    """Return customers who all stand in rows of the same fields."""
    group = frozenset(fields)
    return (
        Crowd(
            customers, {classify(group): customers}, {group: customers}, {shows(group): customers}
        )
        if customers
        else Crowd()
    )


def facts(**changes: Any) -> VerdictFacts:
    """Ten customers of ten million, with name and phone, none of them verified."""
    fields: dict[str, Any] = {
        "today": TODAY, "people": crowd(10, *GROUP), "verified": Crowd(), "rows": 10,
        "matched_rows": 10, "corroborated_rows": 0,
        "watchlist": 10_000_000, "circulation": 1e9, "matched": 10,
    }  # fmt: skip
    return VerdictFacts(**{**fields, **changes})


def judge(given: VerdictFacts, rules: VerdictRules | None = None) -> tuple[ExposureScore, Origin]:
    """Both answers, by the rules that ship unless others are given."""
    return verdict.judge(given, rules or load_verdict_rules(), STRICT)


def make_facts(
    *fields: str, customers: int = 10, verified: int = 0, **changes: Any
) -> VerdictFacts:
    """Return facts on customers who have these fields, of whom `verified` are verified."""
    verified_people = crowd(verified, *fields)
    return facts(
        **{
            "people": crowd(customers, *fields),
            "verified": verified_people,
            "agreeing": verified_people,
            "matched": customers,
            **changes,
        }
    )


def make_list_facts(
    platform: int, fields: tuple[str, ...], rows: int, ours: int = 0, alone: int = 0, **changes: Any
) -> VerdictFacts:
    """Return facts on a list among 1.8 billion numbers.

    `ours` rows agree with a `platform`'s customers in two fields, others match by chance. Of the
    others `alone` hold nothing but a phone.
    """
    chance = platform / 1.8e9
    matched_alone = round(alone * chance)
    matched = ours + round((rows - ours - alone) * chance)
    groups = (
        RowGroup(
            fields=tuple(sorted(fields)), rows=rows - alone, matched=matched, corroborated=ours
        ),
        RowGroup(fields=("PHONE",), rows=alone, matched=matched_alone),
    )
    everybody = matched + matched_alone
    people = Crowd(
        everybody,
        (
            {classify(frozenset(fields)): matched, "C": matched_alone}
            if classify(frozenset(fields)) != "C"
            else {"C": everybody}
        ),
        {frozenset(fields): matched, frozenset(("PHONE",)): matched_alone},
    )
    return facts(**{
        "people": people, "verified": crowd(ours, *fields), "agreeing": crowd(ours, *fields),
        "matched": everybody, "rows": rows, "matched_rows": everybody,
        "corroborated_rows": ours, "groups": groups, "watchlist": platform, "circulation": 1.8e9,
        "candidates": {"phone": rows}, "matched_kinds": {"phone": everybody}, **changes,
    })  # fmt: skip
