"""Seal keys turn over each day, and what a destroyed one has sealed is out of reach."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from matcher.cli.authentic import PURPOSE
from matcher.cli.match import rotate_seal_keys
from tests.matcher.bank import customer, enrol, phone
from tests.matcher.test_stage import DAY, Running
from ullage.bus import CAPTURES, FINDINGS
from ullage.errors import RecordError
from ullage.records import CAPTURE_SCHEMA
from ullage.security import keys
from ullage.settings import Context

BANK = [customer(n) for n in range(10)]


@pytest.fixture
def match(context: Context) -> Iterator[Running]:
    enrol(context, "bank", BANK)
    for key in (context.keys.root / "seal").iterdir():  # made by the real clock
        key.unlink()
    rotate_seal_keys(context)
    running = Running(context)
    yield running
    running.close()


def test_a_segment_of_a_day_whose_key_is_destroyed_is_unreadable_and_the_key_is_in_no_file(match: Running, clock) -> None:
    """The segment is kept aside, as a thief or a backup would; an image of the disk from before is out of scope."""
    store = match.context.keys
    match.put(f"{BANK[1]['name']}----{phone(1)}")
    first = keys.sealer(store).key_id
    private = store.read(f"seal/{first}.key")
    with closing(match.context.bus()) as bus, closing(bus.subscribe(CAPTURES, "thief")) as all_:
        [kept] = all_.poll(10, 0.0)
    assert keys.opener(store).open(kept.value, purpose=PURPOSE, topic=CAPTURES, schema=CAPTURE_SCHEMA, key_id=first)
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
        keys.opener(store).open(kept.value, purpose=PURPOSE, topic=CAPTURES, schema=CAPTURE_SCHEMA, key_id=first)
    for name in store.names("seal", ".key"):  # nor does any key that is left open it under that name
        other = keys.KeyStore(store.root).read(name)
        assert other != private
    written = {path: path.read_bytes() for path in match.context.data.rglob("*") if path.is_file()}
    assert [path for path, body in written.items() if private in body or private.hex().encode() in body] == []


def test_a_record_under_a_destroyed_key_that_comes_again_is_a_dead_letter_and_no_loss_unsaid(match: Running, clock) -> None:
    sealed = keys.sealer(match.context.keys)
    match.put("", value=sealed.seal(b"x", purpose=PURPOSE, topic=CAPTURES, schema=CAPTURE_SCHEMA), headers={"key_id": "20200101"})
    assert match.drain() == []
    assert match.reasons() == ["key_destroyed"]
