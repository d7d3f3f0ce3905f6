"""The audit log: what is in it stays, and what was done to it is told."""

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import HeldClock
from ullage.audit import Trail, read_entries, walk, walk_all
from ullage.audit import trail as marks
from ullage.audit.trail import Mark
from ullage.errors import ConfigError, CorruptError
from ullage.running_time import RunningTime
from ullage.security.keys import KeyStore

MONTH = 31 * 86400.0


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys")


@pytest.fixture
def trail(tmp_path: Path, keys: KeyStore, clock: HeldClock) -> Trail:
    return Trail(tmp_path / "audit", "search", keys, clock.as_clock())


def write(trail: Trail, count: int, actor: str = "王芳") -> None:
    for number in range(count):
        trail.append(
            "incident.decide", f"incident INC-{number}", actor=actor, tenant="bank", reason="看过了"
        )


def faults(trail: Trail) -> list[str]:
    return [fault.what for fault in walk(trail.root / trail.chain, trail.keys).faults]


def mark_of(trail: Trail) -> Path:
    return marks.find_mark_path(trail.root, trail.keys, trail.chain)


def only_file(trail: Trail) -> Path:
    (file,) = (trail.root / trail.chain).glob("*.jsonl")
    return file


@pytest.fixture
def chain(trail: Trail) -> Trail:
    write(trail, 6)
    return trail


def lines(trail: Trail) -> list[bytes]:
    return only_file(trail).read_bytes().splitlines(keepends=True)


def test_entries_are_chained_and_read_in_order_of_time(trail, clock, keys, tmp_path):
    command_trail = Trail(tmp_path / "audit", "command", keys, clock.as_clock())
    for number, writer in enumerate((trail, command_trail, trail)):
        clock.advance(60)
        writer.append("rules.change", f"version {number}", actor="root")
    assert [(name, entry.seq, entry.object) for name, entry in read_entries(trail.root)] == [
        ("search", 1, "version 0"),
        ("command", 1, "version 1"),
        ("search", 2, "version 2"),
    ]
    assert [(c.name, c.entries, c.seq, c.faults) for c in walk_all(trail.root, keys)] == [
        ("command", 1, 1, []),
        ("search", 2, 2, []),
    ]


def test_untouched_chain_has_no_fault(chain):
    assert faults(chain) == []


def test_files_and_key_are_owner_only(chain):
    paths = [
        only_file(chain),
        chain.root / "search" / "head.json",
        chain.keys.root / "audit" / "search.key",
    ]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}


@pytest.mark.parametrize("seed", range(20))
def test_flipped_byte_is_reported_with_its_line(chain, seed):
    chance, data = random.Random(seed), bytearray(only_file(chain).read_bytes())
    place = chance.randrange(len(data) - 1)  # the last line end is a cut, which the next test makes
    data[place] ^= 1 << chance.randrange(8)
    line = data[:place].count(b"\n") + 1
    only_file(chain).write_bytes(data)
    reported = walk(chain.root / "search", chain.keys).faults
    assert reported
    assert reported[0].file == only_file(chain)
    assert abs(reported[0].line - line) <= 1, "a byte that became a line end splits the line"


@pytest.mark.parametrize("seed", range(20))
def test_truncated_chain_is_reported(chain, seed):
    data = only_file(chain).read_bytes()
    only_file(chain).write_bytes(data[: random.Random(seed).randrange(len(data))])
    assert any("missing at its end" in what for what in faults(chain))
    with pytest.raises(CorruptError, match="missing at its end"):
        write(chain, 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda own: own[:2] + own[3:], "entries 3 to 3 before it are missing"),
        (lambda own: [*own[:3], own[1], *own[3:]], "entry 2 stands behind entry 3"),
        (lambda own: [own[1], own[0], *own[2:]], "entries 1 to 1 before it are missing"),
        (lambda own: own[1:], "entries 1 to 1 before it are missing"),
        (lambda own: own[:-1], "entries 6 to 6 are missing at its end"),
        (
            lambda own: [*own[:2], own[2].replace(b"INC-2", b"INC-9"), *own[3:]],
            "was changed: its digest does not match",
        ),
        (
            lambda own: [*own[:2], own[2].replace(b'"seq":3', b'"seq": 3'), *own[3:]],
            "is not an unchanged entry",
        ),
    ],
    ids=["deleted", "inserted", "reordered", "first", "last", "edited", "spaced"],
)
def test_changed_lines_are_reported(chain, change, told):
    only_file(chain).write_bytes(b"".join(change(lines(chain))))
    assert any(told in what for what in faults(chain))


