"""Assess a file that somebody drops on a page, and keep the result in memory for half an hour.

`Upload` reads the form as it arrives, and `Judge` streams the file to match, which alone reads its
content. The result goes into an `AssessmentCache` under an unguessable name that works only for the
person who sent the file. The cache is bounded, and the oldest results are dropped. Match may be
busy (BusyError), not running or unable to judge (NotJudgedError).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from alerts.accounts import Principal
from alerts.records.document import QueryError
from ullage.clock import Clock
from ullage.errors import UllageError
from ullage.incidents import IncidentReference
from ullage.phrase import Phrase
from ullage.runtime import assessing

LONGEST_LINE = 64 << 20
QUEUE_SECONDS = 60.0
"""Seconds that a page waits for its turn to send the file."""
STATUS_SECONDS = 2.0
"""Seconds that a page waits for the first line of match, which sends one at once."""
VERDICT_SECONDS = 660.0
"""Seconds that a page waits for a whole answer; match gives a file ten minutes."""
AWAY = Phrase(
    "match is not running, so the file was not processed. Start it and upload the file again"
)
HANGS = Phrase(
    "match does not respond, so the file was not processed. Restart it and upload the file again"
)
BROKEN = Phrase("match stopped before it finished, so there is no verdict: upload the file again")


UNANSWERED = Phrase("match did not resolve the pseudonyms: check that it runs, and try again")
UNRESOLVED: Mapping[str, Phrase] = {
    "off": Phrase(
        "match gives out no customer references of this tenant: set reference_approvals"
        " in its configuration too"
    ),
    "approval": Phrase(
        "match requires more approvals than were given: set reference_approvals here as in"
        " its configuration"
    ),
    "budget": Phrase(
        "the daily limit of customer references of this tenant is reached: raise"
        " reference_budget, or wait a day"
    ),
    "too_many": Phrase(
        "these are too many customers to be resolved at once: use `ullage subjects resolve`"
    ),
    "absent": Phrase(
        "match's host has no encrypted references of this tenant: use `ullage subjects resolve`"
        " where they are"
    ),
    "damaged": Phrase(
        "the encrypted references of this tenant cannot be read: build the customer list again"
    ),
}
"""Messages for the reasons why match resolves no pseudonyms."""


class BusyError(UllageError):
    """Others are before this file; `retry_after` is in seconds."""

    def __init__(self, before: int, retry_after: int) -> None:
        self.before, self.retry_after = before, retry_after
        super().__init__(
            Phrase(
                "files are processed one at a time, and %(before)s are ahead of this one: try again"
                " in %(seconds)s s",
                before=before,
                seconds=retry_after,
            )
        )


class NotResolvedError(UllageError):
    """There are no customer references; the message gives the reason."""


class NotJudgedError(UllageError):
    """There is no verdict, and nothing was kept; the message gives the reason."""


@dataclass(slots=True)
class FileAssessment:
    """The result of assessing a file.

    `verdict` is that of `ullage assess --json`, `customers` is CSV, and `findings` are signed. The
    findings are missing if they were opened at once or are too large (`unheld`). `handed` maps the
    ids of findings put on the bus to their tenants.
    """

    verdict: dict[str, Any] = field(default_factory=dict)
    customers: str = ""
    findings: list[dict[str, Any]] = field(default_factory=list)
    handed: dict[str, str] = field(default_factory=dict)
    unheld: bool = False


@dataclass(frozen=True, slots=True)
class Judge:
    """Sends requests to the match process of the data folder `data`, over its socket."""

    data: Path

    async def count_waiting(self, tenants: tuple[str, ...] | None) -> int:
        """Return how many files of those who see `tenants` (None: all) are being assessed or wait.

        Raises NotJudgedError if match does not run or does not answer within two seconds.
        """
        async with self._connect(assessing.AssessmentRequest(verb="status", tenants=tenants)) as (
            reader,
            _,
        ):
            return int((await _read_first_line(reader)).get("waiting", 0))

    async def judge(
        self, question: assessing.AssessmentRequest, chunks: AsyncIterator[bytes]
    ) -> FileAssessment:
        """Have match assess the file in `chunks` and return the result.

        `chunks` is read once match has room. Raises BusyError if there is no room within a minute,
        NotJudgedError if match does not run or gives no verdict.
        """

        async def send(writer: asyncio.StreamWriter) -> None:
            async for chunk in chunks:
                writer.write(assessing.to_frame(chunk))
                await writer.drain()

        return await self._submit(question, send)

    async def open(
        self, findings: Sequence[dict[str, Any]], tenants: tuple[str, ...] | None
    ) -> dict[str, str]:
        """Send findings of an earlier assessment to match, which puts them on the bus.

        Returns the tenants by finding id. `tenants` are those of the principal, None for all.
        Raises BusyError if match has no room within a minute, NotJudgedError if it does not run or
        fails.
        """

        async def send(writer: asyncio.StreamWriter) -> None:
            for finding in findings:
                writer.write(assessing.to_frame(json.dumps(finding).encode()))
                await writer.drain()

        return (
            await self._submit(assessing.AssessmentRequest(verb="open", tenants=tenants), send)
        ).handed

    async def can_resolve(self, tenant: str) -> bool:
        """Return whether match can resolve pseudonyms of `tenant`.

        It is False if match does not run or does not answer at once.
        """
        question = assessing.AssessmentRequest(verb="status", tenants=(tenant,))
        try:
            async with self._connect(question) as (reader, _):
                return tenant in (await _read_first_line(reader)).get("resolves", ())
        except NotJudgedError:
            return False

    async def resolve(
        self, tenant: str, approval: assessing.ReferenceApproval, pseudonyms: Sequence[str]
    ) -> dict[str, str]:
        """Have match resolve pseudonyms; return the customer references by pseudonym.

        Those that match sends no reference for are left out. Raises NotResolvedError with the
        reason if match refuses, is busy or does not run.
        """
        question, references = (
            assessing.AssessmentRequest(verb="resolve", tenants=(tenant,), approval=approval),
            dict[str, str](),
        )
        try:
            async with self._connect(question) as (reader, writer), _limit_time():
                await _wait_for_turn(reader)
                writer.write(
                    assessing.to_frame("\n".join(pseudonyms).encode()) + assessing.to_frame(b"")
                )
                await writer.drain()
                while "done" not in (line := await _read_line(reader)):
                    if "unresolved" in line:
                        raise NotResolvedError(UNRESOLVED.get(line["unresolved"], UNANSWERED))
                    references |= line.get("references", {})
        except (NotJudgedError, BusyError, ConnectionError):
            raise NotResolvedError(UNANSWERED) from None
        return references

    async def _submit(
        self,
        question: assessing.AssessmentRequest,
        send: Callable[[asyncio.StreamWriter], Awaitable[None]],
    ) -> FileAssessment:
        async with self._connect(question) as (reader, writer), _limit_time():
            await _wait_for_turn(reader)
            # why match hung up stands in what it said before
            with contextlib.suppress(ConnectionError):
                await send(writer)
                writer.write(assessing.to_frame(b""))
                await writer.drain()
            return await _read_assessment(reader)

    @contextlib.asynccontextmanager
    async def _connect(
        self, question: assessing.AssessmentRequest
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Connect to match, send `question`, and yield the streams.

        Raises NotJudgedError if match cannot be reached. The stream is closed afterwards.
        """
        with assessing.address(self.data) as address:
            try:
                reader, writer = await asyncio.open_unix_connection(address, limit=LONGEST_LINE)
            except OSError:
                raise NotJudgedError(AWAY) from None
        try:
            writer.write(assessing.to_frame(question.model_dump_json().encode()))
            yield reader, writer
        finally:
            writer.close()


