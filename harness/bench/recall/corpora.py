"""How much is read of data that other projects test themselves with: `make bench CORPORA=FOLDER`,
see harness/bench/recall.md.

Decoding, dialects of CSV, archives, foreign vectors of identifiers, and logs of stealers. What is
looked for in pages and tables is planted, since nothing in them is a customer's; the vectors are
compared as they stand. What the folder does not hold is left out, and said.
"""

from __future__ import annotations

import binascii
import codecs
import csv
import gzip
import io
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path

from harness.bench.corpus.customer_list import enrol_people
from harness.bench.corpus.people import Person
from harness.bench.match_inputs import captures
from harness.bench.recall import TENANT, scan
from harness.bench.table import row
from matcher.cli import scan as files
from matcher.cli.loading import build_matcher
from matcher.match.findings import find_all
from matcher.reference import find
from matcher.text import read
from matcher.unpack.parent import ForkServer
from matcher.unpack.protocol import UnreadPart
from matcher.watchlist.tagging import handles
from ullage import setup
from ullage.settings import Context

PEOPLE = 4000
WANTED = ("phone", "resident_id")
LINES = 20
"""Rows of a table in one dialect."""
PAGES_CODECS = {"gb2312": "gb18030", "windows-1252": "cp1252"}
"""Names of folders that Python has another codec for: real pages of the first hold characters of
the last.
"""
VECTORS = {
    "resident_id": ("resident_id", "cn.ric", "test_cn_ric"),
    "uscc": ("uscc", "cn.uscc", "test_cn_uscc"),
    "iban": ("iban", "test_iban"),
    "phone": ("phone",),
}
DOMAIN = "login.spruce.example"
HOSTS, USERS = (
    ("Host:", "Hostname:", "URL:", "UR1:"),
    ("USER LOGIN:", "Login:", "Username:", "USER:", "U53RN4M3:"),
)
PASSWORDS, PROGRAMS = (
    ("USER PASSWORD:", "Password:", "PASS:", "P455W0RD:"),
    ("Soft: Chrome", "Browser: Edge [Default]", ""),
)
"""The prefixes of the grammar in `stealer-grammar`."""
SLOW = 10.0
"""Seconds that an archive may take at most: it is small, so more means a limit that is none."""


def corpora(folder: Path) -> list[str]:
    """Print one line each, and return the names of those that miss their target."""
    root = Path(os.environ.get("CORPORA", ""))
    if not root.is_dir() or root == Path():
        print("corpora: CORPORA=FOLDER is not given, or is no folder")
        return []
    context = Context(folder / "corpora")
    list(setup.initialise(context))
    (context.data / "ullage.toml").write_text(
        f'[tenants.{TENANT}]\ndomains = ["spruce.example"]\n', encoding="utf-8"
    )
    context = Context(context.data)
    people = [Person(number) for number in range(PEOPLE)]
    enrol_people(context, TENANT, people)
    names = {
        h.tobytes().hex(): p
        for h, p in zip(
            handles(context.keys, TENANT, [p.reference for p in people]), people, strict=True
        )
    }
    plan = Planting(context, names, folder / "planted")
    parts: dict[str, Callable[[Path], list[str]]] = {
        "encodings-chardet": plan.pages,
        "csv-clevercsv": plan.tables,
        "archives-libarchive": lambda where: archives(where, folder / "archives"),
        "ids-cn": vectors,
        "stealer-grammar": lambda _: logs(context),
    }
    missed = []
    for name, measure in parts.items():
        if (root / name).is_dir():
            missed += measure(root / name)
        else:
            print(f"{name}: not in {root.name}")
    return missed


