"""What a response declares about its bytes. What they really are is for match to find out."""

from __future__ import annotations

from email.message import Message

from scrapy.http import Response


def declared(response: Response, default: str = "text/plain") -> tuple[str, str]:
    """Media type and charset (lower case, "" if none is named) of the Content-Type header."""
    header = Message()
    header["Content-Type"] = (response.headers.get("Content-Type") or b"").decode("latin-1") or default
    return header.get_content_type(), str(header.get_param("charset", "") or "").lower()
