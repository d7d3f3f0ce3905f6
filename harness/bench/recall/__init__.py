"""Recall and false positives of `ullage scan`, by class: every kind in every disguise, container
and encoding, and decoys.

Each case is a customer of its own, so the subject in a line of the scan's output says which case
was found; every file of the corpus holds all the cases that its encoding can write, each on a line
between lines of prose.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from harness.bench import engines
from harness.bench.corpus.customer_list import enrol, ullage
from harness.bench.corpus.people import Person
from harness.bench.corpus.prose import prose
from harness.bench.recall.cases import VALUES, Case, cases, lists
from harness.bench.recall.containers import ENCODINGS, OF_BYTES, OF_TEXT, zip_file
from harness.bench.recall.decoys import DECOYS, decoys
from matcher.watchlist.tagging import handles
from ullage import setup
from ullage.settings import Context

TENANT = "recall"
TOKENS = int(os.environ.get("ULLAGE_BENCH_TOKENS", "1000000"))
DECOY_PEOPLE, FIRST_OF_DECOYS = 500, 2_000_000
PRESIDIO = ("phone", "card", "email", "iban")
"""Kinds that Presidio has a recognizer for."""
OWN = "own"
"""The encoding of a container that chooses it."""
PAGE = "page"


@dataclass(frozen=True)
class CorpusFile:
    """A file of the corpus: how it is written, and the cases that are in it."""

    container: str
    encoding: str
    ending: str
    write: Callable[[str], bytes]
    cases: tuple[Case, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """A file name that no other's begins with."""
        return f"{self.container}--{self.encoding}--.{self.ending}".replace(" ", "_").replace(
            ",", ""
        )

    def text(self) -> str:
        """Return the cases between lines of prose, as far as the encoding has their characters."""
        able = [line for line in prose(1)[:400] if _fits(self.encoding, line)]
        ends = "<br>\n" if self.container.startswith(PAGE) else "\n"
        return (
            "".join(
                f"{able[n % len(able)]}{ends}{case.text}{ends}" for n, case in enumerate(self.cases)
            )
            + able[0]
            + ends
        )


def _fits(encoding: str, text: str) -> bool:
    try:
        ENCODINGS.get(encoding, str.encode)(text)
    except UnicodeEncodeError:
        return False
    return True


def plan(
    made: Sequence[Case], containers: Iterable[str] = (), encodings: Iterable[str] = ()
) -> Iterator[CorpusFile]:
    """Return the files: each container in each encoding that it can have, or only those named."""
    container_names, coded = set(containers), set(encodings)
    plain = [case for case in made if not case.markup]
    for encoding, encode in ENCODINGS.items():
        if coded and encoding not in coded:
            continue
        fitting = tuple(case for case in plain if _fits(encoding, case.text))
        for container, (ending, pack) in OF_BYTES.items():
            if not container_names or container in container_names:
                yield CorpusFile(container, encoding, ending, partial(_pack, encode, pack), fitting)
        marked = tuple(case for case in made if _fits(encoding, case.text))
        for container, pack in (
            (PAGE, bytes),
            (f"{PAGE} in zip", partial(zip_file, name="list.html")),
        ):
            if not container_names or container in container_names:
                ending = "html" if container == PAGE else "zip"
                yield CorpusFile(container, encoding, ending, partial(_pack, encode, pack), marked)
    for container, (ending, write) in OF_TEXT.items():
        if not container_names or container in container_names:
            yield CorpusFile(container, OWN, ending, write, tuple(plain))


def _pack(encode: Callable[[str], bytes], pack: Callable[[bytes], bytes], text: str) -> bytes:
    return pack(encode(text))


@dataclass(repr=False)
class Outcome:
    """What a scan found: planted and found by (container, encoding, case), and what it should
    not have found.
    """

    planted: list[tuple[CorpusFile, Case]] = field(default_factory=list)
    found: set[tuple[str, str, str]] = field(default_factory=set)
    """(file name, kind, reference)."""
    wrong: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(file name, kind) of lines that name nobody who was planted there."""

    def list_missed(self) -> list[tuple[CorpusFile, Case]]:
        """Return what was planted and not found."""
        return [
            (file, case)
            for file, case in self.planted
            if (file.name, case.kind, case.reference) not in self.found
        ]


def prepare(context: Context, made: Sequence[Case]) -> dict[str, str]:
    """Enrol the cases and the decoys' customers; references by subject."""
    list(setup.initialise(context))
    header, rows = lists(made)
    people = [Person(FIRST_OF_DECOYS + n) for n in range(DECOY_PEOPLE)]
    enrol(
        context,
        TENANT,
        header,
        rows + [[p.reference, *(value(p) for value in VALUES.values())] for p in people],
    )
    references = [row[0] for row in rows] + [p.reference for p in people]
    return {
        h.tobytes().hex(): r
        for h, r in zip(handles(context.keys, TENANT, references), references, strict=True)
    }


def scan(context: Context, paths: Iterable[Path]) -> list[dict[str, str]]:
    """Return the lines of `ullage scan`."""
    return [json.loads(line) for line in ullage(context.data, "scan", *paths).stdout.splitlines()]


