"""Erase a customer, or a whole tenant, from everything on this host, with a signed proof.

This is `ullage erase`. Each installed stage adds its parts by the entry points
`ullage.erasures`; parts that all hosts share (bus, audit log, settings) are in this module. A
part first reports its obstacles, and nothing is touched while there is one. Then each part
removes its data and reports what it examined, what it removed, and what remains until when.
Running it again completes an erasure that a crash interrupted.

Records on the bus are not rewritten: they are signed, and they expire. Tombstones prevent them
from bringing an erased customer back (`ullage.lookup.erased_customers`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ullage.audit import current_user, read_entries
from ullage.audit.trail import FOLDER as AUDIT
from ullage.bus import DEAD_LETTERS, FINDINGS, TOPICS, Bus
from ullage.display.progress import progress_bar
from ullage.errors import ConfigError, FaultsError, RecordError
from ullage.files.atomic_write import write_whole
from ullage.lookup import list_index as recorded
from ullage.lookup.erased_customers import EVERYBODY, FOLDER, SETTLED, tombstone
from ullage.runtime.stages import load_entries
from ullage.security import keys
from ullage.settings import Context
from ullage.settings.tenants import find_tenants, require_tenant

GROUP = "ullage.erasures"
ROLE, PURPOSE, TOPIC = "erase", "erasure", "erasures"
HANDLE = re.compile("[0-9a-fA-F]{32}")
PROOF = re.compile(r"(.+)-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}\.json")
"""The name of a proof file, which includes its tenant."""
AUDITED = "audit log"
ROLLED = timedelta(hours=1)
"""A broker expires whole segments, which last at most this long."""
ELSEWHERE = (
    (
        "other hosts: the same command must run on each host that has a customer list, the incident"
        " store or the build folder"
    ),
    (
        "backups of the data folder and of the servers' disks still have the data: after"
        " restoring one, erase again"
    ),
    "exported files and sent messages: their recipients must remove them",
)


@dataclass(frozen=True, slots=True)
class Order:
    """Whom to erase: the customer with this pseudonym, or EVERYBODY of the tenant."""

    tenant: str
    handle: str
    now: datetime

    @property
    def mark(self) -> str:
        """The tombstone of this erasure."""
        return tombstone(self.tenant, self.handle)

    @property
    def is_whole(self) -> bool:
        """Whether the whole tenant is erased."""
        return self.handle == EVERYBODY


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """The result of erasing from one place.

    It holds the number of removed items, and what remains there, why, and until when.
    """

    place: str
    removed: int = 0
    stays: str = ""
    until: date | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the entry for the proof."""
        entry: dict[str, Any] = {"place": self.place, "removed": self.removed}
        if self.stays:
            entry["stays"] = self.stays
        return entry if self.until is None else {**entry, "until": self.until.isoformat()}


@dataclass(frozen=True, slots=True)
class ErasureStage:
    """The erasure functions of a stage.

    `hinders` lists obstacles, `erase` removes; neither prints a value. `handle_of` returns the
    pseudonym of a customer by tenant and reference if this host can resolve it, else None.
    """

    hinders: Callable[[Order], Iterable[str]]
    erase: Callable[[Order], Iterable[ErasureReport]]
    handle_of: Callable[[str, str], str | None] = lambda *_: None


