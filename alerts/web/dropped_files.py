"""Stream a dropped file to match, and hold the result in memory."""

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
"""So long the page waits until the file may come."""
STATUS_SECONDS = 2.0
"""So long a page waits for the first line of match, which sends one at once."""
VERDICT_SECONDS = 660.0
"""So long a page waits for all of an answer: match gives a file ten minutes."""
AWAY = Phrase(
    "match is not running, so the file was not processed. Start it and upload the file again"
)
HANGS = Phrase(
    "match does not respond, so the file was not processed. Restart it and upload the file again"
)
BROKEN = Phrase("match stopped before it finished, so there is no verdict: upload the file again")


UNANSWERED = Phrase("match did not resolve them: see that it runs, and try again")
UNRESOLVED: Mapping[str, Phrase] = {
    "off": Phrase(
        "match hands out no customer references of this tenant: set reference_approvals in its"
        " configuration too"
    ),
    "approval": Phrase(
        "match needs more approvals than there are: its configuration says how many"
    ),
    "budget": Phrase(
        "the daily limit of customer references of this tenant is reached (reference_budget)"
    ),
    "too_many": Phrase(
        "these are too many customers to be resolved at once: use `ullage subjects resolve`"
    ),
    "absent": Phrase(
        "match's host has no encrypted references of this tenant: use `ullage subjects resolve`"
        " where they are"
    ),
    "damaged": Phrase("the encrypted references cannot be read: build the customer list again"),
}
"""Why match resolves no pseudonyms, by its own word for that."""


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
    """There are no customer references, and the message says why."""


class NotJudgedError(UllageError):
    """There is no verdict, and the message says why; nothing was kept."""


@dataclass(slots=True)
class FileAssessment:
    """What match said of a file: the verdict as `ullage assess --json` has it, the customers as
    CSV, and signed findings.

    The findings are there where nothing was opened and they are not too large (`unheld`); `handed`
    are those that were put on the bus: the tenant of each, by its id.
    """

    verdict: dict[str, Any] = field(default_factory=dict)
    customers: str = ""
    findings: list[dict[str, Any]] = field(default_factory=list)
    handed: dict[str, str] = field(default_factory=dict)
    unheld: bool = False


