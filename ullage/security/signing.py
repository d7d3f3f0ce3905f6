"""Signatures: which of our own processes made a record.

Ed25519 (RFC 8032). Match signs findings, `assess --open` signs its own; crawl hosts and collectors
sign captures and heartbeats inside the seal. A signer is named by its fingerprint, the first 8
bytes of the SHA-256 of its public key: a public key that was damaged or exchanged is not the signer
that its file is named after.

What is signed is the purpose and each part with its length before it: no two records have the same
message.
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
"""The names under which both stand beside what is signed."""
FINGERPRINT_BYTES = 8
RELOAD_SECONDS = 30.0
"""How often the public keys of signers are read again."""


def fingerprint(public: bytes) -> str:
    """The name of a signer, 16 hex digits, by its raw public key."""
    return hashlib.sha256(public).digest()[:FINGERPRINT_BYTES].hex()


def _message(purpose: str, parts: tuple[bytes, ...]) -> bytes:
    """What is signed, without ambiguity."""
    return b"".join(
        struct.pack(">Q", len(part)) + part for part in (b"ullage", purpose.encode(), *parts)
    )


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with one private key."""

    private: Ed25519PrivateKey

    @property
    def name(self) -> str:
        """Its fingerprint."""
        return fingerprint(self.private.public_key().public_bytes_raw())

    def sign(self, purpose: str, *parts: bytes) -> str:
        """The signature of `parts` for `purpose`, 128 hex digits."""
        return self.private.sign(_message(purpose, parts)).hex()

    def headers(self, purpose: str, *parts: bytes) -> dict[str, str]:
        """Signer and signature as they stand in a record's headers."""
        return {SIGNER: self.name, SIGNATURE: self.sign(purpose, *parts)}

    def enclose(self, plain: bytes, purpose: str) -> bytes:
        """`plain` behind its signature, to be sealed together."""
        return frame(json.dumps(self.headers(purpose, plain)).encode(), plain)


@dataclass(slots=True)
class Verifier:
    """Knows the public keys of signers.

    `load` reads them again when a signer comes that is not known yet, and every `RELOAD_SECONDS`: a
    signer whose key is removed is not believed any longer than that. `known` stays the same object
    while nothing changes.
    """

    load: Callable[[], Mapping[str, Ed25519PublicKey]]
    monotonic: Callable[[], float] = time.monotonic
    known: Mapping[str, Ed25519PublicKey] = field(init=False)
    _reload_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.known = self.load()
        self._reload_at = self.monotonic() + RELOAD_SECONDS

    def refresh(self, *, now: bool = False) -> None:
        """Read the keys again if that is due, or at once with `now`."""
        if now or self.monotonic() >= self._reload_at:
            self._reload_at = self.monotonic() + RELOAD_SECONDS
            if (loaded := self.load()).keys() != self.known.keys():
                self.known = loaded

    def fault(self) -> str:
        """Return that no signer is known, "" if one is."""
        self.refresh()
        return "" if self.known else "no signer is known, so no record is believed"

    def verify(self, signer: str, signature: str, purpose: str, *parts: bytes) -> None:
        """RecordError `unknown_signer`, or `not_authentic` where it is no signature of this
        signer on these parts.
        """
        self.refresh(now=signer not in self.known)
        public = self.known.get(signer)
        if public is None:
            raise RecordError("unknown_signer")
        try:
            public.verify(bytes.fromhex(signature), _message(purpose, parts))
        except (InvalidSignature, ValueError):
            raise RecordError("not_authentic") from None

    def disclose(self, enclosed: bytes, purpose: str) -> tuple[bytes, bool]:
        """What `Signer.enclose` put in, and whether its signer is known; RecordError where the
        signature is wrong.
        """
        head, plain = unframe(enclosed)
        try:
            said = read_json(head)
            signer, signature = said[SIGNER], said[SIGNATURE]
            self.verify(str(signer), str(signature), purpose, plain)
        except (ValueError, TypeError, KeyError):
            raise RecordError("malformed") from None
        except RecordError as error:
            if error.reason == "unknown_signer":
                return plain, False
            raise
        return plain, True


def record_parts(topic: str, headers: Mapping[str, str], value: bytes) -> tuple[bytes, ...]:
    """What is signed of a record that is in clear on a topic: where it lies, whose and which it
    is, and what it says.
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


def signed(text: str, signer: Signer) -> str:
    """The report with the paragraph that has its digest, the signer and the signature."""
    digest, signature = (
        hashlib.sha256(text.encode()).hexdigest(),
        signer.sign(PURPOSE, text.encode()),
    )
    return (
        f'{text}\n<p class="signed">SHA-256 {digest}, signed by {signer.name}: {signature}</p>{END}'
    )


def verified(text: str, verifier: Verifier) -> str:
    """Who signed a report; RecordError `malformed` for what is none, `not_authentic` or
    `unknown_signer` as it is signed.
    """
    found = SIGNED.search(text)
    if found is None or found.end() != len(text):
        raise RecordError("malformed")
    body = text[: found.start()].encode()
    verifier.verify(found[2], found[3], PURPOSE, body)
    if hashlib.sha256(body).hexdigest() != found[1]:
        raise RecordError("not_authentic")
    return found[2]
