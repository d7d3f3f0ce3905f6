"""The incident store: documents by class, found by id, by filter and by free text.

Every implementation must keep these promises (`tests/contracts/test_incident_store.py`):

1. A write is durable when the call returns. After a crash during a write, each document is stored
   whole or not at all.
2. `get`, `mget` and `create` work by id and see every write that has returned.
3. `create` writes only documents that do not exist: of several callers with the same id, exactly
   one receives True.
4. `put` replaces the whole document; words and values of its former state no longer find it.
5. `search`, `scroll`, `excerpts` and `count` see every write that returned before the last
   `refresh`, and for a class with `seen_at_once` every write that has returned. A count is exact.
6. Free text: every word of the query must occur. Queries of one, two or more Chinese characters
   find the same set in every store (`index_words`). A query is data: no sign in it is an operator,
   and a query that is too long is a `QueryError`.
7. `search` returns the newest documents first, equal times by id, or orders by a number of the
   class, ascending or descending, equal numbers by id. Its cursor continues after the last item,
   whatever was added meanwhile.
8. After `delete` nothing finds a document, and after `expunge` nothing of it remains in the store's
   own files. (SQLite overwrites at once; Elasticsearch rewrites its segments in the background.)
9. `counts`, `tally` and `firsts` cover all documents that match, and read none of them: the summary
   of fifty thousand incidents on a page costs three queries.
10. `read` also returns the version of each document, and a `put` or `delete` that names versions
    changes only documents that still have them: a late write, even of a process that has ended,
    overwrites nothing. See `Merge`.
11. A store that is down raises `UnavailableError`; a write is never dropped silently: `put` returns
    the result for each item.

Chinese is written without spaces, and a trigram index misses two-character words (银行). So a run
of Chinese is indexed as its bigrams, in order, and its single characters: a query of one
character is a single, of two a bigram, of more a phrase of bigrams. Latin words and numbers are
lower-cased. The result is plain words between spaces: FTS5's `ascii` and Elasticsearch's
`whitespace` analysis split it alike. A break between runs keeps a phrase from continuing into
the next run.

For a moment around a rebalance two processes may both own a partition, and a write that a process
sent before it stalled or was killed may reach the store seconds late. A process that reads, changes
and writes a document would then remove what another process added in between. So `Merge` remembers
the version of each document that it read and overwrites only that version; if the store has a
different version by then, it raises `ConflictError`, and `merge` starts again by reading, which
finds the addition.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

from alerts.records.document import D, Document, E, QueryError
from ullage.errors import ConfigError, RecordError, UnavailableError
from ullage.files.validation import quote_word
from ullage.inventory import Inventory
from ullage.phrase import Phrase
from ullage.security.keys import KeyStore, find_credentials_folder
from ullage.security.tls import Trust
from ullage.settings import Context

MAX_PAGE = 500
MAX_TALLIES = 10_000
"""Most combinations of values in one tally."""


class WriteResult(Enum):
    """The result of putting a document."""

    CREATED = "created"
    REPLACED = "replaced"
    REJECTED = "rejected"
    CONFLICT = "conflict"
    """Nothing was written: the document has changed since it was read."""


Versions = Mapping[str, str]
"""By id, the version of each document that existed when it was read; further ids had none."""


class VersionedDocument(NamedTuple, Generic[D]):
    """A document and the store's version of it; every write changes the version."""

    document: D
    version: str


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """Selects documents of a class; all conditions that are set must hold.

        equals    a column or set of the class → the values of which one must occur
        differs   a column or set → the values of which none may occur
        begins    a column → a prefix of its value
        at_most   a number of the class → the most that it may be
        since     the class's time is this or later; `before`: it is earlier
        text      every word of it occurs in the document's `words()`
        ids       only these documents, None for any; `without`: not these

    An empty filter selects every document.
    """

    equals: Mapping[str, Collection[str]] = field(default_factory=dict)
    differs: Mapping[str, Collection[str]] = field(default_factory=dict)
    at_most: Mapping[str, int] = field(default_factory=dict)
    since: datetime | None = None
    text: str = ""
    before: datetime | None = None
    ids: Collection[str] | None = None
    without: Collection[str] = ()
    begins: Mapping[str, str] = field(default_factory=dict)

    def but(
        self, *, ids: Collection[str] | None = None, without: Collection[str] = ()
    ) -> DocumentFilter:
        """Return a copy of this filter that allows other ids or excludes other ids.

        `ids` replaces the allowed ids unless it is None; `without` replaces the excluded ids unless
        it is empty.
        """
        return replace(
            self, ids=ids if ids is not None else self.ids, without=without or self.without
        )


