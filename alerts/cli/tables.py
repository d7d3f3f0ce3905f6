"""Show incidents, suppressions and replays as tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, tzinfo
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from alerts.cases.actions import describe_removals
from alerts.cases.incident_list import IncidentDetails, Seller
from alerts.cases.incident_view import (
    brief,
    describe_grouping,
    incompleteness,
    summarize,
    summarize_claims,
)
from alerts.cases.queue import QueueRow
from alerts.cases.suppressions import BenignCount, describe_conditions
from alerts.deadlines.render import duration
from alerts.grouping.benign import BenignRules
from alerts.grouping.replay import FOLDED, UNRAISED, ReplayedVerdict, RuleCount, RuleReplay
from alerts.records import (
    SEVERITIES,
    Exposure,
    Incident,
    IncidentReason,
    Sighting,
    Suppression,
)
from alerts.store.queries import CLOSED
from alerts.translation import spaced
from ullage.display import moment, safe
from ullage.display.listing import Listing
from ullage.display.screen import cell, render_next_step

State = Literal["in force", "ended", "lifted"]
IN_FORCE: State = "in force"
Pair = tuple[Suppression, Suppression | None]


def state(one: Suppression, lifted: Suppression | None, now: datetime) -> State:
    """Return whether a suppression is in force, ended (it expired by `now`) or lifted.

    `lifted` is the document that lifted it, or None.
    """
    return "lifted" if lifted else "ended" if one.expires <= now else IN_FORCE


def line(one: Suppression, zone: tzinfo) -> str:
    """Return one line that says who suppressed an incident, until when (in `zone`) and why."""
    return (
        f"suppressed by {safe(one.by)} until {moment(one.expires, zone)}: {safe(one.reason)}"
        f" ({one.id})"
    )


def as_json(one: Suppression, lifted: Suppression | None, now: datetime) -> dict[str, Any]:
    """Return a suppression as a JSON object, with its state and who lifted it (or null).

    The sketch is left out. `lifted` is the document that lifted it, or None.
    """
    ended = lifted.model_dump(mode="json", include={"at", "by", "reason"}) if lifted else None
    return {
        **one.model_dump(mode="json", exclude={"sketch", "sketch_of", "lifts"}),
        "state": state(one, lifted, now),
        "lifted": ended,
    }


def suppressions_table(pairs: Sequence[Pair], now: datetime, zone: tzinfo) -> Listing:
    """Return a listing of suppressions, one per row; those that are not in force are dim.

    Each pair is a suppression and the document that lifted it, or None. Times are in `zone`.
    """
    table = Listing(
        ("suppression", "until", "tenant", "by", "silences", "why"),
        whole=("suppression", "until"),
    )
    for suppression, lifted in pairs:
        standing = state(suppression, lifted, now)
        ends = moment(suppression.expires, zone) if standing != "lifted" else "lifted"
        by = f"{suppression.by}, lifted by {lifted.by}" if lifted else suppression.by
        texts = (suppression.tenant, by, describe_conditions(suppression), suppression.reason)
        style = "" if standing == IN_FORCE else "dim"
        table.add_row(suppression.id, ends, *texts, style=style)
    return table


def background_table(counts: Sequence[BenignCount], rules: BenignRules) -> Listing:
    """Return a listing of benign posts, one row per count.

    `rules` give the titles of the rules.
    """
    titles = {rule.id: rule.title for rule in rules.rule}
    table = Listing(("tenant", "site", "rule", "posts", "customers"), right=("posts", "customers"))
    for count in counts:
        rule = f"{count.rule} {titles.get(count.rule, 'of an earlier version')}"
        numbers = f"{count.posts:,}", f"{count.customers:,}"
        table.add_row(count.tenant, count.site, rule, *numbers)
    return table


KINDS_WIDTH = 18
"""Width of `phone, resident_id`."""
COLOURS = {
    "statutory": "bold white on dark_red",
    "high": "bold red",
    "medium": "dark_orange",
    "low": "yellow",
    "notice": "cyan",
    "noise": "dim",
}


def incidents_table(
    rows: Sequence[QueueRow], now: datetime, zone: tzinfo, silent: Collection[str] = ()
) -> Listing:
    """Return a listing of incidents, one per row.

    Times are in `zone`; what was due before `now` is red. Incidents whose ids are in `silent` are
    suppressed: they are dim and marked.
    """
    table = Listing(
        ("incident", "due", "severity", "tenant", "customers", "status", "site", "title"),
        right=("customers",),
        whole=("incident", "due", "severity"),
    )
    for row in rows:
        incident, item = row.incident, row.item
        is_late = item.due_at is not None and item.due_at < now
        is_silent = incident.id in silent
        table.add_row(
            incident.id,
            Text(moment(item.due_at, zone), "bold red" if is_late else "") if item.due_at else "–",
            Text(incident.severity, COLOURS[incident.severity]),
            incident.tenant,
            incident.counted,
            spaced(item.status) + (", suppressed" if is_silent else ""),
            brief(incident.sites, 2),
            summarize(incident),
            style="dim" if is_silent else "",
        )
    return table


def incident_in_full(
    found: IncidentDetails,
    zone: tzinfo,
    clocks: RenderableType = "",
    silence: Suppression | None = None,
    decide: tuple[str, str] = ("", ""),
) -> RenderableType:
    """Return an incident for the terminal, with everything that a first look needs.

    That is: verdicts with reasons, where it was seen, and the customers in it. Times are in `zone`.
    `clocks` is the table of deadlines, `silence` its suppression, and `decide` by when a person
    must decide, in English and Chinese.
    """
    incident = found.incident
    head = Text.assemble(
        (incident.severity.upper(), COLOURS[incident.severity]),
        (f"  {incident.id}", "bold"),
        f"  {safe(incident.tenant)}  {found.status}  opened {moment(incident.opened_at, zone)}",
    )
    scenario = (
        f"{incident.scenario_title} {incident.scenario_title_zh}"
        if incident.scenario
        else "no scenario"
    )
    return Group(
        head,
        *((Text(line(silence, zone), "dim"),) if silence else ()),
        *((Text(incompleteness(incident), "bold red"),) if incident.incomplete else ()),
        *((Text(describe_grouping(incident), "bold"),) if describe_grouping(incident) else ()),
        *((render_next_step(incident.next_step, decide),) if found.status not in CLOSED else ()),
        Padding(_facts(incident, zone), (1, 0)),
        Text(f"Exposure {incident.exposure}: {scenario}", "bold"),
        _reasons(incident.reasons),
        Text(f"\nOrigin: {safe(incident.whose)}", "bold"),
        _reasons(incident.origin_reasons),
        *((Text("\nReporting deadlines", "bold"), clocks) if clocks else ()),
        Text(
            f"\nSeen {incident.sightings:,}"
            f" times{_note_truncation(len(found.sightings), incident.sightings)}",
            "bold",
        ),
        *((Text(f"  {removals}"),) if (removals := describe_removals(incident, zone)) else ()),
        _sightings(found.sightings, zone),
        *((Text("\nSellers", "bold"), _sellers(found.sellers, zone)) if found.sellers else ()),
        Text(f"\nCustomers: {incident.counted}", "bold"),
        customers_table(found.exposures),
    )


def _facts(incident: Incident, zone: tzinfo) -> Table:
    grid = Table.grid(padding=(0, 3, 0, 0))
    for name, value in (
        ("kinds", brief(incident.kinds, 6)),
        ("claims", summarize_claims(incident.claims) or "–"),
        ("columns", brief(incident.fields, 10) or "–"),
        ("newest date", str(incident.newest_date or "–")),
        ("section", brief(incident.sections, 3) or "–"),
        ("row", safe(incident.skeleton) or "–"),
        ("rows", f"{incident.rows:,}"),
        ("terms", brief(incident.written, 8) or "–"),
        (
            "published",
            (
                f"{moment(incident.published_at, zone)}, an incident after"
                f" {_lag(incident.publish_seconds)}"
            ),
        ),
        ("linked", " ".join(incident.linked) or "–"),
    ):
        grid.add_row(f"  {name}", Text(value))
    return grid


def _lag(seconds: float | None) -> str:
    """Return the time from publication, at best to the minute: many sites show no seconds."""
    return "under a minute" if seconds is not None and seconds < 60 else str(duration(seconds))


def _reasons(reasons: Iterable[IncidentReason]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column()
    grid.add_column(justify="right")
    for why in reasons:
        grid.add_row(f"  {why.code}", f"{why.points:+d}" if why.points else "", cell(why.evidence))
    return grid


def _sightings(sightings: Iterable[Sighting], zone: tzinfo) -> Listing:
    listing = Listing(("seen", "site", "author", "address", "what"), whole=("seen",))
    for s in sightings:
        summary = filter(None, (s.title, summarize_claims(s.claims), _presence(s, zone)))
        listing.add_row(
            moment(s.fetched_at, zone),
            s.site,
            s.author or "–",
            s.url or "–",
            " · ".join(summary) or "–",
        )
    return listing


def _presence(sighting: Sighting, zone: tzinfo) -> str:
    """Return whether a post is gone, and since when, or back; "" if it was never gone."""
    if sighting.gone_at is not None:
        how = "edited out" if sighting.gone_how == "edited" else "removed"
        return f"{how} {moment(sighting.gone_at, zone)}"
    return f"back again, {moment(sighting.back_at, zone)}" if sighting.back_at else ""


def _sellers(sellers: Iterable[Seller], zone: tzinfo) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for seller in sellers:
        posts = (
            f"{seller.sightings:,} sighting{'s' * (seller.sightings != 1)} in {seller.incidents:,}"
            f" incident{'s' * (seller.incidents != 1)}"
        )
        grid.add_row(
            f"  {safe(seller.author)}",
            posts,
            f"since {moment(seller.since, zone)}",
            Text(brief(seller.sections, 4)),
        )
    return grid


def _note_truncation(shown: int, all_: int) -> str:
    """Return a remark if not all sightings are shown, else ""."""
    return f", the newest {shown:,} shown (--json has all)" if shown < all_ and shown else ""


def customers_table(exposures: Iterable[Exposure]) -> Table:
    """Return a table of customers: pseudonym, kinds, fields and confidence, without a head."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(min_width=KINDS_WIDTH)
    grid.add_column()
    grid.add_column(no_wrap=True)
    for e in exposures:
        grid.add_row(
            f"  {safe(e.subject)}",
            Text(brief(e.kinds, 6)),
            Text(brief(e.fields, 8)),
            f"{e.confidence} %",
        )
    return grid


