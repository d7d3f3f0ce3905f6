"""A search led by coverage: atheris tries changed inputs of one target, and keeps those that
reach new branches.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.fuzz.targets import TARGETS, Target

KEPT = Path(".hypothesis/targets")
"""Beside what hypothesis keeps: by target, `corpus` of inputs that reached something new, and
`found` of those that failed.
"""
LONGEST, HANGS_SECONDS, MEMORY_MIB = 4096, 60, 2048
DONE = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
COVERED = re.compile(r"cov: (\d+)")


@dataclass(frozen=True, slots=True)
class SearchSummary:
    """How many inputs of a target were tried, how many branches they reached, and what was said
    of a fault, "" for none.
    """

    inputs: int
    covered: int
    fault: str


def search(name: str, target: Target, seconds: float, kept: Path) -> None:
    """Search for `seconds`, and end this process: with 0, or at the first fault, whose input is
    kept.
    """
    import atheris

    folders = [kept / name / part for part in ("corpus", "found")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    # before anything else imports them
    with atheris.instrument_imports(include=list(target.modules)):
        for module in target.modules:
            importlib.import_module(module)
    for number, data in enumerate(target.inputs(name)):
        (folders[0] / f"seed-{number}").write_bytes(data)
    # The limit is on the most that this process ever had, and Linux counts what its parent had when
    # it started this one.
    memory = MEMORY_MIB + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    limits = (
        f"-max_total_time={max(1, round(seconds))}",
        f"-timeout={HANGS_SECONDS}",
        f"-rss_limit_mb={memory}",
    )
    options = (
        *limits,
        f"-max_len={LONGEST}",
        f"-artifact_prefix={folders[1]}/",
        "-print_final_stats=1",
    )
    atheris.Setup([sys.argv[0], *options, *map(str, folders)], target)
    atheris.Fuzz()


def run_search(name: str, seconds: float) -> SearchSummary:
    """Run a search of target `name` in its own process."""
    words = [sys.executable, "-m", "harness.fuzz.search", name, str(seconds)]
    result = subprocess.run(words, capture_output=True, text=True, check=False, errors="replace")
    tried, covered = DONE.findall(result.stderr), COVERED.findall(result.stderr)
    fault = (result.stdout + result.stderr)[-3000:] if result.returncode else ""
    return SearchSummary(int(tried[-1]) if tried else 0, int(covered[-1]) if covered else 0, fault)


def all_targets(seconds: float) -> int:
    """Search each target for its share of `seconds`, and print a line of each; 1 where something
    was found, else 0.
    """
    if importlib.util.find_spec("atheris") is None:
        print(
            "fuzz: there is no atheris here: the inputs of all targets were changed by hypothesis"
            " alone"
        )
        return 0
    failed = 0
    for name in TARGETS:
        result = run_search(name, seconds / len(TARGETS))
        print(
            f"fuzz: {name}: {result.inputs:,} inputs, {result.covered:,}"
            f" branches{'; FAILED' if result.fault else ''}",
            flush=True,
        )
        if result.fault:
            failed = 1
            print(
                result.fault,
                f"kept in {KEPT / name / 'found'}: mend it, and move the input to"
                f" harness/fuzz/found/{name}",
                sep="\n",
            )
    return failed


if __name__ == "__main__":
    search(sys.argv[1], TARGETS[sys.argv[1]], float(sys.argv[2]), KEPT)
