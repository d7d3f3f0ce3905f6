"""`ullage honeytoken plan`: how many honeytokens a partner needs, made, recorded, to hand out."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from pathlib import Path
from typing import Annotated

import typer

from matcher.cli.watchlist_options import confirmed, source_of, valid_name
from matcher.watchlist.cohorts import bait_of, write
from matcher.watchlist.honeytokens import (
    InventedCustomer,
    count_needed,
    format_rows,
    make_honeytokens,
)
from ullage.audit import current_user
from ullage.audit.bait import record
from ullage.errors import ConfigError
from ullage.identifiers import kinds
from ullage.settings import Context

LIST, ROWS, RECORDED = "customers.csv", "hand-out.csv", "recorded.bait"
app = typer.Typer(
    no_args_is_help=True,
    help="Plan honeytokens: how many a partner needs, with rows that reach nobody.",
)


@app.callback()
def honeytoken() -> None:
    """Plan honeytokens: how many a partner needs, with rows that reach nobody."""


@app.command()
def plan(
    ctx: typer.Context,
    *,
    partner: Annotated[str, typer.Option(help="The party that receives them: a short label.")],
    confidence: Annotated[
        float, typer.Option(help="The probability that at least one is in the sample.")
    ] = 0.95,
    sample: Annotated[
        float, typer.Option(help="The share of the rows that a post is expected to show.")
    ] = 0.01,
    surviving: Annotated[
        float, typer.Option(help="The share of honeytokens that survives a seller's filters.")
    ] = 1.0,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Make them, in this new folder, and record them."),
    ] = None,
    tenant: Annotated[str, typer.Option(help="The tenant whose list they join.")] = "",
    reference: Annotated[
        str, typer.Option(help="How its customer references look; # stands for a digit.")
    ] = "C##########",
    domain: Annotated[
        str, typer.Option(help="A mail domain of the tenant; without it no address is made.")
    ] = "",
    phones: Annotated[
        Path | None,
        typer.Option(help="The tenant's own numbers, one a line, instead of unassigned ones."),
    ] = None,
) -> None:
    """Say how many honeytokens a partner needs; with --output, make them and record their SHA-256.

    The folder has the rows to hand out, the rows for the customer list, and the recorded file.
    """
    number = count_needed(confidence, sample, surviving)
    typer.echo(
        f"{number} honeytokens: at least one is in {100 * sample:.4g} % of the rows with a"
        f" probability of {100 * confidence:.4g} %, if {100 * surviving:.4g} % survive filters"
    )
    if out is None:
        return
    if not tenant:
        raise ConfigError("--output needs --tenant: name the tenant whose list they join")
    context: Context = ctx.obj
    context.require_data()
    honeytokens = make_honeytokens(
        number, secrets.SystemRandom(), reference, domain, _read_phones(phones) if phones else ()
    )
    _write_folder(context, out, valid_name(tenant), partner.strip(), honeytokens)


def _read_phones(path: Path) -> list[str]:
    """Return the distinct phone numbers in a file.

    Raises ConfigError if it cannot be read, or names the place of what is not a phone number.
    """
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"--phones: {path} must be a text file that can be read") from None
    numbers = dict[str, None]()
    for place, line in enumerate(lines, 1):
        if not (number := kinds()["phone"].normalise(line)):
            raise ConfigError(f"--phones: {path}: number {place} must be a phone number")
        numbers[number] = None
    return list(numbers)


def _write_folder(
    context: Context, folder: Path, tenant: str, partner: str, honeytokens: list[InventedCustomer]
) -> None:
    """Write the three files and record the list; a failure leaves no folder to hand out.

    Raises ConfigError if the folder exists or cannot be created.
    """
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"--output: {folder} cannot be created ({error.strerror}): name a new folder"
        ) from None
    with contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, folder)
        write(folder / LIST, format_rows(honeytokens, partner))
        write(folder / ROWS, format_rows(honeytokens))
        source = confirmed(source_of([folder / LIST], [], "", "", ""))
        bait = bait_of(source, tenant, partner, secrets.token_hex(32))
        write(folder / RECORDED, bait.content)
        noted = record(
            context.trail(), tenant, partner, bait.customers, bait.sha256, actor=current_user()
        )
        undo.pop_all()
    typer.echo(f"recorded {noted.at.isoformat(timespec='seconds')}, SHA-256 {bait.sha256}")
    typer.echo(f"{folder / LIST}: add it to the customer list of {tenant} before you hand them out")
    typer.echo(f"{folder / ROWS}: mix these rows into what {partner} receives")
    typer.echo(f"{folder / RECORDED}: keep it; it proves what was recorded")
