"""Define the commands of ullage itself.

They are init, run, status, check, restore, config and dead-letters; two more are elsewhere.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ullage import setup
from ullage.backup import backup
from ullage.backup import restore as put_back
from ullage.bus import CAPTURES, FINDINGS
from ullage.display.screen import AsJson, print_labelled, print_row
from ullage.erasure import erase
from ullage.errors import ConfigError, Exit, FaultsError, list_faults
from ullage.files import output
from ullage.files.atomic_write import take_lock
from ullage.runtime import dead_letters, service, supervisor
from ullage.runtime.stages import load_entries
from ullage.security import keys
from ullage.settings import FILE, Context

__all__ = ["backup", "check", "config", "erase", "init", "letters", "restore", "run", "status"]
CHECKS, PLANS, MORE = "ullage.checks", "ullage.plans", "ullage.roles"
FILES = ("sites", "presets", "export forms")
"""Parts that are files which people write."""
READERS = {CAPTURES: "match", FINDINGS: "alert"}
"""Which stage reads a topic."""

config = typer.Typer(
    no_args_is_help=True, help="Show every setting with its value, default, unit and reason."
)
Once = Annotated[bool, typer.Option("--once", help="Process what is waiting, then exit.")]


SECOND_PERSON = (
    "Is there a second person (lead or DPO) who confirms what ends a reporting deadline?"
)


def init(
    ctx: typer.Context,
    second_person: Annotated[
        bool | None,
        typer.Option(
            "--second-person/--one-person",
            help=(
                "Whether a second person confirms what ends a reporting deadline; asked on a"
                " terminal, else yes."
            ),
        ),
    ] = None,
) -> None:
    """Create the configuration, an example site and the keys in the data folder.
    Existing files stay as they are.
    """
    line = ""
    if second_person is None:
        is_asked = sys.stdin.isatty() and not (ctx.obj.data / FILE).exists()
        second_person = not is_asked or typer.confirm(SECOND_PERSON, default=True)
    for line in setup.initialise(ctx.obj, second_person=second_person):
        typer.echo(line)
    if not line:
        typer.echo(f"nothing is missing in {ctx.obj.data}: nothing was changed")


def run(ctx: typer.Context, once: Once = False) -> None:
    """Run all services on one machine: crawl, match, alert, search, intake and chat collectors."""
    setup.require(ctx.obj)
    setup.require_keys(ctx.obj)
    # parts of one tenant; a missing part of any other kind has ended the command
    for missing in ctx.obj.inventory.faults():
        typer.echo(f"ullage: {missing}", err=True)
    service.no_core_dumps()
    # until the process ends
    take_lock(
        ctx.obj.data / "locks" / "run.lock",
        f"{ctx.obj.data} is in use",
    )
    configured = partial(_list_configured_commands, _more_roles(ctx.obj))
    if once:
        if endless := configured():
            typer.echo(
                f"not started with --once, because they never end: {', '.join(endless)}", err=True
            )
        raise typer.Exit(supervisor.run_once(ctx.obj.data, supervisor.ROLES[:-1]))
    stop = threading.Event()
    service.stop_on_signals(stop)
    with output.protect_output():
        raise typer.Exit(
            supervisor.supervise(ctx.obj.data, supervisor.ROLES, stop, ctx.obj.clock, configured)
        )


def _more_roles(context: Context) -> list[Callable[[], list[str]]]:
    """Return functions that list configured commands beside the four services.

    Each installed stage may provide one.
    """
    return [roles_of(context) for _, roles_of in load_entries(MORE)]


def _list_configured_commands(more: Iterable[Callable[[], list[str]]]) -> list[str]:
    """Return the commands that are configured now beside the four services."""
    return [words for roles in more for words in roles()]


def status(
    ctx: typer.Context,
    only: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ROLE]", help="Only this service: match, collect matrix …"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show whether each configured service runs and is ready."""
    faults = ctx.obj.inventory.faults()
    if not faults:
        setup.require_initialised(ctx.obj)
    for fault in faults:
        typer.echo(
            json.dumps({"role": "inventory", "state": fault})
            if as_json
            else f"{'inventory':<18}{fault}"
        )
    ready = not faults
    for words in (
        [" ".join(only)]
        if only
        else (*supervisor.ROLES, *_list_configured_commands(_more_roles(ctx.obj)))
    ):
        state = service.read_state(ctx.obj.settings, words)
        ready = ready and state == service.READY
        typer.echo(
            json.dumps({"role": words, "state": state}) if as_json else f"{words:<18}{state}"
        )
    raise typer.Exit(Exit.DONE if ready else Exit.FAILED)


