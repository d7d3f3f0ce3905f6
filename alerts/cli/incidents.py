"""The commands of `incidents`, one per action.

Each takes one or several incidents and prints the result for each. The exit code is 1 if an
incident was refused; the reason is printed.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from alerts.accounts import NOBODY
from alerts.accounts.accounts import FILE, Accounts
from alerts.cases.actions import (
    MOST_DAYS,
    REASONS,
    TAKEDOWN,
    USUAL_DAYS,
    ActionResult,
    Cases,
    parse_bound,
    require_owner,
)
from alerts.cases.decisions import permission_for
from alerts.cases.evidence import vault_of
from alerts.cases.incident_list import (
    CUSTOMERS_SHOWN,
    TOKENS,
    find_tokens,
    load_details,
    read_further_customers,
)
from alerts.cases.incident_view import describe, describe_pending, details, summary
from alerts.cases.lookups.lookup import Lookup
from alerts.cases.outgoing import outgoing_sightings
from alerts.cases.queue import (
    ORDERS,
    ORIGINS,
    TABS,
    IncidentQueue,
    QueueFilter,
    QueuePage,
)
from alerts.cases.second_person import waits_for
from alerts.cases.suppressions import (
    MOST_SUPPRESSION_DAYS,
    BenignCount,
    SuppressionConditions,
    Suppressions,
    background_counts,
    describe_conditions,
    find_suppressed,
    list_suppressions,
)
from alerts.cases.takedown_letter import notice_of, render_letter
from alerts.cases.undoing import UNDOABLE
from alerts.cli import (
    PAST,
    Author,
    Severity,
    Status,
    Tenant,
    Words,
    actor_of,
    deciding,
    name_of,
    tables,
)
from alerts.cli.evidence import hold
from alerts.cli.handover import hand_over, work_as_json
from alerts.cli.reports import deadline, export
from alerts.cli.tables import customers_table, incident_in_full, incidents_table
from alerts.coverage.monitoring_status import monitoring_status
from alerts.deadlines.render import clocks_as_json, clocks_table, decide_as_json
from alerts.deadlines.schedule import duties_of, work_of
from alerts.grouping.benign import BACKGROUND
from alerts.records import PendingDecision, Suppression
from alerts.store import IncidentStore, open_configured_store
from alerts.store.queries import find_pending, require_known_tenant
from ullage.audit import current_user
from ullage.display import moment
from ullage.display.screen import AsJson, By, make_console, print_list, print_row
from ullage.errors import ConfigError, Exit
from ullage.files.atomic_write import write_out
from ullage.security.masking import Secret
from ullage.settings import Context
from ullage.verdict import VERDICT

Incidents = Annotated[
    list[str], typer.Argument(metavar="INCIDENT…", help="One or several incidents.")
]
Remark = Annotated[str, typer.Option("--note", help="A remark, without an identifier.")]


@contextlib.contextmanager
def _cases(context: Context, by: str, permission: str) -> Iterator[tuple[Cases, str]]:
    """Yield the actions on incidents and the deciding person's name, if that person may decide."""
    with deciding(context, by, permission) as (store, who):
        rules = VERDICT.load_current(context.data).rules
        yield (
            Cases(work_of(context, store), context.trail(), actor_of(context, who), lambda: rules),
            who.name,
        )


def _each(
    context: Context,
    incidents: list[str],
    by: str,
    act: Callable[[Cases, str, str], ActionResult],
    permission: str = "incident.decide",
) -> None:
    """Apply an action to each incident in somebody's name, and print the results.

    The exit code is 1 if one of them was refused. Exits with 1 (typer.Exit) if one of them was
    refused.
    """
    with _cases(context, by, permission) as (cases, who):
        results = cases.several(incidents, lambda id_: act(cases, id_, who))
    for result in results:
        typer.echo(result.words(), err=not result.is_done)
    if not all(result.is_done for result in results):
        raise typer.Exit(Exit.FAILED)


def acknowledge(ctx: typer.Context, incidents: Incidents, by: By = "", note: Remark = "") -> None:
    """Acknowledge incidents, and show the deadlines that this starts."""
    _each(ctx.obj, incidents, by, lambda cases, id_, who: cases.acknowledge(id_, by=who, note=note))


