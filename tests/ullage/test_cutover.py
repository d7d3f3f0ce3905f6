"""Up to where records without a signature are taken."""

from contextlib import closing

import pytest

from tests.factories import outgoing
from ullage.bus import FINDINGS, Record
from ullage.errors import CorruptError
from ullage.runtime.cutover import FOLDER, Cutover
from ullage.settings import Context


def made(context: Context) -> Cutover:
    with closing(context.bus()) as bus:
        return Cutover.of(context.data, bus, FINDINGS, "alert", context.clock.now())


def append(context: Context, count: int) -> None:
    with closing(context.bus()) as bus, closing(bus.publisher(FINDINGS)) as publisher:
        publisher.append([outgoing(str(number)) for number in range(count)])


def read(context: Context) -> list[Record]:
    with closing(context.bus()) as bus, closing(bus.subscribe(FINDINGS, "look")) as subscription:
        return subscription.poll(100, 0.0)


def test_on_an_empty_topic_nothing_unsigned_is_ever_taken(context: Context) -> None:
    found = made(context)
    append(context, 3)
    assert [cutover.accepts(record) for cutover in (found, made(context)) for record in read(context)] == [False] * 6


def test_what_lay_there_at_the_first_start_is_taken_and_nothing_that_came_later(context: Context) -> None:
    append(context, 3)
    first = made(context)
    append(context, 2)
    for cutover in (first, made(context)):
        assert [cutover.accepts(record) for record in read(context)] == [True, True, True, False, False]
        assert not any(cutover.accepts(record._replace(partition=1)) for record in read(context))


@pytest.mark.parametrize("content", [b"", b"{}", b'{"at":"2026-11-26T08:00:00Z","ends":{"0":"x"}}', b"\xff"])
def test_a_damaged_record_of_it_is_no_reason_to_begin_anew(context: Context, content: bytes) -> None:
    made(context)
    (context.data / FOLDER / "findings.json").write_bytes(content)
    with pytest.raises(CorruptError, match=r"findings\.json is damaged, cannot be read, or"):
        made(context)
