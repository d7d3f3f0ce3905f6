"""Commands that read chats.

`ullage collect SERVICE` reads the channels of one service until it is stopped. `ullage collect`
shows the state of every channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from crawlers.collectors.channel import FOLDER, SERVICES, ChannelFolder, ChatChannel
from crawlers.collectors.channel_log import FILE, ChannelLedger, ChannelState
from crawlers.collectors.collector import SECRETS, STALL_SECONDS, Runner
from crawlers.collectors.metrics import CollectMetrics
from crawlers.collectors.session import MEANING, STATE_OF
from crawlers.fetching.scrapy_setup import silence_libraries
from crawlers.intake.feed import IntakeWriter
from crawlers.publishing.batching import PatientAppends
from ullage import setup
from ullage.display.screen import AsJson
from ullage.errors import ConfigError, Exit, UnavailableError
from ullage.files.atomic_write import take_lock
from ullage.monitoring.metrics import BUS, CertificateMetrics, new_registry
from ullage.runtime.service import running
from ullage.runtime.worker import reach
from ullage.settings import SITES, Context

STOPPED_SECONDS = 2 * STALL_SECONDS
SESSIONS = {
    "matrix": "MatrixSession",
    "xmpp": "XmppSession",
    "telegram": "TelegramSession",
    "imap": "ImapSession",
}
Service = Literal["matrix", "xmpp", "telegram", "imap"]


def collect(
    ctx: typer.Context,
    service: Annotated[
        Service | None,
        typer.Argument(help="The service whose channels in channels.d/ are read until stopped."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read the chats of one service, or show the state of every channel (exit 5: one is not
    seen).
    """
    if service:
        _collect(ctx.obj, service)
    else:
        _status(ctx.obj, as_json=as_json)


app = collect
"""The name that the entry point in pyproject.toml refers to."""


def _folder(context: Context) -> ChannelFolder:
    return ChannelFolder(context.data, SITES)


def _collect(context: Context, service: str) -> None:
    """Run one service's collector until the process is told to stop.

    Takes the service's lock, silences libraries' logging, serves metrics and opens the bus. While
    the bus is unreachable it waits; it returns without reading anything if it is stopped meanwhile.
    Raises ConfigError if the service's client is not installed.
    """
    setup.require(context)
    try:
        opener = getattr(
            importlib.import_module(f"crawlers.collectors.{service}"), SESSIONS[service]
        )
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"collect {service} needs {error.name}: install ullage[crawl,{service}]"
        ) from None
    folder = _folder(context)
    registry = new_registry("collect")
    metrics = CollectMetrics(registry, context.clock)
    CertificateMetrics(registry, {BUS: context.list_bus_trusts()})
    port = context.settings.metrics_port(service)
    with contextlib.ExitStack() as stack:
        silence_libraries("collect")  # some libraries log unexpected answers in full
        take_lock(
            context.data / "locks" / f"collect-{service}.lock",
            f"{service} is being collected",
        )
        made = list[PatientAppends]()
        stop = stack.enter_context(
            running(
                "collect",
                registry,
                port,
                context,
                lambda: bool(made) and made[0].up,
                [metrics.loop.fault],
            )
        )
        feed = reach(
            "collect",
            lambda: IntakeWriter.of(context, stop),
            stop,
            False,
            lambda up: metrics.loop.record_reachability(BUS, up),
        )
        if feed is None:
            return
        stack.callback(feed.publisher.close)
        bus = stack.enter_context(contextlib.closing(context.bus()))
        ledger = stack.enter_context(contextlib.closing(ChannelLedger.of(context, service)))
        lag = context.settings.bus.most_lag_seconds
        appends = PatientAppends(
            bus, feed.outbox, context.clock, metrics.loop, metrics.captures, lag
        )
        made.append(appends)
        stack.callback(appends.on_bus.close)
        runner = Runner(context, service, folder, ledger, feed, appends, metrics, opener)
        asyncio.run(_until(runner, stop))


async def _until(runner: Runner, stop: threading.Event) -> None:
    """Run the collector until `stop` is set.

    A thread waits for `stop`, which a signal sets, and passes it on to the event loop.
    """
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def wait() -> None:
        stop.wait()
        with contextlib.suppress(RuntimeError):  # the loop has already ended
            loop.call_soon_threadsafe(stopped.set)

    threading.Thread(target=wait, name="stop", daemon=True).start()
    await runner.run(stopped)


