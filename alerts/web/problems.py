"""Turn errors of the API into problem documents (RFC 9457).

All of them are made here. A document repeats nothing that was sent: its texts are fixed, and a
member is named only if the API declares it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from fastapi.dependencies.models import Dependant
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from alerts.accounts import ForbiddenError
from alerts.records.document import QueryError
from alerts.web.api import PREFIX
from ullage.errors import UllageError, UnavailableError
from ullage.phrase import Phrase
from ullage.runtime.rate_limit import LimitedError
from ullage.settings.tenants import UnknownTenantError

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:problem-type:ullage:"
"""The prefix of every problem's type; the code follows."""
Code = Literal[
    "invalid_request", "unauthenticated", "forbidden", "foreign_origin", "not_found",
    "method_not_allowed", "length_required",
    "version_mismatch", "body_too_large", "address_too_long", "unknown_host", "version_required",
    "rate_limited",
    "internal_error", "unavailable", "assessment_unavailable", "assessment_busy",
]  # fmt: skip


class ProblemKind(NamedTuple):
    """The status of a problem and its title."""

    status: int
    title: str


CODES: Mapping[Code, ProblemKind] = {
    "invalid_request": ProblemKind(400, "The request is invalid"),
    "unauthenticated": ProblemKind(401, "Authentication is required"),
    "forbidden": ProblemKind(403, "The token does not allow this"),
    "foreign_origin": ProblemKind(403, "The request comes from another site"),
    "not_found": ProblemKind(404, "Not found"),
    "method_not_allowed": ProblemKind(405, "The path does not accept this method"),
    "length_required": ProblemKind(411, "The length of the body is missing"),
    "version_mismatch": ProblemKind(412, "The incident has changed"),
    "body_too_large": ProblemKind(413, "The body is too large"),
    "address_too_long": ProblemKind(414, "The address is too long"),
    "unknown_host": ProblemKind(421, "This is not a name of the console"),
    "version_required": ProblemKind(428, "If-Match is missing"),
    "rate_limited": ProblemKind(429, "There were too many requests"),
    "internal_error": ProblemKind(500, "An internal error occurred"),
    "unavailable": ProblemKind(503, "The console cannot answer now"),
    "assessment_unavailable": ProblemKind(503, "The file was not assessed"),
    "assessment_busy": ProblemKind(503, "Other files are assessed first"),
}
"""Every code. Codes are never renamed: programs compare them."""
MemberCode = Literal["missing", "unknown", "too_long", "too_short", "out_of_range", "invalid"]
MEMBER_CODES: Mapping[MemberCode, str] = {
    "missing": "is required",
    "unknown": "is not a member of this request",
    "too_long": "is too long",
    "too_short": "is too short",
    "out_of_range": "is out of range",
    "invalid": "has an invalid value",
}
"""The faults of a member, with the beginning of its `detail`."""
_OF_PYDANTIC: Mapping[str, MemberCode] = {
    "missing": "missing",
    "extra_forbidden": "unknown",
    "string_too_long": "too_long",
    "too_long": "too_long",
    "string_too_short": "too_short",
    "too_short": "too_short",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
}
_LIMITS: Mapping[str, str] = {
    "expected": "expected",
    "pattern": "expected",
    "max_length": "length at most",
    "min_length": "length at least",
    "ge": "at least",
    "gt": "more than",
    "le": "at most",
    "lt": "less than",
}
"""The limits that a validator reports, in words; they come from the declaration alone."""


class MemberProblem(BaseModel):
    """What is wrong with one member of the request.

    `member` is a parameter, a header or a member of the body (`pseudonyms.1` is the second of a
    list), and empty where it is the whole body or a name that the API does not know.
    """

    member: str
    code: MemberCode
    detail: str


class Problem(BaseModel):
    """Why a request failed (RFC 9457). `version` is that of an incident that has changed."""

    type: str
    title: str
    status: int
    detail: str
    code: Code
    errors: list[MemberProblem] = []
    version: str = ""


class ProblemError(UllageError):
    """Answers a request with a problem.

    `detail` explains it, by default with the title of the code; `headers` are sent with it.
    """

    def __init__(
        self,
        code: Code,
        detail: str | Phrase | Exception = "",
        errors: Sequence[MemberProblem] = (),
        *,
        status: int = 0,
        headers: Mapping[str, str] | None = None,
        version: str = "",
    ) -> None:
        self.code, self.errors, self.headers, self.version = code, tuple(errors), headers, version
        self.status = status or CODES[code].status
        self.detail = detail or CODES[code].title
        super().__init__(self.detail)

    def response(self) -> JSONResponse:
        """Return the problem document as a response, without empty members."""
        problem = Problem(
            type=f"{TYPE}{self.code}",
            title=CODES[self.code].title,
            status=self.status,
            detail=str(self.detail),
            code=self.code,
            errors=list(self.errors),
            version=self.version,
        )
        return JSONResponse(
            problem.model_dump(exclude_defaults=True),
            self.status,
            self.headers,
            media_type=MEDIA_TYPE,
        )


