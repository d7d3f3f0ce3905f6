"""Collect the results of one capture part by part, within its budget.

A capture may be an archive of a thousand files, so it is read in pieces, of which mainly counts and
matches are kept. `CaptureReading` adds up the pieces and answers, at the end, what the finding of a
tenant needs. `CaptureBudget` limits bytes, members, candidates, rows and matches; beyond it, or
after a part of matching failed, the rest is missing and `reasons` says why
(`ullage.records.incomplete`).
"""

from __future__ import annotations

import hmac
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from matcher.lexicon import RECORD, Records, TextTerms
from matcher.match.batches import UnreadValues
from matcher.match.capture_key import CaptureKey
from matcher.match.claims import Excerpts, read_claims
from matcher.match.counts import EpochMatches
from matcher.match.parts import Piece
from matcher.match.statistics import StatisticsPart, StatisticsTally
from matcher.match.whose_rows import OwnCards
from matcher.records.cookies import SESSION, Cookie
from matcher.records.logins import DeviceLogs
from matcher.text import FoldedText
from matcher.unpack.protocol import (
    GIB,
    LOSES_NOTHING,
    OCR_SECONDS,
    Limits,
    UnreadPart,
    UnreadValueCount,
)
from ullage.guard import DetectorFault, FaultGuard
from ullage.records import Capture, Claims, Statistics
from ullage.settings import MatchSettings

MEMBERS, CANDIDATES, ROWS = 100_000, 50_000_000, 50_000_000
"""Of one capture at most: members of archives, candidates and lines."""
OF_OUTCOME = {
    "too_large": "bytes",
    "too_many": "members",
    "timeout": "time",
    "memory": "memory",
    "fault": "unpack",
}
"""Outcomes of unpacking that say the same as a budget or fault, by its word; `time` and `memory`
are a watchdog's.
"""


