"""Chats at scale: a million messages through a stub server, ten thousand through a real Synapse,
with kills and gaps of 150.

The collector is a process of its own and is killed with SIGKILL at random moments. Every message
has a number: whatever of them is not on the bus in the end, and was not told as a gap that could
not be filled, is lost unsaid, and that is missed. Through Synapse each message exposes another
customer, and match runs beside it: from the service's own time of a message to its finding on the
bus p95 is at most `LONGEST_P95` seconds. `ULLAGE_BENCH_MESSAGES="STUB SYNAPSE"` makes the load
smaller for a try.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from crawlers.collectors.channel_log import ChannelLedger
from deploy.demo.drive import Ullage, configuration, write_customers
from deploy.demo.people import people
from harness.bench.chat_server import GAP
from harness.bench.table import row
from harness.servers.chats import Matrix, ensure_synapse, synapse
from ullage.bus import CAPTURES, FINDINGS, Record
from ullage.records import Capture, Finding
from ullage.records.heartbeat import is_heartbeat
from ullage.runtime.service import SUPERVISOR
from ullage.runtime.supervisor import command
from ullage.security import keys
from ullage.security.capture_seal import CaptureOpener
from ullage.settings import Context

STUB, REAL = map(int, os.environ.get("ULLAGE_BENCH_MESSAGES", "1000000 10000").split())
KILLS, REAL_KILLS, SEED = 20, 5, 20_261_127
LONGEST_P95 = 5.0
STUCK_SECONDS = 180.0
WRITERS = 4
NUMBER = re.compile(r"第 (\d+) 条")
CHANNEL = """service = "matrix"
address = "{address}"
account = "reader"
access = "open"
legal_basis = "synthetic people, on this machine"
owner = "bench"
expires = 2099-01-01
"""
FREE_PORTS = {f"ULLAGE_METRICS_PORTS__{name}": "0" for name in ("MATRIX", "XMPP", "TELEGRAM")}


class Chain:
    """A data folder with one channel, its processes, and what came to the bus."""

    def __init__(self, data: Path, customers: int) -> None:
        self.data, self.ask = data, Ullage(data)
        data.mkdir(parents=True)
        (data / "ullage.toml").write_text(configuration("bench"), encoding="utf-8")
        self.ask("init")
        self.customers = list(people(customers, 17))
        write_customers(data / "customers.csv", self.customers)
        self.ask("watchlist", "load", str(data / "customers.csv"), "--tenant", "bench")
        self.context = Context(data)

    def channel(self, address: str, *secret: str) -> None:
        """Configure the one channel and the secret of its reader."""
        (self.data / "channels.d").mkdir()
        (self.data / "channels.d" / "room.toml").write_text(
            CHANNEL.format(address=address), encoding="utf-8"
        )
        folder = self.data / "keys" / "collect"
        folder.mkdir(mode=0o700)
        (folder / "reader").write_text("\n".join(secret) + "\n")
        (folder / "reader").chmod(0o600)

    @contextlib.contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a role, and kill it with SIGKILL at the end."""
        environment = {
            **os.environ,
            **FREE_PORTS,
            SUPERVISOR: str(os.getpid()),
            "ULLAGE_LOG_LEVEL": "error",
        }
        process = subprocess.Popen(
            command(self.data, *words), stdin=subprocess.DEVNULL, env=environment
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def seen(self) -> int:
        """Count the messages that the collector has noted."""
        with contextlib.closing(ChannelLedger.of(self.context, "matrix")) as ledger:
            return ledger.standing("room").seen

    def standing(self) -> dict[str, int]:
        """Return what the collector reports of the channel."""
        result = subprocess.run(
            command(self.data, "collect", "--json"), capture_output=True, check=False
        )
        row: dict[str, int] = json.loads(result.stdout)
        return row


@dataclass
class MessageReader:
    """The numbers of messages that came to the bus, read as match would."""

    chain: Chain
    numbers: set[int] = field(default_factory=set)
    twice: int = 0

    def __post_init__(self) -> None:
        store = self.chain.context.keys
        self._subscription = self.chain.context.bus().subscribe(CAPTURES, "bench")
        self._opener = CaptureOpener(keys.load_opener(store), keys.load_verifier(store, CAPTURES))

    def look(self) -> int:
        """Open some of what has come, so that a kill has its moment while more comes; returns
        how many there are, each once.
        """
        if records := self._subscription.poll(500, 0.2):
            for record in records:
                self._take(record)
            self._subscription.commit(records[-1])
        return len(self.numbers)

    def _take(self, record: Record) -> None:
        if is_heartbeat(record.headers):
            return
        schema, key = int(record.headers["schema"]), record.headers["key_id"]
        plain, _ = self._opener.open(record.value, key)
        match = NUMBER.search(Capture.decode(plain, schema).body.decode())
        assert match
        self.twice += int(match[1]) in self.numbers
        self.numbers.add(int(match[1]))


def memory(process: subprocess.Popen[bytes]) -> float:
    """MiB that a process holds now."""
    match = re.search(
        r"VmRSS:\s+(\d+) kB", (Path("/proc") / str(process.pid) / "status").read_text()
    )
    return int(match[1]) / 1024 if match else 0.0


def through(
    chain: Chain,
    came: MessageReader,
    total: int,
    kills: list[int],
    at: Callable[[int, float], None],
) -> None:
    """Collect until all has come and is noted, or nothing comes any more; at each of `kills`
    messages the collector is killed.
    """
    remaining, now, moved = sorted(kills), 0, time.monotonic()
    while time.monotonic() - moved < STUCK_SECONDS:
        with chain.running("collect", "matrix") as collector:
            while time.monotonic() - moved < STUCK_SECONDS:
                before, now = now, came.look()
                moved = time.monotonic() if now > before else moved
                if now >= total and chain.seen() >= total:
                    return
                at(now, memory(collector))
                if remaining and now >= remaining[0]:
                    remaining = [kill_time for kill_time in remaining if kill_time > now]
                    break


def to_lines(what: str, chain: Chain, came: MessageReader, total: int, seconds: float) -> list[str]:
    """Return lines of the table, naming what was missed."""
    status = chain.standing()
    lost = total - len(came.numbers)
    row(what, f"{total / seconds:,.0f}/s", f"{total:,} in {seconds:,.0f} s")
    row(
        "  lost unsaid · told as lost",
        f"{0 if status['gaps_lost'] else lost} · {status['gaps_lost']} gaps",
        f"{came.twice:,} twice",
    )
    row(f"  gaps of {GAP} · refetched", f"{status['gaps']} · {status['refetched']:,}")
    return [f"{what}: {lost} messages lost"] if lost else []


def replay(folder: Path) -> list[str]:
    """Measure a million messages, as quickly as the collector takes them."""
    chain, dice = Chain(folder / "stub", 10), random.Random(SEED)
    words = [sys.executable, "-m", "harness.bench.chat_server", str(STUB)]
    marks = dict[int, float]()

    def note(now: int, mebibytes: float) -> None:
        marks[min(9, now * 10 // STUB)] = mebibytes

    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            chain.channel(
                "#room:stub",
                f"http://127.0.0.1:{int(server.stdout.readline())}",
                "@reader:stub",
                "token",
            )
            reader, began = MessageReader(chain), time.monotonic()
            through(chain, reader, STUB, dice.sample(range(STUB // 2), KILLS), note)
            seconds = time.monotonic() - began
        finally:
            server.kill()
    missed = to_lines(f"stub of Matrix, {KILLS} kills, messages", chain, reader, STUB, seconds)
    row(
        "  collector's memory at 60 % · at the end",
        f"{marks.get(6, 0):.0f} MiB · {marks[9]:.0f} MiB",
    )
    return missed


def through_synapse(folder: Path) -> list[str]:
    """Ten thousand messages that are said as quickly as Synapse takes them, in a room that is
    read meanwhile; match beside it.
    """
    python = ensure_synapse(Path(__file__).parents[2] / ".demo" / "synapse-venv")
    chain, dice = Chain(folder / "synapse", REAL), random.Random(SEED)
    with synapse(python, folder / "server") as server, chain.running("match"):
        (_, token), (reader, secret) = server.user("seller"), server.user("reader")
        room = server.ask(
            "POST",
            "/_matrix/client/v3/createRoom",
            token,
            {"room_alias_name": "room", "preset": "public_chat"},
        )
        chain.channel("#room:localhost", server.url, reader, secret)
        came, began = MessageReader(chain), time.monotonic()
        with ThreadPoolExecutor(1) as hand:
            saying = hand.submit(_say, chain, server, room["room_id"], token)
            through(chain, came, REAL, dice.sample(range(REAL), REAL_KILLS), lambda *_: None)
            saying.result()
        seconds = time.monotonic() - began
        waits = _findings(chain, REAL)
    missed = to_lines(f"Synapse, {REAL_KILLS} kills, messages", chain, came, REAL, seconds)
    quantiles = {
        name: waits[min(len(waits) - 1, int(len(waits) * share))]
        for name, share in (("p50", 0.5), ("p95", 0.95))
    }
    figures = ", ".join(
        f"{name} {value:.1f}" for name, value in {**quantiles, "max": waits[-1]}.items()
    )
    row("  publish → finding, seconds", figures, f"{len(waits):,} findings")
    missed += [f"{REAL - len(waits)} findings never came"] if len(waits) < REAL else []
    return missed + (
        [f"publish → finding p95 above {LONGEST_P95} s"] if quantiles["p95"] > LONGEST_P95 else []
    )


def _say(chain: Chain, server: Matrix, room: str, token: str) -> None:
    path = f"/_matrix/client/v3/rooms/{urllib.parse.quote(room)}/send/m.room.message"

    def say(number: int) -> None:
        customer = chain.customers[number - 1]
        body = {"msgtype": "m.text", "body": f"第 {number} 条 {customer.name} {customer.phone}"}
        server.ask("PUT", f"{path}/{number}", token, body)

    with ThreadPoolExecutor(WRITERS) as hands:
        list(hands.map(say, range(1, REAL + 1)))


def _findings(chain: Chain, total: int) -> list[float]:
    """Seconds from each message's own time to its finding on the bus, in order; of one that came
    twice, to the first.
    """
    first, moved = dict[str, float](), time.monotonic()
    subscription = chain.context.bus().subscribe(FINDINGS, "bench")
    while len(first) < total and time.monotonic() - moved < STUCK_SECONDS:
        for record in (records := subscription.poll(500, 1.0)):
            moved = time.monotonic()
            if not is_heartbeat(record.headers):
                finding = Finding.decode(record.value, int(record.headers["schema"]))
                assert finding.capture.published_at
                first.setdefault(
                    finding.id, record.timestamp - finding.capture.published_at.timestamp()
                )
        if records:
            subscription.commit(records[-1])
    return sorted(first.values()) or [float("inf")]


def chats(folder: Path) -> list[str]:
    """Both; names what was missed."""
    return [*replay(folder), *through_synapse(folder)]
