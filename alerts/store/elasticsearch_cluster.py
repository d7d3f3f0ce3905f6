"""Reach the cluster, and say and check what its owner must set up: indexes, mappings and rights.

Fields are those of the class with ECS names as aliases where ECS has one, so that a board made for
ECS finds them and nothing is stored twice. `time` is a number of microseconds, because a date in
Elasticsearch orders by milliseconds; `@timestamp` is for people. `words` are our own tokens, split
at spaces: the same set is found as in SQLite. They are indexed, not stored. `brief` is an excerpt
as JSON, kept in columns as the numbers are: it takes a third and less of what an excerpt of the
document takes.

Alert folds, counts and removes what has passed its retention. Search reads, and appends decisions,
suppressions and records of audit: its right is `create_doc`, so that not even a page that was
broken into can change or remove one; the work items, which follow from those, it may write. Alert
appends a decision where a false positive comes back, proposes what needs a second person, and
completes what one confirmed, suppressions among it. The desk reveals originals (`ullage evidence
open`), which search does not see. None may create an index, and none sees another index.
`maintenance` is refresh, flush and merge; `view_index_metadata` is the least named right that lets
`ullage check` compare the mapping's version.

The password is the file `store.password` in the keys folder (0600), or systemd's credential of that
name; beside it `store.user` where the user is not called `ullage`. Neither is ever in a URL, a
setting or the environment. A client's certificate is the file that `certificate=` names
(`ullage.security.tls`); a server that knows its users by theirs wants no password.

The daemon itself has no right to make an index or a template, so whoever may do that does it once,
and again after an update.
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
    FraudOutcome,
    GapReason,
    Hold,
    Holding,
    Incident,
    KeyCheck,
    Notification,
    Original,
    PendingDecision,
    Presence,
    Sighting,
    SiteDay,
    Suppression,
    WorkItem,
)
from alerts.records.document import Document
from alerts.store import index_words
from alerts.store.sqlite_queries import stamp
from alerts.store.watched_node import watched_node
from ullage.errors import ConfigError, UnavailableError
from ullage.security.keys import KeyStore
from ullage.security.tls import Trust, named_file
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
"""Settings that an index that exists can be given too.

By default a merge for erasure leaves a segment alone until a tenth of it is deleted; with 0 no
deleted document stays.
"""
KEYWORD = {"type": "keyword"}
MOST_BRIEF = 8_000
"""Characters: of more than 32,766 bytes Elasticsearch would refuse the document."""


def index_name(prefix: str, kind: type[Document]) -> str:
    """The index of a record class."""
    return prefix + kind.__name__.lower()


def mapping(kind: type[Document]) -> dict[str, Any]:
    """The strict mapping of a record class: a document with a field that is not in here is
    refused.
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


