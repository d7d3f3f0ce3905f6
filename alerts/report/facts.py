"""An incident's values by field of the draft. A field without a value is missing here and is left for a person.

Only counts, labels, times and ids of ours: no title, author, address, handle or tag comes in, so none can come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import TypeAlias

from alerts.clocks.duties import Duty, sent_at
from alerts.clocks.moments import Moments
from alerts.clocks.regimes import grade_of
from alerts.clocks.render import STAGES, UNVERIFIED, limit, state, warning
from alerts.records import Incident, IncidentReason, Sighting
from alerts.report.content import Text, advice_for, categories
from alerts.words import ORIGIN, SEVERITY
from ullage.audit.bait import Stamp
from ullage.display.next_step import Decide
from ullage.display.render import moment
from ullage.settings import Tenant
from ullage.vocabulary.fields import HIGHEST

Values: TypeAlias = dict[str, tuple[Text, ...]]
SHOWN_SIGHTINGS = 50


@dataclass(frozen=True, slots=True)
class Case:
    """What a draft is made from: the incident with all its sightings, and nothing of who is in it."""

    incident: Incident
    sightings: Sequence[Sighting]
    """The oldest first."""
    moments: Moments
    duties: Sequence[Duty]
    tenant: Tenant
    zone: tzinfo
    now: datetime
    decide: Decide | None = None
    """By when a person decides whether it is confirmed, where nobody has."""
    stamps: Sequence[Stamp] = ()
    """Lists of bait of the partner whom the origin names, as the audit log here has them."""


def values(case: Case) -> Values:
    """Every field that the store or the settings have a value for."""
    named = {**dict(_entity(case)), **dict(_times(case)), **dict(_incident(case)), **dict(_people(case)), **dict(_harm(case))}
    named["scene_preservation"] = tuple(_evidence(case))
    named["reports"] = tuple(_reports(case))
    return {name: tuple(lines) for name, lines in named.items() if any(line.zh for line in lines)}


def _same(*texts: str) -> tuple[Text, ...]:
    return tuple(Text(text, text) for text in texts if text)


def _entity(case: Case) -> Iterator[tuple[str, tuple[Text, ...]]]:
    entity = case.tenant.entity
    yield "entity_name", (Text(entity.name_en or entity.name, entity.name),)
    yield "entity_contact", _same(entity.contact)
    yield "officer", _same(entity.officer)
    yield "system_or_facility", _same(entity.system)
    yield "is_cii", (Text("yes", "是") if case.tenant.is_cii else Text("no", "否"),)
    yield "regulators", _same(*entity.regulators)


def _times(case: Case) -> Iterator[tuple[str, tuple[Text, ...]]]:
    moments = case.moments
    for name, when in (
        ("first_seen_at", moments.first_seen),
        ("alerted_at", moments.alerted),
        ("acknowledged_at", moments.acknowledged),
        ("determined_at", moments.determined),
    ):
        yield name, _same(moment(when, case.zone) if when else "")
    published, newest = case.incident.published_at, _newest(case)
    lines = []
    if published:
        at = moment(published, case.zone)
        lines.append(Text(f"first published {at}, as far as its site says", f"据网站显示首次发布于{at}"))
    if newest:
        lines.append(Text(f"newest date in the data: {newest}", f"数据中最新日期：{newest}"))
    yield "data_time_range", tuple(lines)


def _newest(case: Case) -> date | None:
    return max((s.newest_date for s in case.sightings if s.newest_date), default=None)


def _incident(case: Case) -> Iterator[tuple[str, tuple[Text, ...]]]:
    incident = case.incident
    yield "incident_type", (Text("personal information leaked", "个人信息泄露"),)
    sites = Text(f"sites: {', '.join(incident.sites)}", f"网站：{'、'.join(incident.sites)}")
    times = Text(f"{incident.sightings} sighting{'s' * (incident.sightings != 1)}", f"共出现{incident.sightings}次")
    yield "place", (sites, times) if incident.sites else ()
    whose = Text(f"{incident.origin}, by the monitor's evidence", f"{ORIGIN[incident.origin]}（系统判断）")
    yield "origin", (whose, *_reasons(incident.origin_reasons))
    grade = grade_of(incident.customers)
    yield "grade_cac", (Text(f"{grade.title} ({grade.title_zh})", grade.title_zh),)
    severity = Text(
        f"{incident.severity}; exposure {incident.exposure} of 100",
        f"{SEVERITY[incident.severity]}；涉诈暴露评分{incident.exposure}（满分100）",
    )
    yield "severity", (severity,)
    yield "reason_codes", _reasons(incident.reasons)


def _reasons(reasons: Iterable[IncidentReason]) -> tuple[Text, ...]:
    heads = [(f"{r.code}{f' {r.points:+d}' if r.points else ''}", r) for r in reasons]
    return tuple(Text(f"{head}: {r.evidence}", f"{head}：{r.evidence_zh}") for head, r in heads)


def _people(case: Case) -> Iterator[tuple[str, tuple[Text, ...]]]:
    incident = case.incident
    yield "people_distinct", tuple(_distinct(incident))
    yield (
        "records_total",
        (Text(f"{incident.rows:,} rows in the largest copy", f"最大一份数据{incident.rows:,}行"),) if incident.rows else (),
    )
    classes = [(name, incident.people_by_class.get(name, 0)) for name in "ABC"]
    if incident.people_by_class:
        yield (
            "people_by_class",
            (Text(", ".join(f"{c}: {n:,}" for c, n in classes), "，".join(f"{c}类{n:,}人" for c, n in classes)),),
        )
        yield "sensitive_people", _same(f"{incident.sensitive:,}")
        yield "minors_under_14", _same(f"{incident.minors:,}")
    known = [(name, categories()[name]) for name in incident.fields if name in categories()]
    yield "categories", tuple(Text(kind.title, kind.title_zh) for _, kind in known)
    if known:
        c3 = [kind for name, kind in known if name in HIGHEST]
        yield (
            "c3_present",
            (Text(", ".join(k.title for k in c3) or "none found", "、".join(k.title_zh for k in c3) or "未发现"),),
        )


def _distinct(incident: Incident) -> Iterator[Text]:
    """Exactly how many customers were found; at least and at most how many people it may be."""
    how, how_zh = ("at least", "至少") if incident.incomplete else ("exactly", "")
    counted = "未完整检索" if incident.incomplete else "精确计数"
    yield Text(
        f"{how} {incident.customers:,} of the entity's customers found",
        f"已发现本单位客户{how_zh}{incident.customers:,}人（{counted}）",
    )
    if incident.verified:
        yield Text(
            f"at least {incident.verified:,} whom chance cannot have matched", f"其中至少{incident.verified:,}人可排除偶然匹配"
        )
    if incident.rows > incident.customers:
        yield Text(
            f"at most {incident.rows:,}, were every row of the largest copy another person of the entity's",
            f"如最大一份数据每行均为不同客户，至多{incident.rows:,}人",
        )


def _harm(case: Case) -> Iterator[tuple[str, tuple[Text, ...]]]:
    incident = case.incident
    advice = advice_for(incident.scenario)
    yield "harm_possible", tuple(Text(a.harm, a.harm_zh) for a in advice)
    yield "fraud_scenarios", (Text(incident.scenario_title, incident.scenario_title_zh),)
    yield "advice_to_individuals", tuple(line for a in advice for line in a.lines())


def _evidence(case: Case) -> Iterator[Text]:
    """What was seen where and when, by our own keyed ids; the pages themselves are not in here."""
    for s in case.sightings[:SHOWN_SIGHTINGS]:
        at = moment(s.fetched_at, case.zone)
        yield Text(f"sighting {s.id} on {s.site}, collected {at}", f"记录{s.id}，网站{s.site}，采集于{at}")
    if (more := len(case.sightings) - SHOWN_SIGHTINGS) > 0:
        yield Text(f"and {more} more sightings", f"另有{more}条记录")
    for one in case.stamps:
        at, number = moment(one.at, case.zone), one.customers  # not whose it is: no partner's name leaves the house
        told = f"list of honeytokens that only one partner received, {number} invented customers, recorded {at} before that"
        chinese = f"仅提供给一家合作方的诱饵名单（虚构客户{number}名），于发放前{at}存证"
        yield Text(f"{told}: SHA-256 {one.sha256}", f"{chinese}：SHA-256 {one.sha256}")
    if case.incident.origin == "partner" and not case.stamps:
        yield Text(
            "the list of honeytokens has no time stamp in the audit log of this host", "本机审计日志中无该诱饵名单的存证记录"
        )


def _reports(case: Case) -> Iterator[Text]:
    for duty in case.duties:
        yield Text(_report_line(duty, case, 0), _report_line(duty, case, 1))


def _report_line(duty: Duty, case: Case, language: int) -> str:
    """One duty in one language: rule, stage, time allowed, due, state, when and how it was sent, why late or waived."""
    regime, stage, report = duty.regime, duty.stage, duty.report
    due = f"{('due', '截止')[language]} {moment(duty.due, case.zone)}" if duty.due else ""
    parts = [
        (", ", "，")[language].join(((regime.title, regime.title_zh)[language], STAGES[stage.id][language])),
        limit(stage)[language],
        due,
        state(duty, case.now)[language],
        moment(sent_at(report), case.zone) if report else "",
        report.reference if report else "",
        report.note if report and duty.late else "",
        duty.ruling.note if duty.ruling else "",
        "" if regime.verified else UNVERIFIED[language].upper(),
        warning(duty)[language],
    ]
    return ("; ", "；")[language].join(part for part in parts if part)
