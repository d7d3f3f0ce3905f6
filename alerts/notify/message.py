"""What a message says: as text for people, as JSON for programs. Never a title, an author or anything that was leaked."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from alerts.records import SEVERITIES, Incident, News, Severity
from alerts.words import SEVERITY

SHOWN = 10
"""Incidents that a text names, the worst first; the page lists them all."""
MOST_LINES = 20
"""Of a text: who is woken reads no more."""
NAMED = 5
"""Further incidents of one seller that a text names."""
MOST_BYTES = 16_000
"""Of a text; DingTalk and Feishu take 20,000, WeCom 2,048."""
SITE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""Names of configured sites; what a feed calls its places may be anything, so it is not repeated."""
WORDS: dict[News, str] = {
    "new": "new 新事件",
    "raised": "severity raised 级别上升",
    "grown": "more customers 人数增加",
    "unacknowledged": "still unacknowledged 仍未处理",
    "escalated": "escalated: nobody has acknowledged it 升级：无人处理",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What `detail = "facts"` adds."""

    tenant: str
    customers: int
    scenario: str
    scenario_zh: str
    sites: tuple[str, ...]
    next_step: str
    at_least: bool = False
    """Not all was searched."""
    decide: str = ""
    """By when a person decides whether it is confirmed; "" where nobody has to."""
    joined: int = 0
    """Of how many messages of one seller it is joined; 0 where it is not."""

    @classmethod
    def of(cls, incident: Incident, decide: tuple[str, str] = ("", "")) -> Facts:
        """Of an incident, with by when a person decides; places that no configuration names are `other`."""
        sites = sorted({site if SITE.fullmatch(site) else "other" for site in incident.sites})
        scenario, at_least = (incident.scenario_title, incident.scenario_title_zh), bool(incident.incomplete)
        step = f"{incident.next_step.text} {incident.next_step.text_zh}"
        said = " ".join(filter(None, decide))
        return cls(incident.tenant, incident.customers, *scenario, tuple(sites), step, at_least, said, incident.joined)

    def words(self) -> str:
        """In one line."""
        scenario = f"{self.scenario} {self.scenario_zh}" if self.scenario else "no scenario"
        count = f"at least {self.customers:,}" if self.at_least else f"{self.customers:,}"
        joined = f", joined from {self.joined:,} messages 由{self.joined:,}条消息合并" if self.joined else ""
        return f"{self.tenant}: {count} customers, {scenario}, on {', '.join(self.sites)}{joined}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One incident in a message."""

    incident: str
    severity: Severity
    why: News
    url: str
    facts: Facts | None = None
    series: str = ""
    """What is the same in all incidents of one seller, and shown to nobody; "" for nobody's in particular."""
    posts: int = 1
    """How many posts are in it."""


@dataclass(frozen=True, slots=True)
class Message:
    """Some incidents, the worst first, for one channel."""

    id: str
    entries: tuple[Entry, ...]
    page: str

    def subject(self) -> str:
        """One line: how many, how bad.

        >>> Message("m", (Entry("INC-A", "high", "new", ""), Entry("INC-B", "low", "new", "")), "").subject()
        'ullage: 2 incidents (1 high, 1 low)'
        """
        if len(self.entries) == 1:
            return f"ullage: {_label(self.entries[0].severity)}  {self.entries[0].incident}"
        counts = Counter(entry.severity for entry in self.entries)
        listed = ", ".join(f"{counts[severity]} {severity}" for severity in reversed(SEVERITIES) if counts[severity])
        return f"ullage: {len(self.entries)} incidents ({listed})"

    def text(self, most_bytes: int = MOST_BYTES) -> str:
        """The body for people: the worst ten, or as many as fit 20 lines and `most_bytes` of UTF-8, and how many more there are.

        Incidents of one seller are told as one, by the worst of them.
        """
        sellers = self._by_seller()
        shown = min(SHOWN, len(sellers))
        while shown > 1 and not _fits(self._text(sellers, shown), most_bytes):
            shown -= 1
        return self._text(sellers, shown)

    def _by_seller(self) -> list[list[Entry]]:
        """The entries, those of one seller together, the worst first."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.series or entry.incident, []).append(entry)
        return [*found.values()]

    def _text(self, sellers: Sequence[Sequence[Entry]], shown: int) -> str:
        lines = [line for entries in sellers[:shown] for line in _lines(*entries)]
        if more := sum(map(len, sellers[shown:])):
            lines.append(f"and {more} more 还有 {more} 起: {self.page}/")
        return "\n".join(lines)

    def payload(self) -> dict[str, Any]:
        """The body for programs; every incident of it."""
        return {"type": "ullage.incidents", "id": self.id, "page": f"{self.page}/", "incidents": [*map(_as_json, self.entries)]}


def message_id(notifications: Collection[str]) -> str:
    """The id of the message in which these notifications go out: the same for the same ones, so a receiver knows a repeat."""
    digest = hashlib.sha256("\x1f".join(("ullage message", *sorted(notifications))).encode())
    return f"msg_{digest.hexdigest()[:24]}"


def message(id_: str, entries: Iterable[Entry], page: str) -> Message:
    """The message of `entries`, put in order."""
    return Message(id_, tuple(sorted(entries, key=lambda e: (-SEVERITIES.index(e.severity), e.incident))), page)


def _label(severity: Severity) -> str:
    """As `HIGH 高`."""
    return f"{severity.upper()} {SEVERITY[severity]}"


def _fits(text: str, most_bytes: int) -> bool:
    return len(text.encode()) <= most_bytes and text.count("\n") < MOST_LINES


def _lines(entry: Entry, *others: Entry) -> tuple[str, ...]:
    """The worst incident of a seller, or the one of nobody in particular, and that there are `others`."""
    head = f"{_label(entry.severity)}  {entry.incident}  {WORDS[entry.why]}"
    facts = (entry.facts.words(), entry.facts.next_step, entry.facts.decide) if entry.facts else ()
    return (head, *_of_one_seller(entry, others), *filter(None, facts), entry.url)


def _of_one_seller(entry: Entry, others: Sequence[Entry]) -> Iterator[str]:
    if others:
        posts, named = sum(one.posts for one in (entry, *others)), ", ".join(one.incident for one in others[:NAMED])
        more = f" +{len(others) - NAMED}" if len(others) > NAMED else ""
        yield f"{posts} posts of one seller in {len(others) + 1} incidents 同一卖家{posts}条帖子: also {named}{more}"


def _as_json(entry: Entry) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": entry.incident, "severity": entry.severity, "why": entry.why, "url": entry.url}
    shown |= {"series": entry.series} if entry.series else {}
    if entry.facts:
        facts = entry.facts
        shown |= {"tenant": facts.tenant, "customers": facts.customers, "scenario": facts.scenario, "sites": list(facts.sites)}
        shown |= {"next_step": facts.next_step, **({"decide": facts.decide} if facts.decide else {})}
        shown |= {"at_least": True} if facts.at_least else {}
        shown |= {"joined": facts.joined} if facts.joined else {}
    return shown
