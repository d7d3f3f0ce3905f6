"""Examine one submitted file: read it, assess it, compare it with incidents, open one on request.

`ullage assess` examines a file of this machine. For a file that was dropped on a page, match starts
the same command with a socket in place of file and screen (`matcher.cli.assess_service`); search is
at its other end (`ullage.runtime.assessing`). That file is held in nameless memory that is sealed
against changes. Nothing of a file is kept, and the results hold nothing of it but what an incident
may hold.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from matcher.cli.assess_service import ASSESS_SECONDS
from matcher.cli.erasing import resolved
from matcher.cli.evidence_vault import FINDING, outgoing
from matcher.cli.loading import build_matcher, known_here
from matcher.cli.scan import capture_of, pieces_in, printable
from matcher.cli.supervision import SearchNote, supervise
from matcher.cli.verdict import Assessment, KnownIncidents, verdicts
from matcher.match.capture_result import CaptureReading
from matcher.match.counts import to_records
from matcher.match.findings import attach_original, build_findings, desk_sealers
from matcher.match.parts import FailedPart, Piece, report_unread
from matcher.match.pipeline import Matcher
from matcher.unpack.protocol import GIB, LOCAL, Limits, UnreadPart
from matcher.watchlist import installation
from ullage.bus import FINDINGS, Outgoing
from ullage.clock import Clock
from ullage.display import format_csv_line
from ullage.errors import RecordError, UllageError, UnavailableError
from ullage.guard import DIED, DetectorFault
from ullage.identifiers import is_verified
from ullage.incidents import IncidentReference, Incidents, connect_incidents
from ullage.monitoring.canary import TENANT as CANARY
from ullage.records import MAX_MATCHES
from ullage.runtime import assessing
from ullage.runtime.service import no_core_dumps
from ullage.security import keys
from ullage.security.signing import SIGNATURE, SIGNER, Verifier, record_parts
from ullage.settings import Context
from ullage.settings.tenants import find_tenants, require_tenant

COLUMNS = "handle tenant kinds fields rows verified".split()


class ExaminationRequest(NamedTuple):
    """The options of an examination.

    `limits` are those of unpacking; `among` are the tenants that may be reported, None for all;
    `room` is how many matches of a tenant are listed, None for all; `heard` is called with the
    bytes of each piece of text and a function that counts the customers so far.
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
    """The content of standard input, if that is the file."""


class IncidentAccess(NamedTuple):
    """The incidents, or None and why they cannot be queried."""

    incidents: Incidents | None
    why_not: str = ""


class SignedFindings(NamedTuple):
    """Findings as they are published on the bus, and the tenant of each by its id."""

    records: Sequence[Outgoing]
    tenants: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Examination:
    """A file that was read as far as possible; `judged` is its assessment."""

    context: Context
    matcher: Matcher
    reading: CaptureReading
    judged: Assessment

    def customers(self) -> Iterator[str]:
        """Yield its customers as lines of CSV, the header first: pseudonyms, never a value."""
        yield format_csv_line(COLUMNS)
        yield from _lines(self.matcher, self.reading)

    def signed(self) -> SignedFindings:
        """Return the findings from which alert makes an incident, signed by `assess`.

        With them are their tenants, by id; both are empty if nothing was found. Their originals are
        encrypted for the tenant's console. Publishes nothing. Raises ConfigError if there is a
        finding, and a key command or credentials should have the signing key but do not.
        """
        findings = list(build_findings(self.matcher, self.reading, self.context.clock.now()))
        if not findings:
            return SignedFindings((), {})
        signer = keys.load_signer(self.context.keys, "assess")
        sealers = desk_sealers(self.context, {finding.tenant for finding in findings})
        sealed = [
            attach_original(finding, self.reading, sealers.get(finding.tenant))
            for finding in findings
        ]
        return SignedFindings(
            [outgoing(finding, signer) for finding in sealed],
            {finding.id: finding.tenant for finding in findings},
        )


def desk_of(context: Context, stack: ExitStack, *, to_open: bool) -> IncidentAccess:
    """Return access to the incidents, until `stack` is closed."""
    try:
        return IncidentAccess(stack.enter_context(connect_incidents(context, to_open=to_open)))
    except UllageError as error:
        return IncidentAccess(None, str(error))


