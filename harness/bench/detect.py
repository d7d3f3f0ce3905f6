"""The whole of match on each corpus, on one core in CPU time, against ripgrep and YARA-X finding the shapes alone.

Ours decodes, folds, extracts, checks, tags, looks up, makes rows and matches, and reads the lexicon; findings are a line of
their own. `ULLAGE_BENCH_MB` is the size of a corpus, `ULLAGE_BENCH_ENTRIES` the watchlist's, `ULLAGE_BENCH_ASSESS` the sizes of
the files for `assess`, in MB.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.bench import corpus, engines
from harness.bench.corpus.customer_list import enrol_people
from harness.bench.corpus.people import Person
from harness.bench.table import best, row
from matcher.cli.loading import build_matcher, keep_freed_memory
from matcher.match.batches import batches as in_batches
from matcher.match.findings import findings
from matcher.match.lookup import ask, enrolled
from matcher.match.parts import pieces_of_capture
from matcher.match.pipeline import Matcher
from matcher.watchlist import installation
from ullage import setup
from ullage.errors import UnavailableError
from ullage.records import Capture
from ullage.settings import Context

SIZE = float(os.environ.get("ULLAGE_BENCH_MB", "8"))
ENTRIES = int(os.environ.get("ULLAGE_BENCH_ENTRIES", "1_000_000"))
ASSESS = tuple(map(int, os.environ.get("ULLAGE_BENCH_ASSESS", "100").split()))
ENTRIES_A_CUSTOMER = 13
"""Phone, resident ID and email with three digests each, and a card."""
TENANTS = 10
ROUNDS = 5
BATCH = 2 * 2**20
MIB = 2**20
SECONDS_BETWEEN_LOOKS = 0.05


def customers(context: Context, entries: int = ENTRIES) -> Context:
    """`context` initialised, with one tenant of about `entries` entries, all that corpora plant among them."""
    list(setup.initialise(context))
    enrol_people(context, "bench", map(Person, range(max(corpus.CUSTOMERS, entries // ENTRIES_A_CUSTOMER))))
    return context


def captures(documents: Sequence[bytes], context: Context, media_type: str = "text/plain") -> list[Capture]:
    """A capture a document."""
    now = context.clock.now()
    return [
        Capture(id=f"{n:x}", site="bench", post_id=f"{n:x}", url="", fetched_at=now, media_type=media_type, body=body)
        for n, body in enumerate(documents)
    ]


def batches(documents: Sequence[bytes], context: Context) -> list[list[Capture]]:
    """Captures in batches of 2 MiB, as match's worker would hand them over."""
    made: list[list[Capture]] = [[]]
    length = 0
    for one in captures(documents, context):
        if length >= BATCH:
            made.append([])
            length = 0
        made[-1].append(one)
        length += len(one.body)
    return made


def search(matcher: Matcher, given: Sequence[Sequence[Capture]]) -> int:
    """All that finds: decode, fold, extract, check, tag, look up in every list, rows where it hits, lexicon; how many hits."""
    pieces = (piece for batch in given for number, one in enumerate(batch) for piece in pieces_of_capture(number, one, print))
    hits = 0
    for searched in in_batches(pieces, matcher.lexicon):
        found = [len(ask(epoch, enrolled(searched.asked, epoch.list.kinds))) for lists in matcher.lists for epoch in lists.epochs]
        lazy = (searched.terms, searched.rows if any(found) else None)  # made when asked for
        hits += sum(found)
        del lazy
    return hits


def readings(matcher: Matcher, given: Sequence[Sequence[Capture]]) -> int:
    """That, and evidence, matches and statistics of what was found; how many captures."""
    return sum(1 for batch in given for _ in matcher.read(batch))


def ours(matcher: Matcher, given: Sequence[Sequence[Capture]], context: Context) -> int:
    """All of that, and findings: statistics, redaction, records. The number of matches."""
    now = context.clock.now()
    made = [finding for batch in given for finding in findings(matcher, batch, now)]
    return sum(finding.total_matches for finding in made if finding.part == 1)


def detect(folder: Path) -> None:
    """Each corpus against the other engines, then ten tenants against one on dumps."""
    context = customers(Context(folder / "detect"))
    keep_freed_memory()
    matcher = build_matcher(context)
    for name in corpus.CORPORA:
        made = corpus.corpus(name, SIZE)
        with engines.one_core():
            seconds = _one(folder, made, matcher, context)
        if name == "DENSE":
            _ten_tenants(made, context, seconds)