SHOWN = 50
"""Number of changed incidents that a terminal lists; `--json` lists all."""


def _counts_table(counts: Sequence[RuleCount]) -> Listing:
    """Return a listing of rules, one per row."""
    table = Listing(
        ("rule", "incidents", "posts", "confirmed", "false", "precision", "what it says"),
        right=("incidents", "posts", "confirmed", "false", "precision"),
    )
    for count in counts:
        numbers = (
            f"{n:,}" if n else "–"
            for n in (count.incidents, count.posts, count.confirmed, count.false_positives)
        )
        precision = "–" if count.precision is None else f"{count.precision:.0%}"
        table.add_row(count.rule, *numbers, precision, count.title)
    return table


def replay_as_json(replay: RuleReplay, counts: Sequence[RuleCount]) -> dict[str, Any]:
    """Return the whole outcome of a replay as one JSON object, with `counts` as `rules`.

    `changed` is the number of incidents and benign posts that would be judged otherwise.
    """
    changes = [
        {
            "incident": c.incident,
            "tenant": c.tenant,
            "before": c.before._asdict(),
            "after": c.after._asdict(),
        }
        for c in replay.changes
    ]
    posts = [
        {"site": site, "before": b, "after": a, "posts": n}
        for (site, b, a), n in sorted(replay.posts.items())
    ]
    severity = [
        {"before": b, "after": a, "incidents": n}
        for (b, a), n in sorted(replay.count_by_severity().items())
    ]
    totals = {
        "kind": replay.kind,
        "judged": replay.judged,
        "frozen": replay.frozen,
        "changed": len(replay.changes) + replay.posts.total(),
    }
    rules = [{**count._asdict(), "precision": count.precision} for count in counts]
    return {**totals, "severities": severity, "incidents": changes, "posts": posts, "rules": rules}


