"""SIGKILL between any two durable steps: nothing is lost, nothing is double."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.crawlers.support import Answers
from tests.faults.rig import BATCH, Rig

SEED = 20_261_124
KILLS = [pytest.param(1, marks=pytest.mark.servers), pytest.param(10, marks=pytest.mark.faults)]
"""How often a process dies at each point: a short form for every run, the whole for `make
test-faults`.
"""
Make = Callable[..., Rig]


def die_often(rig: Rig, kills: int, most: int, point: str, *words: str) -> None:
    """Let a command die `kills` times, each time when it comes to `point` for the 1st to
    `most`th time.
    """
    rng = random.Random(f"{SEED}{point}")
    for _ in range(kills):
        rig.run_until_it_dies(point, rng.randint(1, most), *words)


@pytest.mark.parametrize("kills", KILLS)
def test_crawl_killed_between_append_and_page_completion_loses_nothing(
    make_rig: Make, server: Answers, kills: int
) -> None:
    rig = make_rig(heartbeats=0)
    rig.watch(server)
    rig.publish(kills * 6)
    die_often(rig, kills, 5, "append", "crawl", "--once")
    rig.drain("crawl", "match", "alert")
    rig.assert_found()
    # each death left a capture that came twice
    assert sum(place.end for place in rig.places("captures")) > rig.posts


@pytest.mark.parametrize("kills", KILLS)
def test_match_killed_before_publishing_or_committing_loses_nothing(
    make_rig: Make, kills: int
) -> None:
    rig = make_rig()
    rig.ingest(kills * 6 * BATCH)
    for point in ("match", "commit"):
        die_often(rig, kills, 2, point, "match")
    rig.drain("match", "alert")
    rig.assert_found()


@pytest.mark.parametrize("kills", KILLS)
def test_alert_killed_between_its_writes_loses_nothing(make_rig: Make, kills: int) -> None:
    rig = make_rig()
    rig.ingest(kills * 8 * BATCH)
    rig.drain("match")
    for point, most in (("fold", 6), ("bulk", 6), ("commit", 2)):
        die_often(rig, kills, most, point, "alert")
    rig.drain("alert")
    rig.assert_found()
