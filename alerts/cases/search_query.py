"""Read what people type into the search box of the queue: words, and qualifiers.

    status:open site:"night market" due:<1d 手机号        English and Chinese names alike

A *qualifier* is a filter of the queue as `NAME:VALUE`. `due:<1d` means due within a day or overdue,
`opened:<7d` opened in the last seven days; `posted:2026-09-22` and `seen:2026-09` name a day or a
month. Days and amounts become the single words by which work items are indexed
(`alerts.deadlines.schedule.list_texts`), so that a store needs no query of its own for them. What
looks like a qualifier of another name is searched as words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from alerts.records import SEVERITIES, STATUSES
from alerts.records.document import QueryError
from alerts.translation import named
from ullage.phrase import Phrase

FILTERS: Mapping[str, str] = {
    "status": "status", "状态": "status",
    "severity": "severity", "严重等级": "severity",
    "tenant": "tenant", "租户": "tenant",
    "site": "site", "站点": "site",
    "kind": "kind", "类型": "kind",
    "source": "origin", "泄露来源": "origin",
    "scenario": "scenario", "场景": "scenario",
    "owner": "assignee", "指派给": "assignee",
}  # fmt: skip
"""The filter of the queue that each qualifier sets."""
SPANS: Mapping[str, str] = {"due": "due", "到期": "due", "opened": "opened", "立案": "opened"}
DAYS: Mapping[str, str] = {"posted": "posted", "发布": "posted", "seen": "seen", "发现": "seen"}
CHOICES: Mapping[str, tuple[str, ...]] = {"status": STATUSES, "severity": SEVERITIES}
NAMED = re.compile(r"([^\W\d_]{1,16})[:：](.+)", re.DOTALL)
QUOTED_SPACE = "\u00a0"
"""Stands for a space between quotation marks while a search is split at spaces."""
SPAN = re.compile(r"<([0-9]{1,4})([hd])")
DAY = re.compile(r"([0-9]{4})-([0-9]{2})(?:-([0-9]{2}))?")
AMOUNT = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
PSEUDONYM = re.compile(r"[0-9a-f]{8,64}")
"""The beginning of a customer pseudonym, or all of it."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What was typed into the search box: filters of the queue, time spans, and words."""

    text: str = ""
    filters: Mapping[str, str] = field(default_factory=dict)
    due_within: timedelta | None = None
    opened_within: timedelta | None = None


def parse_query(typed: str, who: str) -> SearchQuery:
    """Split what the person `who` typed into qualifiers and words.

    Raises QueryError, which does not repeat the value, for a qualifier with an invalid value.

    >>> parse_query('状态:误报 due:<12h loan 1,500 2026-09-22', "Li").text
    'loan 1500 20260922'
    """
    words, filters, spans = list[str](), dict[str, str](), dict[str, timedelta]()
    for token in _split(typed):
        qualifier = NAMED.fullmatch(token)
        name, value = (qualifier[1].casefold(), qualifier[2]) if qualifier else ("", token)
        if name in FILTERS:
            filters[FILTERS[name]] = _read_choice(FILTERS[name], value, who)
        elif name in SPANS:
            spans[SPANS[name]] = _read_span(SPANS[name], value)
        elif name in DAYS:
            words.append(DAYS[name] + _read_day(value))
        else:
            words.append(_to_word(token))
    return SearchQuery(" ".join(words), filters, spans.get("due"), spans.get("opened"))


def split_pseudonyms(text: str) -> tuple[list[str], list[str]]:
    """Return the words of `text` that may be the beginning of a pseudonym, and the other words."""
    words = text.split()
    return [w for w in words if _is_pseudonym(w)], [w for w in words if not _is_pseudonym(w)]


def _is_pseudonym(word: str) -> bool:
    return bool(PSEUDONYM.fullmatch(word)) and not word.isdecimal()


def _split(typed: str) -> list[str]:
    """Split a search at spaces, but not between quotation marks, which are left out.

    >>> _split('owner:"Li Wei" loan')
    ['owner:Li Wei', 'loan']
    """
    pieces = typed.split('"')
    pieces[1::2] = [QUOTED_SPACE.join(quoted.split()) for quoted in pieces[1::2]]
    return [
        token.replace(QUOTED_SPACE, " ")
        for token in re.split(r"[ \t\r\n]+", "".join(pieces))
        if token
    ]


def _read_choice(name: str, value: str, who: str) -> str:
    """Return the value of a filter by its code name, which may be typed as it is displayed."""
    if name == "assignee":
        return {"me": who, "我": who, "nobody": "-", "无人": "-"}.get(value, value)
    code_name = value.casefold().replace(" ", "_")
    return next(
        (code for code in CHOICES.get(name, ()) if code_name in (code, named(code, name, "zh"))),
        value,
    )


def _read_span(name: str, value: str) -> timedelta:
    span = SPAN.fullmatch(value)
    if span is None:
        raise QueryError(Phrase("after %(name)s: enter a time such as <12h or <3d", name=name), "q")
    return timedelta(**{"hours" if span[2] == "h" else "days": int(span[1])})


def _read_day(value: str) -> str:
    day = DAY.fullmatch(value)
    if day is None:
        raise QueryError("enter a day such as 2026-09-22, or a month such as 2026-09", "q")
    return "".join(filter(None, day.groups()))


def _to_word(token: str) -> str:
    """Return the word by which work items with a typed day or amount are found."""
    day = DAY.fullmatch(token)
    if day:
        return "".join(filter(None, day.groups()))
    return AMOUNT.sub(lambda amount: amount[0].replace(",", ""), token)
