"""What to do next: a line for everything that a verdict can say, one that fits, and a severity
that it can stand beside.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from tests.ullage.verdict.cases import TODAY, facts, judge
from tests.ullage.verdict.cases import crowd as crowd_of
from ullage.errors import ConfigError
from ullage.files.rule_files import toml_reader
from ullage.records import Honeytoken, RowGroup
from ullage.verdict import VerdictFacts
from ullage.verdict.next_step import StepConditions, _Steps, next_step, raise_to_step, steps
from ullage.verdict.rules import ORDER as SEVERITIES
from ullage.verdict.rules import Scenario, ScenarioConditions, load_verdict_rules
from ullage.vocabulary.fields import FieldLabel

ORIGINS = ("ours", "partner", "devices", "elsewhere", "recycled", "fabricated", "unknown")
SCENARIOS = ("", *(scenario.id for scenario in load_verdict_rules().scenario))
EVERYTHING = list(
    itertools.product(ORIGINS, SEVERITIES, SCENARIOS, (False, True), (False, True), (False, True))
)
WORST = ("statutory", "high", "medium")

FITTING = {
    "fabricated": {"nothing"},
    "recycled": {"again", "takedown"},
    "devices": {"reset", "again"},
    "partner": {"ask", "takedown"},
    "ours": {"reset", "block", "call", "confirm", "takedown", "again"},
    "elsewhere": {"reset", "block", "call", "takedown", "again"},
    "unknown": {"reset", "block", "call", "confirm", "takedown", "again"},
}


def step(origin, severity, scenario="", *, people=True, alone=False, unread=False):
    return next_step(
        origin, severity, scenario, StepConditions(people=people, alone=alone, unread=unread)
    )


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_each_origin_and_severity_has_a_fitting_step(origin, severity):
    for scenario, people, alone, unread in itertools.product(SCENARIOS, *[(False, True)] * 3):
        assert (
            step(origin, severity, scenario, people=people, alone=alone, unread=unread).action
            in FITTING[origin]
        )


@pytest.mark.parametrize(
    ("origin", "severity", "scenario", "people", "action"),
    [
        ("devices", "high", "X4", True, "reset"),
        ("devices", "medium", "", False, "reset"),
        ("ours", "high", "X9", True, "call"),
        ("ours", "statutory", "X15", True, "call"),
        ("ours", "high", "X7", True, "block"),
        ("ours", "high", "X4", True, "reset"),
        ("ours", "high", "X1", False, "reset"),
        ("ours", "medium", "X18", True, "confirm"),
        ("partner", "high", "X4", True, "ask"),
        ("partner", "statutory", "", False, "ask"),
        ("elsewhere", "medium", "X9", True, "call"),
        ("elsewhere", "medium", "X4", True, "reset"),
        ("elsewhere", "notice", "X17", True, "again"),
        ("unknown", "high", "X9", True, "takedown"),
        ("unknown", "high", "", False, "takedown"),
        ("unknown", "medium", "", False, "takedown"),
        ("unknown", "medium", "X17", True, "confirm"),
        ("unknown", "notice", "", False, "again"),
        ("unknown", "low", "X20", True, "block"),
        ("unknown", "high", "X21", True, "block"),
        ("ours", "high", "X22", True, "takedown"),
        ("partner", "high", "X22", True, "takedown"),
        ("recycled", "medium", "X22", True, "takedown"),
        ("unknown", "notice", "X22", True, "takedown"),
        ("recycled", "high", "X9", True, "again"),
        ("fabricated", "noise", "X18", False, "nothing"),
    ],
)
def test_first_action_follows_from_the_situation(origin, severity, scenario, people, action):
    assert step(origin, severity, scenario, people=people).action == action


def test_calls_need_customers_and_unread_content_is_never_noise():
    for origin, severity, scenario, people, alone, unread in EVERYTHING:
        chosen = step(origin, severity, scenario, people=people, alone=alone, unread=unread)
        if not people:
            assert chosen.action not in ("call", "block", "confirm")
            assert "call list" not in chosen.text.lower(), chosen.text
        if (
            origin in ("unknown", "elsewhere")
            and severity in ("low", "notice", "noise")
            and unread
            and not people
        ):
            assert "not read" in chosen.text
            assert "未读取" in chosen.text_zh


def test_next_step_names_sign_up_probing_or_a_scam_only_with_evidence():
    for origin, severity, scenario, people, alone, unread in EVERYTHING:
        chosen = step(origin, severity, scenario, people=people, alone=alone, unread=unread)
        assert alone or "筛号" not in chosen.text + chosen.text_zh, chosen.text
        assert scenario or severity != "low" or "scam named here" not in chosen.text, chosen.text
    assert "筛号" in step("ours", "medium", "X18", alone=True).text
    assert "筛号" in step("unknown", "low", "X18", alone=True).text


def test_every_step_is_used_and_agrees_in_both_languages():
    used = {step(o, s, c, people=p, alone=a, unread=u) for o, s, c, p, a, u in EVERYTHING}
    assert used == set(steps())
    for line in used:
        for pair in (
            ("60", "60"),
            ("sample", "样本"),
            ("call list", "提醒名单"),
            ("takedown", "下架"),
            ("PIPL 57", "第五十七条"),
        ):
            assert (pair[0] in line.text.lower() or pair[0] in line.text) == (
                pair[1] in line.text_zh
            ), (pair, line.text)


def test_no_step_uses_forbidden_words():
    for line in steps():
        assert "\n" not in line.text + line.text_zh
        assert re.search("[\u4e00-\u9fff]", line.text_zh)
        assert not re.search(
            r"leaked by|we leaked|\bsafe\b|ask for a (larger )?sample|泄露者",
            line.text + line.text_zh,
        )
        assert not re.search(r"(?<!勿)(购买|索要)样本", line.text_zh.replace("购买、索要", "索要"))


def test_steps_name_only_existing_origins_and_scenarios():
    for line in steps():
        assert line.origins <= set(ORIGINS)
        assert line.scenarios <= set(SCENARIOS)


WORDING = {
    "high": r"\bnow\b(?<!to do now)|^Counsel",
    "medium": (
        r"^Block first|PIPL 57|^Reset logins(?! today)|^Ask for a takedown|in the morning|warn"
        r" those on|Notify"
    ),
    "low": r"\btoday\b|within a day|day's digest|^Confirm|^Monitor|in writing",
    "notice": r"within five days|^Look again|^Ask",
}
"""By severity, words of a first action that ask for at least that much haste; the first that a
line has counts.
"""
WORDING_ZH = {
    "high": r"立即|^先报法务",
    "medium": (
        r"^先行(止付|拦截|防控)|第五十七条|^重置|^申请下架|次日早间|同时按提醒名单|；按提醒名单|。"
        r"按提醒名单|补告"
    ),
    "low": r"当日|一日内|^先行核实|^监控|^书面",
    "notice": r"五日内|^如出现|^凭密码|^询问",
}


def wording(text: str, words: Mapping[str, str]) -> str:
    """Return the least severity that the words of a line can stand beside."""
    return next(
        (severity for severity, pattern in words.items() if re.search(pattern, text)), "noise"
    )


@pytest.mark.parametrize("one", steps(), ids=lambda one: one.text[:40])
def test_least_severity_is_not_below_the_words_of_the_step(one):
    """Who writes a step with hasty words must give it a severity that goes with them, in both
    languages.
    """
    assert SEVERITIES.index(one.least) >= SEVERITIES.index(wording(one.text, WORDING)), one.text
    assert SEVERITIES.index(one.least) >= SEVERITIES.index(wording(one.text_zh, WORDING_ZH)), (
        one.text_zh
    )


def test_severity_and_next_step_never_contradict_when_raised():
    for origin, severity, scenario, *conditions in EVERYTHING:
        situation = origin, scenario, StepConditions(*conditions)
        raised = raise_to_step(origin, severity, *situation[1:])
        before, after = (
            next_step(origin, severity, *situation[1:]),
            next_step(origin, raised, *situation[1:]),
        )
        assert SEVERITIES.index(raised) >= max(
            SEVERITIES.index(after.least), SEVERITIES.index(severity)
        ), situation
        is_kept = after == before or SEVERITIES.index(after.least) > SEVERITIES.index(before.least)
        assert is_kept, (situation, before.text, after.text)


def test_more_severe_verdict_never_has_a_weaker_step():
    for origin, scenario, *conditions in itertools.product(
        ORIGINS, SCENARIOS, *[(False, True)] * 3
    ):
        chosen = [
            next_step(origin, severity, scenario, StepConditions(*conditions))
            for severity in SEVERITIES
        ]
        demanded = [SEVERITIES.index(line.least) for line in chosen]
        assert demanded == sorted(demanded), (origin, scenario, conditions)


@dataclass(frozen=True)
class Setting:
    """Everything of a verdict but its scenario: whose rows they are, how many match, and what
    the post does.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)


