"""Tallies as Elasticsearch is asked for them and answers: values within values, each span of time apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from alerts.store import MAX_TALLIES, GroupCount, QueryError
from alerts.store.selection import stamp, too_many

BY, SPANS, TOTAL = "by", "spans", "total"


def tallied(by: Sequence[str], sums: Mapping[str, Any]) -> dict[str, Any]:
    """The aggregations of documents by each column, one within the other, with `sums` in the innermost."""
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
    """What the server answered, whose spans are in order; QueryError where something is left out, or more than are told apart."""
    found = [one for n, span in enumerate(answer[SPANS]["buckets"]) for one in _within(span, by, (), n)]
    if len(found) > MAX_TALLIES:
        raise QueryError(too_many())
    return found


def _within(bucket: Mapping[str, Any], by: Sequence[str], values: tuple[str, ...], span: int) -> Iterator[GroupCount]:
    if len(values) == len(by):
        if count := int(bucket["doc_count"]):
            yield GroupCount(values, count, round(bucket[TOTAL]["value"]) if TOTAL in bucket else 0, span)
        return
    if bucket[BY]["sum_other_doc_count"]:
        raise QueryError(too_many())
    for one in bucket[BY]["buckets"]:
        yield from _within(one, by, (*values, one["key"]), span)
