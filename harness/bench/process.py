"""`ullage scan` as people run it: whole processes, on one core, beside ripgrep on the same files.

With `ULLAGE_BENCH_AGAINST=FOLDER`, another checkout with its own `.venv`, each line is measured of both in turns: what a change
did is a ratio of one run. Modules are compiled beforehand, as they are where somebody installed them. Sizes come from
`ULLAGE_BENCH_DUMP` (MiB) and `ULLAGE_BENCH_ENTRIES`.
"""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from harness.bench import corpus, engines
from harness.bench.corpus.people import COLUMNS, Person
from harness.bench.recall.containers import OF_BYTES, OF_TEXT
from harness.bench.table import best, row
from ullage.errors import Exit, UnavailableError

DUMP_MIB = int(os.environ.get("ULLAGE_BENCH_DUMP", "192"))
PEOPLE = int(os.environ.get("ULLAGE_BENCH_ENTRIES", "1_000_000")) // 13
OTHER = os.environ.get("ULLAGE_BENCH_AGAINST", "")
FILES, ALL_CUSTOMERS_MB = 750, 16
ROUNDS, QUICK_ROUNDS = 3, 7
MB, MIB = 1e6, 2**20
SAMPLE_MB = 2
"""Of rows that every engine searches; some take minutes for more."""
READ = (Exit.DONE, Exit.NO_VERDICT, Exit.EXPOSED)
"""How a scan ends that went through its files."""

Acts = Sequence[Callable[[], object]]


class Checkout:
    """A checkout with its environment, and a data folder of its own with the same list of customers."""

    def __init__(self, root: Path, python: str, data: Path) -> None:
        self._root, self._python, self.data = root, python, data

    def run(self, *words: object) -> int:
        """The exit status of `ullage WORDS` as a process of its own."""
        return self._done(words).returncode

    def lines(self, *words: object) -> int:
        """How many lines it prints."""
        return self._done(words).stdout.count(b"\n")

    def _done(self, words: Sequence[object]) -> subprocess.CompletedProcess[bytes]:
        command = [self._python, "-m", "ullage", "--data", str(self.data), *map(str, words)]
        installed = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return subprocess.run(command, cwd=self._root, env=installed, capture_output=True, check=False)

    def enrol(self, source: Path) -> None:
        """Make the data folder, with the list of `source`."""
        for words in (("init",), ("watchlist", "load", source, "--tenant", "bench")):
            if self.run(*words):
                raise UnavailableError(f"{self._root}: ullage {words[0]} failed")

    def scan(self, path: Path) -> Callable[[], None]:
        """Scans `path`; what fails is no measurement."""

        def scan() -> None:
            status = self.run("scan", path)
            if status not in READ:
                raise UnavailableError(f"{self._root}: ullage scan ended with {status}")

        return scan


def process(folder: Path) -> None:
    """A dump, a folder of many files, rows that are all customers; then what a start costs."""
    ours = Checkout(Path.cwd(), sys.executable, folder / "ours")
    checkouts = [ours]
    if OTHER:
        checkouts.append(Checkout(Path(OTHER), str(Path(OTHER) / ".venv/bin/python"), folder / "other"))
    source = folder / "people.csv"
    with source.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(
            [cell(person) for cell in COLUMNS.values()] for person in map(Person, range(max(PEOPLE, corpus.CUSTOMERS)))
        )
    for checkout in checkouts:
        checkout.enrol(source)
    inputs = {
        f"scan of a dump of {DUMP_MIB} MiB": _dump(folder / "dump.txt"),
        f"scan of {FILES} mixed files": _mixed(folder / "mixed"),
        f"scan of {ALL_CUSTOMERS_MB} MB, all customers": _customers(folder / "all.txt"),
    }
    sample, planted = folder / "sample.txt", corpus.CorpusCounts()
    sample.write_bytes(b"".join(corpus.stream("DENSE", SAMPLE_MB, 4, planted)))
    with engines.one_core():
        _found(sample, planted, ours)
        for what, path in inputs.items():
            _speed(what, path, checkouts)
        line = folder / "line.txt"
        line.write_text(f"手机 {Person(1).phone}\n", encoding="utf-8")
        _start("scan of one line", [checkout.scan(line) for checkout in checkouts])
        _start("--help", [partial(checkout.run, "--help") for checkout in checkouts])


def _dump(path: Path) -> Path:
    """A file of DENSE lines."""
    with path.open("wb") as file:
        for document in corpus.stream("DENSE", DUMP_MIB * MIB / MB, 2, corpus.CorpusCounts()):
            file.write(document)
    return path