@dataclass(frozen=True, slots=True)
class CaptureBudget:
    """Limits of one capture; `bytes` is the setting `match.capture_bytes`."""

    bytes: int
    members: int
    candidates: int
    rows: int
    matches: int
    ocr: bool = False

    @classmethod
    def from_settings(cls, settings: MatchSettings) -> CaptureBudget:
        """Build from the settings."""
        return cls(
            settings.capture_bytes,
            MEMBERS,
            CANDIDATES,
            ROWS,
            settings.capture_matches,
            settings.ocr,
        )

    def to_limits(self) -> Limits:
        """Return the limits of unpacking a container.

        Processor time grows with the bytes, so that it remains a watchdog.
        """
        shipped = Limits()
        times = max(1, -(-self.bytes // GIB))
        return shipped._replace(
            total_bytes=self.bytes,
            member_bytes=max(shipped.member_bytes, self.bytes // 2),
            entries=self.members,
            cpu_seconds=shipped.cpu_seconds * times,
            ocr_seconds=OCR_SECONDS if self.ocr else 0,
            wall_seconds=shipped.wall_seconds * times,
        )


@dataclass(slots=True)
class BudgetUse:
    """The part of its budget that one capture has used so far."""

    budget: CaptureBudget
    bytes: int = 0
    candidates: int = 0
    rows: int = 0

    def add(self, piece: Piece, candidates: int, rows: int) -> None:
        """Record that a piece was read."""
        self.bytes += piece.size
        self.candidates += candidates
        self.rows += rows

    def find_exceeded(self, piece: Piece) -> str:
        """Return the name of a budget that has no room for another piece, or ""."""
        if piece.member > self.budget.members:
            return "members"
        return next(
            (
                name
                for name in ("bytes", "candidates", "rows")
                if getattr(self, name) >= getattr(self.budget, name)
            ),
            "",
        )


class CaptureReading:
    """The reading of one capture: its title, and the results of its parts so far. In memory only.

    `records` are the lexicon's words of a record. Without a `budget` everything is read; `room` is
    how many matches of one tenant are listed, None for all. If a part of matching fails, its result
    is missing, and `incomplete` names the part.
    """

    def __init__(
        self,
        capture: Capture,
        key: CaptureKey,
        records: Records,
        title_terms: TextTerms | None = None,
        budget: CaptureBudget | None = None,
        *,
        room: int | None = None,
    ) -> None:
        self.capture, self.title_terms, self.valid = capture, title_terms or TextTerms(), 0
        self._records = records
        self.found: dict[tuple[str, int], EpochMatches] = {}
        self.offered: set[str] = set()
        """Tenants whose data a part offers."""
        self.logins: dict[str, set[int]] = defaultdict(set)
        """Keys of different logins at a tenant's own domains."""
        self.staff_logins: dict[str, set[int]] = defaultdict(set)
        """Those of them of the tenant's own people."""
        self.cookies: dict[str, dict[int, Cookie]] = defaultdict(dict)
        """Different cookies of a tenant's own sites, by their keys."""
        self.device_logs = DeviceLogs()
        """Which of its files are of stealers' logs."""
        self.own_cards: dict[str, OwnCards] = defaultdict(OwnCards)
        """Cards of a tenant's own ranges."""
        self.rows_of_others: Counter[str] = Counter()
        """Rows that name another platform than a tenant's."""
        self.rows_of_other_lists: Counter[str] = Counter()
        """Rows of pieces that say above them, or in a column, that they are another platform's
        than a tenant's.
        """
        self.unread: Counter[str] = Counter()
        self.values = UnreadValues()
        self.told = list[UnreadValueCount]()
        """What is told of `values` so far."""
        self.incomplete: set[str] = set()
        """See `reasons`; words of `ullage.records.incomplete`."""
        self.spent = BudgetUse(budget) if budget else None
        self._room = room
        self.guard = FaultGuard(self.add_fault)
        self.faults = list[DetectorFault]()
        self.key = key
        self._identity: hmac.HMAC | None = None
        self._text: FoldedText | None = None
        self._terms = TextTerms()
        self._excerpts = Excerpts()

    def skip(self, outcome: UnreadPart) -> None:
        """Record something in the capture that was not read."""
        self.unread[outcome.reason] += outcome.number
        if self.spent and outcome.reason in OF_OUTCOME:
            self.incomplete.add(OF_OUTCOME[outcome.reason])

    def report_values(self, enrolled: Collection[str]) -> None:
        """Record the unread values counted so far, in place of the earlier report.

        `enrolled` are the forms in the lists.
        """
        for outcome in self.told:
            del self.unread[outcome.reason]
        self.told = self.values.list_reportable(enrolled)
        for outcome in self.told:
            self.skip(outcome)

    def add_valid(self, count: int) -> None:
        """Count valid candidates."""
        self.valid += count

    def add_login(self, tenant: str, key: int, *, is_staff: bool) -> None:
        """Count a login at the own domain of `tenant`; `key` is the login's keyed number.

        Equal keys count one time. `is_staff` marks the login of an employee.
        """
        self.logins[tenant].add(key)
        if is_staff:
            self.staff_logins[tenant].add(key)

    def add_cookie(self, tenant: str, cookie: Cookie) -> None:
        """Count a cookie of a tenant's own site."""
        self.cookies[tenant][cookie.key] = cookie

    def refuses(self, piece: Piece) -> bool:
        """Return whether the budget is exhausted.

        `piece` and all later ones are then omitted.
        """
        reason = self.spent.find_exceeded(piece) if self.spent else ""
        self.incomplete.update({reason} if reason else ())
        return bool(reason)

    @property
    def room(self) -> int | None:
        """Return how many matches of one tenant may be listed; None for all."""
        return self.spent.budget.matches if self.spent else self._room

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return why not all of the capture was searched or scored; () if nothing is missing."""
        return tuple(sorted(self.incomplete))

    def add_fault(self, fault: DetectorFault) -> None:
        """Record that a detector failed on this capture, which marks its result as incomplete."""
        if fault not in self.faults:
            self.faults.append(fault)
        self.incomplete.add(fault.part)

    def add_text(self, text: FoldedText, terms: TextTerms, *, streamed: bool) -> None:
        """Add the folded text of the next part: its terms, and the excerpts around them.

        A text that is `streamed` is only hashed for the capture's identity. Any other text is the
        only part and is kept until the identity is computed.
        """
        self._terms = terms.add_title(self._terms)
        is_under_jargon = bool(self.title_terms.counts) or self.title_terms.is_traded
        if terms.hits or terms.sale_hits or is_under_jargon:
            self._excerpts.add(text.utf8, terms, under_jargon=is_under_jargon)
        if streamed:
            self._identity_hash().update(text.utf8)
        else:
            self._text = text

    @cached_property
    def _tally(self) -> StatisticsTally:
        """Return the tally, created on first use because most captures concern nobody."""
        return StatisticsTally(self.key, self.capture.fetched_at.date())

    def tally(self, part: StatisticsPart, number: int) -> None:
        """Count the next part into the statistics."""
        self._tally.add(part, number)

    @property
    def terms(self) -> TextTerms:
        """Return the lexicon's terms of title and text."""
        return self._terms.add_title(self.title_terms)

    @cached_property
    def claims(self) -> Claims:
        """Return what the post claims to offer, such as volume and price.

        Valid only after all parts of the capture were added.
        """
        return read_claims(self.capture.title, self._excerpts.texts)

    @property
    def claimed(self) -> int:
        """Return how many people or rows the parts read so far claim, 0 for none."""
        return read_claims(self.capture.title, self._excerpts.texts).volume or 0

    def find_best_matches(self, tenant: str) -> EpochMatches | None:
        """Return a tenant's matches under the key generation that has most; None without matches.

        Of two generations with equally many, the newer one is taken.
        """
        candidates = [
            matches for (name, _), matches in self.found.items() if name == tenant and matches.count
        ]
        return max(candidates, key=lambda matches: (matches.count, matches.epoch), default=None)

    def concerns(self, tenant: str) -> bool:
        """Return whether a finding about this capture is to be sent to `tenant`.

        True if the capture has matches, logins or session cookies of the tenant, offers its data,
        or names its brand while content could not be read.
        """
        if (
            tenant in self.offered
            or self.logins.get(tenant)
            or self.cookies.get(tenant)
            or (self.found and self.find_best_matches(tenant))
        ):
            return True
        return bool(self.unread) and self.is_unread and tenant in self.terms.brands

    def count_cookies(self, tenant: str) -> dict[str, Any]:
        """Return how many cookies of a tenant's own sites there are, and until when they are valid.

        A cookie that opens a session is live if it was valid when the capture was fetched. The keys
        are fields of `Statistics`.
        """
        cookies = self.cookies[tenant].values()
        now = self.capture.fetched_at.timestamp()
        live = [
            cookie
            for cookie in cookies
            if cookie.opens and (cookie.expires == SESSION or cookie.expires > now)
        ]
        until = max((cookie.expires for cookie in live), default=SESSION)
        return {
            "cookies": len(cookies),
            "staff_cookies": sum(cookie.is_staff for cookie in cookies),
            "live_cookies": len(live),
            "live_staff_cookies": sum(cookie.is_staff for cookie in live),
            "session_cookies": sum(cookie.expires == SESSION for cookie in live),
            "cookies_until": datetime.fromtimestamp(until, UTC).date() if until else None,
        }

    @property
    def is_unread(self) -> bool:
        """Return whether something that may hold customers was not read completely."""
        return bool(self.unread.keys() - LOSES_NOTHING)

    @property
    def withdraws(self) -> bool:
        """Return whether the capture reports that its post was deleted or edited.

        An edited post counts only if it was read completely, because the leak may be in the unread
        rest. Findings about it go also to tenants that the capture does not concern any more.
        """
        capture = self.capture
        read = not (self.reasons or self.is_unread or capture.truncated)
        return bool(capture.post_name) and (capture.deleted or (capture.edited and read))

    def identity(self) -> str:
        """Return the keyed digest of site, the platform's own id and extracted text."""
        digest = self._identity_hash().copy()
        digest.update(self._utf8)
        return digest.digest()[:16].hex()

    @property
    def _utf8(self) -> bytes:
        """Return the folded text of a single part."""
        return self._text.utf8 if self._text else b""

    def _identity_hash(self) -> hmac.HMAC:
        if self._identity is None:
            self._identity = self.key.start_identity(self.capture.site, self.capture.post_id)
        return self._identity

    def statistics(self) -> Statistics:
        """Return the statistics of the whole capture, equal for every tenant."""
        return self._tally.finish(self.terms.terms, self.unread, self._count_context_words())

    def _count_context_words(self) -> dict[str, int]:
        """Return how many different context words of each theme occur.

        Whether a text that arrived in parts is somebody's record is unknown.
        """
        text = b"\n".join((self.capture.title.encode("utf-8", "surrogatepass"), self._utf8))
        records = 1 if self._identity and not self._utf8 else self._records.count(text)
        return {**self.terms.context, **({RECORD: records} if records else {})}