def measure(
    context: Context, subjects: dict[str, str], files: Iterable[CorpusFile], folder: Path
) -> Outcome:
    """Write the files, scan them, and compare."""
    outcome, by_name = Outcome(), dict[str, CorpusFile]()
    for file in files:
        (folder / file.name).write_bytes(file.write(file.text()))
        by_name[file.name] = file
        outcome.planted += [(file, case) for case in file.cases]
    expected = {(file.name, case.kind, case.reference) for file, case in outcome.planted}
    for line in scan(context, [folder]):
        name = next(name for name in by_name if line["path"].startswith(str(folder / name)))
        key = (name, line["kind"], subjects.get(line["subject"], ""))
        if key in expected:
            outcome.found.add(key)
        else:
            outcome.wrong[name, line["kind"]] += 1
    return outcome


def compare_presidio(
    context: Context, subjects: dict[str, str], made: Sequence[Case], folder: Path
) -> None:
    """Print in how many disguises ours and Presidio find the value, for the kinds that it knows.

    One line counts one case in UTF-8. Presidio is asked for less: whether it sees any value of that
    kind there. Ours must name the very customer. Nothing is printed without `ULLAGE_BENCH_PEERS`, a
    Python that has presidio-analyzer.
    """
    if not engines.PEERS:
        print("Presidio is not measured: ULLAGE_BENCH_PEERS=PYTHON names one that has it")
        return
    asked_cases = [case for case in made if case.kind in PRESIDIO]
    texts = json.dumps([case.text for case in asked_cases])
    result = subprocess.run(
        [engines.PEERS, engines.PEER_PROGRAM],
        input=texts,
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = {
        case.reference
        for case, kinds in zip(asked_cases, json.loads(result.stdout), strict=True)
        if case.kind in kinds
    }
    lines = folder / "cases.txt"
    lines.write_text("".join(f"{case.text}\n" for case in asked_cases), encoding="utf-8")
    pages = folder / "cases.html"
    pages.write_text(
        "".join(f"<p>{case.text}</p>\n" for case in asked_cases if case.markup), encoding="utf-8"
    )
    ours = {(line["kind"], subjects.get(line["subject"])) for line in scan(context, [lines, pages])}
    for kind in PRESIDIO:
        kind_cases = [case for case in asked_cases if case.kind == kind]
        count = sum((kind, case.reference) in ours for case in kind_cases)
        print(
            f"beside Presidio        {kind:<40} {count:>6} of {len(kind_cases):>6}, Presidio"
            f" {sum(c.reference in theirs for c in kind_cases)}"
        )


def measure_decoys(context: Context, tokens: int, folder: Path) -> Counter[str]:
    """Count false positives by class, in files of one class each.

    Every class is named, with 0 where nothing was found, as it should be.
    """
    wrong = Counter(dict.fromkeys(DECOYS, 0))
    by_path = {}
    for number, name in enumerate(DECOYS):
        path = folder / f"decoys{number}.txt"
        path.write_text(
            "".join(decoys(name, -(-tokens // len(DECOYS)), 1, FIRST_OF_DECOYS, DECOY_PEOPLE)),
            encoding="utf-8",
        )
        by_path[str(path)] = name
    wrong.update(by_path[line["path"]] for line in scan(context, map(Path, by_path)))
    return wrong


def table(outcome: Outcome) -> Iterator[str]:
    """Recall a container, encoding, kind and disguise; kinds in a disguise that are not found
    everywhere; false positives.
    """
    planted, missed = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for counted, pairs in ((planted, outcome.planted), (missed, outcome.list_missed())):
        for file, case in pairs:
            classes = (
                ("container", file.container),
                ("encoding", file.encoding),
                ("kind", case.kind),
                ("disguise", case.disguise),
            )
            counted.update((*classes, (f"of {case.kind}", case.disguise)))
    total, lost = len(outcome.planted), len(outcome.list_missed())
    yield (
        f"recall {1 - lost / max(1, total):.4f} of {total:,} values, {outcome.wrong.total()} false"
        " positives"
    )
    for (dimension, name), count in sorted(planted.items()):
        missed_count = missed[dimension, name]
        if missed_count or not dimension.startswith("of "):
            reached = count - missed_count
            yield (
                f"{dimension:<22} {name:<40} {reached:>6} of {count:>6} "
                f"{1 - missed_count / count:.3f}"
            )
    for (name, kind), count in sorted(outcome.wrong.items()):
        yield f"false positives        {name}: {kind} {count}"


def recall(folder: Path) -> None:
    """Print the tables: recall by class, then false positives by class of decoy."""
    context = Context(folder / "recall")
    all_cases = cases()
    subjects = prepare(context, all_cases)
    corpus = folder / "files"
    corpus.mkdir()
    for line in table(measure(context, subjects, plan(all_cases), corpus)):
        print(line)
    compare_presidio(context, subjects, all_cases, folder)
    wrong = measure_decoys(context, TOKENS, folder)
    print(f"{wrong.total()} false positives in {TOKENS:,} decoys")
    for name, count in wrong.items():
        print(f"decoys                 {name:<40} {count:>6}")
    sys.stdout.flush()
