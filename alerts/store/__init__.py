"""The incident store: documents by class, found by id, by filter and by free text.

What every store must do (`tests/contracts/test_incident_store.py` holds it to it):

1. A call that writes is durable when it returns. After a crash in the middle of it each document is
   there whole or not at all.
2. `get`, `mget` and `create` work by id and see every write that has returned, at once.
3. `create` writes only what does not exist: of several callers with the same id exactly one is told
   True.
4. `put` writes the document whole; words and values of its former state find it no longer.
5. `search`, `scroll`, `excerpts` and `count` see every write that returned before the last
   `refresh`, and every one that has returned of a class that is `seen_at_once`. A count is exact.
6. Free text: every word of the query must occur. One Chinese character, two and more find the same
   set in every store (`tokens`). A query is data: no sign in it is an operator, and one that is too
   long is a `QueryError`.
7. `search` gives newest first, equal times by id, or orders by a number of the class, up or down,
   equal ones by id; its cursor goes on behind the last item, whatever was added meanwhile.
8. After `delete` nothing finds a document, and after `expunge` nothing of it is left in the store's
   own files. (SQLite overwrites at once; Elasticsearch writes its segments anew, in the
   background.)
9. `counts`, `tally` and `firsts` answer of all documents that fit, and read none of them: what a
   page says of fifty thousand incidents costs it three questions.
10. `read` gives the version of each document as well, and a `put` or `delete` that names versions
    is done only of what is still as it was read: a write that comes late, be it of a process that
    is gone, overwrites nothing. See `alerts.store`.
11. A store that is down raises `UnavailableError`; a write is never dropped silently: `put` says of
    each item what became of it.

Chinese is written without spaces, and a trigram index misses two-character words (银行). So a run
of it is indexed as its bigrams, in order, and its single characters: a query of one character is a
single, of two a bigram, of more a phrase of bigrams. Latin words and numbers are lower-cased. The
result is plain words between spaces: FTS5's `ascii` and Elasticsearch's `whitespace` analysis split
it alike. A break between runs keeps the phrase of one from going on in the next.

Two processes may for a moment both own a partition, around a rebalance, and what a process sent
before it stalled or was killed may reach the store seconds late. Whoever writes a document that
they read and changed would then take away what another added in between. So `Merge` remembers the
version of each document that it read and writes over these versions alone; where one has another by
now it raises `ConflictError`, and `merge` does it all again from reading, which finds what the
other added.
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
from ullage.files.validation import quoted
from ullage.inventory import Inventory
from ullage.phrase import Phrase
from ullage.security.keys import KeyStore, credentials_folder
from ullage.security.tls import Trust
from ullage.settings import Context

MAX_PAGE = 500
MAX_TALLIES = 10_000
"""Combinations of values that are counted at once."""


class WriteResult(Enum):
    """What became of a document that was put."""

    CREATED = "created"
    REPLACED = "replaced"
    REJECTED = "rejected"
    CONFLICT = "conflict"
    """Nothing was written: it is not as it was read."""


Versions = Mapping[str, str]
"""By id the version of each document that was there when it was read; an id that is not in it
was of none.
"""


class VersionedDocument(NamedTuple, Generic[D]):
    """A document as it was read; `version` is the store's, and any write of the document makes
    another one.
    """

    document: D
    version: str


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """Which documents: all conditions must hold.

    `equals` maps a column or set of the class to the values that it may have, `differs` to values
    of which it has none, `begins` a column to how its value begins. `ids` None means any. `since`
    and `before` are compared with the class's time, `at_most` with its numbers.
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
        """The same with the ids narrowed."""
        return replace(
            self, ids=ids if ids is not None else self.ids, without=without or self.without
        )


@dataclass(frozen=True, slots=True)
class DocumentPage(Generic[D]):
    """Some documents in their order; `after` is where the next page begins, "" at the end."""

    items: tuple[D, ...]
    after: str


@dataclass(frozen=True, slots=True)
class GroupCount:
    """So many documents have the same `values` in the columns asked for, and a number adds up to
    `total` over them.

    `span` says between which of the moments asked for they lie: 0 from the first to the second.
    """

    values: tuple[str, ...]
    count: int
    total: int = 0
    span: int = 0


@dataclass(frozen=True, slots=True)
class First:
    """Of the documents that have one value in a set, the id of the first in an order, and how
    many there are.
    """

    id: str
    count: int


