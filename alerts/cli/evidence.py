"""`ullage evidence`, and `ullage incidents hold`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from alerts.cases.evidence import (
    ACTION,
    EvidenceRequest,
    Holds,
    OpenedEvidence,
    _text,
    evidence_as_json,
    evidence_table,
    find_findings,
    find_sealed,
    manifest_lines,
    open_all,
    open_originals,
    text_lines,
    vault_of,
    write_pack,
)
from alerts.cases.evidence.package_file import MOST_BYTES, describe_package, verify_package
from alerts.cases.incident_list import get_incident
from alerts.cli import Case, Reason, decider, deciding
from alerts.coverage.signed_days import load_authority, open_stamper
from alerts.http_post import UndeliveredError
from alerts.records import Sighting
from alerts.store import open_configured_store
from ullage.audit import current_user
from ullage.custody import OPEN, PACK, digest, make_officer
from ullage.custody.vault import Vault, VaultItem
from ullage.display import moment, safe
from ullage.display.screen import AsJson, By, print_list, print_row
from ullage.errors import ConfigError, CorruptError, UnavailableError
from ullage.files.atomic_write import write_new
from ullage.phrase import Phrase
from ullage.settings import Context

OfSighting = Annotated[
    str,
    typer.Option(metavar="SIGHTING", help="Only this sighting: its id, or the beginning of it."),
]


def reveal(
    context: Context,
    incident: str,
    fields: Sequence[tuple[str, str]],
    *,
    case: str,
    reason: str,
    as_json: bool,
    by: str,
) -> None:
    """Print the addresses of an incident's posts in clear, or one field of one sighting.

    `fields` are pairs of a field and a sighting; without any, all addresses are printed. The
    account `by` needs the permission `address.reveal`. It is written to the audit log, with `case`
    and `reason`, before anything is printed. Raises ConfigError if no originals are stored
    (`originals.days` is 0), or more than one field is asked for.
    """
    if not context.settings.originals.days:
        raise ConfigError(
            Phrase("originals.days is 0, so no originals are stored: set it to store new ones")
        )
    if len(fields) > 1:
        raise ConfigError(
            "only one of --title, --author and --names can be shown at a time: give one of them"
        )
    field_, of = fields[0] if fields else ("url", "")
    with deciding(context, by, "address.reveal") as (store, who):
        incident_record, sealed = find_sealed(store, incident, of)
    which = (
        f"sighting {sealed[0].id}"
        if of
        else "1 sighting"
        if len(sealed) == 1
        else f"{len(sealed)} sightings"
    )
    summary = f"{field_} of {incident}: {which}"
    opened = open_originals(context, incident_record.tenant, sealed)
    context.trail().append(
        ACTION,
        summary,
        actor=who.name,
        tenant=incident_record.tenant,
        reason=f"case {case}: {reason}",
    )
    for sighting, original in opened:
        text = _text(original, field_)
        if as_json:
            print_row({"sighting": sighting.id, "seen": sighting.at.isoformat(), field_: text})
        else:  # not wrapped, so that an address can be copied
            seen_at = moment(sighting.at, context.zone)
            typer.echo(f"{sighting.id}  {seen_at}  {safe(text) or '(none)'}")


evidence = typer.Typer(
    no_args_is_help=True,
    help=(
        "Open encrypted posts with the keys of two officers; list them; make a key; write and"
        " verify a package for a court."
    ),
)
Key = Annotated[
    list[Path], typer.Option("--key", help="An officer's private key; give it twice, one each.")
]
INCIDENT = "INC-"


@evidence.command("keygen")
def keygen(
    officer: str,
    out: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The folder for the two halves, such as a stick of your own."
        ),
    ],
) -> None:
    """Make an officer's key pair: OFFICER.pem stays with them, OFFICER.pub goes into match's
    keys/evidence.
    """
    passphrase = typer.prompt(f"Passphrase of {officer}", hide_input=True, confirmation_prompt=True)
    private, public = make_officer(out, officer, passphrase)
    typer.echo(
        f"{private} is {officer}'s alone; copy {public} into keys/evidence of match's key folder"
    )


@evidence.command("list")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List encrypted posts: finding, incident, tenant, time, size, officers, hold.

    Nothing is opened.
    """
    context: Context = ctx.obj
    items, faults = vault_of(context).scan()
    with contextlib.closing(open_configured_store(context)) as store:
        sightings = store.mget(Sighting, {item.head.finding for item in items})
    incidents = {id_: sighting.incident for id_, sighting in sightings.items()}
    print_list(
        items,
        as_json=as_json,
        row=lambda item: evidence_as_json(item, incidents),
        table=lambda items: evidence_table(items, incidents, context.zone),
        none="" if faults else "No evidence.",
    )
    if faults:
        raise faults[0]


