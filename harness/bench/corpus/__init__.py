"""The four corpora of the benchmark, streamed in documents of 16 KiB: the same for the same seed,
with what is planted in them.

SPARSE is prose with an identifier in a thousand lines and a term of the lexicon in at most one
document of twenty; DENSE is dumps with two to five identifiers a line; DIGEST is a digest a line;
DISGUISED writes every value in some disguise. One line in a hundred of a dump is a customer's.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from harness.bench.corpus.disguise import IN_TEXT, split_groups
from harness.bench.corpus.people import Person
from harness.bench.corpus.prose import lexicon_forms, prose

DOCUMENT = 16 * 1024
CUSTOMERS = 50_000
"""Customers that may be planted: numbers 0 to 49,999.

A list made for the benchmark begins with them.
"""
STRANGERS = 50_000_000
OWN_SHARE = 0.01
SPARSE_SHARE = 0.001
OWN_IN_PROSE = 0.05
DOCUMENTS_A_TERM = 25
HEX = {"md5": 32, "sha1": 40, "sha256": 64}
"""Digests by name, and their hex digits."""
FORMS = tuple(HEX)
KINDS = ("phone", "resident_id", "card", "email")
COLUMN_SHARES = {"phone": 0.8, "resident_id": 0.8, "card": 0.6, "email": 0.6, "digest": 0.15}
STREETS = ("北京市朝阳区建国路", "上海市徐汇区漕溪北路", "广州市天河区天河路", "成都市锦江区红星路")
SEPARATORS = (",", "|", "----", "\t")


@dataclass
class CorpusCounts:
    """What a corpus holds of customers: by (kind, form) how many, and how many identifiers of
    anybody.
    """

    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    identifiers: Counter[str] = field(default_factory=Counter)

    def count(self, person: Person, kind: str, form: str = "plain") -> None:
        """Count one more value of `person` in the text."""
        self.identifiers[kind if form == "plain" else "digest"] += 1
        if person.customer:
            self.hits[kind, form] += 1


Lines = Callable[[random.Random, CorpusCounts], Iterator[str]]


def anybody(rng: random.Random, share: float = OWN_SHARE) -> Person:
    """Return a customer with probability `share`, otherwise a stranger."""
    return (
        Person(rng.randrange(CUSTOMERS))
        if rng.random() < share
        else Person(rng.randrange(STRANGERS), customer=False)
    )


def surface(rng: random.Random, kind: str, value: str) -> str:
    """`value` as dumps write it: plain most times."""
    draw = rng.random()
    if kind == "phone":
        return (
            value
            if draw < 0.7
            else (f"+86{value}", f"86-{value}", split_groups(value, (3, 4, 4), "-"))[
                int(draw * 1000) % 3
            ]
        )
    if kind == "card":
        return value if draw < 0.7 else split_groups(value, (4, 4, 4, 4, 3), " -"[draw > 0.9])
    if kind == "resident_id":
        return value if draw < 0.7 else value.lower()
    return value if draw < 0.8 else value.title()


def digest(rng: random.Random, person: Person, kind: str) -> tuple[str, str]:
    """Return a value's digest form and its hex in upper or lower case."""
    form = FORMS[rng.randrange(3)]
    hexadecimal = hashlib.new(
        form, str(getattr(person, kind)).encode(), usedforsecurity=False
    ).hexdigest()
    return form, hexadecimal.upper() if rng.random() < 0.3 else hexadecimal


def sparse(rng: random.Random, planted: CorpusCounts) -> Iterator[str]:
    """Lines of prose."""
    pool, terms = prose(1), [form for form in lexicon_forms() if len(form) > 1]
    since = 0
    while True:
        line = pool[int(rng.random() * len(pool))]
        since += len(line) * 2
        if since > DOCUMENTS_A_TERM * DOCUMENT:
            line, since = f"{line} {rng.choice(terms)}", 0
        elif rng.random() < SPARSE_SHARE:
            person, kind = anybody(rng, OWN_IN_PROSE), rng.choice(KINDS)
            planted.count(person, kind)
            line = f"{line}（{surface(rng, kind, getattr(person, kind))}）"
        yield line


