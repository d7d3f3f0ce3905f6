"""Run the command line, and import a stage only when one of its commands is called."""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import importlib.util
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from ullage import __version__, errors
from ullage.errors import ConfigError, Exit, UllageError, list_faults
from ullage.files import output

GROUP = "ullage.commands"
"""The entry points of the stages' commands; the commands in `OWN` are added to them."""
OWN = {
    name: name
    for name in ("init", "run", "status", "check", "config", "erase", "backup", "restore")
} | {"dead-letters": "letters"}
"""The attribute of `ullage.commands` for each command of ullage itself."""
HELP: Mapping[str, str] = {
    "alert": "Group findings into incidents, score and store them, and notify people.",
    "assess": (
        "Assess a file: is it real, is it ours, who is in it, which scam is likely. Nothing of it"
        " is kept."
    ),
    "audit": "Show who changed what and why, and verify that the log is complete and unchanged.",
    "backup": (
        "Back up the data folder while services run. Keys are left out, or go into a folder of"
        " their own."
    ),
    "check": "Check every configured part and say what is wrong with it.",
    "collect": (
        "Read the chats of one service, or show the state of every channel (exit 5: one is not"
        " seen)."
    ),
    "config": "Show every setting with its value, default, unit and reason.",
    "coverage": "Show what was seen of each site, hour by hour, and explain gaps.",
    "crawl": "Visit the sites that are due and publish new posts, encrypted.",
    "dead-letters": (
        "List records that could not be processed, without their content, or replay them."
    ),
    "demo": (
        "Run the whole product against real paste and forum software, with synthetic people, and"
        " check the result."
    ),
    "erase": (
        "Erase a customer, or with --all a tenant, from everything on this host, and write a signed"
        " proof."
    ),
    "evidence": (
        "Open encrypted posts with the keys of two officers; list them; make a key; write and"
        " verify a package for a court."
    ),
    "fraud-cases": "Report fraud cases by customer reference, on the list's host.",
    "honeytoken": "Plan honeytokens: how many a partner needs, with rows that reach nobody.",
    "incidents": "List, show, decide, suppress and export incidents.",
    "ingest": "Read posts that another collector wrote; a refused line is named by its number.",
    "intake": (
        "Accept posts from other collectors over HTTP, with a token; on loopback, or with TLS."
    ),
    "init": (
        "Create the configuration, an example site and the keys in the data folder. Existing files"
        " stay as they are."
    ),
    "match": "Match captured posts against the customer lists, in memory, and publish findings.",
    "notify": "Test a notification channel, and show what was sent.",
    "restore": "Restore a backup into an empty data folder and check every part of it.",
    "report": (
        "Draft the breach notification of an incident."
        " It names no customer, is sent nowhere, and is for counsel to review."
    ),
    "rules": "Show, replay and change the rules that judge incidents.",
    "run": (
        "Run all services on one machine: crawl, match, alert, search, intake and chat collectors."
    ),
    "scan": "Match local files and print JSON Lines. Nothing of them is kept.",
    "search": "Serve the console and its API on loopback, on a socket, or with TLS.",
    "frontier": "Move the crawl state of sites to another host.",
    "sites": (
        "Show the state of each site: since when, last new post, usual interval, pages waiting,"
        " next visit."
    ),
    "source": (
        "State who may have leaked the data of the victims of fraud, from the cases that were"
        " reported without a post, on the host of the customer list."
    ),
    "status": "Show whether each configured service runs and is ready.",
    "subjects": "Resolve customer pseudonyms to customer references, on the build host.",
    "token": "Add, list and revoke API tokens of programs.",
    "user": "Add, list and change accounts: roles, password, sessions.",
    "watchlist": (
        "Build, load and update customer lists, on one machine or on a separate build host."
    ),
}
"""The line of each command in `ullage --help`: the beginning of its own help.

A test compares them. A command that is missing here is imported for its line.
"""
ZONES = {"crawlers": "crawl", "matcher": "match", "alerts": "alert"}
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "crawl": (
        "scrapy",
        "cssselect",
        "jmespath",
        "lxml",
        "OpenSSL",
        "parsel",
        "service_identity",
        "twisted",
        "w3lib",
        "zope",
    ),
    "match": ("hyperscan", "ahocorasick", "pypdfium2", "pypdfium2_raw", "python_calamine"),
    "parquet": ("pyarrow",),
    "formats": ("fastavro", "brotli", "pyarrow"),
    "alert": ("apprise", "babel", "docx", "jinja2"),
    "export": ("stix2", "pymisp"),
    "search": (
        "fastapi",
        "argon2",
        "babel",
        "h11",
        "jinja2",
        "markupsafe",
        "python_multipart",
        "starlette",
        "uvicorn",
    ),
    "oidc": ("authlib", "httpx", "joserfc"),
    "intake": ("uvicorn", "cssselect", "h11", "jmespath", "lxml", "parsel", "w3lib"),
    "matrix": ("aiohttp",),
    "xmpp": ("slixmpp",),
    "telegram": ("telethon",),
    "kafka": ("kafka",),
    "elasticsearch": ("elasticsearch", "elastic_transport"),
    "timestamp": ("rfc3161_client",),
}
"""The modules of each extra that ullage imports.

The first module tells whether the extra is installed. A test compares them with pyproject.toml
and with the imports.
"""
OF_SEARCH = ("user", "token")
"""Commands beside `search` that need the same extra."""
SUPERVISOR = "ULLAGE_SUPERVISOR"
"""The variable of the same name in `ullage.runtime.service`, not imported here."""
INTERRUPTED = 130
"""The exit code that typer uses for Ctrl-C."""


