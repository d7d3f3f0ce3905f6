"""What a message says: as text for people, as JSON for programs. Never a title, an author or anything that was leaked."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from alerts.records import SEVERITIES, Incident, News, Severity
from alerts.words import SEVERITY

SHOWN = 10
"""Incidents that a text names, the worst first; the page lists them all."""
MOST_BYTES = 16_000
"""Of a text; DingTalk and Feishu take 20,000, WeCom 2,048."""
SITE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""Names of configured sites; what a feed calls its places may be anything, so it is not repeated."""
WORDS: dict[News, str] = {
    "new": "new 新事件",
    "raised": "severity raised 级别上升",
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

    @classmethod
    def of(cls, incident: Incident, decide: tuple[str, str] = ("", "")) -> Facts:
        """Of an incident, with by when a person decides; places that no configuration names are `other`."""
        sites = sorted({site if SITE.fullmatch(site) else "other" for site in incident.sites})
        scenario, at_least = (incident.scenario_title, incident.scenario_title_zh), bool(incident.incomplete)
        step = f"{incident.next_step.text} {incident.next_step.text_zh}"
        return cls(incident.tenant, incident.customers, *scenario, tuple(sites), step, at_least, " ".join(filter(None, decide)))

    def words(self) -> str:
        """In one line."""
        scenario = f"{self.scenario} {self.scenario_zh}" if self.scenario else "no scenario"
        count = f"at least {self.customers:,}" if self.at_least else f"{self.customers:,}"
        return f"{self.tenant}: {count} customers, {scenario}, on {', '.join(self.sites)}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One incident in a message."""

    incident: str
    severity: Severity
    why: News
    url: str
    facts: Facts | None = None


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
        """The body for people: the worst ten incidents, or as many as fit `most_bytes` of UTF-8, and how many more there are."""
        shown = min(SHOWN, len(self.entries))
        while shown > 1 and len(self._text(shown).encode()) > most_bytes:
            shown -= 1
        return self._text(shown)

    def _text(self, shown: int) -> str:
        lines = [line for entry in self.entries[:shown] for line in _lines(entry)]
        if more := len(self.entries) - shown:
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


def _lines(entry: Entry) -> tuple[str, ...]:
    head = f"{_label(entry.severity)}  {entry.incident}  {WORDS[entry.why]}"
    facts = (entry.facts.words(), entry.facts.next_step, entry.facts.decide) if entry.facts else ()
    return (head, *filter(None, facts), entry.url)


def _as_json(entry: Entry) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": entry.incident, "severity": entry.severity, "why": entry.why, "url": entry.url}
    if entry.facts:
        facts = entry.facts
        shown |= {"tenant": facts.tenant, "customers": facts.customers, "scenario": facts.scenario, "sites": list(facts.sites)}
        shown |= {"next_step": facts.next_step, **({"decide": facts.decide} if facts.decide else {})}
        shown |= {"at_least": True} if facts.at_least else {}
    return shown