@dataclass(frozen=True, slots=True)
class DocumentPage(Generic[D]):
    """Documents in order; `after` is the cursor of the next page, "" at the end."""

    items: tuple[D, ...]
    after: str


@dataclass(frozen=True, slots=True)
class GroupCount:
    """The number of documents with the same `values` in the requested columns.

    `total` is the sum of a number over them. `span` is the index of the time span that they lie
    in: 0 is from the first to the second of the requested moments.
    """

    values: tuple[str, ...]
    count: int
    total: int = 0
    span: int = 0


@dataclass(frozen=True, slots=True)
class First:
    """The id of the first document, in an order, with a value in a set; `count` is their number."""

    id: str
    count: int


class IncidentStore(Protocol):
    """The operations of every incident store; see the module for their promises.

    Every method raises UnavailableError while the store is down, and CorruptError if what it reads
    is damaged.
    """

    def get(self, kind: type[D], id_: str) -> D | None:
        """Return the document of the class `kind` with the id `id_`, or None if there is none."""

    def mget(self, kind: type[D], ids: Collection[str]) -> dict[str, D]:
        """Return the documents of the class `kind` with these ids, by id.

        An id without a document is missing from the result.
        """

    def read(self, kind: type[D], ids: Collection[str]) -> dict[str, VersionedDocument[D]]:
        """Return the documents that exist with their versions, by id."""

    def create(self, documents: Sequence[Document]) -> list[bool]:
        """Store each document whose id is new, and leave stored documents as they are.

        Returns for each document, in order, whether it was written.
        """

    def put(self, documents: Sequence[Document], over: Versions | None = None) -> list[WriteResult]:
        """Write each document, new or not, and return the result for each, in order.

        With `over`, only over the version named there: the result is CONFLICT where the store has a
        different version, has a document that `over` does not name, or lacks a document that `over`
        names. Of several documents with one id the first is written.
        """

    def count(self, kind: type[Document], where: DocumentFilter) -> int:
        """Return how many documents of a class match, exactly.

        Raises QueryError for a filter that cannot be answered.
        """

    def search(
        self,
        kind: type[D],
        where: DocumentFilter,
        limit: int = 50,
        after: str = "",
        order: str = "",
    ) -> DocumentPage[D]:
        """Return a page of at most `limit` (≤ 500) documents, newest first.

        `order` is `time` or one of the class's `orders`, smallest first, or with a `-`
        before it largest first. Raises QueryError for a query that cannot be answered.
        """

    def counts(
        self, kind: type[Document], where: DocumentFilter, parts: Sequence[DocumentFilter]
    ) -> list[int]:
        """Return, for each of `parts`, how many documents match both `where` and the part.

        The numbers are exact. A part must not filter by text, ids or sets.
        """

    def tally(
        self,
        kind: type[Document],
        where: DocumentFilter,
        by: Sequence[str],
        total: str = "",
        moments: Sequence[datetime] = (),
    ) -> list[GroupCount]:
        """Count the documents by combination of values in the columns `by`, in no promised order.

        Combinations without documents are left out. `total` names one of the class's
        `orders` to add up. With `moments`, in order of time, only documents between two of
        them count, separately for each span. Raises QueryError for more than `MAX_TALLIES`
        combinations.
        """

    def firsts(
        self,
        kind: type[Document],
        where: DocumentFilter,
        name: str,
        values: Collection[str],
        order: str,
    ) -> dict[str, First]:
        """Return, for each of `values`, the first document in `order` whose set `name` has it.

        The documents must also match `where`. A value without such a document is missing.
        """

    def scroll(self, kind: type[D], where: DocumentFilter) -> Iterator[D]:
        """Yield all matching documents, in no promised order."""

    def excerpts(self, kind: type[Document], where: DocumentFilter, shape: type[E]) -> Iterator[E]:
        """Yield the fields of `shape` for all matching documents, in no promised order.

        This costs a small part of reading the whole documents.
        """

    def delete(
        self, kind: type[Document], ids: Collection[str], over: Versions | None = None
    ) -> int:
        """Delete the documents for good and return how many were deleted.

        With `over`, only documents of the version named there are deleted.
        """

    def expunge(self, kinds: Collection[type[Document]]) -> None:
        """Remove the bytes of deleted documents of `kinds` from the store's own files.

        This is costly, so call it one time after many deletes. A store may work on after the call,
        and may need a second call, a minute or more after the deletes, to remove their ids too.
        """

    def refresh(self, *kinds: type[Document]) -> None:
        """Make returned writes (of `kinds`, or all) visible to search, scroll and count."""

    def check(self) -> str:
        """Check that this process can use the store; return its rights in a few words, or "".

        Raises ConfigError, with the remedy, if rights, indexes or their version are not as this
        version of ullage needs.
        """

    def close(self) -> None:
        """Release connections and files."""


