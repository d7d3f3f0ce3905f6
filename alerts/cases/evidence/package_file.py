"""Write and verify the file of an evidence package, which is checked without a data folder.

A package is an uncompressed tar whose bytes follow from its parts alone: the parts in order of
their names, without times or owners. `MANIFEST.json` has the SHA-256 of every part,
`SIGNATURE.json` alert's signature on the manifest with the public key. Whoever verifies a package
builds it again from its parts and compares the bytes, so nothing can be hidden beside them. The
key inside shows that nothing was changed since; whose key it is, somebody else must say, so
`PackageCheck.key` has to be compared with what the organization states.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from alerts.coverage.signed_days import OPEN, Stamper, serialize_for_stamp, verify_sheet
from alerts.records import DaySheet
from ullage.display import safe
from ullage.errors import CorruptError, RecordError
from ullage.files.validation import read_json
from ullage.security.signing import Signer, Verifier, to_fingerprint, verify_report

FORMAT = "ullage evidence package 1"
PURPOSE = "evidence package"
MANIFEST, SIGNATURE = "MANIFEST.json", "SIGNATURE.json"
COVERAGE, DAYS, SIGNERS = "coverage.html", "coverage-days.json", "signers.json"
MOST_BYTES = 256 * 2**20
MOST_PARTS = 50
NEEDED = frozenset({MANIFEST, SIGNATURE, COVERAGE, DAYS, SIGNERS})


class PackageHead(NamedTuple):
    """What a package says about itself: its incident, and the version that made it."""

    incident: str
    version: str


def to_json(content: object) -> bytes:
    """Return `content` as JSON whose bytes depend on nothing else: sorted keys, a final newline."""
    return (json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def write_package(parts: Mapping[str, bytes], head: PackageHead, signer: Signer) -> bytes:
    """Return the bytes of a package of these parts, signed by `signer`."""
    manifest = to_json(
        {
            "format": FORMAT,
            **head._asdict(),
            "parts": {
                name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                for name, content in parts.items()
            },
        }
    )
    signature = to_json(
        {
            "key": signer.private.public_key().public_bytes_raw().hex(),
            "signature": signer.sign(PURPOSE, manifest),
        }
    )
    return _to_tar({**parts, MANIFEST: manifest, SIGNATURE: signature})


def _to_tar(parts: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in sorted(parts.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class PackageCheck:
    """A package whose parts are all unchanged: what it is about and whose key signed it."""

    head: PackageHead
    key: str
    """The SHA-256 of the public key, in hex; its first 16 digits are the signer's name."""
    parts: Mapping[str, str]
    """The SHA-256 of each part, by name."""
    days: int
    """The number of days in it whose coverage log was signed."""
    stamped: int
    """The number of these days that have an authority's time stamp."""
    are_stamps_checked: bool


def verify_package(content: bytes, stamper: Stamper | None = None) -> PackageCheck:
    """Verify every part of a package, and return what it is and who signed it.

    `stamper` checks the time stamps of an authority; without it they are only counted. Raises
    CorruptError if any byte differs from what was signed, or if it is no package.
    """
    parts = _read_tar(content)
    public, manifest = _verify_manifest(parts)
    digests = _verify_parts(parts, manifest)
    name = to_fingerprint(public.public_bytes_raw())
    try:
        verify_report(parts[COVERAGE].decode(), Verifier(lambda: {name: public}))
    except (RecordError, ValueError):
        raise _make_change_error(COVERAGE) from None
    sheets = _verify_days(parts, stamper)
    return PackageCheck(
        PackageHead(str(manifest.get("incident")), str(manifest.get("version"))),
        hashlib.sha256(public.public_bytes_raw()).hexdigest(),
        digests,
        len(sheets),
        sum(bool(sheet.stamp) for sheet in sheets),
        stamper is not None,
    )


def _make_change_error(name: str) -> CorruptError:
    return CorruptError(
        f"evidence package: {name} is not what was signed: ask the sender for the package again"
    )


def _make_format_error() -> CorruptError:
    return CorruptError(
        "this is not an evidence package, or something was added to it: give a file that"
        " `ullage evidence pack` wrote"
    )


