"""`ullage alert` and `ullage incidents`."""

from __future__ import annotations

import contextlib
import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from prometheus_client import CollectorRegistry
from rich.console import Group

from alerts.clocks.book import Book, earliest, known, unheard
from alerts.clocks.regimes import check_regimes
from alerts.clocks.render import clocks_as_json, clocks_table, decide_as_json
from alerts.coverage.hours import Recount
from alerts.coverage.ledger import CoverageLog
from alerts.coverage.sheet import sheets_of
from alerts.custody.command import hold, vault_of
from alerts.custody.reveal import watching
from alerts.decisions.command import duties_of, duty
from alerts.decisions.options import Author, By, Severity, Status, Tenant, Words, name_of
from alerts.desk import command as desk
from alerts.desk.cases import moment_past
from alerts.desk.queue import ORDERS, ORIGINS, TABS, IncidentQueue, QueueFilter, QueuePage
from alerts.desk.returns import Returns
from alerts.desk.work import Work
from alerts.export.command import export
from alerts.handover.command import hand_over
from alerts.lookup.person_lookup import Lookup
from alerts.maintenance.erasure import remove_late
from alerts.maintenance.schedule import Maintenance
from alerts.metrics import AlertMetrics, DutyMetrics
from alerts.noise import command as noise
from alerts.noise.background import BACKGROUND
from alerts.noise.suppressions import muted, silent_clocks, suppressed
from alerts.notify.command import channel_parts
from alerts.notify.lease import Lease
from alerts.notify.notifier import configured
from alerts.read.monitoring import BELIEVED, Listener, looked
from alerts.read.query import SHOWN, other_customers, whole
from alerts.read.sellers import TOKENS, named
from alerts.read.tenants import require_known
from alerts.read.view import details, summary
from alerts.records import Incident
from alerts.rules.kinds import AnyKind, kinds
from alerts.stage.authentic import Authentic
from alerts.stage.canary import Canaries
from alerts.stage.heartbeat import Dispatch
from alerts.stage.pipeline import YOUNG, Alert
from alerts.store import DocumentFilter, IncidentStore, configured_store, store_plan, store_trust
from alerts.table import customers_table, incident_in_full, incidents_table, offers_table
from ullage.audit import current_user
from ullage.bus import FINDINGS, Bus, Subscription
from ullage.calendar import china
from ullage.display.screen import AsJson, console, print_list, print_row
from ullage.errors import ConfigError, every
from ullage.exits import Exit
from ullage.files.rulefiles import Live
from ullage.lookup.list_index import EnrolledLists, VerifiedList, path_of
from ullage.monitoring.certificates import CertificateMetrics
from ullage.monitoring.metrics import BUS, STORE, new_registry
from ullage.runtime.dead_letters import DeadLetters
from ullage.runtime.in_hand import InHand
from ullage.runtime.role import running, spare_what_stands, surroundings
from ullage.runtime.worker import Worker, WorkerMetrics, reach
from ullage.security import keys
from ullage.security.masking import Secret
from ullage.settings import Context
from ullage.setup import own_certificate
from ullage.verdict import VERDICT

GROUP = "alert"
BATCH, WATCHDOG_SECONDS = 64, 900.0
"""Findings grouped between two commits; a batch that takes longer ends the process."""
DUTIES, DUTIES_SECONDS = "-duties", 90.0
"""Of several alert processes one goes through what is owed; a turn of it comes at least so often."""
incidents = typer.Typer(no_args_is_help=True, help="List, show, decide, suppress and export incidents.")
incidents.command("acknowledge")(desk.acknowledge)
incidents.command("assign")(desk.assign)
incidents.command("note")(desk.note)
incidents.command("resolve")(desk.resolve)
incidents.command("takedown")(desk.takedown)
incidents.command("link")(desk.link)
incidents.command("handover")(hand_over)
incidents.command("duty")(duty)
incidents.command("export")(export)
incidents.command("hold")(hold)
incidents.command("suppress")(noise.suppress)
incidents.command("suppressions")(noise.suppressions_list)


def alert(ctx: typer.Context, once: Annotated[bool, typer.Option("--once", help="Drain what is due and exit.")] = False) -> None:
    """Group findings into incidents, score and store them, and notify people."""
    run_alert(ctx.obj, once=once)


