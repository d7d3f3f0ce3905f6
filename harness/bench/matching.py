"""The whole of match against one `re` pass over the same text. CPU time of this process."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from deploy.demo.drive import write_customers
from deploy.demo.people import people
from harness.bench.table import best, row
from matcher.cli.loading import build_matcher
from matcher.match.findings import find_all
from matcher.watchlist import installation
from matcher.watchlist.build import Builder
from matcher.watchlist.source import Source
from ullage.records import Capture
from ullage.settings import Context

PLAIN = re.compile(r"1[3-9]\d{9}|\d{17}[\dX]|\d{16,19}|[\w.+-]+@[\w.-]+")


def matching(folder: Path, context: Context) -> None:
    """Measure match as a whole on a dump and on prose, beside one `re` pass over the same text."""
    crowd = list(people(20_000, 5))
    write_customers(folder / "customers.csv", crowd[:2000])
    Builder(context.keys, "bench", 1).build(
        Source(folder / "customers.csv", {}), folder / "b.watchlist", context.clock.now()
    )
    installation.install(
        context.data,
        context.keys,
        "bench",
        folder / "b.watchlist",
        context.clock.now(),
        shrink=True,
    )
    matcher = build_matcher(context)
    dump = "\n".join(f"{p.name}----{p.phone}----{p.resident_id}----{p.card}" for p in crowd)
    prose = (
        "今天天气很好，去公园散步。 The quick brown fox jumps over the lazy dog. Order 20261124"
        " shipped.\n" * 12_000
    )
    for name, text in (("match, dump", dump), ("match, prose", prose)):
        body = text.encode()
        capture = Capture(
            id="b", site="b", post_id="b", url="", fetched_at=context.clock.now(), body=body
        )
        ours = best(partial(find_all, matcher, [capture], context.clock.now()))
        bare = best(partial(_bare, text))
        size = len(body) / 1e6
        row(
            f"{name}, MB/s of one core",
            f"{size / ours:.1f}",
            f"re alone {size / bare:.1f}",
            bare / ours,
        )


def _bare(text: str) -> int:
    return sum(1 for _ in PLAIN.finditer(text))
