"""Cuts a body off at the size limit instead of throwing it away: the first 32 MiB of a dump are what we came for.

Scrapy's own limit drops the whole response. It stays in force where cutting is no use: for compressed bodies, which cannot be
opened in part.
"""

from __future__ import annotations

from typing import Self

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import StopDownload
from scrapy.http import Response

from crawlers.middlewares import Refused

SIZE = "ullage_received"
STOPPED = "download_stopped"


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
        """Lift Scrapy's own limit for the transfer, since `received` keeps it."""
        request.meta.pop(SIZE, None)
        request.meta["download_maxsize"] = 0

    def process_response(self, request: Request, response: Response) -> Response:
        """Put Scrapy's limit back, for decompression, and cut what came too much."""
        request.meta.pop("download_maxsize", None)
        if STOPPED not in response.flags:
            return response
        if response.headers.get("Content-Encoding", b"identity") != b"identity":
            raise Refused("too_large")
        return response.replace(body=response.body[: self._limit])
