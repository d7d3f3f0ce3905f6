"""Seal captures under the key of their visit; each capture carries the sealed, signed key grant.

Signing and sealing cost 0.35 ms, and undoing both as much, which is more than matching a short
post. So a visit draws a key, signs a grant of it and seals the grant (`sealing.Sealer`); every
capture carries the grant and is encrypted under the key with AES-256-GCM. Each capture can still be
opened and verified alone.

A grant names its site, its visit and the time until which the bus may accept captures under it: a
stolen key works for one site and for a few hours. A sealer draws a new key every hour.
"""

from __future__ import annotations

import itertools
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ullage.errors import RecordError
from ullage.files.validation import read_json
from ullage.records import CAPTURE_SCHEMA
from ullage.records.base import frame, unframe
from ullage.records.capture import MAX_HEADER_BYTES
from ullage.security.sealing import Sealer, SealOpener, make_info
from ullage.security.signing import Signer, Verifier

PURPOSE = "capture"
TOPIC = "captures"
"""Equal to the name in `ullage.bus`, which this layer may not import."""
KEY_BYTES, NONCE_BYTES = 32, 12
GRANT_SECONDS, RENEW_SECONDS = 6 * 3600.0, 3600.0
"""Lifetime of a grant, and age at which a sealer makes the next one.

The bus may be down in between.
"""
MARGIN_SECONDS = 300.0
"""Tolerated difference between the clocks of a crawl host and of the bus."""
MOST_HEAD = 4 + MAX_HEADER_BYTES
MOST_GRANTS = 1024
"""Grants that match caches: more than the visits that write at the same time."""


@dataclass(frozen=True, slots=True)
class CaptureGrant:
    """The key of a visit and its limits; `until` is in Unix seconds."""

    site: str
    visit: str
    until: float
    cipher: AESGCM

    @classmethod
    def decode(cls, signed: bytes) -> CaptureGrant:
        """Return the grant in `signed`.

        Raises RecordError `malformed` for anything else. The signature is not verified here.
        """
        head, key = unframe(signed)
        try:
            fields = read_json(head)
            site, visit, until = fields["site"], fields["visit"], float(fields["until"])
        except (ValueError, TypeError, KeyError):
            raise RecordError("malformed") from None
        if len(key) != KEY_BYTES or not isinstance(site, str) or not isinstance(visit, str):
            raise RecordError("malformed")
        return cls(site, visit, until, AESGCM(key))

    def covers(self, site: str, taken_at: float) -> bool:
        """Return whether a capture of `site` may use the grant.

        `taken_at` is when the bus accepted it (Unix seconds).
        """
        return site == self.site and taken_at <= self.until + MARGIN_SECONDS


class CaptureSealer:
    """Seals the captures of one visit, each under a grant for its site.

    Threads may share it.
    """

    def __init__(
        self, sealer: Sealer, signer: Signer, wall: Callable[[], float] = time.time
    ) -> None:
        self.key_id = sealer.key_id
        self._sealer, self._signer, self._wall = sealer, signer, wall
        self._visit = secrets.token_hex(8)
        self._info = make_info(PURPOSE, TOPIC, CAPTURE_SCHEMA, sealer.key_id)
        self._lock = threading.Lock()
        self._keys: dict[str, _VisitKey] = {}

    def seal(self, plain: bytes) -> bytes:
        """Return the grant with its length, a unique nonce, and `plain` encrypted.

        The site is read from `plain`, a capture; each site has a key of its own, which is replaced
        after RENEW_SECONDS (1 h).
        """
        site, now = _site_of(plain), self._wall()
        with self._lock:
            key = self._keys.get(site)
            if key is None or not 0.0 <= now - key.since < RENEW_SECONDS:
                key = self._keys[site] = self._new_key(site, now)
            nonce = next(key.nonces).to_bytes(NONCE_BYTES, "big")
        return frame(key.grant, nonce + key.cipher.encrypt(nonce, plain, self._info))

    def _new_key(self, site: str, now: float) -> _VisitKey:
        """Draw a key and sign a grant of it."""
        key, granted = (
            secrets.token_bytes(KEY_BYTES),
            {"site": site, "visit": self._visit, "until": now + GRANT_SECONDS},
        )
        enclosed = self._signer.enclose(frame(json.dumps(granted).encode(), key), PURPOSE)
        grant = self._sealer.seal(enclosed, purpose=PURPOSE, topic=TOPIC, schema=CAPTURE_SCHEMA)
        return _VisitKey(grant, AESGCM(key), now)


@dataclass(frozen=True, slots=True)
class _VisitKey:
    """A key in use, its sealed grant, and its start (Unix seconds)."""

    grant: bytes
    cipher: AESGCM
    since: float
    nonces: Iterator[int] = field(default_factory=itertools.count)


def _site_of(plain: bytes) -> str:
    """Return the site that an encoded capture names, "" where it names none."""
    try:
        # the body, of megabytes, is not copied
        site = read_json(unframe(plain[:MOST_HEAD])[0])["site"]
    except (RecordError, ValueError, TypeError, KeyError):
        return ""
    return site if isinstance(site, str) else ""


@dataclass(slots=True)
class CaptureOpener:
    """Opens captures, and verifies the signers of their keys."""

    opener: SealOpener
    verifier: Verifier
    _granted: dict[tuple[str, bytes], CaptureGrant] = field(default_factory=dict)
    """Grants of known signers, by key id and sealed grant."""
    _signers: Mapping[str, Ed25519PublicKey] = field(default_factory=dict)
    """Signers that were known when the grants were cached.

    When they change, a signer may have been removed.
    """

    def open(self, sealed: bytes, key_id: str) -> tuple[bytes, CaptureGrant | None]:
        """Return the plain bytes and the grant, None if its signer is unknown.

        The caller asks the grant whether it covers the capture. Raises RecordError: `malformed`,
        `not_authentic` if it cannot be decrypted or the grant's signature is wrong, or as
        `SealOpener.open` does.
        """
        enclosed, box = unframe(sealed)
        self.verifier.refresh()
        if self.verifier.known is not self._signers:
            self._signers = self.verifier.known
            self._granted.clear()
        grant, is_known = self._granted.get((key_id, enclosed)), True
        if grant is None:
            grant, is_known = self._read(enclosed, key_id)
        try:
            plain = grant.cipher.decrypt(
                box[:NONCE_BYTES],
                box[NONCE_BYTES:],
                make_info(PURPOSE, TOPIC, CAPTURE_SCHEMA, key_id),
            )
        except (InvalidTag, ValueError):
            raise RecordError("not_authentic") from None
        return plain, grant if is_known else None

    def _read(self, enclosed: bytes, key_id: str) -> tuple[CaptureGrant, bool]:
        signed = self.opener.open(
            enclosed, purpose=PURPOSE, topic=TOPIC, schema=CAPTURE_SCHEMA, key_id=key_id
        )
        plain, is_known = self.verifier.disclose(signed, PURPOSE)
        grant = CaptureGrant.decode(plain)
        if is_known:  # an unknown signer may be known by the next capture
            if len(self._granted) >= MOST_GRANTS:
                del self._granted[next(iter(self._granted))]
            self._granted[key_id, enclosed] = grant
        return grant, is_known