def _customers(path: Path) -> Path:
    """Rows of customers and nobody else, in one layout."""
    rows = (Person(number % corpus.CUSTOMERS) for number in range(10**9))
    with path.open("wb") as file:
        while file.tell() < ALL_CUSTOMERS_MB * MB:
            person = next(rows)
            file.write(f"{person.name},{person.phone},{person.resident_id},{person.card},{person.email}\n".encode())
    return path


def _mixed(folder: Path) -> Path:
    """Prose, dumps, digests and disguised values of 1 to 400 KB, one file in ten in a container."""
    folder.mkdir()
    rng = random.Random(20261126)
    texts: dict[str, Iterator[bytes]] = {name: corpus.stream(name, 10**6, 3, corpus.CorpusCounts()) for name in corpus.CORPORA}
    packed = [*OF_BYTES.values(), *((ending, _of_bytes(write)) for ending, write in OF_TEXT.values())]
    for number in range(FILES):
        name = rng.choices([*texts], (6, 3, 0.5, 0.5))[0]
        body = b"".join(next(texts[name]) for _ in range(rng.choice((1, 1, 1, 2, 4, 8, 24))))
        ending, pack = rng.choice(packed) if rng.random() < 0.1 else ("txt", bytes)
        (folder / f"{number:03}.{ending}").write_bytes(pack(body))
    return folder


def _found(sample: Path, planted: corpus.CorpusCounts, ours: Checkout) -> None:
    """Of the same rows, what each finds in a process of its own: ours the customers, the others all that have the shape."""
    size = sample.stat().st_size / MB
    before = engines.children_seconds()
    count = ours.lines("scan", sample)
    seconds = engines.children_seconds() - before
    row(f"{SAMPLE_MB} MB of rows, MB/s", f"{size / seconds:.1f}")
    row("  customers' values found", f"{count:,}", f"planted {planted.hits.total():,}")
    others: tuple[tuple[str, Callable[[], Callable[[], int]], Callable[[], float]], ...] = (
        ("ripgrep", lambda: engines.ripgrep(sample), engines.children_seconds),
        ("YARA-X", lambda: engines.yara([sample.read_bytes()]), time.process_time),
        ("presidio", lambda: engines.peer("presidio", sample), engines.children_seconds),
        ("detect-secrets", lambda: engines.peer("detect-secrets", sample), engines.children_seconds),
    )
    for name, engine, clock in others:
        try:
            search, before = engine(), clock()
            count = search()
            bare = size / (clock() - before)
            row(f"  {name}: found, MB/s", f"{count:,}", f"{bare:.2f}", size / seconds / bare)
        except UnavailableError as error:
            print(f"  {name}: {error}")
    row("  values of anybody that were planted", f"{planted.identifiers.total():,}")


def _of_bytes(write: Callable[[str], bytes]) -> Callable[[bytes], bytes]:
    return lambda body: write(body.decode())


def _speed(what: str, path: Path, checkouts: list[Checkout]) -> None:
    """CPU time of a scan against ripgrep's for the same bytes."""
    size = sum(file.stat().st_size for file in path.rglob("*")) if path.is_dir() else path.stat().st_size
    bare = size / MB / best(engines.ripgrep(path), engines.children_seconds, ROUNDS)
    for name, seconds in zip(("", ", the other"), _in_turns([c.scan(path) for c in checkouts], ROUNDS), strict=False):
        rate = size / MB / seconds
        row(f"{what}{name}, MB/s", f"{rate:.1f}", f"rg {bare:.1f}", rate / bare)


def _start(what: str, acts: Acts) -> None:
    """Wall seconds of what takes no time but that of starting."""
    seconds = _in_turns(acts, QUICK_ROUNDS, time.monotonic)
    other = f"the other {seconds[1]:.2f}" if len(seconds) > 1 else ""
    row(f"{what}, wall s", f"{seconds[0]:.2f}", other, seconds[1] / seconds[0] if other else None)


def _in_turns(acts: Acts, rounds: int, clock: Callable[[], float] = engines.children_seconds) -> list[float]:
    """The least seconds of each, a round of all after another, so that a busy minute meets them all."""
    times: list[list[float]] = [[] for _ in acts]
    for _ in range(rounds):
        for own, act in zip(times, acts, strict=True):
            own.append(best(act, clock, 1))
    return [min(own) for own in times]
