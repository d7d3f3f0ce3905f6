"""A body of posts as its lines: how much is taken is bounded before any of it is read, so that it costs what its bytes cost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from pydantic import ValidationError
from pydantic_core import from_json

from crawlers.intake.line import CaptureLine, fault_of, read_line
from ullage.errors import RecordError

LINES = ("application/x-ndjson", "application/jsonl")
MOST_POSTS = 5_000
"""In one request."""
MOST_PARTS = 500_000
"""Strings, commas and beginnings of lists and objects: a hundred of a post. Each takes many times its bytes in memory."""
PART = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?|[\[{,]', re.DOTALL)
LINE = re.compile(rb"\S[^\n]*+")


def posts_in(media_type: str, body: bytes) -> Iterator[CaptureLine | RecordError]:
    """The posts in a body, and the faults of those that are none; raises RecordError for one of none, too many, or no JSON."""
    if sum(1 for _ in islice(PART.finditer(body), MOST_PARTS + 1)) > MOST_PARTS:
        raise RecordError("malformed", f"holds more than {MOST_PARTS} strings, commas and lists: send less at once")
    if media_type in LINES:
        lines = [found[0] for found in islice(LINE.finditer(body), MOST_POSTS + 1)]
        if not 0 < len(lines) <= MOST_POSTS:
            raise RecordError("malformed", f"holds no line, or more than {MOST_POSTS}")
        yield from map(_read, lines)
    elif body.lstrip().startswith(b"["):
        yield from _listed(body)
    else:
        yield read_line(body)


def _listed(body: bytes) -> Iterator[CaptureLine | RecordError]:
    try:
        listed = from_json(body)
    except ValueError:
        raise RecordError("malformed", "is no JSON") from None
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_POSTS:
        raise RecordError("malformed", f"holds no post, or more than {MOST_POSTS}")
    for one in listed:
        try:
            yield CaptureLine.model_validate(one)
        except ValidationError as error:
            yield RecordError("malformed", fault_of(error))


def _read(line: bytes) -> CaptureLine | RecordError:
    try:
        return read_line(line)
    except RecordError as error:
        return error
