"""The spool across a gap: whatever a carrier does, each record once and in order, or the loss is
told.
"""

import errno
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.conftest import KEEP, HeldClock
from tests.factories import outgoing
from ullage.bus import CAPTURES, FINDINGS, Bus, Retention, Subscription, open_bus, spool
from ullage.bus.spool import files
from ullage.clock import Clock
from ullage.errors import ConfigError, CorruptError, RecordError, UnavailableError
from ullage.settings import BusSettings, Context, Settings

WAIT = 60.0


class Gap:
    """An outer and an inner spool and what carries files between them."""

    def __init__(self, folder: Path, clock: HeldClock) -> None:
        self.outer, self.inner, self.clock = (
            folder / "outer" / CAPTURES,
            folder / "inner" / CAPTURES,
            clock,
        )
        self.outside = open_bus(f"spool:///{self.outer.parent}", folder, KEEP, clock.as_clock())
        self.inside = open_bus(
            f"spool:///{self.inner.parent}?wait={WAIT}", folder, KEEP, clock.as_clock()
        )
        self.publisher = self.outside.publisher(CAPTURES)
        self.inner.mkdir(parents=True)

    def put(self, *values: str) -> None:
        for value in values:
            self.publisher.append([outgoing(value)])

    def ready(self) -> list[str]:
        return sorted(path.name for path in self.outer.glob("*.spool"))

    def carry(self, *names: str) -> None:
        for name in names:
            shutil.copyfile(self.outer / name, self.inner / name)

    def reader(self) -> Subscription:
        return self.inside.subscribe(CAPTURES, "match")


@pytest.fixture
def gap(tmp_path: Path, clock: HeldClock) -> Gap:
    return Gap(tmp_path, clock)


def values(subscription: Subscription) -> list[str]:
    got: list[str] = []
    while records := subscription.poll(3, 0.0):
        got += [record.value.decode() for record in records]
    return got


def numbers(names: list[str]) -> list[int]:
    return [int(name[:20]) for name in names]


@given(data=st.data())
def test_files_in_any_order_and_repetition_give_each_record_once(
    data: st.DataObject,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        gap = Gap(Path(folder), HeldClock())
        batches = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=7))
        written = [[f"{number}.{n}" for n in range(count)] for number, count in enumerate(batches)]
        for batch in written:
            gap.publisher.append([outgoing(value) for value in batch])
        names = gap.ready()
        brought = data.draw(
            st.permutations(names + data.draw(st.lists(st.sampled_from(names), max_size=7)))
        )
        reader, got = gap.reader(), []
        for name in brought:
            gap.carry(name)
            if data.draw(st.booleans()):
                got += values(reader)
            # the reader dies; what it had not committed comes again
            if data.draw(st.booleans()) and got:
                reader.close()
                reader, got = gap.reader(), []
        assert got + values(reader) == [value for batch in written for value in batch]
        assert (reader.missing, reader.damaged, reader.lag().records) == (0, 0, sum(batches))
        reader.close()


def test_missing_number_is_waited_for_then_counted_and_logged(gap: Gap, clock: HeldClock) -> None:
    gap.put("a", "b", "c", "d")
    first, _, _, four = gap.ready()
    gap.carry(first, four)
    reader = gap.reader()
    assert values(reader) == ["a"]
    clock.advance(WAIT - 1)
    assert (values(reader), reader.missing) == ([], 0)
    clock.advance(1)
    with capture_logs() as logs:
        assert values(reader) == ["d"]
    assert reader.missing == 2
    assert [(line["event"], line["count"]) for line in logs] == [("spool_gap", 2)]


def test_late_number_within_the_wait_leaves_no_gap(gap: Gap, clock: HeldClock) -> None:
    gap.put("a", "b")
    first, two = gap.ready()
    gap.carry(two)
    reader = gap.reader()
    assert values(reader) == []
    clock.advance(WAIT - 1)
    gap.carry(first)
    assert (values(reader), reader.missing) == (["a", "b"], 0)


def test_late_number_is_read_once_positions_are_forgotten(gap: Gap, clock: HeldClock) -> None:
    gap.put("a", "b", "c")
    first, two, three = gap.ready()
    gap.carry(first, three)
    reader = gap.reader()
    assert values(reader) == ["a"]
    clock.advance(WAIT)
    records = reader.poll(10, 0.0)
    reader.commit(records[-1])
    gap.carry(two)
    clock.advance(WAIT)
    assert values(reader) == [], (
        "the gap was passed: what was handed out behind it cannot be taken back"
    )
    reader.close()
    (gap.inner.parent / "positions" / f"{CAPTURES}.match.json").unlink()
    assert values(gap.reader()) == ["a", "b", "c"]


