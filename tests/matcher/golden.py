"""What matching gives today, as digests that any rebuilding of it must reproduce: `golden.json`,
held by `test_golden`.

Frozen are findings, without what is random, and detections of: the four corpora of the benchmark,
vectors.jsonl, the cases of the recall table, the inputs that are made to be slow, and the posts of
the demo. `python -m tests.matcher.golden` freezes anew, for a change of behaviour that is meant;
`python -m tests.matcher.golden FOLDER` writes the texts themselves there, to compare those of two
commits.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from unittest import mock

import numpy as np

from deploy.demo.plant import plan
from harness.bench import corpus, hostile
from harness.bench.corpus.people import COLUMNS, Person
from harness.bench.recall.cases import cases, lists
from matcher.cli.loading import build_matcher
from matcher.match.batches import batches
from matcher.match.findings import find_all
from matcher.match.parts import pieces_of_capture
from matcher.match.pipeline import Matcher
from matcher.watchlist import installation
from matcher.watchlist.build import Builder
from matcher.watchlist.source import Source
from ullage import setup
from ullage.clock import Clock
from ullage.records import Capture, Finding
from ullage.security.keys import KeyStore, list_generations, make_tenant
from ullage.settings import Context

FROZEN = Path(__file__).with_name("golden.json")
VECTORS = Path(__file__).with_name("vectors.jsonl")
NOON = 1_790_000_000.0
MEGABYTES = 0.4
HOSTILE_SIZE = 16 * 1024
DIGITS = 16
"""Hex digits of a digest."""
SETTINGS = (
    "[tenants.bench]\nbrands = ['云杉银行']\ndomains = ['spruce.example']\nbins = ['620000']\n"
)
DEMO_HEADER = ("customer_ref", "name", "phone", "resident_id", "card", "email")
Texts = dict[str, str]


def texts(folder: Path) -> Texts:
    """Return every result as text, by the name of the case."""
    with mock.patch.object(KeyStore, "make", derive_key):
        context = Context(folder, Clock(lambda: NOON))
        list(setup.initialise(context))
        (folder / "ullage.toml").write_text(SETTINGS, encoding="utf-8")
        context = Context(folder, Clock(lambda: NOON))
        planned, cases_ = plan(), cases()
        people = map(Person, range(corpus.CUSTOMERS // 10))
        enrol(
            context,
            "bench",
            tuple(COLUMNS),
            ([cell(person) for cell in COLUMNS.values()] for person in people),
        )
        enrol(context, "demo", DEMO_HEADER, (person.row() for person in planned.customers))
        enrol(context, "recall", *lists(cases_))
    matcher = build_matcher(context)
    results = Texts()
    for name in corpus.CORPORA:
        with mock.patch.object(corpus, "CUSTOMERS", corpus.CUSTOMERS // 10):
            documents = corpus.corpus(name, MEGABYTES).documents
        results |= _read_all(
            matcher,
            context,
            {f"corpus {name} {number}": body for number, body in enumerate(documents)},
        )
    lines = VECTORS.read_text(encoding="utf-8").splitlines()
    results |= _read_all(
        matcher,
        context,
        {f"vector {vector['name']}": vector["input"].encode() for vector in map(json.loads, lines)},
    )
    results |= _read_all(
        matcher,
        context,
        {
            f"case {case.kind} {case.disguise} {n}": case.text.encode()
            for n, case in enumerate(cases_)
        },
    )
    for inputs, media_type in ((hostile.INPUTS, "text/plain"), (hostile.PAGES, "text/html")):
        bodies = {f"hostile {name}": make(HOSTILE_SIZE) for name, make in inputs.items()}
        results |= _read_all(matcher, context, bodies, media_type)
    posts = {f"demo {number}": post for number, post in enumerate(planned.posts)}
    bodies = {name: post.body.encode() for name, post in posts.items()}
    return results | _read_all(
        matcher, context, bodies, titles=[post.title for post in posts.values()]
    )


def enrol(
    context: Context, tenant: str, header: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    """Install a list with every digest, as of the context's time."""
    make_tenant(context.keys, tenant)
    source, built = context.data / f"{tenant}.csv", context.data / f"{tenant}.watchlist"
    with source.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    Builder(context.keys, tenant, list_generations(context.keys, tenant, "match")[-1], "all").build(
        Source(source, {}), built, context.clock.now()
    )
    installation.install(context.data, context.keys, tenant, built, context.clock.now())