class IncidentStore(Protocol):
    """See the module."""

    def get(self, kind: type[D], id_: str) -> D | None:
        """The document, or None."""

    def mget(self, kind: type[D], ids: Collection[str]) -> dict[str, D]:
        """Those of the documents that exist, by id."""

    def read(self, kind: type[D], ids: Collection[str]) -> dict[str, VersionedDocument[D]]:
        """As `mget`, each with its version."""

    def create(self, documents: Sequence[Document]) -> list[bool]:
        """Write each unless its id exists; tells for each whether it did."""

    def put(self, documents: Sequence[Document], over: Versions | None = None) -> list[WriteResult]:
        """Write each, whether or not it exists; with `over` each over the version that it has
        there.

        CONFLICT where the store has another version, has one at all of what `over` does not name,
        or lacks what it names. Of several with one id the first is written.
        """

    def count(self, kind: type[Document], where: DocumentFilter) -> int:
        """How many there are, exactly."""

    def search(
        self,
        kind: type[D],
        where: DocumentFilter,
        limit: int = 50,
        after: str = "",
        order: str = "",
    ) -> DocumentPage[D]:
        """A page of at most `limit` (≤ 500), newest first; QueryError for a query that cannot be
        answered.

        `order` is `time` or one of the class's `orders`, smallest first, or with a `-` before it
        largest first.
        """

    def counts(
        self, kind: type[Document], where: DocumentFilter, parts: Sequence[DocumentFilter]
    ) -> list[int]:
        """How many of those that fit `where` fit each of `parts` as well, exactly; a part has
        neither text, ids nor sets.
        """

    def tally(
        self,
        kind: type[Document],
        where: DocumentFilter,
        by: Sequence[str],
        total: str = "",
        moments: Sequence[datetime] = (),
    ) -> list[GroupCount]:
        """How many there are of each combination of values in the columns `by`, in no promised
        order, those of none left out.

        `total` names one of the class's `orders`. With `moments`, in order of time, those alone
        that lie between two of them, each span apart. QueryError where there are more than
        `MAX_TALLIES` combinations.
        """

    def firsts(
        self,
        kind: type[Document],
        where: DocumentFilter,
        name: str,
        values: Collection[str],
        order: str,
    ) -> dict[str, First]:
        """Of those that have each of `values` in the set `name`, the first in `order`; a value
        that none has is left out.
        """

    def scroll(self, kind: type[D], where: DocumentFilter) -> Iterator[D]:
        """All of them, in no promised order."""

    def excerpts(self, kind: type[Document], where: DocumentFilter, shape: type[E]) -> Iterator[E]:
        """Of all of them what `shape` asks for, in no promised order: a small part of what
        reading them whole costs.
        """

    def delete(
        self, kind: type[Document], ids: Collection[str], over: Versions | None = None
    ) -> int:
        """Remove them for good, with `over` only what has the version that it names; returns how
        many were removed.
        """

    def expunge(self, kinds: Collection[type[Document]]) -> None:
        """Have the bytes of documents of `kinds` that were deleted leave the files, soon; costly,
        so once after many deletes.

        A store may need a second call, a minute or more after the deletes, for their ids to go as
        well.
        """

    def refresh(self, *kinds: type[Document]) -> None:
        """Make every write that has returned, or those of `kinds`, visible to search, scroll and
        count.
        """

    def check(self) -> str:
        """What this process may do with it, in a few words or none.

        ConfigError when rights, indexes or their version are not what this version of ullage needs;
        it says what to do.
        """

    def close(self) -> None:
        """Release what is held."""


PATIENCE = 10.0
"""Seconds after which a service or command asks whether a server is alive that has not answered:
it may be busy.
"""
PAGE_PATIENCE = 1.5
"""The same for what people wait for: with the time for that question a page takes less than 3 s."""


def configured_store(context: Context, patience: float = PATIENCE) -> IncidentStore:
    """Return the store of the settings, with its password from the settings' key folder; errors are
    those of `open_store`.

    ConfigError also where there is no data folder.
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
    """Return the store that `url` names: `sqlite:///FILE` relative to the data folder, or
    `elasticsearch://HOST:PORT`.

    A store that is a file is entered in `inventory` when it is created; one on other machines has
    its password in the folder `keys`, by default that of the data folder; one that is silent is
    given up after one and a half times `patience` seconds (see `alerts.store.watched_node`).
    ConfigError says what is wrong with `url` or missing beside it; nothing is sent yet.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        from alerts.store.sqlite import (  # noqa: PLC0415  a client is loaded only for the store that is used
            SqliteStore,
        )

        path = data / rest.lstrip("/") if not rest.startswith("//") else Path(rest[1:])
        return SqliteStore(path, inventory)
    if scheme == "elasticsearch":
        with _its_client():
            from alerts.store.elasticsearch import ElasticsearchStore  # noqa: PLC0415  as above
        key_store = KeyStore(keys or data / "keys", credentials=credentials_folder())
        return ElasticsearchStore(url, data, key_store, patience)
    raise ConfigError(
        f"store.url has the scheme {quoted(scheme)}: use sqlite:///FILE or"
        " elasticsearch://HOST:PORT"
    )


