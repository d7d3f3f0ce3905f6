"""Opening what is sealed: two keys, an entry in the audit log, then the text; and packing it for a hand-over."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ullage.audit import Trail
from ullage.custody.manifest import Manifest, decode, digest
from ullage.custody.officers import NEEDED, Ask, open_sealed, private_key
from ullage.custody.vault import Vault, VaultItem
from ullage.errors import ConfigError, CorruptError, RecordError


@dataclass(frozen=True, slots=True)
class OpenedEvidence:
    """One finding in clear."""

    manifest: Manifest
    body: bytes


@dataclass(frozen=True, slots=True)
class EvidenceRequest:
    """Who asks for what, and why; `action` is that of the audit log."""

    action: str
    by: str
    reason: str


def open_all(
    vault: Vault, items: Sequence[VaultItem], files: Sequence[Path], ask: Ask, trail: Trail, asked: EvidenceRequest
) -> Iterator[OpenedEvidence]:
    """Open `items` one by one with the keys in `files`. The audit log has who, what and why before the first is handed out.

    ConfigError unless there are two officers' keys and all is sealed to them; a refusal is in the log as well.
    """
    if len(files) != NEEDED:
        raise ConfigError("two officers open evidence together: give --key twice, one each")
    if not items:
        raise ConfigError("no evidence of that: see `ullage evidence list`")
    keys = [private_key(file, ask) for file in files]
    first = _opened(vault, items[0], keys, trail, asked)
    for item in items:
        officers = " and ".join(id_.rpartition(".")[0] for id_ in item.head.officers)
        what = f"finding {item.head.finding}, keys of {officers}"
        trail.append(asked.action, what, actor=asked.by, tenant=item.head.tenant, reason=asked.reason)
    yield first
    for item in items[1:]:
        yield _opened(vault, item, keys, trail, asked)


def _opened(
    vault: Vault, item: VaultItem, keys: Sequence[X25519PrivateKey], trail: Trail, asked: EvidenceRequest
) -> OpenedEvidence:
    head = item.head
    try:
        made, body = decode(open_sealed(vault.sealed(item), head.place, head.officers, keys))
    except CorruptError:
        trail.append("evidence.refused", f"finding {head.finding}", actor=asked.by, tenant=head.tenant, reason=asked.reason)
        raise
    except RecordError as error:
        trail.append("evidence.refused", f"finding {head.finding}", actor=asked.by, tenant=head.tenant, reason=asked.reason)
        if error.reason == "key_destroyed":
            raise ConfigError(f"it is encrypted for {' and '.join(head.officers)}: the given keys are not theirs") from None
        raise CorruptError(f"{item.path} is damaged, or was moved from another finding: keep it, and look for a copy") from None
    if (made.tenant, made.finding) != (head.tenant, head.finding):
        raise CorruptError(f"{item.path} holds another finding than it says")
    return OpenedEvidence(made, body)


def write_pack(out: Path, opened: Iterable[OpenedEvidence], data: Path) -> int:
    """Write a tar of bodies, manifests and SHA256SUMS; returns of how many.

    `out` is made with mode 0600, never over a file and never below `data` (ConfigError); it is whole or not there.
    """
    if out.resolve().is_relative_to(data.resolve()):
        raise ConfigError(f"{out} is in the data folder, where nothing is in clear: name a file elsewhere")
    try:
        handle = os.open(out, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise ConfigError(f"{out} exists: name another file") from None
    sums, count = list[str](), 0
    with contextlib.ExitStack() as undo:
        undo.callback(out.unlink)
        file = undo.enter_context(os.fdopen(handle, "wb"))
        tar = undo.enter_context(tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT))
        for one in opened:
            count += 1
            for name, content in (("body", one.body), ("manifest.json", one.manifest.model_dump_json(indent=1).encode())):
                path = f"{one.manifest.finding}/{name}"
                _add(tar, path, content)
                sums.append(f"{digest(content)}  {path}\n")
        _add(tar, "SHA256SUMS", "".join(sums).encode())
        tar.close()
        file.close()
        undo.pop_all()
    return count


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    tar.addfile(member, io.BytesIO(content))
