"""Exposure, 0 to 100: how the customers in it can be cheated, whoever leaked it.

Base points of the worst scenario that the fields of one row allow, plus volume in units of the
criminal interpretation, freshness, spread, corroboration and modifiers; then floors, then caps
(`rules.toml`). Every point has a reason, and the reasons add up to the score.

Two things that lower a score elsewhere do not lower this one. That chance alone would match as many
(the base rate) says whose list it is, not what a caller can do with it: it belongs to the origin,
and to the severity. That the rows were seen before (replay) says nothing either: a caller with last
year's loan list cheats as well as last year. What does wear off is what the rows say, and for that
freshness takes points already; to take them twice would hide people who are being called today. A
list that somebody made up is another matter: only customers whom chance cannot have matched count
in it, because nothing else in it is true.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ullage.verdict.facts import Crowd, Reason, VerdictFacts
from ullage.verdict.next_step import StepConditions
from ullage.verdict.origin import Origin
from ullage.verdict.rules import (
    ClockWord,
    Modifier,
    Scenario,
    ScenarioConditions,
    Severity,
    Told,
    VerdictRules,
)
from ullage.verdict.severity import DECIDE_MINUTES, counting, severity_of
from ullage.verdict.words import counted, fields_in_words, unread_in_words
from ullage.vocabulary.fields import HIGHEST, SERIOUS_AT


@dataclass(frozen=True, slots=True)
class ExposureScore:
    """The answer: `score` 0–100, `severity`, the worst `scenario` ("" when none), `unit` U and the
    reasons.

    `row` of the severity table applied; it says who is `told`, which `clock` starts, and within how
    many `minutes` a person decides where that is "if confirmed". The last of the reasons explains
    it.
    """

    score: int
    severity: Severity
    scenario: str
    title: str
    title_zh: str
    unit: float
    reasons: tuple[Reason, ...]
    row: int
    told: Told
    clock: ClockWord
    minutes: int


UNJUDGED_EXPOSURE = ExposureScore(
    score=0,
    severity="medium",
    scenario="",
    title="",
    title_zh="",
    unit=0.0,
    reasons=(
        Reason(
            "F",
            0,
            "its severity could not be judged: a rule failed, so a person must",
            "规则出错，无法判定严重等级，须由人工研判",
        ),
    ),
    row=0,
    told="desk_now",
    clock="if confirmed",
    minutes=DECIDE_MINUTES,
)
"""What stands where the rules failed: grave enough that somebody looks at once, and no deadline
that nothing shows.
"""


def severity_unit(crowd: Crowd) -> float:
    """U = nA/50 + nB/500 + nC/5000 over customers, one class each.

    The divisors are those of 法释〔2017〕10 art. 5(1), used as an index.
    """
    return sum(number / SERIOUS_AT[name] for name, number in crowd.classes.items())


def judge_exposure(
    facts: VerdictFacts, origin: Origin, rules: VerdictRules, conditions: StepConditions
) -> ExposureScore:
    """Return the exposure of the customers in `facts`, and the severity, explained.

    Of `origin` it matters to the score only whether the list was made up. `conditions` are those of
    the next step.
    """
    crowd = facts.verified if origin.verdict == "fabricated" else facts.people
    unit = severity_unit(crowd) * _twice(origin, rules)
    found = next((pair for pair in rules.ways() if _is_possible(pair[0], crowd, facts)), None)
    reasons = []
    if found is not None:
        reasons = [_base(*found, crowd, facts), *_adders(crowd, unit, facts, origin, rules)]
    elif facts.alarm and not crowd.customers:
        does, zh = ("asks for", "求购") if facts.wanted else ("offers", "兜售")
        told = f"the post {does} data of this brand; no customer matched"
        reasons.append(
            Reason("J1", rules.exposure.offer, told, f"帖子{zh}本品牌客户资料，未匹配到客户")
        )
    if facts.unread:
        reasons.append(_unread(crowd, facts))
    bounded, bounds = _bounded(
        max(0, min(100, sum(r.points for r in reasons))), crowd, facts, origin, rules
    )
    scenario = found[1] if found else None
    counted_unit = severity_unit(counting(facts, origin)) * _twice(origin, rules)
    judged = severity_of(
        facts, origin, counted_unit, scenario.id if scenario else "", rules.severity, conditions
    )
    return ExposureScore(
        score=bounded,
        severity=judged.severity,
        scenario=scenario.id if scenario else "",
        title=scenario.title if scenario else "",
        title_zh=scenario.title_zh if scenario else "",
        unit=round(unit, 3),
        reasons=(*reasons, *bounds, Reason("S", 0, judged.why, judged.why_zh)),
        row=judged.row,
        told=judged.told,
        clock=judged.clock,
        minutes=judged.minutes,
    )


def _twice(origin: Origin, rules: VerdictRules) -> float:
    """What U is multiplied by: a partner had the data in duty or service."""
    return rules.severity.partner if origin.beneath == "partner" else 1.0


def _unread(crowd: Crowd, facts: VerdictFacts) -> Reason:
    """What was not read, and that there may be customers in it."""
    what, chinese = unread_in_words(facts.unread)
    if crowd.customers:
        return Reason(
            "N",
            0,
            f"at least so many: not read, or not wholly: {what}",
            f"客户至少如此：未读取或未完整读取：{chinese}",
        )
    beside = ("posted beside the brand, ", "与本品牌同帖发布，") if facts.brand else ("", "")
    said, zh = ("offered, ", "兜售，") if facts.alarm else beside
    return Reason(
        "N",
        0,
        f"{said}could not be read, or not wholly: {what}",
        f"{zh}无法读取或未能完整读取：{chinese}",
    )


def _is_possible(way: ScenarioConditions, crowd: Crowd, facts: VerdictFacts) -> bool:
    """Whether what a way asks of rows and of the post is there; what asks nothing of rows needs
    the brand or a login.
    """
    if (
        (way.terms and not way.terms & set(facts.terms))
        or (way.logins and not (facts.logins or facts.live_cookies))
        or (way.brand and not facts.brand)
    ):
        return False
    if way.suspicion and not facts.suspicion:
        return False
    if way.every or way.some:
        return any(way.allowed_by(fields) for fields in crowd.groups)
    return way.logins or way.brand


def _base(way: ScenarioConditions, scenario: Scenario, crowd: Crowd, facts: VerdictFacts) -> Reason:
    labels, terms = sorted(way.every | way.some & crowd.fields), _written(way.terms, facts)
    logins = _ways_in(facts) if way.logins else []
    english = " ".join([*map(str, labels), *terms, *(pair[0] for pair in logins)])
    chinese = "、".join(
        [
            *([fields_in_words(frozenset(labels))[1]] if labels else []),
            *terms,
            *(pair[1] for pair in logins),
        ]
    )
    said = (
        f"{scenario.title}: {english}".removesuffix(": "),
        f"{scenario.title_zh}：{chinese}".removesuffix("："),
    )
    return Reason(scenario.id, way.points, *said)


def _ways_in(facts: VerdictFacts) -> list[tuple[str, str]]:
    """Logins at the tenant's own sites, or else cookies of them that have not expired."""
    if facts.logins:
        return [
            (
                f"{counted(facts.logins, 'login')} at the tenant's own sites",
                f"本单位网站登录信息{facts.logins}条",
            )
        ]
    told = f"{counted(facts.live_cookies, 'cookie')} of the tenant's own sites, not expired"
    return [(told, f"本单位网站未过期Cookie{facts.live_cookies}个")]


