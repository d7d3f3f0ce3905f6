"""`make bench`: what each hop costs, as a ratio to the bare library doing the same in the same run.

`ratio`, `reach`, `hostile`, `machine`, `month`, `exposure`, `memory`, `run`, `source` and `corpora`
(`CORPORA=FOLDER`, data of other projects) can fail: where a class of inputs costs more than it may,
or a target is missed, the exit status is 1.

CPU time of this process for what computes, wall time for what waits for a disk or a server; the
best of three rounds each. `ONLY="match crawl"` measures some parts. What needs a server that cannot
be had is named and left out.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from deploy.local.kafka import kafka
from harness.bench import (
    chats,
    crawl,
    desk,
    folding,
    healthy,
    hostile,
    machine,
    matching,
    memory,
    missed,
    month,
    notify,
    pictures,
    ratio,
    reach,
    recall,
    scale,
    source,
    sustained,
    watchlist,
)
from harness.bench.desk import exposure
from harness.bench.desk import server as desk_server
from harness.bench.recall import corpora
from harness.bench.store import store_rows
from harness.bench.table import head, row
from ullage import setup
from ullage.errors import UnavailableError
from ullage.security.keys import make_tenant
from ullage.settings import Context


def scale_on_kafka(folder: Path) -> None:
    """Measure match on a broker of its own."""
    with kafka(folder / "broker") as url:
        scale.match_processes(folder, url)


def main() -> int:
    """Print the table; 1 where something that must hold did not."""
    selected = os.environ.get("ONLY", "corpora" if os.environ.get("CORPORA") else "").split()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        context = Context(folder / "data")
        list(setup.initialise(context))
        make_tenant(context.keys, "bench")
        parts: dict[str, Callable[[], list[str] | None]] = {
            "watchlist": lambda: watchlist.watchlist(folder, context),
            "match": lambda: matching.matching(folder, context),
            "ratio": lambda: ratio.ratio(folder),
            "hostile": lambda: hostile.hostile(folder),
            "recall": lambda: recall.recall(folder),
            "machine": lambda: machine.machine(folder),
            "pictures": pictures.pictures,
            "corpora": lambda: corpora.corpora(folder),
            "month": lambda: month.month(folder, context),
            "crawl": crawl.crawl,
            "missed": lambda: missed.print_missed(folder),
            "memory": memory.memory,
            "healthy": healthy.healthy,
            "run": lambda: sustained.measure_sustained(folder),
            "reach": lambda: reach.reach(folder),
            "source": source.source,
            "chats": lambda: chats.chats(folder),
            "scale": lambda: scale_on_kafka(folder),
            "store": lambda: store_rows(row, folder),
            "desk": desk.measure_embedded,
            "desk-elasticsearch": lambda: desk_server.measure_distributed(folder),
            "folding": folding.measure_embedded,
            "exposure": lambda: exposure.exposure(folder, context),
            "notify": lambda: notify.publish_to_notification(folder / "notify"),
        }
        head()
        failures = list[str]()
        for part, measure in parts.items():
            if selected and part not in selected:
                continue
            try:
                failures += measure() or []
            except UnavailableError as error:
                print(f"{part}: not measured: {error}")
    if failures:
        print(f"missed by {len(failures)}: {', '.join(failures)}")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
