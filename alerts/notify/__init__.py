"""Compose notifications about incidents, as text and as JSON.

    incident ─▶ plan ─▶ notification log (store) ─▶ one sender per channel ─▶ DingTalk, mail, …
                routes  pending, by due time        one thread each

Notifications are planned in the store together with the incident, before its finding is committed,
so that none is lost if a process dies. A sender reads what is due, groups it, records the message
it will send, and tries until it is delivered or a day has passed. A channel that hangs delays only
itself. Ids in the log are deterministic, so that processing a finding again notifies nobody twice;
a crash during an attempt repeats one message with the same id.

By default a message contains only the severity, the incident number and the page's address. A
channel is a table of the settings and a text file in the key folder, `keys/notify/CHANNEL` (0600):
the address on the first line, and on the second the signing secret, if its kind has one. A module
in `channels/` registers its kinds because it is there.

A message is in one language, that of the tenant of its most severe incident.
"""

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
    """The facts about an incident that `detail = "facts"` adds to a message."""

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
    def from_incident(
        cls, incident: Incident, decide: tuple[str, str] = ("", "")
    ) -> IncidentSummary:
        """Return a summary of an incident that a notification may contain.

        `decide` says, in English and Chinese, until when a person must decide. A site whose name
        does not have the form of a configured site's name is called `other`.
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

    def to_phrase(self, language: Language) -> Phrase:
        """Return the summary in one line: tenant, customers, scenario, sites and messages.

        `language` chooses the name of the scenario; the rest is translated when it is shown. The
        number of messages is left out if the incident is not joined from several.
        """
        count = f"{self.customers:,}"
        facts = Phrase(
            "%(tenant)s: %(customers)s customers, %(scenario)s, on %(sites)s",
            tenant=self.tenant,
            customers=Phrase("at least %(count)s", count=count) if self.at_least else count,
            scenario=choose_language(self.scenario, language) or Phrase("no known scenario"),
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
    """One incident in a message, why it is there, and the address of its page.

    `facts` is None for a channel that shows no facts.
    """

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
    """Some incidents, most severe first, for one channel; `entries` must not be empty.

    `page` is the console's address without a trailing slash.
    """

    id: str
    entries: tuple[MessageEntry, ...]
    page: str

    @property
    def language(self) -> Language:
        """The language of the message: that of the most severe incident's tenant."""
        return self.entries[0].language

    def say(self, text: object) -> str:
        """Translate `text` to the language of the message."""
        return translated(text, catalogue(self.language).gettext)

    def subject(self) -> str:
        """Return one line with the number and severity of the incidents.

        >>> two = (
        ...     MessageEntry("INC-A", "high", "new", "", language="en"),
        ...     MessageEntry("INC-B", "low", "new", "", language="en"),
        ... )
        >>> Message("m", two, "").subject()
        'ullage: 2 incidents (1 high, 1 low)'
        """
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
        """Return the body for people: the most severe incidents, and the number of those left out.

        At most ten are named, fewer if the text would exceed 20 lines or `most_bytes` of UTF-8, but
        at least one. Incidents of one seller count as one.
        """
        sellers = self._group_by_seller()
        shown = min(SHOWN, len(sellers))
        while shown > 1 and not _fits(self._text(sellers, shown), most_bytes):
            shown -= 1
        return self._text(sellers, shown)

    def _group_by_seller(self) -> list[list[MessageEntry]]:
        """Group the entries by seller, most severe first."""
        groups: dict[str, list[MessageEntry]] = {}
        for entry in self.entries:
            groups.setdefault(entry.series or entry.incident, []).append(entry)
        return [*groups.values()]

    def _text(self, sellers: Sequence[Sequence[MessageEntry]], shown: int) -> str:
        lines = [line for entries in sellers[:shown] for line in self._compose_lines(*entries)]
        if more := sum(map(len, sellers[shown:])):
            lines.append(Phrase("and %(more)s more: %(page)s", more=more, page=self.page + "/"))
        return "\n".join(self.say(line) if isinstance(line, Phrase) else line for line in lines)

    def _compose_lines(self, entry: MessageEntry, *others: MessageEntry) -> Iterator[str | Phrase]:
        """Yield the lines of the most severe incident of a seller, and its `others`."""
        yield f"{self._label(entry.severity)}  {entry.incident}  {self.say(WORDS[entry.why])}"
        yield from _mention_others(entry, others)
        if facts := entry.facts:
            yield facts.to_phrase(self.language)
            yield from filter(
                None,
                (choose_language(line, self.language) for line in (facts.next_step, facts.decide)),
            )
        yield entry.url

    def _label(self, severity: Severity) -> str:
        return named(severity, "severity", self.language).upper()

    def payload(self) -> dict[str, Any]:
        """Return the body for programs: a JSON object with every incident of the message.

        Each incident has its id, severity, reason (`why`) and URL, and further facts where the
        settings of the channel allow them.
        """
        shown = [_as_json(entry, self.language) for entry in self.entries]
        return {
            "type": "ullage.incidents",
            "id": self.id,
            "page": f"{self.page}/",
            "language": self.language,
            "incidents": shown,
        }


def choose_language(pair: tuple[str, str], language: Language) -> str:
    """Return the text in `language` of a pair (English, Chinese)."""
    return pair[1] if language == "zh" else pair[0]


def message_id(notifications: Collection[str]) -> str:
    """Return the id of the message for the notifications with these ids, `msg_` and 24 hex digits.

    The same notifications, in any order, give the same id, so that receivers recognise a repeat.
    """
    digest = hashlib.sha256("\x1f".join(("ullage message", *sorted(notifications))).encode())
    return f"msg_{digest.hexdigest()[:24]}"


def compose_message(id_: str, entries: Iterable[MessageEntry], page: str) -> Message:
    """Return a message of `entries`, most severe first, then by incident id."""
    return Message(
        id_, tuple(sorted(entries, key=lambda e: (-SEVERITIES.index(e.severity), e.incident))), page
    )


def _fits(text: str, most_bytes: int) -> bool:
    return len(text.encode()) <= most_bytes and text.count("\n") < MOST_LINES


def _mention_others(entry: MessageEntry, others: Sequence[MessageEntry]) -> Iterator[Phrase]:
    if others:
        more = f" +{len(others) - NAMED}" if len(others) > NAMED else ""
        yield Phrase(
            "%(posts)s posts by one seller in %(incidents)s incidents: also %(named)s",
            posts=sum(item.posts for item in (entry, *others)),
            incidents=len(others) + 1,
            named=", ".join(item.incident for item in others[:NAMED]) + more,
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
        texts = {"next_step": facts.next_step, "decide": facts.decide}
        shown |= {
            name: text for name, pair in texts.items() if (text := choose_language(pair, language))
        }
        shown |= {"at_least": True} if facts.at_least else {}
        shown |= {"joined": facts.joined} if facts.joined else {}
    return shown
