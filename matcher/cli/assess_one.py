"""One dropped file, judged in a process of its own: `ullage assess` with a socket in the place of file and screen.

Match starts it (`matcher.cli.assess_service`), search is at the other end (`ullage.runtime.assessing`). The file is whole, in
memory that has no name and is sealed against every change, and is read from there like any other file.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from matcher.cli.assess_service import ASSESS_SECONDS
from matcher.cli.authentic import FINDING
from matcher.cli.examine import Examination, ExaminationRequest, IncidentAccess, SignedFindings, desk_of, examine, open_incidents
from matcher.cli.references import resolved
from matcher.cli.supervision import supervise
from matcher.unpack.limits import GIB, LOCAL, Limits
from ullage.bus import FINDINGS, Outgoing
from ullage.clock import Clock
from ullage.errors import RecordError, UllageError, UnavailableError
from ullage.runtime import assessing
from ullage.runtime.service import no_core_dumps
from ullage.security import keys
from ullage.security.signing import SIGNATURE, SIGNER, Signer, Verifier, record_parts
from ullage.settings import Context

LINE, REFERENCES = 1 << 16, 1000
SECONDS_BETWEEN_NEWS = 0.5
EXPENDABLE = "500"
"""Of -1000 to 1000: where memory runs out, the kernel ends this before match."""
NOBODY_WAITS = IncidentAccess(None, "search looks itself what came of it")


def limits(seconds: float) -> Limits:
    """How far a dropped file is unpacked, within the time that it has."""
    return LOCAL._replace(total_bytes=8 * GIB, member_bytes=4 * GIB, cpu_seconds=int(seconds), wall_seconds=seconds)


@dataclass(slots=True)
class AssessmentStream:
    """What is said on the socket, a line of JSON each. Threads share it."""

    connection: socket.socket
    clock: Clock
    _read: int = 0
    _told: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, **what: object) -> None:
        """One line."""
        with self._lock:
            self.connection.sendall(json.dumps(what, ensure_ascii=False).encode() + b"\n")

    def heard(self, size: int, _customers: object) -> None:
        """So many bytes of text more were read; said now and then."""
        self._read += size
        if self.clock.monotonic() - self._told >= SECONDS_BETWEEN_NEWS:
            self._told = self.clock.monotonic()
            self.say(read=self._read)


def serve_one(context: Context, descriptor: int, file: int) -> None:
    """Answer the question on standard input of the file that is open as `file`, to whoever is at the socket `descriptor`."""
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
            raise  # nobody is there to hear it
        except UllageError as error:
            answer.say(error=str(error))
            raise
        except MemoryError:
            answer.say(error="it needs more memory than there is")
            raise


def _resolve(context: Context, question: assessing.AssessmentRequest, file: int, answer: AssessmentStream) -> None:
    """The customer references of pseudonyms that were received, or in a word why there are none."""
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


def _assess(context: Context, question: assessing.AssessmentRequest, file: Path, answer: AssessmentStream) -> None:
    """The verdict, the customers and the findings of a file that was received whole."""
    note = supervise()
    with ExitStack() as stack:
        desk = desk_of(context, stack, to_open=False)
        among = None if question.tenants is None else frozenset(question.tenants)
        wanted = ExaminationRequest(
            limits(ASSESS_SECONDS),
            customers=True,
            among=among,
            room=context.settings.match.capture_matches,
            heard=answer.heard,
            note=note,
        )
        examined = examine(context, file, Path(question.name or "file"), desk, wanted)
    answer.say(verdict=examined.judged.as_dict() | {"code": int(examined.judged.code(fail=False, fail_on=""))})
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
    """The customers as CSV, in pieces."""
    held = ""
    for line in examined.customers():
        held += line
        if len(held) > LINE:
            answer.say(customers=held)
            held = ""
    answer.say(customers=held)


def _records(context: Context, received: int) -> SignedFindings:
    """Findings that come back to be opened; RecordError for one that was not signed by `assess` on this machine."""
    signer = keys.signer(context.keys, "assess")
    verifier, records, tenants = _own(signer), list[Outgoing](), dict[str, str]()
    with open(received, "rb", buffering=0, closefd=False) as file:
        for payload in assessing.frames(file):
            record = _record(payload)
            parts = record_parts(FINDINGS, record.headers, record.value)
            verifier.verify(record.headers.get(SIGNER, ""), record.headers.get(SIGNATURE, ""), FINDING, *parts)
            records.append(record)
            tenants[record.headers["id"]] = record.headers["tenant"]
    return SignedFindings(records, tenants)


def _own(signer: Signer) -> Verifier:
    """Knows one signer alone."""
    return Verifier(lambda: {signer.name: signer.private.public_key()})


def _record(payload: bytes) -> Outgoing:
    try:
        said = json.loads(payload)
        headers = {str(name): str(value) for name, value in said["headers"].items()}
        return Outgoing(headers["tenant"], base64.b64decode(said["value"], validate=True), headers)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RecordError("malformed", "that is no finding") from None
