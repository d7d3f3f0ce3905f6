"""Fill in the draft of a breach notification.

Its only source is what may leave the organization (`alerts.cases.outgoing`): counts, labels, times,
our own ids and recorded measures. Scores, severities, internal next steps, titles, authors,
addresses, pseudonyms and keyed hashes are not among the input, so they cannot appear in the draft.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from enum import StrEnum
from functools import cache
from typing import TypeAlias
from zoneinfo import ZoneInfo

from pydantic import RootModel

from alerts.cases.evidence import vault_of
from alerts.cases.incident_list import get_incident
from alerts.cases.outgoing import (
    Measure,
    OutgoingIncident,
    OutgoingSighting,
    Text,
    list_measures,
    outgoing_sightings,
)
from alerts.deadlines import CHANNELS, find_grade, get_sent_at
from alerts.deadlines.outstanding import Duty, Moments
from alerts.deadlines.render import BY_ONE_PERSON, STAGES, UNVERIFIED, limit, state, warning
from alerts.deadlines.schedule import duties_of
from alerts.records import Decision, Sighting
from alerts.records.document import Frozen
from alerts.store import DocumentFilter, IncidentStore
from ullage.audit.bait import Stamp, read_stamps
from ullage.audit.trail import FOLDER
from ullage.display import moment, safe
from ullage.files.rule_files import load_shipped
from ullage.settings import Context, Tenant
from ullage.vocabulary.fields import C3


class ReportField(Frozen):
    """A field of the draft.

    It names the law that requires it, and what a person has to write if the store has no value.
    """

    id: str
    title: str
    title_zh: str
    law: str
    law_zh: str
    ask: str
    ask_zh: str


class ReportSection(Frozen):
    """Fields that belong together."""

    title: str
    title_zh: str
    field: tuple[ReportField, ...]


class Category(Frozen):
    """The name of a kind of data, for the field label of a leaked row."""

    title: str
    title_zh: str


class _Categories(RootModel[dict[str, Category]]):
    """Categories by field label."""


class Advice(Frozen):
    """Possible harm, and what affected people can do about it."""

    harm: str
    harm_zh: str
    advice: tuple[str, ...]
    advice_zh: tuple[str, ...]

    def lines(self) -> tuple[Text, ...]:
        """Return the lines of advice, each in English and Chinese."""
        return tuple(Text(*pair) for pair in zip(self.advice, self.advice_zh, strict=True))


class _Advice(Frozen):
    general: Advice
    scenario: dict[str, Advice]


class _Draft(Frozen):
    section: tuple[ReportSection, ...]


@cache
def sections() -> tuple[ReportSection, ...]:
    """Return the sections of the draft, in order."""
    return load_shipped(_Draft, "alerts.cases", "draft.toml").section


@cache
def categories() -> dict[str, Category]:
    """Return the category of each field label."""
    return load_shipped(_Categories, "alerts.cases", "categories.toml").root


@cache
def _advice() -> _Advice:
    return load_shipped(_Advice, "alerts.cases", "advice.toml")


def advice_for(scenario: str) -> tuple[Advice, ...]:
    """Return the advice for a scenario ("" for none), followed by the general advice."""
    advice = _advice().scenario.get(scenario)
    return (*([advice] if advice else []), _advice().general)


Values: TypeAlias = dict[str, tuple[Text, ...]]
SHOWN_SIGHTINGS = 50


@dataclass(frozen=True, slots=True)
class Case:
    """The input of a draft: the facts of an incident and its sightings that may leave."""

    incident: OutgoingIncident
    sightings: Sequence[OutgoingSighting]
    """Oldest first."""
    moments: Moments
    duties: Sequence[Duty]
    tenant: Tenant
    zone: tzinfo
    now: datetime
    tenant_name: str = ""
    measures: Sequence[Measure] = ()
    stamps: Sequence[Stamp] = ()
    """Time stamps in this audit log for honeytoken lists of the partner in the origin."""


def values(case: Case) -> Values:
    """Return, by field, the lines that the store or the settings can fill into the report.

    Fields for which nothing is known are left out; a person fills them in.
    """
    named = {
        **dict(_entity(case)),
        **dict(_times(case)),
        **dict(_incident(case)),
        **dict(_people(case)),
        **dict(_harm(case)),
    }
    named["scene_preservation"] = tuple(_evidence(case))
    named["measures_taken"] = tuple(_measures(case))
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
        lines.append(
            Text(f"first published {at}, as far as its site says", f"据网站显示首次发布于{at}")
        )
    if newest:
        lines.append(Text(f"newest date in the data: {newest}", f"数据中最新日期：{newest}"))
    yield "data_time_range", tuple(lines)


def _newest(case: Case) -> date | None:
    return max((s.newest_date for s in case.sightings if s.newest_date), default=None)


def _incident(case: Case) -> Iterator[tuple[str, tuple[Text, ...]]]:
    incident = case.incident
    yield "incident_type", (_type(incident),)
    sites = Text(f"sites: {', '.join(incident.sites)}", f"网站：{'、'.join(incident.sites)}")
    times = Text(
        f"{incident.sightings} sighting{'s' * (incident.sightings != 1)}",
        f"共出现{incident.sightings}次",
    )
    yield "place", (sites, times) if incident.sites else ()
    words = incident.origin_words
    whose = Text(f"{words.en}, by the monitor's evidence", f"{words.zh}（系统判断）")
    yield "origin", (whose, *incident.origin_evidence)
    grade = find_grade(incident.customers)
    yield "grade_cac", (Text(f"{grade.title} ({grade.title_zh})", grade.title_zh),)


def _type(incident: OutgoingIncident) -> Text:
    """Return the type of the incident, as far as the counts prove it."""
    if incident.customers:
        return Text("personal information of customers seen outside", "个人信息泄露")
    if incident.is_offer:
        return Text(
            "personal information offered; no customer was found in it",
            "发现兜售个人信息，尚未发现本单位客户",
        )
    return Text("not established: no customer was found in it", "尚未确定：未发现本单位客户")


def _people(case: Case) -> Iterator[tuple[str, tuple[Text, ...]]]:
    incident = case.incident
    yield "people_distinct", tuple(_distinct(incident))
    yield (
        "records_total",
        (
            (
                Text(
                    f"{incident.rows:,} rows in the largest copy",
                    f"最大一份数据{incident.rows:,}行",
                ),
            )
            if incident.rows
            else ()
        ),
    )
    classes = [(name, incident.people_by_class.get(name, 0)) for name in "ABC"]
    if incident.people_by_class:
        yield (
            "people_by_class",
            (
                Text(
                    ", ".join(f"{c}: {n:,}" for c, n in classes),
                    "，".join(f"{c}类{n:,}人" for c, n in classes),
                ),
            ),
        )
        yield "sensitive_people", _same(f"{incident.sensitive:,}")
        yield "minors_under_14", _same(f"{incident.minors:,}")
    categories_ = [(name, categories()[name]) for name in incident.fields if name in categories()]
    yield "categories", tuple(Text(kind.title, kind.title_zh) for _, kind in categories_)
    if categories_:
        c3 = [kind for name, kind in categories_ if name in C3]
        yield (
            "c3_present",
            (
                Text(
                    ", ".join(k.title for k in c3) or "none found",
                    "、".join(k.title_zh for k in c3) or "未发现",
                ),
            ),
        )


def _distinct(incident: OutgoingIncident) -> Iterator[Text]:
    """Yield the number of customers found, and lower and upper limits of those affected.

    The number is exact, or a lower limit if the search was incomplete; the limits appear only where
    they say more.
    """
    how, how_zh = ("at least", "至少") if incident.is_incomplete else ("exactly", "")
    counted = "未完整检索" if incident.is_incomplete else "精确计数"
    yield Text(
        f"{how} {incident.customers:,} of the entity's customers found",
        f"已发现本单位客户{how_zh}{incident.customers:,}人（{counted}）",
    )
    if incident.verified:
        yield Text(
            f"at least {incident.verified:,} whom chance cannot have matched",
            f"其中至少{incident.verified:,}人可排除偶然匹配",
        )
    if incident.rows > incident.customers:
        yield Text(
            f"at most {incident.rows:,}, were every row of the largest copy another person of the"
            " entity's",
            f"如最大一份数据每行均为不同客户，至多{incident.rows:,}人",
        )


def _harm(case: Case) -> Iterator[tuple[str, tuple[Text, ...]]]:
    incident = case.incident
    advice = advice_for(incident.scenario)
    yield "harm_possible", tuple(Text(a.harm, a.harm_zh) for a in advice)
    yield "fraud_scenarios", (Text(incident.scenario_title, incident.scenario_title_zh),)
    yield "advice_to_individuals", tuple(line for a in advice for line in a.lines())


TAKEDOWNS: Mapping[str, Text] = {
    "takedown asked": Text("takedown requested", "已提出删除请求"),
    "takedown sent": Text("takedown letter sent", "已发出删除通知"),
    "takedown gone": Text("posts removed", "相关内容已删除"),
    "takedown back": Text("posts are back again", "相关内容再次出现"),
    "telling_approved": Text("notification of the people approved", "已批准告知个人"),
    "telling_withdrawn": Text("approval of notification withdrawn", "已撤回告知个人的批准"),
}


def _measures(case: Case) -> Iterator[Text]:
    """Yield the recorded measures with their times."""
    for measure in case.measures:
        at = moment(measure.at, case.zone)
        words = TAKEDOWNS.get(measure.what, Text(measure.note, measure.note))
        yield Text(f"{at}: {words.en}", f"{at}：{words.zh}")
    if case.incident.gone:
        posts = f"{case.incident.gone} of {case.incident.sightings} posts were found gone"
        yield Text(posts, f"{case.incident.sightings}处中已有{case.incident.gone}处不再可见")


def _evidence(case: Case) -> Iterator[Text]:
    """Yield where and when posts were seen, by our own ids, and how many originals are sealed.

    At most SHOWN_SIGHTINGS (50) are listed. For the honeytokens of a partner, the time stamps of
    their list follow, or that there is none.
    """
    if case.sightings:
        sealed, count = sum(sighting.is_sealed for sighting in case.sightings), len(case.sightings)
        if sealed:
            yield Text(
                f"originals kept encrypted: {sealed} of {count}",
                f"原件已加密留存：{count}处中{sealed}处",
            )
        else:
            yield Text(
                "no original is stored; recorded is where and when:",
                "未留存原件，仅记录网站和时间：",
            )
    for s in case.sightings[:SHOWN_SIGHTINGS]:
        at = moment(s.at, case.zone)
        yield Text(
            f"sighting {s.id} on {s.site}, collected {at}", f"记录{s.id}，网站{s.site}，采集于{at}"
        )
    if (more := len(case.sightings) - SHOWN_SIGHTINGS) > 0:
        yield Text(f"and {more} more sightings", f"另有{more}条记录")
    for stamp in case.stamps:
        # without the partner's name, which must not leave the organization
        at, number = moment(stamp.at, case.zone), stamp.customers
        english = (
            f"list of honeytokens that only one partner received, {number} invented customers,"
            f" recorded {at} before that"
        )
        chinese = f"仅提供给一家合作方的诱饵名单（虚构客户{number}名），于发放前{at}存证"
        yield Text(f"{english}: SHA-256 {stamp.sha256}", f"{chinese}：SHA-256 {stamp.sha256}")
    if case.incident.has_partner_honeytoken and not case.stamps:
        yield Text(
            "the list of honeytokens has no time stamp in the audit log of this host",
            "本机审计日志中无该诱饵名单的存证记录",
        )


def _reports(case: Case) -> Iterator[Text]:
    for duty in case.duties:
        yield Text(_report_line(duty, case, 0), _report_line(duty, case, 1))


def _report_line(duty: Duty, case: Case, language: int) -> str:
    """Return one report in one language, as a line.

    It has the rule, the stage, the time limit, the due date, the state, when and how it was sent,
    and why it was late or waived.
    """
    regime, stage, report = duty.regime, duty.stage, duty.report
    due = f"{('due', '截止')[language]} {moment(duty.due, case.zone)}" if duty.due else ""
    parts = [
        (", ", "，")[language].join(
            ((regime.title, regime.title_zh)[language], STAGES[stage.id][language])
        ),
        limit(stage)[language],
        due,
        state(duty, case.now)[language],
        moment(get_sent_at(report), case.zone) if report else "",
        CHANNELS[report.value][language] if report and report.value in CHANNELS else "",
        (report.reference or report.no_reference) if report else "",
        report.note if report and duty.late else "",
        BY_ONE_PERSON[language] if duty.is_by_one_person else "",
        "" if regime.verified else UNVERIFIED[language].upper(),
        warning(duty)[language],
    ]
    return ("; ", "；")[language].join(part for part in parts if part)


TITLE = Text("Personal information breach: notification", "个人信息泄露事件报告")
MARK = Text("Draft, unsent, for review by counsel", "草稿 · 未报送 · 待法务审核")
TO_FILL = Text("to be filled in", "待填写")
TO_REVIEW = Text("to be reviewed, from the incident's records", "待审核，摘自事件记录")
REVIEWED = frozenset({"measures_taken"})
"""Fields that contain people's internal notes: filled in, but a person must review them."""
NOTE = Text(
    "Made by machine from counts, labels and times; it names no customer. Numbers are of the"
    " monitor's findings, not of the whole leak. Marked fields are for a person to fill in. What is"
    " marked as not verified was not checked against the rule's own text.",
    "本稿由系统根据计数、标签和时间生成，不含任何客户身份信息。人数为监测发现数，不代表泄露总量。"
    "标注处须人工填写；"
    "标注“未核对原文”的时限未经法规原文核对。",
)
SIGNATURES = (
    Text("Prepared by", "编制人"),
    Text("Reviewed by", "审核人"),
    Text("Approved by", "批准人"),
)
DATE = Text("Date", "日期")
SHORT = 36
"""Number of characters up to which both languages share a line."""


