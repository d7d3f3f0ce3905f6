"""Open sealed evidence and sealed addresses, after writing each access to the audit log.

The addresses of an incident are opened together, because a takedown needs all of them; a title, an
author or members' names are opened one sighting at a time. The alert service watches the log: if
one person reveals more than `REVEALS_ALLOWED` originals in a shift, it raises an alarm.

Holds and releases of incidents are documents that are only added; the last one counts. Evidence is
stored as files by the match service. If its folder is on this machine, each sighting's file is
marked, and again every hour, because a new sighting may join an incident on hold.

    package        the evidence package of an incident, from its records
    package_file   its file: written, and verified without a data folder
    package_text   its statement in English and Chinese
"""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from typing import IO, Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from alerts.cases.incident_list import get_incident
from alerts.cases.queue import SHIFT
from alerts.records import Hold, Incident, Original, Sighting
from alerts.store import DocumentFilter, IncidentStore
from ullage import custody
from ullage.audit import Trail
from ullage.audit.trail import FOLDER as AUDIT
from ullage.audit.verify import read_entries
from ullage.clock import Clock, ensure_after
from ullage.custody import NEEDED, Ask, Manifest, decode, digest, open_sealed, private_key
from ullage.custody.vault import FOLDER, Vault, VaultItem
from ullage.display import moment, safe
from ullage.display.listing import Listing
from ullage.errors import ConfigError, CorruptError, RecordError
from ullage.phrase import Phrase
from ullage.security import keys
from ullage.settings import Context


@dataclass(frozen=True, slots=True)
class OpenedEvidence:
    """One finding's evidence, decrypted."""

    manifest: Manifest
    body: bytes


@dataclass(frozen=True, slots=True)
class EvidenceRequest:
    """A request for evidence: who and why; `action` is its name in the audit log."""

    action: str
    by: str
    reason: str


def open_all(
    vault: Vault,
    items: Sequence[VaultItem],
    files: Sequence[Path],
    ask: Ask,
    trail: Trail,
    request: EvidenceRequest,
) -> Iterator[OpenedEvidence]:
    """Decrypt `items` one by one with two officers' keys in `files`, and yield each.

    Nothing happens before the first is asked for. Then all items are entered in the audit log, with
    the reason, before one is yielded. `ask` asks for the passphrase of a key. Raises ConfigError
    unless exactly two key files are given and there are items. An item that these keys cannot open
    is logged as refused and raises an error.
    """
    if len(files) != NEEDED:
        raise ConfigError("two officers open evidence together: give --key twice, one each")
    if not items:
        raise ConfigError("no evidence of that finding: see `ullage evidence list`")
    yield from open_with_keys(
        vault, items, [private_key(file, ask) for file in files], trail, request
    )


def open_with_keys(
    vault: Vault,
    items: Sequence[VaultItem],
    keys: Sequence[X25519PrivateKey],
    trail: Trail,
    request: EvidenceRequest,
) -> Iterator[OpenedEvidence]:
    """Decrypt `items` one by one with two officers' keys, and yield each.

    All items are entered in the audit log, with the reason, before the first is yielded. An item
    that these keys cannot open is logged as refused and raises ConfigError or CorruptError.
    """
    first = _open_item(vault, items[0], keys, trail, request)
    for item in items:
        officers = " and ".join(id_.rpartition(".")[0] for id_ in item.head.officers)
        what = f"finding {item.head.finding}, keys of {officers}"
        trail.append(
            request.action, what, actor=request.by, tenant=item.head.tenant, reason=request.reason
        )
    yield first
    for item in items[1:]:
        yield _open_item(vault, item, keys, trail, request)


def _open_item(
    vault: Vault,
    item: VaultItem,
    keys: Sequence[X25519PrivateKey],
    trail: Trail,
    request: EvidenceRequest,
) -> OpenedEvidence:
    head = item.head
    try:
        manifest, body = decode(
            open_sealed(vault.read_sealed(item), head.place, head.officers, keys)
        )
    except CorruptError:
        trail.append(
            "evidence.refused",
            f"finding {head.finding}",
            actor=request.by,
            tenant=head.tenant,
            reason=request.reason,
        )
        raise
    except RecordError as error:
        trail.append(
            "evidence.refused",
            f"finding {head.finding}",
            actor=request.by,
            tenant=head.tenant,
            reason=request.reason,
        )
        if error.reason == "key_destroyed":
            raise ConfigError(
                f"the evidence is encrypted for {' and '.join(head.officers)}: give"
                " their keys with --key"
            ) from None
        raise CorruptError(
            f"{item.path} is damaged, or was moved from another finding: keep it, and look for a"
            " copy"
        ) from None
    if (manifest.tenant, manifest.finding) != (head.tenant, head.finding):
        raise CorruptError(
            f"{item.path} contains another finding than its header names:"
            " keep it, and look for a copy"
        )
    return OpenedEvidence(manifest, body)


