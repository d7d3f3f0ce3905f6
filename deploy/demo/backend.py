"""Provide the bus and the store for the demo: embedded ones, or a real Kafka and Elasticsearch.

On real servers each run has its own topics and indexes, which are removed at its end. An earlier
run can therefore never disturb a later one.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import apsw
from elasticsearch import ApiError, Elasticsearch, TransportError
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from deploy.local import services
from deploy.local.elasticsearch import ADMIN
from deploy.local.server import HOST
from ullage.bus import TOPICS
from ullage.errors import UnavailableError

REACH_SECONDS = 5.0
Step = Callable[[str, Callable[[], services.Services]], services.Services]
"""Runs a function that takes a while, and shows its name meanwhile."""


class Backend(StrEnum):
    """The values of `--backend`."""

    EMBEDDED = "embedded"
    DISTRIBUTED = "distributed"


@dataclass(frozen=True, slots=True)
class Parts:
    """The backend that the daemon is configured to use.

    `name` is for people; `configuration` holds tables of `ullage.toml`; `password` is the store's,
    or "".
    """

    name: str
    configuration: str = ""
    password: str = ""


def require(backend: Backend) -> None:
    """Raise UnavailableError, with what to install, where `backend` cannot run."""
    if backend is Backend.DISTRIBUTED and services.find() is None:
        services.require_tools()


@contextlib.contextmanager
def running(backend: Backend, folder: Path, step: Step) -> Iterator[Parts]:
    """Yield the backend for one run.

    Servers are started in `folder`, which is removed afterwards, unless `make services` runs some.
    """
    if backend is Backend.EMBEDDED:
        yield Parts(f"the embedded bus and store (SQLite {apsw.sqlite_lib_version()})")
        return
    run, addresses = f"demo-{secrets.token_hex(4)}", services.find()
    topics, indexes = f"{run}.", f"{services.PREFIX}{run}-"
    with contextlib.ExitStack() as stack:
        if addresses is None:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            started = services.running(folder)
            addresses = step("start Kafka and Elasticsearch", lambda: stack.enter_context(started))
            whose = "started for this run"
        else:
            stack.enter_context(_clean_afterwards(addresses, topics, indexes))
            whose = "which `make services` runs"
        services.create_indexes(addresses, indexes)
        password = (addresses.keys / "store.password").read_text(encoding="utf-8").strip()
        yield Parts(
            f"{services.VERSIONS}, {whose}",
            f"\n{addresses.configuration(topics, indexes)}",
            password,
        )


@contextlib.contextmanager
def _clean_afterwards(found: services.Services, topics: str, indexes: str) -> Iterator[None]:
    """Delete everything with these prefixes after the block."""
    with contextlib.ExitStack() as after_a_fault:
        after_a_fault.callback(_clean_behind_error, found, topics, indexes)
        yield
        after_a_fault.pop_all()
    _clean(found, topics, indexes)


def _clean_behind_error(found: services.Services, topics: str, indexes: str) -> None:
    """Delete everything with these prefixes, and hide errors behind an earlier one."""
    with contextlib.suppress(UnavailableError):
        _clean(found, topics, indexes)


def _clean(found: services.Services, topics: str, indexes: str) -> None:
    delete_topics(found, [topics + topic for topic in TOPICS])
    delete_indexes(found, indexes)


def delete_indexes(found: services.Services, prefix: str) -> None:
    """Delete the indexes and templates under `prefix`.

    Nothing under it is no error. Raises UnavailableError where the server does not delete them.
    """
    password = (found.admin / "store.password").read_text(encoding="utf-8").strip()
    address = f"https://{HOST}:{found.elasticsearch_port}"
    try:
        with contextlib.closing(
            Elasticsearch(
                address, ca_certs=str(found.cafile), basic_auth=(ADMIN, password), max_retries=0
            )
        ) as client:
            for name in client.indices.get(index=f"{prefix}*", expand_wildcards="all").body:
                client.indices.delete(index=name)
            for template in client.indices.get_index_template(name=f"{prefix}*").body[
                "index_templates"
            ]:
                client.indices.delete_index_template(name=template["name"])
    except (ApiError, TransportError) as error:
        raise UnavailableError(
            f"{address} does not delete the indexes {prefix}* ({type(error).__name__}): start it"
            " with `make services`, and delete them by hand"
        ) from None


def delete_topics(found: services.Services, names: Sequence[str]) -> None:
    """Delete these topics; some of them may not exist.

    Raises UnavailableError if the broker cannot be reached or does not delete them.
    """
    where = f"{HOST}:{found.kafka_port}"
    try:
        # the client would try for half a minute
        socket.create_connection((HOST, found.kafka_port), REACH_SECONDS).close()
        with contextlib.closing(KafkaAdminClient(bootstrap_servers=where)) as client:
            client.delete_topics(sorted({*names} & {*client.list_topics()}))
    except (OSError, KafkaError) as error:
        raise UnavailableError(
            f"Kafka at {where} does not delete the topics {names[0]} … ({type(error).__name__}):"
            " start it with `make services`, and delete them by hand"
        ) from None