async def _wait_for_turn(reader: asyncio.StreamReader) -> None:
    """Wait until match has room for the file; raise BusyError after `QUEUE_SECONDS`."""
    before = 0
    try:
        async with asyncio.timeout(QUEUE_SECONDS):
            line = await _read_first_line(reader)
            while "go" not in line:
                before = int(line.get("place", before))
                line = await _read_line(reader)
    except TimeoutError:
        raise BusyError(before, int(QUEUE_SECONDS)) from None


async def _read_assessment(reader: asyncio.StreamReader) -> FileAssessment:
    """Read the lines of an assessment up to `done`.

    Raises what `_read_line` raises, if match reports an error or ends before.
    """
    assessment, customers = FileAssessment(), list[str]()
    while "done" not in (line := await _read_line(reader)):
        assessment.verdict = line.get("verdict", assessment.verdict)
        assessment.handed = line.get("handed", assessment.handed)
        assessment.unheld = line.get("unheld", assessment.unheld)
        customers += [line["customers"]] if "customers" in line else []
        assessment.findings += [line["finding"]] if "finding" in line else []
    assessment.customers = "".join(customers)
    return assessment


@contextlib.asynccontextmanager
async def _limit_time() -> AsyncIterator[None]:
    """Raise NotJudgedError if the block takes longer than `VERDICT_SECONDS`."""
    try:
        async with asyncio.timeout(VERDICT_SECONDS):
            yield
    except TimeoutError:
        raise NotJudgedError(HANGS) from None


