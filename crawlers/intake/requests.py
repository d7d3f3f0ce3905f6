"""Check the token and the body of a submission, and answer it.

    202  all posts that were not refused are durable on the bus; refused posts are listed by
         number and field
    400  nothing could be accepted
    401  the token is missing or wrong
    409  a request with the same key is in progress
    411, 413, 415  its length is missing, it is too large, or its type is not supported
    422  the same key was used with another body
    429  wait: too much waits for the bus, match is too far behind, or there were too many wrong
         tokens; `Retry-After` says how long
    503  the bus is down: send the request again, with the same `Idempotency-Key`

A key is remembered while the process lives: `MOST_KEYS` of them with their answers in
`MOST_KEPT_BYTES`. A post that is sent again later is still recognised as the same post, by its
message id, URL or text, and is counted one time. No content of a request is logged, and no
answer repeats what was sent. Large bodies are read in a thread, one at a time, so that other
requests are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from prometheus_client import Counter
from pydantic import ValidationError
from pydantic_core import from_json

from crawlers.intake.feed import IntakeWriter
from crawlers.intake.submission import SHOWN, CaptureLine, fault_of, read_line, shown
from crawlers.publishing.batching import PatientAppends
from ullage.errors import RecordError
from ullage.records import Capture
from ullage.runtime.rate_limit import Allowance, LimitedError

LINES = ("application/x-ndjson", "application/jsonl")
MOST_POSTS = 5_000
"""The most posts in one request."""
MOST_PARTS = 500_000
"""The most strings, commas and starts of lists and objects in a request: a hundred per post.

Each takes many times its bytes in memory.
"""
PART = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?|[\[{,]', re.DOTALL)
LINE = re.compile(rb"\S[^\n]*+")


def parse_posts(media_type: str, body: bytes) -> Iterator[CaptureLine | RecordError]:
    """Yield the posts in a body, and the RecordError of each that is not valid.

    The body is one post or a list of posts in JSON, or one post per line where `media_type` is in
    LINES. Raises RecordError where the body has over MOST_PARTS (500,000) strings, commas and
    lists, no line or over MOST_POSTS (5,000) lines or entries, or where a body that is no list of
    lines is invalid.
    """
    if sum(1 for _ in islice(PART.finditer(body), MOST_PARTS + 1)) > MOST_PARTS:
        raise RecordError(
            "malformed",
            f"has more than {MOST_PARTS} strings, commas and lists: send fewer posts at once",
        )
    if media_type in LINES:
        lines = [match[0] for match in islice(LINE.finditer(body), MOST_POSTS + 1)]
        if not 0 < len(lines) <= MOST_POSTS:
            raise RecordError("malformed", f"must have 1 to {MOST_POSTS} lines")
        yield from map(_read_body, lines)
    elif body.lstrip().startswith(b"["):
        yield from _read_list(body)
    else:
        yield read_line(body)


def _read_list(body: bytes) -> Iterator[CaptureLine | RecordError]:
    try:
        listed = from_json(body)
    except ValueError:
        raise RecordError("malformed", "must be valid JSON") from None
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_POSTS:
        raise RecordError("malformed", f"must have 1 to {MOST_POSTS} posts")
    for item in listed:
        try:
            yield CaptureLine.model_validate(item)
        except ValidationError as error:
            yield RecordError("malformed", fault_of(error))


def _read_body(line: bytes) -> CaptureLine | RecordError:
    try:
        return read_line(line)
    except RecordError as error:
        return error


PATH, DESCRIBED = "/v1/captures", "/v1/openapi.json"
JSON = "application/json"
KEY = re.compile(r"[!-~]{1,255}")
MOST_KEYS, MOST_KEPT_BYTES = 10_000, 16 << 20
SMALL = 64 << 10
"""The largest body, in bytes, that is parsed in the event loop: it takes a few milliseconds."""
WAIT_SECONDS = 30.0
"""How long a request waits for the bus before the sender is asked to repeat it."""
ATTEMPTS, ATTEMPT_SECONDS = 10, 60.0
KEPT_BYTES = 1_000
"""About the memory, in bytes, that a key takes in addition to its answer."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class IntakeResponse:
    """An answer: status, body and headers. The body holds nothing of the request."""

    status: int
    body: dict[str, Any]
    headers: tuple[tuple[str, str], ...] = ()


