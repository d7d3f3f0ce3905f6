"""One record in a hundred is poison: each becomes a sealed dead letter, all others are handled, and
no process dies.

Poison is what anybody who may write to a topic can put there, and what a collector with a key of
ours can seal: no record, a record of another kind, one that lacks a field, that nests without end,
that holds NUL or half a character.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from crawlers.publishing.outbox import CaptureOutbox
from deploy.demo.people import Person, people
from tests.factories import capture, finding, sign_finding_record
from tests.flow.daemon import Daemon
from ullage.bus import CAPTURES, FINDINGS, Outgoing
from ullage.records import CAPTURE_SCHEMA
from ullage.runtime.dead_letters import MAX_REPLAYS
from ullage.runtime.service import SUPERVISOR
from ullage.runtime.supervisor import command
from ullage.security import keys
from ullage.security.capture_seal import CaptureSealer
from ullage.settings import Context

DEEP = b"[" * 10_000 + b"]" * 10_000
CUSTOMERS = 20
LENGTHS = [
    pytest.param(500, marks=pytest.mark.flow),
    pytest.param(10_000, marks=pytest.mark.faults),
]
"""Records on each topic: a short form for every run, the whole for `make test-faults`."""


def list_bad_json(text: bytes) -> list[bytes]:
    """List what might replace the JSON `text` of a record, none of which is valid."""
    fields = json.loads(text)
    first = next(iter(fields))
    return [
        b"",
        b"{",
        b"[]",
        DEEP,
        b'{"%s":%s}' % (first.encode(), DEEP),
        text[:-1] + b"\0}",
        json.dumps({**fields, first: "\ud800"}).encode(),
        json.dumps({name: value for name, value in fields.items() if name != "id"}).encode(),
        text + text,
    ]


def seal_poison(context: Context) -> list[Outgoing]:
    """List poisoned captures that a collector of ours has sealed, and ones of unknown schemas."""
    sealer, signer = keys.load_sealer(context.keys), keys.load_signer(context.keys, "ingest")
    whole = capture().encode()
    (length,) = struct.unpack_from(">I", whole)
    headers = {
        "site": "other",
        "id": "poison",
        "schema": str(CAPTURE_SCHEMA),
        "key_id": sealer.key_id,
    }
    values = [
        struct.pack(">I", len(text)) + text + b"body"
        for text in list_bad_json(whole[4 : 4 + length])
    ]
    values = [struct.pack(">I", 2**31) + whole[4:], *values[1:]]
    seals = list(map(CaptureSealer(sealer, signer).seal, values))
    unknown = [
        Outgoing("poison", seals[0], {**headers, "schema": schema})
        for schema in ("99", "x", "", "\ud800")
    ]
    return [
        *(Outgoing("poison", seal, headers) for seal in seals),
        *unknown,
        Outgoing("poison", seals[0][:-1], headers),
    ]


def sign_poison(context: Context) -> list[Outgoing]:
    """List poisoned findings that match has signed, and one that nobody has."""
    whole = finding().encode()
    unsigned = Outgoing("bank", whole, {"tenant": "bank", "id": "f", "schema": "99"})
    return [*(sign_finding_record(context.keys, value) for value in list_bad_json(whole)), unsigned]


def mix(kinds: list[Outgoing], among: list[Outgoing]) -> list[Outgoing]:
    """Return `among` with 1 % of `kinds` spread evenly over it, each of them at least once."""
    count = max(len(kinds), len(among) // 100)
    poison = [kinds[n % len(kinds)] for n in range(count)]
    every = len(among) // count
    return [
        record
        for n, poisoned in enumerate(poison)
        for record in (*among[n * every : (n + 1) * every], poisoned)
    ] + among[count * every :]


def put(context: Context, topic: str, records: list[Outgoing]) -> None:
    with (
        contextlib.closing(context.bus()) as bus,
        contextlib.closing(bus.publisher(topic)) as publisher,
    ):
        for first in range(0, len(records), 100):
            publisher.append(records[first : first + 100])


class Rig:
    """A data folder with customers, each of whom one of many posts gives away."""

    def __init__(self, folder: Path) -> None:
        self.data, self.customers = folder / "data", list(people(CUSTOMERS, 13))
        self.daemon = Daemon.create_for_bank(self.data, folder, self.customers)
        self.context = Context(self.data)

    def posts(self, count: int) -> list[Outgoing]:
        """Return `count` sealed posts, of which one for each customer gives that one away."""
        every = count // CUSTOMERS
        bodies = [
            text_of(self.customers[n // every]) if n % every == 0 else f"nobody is in number {n}"
            for n in range(count)
        ]
        posts = [
            capture(id=f"c{n}", site="other", post_id=str(n), url="", title="", body=body.encode())
            for n, body in enumerate(bodies)
        ]
        with (
            contextlib.closing(self.context.bus()) as bus,
            contextlib.closing(bus.publisher(CAPTURES)) as publisher,
        ):
            return CaptureOutbox(
                publisher,
                keys.load_sealer(self.context.keys),
                keys.load_signer(self.context.keys, "ingest"),
            ).seal(posts)

    def work(self) -> None:
        """Let match and alert process everything; neither may die of it."""
        environment = {**os.environ, SUPERVISOR: str(os.getpid())}
        for role in ("match", "alert"):
            process = subprocess.run(
                command(self.data, role, "--once"),
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert process.returncode == 0, process.stderr[-2000:]
            assert "Traceback" not in process.stderr

    def letters(self) -> Counter[tuple[str, int]]:
        """Count the dead letters of each stage, by how often they came back."""
        letters = [
            json.loads(line) for line in self.daemon.ask("dead-letters", "--json").splitlines()
        ]
        return Counter((letter["stage"], letter["replays"]) for letter in letters)


def text_of(customer: Person) -> str:
    return f"{customer.name},{customer.phone},{customer.resident_id}"


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("count", LENGTHS)
def test_each_poison_record_is_a_dead_letter_and_the_others_are_handled(
    tmp_path: Path, count: int
) -> None:
    rig = Rig(tmp_path)
    posts = rig.posts(count)
    captures, findings = mix(seal_poison(rig.context), posts), sign_poison(rig.context)
    put(rig.context, CAPTURES, captures)
    put(rig.context, FINDINGS, findings)
    poison = {"match": len(captures) - count, "alert": len(findings)}
    for replays in range(MAX_REPLAYS + 1):
        rig.work()
        assert rig.letters() == {(stage, replays): number for stage, number in poison.items()}
        answer = rig.daemon.ask("dead-letters", "--replay")
        assert answer.startswith(f"{sum(poison.values()) if replays < MAX_REPLAYS else 0} replayed")
    exposed = rig.daemon.exposures()
    assert exposed == dict.fromkeys((customer.reference for customer in rig.customers), 1)