def assign(
    ctx: typer.Context,
    incidents: Incidents,
    to: Annotated[str, typer.Option(help="To whom: a name, `me`, or - for nobody.")] = "me",
    due: Annotated[
        str,
        typer.Option(help="By when: 2026-11-25, 2026-11-25T14:30, +4h, +3d, - for none."),
    ] = "",
    by: By = "",
    note: Remark = "",
) -> None:
    """Assign incidents to somebody, by default to yourself, with a due date."""
    context: Context = ctx.obj

    def act(cases: Cases, id_: str, who: str) -> ActionResult:
        if (context.data / FILE).exists():
            with contextlib.closing(
                Accounts(context.data, context.clock, context.inventory)
            ) as accounts:
                require_owner(accounts, cases.incident(id_).tenant, to.strip(), who)
        return cases.assign(id_, who if to == "me" else to, by=who, due=due, note=note)

    _each(ctx.obj, incidents, by, act, "incident.assign")


def note(
    ctx: typer.Context,
    incident: str,
    text: Annotated[
        str, typer.Argument(help=("The note to add, or why it is undone, without any identifier."))
    ] = "",
    *,
    undo: Annotated[
        str,
        typer.Option(
            metavar="ENTRY",
            help=(
                "Undo this assignment, due date or link: its id, as `incidents show --json` has it,"
                " or `last`."
            ),
        ),
    ] = "",
    by: By = "",
) -> None:
    """Add a note to an incident, or undo an assignment, a due date or a link."""
    if not undo:
        _each(
            ctx.obj,
            [incident],
            by,
            lambda cases, id_, who: cases.decide(id_, "note", by=who, note=text),
        )
        return
    context: Context = ctx.obj
    with deciding(context, by, "incident.decide") as (store, who):
        cases = Cases(work_of(context, store), context.trail())
        entry = cases.get_undoable(
            incident, cases.last_undoable(incident) if undo == "last" else undo
        )
        who.require(UNDOABLE[entry.act])
        typer.echo(cases.undo(incident, entry.id, by=who.name, note=text).words())


def resolve(
    ctx: typer.Context,
    incidents: Incidents,
    as_: Annotated[
        Literal["resolved", "confirmed", "false_positive"],
        typer.Option("--as", help="Resolved; confirmed, which starts its deadlines; or no leak."),
    ] = "resolved",
    reason: Annotated[
        str, typer.Option(help=f"Why it is a false positive: {', '.join(REASONS)}.")
    ] = "",
    days: Annotated[
        int, typer.Option(min=1, max=MOST_DAYS, help="After which a false positive comes back.")
    ] = USUAL_DAYS,
    by: By = "",
    note: Remark = "",
) -> None:
    """Resolve incidents, or mark them as confirmed or false positive.

    With a running deadline a second person must confirm.

    A false positive comes back when its time is over, or when something new arrives.
    """
    if reason and as_ != "false_positive":
        raise ConfigError(
            "--reason applies only to --as false_positive: use --note for other outcomes"
        )

    def act(cases: Cases, id_: str, who: str) -> ActionResult:
        if as_ == "false_positive":
            return cases.excuse(id_, reason, by=who, days=days, note=note)
        return cases.decide(id_, as_, by=who, note=note)

    _each(ctx.obj, incidents, by, act, permission_for(as_))