def examine(
    context: Context, file: Path, named: Path, desk: IncidentAccess, wanted: ExaminationRequest
) -> Examination:
    """Read and assess `file`, which is reported as `named`.

    `desk` gives access to earlier incidents, if there is any. Raises `ConfigError` if there is no
    customer list to search, or the wanted tenant is unknown. Parts that cannot be read do not
    raise: they are listed in the result.
    """
    known = find_tenants(context) | {*installation.tenants(context.data)} - {CANARY}
    if wanted.tenant:
        require_tenant(wanted.tenant, known)
    is_detailed = wanted.to_open or wanted.customers or desk.incidents is not None
    looked_for = known_here(context, wanted.tenant, canaries=False)
    if wanted.among is not None:
        known &= wanted.among
        looked_for = looked_for._replace(
            lists=[lists for lists in looked_for.lists if lists.tenant in wanted.among]
        )
    matcher = build_matcher(context, detailed=is_detailed, known=looked_for)
    absent = sorted(
        ({wanted.tenant} if wanted.tenant else known) - {lists.tenant for lists in matcher.lists}
    )
    outcomes = list[UnreadPart]()
    reading = _read(context, matcher, (file, named), outcomes, wanted)
    before = (
        _compare_incidents(desk.incidents, matcher, reading, context)
        if desk.incidents
        else KnownIncidents(why_not=desk.why_not)
    )
    judged = Assessment(
        *verdicts(context, matcher, reading, before), before.why_not, outcomes, absent, named
    )
    outcomes += [
        FailedPart(printable(named), fault)
        for fault in {fault.part: fault for fault in reading.faults}.values()
    ]
    return Examination(context, matcher, reading, judged)


def open_incidents(
    context: Context, desk: IncidentAccess, signed: SignedFindings, wait: float
) -> dict[str, IncidentReference]:
    """Publish findings for alert on the bus; return the incident of each tenant.

    Waits at most `wait` seconds. Returns {} without findings. Where this host cannot see the
    incidents, or alert has not processed a finding in time, the reference says so instead of an
    incident. Raises UnavailableError if the bus is down.
    """
    if not signed.records:
        return {}
    with closing(context.bus()) as bus:
        bus.publisher(FINDINGS).append(signed.records)
    if desk.incidents is None:
        unseen = IncidentReference(
            why_not=f"submitted; this host cannot see whether it was processed: {desk.why_not}"
        )
        return dict.fromkeys(signed.tenants.values(), unseen)
    try:
        folded = desk.incidents.wait_until_grouped(signed.tenants.keys(), wait)
    except UllageError as error:
        folded = dict.fromkeys(
            signed.tenants, IncidentReference(why_not=f"submitted, but not processed yet: {error}")
        )
    return {tenant: folded[id_] for id_, tenant in signed.tenants.items()}


def _read(
    context: Context,
    matcher: Matcher,
    given: tuple[Path, Path],
    outcomes: list[UnreadPart],
    wanted: ExaminationRequest,
) -> CaptureReading:
    """Return the file as one capture of a site of its own.

    `given` are the file and the name to report. Parts that were not read are added to `outcomes`.
    Raises nothing for a part that fails; in a file on which an earlier process died, nothing is
    unpacked again.
    """
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
        best = (reading.find_best_matches(lists.tenant) for lists in matcher.lists)
        return sum(len(found.subjects) for found in best if found)

    def pieces() -> Iterator[Piece]:
        if wanted.note is not None and not wanted.note.begin_file():
            reading.add_fault(DetectorFault("unpack", DIED))
            return
        with reading.guard.step("unpack"):
            limits, given = wanted.limits, wanted.given
            unpacked = pieces_in(
                file, 0, on_skipped, limits=limits, named=named, guard=reading.guard, given=given
            )
            for piece in report_unread(unpacked, printable(named), outcomes, on_skipped):
                yield piece
                wanted.heard(piece.size, customers)

    [read] = matcher.gather(pieces(), [reading], wanted.note)
    outcomes += read.told
    return read


