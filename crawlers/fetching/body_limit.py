"""Cut a body at the size limit instead of discarding it, since the beginning of a dump is of use.

Scrapy's own limit drops the whole response, and its decompression does so too if the output is
too large. Therefore gzip and deflate are inflated here, up to the limit, and no other encoding is
requested; for any other one that arrives, Scrapy's limit holds.
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
    """Middleware next to the downloader, below decompression, that limits the size of bodies."""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build the middleware with the limit `DOWNLOAD_MAXSIZE` (bytes); connect `count_bytes`.

        From then on every chunk that this crawler receives is counted.
        """
        guard = cls(crawler.settings.getint("DOWNLOAD_MAXSIZE"))
        crawler.signals.connect(guard.count_bytes, signal=signals.bytes_received)
        return guard

    def count_bytes(self, data: bytes, request: Request) -> None:
        """Add the length of `data` to the request's count in its meta.

        Raises StopDownload beyond the limit; Scrapy then keeps the part that was received.
        """
        request.meta[SIZE] = request.meta.get(SIZE, 0) + len(data)
        if request.meta[SIZE] > self._limit:
            raise StopDownload(fail=False)

    def process_request(self, request: Request) -> None:
        """Reset the request's byte count, lift Scrapy's size limit, and request gzip or deflate.

        Only these encodings can be inflated in part.
        """
        request.meta.pop(SIZE, None)
        request.meta["download_maxsize"] = 0
        request.headers["Accept-Encoding"] = b"gzip, deflate"

    def process_response(self, request: Request, response: Response) -> Response:
        """Return the response with its body inflated and cut to the limit in bytes.

        A body in another encoding stays encoded if it is whole, with Scrapy's limit for its
        decompression restored. Raises RequestRefusal `too_large` if such a body was cut. A body
        that no stream can be read from is kept as it arrived, up to the limit. A response that was
        cut has the flag `download_stopped`.
        """
        request.meta.pop("download_maxsize", None)
        encoding = b",".join(response.headers.getlist("Content-Encoding")).strip().lower()
        if encoding in INFLATED and request.method != "HEAD":
            return self._inflate_response(response, encoding)
        if STOPPED not in response.flags:
            return response
        if encoding not in (b"", b"identity"):
            raise RequestRefusal("too_large")
        return response.replace(
            body=response.body[: self._limit], **_reset_encoding(type(response))
        )

    def _inflate_response(self, response: Response, encoding: bytes) -> Response:
        """Return the response with its body inflated, up to the limit.

        Its Content-Encoding is removed. A body that cannot be inflated is returned as it arrived,
        cut to the limit. The class of the response follows the inflated content. A cut body gives
        it the flag `download_stopped`.
        """
        body, is_whole = inflate(response.body, self._limit)
        if not body and encoding == b"deflate":
            body, is_whole = inflate(response.body, self._limit, RAW)
        headers = response.headers.copy()
        del headers["Content-Encoding"]
        # it says what it is not: some read it all the same, and so do we
        if not (body or is_whole):
            return response.replace(
                body=response.body[: self._limit],
                headers=headers,
                **_reset_encoding(type(response)),
            )
        kind = responsetypes.from_args(headers=headers, url=response.url, body=body)
        flags = (
            response.flags if is_whole or STOPPED in response.flags else [*response.flags, STOPPED]
        )
        return response.replace(
            cls=kind, body=body, headers=headers, flags=flags, **_reset_encoding(kind)
        )


def _reset_encoding(kind: type[Response]) -> dict[str, None]:
    """Return arguments of `Response.replace` that make it detect the encoding anew.

    Otherwise it would decode the body that the response had before.
    """
    return {"encoding": None} if issubclass(kind, TextResponse) else {}


def inflate(body: bytes, limit: int, header: int = ANY_HEADER) -> tuple[bytes, bool]:
    """Return the decompressed bytes of `body`, at most `limit`, and whether they are complete.

    `body` is a series of streams, which may be separated by zero bytes; `header` is zlib's window
    argument: by default zlib or gzip, RAW for streams without a header. A damaged or truncated
    stream gives what was decompressed before the fault and False; nothing is raised. An empty body
    is complete.
    """
    output, at = bytearray(), 0
    while (at := _skip_zeros(body, at)) < len(body):
        decoder, step = zlib.decompressobj(header), FIRST_STEP
        while not decoder.eof:
            piece = body[at : at + step]
            try:
                output += decoder.decompress(piece, limit + 1 - len(output))
            except zlib.error:
                return bytes(output[:limit]), False
            if len(output) > limit or not piece:
                return bytes(output[:limit]), False
            at += len(piece) - len(decoder.unused_data)
            step = min(2 * step, LONGEST_STEP)
    return bytes(output), True


def _skip_zeros(body: bytes, at: int) -> int:
    """Return where the padding that begins at `at` ends."""
    match = ZEROS.match(body, at)
    return match.end() if match else at