def _written(terms: frozenset[str], facts: VerdictFacts) -> list[str]:
    """Those of `terms` that the post has, as they stand there."""
    return [facts.written.get(term, term) for term in sorted(terms & set(facts.terms))]


def _adders(
    crowd: Crowd, unit: float, facts: VerdictFacts, origin: Origin, rules: VerdictRules
) -> Iterator[Reason]:
    """What the scenario's points are raised or lowered by."""
    points = next((p for limit, p in rules.volume.steps if unit < limit), rules.volume.beyond)
    points = max([points, *(p for people, p in rules.volume.people if crowd.customers >= people)])
    yield Reason(
        "V",
        points,
        f"{counted(crowd.customers, 'customer')}, U = {unit:.2f}",
        f"客户{crowd.customers}人，U = {unit:.2f}",
    )
    if facts.newest_date is not None:
        days = max(0, (facts.today - facts.newest_date).days)
        points = next(
            (p for limit, p in rules.freshness.steps if days <= limit), rules.freshness.older
        )
        yield Reason(
            "T",
            points,
            f"newest date in it is {counted(days, 'day')} old",
            f"数据中最新日期距今{days}天",
        )
    if spread := next((p for sites, p in rules.spread.steps if facts.sites >= sites), 0):
        yield Reason("R", spread, f"seen on {facts.sites} sites", f"出现于{facts.sites}个网站")
    if facts.free:
        yield Reason(
            "R1", rules.spread.free, "seen where a copy costs nothing", "出现于可免费获取之处"
        )
    yield from _corroboration(facts, origin, rules)
    yield from filter(None, (_modifier(modifier, crowd, facts) for modifier in rules.modifier))


