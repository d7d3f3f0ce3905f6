"""Severity: what a human has to do, by when, and who is told.

The first row of a table that applies (`rules.toml`, `[severity]`).

    noise      nothing; counted only          medium      assessment (PIPL 57) today, protect the customers
    notice     a look within five days        high        somebody is paged, a report to the police is considered
    low        a look within a day            statutory   people enough that regulators have clocks for it

Two counts decide: M, all customers that were matched by anything, and V, those who agree in two or
more fields of a row, which chance never gives. How many agree says how grave it is, never whose it
is: that is the origin's, by shares. Which clock a row starts, running or "if confirmed", is a
column of the table; of a medium it is a setting of the tenant, for its counsel.

The index U of 法释〔2017〕10 raises a row by one, as customers under 14 do; nothing lowers. Last,
the severity is raised to what the next step demands that a person reads beside it (`next_step.py`):
whatever the table says, no step stands below its severity.
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass

from ullage.identifiers import kinds
from ullage.verdict.facts import Crowd, VerdictFacts
from ullage.verdict.next_step import StepConditions, raise_to_step
from ullage.verdict.origin import Origin
from ullage.verdict.rules import (
    ORDER,
    ClockWord,
    Severity,
    SeverityConditions,
    SeverityRow,
    SeverityRules,
    Told,
)
from ullage.verdict.words import counted, fields_in_words
from ullage.vocabulary.fields import FieldLabel, Shows, shows

IN_CHINESE: dict[Severity, str] = {
    "noise": "噪声",
    "notice": "提示",
    "low": "低",
    "medium": "中",
    "high": "高",
    "statutory": "法定上报",
}
RAISED_TOLD: dict[Severity, dict[Told, Told]] = {
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
"""By the severity that a row was raised to, who is told instead of those whom the row names:
what is high is told by phone.
"""
DECIDE_MINUTES = 60
"""Within which a person decides where the clock is "if confirmed" and the row says nothing else."""
ORIGINS_OF_ALL = ("ours", "partner")
"""Where the rows are ours, all customers in them count towards U; elsewhere those who agree."""


@dataclass(frozen=True, slots=True)
class SeverityVerdict:
    """The severity, the row of the table that applied, who is told and which clock starts, and why
    in English and Chinese.

    `minutes` is within what time a person decides where the clock is "if confirmed", else 0.
    """

    severity: Severity
    row: int
    told: Told
    clock: ClockWord
    minutes: int
    why: str
    why_zh: str


def severity_of(
    facts: VerdictFacts,
    origin: Origin,
    unit: float,
    scenario: str,
    rules: SeverityRules,
    conditions: StepConditions,
) -> SeverityVerdict:
    """Return the severity of `facts`, at least what its next step demands.

    `unit` is U of those who count (`counting`), `scenario` the worst scenario's id ("" for none),
    `conditions` what the reader of the step is shown beside it.
    """
    row = _first_row(facts, origin, rules)
    raised, why, why_zh = _raised_by_index(row.severity, facts, unit, rules)
    severity = raise_to_step(origin.verdict, raised, scenario, conditions)
    if severity != raised:
        why += f", raised to {severity} by its next step"
        why_zh += f"，按下一步处置上调为{IN_CHINESE[severity]}"
    told = (
        row.told
        if severity == row.severity
        else RAISED_TOLD.get(severity, {}).get(row.told, row.told)
    )
    said, said_zh = _said(row, facts, origin)
    english = f"{severity}: {said}{why}; row {row.number}"
    chinese = f"{IN_CHINESE[severity]}：{said_zh}{why_zh}；第{row.number}行"
    return SeverityVerdict(
        severity, row.number, told, *_clock(row, severity, facts), english, chinese
    )


def _first_row(facts: VerdictFacts, origin: Origin, rules: SeverityRules) -> SeverityRow:
    """Return the first row of the table that applies, or the later one that it yields to."""
    row = next((row for row in rules.row if _applies(row, facts, origin, rules)), rules.row[-1])
    if row.yields_to:
        later = (
            other
            for other in rules.row
            if other.number == row.yields_to and _applies(other, facts, origin, rules)
        )
        as_grave = (
            other for other in later if ORDER.index(other.severity) >= ORDER.index(row.severity)
        )
        row = next((other for other in as_grave if other.clock != "none"), row)
    return row


def _raised_by_index(
    severity: Severity, facts: VerdictFacts, unit: float, rules: SeverityRules
) -> tuple[Severity, str, str]:
    """Return `severity`, raised by one where U or minors ask for it, and why in English and
    Chinese.
    """
    may_be_raised = severity not in ("noise", "high", "statutory") and facts.people.customers
    if not may_be_raised or not (unit >= rules.raised or facts.minors):
        return severity, "", ""
    by_unit, minors = (
        f"U = {unit:.0f}",
        (f"{facts.minors} under 14", f"不满十四周岁{facts.minors}人"),
    )
    why, why_zh = (by_unit, by_unit) if unit >= rules.raised else minors
    return ORDER[ORDER.index(severity) + 1], f", raised by one ({why})", f"，上调一级（{why_zh}）"


def _clock(row: SeverityRow, severity: Severity, facts: VerdictFacts) -> tuple[ClockWord, int]:
    """Which clock starts, and within how many minutes a person decides; of a medium the tenant
    has set which of the two it is.
    """
    clock = facts.medium_deadline if severity == "medium" and row.clock != "none" else row.clock
    return clock, (row.minutes or DECIDE_MINUTES) if clock == "if confirmed" else 0


def decide_minutes(severity: Severity, clock: ClockWord, minutes: int) -> int:
    """Within how many minutes of being told a person decides whether it is confirmed; 0 where
    nobody has to.

    What is less than medium is worked within a day and asks for no decision at once.
    """
    asks = clock == "if confirmed" and ORDER.index(severity) >= ORDER.index("medium")
    return (minutes or DECIDE_MINUTES) if asks else 0


def counting(facts: VerdictFacts, origin: Origin) -> Crowd:
    """The customers whose U may raise a severity."""
    return facts.people if origin.beneath in ORIGINS_OF_ALL else facts.agreeing


def _applies(row: SeverityRow, facts: VerdictFacts, origin: Origin, rules: SeverityRules) -> bool:
    return any(_holds(when, facts, origin, rules) for when in row.when)


def _holds(
    when: SeverityConditions, facts: VerdictFacts, origin: Origin, rules: SeverityRules
) -> bool:
    """Whether all conditions of `when` hold."""
    return (
        (not when.origins or origin.beneath in when.origins)
        and _people_hold(when, facts, origin, rules)
        and _post_holds(when, facts, rules)
        and facts.logins - facts.staff_logins >= when.customer_logins
        and facts.staff_logins >= when.staff_logins
        and _cookies_hold(when, facts)
        and (not when.codes or _with_codes(facts) >= when.codes)
        and (
            when.days is None
            or facts.newest_date is None
            or (facts.today - facts.newest_date).days <= when.days
        )
        and (not when.known or (origin.verdict == "recycled" and facts.replayed >= when.known))
        and (not when.acknowledged or facts.replay_told)
    )


def _cookies_hold(when: SeverityConditions, facts: VerdictFacts) -> bool:
    """What is asked of cookies of own sites."""
    staff, customers = facts.live_staff_cookies, facts.live_cookies - facts.live_staff_cookies
    return (
        facts.cookies >= when.cookies
        and staff >= when.staff_cookies
        and customers >= when.customer_cookies
    )


def _with_codes(facts: VerdictFacts) -> int:
    """Rows with a customer and a one-time code."""
    return min(
        facts.people.customers,
        sum(number for fields, number in facts.people.groups.items() if FieldLabel.OTP in fields),
    )


def _people_hold(
    when: SeverityConditions, facts: VerdictFacts, origin: Origin, rules: SeverityRules
) -> bool:
    """What is asked of customers and rows."""
    return (
        facts.people.customers >= when.people
        and (
            not when.people_show
            or any(when.people_show & shows(fields) for fields in facts.people.groups)
        )
        and agreeing(facts, when.showing, rules) >= when.agreeing
        and not (when.alone and facts.agreeing.customers)
        and not (when.half and facts.agreeing_share < 0.5)
        and (when.chance is None or _is_chance(facts, origin, when.chance, rules.few))
        and when.passwords
        in (
            None,
            bool(facts.logins or facts.cookies) or FieldLabel.PASSWORD in facts.people.fields,
        )
    )


def _post_holds(when: SeverityConditions, facts: VerdictFacts, rules: SeverityRules) -> bool:
    """What is asked of the post."""
    return (
        (when.offered is None or (facts.is_offered if when.offered else not facts.alarm))
        and when.named in (None, facts.brand)
        and facts.claimed >= when.claimed
        and not (when.insider and not rules.insiders & set(facts.terms))
        and when.whole in (None, facts.is_whole)
    )


def agreeing(facts: VerdictFacts, showing: frozenset[Shows], rules: SeverityRules) -> int:
    """V, or V of those whose own rows show one of these.

    Who stands beside an offer of identity images shows the gravest.
    """
    if not showing or (Shows.GRAVE in showing and rules.images & set(facts.terms)):
        return facts.agreeing.customers
    return facts.agreeing.showing(showing)


def _is_chance(facts: VerdictFacts, origin: Origin, times: float, few: float) -> bool:
    """Whether M is at most so many times what chance gives, or in a short list not too many for it,
    at `few`.

    Chance gives nobody by a value that is hardly ever somebody's.
    """
    return not facts.verified.customers and (
        origin.matched <= times * origin.expected or origin.p > few
    )


def _said(row: SeverityRow, facts: VerdictFacts, origin: Origin) -> tuple[str, str]:
    """What a duty officer reads: who, with which fields, offered how, and what that means."""
    parts = [_who(facts, origin)]
    if facts.alarm:
        parts.append(
            ("asked for by our name", "点名求购")
            if facts.wanted
            else ("offered with our name", "以我方名义兜售")
        )
    # the site of the login is what names us there
    elif facts.brand and origin.beneath != "devices":
        parts.append(("beside our name", "与我方名称同帖"))
    if facts.claimed:
        parts.append((f"{facts.claimed:,} claimed", f"自称{facts.claimed:,}条"))
    if not facts.is_whole:
        parts.append(("not all of it was read", "未能全部读取"))
    parts.append((row.says, row.says_zh))
    return ", ".join(english for english, _ in parts), "，".join(chinese for _, chinese in parts)


def _who(facts: VerdictFacts, origin: Origin) -> tuple[str, str]:
    """How many of whom, with which fields."""
    logins = facts.staff_logins or facts.logins
    if origin.beneath == "devices" and logins:
        english, chinese = (
            ("staff login", "员工") if facts.staff_logins else ("customer login", "客户")
        )
        return (
            f"{counted(logins, english)} at our own sites",
            f"我方网站{chinese}登录信息{logins:,}条",
        )
    if origin.beneath == "devices" and facts.live_cookies:
        staff = facts.live_staff_cookies
        english, chinese = ("staff cookie", "员工") if staff else ("customer cookie", "客户")
        number = staff or facts.live_cookies
        return (
            f"{counted(number, english)} of our own sites, not expired",
            f"我方网站{chinese}未过期Cookie{number:,}个",
        )
    crowd = facts.agreeing if facts.agreeing.customers else facts.people
    if not crowd.customers:
        return "nobody of ours was found", "未发现我方客户"
    if crowd is facts.people and facts.matched_kinds:
        return _by_one_value(facts)
    english, chinese = fields_in_words(_largest(crowd))
    of_ours = "of our customers" if crowd.customers > 1 else "customer of ours"
    return (
        f"{crowd.customers:,} {of_ours} with {english}",
        f"我方客户{crowd.customers:,}人，含{chinese}",
    )


def _by_one_value(facts: VerdictFacts) -> tuple[str, str]:
    """How many were found by which values: what else stands in their rows may be somebody
    else's.
    """
    customers = facts.people.customers
    english, chinese = fields_in_words(
        frozenset(kinds()[kind].field for kind in facts.matched_kinds if kind in kinds())
    )
    of_ours = "of our customers" if customers > 1 else "customer of ours"
    return (
        f"{customers:,} {of_ours} by {english} alone",
        f"我方客户{customers:,}人，仅{chinese}相符",
    )


def _largest(crowd: Crowd) -> frozenset[str]:
    """The fields that most of their rows have, of equals the set with most."""
    return max(
        crowd.groups,
        key=lambda fields: (crowd.groups[fields], len(fields), sorted(fields)),
        default=frozenset(),
    )
