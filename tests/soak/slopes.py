"""What of a process grows, and how fast: straight lines through its second half, by least squares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
UNIT_SECONDS = 600.0
"""Slopes are told by ten minutes."""
LIMITS = {"memory": 1.0, "descriptors": 1.0, "threads": 0.5}
"""By how much a role may grow in ten minutes: MiB of resident memory, open descriptors, threads."""
LEAST_SAMPLES = 8
SURE = 2.0
"""A slope is over its limit where it is so by more than this many standard errors: a short run is no proof of a leak."""


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth in ten minutes, with its standard error; `level` is the mean."""

    level: float
    growth: float
    error: float

    def is_over(self, limit: float) -> bool:
        """Whether it grows by more than `limit`, whatever the noise."""
        return self.growth - SURE * self.error > limit


def slope(times: Sequence[float], values: Sequence[float]) -> Slope:
    """The line of least squares through `values` at `times` (seconds).

    Its error is that of an ordinary regression (https://en.wikipedia.org/wiki/Simple_linear_regression). ValueError for fewer
    than eight samples, or for some that are all of one moment.
    """
    count = len(times)
    if count < LEAST_SAMPLES or max(times) == min(times):
        raise ValueError(f"{count} samples make no slope")
    middle, level = math.fsum(times) / count, math.fsum(values) / count
    spread = math.fsum((t - middle) ** 2 for t in times)
    rate = math.fsum((t - middle) * (v - level) for t, v in zip(times, values, strict=True)) / spread
    rest = math.fsum((v - level - rate * (t - middle)) ** 2 for t, v in zip(times, values, strict=True))
    return Slope(level, rate * UNIT_SECONDS, math.sqrt(rest / (count - 2) / spread) * UNIT_SECONDS)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process held at a moment (seconds): bytes of resident memory in MiB, descriptors, threads."""

    at: float
    memory: float
    descriptors: float
    threads: float


def sample(pid: int, at: float) -> Sample:
    """What process `pid` holds, as the kernel says; OSError when there is none."""
    status = dict(line.partition(":")[::2] for line in (Path("/proc") / str(pid) / "status").read_text().splitlines())
    memory, threads = int(status.get("VmRSS", "0").split()[0]) * 1024 / MIB, int(status["Threads"])
    return Sample(at, memory, float(len(list((Path("/proc") / str(pid) / "fd").iterdir()))), float(threads))


def slopes(samples: Sequence[Sample]) -> Mapping[str, Slope]:
    """Of memory, descriptors and threads over the second half of the time: the first is for warming up."""
    half = (samples[0].at + samples[-1].at) / 2
    later = [one for one in samples if one.at >= half]
    return {what: slope([one.at for one in later], [getattr(one, what) for one in later]) for what in LIMITS}