@dataclass(frozen=True, slots=True)
class Judge:
    """Asks the match of this data folder."""

    data: Path

    async def waiting(self, tenants: tuple[str, ...] | None) -> int:
        """How many files are looked at or wait of those who see `tenants`, None for all;
        NotJudgedError where match is away.
        """
        async with self._asked(assessing.AssessmentRequest(verb="status", tenants=tenants)) as (
            reader,
            _,
        ):
            return int((await _first_line(reader)).get("waiting", 0))

    async def judge(
        self, question: assessing.AssessmentRequest, chunks: AsyncIterator[bytes]
    ) -> FileAssessment:
        """Have the file in `chunks` judged, which are taken once there is room; BusyError where
        there is none, or no turn.
        """

        async def send(writer: asyncio.StreamWriter) -> None:
            async for some in chunks:
                writer.write(assessing.framed(some))
                await writer.drain()

        return await self._answered(question, send)

    async def open(
        self, findings: Sequence[dict[str, Any]], tenants: tuple[str, ...] | None
    ) -> dict[str, str]:
        """Have findings put on the bus that were judged before; the tenant of each by its id."""

        async def send(writer: asyncio.StreamWriter) -> None:
            for one in findings:
                writer.write(assessing.framed(json.dumps(one).encode()))
                await writer.drain()

        return (
            await self._answered(assessing.AssessmentRequest(verb="open", tenants=tenants), send)
        ).handed

    async def resolves(self, tenant: str) -> bool:
        """Whether pseudonyms of `tenant` can be resolved there; not where match is away, or too
        busy to say so at once.
        """
        question = assessing.AssessmentRequest(verb="status", tenants=(tenant,))
        try:
            async with self._asked(question) as (reader, _):
                return tenant in (await _first_line(reader)).get("resolves", ())
        except NotJudgedError:
            return False

    async def resolve(
        self, tenant: str, approval: assessing.ReferenceApproval, pseudonyms: Sequence[str]
    ) -> dict[str, str]:
        """The customer references of pseudonyms, by pseudonym; NotResolvedError says why there
        are none.
        """
        question, found = (
            assessing.AssessmentRequest(verb="resolve", tenants=(tenant,), approval=approval),
            dict[str, str](),
        )
        try:
            async with self._asked(question) as (reader, writer), _limited():
                await _turn(reader)
                writer.write(
                    assessing.framed("\n".join(pseudonyms).encode()) + assessing.framed(b"")
                )
                await writer.drain()
                while "done" not in (said := await _line(reader)):
                    if "unresolved" in said:
                        raise NotResolvedError(UNRESOLVED.get(said["unresolved"], UNANSWERED))
                    found |= said.get("references", {})
        except (NotJudgedError, BusyError, ConnectionError):
            raise NotResolvedError(UNANSWERED) from None
        return found

    async def _answered(
        self,
        question: assessing.AssessmentRequest,
        send: Callable[[asyncio.StreamWriter], Awaitable[None]],
    ) -> FileAssessment:
        async with self._asked(question) as (reader, writer), _limited():
            await _turn(reader)
            # why match hung up stands in what it said before
            with contextlib.suppress(ConnectionError):
                await send(writer)
                writer.write(assessing.framed(b""))
                await writer.drain()
            return await _heard(reader)

    @contextlib.asynccontextmanager
    async def _asked(
        self, question: assessing.AssessmentRequest
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection on which `question` was asked."""
        with assessing.address(self.data) as address:
            try:
                reader, writer = await asyncio.open_unix_connection(address, limit=LONGEST_LINE)
            except OSError:
                raise NotJudgedError(AWAY) from None
        try:
            writer.write(assessing.framed(question.model_dump_json().encode()))
            yield reader, writer
        finally:
            writer.close()


async def _turn(reader: asyncio.StreamReader) -> None:
    """Wait until there is room for the file."""
    before = 0
    try:
        async with asyncio.timeout(QUEUE_SECONDS):
            said = await _first_line(reader)
            while "go" not in said:
                before = int(said.get("place", before))
                said = await _line(reader)
    except TimeoutError:
        raise BusyError(before, int(QUEUE_SECONDS)) from None


async def _heard(reader: asyncio.StreamReader) -> FileAssessment:
    """All that is said up to `done`."""
    made, customers = FileAssessment(), list[str]()
    while "done" not in (said := await _line(reader)):
        made.verdict = said.get("verdict", made.verdict)
        made.handed = said.get("handed", made.handed)
        made.unheld = said.get("unheld", made.unheld)
        customers += [said["customers"]] if "customers" in said else []
        made.findings += [said["finding"]] if "finding" in said else []
    made.customers = "".join(customers)
    return made


@contextlib.asynccontextmanager
async def _limited() -> AsyncIterator[None]:
    """Give an answer `VERDICT_SECONDS`, then raise NotJudgedError."""
    try:
        async with asyncio.timeout(VERDICT_SECONDS):
            yield
    except TimeoutError:
        raise NotJudgedError(HANGS) from None


async def _first_line(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Return the line that match sends at once; NotJudgedError after `STATUS_SECONDS` without
    it, else as `_line`.
    """
    try:
        async with asyncio.timeout(STATUS_SECONDS):
            return await _line(reader)
    except TimeoutError:
        raise NotJudgedError(HANGS) from None


async def _line(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next line; NotJudgedError where there is none, or where it says why there is no
    verdict; BusyError for no room.
    """
    try:
        line = await reader.readline()
    except (ConnectionError, ValueError):
        line = b""
    if not line.endswith(b"\n"):
        raise NotJudgedError(BROKEN)
    said: dict[str, Any] = json.loads(line)
    if "busy" in said:
        raise BusyError(int(said["busy"]["waiting"]), int(said["busy"]["retry_after"]))
    if "error" in said:
        raise NotJudgedError(Phrase("no verdict: %(why)s", why=said["error"]))
    return said


SECONDS = 1800.0
MOST = 16
MOST_BYTES = 256 << 20
"""Of all that is held for those who see the same tenants; the oldest go first, and others'
never.
"""
FINDINGS_BYTES = 32 << 20
"""Findings of one file that are held until somebody opens them; larger ones are opened as the
file is dropped, or not at all.
"""


@dataclass(slots=True)
class DroppedFile:
    """One file that was judged: what its owner called it, how it came, and what became of it, a
    tenant.
    """

    name: str
    how: str
    giver: str
    judged: FileAssessment
    opened: dict[str, IncidentReference] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return (
            3 * len(self.judged.customers) // 2
            + sum(len(one["value"]) for one in self.judged.findings)
            + 65_536
        )


class _CachedAssessment(NamedTuple):
    since: float
    owner: str
    whose: str
    dropped: DroppedFile


@dataclass(slots=True)
class AssessmentCache:
    """Results by a name that nobody can guess; `tenants` share the memory. Threads share it."""

    clock: Clock
    tenants: int = 1
    _kept: OrderedDict[str, _CachedAssessment] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, dropped: DroppedFile, principal: Principal) -> str:
        """Hold it for `principal`; the name by which it is asked for."""
        name, whose, room = (
            secrets.token_urlsafe(24),
            principal.whose,
            MOST_BYTES // max(1, self.tenants),
        )
        with self._lock:
            self._kept[name] = _CachedAssessment(
                self.clock.monotonic(), _owner(principal), whose, dropped
            )
            ours = [
                (one, kept.dropped.size) for one, kept in self._kept.items() if kept.whose == whose
            ]
            left = sum(size for _, size in ours)
            for one, size in ours[:-1]:  # the last is kept, however large
                if len(ours) <= MOST and left <= room:
                    break
                del self._kept[one]
                ours, left = ours[1:], left - size
        return name

    def get(self, name: str, principal: Principal) -> DroppedFile | None:
        """What is held under that name for `principal`; None where there is nothing (any more)."""
        now = self.clock.monotonic()
        with self._lock:
            for old in [one for one, kept in self._kept.items() if now - kept.since > SECONDS]:
                del self._kept[old]
            found = self._kept.get(name)
        return found.dropped if found and found.owner == _owner(principal) else None


def _owner(principal: Principal) -> str:
    return f"{principal.session}\n{principal.name}\n{principal.whose}"


MOST_FIELDS = 16 * 1024
"""Bytes of all that is not the file."""


class Upload:
    """One form, whose last field is its file. QueryError for what is no such form.

    upload = Upload(request, "file")
    fields = await upload.fields()          # all but the file
    async for some in upload.chunks(): ...  # the file, called `upload.name` by its sender
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
        """Set once all of the form has come."""
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
        """What was typed and chosen; the file is still to come."""
        while not self._has_file and await self._read():
            pass
        try:
            return {name: value.decode("utf-8") for name, value in self._fields.items()}
        except UnicodeDecodeError:
            raise QueryError("the form contains invalid text") from None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The file as it comes; QueryError where its end does not come."""
        more = True
        while more:
            while self._held:
                yield self._held.pop(0)
            more = await self._read()
        while self._held:
            yield self._held.pop(0)
        if not self._is_whole:
            raise QueryError("the form was incomplete")

    async def drain(self) -> None:
        """Take the rest of the form, so that a browser that still sends it reads the answer."""
        async for _ in self._stream:
            pass
        self.taken.set()

    async def _read(self) -> bool:
        """Take what comes next; False at the end."""
        some = await anext(self._stream, b"")
        if not some:
            self.taken.set()
            return False
        try:
            self._parser.write(some)
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
            raise QueryError("invalid form: a field appears twice or after the file")
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
            raise QueryError("the form input is too long")