class ReportLanguage(StrEnum):
    """The language of a draft."""

    ZH = "zh"
    EN = "en"
    BOTH = "both"

    def lines(self, text: Text) -> tuple[str, ...]:
        """Return the lines that show `text` in the chosen language, safe to display.

        If both languages are chosen, they share a line if they are equal or short; else Chinese is
        first.
        """
        en, zh = safe(text.en), safe(text.zh)
        if self is ReportLanguage.BOTH:
            if en == zh:
                return (zh,)
            return (f"{zh} / {en}",) if len(zh) + len(en) <= SHORT else (zh, en)
        return (zh if self is ReportLanguage.ZH else en,)

    def line(self, text: Text) -> str:
        """Return `text` in the chosen language on one line, with ` / ` between two languages."""
        return " / ".join(self.lines(text))


@dataclass(frozen=True, slots=True)
class DraftField:
    """A field: its label, its law, its lines. `open` if a person has to fill it in."""

    label: str
    law: str
    lines: tuple[str, ...]
    open: bool


@dataclass(frozen=True, slots=True)
class DraftSection:
    """A section of the draft."""

    heading: str
    items: tuple[DraftField, ...]


@dataclass(frozen=True, slots=True)
class ReportDraft:
    """The whole draft in one language."""

    title: str
    mark: str
    notes: tuple[str, ...]
    parts: tuple[DraftSection, ...]
    organization: str = ""
    incident: str = ""
    signatures: tuple[str, ...] = ()
    """The signatures that are required, one line each."""
    date: str = ""

    @property
    def open(self) -> int:
        """Number of fields that a person has to fill in."""
        return sum(item.open for part in self.parts for item in part.items)