def _corroboration(facts: VerdictFacts, origin: Origin, rules: VerdictRules) -> Iterator[Reason]:
    known = rules.corroboration
    if facts.matched_rows and facts.corroborated_rows / facts.matched_rows >= known.share:
        told = (
            f"two or more fields of one customer in {facts.corroborated_rows} of"
            f" {facts.matched_rows} rows"
        )
        chinese = f"{facts.matched_rows}行中有{facts.corroborated_rows}行含同一客户的两项以上字段"
        yield Reason("C1", known.points, told, chinese)
    if origin.canaries:
        yield Reason(
            "C2",
            known.canary,
            "a honeytoken was found in a verified row",
            "已核实的行中发现诱饵数据",
        )
    if facts.brand:
        yield Reason("C3", known.brand, "the tenant's brand is named", "提及本单位名称")


def _modifier(modifier: Modifier, crowd: Crowd, facts: VerdictFacts) -> Reason | None:
    told: list[str] = []
    if modifier.fields:
        told = sorted(map(str, modifier.fields & crowd.fields))
    elif modifier.minors:
        told = [str(facts.minors)] if facts.minors else []
    elif "*" in modifier.terms:
        told = [str(len(facts.terms))] if facts.terms else []
    else:
        told = _written(modifier.terms, facts)
    if not told:
        return None
    what = " ".join(told)
    return Reason(
        modifier.code,
        modifier.points,
        f"{modifier.text}: {what}",
        f"{modifier.text_zh or modifier.text}：{what}",
    )


def _bounded(
    score: int, crowd: Crowd, facts: VerdictFacts, origin: Origin, rules: VerdictRules
) -> tuple[int, list[Reason]]:
    """The score between its floors and caps, with what they added or took."""
    known, reasons = rules.exposure, []
    grave = "a password or code of a verified customer", "含已核实客户的密码或验证码"
    for code, applies, bound, (why, chinese) in (
        ("F1", bool(facts.verified.fields & HIGHEST), known.grave_floor, grave),
        (
            "F2",
            bool(origin.canaries),
            known.canary_floor,
            ("a honeytoken was found", "发现诱饵数据"),
        ),
    ):
        if applies and score < bound:
            reasons.append(
                Reason(code, bound - score, f"at least {bound}: {why}", f"不低于{bound}：{chinese}")
            )
            score = bound
    fabricated = origin.verdict == "fabricated" and not crowd.customers
    made_up = (
        "a list that somebody made up, without a verified customer",
        "系编造数据，且无已核实客户",
    )
    for code, applies, bound, (why, chinese) in (
        (
            "K1",
            not crowd.customers and not origin.canaries,
            known.unmatched_cap,
            ("no customer matched", "未匹配到客户"),
        ),
        ("K2", fabricated, known.fabricated_cap, made_up),
    ):
        if applies and score > bound:
            reasons.append(
                Reason(code, bound - score, f"at most {bound}: {why}", f"不高于{bound}：{chinese}")
            )
            score = bound
    return score, reasons