PATIENCE = 10.0
"""Seconds without an answer after which a service or command checks whether the server is alive."""
PAGE_PATIENCE = 1.5
"""The same where people wait: including the check, a page takes less than 3 s."""


def open_configured_store(context: Context, patience: float = PATIENCE) -> IncidentStore:
    """Return the incident store that the settings name, opened and ready to use.

    Its password is read from the key folder. Raises ConfigError if there is no data folder, and the
    errors of `open_store`.
    """
    context.require_data()
    return open_store(
        context.settings.store.url, context.data, context.keys.root, context.inventory, patience
    )


def open_store(
    url: str,
    data: Path,
    keys: Path | None = None,
    inventory: Inventory | None = None,
    patience: float = PATIENCE,
) -> IncidentStore:
    """Open the store at `url`: `sqlite:///FILE` in the data folder, or `elasticsearch://HOST:PORT`.

    A new store file is entered in `inventory`. A store on other machines has its password in the
    folder `keys`, by default that of the data folder; requests to a silent server fail after one
    and a half times `patience` seconds (see `alerts.store.watched_node`). Nothing is sent yet.
    Raises ConfigError for an invalid `url` or a missing file. A store on Elasticsearch also raises
    it if the client is not installed or a password is missing.
    """
    scheme, _, location = url.partition("://")
    if scheme == "sqlite":
        from alerts.store.sqlite import (  # noqa: PLC0415  only the used client
            SqliteStore,
        )

        path = data / location.lstrip("/") if not location.startswith("//") else Path(location[1:])
        return SqliteStore(path, inventory)
    if scheme == "elasticsearch":
        with _require_client():
            from alerts.store.elasticsearch import ElasticsearchStore  # noqa: PLC0415  as above
        key_store = KeyStore(keys or data / "keys", credentials=find_credentials_folder())
        return ElasticsearchStore(url, data, key_store, patience)
    raise ConfigError(
        f"store.url has the scheme {quote_word(scheme)}: use sqlite:///FILE or"
        " elasticsearch://HOST:PORT"
    )


def store_trust(context: Context) -> Trust | None:
    """Return the TLS settings of the store's client, or None if the store is a local file.

    Raises ConfigError for an invalid `store.url`, or if Elasticsearch's client is not installed.
    """
    if not context.settings.store.url.startswith("elasticsearch://"):
        return None
    with _require_client():
        from alerts.store import (  # noqa: PLC0415  only the used client
            elasticsearch_cluster,
        )
    return elasticsearch_cluster.read_url(context.settings.store.url, context.data).trust


def store_plan(context: Context) -> Iterator[str]:
    """Yield text that the owner of the store's servers runs to set up indexes and rights.

    Yields nothing for the embedded store. Raises ConfigError if `store.url` is invalid or the
    client of Elasticsearch is not installed.
    """
    if context.settings.store.url.startswith("elasticsearch://"):
        with _require_client():
            from alerts.store import elasticsearch_cluster  # noqa: PLC0415  as above
        yield from elasticsearch_cluster.plan_text(
            elasticsearch_cluster.read_url(context.settings.store.url, context.data).prefix
        )


@contextlib.contextmanager
def _require_client() -> Iterator[None]:
    """Explain what to install where importing Elasticsearch's client fails.

    Raises ConfigError in that case.
    """
    try:
        yield
    except ModuleNotFoundError:
        raise ConfigError(
            "store.url names Elasticsearch, whose client is not installed: pip install"
            " elasticsearch"
        ) from None