def erase(
    ctx: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="The tenant of the customer.")] = "",
    subject: Annotated[
        str,
        typer.Option(
            help=(
                "The customer pseudonym, 32 hexadecimal digits; - reads it, or on the build host"
                " the customer reference,"
                " from standard input."
            )
        ),
    ] = "",
    everybody: Annotated[
        bool,
        typer.Option(
            "--all", help="Erase the whole tenant: customer lists, keys, incidents, evidence."
        ),
    ] = False,
    confirm: Annotated[str, typer.Option(help="With --all: the tenant's name again.")] = "",
    case: Annotated[
        str, typer.Option(help="The number of the request or contract that requires it.")
    ] = "",
    reason: Annotated[str, typer.Option(help="The reason, for the audit log.")] = "",
    proof: Annotated[
        Path | None,
        typer.Option(
            help="The file for the proof; by default in the folder `erased` of the data folder."
        ),
    ] = None,
) -> None:
    """Erase a customer, or with --all a tenant, from everything on this host, and write a signed
    proof.
    """
    context: Context = ctx.obj
    context.require_data()
    if not tenant or bool(subject) == everybody:
        raise ConfigError(
            "name the tenant, and either a customer with --subject or everything with --all"
        )
    if not case.strip() or not reason.strip():
        raise ConfigError(
            "--case and --reason must not be empty: the audit log and the proof record them"
        )
    require_tenant(tenant, _find_erasable_tenants(context))
    if everybody and confirm != tenant:
        raise ConfigError(
            f"--all destroys the keys of {tenant} for ever: repeat its name with --confirm {tenant}"
        )
    parts = list(_parts(context))
    order = Order(
        tenant, EVERYBODY if everybody else _handle(subject, tenant, parts), context.clock.now()
    )
    looked = carry_out(context, order, parts, f"case {case.strip()}: {reason.strip()}")
    path = (
        proof
        or context.data / FOLDER / f"{tenant}-{order.now:%Y%m%dT%H%M%SZ}-{order.mark[:8]}.json"
    )
    _prove(context, order, looked, path, case.strip(), reason.strip())


def _find_erasable_tenants(context: Context) -> set[str]:
    """Return the tenants of this host, and those of which a proof is here.

    The latter are included so that an erasure can be repeated.
    """
    proofs = map(PROOF.fullmatch, (path.name for path in (context.data / FOLDER).glob("*.json")))
    return find_tenants(context) | {match[1] for match in proofs if match}


def _parts(context: Context) -> Iterator[ErasureStage]:
    for _, parts in load_entries(GROUP):
        yield from parts(context)


def _handle(given: str, tenant: str, parts: Iterable[ErasureStage]) -> str:
    """Return the given pseudonym in lower case, or for "-" that from standard input.

    The first line there may also be the customer reference, which is resolved by `parts` and
    neither stored nor shown. Raises ConfigError if it is malformed or missing, or can only be
    resolved on the build host.
    """
    if given != "-":
        if not HANDLE.fullmatch(given):
            raise ConfigError(
                "--subject is not a pseudonym of 32 hexadecimal digits: a reference on the command"
                " line is visible to others; give it on standard input, with --subject -"
            )
        return given.lower()
    reference = sys.stdin.buffer.readline().decode("utf-8", "replace").strip()
    if HANDLE.fullmatch(reference):
        return reference.lower()
    if not reference:
        raise ConfigError("standard input is empty: give the pseudonym or the customer reference")
    for part in parts:
        if (handle := part.handle_of(tenant, reference)) is not None:
            return handle
    raise ConfigError(
        f"only the build host of {tenant} resolves a reference to a pseudonym: resolve it"
        " there, and give the pseudonym here"
    )


def carry_out(
    context: Context, order: Order, parts: Iterable[ErasureStage], why: str
) -> list[ErasureReport]:
    """Erase from each part in turn, and return what was done.

    The audit log records it first, with `why`. Raises FaultsError with all obstacles, and
    ConfigError without a signing key, before anything is touched.
    """
    parts = list(parts)
    if hindered := [obstacle for part in parts for obstacle in part.hinders(order)]:
        raise FaultsError(hindered)
    keys.load_signer(context.keys, ROLE)  # without a signer there is no proof, so nothing is erased
    action = "tenant.erase" if order.is_whole else "subject.erase"
    context.trail().append(
        action, f"deletion mark {order.mark}", actor=current_user(), tenant=order.tenant, reason=why
    )
    own_stages = (
        partial(look, context) for look in (_erase_registry, _keys, _bus, _audit, _settings)
    )
    work: list[Callable[[Order], Iterable[ErasureReport]]] = [
        *(part.erase for part in parts),
        *own_stages,
    ]
    looked = list[ErasureReport]()
    with progress_bar(len(work), "parts") as progress:
        for look in work:
            looked += look(order)
            progress.add(text=looked[-1].place if looked else "")
    return looked


