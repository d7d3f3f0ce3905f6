"""Files with values that real people and programs write, by the classes that scans have missed
most, and look-alikes.

The files are data: TOML beside this module, one table a file. `make bench ONLY=missed` scans them
in process and prints by class how many are found whole, the values found, the files that are silent
(nothing found, nothing said to be unread) and false values. MISSED names another folder of the same
form, whose files are not named in the output.

    [[file]]
    name, class, text         what it is called; which class it counts for; the text with its
                              placeholders (`template.py`)
    people                    countries of its customers (`people.py`), each another person
    build, encoding, …        a name of `builders.BUILDERS`, and its options

    [[near_miss]]
    class, people, texts      texts that look alike, each a file of its own that must give nothing;
                              their people are enrolled
"""

from __future__ import annotations

import json
import os
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from harness.bench.corpus.customer_list import enrol, ullage
from harness.bench.missed.builders import BUILDERS
from harness.bench.missed.people import HEADER, Customer
from harness.bench.missed.template import list_planted, render
from matcher.watchlist.tagging import handles
from ullage import setup
from ullage.settings import Context

TENANT, HERE = "missed", Path(__file__).parent
OF_QQ = ("email", "qq")
"""Kinds by which a customer is found who is enrolled with a mail address of QQ."""


@dataclass(frozen=True)
class MissedFile:
    """A file of the set: what it is called, its bytes by file name, and (reference, kind) of
    what stands in it.
    """

    folder: str
    name: str
    group: str
    people: tuple[Customer, ...] = field(repr=False)
    contents: dict[str, bytes] = field(repr=False)
    values: frozenset[tuple[str, str]] = field(repr=False)


@dataclass
class Tally:
    """What was found of a class."""

    files: int = 0
    whole: int = 0
    values: int = 0
    found: int = 0
    silent: int = 0
    near_misses: int = 0
    false: int = 0

    def line(self) -> str:
        """Return the cells of the printed table."""
        share = self.found / self.values if self.values else 0.0
        return (
            f"{self.whole:>4} of {self.files:>3} whole {self.found:>5} of {self.values:>4} values"
            f" {share:>5.2f} {self.silent:>4} silent {self.false:>4} false in {self.near_misses}"
            " near misses"
        )


def load(folder: Path) -> list[MissedFile]:
    """Return the files that the TOML files in `folder` describe, in their order."""
    numbers, files = count(), list[MissedFile]()
    for path in sorted(folder.glob("*.toml")):
        with path.open("rb") as source:
            tables = tomllib.load(source)
        for table in tables.get("file", ()):
            people = tuple(Customer(next(numbers), country) for country in table["people"].split())
            values = frozenset(list_planted(table["text"], people))
            if not values:
                raise ValueError(f"{path}: {table['name']} plants no value")
            contents = BUILDERS[table.get("build", "plain")](render(table["text"], people), table)
            files.append(
                MissedFile(
                    f"{len(files):04d}", table["name"], table["class"], people, contents, values
                )
            )
        for table in tables.get("near_miss", ()):
            people = tuple(Customer(next(numbers), country) for country in table["people"].split())
            for text in table["texts"]:
                contents = {"note.txt": render(text, people).encode()}
                files.append(
                    MissedFile(
                        f"{len(files):04d}", text, table["class"], people, contents, frozenset()
                    )
                )
    return files


def prepare(context: Context, files: list[MissedFile]) -> dict[str, str]:
    """Enrol everybody; return references by subject."""
    list(setup.initialise(context))
    people = {person.number: person for file in files for person in file.people}
    enrol(context, TENANT, HEADER, [person.row() for person in people.values()])
    references = [person.fields["ref"] for person in people.values()]
    return {
        h.tobytes().hex(): r
        for h, r in zip(handles(context.keys, TENANT, references), references, strict=True)
    }


def scan(
    context: Context, folder: Path, subjects: dict[str, str]
) -> tuple[dict[str, set[tuple[str, str]]], set[str]]:
    """Return (reference, kind) found by folder of a file, and the folders of which something is
    said to be unread.
    """
    found_values, unread = defaultdict[str, set[tuple[str, str]]](set), set[str]()
    for line in ullage(context.data, "scan", "--unread", folder).stdout.splitlines():
        row = json.loads(line)
        name = Path(row["path"]).relative_to(folder).parts[0]
        if row["kind"] == "unread":
            unread.add(name)
        else:
            kind = "email" if row["kind"] in OF_QQ else row["kind"]
            found_values[name].add((subjects.get(row["subject"], ""), kind))
    return found_values, unread


def measure(
    context: Context, files: list[MissedFile], folder: Path
) -> Iterator[tuple[MissedFile, set[tuple[str, str]], bool]]:
    """Write and scan all `files`; yield each with what was found in it and whether something of
    it is said to be unread.
    """
    subjects = prepare(context, files)
    for file in files:
        (folder / file.folder).mkdir(parents=True)
        for name, body in file.contents.items():
            (folder / file.folder / name).write_bytes(body)
    found_values, unread = scan(context, folder, subjects)
    for file in files:
        yield file, found_values[file.folder], file.folder in unread


def print_missed(folder: Path) -> None:
    """Print the table by class.

    For files in this folder, print as well which of them were not read completely.
    """
    source = Path(os.environ.get("MISSED") or HERE)
    tallies, shown = defaultdict[str, Tally](Tally), list[str]()
    for file, found_values, is_unread in measure(
        Context(folder / "missed"), load(source), folder / "files"
    ):
        tally = tallies[file.group]
        references = {person.fields["ref"] for person in file.people} if file.values else set()
        false = Counter(kind for reference, kind in found_values if reference not in references)
        tally.false += false.total()
        remaining, is_silent = file.values - found_values, not found_values and not is_unread
        if file.values:
            tally.files += 1
            tally.whole += not remaining
            tally.values += len(file.values)
            tally.found += len(file.values) - len(remaining)
            tally.silent += is_silent
        else:
            tally.near_misses += 1
        if remaining or false:
            state = "silent" if is_silent else "said to be unread" if is_unread else ""
            kinds = ", ".join(
                f"{kind} {n}" for kind, n in sorted(Counter(kind for _, kind in remaining).items())
            )
            wrong = f" false: {dict(false)}" if false else ""
            shown.append(
                f"{file.group:<10} {file.name!r:<50} missed {kinds or 0} of {len(file.values)}"
                f" {state}{wrong}"
            )
    for group, tally in sorted(tallies.items()):
        print(f"{group:<20} {tally.line()}")
    total = Tally(
        *(
            sum(column)
            for column in zip(*(vars(tally).values() for tally in tallies.values()), strict=True)
        )
    )
    print(f"{'all':<20} {total.line()}")
    if source == HERE:
        print("\n".join(shown))