class _Stages(TyperGroup):
    """The group of all commands; a stage is imported when its command is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return [*_entry_points()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        entries = _entry_points()
        entry = entries.get(cmd_name)
        if entry is None:
            # typer uses the names to suggest similar ones
            self.commands = dict.fromkeys(entries, TyperCommand(None))
            return None
        try:
            with _pause_collection():
                loaded = entry.load()
            return _with_plain_help(cmd_name, _as_command(cmd_name, loaded))
        except ModuleNotFoundError as error:
            return _missing(
                cmd_name, _extra_with(error.name or "", _extra_of(entry)), error.name or "a module"
            )

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help with a line a command, and import only those that HELP does not know."""
        commands: dict[str, Any] = {}
        for name, entry in _entry_points().items():
            commands[name] = TyperCommand(
                name, short_help=_line_of(entry) or self.get_command(ctx, name).help
            )
        page = TyperGroup(
            name=self.name,
            commands=commands,
            params=self.params,
            help=self.help,
            epilog=self.epilog,
        )
        page.rich_markup_mode = None
        page.format_help(ctx, formatter)


@contextlib.contextmanager
def _pause_collection() -> Iterator[None]:
    """Disable garbage collection during imports, and exempt what they load from it later.

    Collecting would take a tenth of the start.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    """Return all commands by name, sorted by name."""
    built_in = [
        importlib.metadata.EntryPoint(name, f"ullage.commands:{attribute}", GROUP)
        for name, attribute in OWN.items()
    ]
    return {
        entry.name: entry
        for entry in sorted(
            (*importlib.metadata.entry_points(group=GROUP), *built_in), key=lambda e: e.name
        )
    }


def _line_of(entry: importlib.metadata.EntryPoint) -> str:
    """Return the line of a command in the help of `ullage`.

    It is "" if that is unknown until the command is imported.
    """
    extra = _extra_of(entry)
    if extra in EXTRAS and importlib.util.find_spec(EXTRAS[extra][0]) is None:
        return _not_installed(extra)
    return HELP.get(entry.name, "")


def _extra_of(entry: importlib.metadata.EntryPoint) -> str:
    """Return the extra that a command needs."""
    if entry.name in OF_SEARCH:
        return "search"
    package = entry.value.partition(".")[0]
    return (
        entry.name
        if entry.name in EXTRAS
        else ZONES.get(package, "" if package == "ullage" else "all")
    )


def _extra_with(module: str, extra: str) -> str:
    """Return the extra to install for a module.

    It is `extra` if that contains the module, or if no extra is known to.
    """
    having = [name for name, modules in EXTRAS.items() if module.partition(".")[0] in modules]
    return extra if extra in (*having, "all") or not having else having[0]


def _to_install(extra: str) -> str:
    return (
        "install ullage[all]" if extra in ("", "all") else f"install ullage[{extra}] or ullage[all]"
    )


def _not_installed(extra: str) -> str:
    return f"(not installed: needs the extra `{extra}`)"


def _with_plain_help(path: str, command: Any) -> Any:
    """Return a command whose help ends with its exit codes and has no boxes.

    Subcommands are included. The library that draws boxes takes longer to import than all the help.
    """
    command.epilog, command.rich_markup_mode = errors.render_command_exit_codes(path) or None, None
    for name, nested in getattr(command, "commands", {}).items():
        # in full: else it is cut at the margin
        nested.short_help = " ".join((nested.help or "").partition("\n\n")[0].split())
        _with_plain_help(f"{path} {name}", nested)
    return command


def _missing(command: str, extra: str, module: str) -> Any:
    """Return a placeholder for a command whose dependencies are not installed.

    Help lists it, and a call says what to install.
    """
    single = typer.Typer(add_completion=False, add_help_option=False)

    @single.command(
        command, context_settings={"ignore_unknown_options": True, "allow_extra_args": True}
    )
    def missing() -> None:
        raise ConfigError(f"{command} needs {module}: {_to_install(extra)}")

    missing.__doc__ = _not_installed(extra)
    return typer.main.get_command(single)


def _as_command(name: str, target: Callable[..., Any] | typer.Typer) -> Any:
    if isinstance(target, typer.Typer):
        group = typer.main.get_group(target)
        group.name = name
        return group
    single = typer.Typer(add_completion=False)
    single.command(name)(target)
    return typer.main.get_command(single)


app = typer.Typer(
    cls=_Stages,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=errors.render_exit_codes(),
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _main(
    ctx: typer.Context,
    data: Annotated[Path, typer.Option(help="The state folder.", envvar="ULLAGE_DATA")] = Path(
        "ullage-data"
    ),
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Find a financial platform's customers in leaked data.

    No leaked value is ever kept.
    """
    if version:
        typer.echo(__version__)
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit(Exit.USAGE)
    from ullage import log  # noqa: PLC0415  with the settings it takes longer than all the help
    from ullage.inventory import COMMANDS, SERVICES  # noqa: PLC0415
    from ullage.settings import Context, Settings  # noqa: PLC0415

    try:
        service = ctx.invoked_subcommand if ctx.invoked_subcommand in SERVICES else COMMANDS
        ctx.obj = Context(data.resolve(), service=service)
    except ConfigError as error:
        if ctx.invoked_subcommand != "check":
            raise
        ctx.obj = Context(
            data.resolve(), settings=Settings.model_construct(), faults=list_faults(error)
        )
    log.configure(ctx.obj.settings.log_level)