def _read_tar(content: bytes) -> dict[str, bytes]:
    """Return the parts of a package by name.

    Raises CorruptError if it is too large, has other members than plain files, lacks a part, or if
    writing the parts again gives other bytes.
    """
    parts = dict[str, bytes]()
    if len(content) > MOST_BYTES:
        raise _make_format_error()
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for member in tar:
                # a sparse member may claim any size
                is_plain = member.type == tarfile.REGTYPE and not member.issparse()
                if not is_plain or member.size > len(content) or len(parts) == MOST_PARTS:
                    raise _make_format_error()
                reader = tar.extractfile(member)
                parts[member.name] = reader.read() if reader else b""
        is_same = parts.keys() >= NEEDED and _to_tar(parts) == content
    except (tarfile.TarError, ValueError, OSError, OverflowError):
        raise _make_format_error() from None
    if not is_same:
        raise _make_format_error()
    return parts


def _verify_manifest(parts: Mapping[str, bytes]) -> tuple[Ed25519PublicKey, dict[str, Any]]:
    """Return the public key in a package, and the manifest that it signed.

    Raises CorruptError if the key did not sign it, or if the manifest has another format.
    """
    try:
        signature = read_json(parts[SIGNATURE])
        raw = bytes.fromhex(signature["key"])
        public = Ed25519PublicKey.from_public_bytes(raw)
        verifier = Verifier(lambda: {to_fingerprint(raw): public})
        verifier.verify(to_fingerprint(raw), str(signature["signature"]), PURPOSE, parts[MANIFEST])
        manifest = read_json(parts[MANIFEST])
    except (RecordError, InvalidSignature, ValueError, KeyError, TypeError):
        raise _make_change_error(MANIFEST) from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise CorruptError(
            f"{MANIFEST} does not state the format {FORMAT!r}: use the ullage that wrote it"
        )
    return public, manifest


def _verify_parts(parts: Mapping[str, bytes], manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the digest of every part, after comparing all of them with the manifest.

    Raises CorruptError if a part differs, is missing or is not listed.
    """
    listed = manifest.get("parts")
    names = sorted(parts.keys() - {MANIFEST, SIGNATURE})
    if not isinstance(listed, dict) or sorted(listed) != names:
        raise _make_format_error()
    digests = {name: hashlib.sha256(parts[name]).hexdigest() for name in names}
    for name, digest in digests.items():
        if listed[name] != {"bytes": len(parts[name]), "sha256": digest}:
            raise _make_change_error(name)
    return digests


def _verify_days(parts: Mapping[str, bytes], stamper: Stamper | None) -> list[DaySheet]:
    """Return the signed days of a package, after checking signatures and time stamps.

    Raises CorruptError if one of them is not what its signer or the authority signed.
    """
    try:
        public = {
            str(name): Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
            for name, key in read_json(parts[SIGNERS]).items()
        }
        sheets = [DaySheet.model_validate_json(json.dumps(day)) for day in read_json(parts[DAYS])]
        for sheet in sheets:
            verify_sheet(sheet, Verifier(lambda: public))
            if sheet.stamp and stamper is not None:
                stamper.check(base64.b64decode(sheet.stamp), serialize_for_stamp(sheet))
    except (RecordError, ValidationError, ValueError, TypeError, AttributeError):
        raise _make_change_error(DAYS) from None
    return [sheet for sheet in sheets if sheet.digest != OPEN]


def describe_package(
    check: PackageCheck, token: bytes, content: bytes, stamper: Stamper | None
) -> Iterator[str]:
    """Yield lines on a verified package: its parts, its signed days, and its own time stamp.

    `token` is the time stamp in the file beside it, b"" if there is none. Raises CorruptError if
    `stamper` finds that it is not on this package.
    """
    head, count = check.head, len(check.parts)
    yield (
        f"unchanged: {count} parts of {safe(head.incident)}, made by ullage {safe(head.version)},"
        f" signed with the key {check.key}"
    )
    for name, sha256 in sorted(check.parts.items()):
        yield f"  {sha256}  {safe(name)}"
    how = "checked" if check.are_stamps_checked else "not checked: give --authority"
    stamps = f"{check.stamped} time-stamped ({how})" if check.stamped else "none time-stamped"
    yield f"signed days of coverage: {check.days}, {stamps}"
    if not token:
        yield "time stamp of the package: none"
    elif stamper is None:
        yield "time stamp of the package: not checked: give --authority"
    else:
        try:
            stamped_at = stamper.check(token, content)
        except RecordError:
            raise CorruptError(
                "the time stamp beside the package is not on this package: ask the sender again"
            ) from None
        yield f"time stamp of the package: {stamped_at.isoformat(timespec='seconds')}"