def _one(folder: Path, made: corpus.Corpus, matcher: Matcher, context: Context) -> float:
    """The lines of one corpus; seconds of ours."""
    given, found = batches(made.documents, context), list[int]()
    whole = best(lambda: found.append(ours(matcher, given, context)), rounds=ROUNDS)
    row(f"{made.name}, hits", f"{found[-1]:,}", f"planted {made.planted.hits.total():,}")
    seconds = best(lambda: search(matcher, given), rounds=ROUNDS)
    speed = made.megabytes / seconds
    path = folder / f"{made.name}.txt"
    path.write_bytes(b"".join(made.documents))
    others: tuple[tuple[str, Callable[[], Callable[[], int]], Callable[[], float]], ...] = (
        ("rg", lambda: engines.ripgrep(path), engines.children_seconds),
        ("YARA-X", lambda: engines.yara(made.documents), time.process_time),
    )
    for name, engine, clock in others:
        try:
            bare = made.megabytes / best(engine(), clock, ROUNDS)
            row(f"{made.name}, MB/s of one core", f"{speed:.1f}", f"{name} {bare:.1f}", speed / bare)
        except UnavailableError as error:
            row(f"{made.name}, MB/s of one core", f"{speed:.1f}", f"{name} not measured")
            print(error)
    path.unlink()
    told = best(lambda: readings(matcher, given), rounds=ROUNDS)
    row(f"{made.name}, with evidence, MB/s", f"{made.megabytes / told:.1f}", f"without {speed:.1f}", seconds / told)
    row(f"{made.name}, findings too, MB/s", f"{made.megabytes / whole:.1f}", f"without {speed:.1f}", seconds / whole)
    return seconds


def _ten_tenants(made: corpus.Corpus, context: Context, one: float) -> None:
    """What nine more tenants, a tenth as large, cost."""
    first = corpus.CUSTOMERS
    for number in range(1, TENANTS):
        people = range(first * number, first * number + max(1, ENTRIES // ENTRIES_A_CUSTOMER // TENANTS))
        enrol_people(context, f"bench{number}", map(Person, people))
    matcher, given = build_matcher(context), batches(made.documents, context)
    with engines.one_core():
        ten = best(lambda: search(matcher, given), rounds=ROUNDS)
    row(f"{made.name}, {TENANTS} tenants", f"{made.megabytes / ten:.1f}", f"one {made.megabytes / one:.1f}", one / ten)
    for number in range(1, TENANTS):
        for path in (context.data / installation.FOLDER / f"bench{number}").iterdir():
            path.unlink()


def assess(folder: Path) -> None:
    """`ullage assess` as a process of its own on all cores: wall seconds, and the most memory that it and its children held.

    Of that the list's pages are the file's own: any other process may have the memory that they take.
    """
    context = customers(Context(folder / "assess"))
    for size in ASSESS:
        path = folder / f"{size}.txt"
        with path.open("wb") as file:
            for document in corpus.stream("DENSE", size, 1, corpus.CorpusCounts()):
                file.write(document)
        words = [sys.executable, "-m", "ullage", "--data", str(context.data), "assess", str(path), "--json"]
        start, most, own = time.monotonic(), 0, 0
        with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                held = resident(process.pid)
                most, own = max(most, held["Pss"]), max(own, held["Pss_Anon"])
                time.sleep(SECONDS_BETWEEN_LOOKS)
        seconds = time.monotonic() - start
        said = "" if process.returncode == 0 else f" exit {process.returncode}"
        row(f"assess {size} MB, wall s, peak MiB", f"{seconds:.1f}{said}", f"{own / MIB:,.0f}, with files {most / MIB:,.0f}")
        path.unlink()


def resident(pid: int) -> Counter[str]:
    """Bytes that a process and its descendants hold, by name in `smaps_rollup`: shares, so that what is shared counts once."""
    found: Counter[str] = Counter()
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        found.update({name: int(value.split()[0]) * 1024 for name, _, value in (line.partition(":") for line in lines[1:])})
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                found.update(resident(int(child)))
    except OSError:  # it has ended meanwhile
        return found
    return found