def write_pack(out: Path, opened: Iterable[OpenedEvidence], data: Path) -> int:
    """Write a tar of bodies, manifests and SHA256SUMS, and return the number of findings in it.

    `out` is created with mode 0600. A ConfigError is raised if it exists or is below `data`. If
    writing fails, no partial file remains.
    """
    if out.resolve().is_relative_to(data.resolve()):
        raise ConfigError(
            f"{out} is in the data folder, where nothing is in clear: name a file elsewhere"
        )
    try:
        handle = os.open(out, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise ConfigError(f"{out} exists: name another file") from None
    with contextlib.ExitStack() as undo:
        undo.callback(out.unlink)
        file = undo.enter_context(os.fdopen(handle, "wb"))
        count = write_tar(file, opened)
        file.close()
        undo.pop_all()
    return count


def write_tar(file: IO[bytes], opened: Iterable[OpenedEvidence]) -> int:
    """Write a tar of bodies, manifests and SHA256SUMS into `file`; return how many findings."""
    sums, count = list[str](), 0
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for evidence in opened:
            count += 1
            for name, content in (
                ("body", evidence.body),
                ("manifest.json", evidence.manifest.model_dump_json(indent=1).encode()),
            ):
                path = f"{evidence.manifest.finding}/{name}"
                _add(tar, path, content)
                sums.append(f"{digest(content)}  {path}\n")
        _add(tar, "SHA256SUMS", "".join(sums).encode())
    return count


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    tar.addfile(member, io.BytesIO(content))


ACTION = "original.reveal"
REVEALS_ALLOWED = 20
"""Reveals by one person in a shift that raise no alarm."""


def reveal_addresses(
    context: Context,
    store: IncidentStore,
    incident: str,
    *,
    by: str,
    case: str,
    reason: str,
    trail: Trail,
) -> dict[str, str]:
    """Return the decrypted URLs of an incident's posts, by sighting id.

    The access is written to the audit log before they are returned. Raises ConfigError if originals
    are not stored here, the incident does not exist, no address of it is sealed, or this service
    lacks the key to open them, and CorruptError if one is damaged.
    """
    if not context.settings.originals.days:
        raise ConfigError(
            Phrase("originals.days is 0, so no originals are stored: set it to store new ones")
        )
    stored, sealed = find_sealed(store, incident, "")
    opened = open_originals(context, stored.tenant, sealed)
    entry = f"url of {incident}: {len(sealed)} sighting{'s' * (len(sealed) != 1)}"
    trail.append(ACTION, entry, actor=by, tenant=stored.tenant, reason=f"case {case}: {reason}")
    return {original.id: post.url for original, post in opened}


def find_sealed(
    store: IncidentStore, incident: str, sighting: str
) -> tuple[Incident, list[Original]]:
    """Return the incident with the id `incident`, and its sealed originals, oldest first.

    With `sighting`, the beginning of a sighting's id, only that one's original is returned. Raises
    ConfigError if the incident does not exist, it has no original, or several sightings match.
    """
    stored = get_incident(store, incident)
    sealed = sorted(
        store.scroll(Original, DocumentFilter({"incident": stored.family})),
        key=lambda original: (original.at, original.id),
    )
    if sighting:
        sealed = [original for original in sealed if original.id.startswith(sighting)]
    if sighting and len(sealed) > 1:
        raise ConfigError(
            Phrase("%(count)s sightings begin with this: enter more of the id", count=len(sealed))
        )
    if not sealed:
        raise ConfigError(
            Phrase(
                "no encrypted original is stored (below `low`, past originals.days, or"
                " match had no console key): open the evidence instead, with `ullage"
                " evidence open`"
            )
        )
    return stored, sealed


def open_originals(
    context: Context, tenant: str, sealed: list[Original]
) -> list[tuple[Original, custody.SealedPost]]:
    """Return each sealed original with its decrypted post, in the order of `sealed`.

    Raises ConfigError if one is encrypted for a key other than the tenant's console key, and
    CorruptError if one is damaged.
    """
    opener = keys.load_console_opener(context.keys, tenant)
    try:
        return [
            (
                original,
                custody.unseal(original.sealed, original.key_id, opener, tenant, original.id),
            )
            for original in sealed
        ]
    except RecordError as error:
        if error.reason == "key_destroyed":
            raise ConfigError(
                Phrase(
                    "the original is encrypted for a key other than %(key)s: find out where that"
                    " key is stored",
                    key=tenant + "/console.key",
                )
            ) from None
        raise CorruptError(
            Phrase(
                "the encrypted original of this sighting is damaged: restore the store"
                " from a backup"
            )
        ) from None


def _text(original: custody.SealedPost, field_: str) -> str:
    if field_ == "members":
        return "; ".join(f"{number}: {name}" for number, name in sorted(original.members.items()))
    return str(getattr(original, field_))


@dataclass(slots=True)
class Reveals:
    """A counter of the reveals in this machine's audit log, by person and shift."""

    root: Path
    _stamp: tuple[tuple[str, int], ...] = ()
    _reveals: list[tuple[datetime, str]] = field(default_factory=list)

    @classmethod
    def from_context(cls, context: Context) -> Reveals:
        """Return the counter for the audit log of a data folder."""
        return cls(context.data / AUDIT)

    def most(self, now: datetime) -> int:
        """Return how many reveals the busiest person made within `SHIFT` before `now`; 0 if none.

        A reveal is an audit log entry of a decrypted address. The log is read again only if its
        files have changed.
        """
        stamp = tuple((str(p), p.stat().st_mtime_ns) for p in sorted(self.root.glob("*/*.jsonl")))
        if stamp != self._stamp:
            self._reveals = [
                (entry.at, entry.actor)
                for _, entry in read_entries(self.root)
                if entry.action == ACTION
            ]
            self._stamp = stamp
        return max(
            Counter(who for at, who in self._reveals if at > now - SHIFT).values(), default=0
        )


def watching(context: Context, report: Callable[[int], None]) -> Callable[[], None]:
    """Return a function that passes to `report` how many reveals the busiest person made.

    The number is that of `Reveals.most`, at the time of each call.
    """
    reveals = Reveals.from_context(context)
    return lambda: report(reveals.most(context.clock.now()))


LINES = 200
"""Lines of a body that are shown; a pack has all of them."""


def evidence_as_json(item: VaultItem, incidents: Mapping[str, str]) -> dict[str, Any]:
    """Return the header of one sealed evidence file as a JSON object.

    The object also has the incident's id ("" if the finding is not in `incidents`, which maps
    finding ids to incident ids), the size in bytes, and whether a hold prevents deletion.
    """
    incident = incidents.get(item.head.finding, "")
    return {
        **item.head.model_dump(mode="json"),
        "incident": incident,
        "bytes": item.bytes,
        "held": item.held,
    }


def evidence_table(
    items: Sequence[VaultItem], incidents: Mapping[str, str], zone: tzinfo
) -> Listing:
    """Return a listing with one row per sealed evidence file, in the order of `items`.

    `incidents` maps finding ids to incident ids; a finding that is missing there shows `–`.
    Times are in `zone`.
    """
    table = Listing(
        ("finding", "incident", "sealed", "KiB", "held", "tenant", "officers"),
        right=("KiB",),
        whole=("finding", "sealed"),
    )
    for item in items:
        head = item.head
        officers = ", ".join(id_.rpartition(".")[0] for id_ in head.officers)
        size, hold = f"{item.bytes / 1024:,.0f}", "held" if item.held else ""
        incident = incidents.get(head.finding, "–")
        sealed_at = moment(head.sealed_at, zone)
        table.add_row(head.finding, incident, sealed_at, size, hold, head.tenant, officers)
    return table


def manifest_lines(evidence: OpenedEvidence) -> Iterator[str]:
    """Yield the manifest as lines `name value`, with digests and process log last.

    Fields without a value are left out; every text of the post is made safe for a terminal.
    """
    manifest = evidence.manifest
    yield (
        f"finding    {manifest.finding}  {manifest.tenant}  {manifest.severity}"
        f"  {manifest.bytes:,} bytes"
    )
    for name, value in manifest.capture.items():
        if value and name != "headers":
            yield f"{name:<10} {safe(str(value))}"
    headers = manifest.capture.get("headers")
    for header in headers if isinstance(headers, list) else ():
        yield f"header     {safe(': '.join(map(str, header)))}"
    for name, sha256 in manifest.sha256.items():
        yield f"sha256     {sha256}  {name}"
    for step in manifest.process:
        yield f"process    {step.at.isoformat(timespec='seconds')}  {step.role}: {step.what}"


def text_lines(evidence: OpenedEvidence) -> Iterator[str]:
    """Yield an empty line, then the first `LINES` lines of the evidence's body, safe to display.

    Bytes that are not UTF-8 appear as escapes. If lines are left out, a last line says how many.
    """
    yield ""
    lines = evidence.body.decode("utf-8", "backslashreplace").splitlines()
    yield from map(safe, lines[:LINES])
    if len(lines) > LINES:
        yield f"… {len(lines) - LINES:,} more lines: `ullage evidence open --output` writes all"


def vault_of(context: Context) -> Vault:
    """Return the vault of a data folder."""
    return Vault(context.data / FOLDER)


def find_last_holds(store: IncidentStore) -> dict[str, Hold]:
    """Return the latest hold of each incident that was ever on hold, by incident id.

    A hold that was ended is included; its `released` is true.
    """
    return {
        hold.incident: hold
        for hold in sorted(
            store.scroll(Hold, DocumentFilter()), key=lambda hold: (hold.at, hold.id)
        )
    }


def find_held(store: IncidentStore) -> set[str]:
    """Return the ids of the incidents on hold, with their parts."""
    return with_parts(
        store, (incident for incident, hold in find_last_holds(store).items() if not hold.released)
    )


def with_parts(store: IncidentStore, incidents: Iterable[str]) -> set[str]:
    """Return `incidents`, as a set of ids, with the ids of all incidents merged into them."""
    ids = set(incidents)
    return ids.union(*(incident.family for incident in store.mget(Incident, ids).values()))


def find_findings(store: IncidentStore, incidents: Iterable[str]) -> set[str]:
    """Return the ids of all findings in the given incidents and their parts.

    Evidence files are named by these ids. The set is empty if there are none.
    """
    ids = with_parts(store, incidents)
    return (
        {sighting.id for sighting in store.scroll(Sighting, DocumentFilter({"incident": ids}))}
        if ids
        else set()
    )


def mark_evidence(store: IncidentStore, vault: Vault) -> int:
    """Mark the evidence of every incident on hold, and return the number of files."""
    return vault.hold(find_findings(store, find_held(store))) if vault.root.is_dir() else 0


@dataclass(frozen=True, slots=True)
class Holds:
    """The setting and ending of holds; each is written to the audit log first."""

    store: IncidentStore
    vault: Vault
    trail: Trail
    clock: Clock

    def set(self, incident: str, *, by: str, case: str, reason: str) -> int:
        """Put `incident` on hold, and return the number of files of evidence that are marked.

        Raises ConfigError if the incident does not exist.
        """
        self._append(incident, by, case, reason, released=False)
        return self.vault.hold(find_findings(self.store, [incident]))

    def release(self, incident: str, *, by: str, case: str, reason: str) -> int:
        """End a hold, and return the number of files that may expire again.

        Raises ConfigError if the incident is not on hold.
        """
        last = find_last_holds(self.store).get(incident)
        if last is None or last.released:
            raise ConfigError(Phrase("this incident is not on hold: check its id"))
        self._append(incident, by, case, reason, released=True)
        return self.vault.release(
            find_findings(self.store, [incident]) - find_findings(self.store, find_held(self.store))
        )

    def _append(self, incident: str, by: str, case: str, reason: str, *, released: bool) -> None:
        stored = get_incident(self.store, incident)
        what, former = "release" if released else "hold", find_last_holds(self.store).get(incident)
        now = ensure_after(self.clock.now(), [former.at] if former else ())
        self.trail.append(
            f"incident.{what}",
            incident,
            actor=by,
            tenant=stored.tenant,
            reason=f"case {case}: {reason}",
        )
        hold = Hold(
            id=f"{incident}:{now.timestamp():.6f}:{what}",
            tenant=stored.tenant,
            incident=incident,
            at=now,
            by=by,
            case=case,
            reason=reason,
            released=released,
        )
        self.store.create([hold])
