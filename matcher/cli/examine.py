"""One file that somebody sent: read, judged, compared with earlier incidents, and made one where that is asked.

`ullage assess` does this for a file of this machine, the process that match starts for the page (`matcher.cli.assess_one`) for
one that was dropped there. Nothing of the file is kept, and nothing of it is in what is handed out but what an incident may hold.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from matcher.cli.authentic import outgoing
from matcher.cli.loading import build_matcher, known_here
from matcher.cli.scan import capture_of, pieces_in, printable
from matcher.cli.supervision import SearchNote
from matcher.cli.verdict import Assessment, KnownIncidents, verdicts
from matcher.match.capture_result import CaptureReading
from matcher.match.counts import records
from matcher.match.findings import desks, findings_of, with_original
from matcher.match.parts import FailedPart, Piece, watched
from matcher.match.pipeline import Matcher
from matcher.unpack.limits import Limits
from matcher.unpack.protocol import UnreadPart
from matcher.watchlist import installation
from ullage.bus import FINDINGS, Outgoing
from ullage.display import csv_line
from ullage.errors import UllageError
from ullage.guard import DIED, DetectorFault
from ullage.identifiers import is_verified
from ullage.incidents import IncidentReference, Incidents, incidents
from ullage.monitoring.canary import TENANT as CANARY
from ullage.records import MAX_MATCHES
from ullage.security import keys
from ullage.settings import Context
from ullage.settings.tenants import require_tenant, tenants_here

COLUMNS = "handle tenant kinds fields rows verified".split()


class ExaminationRequest(NamedTuple):
    """What is asked of a file.

    `limits` is how far it is unpacked, `among` the tenants of whom something may be said, None for all; `room` is how many
    matches of a tenant are listed, None for all; `heard` is told of the bytes of each piece of text, and may count the customers
    so far.
    """

    limits: Limits
    tenant: str = ""
    customers: bool = False
    to_open: bool = False
    among: frozenset[str] | None = None
    room: int | None = None
    heard: Callable[[int, Callable[[], int]], None] = lambda _size, _customers: None
    note: SearchNote | None = None
    """Where the search is noted for a process that outlives this one."""
    given: bytes | None = None
    """What standard input held, where that is the file."""


class IncidentAccess(NamedTuple):
    """The incidents, or None and why they cannot be asked."""

    incidents: Incidents | None
    why_not: str = ""


class SignedFindings(NamedTuple):
    """Findings as they go onto the bus, and of each its tenant by its id."""

    records: Sequence[Outgoing]
    tenants: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Examination:
    """A file that was read whole, as far as it can be; `judged` is all that is said of it."""

    context: Context
    matcher: Matcher
    reading: CaptureReading
    judged: Assessment

    def customers(self) -> Iterator[str]:
        """The customers in it as lines of CSV, the header first: handles, never a value."""
        yield csv_line(COLUMNS)
        yield from _lines(self.matcher, self.reading)

    def signed(self) -> SignedFindings:
        """What alert makes an incident of, signed by `assess`; its originals are sealed to the tenant's desk."""
        findings = list(findings_of(self.matcher, self.reading, self.context.clock.now()))
        if not findings:
            return SignedFindings((), {})
        signer = keys.signer(self.context.keys, "assess")
        sealers = desks(self.context, {finding.tenant for finding in findings})
        sealed = [with_original(finding, self.reading, sealers.get(finding.tenant)) for finding in findings]
        return SignedFindings(
            [outgoing(finding, signer) for finding in sealed], {finding.id: finding.tenant for finding in findings}
        )


def desk_of(context: Context, stack: ExitStack, *, to_open: bool) -> IncidentAccess:
    """The incidents, until `stack` is closed."""
    try:
        return IncidentAccess(stack.enter_context(incidents(context, to_open=to_open)))
    except UllageError as error:
        return IncidentAccess(None, str(error))


def examine(context: Context, file: Path, named: Path, desk: IncidentAccess, wanted: ExaminationRequest) -> Examination:
    """Read and judge `file`, which is told as `named`. ConfigError where there is nobody to look for."""
    known = tenants_here(context) | {*installation.tenants(context.data)} - {CANARY}
    if wanted.tenant:
        require_tenant(wanted.tenant, known)
    is_detailed = wanted.to_open or wanted.customers or desk.incidents is not None
    looked_for = known_here(context, wanted.tenant, canaries=False)
    if wanted.among is not None:
        known &= wanted.among
        looked_for = looked_for._replace(lists=[lists for lists in looked_for.lists if lists.tenant in wanted.among])
    matcher = build_matcher(context, detailed=is_detailed, known=looked_for)
    absent = sorted(({wanted.tenant} if wanted.tenant else known) - {lists.tenant for lists in matcher.lists})
    outcomes = list[UnreadPart]()
    reading = _read(context, matcher, (file, named), outcomes, wanted)
    before = _compared(desk.incidents, matcher, reading, context) if desk.incidents else KnownIncidents(why_not=desk.why_not)
    judged = Assessment(*verdicts(context, matcher, reading, before), before.why_not, outcomes, absent, named)
    outcomes += [FailedPart(printable(named), fault) for fault in {fault.part: fault for fault in reading.faults}.values()]
    return Examination(context, matcher, reading, judged)