WHOSE = (
    Setting("ours", {"known_cards": 3, "candidates": {"card": 3}}),
    Setting("partner", {"honeytokens": (Honeytoken(label="sms", customers=1, verified=1),)}),
    Setting("devices", {"logins": 20_000, "staff_logins": 0}),
    Setting("staff's devices", {"logins": 20_000, "staff_logins": 1}),
    Setting("expired cookies", {"cookies": 20_000}),
    Setting("elsewhere", {"rows_of_others": 20_000}),
    Setting("recycled", {"replayed": 0.99, "replay_of": "INC-1"}),
    Setting(
        "recycled, acknowledged", {"replayed": 0.99, "replay_of": "INC-1", "replay_told": True}
    ),
    Setting("fabricated", {"longest_run": 500, "corroborated_rows": 0}),
    Setting("unknown", {"watchlist": 1000}),
)
POSTS = (
    Setting("plain"),
    Setting("brand", {"brand": True}),
    Setting("offer", {"alarm": True, "brand": True, "claimed": 8_000_000}),
    Setting("small offer", {"alarm": True, "brand": True}),
    Setting("wanted", {"alarm": True, "brand": True, "wanted": True}),
    Setting("unread", {"unread": {"encrypted": 1}}),
    Setting("cut off", {"incomplete": True}),
    Setting("minors", {"minors": 1}),
    Setting("old", {"newest_date": TODAY - timedelta(2000)}),
)
MATCHED = (
    (0, 0),
    (1, 0),
    (1, 1),
    (9, 0),
    (9, 2),
    (49, 0),
    (49, 3),
    (99, 0),
    (99, 50),
    (99, 99),
    (10**6, 10**6),
)
"""How many customers, and how many of them agree in two fields."""