def page(case: Case, language: ReportLanguage) -> ReportDraft:
    """Return the draft of the breach notification for `case`, as sections of filled-in fields.

    A pure function: equal cases give equal drafts.
    """
    field_values, incident = values(case), case.incident
    head = Text(
        f"Incident {incident.id}, drafted {moment(case.now, case.zone)}",
        f"事件编号{incident.id}，起草于{moment(case.now, case.zone)}",
    )
    parts = tuple(
        DraftSection(
            f"{number}. {language.line(Text(section.title, section.title_zh))}",
            tuple(_item(field, field_values, language) for field in section.field),
        )
        for number, section in enumerate(sections(), 1)
    )
    notes = [line for text in (head, NOTE) for line in language.lines(text)]
    entity = case.tenant.entity
    return ReportDraft(
        language.line(TITLE),
        language.line(MARK),
        tuple(notes),
        parts,
        organization=language.line(Text(entity.name_en or entity.name, entity.name)),
        incident=incident.id,
        signatures=tuple(map(language.line, SIGNATURES)),
        date=language.line(DATE),
    )


def _item(field: ReportField, known: Values, language: ReportLanguage) -> DraftField:
    texts, is_open = known.get(field.id, ()), field.id not in known or field.id in REVIEWED
    lines = [line for text in texts for line in language.lines(text)]
    if is_open:
        head = TO_REVIEW if texts else TO_FILL
        lines += language.lines(Text(f"[{head.en}: {field.ask}]", f"【{head.zh}：{field.ask_zh}】"))
    law = language.line(Text(field.law, field.law_zh))
    return DraftField(language.line(Text(field.title, field.title_zh)), law, tuple(lines), is_open)


