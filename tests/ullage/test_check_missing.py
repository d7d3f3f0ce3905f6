"""`ullage check` says ok of nothing that is not there: every key is taken away in turn, and the
disk filled.
"""

from __future__ import annotations

import importlib.metadata
import os

import pytest

from tests.matcher.bank import customer, enrol
from ullage import commands, setup
from ullage.errors import ConfigError
from ullage.security import keys
from ullage.settings import Context


def faults(context: Context) -> list[str]:
    return [
        line
        for line in setup.check(context, commands.READERS, commands._parts(context))
        if line.startswith("FAULT")
    ]


@pytest.fixture
def complete_machine(context: Context) -> Context:
    """Return the context of a complete installation with a customer list."""
    enrol(context, "bank", [customer(number) for number in range(3)])
    return context


@pytest.mark.parametrize("target", ["alerts.nowhere:parts", "ullage.errors:nobody"])
def test_stage_of_another_version_is_distinguished_from_a_missing_one(
    complete_machine: Context, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    stale = importlib.metadata.EntryPoint("alert", target, commands.CHECKS)
    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda group: [stale] if group == commands.CHECKS else [],
    )
    with pytest.raises(ConfigError, match="install ullage again"):
        faults(complete_machine)


def test_stage_without_its_extra_has_nothing_to_check(
    complete_machine: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = importlib.metadata.EntryPoint("crawl", "nosuchlibrary.command:parts", commands.CHECKS)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [lacking])
    assert faults(complete_machine) == []


def test_each_missing_key_is_named(complete_machine: Context) -> None:
    before = faults(complete_machine)
    names = keys.list_files(complete_machine.keys)
    assert {"sign/match.key", "bank/match-1.key", "bank/verify.pub", "frontier.key"} <= {*names}
    for name in names:
        path = complete_machine.keys.root / name
        away = path.rename(path.with_name(".away"))
        new_faults = [line for line in faults(complete_machine) if line not in before]
        away.rename(path)
        assert any(name in line for line in new_faults), name
    assert faults(complete_machine) == before


def test_all_missing_signing_keys_are_named(complete_machine: Context) -> None:
    (complete_machine.keys.root / "sign").rename(complete_machine.keys.root / ".sign")
    all_faults = "\n".join(faults(complete_machine))
    assert all(f"sign/{role}.key" in all_faults for role in keys.SIGNERS)


@pytest.mark.parametrize(
    ("free", "inodes", "mark"),
    [(0, 9, "FAULT"), (255, 9, "FAULT"), (256, 9, "WARN"), (1024, 9, "ok"), (9999, 0, "FAULT")],
)
def test_low_disk_space_is_a_warning_or_fault(
    context: Context, monkeypatch: pytest.MonkeyPatch, free: int, inodes: int, mark: str
) -> None:
    room = os.statvfs_result((4096, 1 << 20, 9999, 9999, free, 99, inodes, inodes, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: room)
    [line] = [line for line in setup.check(context, {}) if " disk: " in line]
    assert line.startswith(mark)
    assert str(free) in line or "inode" in line
