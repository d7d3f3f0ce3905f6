"""Determine the severity: what a person has to do, by when, and who is notified.

The first matching row of a table applies (`rules.toml`, `[severity]`).

    noise      nothing; only counted        medium     assessment (PIPL 57) today, protect customers
    notice     a look within five days      high       page somebody, consider a police report
    low        a look within a day          statutory  enough people for regulators' deadlines

Two counts decide: M, all customers matched by anything, and V, those who agree in two or more
fields of a row, which chance never gives. How many agree says how severe it is, never whose it is:
that is decided by the origin, by shares. Which deadline a row starts, running or "if confirmed", is
a column of the table; for a medium it is a setting of the tenant, for its counsel.

The index U of 法释〔2017〕10 raises a row by one, as customers under 14 do; nothing lowers it.
Finally, the severity is raised to what the next step demands (`next_step.py`), so that no step is
shown with a lower severity.
"""

from __future__ import annotations

from dataclasses import dataclass

from ullage.identifiers import kinds
from ullage.verdict.facts import Crowd, VerdictFacts
from ullage.verdict.next_step import StepConditions, raise_to_step
from ullage.verdict.origin import Origin
from ullage.verdict.rules import (
    ORDER,
    ClockWord,
    Recipient,
    Severity,
    SeverityConditions,
    SeverityRow,
    SeverityRules,
)
from ullage.verdict.words import describe_fields, format_count
from ullage.vocabulary.fields import FieldLabel, Shows, shows

IN_CHINESE: dict[Severity, str] = {
    "noise": "噪声",
    "notice": "提示",
    "low": "低",
    "medium": "中",
    "high": "高",
    "statutory": "法定上报",
}
RAISED_RECIPIENT: dict[Severity, dict[Recipient, Recipient]] = {
    "notice": {"nobody": "digest"},
    "low": {"nobody": "digest", "digest": "desk"},
    "medium": {"nobody": "desk", "digest": "desk"},
    "high": {
        "nobody": "lead",
        "digest": "lead",
        "desk": "lead",
        "desk_now": "lead",
        "fraud_queue": "anti_fraud",
        "fraud_morning": "anti_fraud",
    },
}
"""Who is notified instead of the row's recipients, by the raised severity.

High severities are notified by phone.
"""
DECIDE_MINUTES = 60
"""Time for a person to decide if the deadline is "if confirmed" and the row gives none."""
ORIGINS_OF_ALL = ("ours", "partner")
"""If the rows are ours, all their customers count towards U; otherwise those who agree."""


@dataclass(frozen=True, slots=True)
class SeverityVerdict:
    """The severity and the applied row of the table.

    It also holds the recipients, the deadline, and the reason in English and Chinese. `minutes` is
    the time for a person to decide if the deadline is "if confirmed", else 0.
    """

    severity: Severity
    row: int
    notify: Recipient
    clock: ClockWord
    minutes: int
    why: str
    why_zh: str


def judge_severity(
    facts: VerdictFacts,
    origin: Origin,
    unit: float,
    scenario: str,
    rules: SeverityRules,
    conditions: StepConditions,
) -> SeverityVerdict:
    """Return the severity of a leak, with its reporting deadline, recipients and explanation.

    The severity is at least what the next step requires. `unit` is the exposure per customer, of
    the customers that count (`select_counting`), `scenario` the id of the worst scenario ("" for
    none), and `conditions` what decides on the next step.
    """
    row = _find_row(facts, origin, rules)
    raised, why, why_zh = _raise_by_index(row.severity, facts, unit, rules)
    severity = raise_to_step(origin.verdict, raised, scenario, conditions)
    if severity != raised:
        why += f", raised to {severity} by its next step"
        why_zh += f"，按下一步处置上调为{IN_CHINESE[severity]}"
    recipients = (
        row.notify
        if severity == row.severity
        else RAISED_RECIPIENT.get(severity, {}).get(row.notify, row.notify)
    )
    english_text, chinese_text = _describe(row, facts, origin)
    english = f"{severity}: {english_text}{why}; row {row.number}"
    chinese = f"{IN_CHINESE[severity]}：{chinese_text}{why_zh}；第{row.number}行"
    return SeverityVerdict(
        severity, row.number, recipients, *_choose_deadline(row, severity, facts), english, chinese
    )


