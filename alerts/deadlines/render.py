"""Format reports and their deadlines for people and programs.

A `Duty` (`alerts.deadlines.outstanding`) becomes words in English and Chinese, a JSON object, or a
line of a table. What was not verified is marked everywhere: a rule whose text nobody has read, and
a year that the calendar does not know. A rule that no longer exists is shown by its id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import Any

from rich.text import Text

from alerts.deadlines import CHANNELS, Stage, get_sent_at, regimes
from alerts.deadlines.outstanding import Duty
from alerts.records import Decision
from ullage.display import moment
from ullage.display.decide import Decide
from ullage.display.listing import Listing
from ullage.phrase import Phrase, mark_for_translation


def duration(seconds: float | None) -> Phrase:
    """Format a number of seconds in seconds, minutes, hours or days; `–` for None.

    >>> [str(duration(s)) for s in (None, 0.4, 42, 95, 7300, 200000)]
    ['–', '0.4 s', '42 s', '2 min', '2.0 h', '2.3 d']
    """
    if seconds is None:
        return Phrase("–")
    if seconds < 60:
        return Phrase("%(number)s s", number=format(seconds, ".1f" if seconds < 10 else ".0f"))
    if seconds < 3600:
        return Phrase("%(number)s min", number=format(seconds / 60, ".0f"))
    if seconds < 86400:
        return Phrase("%(number)s h", number=format(seconds / 3600, ".1f"))
    return Phrase("%(number)s d", number=format(seconds / 86400, ".1f"))


STAGES = {
    "brief": (mark_for_translation("brief report"), "简要报告"),
    "first": (mark_for_translation("first report"), "首次报告"),
    "written": (mark_for_translation("written report"), "书面报告"),
    "final": (mark_for_translation("final report"), "总结报告"),
}
SINCE = {
    "first_seen": ("it is first seen", "首次发现"),
    "alerted": ("an alert is sent", "告警发出"),
    "acknowledged": ("somebody acknowledges it", "人员受理"),
    "learned": ("an alert is sent or somebody acknowledges it", "告警发出或人员受理"),
    "determined": ("somebody confirms it", "人员确认"),
    "resolved": ("it is resolved", "处置完毕"),
}
SOON = 2 * 3600
"""Deadlines with fewer seconds left are highlighted."""
UNVERIFIED = ("not verified", "未核对原文")
BY_ONE_PERSON = ("decided by one person", "由一人决定")


def name_regime(regime: str) -> Phrase | str:
    """Return the English title of the rule with the id `regime`, to be translated.

    If the rule no longer exists, the id is returned.
    """
    rule = regimes().get(regime)
    return Phrase(rule.title) if rule else regime


def name_report(what: str) -> Phrase | str:
    """Return the display name of a report, given as `RULE STAGE`.

    A text that does not end in the id of a stage is returned unchanged.
    """
    rule, _, stage = what.partition(" ")
    return (
        Phrase("%(rule)s (%(stage)s)", rule=name_regime(rule), stage=Phrase(STAGES[stage][0]))
        if stage in STAGES
        else what
    )


def limit(stage: Stage) -> tuple[str, str]:
    """Return the time limit of a stage in words: (English, Chinese).

    If the rule states none, its own words are returned with our target after them.
    """
    if stage.ours:
        return (
            f"{stage.says}; our target: {stage.due}",
            f"{stage.says_zh}；内部目标：{stage.due.in_chinese()}",
        )
    return f"within {stage.due}", f"{stage.due.in_chinese()}内"


def state(duty: Duty, now: datetime) -> tuple[str, str]:
    """Return the state of a duty at `now` in words, as (English, Chinese), such as `overdue`."""
    seconds = duty.seconds_left(now)
    if duty.state == "waived":
        facts = duty.ruling.facts if duty.ruling else None
        customers = facts.customers if facts else 0
        return f"waived for up to {customers:,} customers", f"已豁免，以{customers:,}名客户为限"
    if duty.state == "met":
        return ("sent late", "已报，逾期") if duty.late else ("sent", "已报")
    if duty.due is None and duty.stage.since == "first_seen":
        return "nobody was notified yet, so no time counts", "尚未通知任何人，暂不计时"
    if duty.due is None:
        english, chinese = SINCE[duty.stage.since]
        return f"starts when {english}", f"自“{chinese}”起算"
    if duty.state == "conditional":
        return (
            ("due then if confirmed", "如确认则届时到期")
            if seconds is not None
            else ("was due if confirmed", "如确认则已到期")
        )
    if seconds is None:
        return "its time has passed, should the rule be so", "如规则属实则时限已过"
    return ("overdue", "已逾期") if seconds < 0 else ("running", "计时中")


def warning(duty: Duty) -> tuple[str, str]:
    """Return a warning about a duty, as (English, Chinese); two empty strings if there is none.

    It says that the waiver ended, or else that the calendar lacks a year in which the deadline
    counts.
    """
    if duty.is_waiver_over:
        return (
            "the waiver ended: the incident goes beyond the facts it was for",
            "豁免已失效：事件已超出豁免所依据的事实",
        )
    if not duty.unknown_years:
        return "", ""
    years = ", ".join(map(str, duty.unknown_years))
    return (
        f"no calendar of {years}: every day counted as worked",
        f"缺{years}年节假日数据，按每日均为工作日计算",
    )


def remaining(duty: Duty, now: datetime) -> Phrase:
    """Return the time left at `now`, or how much overdue the duty is; `–` if no time runs.

    No time runs either once a deadline has passed that may not apply (`Duty.seconds_left`).
    """
    seconds = duty.seconds_left(now)
    return (
        Phrase("%(time)s overdue", time=duration(-seconds))
        if seconds is not None and seconds < 0
        else duration(seconds)
    )


def clocks_as_json(duties: Iterable[Duty], now: datetime) -> list[dict[str, Any]]:
    """Return one JSON object per duty, in the same order.

    Each has the rule, the stage, its limit in words, the state, the report that met it, and the
    last ruling. Times are ISO 8601 in UTC, or null; `left_seconds` is negative if the duty is
    overdue at `now`.
    """
    return [_as_json(duty, now) for duty in duties]


def _as_json(duty: Duty, now: datetime) -> dict[str, Any]:
    regime, stage, report = duty.regime, duty.stage, duty.report
    texts = {
        name: getattr(regime, name)
        for name in "title title_zh to to_zh updates updates_zh source verified".split()
    }
    return {
        "regime": regime.id,
        **texts,
        "stage": stage.id,
        "limit": limit(stage)[0],
        "limit_zh": limit(stage)[1],
        "ours": stage.ours,
        "state": duty.state,
        "from": stage.since,
        "since": _utc(duty.since),
        "due": _utc(duty.due),
        "left_seconds": duty.seconds_left(now),
        "sent_at": _utc(get_sent_at(report)) if report else None,
        "channel": report.value if report else "",
        "reference": report.reference if report else "",
        "late": duty.late,
        "warning": warning(duty)[0],
        "no_reference": report.no_reference if report else "",
        "ruling": _ruling_as_json(duty.ruling) if duty.ruling else None,
        "waiver_ended": duty.is_waiver_over,
        "decided_by_one_person": duty.is_by_one_person,
    }


def _ruling_as_json(ruling: Decision) -> dict[str, Any]:
    """Return who decided whether a rule applies, why, and on which facts."""
    facts = ruling.facts.model_dump(mode="json") if ruling.facts else None
    return {
        "by": ruling.by,
        "what": ruling.stage,
        "note": ruling.note,
        "facts": facts,
        "confirmed_by": ruling.confirmed_by,
    }


def decide_as_json(decide: Decide | None, now: datetime, zone: tzinfo) -> dict[str, Any] | None:
    """Return a JSON object that says by when a person must decide; None if `decide` is None.

    `by` is ISO 8601 in UTC, or null while nobody was notified. `minutes` is the period. `text` and
    `text_zh` are a sentence in English and Chinese with the time in `zone`.
    """
    if decide is None:
        return None
    text, text_zh = decide.words(now, zone)
    return {"by": _utc(decide.by), "minutes": decide.minutes, "text": text, "text_zh": text_zh}


def _utc(when: datetime | None) -> str | None:
    return when.isoformat().replace("+00:00", "Z") if when else None


def clock_words(duty: Duty, now: datetime, zone: tzinfo) -> dict[str, Any]:
    """Return what a page shows of a duty, by name in the page's template.

    Pairs are (English, Chinese). Times are text in `zone`: `due` is `–` without a deadline, `sent`
    is "" without a report. `urgent` marks a running deadline, `is_late` an overdue one, and
    `is_soon` one with less than two hours left at `now`.
    """
    seconds = duty.seconds_left(now)
    return {
        "duty": duty,
        "stage": STAGES[duty.stage.id],
        "limit": limit(duty.stage),
        "due": moment(duty.due, zone) if duty.due else "–",
        "left": remaining(duty, now),
        "state": state(duty, now),
        "warning": warning(duty),
        "sent": moment(get_sent_at(duty.report), zone) if duty.report else "",
        "channel": CHANNELS.get(duty.report.value) if duty.report else None,
        "urgent": duty.state == "running",
        "is_late": seconds is not None and seconds < 0,
        "is_soon": seconds is not None and 0 <= seconds < SOON,
    }


def clocks_table(duties: Sequence[Duty], now: datetime, zone: tzinfo) -> Listing:
    """Return a listing for the terminal with one row per duty.

    The columns are rule and stage, due time in `zone`, time left at `now`, the state with warnings
    and the authority's reference, and the time limit.
    """
    listing = Listing(("report", "due", "left", "state", "limit"), whole=("report", "due", "left"))
    for duty in duties:
        marks = [] if duty.regime.verified else [UNVERIFIED[0]]
        marks += [BY_ONE_PERSON[0]] if duty.is_by_one_person else []
        marks += [warning(duty)[0], duty.report.reference if duty.report else ""]
        listing.add_row(
            f"{duty.regime.id} {duty.stage.id}",
            moment(duty.due, zone) if duty.due else "–",
            Text(str(remaining(duty, now)), "bold red" if duty.state == "running" else ""),
            "; ".join(filter(None, [state(duty, now)[0], *marks])),
            limit(duty.stage)[0],
        )
    return listing
