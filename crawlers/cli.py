"""Commands of the crawler: `ullage crawl`, `ullage sites` and `ullage frontier`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from crawlers.frontier.database import FILE, KEY, Frontier, open_frontier
from crawlers.frontier.moving import export, take_in
from crawlers.intake.chat_exports import check_own_forms
from crawlers.intake.export_form import FOLDER as EXPORT_FORMS
from crawlers.metrics import CrawlMetrics
from crawlers.platforms import find_platform, load_platform, resolve_site
from crawlers.scheduling.egress import Egress
from crawlers.scheduling.site_status import SiteStates
from crawlers.sites import posting_rhythm
from crawlers.sites.presets import FOLDER, Presets, check_samples
from crawlers.sites.site import SOON_SECONDS, Site, SiteFolder
from crawlers.sites.status_table import (
    FILE_AT_FAULT,
    SiteRow,
    build_table,
    describe_changes,
    describe_first_readings,
    describe_session_ends,
    explain_reasons,
)
from crawlers.sites.visit_verdict import MEANING
from crawlers.trial.cli import try_site
from crawlers.visiting.visit import reading_seconds
from ullage import setup
from ullage.display.screen import AsJson, print_listing, print_row
from ullage.errors import ConfigError, Exit, FaultsError, UnavailableError, list_faults
from ullage.files.ownership import read_trusted
from ullage.monitoring.metrics import BUS, CertificateMetrics, new_registry
from ullage.runtime import service
from ullage.runtime.worker import reach
from ullage.security.keys import compute_check_value, split_key_file
from ullage.settings import SITES, Context

NOTHING = (
    "no posts collected yet: crawl has not read a post of any site (imported posts are"
    " not counted here)"
)
SHIPPED_CONTACT = "security@example.com"
sites = typer.Typer()
frontier = typer.Typer(no_args_is_help=True, help="Move the crawl state of sites to another host.")
sites.command("try")(try_site)
Once = Annotated[bool, typer.Option("--once", help="Visit every site once and exit.")]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SITE]...", help="Only these sites; by default every enabled site."),
]


def crawl(ctx: typer.Context, names: Names = None, once: Once = False) -> None:
    """Visit the sites that are due and publish new posts, encrypted."""
    from crawlers.fetching.scrapy_setup import (  # noqa: PLC0415 - `ullage sites` needs no reactor
        run_on_reactor,
        silence_libraries,
    )
    from crawlers.scheduling.scheduler import Scheduler  # noqa: PLC0415

    context: Context = ctx.obj
    setup.require(context)
    registry = new_registry("crawl")
    metrics = CrawlMetrics(registry, context.clock)
    CertificateMetrics(registry, {BUS: context.list_bus_trusts()})
    port = None if once else context.settings.metrics_port("crawl")
    faults = [metrics.loop.fault]
    with service.running("crawl", registry, port, context, faults=faults) as stop:
        silence_libraries()
        scheduler = reach(
            "crawl",
            lambda: Scheduler(context, names or [], metrics),
            stop,
            once,
            partial(metrics.loop.record_reachability, BUS),
        )
        if scheduler is None:
            return

        async def rounds(stopped: asyncio.Event) -> None:
            await scheduler.run(stopped, once)

        run_on_reactor(rounds, stop)
        if once and not stop.is_set():
            _tell(scheduler.unread, scheduler.faults)


def _tell(unread: Collection[str], faults: Sequence[ConfigError]) -> None:
    """Print which sites were not read, and exit with the code for it.

    The exit is a FaultsError for refused files, otherwise typer.Exit.
    """
    if unread:
        typer.echo(f"not read: {', '.join(sorted(unread))}: `ullage sites` shows why", err=True)
    if faults:
        raise FaultsError.from_errors(faults, is_partly_done=True)
    if unread:
        raise typer.Exit(Exit.FAILED)


@sites.callback(invoke_without_command=True)
def sites_listed(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the state of each site: since when, last new post, usual interval, pages waiting,
    next visit.
    """
    if ctx.invoked_subcommand is not None:
        return
    context: Context = ctx.obj
    setup.require(context)
    folder = _site_folder(context)
    site_files, faults = folder.read()
    with contextlib.closing(open_frontier(context)) as opened:
        rows = list(_rows(context, opened, site_files))
    refused = sorted(folder.refused)
    if as_json:
        for row in (
            *map(SiteRow.as_json, rows),
            *({"site": name, "state": None, "reason": FILE_AT_FAULT} for name in refused),
        ):
            print_row(row)
    elif rows or refused:
        print_listing(build_table(rows, context.clock.wall(), refused))
        ends = {
            name: at
            for name, at in _session_ends(context, site_files)
            if at - context.clock.wall() <= SOON_SECONDS
        }
        for line in (
            *describe_first_readings(rows),
            *describe_changes(rows),
            *describe_session_ends(ends, context.clock.wall()),
            *explain_reasons(rows, refused),
        ):
            typer.echo(line)
    if rows and not as_json and not any(row.posts for row in rows):
        typer.echo(NOTHING, err=True)
    if not site_files and not faults:
        typer.echo(f"no sites yet: add NAME.toml to {context.data / SITES}", err=True)
    if faults:
        raise FaultsError.from_errors(faults, is_partly_done=bool(site_files))


