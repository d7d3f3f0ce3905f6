"""`POST /v1/captures`: what a request may say, and the answers to it.

    202  all that was not refused is durable on the bus; what was refused is named by its number and field
    400  nothing in it could be taken          401  no token, or another         409  the same key is under way
    411, 413, 415  its length is missing, too large, or it is of another type    422  the same key with another body
    429  wait: too much waits for the bus, match is too far behind, or too many wrong tokens; `Retry-After` says how long
    503  the bus is down: the request may be sent again, with the same `Idempotency-Key`

A key is remembered while the process lives, `MOST_KEYS` of them. Sent again after that a post is still the same post, by its
message id, URL or text, and is counted once. Nothing of a request is logged, and no answer repeats what was sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import Counter
from pydantic import ValidationError
from pydantic_core import from_json

from crawlers.bus.appends import PatientAppends
from crawlers.intake.feed import Feed
from crawlers.intake.line import Line, fault_of, read_line
from ullage.errors import RecordError
from ullage.records import Capture
from ullage.runtime.allowance import Allowance, LimitedError

PATH, DESCRIBED = "/v1/captures", "/v1/openapi.json"
JSON, LINES = "application/json", ("application/x-ndjson", "application/jsonl")
KEY = re.compile(r"[!-~]{1,255}")
MOST_POSTS = 5_000
"""In one request."""
MOST_KEYS = 10_000
WAIT_SECONDS = 30.0
"""How long a request waits for the bus before it is told to come again."""
ATTEMPTS, ATTEMPT_SECONDS = 10, 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers; the body holds nothing of the request."""

    status: int
    body: dict[str, Any]
    headers: tuple[tuple[str, str], ...] = ()


def refusal(status: int, error: str, retry_after: float | None = None) -> Answer:
    """A refusal in one line."""
    return Answer(status, {"error": error}, () if retry_after is None else (("retry-after", str(int(max(1, retry_after)))),))


@dataclass(slots=True)
class Door:
    """Who may hand in: whoever shows the token. A right one passes, however many wrong ones came."""

    token: str
    attempts: Allowance

    def refuses(self, headers: Mapping[str, str]) -> Answer | None:
        """The refusal of a request, None for one that may pass."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(_digest(given.strip()), _digest(self.token)):
            return None
        try:
            self.attempts.take()
        except LimitedError as error:
            return refusal(429, "too many attempts without the token", error.retry_after)
        return Answer(401, {"error": "the token is missing or another"}, (("www-authenticate", "Bearer"),))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


@dataclass(slots=True)
class Captures:
    """Takes bodies in. One loop uses it."""

    feed: Feed
    appends: PatientAppends
    refused: Counter
    _keys: OrderedDict[str, tuple[bytes, Answer | None]] = field(default_factory=OrderedDict)

    async def post(self, media_type: str, key: str, body: bytes) -> Answer:
        """Take a body in, once for each `key`."""
        if key and not KEY.fullmatch(key):
            return refusal(400, "Idempotency-Key: 1 to 255 ASCII characters without a space")
        known = self._keys.get(key) if key else None
        if known and not hmac.compare_digest(known[0], _digest_of(body)):
            return refusal(422, "Idempotency-Key: it was used with another body")
        if known:
            return known[1] or refusal(409, "Idempotency-Key: that request is under way", 1)
        if key:
            self._keys[key] = (_digest_of(body), None)
        answer: Answer | None = None
        try:
            answer = await self._take(media_type, body)
        finally:
            self._note(key, answer)
        return answer

    def _note(self, key: str, answer: Answer | None) -> None:
        """Remember an answer that is final; any other may be asked for again."""
        if not key:
            return
        digest, _ = self._keys.pop(key)
        if answer is not None and answer.status < 429:
            self._keys[key] = (digest, answer)
        while len(self._keys) > MOST_KEYS:
            self._keys.popitem(last=False)

    async def _take(self, media_type: str, body: bytes) -> Answer:
        try:
            found = list(_posts(media_type, body))
        except RecordError as error:
            return refusal(400, str(error))
        captures, refused, unknown = list[Capture](), list[dict[str, Any]](), set[str]()
        for number, line in enumerate(found, 1):
            try:
                if isinstance(line, RecordError):
                    raise line
                captures += self.feed.captures(line)
                unknown.update(line.unknown)
            except RecordError as error:
                refused.append({"line": number, "error": str(error)})
            if number % 50 == 0:
                await asyncio.sleep(0)  # others are answered meanwhile
        self.refused.inc(len(refused))
        accepted = len(found) - len(refused)
        told = {"accepted": accepted, "refused": refused, "unknown_fields": sorted(unknown)[:20]}
        if not accepted:
            return Answer(400, {"error": "nothing in it could be taken", **told})
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self.appends.append(captures)
        except TimeoutError:
            return refusal(503, "the bus is down; send it again", 5)
        except RecordError as error:
            return refusal(400, str(error))
        return Answer(202, told)


def _digest_of(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def _posts(media_type: str, body: bytes) -> Iterator[Line | RecordError]:
    """The posts in a body, and the faults of those that are none; raises RecordError for one of none, too many, or no JSON."""
    if media_type in LINES:
        lines = [line for line in body.split(b"\n") if line.strip()]
        if not 0 < len(lines) <= MOST_POSTS:
            raise RecordError("malformed", f"holds no line, or more than {MOST_POSTS}")
        yield from map(_read, lines)
        return
    if not body.lstrip().startswith(b"["):
        yield read_line(body)
        return
    try:
        listed = from_json(body)
    except ValueError:
        raise RecordError("malformed", "is no JSON") from None
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_POSTS:
        raise RecordError("malformed", f"holds no post, or more than {MOST_POSTS}")
    for one in listed:
        try:
            yield Line.model_validate(one)
        except ValidationError as error:
            yield RecordError("malformed", fault_of(error))


def _read(line: bytes) -> Line | RecordError:
    try:
        return read_line(line)
    except RecordError as error:
        return error


def described(version: str) -> dict[str, Any]:
    """The service as an OpenAPI document."""
    line = Line.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = line.pop("$defs", {})
    post = {"$ref": "#/components/schemas/Post"}
    error = {"type": "object", "properties": {"error": {"type": "string"}}}
    taken = {
        "type": "object",
        "properties": {
            "accepted": {"type": "integer"},
            "refused": {
                "type": "array",
                "items": {"type": "object", "properties": {"line": {"type": "integer"}, "error": {"type": "string"}}},
            },
            "unknown_fields": {"type": "array", "items": {"type": "string"}},
        },
    }

    def answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {"description": text, "content": {JSON: {"schema": schema}}}

    wait = {"headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}}
    responses = {
        "202": answer("All that was not refused is durable.", taken),
        "400": answer("Nothing in it could be taken.", error),
        "401": answer("The token is missing or another.", error),
        "409": answer("The same Idempotency-Key is under way.", error) | wait,
        "413": answer("Too large.", error),
        "415": answer("Of another type.", error),
        "422": answer("The same Idempotency-Key came with another body.", error),
        "429": answer("Wait and send it again.", error) | wait,
        "503": answer("The bus is down; send it again with the same key.", error) | wait,
    }
    bodies: dict[str, Any] = {JSON: {"schema": {"oneOf": [post, {"type": "array", "items": post, "maxItems": MOST_POSTS}]}}}
    bodies |= {name: {"schema": {"type": "string", "description": "One post a line."}} for name in LINES}
    key = {"name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string", "maxLength": 255}}
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
