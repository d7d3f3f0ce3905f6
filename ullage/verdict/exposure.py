"""Compute exposure, 0 to 100: how the customers in a leak can be cheated, whoever leaked it.

Base points of the worst scenario that the fields of one row allow, plus volume in units of the
criminal interpretation, freshness, spread, corroboration and modifiers; then floors, then caps
(`rules.toml`). Every point has a reason, and the reasons add up to the score.

Two facts that lower a score elsewhere do not lower this one. That chance alone would match as many
(the base rate) says whose list it is, not what a caller can do with it: it belongs to the origin,
and to the severity. That the rows were published before (replay) changes nothing either: a caller
with last year's loan list cheats as well as last year. The content of the rows does age, and
freshness already takes points for that; taking them twice would hide people who are being called
today. A fabricated list is different: only customers that chance cannot have matched count in it,
because nothing else in it is true.
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
    Recipient,
    Scenario,
    ScenarioConditions,
    Severity,
    VerdictRules,
)
from ullage.verdict.severity import DECIDE_MINUTES, judge_severity, select_counting
from ullage.verdict.words import describe_fields, describe_unread, format_count
from ullage.vocabulary.fields import HIGHEST, SERIOUS_AT


@dataclass(frozen=True, slots=True)
class ExposureScore:
    """The exposure of an incident, with its reasons.

    It has a `score` of 0–100, a `severity`, the worst `scenario` ("" if none), and `unit` U. `row`
    of the severity table applied. It says whom to `notify`, which `clock` starts, and within how
    many `minutes` a person decides if that is "if confirmed". The last reason explains it.
    """

    score: int
    severity: Severity
    scenario: str
    title: str
    title_zh: str
    unit: float
    reasons: tuple[Reason, ...]
    row: int
    notify: Recipient
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
    notify="desk_now",
    clock="if confirmed",
    minutes=DECIDE_MINUTES,
)
"""Result where the rules failed.

Severe enough that somebody looks at once, but without a deadline that no fact supports.
"""


def severity_unit(crowd: Crowd) -> float:
    """Return U = nA/50 + nB/500 + nC/5000 over customers, one class each.

    The divisors are those of 法释〔2017〕10 art. 5(1), used as an index.
    """
    return sum(number / SERIOUS_AT[name] for name, number in crowd.classes.items())


def judge_exposure(
    facts: VerdictFacts, origin: Origin, rules: VerdictRules, conditions: StepConditions
) -> ExposureScore:
    """Return the exposure of the customers in `facts`, and the severity, explained.

    `origin` decides which customers count (`fabricated`: only verified ones), the factor of a
    partner, the points that are added, and the bounds of the score. `conditions` are those of the
    next step.
    """
    crowd = facts.verified if origin.verdict == "fabricated" else facts.people
    unit = severity_unit(crowd) * _partner_factor(origin, rules)
    worst = next((pair for pair in rules.list_ways() if _is_possible(pair[0], crowd, facts)), None)
    reasons = []
    if worst is not None:
        reasons = [
            _explain_scenario(*worst, crowd, facts),
            *_explain_adders(crowd, unit, facts, origin, rules),
        ]
    elif facts.alarm and not crowd.customers:
        does, zh = ("asks for", "求购") if facts.wanted else ("offers", "兜售")
        english = f"the post {does} data of this brand; no customer matched"
        reasons.append(
            Reason("J1", rules.exposure.offer, english, f"帖子{zh}本品牌客户资料，未匹配到客户")
        )
    if facts.unread:
        reasons.append(_explain_unread(crowd, facts))
    bounded, bounds = _apply_bounds(
        max(0, min(100, sum(r.points for r in reasons))), crowd, facts, origin, rules
    )
    scenario = worst[1] if worst else None
    counted_unit = severity_unit(select_counting(facts, origin)) * _partner_factor(origin, rules)
    judged = judge_severity(
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
        notify=judged.notify,
        clock=judged.clock,
        minutes=judged.minutes,
    )


def _partner_factor(origin: Origin, rules: VerdictRules) -> float:
    """Return the factor of U: a partner had the data in duty or service."""
    return rules.severity.partner if origin.beneath == "partner" else 1.0


def _explain_unread(crowd: Crowd, facts: VerdictFacts) -> Reason:
    """Return the reason that some content was not read, which may contain customers."""
    what, chinese = describe_unread(facts.unread)
    if crowd.customers:
        return Reason(
            "N",
            0,
            f"at least this many, not fully read: {what}",
            f"客户至少如此：未读取或未完整读取：{chinese}",
        )
    beside = ("posted beside the brand, ", "与本品牌同帖发布，") if facts.brand else ("", "")
    prefix, zh = ("offered, ", "兜售，") if facts.alarm else beside
    return Reason(
        "N",
        0,
        f"{prefix}could not be fully read: {what}",
        f"{zh}无法读取或未能完整读取：{chinese}",
    )


def _is_possible(way: ScenarioConditions, crowd: Crowd, facts: VerdictFacts) -> bool:
    """Return whether rows and post meet the conditions of a scenario.

    All conditions must hold. A scenario that asks for no fields needs a login or the brand.
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
        return any(way.allows_fields(fields) for fields in crowd.groups)
    return way.logins or way.brand


