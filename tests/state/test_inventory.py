"""Every part of a used data folder is missed by name when it is removed, alone or with what
belongs to it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partialmethod
from pathlib import Path
from unittest.mock import Mock
from urllib.error import HTTPError

import pytest
import structlog
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from alerts.cases.feed import EventFeed
from alerts.store import open_configured_store
from crawlers.frontier.database import open_frontier
from tests.matcher.bank import customer, to_csv
from ullage.audit import read_entries
from ullage.audit.witness import AuditWitness
from ullage.cli import app
from ullage.errors import ConfigError, CorruptError, UllageError
from ullage.inventory import LISTS, Inventory
from ullage.monitoring.metrics import metrics_server
from ullage.runtime.service import ServiceFaults
from ullage.security import keys
from ullage.security.keys import KeyStore
from ullage.settings import Context

ISSUE = {
    "incidents": ("incidents.sqlite*",),
    "bus": ("bus",),
    "accounts": ("accounts.sqlite*",),
    "audit": ("audit", "keys/audit"),
    "clock": ("clock",),
}
MORE = {
    "all databases": (
        "incidents.sqlite*",
        "frontier.sqlite*",
        "events.sqlite*",
        "accounts.sqlite*",
        "bus",
    ),
    "customer lists": ("watchlists", "watchlist-sizes", "building", "enrolled"),
    "a tenant's keys": ("keys/bank",),
    "all keys": ("keys",),
    "sites": ("sites.d",),
    "the inventory": ("inventory",),
    "the inventory and its keys": ("inventory", "keys/inventory"),
    "an inventory": ("inventory/match.json",),
    "an inventory and its key": ("inventory/match.json", "keys/inventory/match.key"),
    "the key of an inventory": ("keys/inventory/command.key",),
}


def run(data: Path, *words: str) -> tuple[int, str]:
    """Run a command in this process; return its exit code and everything that it printed."""
    result = CliRunner().invoke(app, ["--data", str(data), *words])
    structlog.reset_defaults()
    if result.exception is not None and not isinstance(result.exception, (SystemExit, UllageError)):
        raise result.exception
    code = (
        result.exception.exit_code
        if isinstance(result.exception, UllageError)
        else result.exit_code
    )
    return int(code), f"{result.output}{result.exception or ''}"


@pytest.fixture(scope="module")
def folder_in_use(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder that commands and services have worked on."""
    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    data = tmp_path_factory.mktemp("inventory") / "data"
    customers = data.parent / "bank.csv"
    customers.write_text(to_csv([customer(n) for n in range(20)]), encoding="utf-8")
    for words in (
        ["init"],
        ["watchlist", "load", str(customers), "--tenant", "bank", "--enrolled"],
        ["check"],
        ["match", "--once"],
        ["alert", "--once"],
        ["user", "add", "wang", "--role", "lead", "--tenant", "bank", "--make"],
    ):
        code, output = run(data, *words)
        assert code == 0 or words == ["check"], (words, output)
    context = Context(data, service="crawl")
    open_frontier(context).close()
    with closing(open_configured_store(context)) as store:
        EventFeed(data, store, context.keys, context.clock).page(None, "", 1)
    yield data
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.fixture
def data(folder_in_use: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder_in_use, tmp_path / "data")
    return tmp_path / "data"


def remove(data: Path, *patterns: str) -> None:
    for pattern in patterns:
        paths = list(data.glob(pattern))
        assert paths, pattern
        for path in paths:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def refuses(data: Path, part: str) -> None:
    """Assert that every command that claims that all is well names `part` and fails."""
    for words in (["check"], ["run", "--once"], ["audit", "verify"], ["status"]):
        code, output = run(data, *words)
        assert code, (words, part, output)
        assert part in output, (words, part, output)


