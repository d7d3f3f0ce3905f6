"""Connect to the cluster; print and check what its owner must set up: indexes, mappings, rights.

Fields are those of the class with ECS names as aliases where ECS has one, so that a board made for
ECS finds them and nothing is stored twice. `time` is a number of microseconds, because a date in
Elasticsearch orders by milliseconds; `@timestamp` is for people. `words` are our own tokens, split
at spaces: they find the same set as in SQLite. They are indexed, not stored. `brief` is an excerpt
as JSON, stored in columns as the numbers are: it takes a third or less of an excerpt of the
document.

Alert groups, counts and removes what has passed its retention. Search reads, and appends decisions,
suppressions and records of audit: its right is `create_doc`, so that not even a compromised page
can change or remove one; it may write work items, which are derived from those. Alert appends a
decision where a false positive comes back, proposes what needs a second person, and completes what
the second person confirmed, suppressions among it. The console reveals originals (`ullage evidence
open`), which search does not see. No service may create an index, and none sees a foreign index.
`maintenance` is refresh, flush and merge; `view_index_metadata` is the least named right that lets
`ullage check` compare the mapping's version.

The password is the file `store.password` in the keys folder (0600), or systemd's credential of that
name; beside it `store.user` where the user is not called `ullage`. Neither is ever in a URL, a
setting or the environment. A client's certificate is the file that `certificate=` names
(`ullage.security.tls`); a server that identifies its users by certificate needs no password.

The daemon itself has no right to make an index or a template, so an authorised person makes them,
and renews them after an update.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from elasticsearch import ApiError, Elasticsearch, SSLError, TransportError, UnsupportedProductError
from pydantic_core import to_json

from alerts.records import (
    CLASSES,
    VERSION,
    Audit,
    Background,
    Claim,
    CollectorHeartbeat,
    DaySheet,
    Decision,
    DutiesKnown,
    DutyRecord,
    Exposure,
    FraudCase,
    GapReason,
    Hold,
    Holding,
    Incident,
    KeyCheck,
    Notification,
    Original,
    PendingDecision,
    Presence,
    ShiftHandover,
    Sighting,
    SiteDay,
    Suppression,
    WorkItem,
)
from alerts.records.document import Document
from alerts.store import index_words
from alerts.store.sqlite_queries import to_microseconds
from alerts.store.watched_node import make_node_class
from ullage.errors import ConfigError, UnavailableError
from ullage.security.keys import KeyStore
from ullage.security.tls import Trust, find_named_file
from ullage.settings import LOOPBACK

ECS = {
    "tenant": "organization.id",
    "who": "user.name",
    "action": "event.action",
    "role": "user.roles",
    "outcome": "event.outcome",
}
MAX_IDS = 1_000_000
LATER = {"index.max_terms_count": MAX_IDS, "index.merge.policy.expunge_deletes_allowed": 0}
"""Settings that can also be given to an existing index.

By default a merge for erasure leaves a segment alone until a tenth of it is deleted; with 0 no
deleted document stays.
"""
KEYWORD = {"type": "keyword"}
MOST_BRIEF = 8_000
"""Characters: of more than 32,766 bytes Elasticsearch would refuse the document."""


def index_name(prefix: str, kind: type[Document]) -> str:
    """Return the index name of a record class."""
    return prefix + kind.__name__.lower()


def build_mapping(kind: type[Document]) -> dict[str, Any]:
    """Return the strict mapping of a record class.

    A document with a field that is missing here is refused.
    """
    fields: dict[str, Any] = {
        "id": KEYWORD,
        "time": {"type": "long"},
        "@timestamp": {"type": "date"},
    }
    fields |= dict.fromkeys(kind.columns, KEYWORD)
    fields |= dict.fromkeys(
        kind.sets, {**KEYWORD, "doc_values": False} if kind.looked_up else KEYWORD
    )
    fields |= {
        ECS[column]: {"type": "alias", "path": column} for column in kind.columns if column in ECS
    }
    fields |= {number: {"type": "long"} for number in kind.orders}
    if kind.searchable:
        fields["words"] = {"type": "text", "analyzer": "whitespace", "norms": False}
    if kind.brief:
        fields["brief"] = {"type": "keyword", "index": False}
    fields["doc"] = {"type": "object", "enabled": False}
    return {
        "dynamic": "strict",
        "_meta": {"ullage": VERSION},
        "_source": {"excludes": ["words"]},
        "properties": fields,
    }


def build_template(prefix: str, kind: type[Document]) -> dict[str, Any]:
    """Return the body of the index template for a document class, for Elasticsearch's API."""
    settings: dict[str, Any] = {
        "index.number_of_shards": 1,
        "index.auto_expand_replicas": "0-1",
        **LATER,
    }
    if kind.looked_up:
        settings["index.refresh_interval"] = "-1"
    return {
        "index_patterns": [index_name(prefix, kind)],
        "priority": 500,
        "version": VERSION,
        "template": {"settings": settings, "mappings": build_mapping(kind)},
    }