def test_chain_cannot_be_forged_without_the_key(chain, tmp_path, clock):
    forged = Trail(
        tmp_path / "forged", "search", KeyStore(tmp_path / "other" / "keys"), clock.as_clock()
    )
    write(forged, 6, actor="nobody")
    shutil.copytree(forged.root / "search", chain.root / "search", dirs_exist_ok=True)
    assert "was changed" in faults(chain)
    assert sum("was changed: its digest does not match" in what for what in faults(chain)) == 6


def test_entries_of_another_chain_are_rejected(chain, tmp_path, clock, keys):
    write(Trail(chain.root, "command", keys, clock.as_clock()), 6)
    shutil.copytree(chain.root / "command", chain.root / "search", dirs_exist_ok=True)
    assert faults(chain)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda head: head.unlink(), "is missing"),
        (
            lambda head: head.write_bytes(head.read_bytes().replace(b'"seq":6', b'"seq":5')),
            "was changed",
        ),
        (lambda head: head.write_bytes(b""), "was changed"),
    ],
    ids=["gone", "changed", "empty"],
)
def test_invalid_head_is_reported_and_stops_appending(chain, harm, told):
    harm(chain.root / "search" / "head.json")
    assert told in faults(chain)
    with pytest.raises(CorruptError, match=told):
        write(chain, 1)


def test_missing_chain_is_detected_by_its_key(chain):
    shutil.rmtree(chain.root / "search")
    reported = [fault.what for c in walk_all(chain.root, chain.keys) for fault in c.faults]
    assert reported == ["the whole chain is missing, its last known entry is 6"]


def test_chain_without_its_key_is_not_verified(chain):
    (chain.keys.root / "audit" / "search.key").unlink()
    assert "its key is missing here" in faults(chain)[0]


def test_rollback_is_detected_by_an_external_note(chain, tmp_path):
    shutil.copytree(chain.root, tmp_path / "copy")
    shutil.copytree(chain.keys.root, tmp_path / "copied keys")
    write(chain, 2)
    (noted,) = walk_all(chain.root, chain.keys)
    for copy, place in (
        (tmp_path / "copy", chain.root),
        (tmp_path / "copied keys", chain.keys.root),
    ):
        shutil.rmtree(place)
        shutil.copytree(copy, place)
    assert faults(chain) == [], "folder and mark alone cannot tell"
    (chain_state,) = walk_all(chain.root, chain.keys, [(noted.name, noted.seq, noted.last)])
    assert [fault.what for fault in chain_state.faults] == ["entry 8 was noted and is not there"]


def test_rewritten_history_is_detected_by_an_external_note(chain):
    (noted,) = walk_all(chain.root, chain.keys)
    shutil.rmtree(chain.root)
    marks.write_mark(mark_of(chain), Mark(), chain.keys.read("audit/search.key"))
    chain.keys.inventory.strike(chain.root / chain.chain)
    write(chain, 6, actor="someone else")
    assert faults(chain) == [], "who has the key can do that"
    (chain_state,) = walk_all(chain.root, chain.keys, [(noted.name, noted.seq, noted.last)])
    assert [fault.what for fault in chain_state.faults] == [
        "entry 6 is not the one that was noted: the chain was written anew"
    ]


@pytest.mark.parametrize("kept", [0, 1, 40, -1])
def test_partial_write_is_removed_and_a_complete_one_kept(chain, kept):
    """The head was not written: whoever appended was never told."""
    folder, old, mark = (
        chain.root / "search",
        (chain.root / "search" / "head.json").read_bytes(),
        mark_of(chain).read_bytes(),
    )
    before = only_file(chain).read_bytes()
    write(chain, 1)
    added = only_file(chain).read_bytes()[len(before) :]
    (folder / "head.json").write_bytes(old)
    only_file(chain).write_bytes(before + (added if kept == -1 else added[:kept]))
    mark_of(chain).write_bytes(mark)
    assert faults(chain) == []
    write(chain, 1)
    assert faults(chain) == []
    assert walk(folder, chain.keys).seq == (8 if kept == -1 else 7)


