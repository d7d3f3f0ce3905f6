"""Whether crawl's memory stays where it is over many pages: what its process holds after 10, 50 and
100 % of them.

One site of `URLS` pastes (200,000; another number in the environment), behind lists of 500 that
lead from one to the next, read without pauses from a real server on loopback: fetched, sealed,
durable on the bus, noted in the frontier.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
from pathlib import Path

from prometheus_client import CollectorRegistry

from harness.bench import crawl
from harness.bench.crawl import Server, run_act, serving
from harness.bench.table import row
from ullage import setup
from ullage.settings import Context

URLS = int(os.environ.get("URLS", "200000"))
ON_A_LIST = 500
SHARES = (10, 50, 100)
MOST = 1.1
"""Times what it holds after half of them that it may hold after all."""
MIB = 1 << 20


class LinkedLists(Server):
    """Lists, each of which leads to the next, and pastes."""

    pastes = URLS

    def _body(self, path: str) -> tuple[str, str]:
        if not path.startswith("/list"):
            return "text/plain", self.body_of_paste(path)
        number = int(path.removeprefix("/list") or 0)
        first, last = number * ON_A_LIST, min(self.pastes, (number + 1) * ON_A_LIST)
        links = [f'<a href="/paste{paste:06}">{paste}</a>\n' for paste in range(first, last)]
        return "text/html", "".join(links) + (
            f'<a class="next" href="/list{number + 1}">older</a>' if last < self.pastes else ""
        )

    def body_of_paste(self, path: str) -> str:
        """Return the body that all pastes have."""
        return crawl.TEXT[:1000]

    def answer(self, path: str) -> bytes:
        """Return a list or a paste."""
        kind, body = self._body(path)
        return crawl.build_response(kind, body)


def ours(url: str) -> None:
    """Crawl all of it once; prints what the process holds at each share, in bytes."""
    from crawlers.fetching.scrapy_setup import run_on_reactor, silence_libraries
    from crawlers.metrics import CrawlMetrics
    from crawlers.scheduling.scheduler import Scheduler

    class Sampled(CrawlMetrics):
        """Looks at the process when a share of the pages is done."""

        count, thresholds, sizes = 0, [URLS * share // 100 for share in SHARES], list[int]()

        def count_page(self, site: str, outcome: str) -> None:
            super().count_page(site, outcome)
            self.count += 1
            if self.thresholds and self.count >= self.thresholds[0]:
                self.thresholds.pop(0)
                self.sizes.append(resident())

    with tempfile.TemporaryDirectory() as name:
        context = Context(Path(name))
        list(setup.initialise(context))
        text = (
            crawl.SITE.format(url=url, side_by_side=crawl.SIDE_BY_SIDE)
            + '[options]\nnext = "a.next"\n'
        )
        (context.data / "sites.d" / "bench.toml").write_text(text)
        silence_libraries()
        metrics = Sampled(CollectorRegistry(), context.clock)
        scheduler = Scheduler(context, ["bench"], metrics)
        run_on_reactor(lambda stopped: scheduler.run(stopped, once=True), threading.Event())
        if scheduler.unread or metrics.thresholds:
            raise SystemExit("not all was read")
        print(*metrics.sizes)


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def memory() -> list[str]:
    """Return a line of the table, naming what was missed."""
    with serving("harness.bench.memory") as url:
        sizes = run_act("harness.bench.memory", "ours", url)
    figures = " ".join(f"{size / MIB:.0f}" for size in sizes)
    row(
        f"crawl, MiB after {', '.join(map(str, SHARES))} % of {URLS:,}",
        figures,
        f"grows {sizes[-1] / sizes[1]:.2f}",
    )
    return (
        []
        if sizes[-1] <= MOST * sizes[1]
        else ["crawl's memory grows with the pages that it has read"]
    )


if __name__ == "__main__":
    act, *rest = sys.argv[1:]
    asyncio.run(crawl.serve(LinkedLists)) if act == "serve" else ours(*rest)
