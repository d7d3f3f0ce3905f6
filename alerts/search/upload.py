"""A form with a file (multipart/form-data, RFC 7578), read as it comes: fields first, then the file, never whole, on no disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from alerts.store import QueryError

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
