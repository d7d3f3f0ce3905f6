"""The incident store for many machines: Elasticsearch 8 or 9, one index per record class.

Nothing is created at run time: `create_templates` or the owner of the cluster makes templates and
indexes. Reading and claiming by id see every write at once; search sees the writes before the last
refresh. Queries consist of exact values and phrases alone, so no sign in a text is an operator. The
client never repeats a failed request: `create` would then deny what the first attempt did; the
worker tries the record again and finds what it wrote. A deleted document disappears from all
results at once; its bytes leave the segments when Elasticsearch merges them, which `expunge`
requests. Answers contain whole sources: to leave the filters out, the server would have to parse
each document, which took half its time. For an excerpt it does so, because the remaining tenth
saves more time here than that costs; the fields of `Document.brief` are stored separately.
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
from alerts.records.document import D, Document, E, QueryError, R, parse_stored
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
    build_templates,
    connect,
    error_type,
    index_name,
    inspect,
    read_url,
    require_all_shards,
    serialize,
    server_errors,
    split_batches,
    translate_error,
)
from alerts.store.sqlite_queries import (
    page_mark,
    read_mark,
    read_order,
    require_columns,
    require_set,
    to_microseconds,
    too_many_values,
)
from ullage.errors import RecordError
from ullage.phrase import Phrase
from ullage.security.keys import KeyStore

BY, SPANS, TOTAL = "by", "spans", "total"


def nest_aggregations(by: Sequence[str], sums: Mapping[str, Any]) -> dict[str, Any]:
    """Return one aggregation per column, each within the previous one, `sums` innermost."""
    aggregations = dict(sums)
    for column in reversed(by):
        within = {"aggs": aggregations} if aggregations else {}
        aggregations = {BY: {"terms": {"field": column, "size": MAX_TALLIES}, **within}}
    return aggregations


def split_by_time(aggregations: dict[str, Any], moments: Sequence[datetime]) -> dict[str, Any]:
    """Return the aggregations for the time between each two `moments`, or for all time."""
    within = {"aggs": aggregations} if aggregations else {}
    if not moments:
        return {SPANS: {"filters": {"filters": [{"match_all": {}}]}, **within}}
    ranges = [
        {"from": to_microseconds(start), "to": to_microseconds(end)}
        for start, end in pairwise(moments)
    ]
    return {SPANS: {"range": {"field": "time", "ranges": ranges}, **within}}


def read_tallies(answer: Mapping[str, Any], by: Sequence[str]) -> list[GroupCount]:
    """Return the counts of the server's answer.

    Raises QueryError where the server left counts out, or for more than `MAX_TALLIES` of them.
    """
    counts = [
        count
        for n, span in enumerate(answer[SPANS]["buckets"])
        for count in _read_bucket(span, by, (), n)
    ]
    if len(counts) > MAX_TALLIES:
        raise QueryError(too_many_values())
    return counts


def _read_bucket(
    bucket: Mapping[str, Any], by: Sequence[str], values: tuple[str, ...], span: int
) -> Iterator[GroupCount]:
    """Yield the counts of a bucket and its nested buckets.

    Raises QueryError if the server left values out because there are too many.
    """
    if len(values) == len(by):
        if count := int(bucket["doc_count"]):
            yield GroupCount(
                values, count, round(bucket[TOTAL]["value"]) if TOTAL in bucket else 0, span
            )
        return
    if bucket[BY]["sum_other_doc_count"]:
        raise QueryError(too_many_values())
    for nested in bucket[BY]["buckets"]:
        yield from _read_bucket(nested, by, (*values, nested["key"]), span)


AT_FIRST, SCROLL, KEEP_ALIVE = 2_000, 1_000, "10m"
"""Documents in a single answer, as many as the customers of a batch of findings; for more
documents, those of each page.
"""
EXCERPTS = 5_000
"""Excerpts per request: a second request costs the server more than the size of a large answer."""
BRIEF: Mapping[str, Any] = {
    "source": False,
    "stored_fields": "_none_",
    "docvalue_fields": ["id", "brief"],
}
"""Requests `Document.brief` without opening a document, not even for its `_id`."""
IDS_AT_ONCE = 1000
BULK_BYTES, BULK_ITEMS = 8 * 2**20, 2000
ANSWERED = ("items.*.status", "items.*.error.type", "items.*.result")
"""The part of a bulk answer that is read: the whole would be four times as long."""
OUTCOMES = {201: WriteResult.CREATED, 200: WriteResult.REPLACED, 409: WriteResult.CONFLICT}
MAX_ID_BYTES = 512
"""A longer id would make Elasticsearch refuse the whole bulk."""


class ElasticsearchStore:
    """The incident store in Elasticsearch; see `alerts.store` for its promises."""

    def __init__(self, url: str, data: Path, keys: KeyStore, patience: float) -> None:
        self._address = read_url(url, data)
        self._client = connect(self._address, keys, patience)

    def create_templates(self, kinds: Collection[type[Document]] = CLASSES) -> None:
        """Create or renew the index templates and indexes of the classes `kinds`.

        Existing indexes get the present mapping and settings, and keep their documents. Needs an
        administrator's account; the owner of a cluster can run the printed plan instead. Raises
        ConfigError if the account may not, UnavailableError if the server cannot be reached.
        """
        bodies, prefix = build_templates(self._address.prefix), self._address.prefix
        with server_errors(self._address):
            for name in (index_name(prefix, kind) for kind in kinds):
                self._client.indices.put_index_template(name=name, **bodies[name])
                if not self._client.indices.exists(index=name):
                    self._client.indices.create(index=name)
                    continue
                self._client.indices.put_mapping(
                    index=name, body=bodies[name]["template"]["mappings"]
                )
                self._client.indices.put_settings(index=name, settings=LATER)

    def expunge(self, kinds: Collection[type[Document]]) -> None:
        """Start rewriting every segment with deleted documents; see `IncidentStore.expunge`.

        For about a minute Elasticsearch keeps deleted documents for replicas that lag: a
        document that was written within the last minute, and the deletion marks with the
        latest ids, go with a later call.
        """
        names = [self._index(kind) for kind in kinds]
        with server_errors(self._address, "maintenance", kinds):
            # Only what a commit holds as deleted may be dropped, and a flush also ends the log that
            # has the documents in it.
            require_all_shards(
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
        """Read by id, so that unrefreshed writes are included; see `IncidentStore.mget`."""
        return {hit["_id"]: self._document(kind, hit) for hit in self._fetch(kind, ids)}

    def read(self, kind: type[D], ids: Collection[str]) -> dict[str, VersionedDocument[D]]:
        """See `IncidentStore.read`; the request is the same."""
        return {
            hit["_id"]: VersionedDocument(self._document(kind, hit), _version_of(hit))
            for hit in self._fetch(kind, ids)
        }

    def _fetch(self, kind: type[Document], ids: Collection[str]) -> Iterator[Mapping[str, Any]]:
        """Yield the server's items for the documents that exist.

        Ids that are too long for the server are passed over. Raises UnavailableError or ConfigError
        if the server could not look one of them up.
        """
        for batch in split_batches([id_ for id_ in ids if _fits(id_)], IDS_AT_ONCE):
            with server_errors(self._address, "read", [kind]):
                answer = self._client.mget(index=self._index(kind), ids=list(batch))
            for item in answer["docs"]:
                if "error" in item:
                    # an answer of its own status: a shard that is not up yet is no missing index
                    kind_of = error_type(item)
                    raise translate_error(
                        self._server_name(),
                        404 if kind_of in LASTING else 503,
                        kind_of,
                        "read",
                        [kind],
                    )
                if item["found"]:
                    yield item

    def create(self, documents: Sequence[Document]) -> list[bool]:
        """Write each document whose id is new; see `IncidentStore.create`.

        Raises RecordError for a document that can never be stored, as False would mean that
        it exists.
        """
        statuses = self._write(documents, {})
        if any(status not in {201, 409} for status in statuses):
            raise RecordError("store_refused", "Elasticsearch rejected a document: see its log")
        return [status == 201 for status in statuses]

    def put(self, documents: Sequence[Document], over: Versions | None = None) -> list[WriteResult]:
        """Write documents, with versions compared by the server; see `IncidentStore.put`."""
        return [
            OUTCOMES.get(status, WriteResult.REJECTED) for status in self._write(documents, over)
        ]

    def count(self, kind: type[Document], where: DocumentFilter) -> int:
        """See `IncidentStore.count`."""
        with server_errors(self._address, "read", [kind]):
            answer = self._client.count(index=self._index(kind), query=condition(kind, where))
        require_all_shards(self._address, answer.body)
        return int(answer["count"])

    def counts(
        self, kind: type[Document], where: DocumentFilter, parts: Sequence[DocumentFilter]
    ) -> list[int]:
        """Count in one request; see `IncidentStore.counts`."""
        named = {str(n): condition(kind, part) for n, part in enumerate(parts)}
        answer = self._aggregate(kind, where, {"parts": {"filters": {"filters": named}}})["parts"][
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
        """Count in one request; see `IncidentStore.tally`.

        An index has one shard, so its counts of values are exact.
        """
        sums = {"total": {"sum": {"field": read_order(kind, total)[0]}}} if total else {}
        aggregations = split_by_time(nest_aggregations(require_columns(kind, by), sums), moments)
        return read_tallies(self._aggregate(kind, where, aggregations), by)

    def firsts(
        self,
        kind: type[Document],
        where: DocumentFilter,
        name: str,
        values: Collection[str],
        order: str,
    ) -> dict[str, First]:
        """Find them in one request; see `IncidentStore.firsts`.

        Without `values` nothing is sent and {} is returned.
        """
        if not values:
            return {}
        by, is_down = read_order(kind, order)
        direction = "desc" if is_down else "asc"
        first = {"size": 1, "sort": [{by: direction}, {"id": direction}], "_source": ["id"]}
        terms = {"field": require_set(kind, name), "include": list(values), "size": len(values)}
        aggregations = {"sets": {"terms": terms, "aggs": {"first": {"top_hits": first}}}}
        buckets = self._aggregate(kind, where, aggregations)["sets"]["buckets"]
        return {
            bucket["key"]: First(bucket["first"]["hits"]["hits"][0]["_id"], bucket["doc_count"])
            for bucket in buckets
        }

    def _aggregate(
        self, kind: type[Document], where: DocumentFilter, aggregations: Mapping[str, Any]
    ) -> Any:
        """Return the result of aggregations over all documents that match `where`."""
        with server_errors(self._address, "read", [kind]):
            answer = self._client.search(
                index=self._index(kind),
                query=condition(kind, where),
                aggregations=aggregations,
                size=0,
                track_total_hits=False,
            )
        require_all_shards(self._address, answer.body)
        return answer["aggregations"]

    def search(
        self,
        kind: type[D],
        where: DocumentFilter,
        limit: int = 50,
        after: str = "",
        order: str = "",
    ) -> DocumentPage[D]:
        """Return a page of documents; see `IncidentStore.search`.

        A page has 1 to MAX_PAGE documents, whatever `limit` says. The page mark is the position of
        the last item, so the server needs no state to continue. Raises QueryError for an invalid
        mark.
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
        """Yield documents as of one moment; see `IncidentStore.scroll`."""
        return self._scroll(kind, where, kind)

    def excerpts(self, kind: type[Document], where: DocumentFilter, shape: type[E]) -> Iterator[E]:
        """Yield excerpts; see `IncidentStore.excerpts`.

        Documents too long for a `brief` are read last.
        """
        if not kind.brief or not shape.model_fields.keys() <= {"id", *kind.brief}:
            yield from self._scroll(kind, where, shape)
            return
        lacking = list[str]()
        for hit in self._iterate_hits(
            kind, {"query": condition(kind, where), **BRIEF}, EXCERPTS, EXCERPTS
        ):
            id_, brief = hit["fields"]["id"][0], hit["fields"].get("brief")
            if brief:
                yield self._parse(kind, id_, brief[0], shape)
            else:
                lacking.append(id_)
        for batch in split_batches(lacking, EXCERPTS):
            yield from self._scroll(kind, DocumentFilter(ids=batch), shape)

    def _scroll(self, kind: type[Document], where: DocumentFilter, read_as: type[R]) -> Iterator[R]:
        source = (
            {} if read_as is kind else {"source": [f"doc.{name}" for name in read_as.model_fields]}
        )
        at_first, then = (AT_FIRST, SCROLL) if read_as is kind else (EXCERPTS, EXCERPTS)
        for hit in self._iterate_hits(
            kind, {"query": condition(kind, where), **source}, at_first, then
        ):
            yield self._read_as(kind, hit, read_as)

    def _iterate_hits(
        self, kind: type[Document], request: Mapping[str, Any], at_first: int, then: int
    ) -> Iterator[Mapping[str, Any]]:
        """Return an iterator over all hits.

        If one answer holds them all, it takes one request instead of three.
        """
        hits = self._hits(
            kind, {**request, "index": self._index(kind), "size": at_first, "sort": ["_doc"]}
        )
        return iter(hits) if len(hits) < at_first else self._iterate_pages(kind, request, then)

    def _document(self, kind: type[D], hit: Mapping[str, Any]) -> D:
        return self._read_as(kind, hit, kind)

    def _read_as(self, kind: type[Document], hit: Mapping[str, Any], read_as: type[R]) -> R:
        return self._parse(kind, hit["_id"], hit["_source"].get("doc", {}), read_as)

    def _parse(
        self, kind: type[Document], id_: str, content: str | Mapping[str, Any], read_as: type[R]
    ) -> R:
        return parse_stored(
            kind, id_, content, f"{self._server_name()}, index {self._index(kind)}", read_as
        )

    def _iterate_pages(
        self, kind: type[Document], query: Mapping[str, Any], size: int
    ) -> Iterator[Mapping[str, Any]]:
        """Yield all hits, page after page, as of one point in time.

        `size` is that of a page. The point in time is closed at the end, also if the caller stops
        early.
        """
        with server_errors(self._address, "read", [kind]):
            pit = self._client.open_point_in_time(index=self._index(kind), keep_alive=KEEP_ALIVE)[
                "id"
            ]
        request = {
            **query,
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
        """Delete documents, and return how many existed; see `IncidentStore.delete`.

        Visible at once.
        """
        deleted = 0
        index = self._index(kind)
        named = [id_ for id_ in ids if _fits(id_) and (over is None or id_ in over)]
        for batch in split_batches(named, IDS_AT_ONCE):
            operations = [
                {
                    "delete": {
                        "_index": index,
                        "_id": id_,
                        **(_if_version(over[id_]) if over else {}),
                    }
                }
                for id_ in batch
            ]
            deleted += self._send(operations, "delete", [kind], is_seen=True).count(200)
        return deleted

    def refresh(self, *kinds: type[Document]) -> None:
        """See `IncidentStore.refresh`."""
        names = [self._index(kind) for kind in kinds or CLASSES]
        with server_errors(self._address, "maintenance", kinds):
            answer = self._client.indices.refresh(index=names, ignore_unavailable=True)
        require_all_shards(self._address, answer.body)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _index(self, kind: type[Document]) -> str:
        return index_name(self._address.prefix, kind)

    def _server_name(self) -> str:
        return f"Elasticsearch at {self._address.nodes[0]}"

    def _hits(self, kind: type[Document], request: Mapping[str, Any]) -> list[Any]:
        with server_errors(self._address, "read", [kind]):
            answer = self._client.search(**request, track_total_hits=False)
        require_all_shards(self._address, answer.body)
        return list(answer["hits"]["hits"])

    def _write(self, documents: Sequence[Document], over: Versions | None) -> list[int]:
        """Write the documents and return the HTTP status of each.

        It is 400 for one whose id is too long to send. They are sent in pieces, so that memory and
        requests are bounded. Each is written over its version in `over`, or only if it does not
        exist; without `over`, over any version.
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
                **(_if_version(version) if version else {}),
            }
            action = "index" if over is None or version else "create"
            pair = [to_json({action: header}), serialize(document)]
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
        """Send the operations and return the HTTP status of each.

        Raises UnavailableError or ConfigError where the server could not try an operation, because
        the caller then repeats them all; a refused document (400) and a conflict (409) raise
        nothing. `is_seen` makes the writes visible at once, which takes no right to refresh the
        index: whoever may write may request that with the write.
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
                raise translate_error(self._server_name(), status, kind, privilege, kinds)
            statuses.append(status)
        return statuses


def _note(statuses: list[int], places: Sequence[int], answered: Sequence[int]) -> None:
    for place, status in zip(places, answered, strict=True):
        statuses[place] = status


def _version_of(hit: Mapping[str, Any]) -> str:
    """Return the version of a hit that was read by id."""
    return f"{hit['_seq_no']}:{hit['_primary_term']}"


def _if_version(version: str) -> dict[str, int]:
    """Return the parameters that limit an operation to this version.

    The server answers a different version with status 409.
    """
    number, _, term = version.partition(":")
    return {"if_seq_no": int(number), "if_primary_term": int(term)}


def condition(kind: type[Document], where: DocumentFilter) -> dict[str, Any]:
    """Return the filter `where` as an Elasticsearch query for documents of the class `kind`.

    Raises QueryError for a field or an order that the class does not have.
    """
    needed = _terms(kind, where.equals)
    needed += [
        {"range": {read_order(kind, number)[0]: {"lte": most}}}
        for number, most in where.at_most.items()
    ]
    needed += [
        {"prefix": {name: where.begins[name]}} for name in require_columns(kind, where.begins)
    ]
    if where.before is not None:
        needed.append({"range": {"time": {"lt": to_microseconds(where.before)}}})
    if where.since is not None:
        needed.append({"range": {"time": {"gte": to_microseconds(where.since)}}})
    if where.ids is not None:
        needed.append({"terms": {"id": list(where.ids)}})
    if where.text:
        needed += _phrases_query(kind, where.text)
    without = [{"terms": {"id": list(where.without)}}] if where.without else []
    return {"bool": {"filter": needed, "must_not": [*without, *_terms(kind, where.differs)]}}


def _terms(kind: type[Document], values: Mapping[str, Collection[str]]) -> list[dict[str, Any]]:
    """Return one query per filter.

    Raises QueryError if the class has no such column or set, and TypeError for a single string.
    """
    for name, allowed in values.items():
        if isinstance(allowed, str):
            raise TypeError(f"{name}: give a collection of values")
        if name not in (*kind.columns, *kind.sets):
            raise QueryError(
                Phrase("%(kind)s has no filter %(name)s", kind=kind.__name__, name=name)
            )
    return [{"terms": {name: list(allowed)}} for name, allowed in values.items()]


def _phrases_query(kind: type[Document], text: str) -> list[dict[str, Any]]:
    """Return queries for every phrase of a text; a text without a word matches nothing.

    Raises QueryError for a class without full-text search.
    """
    if not kind.searchable:
        raise QueryError(Phrase("%(kind)s has no full-text search", kind=kind.__name__))
    phrases = query_phrases(text)
    return [{"match_phrase": {"words": " ".join(phrase)}} for phrase in phrases] or [
        {"match_none": {}}
    ]


def _fits(id_: str) -> bool:
    return 0 < len(id_.encode()) <= MAX_ID_BYTES
