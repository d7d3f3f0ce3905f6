"""How many posts a second the services take from two sites to their findings, for ten minutes on
end, and what memory they hold.

Two paste sites on loopback have more posts of a kilobyte than can be read in that time; one in
fifty is of three customers. Each site has a crawl of its own; match, alert and search run beside
them, all with their defaults, but that the sites are read without pauses. The rate is counted from
the first post that match was done with; the memory, of all processes, after a tenth, a half and the
whole of the time. `ULLAGE_BENCH_SECONDS` makes it shorter.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from deploy.local.server import free_ports
from harness.bench import crawl
from harness.bench.corpus.customer_list import enrol_people
from harness.bench.corpus.people import Person
from harness.bench.crawl import serving
from harness.bench.memory import LinkedLists
from harness.bench.table import row
from ullage import setup
from ullage.errors import UnavailableError
from ullage.runtime.supervisor import command
from ullage.settings import Context

SECONDS = float(os.environ.get("ULLAGE_BENCH_SECONDS", "600"))
CUSTOMERS, OF_CUSTOMERS, PEOPLE, POST = 10_000, 50, 3, 1000
SHARES = (0.1, 0.5, 1.0)
START_SECONDS = 120.0
LEAST, MOST = 500, 1.1
"""Posts a second, and times what it holds after half of the time that it may hold after all."""
MIB = 1 << 20
ROLES = ("crawl", "match", "alert", "search")
SITES = {"first": "list", "second": "list1000"}
"""The first list of each site; the second one begins in the middle of the posts."""
CONFIG = """\
[metrics_ports]
crawl = 0
match = {match}
alert = {alert}

[crawl]
concurrency = {side_by_side}

[search]
port = {search}

[tenants.bench]
"""


class Posts(LinkedLists):
    """Lists that lead to each other, and posts no two of which are the same; more of them than
    are read.
    """

    pastes = 1_000_000

    def body_of_paste(self, path: str) -> str:
        """Return a kilobyte: one paste in OF_CUSTOMERS shows customers, the others strangers."""
        number = int("".join(filter(str.isdigit, path)))
        is_of_customers = number % OF_CUSTOMERS == 0
        people = (
            Person((number * PEOPLE + place) % CUSTOMERS, customer=is_of_customers)
            for place in range(PEOPLE)
        )
        lines = "".join(
            f"{person.name}----{person.phone}----{person.resident_id}\n" for person in people
        )
        return lines + f"made-up line {number:09} of a post ...\n" * (
            (POST - len(lines.encode())) // 38
        )


def measure_sustained(folder: Path) -> list[str]:
    """Return lines of the table, naming what was missed."""
    with serving("harness.bench.sustained") as url:
        context = _prepare(folder / "sustained", url)
        with _services(context, folder / "sustained.log") as services:
            rate, sizes, used = _watch(services, context.settings.metrics_ports["match"])
    figures = " ".join(f"{size / MIB:.0f}" for size in sizes)
    row(f"run, posts/s for {SECONDS:.0f} s", f"{rate:,.0f}", f"goal {LEAST}", rate / LEAST)
    row(
        f"run, MiB after {', '.join(f'{share:.0%}' for share in SHARES)} of it",
        figures,
        f"grows {sizes[-1] / sizes[1]:.2f}",
    )
    row(
        "  CPU ms a post",
        ", ".join(f"{role} {1000 * seconds:.2f}" for role, seconds in used.items()),
    )
    missed = [f"run takes {rate:.0f} posts a second, goal {LEAST}"] if rate < LEAST else []
    return missed + (["run's memory grows"] if sizes[-1] > MOST * sizes[1] else [])


@contextmanager
def _services(context: Context, path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run the services, with a crawl for each site, and write what they print to a file."""
    commands = [["crawl", site] for site in SITES] + [[role] for role in ROLES[1:]]
    environment = {**os.environ, "ULLAGE_LOG_LEVEL": "error"}
    with path.open("w", encoding="utf-8") as log, ExitStack() as stack:
        services = list[subprocess.Popen[bytes]]()
        for words in commands:
            services.append(
                stack.enter_context(
                    subprocess.Popen(
                        command(context.data, *words),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        env=environment,
                    )
                )
            )
            stack.callback(services[-1].terminate)
        yield services


def _prepare(data: Path, url: str) -> Context:
    """Prepare a data folder with the list and the sites."""
    ports = dict(zip(("match", "alert", "search"), free_ports(3), strict=True))
    data.mkdir(parents=True)
    (data / "ullage.toml").write_text(
        CONFIG.format(side_by_side=crawl.SIDE_BY_SIDE, **ports), encoding="utf-8"
    )
    context = Context(data)
    list(setup.initialise(context))
    enrol_people(context, "bench", map(Person, range(CUSTOMERS)))
    for site, start in SITES.items():
        text = crawl.SITE.format(url=url, side_by_side=crawl.SIDE_BY_SIDE).replace("list", start)
        (data / "sites.d" / f"{site}.toml").write_text(
            text + '[options]\nnext = "a.next"\n', encoding="utf-8"
        )
    return context


def _watch(
    services: list[subprocess.Popen[bytes]], port: int
) -> tuple[float, list[int], dict[str, float]]:
    """Return posts a second that match was done with, memory, and CPU seconds a post by role.

    The memory is the bytes that all processes held after each of SHARES.
    """
    pause, deadline = threading.Event(), time.monotonic() + START_SECONDS
    while not (before := _posts(port)):
        if any(service.poll() is not None for service in services) or time.monotonic() > deadline:
            raise UnavailableError(f"no post was read within {START_SECONDS:.0f} s of the start")
        pause.wait(0.2)
    began, sizes, used = time.monotonic(), list[int](), _cpu_by_role(services)
    for share in SHARES:
        pause.wait(max(0.0, began + share * SECONDS - time.monotonic()))
        sizes.append(sum(map(_memory_of, _processes(services))))
    posts, seconds = _posts(port) - before, time.monotonic() - began
    return (
        posts / seconds,
        sizes,
        {
            role: (total - used.get(role, 0.0)) / posts
            for role, total in _cpu_by_role(services).items()
        },
    )


def _posts(port: int) -> float:
    """Return how many posts match was done with; 0 as long as it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    except urllib.error.URLError:
        return 0.0
    samples = (
        sample for family in text_string_to_metric_families(text) for sample in family.samples
    )
    return sum(sample.value for sample in samples if sample.name == "ullage_match_captures_total")


def _processes(services: list[subprocess.Popen[bytes]]) -> Iterator[int]:
    """Return the services and all their descendants."""
    for service in services:
        yield from _family(service.pid)


def _family(pid: int) -> Iterator[int]:
    """Return a process and all its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _family(int(child))


def _cpu_by_role(services: list[subprocess.Popen[bytes]]) -> dict[str, float]:
    """Return the CPU seconds of the services by role; those of both crawls are added."""
    seconds = dict[str, float]()
    for pid in _processes(services):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        role = next((word for word in words if word in ROLES), "others")
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        seconds[role] = seconds.get(role, 0.0) + sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return seconds


def _memory_of(pid: int) -> int:
    """Return a process's memory in bytes, with shared pages counted in part (PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024


if __name__ == "__main__" and sys.argv[1] == "serve":
    asyncio.run(crawl.serve(Posts))
