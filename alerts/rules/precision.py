"""How precise each rule has been: its incidents, and what analysts said of them.

An incident's mark is the last of its decisions that says whether it was real: confirmed or reported against false positive. One
that was resolved or only acknowledged says nothing.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, NamedTuple

from pydantic import BaseModel

from alerts.noise.background import Rules as BackgroundRules
from alerts.records import Background, Decision, Incident, Sighting
from alerts.records.document import Excerpt
from alerts.rules.kept import unless
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

    tenant: str
    opened_at: datetime
    scenario: str
    reasons: tuple[_Code, ...]


class _Themes(BaseModel):
    jargon: dict[str, int] = {}


class _Spoken(Excerpt):
    """Of a sighting, the themes of the terms in it."""

    tenant: str
    incident: str
    fetched_at: datetime
    traits: _Themes | None = None


class Said(Excerpt):
    """Of a decision, what is needed to know the last one of an incident."""

    incident: str
    at: datetime
    status: str


Codes = frozenset[str]
Tenants = Collection[str] | None
"""Those that somebody may see, None for all."""
Counts = tuple[int, int, int, datetime | None]
NEVER: Counts = (0, 0, 0, None)


class Group(NamedTuple):
    """Incidents of a tenant that have the same codes or themes."""

    tenant: str
    codes: Codes


@dataclass(slots=True)
class Sets:
    """The group of each incident; of a group how many are in it, and when the newest of them came."""

    of: dict[str, Group] = field(default_factory=dict)
    _known: dict[Group, tuple[Group, int, datetime]] = field(default_factory=dict)
    """Equal groups are kept once, for most incidents are in one of few."""

    def add(self, incident: str, group: Group, at: datetime) -> None:
        """Note an incident, once."""
        same, count, last = self._known.get(group, (group, 0, at))
        self._known[same] = same, count + 1, max(at, last)
        self.of[incident] = same

    def counts(self, marked: Mapping[str, bool], tenants: Tenants = None) -> dict[str, Counts]:
        """Incidents of `tenants`, real and false ones, and the newest, by each code or theme that is in any."""
        judged = Counter((group, is_real) for incident, is_real in marked.items() if (group := self.of.get(incident)))
        found = dict[str, Counts]()
        for group, count, last in self._known.values():
            if tenants is None or group.tenant in tenants:
                for code in group.codes:
                    total, real, false, newest = found.get(code, (0, 0, 0, last))
                    more = total + count, real + judged[group, True], false + judged[group, False]
                    found[code] = (*more, max(filter(None, (last, newest))))
        return found


@dataclass(frozen=True, slots=True)
class Fired:
    """What rules said of all that is stored: codes and themes by incident, and the posts that background rules set aside."""

    codes: Sets
    themes: Sets
    aside: Mapping[tuple[str, str], Counts]
    """By tenant and rule."""

    def posts(self, tenants: Tenants = None) -> dict[str, Counts]:
        """How many posts of `tenants` each background rule set aside, and the newest of them."""
        found = dict[str, Counts]()
        for (tenant, rule), (count, _, _, last) in self.aside.items():
            if tenants is None or tenant in tenants:
                known, _, _, newest = found.get(rule, NEVER)
                found[rule] = (known + count, 0, 0, max(filter(None, (last, newest)), default=None))
        return found


def fired(store: IncidentStore, tenant: str = "", ended: threading.Event | None = None) -> Fired:
    """Read it, of one tenant or of all; costs a pass over incidents and posts, until that is `ended` for which it is read."""
    where = Where({"tenant": (tenant,)} if tenant else {})
    codes = Sets()
    for one in unless(ended, store.excerpts(Incident, where, _Judged)):
        own = frozenset({one.scenario, *(why.code for why in one.reasons)} - {"", "S"})
        codes.add(one.id, Group(one.tenant, own), one.opened_at)
    return Fired(codes, _themes(store, where, ended), _aside(store, where))


def _themes(store: IncidentStore, where: Where, ended: threading.Event | None) -> Sets:
    """The lexicon's themes, by the terms that counted in any sighting of an incident."""
    members, seen = dict[str, Group](), dict[str, datetime]()
    for one in unless(ended, store.excerpts(Sighting, where, _Spoken)):
        if one.traits:
            known = members.get(one.incident)
            members[one.incident] = Group(one.tenant, (known.codes if known else frozenset()).union(one.traits.jargon))
            seen[one.incident] = max(one.fetched_at, seen.get(one.incident, one.fetched_at))
    made = Sets()
    for incident, group in members.items():
        made.add(incident, group, seen[incident])
    return made


def _aside(store: IncidentStore, where: Where) -> dict[tuple[str, str], Counts]:
    """Posts by tenant and by the background rule that set them aside, as the store counts them."""
    found = dict[tuple[str, str], Counts]()
    for one in store.tally(Background, where, ("tenant", "rule")):
        tenant, rule = one.values
        equals = {**where.equals, "tenant": (tenant,), "rule": (rule,)}
        (newest,) = store.search(Background, replace(where, equals=equals), 1).items or (None,)
        found[tenant, rule] = (one.count, 0, 0, newest.at if newest else None)
    return found


def said(store: IncidentStore, known: Mapping[str, Said] | None = None, since: datetime | None = None) -> dict[str, Said]:
    """The last decision of each incident that somebody judged; beside those that are `known` only what came `since` is read."""
    last = dict(known or {})
    for decision in store.excerpts(Decision, Where({"status": (*REAL, FALSE)}, since=since), Said):
        before = last.get(decision.incident)
        if before is None or (before.at, before.id) < (decision.at, decision.id):
            last[decision.incident] = decision
    return last


def marks(decisions: Mapping[str, Said]) -> dict[str, bool]:
    """Whether each incident that somebody judged was real."""
    return {incident: decision.status != FALSE for incident, decision in decisions.items()}


def precisions(
    told: Fired, marked: Mapping[str, bool], verdict: Verdict, background: BackgroundRules, tenants: Tenants = None
) -> list[Precision]:
    """Every rule by what is of `tenants`; those that never fired too, last what stored reasons name and rules no longer do."""
    by_code = told.codes.counts(marked, tenants)
    titles: dict[str, tuple[Kind, str, str]] = {s.id: ("scenario", s.title, s.title_zh) for s in verdict.scenario}
    titles |= {code: ("adder", *title) for code, title in ADDERS.items()}
    titles |= {m.code: ("adder", m.text, m.text_zh) for m in verdict.modifier}
    gone: dict[str, tuple[Kind, str, str]] = dict.fromkeys(sorted(by_code), ("adder", *BOUND))
    listed = (titles | (gone | titles)).items()
    found = [Precision(kind, code, en, zh, *by_code.get(code, NEVER)) for code, (kind, en, zh) in listed]
    return [*found, *_of_background(told.posts(tenants), background), *_of_themes(told.themes.counts(marked, tenants))]


def _of_background(posts: Mapping[str, Counts], rules: BackgroundRules) -> Iterator[Precision]:
    titles = {rule.id: (rule.title, rule.title_zh) for rule in rules.rule}
    for id_ in (*titles, *sorted(set(posts) - set(titles))):
        english, chinese = titles.get(id_, EARLIER)
        yield Precision("background", id_, english, chinese, *posts.get(id_, NEVER))


def _of_themes(counts: Mapping[str, Counts]) -> Iterator[Precision]:
    for theme in sorted(counts):
        english, chinese = THEMES.get(theme, LEXICON)
        yield Precision("theme", theme, english, chinese, *counts[theme])
