"""How precise each rule has been: its incidents, and what analysts said of them.

An incident's mark is the last of its decisions that says whether it was real: confirmed or reported against false positive. One
that was resolved or only acknowledged says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, NamedTuple

from pydantic import BaseModel

from alerts.noise.background import Rules as BackgroundRules
from alerts.records import Background, Decision, Incident, Sighting
from alerts.records.document import Excerpt
from alerts.store import IncidentStore, Where
from ullage.verdict import Rules as Verdict

Kind = Literal["scenario", "adder", "background", "theme"]
REAL, FALSE = ("confirmed", "reported"), "false_positive"
ADDERS = {
    "V": ("Volume, in units of the criminal interpretation", "数量，按司法解释的量刑单位计"),
    "T": ("Freshness: the newest date in it", "新旧：数据中的最新日期"),
    "R": ("Spread over sites", "出现的站点数"),
    "R1": ("Seen where a copy costs nothing", "出现在免费可得处"),
    "C1": ("Two fields of one customer in a row", "同一行中有同一客户的两个字段"),
    "C2": ("Bait was found", "发现诱饵数据"),
    "C3": ("The brand is named", "点名我方品牌"),
    "J1": ("The brand's data are offered, nobody matched", "兜售我方数据，但无客户命中"),
}
"""In English and Chinese, as every title here."""
BOUND = ("of an earlier version, or a bound", "旧版本的规则，或上下限")
EARLIER = ("of an earlier version", "旧版本的规则")
LEXICON = ("terms of the lexicon", "词库用语")
THEMES = {
    "CARD": ("Terms of card data", "银行卡料用语"),
    "CHAN": ("Channels and meeting places", "渠道、聚集地"),
    "CRED": ("Terms of logins and passwords", "账号密码用语"),
    "DATA": ("Kinds of data on offer", "数据品类"),
    "FRAUD": ("Ways of fraud", "诈骗手法"),
    "ID": ("Papers and faces", "证件、人脸资料"),
    "LAUND": ("Money laundering", "洗钱用语"),
    "LOAN": ("Loans", "贷款用语"),
    "QUAL": ("What is said of quality", "数据成色"),
    "SALE": ("Words of sale", "出售用语"),
    "SERV": ("Look-ups and break-ins as a service", "查档、破解服务"),
    "SRC": ("Where data come from", "数据来路"),
    "TELE": ("Calling and messaging", "通讯、群发"),
    "TRADE": ("Terms of trade", "交易用语"),
    "WANTED": ("Somebody asks for data", "求购用语"),
}
"""The lexicon's themes."""


class Precision(NamedTuple):
    """One rule: incidents (or posts, of a background rule) that it is in, and how many of them were marked real or false."""

    kind: Kind
    id: str
    title: str
    title_zh: str
    incidents: int
    real: int
    false: int
    last: datetime | None = None
    """When the newest of them came; None where it never fired."""

    @property
    def share(self) -> float | None:
        """The share of the marked ones that were real; None without a mark."""
        marked = self.real + self.false
        return self.real / marked if marked else None


class _Code(BaseModel):
    code: str


class _Judged(Excerpt):
    """Of an incident, what it was judged by."""

    opened_at: datetime
    scenario: str
    reasons: tuple[_Code, ...]


class _Themes(BaseModel):
    jargon: dict[str, int] = {}


class _Spoken(Excerpt):
    """Of a sighting, the themes of the terms in it."""

    incident: str
    fetched_at: datetime
    traits: _Themes | None = None


class _Said(Excerpt):
    """Of a decision, what is needed to know the last one of an incident."""

    incident: str
    at: datetime
    status: str


Codes = frozenset[str]
Counts = tuple[int, int, int, datetime | None]
NEVER: Counts = (0, 0, 0, None)


@dataclass(slots=True)
class Sets:
    """The codes or themes that each incident has, and when the newest of those came that have the same."""

    of: dict[str, Codes] = field(default_factory=dict)
    last: dict[Codes, datetime] = field(default_factory=dict)
    _same: dict[Codes, Codes] = field(default_factory=dict)

    def add(self, incident: str, codes: Codes, at: datetime) -> None:
        """Note an incident; equal sets are kept once, for most incidents have one of few."""
        known = self._same.setdefault(codes, codes)
        self.of[incident] = known
        self.last[known] = max(at, self.last.get(known, at))

    def counts(self, marked: Mapping[str, bool]) -> dict[str, Counts]:
        """Incidents, real and false ones, and the newest, by each code or theme that is in any."""
        total, real, false, last = Counter[str](), Counter[str](), Counter[str](), dict[str, datetime]()
        for codes, count in Counter(self.of.values()).items():
            for code in codes:
                total[code] += count
                last[code] = max(self.last[codes], last.get(code, self.last[codes]))
        for incident, is_real in marked.items():
            (real if is_real else false).update(self.of.get(incident, ()))
        return {code: (count, real[code], false[code], last[code]) for code, count in total.items()}


