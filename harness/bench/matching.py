"""Tags and the whole of match against the bare library doing the same. CPU time of this process."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC

from deploy.demo.drive import write_customers
from deploy.demo.people import people
from harness.bench.table import best, row
from matcher.cli.loading import build_matcher
from matcher.match.findings import findings
from matcher.watchlist import installation
from matcher.watchlist.build import Builder
from matcher.watchlist.source import Source
from ullage.records import Capture
from ullage.security.tags import Tagger
from ullage.settings import Context

TAGS = 50_000
PLAIN = re.compile(r"1[3-9]\d{9}|\d{17}[\dX]|\d{16,19}|[\w.+-]+@[\w.-]+")


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


def matching(folder: Path, context: Context) -> None:
    """The whole of match on a dump and on prose, against one `re` pass over the same text."""
    crowd = list(people(20_000, 5))
    write_customers(folder / "customers.csv", crowd[:2000])
    Builder(context.keys, "bench", 1).build(Source(folder / "customers.csv", {}), folder / "b.watchlist", context.clock.now())
    installation.install(context.data, context.keys, "bench", folder / "b.watchlist", context.clock.now(), shrink=True)
    matcher = build_matcher(context)
    dump = "\n".join(f"{p.name}----{p.phone}----{p.resident_id}----{p.card}" for p in crowd)
    prose = "今天天气很好，去公园散步。 The quick brown fox jumps over the lazy dog. Order 20261124 shipped.\n" * 12_000
    for name, text in (("match, dump", dump), ("match, prose", prose)):
        body = text.encode()
        capture = Capture(id="b", site="b", post_id="b", url="", fetched_at=context.clock.now(), body=body)
        ours = best(partial(findings, matcher, [capture], context.clock.now()))
        bare = best(partial(_bare, text))
        size = len(body) / 1e6
        row(f"{name}, MB/s of one core", f"{size / ours:.1f}", f"re alone {size / bare:.1f}", bare / ours)


def _bare(text: str) -> int:
    return sum(1 for _ in PLAIN.finditer(text))