def _find_row(facts: VerdictFacts, origin: Origin, rules: SeverityRules) -> SeverityRow:
    """Return the first row of the table that applies, or the later one that it yields to."""
    row = next((row for row in rules.row if _applies(row, facts, origin, rules)), rules.row[-1])
    if row.yields_to:
        later = (
            candidate
            for candidate in rules.row
            if candidate.number == row.yields_to and _applies(candidate, facts, origin, rules)
        )
        as_grave = (
            candidate
            for candidate in later
            if ORDER.index(candidate.severity) >= ORDER.index(row.severity)
        )
        row = next((candidate for candidate in as_grave if candidate.clock != "none"), row)
    return row


def _raise_by_index(
    severity: Severity, facts: VerdictFacts, unit: float, rules: SeverityRules
) -> tuple[Severity, str, str]:
    """Return `severity`, raised by one if U or minors demand it, and why in both languages."""
    may_be_raised = severity not in ("noise", "high", "statutory") and facts.people.customers
    if not may_be_raised or not (unit >= rules.raised or facts.minors):
        return severity, "", ""
    by_unit, minors = (
        f"U = {unit:.0f}",
        (f"{facts.minors} under 14", f"不满十四周岁{facts.minors}人"),
    )
    why, why_zh = (by_unit, by_unit) if unit >= rules.raised else minors
    return ORDER[ORDER.index(severity) + 1], f", raised by one ({why})", f"，上调一级（{why_zh}）"


def _choose_deadline(
    row: SeverityRow, severity: Severity, facts: VerdictFacts
) -> tuple[ClockWord, int]:
    """Return the deadline that starts, and within how many minutes a person decides.

    For a medium the tenant's setting chooses the deadline.
    """
    clock = facts.medium_deadline if severity == "medium" and row.clock != "none" else row.clock
    return clock, (row.minutes or DECIDE_MINUTES) if clock == "if confirmed" else 0


def decide_minutes(severity: Severity, clock: ClockWord, minutes: int) -> int:
    """Return within how many minutes a person must decide whether a leak is confirmed.

    0 if nobody has to: severities below medium are handled within a day.
    """
    asks = clock == "if confirmed" and ORDER.index(severity) >= ORDER.index("medium")
    return (minutes or DECIDE_MINUTES) if asks else 0


def select_counting(facts: VerdictFacts, origin: Origin) -> Crowd:
    """Return the customers whose U may raise a severity."""
    return facts.people if origin.beneath in ORIGINS_OF_ALL else facts.agreeing


def _applies(row: SeverityRow, facts: VerdictFacts, origin: Origin, rules: SeverityRules) -> bool:
    return any(_all_hold(when, facts, origin, rules) for when in row.when)


def _all_hold(
    when: SeverityConditions, facts: VerdictFacts, origin: Origin, rules: SeverityRules
) -> bool:
    """Return whether all conditions of `when` hold."""
    return (
        (not when.origins or origin.beneath in when.origins)
        and _people_hold(when, facts, origin, rules)
        and _post_holds(when, facts, rules)
        and facts.logins - facts.staff_logins >= when.customer_logins
        and facts.staff_logins >= when.staff_logins
        and _cookies_hold(when, facts)
        and (not when.codes or _count_with_codes(facts) >= when.codes)
        and (
            when.days is None
            or facts.newest_date is None
            or (facts.today - facts.newest_date).days <= when.days
        )
        and (not when.known or (origin.verdict == "recycled" and facts.replayed >= when.known))
        and (not when.acknowledged or facts.replay_told)
    )


def _cookies_hold(when: SeverityConditions, facts: VerdictFacts) -> bool:
    """Return whether the conditions on cookies of own sites hold."""
    staff, customers = facts.live_staff_cookies, facts.live_cookies - facts.live_staff_cookies
    return (
        facts.cookies >= when.cookies
        and staff >= when.staff_cookies
        and customers >= when.customer_cookies
    )


def _count_with_codes(facts: VerdictFacts) -> int:
    """Count the rows with a customer and a one-time code."""
    return min(
        facts.people.customers,
        sum(number for fields, number in facts.people.groups.items() if FieldLabel.OTP in fields),
    )


def _people_hold(
    when: SeverityConditions, facts: VerdictFacts, origin: Origin, rules: SeverityRules
) -> bool:
    """Return whether the conditions on customers and rows hold."""
    return (
        facts.people.customers >= when.people
        and (
            not when.people_show
            or any(when.people_show & shows(fields) for fields in facts.people.groups)
        )
        and count_agreeing(facts, when.showing, rules) >= when.agreeing
        and not (when.alone and facts.agreeing.customers)
        and not (when.half and facts.agreeing_share < 0.5)
        and (when.chance is None or _can_be_chance(facts, origin, when.chance, rules.few))
        and when.passwords
        in (
            None,
            bool(facts.logins or facts.cookies) or FieldLabel.PASSWORD in facts.people.fields,
        )
    )


