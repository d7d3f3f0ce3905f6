"""What was wiped from the audit log without a key stays provable, and whoever writes it can go
on.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import HeldClock
from ullage.audit import Trail, read_entries, walk_all
from ullage.audit import trail as marks
from ullage.errors import ConfigError
from ullage.security.keys import KeyStore

CHAINS = ("command", "search")


@pytest.fixture(params=["files", "command"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    """Keys that are files, and keys that a command gives, of which nothing is on the disk."""
    return KeyStore(
        tmp_path / "keys", ("printf", "ab" * 32 + "%.0s") if request.param == "command" else ()
    )


@pytest.fixture
def trails(tmp_path: Path, keys: KeyStore, clock: HeldClock) -> dict[str, Trail]:
    """Return two chains: one of six entries, and one written after it."""
    by_name = {
        name: Trail(tmp_path / "audit", name, keys, clock.as_clock(), max_segment=900)
        for name in CHAINS
    }
    write(by_name["command"], 6)
    write(by_name["search"], 1)
    return by_name


def write(trail: Trail, count: int) -> list[int]:
    return [
        trail.append("account", f"account {number}: operator", actor="mallory").seq
        for number in range(count)
    ]


def faults(trail: Trail) -> dict[str, list[str]]:
    return {
        chain.name: reasons
        for chain in walk_all(trail.root, trail.keys)
        if (reasons := [fault.what for fault in chain.faults])
    }


def mark_of(trail: Trail) -> Path:
    return marks.find_mark_path(trail.root, trail.keys, trail.chain)


def wipe(trail: Trail, _: Path) -> None:
    shutil.rmtree(trail.root / trail.chain)


def wipe_with_its_mark(trail: Trail, _: Path) -> None:
    wipe(trail, _)
    mark_of(trail).unlink()


def roll_back(trail: Trail, copy: Path) -> None:
    shutil.rmtree(trail.root / trail.chain)
    shutil.copytree(copy / "audit" / trail.chain, trail.root / trail.chain)


def roll_back_and_drop_the_mark(trail: Trail, copy: Path) -> None:
    roll_back(trail, copy)
    mark_of(trail).unlink()


def roll_back_with_its_mark(trail: Trail, copy: Path) -> None:
    roll_back(trail, copy)
    shutil.copy(copy / mark_of(trail).relative_to(trail.root.parent), mark_of(trail))


def drop_the_mark(trail: Trail, _: Path) -> None:
    mark_of(trail).unlink()


def spoil_the_mark(trail: Trail, _: Path) -> None:
    mark_of(trail).write_bytes(mark_of(trail).read_bytes().replace(b'"seq":', b'"seq":9'))


HARMS = [
    wipe, wipe_with_its_mark, roll_back, roll_back_and_drop_the_mark, roll_back_with_its_mark,
    drop_the_mark, spoil_the_mark,
]  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_wiped_chain_is_reported_at_once_and_permanently(
    trails, tmp_path, harm: Callable[[Trail, Path], None]
):
    chain = trails["command"]
    for name in ("audit", "keys"):
        (
            shutil.copytree(tmp_path / name, tmp_path / "copy" / name)
            if (tmp_path / name).exists()
            else None
        )
    write(chain, 2)
    write(trails["search"], 1)
    assert faults(chain) == {}
    harm(chain, tmp_path / "copy")
    reported = faults(chain)
    assert list(reported) == ["command"]
    if harm not in (drop_the_mark, spoil_the_mark):
        assert any("8" in what for what in reported["command"]), "the last known entry is named"
    assert write(chain, 1)[0] > 8, "no number is given twice"
    for _ in range(3):
        write(chain, 3)
        write(trails["search"], 1)
        assert list(faults(chain)) == ["command"]
    (gap,) = [entry for name, entry in read_entries(chain.root) if entry.action == "audit.gap"]
    assert "command" in gap.object
    assert any("tells of a gap" in what for what in faults(chain)["command"])


def test_chain_wiped_with_all_marks_does_not_restart_at_1(trails, tmp_path):
    """Every chain and every mark are wiped: the keys tell that there was something."""
    chain, has_files = trails["command"], not trails["command"].keys.command
    for trail in trails.values():
        mark_of(trail).unlink()
    shutil.rmtree(chain.root)
    if not has_files:
        pytest.skip("where no file of a key is here, nothing tells: print verify --json elsewhere")
    assert [what for reasons in faults(chain).values() for what in reasons] == [
        "the whole chain is missing"
    ] * 2
    assert write(chain, 2) == [3, 4]
    assert any("how long it was is not known" in what for what in faults(chain)["command"])


def test_first_entry_is_number_1_without_a_gap(trails):
    assert [
        entry.seq for name, entry in read_entries(trails["command"].root) if name == "search"
    ] == [1]
    assert faults(trails["command"]) == {}


def test_crash_before_the_first_head_loses_nothing(trails):
    """The first entry, or the first behind a gap, is in its file, and the head is not written."""
    chain = trails["search"]
    (chain.root / "search" / "head.json").unlink()
    mark = marks.Mark()
    marks.write_mark(mark_of(chain), mark, chain.keys.read("audit/search.key"))
    assert write(chain, 1) == [2]
    assert faults(chain) == {}


def test_stale_mark_left_by_a_crash_is_not_a_fault(trails):
    chain = trails["command"]
    old = mark_of(chain).read_bytes()
    write(chain, 1)
    mark_of(chain).write_bytes(old)
    assert faults(chain) == {}
    assert write(chain, 1) == [8]
    assert faults(chain) == {}


def test_mark_needs_no_sync_and_is_overwritten_in_place(trails, monkeypatch):
    chain, synced = trails["command"], []
    place = mark_of(chain).stat()
    monkeypatch.setattr("ullage.files.atomic_write.os.fsync", synced.append)
    write(chain, 1)
    assert len(synced) <= 3, "an entry and its head, and of a new file its folder"
    assert (mark_of(chain).stat().st_ino, mark_of(chain).stat().st_size) == (place.st_ino, 512)


def test_missing_key_is_not_recreated(trails):
    chain = trails["command"]
    if chain.keys.command:
        pytest.skip("this key is no file")
    (chain.keys.root / "audit" / "command.key").unlink()
    shutil.rmtree(chain.root / "command")
    with pytest.raises(
        ConfigError, match="is missing: restore it from its copy, or accept its loss:"
    ):
        write(chain, 1)


def test_unreadable_part_of_another_chain_is_left_out(trails):
    foreign_head = trails["search"].root / "search" / "head.json"
    foreign_head.write_bytes(b"no head")
    assert write(trails["command"], 1) == [7]
    assert list(faults(trails["command"])) == ["search"]


def test_chains_note_each_other_only_after_changes(trails):
    write(trails["search"], 2)
    noted = [
        (name, entry.seq, entry.seen.get("command", (0,))[0])
        for name, entry in read_entries(trails["search"].root)
        if entry.seen
    ]
    assert noted == [("search", 1, 6)]


def test_pruning_leaves_nothing_to_be_missed(tmp_path, keys, clock):
    by_name = {
        name: Trail(tmp_path / "audit", name, keys, clock.as_clock(), keep_days=60, max_segment=900)
        for name in CHAINS
    }
    for _ in range(8):
        for trail in by_name.values():
            write(trail, 4)
        clock.advance(31 * 86400.0)
        assert faults(by_name["search"]) == {}
    assert min(entry.seq for _, entry in read_entries(tmp_path / "audit")) > 1
