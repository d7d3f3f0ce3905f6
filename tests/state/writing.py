"""Writes to one database of a data folder for ever, as a service does, and prints the number of
each step that is durable.

Started as a process by `test_backup_load.py`. A step is one transaction, of many documents until
the file is as large as was asked for and of one afterwards; what each holds follows from its
number, so that a copy can be compared document by document.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from alerts.records import Claim
from alerts.store import DocumentFilter, open_store
from crawlers.frontier.cipher import FrontierCipher
from crawlers.frontier.database import KEY, Frontier
from crawlers.sites.pages import PageAddress
from tests.factories import WHEN, outgoing
from ullage.bus import CAPTURES, Bus, Retention, open_bus
from ullage.clock import Clock
from ullage.settings import Context

AT_FIRST = 256
"""Documents of a step while the file is filled."""
SITE, TOPIC = "board", CAPTURES
OFTEN = 10
"""Of so many steps one does what waits for readers of the log: expiry, a deletion."""
ALL = {TOPIC: Retention(1e9, 1 << 40)}


def text(number: int, size: int = 3000) -> str:
    """Return the content of document `number`, which resembles no other."""
    return random.Random(number).randbytes(size // 2).hex()


@dataclass(frozen=True)
class Part:
    """A database: its file, what writes documents `numbers` as one transaction, and the numbers
    of those that it holds whole.
    """

    file: str
    write: Callable[[Path], Callable[[range], None]]
    read: Callable[[Path], Iterator[int]]


def bus_of(data: Path) -> Bus:
    return open_bus("sqlite:///bus", data, ALL, Clock())


def frontier_of(data: Path) -> Frontier:
    return Frontier(data, Context(data).keys.read(KEY), Clock())


def to_bus(data: Path) -> Callable[[range], None]:
    bus = bus_of(data)
    publisher, steps = bus.publisher(TOPIC), itertools.count(1)

    def write(numbers: range) -> None:
        publisher.append([outgoing(text(n), n=str(n)) for n in numbers])
        if next(steps) % OFTEN == 0:
            bus.expire()

    return write


def read_bus(data: Path) -> Iterator[int]:
    with closing(bus_of(data)) as bus:
        subscription = bus.subscribe(TOPIC, "test")
        while records := subscription.poll(1000, 0.0):
            for record in records:
                assert record.value.decode() == text(int(record.headers["n"]))
                yield int(record.headers["n"])
        subscription.close()


def to_store(data: Path) -> Callable[[range], None]:
    store, steps = open_store("sqlite:///incidents.sqlite", data), itertools.count(1)

    def write(numbers: range) -> None:
        store.put([Claim(id=f"{n:09d}", tenant="bank", incident=text(n), at=WHEN) for n in numbers])
        if next(steps) % OFTEN == 0:
            store.delete(Claim, ["nobody"])

    return write


def read_store(data: Path) -> Iterator[int]:
    with closing(open_store("sqlite:///incidents.sqlite", data)) as store:
        for document in store.scroll(Claim, DocumentFilter()):
            assert document.incident == text(int(document.id))
            yield int(document.id)


def to_frontier(data: Path) -> Callable[[range], None]:
    frontier = frontier_of(data)

    def write(numbers: range) -> None:
        frontier.begin_visit(
            SITE, [PageAddress(f"http://board.example/{n}/{text(n)}", "item") for n in numbers]
        )

    return write


def read_frontier(data: Path) -> Iterator[int]:
    cipher = FrontierCipher(Context(data).keys.read(KEY))
    with closing(frontier_of(data)) as frontier:
        for name, sealed in frontier.connection.execute("select name, sealed from pages"):
            number, _, content = (
                cipher.open(SITE, name, sealed)
                .url.removeprefix("http://board.example/")
                .partition("/")
            )
            assert content == text(int(number))
            yield int(number)


PARTS = {
    "bus": Part(f"bus/{TOPIC}.sqlite", to_bus, read_bus),
    "store": Part("incidents.sqlite", to_store, read_store),
    "frontier": Part("frontier.sqlite", to_frontier, read_frontier),
}


def main(name: str, data: Path, size: int) -> None:
    """Write to a part until somebody ends this process; a line is the number of documents that
    are durable.
    """
    part, written = PARTS[name], 0
    write = part.write(data)
    while True:
        size_of_step = 1 if (data / part.file).stat().st_size > size else AT_FIRST
        write(range(written, written + size_of_step))
        written += size_of_step
        sys.stdout.write(f"{written}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
