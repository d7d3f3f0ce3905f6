"""Compare how fast everyday files are read with ripgrep that finds five shapes alone, in
alternating rounds on one core.

Ours is the whole of match up to findings, in this process; ripgrep's is the CPU time of its
process. A ratio that is a quarter worse than RECORDED fails: `make bench ONLY=ratio`.
ULLAGE_BENCH_RATIO_MB is the size of a file.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from harness.bench import engines
from harness.bench.corpus.everyday import KINDS, everyday
from harness.bench.match_inputs import batches, customers, ours
from harness.bench.table import row
from matcher.cli.loading import build_matcher, keep_freed_memory
from ullage.settings import Context

SIZE = int(os.environ.get("ULLAGE_BENCH_RATIO_MB", "4")) * 2**20
ENTRIES, ROUNDS = 650_000, 5
RECORDED = {
    "dump": 0.115,
    "5 % customers": 0.090,
    "all customers": 0.014,
    "prose": 0.100,
    "log": 0.066,
    "source": 0.062,
    "JSON": 0.050,
}
"""By kind the speed of ours as a share of ripgrep's, as it was measured when this was last set."""
LEAST = 0.75
"""Of what is recorded."""


def ratio(folder: Path) -> list[str]:
    """Measure each kind of file; return those that miss. UnavailableError without ripgrep."""
    context = customers(Context(folder / "ratio"), ENTRIES)
    keep_freed_memory()
    matcher, missed = build_matcher(context), list[str]()
    for kind in KINDS:
        body = everyday(kind, SIZE)
        path = folder / "everyday.txt"
        path.write_bytes(body)
        inputs, search = batches([body], context), engines.ripgrep(path)
        own_seconds, bare = list[float](), list[float]()
        with engines.one_core():
            for _ in range(ROUNDS):
                start = time.process_time()
                ours(matcher, inputs, context)
                own_seconds.append(time.process_time() - start)
                start = engines.children_seconds()
                search()
                bare.append(engines.children_seconds() - start)
        share, megabytes = min(bare) / min(own_seconds), len(body) / 1e6
        row(
            f"{kind}, MB/s of one core",
            f"{megabytes / min(own_seconds):.1f}",
            f"rg {megabytes / min(bare):.1f}",
            share,
        )
        if share < LEAST * RECORDED[kind]:
            missed.append(f"{kind} ({share:.3f} of ripgrep's speed, {RECORDED[kind]} recorded)")
        path.unlink()
    return missed