def test_half_copied_file_is_waited_for_and_a_partial_one_never_read(
    gap: Gap, clock: HeldClock
) -> None:
    gap.put("a")
    (name,) = gap.ready()
    whole = (gap.outer / name).read_bytes()
    (gap.inner / (name + files.PARTIAL)).write_bytes(whole)
    (gap.inner / name).write_bytes(whole[:-5])
    reader = gap.reader()
    assert values(reader) == []
    clock.advance(WAIT - 1)
    assert values(reader) == []
    gap.carry(name)
    assert (values(reader), reader.damaged) == (["a"], 0)
    assert (gap.inner / (name + files.PARTIAL)).exists()


def test_persistently_damaged_file_is_quarantined_and_counts_as_missing(
    gap: Gap, clock: HeldClock
) -> None:
    gap.put("a", "b")
    first, two = gap.ready()
    gap.carry(first, two)
    (gap.inner / first).write_bytes((gap.outer / first).read_bytes()[:-5])
    reader = gap.reader()
    assert values(reader) == []
    clock.advance(WAIT)
    with capture_logs() as logs:
        assert values(reader) == ["b"]
    assert (reader.damaged, reader.missing) == (1, 1)
    assert [line["event"] for line in logs] == ["spool_file_set_aside", "spool_gap"]
    assert (gap.inner / (first + files.BAD)).exists()


def test_whole_copy_after_a_quarantined_one_is_read(gap: Gap, clock: HeldClock) -> None:
    gap.put("a")
    (name,) = gap.ready()
    (gap.inner / name).write_bytes(b"")
    reader = gap.reader()
    values(reader)
    clock.advance(WAIT)
    assert (values(reader), reader.damaged) == ([], 1)
    gap.carry(name)
    assert values(reader) == ["a"]


def test_foreign_files_links_and_pipes_are_quarantined_and_not_followed(
    gap: Gap, clock: HeldClock, tmp_path: Path
) -> None:
    gap.put("a", "b")
    first, two = gap.ready()
    secret = tmp_path / "secret"
    shutil.copyfile(gap.outer / first, secret)
    (gap.inner / first).symlink_to(secret)
    os.mkfifo(gap.inner / two)
    (gap.inner / "README").write_text("hello")
    (gap.inner / ".rsync.tmp").write_text("half")
    reader = gap.reader()
    assert values(reader) == []
    assert (gap.inner / "README").exists(), "it may be on its way"
    clock.advance(WAIT)
    assert values(reader) == []
    clock.advance(WAIT)
    assert values(reader) == []
    assert (gap.inner / "README.bad").exists()
    assert (gap.inner / (first + files.BAD)).is_symlink()
    assert (gap.inner / ".rsync.tmp").exists()
    assert reader.damaged >= 2


@pytest.mark.parametrize("cut", [False, True], ids=["flipped", "cut"])
def test_damaged_file_neither_crashes_the_reader_nor_is_returned(tmp_path: Path, cut: bool) -> None:
    chance = random.Random(20)
    sent = [f"{n:04d}" * 50 for n in range(6)]
    for seed in range(20):
        clock = HeldClock()
        gap = Gap(tmp_path / str(seed), clock)
        gap.publisher.append([outgoing(value, id=value[:4]) for value in sent[:3]])
        gap.publisher.append([outgoing(value, id=value[:4]) for value in sent[3:]])
        gap.carry(*gap.ready())
        victim = gap.inner / gap.ready()[0]
        content = bytearray(victim.read_bytes())
        place = chance.randrange(len(content))
        if cut:
            del content[place:]
        else:
            content[place] ^= 1 << chance.randrange(8)
        victim.write_bytes(content)
        reader = gap.reader()
        assert values(reader) == []
        clock.advance(WAIT)
        assert values(reader) == sent[3:]
        assert (reader.damaged, reader.missing) == (1, 1)


@pytest.mark.parametrize("cut", [False, True], ids=["flipped", "cut"])
@pytest.mark.parametrize("which", ["streams", "positions"])
def test_damaged_state_files_are_reported_or_harmless(
    tmp_path: Path, which: str, cut: bool
) -> None:
    chance = random.Random(7)
    for seed in range(20):
        bus = open_bus(f"spool:///{tmp_path}/{seed}", tmp_path, KEEP, Clock())
        publisher = bus.publisher(CAPTURES)
        publisher.append([outgoing("a")])
        reader = bus.subscribe(CAPTURES, "match")
        reader.commit(reader.poll(1, 0.0)[0])
        reader.close()
        (state,) = (tmp_path / str(seed) / which).glob("*.json")
        content = bytearray(state.read_bytes())
        place = chance.randrange(len(content))
        if cut:
            del content[place:]
        else:
            content[place] ^= 1 << chance.randrange(8)
        state.write_bytes(content)
        bus.publisher(CAPTURES).append([outgoing("b")])
        try:
            got = values(bus.subscribe(CAPTURES, "match"))
        except CorruptError:
            assert which == "positions"
        else:
            assert got in (["b"], ["a", "b"])


