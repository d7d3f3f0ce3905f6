"""The last month in two pictures: incidents and sightings by day, and exposed customers by scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC

from markupsafe import Markup

from alerts.language import named
from alerts.read.recent import NO_SCENARIO, Recent, days_of, recent, seen_on
from alerts.records import SEVERITIES
from alerts.search.language import READER, speaker
from alerts.search.pictures.scenarios import Bar, scenarios
from alerts.search.pictures.timeline import Day, timeline
from alerts.search.site import Console
from ullage.phrase import Phrase
from ullage.verdict import own_rules

GRAVEST_FIRST = tuple(reversed(SEVERITIES))
SHOWN = 6
"""Scenarios; what is beyond stands in the last of them."""


@dataclass(frozen=True, slots=True)
class Month:
    """Both pictures, and what they show as text; `scenarios` is "" where nobody is exposed."""

    days: tuple[Day, ...]
    severities: tuple[str, ...]
    """Those that there are, the gravest first."""
    timeline: Markup
    scenarios: Markup


def month(site: Console, tenant: str = "") -> Month:
    """Of one tenant or of all that may be seen, without what was called a false positive."""
    say = speaker()
    found = recent(site.store, site.clock.now(), site.zone or UTC, tenant)
    days = tuple(_days(site, found, tenant, say))
    severities = tuple(one for one in GRAVEST_FIRST if any(day.incidents[one] for day in days))
    title, said = say(Phrase("Incidents and sightings of 30 days")), say(Phrase("The same data is in the table below."))
    names = say(Phrase("Incidents opened, by severity")), say(Phrase("Sightings"))
    bars = [*_bars(found, say)]
    who = say(Phrase("Affected customers in 30 days, by scenario")), say(Phrase("A customer in two incidents is counted twice."))
    return Month(days, severities, timeline(title, said, names, days), scenarios(*who, bars) if bars else Markup(""))


def _days(site: Console, found: Recent, tenant: str, say: Callable[[object], str]) -> Iterator[Day]:
    language = READER.get().language
    days = days_of(site.clock.now(), site.zone or UTC)
    for day, seen in zip(days, seen_on(site.store, days, site.zone or UTC, tenant), strict=True):
        counts: dict[str, int] = {severity: found.opened[day, severity] for severity in GRAVEST_FIRST}
        both = say(Phrase("%(incidents)s incidents, %(sightings)s sightings", incidents=sum(counts.values()), sightings=seen))
        apart = ", ".join(f"{count} {named(severity, 'severity', language)}" for severity, count in counts.items() if count)
        yield Day(f"{day:%m-%d}", counts, seen, f"{day:%Y-%m-%d}: {both}{f' ({apart})' if apart else ''}")


def _bars(found: Recent, say: Callable[[object], str]) -> Iterator[Bar]:
    amounts = dict[str, int]()
    for (_, scenario, _), customers in found.customers.items():
        amounts[scenario] = amounts.get(scenario, 0) + customers
    ranked = sorted(((amount, name) for name, amount in amounts.items() if amount), key=lambda pair: (-pair[0], pair[1]))
    titles = _titles(say)
    for amount, scenario in ranked[: SHOWN - 1] if len(ranked) > SHOWN else ranked:
        yield _bar(titles.get(scenario, scenario), amount, say)
    if len(ranked) > SHOWN:
        yield _bar(say(Phrase("All others")), _sum(ranked[SHOWN - 1 :]), say)


def _sum(ranked: Iterable[tuple[int, str]]) -> int:
    return sum(amount for amount, _ in ranked)


def _bar(name: str, amount: int, say: Callable[[object], str]) -> Bar:
    return Bar(name, amount, say(Phrase("%(scenario)s: %(customers)s customers", scenario=name, customers=format(amount, ","))))


def _titles(say: Callable[[object], str]) -> Mapping[str, str]:
    is_chinese = READER.get().language == "zh"
    own = {one.id: one.title_zh if is_chinese else one.title for one in own_rules().scenario}
    return {**own, NO_SCENARIO: say(Phrase("No known scenario"))}