@frontier.command("export")
def frontier_export(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="A new file; only this host's frontier.key decrypts it.")
    ],
    names: Names = None,
) -> None:
    """Export the crawl state of sites for another host; stop crawling them here first."""
    context: Context = ctx.obj
    setup.require(context)
    with contextlib.closing(open_frontier(context)) as ours:
        pages = export(ours, file, names or [])
    typer.echo(
        f"{pages} pages written to {file}; to move them, copy this file and keys/{KEY},"
        " and nothing else of this host"
    )


@frontier.command("import")
def frontier_import(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(help="The output of `frontier export`, or frontier.sqlite of a lost host."),
    ],
    names: Names = None,
    key: Annotated[
        Path | None,
        typer.Option(help="frontier.key of the host that wrote it; by default this host's."),
    ] = None,
) -> None:
    """Import the crawl state of sites from another host; then put their files into `sites.d`."""
    context: Context = ctx.obj
    setup.require(context)
    passphrase_or_key = (
        split_key_file(read_trusted(key, secret=True), KEY, key)[0]
        if key
        else context.keys.read(KEY)
    )
    if not file.is_file():
        raise ConfigError(f"{file} does not exist: name a site file")
    with (
        contextlib.closing(open_frontier(context)) as ours,
        contextlib.closing(
            Frontier(file.parent, passphrase_or_key, context.clock, file=file.name)
        ) as theirs,
    ):
        theirs.check_key(compute_check_value(passphrase_or_key, KEY))
        pages = take_in(ours, theirs, names or [])
    typer.echo(f"{pages} pages imported")


def parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the checks that `ullage check` makes here: a name and a function each.

    They cover every site file, the whole frontier, and every site that is crawled.
    """

    def look() -> str:
        sites, faults = _site_folder(context).read()
        if faults:
            raise FaultsError.from_errors(faults)
        fed = sum(site.enabled and not site.is_crawled for site in sites.values())
        crawled = sum(site.is_crawled for site in sites.values())
        total = f"{len(sites)} read, {crawled} crawled, {fed} by ingest"
        if not crawled + fed:
            return setup.SetupWarning(
                f"{total}, so no site is monitored from here: `ullage sites try URL`"
                " examines a site and writes its file"
            )
        return total

    def whole() -> str:
        if not any(context.data.glob(f"{FILE}*")):
            return "nothing has been crawled yet"
        with contextlib.closing(open_frontier(context)) as opened:
            opened.check()
        return "intact; its key decrypts it"

    def contact() -> str:
        name = context.settings.crawl.user_agent
        if SHIPPED_CONTACT in name:
            return setup.SetupWarning(
                f"crawl.user_agent names {SHIPPED_CONTACT}, an address that nobody reads:"
                " enter your own contact"
            )
        return (
            name
            if "@" in name or "://" in name
            else setup.SetupWarning("crawl.user_agent names no contact: add yours")
        )

    yield "sites", look
    yield "presets", partial(_own_presets, context)
    yield "export forms", partial(check_own_forms, context.data / EXPORT_FORMS)
    yield "name that sites see", contact

    def proxies() -> str:
        from crawlers.fetching.proxy import load_proxies  # noqa: PLC0415 - loads a reactor

        return f"{len(load_proxies(context))} can be used"

    yield "frontier", whole
    if context.settings.crawl.proxies:
        yield "proxies", proxies
    yield from _sessions(context)
    yield from _looks(context)
    yield from _browser(context)


def _session_ends(context: Context, found: dict[str, Site]) -> Iterator[tuple[str, float]]:
    """Yield the sites whose session has a known end, with that time in Unix seconds."""
    for name, site in found.items():
        if site.is_crawled and site.cookies:
            from crawlers.fetching.site_session import (  # noqa: PLC0415 - the rest needs no Scrapy
                load_session,
            )

            with contextlib.suppress(ConfigError):
                if ends_at := load_session(context.keys, site).ends_at:
                    yield name, ends_at


def _sessions(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield a check for each site with a session."""
    for site in _site_folder(context).read()[0].values():
        if site.is_crawled and site.cookies:
            yield f"session of {site.name}", partial(_session, context, site)