def _status(context: Context, *, as_json: bool) -> None:
    """Print one line for each enabled channel: what was read, and why it is not being read.

    With `as_json`, each line is a JSON object. Faults of channel files go to standard error. Exits
    (typer.Exit) with the code of usage if a file is invalid, otherwise with that of a gap if the
    state of any channel is not "ok".
    """
    setup.require(context)
    folder = _folder(context)
    channels = folder.read()
    with contextlib.closing(ChannelLedger.of(context)) as ledger:
        rows = [
            (channel, _as_it_is(ledger.standing(name), context.clock.wall()))
            for name, channel in channels.items()
        ]
    for channel, standing in rows:
        typer.echo(json.dumps(_row(channel, standing)) if as_json else _line(channel, standing))
    for fault in folder.faults:
        typer.echo(str(fault), err=True)
    if not channels and not folder.faults:
        typer.echo(f"no channels yet: add NAME.toml to {context.data / FOLDER}", err=True)
    if folder.faults:
        raise typer.Exit(Exit.USAGE)
    if any(standing.state != "ok" for _, standing in rows):
        raise typer.Exit(Exit.GAP)


def _as_it_is(standing: ChannelState, now: float) -> ChannelState:
    """Return the state that holds now: "stopped" where the collector has been silent too long.

    A stored state of "ok" is out of date once `STOPPED_SECONDS` have passed without success.
    """
    if standing.state != "ok" or now - standing.last_success <= STOPPED_SECONDS:
        return standing
    return replace(
        standing, state=STATE_OF["stopped"], reason="stopped", since=standing.last_success
    )


def parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the checks that `ullage check` makes here: a name and a function each.

    `channels` reads the channel files and their secrets, and raises the first fault. `chats` checks
    the whole channel log, and raises UnavailableError if a channel's state is not "ok". Yields
    nothing where there are neither channel files nor a log.
    """
    folder = _folder(context)
    channels = folder.read()

    def files() -> str:
        if folder.faults:
            raise folder.faults[0]
        for account in sorted({channel.account for channel in channels.values()}):
            context.keys.read_lines(f"{SECRETS}/{account}")
        return f"{len(channels)} read"

    def ledger() -> str:
        if not (context.data / FILE).exists():
            return "nothing has been collected yet"
        with contextlib.closing(ChannelLedger.of(context)) as opened:
            opened.check()
            standings = [
                _as_it_is(opened.standing(name), context.clock.wall()) for name in channels
            ]
        if blind := [
            f"{standing.name} ({standing.reason or 'not read yet'})"
            for standing in standings
            if standing.state != "ok"
        ]:
            raise UnavailableError(f"not monitored: {', '.join(blind)}; `ullage collect` shows why")
        return (
            "intact, and every channel is monitored"
            if channels
            else "intact, and no channels are left"
        )

    if channels or folder.faults:
        yield "channels", files
    if channels or (context.data / FILE).exists():  # it still holds earlier messages
        yield "chats", ledger


def _row(channel: ChatChannel, standing: ChannelState) -> dict[str, Any]:
    return {
        "channel": channel.name,
        "service": channel.service,
        "access": channel.access,
        "expires": channel.expires.isoformat(),
        "state": standing.state,
        "reason": standing.reason,
        "since": _iso(standing.since),
        "last_new": _iso(standing.last_new),
        "last_success": _iso(standing.last_success),
        "messages": standing.seen,
        "gaps": standing.gaps,
        "gaps_lost": standing.lost,
        "refetched": standing.refetched,
        "files_unread": standing.unread,
    }


def _line(channel: ChatChannel, standing: ChannelState) -> str:
    reason = f": {standing.reason}" if standing.reason else ""
    state = f"{standing.state or 'not read yet'}{reason}".replace("_", " ")
    line = (
        f"{channel.name}  {channel.service}  {state}  {standing.seen} messages, {standing.gaps}"
        f" gaps, {standing.lost} lost"
    )
    line += f", {standing.unread} files not read" if standing.unread else ""
    return f"{line}  ({MEANING[standing.reason]})" if standing.reason else line


def _iso(at: float) -> str | None:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") if at else None


assert set(SESSIONS) == set(SERVICES)