def run_alert(context: Context, *, once: bool) -> None:
    """The stage as this process; with `once` until nothing is left. HeldError where another process is it."""
    settings, registry = context.settings, new_registry("alert")
    metrics = AlertMetrics(registry, settings.tenants, context.clock)
    metrics.canary.interval.set(settings.canary.interval_seconds)
    CertificateMetrics(registry, {BUS: context.bus_trusts(), STORE: [store_trust(context)]})
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(configured_store(context)))
        bus = stack.enter_context(contextlib.closing(context.bus()))
        port = settings.alert.port if settings.metrics and not once else None
        turning: list[Maintenance] = []  # none while the bus is waited for
        stop = stack.enter_context(
            running("alert", registry, port, context.running_time, lambda: bool(turning) and turning[0].ready())
        )
        if (opened := _opened(context, bus, stop, once, metrics)) is None:
            return
        letters, subscription = opened
        stack.callback(letters.close)
        stack.callback(subscription.close)
        book, release = book_of(context, store)
        stack.callback(release)
        recounts = due_recount(context, book, registry), watching(context, metrics.revealed.set)
        metrics.reveals_allowed.set(settings.originals.alarm_after)
        believed = context.running_time.believed()
        notifier = configured(context, store, registry, muted(replace(book.duties, clock=believed)), book.changed)
        stack.callback(notifier.close)
        turning.append(
            maintenance := Maintenance(
                store,
                settings.store,
                context.running_time,
                metrics,
                subscription.lag,
                lambda: [recount() for recount in recounts],
                notifier.turn,
                settings.originals,
                vault_of(context),
            )
        )
        background, verdict = Live(BACKGROUND, context.data), Live(VERDICT, context.data)
        background(), verdict()  # what is wrong with them is said at the start
        notes = InHand.of(context.data, FINDINGS, GROUP, surroundings(), WATCHDOG_SECONDS, stop)
        in_hand = stack.enter_context(notes.traced())
        returns = Returns(Work(duties_of(context, store)), context.trail(), verdict, notifier.plan, book.changed, believed)
        stage = Alert(
            store,
            context.clock,
            context.tenant,
            metrics,
            background,
            verdict,
            notifier.plan,
            returns.filed,
            writing=in_hand.writing,
            together=timedelta(minutes=settings.alert.together_minutes),
        )
        if not once:
            notifier.start()
        told = WorkerMetrics(dropped=metrics.dropped, alive=maintenance.turn, reached=metrics.loop.reached)
        sheets, listener = sheets_of(context, store), Listener(store, context.clock)
        ledger = CoverageLog(store, context.clock, sheets.reopen if sheets else lambda _: None)
        gaps = Recount(store, context.clock, settings.coverage.gap_minutes, metrics.unexplained.set)
        maintenance.step = book.step
        maintenance.late = lambda: remove_late(store, context.trail(), context.running_time.read())
        maintenance.ledger = (ledger.turn, *([sheets.turn] if sheets else []), gaps, returns.turn)
        authentic = Authentic(keys.verifier(context.keys, FINDINGS))
        canaries = Canaries(stage, metrics.canary, muted, ledger.canary)
        handle = Dispatch(stage.handle, canaries, metrics.pulse, authentic.check, (ledger, listener))
        spare_what_stands(YOUNG)
        Worker("alert", subscription, handle, letters, stop, BATCH, metrics=told, sink=STORE, in_hand=in_hand).run(once)
        if once:
            store.refresh()  # whoever waited for the end may ask at once what came of it
            notifier.flush()
            book.complete()


def _opened(
    context: Context, bus: Bus, stop: threading.Event, once: bool, metrics: AlertMetrics
) -> tuple[DeadLetters, Subscription] | None:
    """Where findings come from and what is none of ours goes; None when told to stop before the bus answered."""

    def ask() -> tuple[DeadLetters, Subscription]:
        return _letters(context, bus), bus.subscribe(FINDINGS, GROUP)

    return reach("alert", ask, stop, once, partial(metrics.loop.reached, BUS))


def book_of(context: Context, store: IncidentStore) -> tuple[Book, Callable[[], None]]:
    """What writes duty records in this process, and what lets another one look instead."""
    duties = duties_of(context, store)
    if context.settings.bus.url.startswith("sqlite:"):
        return Book(duties), lambda: None
    lease = Lease(DUTIES, secrets.token_hex(8), store, context.clock, DUTIES_SECONDS)
    return Book(duties, lease.holds), lease.release


