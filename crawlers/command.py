"""`ullage crawl` and `ullage sites`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import typer

from crawlers.frontier import STATES, Frontier
from crawlers.metrics import CrawlMetrics
from crawlers.platforms import platform_of
from crawlers.site import read_sites
from ullage import role, setup
from ullage.metrics import BUS, new_registry
from ullage.settings import Context
from ullage.worker import reach

Once = Annotated[bool, typer.Option("--once", help="Visit every site once and exit.")]
Names = Annotated[
    list[str] | None, typer.Argument(metavar="[SITE]...", help="Only these sites; all that are enabled by default.")
]


def crawl(ctx: typer.Context, sites: Names = None, once: Once = False) -> None:
    """Visit the sites that are due and put what is new, sealed, on the bus."""
    from crawlers.library_logs import silence_libraries  # noqa: PLC0415
    from crawlers.patrol import Patrol, drive  # noqa: PLC0415 - `ullage sites` needs no reactor

    context: Context = ctx.obj
    setup.require(context)
    registry = new_registry("crawl")
    metrics = CrawlMetrics(registry, context.clock)
    port = context.settings.crawl.port if context.settings.metrics and not once else None
    with role.running("crawl", registry, port) as stop:
        silence_libraries()
        patrol = reach("crawl", lambda: Patrol(context, sites or [], metrics), stop, once, partial(metrics.loop.reached, BUS))
        if patrol is None:
            return

        async def rounds(stopped: asyncio.Event) -> None:
            await patrol.run(stopped, once)

        drive(rounds, stop)


def sites(ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """List the sites with their pages due, leased, done and parked, and when a visit last succeeded."""
    context: Context = ctx.obj
    setup.require(context)
    found, faults = read_sites(context.data / context.settings.crawl.sites, platform_of)
    frontier = Frontier(context.data, context.keys.read("frontier.key"), context.clock)
    for row in _rows(frontier, found):
        typer.echo(json.dumps(row) if as_json else "  ".join(f"{key}={value}" for key, value in row.items()))
    frontier.close()
    if not found and not faults:
        typer.echo(f"no site yet: put NAME.toml into {context.data / context.settings.crawl.sites}", err=True)
    for fault in faults:
        typer.echo(str(fault), err=True)
    if faults:
        raise typer.Exit(2)


def parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """What `ullage check` looks at here: every site file."""

    def look() -> str:
        found, faults = read_sites(context.data / context.settings.crawl.sites, platform_of)
        if faults:
            raise faults[0]
        return f"{len(found)} read, {sum(site.enabled for site in found.values())} enabled"

    yield "sites", look


def _rows(frontier: Frontier, found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name, site in found.items():
        visits, counts = frontier.visits(name), frontier.counts(name)
        success = datetime.fromtimestamp(visits.success_at, UTC).isoformat(timespec="seconds") if visits.success_at else None
        yield {
            "site": name,
            "platform": site.platform,
            "enabled": site.enabled,
            **{state: counts[state] for state in STATES},
            "last_success": success,
            "failures": visits.failures,
        }
