"""Search's side of the socket on which match judges dropped files (`ullage.runtime.assessing`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ullage.errors import UllageError
from ullage.phrase import Phrase
from ullage.runtime import assessing

LONGEST_LINE = 64 << 20
QUEUE_SECONDS = 60.0
"""So long the page waits until the file may come."""
AWAY = Phrase("match is not running, so the file was not processed. Start it and upload the file again")
BROKEN = Phrase("match stopped before it finished, so there is no verdict: upload the file again")


class BusyError(UllageError):
    """Others are before this file; `retry_after` is in seconds."""

    def __init__(self, before: int, retry_after: int) -> None:
        self.before, self.retry_after = before, retry_after
        super().__init__(
            Phrase(
                "files are processed one at a time, and %(before)s are ahead of this one: try again in %(seconds)s s",
                before=before,
                seconds=retry_after,
            )
        )


class NotJudgedError(UllageError):
    """There is no verdict, and the message says why; nothing was kept."""


@dataclass(slots=True)
class FileAssessment:
    """What match said of a file: the verdict as `ullage assess --json` has it, the customers as CSV, and signed findings.

    The findings are there where nothing was opened and they are not too large (`unheld`); `handed` are those that were put on the
    bus: the tenant of each, by its id.
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
        """How many files are looked at or wait of those who see `tenants`, None for all; NotJudgedError where match is away."""
        async with self._asked(assessing.AssessmentRequest(verb="status", tenants=tenants)) as (reader, _):
            return int((await _line(reader)).get("waiting", 0))

    async def judge(self, question: assessing.AssessmentRequest, chunks: AsyncIterator[bytes]) -> FileAssessment:
        """Have the file in `chunks` judged, which are taken once there is room; BusyError where there is none, or no turn."""

        async def send(writer: asyncio.StreamWriter) -> None:
            async for some in chunks:
                writer.write(assessing.framed(some))
                await writer.drain()

        return await self._answered(question, send)

    async def open(self, findings: Sequence[dict[str, Any]], tenants: tuple[str, ...] | None) -> dict[str, str]:
        """Have findings put on the bus that were judged before; the tenant of each by its id."""

        async def send(writer: asyncio.StreamWriter) -> None:
            for one in findings:
                writer.write(assessing.framed(json.dumps(one).encode()))
                await writer.drain()

        return (await self._answered(assessing.AssessmentRequest(verb="open", tenants=tenants), send)).handed

    async def _answered(
        self, question: assessing.AssessmentRequest, send: Callable[[asyncio.StreamWriter], Awaitable[None]]
    ) -> FileAssessment:
        async with self._asked(question) as (reader, writer):
            await _turn(reader)
            with contextlib.suppress(ConnectionError):  # why match hung up stands in what it said before
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
            while "go" not in (said := await _line(reader)):
                before = int(said.get("place", before))
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


async def _line(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next line; NotJudgedError where there is none, or where it says why there is no verdict; BusyError for no room."""
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
