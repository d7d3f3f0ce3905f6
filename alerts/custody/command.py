"""`ullage evidence`, and `ullage incidents hold` and `release`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from alerts.custody.opening import Asked, Opened, open_all, write_pack
from alerts.custody.render import evidence_as_json, evidence_table, manifest_lines, text_lines
from alerts.decisions.holds import Holds, findings_of
from alerts.decisions.options import By, Case, Reason, decider, deciding
from alerts.records import Sighting
from alerts.store import configured_store
from ullage.custody import OPEN, PACK
from ullage.custody.officers import make_officer
from ullage.custody.vault import Item, Vault
from ullage.display.screen import AsJson, print_list
from ullage.settings import Context

evidence = typer.Typer(no_args_is_help=True, help="What was posted, sealed to two officers: make a key, list, open, pack.")
Key = Annotated[list[Path], typer.Option("--key", help="An officer's private key; give it twice, one each.")]
INCIDENT = "INC-"


def vault_of(context: Context) -> Vault:
    """The folder of the settings."""
    return Vault(context.data / context.settings.evidence.folder)


@evidence.command("keygen")
def keygen(
    officer: str, out: Annotated[Path, typer.Option(help="The folder for the two halves, such as a stick of your own.")]
) -> None:
    """Make an officer's pair: OFFICER.pem stays with them, OFFICER.pub goes into match's keys/evidence."""
    passphrase = typer.prompt(f"Passphrase of {officer}", hide_input=True, confirmation_prompt=True)
    private, public = make_officer(out, officer, passphrase)
    typer.echo(f"{private} is {officer}'s alone; copy {public} and {public.name}.kcv into keys/evidence of match's key folder")


@evidence.command("list")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List what is sealed: finding, incident, tenant, when, how large, to whom, whether it is held. Nothing is opened."""
    items, faults = vault_of(ctx.obj).looked_through()
    with contextlib.closing(configured_store(ctx.obj)) as store:
        seen = store.mget(Sighting, {item.head.finding for item in items})
    incidents = {id_: sighting.incident for id_, sighting in seen.items()}
    print_list(
        items,
        as_json=as_json,
        row=lambda item: evidence_as_json(item, incidents),
        table=lambda items: evidence_table(items, incidents),
        none="" if faults else "Nothing is sealed.",
    )
    if faults:
        raise faults[0]


@evidence.command("open")
def open_(ctx: typer.Context, what: str, *, key: Key, case: Case, reason: Reason, by: By = "") -> None:
    """Show one sealed finding in clear, on this terminal: its manifest, then what was posted. Two officers' keys open it."""
    with _opened(ctx.obj, [what], key, OPEN, case=case, reason=reason, by=by) as opened:
        for one in opened:
            for line in (*manifest_lines(one), *text_lines(one)):
                typer.echo(line)


@evidence.command("pack")
def pack(
    ctx: typer.Context,
    what: Annotated[list[str], typer.Argument(help="Findings, or incidents for all that is sealed of them.")],
    *,
    key: Key,
    case: Case,
    reason: Reason,
    out: Annotated[Path, typer.Option(help="The file to write, mode 0600; not in the data folder.")],
    by: By = "",
) -> None:
    """Write sealed findings IN CLEAR into one tar for who has to have them: bodies as served, manifests, SHA256SUMS."""
    context: Context = ctx.obj
    with _opened(context, what, key, PACK, case=case, reason=reason, by=by) as opened:
        count = write_pack(out, opened, context.data)
    typer.echo(f"{out}: {count} finding{'s' * (count != 1)} in clear; hand it over and remove it")


@evidence.command("keep")
def keep(
    ctx: typer.Context,
    findings: Annotated[list[str], typer.Argument(help="As `incidents show INCIDENT --json` lists them under `seen`.")],
    *,
    case: Case,
    reason: Reason,
    end: Annotated[bool, typer.Option("--end", help="Let them expire again.")] = False,
    by: By = "",
) -> None:
    """Keep sealed findings however old they get: `incidents hold` for a machine of match's own, which sees no incidents."""
    context: Context = ctx.obj
    vault, action = vault_of(context), "evidence.let_go" if end else "evidence.keep"
    who, why = decider(context, by, "evidence.hold").name, f"case {case}: {reason}"
    for one in [vault.find(finding) for finding in findings]:
        context.trail().append(action, f"finding {one.head.finding}", actor=who, tenant=one.head.tenant, reason=why)
    count = vault.release(findings) if end else vault.hold(findings)
    typer.echo(f"{count} of {len(findings)} {'may expire again' if end else 'are kept'}")


def hold(ctx: typer.Context, incident: str, *, case: Case, reason: Reason, by: By = "") -> None:
    """Keep all that belongs to INCIDENT, its sealed evidence included, until `release`."""
    with _holds(ctx.obj, by) as (holds, who):
        marked = holds.set(incident, by=who, case=case, reason=reason)
    typer.echo(f"{incident} is held for case {case}, with its sealed evidence ({marked} here)")


def release(ctx: typer.Context, incident: str, *, case: Case, reason: Reason, by: By = "") -> None:
    """End a hold: what is past its time expires within the hour."""
    with _holds(ctx.obj, by) as (holds, who):
        freed = holds.release(incident, by=who, case=case, reason=reason)
    typer.echo(f"{incident} is released, with its sealed evidence ({freed} here)")


@contextlib.contextmanager
def _holds(context: Context, by: str) -> Iterator[tuple[Holds, str]]:
    """The holds of those incidents that whoever decides may see, and their name."""
    with deciding(context, by, "evidence.hold") as (store, who):
        yield Holds(store, vault_of(context), context.trail(), context.clock), who.name


@contextlib.contextmanager
def _opened(
    context: Context, what: Sequence[str], keys: Sequence[Path], action: str, *, case: str, reason: str, by: str
) -> Iterator[Iterator[Opened]]:
    """What was asked for, in clear, one after the other; in the audit log before the first is handed out."""
    vault = vault_of(context)

    def ask(name: str) -> str:
        return str(typer.prompt(f"Passphrase of {name}", hide_input=True, err=True))

    asked = Asked(action, decider(context, by, "evidence.open").name, f"case {case}: {reason}")
    yield open_all(vault, _items(context, vault, what), keys, ask, context.trail(), asked)


def _items(context: Context, vault: Vault, what: Sequence[str]) -> list[Item]:
    """The files of findings, and of all findings of incidents."""
    incidents = [one for one in what if one.startswith(INCIDENT)]
    items = [vault.find(one) for one in what if not one.startswith(INCIDENT)]
    if incidents:
        with contextlib.closing(configured_store(context)) as store:
            findings = findings_of(store, incidents)
        items += [item for item in vault.items() if item.head.finding in findings]
    return items