def _one_line(
    kind: type[BaseException], _error: BaseException | None, trace: types.TracebackType | None
) -> None:
    """Print an unexpected fault by its type and place only, as its message may hold a value."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = (
        f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        if trace
        else "an unknown place"
    )
    typer.echo(f"ullage: internal error ({kind.__name__} at {place}): please report it", err=True)


def main() -> None:
    """Run the command line and exit the process; print each error as one line without any value.

    Sets the umask to 077 and replaces the hooks for uncaught exceptions. The exit code is that of
    the error.
    """
    output.guard_errors()
    os.umask(0o077)  # files for other users set their mode: public keys, rules
    # numpy would start threads for matrix products, which are not used
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.excepthook = _one_line
    threading.excepthook = lambda args: _one_line(args.exc_type, args.exc_value, args.exc_traceback)
    try:
        if SUPERVISOR in os.environ:
            from ullage.runtime import (  # noqa: PLC0415  only where a supervisor started this
                service,
            )

            # before a stage is imported, which takes seconds on a busy machine
            service.die_with_supervisor()
        # app() would replace our hook by typer's
        code = typer.main.get_command(app)(standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else Exit.DONE)
    except UllageError as error:
        _fail(*list_faults(error), exit_code=error.exit_code)
    except ModuleNotFoundError as error:  # of an extra that is asked for only now
        if not (extra := _extra_with(error.name or "", "")):
            raise
        _fail(f"this needs {error.name}: {_to_install(extra)}", exit_code=Exit.USAGE)
    except TyperException as error:
        _refuse(error)
    except (typer.Abort, KeyboardInterrupt):
        _fail("stopped", exit_code=Exit.FAILED)
    # the reader of our output is gone; flushing at exit must not report that
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.FAILED)
    except OSError as error:
        _fail(f"{error.filename or 'a file or socket'}: {error.strerror}", exit_code=Exit.FAILED)


def _refuse(error: TyperException) -> NoReturn:
    """Report a wrong command line; show the help of a group without a command."""
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(message)
        sys.exit(Exit.USAGE)
    where = getattr(getattr(error, "ctx", None), "command_path", "")
    _fail(
        f"{message}{'' if message[-1] in '.?' else '.'} See `{where} --help`"
        if message and where
        else message,
        exit_code=Exit.USAGE,
    )


def _fail(*messages: str, exit_code: int) -> NoReturn:
    """Print one line per message, and exit; an empty message is left out."""
    for message in filter(None, messages):
        typer.echo(f"ullage: {' '.join(message.split())}", err=True)
    sys.exit(exit_code)