@dataclass(frozen=True, slots=True)
class Fired:
    """What rules said of all that is stored: codes and themes by incident, and the posts that background rules set aside."""

    codes: Sets
    themes: Sets
    aside: Mapping[str, Counts]


def fired(store: IncidentStore, tenant: str = "") -> Fired:
    """Read it, of one tenant or of all; costs a pass over incidents and posts."""
    where = Where({"tenant": (tenant,)} if tenant else {})
    codes = Sets()
    for one in store.excerpts(Incident, where, _Judged):
        codes.add(one.id, frozenset({one.scenario, *(why.code for why in one.reasons)} - {"", "S"}), one.opened_at)
    return Fired(codes, _themes(store, where), _aside(store, where))


def _themes(store: IncidentStore, where: Where) -> Sets:
    """The lexicon's themes, by the terms that counted in any sighting of an incident."""
    members, seen = dict[str, Codes](), dict[str, datetime]()
    for one in store.excerpts(Sighting, where, _Spoken):
        if one.traits:
            members[one.incident] = members.get(one.incident, frozenset()).union(one.traits.jargon)
            seen[one.incident] = max(one.fetched_at, seen.get(one.incident, one.fetched_at))
    made = Sets()
    for incident, themes in members.items():
        made.add(incident, themes, seen[incident])
    return made


def _aside(store: IncidentStore, where: Where) -> dict[str, Counts]:
    """Posts by the background rule that set them aside, as the store counts them."""
    found = dict[str, Counts]()
    for one in store.tally(Background, where, ("rule",)):
        (newest,) = store.search(Background, replace(where, equals={**where.equals, "rule": one.values}), 1).items or (None,)
        found[one.values[0]] = (one.count, 0, 0, newest.at if newest else None)
    return found


def marks(store: IncidentStore) -> dict[str, bool]:
    """Whether each incident that somebody judged was real."""
    last: dict[str, _Said] = {}
    for decision in store.excerpts(Decision, Where({"status": (*REAL, FALSE)}), _Said):
        known = last.get(decision.incident)
        if known is None or (known.at, known.id) < (decision.at, decision.id):
            last[decision.incident] = decision
    return {incident: decision.status != FALSE for incident, decision in last.items()}


def precisions(told: Fired, marked: Mapping[str, bool], verdict: Verdict, background: BackgroundRules) -> list[Precision]:
    """Every rule, those that never fired included; what stored reasons name and the rules no longer do comes last."""
    by_code = told.codes.counts(marked)
    titles: dict[str, tuple[Kind, str, str]] = {s.id: ("scenario", s.title, s.title_zh) for s in verdict.scenario}
    titles |= {code: ("adder", *title) for code, title in ADDERS.items()}
    titles |= {m.code: ("adder", m.text, m.text_zh) for m in verdict.modifier}
    gone: dict[str, tuple[Kind, str, str]] = dict.fromkeys(sorted(by_code), ("adder", *BOUND))
    listed = (titles | (gone | titles)).items()
    found = [Precision(kind, code, en, zh, *by_code.get(code, NEVER)) for code, (kind, en, zh) in listed]
    return [*found, *_of_background(told.aside, background), *_of_themes(told.themes.counts(marked))]


def _of_background(posts: Mapping[str, Counts], rules: BackgroundRules) -> Iterator[Precision]:
    titles = {rule.id: (rule.title, rule.title_zh) for rule in rules.rule}
    for id_ in (*titles, *sorted(set(posts) - set(titles))):
        english, chinese = titles.get(id_, EARLIER)
        yield Precision("background", id_, english, chinese, *posts.get(id_, NEVER))


def _of_themes(counts: Mapping[str, Counts]) -> Iterator[Precision]:
    for theme in sorted(counts):
        english, chinese = THEMES.get(theme, LEXICON)
        yield Precision("theme", theme, english, chinese, *counts[theme])