def ways() -> Iterator[tuple[Scenario, ScenarioConditions, tuple[str, ...]]]:
    """Yield every way of every scenario, with the fields of a row that allow it."""
    for scenario in load_verdict_rules().scenario:
        for way in scenario.ways:
            yield scenario, way, tuple(sorted(way.every | set(sorted(way.some)[:1])))


def facts_for(
    way: ScenarioConditions,
    fields: tuple[str, ...],
    matched: int,
    agreeing: int,
    *settings: Setting,
) -> VerdictFacts:
    """Facts of a list of 20,000 rows, or of all customers, that allow a way."""
    rows = max(20_000, matched)
    group = RowGroup(fields=fields, rows=rows, matched=matched, corroborated=agreeing)
    post = {"terms": tuple(sorted(way.terms)), "suspicion": way.suspicion}
    post |= {"brand": True} if way.brand else {}
    post |= {"live_cookies": 1, "cookies": 1} if way.logins else {}
    changes = {name: value for setting in settings for name, value in setting.changes.items()}
    sure = crowd_of(agreeing, *fields)
    counts = {
        "rows": rows,
        "matched_rows": matched,
        "corroborated_rows": agreeing,
        "matched": matched,
        "groups": (group,),
    }
    return facts(
        **{
            "people": crowd_of(matched, *fields),
            "verified": sure,
            "agreeing": sure,
            **counts,
            **post,
            **changes,
        }
    )


def test_no_combination_of_rules_is_below_its_next_step():
    origins, severities, scenarios = set(), set(), set()
    for (scenario, way, fields), whose, post, (matched, agreeing) in itertools.product(
        ways(), WHOSE, POSTS, MATCHED
    ):
        case_facts = facts_for(way, fields or ("PHONE",), matched, agreeing, whose, post)
        exposure, origin = judge(case_facts)
        shown = next_step(
            origin.verdict, exposure.severity, exposure.scenario, case_facts.step_conditions
        )
        name = (
            scenario.id,
            fields,
            whose.name,
            post.name,
            matched,
            agreeing,
            exposure.severity,
            shown.text,
        )
        assert SEVERITIES.index(exposure.severity) >= SEVERITIES.index(shown.least), name
        assert exposure.notify != "nobody" or exposure.severity == "noise", name
        assert exposure.notify != "digest" or exposure.severity not in ("high", "statutory"), name
        is_new_sale = (
            case_facts.is_offered and case_facts.claimed >= 1000 and origin.verdict != "recycled"
        )
        assert not is_new_sale or exposure.severity not in ("noise", "notice", "low"), name
        origins.add(origin.verdict)
        severities.add(exposure.severity)
        scenarios.add(exposure.scenario)
    assert origins == set(ORIGINS)
    assert severities == set(SEVERITIES)
    assert scenarios == set(SCENARIOS)


def test_step_with_an_inconsistent_least_severity_is_rejected():
    text = (
        '[[step]]\naction = "block"\nseverities = ["low"]\nleast = "medium"\ntext ='
        ' "Block."\ntext_zh = "止付。"\n'
    )
    with pytest.raises(ConfigError, match="least severity medium is none of its severities"):
        toml_reader(_Steps)(text, "next_steps.toml")


def test_step_without_a_least_severity_is_rejected():
    with pytest.raises(ConfigError, match=r"least: Field required"):
        toml_reader(_Steps)(
            '[[step]]\naction = "block"\ntext = "Block."\ntext_zh = "止付。"\n', "next_steps.toml"
        )


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("customers", [3, 9, 49])
def test_cards_with_magnetic_tracks_are_medium(customers, alone):
    sure = crowd_of(customers, FieldLabel.CARD)
    agreeing = crowd_of(0 if alone else customers, FieldLabel.CARD)
    rows = {
        "rows": customers,
        "matched_rows": customers,
        "corroborated_rows": agreeing.customers,
        "known_cards": customers,
    }
    tracks = facts(people=sure, verified=sure, agreeing=agreeing, terms=("带磁",), **rows)
    exposure, _ = judge(tracks)
    assert exposure.scenario == "X3"
    assert SEVERITIES.index(exposure.severity) >= SEVERITIES.index("medium")
