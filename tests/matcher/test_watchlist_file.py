"""The watchlist's file: look-ups as a plain dictionary would give them; nothing damaged or
foreign is read.
"""

import io
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from matcher.watchlist import Watchlist
from matcher.watchlist.build import index_entries, number_customers
from matcher.watchlist.file import (
    ALGORITHM,
    VERSION,
    WatchlistHeader,
    marks,
    sizes_for,
    upper,
    write,
)
from matcher.watchlist.runs import Runs
from ullage.errors import ConfigError, CorruptError

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key()
HEADER = WatchlistHeader(
    version=VERSION, algorithm=ALGORITHM, tenant="bank", epoch=1,
    created="2026-01-01T00:00:00+00:00",
    expires="2027-01-01T00:00:00+00:00", kinds=(("phone", "plain"), ("phone", "md5")),
    counts=(7, 0),
    digested=("phone",), key_check="00",
)  # fmt: skip


def write_watchlist(path: Path, entries: list[tuple[bytes, int]], **changes) -> Watchlist:
    """Write and open a customer list of (tag, customer number) entries."""
    tags = np.frombuffer(b"".join(tag for tag, _ in entries), np.uint8).reshape(-1, 16)
    owner = np.frombuffer(b"".join(n.to_bytes(16, "big") for _, n in entries), np.uint8).reshape(
        -1, 16
    )
    runs, customers, rows = (
        Runs(path.parent),
        Runs(path.parent),
        np.arange(len(entries), dtype=np.uint32),
    )
    runs.add(tags, rows)
    customers.add(owner, rows)
    parts = {
        name: io.BytesIO() for name in ("high", "low", "subject", "bitmap", "directory", "handle")
    }
    row_of, subjects = number_customers(customers, len(entries), parts["handle"])
    bits = sizes_for(len(entries))
    count = index_entries(runs, row_of, bits, parts)
    for part in parts.values():
        part.seek(0)
    write(path, replace(HEADER, entries=count, subjects=subjects, bits=bits, **changes), parts, KEY)
    return Watchlist(path, PUBLIC)


def look_up(watchlist: Watchlist, tags_: list[bytes]) -> list[tuple[int, int]]:
    tags = np.frombuffer(b"".join(tags_), np.uint8).reshape(-1, 16)
    hits, subjects = watchlist.look_up(tags)
    return sorted(
        (int(h), int(watchlist.handle(int(s)), 16)) for h, s in zip(hits, subjects, strict=True)
    )


TAGS = st.binary(min_size=16, max_size=16) | st.tuples(
    st.sampled_from([b"\0" * 8, b"\xff" * 8]), st.binary(min_size=8, max_size=8)
).map(b"".join)


@given(
    st.lists(st.tuples(TAGS, st.integers(0, 5)), min_size=1, max_size=40),
    st.lists(TAGS, max_size=10),
)
def test_look_up_agrees_with_a_dictionary(tmp_path_factory, entries, others) -> None:
    watchlist = write_watchlist(tmp_path_factory.mktemp("w") / "a.watchlist", entries)
    queries = [tag for tag, _ in entries] + others
    expected: dict[bytes, set[int]] = {}
    for tag, number in entries:
        expected.setdefault(tag, set()).add(number)
    assert look_up(watchlist, queries) == sorted(
        (i, n) for i, tag in enumerate(queries) for n in expected.get(tag, ())
    )
    watchlist.check()


def test_hundred_thousand_entries_are_found(tmp_path: Path) -> None:
    chance = random.Random(7)
    entries = [(chance.randbytes(16), n // 3) for n in range(100_000)]
    entries += [(entries[0][0], 77_777), (entries[0][0], 88_888)]
    path = tmp_path / "a.watchlist"
    watchlist = write_watchlist(path, entries)
    queries = [tag for tag, _ in entries[:5000]] + [chance.randbytes(16) for _ in range(5000)]
    expected = [(i, n) for i, (_, n) in enumerate(entries[:5000])] + [(0, 77_777), (0, 88_888)]
    assert look_up(watchlist, queries) == sorted(expected)
    assert watchlist.header.entries == len(entries)
    assert path.stat().st_size <= len(entries) * 24 + watchlist.header.subjects * 16 + 8192
    assert watchlist.counts() == {"phone": 7, "phone.md5": 0}


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20), st.integers(14, 40))
def test_tag_sets_two_bits_in_one_word(highs: list[int], bitmap: int) -> None:
    high = np.array(highs, np.uint64)
    tag_marks = [1 << (n >> (64 - bitmap)) % 64 for n in highs]
    assert marks(high, bitmap).tolist() == [
        mark | 1 << n % 64 for mark, n in zip(tag_marks, highs, strict=True)
    ]


