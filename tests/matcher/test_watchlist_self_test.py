"""Each list holds an entry of nobody that must be found whenever the list is opened: a look-up
that finds nothing is noticed.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import structlog
from typer.testing import Result

from matcher.cli.loading import build_matcher
from matcher.match.findings import find_all
from matcher.watchlist import installation
from matcher.watchlist.build import Builder
from matcher.watchlist.file import read_header
from matcher.watchlist.index import Index
from matcher.watchlist.tagging import SELF_TEST, SELF_TEST_HANDLE, TagKeys
from tests.factories import capture
from tests.matcher.bank import customer, enrol, to_csv
from ullage.errors import ConfigError, CorruptError
from ullage.security.keys import load_verify_key, with_check_value
from ullage.settings import Context


def header_of(context: Context, suffix: str = installation.SUFFIX):
    path = installation.path_of(context.data, "bank", 1).with_suffix(suffix)
    return read_header(path, load_verify_key(context.keys, "bank"))


def update(ullage: Callable[..., Result], context: Context, *customers: dict[str, str]) -> None:
    (context.data / "building").mkdir(exist_ok=True)
    (context.data / "more.csv").write_text(to_csv(customers), encoding="utf-8")
    assert (
        ullage("watchlist", "update", context.data / "more.csv", "--tenant", "bank").exit_code == 0
    )


def test_self_test_entry_is_in_every_list_but_not_a_customer(
    bank: Context, ullage: Callable[..., Result]
) -> None:
    header = header_of(bank)
    assert header.self_test == SELF_TEST_HANDLE.hex()
    assert (header.customers, header.subjects, header.enrolled) == (10, 11, header.entries - 1)
    assert sum(header.counts) == header.enrolled
    assert {kind for kind, _ in header.kinds} == {"phone", "resident_id", "email", "name"}
    [lists] = installation.load(bank)
    assert lists.customers == 10
    assert SELF_TEST[:2] not in lists.epochs[0].list.kinds
    assert "bank key generation 1: 10 customers" in ullage("watchlist", "show").output
    assert "bank 10 customers until" in ullage("check").output


def test_load_report_leaves_out_the_self_test_entry(context: Context) -> None:
    report = enrol(context, "bank", [customer(1)], "none")
    assert (report.customers, report.entries) == (1, sum(header_of(context).counts))


def test_self_test_value_in_a_text_makes_no_finding(bank: Context) -> None:
    assert (
        find_all(build_matcher(bank), [capture(body=SELF_TEST[2].encode())], bank.clock.now()) == []
    )


def test_list_that_does_not_find_its_self_test_is_rejected(
    bank: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Index, "in_bitmap", lambda self, high: np.empty(0, np.int64))
    with pytest.raises(
        CorruptError, match=r"1\.watchlist does not find its own self-test entry: install it again"
    ):
        installation.load(bank)


def test_list_with_wrong_self_test_pseudonym_is_rejected(
    bank: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Index.handles
    monkeypatch.setattr(
        Index, "handles", lambda self, subjects: real(self, np.maximum(subjects - 1, 0))
    )
    with pytest.raises(CorruptError, match="self-test"):
        installation.load(bank)


def test_list_with_different_tag_keys_is_rejected(
    bank: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TagKeys.tagger
    right = TagKeys(bank.keys, "bank", "match", 1).check_value()
    monkeypatch.setattr(TagKeys, "tagger", lambda self, kind, form: real(self, f"{kind}s", form))
    monkeypatch.setattr(TagKeys, "check_value", lambda self: right)
    with pytest.raises(CorruptError, match="self-test"):
        installation.load(bank)


def test_list_that_lacks_its_declared_self_test_is_rejected(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Builder, "_add_self_test", lambda self, entries, customers: np.zeros(0, np.uint32)
    )
    enrol(context, "bank", [customer(n) for n in range(3)])
    with pytest.raises(CorruptError, match="self-test"):
        installation.load(context)


def test_daily_changes_have_their_own_self_test(
    bank: Context, ullage: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    update(ullage, bank, customer(10), customer(11))
    update(ullage, bank, customer(12))
    header = header_of(bank, installation.DELTA)
    assert (header.customers, header.subjects) == (3, 4)
    [lists] = installation.load(bank)
    assert lists.customers == 13
    assert f"{sum(header.counts)} entries added" in ullage("watchlist", "show").output
    real = Index.look_up
    nothing = np.empty(0, np.int64)
    monkeypatch.setattr(
        Index,
        "look_up",
        lambda self, tags: (nothing, nothing) if self.header.base else real(self, tags),
    )
    with pytest.raises(CorruptError, match=r"1\.delta does not find"):
        installation.load(bank)


def test_self_test_entry_survives_and_cannot_be_erased(
    bank: Context, ullage: Callable[..., Result]
) -> None:
    update(ullage, bank, customer(10))
    [lists] = installation.load(bank)
    for handle in lists.epochs[0].list.handles(np.arange(11)):
        result = ullage(
            "erase", "--case", "C-1", "--reason", "asked", "--tenant", "bank", "--subject", handle
        )
        assert (
            re.search("watchlists: [1-9][0-9]* removed", result.output)
            or handle == SELF_TEST_HANDLE.hex()
        )
        installation.load(bank)
    refused = ullage(
        "erase",
        "--case",
        "C-1",
        "--reason",
        "asked",
        "--tenant",
        "bank",
        "--subject",
        SELF_TEST_HANDLE.hex(),
    )
    assert isinstance(refused.exception, ConfigError)
    assert "self-test entry" in str(refused.exception)


def test_header_reveals_a_changed_index_or_pseudonym_key(
    bank: Context, ullage: Callable[..., Result]
) -> None:
    load = {"index-1.key": (), "handle.key": (bank.data / "bank.csv", "--tenant", "bank")}
    keys_ = {
        name: (bank.keys.root / "bank" / name).read_bytes()
        for name in ("index-1.key", "handle.key")
    }
    for name, key in keys_.items():
        path = bank.keys.root / "bank" / name
        bank.inventory.strike(f"keys/bank/{name}")
        path.write_bytes(with_check_value(bytes(32), f"bank/{name}"))
        (bank.data / "bank.csv").write_text(to_csv([customer(1)]), encoding="utf-8")
        refused = ullage("watchlist", "show" if name == "index-1.key" else "load", *load[name])
        assert isinstance(refused.exception, ConfigError)
        assert f"built with another key than {path}: restore" in str(refused.exception)
        path.write_bytes(key)
    structlog.reset_defaults()
    installation.load(bank)


def test_list_built_elsewhere_installs_without_builder_keys(
    context: Context, tmp_path: Path
) -> None:
    enrol(context, "bank", [customer(1)])
    there = Context(tmp_path / "there", context.clock)
    (there.keys.root / "bank").mkdir(parents=True, mode=0o700)
    for name in ("match-1.key", "index-1.key", "verify.pub"):
        shutil.copy(context.keys.root / "bank" / name, there.keys.root / "bank" / name)
    shutil.copy(context.keys.root / "capture.key", there.keys.root / "capture.key")  # match's own
    path = installation.path_of(context.data, "bank", 1)
    installation.install(there.data, there.keys, "bank", path, there.clock.now())
    assert installation.load(there)[0].customers == 1