def refusal(status: int, error: str, retry_after: float | None = None) -> IntakeResponse:
    """Create a response that refuses a request, with one line of text."""
    return IntakeResponse(
        status,
        {"error": error},
        () if retry_after is None else (("retry-after", str(int(max(1, retry_after)))),),
    )


@dataclass(slots=True)
class TokenCheck:
    """The check of the token that every request must show.

    A correct token is accepted, however many wrong ones came before it.
    """

    token: str
    attempts: Allowance

    def refuses(self, headers: Mapping[str, str]) -> IntakeResponse | None:
        """Return the response that refuses a request (401, or 429 after too many attempts).

        Returns None where its token is right. Each wrong token counts as an attempt; a right one is
        never refused.
        """
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(
            _digest(credential.strip()), _digest(self.token)
        ):
            return None
        try:
            self.attempts.take()
        except LimitedError as error:
            return refusal(429, "too many attempts without a valid token", error.retry_after)
        return IntakeResponse(
            401, {"error": "the token is missing or wrong"}, (("www-authenticate", "Bearer"),)
        )


def _digest(text: str | bytes) -> bytes:
    return hashlib.sha256(
        text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    ).digest()


class _StoredResponse(NamedTuple):
    """A remembered key: the digest of its body, and the answer with its body as JSON."""

    digest: bytes
    status: int
    body: bytes

    @property
    def size(self) -> int:
        return len(self.body) + KEPT_BYTES


@dataclass(slots=True)
class Captures:
    """Accepts bodies and publishes their captures, within one event loop."""

    feed: IntakeWriter
    appends: PatientAppends
    refused: Counter
    _kept: OrderedDict[str, _StoredResponse] = field(default_factory=OrderedDict)
    _kept_bytes: int = 0
    _under_way: dict[str, bytes] = field(default_factory=dict)
    """By key, the digest of each body that is being processed."""
    _large: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def post(self, media_type: str, key: str, body: bytes) -> IntakeResponse:
        """Publish the posts in a body, and return the response to send.

        A `key` (Idempotency-Key) makes a repeated request harmless: it gets the first response
        again, 409 while the first is being processed, and a refusal if its body differs. A
        malformed key gets 400. Responses to requests without a key are not kept.
        """
        if key and not KEY.fullmatch(key):
            return refusal(400, "Idempotency-Key: 1 to 255 ASCII characters without a space")
        digest = await self._beside(body, partial(_digest, body)) if key else b""
        if under_way := self._under_way.get(key):
            return _other(under_way, digest) or refusal(
                409, "Idempotency-Key: that request is still being processed", 1
            )
        if stored := self._kept.get(key):
            return _other(stored.digest, digest) or IntakeResponse(
                stored.status, json.loads(stored.body)
            )
        if not key:
            return await self._take(media_type, body)
        self._under_way[key] = digest
        try:
            answer = await self._take(media_type, body)
        finally:
            del self._under_way[key]
        self._note(key, digest, answer)
        return answer

    def _note(self, key: str, digest: bytes, answer: IntakeResponse) -> None:
        """Store an answer that is final; for any other the request may be repeated."""
        if answer.status >= 429:
            return
        self._kept[key] = stored = _StoredResponse(
            digest, answer.status, json.dumps(answer.body).encode()
        )
        self._kept_bytes += stored.size
        while len(self._kept) > MOST_KEYS or self._kept_bytes > MOST_KEPT_BYTES:
            self._kept_bytes -= self._kept.popitem(last=False)[1].size

    async def _beside(self, body: bytes, work: Callable[[], T]) -> T:
        """Return the result of `work`, run in a thread where the body is large."""
        if len(body) <= SMALL:
            return work()
        async with self._large:
            return await asyncio.to_thread(work)

    async def _take(self, media_type: str, body: bytes) -> IntakeResponse:
        try:
            read = await self._beside(body, partial(_read, media_type, body, self.feed.maker()))
        except RecordError as error:
            return refusal(400, str(error))
        self.refused.inc(len(read.refused))
        counts = {
            "accepted": read.accepted,
            "refused": read.refused,
            "unknown_fields": read.unknown,
        }
        if not read.accepted:
            return IntakeResponse(400, {"error": "no post in it was accepted", **counts})
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self.appends.append(read.captures)
        except TimeoutError:
            return refusal(503, "the bus is unreachable; send it again", 5)
        except RecordError as error:
            return refusal(400, str(error))
        return IntakeResponse(202, counts)


