"""Sign records and reports, so that readers know which of our own processes made them.

A service has a `Signer` with its private key (Ed25519, RFC 8032); a reader has a `Verifier` with
the public keys of those it trusts. Match signs findings, `assess --open` signs its own; crawl hosts
and collectors sign captures and heartbeats inside the encryption. A signer is named by its
*fingerprint*, the first 8 bytes of the SHA-256 of its public key, so a damaged or exchanged key
does not match its file name. The signed message is the purpose and each part, each preceded by its
length, so that no two records have the same message:

    ┌────────┬────────┬────────┬─────────┬────────┬────────┬─
    │ u64: 6 │ ullage │ u64: n │ purpose │ u64: n │ part 1 │ …     u64 big-endian
    └────────┴────────┴────────┴─────────┴────────┴────────┴─

A wrong signature raises RecordError `not_authentic`, an unknown signer `unknown_signer`.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ullage.errors import RecordError
from ullage.files.validation import read_json
from ullage.records.base import frame, unframe

SIGNER, SIGNATURE = "signer", "signature"
"""Header names of a signature and its signer."""
FINGERPRINT_BYTES = 8
RELOAD_SECONDS = 30.0
"""How often the public keys of signers are read again."""


def to_fingerprint(public: bytes) -> str:
    """Return the name of a signer, 16 hex digits, from its raw public key."""
    return hashlib.sha256(public).digest()[:FINGERPRINT_BYTES].hex()


def _join_parts(purpose: str, parts: tuple[bytes, ...]) -> bytes:
    """Return the unambiguous message to sign."""
    return b"".join(
        struct.pack(">Q", len(part)) + part for part in (b"ullage", purpose.encode(), *parts)
    )


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with one private key."""

    private: Ed25519PrivateKey

    @property
    def name(self) -> str:
        """Return the fingerprint of the key, 16 hex digits."""
        return to_fingerprint(self.private.public_key().public_bytes_raw())

    def sign(self, purpose: str, *parts: bytes) -> str:
        """Return the signature of `parts` for `purpose`, 128 hex digits."""
        return self.private.sign(_join_parts(purpose, parts)).hex()

    def headers(self, purpose: str, *parts: bytes) -> dict[str, str]:
        """Return signer and signature as headers of a record."""
        return {SIGNER: self.name, SIGNATURE: self.sign(purpose, *parts)}

    def enclose(self, plain: bytes, purpose: str) -> bytes:
        """Return `plain` preceded by its signature, to be encrypted together.

        The layout is that of `ullage.records.base.frame`; `Verifier.disclose` is the inverse.
        """
        return frame(json.dumps(self.headers(purpose, plain)).encode(), plain)


@dataclass(slots=True)
class Verifier:
    """Holds the public keys of signers.

    `load` reads them again when an unknown signer appears, and every `RELOAD_SECONDS`, so a signer
    whose key is removed is trusted no longer than that. `known` stays the same object while nothing
    changes.
    """

    load: Callable[[], Mapping[str, Ed25519PublicKey]]
    monotonic: Callable[[], float] = time.monotonic
    known: Mapping[str, Ed25519PublicKey] = field(init=False)
    _reload_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.known = self.load()
        self._reload_at = self.monotonic() + RELOAD_SECONDS

    def refresh(self, *, now: bool = False) -> None:
        """Read the public keys again if RELOAD_SECONDS have passed, or at once with `now`.

        `known` is replaced only if other signers are there than before.
        """
        if now or self.monotonic() >= self._reload_at:
            self._reload_at = self.monotonic() + RELOAD_SECONDS
            if (loaded := self.load()).keys() != self.known.keys():
                self.known = loaded

    def fault(self) -> str:
        """Return a sentence if no signer is known, "" if one is."""
        self.refresh()
        return "" if self.known else "no signer is known, so no record is accepted"

    def verify(self, signer: str, signature: str, purpose: str, *parts: bytes) -> None:
        """Raise RecordError unless `signer` signed these parts for `purpose`.

        The reason is `unknown_signer`, or `not_authentic` for a wrong or malformed signature. An
        unknown signer makes it read the keys again first.
        """
        self.refresh(now=signer not in self.known)
        public = self.known.get(signer)
        if public is None:
            raise RecordError("unknown_signer")
        try:
            public.verify(bytes.fromhex(signature), _join_parts(purpose, parts))
        except (InvalidSignature, ValueError):
            raise RecordError("not_authentic") from None

    def disclose(self, enclosed: bytes, purpose: str) -> tuple[bytes, bool]:
        """Return what `Signer.enclose` enclosed, and whether its signer is known.

        Raises RecordError: `malformed` if it is not so enclosed, `not_authentic` if the signature
        is wrong.
        """
        head, plain = unframe(enclosed)
        try:
            fields = read_json(head)
            signer, signature = fields[SIGNER], fields[SIGNATURE]
            self.verify(str(signer), str(signature), purpose, plain)
        except (ValueError, TypeError, KeyError):
            raise RecordError("malformed") from None
        except RecordError as error:
            if error.reason == "unknown_signer":
                return plain, False
            raise
        return plain, True


def record_parts(topic: str, headers: Mapping[str, str], value: bytes) -> tuple[bytes, ...]:
    """Return the parts to sign of a readable record: topic, schema, tenant, id and content.

    A missing header counts as empty.
    """
    return (
        *(
            text.encode()
            for text in (topic, *(headers.get(name, "") for name in ("schema", "tenant", "id")))
        ),
        value,
    )


TOPIC = "sheets"
PURPOSE = "coverage print"
END = "\n</footer>\n</body>\n</html>\n"
SIGNED = re.compile(
    r'\n<p class="signed">SHA-256 ([0-9a-f]{64}), signed by ([0-9a-f]{16}): ([0-9a-f]{128})</p>'
    + re.escape(END)
)


def sign_report(text: str, signer: Signer) -> str:
    """Return the report with a paragraph of its digest, signer and signature."""
    digest, signature = (
        hashlib.sha256(text.encode()).hexdigest(),
        signer.sign(PURPOSE, text.encode()),
    )
    return (
        f'{text}\n<p class="signed">SHA-256 {digest}, signed by {signer.name}: {signature}</p>{END}'
    )


def verify_report(text: str, verifier: Verifier) -> str:
    """Return the fingerprint of the signer of a report.

    Raises RecordError: `malformed` if it is not a signed report, `not_authentic` or
    `unknown_signer` if its signature is not trusted.
    """
    match = SIGNED.search(text)
    if match is None or match.end() != len(text):
        raise RecordError("malformed")
    body = text[: match.start()].encode()
    verifier.verify(match[2], match[3], PURPOSE, body)
    if hashlib.sha256(body).hexdigest() != match[1]:
        raise RecordError("not_authentic")
    return match[2]