def store_trust(context: Context) -> Trust | None:
    """Whom the store's client believes and what it shows; None where there is no TLS.

    ConfigError for a wrong `store.url`.
    """
    if not context.settings.store.url.startswith("elasticsearch://"):
        return None
    with _its_client():
        from alerts.store import (  # noqa: PLC0415  a client is loaded only for the store that is used
            elasticsearch_cluster,
        )
    return elasticsearch_cluster.read_url(context.settings.store.url, context.data).trust


def store_plan(context: Context) -> Iterator[str]:
    """What the owner of the store's servers must set up, as text to paste there; nothing for the
    embedded store.

    ConfigError when `store.url` cannot be read.
    """
    if context.settings.store.url.startswith("elasticsearch://"):
        with _its_client():
            from alerts.store import elasticsearch_cluster  # noqa: PLC0415  as above
        yield from elasticsearch_cluster.console(
            elasticsearch_cluster.read_url(context.settings.store.url, context.data).prefix
        )


@contextlib.contextmanager
def _its_client() -> Iterator[None]:
    """Importing in here says what to install where Elasticsearch's client is missing."""
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
CJK = "\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"  # noqa: E501
RUNS = re.compile(rf"([{CJK}]+)|((?:(?![{CJK}])[^\W_])+)")


def _runs(text: str) -> Iterator[tuple[str, str]]:
    """Each run as (Chinese, other); one of the two is empty."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return ((match[1] or "", (match[2] or "")[:MAX_WORD]) for match in RUNS.finditer(folded))


def index_words(pieces: Iterable[str]) -> str:
    """What a store indexes for these pieces of text."""
    words: list[str] = []
    singles: set[str] = set()
    for piece in pieces:
        for chinese, other in _runs(piece):
            words += [other] if other else [BREAK, *map("".join, pairwise(chinese)), BREAK]
            singles.update(chinese)
        words.append(BREAK)
    return " ".join([*words, *sorted(singles)])


def query_phrases(query: str) -> list[tuple[str, ...]]:
    """The phrases of `query`, all of which must occur; [] when it holds no word.

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
            (other,)
            if other
            else tuple(map("".join, pairwise(chinese)))
            if len(chinese) > 1
            else (chinese,)
        )
        for chinese, other in _runs(query)
    ]


T = TypeVar("T")
TRIES = 4
"""How often in a row it is done before whoever asked waits and tries again."""


class ConflictError(UnavailableError):
    """Somebody else wrote what was to be written over; doing it again from reading mends that."""


@dataclass(slots=True)
class Merge:
    """Reads by id, and writes over what it read."""

    store: IncidentStore
    _versions: dict[type[Document], dict[str, str]] = field(default_factory=dict)

    def mget(self, kind: type[D], ids: Collection[str]) -> dict[str, D]:
        """See `IncidentStore.mget`. What is read twice is written over what it was at first."""
        found, known = self.store.read(kind, ids), self._versions.setdefault(kind, {})
        for id_ in ids:
            known.setdefault(id_, found[id_].version if id_ in found else "")
        return {id_: one.document for id_, one in found.items()}

    def put(self, documents: Iterable[Document]) -> None:
        """Write each over what was read of it, or create it where nothing was there; no two of them
        have the same id.

        ConflictError when one is not as it was read, RecordError when the store can never take one;
        others may be written then.
        """
        some = [*documents]
        outcomes = self.store.put(some, self._over(*{type(one) for one in some}))
        if WriteResult.REJECTED in outcomes:
            raise RecordError("rejected")
        if WriteResult.CONFLICT in outcomes:
            raise ConflictError(_overtaken(type(some[outcomes.index(WriteResult.CONFLICT)])))

    def delete(self, kind: type[Document], ids: Collection[str]) -> int:
        """Remove what was read; returns how many that were.

        ConflictError when one is not as it was read, or gone.
        """
        removed = self.store.delete(kind, ids, self._over(kind)) if ids else 0
        if removed < len({*ids}):
            raise ConflictError(_overtaken(kind))
        return removed

    def _over(self, *kinds: type[Document]) -> dict[str, str]:
        return {
            id_: version
            for kind in kinds
            for id_, version in self._versions.get(kind, {}).items()
            if version
        }


def merge(store: IncidentStore, act: Callable[[Merge], T]) -> T:
    """What `act` returns, which is done again from reading as long as others write the same,
    `TRIES` times at most.

    ConflictError after that. `act` must bear being done again after any of its writes.
    """
    for _ in range(TRIES - 1):
        try:
            return act(Merge(store))
        except ConflictError:
            continue
    return act(Merge(store))


def _overtaken(kind: type[Document]) -> str:
    return (
        f"another process writes the same {kind.__name__.lower()} documents of the store: it is"
        " tried again"
    )