def open_incidents(context: Context, desk: IncidentAccess, signed: SignedFindings, wait: float) -> dict[str, IncidentReference]:
    """Hand findings to alert by the bus, as all findings go; what became of them within `wait` seconds, a tenant."""
    if not signed.records:
        return {}
    with closing(context.bus()) as bus:
        bus.publisher(FINDINGS).append(signed.records)
    if desk.incidents is None:
        unseen = IncidentReference(why_not=f"submitted; whether it was processed is not visible here: {desk.why_not}")
        return dict.fromkeys(signed.tenants.values(), unseen)
    try:
        folded = desk.incidents.folded(signed.tenants.keys(), wait)
    except UllageError as error:
        folded = dict.fromkeys(signed.tenants, IncidentReference(why_not=f"submitted, but not processed yet: {error}"))
    return {tenant: folded[id_] for id_, tenant in signed.tenants.items()}


def _read(
    context: Context, matcher: Matcher, given: tuple[Path, Path], outcomes: list[UnreadPart], wanted: ExaminationRequest
) -> CaptureReading:
    """The file as one capture of a site of its own; what is not read of it goes to `outcomes`."""
    file, named = given
    capture = capture_of(named, b"", context.clock.now()).model_copy(
        update={"id": secrets.token_hex(16), "site": "assess", "post_id": secrets.token_hex(8)}
    )
    room = wanted.room if wanted.to_open or wanted.customers else MAX_MATCHES
    reading = CaptureReading(capture, matcher.key, matcher.lexicon.records, room=room)

    def on_skipped(outcome: UnreadPart) -> None:
        reading.skip(outcome)
        outcomes.append(outcome)

    def customers() -> int:
        best = (reading.best(lists.tenant) for lists in matcher.lists)
        return sum(len(found.subjects) for found in best if found)

    def pieces() -> Iterator[Piece]:
        if wanted.note is not None and not wanted.note.begin_file():
            reading.add_fault(DetectorFault("unpack", DIED))
            return
        with reading.guard.step("unpack"):
            limits, given = wanted.limits, wanted.given
            unpacked = pieces_in(file, 0, on_skipped, limits=limits, named=named, guard=reading.guard, given=given)
            for piece in watched(unpacked, printable(named), outcomes, on_skipped):
                yield piece
                wanted.heard(piece.size, customers)

    [read] = matcher.gather(pieces(), [reading], wanted.note)
    outcomes += read.told
    return read


def _compared(desk: Incidents, matcher: Matcher, reading: CaptureReading, context: Context) -> KnownIncidents:
    """What incidents know of each tenant's customers in the file."""
    findings = findings_of(matcher, reading, context.clock.now())
    try:  # the first record of a tenant's finding holds the sketch, and as many customers as are asked for
        return KnownIncidents({f.tenant: desk.earlier(f) for f in findings if f.part == 1 and f.matches})
    except UllageError as error:
        return KnownIncidents(why_not=str(error))


@dataclass(slots=True)
class _Customer:
    """What was seen of one; the words are of closed lists."""

    kinds: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    rows: set[tuple[int, int]] = field(default_factory=set)
    verified: bool = False

    def add(self, kind: str, labels: Sequence[str], own: Sequence[str], row: tuple[int, int]) -> None:
        """A match."""
        self.kinds.add(kind)
        self.fields.update(labels)
        self.rows.add(row)
        self.verified = self.verified or is_verified([kind], corroborated=len(own) >= 2)


def _lines(matcher: Matcher, reading: CaptureReading) -> Iterator[str]:
    """A line a customer; of those in none of the matches that are listed, of which there is a limit, only who they are."""
    for lists in matcher.lists:
        customers: dict[str, _Customer] = {}
        found = reading.best(lists.tenant)
        for some in found.details if found else ():
            for match in records(some):
                row = match.member, match.row
                customers.setdefault(match.subject, _Customer()).add(match.kind, match.fields, match.own_fields, row)
        for epoch in lists.epochs if found else ():
            if found and epoch.number == found.epoch:
                customers |= {
                    handle: _Customer() for handle in epoch.list.handles(found.subjects.subjects) if handle not in customers
                }
        for handle, seen in sorted(customers.items()):
            words = " ".join(sorted(seen.kinds)), " ".join(sorted(seen.fields))
            told = (str(len(seen.rows)), "yes" if seen.verified else "no") if seen.kinds else ("", "")
            yield csv_line((handle, lists.tenant, *words, *told))
