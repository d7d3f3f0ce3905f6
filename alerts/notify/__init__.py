"""Compose what a message says, as text and as JSON.

    fold ─▶ incident ─▶ plan ─▶ notification log (store) ─▶ one sender a channel ─▶ DingTalk, Feishu, mail, webhook …
                         routes      pending, by due time      a thread each

What is to be said is written to the store together with the incident, before the finding is
committed: so nothing is lost, whatever dies. A sender reads what is due from there, groups it,
writes which message it goes out with, and tries until it arrives or a day has passed. A channel
that hangs holds up itself alone. The log has deterministic ids, so that the same finding again, or
a restart, tells nobody twice; a crash in the middle of an attempt repeats that one message, with
its id.

By default nothing leaves the house but severity, incident number and the page's address. A channel
is one table of the settings and one text file in the key folder, `keys/notify/CHANNEL` (0600): the
address on the first line, and on the second what signs, where the kind has it. A file in
`channels/` registers its kinds by being there.

A message is in one language, that of the tenant of the worst incident in it.
"""  # noqa: E501

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from alerts.records import SEVERITIES, Incident, News, Severity
from alerts.translation import catalogue, named, translated
from ullage.phrase import Phrase
from ullage.settings import Language

SHOWN = 10
"""Incidents that a text names, the worst first; the page lists them all."""
MOST_LINES = 20
"""Of a text: who is woken reads no more."""
NAMED = 5
"""Further incidents of one seller that a text names."""
MOST_BYTES = 16_000
"""Of a text; DingTalk and Feishu take 20,000, WeCom 2,048."""
SITE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""Names of configured sites; what a feed calls its places may be anything, so it is not
repeated.
"""
WORDS: dict[News, Phrase] = {
    "new": Phrase("new"),
    "raised": Phrase("severity raised"),
    "grown": Phrase("more customers"),
    "unacknowledged": Phrase("still unacknowledged"),
    "escalated": Phrase("escalated: unacknowledged"),
    "second_person": Phrase("waiting for a second person"),
    "unconfirmed": Phrase("escalated: still waiting for a second person"),
}


@dataclass(frozen=True, slots=True)
class IncidentSummary:
    """What `detail = "facts"` adds."""

    tenant: str
    customers: int
    scenario: tuple[str, str]
    """In English and Chinese, as are the next two."""
    sites: tuple[str, ...]
    next_step: tuple[str, str]
    decide: tuple[str, str] = ("", "")
    """By when a person decides whether it is confirmed; "" where nobody has to."""
    at_least: bool = False
    """Not all was searched."""
    joined: int = 0
    """Of how many messages of one seller it is joined; 0 where it is not."""

    @classmethod
    def of(cls, incident: Incident, decide: tuple[str, str] = ("", "")) -> IncidentSummary:
        """Of an incident, with by when a person decides; places that no configuration names are
        `other`.
        """
        return cls(
            incident.tenant,
            incident.customers,
            (incident.scenario_title, incident.scenario_title_zh),
            tuple(sorted({site if SITE.fullmatch(site) else "other" for site in incident.sites})),
            (incident.next_step.text, incident.next_step.text_zh),
            decide,
            at_least=bool(incident.incomplete),
            joined=incident.joined,
        )

    def words(self, language: Language) -> Phrase:
        """In one line."""
        count = f"{self.customers:,}"
        facts = Phrase(
            "%(tenant)s: %(customers)s customers, %(scenario)s, on %(sites)s",
            tenant=self.tenant,
            customers=Phrase("at least %(count)s", count=count) if self.at_least else count,
            scenario=in_language(self.scenario, language) or Phrase("no known scenario"),
            sites=self.sites,
        )
        messages = format(self.joined, ",")
        return (
            Phrase("%(facts)s, joined from %(messages)s messages", facts=facts, messages=messages)
            if self.joined
            else facts
        )


@dataclass(frozen=True, slots=True)
class MessageEntry:
    """One incident in a message."""

    incident: str
    severity: Severity
    why: News
    url: str
    facts: IncidentSummary | None = None
    series: str = ""
    """What is the same in all incidents of one seller, and shown to nobody; "" for nobody's in
    particular.
    """
    posts: int = 1
    """How many posts are in it."""
    language: Language = "zh"
    """In which its tenant is told."""


@dataclass(frozen=True, slots=True)
class Message:
    """Some incidents, the worst first, for one channel."""

    id: str
    entries: tuple[MessageEntry, ...]
    page: str

    @property
    def language(self) -> Language:
        """In which it is."""
        return self.entries[0].language

    def say(self, text: object) -> str:
        """`text` in the language of the message."""
        return translated(text, catalogue(self.language).gettext)

    def subject(self) -> str:
        """One line: how many, how bad.

        >>> two = (Entry("INC-A", "high", "new", "", language="en"), Entry("INC-B", "low", "new", "", language="en"))
        >>> Message("m", two, "").subject()
        'ullage: 2 incidents (1 high, 1 low)'
        """  # noqa: E501
        if len(self.entries) == 1:
            return f"ullage: {self._label(self.entries[0].severity)}  {self.entries[0].incident}"
        counts = Counter(entry.severity for entry in self.entries)
        listed = tuple(
            Phrase(
                "%(count)s %(severity)s",
                count=counts[severity],
                severity=named(severity, "severity", self.language),
            )
            for severity in reversed(SEVERITIES)
            if counts[severity]
        )
        return self.say(
            Phrase(
                "ullage: %(count)s incidents (%(listed)s)", count=len(self.entries), listed=listed
            )
        )

    def text(self, most_bytes: int = MOST_BYTES) -> str:
        """The body for people: the worst ten, or as many as fit 20 lines and `most_bytes` of UTF-8,
        and how many more there are.

        Incidents of one seller are told as one, by the worst of them.
        """
        sellers = self._by_seller()
        shown = min(SHOWN, len(sellers))
        while shown > 1 and not _fits(self._text(sellers, shown), most_bytes):
            shown -= 1
        return self._text(sellers, shown)

    def _by_seller(self) -> list[list[MessageEntry]]:
        """The entries, those of one seller together, the worst first."""
        found: dict[str, list[MessageEntry]] = {}
        for entry in self.entries:
            found.setdefault(entry.series or entry.incident, []).append(entry)
        return [*found.values()]

    def _text(self, sellers: Sequence[Sequence[MessageEntry]], shown: int) -> str:
        lines = [line for entries in sellers[:shown] for line in self._lines(*entries)]
        if more := sum(map(len, sellers[shown:])):
            lines.append(Phrase("and %(more)s more: %(page)s", more=more, page=self.page + "/"))
        return "\n".join(self.say(line) if isinstance(line, Phrase) else line for line in lines)

    def _lines(self, entry: MessageEntry, *others: MessageEntry) -> Iterator[str | Phrase]:
        """The worst incident of a seller, or the one of nobody in particular, and that there are
        `others`.
        """
        yield f"{self._label(entry.severity)}  {entry.incident}  {self.say(WORDS[entry.why])}"
        yield from _of_one_seller(entry, others)
        if facts := entry.facts:
            yield facts.words(self.language)
            yield from filter(
                None, (in_language(line, self.language) for line in (facts.next_step, facts.decide))
            )
        yield entry.url

    def _label(self, severity: Severity) -> str:
        return named(severity, "severity", self.language).upper()

    def payload(self) -> dict[str, Any]:
        """The body for programs; every incident of it."""
        shown = [_as_json(entry, self.language) for entry in self.entries]
        return {
            "type": "ullage.incidents",
            "id": self.id,
            "page": f"{self.page}/",
            "language": self.language,
            "incidents": shown,
        }


def in_language(pair: tuple[str, str], language: Language) -> str:
    """Of a text in English and Chinese the one of `language`."""
    return pair[1] if language == "zh" else pair[0]


def message_id(notifications: Collection[str]) -> str:
    """The id of the message in which these notifications go out: the same for the same ones, so
    a receiver knows a repeat.
    """
    digest = hashlib.sha256("\x1f".join(("ullage message", *sorted(notifications))).encode())
    return f"msg_{digest.hexdigest()[:24]}"


def message(id_: str, entries: Iterable[MessageEntry], page: str) -> Message:
    """The message of `entries`, put in order."""
    return Message(
        id_, tuple(sorted(entries, key=lambda e: (-SEVERITIES.index(e.severity), e.incident))), page
    )


def _fits(text: str, most_bytes: int) -> bool:
    return len(text.encode()) <= most_bytes and text.count("\n") < MOST_LINES


def _of_one_seller(entry: MessageEntry, others: Sequence[MessageEntry]) -> Iterator[Phrase]:
    if others:
        more = f" +{len(others) - NAMED}" if len(others) > NAMED else ""
        yield Phrase(
            "%(posts)s posts by one seller in %(incidents)s incidents: also %(named)s",
            posts=sum(one.posts for one in (entry, *others)),
            incidents=len(others) + 1,
            named=", ".join(one.incident for one in others[:NAMED]) + more,
        )


def _as_json(entry: MessageEntry, language: Language) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": entry.incident,
        "severity": entry.severity,
        "why": entry.why,
        "url": entry.url,
    }
    shown |= {"series": entry.series} if entry.series else {}
    if entry.facts:
        facts = entry.facts
        shown |= {
            "tenant": facts.tenant,
            "customers": facts.customers,
            "scenario": facts.scenario[0],
            "sites": list(facts.sites),
        }
        said = {"next_step": facts.next_step, "decide": facts.decide}
        shown |= {
            name: text for name, pair in said.items() if (text := in_language(pair, language))
        }
        shown |= {"at_least": True} if facts.at_least else {}
        shown |= {"joined": facts.joined} if facts.joined else {}
    return shown