def _erase_registry(context: Context, order: Order) -> Iterator[ErasureReport]:
    """Erase from the customer registry, if this is the host of search.

    Yields how many entries, or for a whole tenant files, were removed; nothing for a customer
    without a registry here.
    """
    path = recorded.path_of(context.data, order.tenant)
    if not order.is_whole and path.is_file():
        gone = recorded.VerifiedList(path, context.keys, order.tenant).erase(
            bytes.fromhex(order.handle)
        )
        yield ErasureReport("customer registry", gone)
    elif order.is_whole:
        there = [
            file for file in (path, path.with_name(path.name + recorded.AMENDED)) if file.is_file()
        ]
        context.inventory.strike(path)
        for file in there:
            file.unlink()
        yield ErasureReport("customer registry", len(there))


def _keys(context: Context, order: Order) -> Iterator[ErasureReport]:
    """Destroy all keys of a tenant; nothing is done, or yielded, for a single customer.

    Everything that was hashed or sealed with them becomes unreadable, wherever it is stored. Keys
    of a command or of credentials are not reached, and the report says so.
    """
    if not order.is_whole:
        return
    names, store = (
        [name for name in keys.list_files(context.keys) if name.startswith(f"{order.tenant}/")],
        context.keys,
    )
    for name in names:
        store.destroy(name)
    home = store.root / order.tenant
    if home.is_dir() and not any(home.iterdir()):
        home.rmdir()
    has_external_keys = store.command or store.credentials
    yield ErasureReport(
        "keys",
        len(names),
        "keys from keys.command or credentials must be destroyed by you"
        if has_external_keys
        else "",
    )


def _bus(context: Context, order: Order) -> Iterator[ErasureReport]:
    """Report which data remains on the bus, topic by topic, and until when.

    Nothing is removed. On SQLite the findings that name the customer are counted; other data is not
    searched.
    """
    keep, urls = context.settings.bus.retention(), context.settings.bus
    for topic in TOPICS:
        url = urls.captures if topic == "captures" and urls.captures else urls.url
        embedded = url.startswith("sqlite:")
        until = (
            order.now
            + SETTLED
            + timedelta(seconds=keep[topic].seconds)
            + (timedelta() if embedded else ROLLED)
        ).date()
        if topic != FINDINGS:
            what = "dead letters" if topic == DEAD_LETTERS else "captures"
            stays = (
                f"encrypted {what} are not opened: this customer is no longer matched in them, and"
                " is left out of their findings"
            )
        elif embedded:
            with contextlib.closing(context.bus()) as bus:
                stays = (
                    f"{_naming(bus, order)} findings contain the pseudonym: it is not stored again"
                )
        else:
            stays = "findings on the broker are not searched: the customer is not stored again"
        yield ErasureReport(f"bus topic {topic}", 0, stays, until)


def _naming(bus: Bus, order: Order) -> int:
    """Count the records of `findings` that belong to the tenant and contain the pseudonym.

    Reads them as a group of its own without acknowledging any.
    """
    count, handle = 0, order.handle.encode()
    with contextlib.closing(bus.subscribe(FINDINGS, ROLE)) as everything:
        waiting = everything.lag().records
        while waiting > 0 and (records := everything.poll(min(waiting, 100), 0.0)):
            waiting -= len(records)
            count += sum(
                record.headers.get("tenant") == order.tenant and handle in record.value
                for record in records
            )
    return count


TAKEN = ("customers.export", "incident.export", "subjects.resolve", "incident.references_taken")
"""Actions that export customers, as pseudonyms or as references."""


def _audit(context: Context, order: Order) -> Iterator[ErasureReport]:
    """Report that the audit log remains and until when, and how often pseudonyms were exported.

    Nothing is removed.
    """
    entries = [
        entry for _, entry in read_entries(context.data / AUDIT) if entry.tenant == order.tenant
    ]
    exports = [entry for entry in entries if entry.action in TAKEN]
    until = (order.now + timedelta(days=context.settings.audit.days)).date()
    yield ErasureReport(
        AUDITED, 0, f"{len(entries)} entries of the tenant stay: they contain no value", until
    )
    if exports:
        last = max(entry.at for entry in exports)
        yield ErasureReport(
            "exports",
            0,
            (
                f"{len(exports)} were exported, the last on {last:%Y-%m-%d}: whoever has one"
                " must remove it"
            ),
        )


