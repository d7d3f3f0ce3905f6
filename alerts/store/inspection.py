"""Whether an Elasticsearch cluster is as this version needs it: rights first, then each index and the version of its mapping."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from elasticsearch import Elasticsearch

from alerts.records import VERSION
from alerts.records.document import Document
from alerts.store.mapping import index_name
from alerts.store.rights import PROCESSES, Rights, role
from ullage.errors import ConfigError

PLAN = "have the owner of the cluster run what `ullage check --plan` prints"
NO_SECURITY = (400, 405)
"""What a cluster without security answers when it is asked about rights."""


def inspect(client: Elasticsearch, prefix: str) -> str:
    """What the user may do, in words; ConfigError names the first right, index or version that is not as it must be.

    A user is enough for one process: alert and search may log in with one each.
    """
    lacking = {process: _lacking(client, prefix, rights) for process, rights in PROCESSES.items()}
    able = [process for process, right in lacking.items() if not right]
    if not able:
        told = "; ".join(f"for {process} it lacks {right}" for process, right in lacking.items())
        raise ConfigError(f"the store's user lacks a right: {told}: {PLAN}")
    _check_indexes(client, prefix, {kind for process in able for kinds, _ in PROCESSES[process] for kind in kinds})
    return f"rights of {' and '.join(able)}"


def _lacking(client: Elasticsearch, prefix: str, rights: Rights) -> str:
    """The first right that the user does not have, "" when it has all."""
    wanted = role(prefix, rights)["indices"]
    answer = client.options(ignore_status=NO_SECURITY).security.has_privileges(index=wanted).body
    has = answer.get("index", {})
    if answer.get("has_all_requested", "error" in answer):
        return ""
    asked = ((name, right) for block in wanted for name in block["names"] for right in block["privileges"])
    return next((f"{right} on {name}" for name, right in asked if not has.get(name, {}).get(right)), "a right")


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
        raise ConfigError(f"index {name} was not made from our template: {PLAN}, after deleting the index if it is empty")
    if found != VERSION:
        todo = "use the ullage that made it, or name another prefix in store.url"
        raise ConfigError(f"index {name} has mapping {found}, and this ullage reads {VERSION}: {todo}")
