"""Show incidents, suppressions and replays as tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, tzinfo
from typing import Any, Literal

from rich import box
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
    offer,
    summarize_claims,
)
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
    Status,
    Suppression,
)
from alerts.store.queries import CLOSED
from ullage.display import moment, safe
from ullage.display.screen import cell, make_table, render_next_step

State = Literal["in force", "ended", "lifted"]
IN_FORCE: State = "in force"
Pair = tuple[Suppression, Suppression | None]


def state(one: Suppression, lifted: Suppression | None, now: datetime) -> State:
    """Return whether a suppression is in force, ended (it expired by `now`) or lifted.

    `lifted` is the document that lifted it, or None.
    """
    return "lifted" if lifted else "ended" if one.expires <= now else IN_FORCE


def line(one: Suppression, zone: tzinfo | None = None) -> str:
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


def suppressions_table(pairs: Sequence[Pair], now: datetime, zone: tzinfo | None = None) -> Table:
    """Return a table of suppressions, one per row; those that are not in force are dim.

    Each pair is a suppression and the document that lifted it, or None. Times are in `zone`.
    """
    table = make_table(
        "suppression", "tenant", "silences", "by", "why", "until", whole=("suppression",)
    )
    for suppression, lifted in pairs:
        standing = state(suppression, lifted, now)
        ends = (
            moment(suppression.expires, zone)
            if standing != "lifted"
            else f"lifted by {safe(lifted.by) if lifted else ''}"
        )
        texts = map(
            cell,
            (
                suppression.tenant,
                describe_conditions(suppression),
                suppression.by,
                suppression.reason,
            ),
        )
        style = "" if standing == IN_FORCE else "dim"
        table.add_row(suppression.id, *texts, ends, style=style)
    return table


def background_table(counts: Sequence[BenignCount], rules: BenignRules) -> Table:
    """Return a table of benign posts, one row per count, with the number of all posts below.

    `rules` give the titles of the rules.
    """
    titles = {rule.id: rule.title for rule in rules.rule}
    table = make_table("tenant", "site", "rule", "posts", "customers", right=("posts", "customers"))
    for count in counts:
        rule = f"{count.rule} {titles.get(count.rule, 'of an earlier version')}"
        table.add_row(
            cell(count.tenant), cell(count.site), rule, f"{count.posts:,}", f"{count.customers:,}"
        )
    table.add_section()
    table.add_row("", "", "all", f"{sum(count.posts for count in counts):,}", "")
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
    rows: Sequence[tuple[Incident, Status]],
    zone: tzinfo | None = None,
    silent: Collection[str] = (),
) -> Table:
    """Return a table of incidents, one per row; columns with lists are wrapped first.

    Times are in `zone`. Incidents whose ids are in `silent` are suppressed: they are dim and
    marked.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    table.add_column("incident", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("expo-\nsure", justify="right", no_wrap=True)
    table.add_column("origin", overflow="fold", min_width=9, max_width=14)
    table.add_column("site", overflow="fold", min_width=6)
    table.add_column("cust-\nomers", justify="right", no_wrap=True)
    table.add_column("kinds", min_width=11)
    table.add_column("publish →\nincident", justify="right", no_wrap=True)
    table.add_column("status")
    table.add_column(f"opened\n{_zone_name(rows, zone)}", no_wrap=True, min_width=11)
    for incident, status in rows:
        table.add_row(
            incident.id,
            Text(incident.severity, COLOURS[incident.severity]),
            str(incident.exposure),
            cell(incident.whose),
            Text(brief(incident.sites, 2)),
            incident.counted,
            Text(brief(incident.kinds, 4)),
            str(duration(incident.publish_seconds)),
            status.replace("_", " ") + (", suppressed" if incident.id in silent else ""),
            incident.opened_at.astimezone(zone).strftime("%m-%d %H:%M"),
            style="dim" if incident.id in silent else "",
        )
    return table


def offers_table(rows: Sequence[tuple[Incident, Status]]) -> RenderableType:
    """Return a table of what is offered in the incidents that offer something, or "" for none.

    The columns are the offer (words, claims, newest date), the seller and the section.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    table.add_column("incident", no_wrap=True)
    table.add_column("offers", overflow="fold", ratio=3)
    table.add_column("seller", overflow="fold", min_width=13)
    table.add_column("section", overflow="fold", ratio=2)
    offers = [(i, offer(i), brief(i.authors, 1), brief(i.sections, 1)) for i, _ in rows]
    for incident, *cells in offers:
        if any(cells):
            table.add_row(incident.id, *(Text(cell or "–") for cell in cells))
    return Group("", table) if table.row_count else ""


def _zone_name(rows: Sequence[tuple[Incident, Status]], zone: tzinfo | None) -> str:
    return rows[0][0].opened_at.astimezone(zone).strftime("%Z") if rows else ""


def incident_in_full(
    found: IncidentDetails,
    zone: tzinfo | None = None,
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


def _facts(incident: Incident, zone: tzinfo | None) -> Table:
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
                f" {duration(incident.publish_seconds)}"
            ),
        ),
        ("linked", " ".join(incident.linked) or "–"),
    ):
        grid.add_row(f"  {name}", Text(value))
    return grid


def _reasons(reasons: Iterable[IncidentReason]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column()
    grid.add_column(justify="right")
    for why in reasons:
        grid.add_row(f"  {why.code}", f"{why.points:+d}" if why.points else "", cell(why.evidence))
    return grid


def _sightings(sightings: Iterable[Sighting], zone: tzinfo | None) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for s in sightings:
        summary = (
            " · ".join(filter(None, (s.title, summarize_claims(s.claims), _presence(s, zone))))
            or "–"
        )
        grid.add_row(
            f"  {moment(s.fetched_at, zone)}",
            cell(s.site),
            cell(s.url or "–"),
            cell(summary),
            cell(s.author or "–"),
        )
    return grid


def _presence(sighting: Sighting, zone: tzinfo | None) -> str:
    """Return whether a post is gone, and since when, or back; "" if it was never gone."""
    if sighting.gone_at is not None:
        how = "edited out" if sighting.gone_how == "edited" else "removed"
        return f"{how} {moment(sighting.gone_at, zone)}"
    return f"back again, {moment(sighting.back_at, zone)}" if sighting.back_at else ""


def _sellers(sellers: Iterable[Seller], zone: tzinfo | None) -> Table:
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


def _counts_table(counts: Sequence[RuleCount]) -> Table:
    """Return a table of rules, one per row."""
    table = make_table(
        "rule",
        "what it says",
        "incidents",
        "posts",
        "confirmed",
        "false",
        "precision",
        right=("incidents", "posts", "confirmed", "false"),
    )
    for count in counts:
        numbers = (
            f"{n:,}" if n else "–"
            for n in (count.incidents, count.posts, count.confirmed, count.false_positives)
        )
        precision = "–" if count.precision is None else f"{count.precision:.0%}"
        table.add_row(cell(count.rule), cell(count.title), *numbers, precision)
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


def _changes_table(replay: RuleReplay) -> Table:
    table = make_table(
        "incident", "tenant", "severity", "exposure", "scenario", "origin", whole=("incident",)
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
        table.add_row(change.incident, cell(change.tenant), *shown)
    return table


def _posts_table(replay: RuleReplay) -> Table:
    table = make_table("site", "posts", "are", "would be", right=("posts",))
    for (site, before, after), count in sorted(
        replay.posts.items(), key=lambda item: (-item[1], item[0])
    ):
        table.add_row(cell(site), f"{count:,}", *map(_place, (before, after)))
    return table


def _place(one: str) -> str:
    return {FOLDED: "in an incident", UNRAISED: "raised by nothing"}.get(one, f"benign by {one}")
