"""How Elasticsearch indexes a record class, derived from what the class says of itself; see `alerts.records`.

Fields are those of the class with ECS names as aliases where ECS has one, so that a board made for ECS finds them and nothing is
stored twice. `time` is a number of microseconds, because a date in Elasticsearch orders by milliseconds; `@timestamp` is for
people. `words` are our own tokens, split at spaces: the same set is found as in SQLite. They are indexed, not stored. `brief` is
an excerpt as JSON, kept in columns as the numbers are: it takes a third and less of what an excerpt of the document takes.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from alerts.records import CLASSES, VERSION
from alerts.records.document import Document
from alerts.store.selection import stamp
from alerts.store.tokens import index_words

ECS = {
    "tenant": "organization.id",
    "who": "user.name",
    "action": "event.action",
    "role": "user.roles",
    "outcome": "event.outcome",
}
MAX_IDS = 1_000_000
LATER = {"index.max_terms_count": MAX_IDS, "index.merge.policy.expunge_deletes_allowed": 0}
"""Settings that an index that exists can be given too. By default a merge for erasure leaves a segment alone until a tenth of it
is deleted; with 0 no deleted document stays."""
KEYWORD = {"type": "keyword"}
MOST_BRIEF = 8_000
"""Characters: of more than 32,766 bytes Elasticsearch would refuse the document."""


def index_name(prefix: str, kind: type[Document]) -> str:
    """The index of a record class."""
    return prefix + kind.__name__.lower()


def mapping(kind: type[Document]) -> dict[str, Any]:
    """The strict mapping of a record class: a document with a field that is not in here is refused."""
    fields: dict[str, Any] = {"id": KEYWORD, "time": {"type": "long"}, "@timestamp": {"type": "date"}}
    fields |= dict.fromkeys(kind.columns, KEYWORD)
    fields |= dict.fromkeys(kind.sets, {**KEYWORD, "doc_values": False} if kind.looked_up else KEYWORD)
    fields |= {ECS[column]: {"type": "alias", "path": column} for column in kind.columns if column in ECS}
    fields |= {number: {"type": "long"} for number in kind.orders}
    if kind.searchable:
        fields["words"] = {"type": "text", "analyzer": "whitespace", "norms": False}
    if kind.brief:
        fields["brief"] = {"type": "keyword", "index": False}
    fields["doc"] = {"type": "object", "enabled": False}
    return {"dynamic": "strict", "_meta": {"ullage": VERSION}, "_source": {"excludes": ["words"]}, "properties": fields}


def template(prefix: str, kind: type[Document]) -> dict[str, Any]:
    """The composable index template of a record class."""
    settings: dict[str, Any] = {"index.number_of_shards": 1, "index.auto_expand_replicas": "0-1", **LATER}
    if kind.looked_up:
        settings["index.refresh_interval"] = "-1"
    return {
        "index_patterns": [index_name(prefix, kind)],
        "priority": 500,
        "version": VERSION,
        "template": {"settings": settings, "mappings": mapping(kind)},
    }


def templates(prefix: str) -> dict[str, dict[str, Any]]:
    """Every template by name: what whoever owns the cluster has to create."""
    return {index_name(prefix, kind): template(prefix, kind) for kind in CLASSES}


def body(document: Document) -> bytes:
    """What is sent for a document, as JSON: its filters, and the document itself."""
    kind = type(document)
    time = stamp(getattr(document, kind.time))
    fields: dict[str, Any] = {"id": document.id, "time": time, "@timestamp": time // 1000}
    fields |= {column: getattr(document, column) for column in kind.columns}
    fields |= {name: sorted(set(getattr(document, name))) for name in kind.sets}
    fields |= {number: getattr(document, number) for number in kind.orders}
    if kind.searchable:
        fields["words"] = index_words(document.words())
    if kind.brief and len(brief := document.model_dump_json(include={"id", *kind.brief})) <= MOST_BRIEF:
        fields["brief"] = brief
    # The document is written by its own serialiser, which is several times faster than a dictionary on the way.
    return b'%b,"doc":%b}' % (to_json(fields)[:-1], to_json(document))