def test_few_absent_tags_pass_the_bitmap(tmp_path: Path) -> None:
    chance = random.Random(4)
    stored = np.frombuffer(chance.randbytes(16 * 10_000), np.uint8).reshape(-1, 16)
    watchlist = write_watchlist(tmp_path / "a.watchlist", [(tag.tobytes(), 1) for tag in stored])
    foreign = np.frombuffer(chance.randbytes(8 * 100_000), np.uint64)
    assert len(watchlist.main.in_bitmap(foreign)) < 5000
    assert len(watchlist.main.in_bitmap(upper(stored))) == len(stored)


def test_empty_query_and_absent_tag_find_nothing(tmp_path: Path) -> None:
    watchlist = write_watchlist(tmp_path / "a.watchlist", [(bytes(16), 1)])
    assert look_up(watchlist, []) == []
    assert look_up(watchlist, [b"\1" * 16]) == []


def test_duplicate_entry_is_kept_once(tmp_path: Path) -> None:
    assert write_watchlist(tmp_path / "a.watchlist", [(bytes(16), 1)] * 3).header.entries == 1


def open_checked(path: Path) -> Watchlist:
    watchlist = Watchlist(path, PUBLIC)
    watchlist.check()
    return watchlist


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    chance = random.Random(3)
    write_watchlist(tmp_path / "whole.watchlist", [(chance.randbytes(16), n) for n in range(50)])
    return (tmp_path / "whole.watchlist").read_bytes()


def test_any_flipped_byte_is_detected(tmp_path: Path, whole: bytes) -> None:
    chance = random.Random(11)
    header_end = whole.index(b"}") + 64
    places = [
        *range(12),
        *range(header_end, header_end + 72),
        len(whole) - 1,
        *(chance.randrange(len(whole)) for _ in range(60)),
    ]
    path = tmp_path / "bad.watchlist"
    for place in places:
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ (1 << chance.randrange(8))]) + whole[place + 1 :]
        )
        with pytest.raises((ConfigError, CorruptError)):
            open_checked(path)


def test_any_truncation_or_addition_is_detected(tmp_path: Path, whole: bytes) -> None:
    chance = random.Random(13)
    path = tmp_path / "bad.watchlist"
    for length in [
        0,
        1,
        8,
        11,
        12,
        13,
        len(whole) - 1,
        *(chance.randrange(len(whole)) for _ in range(20)),
    ]:
        path.write_bytes(whole[:length])
        with pytest.raises((ConfigError, CorruptError)):
            open_checked(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(CorruptError):
        open_checked(path)


def test_other_signer_is_rejected(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "whole.watchlist"
    with pytest.raises(ConfigError, match="not signed by this tenant"):
        Watchlist(path, Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize("changes", [{"version": 0}, {"version": 5}, {"algorithm": "sm4-cmac"}])
def test_file_of_another_version_is_rejected_by_name(tmp_path: Path, changes: dict) -> None:
    with pytest.raises(
        ConfigError, match=f"has version {changes.get('version', VERSION)} .* build it again"
    ):
        write_watchlist(tmp_path / "a.watchlist", [(bytes(16), 1)], **changes)


@pytest.mark.parametrize(
    "said", [{"version": 15400000001}, {"version": "15400000001"}, {"algorithm": "15400000001"}]
)
def test_unsigned_header_values_are_not_shown(tmp_path: Path, said: dict) -> None:
    head = json.dumps({"version": VERSION, "algorithm": ALGORITHM, **said}).encode()
    with pytest.raises(ConfigError, match="build it again") as raised:
        WatchlistHeader.decode(tmp_path / "a.watchlist", head)
    assert "154" not in str(raised.value).removeprefix(str(tmp_path))


def test_file_is_owner_only_and_no_draft_is_left(tmp_path: Path) -> None:
    write_watchlist(tmp_path / "a.watchlist", [(bytes(16), 1)])
    assert (tmp_path / "a.watchlist").stat().st_mode & 0o077 == 0
    assert [p.name for p in tmp_path.iterdir()] == ["a.watchlist"]