def derive_key(self: KeyStore, name: str) -> bytes:
    """Write and return a key derived from its name, so that keyed tokens never vary."""
    if not self.exists(name):
        self.write(name, hashlib.sha256(name.encode()).digest())
    return self.read(name)


def _read_all(
    matcher: Matcher,
    context: Context,
    bodies: dict[str, bytes],
    media_type: str = "text/plain",
    titles: Sequence[str] = (),
) -> Texts:
    """Return detections and findings of each body, matched in one batch as captures are."""
    at, names = context.clock.now(), list(bodies)
    captures = [
        Capture(
            id=name,
            site="golden",
            post_id=name,
            url="",
            title=title,
            fetched_at=at,
            media_type=media_type,
            body=bodies[name],
        )
        for name, title in zip(names, titles or [""] * len(names), strict=True)
    ]
    lines_of = {
        name: [line] for name, line in zip(names, _detections(matcher, captures), strict=True)
    }
    identities = {matcher.key.digest_served("golden", name, bodies[name]): name for name in names}
    for finding in find_all(matcher, captures, at):
        lines_of[_source(matcher, finding, identities)].append(finding.encode().decode())
    return {name: "\n".join(lines) for name, lines in lines_of.items()}


def _source(matcher: Matcher, finding: Finding, served: dict[str, str]) -> str:
    """Return the name of the capture that the finding came from."""
    return next(
        name
        for identity, name in served.items()
        if matcher.key.identity(identity, finding.tenant) == finding.served
    )


def _detections(matcher: Matcher, captures: Sequence[Capture]) -> Iterator[str]:
    """Yield the candidates of each capture, one line each.

    VAR _read_all line has and whether it is weak.
    """
    pieces = (
        piece
        for number, captured in enumerate(captures)
        for piece in pieces_of_capture(number, captured, print)
    )
    lines: list[list[str]] = [[] for _ in captures]
    for searched in batches(pieces, matcher.lexicon):
        batch = searched.batch
        for segment in searched.segments:
            part = batch.documents(segment.start)
            first = batch.starts[part]
            columns = (part, segment.start - first, segment.end - first, segment.valid)
            normals = (
                row[:length].tobytes().decode()
                for row, length in zip(segment.normal, segment.length, strict=True)
            )
            for (number, start, end, valid), normal in zip(
                np.stack(columns, 1).tolist(), normals, strict=True
            ):
                source = searched.parts[number].piece.source
                lines[source].append(
                    f"{start:09} {end} {segment.kind} {segment.form} {normal} {valid}"
                    f" {segment.weak}"
                )
    return ("\n".join(sorted(candidates)) for candidates in lines)


def digests(results: Texts) -> dict[str, str]:
    """Return the digest of each text, which is what gets frozen."""
    return {
        name: hashlib.sha256(text.encode()).hexdigest()[:DIGITS] for name, text in results.items()
    }


def main() -> None:
    """Freeze, or write the texts to the folder that is named."""
    with tempfile.TemporaryDirectory() as folder:
        results = texts(Path(folder))
    if len(sys.argv) > 1:
        for number, (name, text) in enumerate(results.items()):
            (Path(sys.argv[1]) / f"{number:04} {name.replace('/', '_')[:80]}.txt").write_text(
                text, encoding="utf-8"
            )
    else:
        FROZEN.write_text(
            json.dumps(digests(results), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
