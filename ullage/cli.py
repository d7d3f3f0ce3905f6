"""The command line. It finds each stage's commands by entry point and imports only the one that is asked for.

Exit codes: 0 done, 1 failed, 2 bad usage or configuration. Every error is one line: what, where, what to do.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ullage import __version__, dead_letters, keys, log, role, setup, supervisor
from ullage.bus import CAPTURES, DEAD_LETTERS, FINDINGS
from ullage.errors import RecordError, UllageError
from ullage.settings import Context

GROUP = "ullage.commands"
READERS = {CAPTURES: "match", FINDINGS: "alert"}


class _Stages(TyperGroup):
    """Lists the commands of every stage, and loads a stage when one of its commands is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted({*super().list_commands(ctx), *(e.name for e in importlib.metadata.entry_points(group=GROUP))})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if found := super().get_command(ctx, cmd_name):
            return found
        for entry in importlib.metadata.entry_points(group=GROUP, name=cmd_name):
            try:
                return _as_command(cmd_name, entry.load())
            except ModuleNotFoundError as error:
                zone = entry.value.split(".")[0].replace("crawlers", "crawl").replace("matcher", "match")
                typer.echo(f"ullage {cmd_name} needs {error.name}: install ullage[{zone}] or ullage[all]", err=True)
                raise typer.Exit(2) from None
        return None


def _as_command(name: str, target: Callable[..., Any] | typer.Typer) -> Any:
    if isinstance(target, typer.Typer):
        return typer.main.get_group(target)
    single = typer.Typer(add_completion=False)
    single.command(name)(target)
    return typer.main.get_command(single)


app = typer.Typer(cls=_Stages, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
config = typer.Typer(no_args_is_help=True, help="Every knob with its default, unit and reason.")
letters = typer.Typer(no_args_is_help=True, help="What could not be processed: list it, replay it.")
app.add_typer(config, name="config")
app.add_typer(letters, name="dead-letters")
Once = Annotated[bool, typer.Option("--once", help="Drain what is due and exit.")]


@app.callback(invoke_without_command=True)
def _main(
    ctx: typer.Context,
    data: Annotated[Path, typer.Option(help="The state folder.", envvar="ULLAGE_DATA")] = Path("ullage-data"),
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Finds a financial platform's customers in leaked data, without ever keeping a leaked value."""
    if version:
        typer.echo(__version__)
        raise typer.Exit
    ctx.obj = Context(data.resolve())
    log.configure(ctx.obj.settings.log_level)


@app.command()
def init(ctx: typer.Context) -> None:
    """Write the configuration, an example site and the keys into the data folder; what exists stays as it is."""
    for line in setup.initialise(ctx.obj):
        typer.echo(line)


@app.command()
def run(ctx: typer.Context, once: Once = False) -> None:
    """The whole daemon on one machine: crawl, match, alert and search as child processes."""
    setup.require(ctx.obj)
    if once:
        raise typer.Exit(supervisor.run_once(ctx.obj.data, supervisor.ROLES[:-1]))
    stop = threading.Event()
    role.die_with_supervisor()
    role.no_core_dumps()
    role.stop_on_signals(stop)
    raise typer.Exit(supervisor.supervise(ctx.obj.data, supervisor.ROLES, stop, ctx.obj.clock))


@app.command()
def check(ctx: typer.Context) -> None:
    """Reach every configured part and say what is wrong with it; exit 1 if anything is."""
    faults = setup.check(ctx.obj, READERS)
    for line in faults:
        typer.echo(line)
    raise typer.Exit(1 if any(line.startswith("FAULT") for line in faults) else 0)


@config.command("show")
def config_show(ctx: typer.Context) -> None:
    """Print every knob: its value now, its default, unit and reason."""
    for line in setup.describe(ctx.obj.settings):
        typer.echo(line)


@letters.command("list")
def letters_list(ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show stage, topic, reason and age of each dead letter; never what is in it."""
    subscription = ctx.obj.bus().subscribe(DEAD_LETTERS, "replay")
    while records := subscription.poll(100, 0.0):
        for letter in map(dead_letters.read, records):
            age = int(ctx.obj.clock.wall() - letter.timestamp)
            row = {"id": letter.id, "stage": letter.stage, "topic": letter.topic, "reason": letter.reason, "seconds": age}
            typer.echo(json.dumps(row) if as_json else "  ".join(str(value) for value in row.values()))


@letters.command("replay")
def letters_replay(ctx: typer.Context) -> None:
    """Put every dead letter back on the topic that it came from; one that failed three times stays parked."""
    bus = ctx.obj.bus()
    subscription, opener = bus.subscribe(DEAD_LETTERS, "replay"), keys.opener(ctx.obj.keys)
    replayed = parked = 0
    while records := subscription.poll(100, 0.0):
        for record in records:
            try:
                bus.publisher(dead_letters.read(record).topic).append([dead_letters.unseal(record, opener)])
                replayed += 1
            except RecordError:
                parked += 1
            subscription.commit(record)
    typer.echo(f"{replayed} replayed, {parked} parked")


def main() -> None:
    """Entry point: one line for every error that we raise on purpose."""
    try:
        app()
    except UllageError as error:
        typer.echo(f"ullage: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
