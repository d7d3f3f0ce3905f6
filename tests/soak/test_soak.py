"""The slopes of the soak, and its short form: all that is planted is found while a hundredth of the answers are faults."""

import os
import re
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.soak.sites import FAULTY, LISTED, PLANTED_EVERY, SITES, Sites, given_away, planted
from tests.soak.slopes import LIMITS, Sample, sample, slope, slopes

ROOT = Path(__file__).parents[2]


def samples(memory, count: int = 100) -> list[Sample]:
    """Ten seconds apart, with so much memory at a time."""
    return [Sample(10.0 * n, memory(10.0 * n), 20.0, 5.0) for n in range(count)]


def test_a_slope_is_that_of_the_line_and_its_error_that_of_the_noise() -> None:
    times = [float(n) for n in range(0, 600, 10)]
    found = slope(times, [100.0 + 0.01 * t for t in times])
    assert (found.growth, found.error) == (pytest.approx(6.0), pytest.approx(0.0, abs=1e-9))
    assert found.level == pytest.approx(102.95)
    noisy = slope(times, [100.0 + (n % 2) for n in range(len(times))])
    assert abs(noisy.growth) < 2 * noisy.error


def test_the_error_is_that_of_a_regression_worked_by_hand() -> None:
    found = slope([0, 1, 2, 3, 4, 5, 6, 7], [1, 0, 1, 0, 1, 0, 1, 0])
    assert found.growth == pytest.approx(-1 / 21 * 600)
    assert found.error == pytest.approx((40 / 21 / 6 / 42) ** 0.5 * 600)


def test_a_leak_is_over_its_limit_and_warming_up_or_noise_are_not() -> None:
    leak = slopes(samples(lambda t: 80.0 + 2.0 * t / 600))["memory"]
    warm = slopes(samples(lambda t: min(80.0, 40.0 + t)))["memory"]
    noise = slopes(samples(lambda t: 80.0 + 5.0 * (t % 20 > 5)))["memory"]
    assert [one.is_over(LIMITS["memory"]) for one in (leak, warm, noise)] == [True, False, False]
    assert set(slopes(samples(lambda t: 80.0))) == {"memory", "descriptors", "threads"}


def test_too_few_samples_make_no_slope() -> None:
    with pytest.raises(ValueError, match="4 samples"):
        slopes(samples(lambda t: 1.0, 7))
    with pytest.raises(ValueError, match="no slope"):
        slope([1.0] * 9, [1.0] * 9)


def test_what_the_kernel_says_of_this_process_grows_with_what_it_holds() -> None:
    before = sample(os.getpid(), 0.0)
    stop, held = threading.Event(), [os.open("/dev/null", os.O_RDONLY) for _ in range(5)]
    thread = threading.Thread(target=stop.wait)
    thread.start()
    after = sample(os.getpid(), 1.0)
    stop.set()
    thread.join()
    for one in held:
        os.close(one)
    assert (after.descriptors - before.descriptors, after.threads - before.threads) == (5, 1)
    assert after.memory > 10


def test_sites_tell_of_all_that_is_posted_and_of_whom_it_gives_away() -> None:
    sites = Sites(rate=100.0)
    sites.turn(5.0)
    sites.post(15.0)
    assert sites.posted == [100] * SITES
    answers = Counter(sites.answer(0, f"/raw/paste{number:07}")[1] for number in range(100))
    assert answers[""] == len(sites.whole) >= 90
    assert sites.answer(0, "/archive")[0].count(b"<a ") == 100 <= LISTED
    assert sites.answer(0, "/raw/paste0000100")[0].startswith(b"HTTP/1.1 404")
    people = sites._people
    for number in range(30):
        held = {person for person in people if person.phone in sites.text(3, number)}
        pair = given_away(3, number)
        assert held == ({people[n] for n in pair} if pair else set())
    assert planted(sites.posted)[0] == 100 * SITES // PLANTED_EVERY


def test_one_answer_in_a_hundred_is_a_fault_and_the_same_on_every_run() -> None:
    told = []
    for _ in range(2):
        sites = Sites(rate=100.0)
        sites.turn(0.0)
        sites.post(400.0)
        told.append([sites.answer(1, f"/raw/paste{number:07}")[1] for number in range(4000)])
    assert told[0] == told[1]
    faults = Counter(filter(None, told[0]))
    assert len(faults) == 4
    assert 0.5 * FAULTY < faults.total() / 4000 < 2 * FAULTY


@pytest.mark.flow
@pytest.mark.timeout(2400)
def test_the_short_form_finds_all_that_is_planted_and_tells_a_slope_of_each_role() -> None:
    words = (sys.executable, "-m", "tests.soak", "0.4", "4")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    faults = re.findall("FAULT: (.*)", done.stdout)
    slow = [one for one in faults if " grow by " in one or one.startswith("crawl was ")]
    assert faults == slow, "a beginning grows, and a busy machine is slow; nothing else may be"
    assert done.returncode == bool(faults), done.stderr
    for role in ("run", "crawl", "match", "alert", "search"):
        assert re.search(rf"│ {role} +│.*±", done.stdout), done.stdout
    oracle = re.search(r"oracle: ([\d,]+) planted pages, ([\d,]+) sightings", done.stdout)
    assert oracle
    assert oracle[1] == oracle[2] != "0"
