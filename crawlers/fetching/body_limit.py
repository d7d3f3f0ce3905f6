"""Cuts a body off at the size limit instead of throwing it away: the first 32 MiB of a dump are
what we came for.

Scrapy's own limit drops the whole response, and so does its decompression, of what comes out. So
gzip and deflate are inflated here, no further than the limit, and no other encoding is asked for;
of another that comes all the same, Scrapy's limit holds.
"""

from __future__ import annotations

import re
import zlib
from typing import Self

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import StopDownload
from scrapy.http import Response, TextResponse
from scrapy.responsetypes import responsetypes

from crawlers.fetching import RequestRefusal

SIZE = "ullage_received"
STOPPED = "download_stopped"
"""Flag of a response of which less came than there was."""
INFLATED = (b"gzip", b"x-gzip", b"deflate")
ANY_HEADER, RAW = 32 + zlib.MAX_WBITS, -zlib.MAX_WBITS
"""What zlib is to expect: a header of gzip or of zlib, or none, as some servers understand
`deflate` (RFC 9110, 8.4.1.2).
"""
ZEROS = re.compile(rb"\0*")
FIRST_STEP, LONGEST_STEP = 256, 1 << 16
"""Bytes that are fed at once: few at first, since what is left over when a stream ends is
copied, and streams may be tiny.
"""


class SizeLimit:
    """Stands next to the downloader, below decompression."""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Listen to the bytes of every response of this crawler."""
        guard = cls(crawler.settings.getint("DOWNLOAD_MAXSIZE"))
        crawler.signals.connect(guard.received, signal=signals.bytes_received)
        return guard

    def received(self, data: bytes, request: Request) -> None:
        """Count, and stop the download at the limit; what has come is kept."""
        request.meta[SIZE] = request.meta.get(SIZE, 0) + len(data)
        if request.meta[SIZE] > self._limit:
            raise StopDownload(fail=False)

    def process_request(self, request: Request) -> None:
        """Lift Scrapy's own limit for the transfer, since `received` keeps it, and ask for what
        can be inflated in part.
        """
        request.meta.pop(SIZE, None)
        request.meta["download_maxsize"] = 0
        request.headers["Accept-Encoding"] = b"gzip, deflate"

    def process_response(self, request: Request, response: Response) -> Response:
        """Put Scrapy's limit back, for decompression, inflate, and cut what came too much."""
        request.meta.pop("download_maxsize", None)
        encoding = b",".join(response.headers.getlist("Content-Encoding")).strip().lower()
        if encoding in INFLATED and request.method != "HEAD":
            return self._inflated(response, encoding)
        if STOPPED not in response.flags:
            return response
        if encoding not in (b"", b"identity"):
            raise RequestRefusal("too_large")
        return response.replace(body=response.body[: self._limit], **_told_anew(type(response)))

    def _inflated(self, response: Response, encoding: bytes) -> Response:
        """The response as it was before it was packed, up to the limit; as it came where nothing
        of it can be inflated.
        """
        body, is_whole = inflated(response.body, self._limit)
        if not body and encoding == b"deflate":
            body, is_whole = inflated(response.body, self._limit, RAW)
        headers = response.headers.copy()
        del headers["Content-Encoding"]
        # it says what it is not: some read it all the same, and so do we
        if not (body or is_whole):
            return response.replace(
                body=response.body[: self._limit], headers=headers, **_told_anew(type(response))
            )
        kind = responsetypes.from_args(headers=headers, url=response.url, body=body)
        flags = (
            response.flags if is_whole or STOPPED in response.flags else [*response.flags, STOPPED]
        )
        return response.replace(
            cls=kind, body=body, headers=headers, flags=flags, **_told_anew(kind)
        )


def _told_anew(kind: type[Response]) -> dict[str, None]:
    """Has a response's encoding told from what there is now, when it is read: `replace` would
    decode the body that it had.
    """
    return {"encoding": None} if issubclass(kind, TextResponse) else {}


def inflated(body: bytes, limit: int, header: int = ANY_HEADER) -> tuple[bytes, bool]:
    """At most `limit` bytes of what is packed in `body`, one stream after another, and whether
    that is all of it.
    """
    found, at = bytearray(), 0
    while (at := _behind_zeros(body, at)) < len(body):
        decoder, step = zlib.decompressobj(header), FIRST_STEP
        while not decoder.eof:
            piece = body[at : at + step]
            try:
                found += decoder.decompress(piece, limit + 1 - len(found))
            except zlib.error:
                return bytes(found[:limit]), False
            if len(found) > limit or not piece:
                return bytes(found[:limit]), False
            at += len(piece) - len(decoder.unused_data)
            step = min(2 * step, LONGEST_STEP)
    return bytes(found), True


def _behind_zeros(body: bytes, at: int) -> int:
    """Where something else than padding begins."""
    found = ZEROS.match(body, at)
    return found.end() if found else at