def _parts(context: Context) -> Iterator[setup.Part]:
    """Yield the parts that the installed stages want inspected."""
    for _, parts in load_entries(CHECKS):
        yield from parts(context)


def _faults_of_files(context: Context) -> Iterator[str]:
    """Yield the faults of files in the data folder that people wrote, as text.

    A stage lists these files first among its parts; its other parts are not checked.
    """
    for _, parts in load_entries(CHECKS):
        for what, look in parts(context):
            if what not in FILES:
                break
            try:
                look()
            except ConfigError as error:
                yield from list_faults(error)


def _plans(context: Context) -> Iterator[str]:
    """Yield the instructions of the installed stages for the owners of servers."""
    for entry in sorted(importlib.metadata.entry_points(group=PLANS), key=lambda e: e.name):
        try:
            lines = entry.load()
        except ModuleNotFoundError as error:
            yield f"# {entry.name} is not installed here and may need more (it lacks {error.name})"
        else:
            yield from lines(context)


def check(
    ctx: typer.Context,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what the owners of the servers have to create.")
    ] = False,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept-clock",
            help="Accept this machine's clock as right, after it was set or off.",
        ),
    ] = False,
    accept_loss: Annotated[
        str,
        typer.Option(
            "--accept-loss", metavar="PART", help="Remove a missing part from the inventory."
        ),
    ] = "",
    reason: Annotated[
        str, typer.Option(help="Why the lost part is not restored, for the audit log.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check every configured part and say what is wrong with it."""
    # the parts are unknown: only the configuration and files are checked
    if ctx.obj.faults:
        raise FaultsError([*ctx.obj.faults, *_faults_of_files(ctx.obj)])
    if plan:
        for line in setup.plan(ctx.obj, _plans(ctx.obj)):
            typer.echo(line)
        return
    if accept:
        setup.require(ctx.obj)
        typer.echo(setup.accept_clock(ctx.obj))
    if accept_loss:
        typer.echo(setup.accept_loss(ctx.obj, accept_loss, reason))
    faults = setup.check(ctx.obj, READERS, _parts(ctx.obj))
    if as_json:
        for line in faults:
            state, _, text = line.partition(" ")
            part, _, text = text.strip().partition(": ")
            typer.echo(
                json.dumps({"state": state.lower(), "part": part, "said": text}, ensure_ascii=False)
            )
    else:
        print_labelled(faults, {"ok": "green", "WARN": "yellow", "FAULT": "bold red"})
    raise typer.Exit(Exit.FAILED if any(line.startswith("FAULT") for line in faults) else Exit.DONE)


def restore(
    ctx: typer.Context,
    source: Annotated[
        Path, typer.Argument(metavar="FROM", help="A folder written by `ullage backup`.")
    ],
    keys_from: Annotated[
        Path | None, typer.Option("--keys", help="The separate folder with its keys.")
    ] = None,
) -> None:
    """Restore a backup into an empty data folder and check every part of it."""
    for line in put_back(ctx.obj, source, keys_from):
        typer.echo(line)
    data: Path = ctx.obj.data
    is_confirmed = (data / FILE).exists()
    ctx.obj = Context(data, settings=None if is_confirmed else ctx.obj.settings)
    check(ctx, plan=False, accept=False, accept_loss="", reason="", as_json=False)


@config.command("show")
def config_show(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Print every setting: its value, default, unit and reason."""
    if as_json:
        for row in setup.list_settings(ctx.obj.settings):
            if not row.is_example:
                print_row(row.as_json())
        return
    for line in setup.describe(ctx.obj.settings):
        typer.echo(line)


def letters(
    ctx: typer.Context,
    as_json: AsJson = False,
    replay: Annotated[
        bool,
        typer.Option(
            "--replay", help="Put each back on its topic; after three failures a record is parked."
        ),
    ] = False,
) -> None:
    """List records that could not be processed, without their content, or replay them."""
    context: Context = ctx.obj
    context.require_data()
    if replay:
        report = dead_letters.replay(context.bus(), keys.load_opener(context.keys))
        remaining = "".join(
            f", {count} left ({reason})" for reason, count in sorted(report.left.items())
        )
        typer.echo(f"{report.replayed} replayed{remaining}")
        return
    has_letters = False
    for letter in dead_letters.waiting_or_parked(context.bus()):
        has_letters = True
        age = int(context.clock.wall() - letter.timestamp)
        row = {
            "id": letter.id,
            "stage": letter.stage,
            "topic": letter.topic,
            "reason": letter.reason,
            "seconds": age,
        }
        row["replays"] = letter.replays
        typer.echo(json.dumps(row) if as_json else "  ".join(str(value) for value in row.values()))
    if not has_letters and not as_json:
        typer.echo("No dead letters.")
