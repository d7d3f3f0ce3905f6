"""Deliver the style sheet and the script under names that hold their digests, to be kept for a
year, compressed.

They alone are compressed: they hold nothing that is secret, while the length of a compressed page
would tell of its tokens.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from fastapi import Request
from fastapi.responses import Response

MEDIA_TYPES = {
    "ullage.css": "text/css",
    "desk.js": "text/javascript",
    "upload.js": "text/javascript",
}
KEPT = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is delivered, at `path`."""

    path: str
    media_type: str
    plain: bytes
    compressed: bytes

    def answer(self, request: Request) -> Response:
        """The file, compressed where the browser takes that."""
        taken = {
            coding.partition(";")[0].strip()
            for coding in request.headers.get("accept-encoding", "").split(",")
        }
        if "gzip" in taken:
            return Response(
                self.compressed,
                media_type=self.media_type,
                headers={**KEPT, "content-encoding": "gzip"},
            )
        return Response(self.plain, media_type=self.media_type, headers=KEPT)


@cache
def static_file(name: str) -> StaticFile:
    """The file of that name in `static`."""
    text = (resources.files("alerts.web") / "static" / name).read_bytes()
    stem, _, ending = name.rpartition(".")
    digest = hashlib.sha256(text).hexdigest()[:16]
    return StaticFile(
        f"/static/{stem}.{digest}.{ending}",
        MEDIA_TYPES[name],
        text,
        gzip.compress(text, 9, mtime=0),
    )


def static_path(name: str) -> str:
    """Where a page finds the file of that name."""
    return static_file(name).path
