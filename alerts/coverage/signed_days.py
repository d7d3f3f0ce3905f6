"""Sign each day of the coverage log, and time-stamp it.

A day is signed an hour after its end, when late heartbeats have arrived. If more is reported about
a signed day, alert first records that, with a signature, and signs the day again within the hour.
So a day that differs from its signed state, and is not open, was changed by somebody who does not
have alert's key. A stamp (RFC 3161) also proves that nobody wrote the day later, alert included.
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

from alerts.http_post import UndeliveredError, post, require_success
from alerts.records import DaySheet, SiteDay
from alerts.records.coverage import format_day
from alerts.store import DocumentFilter, IncidentStore
from ullage import log
from ullage.clock import Clock
from ullage.errors import ConfigError, RecordError
from ullage.phrase import Phrase, mark_for_translation
from ullage.security import keys
from ullage.security.signing import Signer, Verifier
from ullage.settings import Context

PURPOSE = "coverage sheet"
ROLE = "alert"
LATE = timedelta(hours=1)
AGAIN = timedelta(hours=1)
DAYS = 8
"""Records on the bus are at most a week old, so no older day changes."""
TIMEOUT_SECONDS = 20.0
OPEN = ""
"""The digest in the sheet of a day that is open again."""


class Stamper(Protocol):
    """A time-stamping authority."""

    def stamp(self, data: bytes) -> bytes:
        """Return an RFC 3161 token on `data`; raise UndeliveredError if none is valid."""

    def check(self, token: bytes, data: bytes) -> datetime:
        """Return the UTC time at which the authority saw `data`, as `token` proves.

        Raises RecordError if the token does not prove that the authority saw this data.
        """


@dataclass(frozen=True, slots=True)
class Authority:
    """A time-stamping authority that is reached over HTTP, with its root certificate."""

    url: str
    root: x509.Certificate

    def stamp(self, data: bytes) -> bytes:
        """Request a token on the SHA-256 of `data` over HTTP, and return it after checking it.

        Raises UndeliveredError if the authority cannot be reached, answers with an error, or
        returns a token that cannot be verified.
        """
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
        answer = require_success(
            post(
                self.url, request, {"Content-Type": "application/timestamp-query"}, TIMEOUT_SECONDS
            )
        )
        try:
            self.check(answer.body, data)
        except RecordError:
            raise UndeliveredError("returned a time stamp that cannot be verified") from None
        return answer.body

    def check(self, token: bytes, data: bytes) -> datetime:
        """Return the UTC time in `token`, after verifying it for `data` with the root certificate.

        Raises RecordError if the token is damaged, is for other data or was not issued under the
        certificate.
        """
        from rfc3161_client import (  # noqa: PLC0415
            VerificationError,
            VerifierBuilder,
            decode_timestamp_response,
        )

        try:
            response = decode_timestamp_response(token)
            VerifierBuilder().add_root_certificate(self.root).build().verify_message(response, data)
            stamped_at: datetime = response.tst_info.gen_time
            return stamped_at.astimezone(UTC)
        except (ValueError, VerificationError):
            raise RecordError("not_authentic") from None


def open_sheets(context: Context, store: IncidentStore) -> Sheets | None:
    """Return the signer of days; log a warning and return None if alert's key cannot be had.

    If keys are local files, a missing key is made. Raises ConfigError if the key is invalid and
    keys do not come from a command, or if the time-stamping authority of the settings cannot be
    used.
    """
    try:
        signer = keys.load_signer(context.keys, ROLE)
    except (ConfigError, OSError) as error:
        if isinstance(error, ConfigError) and not context.keys.command:
            raise
        log.get("alert").warning("coverage_not_signed", error=str(error))
        return None
    return Sheets(store, context.clock, signer, open_stamper(context))


def open_stamper(context: Context) -> Stamper | None:
    """Return the time-stamping authority of the settings; None if they name none.

    Raises ConfigError if the package rfc3161-client is missing, or if the certificate is missing or
    invalid.
    """
    settings = context.settings.coverage
    if not settings.timestamp_url:
        return None
    path = context.data / settings.timestamp_ca
    return load_authority(path, settings.timestamp_url, "coverage.timestamp_ca")


def load_authority(path: Path, url: str = "", name: str = "--authority") -> Authority:
    """Return the authority whose root certificate is at `path`; without `url` it only checks.

    Raises ConfigError, which names the setting or option `name`, if the certificate is missing or
    invalid, or if the package rfc3161-client is missing.
    """
    try:
        import rfc3161_client  # noqa: F401, PLC0415
    except ModuleNotFoundError:
        raise ConfigError(
            "time stamps (RFC 3161) need rfc3161-client: pip install 'ullage[timestamp]'"
        ) from None
    try:
        return Authority(url, x509.load_pem_x509_certificate(path.read_bytes()))
    except (OSError, ValueError):
        raise ConfigError(f"{name}: {path} must be a certificate in PEM") from None


@dataclass(slots=True)
class Sheets:
    """Signs days of the coverage log, and writes the result as sheets, which are never changed.

    Without a `stamper`, sheets have no time stamp.
    """

    store: IncidentStore
    clock: Clock
    signer: Signer
    stamper: Stamper | None = None
    _last: dict[str, tuple[int, DaySheet | None]] = field(default_factory=dict)

    def reopen(self, days: Collection[str]) -> None:
        """Write a signed record that each of these days is open, so that its log may change.

        Call it before more is written about these days. A day that was never signed, or is open
        already, stays as it is.
        """
        for day in sorted(days):
            last = self._find_newest(day)
            if last is not None and last.digest != OPEN:
                self._append(day, OPEN, 0, stamped=False)

    def sign_due(self) -> None:
        """Sign the days that are due, of the last eight, and write a sheet for each.

        A day is due an hour after its end, and not within an hour of its last sheet. It must be
        unsigned, open again, or lack a time stamp although an authority is configured. If a signed
        day was changed, that is logged as an error and the day is not signed. Days without sites
        are skipped. If the authority cannot stamp, that is logged and the sheet is written without
        a stamp.
        """
        now = self.clock.now()
        for day in (format_day(now - timedelta(days=n)) for n in range(DAYS, 0, -1)):
            last, over = self._find_newest(day), _day_end(day) + LATE
            if now < over or (last is not None and now - last.at < AGAIN):
                continue
            if last is None or last.digest == OPEN or (self.stamper is not None and not last.stamp):
                digest, sites = compute_digest(self.store, day)
                if last is not None and last.digest not in {OPEN, digest}:
                    log.get("alert").error("coverage_changed", day=day)
                elif sites:
                    self._append(day, digest, sites, stamped=True)

    def _find_newest(self, day: str) -> DaySheet | None:
        """Return the last sheet of a day.

        Another worker may have written one since the last search.
        """
        number, last = self._last.get(day, (0, None))
        while (sheet := self.store.get(DaySheet, _sheet_id(day, number + 1))) is not None:
            number, last = number + 1, sheet
        oldest = format_day(self.clock.now() - timedelta(days=2 * DAYS))
        self._last = {day_: entry for day_, entry in self._last.items() if day_ > oldest}
        self._last[day] = number, last
        return last

    def _append(self, day: str, digest: str, sites: int, *, stamped: bool) -> None:
        now, number = self.clock.now(), self._last[day][0] + 1
        sheet = DaySheet(
            id=_sheet_id(day, number), day=day, at=now, sites=sites, digest=digest,
            signer=self.signer.name,
            signature="", unstamped=mark_for_translation("no authority is configured"),
        )  # fmt: skip
        sheet = sheet.model_copy(
            update={"signature": self.signer.sign(PURPOSE, *_parts_to_sign(sheet))}
        )
        if self.stamper is not None and stamped:
            try:
                token, why = self.stamper.stamp(serialize_for_stamp(sheet)), ""
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
    """The result of checking a day: `holds` is False if it was changed; `said` says it in words.

    A day that is not signed, or is open again, holds. Then `digest` is "".
    """

    day: str
    holds: bool
    said: Phrase
    digest: str = ""
    signed_at: datetime | None = None
    stamped_at: datetime | None = None


def check_days(
    store: IncidentStore,
    days: Iterable[str],
    verifier: Verifier,
    stamper: Stamper | None,
    now: datetime,
) -> list[DayCheck]:
    """Return for each day whether the log still says what alert signed, in the same order.

    A day is YYYY-MM-DD. A day that was never signed, or that alert opened again, holds. One with an
    unknown signer, an invalid signature or an invalid time stamp does not. `verifier` knows the
    signers. If `stamper` is None, time stamps are not checked. Whether an unsigned day is over is
    judged by `now`.
    """
    return [_check_day(store, day, verifier, stamper, now) for day in days]


def _check_day(
    store: IncidentStore, day: str, verifier: Verifier, stamper: Stamper | None, now: datetime
) -> DayCheck:
    last = find_last_sheet(store, day)
    if last is None:
        is_early = now < _day_end(day) + LATE
        return DayCheck(
            day,
            True,
            Phrase("not signed yet: the day has not ended") if is_early else Phrase("not signed"),
        )
    try:
        verify_sheet(last, verifier)
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
    holds, description = (
        True,
        Phrase("%(signed)s, not time-stamped: %(why)s", signed=signed, why=Phrase(last.unstamped)),
    )
    if compute_digest(store, day)[0] != last.digest:
        holds, description = (
            False,
            Phrase("CHANGED since it was signed by alert %(signer)s", signer=last.signer),
        )
    elif last.stamp and stamper is None:
        description = Phrase(
            "%(signed)s, time-stamped by an authority that is not configured here", signed=signed
        )
    elif last.stamp and stamper is not None:
        try:
            stamped = stamper.check(base64.b64decode(last.stamp), serialize_for_stamp(last))
            description = Phrase("%(signed)s, time-stamped %(at)s", signed=signed, at=stamped)
        except (RecordError, ValueError):
            holds, description = (
                False,
                Phrase("%(signed)s, with an invalid time stamp", signed=signed),
            )
    return DayCheck(day, holds, description, last.digest, last.at, stamped)


def find_last_sheet(store: IncidentStore, day: str) -> DaySheet | None:
    """Return the newest sheet of a day (YYYY-MM-DD); None if the day was never signed."""
    sheets = store.scroll(DaySheet, DocumentFilter({"day": (day,)}))
    return max(sheets, key=lambda sheet: sheet.id, default=None)


def verify_sheet(sheet: DaySheet, verifier: Verifier) -> None:
    """Raise RecordError unless a signer that `verifier` knows signed this sheet as it is."""
    verifier.verify(sheet.signer, sheet.signature, PURPOSE, *_parts_to_sign(sheet))


def compute_digest(store: IncidentStore, day: str) -> tuple[str, int]:
    """Return the SHA-256 (hex) of a day's coverage log, and the number of sites in it.

    `day` is YYYY-MM-DD. A day without sites has a digest of its own date alone. The store is
    refreshed first.
    """
    store.refresh()
    days = {
        site_day.site: _serialize(site_day)
        for site_day in store.scroll(SiteDay, DocumentFilter({"day": (day,)}))
    }
    digest = hashlib.sha256(day.encode() + b"\n")
    for _, line in sorted(days.items()):
        digest.update(line)
    return digest.hexdigest(), len(days)


def _serialize(day: SiteDay) -> bytes:
    fields = [
        day.site,
        day.origin,
        day.before,
        list(day.cells),
        list(day.posts),
        day.revisit,
        day.lives,
    ]
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def serialize_for_stamp(sheet: DaySheet) -> bytes:
    """Return the bytes that an authority stamps: the signed parts, the signer and the signature.

    They are UTF-8, separated by newlines.
    """
    return b"\n".join((*_parts_to_sign(sheet), sheet.signer.encode(), sheet.signature.encode()))


def _parts_to_sign(sheet: DaySheet) -> tuple[bytes, ...]:
    return tuple(
        text.encode()
        for text in (sheet.id, sheet.day, sheet.digest, str(sheet.sites), sheet.at.isoformat())
    )


def _sheet_id(day: str, number: int) -> str:
    return f"{day}:{number:04d}"


def _day_end(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T00:00:00+00:00") + timedelta(days=1)