STORM = """
import sys, pathlib
from ullage.bus import CAPTURES, Outgoing, open_bus
from ullage import log
from ullage.clock import Clock
log.configure()
publisher = open_bus(sys.argv[1], pathlib.Path("/"), {}, Clock()).publisher(CAPTURES)
number = int(sys.argv[2])
while True:
    values = [f"{number}.{part}".encode() + bytes(700_000) for part in range(8)]
    publisher.append([Outgoing("k", value, {}) for value in values])
    print(number, flush=True)
    number += 1
"""


def test_kill_9_during_an_append_loses_nothing_and_reuses_no_number(
    tmp_path: Path,
) -> None:
    url, chance = f"spool:///{tmp_path}/bus", random.Random(9)
    folder, carried, acknowledged = tmp_path / "bus" / CAPTURES, tmp_path / "carried" / CAPTURES, -1
    carried.mkdir(parents=True)
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", STORM, url, str(acknowledged + 1)],
            stdout=subprocess.PIPE,
            text=True,
        )
        with child:
            assert child.stdout is not None
            for _ in range(chance.randrange(1, 4)):
                acknowledged = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
            acknowledged = int((child.stdout.read().split() or [acknowledged])[-1])
        for path in folder.glob("*.spool"):
            assert not (carried / path.name).exists(), "a number was used twice"
            path.rename(carried / path.name)
    # finishes what was interrupted
    open_bus(url, tmp_path, KEEP, Clock()).publisher(CAPTURES).append([outgoing("end")])
    for path in folder.glob("*.spool"):
        path.rename(carried / path.name)
    names = sorted(path.name for path in carried.iterdir())
    assert numbers(names) == list(range(1, len(names) + 1))
    assert len({files.parse_name(name)[0] for name in names}) == 1
    reader = open_bus(f"spool:///{carried.parent}", tmp_path, KEEP, Clock()).subscribe(
        CAPTURES, "match"
    )
    got = [value.rstrip("\0") for value in values(reader)]
    assert (reader.missing, reader.damaged) == (0, 0)
    assert {f"{n}.{part}" for n in range(acknowledged + 1) for part in range(8)} <= set(got)
    assert all(
        got.count(f"{value.partition('.')[0]}.{part}") == got.count(value)
        for value in set(got[:-1])
        for part in range(8)
    )


