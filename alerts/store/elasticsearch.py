"""The incident store for many machines: Elasticsearch 8 or 9, one index a record class.

Nothing is created while it runs: `create_templates` makes templates and indexes, or whoever owns
the cluster does. Reading and claiming by id see every write at once, search what was written before
the last refresh. Queries are built here of exact values and phrases alone, so no sign in a text is
an operator. A failed request is never repeated by the client: `create` would then deny what the
first attempt did; the worker tries the record again, which finds what it wrote. Deleted documents
are found by nothing at once; their bytes leave the segments when Elasticsearch merges them, which
`expunge` asks for. Answers bring whole sources: to cut the filters off, the server would have to
parse each document, which took half its time. For an excerpt it does: what is left is a tenth and
less, whose reading here costs more than that; but what is in `Document.brief` it has apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from alerts.records import CLASSES
from alerts.records.document import D, Document, E, QueryError, R, stored
from alerts.store import (
    MAX_PAGE,
    MAX_TALLIES,
    DocumentFilter,
    DocumentPage,
    First,
    GroupCount,
    VersionedDocument,
    Versions,
    WriteResult,
    query_phrases,
)
from alerts.store.elasticsearch_cluster import (
    LASTING,
    LATER,
    body,
    chunks,
    connect,
    error_type,
    index_name,
    inspect,
    meaning,
    must_be_whole,
    read_url,
    server_errors,
    templates,
)
from alerts.store.sqlite_queries import (
    checked_columns,
    checked_set,
    page_mark,
    read_mark,
    read_order,
    stamp,
    too_many,
)
from ullage.errors import RecordError
from ullage.phrase import Phrase
from ullage.security.keys import KeyStore

BY, SPANS, TOTAL = "by", "spans", "total"


def tallied(by: Sequence[str], sums: Mapping[str, Any]) -> dict[str, Any]:
    """The aggregations of documents by each column, one within the other, with `sums` in the
    innermost.
    """
    asked = dict(sums)
    for column in reversed(by):
        within = {"aggs": asked} if asked else {}
        asked = {BY: {"terms": {"field": column, "size": MAX_TALLIES}, **within}}
    return asked


def spans(asked: dict[str, Any], moments: Sequence[datetime]) -> dict[str, Any]:
    """`asked` for the time between each two `moments`, or for all time."""
    within = {"aggs": asked} if asked else {}
    if not moments:
        return {SPANS: {"filters": {"filters": [{"match_all": {}}]}, **within}}
    ranges = [{"from": stamp(one), "to": stamp(next_)} for one, next_ in pairwise(moments)]
    return {SPANS: {"range": {"field": "time", "ranges": ranges}, **within}}


def tallies(answer: Mapping[str, Any], by: Sequence[str]) -> list[GroupCount]:
    """What the server answered, whose spans are in order; QueryError where something is left
    out, or more than are told apart.
    """
    found = [
        one for n, span in enumerate(answer[SPANS]["buckets"]) for one in _within(span, by, (), n)
    ]
    if len(found) > MAX_TALLIES:
        raise QueryError(too_many())
    return found


def _within(
    bucket: Mapping[str, Any], by: Sequence[str], values: tuple[str, ...], span: int
) -> Iterator[GroupCount]:
    if len(values) == len(by):
        if count := int(bucket["doc_count"]):
            yield GroupCount(
                values, count, round(bucket[TOTAL]["value"]) if TOTAL in bucket else 0, span
            )
        return
    if bucket[BY]["sum_other_doc_count"]:
        raise QueryError(too_many())
    for one in bucket[BY]["buckets"]:
        yield from _within(one, by, (*values, one["key"]), span)


AT_FIRST, SCROLL, KEEP_ALIVE = 2_000, 1_000, "10m"
"""Documents that one request may bring, as many as the customers of a batch of findings; of what
is more, those of each page.
"""
EXCERPTS = 5_000
"""So many excerpts are read at once: what the server reads again for a second request costs it
more than they weigh.
"""
BRIEF: Mapping[str, Any] = {
    "source": False,
    "stored_fields": "_none_",
    "docvalue_fields": ["id", "brief"],
}
"""What asks for `Document.brief` and opens no document, not even for its `_id`."""
IDS_AT_ONCE = 1000
BULK_BYTES, BULK_ITEMS = 8 * 2**20, 2000
ANSWERED = ("items.*.status", "items.*.error.type", "items.*.result")
"""What is read of an answer to a bulk: the rest would be four times as long."""
OUTCOMES = {201: WriteResult.CREATED, 200: WriteResult.REPLACED, 409: WriteResult.CONFLICT}
MAX_ID_BYTES = 512
"""A longer id would make Elasticsearch refuse the whole bulk."""


class ElasticsearchStore:
    """See the module, and `alerts.store` for what each method promises."""

    def __init__(self, url: str, data: Path, keys: KeyStore, patience: float) -> None:
        self._address = read_url(url, data)
        self._client = connect(self._address, keys, patience)

    def create_templates(self, kinds: Collection[type[Document]] = CLASSES) -> None:
        """Create or renew templates and indexes, as the plan of the cluster does; needs an
        administrator's account.
        """
        made, prefix = templates(self._address.prefix), self._address.prefix
        with server_errors(self._address):
            for name in (index_name(prefix, kind) for kind in kinds):
                self._client.indices.put_index_template(name=name, **made[name])
                if not self._client.indices.exists(index=name):
                    self._client.indices.create(index=name)
                    continue
                self._client.indices.put_mapping(
                    index=name, body=made[name]["template"]["mappings"]
                )
                self._client.indices.put_settings(index=name, settings=LATER)

    def expunge(self, kinds: Collection[type[Document]]) -> None:
        """See `IncidentStore.expunge`; the servers write anew in the background every segment that
        holds something deleted.

        For about a minute Elasticsearch keeps what was deleted for replicas that lag: a document
        that was written within the last minute, and the mark with the id of each that was just
        deleted, go with a later call.
        """
        names = [self._index(kind) for kind in kinds]
        with server_errors(self._address, "maintenance", kinds):
            # Only what a commit holds as deleted may be dropped, and a flush also ends the log that
            # has the documents in it.
            must_be_whole(
                self._address, self._client.indices.flush(index=names, wait_if_ongoing=True).body
            )
            self._client.indices.forcemerge(
                index=names, only_expunge_deletes=True, wait_for_completion=False
            )

    def check(self) -> str:
        """See `IncidentStore.check`."""
        with server_errors(self._address):
            return inspect(self._client, self._address.prefix)

    def get(self, kind: type[D], id_: str) -> D | None:
        """See `IncidentStore.get`."""
        return self.mget(kind, [id_]).get(id_)

    def mget(self, kind: type[D], ids: Collection[str]) -> dict[str, D]:
        """See `IncidentStore.mget`; by id, so it sees what no refresh has shown yet."""
        return {hit["_id"]: self._document(kind, hit) for hit in self._by_id(kind, ids)}

    def read(self, kind: type[D], ids: Collection[str]) -> dict[str, VersionedDocument[D]]:
        """See `IncidentStore.read`; the request is the same."""
        return {
            hit["_id"]: VersionedDocument(self._document(kind, hit), _version(hit))
            for hit in self._by_id(kind, ids)
        }

    def _by_id(self, kind: type[Document], ids: Collection[str]) -> Iterator[Mapping[str, Any]]:
        """What is there, as the server has it."""
        for some in chunks([id_ for id_ in ids if _fits(id_)], IDS_AT_ONCE):
            with server_errors(self._address, "read", [kind]):
                answer = self._client.mget(index=self._index(kind), ids=list(some))
            for item in answer["docs"]:
                if "error" in item:
                    # an answer of its own status: a shard that is not up yet is no missing index
                    kind_of = error_type(item)
                    raise meaning(
                        self._where(), 404 if kind_of in LASTING else 503, kind_of, "read", [kind]
                    )
                if item["found"]:
                    yield item

    def create(self, documents: Sequence[Document]) -> list[bool]:
        """See `IncidentStore.create`; what can never be stored is a RecordError, for False would
        say that it is there.
        """
        statuses = self._bulk(documents, {})
        if any(status not in {201, 409} for status in statuses):
            raise RecordError("store_refused", "the store refuses a document")
        return [status == 201 for status in statuses]

    def put(self, documents: Sequence[Document], over: Versions | None = None) -> list[WriteResult]:
        """See `IncidentStore.put`; the server itself compares, as it writes."""
        return [
            OUTCOMES.get(status, WriteResult.REJECTED) for status in self._bulk(documents, over)
        ]

    def count(self, kind: type[Document], where: DocumentFilter) -> int:
        """See `IncidentStore.count`."""
        with server_errors(self._address, "read", [kind]):
            answer = self._client.count(index=self._index(kind), query=condition(kind, where))
        must_be_whole(self._address, answer.body)
        return int(answer["count"])

    def counts(
        self, kind: type[Document], where: DocumentFilter, parts: Sequence[DocumentFilter]
    ) -> list[int]:
        """See `IncidentStore.counts`; one request."""
        named = {str(n): condition(kind, part) for n, part in enumerate(parts)}
        answer = self._aggregated(kind, where, {"parts": {"filters": {"filters": named}}})["parts"][
            "buckets"
        ]
        return [int(answer[name]["doc_count"]) for name in named]

    def tally(
        self,
        kind: type[Document],
        where: DocumentFilter,
        by: Sequence[str],
        total: str = "",
        moments: Sequence[datetime] = (),
    ) -> list[GroupCount]:
        """See `IncidentStore.tally`; one request.

        An index has one shard, so its counts of values are exact.
        """
        sums = {"total": {"sum": {"field": read_order(kind, total)[0]}}} if total else {}
        asked = spans(tallied(checked_columns(kind, by), sums), moments)
        return tallies(self._aggregated(kind, where, asked), by)

    def firsts(
        self,
        kind: type[Document],
        where: DocumentFilter,
        name: str,
        values: Collection[str],
        order: str,
    ) -> dict[str, First]:
        """See `IncidentStore.firsts`; one request."""
        if not values:
            return {}
        by, is_down = read_order(kind, order)
        direction = "desc" if is_down else "asc"
        first = {"size": 1, "sort": [{by: direction}, {"id": direction}], "_source": ["id"]}
        terms = {"field": checked_set(kind, name), "include": list(values), "size": len(values)}
        asked = {"sets": {"terms": terms, "aggs": {"first": {"top_hits": first}}}}
        buckets = self._aggregated(kind, where, asked)["sets"]["buckets"]
        return {
            one["key"]: First(one["first"]["hits"]["hits"][0]["_id"], one["doc_count"])
            for one in buckets
        }

    def _aggregated(
        self, kind: type[Document], where: DocumentFilter, asked: Mapping[str, Any]
    ) -> Any:
        """What comes of an aggregation over all that fits `where`."""
        with server_errors(self._address, "read", [kind]):
            answer = self._client.search(
                index=self._index(kind),
                query=condition(kind, where),
                aggregations=asked,
                size=0,
                track_total_hits=False,
            )
        must_be_whole(self._address, answer.body)
        return answer["aggregations"]

    def search(
        self,
        kind: type[D],
        where: DocumentFilter,
        limit: int = 50,
        after: str = "",
        order: str = "",
    ) -> DocumentPage[D]:
        """See `IncidentStore.search`; the mark is the last item's own place, so no state of the
        server is needed to go on.
        """
        size = max(1, min(limit, MAX_PAGE))
        request: dict[str, Any] = {
            "index": self._index(kind),
            "query": condition(kind, where),
            "size": size + 1,
        }
        by, is_down = read_order(kind, order)
        direction = "desc" if is_down else "asc"
        request["sort"] = [{by: direction}, {"id": direction}]
        if after:
            request["search_after"] = list(read_mark(after))
        hits = self._hits(kind, request)
        items = tuple(self._document(kind, hit) for hit in hits[:size])
        return DocumentPage(items, page_mark(*hits[size - 1]["sort"]) if len(hits) > size else "")

    def scroll(self, kind: type[D], where: DocumentFilter) -> Iterator[D]:
        """See `IncidentStore.scroll`; all of it is of one moment."""
        return self._scroll(kind, where, kind)

    def excerpts(self, kind: type[Document], where: DocumentFilter, shape: type[E]) -> Iterator[E]:
        """See `IncidentStore.excerpts`; documents too long for a `brief` are read last."""
        if not kind.brief or not shape.model_fields.keys() <= {"id", *kind.brief}:
            yield from self._scroll(kind, where, shape)
            return
        lacking = list[str]()
        for hit in self._found(
            kind, {"query": condition(kind, where), **BRIEF}, EXCERPTS, EXCERPTS
        ):
            id_, brief = hit["fields"]["id"][0], hit["fields"].get("brief")
            if brief:
                yield self._stored(kind, id_, brief[0], shape)
            else:
                lacking.append(id_)
        for some in chunks(lacking, EXCERPTS):
            yield from self._scroll(kind, DocumentFilter(ids=some), shape)

    def _scroll(self, kind: type[Document], where: DocumentFilter, read_as: type[R]) -> Iterator[R]:
        source = (
            {} if read_as is kind else {"source": [f"doc.{name}" for name in read_as.model_fields]}
        )
        at_first, then = (AT_FIRST, SCROLL) if read_as is kind else (EXCERPTS, EXCERPTS)
        for hit in self._found(kind, {"query": condition(kind, where), **source}, at_first, then):
            yield self._read_as(kind, hit, read_as)

    def _found(
        self, kind: type[Document], request: Mapping[str, Any], at_first: int, then: int
    ) -> Iterator[Mapping[str, Any]]:
        """All hits. What one answer holds is one request instead of three."""
        hits = self._hits(
            kind, {**request, "index": self._index(kind), "size": at_first, "sort": ["_doc"]}
        )
        return iter(hits) if len(hits) < at_first else self._paged(kind, request, then)

    def _document(self, kind: type[D], hit: Mapping[str, Any]) -> D:
        return self._read_as(kind, hit, kind)

    def _read_as(self, kind: type[Document], hit: Mapping[str, Any], read_as: type[R]) -> R:
        return self._stored(kind, hit["_id"], hit["_source"].get("doc", {}), read_as)

    def _stored(
        self, kind: type[Document], id_: str, content: str | Mapping[str, Any], read_as: type[R]
    ) -> R:
        return stored(kind, id_, content, f"{self._where()}, index {self._index(kind)}", read_as)

    def _paged(
        self, kind: type[Document], asked: Mapping[str, Any], size: int
    ) -> Iterator[Mapping[str, Any]]:
        """Page after page of a point in time."""
        with server_errors(self._address, "read", [kind]):
            pit = self._client.open_point_in_time(index=self._index(kind), keep_alive=KEEP_ALIVE)[
                "id"
            ]
        request = {
            **asked,
            "size": size,
            "sort": [{"_shard_doc": "asc"}],
            "pit": {"id": pit, "keep_alive": KEEP_ALIVE},
        }
        try:
            is_whole = False
            while not is_whole:
                hits = self._hits(kind, request)
                yield from hits
                is_whole = len(hits) < size
                request |= {} if is_whole else {"search_after": hits[-1]["sort"]}
        finally:
            with server_errors(self._address, "read", [kind]):
                self._client.options(ignore_status=404).close_point_in_time(id=pit)

    def delete(
        self, kind: type[Document], ids: Collection[str], over: Versions | None = None
    ) -> int:
        """See `IncidentStore.delete`."""
        deleted = 0
        index = self._index(kind)
        named = [id_ for id_ in ids if _fits(id_) and (over is None or id_ in over)]
        for some in chunks(named, IDS_AT_ONCE):
            asked = [
                {"delete": {"_index": index, "_id": id_, **(_unchanged(over[id_]) if over else {})}}
                for id_ in some
            ]
            deleted += self._send(asked, "delete", [kind], is_seen=True).count(200)
        return deleted

    def refresh(self, *kinds: type[Document]) -> None:
        """See `IncidentStore.refresh`."""
        names = [self._index(kind) for kind in kinds or CLASSES]
        with server_errors(self._address, "maintenance", kinds):
            answer = self._client.indices.refresh(index=names, ignore_unavailable=True)
        must_be_whole(self._address, answer.body)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _index(self, kind: type[Document]) -> str:
        return index_name(self._address.prefix, kind)

    def _where(self) -> str:
        return f"Elasticsearch at {self._address.nodes[0]}"

    def _hits(self, kind: type[Document], request: Mapping[str, Any]) -> list[Any]:
        with server_errors(self._address, "read", [kind]):
            answer = self._client.search(**request, track_total_hits=False)
        must_be_whole(self._address, answer.body)
        return list(answer["hits"]["hits"])

    def _bulk(self, documents: Sequence[Document], over: Versions | None) -> list[int]:
        """The status of each document, 400 for one that cannot be sent; in pieces, so that memory
        and requests have a bound.

        Each is written over its version in `over`, or only if it is not there; over whatever there
        is without `over`.
        """
        statuses = [400] * len(documents)
        privilege = "index" if over is None or over else "create_doc"
        send = partial(
            self._send, privilege=privilege, kinds={type(document) for document in documents}
        )
        is_seen = any(document.seen_at_once for document in documents)
        lines: list[bytes] = []
        places: list[int] = []
        size = 0
        for place, document in enumerate(documents):
            if not _fits(document.id):
                continue
            version = over.get(document.id) if over else None
            header = {
                "_index": self._index(type(document)),
                "_id": document.id,
                **(_unchanged(version) if version else {}),
            }
            action = "index" if over is None or version else "create"
            pair = [to_json({action: header}), body(document)]
            length = len(pair[1])
            if lines and (size + length > BULK_BYTES or len(places) >= BULK_ITEMS):
                _note(statuses, places, send(lines, is_seen=is_seen))
                lines, places, size = [], [], 0
            lines += pair
            places.append(place)
            size += length
        if lines:
            _note(statuses, places, send(lines, is_seen=is_seen))
        return statuses

    def _send(
        self,
        operations: Sequence[Any],
        privilege: str,
        kinds: Collection[type[Document]],
        *,
        is_seen: bool,
    ) -> list[int]:
        """The status of each operation; raises where the server could not try one, for the caller
        will do it all again.

        What `is_seen` at once takes no right to refresh the index: whoever may write may ask for
        that along with it.
        """
        with server_errors(self._address, privilege, kinds):
            answer = self._client.bulk(
                operations=list(operations), filter_path=ANSWERED, refresh=is_seen
            )
        statuses = []
        for item in answer["items"]:
            result = next(iter(item.values()))
            status, kind = int(result["status"]), error_type(result)
            absent = status == 404 and "error" not in result
            judged = absent or status in {200, 201, 400, 409}
            if not judged or kind == "strict_dynamic_mapping_exception":
                raise meaning(self._where(), status, kind, privilege, kinds)
            statuses.append(status)
        return statuses


def _note(statuses: list[int], places: Sequence[int], answered: Sequence[int]) -> None:
    for place, status in zip(places, answered, strict=True):
        statuses[place] = status


def _version(hit: Mapping[str, Any]) -> str:
    """The version of what was read by id."""
    return f"{hit['_seq_no']}:{hit['_primary_term']}"


def _unchanged(version: str) -> dict[str, int]:
    """What an operation says that is to be done of this version alone; the server answers
    another with status 409.
    """
    number, _, term = version.partition(":")
    return {"if_seq_no": int(number), "if_primary_term": int(term)}


def condition(kind: type[Document], where: DocumentFilter) -> dict[str, Any]:
    """`where` as a query of exact values, ranges and phrases of our own words."""
    needed = _terms(kind, where.equals)
    needed += [
        {"range": {read_order(kind, number)[0]: {"lte": most}}}
        for number, most in where.at_most.items()
    ]
    needed += [
        {"prefix": {name: where.begins[name]}} for name in checked_columns(kind, where.begins)
    ]
    if where.before is not None:
        needed.append({"range": {"time": {"lt": stamp(where.before)}}})
    if where.since is not None:
        needed.append({"range": {"time": {"gte": stamp(where.since)}}})
    if where.ids is not None:
        needed.append({"terms": {"id": list(where.ids)}})
    if where.text:
        needed += _text(kind, where.text)
    without = [{"terms": {"id": list(where.without)}}] if where.without else []
    return {"bool": {"filter": needed, "must_not": [*without, *_terms(kind, where.differs)]}}


def _terms(kind: type[Document], values: Mapping[str, Collection[str]]) -> list[dict[str, Any]]:
    """A query a filter."""
    for name, wanted in values.items():
        if isinstance(wanted, str):
            raise TypeError(f"{name}: give a collection of values")
        if name not in (*kind.columns, *kind.sets):
            raise QueryError(
                Phrase("%(kind)s has no filter %(name)s", kind=kind.__name__, name=name)
            )
    return [{"terms": {name: list(wanted)}} for name, wanted in values.items()]


def _text(kind: type[Document], text: str) -> list[dict[str, Any]]:
    """Every phrase must occur; a text without a word finds nothing."""
    if not kind.searchable:
        raise QueryError(Phrase("%(kind)s has no full-text search", kind=kind.__name__))
    phrases = query_phrases(text)
    return [{"match_phrase": {"words": " ".join(phrase)}} for phrase in phrases] or [
        {"match_none": {}}
    ]


def _fits(id_: str) -> bool:
    return 0 < len(id_.encode()) <= MAX_ID_BYTES