def dense(rng: random.Random, planted: CorpusCounts) -> Iterator[str]:
    """Yield dumps of 50 to 400 lines, each with its separator and columns."""
    number = 0
    while True:
        separator, columns = rng.choice(SEPARATORS), _columns(rng)
        named = rng.random() < 0.5
        for _ in range(rng.randint(50, 400)):
            number += 1
            person = anybody(rng)
            cells = (
                [str(number), person.name, f"{STREETS[number % len(STREETS)]}{number % 300}号"]
                if named
                else []
            )
            yield separator.join(
                cells + [_cell(rng, planted, person, column) for column in columns]
            )


def _columns(rng: random.Random) -> list[str]:
    """Two to five kinds in some order."""
    columns: list[str] = []
    while len(columns) < 2:
        columns = [kind for kind, share in COLUMN_SHARES.items() if rng.random() < share]
    rng.shuffle(columns)
    return columns


def _cell(rng: random.Random, planted: CorpusCounts, person: Person, column: str) -> str:
    if column == "digest":
        kind = ("phone", "email", "resident_id")[rng.randrange(3)]
        form, text = digest(rng, person, kind)
        planted.count(person, kind, form)
        return f"{person.number}:{text}" if rng.random() < 0.2 else text
    if column in ("card", "resident_id") and rng.random() < 0.03:  # a number whose check fails
        value: str = getattr(person, column)
        return value[:-1] + ("1" if value[-1] != "1" else "2")
    planted.count(person, column)
    return surface(rng, column, getattr(person, column))


def digests(rng: random.Random, planted: CorpusCounts) -> Iterator[str]:
    """Yield one digest per line, some after a user name."""
    while True:
        person, kind = anybody(rng), ("phone", "email", "resident_id")[rng.randrange(3)]
        if person.customer:
            form, text = digest(rng, person, kind)
        else:
            form = FORMS[rng.randrange(3)]
            text = f"{rng.getrandbits(4 * HEX[form]):0{HEX[form]}x}"
        planted.count(person, kind, form)
        yield f"user{person.number % 99991}:{text}" if rng.random() < 0.3 else text


def write_disguised(rng: random.Random, planted: CorpusCounts) -> Iterator[str]:
    """Yield values, each in a disguise, between words.

    Disguises that need a page of HTML are left to the recall table.
    """
    names = list(IN_TEXT)
    while True:
        person, kind, text = anybody(rng), KINDS[rng.randrange(4)], ""
        while not text:
            name = names[int(rng.random() * len(names))]
            text = IN_TEXT[name](kind, getattr(person, kind))
        planted.count(
            person,
            kind,
            next((form for form in FORMS if name.removeprefix("user:").startswith(form)), "plain"),
        )
        yield (
            f"{rng.choice(('登记', 'note', '备注', 'id'))} {text}"
            f" {rng.choice(('已核对', 'ok', '。', 'done'))}"
        )


CORPORA: dict[str, Lines] = {
    "SPARSE": sparse,
    "DENSE": dense,
    "DIGEST": digests,
    "DISGUISED": write_disguised,
}


@dataclass(frozen=True)
class Corpus:
    """Documents of about 16 KiB, cut at line ends, and what is planted in them."""

    name: str
    documents: list[bytes]
    planted: CorpusCounts

    @property
    def megabytes(self) -> float:
        """Millions of bytes, with a line end between documents."""
        return sum(map(len, self.documents)) / 1e6


def stream(name: str, size: float, seed: int, planted: CorpusCounts) -> Iterator[bytes]:
    """Documents of corpus `name` until `size` million bytes have been made; each ends in a line
    end.
    """
    lines, size_ = CORPORA[name](random.Random(f"{name} {seed}"), planted), 0
    while size_ < size * 1e6:
        document, length = [], 0
        while length < DOCUMENT - 128:
            line = next(lines).encode()
            document.append(line)
            length += len(line) + 1
        size_ += length
        yield b"\n".join(document) + b"\n"


def corpus(name: str, size: float, seed: int = 20261124) -> Corpus:
    """`size` MB of corpus `name` in memory."""
    planted = CorpusCounts()
    return Corpus(name, list(stream(name, size, seed, planted)), planted)