@evidence.command("open")
def open_(
    ctx: typer.Context,
    what: Annotated[
        list[str], typer.Argument(help="Findings, or incidents for all their evidence.")
    ],
    *,
    case: Case,
    reason: Reason,
    key: Key = [],  # noqa: B006 - typer's way to say none
    title: OfSighting = "",
    author: OfSighting = "",
    names: OfSighting = "",
    as_json: AsJson = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help=(
                "A tar of bodies as served, manifests and SHA256SUMS, mode 0600; not in the data"
                " folder."
            ),
        ),
    ] = None,
    by: By = "",
) -> None:
    """Decrypt posts with two officers' keys, on screen or into a tar; without keys, an incident's
    addresses.

    The console's key opens addresses, and with --title, --author or --names those of one sighting.
    """
    context: Context = ctx.obj
    if not key:
        if len(what) != 1 or out:
            raise ConfigError(
                "without --key, only the addresses of one incident are shown: name the"
                " incident, or give two officers' keys with --key"
            )
        fields = [
            (name, of)
            for name, of in (("title", title), ("author", author), ("members", names))
            if of
        ]
        reveal(context, what[0], fields, case=case, reason=reason, as_json=as_json, by=by)
        return
    with _open_evidence(
        context, what, key, PACK if out else OPEN, case=case, reason=reason, by=by
    ) as opened:
        if out:
            count = write_pack(out, opened, context.data)
            typer.echo(
                f"{out}: {count} finding{'s' * (count != 1)} in clear; hand it over and remove it"
            )
            return
        for item in opened:
            for line in (*manifest_lines(item), *text_lines(item)):
                typer.echo(line)


@evidence.command("pack")
def pack(
    ctx: typer.Context,
    incident: str,
    out: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write (a tar); it must not exist.")
    ],
) -> None:
    """Write the signed evidence package of an incident: source, reasons, handling, hashes.

    It has no value of a customer. An unchanged incident gives the same bytes again.
    """
    from alerts.cases.evidence import package  # noqa: PLC0415  needs jinja2, as reports do

    context: Context = ctx.obj
    if out.exists():
        raise ConfigError(f"{out} exists: name another file")
    with contextlib.closing(open_configured_store(context)) as store:
        content = package.build_package(context, store, incident)
        tenant = get_incident(store, incident).tenant
    stamper = open_stamper(context)
    try:
        token = stamper.stamp(content) if stamper else b""
    except UndeliveredError as error:
        raise UnavailableError(
            f"coverage.timestamp_url: the authority {error}, and no package was written: try again"
        ) from None
    what = f"incident {incident}: evidence package, SHA-256 {digest(content)}"
    context.trail().append(package.ACTION, what, actor=current_user(), tenant=tenant)
    write_new(content, out)
    if token:
        write_new(token, stamp_file(out))
    check = verify_package(content)
    typer.echo(f"{out}: evidence package of {incident}, SHA-256 {digest(content)}")
    typer.echo(f"signed with the key {check.key}: tell the recipient this number in another way")


def stamp_file(package: Path) -> Path:
    """Return the path of the time stamp (RFC 3161) beside a package."""
    return package.with_name(f"{package.name}.tsr")


