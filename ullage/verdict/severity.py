"""Severity, S0 to S5: what a human has to do, and by when. Severity orders the work; only a human's decision starts a duty.

    noise      nothing; counted only          medium      assessment (PIPL 57) today, protect the customers
    notice     a look within five days        high        the incident lead is paged, a report to the police is considered
    low        a look within a day            statutory   people enough that regulators have clocks for it

The unit U is that of `exposure`. It is taken over all customers, except where what matched is as chance would have it, or was
made up: there only the verified count, so that a million random numbers, of which a large platform's customers hold every
sixth, wake nobody. Rows that say something of these people (a loan, an order) still put them at risk, so such a list stays
visible, below what pages. A leak that is somebody else's by the numbers pages nobody either, whatever its size.
"""

from __future__ import annotations

from typing import get_args

from ullage.fields import HIGHEST, Field, class_of
from ullage.verdict.facts import Crowd, Facts
from ullage.verdict.origin import Origin
from ullage.verdict.rules import Severity, SeverityRules

ORDER: tuple[Severity, ...] = get_args(Severity)
IN_CHINESE: dict[Severity, str] = {
    "noise": "噪声",
    "notice": "提示",
    "low": "低",
    "medium": "中",
    "high": "高",
    "statutory": "法定上报",
}
TELLING = frozenset((Field.ADDRESS, Field.EMPLOYER))
"""Of class C, yet more than who somebody is and how to reach them."""


Judged = tuple[Severity, str, str]
"""The severity, and why in English and Chinese."""


def severity_of(facts: Facts, origin: Origin, units: tuple[float, float], rules: SeverityRules) -> Judged:
    """The severity and why. `units` are U of all customers and of the verified."""
    everybody, verified = units
    if origin.verdict == "recycled" and facts.replayed >= rules.repeated:
        share, before = f"{facts.replayed:.0%}", facts.replay_of
        told = f"{share} of these customers stood with the same fields in {before} before"
        return _judged("noise", told, f"{share}的客户曾以相同字段出现于{before}")
    if origin.verdict == "fabricated":
        found, known = _by_unit(facts.verified, verified, facts, rules), facts.verified.customers
        return _judged(found, f"made up, so only the {known} verified customers count", f"系编造数据，仅计已核实客户{known}人")
    if origin.by_chance and facts.people.customers:
        return _by_chance(facts, (everybody, verified), rules)
    if origin.verdict == "partner":
        unit = everybody * rules.partner
        found = _highest("high", _by_unit(facts.people, unit, facts, rules))
        told = f"bait names who leaked it; U counts twice ({unit:.2f})"
        return _judged(found, told, f"诱饵数据指明泄露方，U按双倍计（{unit:.2f}）")
    found = _by_unit(facts.people, everybody, facts, rules)
    if origin.verdict == "elsewhere" and ORDER.index(found) > ORDER.index(rules.not_ours):
        told = f"a leak of somebody else, so no more than that ({found} by U = {everybody:.2f})"
        return _judged(rules.not_ours, told, f"系他处泄露，故以此为限（按U = {everybody:.2f}为{IN_CHINESE[found]}）")
    agree = found == "low" and everybody < rules.low
    told = f"U = {everybody:.3g}"
    return _judged(found, told + ", and rows agree in two fields" * agree, told + "，且有行两项字段相符" * agree)


def _judged(found: Severity, why: str, why_zh: str) -> Judged:
    return found, f"{found}: {why}", f"{IN_CHINESE[found]}：{why_zh}"


def _by_chance(facts: Facts, units: tuple[float, float], rules: SeverityRules) -> Judged:
    """Of a list that matches as chance would: by who is verified, or by what the rows say of all."""
    everybody, verified = units
    found, known = _by_unit(facts.verified, verified, facts, rules), facts.verified.customers
    counted, chinese = f"so only the {known} verified customers count", f"仅计已核实客户{known}人"
    if everybody >= rules.low and any(_tells(fields) for fields in facts.people.groups):
        told = _by_unit(facts.people, everybody, facts, rules)
        if ORDER.index(told) > ORDER.index(found):
            found, counted, chinese = told, "but the rows tell more of them than who they are", "但各行所含信息不止身份与联系方式"
    capped = ORDER.index(found) > ORDER.index(rules.not_ours)
    counted, chinese = f"chance alone matches as many, {counted}", f"匹配数与随机命中相当，{chinese}"
    if capped:
        return _judged(rules.not_ours, f"{counted}, and it is no leak of ours", f"{chinese}，且非我方泄露")
    return _judged(found, counted, chinese)


def _tells(fields: frozenset[str]) -> bool:
    return bool(TELLING & fields) or class_of(fields - {Field.CARD}) != "C"


def _by_unit(crowd: Crowd, unit: float, facts: Facts, rules: SeverityRules) -> Severity:
    """By people and U; a password, card code or one-time code of a verified customer is at least medium."""
    if not crowd.customers:
        return _unmatched(facts, rules)
    if crowd.customers >= rules.statutory:
        return "statutory"
    grave = facts.verified.customers if facts.verified.fields & HIGHEST else 0
    if unit >= rules.high or grave >= rules.grave:
        return "high"
    if unit >= rules.medium or grave:
        return "medium"
    return "low" if unit >= rules.low or facts.corroborated_rows >= 2 else "notice"


def _unmatched(facts: Facts, rules: SeverityRules) -> Severity:
    """Nobody counts: by logins at the tenant's own sites, else by whether its data is offered, or may be in what was not read."""
    if facts.logins:
        return "medium" if facts.logins >= rules.logins else "low"
    return "notice" if facts.alarm or facts.unread_beside_brand else "noise"


def _highest(one: Severity, other: Severity) -> Severity:
    return max(one, other, key=ORDER.index)
