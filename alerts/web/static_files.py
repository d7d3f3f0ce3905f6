"""Serve the style sheet and scripts, compressed, under names that contain their digests.

Browsers keep them for a year. Only these files are compressed: they hold no secrets, while the
length of a compressed page could reveal its tokens.
"""

from __future__ import annotations

import gzip
import hashlib
import re
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
REFUSED = re.compile(r"q\s*=\s*0(\.0*)?")
KEPT = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A static file, served at `path`."""

    path: str
    media_type: str
    plain: bytes
    compressed: bytes

    def serve(self, request: Request) -> Response:
        """Return the file, compressed if the browser accepts that."""
        if _accepts_gzip(request.headers.get("accept-encoding", "")):
            return Response(
                self.compressed,
                media_type=self.media_type,
                headers={**KEPT, "content-encoding": "gzip"},
            )
        return Response(self.plain, media_type=self.media_type, headers=KEPT)


def _accepts_gzip(header: str) -> bool:
    """Return whether an `Accept-Encoding` header names gzip, without the weight 0 (RFC 9110).

    >>> _accepts_gzip("br, gzip;q=0.5"), _accepts_gzip("gzip;q=0, *"), _accepts_gzip("")
    (True, False, False)
    """
    for coding in header.lower().split(","):
        name, _, weight = (part.strip() for part in coding.partition(";"))
        if name == "gzip":
            return not REFUSED.fullmatch(weight)
    return False


@cache
def load_static_file(name: str) -> StaticFile:
    """Return the file of that name in `static`, with its bytes compressed and its path.

    The path holds a digest, so a changed file has another path. Raises FileNotFoundError or
    KeyError for an unknown name.
    """
    text = (resources.files("alerts.web") / "static" / name).read_bytes()
    stem, _, ending = name.rpartition(".")
    digest = hashlib.sha256(text).hexdigest()[:16]
    return StaticFile(
        f"/static/{stem}.{digest}.{ending}",
        MEDIA_TYPES[name],
        text,
        gzip.compress(text, 9, mtime=0),
    )


def find_static_path(name: str) -> str:
    """Return the path, with a digest of the content, at which the console serves the file `name`.

    Raises FileNotFoundError or KeyError for an unknown name.
    """
    return load_static_file(name).path
