"""Which keys the facts in the store were made under, and that what comes and what is asked are under the same.

Findings carry the check values of match's keys (`ullage.security.check_values`). Alert notes the first of each index key, and
takes no finding that was tagged under another: nobody would ever be found by it. Search compares the keys that it asks with. The
capture key decides what is the same capture, no more: where it changes that is noted and said, for from then on a capture that
comes again is a new one. What is noted stays; it is a few bytes a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from alerts.records import KeyCheck
from alerts.store import IncidentStore
from ullage import log
from ullage.errors import ConfigError, RecordError
from ullage.records import Finding
from ullage.security.check_values import check_value
from ullage.security.keys import KeyStore

INDEX = "/index-"
"""What the names of index keys hold."""


def admit(store: IncidentStore, findings: Sequence[Finding], now: datetime, known: dict[str, str]) -> None:
    """Note the keys of findings; RecordError `another_key` for one whose index tags are not under the key of those before.

    `known` is what was seen of the store so far, and is added to.
    """
    for finding in findings:
        for name, value in finding.key_checks.items():
            if known.get(name) != value:
                tenant = finding.tenant if INDEX in name else ""
                known[name] = _noted(store, KeyCheck(id=name, tenant=tenant, value=value, at=now))
            if known[name] != value:
                raise RecordError("another_key")


def _noted(store: IncidentStore, check: KeyCheck) -> str:
    """The value that the store has for the key from now on."""
    if store.create([check])[0]:
        return check.value
    held = store.get(KeyCheck, check.id)
    if held is not None and (held.value == check.value or INDEX in check.id):
        return held.value
    log.get("alert").warning("capture_key_changed", path=check.id)
    store.put([check])
    return check.value


def compare(store: IncidentStore, keys: KeyStore, names: Sequence[str]) -> None:
    """ConfigError for an index key that is not the one under which the facts in the store are tagged."""
    held = store.mget(KeyCheck, names)
    for name in names:
        if name in held and held[name].value != check_value(keys.read(name), name):
            raise ConfigError(
                f"key {keys.root / name} is not the one that the incident store was written with: restore it from a backup"
            )
        keys.adopt(name)
