"""Define `ullage audit`: list changes, and verify that the log is complete and unchanged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Annotated

import typer

from ullage import erasure
from ullage.audit import AuditEntry, ChainCheck, read_entries, walk_all
from ullage.audit.trail import FOLDER
from ullage.display import moment
from ullage.display.listing import Listing
from ullage.display.screen import AsJson, print_list, print_row
from ullage.errors import ConfigError, Exit, RecordError
from ullage.security import keys, signing
from ullage.settings import Context
from ullage.settings.tenants import find_tenants, require_tenant

UNSIGNED = {
    "malformed": "is not a signed report or proof, or was changed",
    "unknown_signer": "is signed with a key that is unknown here",
}
app = typer.Typer(
    no_args_is_help=True,
    help="Show who changed what and why, and verify that the log is complete and unchanged.",
)


@app.command()
def verify(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="Verify the signature of a coverage report or a proof of erasure."),
    ] = None,
    as_json: AsJson = False,
    expect: Annotated[
        Path | None,
        typer.Option(help="Earlier output of `verify --json`, which must still be true."),
    ] = None,
) -> None:
    """Verify every audit log, or one signed file, and say where an entry is changed or missing."""
    context: Context = ctx.obj
    context.require_data()
    if file is not None:
        _verify_file(context, file)
        return
    chains = walk_all(context.data / FOLDER, context.keys, _read_expected(expect) if expect else ())
    for chain in chains:
        if as_json:
            print_row(_as_json(chain))
            continue
        what = (
            f"entries {chain.begins} to {chain.seq}, the last {chain.last[:16]}"
            if not chain.faults
            else "BROKEN"
        )
        typer.echo(f"{chain.name}: {what}")
        for fault in chain.faults:
            typer.echo(f"  {fault.file}{f':{fault.line}' if fault.line else ''}: {fault.what}")
    missing = context.inventory.faults()
    for line in missing:
        typer.echo(json.dumps({"inventory": line}) if as_json else f"inventory: {line}")
    if not chains:
        typer.echo("nothing has been changed yet: there is no audit log", err=True)
    raise typer.Exit(Exit.FAILED if missing or any(chain.faults for chain in chains) else Exit.DONE)


def _verify_file(context: Context, file: Path) -> None:
    """Print who signed a coverage report or a proof of erasure, or that it was changed since.

    Raises ConfigError if it cannot be read; exits with 1 (typer.Exit) if it was changed.
    """
    try:
        text = file.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror})") from None
    if text.lstrip().startswith("{"):
        typer.echo(erasure.verify_proof(context, file))
        return
    try:
        signer = signing.verify_report(text, keys.load_verifier(context.keys, signing.TOPIC))
    except RecordError as error:
        typer.echo(
            f"{file}: {UNSIGNED.get(error.reason, 'was changed: it is not what was signed')}",
            err=True,
        )
        raise typer.Exit(Exit.FAILED) from None
    typer.echo(f"{file}: unchanged since alert {signer} signed it")


def _as_json(chain: ChainCheck) -> dict[str, object]:
    faults = [
        {"file": str(fault.file), "line": fault.line, "what": fault.what} for fault in chain.faults
    ]
    return {
        "chain": chain.name,
        "begins": chain.begins,
        "seq": chain.seq,
        "digest": chain.last,
        "faults": faults,
    }


def _read_expected(path: Path) -> list[tuple[str, int, str]]:
    """Read the expected chain, number and digest of each chain; skips broken chains.

    Raises ConfigError if the file is not the output of `audit verify --json`.
    """
    try:
        rows = [
            json.loads(line)
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.strip()
        ]
        return [
            (str(row["chain"]), int(row["seq"]), str(row["digest"]))
            for row in rows
            if not row["faults"]
        ]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{path} must be the output of `ullage audit verify --json`") from None


@app.command("list")
def list_(
    ctx: typer.Context,
    as_json: AsJson = False,
    actor: Annotated[str, typer.Option(help="Only of this person.")] = "",
    action: Annotated[
        str,
        typer.Option(
            help="Only actions that begin like this, such as `incident` or `suppression.add`."
        ),
    ] = "",
    tenant: Annotated[str, typer.Option(help="Only this tenant.")] = "",
    limit: Annotated[
        int, typer.Option(min=1, help="The largest number of entries, newest first.")
    ] = 50,
) -> None:
    """List audit entries, newest last. They are verified by `ullage audit verify`."""
    context: Context = ctx.obj
    context.require_data()
    all_entries = list(read_entries(context.data / FOLDER))
    if tenant:
        require_tenant(
            tenant,
            find_tenants(context) | {entry.tenant for _, entry in all_entries if entry.tenant},
        )
    matching = [
        (chain, entry)
        for chain, entry in all_entries
        if actor in ("", entry.actor)
        and entry.action.startswith(action)
        and tenant in ("", entry.tenant)
    ][-limit:]
    print_list(
        matching,
        as_json=as_json,
        row=_row,
        table=lambda items: _table(items, context.zone),
        none="No changes.",
    )


def _row(item: tuple[str, AuditEntry]) -> dict[str, object]:
    chain, entry = item
    return {"chain": chain, **entry.model_dump(mode="json")}


def _table(items: Sequence[tuple[str, AuditEntry]], zone: tzinfo) -> Listing:
    listing = Listing(("when", "who", "did", "to what", "tenant", "why"), whole=("when",))
    for _, entry in items:
        texts = (entry.actor, entry.action, entry.object, entry.tenant, entry.reason)
        listing.add_row(moment(entry.at, zone), *texts)
    return listing