class Planting:
    """Files with customers in them, and which of the customers a scan finds."""

    def __init__(self, context: Context, people: dict[str, Person], folder: Path) -> None:
        self._context, self._people, self._folder = context, people, folder

    def pages(self, root: Path) -> list[str]:
        """Real pages of each encoding with a customer in the middle, in the page's own encoding."""
        expected = dict[str, tuple[str, list[Person]]]()
        numbers = iter(self._people.values())
        missed = []
        for path in sorted(
            path for path in root.rglob("*") if path.is_file() and path.parent != root
        ):
            encoding = path.parent.name
            try:
                codec = codecs.lookup(PAGES_CODECS.get(encoding.lower(), encoding))
            except LookupError:
                row(f"pages in {encoding}", "not measured", "Python has no codec")
                continue
            person = next(numbers)
            name = f"{len(expected):03}.{path.name}"
            text = path.read_bytes().decode(codec.name, "replace")
            middle = text.find("\n", len(text) // 2) + 1
            planted = f"{text[:middle]}\n{person.phone} {person.resident_id}\n{text[middle:]}"
            expected[name] = encoding, [person]
            self._write(name, planted.encode(codec.name, "xmlcharrefreplace"))
        for encoding, (found_count, planted_count) in self._count_found(expected).items():
            row(
                f"pages in {encoding}",
                f"{found_count} of {planted_count}",
                "values found",
                found_count / planted_count,
            )
            missed += [f"pages in {encoding}"] if found_count < planted_count else []
        return missed

    def tables(self, root: Path) -> list[str]:
        """Write a table in each dialect of the test cases.

        Every row has the delimiter and the quote in a cell.
        """
        expected = dict[str, tuple[str, list[Person]]]()
        people = iter(self._people.values())
        dialects = set[tuple[str, str, str]]()
        for path in root.rglob("*.json.gz"):
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                cases = [json.loads(line)["dialect"] for line in lines]
            dialects |= {
                (case["delimiter"], case["quotechar"], case["escapechar"]) for case in cases
            }
        usable = sorted(dialect for dialect in dialects if len(dialect[0]) == 1 and dialect[1])
        for number, (delimiter, quote, escape) in enumerate(usable):
            rows = [next(people) for _ in range(LINES)]
            text = io.StringIO()
            writer = csv.writer(
                text,
                delimiter=delimiter,
                quotechar=quote,
                escapechar=escape or None,
                doublequote=not escape,
            )
            writer.writerows(
                [n, p.name, p.phone, f"a{delimiter}b {quote}c", p.resident_id]
                for n, p in enumerate(rows)
            )
            name = f"{number:03}.csv"
            expected[name] = "tables", rows
            self._write(name, text.getvalue().encode())
        found_count, planted_count = self._count_found(expected)["tables"]
        row(
            f"tables in {len(expected)} dialects",
            f"{found_count} of {planted_count}",
            "values found",
            found_count / planted_count,
        )
        # `+15400000001` behind a column that ends in a plus sign is a number of America as well
        return []

    def _write(self, name: str, body: bytes) -> None:
        self._folder.mkdir(exist_ok=True)
        (self._folder / name).write_bytes(body)

    def _count_found(
        self, expected: dict[str, tuple[str, list[Person]]]
    ) -> dict[str, tuple[int, int]]:
        """Count the found and the planted values by class of file.

        The files are removed.
        """
        reported = {
            (Path(line["path"]).name, line["kind"], self._people.get(line["subject"]))
            for line in scan(self._context, [self._folder])
        }
        counts = dict[str, tuple[int, int]]()
        for name, (group, people) in expected.items():
            found_count, planted_count = counts.get(group, (0, 0))
            found_count += sum(
                (name, kind, person) in reported for kind in WANTED for person in people
            )
            counts[group] = found_count, planted_count + len(WANTED) * len(people)
            (self._folder / name).unlink()
        return counts


def archives(root: Path, folder: Path) -> list[str]:
    """Check that each archive of the test suites ends in time, and name what was not read."""
    folder.mkdir()
    seconds, reasons, silent, read_whole = 0.0, Counter[str](), 0, 0
    count = 0
    for path in sorted(root.rglob("*.uu")):
        body = _uudecode(path.read_text(encoding="latin-1"))
        name = folder / path.stem
        name.write_bytes(body)
        unread = list[UnreadPart]()
        start = time.monotonic()
        with ForkServer() as server:
            pieces = sum(1 for _ in files.pieces_in(name, 0, unread.append, server))
        seconds = max(seconds, time.monotonic() - start)
        name.unlink()
        count += 1
        reasons.update(outcome.reason for outcome in unread[:1])
        read_whole += bool(pieces) and not unread
        silent += not pieces and not unread
    row("archives of libarchive", f"{read_whole} of {count}", "read without remark")
    row(
        "archives, named as unread",
        f"{reasons.total()}",
        ", ".join(f"{name} {n}" for name, n in reasons.most_common(3)),
    )
    row("archives, neither read nor named", f"{silent}", f"slowest {seconds:.1f} s")
    return [
        name
        for name, is_missed in (("archives, silent", silent), ("archives, slow", seconds > SLOW))
        if is_missed
    ]


def _uudecode(text: str) -> bytes:
    """Return the file in a uuencoded text (POSIX)."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("begin "):
            break
    content = bytearray()
    for line in lines:
        if line == "end":
            break
        # behind it some encoders write a checksum
        length = (((ord(line[0]) - ord(" ")) & 63) * 4 + 5) // 3 if line else 0
        content += binascii.a2b_uu(line[:length])
    return bytes(content)


def vectors(root: Path) -> list[str]:
    """Return identifiers of other libraries' tests, judged by us.

    Their verdicts differ too, so that a difference is no miss.
    """
    with (root / "vectors.tsv").open(encoding="utf-8") as file:
        lines = [
            (line["kind"], line["value"], line["verdict"])
            for line in csv.DictReader(file, delimiter="\t")
        ]
    for kind, names in VECTORS.items():
        by_verdict = {
            v: {value for name, value, verdict in lines if name in names and verdict == v}
            for v in ("valid", "invalid")
        }
        contradictory = by_verdict["valid"] & by_verdict["invalid"]
        for verdict, values in by_verdict.items():
            right = sum(
                _is_valid(kind, value) == (verdict == "valid") for value in values - contradictory
            )
            row(
                f"foreign vectors, {kind}, {verdict}",
                f"{right} of {len(values - contradictory)}",
                "judged alike",
            )
    return []


def _is_valid(kind: str, value: str) -> bool:
    text = read(value.encode()).text
    return any(
        candidate.kind == kind and candidate.valid and len(candidate.normal) >= len(value) // 2
        for candidate in find(text)
    )


def logs(context: Context) -> list[str]:
    """Check every block that the grammar allows, each with its own user at the tenant's host."""
    combinations = [*product(PROGRAMS, HOSTS, USERS, PASSWORDS)]
    matcher = build_matcher(context)
    blocks = "".join(_blocks(combinations))
    findings = find_all(matcher, captures([blocks.encode()], context), context.clock.now())
    logins = sum(finding.statistics.logins for finding in findings if finding.part == 1)
    row("logs of stealers, by grammar", f"{logins} of {len(combinations)}", "logins counted")
    return ["logs of stealers"] if logins < len(combinations) else []


def _blocks(wanted: Iterable[tuple[str, str, str, str]]) -> Iterator[str]:
    for number, (program, host, user, password) in enumerate(wanted):
        lines = (
            program,
            f"{host} https://{DOMAIN}/signin",
            f"{user} user{number}",
            f"{password} Winter{number}pass!",
        )
        yield "".join(f"{line}\n" for line in lines if line) + "\n"
