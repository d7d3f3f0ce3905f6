"""`make mutants` makes the changes that matter, puts them into what runs, and says when too few
were noticed.
"""

from collections import Counter

import pytest

from harness.mutants.__main__ import GOAL, score
from harness.mutants.areas import AREAS, ROOT
from harness.mutants.change import Mutant, mutants_of, sample
from harness.mutants.session import plant
from ullage.clock import Backoff

CLOCK = ROOT / "ullage" / "clock.py"


def find_mutants(path: str, before: str, after: str) -> list[Mutant]:
    """List the mutants of a file that replace one line by another."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    near = [mutant for mutant in mutants_of(ROOT / path) if before in lines[mutant.lines.start - 1]]
    return [mutant for mutant in near if mutant.diff() == [f"- {before}", f"+ {after}"]]


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        (
            "ullage/bus/sqlite.py",
            "with sqlite_errors(self._topic.path), transaction(self._topic.database):",
            "with sqlite_errors(self._topic.path):",
        ),
        (
            "alerts/notify/sender.py",
            (
                "int(now // SLOT_SECONDS), int((now + self.attempt + MARGIN_SECONDS)"
                " // SLOT_SECONDS) + 1"
            ),
            (
                "int(now // SLOT_SECONDS), int((now - self.attempt + MARGIN_SECONDS)"
                " // SLOT_SECONDS) + 1"
            ),
        ),
        ("ullage/files/database.py", "sync_folder(path.parent)", "pass"),
        ("ullage/runtime/supervisor.py", "child.backoff.reset()", "pass"),
        ("alerts/grouping/stage.py", "self.filed(batch.stored, incidents)", "pass"),
    ],
)
def test_formerly_surviving_mutants_are_generated(path: str, before: str, after: str) -> None:
    assert (ROOT / path) in [file for area in AREAS.values() for file in area.paths()]
    assert find_mutants(path, before, after)


def test_mutant_is_planted_into_the_existing_function() -> None:
    backoff, reset = Backoff(), Backoff.reset.__code__
    backoff.next()
    try:
        [mutant] = find_mutants("ullage/clock.py", "self._step = 0", "pass")
        plant(mutant)
        backoff.reset()
        assert backoff._step == 1
    finally:
        Backoff.reset.__code__ = reset
    backoff.reset()
    assert backoff._step == 0


def test_seed_chooses_the_same_mutants_and_all_files_exist() -> None:
    mutants = mutants_of(CLOCK)
    assert len(mutants) > 50
    assert sample(mutants, 20, 7) == sample(mutants, 20, 7) != sample(mutants, 20, 8)
    assert sample(mutants, 0, 7) == mutants
    for area in AREAS.values():
        assert area.paths()
        assert [test for test in area.tests if not (ROOT / test).exists()] == []


def test_surviving_and_untested_mutants_count_but_invalid_ones_do_not() -> None:
    assert score(Counter(killed=8, timeout=1, survived=1)) == GOAL
    assert score(Counter(killed=9, untested=1, invalid=5)) == GOAL
    assert score(Counter(killed=8, survived=1, untested=1)) < GOAL