def replay_in_full(replay: RuleReplay, counts: Sequence[RuleCount]) -> RenderableType:
    """Return the outcome of a replay for the terminal: counts per rule, changes, and the sums.

    Only the first 50 changed incidents are listed.
    """
    parts: list[RenderableType] = [_counts_table(counts)]
    if replay.changes:
        parts.append(_changes_table(replay))
        if len(replay.changes) > SHOWN:
            parts.append(f"… and {len(replay.changes) - SHOWN} more: --json lists all")
    if replay.posts:
        parts.append(_posts_table(replay))
    ordered = sorted(
        replay.count_by_severity().items(), key=lambda item: tuple(map(SEVERITIES.index, item[0]))
    )
    parts += [f"{count:,} from {before} to {after}" for (before, after), count in ordered]
    frozen = f"; {replay.frozen:,} are frozen and keep theirs" if replay.frozen else ""
    changed = len(replay.changes) + replay.posts.total()
    parts.append(
        Text(
            f"{changed:,} of {replay.judged:,} would be judged otherwise{frozen}. Nothing was"
            " written.",
            "bold",
        )
    )
    return Group(*parts)


def _changes_table(replay: RuleReplay) -> Listing:
    table = Listing(
        ("incident", "tenant", "severity", "exposure", "scenario", "origin"), whole=("incident",)
    )
    for change in replay.changes[:SHOWN]:
        pairs = zip(map(str, change.before), map(str, change.after), strict=True)
        cells = dict(
            zip(
                ReplayedVerdict._fields,
                (b or "–" if b == a else f"{b or '–'} → {a or '–'}" for b, a in pairs),
                strict=True,
            )
        )
        shown = (cells[name] for name in ("severity", "exposure", "scenario", "origin"))
        table.add_row(change.incident, change.tenant, *shown)
    return table


def _posts_table(replay: RuleReplay) -> Listing:
    table = Listing(("site", "posts", "are", "would be"), right=("posts",))
    for (site, before, after), count in sorted(
        replay.posts.items(), key=lambda item: (-item[1], item[0])
    ):
        table.add_row(site, f"{count:,}", *map(_place, (before, after)))
    return table


def _place(one: str) -> str:
    return {FOLDED: "in an incident", UNRAISED: "raised by nothing"}.get(one, f"benign by {one}")