def _compare_incidents(
    desk: Incidents, matcher: Matcher, reading: CaptureReading, context: Context
) -> KnownIncidents:
    """Return what incidents show about each tenant's customers in the file."""
    findings = build_findings(matcher, reading, context.clock.now())
    # the first record of a tenant's finding holds the sketch, and as many customers as are asked
    # for
    try:
        return KnownIncidents(
            {f.tenant: desk.find_history(f) for f in findings if f.part == 1 and f.matches}
        )
    except UllageError as error:
        return KnownIncidents(why_not=str(error))


@dataclass(slots=True)
class _Customer:
    """The matches of one customer, in words of closed lists."""

    kinds: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    rows: set[tuple[int, int]] = field(default_factory=set)
    verified: bool = False

    def add(
        self, kind: str, labels: Sequence[str], own: Sequence[str], row: tuple[int, int]
    ) -> None:
        """Add a match."""
        self.kinds.add(kind)
        self.fields.update(labels)
        self.rows.add(row)
        self.verified = self.verified or is_verified([kind], corroborated=len(own) >= 2)


def _lines(matcher: Matcher, reading: CaptureReading) -> Iterator[str]:
    """Yield a line of CSV per customer, by tenant and pseudonym, without a header.

    The number of listed matches is limited; of customers in none of them, only the pseudonym and
    the tenant are given.
    """
    for lists in matcher.lists:
        customers: dict[str, _Customer] = {}
        found = reading.find_best_matches(lists.tenant)
        for some in found.details if found else ():
            for match in to_records(some):
                row = match.member, match.row
                customers.setdefault(match.subject, _Customer()).add(
                    match.kind, match.fields, match.own_fields, row
                )
        for epoch in lists.epochs if found else ():
            if found and epoch.number == found.epoch:
                customers |= {
                    handle: _Customer()
                    for handle in epoch.list.handles(found.subjects.subjects)
                    if handle not in customers
                }
        for handle, seen in sorted(customers.items()):
            words = " ".join(sorted(seen.kinds)), " ".join(sorted(seen.fields))
            told = (
                (str(len(seen.rows)), "yes" if seen.verified else "no") if seen.kinds else ("", "")
            )
            yield format_csv_line((handle, lists.tenant, *words, *told))


LINE, REFERENCES = 1 << 16, 1000
SECONDS_BETWEEN_NEWS = 0.5
EXPENDABLE = "500"
"""From -1000 to 1000: when memory runs out, the kernel ends this process before match."""
DROPPED = LOCAL._replace(
    total_bytes=8 * GIB,
    member_bytes=4 * GIB,
    cpu_seconds=int(ASSESS_SECONDS),
    wall_seconds=ASSESS_SECONDS,
)
"""Limits of a dropped file."""
NOBODY_WAITS = IncidentAccess(None, "search follows the result itself")


@dataclass(slots=True)
class AssessmentStream:
    """The answer on the socket, in lines of JSON. Threads share it."""

    connection: socket.socket
    clock: Clock
    _read: int = 0
    _told: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, **what: object) -> None:
        """Send one line."""
        with self._lock:
            self.connection.sendall(json.dumps(what, ensure_ascii=False).encode() + b"\n")

    def heard(self, size: int, _customers: object) -> None:
        """Add `size` bytes of text to those read, and report the sum from time to time."""
        self._read += size
        if self.clock.monotonic() - self._told >= SECONDS_BETWEEN_NEWS:
            self._told = self.clock.monotonic()
            self.say(read=self._read)


def serve_one(context: Context, descriptor: int, file: int) -> None:
    """Answer the request on standard input for the file that is open as `file`.

    The client is at the socket `descriptor`, which is closed at the end. Switches off core dumps,
    and makes this process the first to be ended when memory runs out. An error of ullage, or too
    little memory, is reported to the client and raised.
    """
    no_core_dumps()
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(EXPENDABLE, encoding="ascii")
    question = assessing.question_in(sys.stdin.buffer.read())
    with socket.socket(fileno=descriptor) as connection:
        answer = AssessmentStream(connection, context.clock)
        try:
            if question.verb == "resolve":
                _resolve(context, question, file, answer)
            elif question.verb == "open":
                opened = _records(context, file)
                open_incidents(context, NOBODY_WAITS, opened, 0.0)
                answer.say(handed=opened.tenants)
            else:
                _assess(context, question, Path(f"/proc/self/fd/{file}"), answer)
            answer.say(done=True)
        except UnavailableError:
            raise  # the client is gone
        except UllageError as error:
            answer.say(error=str(error))
            raise
        except MemoryError:
            answer.say(error="the file needs more memory than is available")
            raise