def readyz(data: Path) -> tuple[int, str]:
    """Ask a running service of the folder whether it is ready."""
    faults = ServiceFaults(data, Context(data).inventory, ())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with metrics_server(CollectorRegistry(), 0, lambda: True, faults) as server:
        try:
            with opener.open(f"http://127.0.0.1:{server.port}/readyz", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()


def test_used_folder_lists_everything_and_misses_nothing(folder_in_use: Path) -> None:
    context = Context(folder_in_use)
    parts = context.inventory.parts()
    expected = {
        "ullage.toml", "sites.d", "incidents.sqlite", "accounts.sqlite", "events.sqlite",
        "frontier.sqlite",
        "bus/captures.sqlite", "bus/findings.sqlite", "bus/dead-letters.sqlite", "audit/command",
        "clock/record.json",
        "watchlists/bank/1.watchlist", "watchlist-sizes/bank.size", "building/bank.subjects",
        "enrolled/bank.enrolled",
        "keys/audit/command.key", "keys/bank/handle.key", "keys/bank/match-1.key",
        "keys/capture.key",
    }  # fmt: skip
    assert expected - parts.keys() == set()
    assert context.inventory.find_unlisted() == []
    assert context.inventory.faults() == []
    assert readyz(folder_in_use) == (200, "ready\n")
    assert run(folder_in_use, "audit", "verify")[0] == 0


def test_each_missing_part_is_named_by_check_verify_and_readyz(data: Path) -> None:
    for part in Context(data).inventory.parts():
        path, away = data / part, data / ".away"
        path.rename(away)
        status, body = readyz(data)
        assert (status, part in body) == (503, True), part
        assert part in "; ".join(Context(data).inventory.faults())
        # of one tenant, whose customers alone nobody looks for: the others are served
        if part.startswith(LISTS):
            Context(data).inventory.require()
        else:
            with pytest.raises(ConfigError) as refused:
                Context(data).inventory.require()
            assert part in str(refused.value)
        away.rename(path)
    assert Context(data).inventory.faults() == []


@pytest.mark.parametrize("name", [*ISSUE, *MORE])
def test_removed_part_is_named_by_every_command(data: Path, name: str) -> None:
    patterns = (ISSUE | MORE)[name]
    remove(data, *patterns)
    for pattern in patterns:
        expected = pattern.rstrip("*")
        refuses(data, "inventory" if "inventory" in pattern else expected)
        assert readyz(data)[0] == 503
    # looking at it has not made it anew
    refuses(data, (ISSUE | MORE)[name][0].rstrip("*").split("/")[0])


def test_no_missing_part_is_recreated_by_a_service(data: Path) -> None:
    remove(data, "incidents.sqlite*", "bus", "accounts.sqlite*")
    for words in (
        ["alert", "--once"],
        ["match", "--once"],
        ["init"],
        ["user", "list"],
        ["incidents", "list"],
    ):
        run(data, *words)
        for part in ("incidents.sqlite", "bus/findings.sqlite", "accounts.sqlite"):
            assert not (data / part).exists(), (words, part)


@pytest.mark.parametrize(
    "name", ["bank/handle.key", "capture.key", "sign/match.key", "audit/command.key"]
)
def test_missing_key_is_not_recreated(data: Path, name: str) -> None:
    (data / "keys" / name).unlink()
    store = KeyStore(data / "keys")
    with pytest.raises(
        ConfigError, match=f"{name} is missing: restore it from its copy, or accept its loss:"
    ):
        store.make(name)
    run(data, "init")
    assert not (data / "keys" / name).exists()


def test_accepted_loss_is_audited_and_ends_the_fault(data: Path) -> None:
    remove(data, "incidents.sqlite*")
    code, output = run(data, "check", "--accept-loss", "incidents.sqlite")
    assert (code, "--reason" in output) == (2, True)
    code, output = run(data, "check", "--accept-loss", "bus/captures.sqlite", "--reason", "a drill")
    assert (code, "is not missing" in output) == (2, True)
    _, output = run(data, "check", "--accept-loss", "incidents.sqlite", "--reason", "a drill")
    assert "accepted the loss of incidents.sqlite" in output
    assert "FAULT  inventory" not in output
    [entry] = [
        entry for _, entry in read_entries(data / "audit") if entry.action == "part.loss-accepted"
    ]
    assert (entry.object, entry.reason) == ("part incidents.sqlite", "a drill")
    assert Context(data).inventory.faults() == []


@pytest.mark.parametrize(
    "patterns", [("inventory",), ("inventory", "keys/inventory"), ("inventory/match.json",)]
)
def test_accepted_loss_of_an_inventory_lists_what_is_here(
    data: Path, patterns: tuple[str, ...]
) -> None:
    before = Context(data).inventory.parts().keys()
    remove(data, *patterns)
    _, output = run(
        data, "check", "--accept-loss", patterns[0].removesuffix(".json"), "--reason", "a drill"
    )
    assert "FAULT  inventory" not in output, output
    assert Context(data).inventory.parts().keys() == before


def test_audit_log_lost_with_its_keys_continues_once_accepted(data: Path) -> None:
    remove(data, "audit", "keys/audit")
    _, output = run(data, "check", "--accept-loss", "keys/audit", "--reason", "a drill")
    assert "accepted the loss of keys/audit/command.key" in output, output
    assert Context(data).inventory.faults() == []
    code, output = run(data, "audit", "verify")
    assert (code, "how long it was is not known" in output) == (1, True)


def test_last_audit_entry_metric_falls_when_a_chain_is_lost(
    data: Path,
) -> None:
    registry, context = CollectorRegistry(), Context(data)
    registry.register(AuditWitness(context.inventory))

    def last(chain: str) -> float | None:
        return registry.get_sample_value("ullage_audit_last_entry", {"chain": chain})

    before = last("command")
    assert before
    context.trail().append("test.append", "nothing", actor="Li")
    assert last("command") == before + 1
    remove(data, "audit", "keys/audit")
    assert last("command") == 0


def test_older_copy_of_an_inventory_is_detected_by_the_others(data: Path) -> None:
    path = data / "inventory" / "match.json"
    older = path.read_bytes()
    context = Context(data, service="match")
    context.keys.make("bank/match-2.key")
    path.write_bytes(older)
    [fault] = [line for line in Context(data).inventory.faults() if "older than the copy" in line]
    assert "match.json" in fault


def test_altered_inventory_is_rejected(data: Path) -> None:
    path = data / "inventory" / "command.json"
    record = json.loads(path.read_bytes())
    record["parts"].pop("ullage.toml")
    path.write_text(json.dumps(record))
    with pytest.raises(CorruptError, match=r"command\.json was changed after it was signed"):
        Context(data).inventory.parts()
    refuses(data, "command.json")


def test_inventory_of_another_version_is_named(data: Path) -> None:
    path = data / "inventory" / "command.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "version": 2, "later": {}}))
    refuses(data, "has version 2, and this ullage reads 1: use that version")


def test_copied_key_is_reported_and_entered_only_by_init(data: Path, tmp_path: Path) -> None:
    foreign_keys = KeyStore(tmp_path / "other" / "keys")
    foreign_keys.make("shop/index-1.key")
    (data / "keys" / "shop").mkdir()
    shutil.copy(foreign_keys.root / "shop" / "index-1.key", data / "keys" / "shop" / "index-1.key")
    assert Context(data).keys.read("shop/index-1.key") == foreign_keys.read("shop/index-1.key")
    assert (
        "WARN   inventory: keys/shop/index-1.key is not in the inventory" in run(data, "check")[1]
    )
    assert "entered keys/shop/index-1.key" in run(data, "init")[1]
    (data / "keys" / "shop" / "index-1.key").unlink()
    refuses(data, "keys/shop/index-1.key")


def change_in_place(path: Path) -> None:
    """Change the first listed part in an inventory: as long as before, and as old."""
    status, content = path.stat(), path.read_bytes()
    start = content.index(b'"parts":{"') + len(b'"parts":{"')
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes([content[start] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("path", "act", "told"),
    [
        ("inventory/command.json", change_in_place, "command.json was changed after it was signed"),
        ("inventory/command.json", lambda path: path.chmod(0o666), "has mode 0666"),
        ("inventory", lambda path: path.chmod(0o777), "has mode 0777"),
        ("keys/inventory/command.key", Path.unlink, "command.key is not in"),
        ("keys/inventory/command.key", lambda path: path.chmod(0o644), "has mode 0644"),
        ("keys/inventory", lambda path: path.chmod(0o777), "has mode 0777"),
        ("keys", lambda path: path.chmod(0o777), "has mode 0777"),
    ],
)
def test_inventories_are_read_again_after_any_change(
    data: Path, path: str, act: Callable[[Path], None], told: str
) -> None:
    inventory = Context(data).inventory
    inventory.parts()
    act(data / path)
    with pytest.raises(UllageError, match=told):
        inventory.parts()
    with pytest.raises(UllageError, match=told):  # a fault is not kept either
        inventory.parts()


def test_unchanged_inventories_are_read_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, reading = Context(data), Mock(side_effect=Inventory._read)
    monkeypatch.setattr(Inventory, "_read", partialmethod(reading))
    parts = context.inventory.parts()
    context.inventory.parts().clear()  # what a caller does to them is his
    context.keys.read("capture.key")
    assert (context.inventory.parts(), reading.call_count) == (parts, 1)
    KeyStore(data / "keys", service="crawl").make("shop/index-1.key")
    assert context.inventory.lists("keys/shop/index-1.key")


def test_deliberately_destroyed_keys_are_not_missed(data: Path) -> None:
    context = Context(data)
    for name in [name for name in keys.list_files(context.keys) if name.startswith("bank/")]:
        context.keys.destroy(name)
    assert context.inventory.faults() == []


def test_inventories_of_two_services_see_each_others_parts(tmp_path: Path) -> None:
    for service in ("match", "alert"):
        KeyStore(tmp_path / "keys", service=service).make(f"{service}.key")
    assert set(Inventory(tmp_path, "search", KeyStore(tmp_path / "keys")).parts()) == {
        "keys/match.key",
        "keys/alert.key",
    }