def is_api_path(path: str) -> bool:
    """Return whether a path belongs to the API, whose errors are problem documents."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def missing(what: str) -> ProblemError:
    """Return the problem of an unknown id, or of one that only another tenant owns.

    It is not raised here. `what` is what the id should belong to, such as `incident`.
    """
    return ProblemError("not_found", f"no {what} has this id: check the id")


def convert_error(error: UllageError) -> ProblemError:
    """Return the problem document for an error of ullage; nothing that was sent is repeated in it.

    A ProblemError is returned as it is. An error without a code of its own is `internal_error`.
    """
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, LimitedError):
        return ProblemError("rate_limited", error, headers={"retry-after": str(error.retry_after)})
    if isinstance(error, UnavailableError):
        return ProblemError("unavailable", UNREACHABLE)
    if isinstance(error, QueryError):
        named = [
            MemberProblem(member=member, code="invalid", detail=str(error))
            for member in error.members
        ]
        return ProblemError("invalid_request", error, named)
    if isinstance(error, UnknownTenantError):
        phrase = error.args[0]  # a phrase, which names the tenant that was sent
        detail = Phrase(phrase.id, **{**phrase.values, "tenant": "that tenant"})
        return ProblemError(
            "invalid_request",
            detail,
            [MemberProblem(member="tenant", code="invalid", detail=str(detail))],
        )
    return ProblemError(
        "forbidden" if isinstance(error, ForbiddenError) else "internal_error", error
    )


UNREACHABLE = Phrase("the incident store cannot be reached; try again soon")


def convert_status(
    status: int, detail: str | Phrase, headers: Mapping[str, str] | None = None
) -> ProblemError:
    """Return the problem for an HTTP status that the framework answers with.

    Its code is the first one with that status, or else `invalid_request` below 500 and
    `internal_error` from there on. An empty `detail` becomes the code's title.
    """
    code = next((code for code, kind in CODES.items() if kind.status == status), None)
    return ProblemError(
        code or ("invalid_request" if status < 500 else "internal_error"),
        detail,
        status=status,
        headers=headers,
    )


def convert_validation_faults(
    faults: Sequence[Mapping[str, Any]], dependant: Dependant
) -> ProblemError:
    """Return the problem for a failed validation of a request.

    `faults` are the validator's errors, and `dependant` declares the route's parameters; only names
    that it declares are repeated.
    """
    declared = frozenset(list_members(dependant))
    errors = [_convert_fault(fault, declared) for fault in faults]
    names = sorted({error.member.partition(".")[0] for error in errors if error.member})
    detail = Phrase("add or correct: %(names)s", names=", ".join(names) or Phrase("the body"))
    return ProblemError("invalid_request", detail, errors)


def list_members(dependant: Dependant) -> Iterator[str]:
    """Yield the names of a route's parameters, headers and members of its body."""
    for parameter in (
        *dependant.path_params,
        *dependant.query_params,
        *dependant.header_params,
        *dependant.body_params,
    ):
        yield parameter.alias
        if isinstance(kind := parameter.field_info.annotation, type) and issubclass(
            kind, BaseModel
        ):
            yield from kind.model_fields
    for nested in dependant.dependencies:
        yield from list_members(nested)


def _convert_fault(fault: Mapping[str, Any], known: Collection[str]) -> MemberProblem:
    """Convert a fault that a validator reported.

    The detail is in fixed words; of what was sent, only names in `known` are repeated.
    """
    code = _OF_PYDANTIC.get(fault["type"], "invalid")
    if fault["type"] == "json_invalid":
        return MemberProblem(member="", code="invalid", detail="the body is not valid JSON")
    path = [str(part) for part in fault["loc"][1:] if isinstance(part, int) or part in known]
    limits = [
        f"{_LIMITS[name]} {value}"
        for name, value in fault.get("ctx", {}).items()
        if name in _LIMITS
    ]
    detail = f"{MEMBER_CODES[code]} ({', '.join(limits)})" if limits else MEMBER_CODES[code]
    return MemberProblem(member=".".join(path), code=code, detail=detail)
