"""What the person on the phone may hear, whom the CRM has identified: exposed; recorded, found nowhere; no record of the value.

Of an exposure that is kinds of data, the month, the scam and what protects. Never the site, the case, whose data it was, a
partner or a number; so exposures that read the same are one. "Recorded, found nowhere" needs a list of what is recorded
(`ullage.lookup.list_index`), which is off by default. Without it a value that nothing holds has no record, whether its owner is a
customer or not; with it "no record" says that nobody is recorded with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Literal

from alerts.lookup.person_lookup import LookupResult, PersonExposure
from alerts.read.monitoring import BELIEVED, MonitoringStatus
from alerts.records.document import Frozen
from alerts.report.content import Text, advice_for, categories
from ullage.files.rulefiles import shipped
from ullage.verdict.rules import Scenario, ScenarioConditions, own_rules

UNSEEN = Text(
    "Not seen by it: closed groups, what was sold without a post, other numbers of this person, and masked numbers.",
    "无法看到：封闭群组、未发帖的私下交易、此人的其他号码，以及中间位被遮盖的号码。",
)
"""What no answer of this product speaks of."""


class _Words(Frozen):
    about: str
    about_zh: str
    harm: str
    harm_zh: str


class Scripts(Frozen):
    """The texts of `scripts.toml`."""

    warning: str
    warning_zh: str
    notice: str
    notice_zh: str
    recorded: str
    recorded_zh: str
    unsure: str
    unsure_zh: str
    no_record: str
    no_record_zh: str
    general: _Words
    scenario: dict[str, _Words]


@cache
def scripts() -> Scripts:
    """What clerks read, by scenario."""
    return shipped(Scripts, __package__, "scripts.toml")


@dataclass(frozen=True, slots=True)
class CallerAnswer:
    """One exposure: kinds of data, month (2026-11), scam, what protects, and what is read to the caller.

    `approved` is whether the DPO has approved telling: without that `script` is a warning that says nothing of this person.
    """

    kinds: tuple[Text, ...]
    month: str
    scam: Text
    protects: tuple[Text, ...]
    approved: bool
    script: Text


@dataclass(frozen=True, slots=True)
class Reply:
    """Which of the answers it is, and what is read to the caller where nothing was found: None else.

    `listed_on` is the day of the list of what is recorded that was asked; None says that none was, so that `no_record` does not
    say whether somebody is a customer.
    """

    answer: Literal["exposed", "recorded", "no_record", "refused"]
    listed_on: datetime | None = None
    script: Text | None = None


def reply(answer: LookupResult, looked: MonitoringStatus) -> Reply:
    """The answer in a word. That nothing was found is said to the caller only where it was looked for."""
    if not answer.kinds or told(answer):
        return Reply("exposed" if answer.kinds else "refused")
    texts = scripts()
    name: Literal["recorded", "no_record"] = "recorded" if answer.recorded else "no_record"
    if looked.worth not in BELIEVED and answer.recorded is not False:
        return Reply(name, answer.listed_on, _with_advice(texts.unsure, texts.unsure_zh))
    if not answer.recorded:
        return Reply(name, answer.listed_on, _with_advice(texts.no_record, texts.no_record_zh))
    en, zh = (f" since {looked.since:%Y-%m}", f"自{looked.since:%Y年%-m月}起") if looked.since else ("", "")
    script = _with_advice(texts.recorded.format(since=en), texts.recorded_zh.format(since=zh))
    return Reply("recorded", answer.listed_on, script)


def _with_advice(en: str, zh: str) -> Text:
    """A script with what protects everybody behind it."""
    lines = [line for advice in advice_for("") for line in advice.lines()]
    return Text(" ".join((en, *(line.en for line in lines))), zh + "".join(line.zh for line in lines))


def told(answer: LookupResult) -> tuple[CallerAnswer, ...]:
    """What may be said of the exposures that were found, the newest first."""
    found = [hit for hit in answer.found if hit.is_heard]
    return tuple(dict.fromkeys(_told(hit) for hit in sorted(found, key=lambda hit: hit.exposure.first_seen, reverse=True)))


def _told(hit: PersonExposure) -> CallerAnswer:
    worst = worst_way(hit)
    scenario = worst[1] if worst else None
    kinds = kinds_of(hit)
    scam = Text(scenario.title, scenario.title_zh) if scenario else Text("none in particular", "无特定骗术")
    month = f"{hit.exposure.first_seen:%Y-%m}"
    protects = tuple(line for advice in advice_for(scenario.id if scenario else "") for line in advice.lines())
    script = script_of(scenario.id if scenario else "", kinds, month, protects, approved=hit.may_be_told)
    return CallerAnswer(kinds, month, scam, protects, hit.may_be_told, script)


def kinds_of(hit: PersonExposure) -> tuple[Text, ...]:
    """Which kinds of data stood in this very person's rows."""
    known = [categories()[name] for name in hit.exposure.fields or () if name in categories()]
    return tuple(Text(kind.title, kind.title_zh) for kind in known)


@cache
def _ways() -> tuple[tuple[ScenarioConditions, Scenario], ...]:
    """Every way, the worst first."""
    return tuple(own_rules().ways())


def worst_way(hit: PersonExposure) -> tuple[ScenarioConditions, Scenario] | None:
    """The worst that the fields of this very person's rows allow, and by which of them: others there may be worse off."""
    terms, groups = {*hit.incident.terms}, [frozenset(group) for group in hit.exposure.groups]
    for way, scenario in _ways():
        of_post = (
            (not way.terms or way.terms & terms)
            and (not way.brand or hit.incident.brands)
            and not way.logins
            and not way.suspicion
        )
        if of_post and (way.every or way.some) and any(way.allowed_by(group) for group in groups):
            return way, scenario
    return None


def script_of(scenario: str, kinds: Iterable[Text], month: str, protects: Iterable[Text], *, approved: bool) -> Text:
    """What a clerk reads in each language: the notice if telling is `approved`, else the warning."""
    texts, kinds, protects = scripts(), [*kinds], [*protects]
    words = texts.scenario.get(scenario, texts.general)
    english, chinese = (texts.notice, texts.notice_zh) if approved else (texts.warning, texts.warning_zh)
    named = ", ".join(kind.en for kind in kinds) or "contact data", "、".join(kind.zh for kind in kinds) or "联系方式"
    year, number = month.split("-")
    en = english.format(about=words.about, harm=words.harm, kinds=named[0], month=month)
    zh = chinese.format(about=words.about_zh, harm=words.harm_zh, kinds=named[1], month=f"{year}年{int(number)}月")
    return Text(" ".join((en, *(line.en for line in protects))), zh + "".join(line.zh for line in protects))
