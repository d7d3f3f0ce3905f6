"""How the Elasticsearch store is reached: its URL, who logs in, and what the server's errors mean to us.

The password is the file `store.password` in the keys folder (0600), or systemd's credential of that name; beside it
`store.user` where the user is not called `ullage`. Neither is ever in a URL, a setting or the environment. A client's certificate
is the file that `certificate=` names (`ullage.security.tls`); a server that knows its users by theirs wants no password.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from elasticsearch import ApiError, Elasticsearch, SSLError, TransportError, UnsupportedProductError

from alerts.records.document import Document
from alerts.store.rights import who_may
from ullage.errors import ConfigError, UnavailableError
from ullage.security.keys import KeyStore
from ullage.security.tls import Trust, named_file
from ullage.settings import LOOPBACK

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
FOREIGN = {"strict_dynamic_mapping_exception", "index_not_found_exception", "no_such_index_exception"}
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
    """The parts of `url`; several nodes stand between commas, files are relative to the data folder.

    ConfigError says which part is not as it must be, never what it holds.
    """
    try:
        parts, options = urlsplit(url), dict(parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing="?" in url))
    except ValueError:
        raise ConfigError(f"store.url cannot be read: use {FORM}") from None
    if "@" in parts.netloc:
        raise ConfigError(f"store.url holds a user or password: put them into the key files {USER_FILE} and {PASSWORD_FILE}")
    if parts.path.strip("/") or parts.fragment or set(options) - OPTIONS:
        raise ConfigError(f"store.url has a part that is not known: use {FORM}")
    plain = options.get("plain") == "1"
    if plain and options.get("certificate"):
        raise ConfigError("store.url has certificate=, which needs TLS, and plain=1, which has none: leave one of them out")
    nodes = tuple(_node(node, plain=plain) for node in parts.netloc.split(","))
    seconds = _seconds(options.get("timeout", str(REQUEST_SECONDS)))
    return Address(nodes, options.get("prefix", PREFIX), None if plain else _trust(options, data), seconds)


def _trust(options: Mapping[str, str], data: Path) -> Trust:
    certificate = named_file(options["certificate"], data) if options.get("certificate") else None
    return Trust("store.url", data / options["cafile"] if options.get("cafile") else None, certificate)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ConfigError(f"store.url has a timeout that is no number of seconds from 1 to {LONGEST_SECONDS:.0f}")
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
    """User and password, or None where there is no password. ConfigError says which file is wrong."""
    password = _secret(keys, PASSWORD_FILE)
    return None if password is None else (_secret(keys, USER_FILE) or USER, password)


def _secret(keys: KeyStore, name: str) -> str | None:
    lines = keys.lines_if_there(name)
    return None if lines is None else "\n".join(lines)


def connect(address: Address, keys: KeyStore) -> Elasticsearch:
    """A client; nothing is sent yet. It never tries again by itself: whoever holds the record does."""
    logging.getLogger("elastic_transport").setLevel(logging.CRITICAL)  # what it would say is raised here
    options: dict[str, Any] = {"request_timeout": address.timeout, "max_retries": 0, "retry_on_timeout": False}
    who = login(keys)
    if who is None and address.trust and not address.trust.certificate:
        raise ConfigError(f"the store's password is missing: put it into {keys.root / PASSWORD_FILE}, mode 0600")
    if who:
        options["basic_auth"] = who
    if address.trust:
        options["ssl_context"] = address.trust.context()
    return Elasticsearch(list(address.nodes), **options)


@contextlib.contextmanager
def server_errors(address: Address, privilege: str = "", kinds: Collection[type[Document]] = ()) -> Iterator[None]:
    """Turn what client and server raise into ours; a message never repeats a request.

    A refusal names the processes that have `privilege` on `kinds`, which is what the request takes.
    """
    where = f"Elasticsearch at {address.nodes[0]}"
    try:
        yield
    except UnsupportedProductError:
        raise ConfigError(f"{where} is another product, such as OpenSearch: use Elasticsearch 8 or 9") from None
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
    """Our error for a status and an error type of the server; `privilege` on `kinds` is what was asked for."""
    if status in {408, 429} or status >= 500 or kind in PASSING:
        return UnavailableError(f"{where} is down, busy or read-only ({status} {kind})")
    if status == 401:
        return ConfigError(f"{where} refuses user or password: look at {USER_FILE} and {PASSWORD_FILE} in the keys folder")
    if status == 403 or kind == "security_exception":
        return ConfigError(f"{where} denies a right ({kind}): {_what_to_do(who_may(privilege, kinds) if kinds else ())}")
    if kind in FOREIGN or status == 404:
        return ConfigError(
            f"{where} lacks the indexes of this version ({kind}): `ullage check --plan` prints the templates and indexes"
        )
    return ConfigError(f"{where} refuses a request ({status} {kind}): is it Elasticsearch 8 or 9, with our templates?")


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
