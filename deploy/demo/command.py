"""Implement `ullage demo`."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from deploy.demo import backend, check, drive, plant, security_team, victims
from deploy.demo.backend import Backend
from deploy.local import programs
from deploy.local.matrix_room import matrix_room
from deploy.local.server import HOST, free_ports
from deploy.local.webhook import receiving
from ullage.errors import UllageError
from ullage.runtime.supervisor import command
from ullage.settings import Context

ROLES = ("crawl", "match", "alert")
SITE_PROGRAMS = "sites-venv"
T = TypeVar("T")


def demo(
    ctx: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="Exit after the check instead of serving the page.")
    ] = False,
    on: Annotated[
        Backend, typer.Option("--backend", help="distributed: on a real Kafka and Elasticsearch.")
    ] = Backend.EMBEDDED,
) -> None:
    """Run the whole product against real paste and forum software, with synthetic people, and
    check the result.
    """
    context: Context = ctx.obj
    backend.require(on)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(width=None if sys.stdout.isatty() else 120)
    root = context.data
    root.mkdir(parents=True, exist_ok=True)
    console.print(_duration(root))
    try:
        _assess_sample(root, console)
        _whole_product(context, console, on, once=once)
    except KeyboardInterrupt:
        console.print("stopped; every process of the demo is ended")


def _duration(root: Path) -> str:
    """Describe how long the demo will take; site programs are installed only one time."""
    if programs.is_installed(root / SITE_PROGRAMS):
        return "This takes about half a minute."
    return (
        "This takes about a minute: the first time two site programs are installed. Afterwards it"
        " takes half of that."
    )


def _assess_sample(root: Path, console: Console) -> None:
    """Assess the shipped sample file and print the result, without a site or a daemon.

    This shows a first result within a minute. Works in the folder `sample` below `root`, which is
    made anew.
    """
    sample = resources.files("deploy.demo") / "sample"
    ullage = drive.Ullage(drive.fresh(root / "sample"))
    with resources.as_file(sample) as folder:
        ullage("init")
        ullage("watchlist", "load", str(folder / "customers.csv"), "--tenant", "sample-bank")
        console.rule("[bold]1  a file that somebody sent: ullage assess leak.txt", align="left")
        subprocess.run(command(ullage.data, "assess", str(folder / "leak.txt")), check=True)


def _whole_product(context: Context, console: Console, on: Backend, *, once: bool) -> None:
    root = context.data
    plan, ullage = plant.plan(), drive.Ullage(drive.fresh(root / "state") / "data")
    console.rule(
        "[bold]2  the daemon: real pastes, a real forum, a chat, crawl → match → incident",
        align="left",
    )
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(_progress(console))
        parts = stack.enter_context(
            backend.running(on, root / "demo-servers", partial(_step, progress))
        )
        pastes, forum = _start_sites(root, progress, stack)
        (port, canary), team = free_ports(2), stack.enter_context(receiving())
        page = f"http://{HOST}:{port}"
        configure = partial(
            drive.configure,
            ullage,
            plan,
            parts,
            port,
            security_team.configuration(page, "medium") + drive.canary(canary),
        )
        _step(progress, "load a customer list of 2,000 customers", configure)
        key = security_team.introduce(ullage.data / "keys", team)
        drive.add_sites(ullage, pastes, forum)
        bar = progress.add_task(
            f"post {plant.LEAKED} people's leaks among ordinary posts", total=len(plan.posts)
        )
        drive.post(plan, pastes, forum, lambda: progress.advance(bar))
        room = stack.enter_context(matrix_room(drive.said_in_chat(plan, context.clock.now())))
        heard = _step(
            progress,
            f"a chat of {len(room.said)} messages, by collect matrix",
            partial(drive.chat, ullage, room),
        )
        for role in ROLES:
            _step(progress, role, partial(ullage, role, "--once"))
        statement = _step(
            progress,
            "state a source from the victims of fraud alone",
            partial(victims.state_source, ullage, plan.customers, context.clock.now().date()),
        )
        incidents = [
            json.loads(line)
            for line in ullage("incidents", "list", "--json", "--limit", "500").splitlines()
        ]
        progress.stop()
        console.print()
        subprocess.run(command(ullage.data, "incidents", "list"), check=True)
        _check(plan, ullage, incidents, heard, console)
        console.print(
            f"         by presets {', '.join(sorted(plant.PRESETS.values()))}; by ullage collect"
            " matrix"
        )
        console.print(f"         on {parts.name}")
        _complain(security_team.faults(team.received, key, incidents, page), console)
        security_team.show(team.received, console)
        _show_source(statement, ullage, console)
        if not once:
            _serve(ullage, console)


def _start_sites(
    root: Path, progress: Progress, stack: contextlib.ExitStack
) -> tuple[str, programs.Forum]:
    work = drive.fresh(root / "sites")
    binaries = _step(
        progress,
        "install bepasty and Spirit (once)",
        lambda: programs.ensure_environment(root / SITE_PROGRAMS),
    )

    def start() -> tuple[str, programs.Forum]:
        pastes = stack.enter_context(programs.bepasty(binaries, work / "bepasty"))
        return pastes, stack.enter_context(programs.spirit(binaries, work / "spirit", ("General",)))

    return _step(progress, "start them on loopback", start)


def _step(progress: Progress, name: str, act: Callable[[], T]) -> T:
    """Run `act` while its name is shown on a line of `progress`, and return its result."""
    task = progress.add_task(name, total=None)
    result = act()
    progress.update(task, total=1, completed=1)
    return result


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    """Yield a progress display with a line per phase; it shows nothing without a terminal."""
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}"),
        BarColumn(20),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress


def _check(
    plan: plant.Plan,
    ullage: drive.Ullage,
    incidents: list[dict[str, Any]],
    heard: dict[str, Any],
    console: Console,
) -> None:
    with console.status("compare it with what was planted"):
        faults = [*check.differences(plan, ullage, incidents), *check.ways(plan, ullage, heard)]
    _complain(faults, console)
    posts, people = len(plan.posts), len(plan.expected)
    found = (
        f"{people} of them customers, exposed in {plan.sightings} sightings and {len(incidents)}"
        " incidents"
    )
    console.print(f"[green]checked:[/] {posts} posts held {plant.LEAKED} people, {found}")
    console.print("         none lost, none double, none false")
    console.print(
        f"         {plan.background} posts held one customer's own number and are no incident:"
        " `ullage incidents suppressions --background`"
    )


def _complain(faults: Iterable[str], console: Console) -> None:
    """Print these faults; raise UllageError if there are any."""
    found = list(faults)
    for fault in found:
        console.print(f"[bold red]{fault}")
    if found:
        raise UllageError(
            "`ullage demo` found something other than it planted: see the lines above"
        )


def _show_source(statement: dict[str, Any], ullage: drive.Ullage, console: Console) -> None:
    """Print whose leak the victims show; raise UllageError if it is not the planted one."""
    _complain(victims.faults(statement), console)
    stated, shown_by = victims.describe(statement, ullage.data)
    console.print(f"[green]source:[/] {stated}", highlight=False)
    console.print(f"         {shown_by}", highlight=False, soft_wrap=True)


def _serve(ullage: drive.Ullage, console: Console) -> None:
    """Serve the console until Ctrl-C (KeyboardInterrupt), while all services run.

    Adds an account and prints its password. Sites are visited, the chat is read, and canaries are
    posted and found. Raises UllageError if the services end by themselves; they are ended in any
    case.
    """
    console.rule("[bold]3  the console (Ctrl-C ends everything)", align="left")
    somebody = plant.plan().customers[0]
    name, password = drive.add_account(ullage)
    console.print(
        f"log in as [bold]{name}[/] with the password [bold]{password}[/]: lead, DPO and operator,"
        " made for this run"
    )
    console.print(f"ask it whether this synthetic person is exposed: {somebody.phone}")
    console.print("or drop a file with customers on “Assess a file”")
    console.print(
        "all services run: sites are visited every half minute, and coverage and canaries grow as"
        " you look"
    )
    with subprocess.Popen(
        command(ullage.data, "run"), env=drive.environment("warning"), start_new_session=True
    ) as services:
        try:
            raise UllageError(f"the services ended with {services.wait()}: see the lines above")
        finally:
            services.terminate()