MAX_QUERY = 200
MAX_WORD = 127
"""Longer words are cut, in texts and in queries: Elasticsearch splits at 255 units of UTF-16,
where SQLite does not.
"""
BREAK = "·"
CJK = (
    "\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
RUNS = re.compile(rf"([{CJK}]+)|((?:(?![{CJK}])[^\W_])+)")


def _split_runs(text: str) -> Iterator[tuple[str, str]]:
    """Split text into runs (Chinese, other); one of the two is empty."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return ((match[1] or "", (match[2] or "")[:MAX_WORD]) for match in RUNS.finditer(folded))


def index_words(pieces: Iterable[str]) -> str:
    """Return the words by which free-text search finds these pieces of text, between spaces.

    Latin words and numbers are lower-cased; of a run of Chinese there are its pairs of neighbouring
    characters, in order, and at the end all single characters. `·` parts runs and pieces.

    >>> index_words(['银行 VIP'])
    '· 银行 · vip · 行 银'
    """
    words: list[str] = []
    singles: set[str] = set()
    for piece in pieces:
        for chinese, word in _split_runs(piece):
            words += [word] if word else [BREAK, *map("".join, pairwise(chinese)), BREAK]
            singles.update(chinese)
        words.append(BREAK)
    return " ".join([*words, *sorted(singles)])


def query_phrases(query: str) -> list[tuple[str, ...]]:
    """Split `query` into phrases, all of which must occur; [] when it holds no word.

    A phrase is a tuple of words as `index_words` makes them, which must follow one another. Raises
    QueryError for a query of more than `MAX_QUERY` characters.

    >>> query_phrases('银行 客户信息 VIP')
    [('银行',), ('客户', '户信', '信息'), ('vip',)]
    """
    if len(query) > MAX_QUERY:
        raise QueryError(
            Phrase("the query is longer than %(most)s characters: use fewer words", most=MAX_QUERY),
            "q",
        )
    return [
        (
            (word,)
            if word
            else tuple(map("".join, pairwise(chinese)))
            if len(chinese) > 1
            else (chinese,)
        )
        for chinese, word in _split_runs(query)
    ]


T = TypeVar("T")
TRIES = 4
"""Attempts in a row before the caller has to wait and try again."""


class ConflictError(UnavailableError):
    """A document that is to be written was overwritten by another process meanwhile.

    Starting again by reading mends that.
    """


@dataclass(slots=True)
class Merge:
    """Reads documents by id, and writes only over the versions that it read."""

    store: IncidentStore
    _versions: dict[type[Document], dict[str, str]] = field(default_factory=dict)

    def mget(self, kind: type[D], ids: Collection[str]) -> dict[str, D]:
        """Return the documents of a class that exist, by id; ids without a document are left out.

        The version of each id at its first reading is remembered, also that it did not exist.
        `put` succeeds only where the store still has that version. A later call returns the
        document as it is then, but leaves the remembered version as it was.
        """
        documents, versions = self.store.read(kind, ids), self._versions.setdefault(kind, {})
        for id_ in ids:
            versions.setdefault(id_, documents[id_].version if id_ in documents else "")
        return {id_: versioned.document for id_, versioned in documents.items()}

    def put(self, documents: Iterable[Document]) -> None:
        """Write each document, unless it has changed in the store since this merge read it.

        New documents are created; ids must differ. Raises ConflictError if a document has changed,
        and RecordError if the store can never take one; the remaining documents may have been
        written then.
        """
        batch = [*documents]
        outcomes = self.store.put(batch, self._versions_of(*{type(document) for document in batch}))
        if WriteResult.REJECTED in outcomes:
            raise RecordError("rejected")
        if WriteResult.CONFLICT in outcomes:
            raise ConflictError(
                _describe_conflict(type(batch[outcomes.index(WriteResult.CONFLICT)]))
            )

    def delete(self, kind: type[Document], ids: Collection[str]) -> int:
        """Delete documents that were read, and return how many were deleted.

        Raises ConflictError when a document has changed or is gone.
        """
        removed = self.store.delete(kind, ids, self._versions_of(kind)) if ids else 0
        if removed < len({*ids}):
            raise ConflictError(_describe_conflict(kind))
        return removed

    def _versions_of(self, *kinds: type[Document]) -> dict[str, str]:
        return {
            id_: version
            for kind in kinds
            for id_, version in self._versions.get(kind, {}).items()
            if version
        }


def merge(store: IncidentStore, act: Callable[[Merge], T]) -> T:
    """Return the result of `act`, started again after each conflict, at most `TRIES` times.

    Raises ConflictError after that. `act` must tolerate being repeated after any of its writes.
    """
    for _ in range(TRIES - 1):
        try:
            return act(Merge(store))
        except ConflictError:
            continue
    return act(Merge(store))


def _describe_conflict(kind: type[Document]) -> str:
    return (
        f"another process writes the same {kind.__name__.lower()} documents of the store: it is"
        " tried again"
    )
