"""Define what all documents of the incident store share.

A *document* is a frozen pydantic model with an `id`, such as an incident or a decision. Its class
declares in class variables how a store must index it: by which columns it is filtered, by which
time it is ordered, which words find it. A store reads only these, so a new document class needs no
change of a store. `parse_stored` reads a document back and raises CorruptError if it is damaged.
Closed lists of words, such as `Status`, are in the order in which they are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from ullage.errors import CorruptError, Exit, UllageError
from ullage.phrase import Phrase
from ullage.verdict.rules import Severity

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
Status = Literal["open", "acknowledged", "confirmed", "reported", "resolved", "false_positive"]
STATUSES: tuple[Status, ...] = get_args(Status)
Act = Literal[
    "", "assigned", "due", "takedown", "detached", "linked", "unlinked", "excused", "returned",
    "merged", "merged_into", "split", "split_from", "undone", "references_asked",
    "references_approved", "references_refused",
    "second_confirmed", "second_refused",
]  # fmt: skip
"""Actions on an incident that set no status, except that `excused` marks a false positive.

A false positive may return after a time. A second person confirms or refuses acts that end a
reporting deadline (`PendingDecision`). Customer references are requested, and other people approve
or refuse the request.
"""
News = Literal[
    "new", "raised", "grown", "unacknowledged", "escalated", "second_person", "unconfirmed"
]
Sketched = Literal["candidates", "shingles"]
Fraud = Literal["loss", "prevented", "none"]
"""Outcomes of a fraud case: money was lost, somebody stopped it, or there was no fraud."""
Band = Literal["under_3000", "3000_to_30000", "30000_to_500000", "from_500000"]
"""Ranges of an amount in CNY, by the steps of 法释〔2011〕7 art. 1."""


class Frozen(BaseModel):
    """Immutable values without undeclared fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True
    )


class StoredRecord(Frozen):
    """A record that is read from a store, with its id."""

    id: str


class Document(StoredRecord):
    """A document of the store; each subclass says by which fields a store finds it.

        columns   fields with one value each, to filter and count by
        sets      fields with several values each, to filter by any of them
        time      the field that orders documents and lets them expire
        words()   the texts that free-text search finds, if `searchable`

    Each of the remaining class variables is explained below it.
    """

    columns: ClassVar[tuple[str, ...]] = ()
    sets: ClassVar[tuple[str, ...]] = ()
    time: ClassVar[str] = "at"
    orders: ClassVar[tuple[str, ...]] = ()
    """Whole numbers that a search can sort by, besides `time`, and limit."""
    searchable: ClassVar[bool] = False
    broad: ClassVar[tuple[str, ...]] = ()
    """Columns with few values.

    A sorted search is faster if it skips rows than if it collects all rows with a value.
    """
    tallied: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Combinations of columns by which documents are often counted."""
    narrow: ClassVar[tuple[str, ...]] = ()
    """Columns and numbers by which a list is filtered and sorted first.

    Their index also holds all other columns.
    """
    brief: ClassVar[tuple[str, ...]] = ()
    """Small members of a large document.

    A store may keep them apart, so that an excerpt of them is read without the whole document.
    """
    looked_up: ClassVar[bool] = False
    """Whether documents are found only by their sets, by readers that refresh the store first.

    They are neither counted by their sets nor visible to other readers until then.
    """
    seen_at_once: ClassVar[bool] = False
    """Whether a search finds a document as soon as its write has returned.

    That is needed for people's decisions, because the next decision depends on the last.
    """

    def words(self) -> Iterable[str]:
        """Return the texts by which free-text search finds this document; () for none.

        None of them is a leaked value.
        """
        return ()


class Excerpt(StoredRecord):
    """Some fields of a document, read without the others.

    A subclass declares the fields it needs, and they are validated as in the document.
    """

    model_config = ConfigDict(extra="ignore")


D = TypeVar("D", bound=Document)
E = TypeVar("E", bound=Excerpt)
R = TypeVar("R", bound=StoredRecord)


def parse_stored(
    kind: type[Document], id_: str, content: str | Mapping[str, Any], where: str, read_as: type[R]
) -> R:
    """Return the stored document `id_` of class `kind`, parsed from `content` as `read_as`.

    `content` is JSON, as text or parsed; `read_as` is the class itself or an excerpt of it. Raises
    CorruptError, which names the store `where`, if the content is invalid or has another id.
    """
    try:
        read = (
            read_as.model_validate_json(content)
            if isinstance(content, str)
            else read_as.model_validate(content)
        )
        if read.id == id_:
            return read
    except ValidationError:
        pass
    raise CorruptError(
        f"{where}: {kind.__name__} {id_} is damaged, or was written by a newer ullage: use that"
        " version, or restore the store"
    )


class QueryError(UllageError):
    """A query or a form that is not valid.

    The message says why and never repeats the query. `members` are the names of the faulty fields,
    so that a form can mark them. A command exits with code 2.
    """

    exit_code = Exit.USAGE

    def __init__(self, message: str | Phrase, *members: str) -> None:
        super().__init__(message)
        self.members = members