@evidence.command("verify")
def verify(
    file: Path,
    signer: Annotated[
        str,
        typer.Option(metavar="KEY", help="The key that must have signed it, as `pack` printed it."),
    ] = "",
    authority: Annotated[
        Path | None,
        typer.Option(
            help="The certificate (PEM) of the time-stamping authority, to check its time stamps."
        ),
    ] = None,
) -> None:
    """Verify every part of an evidence package; it needs no data folder.

    Without --signer it shows by which key the package was signed, but not whose key that is.
    """
    stamper = load_authority(authority) if authority else None
    try:
        with file.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
        token = stamp_file(file).read_bytes() if stamp_file(file).exists() else b""
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror})") from None
    check = verify_package(content, stamper)
    if signer and signer.lower() != check.key:
        raise CorruptError(
            f"{file} is signed with another key, {check.key}: ask the organization which is right"
        )
    for line in describe_package(check, token, content, stamper):
        typer.echo(line)
    if not signer:
        typer.echo(
            "The file cannot show whose key that is: compare it with what the organization"
            " states, or give --signer."
        )


def hold(
    ctx: typer.Context,
    what: Annotated[
        list[str],
        typer.Argument(
            help="Incidents; on match's own host, which has none, findings with evidence."
        ),
    ],
    *,
    case: Case,
    reason: Reason,
    end: Annotated[
        bool,
        typer.Option("--end", help="End the hold: what is past its time expires within the hour."),
    ] = False,
    by: By = "",
) -> None:
    """Hold all data of an incident, encrypted posts included, beyond its retention time."""
    incidents, findings = (
        [id_ for id_ in what if id_.startswith(INCIDENT) is kind] for kind in (True, False)
    )
    if incidents:
        with _holds(ctx.obj, by) as (holds, who):
            for incident in incidents:
                act = holds.release if end else holds.set
                count = act(incident, by=who, case=case, reason=reason)
                outcome = "is released" if end else f"is held for case {case}"
                typer.echo(f"{incident} {outcome}, with its evidence ({count} here)")
    if findings:
        _keep(ctx.obj, findings, case, reason, by, end=end)


def _keep(
    context: Context, findings: Sequence[str], case: str, reason: str, by: str, *, end: bool
) -> None:
    """Mark sealed findings as held, or let them expire again."""
    vault, action = vault_of(context), "evidence.let_go" if end else "evidence.keep"
    who, why = decider(context, by, "evidence.hold").name, f"case {case}: {reason}"
    for item in [vault.find(finding) for finding in findings]:
        context.trail().append(
            action, f"finding {item.head.finding}", actor=who, tenant=item.head.tenant, reason=why
        )
    count = vault.release(findings) if end else vault.hold(findings)
    typer.echo(f"{count} of {len(findings)} {'may expire again' if end else 'are kept'}")


@contextlib.contextmanager
def _holds(context: Context, by: str) -> Iterator[tuple[Holds, str]]:
    """Yield the holds of the incidents that the deciding person may see, and that person's name."""
    with deciding(context, by, "evidence.hold") as (store, who):
        yield Holds(store, vault_of(context), context.trail(), context.clock), who.name


@contextlib.contextmanager
def _open_evidence(
    context: Context,
    what: Sequence[str],
    keys: Sequence[Path],
    action: str,
    *,
    case: str,
    reason: str,
    by: str,
) -> Iterator[Iterator[OpenedEvidence]]:
    """Yield an iterator over the requested evidence, decrypted.

    Each access is written to the audit log before the first item is returned.
    """
    vault = vault_of(context)

    def ask(name: str) -> str:
        return str(typer.prompt(f"Passphrase of {name}", hide_input=True, err=True))

    request = EvidenceRequest(
        action, decider(context, by, "evidence.open").name, f"case {case}: {reason}"
    )
    yield open_all(vault, _items(context, vault, what), keys, ask, context.trail(), request)


def _items(context: Context, vault: Vault, what: Sequence[str]) -> list[VaultItem]:
    """Return the sealed files of findings, and of all findings of incidents.

    `what` are ids of both; those of incidents begin with INCIDENT. The store is opened only if
    there are incidents. A finding without a sealed file is an error of `Vault.find`; an incident
    without any adds nothing.
    """
    incidents = [id_ for id_ in what if id_.startswith(INCIDENT)]
    items = [vault.find(id_) for id_ in what if not id_.startswith(INCIDENT)]
    if incidents:
        with contextlib.closing(open_configured_store(context)) as store:
            findings = find_findings(store, incidents)
        items += [item for item in vault.items() if item.head.finding in findings]
    return items