class ReportForm(StrEnum):
    """The file format of a draft."""

    MARKDOWN = "md"
    WORD = "docx"


def case_of(context: Context, store: IncidentStore, incident: str) -> Case:
    """Return the input for the draft of an incident.

    Raises ConfigError if the incident does not exist.
    """
    stored = get_incident(store, incident)
    family = DocumentFilter({"incident": stored.family})
    sightings = sorted(store.scroll(Sighting, family), key=lambda s: (s.fetched_at, s.id))
    owed, tenant = (
        duties_of(context, store).find_deadlines([stored])[stored.id],
        context.tenant(stored.tenant),
    )
    return Case(
        incident=OutgoingIncident.from_incident(stored),
        sightings=outgoing_sightings(sightings, vault_of(context)),
        moments=owed.moments,
        duties=owed.duties,
        tenant=tenant,
        zone=ZoneInfo(tenant.zone),
        now=context.clock.now(),
        tenant_name=stored.tenant,
        measures=list_measures([*store.scroll(Decision, family)]),
        stamps=(
            tuple(read_stamps(context.data / FOLDER, stored.tenant, stored.origin_label))
            if stored.origin_label
            else ()
        ),
    )


def render_draft(drafted: ReportDraft, form: ReportForm, case: Case) -> bytes:
    """Return the draft as the bytes of a file: Word (.docx) or, for any other `form`, Markdown."""
    from alerts.cases.report_files import (  # noqa: PLC0415  python-docx takes a while to load
        markdown,
        word,
    )

    return word(drafted, case.now) if form is ReportForm.WORD else markdown(drafted).encode()
