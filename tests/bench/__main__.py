"""`make bench`: what each hop costs, as a ratio to the bare library doing the same in the same run. Never a pass or a fail.

CPU time of this process for what computes, wall time for what waits for the disk; the best of three rounds each.
"""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC

from deploy.demo.people import people
from matcher.watchlist import file
from matcher.watchlist.build import Builder
from matcher.watchlist.source import Source
from ullage import setup
from ullage.bus import CAPTURES, Outgoing
from ullage.keys import make_tenant, verify_key
from ullage.records import Capture
from ullage.settings import Context
from ullage.tags import Tagger

ROUNDS = 3
TAGS = 50_000
LIST = 1_000_000
PLAIN = re.compile(r"1[3-9]\d{9}|\d{17}[\dX]|\d{16,19}|[\w.+-]+@[\w.-]+")


def best(act: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of the fastest of three rounds."""
    times = []
    for _ in range(ROUNDS):
        start = clock()
        act()
        times.append(clock() - start)
    return min(times)


def row(what: str, ours: str, bare: str, ratio: float) -> None:
    """One line of the table."""
    print(f"{what:<34} {ours:>16} {bare:>22} {ratio:>8.2f}")


def tags() -> None:
    """Batched tags against one `CMAC` object a value."""
    key, values = os.urandom(32), [f"154{i:08d}".encode() for i in range(TAGS)]

    def one_by_one() -> None:
        for value in values:
            mac = CMAC(algorithms.AES256(key))
            mac.update(value)
            mac.finalize()

    ours, bare = best(lambda: Tagger(key).tag(values)), best(one_by_one)
    row("tags, ns each", f"{ours / TAGS * 1e9:.0f}", f"CMAC {bare / TAGS * 1e9:.0f}", bare / ours)


def look_ups(folder: Path, context: Context) -> None:
    """Look-ups in a list of a million random tags against a Python set."""
    rng = np.random.default_rng(1)
    raw = rng.integers(0, 256, (LIST, 16), np.uint8)
    high, low = file.split(raw)
    order = np.lexsort((low, high))
    arrays = {
        "high": high[order], "low": low[order], "subject": np.arange(LIST, dtype=np.uint32),
        "kind": np.zeros(LIST, np.uint8), "handle": rng.integers(0, 256, (LIST, 16), np.uint8),
    }  # fmt: skip
    head = {"version": 1, "algorithm": file.ALGORITHM, "tenant": "bench", "epoch": 1, "created": "", "expires": "",
            "kinds": (("phone", "plain"),), "key_check": ""}  # fmt: skip
    from ullage.keys import signing_key

    file.write(folder / "bench.watchlist", head, arrays, signing_key(context.keys, "bench"))
    opened = file.Watchlist(folder / "bench.watchlist", verify_key(context.keys, "bench"))
    asked = np.concatenate([raw[:1000], rng.integers(0, 256, (199_000, 16), np.uint8)])
    rows, plain = [r.tobytes() for r in asked], {r.tobytes() for r in raw}
    ours, bare = best(lambda: opened.look_up(asked)), best(lambda: [r in plain for r in rows])
    row("look-up in 1 M entries, ns", f"{ours / len(asked) * 1e9:.0f}", f"set {bare / len(asked) * 1e9:.0f}", bare / ours)


def matching(folder: Path, context: Context) -> None:
    """The whole of match on a dump and on prose, against one `re` pass over the same text."""
    from deploy.demo.drive import write_customers
    from matcher.stage import build_matcher
    from matcher.watchlist import installed

    crowd = list(people(20_000, 5))
    write_customers(folder / "customers.csv", crowd[:2000])
    Builder(context.keys, "bench", 1).build(Source(folder / "customers.csv", {}), folder / "b.watchlist", context.clock.now())
    installed.install(context.data, context.keys, "bench", folder / "b.watchlist", context.clock.now())
    matcher = build_matcher(context)
    dump = "\n".join(f"{p.name}----{p.phone}----{p.resident_id}----{p.card}" for p in crowd)
    prose = "今天天气很好，去公园散步。 The quick brown fox jumps over the lazy dog. Order 20261124 shipped.\n" * 12_000
    for name, text in (("match, dump", dump), ("match, prose", prose)):
        body = text.encode()
        capture = Capture(id="b", site="b", post_id="b", url="", fetched_at=context.clock.now(), body=body)
        ours = best(lambda c=capture: matcher.findings([c], context.clock.now()))
        bare = best(lambda t=text: sum(1 for _ in PLAIN.finditer(t)))
        size = len(body) / 1e6
        row(f"{name}, MB/s of one core", f"{size / ours:.1f}", f"re alone {size / bare:.1f}", bare / ours)


def bus(folder: Path, context: Context) -> None:
    """Appends of 4 KiB in batches of 100, durable, against the standard library's SQLite doing the same."""
    value, count = os.urandom(4096), 2000
    publisher = context.bus().publisher(CAPTURES)
    batch = [Outgoing("k", value, {"site": "s"})] * 100
    plain = sqlite3.connect(folder / "plain.sqlite", isolation_level=None)
    plain.execute("pragma journal_mode=wal")
    plain.execute("pragma synchronous=full")
    plain.execute("create table r (o integer primary key, t real, k text, h text, v blob)")

    def bare() -> None:
        for _ in range(count // 100):
            plain.execute("begin")
            plain.executemany("insert into r (t, k, h, v) values (0, 'k', '{}', ?)", [(value,)] * 100)
            plain.execute("commit")

    ours, other = best(lambda: [publisher.append(batch) for _ in range(count // 100)], time.monotonic), best(bare, time.monotonic)
    row("bus append 4 KiB, records/s", f"{count / ours:,.0f}", f"sqlite3 {count / other:,.0f}", other / ours)
    subscription = context.bus().subscribe(CAPTURES, "bench")

    def read() -> None:
        subscription._next = 1
        while subscription.poll(100, 0.0):
            pass

    read_ours = best(read, time.monotonic)
    read_bare = best(lambda: plain.execute("select * from r").fetchall(), time.monotonic)
    total = count * ROUNDS
    row("bus read 4 KiB, records/s", f"{total / read_ours:,.0f}", f"sqlite3 {total / read_bare:,.0f}", read_bare / read_ours)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        context = Context(folder / "data")
        list(setup.initialise(context))
        make_tenant(context.keys, "bench")
        print(f"{'':<34} {'ours':>16} {'bare':>22} {'ratio':>8}   (above 1: faster than the bare library)")
        tags()
        look_ups(folder, context)
        matching(folder, context)
        bus(folder, context)


if __name__ == "__main__":
    main()