def template(prefix: str, kind: type[Document]) -> dict[str, Any]:
    """The composable index template of a record class."""
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
SAID = (Decision, PendingDecision, Suppression, Hold, GapReason, Audit, FraudOutcome)
ALERT: Rights = (
    (FOLDED, (*SEEN, "index", "delete", "maintenance")),
    (SAID, (*SEEN, "delete", "maintenance")),
    ((Decision, PendingDecision, Suppression), ("create_doc",)),
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
"""Who has one of these has the right too; any other right only by its own name."""


def role(prefix: str, rights: Rights) -> dict[str, Any]:
    """`rights` on the indexes of `prefix`, as the body of a role."""
    return {
        "cluster": [],
        "indices": [
            {"names": [index_name(prefix, kind) for kind in kinds], "privileges": list(privileges)}
            for kinds, privileges in rights
        ],
    }


def roles(prefix: str) -> dict[str, dict[str, Any]]:
    """Every role by name: one a process, for a user that has that process's password file."""
    return {prefix + process: role(prefix, rights) for process, rights in PROCESSES.items()}


def who_may(privilege: str, kinds: Collection[type[Document]]) -> list[str]:
    """The processes that have `privilege` on every one of `kinds`."""

    def may(rights: Rights, kind: type[Document]) -> bool:
        having = IMPLIED_BY.get(privilege, (privilege,))
        return any(
            kind in granted and not set(having).isdisjoint(privileges)
            for granted, privileges in rights
        )

    return [
        process for process, rights in PROCESSES.items() if all(may(rights, kind) for kind in kinds)
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
"""Errors that pass by themselves or when somebody lifts a block: the write is tried again."""
FOREIGN = {
    "strict_dynamic_mapping_exception",
    "index_not_found_exception",
    "no_such_index_exception",
}
"""Errors that say that the indexes are not those of this version."""
LASTING = {*FOREIGN, "security_exception"}
"""Errors that stay until a person does something."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a store URL says."""

    nodes: tuple[str, ...]
    prefix: str
    trust: Trust | None
    """None where there is no TLS."""
    timeout: float = REQUEST_SECONDS
    """Seconds that one request may take; then the server counts as down."""


def read_url(url: str, data: Path) -> Address:
    """The parts of `url`; several nodes stand between commas, files are relative to the data
    folder.

    ConfigError says which part is not as it must be, never what it holds.
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
        raise ConfigError(f"store.url has a part that is not known: use {FORM}")
    plain = options.get("plain") == "1"
    if plain and options.get("certificate"):
        raise ConfigError(
            "store.url has certificate=, which needs TLS, and plain=1, which has none: leave one of"
            " them out"
        )
    nodes = tuple(_node(node, plain=plain) for node in parts.netloc.split(","))
    seconds = _seconds(options.get("timeout", str(REQUEST_SECONDS)))
    return Address(
        nodes, options.get("prefix", PREFIX), None if plain else _trust(options, data), seconds
    )


def _trust(options: Mapping[str, str], data: Path) -> Trust:
    certificate = named_file(options["certificate"], data) if options.get("certificate") else None
    return Trust(
        "store.url", data / options["cafile"] if options.get("cafile") else None, certificate
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ConfigError(
            f"store.url has a timeout that is no number of seconds from 1 to {LONGEST_SECONDS:.0f}"
        )
    return seconds


def _node(text: str, *, plain: bool) -> str:
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


def login(keys: KeyStore) -> tuple[str, str] | None:
    """User and password, or None where there is no password. ConfigError says which file is
    wrong.
    """
    password = _secret(keys, PASSWORD_FILE)
    return None if password is None else (_secret(keys, USER_FILE) or USER, password)


def _secret(keys: KeyStore, name: str) -> str | None:
    lines = keys.lines_if_there(name)
    return None if lines is None else "\n".join(lines)


def connect(address: Address, keys: KeyStore, patience: float) -> Elasticsearch:
    """Return a client; nothing is sent yet.

    It never tries again by itself: whoever holds the record does.
    """
    # what it would say is raised here
    logging.getLogger("elastic_transport").setLevel(logging.CRITICAL)
    options: dict[str, Any] = {
        "request_timeout": address.timeout,
        "max_retries": 0,
        "retry_on_timeout": False,
    }
    options["node_class"] = watched_node(patience)
    who = login(keys)
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
    """Turn what client and server raise into ours; a message never repeats a request.

    A refusal names the processes that have `privilege` on `kinds`, which is what the request takes.
    """
    where = f"Elasticsearch at {address.nodes[0]}"
    try:
        yield
    except UnsupportedProductError:
        raise ConfigError(
            f"{where} is another product, such as OpenSearch: use Elasticsearch 8 or 9"
        ) from None
    except ApiError as error:
        raise meaning(where, error.meta.status, error_type(error.body), privilege, kinds) from None
    except SSLError as error:
        assert address.trust is not None
        address.trust.reject(where, error, urlsplit(address.nodes[0]).hostname or "")
    except TransportError as error:
        raise UnavailableError(f"{where} cannot be reached ({type(error).__name__})") from None


def meaning(
    where: str, status: int, kind: str, privilege: str = "", kinds: Collection[type[Document]] = ()
) -> ConfigError | UnavailableError:
    """Our error for a status and an error type of the server; `privilege` on `kinds` is what was
    asked for.
    """
    if status in {408, 429} or status >= 500 or kind in PASSING:
        return UnavailableError(f"{where} is down, busy or read-only ({status} {kind})")
    if status == 401:
        return ConfigError(
            f"{where} refuses user or password: look at {USER_FILE} and {PASSWORD_FILE} in the keys"
            " folder"
        )
    if status == 403 or kind == "security_exception":
        return ConfigError(
            f"{where} denies a right ({kind}):"
            f" {_what_to_do(who_may(privilege, kinds) if kinds else ())}"
        )
    if kind in FOREIGN or status == 404:
        return ConfigError(
            f"{where} lacks the indexes of this version ({kind}): `ullage check --plan` prints the"
            " templates and indexes"
        )
    return ConfigError(
        f"{where} refuses a request ({status} {kind}): is it Elasticsearch 8 or 9, with our"
        " templates?"
    )


def _what_to_do(processes: Sequence[str]) -> str:
    """Where the user of `processes` has the right; without one, where to read of it."""
    plan = "`ullage check --plan` prints"
    if not processes:
        return f"{plan} the role that the user needs"
    return f"the user of {' or '.join(processes)} has it, so do this on that host; {plan} its role"


def error_type(answer: object) -> str:
    """The type of the error in an answer's body; what else it says may repeat our data."""
    error = answer.get("error") if isinstance(answer, Mapping) else None
    kind = error.get("type") if isinstance(error, Mapping) else None
    return str(kind) if kind else "no reason given"


def must_be_whole(address: Address, answer: Mapping[str, Any]) -> None:
    """An answer of some of the shards alone would be a wrong one."""
    shards = answer.get("_shards", {})
    if shards.get("failed") or answer.get("timed_out"):
        raise UnavailableError(f"Elasticsearch at {address.nodes[0]} answers only in part")


def chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """`items` in pieces of at most `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))


PLAN = "have the owner of the cluster run what `ullage check --plan` prints"
NO_SECURITY = (400, 405)
"""What a cluster without security answers when it is asked about rights."""


def inspect(client: Elasticsearch, prefix: str) -> str:
    """What the user may do, in words; ConfigError names the first right, index or version that is
    not as it must be.

    A user is enough for one process: alert and search may log in with one each.
    """
    lacking = {process: _lacking(client, prefix, rights) for process, rights in PROCESSES.items()}
    able = [process for process, right in lacking.items() if not right]
    if not able:
        told = "; ".join(f"for {process} it lacks {right}" for process, right in lacking.items())
        raise ConfigError(f"the store's user lacks a right: {told}: {PLAN}")
    _check_indexes(
        client,
        prefix,
        {kind for process in able for kinds, _ in PROCESSES[process] for kind in kinds},
    )
    return f"rights of {' and '.join(able)}"


def _lacking(client: Elasticsearch, prefix: str, rights: Rights) -> str:
    """The first right that the user does not have, "" when it has all."""
    wanted = role(prefix, rights)["indices"]
    answer = client.options(ignore_status=NO_SECURITY).security.has_privileges(index=wanted).body
    has = answer.get("index", {})
    if answer.get("has_all_requested", "error" in answer):
        return ""
    asked = (
        (name, right)
        for block in wanted
        for name in block["names"]
        for right in block["privileges"]
    )
    return next(
        (f"{right} on {name}" for name, right in asked if not has.get(name, {}).get(right)),
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
    found = mapping.get("_meta", {}).get("ullage")
    if not isinstance(found, int):
        raise ConfigError(
            f"index {name} was not made from our template: {PLAN}, after deleting the index if it"
            " is empty"
        )
    if found != VERSION:
        todo = "use the ullage that made it, or name another prefix in store.url"
        raise ConfigError(
            f"index {name} has mapping {found}, and this ullage reads {VERSION}: {todo}"
        )


HEAD = """\
# For the owner of the Elasticsearch cluster: paste all of it into Kibana's Dev Tools console (Elasticsearch 8 or 9).
# It may be run again after an update: an index that is there answers 400 to its first request and is brought up by the next two.
"""  # noqa: E501
TAIL = """\
# At last a user for each process, with a password of its own, which goes into the file store.password in that process's keys
# folder (mode 0600) and its name into store.user beside it. A user for all of them has all of the roles.
"""  # noqa: E501


def console(prefix: str) -> Iterator[str]:
    """Templates, indexes and roles for index names that begin with `prefix`: comments, and
    requests between empty lines.
    """
    yield HEAD
    for name, template in templates(prefix).items():
        yield _request(f"_index_template/{name}", template)
        yield _request(name)
        yield _request(f"{name}/_mapping", template["template"]["mappings"])
        yield _request(f"{name}/_settings", LATER)
    for name, role in roles(prefix).items():
        yield _request(f"_security/role/{name}", role)
    yield TAIL + "".join(
        f"# PUT _security/user/{prefix}{process}: role {prefix}{process}\n" for process in PROCESSES
    )


def _request(path: str, body: Mapping[str, Any] | None = None) -> str:
    return f"PUT {path}\n" + (
        f"{json.dumps(body, indent=2, ensure_ascii=False)}\n" if body is not None else ""
    )