def due_recount(context: Context, book: Book, registry: CollectorRegistry) -> Callable[[], None]:
    """What tells in `registry` when notifications are due, each time it is called."""
    store, tenants = book.store, context.settings.tenants
    metrics = DutyMetrics(registry, {name: tenant.regimes for name, tenant in tenants.items()})

    def recount() -> None:
        book.turn()
        until = known(store)
        if until is None:
            return
        now = context.clock.now()
        silent = silent_clocks(book.duties)
        for name, tenant in tenants.items():
            metrics.tell(name, earliest(store, name, tenant.regimes, now), unheard(store, name, silent, now))
        metrics.known(until)

    return recount


def _letters(context: Context, bus: Bus) -> DeadLetters:
    return DeadLetters(bus, keys.sealer(context.keys), "alert")


def parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """What `ullage check` looks at here: the incident store."""

    def look() -> str:
        with contextlib.closing(configured_store(context)) as store:
            rights = store.check()
            return ", ".join(filter(None, (f"{store.count(Incident, DocumentFilter())} incidents", rights)))

    def rules() -> str:
        check_regimes(context.settings.tenants)
        year = context.clock.now().year
        unknown = [str(y) for y in (year, year + 1) if y not in china().years]
        return f"no calendar of working days of {' and '.join(unknown)}: every day counts as worked" if unknown else "known"

    def in_force() -> str:
        def version(kind: AnyKind) -> str:
            return f"{kind.name} {kind.in_force(context.data).rules.version}"

        return ", ".join(every(partial(version, kind) for kind in kinds().values()))

    def recorded() -> str:
        lists, said = EnrolledLists(context.data, context.keys), []
        for tenant in lists.tenants():
            listed = VerifiedList(path_of(context.data, tenant), context.keys, tenant)
            expires = datetime.fromisoformat(listed.header.expires)
            if expires <= context.clock.now():
                raise ConfigError(f"{listed.path} expired on {expires:%Y-%m-%d} and is not used: load it again, or remove it")
            said.append(f"{tenant} {listed.check():,} values of {listed.header.created[:10]} until {expires:%Y-%m-%d}")
        return ", ".join(said) or "no list here, so a look-up has two answers"

    yield "incident store", look
    if "certificate=" in context.settings.store.url:
        yield "store certificate", lambda: own_certificate(context, store_trust(context))
    yield "what is recorded", recorded
    yield "rules", in_force
    yield "rules of notification", rules
    yield from channel_parts(context)


def plan(context: Context) -> Iterator[str]:
    """What `ullage check --plan` prints of this stage: what somebody else must set up for the incident store."""
    return store_plan(context)