def _explain_scenario(
    way: ScenarioConditions, scenario: Scenario, crowd: Crowd, facts: VerdictFacts
) -> Reason:
    labels, terms = (
        sorted(way.every | way.some & crowd.fields),
        _list_written_terms(way.terms, facts),
    )
    logins = _describe_logins(facts) if way.logins else []
    english = " ".join([*map(str, labels), *terms, *(pair[0] for pair in logins)])
    chinese = "、".join(
        [
            *([describe_fields(frozenset(labels))[1]] if labels else []),
            *terms,
            *(pair[1] for pair in logins),
        ]
    )
    texts = (
        f"{scenario.title}: {english}".removesuffix(": "),
        f"{scenario.title_zh}：{chinese}".removesuffix("："),
    )
    return Reason(scenario.id, way.points, *texts)


def _describe_logins(facts: VerdictFacts) -> list[tuple[str, str]]:
    """Describe logins at the tenant's own sites, or else their unexpired cookies."""
    if facts.logins:
        return [
            (
                f"{format_count(facts.logins, 'login')} at the tenant's own sites",
                f"本单位网站登录信息{facts.logins}条",
            )
        ]
    english = f"{format_count(facts.live_cookies, 'cookie')} of the tenant's own sites, not expired"
    return [(english, f"本单位网站未过期Cookie{facts.live_cookies}个")]


def _list_written_terms(terms: frozenset[str], facts: VerdictFacts) -> list[str]:
    """List the `terms` that occur in the post, as written there."""
    return [facts.written.get(term, term) for term in sorted(terms & set(facts.terms))]


def _explain_adders(
    crowd: Crowd, unit: float, facts: VerdictFacts, origin: Origin, rules: VerdictRules
) -> Iterator[Reason]:
    """Yield the reasons that raise or lower the points of the scenario.

    These are the number of customers, always, and, where they apply, the age of the newest date,
    the sites, corroboration and the rules' modifiers.
    """
    points = next((p for limit, p in rules.volume.steps if unit < limit), rules.volume.beyond)
    points = max([points, *(p for people, p in rules.volume.people if crowd.customers >= people)])
    yield Reason(
        "V",
        points,
        f"{format_count(crowd.customers, 'customer')}, U = {unit:.2f}",
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
            f"newest date in it is {format_count(days, 'day')} old",
            f"数据中最新日期距今{days}天",
        )
    if spread := next((p for sites, p in rules.spread.steps if facts.sites >= sites), 0):
        yield Reason("R", spread, f"seen on {facts.sites} sites", f"出现于{facts.sites}个网站")
    if facts.free:
        yield Reason(
            "R1", rules.spread.free, "seen where a copy costs nothing", "出现于可免费获取之处"
        )
    yield from _explain_corroboration(facts, origin, rules)
    yield from filter(
        None, (_explain_modifier(modifier, crowd, facts) for modifier in rules.modifier)
    )


def _explain_corroboration(
    facts: VerdictFacts, origin: Origin, rules: VerdictRules
) -> Iterator[Reason]:
    corroboration = rules.corroboration
    if facts.matched_rows and facts.corroborated_rows / facts.matched_rows >= corroboration.share:
        english = (
            f"two or more fields of one customer in {facts.corroborated_rows} of"
            f" {facts.matched_rows} rows"
        )
        chinese = f"{facts.matched_rows}行中有{facts.corroborated_rows}行含同一客户的两项以上字段"
        yield Reason("C1", corroboration.points, english, chinese)
    if origin.canaries:
        yield Reason(
            "C2",
            corroboration.canary,
            "a honeytoken was found in a verified row",
            "已核实的行中发现诱饵数据",
        )
    if facts.brand:
        yield Reason("C3", corroboration.brand, "the tenant's brand is named", "提及本单位名称")


def _explain_modifier(modifier: Modifier, crowd: Crowd, facts: VerdictFacts) -> Reason | None:
    matched: list[str] = []
    labels = modifier.fields & crowd.fields
    if modifier.fields:
        matched = sorted(map(str, labels))
    elif modifier.minors:
        matched = [str(facts.minors)] if facts.minors else []
    elif "*" in modifier.terms:
        matched = [str(len(facts.terms))] if facts.terms else []
    else:
        matched = _list_written_terms(modifier.terms, facts)
    if not matched:
        return None
    what = " ".join(matched)
    chinese = describe_fields(labels)[1] if labels else what
    return Reason(
        modifier.code,
        modifier.points,
        f"{modifier.text}: {what}",
        f"{modifier.text_zh or modifier.text}：{chinese}",
    )


def _apply_bounds(
    score: int, crowd: Crowd, facts: VerdictFacts, origin: Origin, rules: VerdictRules
) -> tuple[int, list[Reason]]:
    """Return the score between its floors and caps, and the reasons for each change."""
    limits, reasons = rules.exposure, []
    grave = "a password or code of a verified customer", "含已核实客户的密码或验证码"
    for code, applies, bound, (why, chinese) in (
        ("F1", bool(facts.verified.fields & HIGHEST), limits.grave_floor, grave),
        (
            "F2",
            bool(origin.canaries),
            limits.canary_floor,
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
        "an invented list without a verified customer",
        "系编造数据，且无已核实客户",
    )
    for code, applies, bound, (why, chinese) in (
        (
            "K1",
            not crowd.customers and not origin.canaries,
            limits.unmatched_cap,
            ("no customer matched", "未匹配到客户"),
        ),
        ("K2", fabricated, limits.fabricated_cap, made_up),
    ):
        if applies and score > bound:
            reasons.append(
                Reason(code, bound - score, f"at most {bound}: {why}", f"不高于{bound}：{chinese}")
            )
            score = bound
    return score, reasons