class _Read(NamedTuple):
    """The posts in a body as captures, and the faults of those that were refused."""

    captures: list[Capture]
    refused: list[dict[str, Any]]
    unknown: list[str]
    accepted: int


def _read(media_type: str, body: bytes, made: Callable[[CaptureLine], list[Capture]]) -> _Read:
    """Parse a body into captures and refused posts.

    The result also has the unknown fields and the number of accepted posts. `made` makes captures
    of its lines. Of unknown fields about SHOWN (20) are named. A refused post does not stop the
    others. Raises RecordError where the whole body is refused (see `parse_posts`).
    """
    captures, refused, unknown, number = (
        list[Capture](),
        list[dict[str, Any]](),
        dict[str, None](),
        0,
    )
    for number, line in enumerate(parse_posts(media_type, body), 1):
        try:
            if isinstance(line, RecordError):
                raise line
            captures += made(line)
            if len(unknown) < SHOWN:
                unknown |= dict.fromkeys(islice(line.unknown, SHOWN))
        except RecordError as error:
            refused.append({"line": number, "error": str(error)})
    return _Read(captures, refused, shown(unknown), number - len(refused))


def _other(known: bytes, digest: bytes) -> IntakeResponse | None:
    """Return the refusal of a body that differs from the first one with that key; else None."""
    same = hmac.compare_digest(known, digest)
    return None if same else refusal(422, "Idempotency-Key: it was used with another body")


def describe_service(version: str) -> dict[str, Any]:
    """Return the OpenAPI document of the service."""
    line = CaptureLine.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = line.pop("$defs", {})
    post = {"$ref": "#/components/schemas/Post"}
    error = {"type": "object", "properties": {"error": {"type": "string"}}}
    taken = {
        "type": "object",
        "properties": {
            "accepted": {"type": "integer"},
            "refused": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"line": {"type": "integer"}, "error": {"type": "string"}},
                },
            },
            "unknown_fields": {"type": "array", "items": {"type": "string"}},
        },
    }

    def answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {"description": text, "content": {JSON: {"schema": schema}}}

    wait = {"headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}}
    responses = {
        "202": answer("Every post that was not rejected is stored durably.", taken),
        "400": answer("No post in it was accepted.", error),
        "401": answer("The token is missing or wrong.", error),
        "409": answer("A request with this Idempotency-Key is still being processed.", error)
        | wait,
        "413": answer("Too large.", error),
        "415": answer("Of another type.", error),
        "422": answer("This Idempotency-Key was used with another body.", error),
        "429": answer("Wait and send it again.", error) | wait,
        "503": answer("The bus is unreachable; send it again with the same key.", error) | wait,
    }
    bodies: dict[str, Any] = {
        JSON: {
            "schema": {"oneOf": [post, {"type": "array", "items": post, "maxItems": MOST_POSTS}]}
        }
    }
    bodies |= {
        name: {"schema": {"type": "string", "description": "One post a line."}} for name in LINES
    }
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "maxLength": 255},
    }
    act = {
        "summary": "Hand posts in",
        "operationId": "postCaptures",
        "parameters": [key],
        "requestBody": {"required": True, "content": bodies},
        "responses": responses,
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "ullage intake", "version": version},
        "security": [{"token": []}],
        "paths": {PATH: {"post": act}},
        "components": {
            "schemas": {"Post": line, **parts},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
