"""Runs the soak: `python -m tests.soak MINUTES [PAGES_A_SECOND]`."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.flow.daemon import until
from tests.soak.running import Posting, Product, receiver
from tests.soak.sites import CUSTOMERS, planted
from tests.soak.slopes import LIMITS, Sample, slopes

RATE = 50.0
SAMPLES = 720
"""In a whole run, one in ten seconds of two hours; no more often than one a second."""
START_SECONDS, DRAIN_SECONDS = 900.0, 1200.0
BEHIND_SECONDS = 60.0
"""So far behind the sites crawl may be when the posting ends: else the run was of another rate than it says."""


def main(minutes: str = "120", rate: str = str(RATE)) -> int:
    """0 where nothing grew, died or was lost, else 1; prints what was measured and every fault."""
    with contextlib.ExitStack() as ends:
        folder, channel = ends.enter_context(tempfile.TemporaryDirectory(prefix="soak-")), ends.enter_context(receiver())
        posting = ends.enter_context(Posting(float(rate)))
        product = ends.enter_context(Product(Path(folder), posting.ports, channel))
        product.start()
        until(product.is_up, "all roles serve", START_SECONDS)
        posting.start()
        told = run(product, posting, float(minutes) * 60)
        faults = drained(product, told, float(rate))
        if (code := product.stop()) != 0:
            faults.append(f"ullage run ended with {code}")
        faults += oracle(product, told["posted"])
        faults += [f"{name} died and was started again" for name in product.started_again()]
        faults += [f"{count} times refused: {what}" for what, count in sorted(product.refused.items())]
        if "Traceback" in product.log.read_text(encoding="utf-8"):
            faults.append("a traceback is in the log")
        grew = show(product.samples)
    posted, wanted = sum(told["posted"]), float(rate) * float(minutes) * 60
    print(f"{posted:,} pages posted ({posted / max(wanted, 1):.0%} of the plan), {told['read']:,} read when the posting ended;")
    print(f"{told['asked']:,} requests, of which {sum(told['faults'].values()):,} met a fault: {told['faults']}")
    for line in (*faults, *grew):
        print(f"FAULT: {line}")
    return 1 if faults or grew else 0


def run(product: Product, posting: Posting, seconds: float) -> dict[str, Any]:
    """Post for `seconds` and sample meanwhile; returns what the sites tell at the end."""
    began = time.monotonic()
    pause = max(1.0, seconds / SAMPLES)
    while (passed := time.monotonic() - began) < seconds:
        product.look(passed)
        time.sleep(max(0.0, pause - (time.monotonic() - began - passed)))  # the time between two samples
    return posting.stop()


def drained(product: Product, told: Mapping[str, Any], rate: float) -> list[str]:
    """Wait until what was posted is stored, and say what was not read in time."""
    posts, _ = planted(told["posted"])
    behind = (sum(told["posted"]) - told["read"]) / rate
    faults = [f"crawl was {behind:.0f} s behind when the posting ended"] if behind > BEHIND_SECONDS else []
    try:
        until(lambda: product.sightings() >= posts, "every planted page is stored", DRAIN_SECONDS)
    except AssertionError as error:
        faults.append(str(error))
    return faults


def oracle(product: Product, posted: Sequence[int]) -> list[str]:
    """What of the planted pages was lost, doubled or made up."""
    posts, people = planted(posted)
    seen, given_away = product.found()
    wanted = {product.people[number].reference: count for number, count in people.items()}
    lost = sum(max(0, count - given_away[who]) for who, count in wanted.items())
    more = sum(max(0, count - wanted.get(who, 0)) for who, count in given_away.items())
    print(f"oracle: {posts:,} planted pages, {len(seen):,} sightings; {len(wanted):,} of {CUSTOMERS:,} customers in them")
    faults = [f"{posts:,} pages were planted, {len(seen):,} sightings are stored"] if len(seen) != posts else []
    faults += [f"{len(seen) - len(set(seen)):,} sightings are double"] if len(seen) != len(set(seen)) else []
    faults += [f"{lost:,} exposures are lost"] if lost else []
    return faults + ([f"{more:,} exposures are double or false"] if more else [])


def show(samples: Mapping[str, Sequence[Sample]]) -> list[str]:
    """Print level and slope of everything; names what is over its limit."""
    table, over = Table("role", *(f"{what} (mean, growth in 10 min ± error)" for what in LIMITS)), []
    for role, taken in sorted(samples.items()):
        try:
            found = slopes(taken)
        except ValueError as error:
            over.append(f"{role}: {error}")
            continue
        table.add_row(role, *(f"{one.level:.1f}  {one.growth:+.2f} ± {one.error:.2f}" for one in found.values()))
        grown = [(what, one) for what, one in found.items() if one.is_over(LIMITS[what])]
        over += [f"{role}: {what} grow by {one.growth:.2f} in 10 minutes, more than {LIMITS[what]}" for what, one in grown]
    Console(width=130).print(table)
    return over


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
