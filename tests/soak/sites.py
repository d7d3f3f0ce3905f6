"""Paste sites that never stop: a process that listens on some ports of loopback, each a site with new pastes all the time.

How many there are is a matter of the time that has passed, so whoever crawls too slowly falls behind. Of all answers one in a
hundred is a fault, the same on every run. A first line on standard input begins the posting, a further one ends it; after each,
what was posted and read is printed as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from deploy.demo.people import Person, people

SITES = 10
CUSTOMERS = 2000
LISTED = 1000
"""The newest pastes of a site are on its list."""
PLANTED_EVERY = 10
"""One paste in so many gives two customers away."""
FAULTS, FAULTY = ("error", "cut", "closed", "late"), 0.01
LATE_SECONDS = 3.0
WORDS = (
    "async await build branch cache class column commit config counter cursor debug deploy device driver editor event field "
    "filter folder frame graph handle header index kernel label layer layout ledger lesson letter library license lock loop "
    "marker matrix member merge meter method module monitor network number object option order packet panel parser patch path "
    "pattern pipe pixel player plugin pointer policy port process profile project query queue reader record region release"
).split()


def customers() -> list[Person]:
    """Whom the bank has, the same on every run."""
    return list(people(CUSTOMERS, 18))


def given_away(site: int, number: int) -> tuple[int, int] | None:
    """Which two customers paste `number` of a site gives away; None for most."""
    if number % PLANTED_EVERY:
        return None
    first = (number // PLANTED_EVERY * SITES + site) % CUSTOMERS
    return first, (first * 7 + 1) % CUSTOMERS


def planted(posted: Sequence[int]) -> tuple[int, Counter[int]]:
    """Of so many pastes a site: how many give customers away, and how many each customer."""
    pairs = [pair for site, count in enumerate(posted) for number in range(count) if (pair := given_away(site, number))]
    return len(pairs), Counter(person for pair in pairs for person in set(pair))


class Sites:
    """What the pastes say, and what has been answered."""

    def __init__(self, rate: float) -> None:
        self._rate = rate / SITES
        self._began: float | None = None
        self._people = customers()
        self._asked: Counter[tuple[int, str]] = Counter()
        self.posted, self.faults, self.whole = [0] * SITES, Counter[str](), set[tuple[int, str]]()

    def post(self, now: float) -> None:
        """Put up what is there by now."""
        if self._began is not None:
            self.posted = [int((now - self._began) * self._rate)] * SITES

    def turn(self, now: float) -> None:
        """Begin to post, or end it."""
        self.post(now)
        self._began = now if self._began is None else None

    def told(self) -> dict[str, Any]:
        """What was posted and asked for."""
        return {"posted": self.posted, "read": len(self.whole), "asked": self._asked.total(), "faults": self.faults}

    def answer(self, site: int, path: str) -> tuple[bytes, str]:
        """What a site says to `path`, and which fault befalls it, "" for none."""
        self._asked[site, path] += 1
        chance = random.Random(f"{site} {path} {self._asked[site, path]}")
        fault = chance.choice(FAULTS) if chance.random() < FAULTY else ""
        if path == "/archive":
            last = self.posted[site]
            numbers = range(last - 1, max(-1, last - 1 - LISTED), -1)
            return whole("text/html", "".join(f'<a href="/paste{number:07}">paste</a>\n' for number in numbers)), fault
        kind, _, name = path.rpartition("/")
        number = int(name[5:]) if kind == "/raw" and name[5:].isdecimal() else -1
        if not 0 <= number < self.posted[site]:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ""
        if not fault:
            self.whole.add((site, path))
        return whole("text/plain", self.text(site, number)), fault

    def text(self, site: int, number: int) -> str:
        """About 1.2 kB; no two are alike."""
        chance = random.Random(f"{site} {number}")
        lines = [" ".join(chance.choices(WORDS, k=12)) + f" {chance.randrange(10**7)}" for _ in range(13)]
        if pair := given_away(site, number):
            one, two = (self._people[which] for which in pair)
            lines[6:6] = [f"{one.name},{one.phone},{one.resident_id}", f"{two.name},{two.phone},{two.resident_id}"]
        return f"paste {number} of {site}\n" + "\n".join(lines) + "\n"


def whole(kind: str, text: str) -> bytes:
    """An answer that is in order."""
    body = text.encode()
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Connection(asyncio.Protocol):
    """Answers one after the other."""

    def __init__(self, sites: Sites, site: int, faults: Counter[str]) -> None:
        self._sites, self._site, self._faults, self._asked = sites, site, faults, b""

    def connection_made(self, transport: Any) -> None:
        """A client is here."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._asked += data
        while b"\r\n\r\n" in self._asked:
            head, _, self._asked = self._asked.partition(b"\r\n\r\n")
            self._sites.post(asyncio.get_running_loop().time())
            answer, fault = self._sites.answer(self._site, head.split(b" ", 2)[1].decode("ascii", "replace"))
            if fault:
                self._faults[fault] += 1
            if not fault:
                self._transport.write(answer)
            elif fault == "late":
                asyncio.get_running_loop().call_later(LATE_SECONDS, self._transport.write, answer)
            elif fault == "error":
                self._transport.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nerror")
            else:
                self._transport.write(answer[: len(answer) // 2] if fault == "cut" else b"")
                self._transport.close()


async def serve(rate: float) -> None:
    """Print the ports, and serve until standard input ends."""
    loop = asyncio.get_running_loop()
    sites = Sites(rate)
    servers = [
        await loop.create_server(lambda n=number: Connection(sites, n, sites.faults), "127.0.0.1", 0) for number in range(SITES)
    ]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        sites.turn(loop.time())
        print(json.dumps(sites.told()), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
