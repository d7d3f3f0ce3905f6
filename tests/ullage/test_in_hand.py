"""A record at which the process dies twice, alone, is set aside; one that was in hand at a death
from outside is not.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.warm import WarmProcess
from ullage.bus import CAPTURES, Outgoing, Record
from ullage.errors import ConfigError
from ullage.runtime import dead_letters, in_hand
from ullage.runtime.in_hand import FOLDER, InHand, Surroundings
from ullage.runtime.service import EXIT_CODE, SUPERVISOR
from ullage.security import keys
from ullage.settings import Context

ROOT = Path(__file__).parents[2]
POISON = 6
"""The offset of the poison; ten records are there, a batch is four."""
UNDER = """
import os, subprocess, sys
environment = {**os.environ, "ULLAGE_SUPERVISOR": str(os.getpid())}
sys.exit(subprocess.Popen(sys.argv[1:], env=environment).wait())
"""


@pytest.fixture
def context_with_poison(context: Context) -> Context:
    """Return a context with ten records on topic captures, of which the sixth is poison."""
    bus = context.bus()
    publisher = bus.publisher(CAPTURES)
    publisher.append(
        [Outgoing("k", b"poison" if n == POISON else b"good", {}) for n in range(1, 11)]
    )
    publisher.close()
    bus.close()
    return context


def command(context: Context, way: str, *more: object) -> list[str]:
    return [sys.executable, "-m", "tests.ullage.consuming", str(context.data), way, *map(str, more)]


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[..., int]]:
    """Yield a function that runs one process of the consumer to its end, and returns its exit code.

    One with a supervisor is a child of this process.
    """
    with closing(WarmProcess("tests.ullage.consuming")) as warm:

        def ran(context: Context, way: str, *more: object, **variables: str) -> int:
            words, environment = command(context, way, *more), {**os.environ, **variables}
            if SUPERVISOR in variables:
                return subprocess.run(
                    words, cwd=ROOT, env=environment, capture_output=True, timeout=120, check=False
                ).returncode
            return warm.run(words[2], words[3:], environment)[0]

        yield ran


def letters(context: Context) -> list[str]:
    return [letter.reason for letter in dead_letters.waiting_or_parked(context.bus())]


def read_handled(context: Context) -> list[int]:
    return [int(line) for line in (context.data / "handled").read_text().split()]


WAYS = [
    ("crash", [-signal.SIGSEGV] * 3),
    ("exhaust_memory", [1] * 3),
    ("allocate_endlessly", [-signal.SIGKILL, 1, 1]),
    ("hung", [-signal.SIGALRM] * 3),
]


@pytest.mark.parametrize(("way", "codes"), WAYS)
def test_record_that_crashes_three_times_is_quarantined(
    context_with_poison: Context, run: Callable[..., int], way: str, codes: list[int]
) -> None:
    exit_codes = [run(context_with_poison, way, 1.0 if way == "hung" else 0) for _ in range(4)]
    assert exit_codes == [*codes, 0], "once with others in hand, twice alone"
    assert set(read_handled(context_with_poison)) == {*range(1, 11)} - {POISON}
    assert letters(context_with_poison) == ["quarantined"]
    assert not list((context_with_poison.data / FOLDER).glob("*.note"))
    assert not list((context_with_poison.data / FOLDER).glob("*.suspects")), (
        "nothing is held against anybody any more"
    )


def test_silent_exit_counts_if_the_supervisor_saw_its_code(
    context_with_poison: Context, run: Callable[..., int]
) -> None:
    environment = {SUPERVISOR: str(os.getpid()), EXIT_CODE: "3"}
    assert [run(context_with_poison, "end", **environment) for _ in range(4)] == [3, 3, 3, 0]
    assert letters(context_with_poison) == ["quarantined"]


@pytest.mark.parametrize(
    "environment", [{}, {SUPERVISOR: str(os.getpid()), EXIT_CODE: str(-signal.SIGKILL)}]
)
def test_repeated_kills_quarantine_nothing(
    context_with_poison: Context, run: Callable[..., int], environment: dict[str, str]
) -> None:
    assert [run(context_with_poison, "kill", **environment) for _ in range(4)] == [
        -signal.SIGKILL
    ] * 4, "crashes would condemn at the third"
    assert run(context_with_poison, "harmless") == 0
    assert (letters(context_with_poison), set(read_handled(context_with_poison))) == (
        [],
        {*range(1, 11)},
    )


def test_quarantined_record_is_sealed_whole_and_can_be_replayed(
    context_with_poison: Context, run: Callable[..., int]
) -> None:
    while run(context_with_poison, "crash"):
        pass
    assert (
        dead_letters.replay(
            context_with_poison.bus(), keys.load_opener(context_with_poison.keys)
        ).replayed
        == 1
    )
    assert run(context_with_poison, "harmless") == 0
    assert read_handled(context_with_poison)[-1] == 11, "the same, at the end of the topic"
    assert letters(context_with_poison) == []


def test_replayed_record_that_crashes_again_is_quarantined_again(
    context_with_poison: Context, run: Callable[..., int]
) -> None:
    while run(context_with_poison, "crash"):
        pass
    dead_letters.replay(context_with_poison.bus(), keys.load_opener(context_with_poison.keys))
    assert [run(context_with_poison, "crash") for _ in range(3)] == [
        -11,
        -11,
        0,
    ], "alone from the start, for nothing else is there"
    assert letters(context_with_poison) == ["quarantined"]


class PoisonedConsumer:
    """A consumer with the poison in hand, under a supervisor that lives on (this process), or
    under one that can be killed.
    """

    def __init__(self, context: Context, *more: str) -> None:
        words, environment = (
            [*more, *command(context, "waiting")],
            {**os.environ, SUPERVISOR: str(os.getpid())},
        )
        self.supervisor = subprocess.Popen(
            words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self.supervisor.stdout is not None
        line = self.supervisor.stdout.readline()
        self.pid = int(line.removeprefix("in hand"))
        self._handle = os.pidfd_open(self.pid)

    def end(self, *pids: int) -> None:
        """Kill these, and wait until the consumer is gone."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        _wait_for_exit(self._handle)
        os.close(self._handle)
        self.supervisor.wait(120)
        if self.supervisor.stdout:
            self.supervisor.stdout.close()