def test_numbers_continue_after_all_files_were_carried_away(gap: Gap) -> None:
    gap.put("a", "b")
    for path in gap.outer.glob("*.spool"):
        path.unlink()
    gap.outside.publisher(CAPTURES).append([outgoing("c")])
    assert numbers(gap.ready()) == [3]


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 6])
def test_disk_error_at_any_step_is_unavailable_and_loses_no_number(
    gap: Gap, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    gap.put("a")
    real, calls_left, messages = os.fsync, [step], []

    def fsync(handle: int) -> None:
        calls_left[0] -= 1
        if calls_left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    try:
        gap.put("b")
    except UnavailableError as error:
        messages.append(str(error))
        gap.put("b")
    monkeypatch.undo()
    gap.put("c")
    names = gap.ready()
    assert numbers(names) == list(range(1, len(names) + 1))
    gap.carry(*names)
    got = values(gap.reader())
    assert all("No space left" in message for message in messages)
    assert (got[0], set(got[1:-1]), got[-1]) == ("a", {"b"}, "c")


def test_damaged_stream_state_starts_a_new_stream_read_in_full(gap: Gap) -> None:
    gap.put("a")
    (gap.outer.parent / "streams" / f"{CAPTURES}.json").write_text("{")
    gap.put("b")
    gap.carry(*gap.ready())
    assert sorted(values(gap.reader())) == ["a", "b"]


def test_state_older_than_its_files_starts_a_new_stream(gap: Gap) -> None:
    gap.put("a")
    state = gap.outer.parent / "streams" / f"{CAPTURES}.json"
    old = state.read_bytes()
    gap.put("b")
    state.write_bytes(old)
    gap.outside.publisher(CAPTURES).append([outgoing("c")])
    gap.carry(*gap.ready())
    assert len(gap.ready()) == 3
    assert sorted(values(gap.reader())) == ["a", "b", "c"]


def test_copied_folder_does_not_continue_the_original_stream(
    gap: Gap,
) -> None:
    gap.put("a")
    shutil.rmtree(gap.inner.parent)
    shutil.copytree(gap.outer.parent, gap.inner.parent)
    gap.inside.publisher(CAPTURES).append([outgoing("inner")])
    gap.put("outer")
    gap.carry(*gap.ready())
    assert sorted(values(gap.reader())) == ["a", "inner", "outer"]


def test_streams_of_two_zones_are_separate_partitions(gap: Gap) -> None:
    gap.put("a", "b")
    gap.inside.publisher(CAPTURES).append([outgoing("x")])
    gap.carry(*gap.ready())
    reader = gap.reader()
    first, second = reader.poll(10, 0.0), reader.poll(10, 0.0)
    assert {len(first), len(second)} == {1, 2}
    assert first[0].partition != second[0].partition
    reader.commit(first[-1])
    reader.close()
    assert values(gap.reader()) == [record.value.decode() for record in second]


def test_batch_is_split_into_files_of_at_most_4_mib(
    gap: Gap,
) -> None:
    gap.publisher.append(
        [outgoing(bytes(2**20)) for _ in range(9)] + [outgoing(bytes(5 * 2**20)), outgoing("small")]
    )
    sizes = [(gap.outer / name).stat().st_size for name in gap.ready()]
    assert [size // 2**20 for size in sizes] == [3, 3, 3, 5, 0]
    with pytest.raises(RecordError, match="must fit into a spool file"):
        gap.publisher.append([outgoing(bytes(41 * 2**20))])


def test_lag_in_the_outer_zone_counts_files_not_yet_carried(gap: Gap, clock: HeldClock) -> None:
    gap.put("a", "b")
    clock.advance(30.0)
    gap.put("c")
    assert (
        gap.outside.lag(CAPTURES, "match").records,
        gap.outside.lag(CAPTURES, "match").seconds,
    ) == (3, 30.0)
    for name in gap.ready()[:2]:
        (gap.outer / name).unlink()
    assert (
        gap.outside.lag(CAPTURES, "match").records,
        gap.outside.lag(CAPTURES, "match").seconds,
    ) == (1, 0.0)


def test_read_files_and_bad_files_stay_until_they_expire(gap: Gap, clock: HeldClock) -> None:
    gap.put("a")
    gap.carry(*gap.ready())
    (gap.inner / "x.bad").write_text("x")
    os.utime(gap.inner / "x.bad", (clock.wall(), clock.wall()))
    reader = gap.reader()
    reader.commit(reader.poll(1, 0.0)[0])
    assert (gap.inside.expire(), len(list(gap.inner.iterdir()))) == (0, 2)
    clock.advance(3601.0)
    assert (gap.inside.expire(), list(gap.inner.iterdir())) == (1, [])
    assert (values(reader), reader.expired) == ([], 0)


def test_oldest_files_of_any_stream_are_removed_when_space_is_short(
    gap: Gap, clock: HeldClock
) -> None:
    """Two streams, in turn: of each the older file goes."""
    publisher = gap.inside.publisher(CAPTURES)
    for value in ("1", "2"):
        gap.put(f"outer {value}")
        clock.advance(10.0)
        publisher.append([outgoing(f"inner {value}")])
        clock.advance(10.0)
    gap.carry(*gap.ready())
    sizes = sum(path.stat().st_size for path in gap.inner.glob("*.spool"))
    keep = {CAPTURES: Retention(3600.0, sizes // 2)}
    assert (
        open_bus(f"spool:///{gap.inner.parent}", gap.inner.parent, keep, clock.as_clock()).expire()
        == 2
    )
    assert sorted(values(gap.reader())) == ["inner 2", "outer 2"]


def test_poll_on_a_failing_disk_names_the_topic(gap: Gap, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    reader = gap.reader()
    monkeypatch.setattr(type(reader._reader), "read", fail)
    with pytest.raises(UnavailableError, match=r"^spool topic captures cannot be read or written"):
        reader.poll(1, 0.0)


def test_damaged_state_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}", encoding="utf-8")
    with pytest.raises(
        CorruptError, match=r"state\.json is damaged: restore it, or remove it to start over"
    ):
        files.read_state(tmp_path / "state.json")


def test_append_on_a_failing_disk_names_the_topic(
    gap: Gap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        spool, "write_durably", Mock(side_effect=OSError(errno.EIO, "Input/output error"))
    )
    with pytest.raises(UnavailableError, match=r"^spool topic captures cannot be read or written"):
        gap.put("a")


def test_group_that_cannot_join_for_a_disk_error_may_retry(gap: Gap) -> None:
    shutil.rmtree(gap.inner)
    gap.inner.write_text("no folder")
    with pytest.raises(UnavailableError, match="cannot be read or written"):
        gap.reader()


def test_all_files_of_the_bus_are_private(gap: Gap) -> None:
    gap.put("a")
    for path in gap.outer.parent.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_file_of_a_newer_version_is_distinguished_from_a_foreign_one(
    gap: Gap,
) -> None:
    gap.put("a")
    path = gap.outer / gap.ready()[0]
    whole = path.read_bytes()
    for magic, reason in (
        (files.MAGIC[:-1] + bytes([files.MAGIC[-1] + 1]), "newer ullage"),
        (b"?" * len(files.MAGIC), "its name"),
    ):
        head = magic + whole[len(magic) : files._HEADER.size]
        path.write_bytes(head + files._CRC.pack(zlib.crc32(head)) + whole[files.HEADER_BYTES :])
        with pytest.raises(files.DamagedFileError, match=reason):
            files.read_file(path, CAPTURES)


def test_file_with_more_records_than_it_counts_is_damaged(gap: Gap) -> None:
    """Though every sum in it is right: what else is there is nobody's."""
    gap.put("a")
    gap.carry(*gap.ready())
    [name] = gap.ready()
    header, _ = files.read_file(gap.inner / name, CAPTURES)
    frame = (gap.inner / name).read_bytes()[files.HEADER_BYTES :]
    content = bytearray(
        files.pack(
            header.stream,
            files.Position(header.number, header.first),
            [frame, frame],
            header.timestamp,
        )
    )
    count, sums = files._HEADER.size - 20, files._HEADER.size
    struct.pack_into(">I", content, count, 1)
    struct.pack_into(">I", content, sums, zlib.crc32(content[:sums]))
    (gap.inner / name).write_bytes(content)
    with pytest.raises(files.DamagedFileError, match="has bytes after its last record"):
        files.read_file(gap.inner / name, CAPTURES)


def test_file_with_trailing_bytes_is_damaged(gap: Gap) -> None:
    gap.put("a")
    path = gap.outer / gap.ready()[0]
    path.write_bytes(path.read_bytes() + b"?")
    with pytest.raises(files.DamagedFileError, match=f"has {path.stat().st_size} of"):
        files.read_file(path, CAPTURES)


def test_damaged_record_is_reported_with_its_file(gap: Gap) -> None:
    gap.put("a")
    path = gap.outer / gap.ready()[0]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(files.DamagedFileError, match=re.escape(str(path))):
        files.read_file(path, CAPTURES)


@pytest.mark.parametrize("options", ["wait=soon", "wait=-1", "wait=nan", "wait=", "patience=3"])
def test_invalid_option_is_a_configuration_error(tmp_path: Path, options: str) -> None:
    with pytest.raises(ConfigError, match="wait=SECONDS"):
        open_bus(f"spool:///bus?{options}", tmp_path, KEEP, Clock())


def test_captures_may_use_a_separate_bus(tmp_path: Path, clock: HeldClock) -> None:
    chosen: Callable[..., Bus] = Context(
        tmp_path, clock.as_clock(), Settings(bus=BusSettings(captures="spool:///gap"))
    ).bus
    bus = chosen()
    for topic in (CAPTURES, FINDINGS):
        bus.publisher(topic).append([outgoing(topic)])
        assert values(bus.subscribe(topic, "look")) == [topic]
        assert bus.lag(topic, "look").records == 1
    [file] = (tmp_path / "gap" / CAPTURES).glob("*.spool")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"?")
    bus.check(FINDINGS)
    with pytest.raises(CorruptError, match="has a damaged record"):
        bus.check(CAPTURES)
    file.write_bytes(whole)
    bus.check(CAPTURES)
    clock.advance(8 * 86400.0)
    assert bus.expire() == 2
    bus.close()
    assert not (tmp_path / "bus" / "captures.sqlite").exists()
    assert not (tmp_path / "gap" / FINDINGS).exists()


def test_committed_position_is_readable_json(gap: Gap) -> None:
    gap.put("a")
    gap.carry(*gap.ready())
    reader = gap.reader()
    reader.commit(reader.poll(1, 0.0)[0])
    (position,) = json.loads(
        (gap.inner.parent / "positions" / f"{CAPTURES}.match.json").read_text()
    )["state"].values()
    assert position == [2, 1]