async def _read_first_line(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Return the line that match sends at once.

    Raises NotJudgedError after `STATUS_SECONDS`; otherwise as `_read_line`.
    """
    try:
        async with asyncio.timeout(STATUS_SECONDS):
            return await _read_line(reader)
    except TimeoutError:
        raise NotJudgedError(HANGS) from None


async def _read_line(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Return the next line of match's answer.

    Raises NotJudgedError if there is none or it reports an error, BusyError if there is no room.
    """
    try:
        line = await reader.readline()
    except (ConnectionError, ValueError):
        line = b""
    if not line.endswith(b"\n"):
        raise NotJudgedError(BROKEN)
    message: dict[str, Any] = json.loads(line)
    if "busy" in message:
        raise BusyError(int(message["busy"]["waiting"]), int(message["busy"]["retry_after"]))
    if "error" in message:
        raise NotJudgedError(Phrase("no verdict: %(why)s", why=message["error"]))
    return message


SECONDS = 1800.0
MOST = 16
MOST_BYTES = 256 << 20
"""Memory of all results for those who see the same tenants; the oldest are evicted first."""
FINDINGS_BYTES = 32 << 20
"""Findings of one file that are kept until somebody opens them.

Larger ones are opened when the file is uploaded, or not at all.
"""


@dataclass(slots=True)
class DroppedFile:
    """An assessed file: its name, how it was submitted and who provided it (`giver`).

    `opened` is the incident opened for each tenant.
    """

    name: str
    how: str
    giver: str
    judged: FileAssessment
    opened: dict[str, IncidentReference] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Return its approximate memory in bytes."""
        return (
            3 * len(self.judged.customers) // 2
            + sum(len(finding["value"]) for finding in self.judged.findings)
            + 65_536
        )


class _CachedAssessment(NamedTuple):
    since: float
    owner: str
    whose: str
    dropped: DroppedFile


@dataclass(slots=True)
class AssessmentCache:
    """Keeps assessed files under unguessable names. Thread-safe.

    The memory is divided among `tenants`.
    """

    clock: Clock
    tenants: int = 1
    _kept: OrderedDict[str, _CachedAssessment] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, dropped: DroppedFile, principal: Principal) -> str:
        """Store a file for `principal` and return the unguessable name under which `get` finds it.

        Of those who see the same tenants, the oldest files are removed until 16 are left that fit
        the memory; this one stays, however large.
        """
        name, whose, room = (
            secrets.token_urlsafe(24),
            principal.whose,
            MOST_BYTES // max(1, self.tenants),
        )
        with self._lock:
            self._kept[name] = _CachedAssessment(
                self.clock.monotonic(), _owner(principal), whose, dropped
            )
            entries = [
                (key, entry.dropped.size)
                for key, entry in self._kept.items()
                if entry.whose == whose
            ]
            total = sum(size for _, size in entries)
            for key, size in entries[:-1]:  # the last is kept, however large
                if len(entries) <= MOST and total <= room:
                    break
                del self._kept[key]
                entries, total = entries[1:], total - size
        return name

    def get(self, name: str, principal: Principal) -> DroppedFile | None:
        """Return the file of that name; None if there is none for this session of `principal`.

        Files older than half an hour are removed first.
        """
        now = self.clock.monotonic()
        with self._lock:
            for old in [key for key, entry in self._kept.items() if now - entry.since > SECONDS]:
                del self._kept[old]
            match = self._kept.get(name)
        return match.dropped if match and match.owner == _owner(principal) else None


def _owner(principal: Principal) -> str:
    return f"{principal.session}\n{principal.name}\n{principal.whose}"


MOST_FIELDS = 16 * 1024
"""Bytes of all fields except the file."""


class Upload:
    """A multipart form whose last field is its file.

        upload = Upload(request, "file")
        fields = await upload.fields()           # all but the file
        async for chunk in upload.chunks(): ...  # the file, named `upload.name` by its sender

    Raises QueryError for a malformed form.
    """

    def __init__(self, request: Request, file: str) -> None:
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise QueryError("invalid form: open the page again")
        self._file, self._stream = file, request.stream()
        self._fields: dict[str, bytearray] = {}
        self._header, self._value, self._headers = bytearray(), bytearray(), dict[str, bytes]()
        self._in, self._room = "", MOST_FIELDS
        self._held = list[bytes]()
        self.name = ""
        self._is_whole = self._has_file = False
        self.taken = asyncio.Event()
        """Set once the whole form was received."""
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._on_header,
                "on_headers_finished": self._on_headers,
                "on_part_data": self._on_data,
                "on_end": self._on_end,
            },
        )

    async def fields(self) -> dict[str, str]:
        """Read the form up to the file, and return the fields that come before it, by name.

        Raises QueryError if the form is malformed, the fields are too long together, or one is not
        UTF-8.
        """
        while not self._has_file and await self._read():
            pass
        try:
            return {name: value.decode("utf-8") for name, value in self._fields.items()}
        except UnicodeDecodeError:
            raise QueryError("the form contains invalid text: send it in UTF-8") from None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the file as it arrives, after `fields` was awaited.

        Raises QueryError if the form is malformed or cut off.
        """
        more = True
        while more:
            while self._held:
                yield self._held.pop(0)
            more = await self._read()
        while self._held:
            yield self._held.pop(0)
        if not self._is_whole:
            raise QueryError("the form arrived incomplete: send it again")

    async def drain(self) -> None:
        """Read and discard the remaining form, so that the browser reads the answer."""
        async for _ in self._stream:
            pass
        self.taken.set()

    async def _read(self) -> bool:
        """Parse the next chunk; return False at the end.

        Raises QueryError if the form is malformed.
        """
        chunk = await anext(self._stream, b"")
        if not chunk:
            self.taken.set()
            return False
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise QueryError("invalid form: open the page again") from None
        return True

    def _on_header(self) -> None:
        self._spend(len(self._header) + len(self._value))
        self._headers[self._header.decode("latin-1").lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        self._in = options.get(b"name", b"").decode("utf-8", "replace")
        if self._has_file or self._in in self._fields:
            raise QueryError(
                "invalid form (a field appears twice or after the file): open the page again"
            )
        if self._in == self._file:
            self._has_file = True
            self.name = options.get(b"filename", b"").decode("utf-8", "replace")
        else:
            self._fields[self._in] = bytearray()

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._in == self._file:
            self._held.append(data[start:end])
        else:
            self._spend(end - start)
            self._fields[self._in] += data[start:end]

    def _on_end(self) -> None:
        self._is_whole = True

    def _spend(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise QueryError("the form input is too long: shorten it")