def takedown(
    ctx: typer.Context,
    incident: str,
    state: Annotated[
        str,
        typer.Argument(
            metavar="STATE", help=f"{', '.join(TAKEDOWN)}; or letter, which writes the letter."
        ),
    ],
    lang: Annotated[
        Literal["zh", "en"] | None,
        typer.Option(help="Of the letter; without it as the tenant's `language` says."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The letter's file; standard output without it."),
    ] = None,
    by: By = "",
    note: Remark = "",
) -> None:
    """Record the state of a takedown, or write its letter; `evidence open` shows the addresses
    for it.
    """
    if state != "letter":
        _each(
            ctx.obj,
            [incident],
            by,
            lambda cases, id_, who: cases.takedown(id_, state, by=who, note=note),
        )
        return
    with _cases(ctx.obj, by, "incident.export") as (cases, who):
        incident_record = cases.incident(incident)
        context: Context = ctx.obj
        tenant = context.tenant(incident_record.tenant)
        written = lang or tenant.language
        posts = outgoing_sightings(cases.find_sightings(incident_record), vault_of(context))
        text = render_letter(
            notice_of(incident, posts, tenant, written, context.clock.now()), written
        )
        context.trail().append(
            "incident.letter",
            f"incident {incident}: {written}",
            actor=who,
            tenant=incident_record.tenant,
        )
    write_out(text.encode(), output)


def link(
    ctx: typer.Context,
    incident: str,
    other: Annotated[
        str, typer.Argument(metavar="[OTHER]", help="The incident that it belongs with.")
    ] = "",
    *,
    end: Annotated[
        bool, typer.Option("--end", help="Record that they do not belong together.")
    ] = False,
    merge: Annotated[bool, typer.Option("--merge", help="OTHER becomes part of INCIDENT.")] = False,
    split: Annotated[
        bool,
        typer.Option(
            "--split", help="OTHER, which was merged into INCIDENT, is one of its own again."
        ),
    ] = False,
    detach: Annotated[
        str,
        typer.Option(
            metavar="SIGHTING",
            help=(
                "Make this sighting an incident of its own: how its id begins, as `incidents show"
                " --json` has it."
            ),
        ),
    ] = "",
    by: By = "",
    note: Remark = "",
) -> None:
    """Link, merge or split two incidents, or detach a sighting, with the reason in --note; both
    show it.
    """
    if bool(other) == bool(detach) or sum((end, merge, split, bool(detach))) > 1:
        raise ConfigError("name the other incident, or a sighting with --detach")
    if (detach or merge or split) and not note.strip():
        raise ConfigError("--note is required: give the reason for the change")

    def act(cases: Cases, id_: str, who: str) -> ActionResult:
        if detach:
            return cases.detach(id_, detach, by=who, note=note)
        if merge or split:
            return (cases.merge if merge else cases.split)(id_, other, by=who, note=note)
        return cases.link(id_, other, by=who, note=note, end=end)

    _each(ctx.obj, [incident], by, act)


def suppress(
    ctx: typer.Context,
    suppression: Annotated[
        str, typer.Argument(metavar="[SUPPRESSION]", help="With --end, the one that ends.")
    ] = "",
    *,
    reason: Annotated[
        str, typer.Option(help="Reason for the suppression, or for its end; no identifier.")
    ],
    tenant: Annotated[str, typer.Option(help="The tenant that it is for.")] = "",
    days: Annotated[
        int,
        typer.Option(min=0, max=MOST_SUPPRESSION_DAYS, help="Days until it ends by itself."),
    ] = 0,
    site: Annotated[str, typer.Option(help="Posts of this site.")] = "",
    channel: Annotated[str, typer.Option(help="Posts of this channel.")] = "",
    author: Annotated[
        str, typer.Option(help="Posts of this author, as an incident shows them.")
    ] = "",
    rule: Annotated[
        str, typer.Option(help="Incidents of this scenario or with this reason code, such as X18.")
    ] = "",
    incident: Annotated[
        str, typer.Option(help="This incident and what is like it, until there is more in it.")
    ] = "",
    end: Annotated[bool, typer.Option("--end", help="End SUPPRESSION now instead.")] = False,
    by: By = "",
) -> None:
    """Suppress notifications that match, until a date; never those of `statutory` incidents and
    honeytokens.
    """
    context: Context = ctx.obj
    if end != bool(suppression):
        raise ConfigError("name the suppression to end, with --end: see `incidents suppressions`")
    if end:
        with deciding(context, by, "noise.change") as (store, who):
            Suppressions(duties_of(context, store), context.trail()).lift(
                suppression, by=who.name, reason=reason
            )
        typer.echo(f"{suppression} is lifted")
        return
    if not (tenant and days):
        raise ConfigError("give --tenant and --days: whose incidents to suppress, and for how long")
    with deciding(context, by, "noise.change") as (store, who):
        require_known_tenant(context, store, tenant)
        conditions = SuppressionConditions(site, channel, author, rule, incident)
        actor = actor_of(context, who)
        desk = Suppressions(duties_of(context, store), context.trail(), actor)
        outcome = desk.suppress(tenant, conditions, days=days, by=who.name, reason=reason)
    if isinstance(outcome, PendingDecision):
        typer.echo(f"{outcome.incident}: {waits_for(actor, outcome)}")
        return
    typer.echo(
        f"{outcome.id}: {describe_conditions(outcome)} of {tenant} is silent until"
        f" {moment(outcome.expires, context.zone)}"
    )


def suppressions_list(
    ctx: typer.Context,
    as_json: AsJson = False,
    tenant: Tenant = "",
    ended: Annotated[
        bool, typer.Option("--ended", help="Those that have ended or were lifted too.")
    ] = False,
    background: Annotated[
        bool, typer.Option("--background", help="Count the posts instead that rules call no leak.")
    ] = False,
) -> None:
    """List suppressions: by whom, why and until when; or count benign posts by site and rule."""
    context: Context = ctx.obj
    if background:
        _background(context, tenant, as_json=as_json)
        return
    now = context.clock.now()
    with contextlib.closing(open_configured_store(context)) as store:
        require_known_tenant(context, store, tenant)
        pairs = [
            pair
            for pair in list_suppressions(store, tenant)
            if ended or tables.state(*pair, now) == tables.IN_FORCE
        ]
    print_list(
        pairs,
        as_json=as_json,
        row=lambda pair: tables.as_json(*pair, now),
        table=lambda rows: tables.suppressions_table(rows, now, context.zone),
        none="Nothing is suppressed.",
    )


def _background(context: Context, tenant: str, *, as_json: bool) -> None:
    """Print the number of benign posts, by site and rule, of one tenant or for "" of all.

    The sum goes to standard error, unless the output is JSON.
    """
    with contextlib.closing(open_configured_store(context)) as store:
        require_known_tenant(context, store, tenant)
        counts = background_counts(store, tenant)
    rules = BACKGROUND.load_current(context.data).rules
    print_list(
        counts,
        as_json=as_json,
        row=BenignCount._asdict,
        table=lambda counts: tables.background_table(counts, rules),
        none="No benign posts.",
    )
    if counts and not as_json:
        typer.echo(f"{sum(count.posts for count in counts):,} benign posts in all.", err=True)


incidents = typer.Typer(
    no_args_is_help=True, help="List, show, decide, suppress and export incidents."
)
incidents.command("acknowledge")(acknowledge)
incidents.command("assign")(assign)
incidents.command("note")(note)
incidents.command("resolve")(resolve)
incidents.command("takedown")(takedown)
incidents.command("link")(link)
incidents.command("handover")(hand_over)
incidents.command("deadline")(deadline)
incidents.command("export")(export)
incidents.command("hold")(hold)
incidents.command("suppress")(suppress)
incidents.command("suppressions")(suppressions_list)


@incidents.command("list")
def incidents_list(
    ctx: typer.Context,
    *,
    as_json: AsJson = False,
    tab: Annotated[str, typer.Option(help=f"Which: {', '.join(TABS)}.")] = "all",
    order: Annotated[
        str, typer.Option(help=f"`{', '.join(ORDERS)}`, or `-priority` to reverse.")
    ] = "",
    tenant: Tenant = "",
    severity: Severity = "",
    status: Status = "",
    origin: Annotated[str, typer.Option(help=f"{', '.join(ORIGINS)}.")] = "",
    scenario: Annotated[str, typer.Option(help="A scenario's id.")] = "",
    site: Annotated[str, typer.Option(help="Seen on this site.")] = "",
    kind: Annotated[str, typer.Option(help="With identifiers of this kind.")] = "",
    assignee: Annotated[str, typer.Option(help="Assigned to this name, - for nobody.")] = "",
    since: Annotated[str, typer.Option(help=f"Opened since: {PAST}.")] = "",
    until: Annotated[str, typer.Option(help="Opened before, in the same forms.")] = "",
    text: Words = "",
    author: Author = "",
    by: By = "",
    flat: Annotated[
        bool, typer.Option("--flat", help="Every incident of a seller, not one for all.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="The largest number to show.")] = 50,
) -> None:
    """List incidents: due soonest first, then the most severe and oldest; with --json the newest
    first.
    """
    context: Context = ctx.obj
    now = context.clock.now()
    opened_from, before = (
        parse_bound(bound, context.zone, now) if bound else None for bound in (since, until)
    )
    order = order or ("opened" if as_json else "priority")
    view = QueueFilter(
        tab,
        order,
        tenant,
        severity,
        status,
        origin,
        scenario,
        site,
        kind,
        assignee,
        text,
        "",
        opened_from,
        before,
    )
    view = replace(view, flat=flat or as_json)
    with contextlib.closing(open_configured_store(context)) as store:
        queue = IncidentQueue(work_of(context, store), name_of(by))
        queue.check(view)  # reject an invalid filter first
        require_known_tenant(context, store, tenant)
        seller = _find_seller_tokens(context, store, author)
        page = (
            queue.page(replace(view, seller=seller), limit)
            if seller or not author
            else QueuePage(())
        )
        silent = find_suppressed(duties_of(context, store), [row.incident for row in page.rows])
        behind = monitoring_status(store, now)
    narrowed = view.is_narrowed or tab != "all"
    none = f"{_nothing(seller, author, narrowed=narrowed)}; {behind.said}."
    _print_queue(context, page, silent, none, as_json=as_json)
    if page.after and not as_json:
        typer.echo(f"More than {limit}: narrow the list, or raise --limit.", err=True)
    if not page.rows:
        if as_json:
            typer.echo(none, err=True)
        raise typer.Exit(Exit.DONE if behind.is_trusted else Exit.NO_VERDICT)


def _print_queue(
    context: Context,
    found: QueuePage,
    silent: Mapping[str, Suppression],
    none: str,
    *,
    as_json: bool,
) -> None:
    """Print a page of the queue as a listing or as JSON; `none` stands for an empty one."""
    print_list(
        found.rows,
        as_json=as_json,
        row=lambda row: {
            **summary(row.incident, row.item.status, silent.get(row.incident.id)),
            **work_as_json(row),
        },
        table=lambda rows: incidents_table(rows, context.clock.now(), context.zone, silent),
        none=none,
    )
    if not as_json:
        for line in _describe_folded_rows(found):
            typer.echo(line, err=True)


def _nothing(seller: str, author: str, *, narrowed: bool) -> str:
    if author and not seller:
        return "No post of that seller is in the store"
    return "No matching incidents" if narrowed or author else "No incidents"


def _describe_folded_rows(page: QueuePage) -> Iterator[str]:
    """Yield a line for each row that stands for more incidents of the same seller."""
    for row in page.rows:
        if row.folded:
            yield (
                f"{row.incident.id} stands for {row.folded} more of the same seller: --author"
                f" {row.incident.series[0]}"
            )


def _find_seller_tokens(context: Context, store: IncidentStore, author: str) -> str:
    """Return the tokens of an author, separated by commas; "" for nobody or one without posts.

    Text that has the form of tokens is returned as it is, without a check, and so is "". A name,
    read from standard input for "-", is converted to keyed hashes here and passed no further; the
    audit log records how many tokens it has.
    """
    if not author or TOKENS.fullmatch(author):
        return author
    name = Secret(sys.stdin.readline() if author == "-" else author)
    trail = context.trail()
    everyone = Lookup(
        store, context.keys, tuple(context.settings.tenants), context.clock, trail
    ).everyone()
    tokens = find_tokens(store, context.keys, everyone, name)
    trail.append("lookup.seller", f"{len(tokens)} found", actor=current_user())
    return ",".join(tokens)


@incidents.command("show")
def incidents_show(
    ctx: typer.Context,
    incidents: Annotated[list[str], typer.Argument(help="One or several incidents.")],
    as_json: AsJson = False,
) -> None:
    """Show incidents: verdicts with reasons, sightings, and the pseudonyms of their customers."""
    context: Context = ctx.obj
    with contextlib.closing(open_configured_store(context)) as store:
        for id_ in dict.fromkeys(incidents):
            _show(context, store, id_, as_json=as_json)


def _show(context: Context, store: IncidentStore, id_: str, *, as_json: bool) -> None:
    """Print one incident in full, or with `as_json` as one line of JSON.

    On a terminal, an incident with many customers is shown in a pager. All its customers are
    printed; those whose data has expired are only counted. Raises ConfigError if it does not exist.
    """
    incident_details, now = (
        load_details(store, id_, None if as_json else CUSTOMERS_SHOWN),
        context.clock.now(),
    )
    if incident_details is None:
        raise ConfigError("no incident with that id: see `ullage incidents list`")
    book, zone = duties_of(context, store), context.zone
    owed = book.find_deadlines([incident_details.incident])[id_]
    incident_details, duties, decide = (
        replace(incident_details, status=owed.status),
        owed.duties,
        owed.decide,
    )
    silence = find_suppressed(book, [incident_details.incident]).get(id_)
    actor = actor_of(context, NOBODY)
    pending = [
        (entry, waits_for(actor, entry))
        for entry in find_pending(store, incident_details.incident.family)
    ]
    if as_json:
        print_row(
            details(
                incident_details,
                clocks_as_json(duties, now),
                silence,
                decide_as_json(decide, now, zone),
                pending,
            )
        )
        return
    clocks, out = clocks_table(duties, now, zone) if duties else "", make_console()
    with out.pager() if out.is_terminal and incident_details.more else contextlib.nullcontext():
        by_when = decide.words(now, zone) if decide else ("", "")
        out.print(
            incident_in_full(incident_details, zone, clocks=clocks, silence=silence, decide=by_when)
        )
        for entry, waits in pending:
            out.print(Text(f"  {entry.id}  {describe_pending(entry)} by {entry.by}: {waits}"))
        for decision in incident_details.decisions:
            if decision.is_by_one_person:
                out.print(
                    Text(
                        f"  {moment(decision.at, zone)} {describe(decision)} by {decision.by}:"
                        " decided by one person"
                    )
                )
        shown = len(incident_details.exposures)
        for batch in read_further_customers(store, incident_details):
            out.print(customers_table(batch))
            shown += len(batch)
        if shown < incident_details.incident.customers:
            out.print(
                f"  {incident_details.incident.customers - shown:,} more, whose data has"
                " expired or was erased"
            )
