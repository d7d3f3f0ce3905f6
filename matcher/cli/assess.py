"""`ullage assess`: one file that somebody sent is judged, compared with earlier incidents, and on request made one."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from matcher.cli.assess_one import serve_one
from matcher.cli.examine import Examined, Wanted, desk_of, examine, open_incidents
from matcher.cli.render import show, show_opened
from matcher.cli.scan import Fail, Ocr, check_file, limits_here
from matcher.cli.verdict import check_severity
from ullage.errors import ConfigError
from ullage.exits import Exit
from ullage.files.atomic_write import is_standard_output, write_whole
from ullage.settings import Context

NOBODY = "no incident: nothing in it concerns a tenant"


def assess(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file that somebody sent; - for standard input.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="The verdict as JSON.")] = False,
    tenant: Annotated[str, typer.Option("--tenant", help="Look for this tenant's customers alone.")] = "",
    customers: Annotated[
        Path | None, typer.Option("--customers", metavar="OUT.csv", help="Write the customers' handles there, never a value.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Make it an incident, wait for it, and print its number.")] = False,
    wait: Annotated[float, typer.Option("--wait", min=0.0, help="With --open: at most so many seconds.")] = 60.0,
    ocr: Ocr = False,
    fail: Fail = False,
    fail_on: Annotated[
        str, typer.Option("--fail-on", metavar="SEVERITY", help="Exit with 4 where a verdict is as severe, or more.")
    ] = "",
    served: Annotated[int | None, typer.Option("--socket", hidden=True, help="Match's alone: who asks is at its end.")] = None,
) -> None:
    """The verdict on a file, on one screen: real? ours? who? which scam? Nothing of it is kept.

    Where something of it was not read and nobody is in the rest, there is no verdict.
    """
    context: Context = ctx.obj
    if served is not None:
        return serve_one(context, served)
    check_severity(fail_on)
    check_file(file)
    if customers is not None:
        _check_target(customers, file)
    with ExitStack() as stack:
        desk = desk_of(context, stack, to_open=open_)
        wanted = Wanted(limits_here(ocr=ocr), tenant, customers=customers is not None, to_open=open_)
        examined = examine(context, file, file, desk, wanted)
        judged = examined.judged
        code = judged.code(fail=fail, fail_on=fail_on)
        if customers is not None:
            count = _write_customers(customers, examined)
            typer.echo(f"{count:,} customer{'s' * (count != 1)} written to {customers}", err=True)
        if not as_json:
            show(Console(width=None if sys.stdout.isatty() else 100, highlight=False), judged)
        opened = open_incidents(context, desk, examined.signed(), wait) if open_ else None
    if as_json:
        sys.stdout.write(json.dumps(judged.as_dict(opened), ensure_ascii=False, indent=1) + "\n")
    elif opened is not None:
        show_opened(opened)
    if opened is not None and not (opened and all(one.incident for one in opened.values())):
        typer.echo("; ".join({one.why_not for one in opened.values() if one.why_not}) or NOBODY, err=True)
        code = Exit.FAILED
    raise typer.Exit(code)


def _check_target(out: Path, file: Path) -> None:
    """ConfigError where `out` cannot be written, or is `file` itself."""
    if is_standard_output(out):
        raise ConfigError("--customers wants a file: standard output has the verdict")
    if not out.parent.is_dir():
        raise ConfigError(f"{out.parent} is no folder: --customers is written there")
    if out.is_dir() or (out.exists() and file.exists() and out.samefile(file)):
        raise ConfigError(f"{out} is {'a folder' if out.is_dir() else 'the file that is assessed'}: name another for --customers")


def _write_customers(out: Path, examined: Examined) -> int:
    """Write `out`, for its owner alone, whole or not at all; how many customers are in it."""
    lines = list(examined.customers())
    write_whole("".join(lines).encode(), out)
    return len(lines) - 1
