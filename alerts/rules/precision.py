"""How precise each rule has been: its incidents, and what analysts said of them.

An incident's mark is the last of its decisions that says whether it was real: confirmed or reported against false positive. One
that was resolved or only acknowledged says nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from alerts.noise.background import Rules as Background
from alerts.records import Background as Fact
from alerts.records import Decision, Incident, Sighting
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


class Precision(NamedTuple):
    """One rule: incidents (or posts, of a background rule) that it is in, and how many of them were marked real or false."""

    kind: Kind
    id: str
    title: str
    title_zh: str
    incidents: int
    real: int
    false: int

    @property
    def share(self) -> float | None:
        """The share of the marked ones that were real; None without a mark."""
        marked = self.real + self.false
        return self.real / marked if marked else None


def marks(store: IncidentStore) -> dict[str, bool]:
    """Whether each incident that somebody judged was real."""
    last: dict[str, Decision] = {}
    for decision in store.scroll(Decision, Where()):
        if decision.status in (*REAL, FALSE):
            known = last.get(decision.incident)
            if known is None or (known.at, known.id) < (decision.at, decision.id):
                last[decision.incident] = decision
    return {incident: decision.status != FALSE for incident, decision in last.items()}


def precisions(store: IncidentStore, verdict: Verdict, background: Background, tenant: str = "") -> list[Precision]:
    """Every rule, those that never fired included; what stored reasons name and the rules no longer do comes last."""
    where = Where({"tenant": (tenant,)} if tenant else {})
    marked = marks(store)
    codes = {i.id: {i.scenario, *(why.code for why in i.reasons)} - {"", "S"} for i in store.scroll(Incident, where)}
    by_code = _count(codes, marked)
    titles: dict[str, tuple[Kind, str, str]] = {s.id: ("scenario", s.title, s.title_zh) for s in verdict.scenario}
    titles |= {code: ("adder", *title) for code, title in ADDERS.items()}
    titles |= {m.code: ("adder", m.text, m.text_zh) for m in verdict.modifier}
    gone: dict[str, tuple[Kind, str, str]] = dict.fromkeys(sorted(by_code), ("adder", *BOUND))
    found = [Precision(kind, code, en, zh, *by_code[code]) for code, (kind, en, zh) in (titles | (gone | titles)).items()]
    return [*found, *_of_background(store, where, background), *_of_themes(store, where, marked)]


Counts = tuple[int, int, int]


def _count(members: Mapping[str, Iterable[str]], marked: Mapping[str, bool]) -> defaultdict[str, Counts]:
    """Incidents, real and false ones, by each code or theme that is in them."""
    total, real, false = Counter[str](), Counter[str](), Counter[str]()
    for incident, codes in members.items():
        total.update(codes)
        if incident in marked:
            (real if marked[incident] else false).update(codes)
    return defaultdict(lambda: (0, 0, 0), {code: (total[code], real[code], false[code]) for code in total})


def _of_background(store: IncidentStore, where: Where, rules: Background) -> Iterator[Precision]:
    posts = Counter(fact.rule for fact in store.scroll(Fact, where))
    for rule in rules.rule:
        yield Precision("background", rule.id, rule.title, rule.title_zh, posts.pop(rule.id, 0), 0, 0)
    yield from (Precision("background", id_, *EARLIER, count, 0, 0) for id_, count in sorted(posts.items()))


def _of_themes(store: IncidentStore, where: Where, marked: Mapping[str, bool]) -> Iterator[Precision]:
    """The lexicon's themes, by the terms that counted in any sighting of an incident."""
    members: dict[str, set[str]] = defaultdict(set)
    for sighting in store.scroll(Sighting, where):
        if sighting.traits:
            members[sighting.incident].update(sighting.traits.jargon)
    counts = _count(members, marked)
    yield from (Precision("theme", theme, *LEXICON, *counts[theme]) for theme in sorted(counts))
