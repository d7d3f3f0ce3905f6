"""How precise each rule has been: its incidents, and what analysts said of them.

An incident's mark is the last of its decisions that says whether it was real: confirmed or reported against false positive. One
that was resolved or only acknowledged says nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from pydantic import BaseModel

from alerts.noise.background import Rules as Background
from alerts.records import Background as Fact
from alerts.records import Decision, Incident, Sighting
from alerts.records.document import Excerpt
from alerts.store import IncidentStore, Where
from ullage.verdict import Rules as Verdict


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


class _Placed(Excerpt):
    """Of a post that was set aside, by which rule."""

    rule: str
    at: datetime


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


def marks(store: IncidentStore) -> dict[str, bool]:
    """Whether each incident that somebody judged was real."""
    last: dict[str, Decision] = {}
    for decision in store.scroll(Decision, Where({"status": (*REAL, FALSE)})):
        known = last.get(decision.incident)
        if known is None or (known.at, known.id) < (decision.at, decision.id):
            last[decision.incident] = decision
    return {incident: decision.status != FALSE for incident, decision in last.items()}


def precisions(store: IncidentStore, verdict: Verdict, background: Background, tenant: str = "") -> list[Precision]:
    """Every rule, those that never fired included; what stored reasons name and the rules no longer do comes last."""
    where = Where({"tenant": (tenant,)} if tenant else {})
    marked = marks(store)
    incidents = store.excerpts(Incident, where, _Judged)
    codes = {i.id: ({i.scenario, *(why.code for why in i.reasons)} - {"", "S"}, i.opened_at) for i in incidents}
    by_code = _count(codes, marked)
    titles: dict[str, tuple[Kind, str, str]] = {s.id: ("scenario", s.title, s.title_zh) for s in verdict.scenario}
    titles |= {code: ("adder", *title) for code, title in ADDERS.items()}
    titles |= {m.code: ("adder", m.text, m.text_zh) for m in verdict.modifier}
    gone: dict[str, tuple[Kind, str, str]] = dict.fromkeys(sorted(by_code), ("adder", *BOUND))
    found = [Precision(kind, code, en, zh, *by_code[code]) for code, (kind, en, zh) in (titles | (gone | titles)).items()]
    return [*found, *_of_background(store, where, background), *_of_themes(store, where, marked)]


Counts = tuple[int, int, int, datetime | None]
Fired = tuple[Iterable[str], datetime]
"""The codes or themes in an incident, and when it came."""


def _count(members: Mapping[str, Fired], marked: Mapping[str, bool]) -> defaultdict[str, Counts]:
    """Incidents, real and false ones, and the newest, by each code or theme that is in them."""
    total, real, false, last = Counter[str](), Counter[str](), Counter[str](), dict[str, datetime]()
    for incident, (codes, at) in members.items():
        total.update(codes)
        last.update({code: max(at, last.get(code, at)) for code in codes})
        if incident in marked:
            (real if marked[incident] else false).update(codes)
    return defaultdict(lambda: (0, 0, 0, None), {code: (total[code], real[code], false[code], last[code]) for code in total})


def _of_background(store: IncidentStore, where: Where, rules: Background) -> Iterator[Precision]:
    facts = {fact.id: ((fact.rule,), fact.at) for fact in store.excerpts(Fact, where, _Placed)}
    posts = _count(facts, {})
    titles = {rule.id: (rule.title, rule.title_zh) for rule in rules.rule}
    for id_ in (*titles, *sorted(set(posts) - set(titles))):
        english, chinese = titles.get(id_, EARLIER)
        yield Precision("background", id_, english, chinese, *posts[id_])


def _of_themes(store: IncidentStore, where: Where, marked: Mapping[str, bool]) -> Iterator[Precision]:
    """The lexicon's themes, by the terms that counted in any sighting of an incident."""
    members: dict[str, set[str]] = defaultdict(set)
    seen = dict[str, datetime]()
    for sighting in store.excerpts(Sighting, where, _Spoken):
        if sighting.traits:
            members[sighting.incident].update(sighting.traits.jargon)
            seen[sighting.incident] = max(sighting.fetched_at, seen.get(sighting.incident, sighting.fetched_at))
    counts = _count({incident: (themes, seen[incident]) for incident, themes in members.items()}, marked)
    for theme in sorted(counts):
        english, chinese = THEMES.get(theme, LEXICON)
        yield Precision("theme", theme, english, chinese, *counts[theme])