def _settings(context: Context, order: Order) -> Iterator[ErasureReport]:
    if order.is_whole:
        table = f"[tenants.{order.tenant}]"
        if order.tenant in context.settings.tenants:
            yield ErasureReport(
                "ullage.toml",
                0,
                f"remove {table} yourself: ullage does not change its configuration",
            )
        yield ErasureReport(
            "accounts",
            0,
            (
                "end the access of those who see this tenant yourself: `ullage user list`,"
                " also with `--tokens`"
            ),
        )


def _prove(
    context: Context, order: Order, looked: list[ErasureReport], path: Path, case: str, reason: str
) -> None:
    """Write the signed proof to `path`, record its digest in the audit log, and print its contents.

    An existing file is replaced. A note on standard error says if nothing of the customer was
    found.
    """
    body = {
        "erased": "tenant" if order.is_whole else "customer",
        "tenant": order.tenant,
        "tombstone": order.mark,
        "at": order.now.isoformat(timespec="seconds"),
        "by": current_user(),
        "case": case,
        "reason": reason,
        "looked_at": [report.as_json() for report in looked],
        "gone_by": _latest_expiry(looked, order).isoformat(),
        "not_reached": list(ELSEWHERE),
    }
    signed = keys.load_signer(context.keys, ROLE).headers(PURPOSE, _canonical(body))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = json.dumps({"proof": body, **signed}, ensure_ascii=False, indent=2).encode() + b"\n"
    write_whole(text, path)
    removed, digest = sum(report.removed for report in looked), hashlib.sha256(text).hexdigest()
    action = "tenant.erased" if order.is_whole else "subject.erased"
    summary = f"deletion mark {order.mark}: {removed} removed, proof sha256 {digest}"
    context.trail().append(
        action, summary, actor=current_user(), tenant=order.tenant, reason=f"case {case}"
    )
    for report in looked:
        until = f", until {report.until}" if report.until else ""
        typer.echo(
            f"{report.place}: {report.removed} removed"
            + (f"; {report.stays}{until}" if report.stays else "")
        )
    if not (removed or order.is_whole):
        typer.echo("nothing on this host belongs to this customer: check the pseudonym", err=True)
    for text_ in ELSEWHERE:
        typer.echo(f"not reached from here: {text_}")
    typer.echo(f"what expires by itself is deleted by {body['gone_by']}; the proof is {path}")


def _latest_expiry(looked: Iterable[ErasureReport], order: Order) -> date:
    """Return the date on which the last expiring data is gone.

    The audit log is not included, as it holds no value.
    """
    return max(
        (report.until for report in looked if report.until and report.place != AUDITED),
        default=order.now.date(),
    )


def _canonical(body: object) -> bytes:
    """Return the bytes to sign."""
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def verify_proof(context: Context, path: Path) -> str:
    """Verify a proof, and return its contents as one line.

    Raises ConfigError if it cannot be read, is no proof, was changed, or was signed by a host that
    is not known here.
    """
    try:
        signed_proof = json.loads(path.read_bytes())
        keys.load_verifier(context.keys, TOPIC).verify(
            str(signed_proof["signer"]),
            str(signed_proof["signature"]),
            PURPOSE,
            _canonical(signed_proof["proof"]),
        )
        body = signed_proof["proof"]
        return (
            f"{path}: as it was signed by {signed_proof['signer']}: {body['erased']} of"
            f" {body['tenant']},"
            f" {body['at']}, all gone by {body['gone_by']}"
        )
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from None
    except RecordError as error:
        raise ConfigError(
            f"{path} was changed after it was signed, or the signer is unknown here"
            f" ({error.reason}):"
            " use the original file"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f"{path} is not a proof of erasure: name a file that `ullage erase` wrote"
        ) from None
