"""Dead letters are sealed, listed without content, replayed, and parked after three times."""

from pathlib import Path

import pytest

from tests.factories import outgoing
from ullage.bus import CAPTURES, DEAD_LETTERS, Bus, Record
from ullage.errors import RecordError
from ullage.runtime import dead_letters
from ullage.runtime.dead_letters import DeadLetters
from ullage.security import keys
from ullage.security.keys import KeyStore

VALUE = "李某----13800138000".encode()


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    store = KeyStore(tmp_path / "keys")
    keys.make_seal_pair(store, "20260921")
    return store


def put(
    bus: Bus, store: KeyStore, value: bytes = VALUE, reason: str = "malformed", **headers: str
) -> None:
    letters = DeadLetters(bus, keys.load_sealer(store), "match")
    letters.put(Record(CAPTURES, 0, 7, 0.0, "paste", {"schema": "1", **headers}, value), reason)
    letters.close()


def waiting(bus: Bus, topic: str, group: str) -> list[Record]:
    """Return what a new group reads from `topic`, in the order of appending."""
    subscription, records = bus.subscribe(topic, group), []
    expected = subscription.lag().records
    while len(records) < expected:
        records += subscription.poll(100, 6.0)
    subscription.close()
    return sorted(records, key=lambda record: record.timestamp)


def test_letter_shows_stage_topic_and_reason_and_seals_the_rest(bus: Bus, store: KeyStore) -> None:
    put(bus, store, name="李某")
    (record,) = waiting(bus, DEAD_LETTERS, "test")
    letter = dead_letters.read(record)
    assert (letter.stage, letter.topic, letter.reason, letter.replays) == (
        "match",
        CAPTURES,
        "malformed",
        0,
    )
    assert b"13800138000" not in record.value
    assert "李某" not in repr(record)


@pytest.mark.parametrize("value", [b"", VALUE, bytes(33 * 2**20)], ids=["empty", "text", "33 MiB"])
def test_original_is_restored_with_its_replay_count_raised(
    bus: Bus, store: KeyStore, value: bytes
) -> None:
    put(bus, store, value, site="论坛")
    (record,) = waiting(bus, DEAD_LETTERS, "test")
    original = dead_letters.unseal(record, keys.load_opener(store))
    assert (original.key, original.value) == ("paste", value)
    assert original.headers.items() >= {"schema": "1", "site": "论坛", "replays": "1"}.items()
    assert len(record.value) <= len(value) + 500


def test_replayed_record_keeps_its_authenticated_first_time(bus: Bus, store: KeyStore) -> None:
    opener, headers = keys.load_opener(store), {"schema": "1"}
    for _ in range(2):
        put(bus, store, b"a", **headers)
        letter = waiting(bus, DEAD_LETTERS, f"test-{len(headers)}")[-1]
        original = dead_letters.unseal(letter, opener)
        headers = dict(original.headers)
        assert dead_letters.find_taken_time(CAPTURES, headers, b"a", 99.0, opener) == 0.0
    assert dead_letters.find_taken_time(CAPTURES, headers, b"b", 99.0, opener) == 99.0
    assert (
        dead_letters.find_taken_time(CAPTURES, {**headers, "taken_at": "5.0"}, b"a", 99.0, opener)
        == 99.0
    )
    assert dead_letters.find_taken_time(CAPTURES, {"taken_at": "5.0"}, b"a", 99.0, opener) == 99.0


def test_replay_returns_letters_to_their_topic_once(bus: Bus, store: KeyStore) -> None:
    put(bus, store, b"a")
    put(bus, store, b"b")
    assert dead_letters.replay(bus, keys.load_opener(store)).replayed == 2
    assert dead_letters.replay(bus, keys.load_opener(store)).replayed == 0
    # partitions have no common order
    assert sorted(record.value for record in waiting(bus, CAPTURES, "match")) == [b"a", b"b"]


def test_letter_replayed_three_times_is_parked_and_stays_listed(bus: Bus, store: KeyStore) -> None:
    put(bus, store)
    for times in range(1, 4):
        assert dead_letters.replay(bus, keys.load_opener(store)).replayed == 1
        back = waiting(bus, CAPTURES, f"match-{times}")[-1]
        put(bus, store, back.value, **back.headers)
    outcome = dead_letters.replay(bus, keys.load_opener(store))
    assert (outcome.replayed, dict(outcome.left)) == (0, {"parked": 1})
    assert [letter.replays for letter in dead_letters.waiting_or_parked(bus)] == [3]


def test_listing_shows_waiting_letters_and_changes_nothing(bus: Bus, store: KeyStore) -> None:
    put(bus, store, reason="schema")
    dead_letters.replay(bus, keys.load_opener(store))
    put(bus, store, reason="malformed")
    for _ in range(2):
        assert [letter.reason for letter in dead_letters.waiting_or_parked(bus)] == ["malformed"]
    assert dead_letters.replay(bus, keys.load_opener(store)).replayed == 1


def test_letter_with_a_destroyed_key_is_left_with_that_reason(bus: Bus, store: KeyStore) -> None:
    put(bus, store)
    store.destroy("seal/20260921.key")
    outcome = dead_letters.replay(bus, keys.load_opener(store))
    assert (outcome.replayed, dict(outcome.left)) == (0, {"key_destroyed": 1})


@pytest.mark.parametrize(
    "headers",
    [{}, {"id": "1", "stage": "match", "topic": CAPTURES, "reason": "x", "replays": "many"}],
)
def test_malformed_letter_is_a_record_error(headers: dict[str, str]) -> None:
    with pytest.raises(RecordError, match=r"^malformed$"):
        dead_letters.read(Record(DEAD_LETTERS, 0, 1, 0.0, "k", headers, b""))


def test_letter_does_not_open_under_another_topic(bus: Bus, store: KeyStore) -> None:
    put(bus, store)
    (record,) = waiting(bus, DEAD_LETTERS, "test")
    moved = outgoing(record.value, **{**record.headers, "topic": "findings"})
    with pytest.raises(RecordError, match="not_authentic"):
        dead_letters.unseal(
            Record(DEAD_LETTERS, 0, 1, 0.0, "k", moved.headers, moved.value),
            keys.load_opener(store),
        )