def _session(context: Context, site: Site) -> str:
    """Describe the session of `site`; UnavailableError once it has ended.

    Returns a warning if it ends within a week (SOON_SECONDS). Raises ConfigError if the session's
    file is missing or malformed.
    """
    from crawlers.fetching.site_session import load_session  # noqa: PLC0415

    ends_at = load_session(context.keys, site).ends_at
    if not ends_at:
        return "exists; it does not say when it expires"
    line, *_ = [*describe_session_ends({site.name: ends_at}, now := context.clock.wall())]
    if ends_at <= now:
        raise UnavailableError(line)
    return (
        setup.SetupWarning(line)
        if ends_at - now <= SOON_SECONDS
        else "exists, and is valid for more than a week"
    )


def _browser(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the check of the browser, if a crawled site needs one for its scripts.

    The check raises BrowserError if the browser does not start in its sandbox.
    """
    presets = Presets(context.data / FOLDER)
    presets.refresh()
    filled = [
        site
        for site in _site_folder(context).read()[0].values()
        if site.is_crawled and resolve_site(site, presets).script
    ]
    if not filled:
        return

    def starts() -> str:
        from crawlers.fetching.rendering import (  # noqa: PLC0415 - the rest needs no Scrapy
            create_browsers,
        )

        name = asyncio.run(create_browsers(context.settings.crawl).get_version())
        return (
            f"{name} starts in its sandbox, for {len(filled)}"
            f" {'site' if len(filled) == 1 else 'sites'} with `script`"
        )

    yield "browser", starts


def _night_until(site: Site, now: float) -> str:
    """Return when the site's night ends, in its own time; "" while it may be visited."""
    opens = site.find_next_allowed(now)
    return (
        f"{datetime.fromtimestamp(opens, ZoneInfo(site.time_zone)):%H:%M} {site.time_zone}"
        if opens > now
        else ""
    )


def _own_presets(context: Context) -> str:
    """Check the user's own presets against their samples and return a summary.

    Raises FaultsError, which lists all faults, if one of them is faulty.
    """
    presets = Presets(context.data / FOLDER)
    presets.refresh()
    faults = [fault for error in presets.faults for fault in list_faults(error)]
    for name, preset in sorted(presets.own.items()):
        if isinstance(preset, ConfigError):
            continue
        try:
            problems = check_samples(preset, load_platform(preset.platform).parse, presets)
        except ConfigError as error:
            problems = list(list_faults(error))
        faults += [f"{context.data / FOLDER / name}.toml: {problem}" for problem in problems]
    if faults:
        raise FaultsError(faults)
    return f"{len(presets.list_names())} known, {len(presets.own)} of them your own"


def _site_folder(context: Context) -> SiteFolder:
    """Return the site files, checked against the shipped presets and the user's own."""
    presets = Presets(context.data / FOLDER)
    return SiteFolder(
        context.data / SITES, partial(find_platform, presets=presets), presets.refresh
    )


def _looks(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield a check for each crawled site: whether it answers and can be read.

    All sites are visited at once, before the first check is yielded; nothing is yielded if no site
    is crawled.
    """
    sites, _ = _site_folder(context).read()
    crawled = [site for site in sites.values() if site.is_crawled]
    if not crawled:
        return
    from crawlers.fetching.proxy import load_proxies  # noqa: PLC0415
    from crawlers.trial.fetch import run_checks  # noqa: PLC0415 - the rest needs no reactor

    try:
        proxies = load_proxies(context)
    except ConfigError:  # the check of the proxies reports the fault
        proxies = {}
    words = run_checks(context.settings.crawl, crawled, proxies)
    for site in crawled:
        yield f"site {site.name}", partial(_reached, words.get(site.name))


def _reached(word: str | None) -> str:
    """Return "answers" for a site without a fault, whose `word` is "".

    Raises UnavailableError for any other word, which names the fault, and for None: the site was
    not visited.
    """
    if word is None:
        raise UnavailableError(
            "was not visited, because the time for all sites was over: run `ullage check` again"
        )
    if word:
        raise UnavailableError(f"{word}: {MEANING[word]}; look with `ullage sites try NAME`")
    return "answers"


def _rows(context: Context, frontier: Frontier, found: dict[str, Site]) -> Iterator[SiteRow]:
    site_states = SiteStates(frontier, Egress(), context.clock)
    for name, site in found.items():
        visits, standing = frontier.visits(name), frontier.history.load(name)
        words, pages = (
            posting_rhythm.describe(site_states.learn_rhythm(site)),
            frontier.count_pages(name),
        )
        due = context.clock.wall() + visits.seconds_left(context.clock.wall())
        yield SiteRow(
            site,
            site_states.report(site),
            words,
            pages,
            due,
            visits.failures,
            standing.profile.posts,
            standing.reason,
            _night_until(site, context.clock.wall()),
            (
                reading_seconds(site, pages["due"])
                if pages["due"] and pages["done"] and not visits.whole_at
                else 0.0
            ),
            frontier.history.read_counts(name),
        )
