"""The command line. It finds each stage's commands by entry point and imports only the one that is asked for.

Exit codes are those of `ullage.exits`. Every error is one line: what, where, what to do.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from ullage import __version__, dead_letters, exits, keys, log, role, setup, supervisor
from ullage.bus import CAPTURES, FINDINGS
from ullage.errors import ConfigError, UllageError
from ullage.exits import Exit
from ullage.settings import Context

GROUP = "ullage.commands"
CHECKS, PLANS = "ullage.checks", "ullage.plans"
READERS = {CAPTURES: "match", FINDINGS: "alert"}
ZONES = {"crawlers": "crawl", "matcher": "match", "alerts": "alert"}
EXTRAS = ("crawl", "match", "alert", "search")
INTERRUPTED = 130
"""What typer makes of Ctrl-C."""


class _Stages(TyperGroup):
    """Lists the commands of every stage, and loads a stage when one of its commands is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted({*super().list_commands(ctx), *(e.name for e in importlib.metadata.entry_points(group=GROUP))})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = self._found(ctx, cmd_name)
        return None if found is None else _told(cmd_name, found)

    def _found(self, ctx: Any, cmd_name: str) -> Any:
        if found := super().get_command(ctx, cmd_name):
            return found
        for entry in importlib.metadata.entry_points(group=GROUP, name=cmd_name):
            try:
                return _as_command(cmd_name, entry.load())
            except ModuleNotFoundError as error:
                return _missing(cmd_name, entry.value.partition(".")[0], error.name or "a module")
        return None


def _told(path: str, command: Any) -> Any:
    """The command, and what is under it, with its exit codes at the end of its help."""
    command.epilog = exits.table_of(path) or None
    for name, nested in getattr(command, "commands", {}).items():
        _told(f"{path} {name}", nested)
    return command


def _missing(command: str, package: str, module: str) -> Any:
    """What stands for a command whose dependencies are not installed: help lists it, calling it says what to install."""
    extra = command if command in EXTRAS else ZONES.get(package, "all")
    single = typer.Typer(add_completion=False, add_help_option=False)

    @single.command(command, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
    def missing() -> None:
        raise ConfigError(f"{command} needs {module}: install ullage[{extra}] or ullage[all]")

    missing.__doc__ = f"(not installed: needs the extra `{extra}`)"
    return typer.main.get_command(single)


def _as_command(name: str, target: Callable[..., Any] | typer.Typer) -> Any:
    if isinstance(target, typer.Typer):
        group = typer.main.get_group(target)
        group.name = name
        return group
    single = typer.Typer(add_completion=False)
    single.command(name)(target)
    return typer.main.get_command(single)


app = typer.Typer(cls=_Stages, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, epilog=exits.table())
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
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit(Exit.USAGE)
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
    setup.require_keys(ctx.obj)
    role.no_core_dumps()
    if once:
        raise typer.Exit(supervisor.run_once(ctx.obj.data, supervisor.ROLES[:-1]))
    stop = threading.Event()
    role.stop_on_signals(stop)
    raise typer.Exit(supervisor.supervise(ctx.obj.data, supervisor.ROLES, stop, ctx.obj.clock))


def _parts(context: Context) -> Iterator[setup.Part]:
    """What the stages that are installed here want looked at."""
    for entry in sorted(importlib.metadata.entry_points(group=CHECKS), key=lambda e: e.name):
        with contextlib.suppress(ModuleNotFoundError):  # a stage whose extra is not installed here has nothing to look at
            yield from entry.load()(context)


def _plans(context: Context) -> Iterator[str]:
    """What the stages that are installed here need made for them."""
    for entry in sorted(importlib.metadata.entry_points(group=PLANS), key=lambda e: e.name):
        try:
            lines = entry.load()
        except ModuleNotFoundError as error:
            yield f"# {entry.name} is not installed here and may need more (it lacks {error.name})"
        else:
            yield from lines(context)


@app.command()
def check(
    ctx: typer.Context,
    plan: Annotated[bool, typer.Option("--plan", help="Print what the owners of the servers have to make.")] = False,
) -> None:
    """Reach every configured part and say what is wrong with it."""
    if plan:
        for line in setup.plan(ctx.obj, _plans(ctx.obj)):
            typer.echo(line)
        return
    faults = setup.check(ctx.obj, READERS, _parts(ctx.obj))
    for line in faults:
        typer.echo(line)
    raise typer.Exit(Exit.FAILED if any(line.startswith("FAULT") for line in faults) else Exit.DONE)


@config.command("show")
def config_show(ctx: typer.Context) -> None:
    """Print every knob: its value now, its default, unit and reason."""
    for line in setup.describe(ctx.obj.settings):
        typer.echo(line)


@letters.command("list")
def letters_list(ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show stage, topic, reason and age of each dead letter; never what is in it."""
    ctx.obj.require_data()
    found = False
    for letter in dead_letters.waiting_or_parked(ctx.obj.bus()):
        found = True
        age = int(ctx.obj.clock.wall() - letter.timestamp)
        row = {"id": letter.id, "stage": letter.stage, "topic": letter.topic, "reason": letter.reason, "seconds": age}
        row["replays"] = letter.replays
        typer.echo(json.dumps(row) if as_json else "  ".join(str(value) for value in row.values()))
    if not found and not as_json:
        typer.echo("No dead letters.")


@letters.command("replay")
def letters_replay(ctx: typer.Context) -> None:
    """Put every dead letter back on the topic that it came from; one that failed three times stays parked."""
    ctx.obj.require_data()
    done = dead_letters.replay(ctx.obj.bus(), keys.opener(ctx.obj.keys))
    left = "".join(f", {count} left ({reason})" for reason, count in sorted(done.left.items()))
    typer.echo(f"{done.replayed} replayed{left}")


def _one_line(kind: type[BaseException], _error: BaseException | None, trace: types.TracebackType | None) -> None:
    """A fault that nobody foresaw: its kind and place alone, because its message may hold a value."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "an unknown place"
    typer.echo(f"ullage: internal error ({kind.__name__} at {place}): please report it", err=True)


def main() -> None:
    """Entry point: one line for every error, and never a value in it."""
    os.umask(0o077)  # what is for others says so: public keys, rules
    sys.excepthook = _one_line
    threading.excepthook = lambda args: _one_line(args.exc_type, args.exc_value, args.exc_traceback)
    try:
        role.die_with_supervisor()  # before a stage is imported, which takes seconds on a busy machine
        code = app(standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else Exit.DONE)
    except UllageError as error:
        _fail(str(error), error.exit_code)
    except TyperException as error:  # wrong usage: an unknown option, a missing argument
        _fail(error.format_message(), Exit.USAGE)
    except (typer.Abort, KeyboardInterrupt):
        _fail("stopped", Exit.FAILED)
    except BrokenPipeError:  # whoever read our output has gone; flushing at exit must not complain of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.FAILED)
    except OSError as error:
        _fail(f"{error.filename or 'a file or socket'}: {error.strerror}", Exit.FAILED)


def _fail(message: str, exit_code: int) -> NoReturn:
    if message:  # empty where the help was printed instead
        typer.echo(f"ullage: {' '.join(message.split())}", err=True)
    sys.exit(exit_code)
