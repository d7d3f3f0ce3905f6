"""Keys turn over while work goes on: no match is lost, and what a destroyed key has made is out
of reach.
"""

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from matcher.watchlist.index import Index
from matcher.watchlist.tagging import TagKeys
from tests.matcher.bank import command, customer, enrol, phone, to_csv
from tests.matcher.test_stage import DAY, MatchProcess, match_of
from ullage.bus import CAPTURES, FINDINGS
from ullage.errors import RecordError
from ullage.records import FINDING_SCHEMA, Finding
from ullage.security import keys
from ullage.security.capture_seal import CaptureOpener, CaptureSealer
from ullage.security.keys import KeyStore, load_verify_key
from ullage.settings import Context

BANK = [customer(n) for n in range(10)]
STEPS = (
    ("rotate-key", "--tenant", "bank"),
    ("load", "-", "--tenant", "bank"),
    ("rotate-key", "--tenant", "bank", "--retire"),
)
ROTATIONS = 2


@pytest.fixture
def match(context: Context) -> Iterator[MatchProcess]:
    enrol(context, "bank", BANK)
    with match_of(context) as running:
        yield running


def run(data: Path, words: tuple[str, ...], meanwhile: Callable[[], None] = lambda: None) -> None:
    """Run a command of the watchlist in another process than match.

    `meanwhile` is called again and again until it ends.
    """
    with tempfile.TemporaryFile() as customers:
        customers.write(to_csv(BANK).encode())
        customers.seek(0)
        changing = [sys.executable, "-m", "ullage", *command(data, "watchlist", *words)]
        with subprocess.Popen(changing, stdin=customers, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                meanwhile()
        assert process.returncode == 0


def test_no_match_is_lost_or_doubled_during_a_key_rotation(match: MatchProcess) -> None:
    """Match works all the time, so that some posts are in hand in every part of every step."""
    planted = Counter[str]()

    def work() -> None:
        number = planted.total() % len(BANK)
        match.put(f"{BANK[number]['name']}----{phone(number)}", post_id=f"p{planted.total()}")
        planted[phone(number)] += 1
        match.work()

    for step in STEPS * ROTATIONS:
        work()
        run(match.context.data, step, work)
    work()
    with closing(match.context.bus()) as bus, closing(bus.subscribe(FINDINGS, "test")) as all_:
        records = []
        while batch := all_.poll(1000, 0.0):
            records += batch
    findings = [Finding.decode(record.value, FINDING_SCHEMA) for record in records]
    assert len({finding.id for finding in findings}) == len(findings) == planted.total()
    assert sorted(Counter(finding.matches[0].subject for finding in findings).values()) == sorted(
        planted.values()
    )
    assert {len({match.subject for match in finding.matches}) for finding in findings} == {1}
    assert {finding.epoch for finding in findings} >= {1, 1 + ROTATIONS}
    assert match.reasons() == []
    assert keys.list_generations(match.context.keys, "bank", "match") == [1 + ROTATIONS]


def test_stolen_retired_key_and_list_reveal_nothing_of_the_new_list(
    match: MatchProcess, tmp_path: Path
) -> None:
    """The drill for a match key: rotate, load, retire.

    What was copied before fits nothing that is made since.
    """
    data, stolen = match.context.data, KeyStore(tmp_path / "stolen")
    # tried as the key of the new epoch
    stolen.write("bank/match-2.key", match.context.keys.read("bank/match-1.key"))
    for step in STEPS:
        run(data, step)
    tags = TagKeys(stolen, "bank", "match", 2).self_test()
    index = Index(
        data / "watchlists" / "bank" / "2.watchlist", load_verify_key(match.context.keys, "bank")
    )
    assert index.look_up(tags)[0].size == 0
    assert index.look_up(TagKeys(match.context.keys, "bank", "match", 2).self_test())[0].size == 1
    run(data, STEPS[1])  # a day's load makes no key of an epoch that was destroyed
    assert keys.list_generations(match.context.keys, "bank", "match") == [2]


def test_data_of_a_destroyed_key_is_unreadable_and_the_key_is_in_no_file(
    match: MatchProcess, clock
) -> None:
    """The segment is kept aside, as a thief or a backup would; an image of the disk from before
    is out of scope.
    """
    store = match.context.keys
    match.put(f"{BANK[1]['name']}----{phone(1)}")
    first = keys.load_sealer(store).key_id
    private = store.read(f"seal/{first}.key")
    with closing(match.context.bus()) as bus, closing(bus.subscribe(CAPTURES, "thief")) as all_:
        [segment] = all_.poll(10, 0.0)
    verifier = keys.load_verifier(store, CAPTURES)
    assert CaptureOpener(keys.load_opener(store), verifier).open(segment.value, first)
    days = 0
    while store.exists(f"seal/{first}.key"):
        clock.advance(DAY)
        match.stage.alive()
        days += 1
        assert days < 30
    keep = match.context.settings.bus.retention()
    longest = max(keep[topic].seconds for topic in keep if topic != FINDINGS) / DAY
    assert timedelta(days=longest) < timedelta(days=days) <= timedelta(days=longest + 3)
    with pytest.raises(RecordError, match="key_destroyed"):
        CaptureOpener(keys.load_opener(store), verifier).open(segment.value, first)
    # nor does any key that is left open it under that name
    for name in store.list_names("seal", ".key"):
        restored_key = keys.KeyStore(store.root).read(name)
        assert restored_key != private
    written = {path: path.read_bytes() for path in match.context.data.rglob("*") if path.is_file()}
    assert [
        path for path, body in written.items() if private in body or private.hex().encode() in body
    ] == []


def test_record_under_a_destroyed_key_is_a_reported_dead_letter(match: MatchProcess, clock) -> None:
    store = match.context.keys
    match.put(
        "",
        value=CaptureSealer(keys.load_sealer(store), keys.load_signer(store, "crawl")).seal(b"x"),
        headers={"key_id": "20200101"},
    )
    assert match.drain() == []
    assert match.reasons() == ["key_destroyed"]
