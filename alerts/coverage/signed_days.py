"""Sign each day of the coverage log, and time-stamp it.

A day is signed when it is over and what comes late has had an hour. Where more is heard of a day
that is signed, alert says so first, with a signature, and signs the day anew within the hour. So a
day that is not as it was signed, and not open, was changed by somebody who does not have alert's
key. A stamp (RFC 3161) tells as well that nobody wrote the day later, alert included.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509

from alerts.http_post import UndeliveredError, accepted, post
from alerts.records import DaySheet, SiteDay
from alerts.records.coverage import day_of
from alerts.store import DocumentFilter, IncidentStore
from ullage import log
from ullage.clock import Clock
from ullage.errors import ConfigError, RecordError
from ullage.phrase import Phrase, marked
from ullage.security import keys
from ullage.security.signing import Signer, Verifier
from ullage.settings import Context

PURPOSE = "coverage sheet"
ROLE = "alert"
LATE = timedelta(hours=1)
AGAIN = timedelta(hours=1)
DAYS = 8
"""What lies on the bus is at most a week old, so no older day changes."""
TIMEOUT_SECONDS = 20.0
OPEN = ""
"""The digest of a day that is open again."""


class Stamper(Protocol):
    """A time-stamping authority."""

    def stamp(self, data: bytes) -> bytes:
        """A token on `data`; UndeliveredError where there is none that holds."""

    def check(self, token: bytes, data: bytes) -> datetime:
        """When the authority saw `data`; RecordError where the token does not say so."""


@dataclass(frozen=True, slots=True)
class Authority:
    """One that is asked over HTTP, and whose root certificate is here."""

    url: str
    root: x509.Certificate

    def stamp(self, data: bytes) -> bytes:
        """See `Stamper`."""
        from rfc3161_client import (  # noqa: PLC0415 - an extra
            HashAlgorithm,
            TimestampRequestBuilder,
        )

        request: bytes = (
            TimestampRequestBuilder()
            .data(data)
            .hash_algorithm(HashAlgorithm.SHA256)
            .build()
            .as_bytes()
        )
        answer = accepted(
            post(
                self.url, request, {"Content-Type": "application/timestamp-query"}, TIMEOUT_SECONDS
            )
        )
        try:
            self.check(answer.body, data)
        except RecordError:
            raise UndeliveredError("gives a stamp that does not hold") from None
        return answer.body

    def check(self, token: bytes, data: bytes) -> datetime:
        """See `Stamper`."""
        from rfc3161_client import (  # noqa: PLC0415
            VerificationError,
            VerifierBuilder,
            decode_timestamp_response,
        )

        try:
            response = decode_timestamp_response(token)
            VerifierBuilder().add_root_certificate(self.root).build().verify_message(response, data)
            seen: datetime = response.tst_info.gen_time
            return seen.astimezone(UTC)
        except (ValueError, VerificationError):
            raise RecordError("not_authentic") from None


def sheets_of(context: Context, store: IncidentStore) -> Sheets | None:
    """What signs days here; None, which is logged, where keys come from elsewhere and alert was
    given none.

    ConfigError for a key that lies here and is not what it was.
    """
    try:
        signer = keys.signer(context.keys, ROLE)
    except (ConfigError, OSError) as error:
        if isinstance(error, ConfigError) and not context.keys.command:
            raise
        log.get("alert").warning("coverage_not_signed", error=str(error))
        return None
    return Sheets(store, context.clock, signer, stamper_of(context))


def stamper_of(context: Context) -> Stamper | None:
    """The authority of the settings, None for none; ConfigError says what is missing."""
    settings = context.settings.coverage
    if not settings.timestamp_url:
        return None
    try:
        import rfc3161_client  # noqa: F401, PLC0415
    except ModuleNotFoundError:
        raise ConfigError(
            "coverage.timestamp_url needs rfc3161-client: pip install 'ullage[timestamp]'"
        ) from None
    path = context.data / settings.timestamp_ca
    try:
        return Authority(
            settings.timestamp_url, x509.load_pem_x509_certificate(Path(path).read_bytes())
        )
    except (OSError, ValueError):
        raise ConfigError(f"coverage.timestamp_ca: {path} is no certificate in PEM") from None


@dataclass(slots=True)
class Sheets:
    """Signs days; see the module."""

    store: IncidentStore
    clock: Clock
    signer: Signer
    stamper: Stamper | None = None
    _last: dict[str, tuple[int, DaySheet | None]] = field(default_factory=dict)

    def reopen(self, days: Collection[str]) -> None:
        """More is about to be written of these days."""
        for day in sorted(days):
            last = self._newest(day)
            if last is not None and last.digest != OPEN:
                self._append(day, OPEN, 0, stamped=False)

    def turn(self) -> None:
        """Sign what is due."""
        now = self.clock.now()
        for day in (day_of(now - timedelta(days=n)) for n in range(DAYS, 0, -1)):
            last, over = self._newest(day), _end(day) + LATE
            if now < over or (last is not None and now - last.at < AGAIN):
                continue
            if last is None or last.digest == OPEN or (self.stamper is not None and not last.stamp):
                digest, sites = digest_of(self.store, day)
                if last is not None and last.digest not in {OPEN, digest}:
                    log.get("alert").error("coverage_changed", day=day)
                elif sites:
                    self._append(day, digest, sites, stamped=True)

    def _newest(self, day: str) -> DaySheet | None:
        """The last sheet of a day; another worker may have written one since it was looked for."""
        number, last = self._last.get(day, (0, None))
        while (found := self.store.get(DaySheet, _id(day, number + 1))) is not None:
            number, last = number + 1, found
        oldest = day_of(self.clock.now() - timedelta(days=2 * DAYS))
        self._last = {known: one for known, one in self._last.items() if known > oldest}
        self._last[day] = number, last
        return last

    def _append(self, day: str, digest: str, sites: int, *, stamped: bool) -> None:
        now, number = self.clock.now(), self._last[day][0] + 1
        sheet = DaySheet(
            id=_id(day, number), day=day, at=now, sites=sites, digest=digest,
            signer=self.signer.name,
            signature="", unstamped=marked("no authority is configured"),
        )  # fmt: skip
        sheet = sheet.model_copy(update={"signature": self.signer.sign(PURPOSE, *_signed(sheet))})
        if self.stamper is not None and stamped:
            try:
                token, why = self.stamper.stamp(stamped_part(sheet)), ""
            except UndeliveredError as error:
                token, why = b"", f"the authority {error}"
                log.get("alert").warning("coverage_not_stamped", day=day, error=str(error))
            sheet = sheet.model_copy(
                update={"stamp": base64.b64encode(token).decode(), "unstamped": why}
            )
        if self.store.create([sheet]) == [True]:
            self._last[day] = number, sheet


@dataclass(frozen=True, slots=True)
class DayCheck:
    """How the sheet of a day stands: `holds` unless it was changed; `said` in words."""

    day: str
    holds: bool
    said: Phrase
    digest: str = ""
    signed_at: datetime | None = None
    stamped_at: datetime | None = None


def standings(
    store: IncidentStore,
    days: Iterable[str],
    verifier: Verifier,
    stamper: Stamper | None,
    now: datetime,
) -> list[DayCheck]:
    """How each day stands against what alert signed."""
    return [_standing(store, day, verifier, stamper, now) for day in days]


def _standing(
    store: IncidentStore, day: str, verifier: Verifier, stamper: Stamper | None, now: datetime
) -> DayCheck:
    sheets = sorted(store.scroll(DaySheet, DocumentFilter({"day": (day,)})), key=lambda one: one.id)
    if not sheets:
        is_early = now < _end(day) + LATE
        return DayCheck(
            day,
            True,
            Phrase("not signed yet: the day has not ended") if is_early else Phrase("not signed"),
        )
    last = sheets[-1]
    try:
        verifier.verify(last.signer, last.signature, PURPOSE, *_signed(last))
    except RecordError as error:
        is_unknown = error.reason == "unknown_signer"
        why = (
            Phrase("signed by a key that is not known here")
            if is_unknown
            else Phrase("invalid signature: the report was changed")
        )
        return DayCheck(day, False, why)
    if last.digest == OPEN:
        again = Phrase(
            "changed by later heartbeats; previously signed by alert %(signer)s", signer=last.signer
        )
        return DayCheck(day, True, again, signed_at=last.at)
    signed, stamped = Phrase("signed by alert %(signer)s", signer=last.signer), None
    holds, said = (
        True,
        Phrase("%(signed)s, not time-stamped: %(why)s", signed=signed, why=Phrase(last.unstamped)),
    )
    if digest_of(store, day)[0] != last.digest:
        holds, said = (
            False,
            Phrase("CHANGED since it was signed by alert %(signer)s", signer=last.signer),
        )
    elif last.stamp and stamper is None:
        said = Phrase(
            "%(signed)s, time-stamped by an authority that is not configured here", signed=signed
        )
    elif last.stamp and stamper is not None:
        try:
            stamped = stamper.check(base64.b64decode(last.stamp), stamped_part(last))
            said = Phrase("%(signed)s, time-stamped %(at)s", signed=signed, at=stamped)
        except (RecordError, ValueError):
            holds, said = False, Phrase("%(signed)s, with an invalid time stamp", signed=signed)
    return DayCheck(day, holds, said, last.digest, last.at, stamped)


def digest_of(store: IncidentStore, day: str) -> tuple[str, int]:
    """SHA-256 of all that the ledger says of a day, and of how many sites it does."""
    store.refresh()
    days = {one.site: _line(one) for one in store.scroll(SiteDay, DocumentFilter({"day": (day,)}))}
    told = hashlib.sha256(day.encode() + b"\n")
    for _, line in sorted(days.items()):
        told.update(line)
    return told.hexdigest(), len(days)


def _line(day: SiteDay) -> bytes:
    said = [
        day.site,
        day.origin,
        day.before,
        list(day.cells),
        list(day.posts),
        day.revisit,
        day.lives,
    ]
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def stamped_part(sheet: DaySheet) -> bytes:
    """What an authority stamps: the signature and what it is on."""
    return b"\n".join((*_signed(sheet), sheet.signer.encode(), sheet.signature.encode()))


def _signed(sheet: DaySheet) -> tuple[bytes, ...]:
    return tuple(
        text.encode()
        for text in (sheet.id, sheet.day, sheet.digest, str(sheet.sites), sheet.at.isoformat())
    )


def _id(day: str, number: int) -> str:
    return f"{day}:{number:04d}"


def _end(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T00:00:00+00:00") + timedelta(days=1)