def _resolve(
    context: Context, question: assessing.AssessmentRequest, file: int, answer: AssessmentStream
) -> None:
    """Send the customer references of the received pseudonyms, or the reason why there are none.

    They are sent REFERENCES (1,000) at a time. `file` has the pseudonyms, separated by white space.
    """
    with open(file, "rb", closefd=False) as received:
        wanted = received.read().decode("ascii", "replace").split()
    try:
        found = resolved(context, question, wanted)
    except RecordError as error:
        answer.say(unresolved=error.reason)
        return
    pairs = list(found.items())
    for start in range(0, len(pairs), REFERENCES):
        answer.say(references=dict(pairs[start : start + REFERENCES]))


def _assess(
    context: Context, question: assessing.AssessmentRequest, file: Path, answer: AssessmentStream
) -> None:
    """Send the verdict, the customers and the findings of the received file.

    With `to_open` the findings are published instead of sent; findings larger than `hold_bytes` are
    neither, and the answer says so. May go on in a forked process (`supervise`).
    """
    note = supervise()
    with ExitStack() as stack:
        desk = desk_of(context, stack, to_open=False)
        among = None if question.tenants is None else frozenset(question.tenants)
        wanted = ExaminationRequest(
            DROPPED,
            customers=True,
            among=among,
            room=context.settings.match.capture_matches,
            heard=answer.heard,
            note=note,
        )
        examined = examine(context, file, Path(question.name or "file"), desk, wanted)
    answer.say(
        verdict=examined.judged.as_dict()
        | {"code": int(examined.judged.code(fail=False, fail_on=""))}
    )
    _tell_customers(examined, answer)
    signed = examined.signed()
    if question.to_open:
        open_incidents(context, NOBODY_WAITS, signed, 0.0)
        answer.say(handed=signed.tenants)
    elif sum(len(record.value) for record in signed.records) > question.hold_bytes:
        answer.say(unheld=True)
    else:
        for record in signed.records:
            value = base64.b64encode(record.value).decode()
            answer.say(finding={"key": record.key, "value": value, "headers": dict(record.headers)})


def _tell_customers(examined: Examination, answer: AssessmentStream) -> None:
    """Send the customers as CSV, in pieces of about LINE (65,536) characters.

    The last one may be empty.
    """
    held = ""
    for line in examined.customers():
        held += line
        if len(held) > LINE:
            answer.say(customers=held)
            held = ""
    answer.say(customers=held)


def _records(context: Context, received: int) -> SignedFindings:
    """Return the findings that were sent back to be opened as incidents.

    They are read from the descriptor `received`. Raises `RecordError` for one that `assess` on this
    machine did not sign.
    """
    signer = keys.load_signer(context.keys, "assess")
    verifier = Verifier(lambda: {signer.name: signer.private.public_key()})
    records, tenants = list[Outgoing](), dict[str, str]()
    with open(received, "rb", buffering=0, closefd=False) as file:
        for payload in assessing.frames(file):
            record = _record(payload)
            parts = record_parts(FINDINGS, record.headers, record.value)
            verifier.verify(
                record.headers.get(SIGNER, ""), record.headers.get(SIGNATURE, ""), FINDING, *parts
            )
            records.append(record)
            tenants[record.headers["id"]] = record.headers["tenant"]
    return SignedFindings(records, tenants)


def _record(payload: bytes) -> Outgoing:
    try:
        said = json.loads(payload)
        headers = {str(name): str(value) for name, value in said["headers"].items()}
        return Outgoing(headers["tenant"], base64.b64decode(said["value"], validate=True), headers)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RecordError(
            "malformed", "the result is not a valid finding: repeat the request"
        ) from None