@incidents.command("list")
def incidents_list(
    ctx: typer.Context,
    *,
    as_json: AsJson = False,
    tab: Annotated[str, typer.Option(help=f"Which: {', '.join(TABS)}.")] = "all",
    order: Annotated[str, typer.Option(help=f"`{', '.join(ORDERS)}`, or `-burns` to reverse.")] = "",
    tenant: Tenant = "",
    severity: Severity = "",
    status: Status = "",
    origin: Annotated[str, typer.Option(help=f"{', '.join(ORIGINS)}.")] = "",
    scenario: Annotated[str, typer.Option(help="A scenario's id.")] = "",
    site: Annotated[str, typer.Option(help="Seen on this site.")] = "",
    kind: Annotated[str, typer.Option(help="With identifiers of this kind.")] = "",
    assignee: Annotated[str, typer.Option(help="Assigned to this name, - for nobody.")] = "",
    since: Annotated[str, typer.Option(help="Opened since: 2026-11-25, 2026-11-25T06:00, 12h or 3d ago.")] = "",
    until: Annotated[str, typer.Option(help="Opened before.")] = "",
    text: Words = "",
    author: Author = "",
    by: By = "",
    flat: Annotated[bool, typer.Option("--flat", help="Every incident of a seller, not one for all.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many.")] = 50,
) -> None:
    """List incidents: due soonest first, then the most severe and oldest; with --json the newest first."""
    context: Context = ctx.obj
    now, zone = context.clock.now(), ZoneInfo(context.tenant(tenant).zone)
    opened_from, before = (moment_past(one, zone, now) if one else None for one in (since, until))
    order = order or ("opened" if as_json else "burns")
    view = QueueFilter(
        tab, order, tenant, severity, status, origin, scenario, site, kind, assignee, text, "", opened_from, before
    )
    view = replace(view, flat=flat or as_json)
    with contextlib.closing(configured_store(context)) as store:
        queue = IncidentQueue(desk.work_of(context, store), name_of(by))
        queue.check(view)  # what cannot be asked is said first
        require_known(context, store, tenant)
        seller = _seller(context, store, author)
        found = queue.page(replace(view, seller=seller), limit) if seller or not author else QueuePage(())
        silent = suppressed(duties_of(context, store), [row.incident for row in found.rows])
        behind = looked(store, now)
    rows = [(row.incident, row.item.status) for row in found.rows]
    narrowed = view.is_narrowed or tab != "all"
    none = f"{_nothing(seller, author, narrowed=narrowed)}; {behind.said}."
    print_list(
        found.rows,
        as_json=as_json,
        row=lambda row: {**summary(row.incident, row.item.status, silent.get(row.incident.id)), **desk.work_as_json(row)},
        table=lambda _: Group(incidents_table(rows, silent=silent), offers_table(rows), *_folded(found)),
        none=none,
    )
    if found.after and not as_json:
        typer.echo(f"More than {limit}: narrow the list, or raise --limit.", err=True)
    if not found.rows:
        if as_json:
            typer.echo(none, err=True)
        raise typer.Exit(Exit.DONE if behind.worth in BELIEVED else Exit.NO_VERDICT)


def _nothing(seller: str, author: str, *, narrowed: bool) -> str:
    if author and not seller:
        return "No post of that seller is in the store"
    return "No incidents that fit" if narrowed or author else "No incidents"


def _folded(found: QueuePage) -> Iterator[str]:
    """For which rows more of the same seller's are not shown."""
    for row in found.rows:
        if row.folded:
            yield f"{row.incident.id} stands for {row.folded} more of the same seller: --author {row.incident.series[0]}"


def _seller(context: Context, store: IncidentStore, author: str) -> str:
    """The tokens of the author who is asked for, "" for one who posted nothing; a name is tagged here and goes no further."""
    if not author or TOKENS.fullmatch(author):
        return author
    name = Secret(sys.stdin.readline() if author == "-" else author)
    trail = context.trail()
    everyone = Lookup(store, context.keys, tuple(context.settings.tenants), context.clock, trail).everyone()
    tokens = named(store, context.keys, everyone, name)
    trail.append("lookup.seller", f"{len(tokens)} found", actor=current_user())
    return ",".join(tokens)


@incidents.command("show")
def incidents_show(ctx: typer.Context, incident: str, as_json: AsJson = False) -> None:
    """Show an incident: verdicts with reasons, sightings, and the pseudonyms of its customers."""
    context: Context = ctx.obj
    now = context.clock.now()
    with contextlib.closing(configured_store(context)) as store:
        found = whole(store, incident, None if as_json else SHOWN)
        if found is None:
            raise ConfigError("no incident of that id: `ullage incidents list` shows them")
        book, zone = duties_of(context, store), ZoneInfo(context.tenant(found.incident.tenant).zone)
        owed = book.owed([found.incident])[incident]
        found, duties, decide = replace(found, status=owed.status), owed.duties, owed.decide
        silence = suppressed(book, [found.incident]).get(incident)
        if as_json:
            print_row(details(found, clocks_as_json(duties, now), silence, decide_as_json(decide, now, zone)))
            return
        clocks, out = clocks_table(duties, now, zone) if duties else "", console()
        with out.pager() if out.is_terminal and found.more else contextlib.nullcontext():
            by_when = decide.words(now, zone) if decide else ("", "")
            out.print(incident_in_full(found, clocks=clocks, silence=silence, decide=by_when))
            shown = len(found.exposures)
            for some in other_customers(store, found):
                out.print(customers_table(some))
                shown += len(some)
            if shown < found.incident.customers:
                out.print(f"  {found.incident.customers - shown:,} more, whose data has expired or was erased")