def _wait_for_exit(handle: int) -> None:
    """Wait for a process that is no child of ours."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    assert poll.poll(30_000), "the consumer outlives its killer"


def test_deaths_together_with_the_supervisor_quarantine_nothing(
    context_with_poison: Context, run: Callable[..., int]
) -> None:
    for _ in range(4):
        killed = PoisonedConsumer(context_with_poison, sys.executable, "-c", UNDER)
        killed.end(killed.supervisor.pid)
    assert run(context_with_poison, "harmless") == 0
    assert (letters(context_with_poison), set(read_handled(context_with_poison))) == (
        [],
        {*range(1, 11)},
    )


def test_kills_of_the_service_alone_quarantine_nothing(
    context_with_poison: Context, run: Callable[..., int]
) -> None:
    for _ in range(4):
        killed = PoisonedConsumer(context_with_poison)
        killed.end(killed.pid)
    assert run(context_with_poison, "harmless") == 0
    assert (letters(context_with_poison), set(read_handled(context_with_poison))) == (
        [],
        {*range(1, 11)},
    )


def test_process_killed_after_ignoring_a_stop_quarantines_nothing(
    context_with_poison: Context, run: Callable[..., int]
) -> None:
    for _ in range(3):
        killed = PoisonedConsumer(context_with_poison)
        os.kill(killed.pid, signal.SIGTERM)
        [note] = (context_with_poison.data / FOLDER).glob("*.note")
        _until(lambda note=note: b'"stopping"' in note.read_bytes())
        killed.end(killed.pid)
    assert run(context_with_poison, "harmless") == 0
    assert letters(context_with_poison) == []


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # between two looks; the deadline decides


def test_deaths_while_writing_count_only_if_they_are_crashes(
    context_with_poison: Context, run: Callable[..., int]
) -> None:
    for _ in range(4):
        assert run(context_with_poison, "writing-kill") == -signal.SIGKILL
    assert letters(context_with_poison) == []
    environment = {SUPERVISOR: str(os.getpid()), EXIT_CODE: str(-signal.SIGSEGV)}
    deaths = [run(context_with_poison, "writing-crash", **environment) for _ in range(4)]
    assert deaths.count(-signal.SIGSEGV) in (2, 3)
    assert deaths[-1] == 0
    assert letters(context_with_poison) == ["quarantined"]


# The notes themselves; a death is a note whose lock is free.


def record(offset: int, partition: int = 0) -> Record:
    return Record(CAPTURES, partition, offset, 0.0, "k", {}, b"")


def leave_note(
    folder: Path, *records: Record, around: Surroundings | None = None, trace: bytes = in_hand.FATAL
) -> Path:
    """Write the note of a process that died, by a crash unless stated, with these in hand."""
    hand = InHand(folder, "captures.match", around or Surroundings())
    with hand.holding(records):
        note = hand._path.read_bytes()
    hand.close()
    path = folder / f"captures.match.{secrets.token_hex(8)}.note"
    path.write_bytes(note.ljust(in_hand.NOTE_BYTES, b"\0") + trace if trace else note)
    return path


def open_hand(folder: Path) -> InHand:
    return InHand(folder, "captures.match")


def test_records_of_several_partitions_are_distinguished(tmp_path: Path) -> None:
    leave_note(tmp_path, record(5, 0), record(6, 0), record(9, 2))
    hand = open_hand(tmp_path)
    suspected = [(p, o) for p in range(3) for o in range(12) if hand.suspects([record(o, p)])]
    assert suspected == [(0, 5), (0, 6), (2, 9)]
    hand.forget(record(5, 0))
    assert [hand.suspects([record(o, 0)]) for o in (5, 6)] == [
        True,
        True,
    ], "a stretch is held until its end"
    hand.forget(record(6, 0))
    assert [hand.suspects([record(6, 0)]), hand.suspects([record(9, 2)])] == [False, True]
    hand.close()


def test_living_process_learns_of_a_death_and_is_not_taken_for_dead(tmp_path: Path) -> None:
    living, dying = open_hand(tmp_path), open_hand(tmp_path)
    with dying.holding([record(1)]):
        assert not living.suspects([record(1)])
    leave_note(tmp_path, record(4))
    leave_note(tmp_path, record(4))
    assert living.suspects([record(4)])
    assert living.condemns(record(4))
    assert dying.suspects([record(4)])
    assert dying.condemns(record(4)), "whoever is given its partition"
    dying.forget(record(4))
    assert not living.suspects([record(4)])
    assert not living.condemns(record(4))
    for hand in (living, dying):
        hand.close()


def test_notes_of_another_group_or_topic_are_ignored(tmp_path: Path) -> None:
    leave_note(tmp_path, record(4))
    alert_hand = InHand(tmp_path, "findings.alert")
    assert not alert_hand.suspects([record(4)])
    alert_hand.close()


def test_death_is_counted_once(tmp_path: Path) -> None:
    path = leave_note(tmp_path, record(4))
    note = path.read_bytes()
    for _ in range(3):  # as if each had died before it could take the note away
        open_hand(tmp_path).close()
        path.write_bytes(note)
    hand = open_hand(tmp_path)
    assert hand.suspects([record(4)])
    assert not hand.condemns(record(4))
    hand.close()


@pytest.mark.parametrize(
    ("trace", "boot", "counts"),
    [
        (in_hand.FATAL, "", True),
        (b"Current thread", "", True),
        (b"", "", False),
        (in_hand.FATAL, "another", False),
    ],
)
def test_cause_of_death_decides_whether_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: bytes, boot: str, counts: bool
) -> None:
    for _ in range(2):
        leave_note(tmp_path, record(4), trace=trace)
    if boot:
        monkeypatch.setattr(in_hand, "_boot", lambda: boot)
    hand = open_hand(tmp_path)
    assert hand.suspects([record(4)])
    assert hand.condemns(record(4)) == counts
    hand.close()


def test_crash_counts_even_if_the_supervisor_died_too(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as gone:
        for _ in range(2):
            leave_note(tmp_path, record(4), around=Surroundings(gone.pid))
        gone.communicate(b"\n")
    hand = open_hand(tmp_path)
    assert hand.condemns(record(4))
    hand.close()


def test_repeatedly_killed_record_does_not_block_the_others_forever(
    tmp_path: Path,
) -> None:
    for number in range(in_hand.UNEXPLAINED):
        leave_note(tmp_path, record(4), trace=b"")
        hand = open_hand(tmp_path)
        assert hand.suspects([record(4)])
        assert hand.condemns(record(4)) == (number == in_hand.UNEXPLAINED - 1)
        hand.close()


def test_damaged_note_or_list_quarantines_nothing_and_stops_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        leave_note(tmp_path / "whole", record(4))
    notes = sorted((tmp_path / "whole").glob("*.note"))
    open_hand(tmp_path / "whole").close()
    [suspects] = (tmp_path / "whole").glob("*.suspects")
    leave_note(tmp_path / "whole", record(7), trace=b"")
    notes = [*(tmp_path / "whole").glob("*.note")]
    for path in (suspects, *notes):
        content = path.read_bytes().rstrip(b"\0")
        for damage in [
            *(_flip_bit(content, n) for n in range(0, len(content) - 1, 7)),
            content[:-5],
            content[:3],
            b"\xff",
        ]:
            folder = tmp_path / "damaged"
            folder.mkdir(exist_ok=True)
            (folder / path.name).write_bytes(damage)
            hand = open_hand(folder)
            assert not hand.suspects([record(4)])
            assert not hand.condemns(record(4))
            hand.close()
            for damaged in folder.iterdir():
                damaged.unlink()


def _flip_bit(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def test_clean_end_leaves_only_the_lock(tmp_path: Path) -> None:
    hand = open_hand(tmp_path)
    with hand.holding([record(1)]), hand.writing():
        pass
    hand.close()
    assert [path.name for path in tmp_path.iterdir()] == ["captures.match.lock"]


def test_error_is_not_a_death(tmp_path: Path) -> None:
    hand = open_hand(tmp_path)
    with pytest.raises(ZeroDivisionError), hand.holding([record(1)]):
        raise ZeroDivisionError
    os.close(hand._file)
    after = open_hand(tmp_path)
    assert not after.suspects([record(1)])
    after.close()


def test_unwritable_folder_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file")
    with pytest.raises(ConfigError, match="cannot be written"):
        InHand.of(tmp_path, CAPTURES, "match")


def test_note_holds_positions_and_no_content(tmp_path: Path) -> None:
    secret = Record(CAPTURES, 0, 3, 0.0, "13800138000", {"h": "13800138000"}, b"13800138000")
    path = leave_note(tmp_path, secret)
    assert b"13800138000" not in path.read_bytes()