def _post_holds(when: SeverityConditions, facts: VerdictFacts, rules: SeverityRules) -> bool:
    """Return whether the conditions on the post hold."""
    return (
        (when.offered is None or (facts.is_offered if when.offered else not facts.alarm))
        and when.named in (None, facts.brand)
        and facts.claimed >= when.claimed
        and not (when.insider and not rules.insiders & set(facts.terms))
        and when.whole in (None, facts.is_whole)
    )


def count_agreeing(facts: VerdictFacts, showing: frozenset[Shows], rules: SeverityRules) -> int:
    """Return V, or the part of V whose rows show one of `showing`.

    A row beside an offer of identity images counts as showing the gravest.
    """
    if not showing or (Shows.GRAVE in showing and rules.images & set(facts.terms)):
        return facts.agreeing.customers
    return facts.agreeing.count_showing(showing)


def _can_be_chance(facts: VerdictFacts, origin: Origin, times: float, few: float) -> bool:
    """Return whether chance can explain M: at most `times` the expected matches.

    In a short list, the probability must exceed `few`. Chance never matches a value that is
    hardly ever somebody's.
    """
    return not facts.verified.customers and (
        origin.matched <= times * origin.expected or origin.p > few
    )


def _describe(row: SeverityRow, facts: VerdictFacts, origin: Origin) -> tuple[str, str]:
    """Describe the leak to a duty officer: who, which fields, how it is offered, what it means."""
    parts = [_describe_people(facts, origin)]
    if facts.alarm:
        parts.append(
            ("asked for by our name", "点名求购")
            if facts.wanted
            else ("offered with our name", "以我方名义兜售")
        )
    # there, the site of the login names us
    elif facts.brand and origin.beneath != "devices":
        parts.append(("beside our name", "与我方名称同帖"))
    if facts.claimed:
        parts.append((f"{facts.claimed:,} claimed", f"自称{facts.claimed:,}条"))
    if not facts.is_whole:
        parts.append(("not fully read", "未能全部读取"))
    parts.append((row.says, row.says_zh))
    return ", ".join(english for english, _ in parts), "，".join(chinese for _, chinese in parts)


def _describe_people(facts: VerdictFacts, origin: Origin) -> tuple[str, str]:
    """Describe how many people of which kind, with which fields, in English and Chinese.

    Logins and cookies are described in place of people where the leak is of devices.
    """
    logins = facts.staff_logins or facts.logins
    if origin.beneath == "devices" and logins:
        english, chinese = (
            ("staff login", "员工") if facts.staff_logins else ("customer login", "客户")
        )
        return (
            f"{format_count(logins, english)} at our own sites",
            f"我方网站{chinese}登录信息{logins:,}条",
        )
    if origin.beneath == "devices" and facts.live_cookies:
        staff = facts.live_staff_cookies
        english, chinese = ("staff cookie", "员工") if staff else ("customer cookie", "客户")
        number = staff or facts.live_cookies
        return (
            f"{format_count(number, english)} of our own sites, not expired",
            f"我方网站{chinese}未过期Cookie{number:,}个",
        )
    crowd = facts.agreeing if facts.agreeing.customers else facts.people
    if not crowd.customers:
        return "no customer of ours was found", "未发现我方客户"
    if crowd is facts.people and facts.matched_kinds:
        return _describe_single_matches(facts)
    english, chinese = describe_fields(_most_common_fields(crowd))
    of_ours = "of our customers" if crowd.customers > 1 else "customer of ours"
    return (
        f"{crowd.customers:,} {of_ours} with {english}",
        f"我方客户{crowd.customers:,}人，含{chinese}",
    )


def _describe_single_matches(facts: VerdictFacts) -> tuple[str, str]:
    """Describe customers matched by single values.

    Other values in their rows may belong to somebody else.
    """
    customers = facts.people.customers
    english, chinese = describe_fields(
        frozenset(kinds()[kind].field for kind in facts.matched_kinds if kind in kinds())
    )
    of_ours = "of our customers" if customers > 1 else "customer of ours"
    return (
        f"{customers:,} {of_ours} by {english} alone",
        f"我方客户{customers:,}人，仅{chinese}相符",
    )


def _most_common_fields(crowd: Crowd) -> frozenset[str]:
    """Return the field set of most rows; of equally frequent sets the largest."""
    return max(
        crowd.groups,
        key=lambda fields: (crowd.groups[fields], len(fields), sorted(fields)),
        default=frozenset(),
    )
