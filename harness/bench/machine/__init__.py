"""Run the matcher over whatever lies on this machine: no file may cost a fault, a false match or a
wrong "not readable".

`make bench ONLY=machine PATHS="FOLDER FOLDER" SAMPLE=200` examines folders of files that were made
by others and hold none of our 60,000 customers; without PATHS those of `default_folders`, without
SAMPLE (MB) all of their files. The run fails on

- a fault: the process of the matcher dies, hangs, or reports a part of a file as failed;
- a false match: a customer in any file;
- more than one file in 500 that is said to be unreadable although ordinary tools read it (see
  `readability`).

Each of them is named, with the last line of the fault. Files are only read; nothing of them is
kept.
"""

from __future__ import annotations

import os
import sysconfig
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.bench.corpus.customer_list import enrol_people
from harness.bench.corpus.people import Person
from harness.bench.machine.examination import FileOutcome, examine_files
from harness.bench.machine.readability import find_wrong_outcomes
from harness.bench.machine.sampling import FoundFile, choose_files, find_files
from harness.bench.table import row
from ullage import setup
from ullage.settings import Context

TENANT = "machine"
CUSTOMERS = int(os.environ.get("ULLAGE_BENCH_MACHINE_CUSTOMERS", "60000"))
FILES_PER_WRONG = 500
"""Of so many files one may be called unreadable by mistake."""
MB = 10**6


@dataclass
class MachineResult:
    """How many files were examined, and how many of them each goal is missed by."""

    files: int = 0
    faults: int = 0
    false_matches: int = 0
    wrongly_unreadable: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: FileOutcome) -> Iterator[str]:
        """Count one file, and yield a line for each goal that it misses."""
        self.files += 1
        self.reasons.update({unread.reason for unread in outcome.unread})
        if outcome.faults:
            self.faults += 1
            yield f"fault: {outcome.path}: {', '.join(outcome.faults)}"
        if outcome.customers:
            self.false_matches += 1
            yield f"false match: {outcome.path}: {outcome.customers} customers"
        if wrong := find_wrong_outcomes(outcome.path, outcome.unread):
            self.wrongly_unreadable += 1
            yield f"readable: {wrong[0].path}: said to be {wrong[0].reason}"

    def missed(self) -> Iterator[str]:
        """Yield the goals that are not reached."""
        if not self.files:
            yield "machine: no file"
        if self.faults:
            yield "machine: faults"
        if self.false_matches:
            yield "machine: false matches"
        if self.wrongly_unreadable * FILES_PER_WRONG > self.files:
            yield "machine: readable files called unreadable"


def default_folders() -> list[Path]:
    """Return folders of files by others that most machines have."""
    paths = sysconfig.get_paths()
    return [Path(paths["stdlib"]), Path(paths["purelib"]), Path("/usr/share"), Path("/var/log")]


def machine(folder: Path) -> list[str]:
    """Examine the files, print what was found, and return the goals that are missed."""
    folders = [Path(name) for name in os.environ.get("PATHS", "").split()] or default_folders()
    for absent in [path for path in folders if not path.exists()]:
        print(f"machine: {absent} does not exist")
    files = find_files(folders)
    if sample := os.environ.get("SAMPLE"):
        files = choose_files(files, int(sample) * MB)
    context = Context(folder / "machine")
    list(setup.initialise(context))
    enrol_people(context, TENANT, map(Person, range(CUSTOMERS)))
    return measure(context.data, files)


def measure(data: Path, files: Sequence[FoundFile]) -> list[str]:
    """Examine `files` against the lists in the data folder, print the table, and return the
    goals that are missed.
    """
    result, start = MachineResult(), time.monotonic()
    for outcome in examine_files(data, [file.path for file in files]):
        for line in result.add(outcome):
            print(line, flush=True)
    size = sum(file.size for file in files)
    row(
        "machine: files",
        f"{result.files:,}",
        f"{size / MB:,.0f} MB, {time.monotonic() - start:.0f} s",
    )
    row("machine: faults", f"{result.faults}", "goal 0")
    row("machine: false matches", f"{result.false_matches}", f"of {CUSTOMERS:,} customers, goal 0")
    row(
        "machine: wrongly unreadable",
        f"{result.wrongly_unreadable}",
        f"goal {result.files // FILES_PER_WRONG}",
    )
    row(
        "machine: files not read, or not wholly",
        ", ".join(f"{reason} {n}" for reason, n in result.reasons.most_common()) or "0",
    )
    return list(result.missed())