def build_templates(prefix: str) -> dict[str, dict[str, Any]]:
    """Return every template that the owner of the cluster has to create, by name."""
    return {index_name(prefix, kind): build_template(prefix, kind) for kind in CLASSES}


def serialize(document: Document) -> bytes:
    """Return a document as JSON to send: fields to filter and sort by, and the whole as `doc`.

    A `brief` is added only if it is at most MOST_BRIEF (8,000) long.
    """
    kind = type(document)
    time = to_microseconds(getattr(document, kind.time))
    fields: dict[str, Any] = {"id": document.id, "time": time, "@timestamp": time // 1000}
    fields |= {column: getattr(document, column) for column in kind.columns}
    fields |= {name: sorted(set(getattr(document, name))) for name in kind.sets}
    fields |= {number: getattr(document, number) for number in kind.orders}
    if kind.searchable:
        fields["words"] = index_words(document.words())
    if (
        kind.brief
        and len(brief := document.model_dump_json(include={"id", *kind.brief})) <= MOST_BRIEF
    ):
        fields["brief"] = brief
    # The document is written by its own serialiser, which is several times faster than a dictionary
    # on the way.
    return b'%b,"doc":%b}' % (to_json(fields)[:-1], to_json(document))


Rights = Sequence[tuple[Sequence[type[Document]], Sequence[str]]]
SEEN = ("read", "view_index_metadata")
FOLDED = (
    Sighting, Exposure, Background, Original, Claim, Presence, KeyCheck, CollectorHeartbeat,
    SiteDay, DaySheet,
    Incident, Notification, WorkItem, DutyRecord, DutiesKnown, Holding,
)  # fmt: skip
SAID = (
    Decision, PendingDecision, Suppression, Hold, GapReason, Audit, FraudCase, ShiftHandover,
)  # fmt: skip
ALERT: Rights = (
    (FOLDED, (*SEEN, "index", "delete", "maintenance")),
    (SAID, (*SEEN, "delete", "maintenance")),
    ((Decision, PendingDecision, Suppression, FraudCase), ("create_doc",)),
)
SEARCH: Rights = (
    (
        (Incident, Sighting, Exposure, Background, KeyCheck, CollectorHeartbeat, SiteDay, DaySheet),
        SEEN,
    ),
    (SAID, (*SEEN, "create_doc")),
    ((Notification, DutyRecord, DutiesKnown), SEEN),
    ((WorkItem,), (*SEEN, "index", "maintenance")),
)
DESK: Rights = (((Incident, Original), SEEN),)
PROCESSES: Mapping[str, Rights] = {"alert": ALERT, "search": SEARCH, "desk": DESK}
IMPLIED_BY: Mapping[str, Sequence[str]] = {"create_doc": ("create_doc", "index")}
"""Having one of these implies the right; any further right only by its own name."""


def build_role(prefix: str, rights: Rights) -> dict[str, Any]:
    """Return the body of an Elasticsearch role that grants `rights` on the indexes of `prefix`."""
    return {
        "cluster": [],
        "indices": [
            {"names": [index_name(prefix, kind) for kind in kinds], "privileges": list(privileges)}
            for kinds, privileges in rights
        ],
    }


def build_roles(prefix: str) -> dict[str, dict[str, Any]]:
    """Return every role by name.

    There is one per process, for a user that has that process's password file.
    """
    return {prefix + process: build_role(prefix, rights) for process, rights in PROCESSES.items()}


def find_processes(privilege: str, kinds: Collection[type[Document]]) -> list[str]:
    """Return the names of the services that have `privilege` on every one of `kinds`."""

    def has_right(rights: Rights, kind: type[Document]) -> bool:
        having = IMPLIED_BY.get(privilege, (privilege,))
        return any(
            kind in granted and not set(having).isdisjoint(privileges)
            for granted, privileges in rights
        )

    return [
        process
        for process, rights in PROCESSES.items()
        if all(has_right(rights, kind) for kind in kinds)
    ]


USER_FILE, PASSWORD_FILE, USER = "store.user", "store.password", "ullage"
OPTIONS = {"prefix", "cafile", "certificate", "plain", "timeout"}
PREFIX = "ullage-"
FORM = "elasticsearch://HOST:PORT?prefix=ullage-&cafile=ca.crt"
REQUEST_SECONDS, LONGEST_SECONDS = 60.0, 3600.0
PASSING = {
    "search_context_missing_exception",
    "cluster_block_exception",
    "unavailable_shards_exception",
    "no_shard_available_action_exception",  # a node that has just been started
}
"""Errors that pass, or end when somebody lifts a block: the write is tried again."""
FOREIGN = {
    "strict_dynamic_mapping_exception",
    "index_not_found_exception",
    "no_such_index_exception",
}
"""Errors for indexes that are not those of this version."""
LASTING = {*FOREIGN, "security_exception"}
"""Errors that stay until a person does something."""


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a store URL."""

    nodes: tuple[str, ...]
    prefix: str
    trust: Trust | None
    """None where there is no TLS."""
    timeout: float = REQUEST_SECONDS
    """Seconds that one request may take; then the server counts as down."""


def read_url(url: str, data: Path) -> Address:
    """Parse `url`; commas separate several nodes, files are relative to the data folder.

    Raises ConfigError that names the invalid part, never its value.
    """
    try:
        parts, options = (
            urlsplit(url),
            dict(parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing="?" in url)),
        )
    except ValueError:
        raise ConfigError(f"store.url cannot be read: use {FORM}") from None
    if "@" in parts.netloc:
        raise ConfigError(
            f"store.url holds a user or password: put them into the key files {USER_FILE} and"
            f" {PASSWORD_FILE}"
        )
    if parts.path.strip("/") or parts.fragment or set(options) - OPTIONS:
        raise ConfigError(f"store.url has an unknown part: use {FORM}")
    plain = options.get("plain") == "1"
    if plain and options.get("certificate"):
        raise ConfigError(
            "store.url has certificate=, which needs TLS, and plain=1, which has none: leave one of"
            " them out"
        )
    nodes = tuple(_parse_node(node, plain=plain) for node in parts.netloc.split(","))
    seconds = _parse_seconds(options.get("timeout", str(REQUEST_SECONDS)))
    return Address(
        nodes, options.get("prefix", PREFIX), None if plain else _read_trust(options, data), seconds
    )


def _read_trust(options: Mapping[str, str], data: Path) -> Trust:
    certificate = (
        find_named_file(options["certificate"], data) if options.get("certificate") else None
    )
    return Trust(
        "store.url", data / options["cafile"] if options.get("cafile") else None, certificate
    )


def _parse_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ConfigError(
            f"store.url: timeout must be a number of seconds from 1 to {LONGEST_SECONDS:.0f}"
        )
    return seconds


def _parse_node(text: str, *, plain: bool) -> str:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise ConfigError(f"store.url has no host with a port: use {FORM}")
    if plain and host not in LOOPBACK:
        raise ConfigError("store.url has plain=1, which only loopback may have: use TLS")
    return f"{'http' if plain else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"


def read_login(keys: KeyStore) -> tuple[str, str] | None:
    """Return user name and password for the store, or None if there is no password file.

    Raises ConfigError, which names the file, if one is invalid.
    """
    password = _read_secret(keys, PASSWORD_FILE)
    return None if password is None else (_read_secret(keys, USER_FILE) or USER, password)


def _read_secret(keys: KeyStore, name: str) -> str | None:
    lines = keys.read_optional_lines(name)
    return None if lines is None else "\n".join(lines)


def connect(address: Address, keys: KeyStore, patience: float) -> Elasticsearch:
    """Return a client of the cluster; nothing is sent yet.

    It never repeats a request: the holder of the record does. A request that takes longer than
    `patience` seconds fails only if the server is silent, and in any case after the time that the
    address gives. The login is that of the keys; on loopback without TLS, or with a client
    certificate, none is needed. Otherwise a missing login raises ConfigError, as does a missing TLS
    file. Switches off the client's own log for the whole process, because errors say the same.
    """
    # its messages are raised as errors instead
    logging.getLogger("elastic_transport").setLevel(logging.CRITICAL)
    options: dict[str, Any] = {
        "request_timeout": address.timeout,
        "max_retries": 0,
        "retry_on_timeout": False,
    }
    options["node_class"] = make_node_class(patience)
    who = read_login(keys)
    if who is None and address.trust and not address.trust.certificate:
        raise ConfigError(
            f"the store's password is missing: put it into {keys.root / PASSWORD_FILE}, mode 0600"
        )
    if who:
        options["basic_auth"] = who
    if address.trust:
        options["ssl_context"] = address.trust.context()
    return Elasticsearch(list(address.nodes), **options)


@contextlib.contextmanager
def server_errors(
    address: Address, privilege: str = "", kinds: Collection[type[Document]] = ()
) -> Iterator[None]:
    """Translate errors of client and server within a `with` block into errors of this project.

    A message never repeats a request. If the server refuses access, the message names the services
    that have `privilege` on `kinds`, which the request needs. Another product than Elasticsearch is
    a ConfigError, a server that cannot be reached an UnavailableError.
    """
    where = f"Elasticsearch at {address.nodes[0]}"
    try:
        yield
    except UnsupportedProductError:
        raise ConfigError(
            f"{where} is another product, such as OpenSearch: use Elasticsearch 8 or 9"
        ) from None
    except ApiError as error:
        raise translate_error(
            where, error.meta.status, error_type(error.body), privilege, kinds
        ) from None
    except SSLError as error:
        assert address.trust is not None
        address.trust.reject(where, error, urlsplit(address.nodes[0]).hostname or "")
    except TransportError as error:
        raise UnavailableError(f"{where} cannot be reached ({type(error).__name__})") from None


def translate_error(
    where: str, status: int, kind: str, privilege: str = "", kinds: Collection[type[Document]] = ()
) -> ConfigError | UnavailableError:
    """Return our error for a status and an error type of the server.

    UnavailableError for what passes (408, 429, 5xx, a read-only index), otherwise ConfigError.
    `privilege` on `kinds` is the right that the request takes; the message of a refused permission
    names who has it.
    """
    if status in {408, 429} or status >= 500 or kind in PASSING:
        return UnavailableError(f"{where} is down, busy or read-only ({status} {kind})")
    if status == 401:
        return ConfigError(
            f"{where} rejected the user name or password: check {USER_FILE} and {PASSWORD_FILE}"
            " in the keys folder"
        )
    if status == 403 or kind == "security_exception":
        return ConfigError(
            f"{where} refuses the permission ({kind}):"
            f" {_suggest_processes(find_processes(privilege, kinds) if kinds else ())}"
        )
    if kind in FOREIGN or status == 404:
        return ConfigError(
            f"{where} lacks the indexes of this version ({kind}): `ullage check --plan` prints the"
            " templates and indexes"
        )
    return ConfigError(
        f"{where} refuses a request ({status} {kind}): use Elasticsearch 8 or 9, with the"
        " templates of `ullage check --plan`"
    )


def _suggest_processes(processes: Sequence[str]) -> str:
    """Return where a user has the right: on the hosts of `processes`.

    Without a process, return where the role is documented.
    """
    plan = "`ullage check --plan` prints"
    if not processes:
        return f"{plan} the role that the user needs"
    return f"the user of {' or '.join(processes)} has it, so do this on that host; {plan} its role"


def error_type(answer: object) -> str:
    """Return the type of the error in an answer's body.

    Its remaining fields may repeat our data.
    """
    error = answer.get("error") if isinstance(answer, Mapping) else None
    kind = error.get("type") if isinstance(error, Mapping) else None
    return str(kind) if kind else "no reason given"


def require_all_shards(address: Address, answer: Mapping[str, Any]) -> None:
    """Raise UnavailableError for an answer of only some of the shards."""
    shards = answer.get("_shards", {})
    if shards.get("failed") or answer.get("timed_out"):
        raise UnavailableError(f"Elasticsearch at {address.nodes[0]} answers only in part")


def split_batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Split `items` into batches of at most `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))


PLAN = "have the owner of the cluster run what `ullage check --plan` prints"
NO_SECURITY = (400, 405)
"""Statuses that a cluster without security answers to questions about rights."""


def inspect(client: Elasticsearch, prefix: str) -> str:
    """Return the processes whose rights the user has, in words.

    One process is enough: alert and search may log in as different users. Raises ConfigError
    for the first right, index or version that is not as required.
    """
    lacking = {
        process: _find_missing_right(client, prefix, rights)
        for process, rights in PROCESSES.items()
    }
    able = [process for process, right in lacking.items() if not right]
    if not able:
        missing = "; ".join(f"for {process} it lacks {right}" for process, right in lacking.items())
        raise ConfigError(f"the store's user lacks a right: {missing}: {PLAN}")
    _check_indexes(
        client,
        prefix,
        {kind for process in able for kinds, _ in PROCESSES[process] for kind in kinds},
    )
    return f"rights of {' and '.join(able)}"


def _find_missing_right(client: Elasticsearch, prefix: str, rights: Rights) -> str:
    """Return the first right that the user does not have, "" when none is missing.

    A server without security has none missing.
    """
    required = build_role(prefix, rights)["indices"]
    answer = client.options(ignore_status=NO_SECURITY).security.has_privileges(index=required).body
    has = answer.get("index", {})
    if answer.get("has_all_requested", "error" in answer):
        return ""
    pairs = (
        (name, right)
        for block in required
        for name in block["names"]
        for right in block["privileges"]
    )
    return next(
        (f"{right} on {name}" for name, right in pairs if not has.get(name, {}).get(right)),
        "a right",
    )


def _check_indexes(client: Elasticsearch, prefix: str, kinds: Collection[type[Document]]) -> None:
    names = sorted(index_name(prefix, kind) for kind in kinds)
    mappings = client.indices.get_mapping(index=names, ignore_unavailable=True).body
    for name in names:
        if name not in mappings:
            raise ConfigError(f"index {name} is missing: {PLAN}")
        _check_version(name, mappings[name]["mappings"])


def _check_version(name: str, mapping: dict[str, Any]) -> None:
    version = mapping.get("_meta", {}).get("ullage")
    if not isinstance(version, int):
        raise ConfigError(
            f"index {name} was not made from our template: {PLAN}, after deleting the index if it"
            " is empty"
        )
    if version != VERSION:
        todo = "use the ullage that made it, or name another prefix in store.url"
        raise ConfigError(
            f"index {name} has mapping {version}, and this ullage reads {VERSION}: {todo}"
        )


HEAD = """\
# For the owner of the Elasticsearch cluster: paste all of it into Kibana's Dev Tools console \
(Elasticsearch 8 or 9).
# It may be run again after an update: an index that is there answers 400 to its first request and \
is brought up by the next two.
"""
TAIL = """\
# At last a user for each process, with a password of its own, which goes into the file \
store.password in that process's keys
# folder (mode 0600) and its name into store.user beside it. A user for all of them has all of the \
roles.
"""


def plan_text(prefix: str) -> Iterator[str]:
    """Yield templates, indexes and roles for index names that begin with `prefix`.

    The text is comments, and requests between empty lines.
    """
    yield HEAD
    for name, template in build_templates(prefix).items():
        yield _format_request(f"_index_template/{name}", template)
        yield _format_request(name)
        yield _format_request(f"{name}/_mapping", template["template"]["mappings"])
        yield _format_request(f"{name}/_settings", LATER)
    for name, role in build_roles(prefix).items():
        yield _format_request(f"_security/role/{name}", role)
    yield TAIL + "".join(
        f"# PUT _security/user/{prefix}{process}: role {prefix}{process}\n" for process in PROCESSES
    )


def _format_request(path: str, body: Mapping[str, Any] | None = None) -> str:
    return f"PUT {path}\n" + (
        f"{json.dumps(body, indent=2, ensure_ascii=False)}\n" if body is not None else ""
    )