def test_crash_between_a_new_file_and_its_head_loses_nothing(chain, clock):
    head = chain.root / "search" / "head.json"
    old = head.read_bytes()
    clock.advance(MONTH)
    write(chain, 1)
    head.write_bytes(old)
    write(chain, 1)
    assert faults(chain) == []
    assert walk(chain.root / "search", chain.keys).seq == 8


@pytest.mark.parametrize("begins_a_file", [False, True])
def test_head_lost_in_a_power_failure_loses_nothing(chain, clock, begins_a_file):
    head = chain.root / "search" / "head.json"
    old, before = head.read_bytes(), walk(chain.root / "search", chain.keys).seq
    write(chain, 2)
    clock.advance(MONTH * begins_a_file)
    write(chain, 3)
    head.write_bytes(old)
    assert faults(chain) == []
    write(chain, 1)
    assert faults(chain) == []
    assert walk(chain.root / "search", chain.keys).seq == before + 6


def test_name_and_head_of_a_new_file_are_durable_on_return(trail, clock, monkeypatch):
    synced = []
    monkeypatch.setattr("ullage.files.atomic_write.sync_folder", synced.append)
    for _ in range(2):
        write(trail, 3)
        clock.advance(MONTH)
    assert synced.count(trail.root / "search") == 2


def test_files_rotate_by_month_and_size_and_expire(tmp_path, keys, clock):
    trail = Trail(
        tmp_path / "audit", "search", keys, clock.as_clock(), keep_days=183, max_segment=1_500
    )
    for _ in range(9):
        write(trail, 7)
        assert faults(trail) == []
        clock.advance(MONTH)
    chain_state = walk(tmp_path / "audit" / "search", keys)
    files = sorted((tmp_path / "audit" / "search").glob("*.jsonl"))
    assert chain_state.seq == 63
    assert 1 < chain_state.begins == int(files[0].stem) == 64 - chain_state.entries
    oldest = next(iter(read_entries(trail.root)))[1]
    assert (clock.as_clock().now() - oldest.at).days < 183 + 31 + 31
    assert max(path.stat().st_size for path in files) < 1_500 + 400


@pytest.mark.parametrize("years", [10, -10])
def test_clock_jump_expires_no_entry(tmp_path, keys, clock, years):
    trail = Trail(
        tmp_path / "audit", "search", keys, clock.as_clock(), keep_days=183, max_segment=1_500
    )
    RunningTime(tmp_path, clock.as_clock()).read()
    write(trail, 20)
    clock.jump(years * 12 * MONTH)
    write(trail, 20)
    assert (walk(tmp_path / "audit" / "search", keys).entries, faults(trail)) == (40, [])


def test_file_removed_before_its_expiry_is_reported(tmp_path, keys, clock):
    trail = Trail(tmp_path / "audit", "search", keys, clock.as_clock(), max_segment=1_000)
    write(trail, 20)
    files = sorted((tmp_path / "audit" / "search").glob("*.jsonl"))
    files[0].unlink()
    assert "before it are missing" in faults(trail)[0]


def test_concurrent_writers_make_one_chain(trail):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: write(trail, 5), range(8)))
    assert faults(trail) == []
    assert walk(trail.root / "search", trail.keys).entries == 40


@pytest.mark.parametrize(
    "reason", ["打给 13800138000", "13８00138000", "card 6222021234567890128", "a@example.com"]
)
def test_identifier_in_a_reason_is_rejected_and_nothing_is_written(trail, reason):
    with pytest.raises(ConfigError, match="which the audit log must not keep") as caught:
        trail.append("incident.decide", "incident INC-1", actor="王芳", reason=reason)
    assert reason not in str(caught.value)
    assert not trail.root.exists()


def test_key_from_a_command_is_never_on_disk(tmp_path, clock):
    keys = KeyStore(tmp_path / "keys", ("printf", "ab" * 32 + "%.0s"))
    trail = Trail(tmp_path / "audit", "search", keys, clock.as_clock())
    write(trail, 2)
    assert not keys.root.exists()
    assert walk(tmp_path / "audit" / "search", keys).faults == []
