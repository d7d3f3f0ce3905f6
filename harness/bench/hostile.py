"""Inputs made to be slow: their speed on one core, and whether time grows with length and no faster.

A class passes if in each doubling of its length time grows 2.2-fold at most, and each length is read at 5 MB/s at least, in CPU
time of the machine on which this was set: each try is taken for as much less as this one is slower at the moment. A few
characters over and over, which no file holds and the search by mutation makes worse each time that something more is read, are
read at 3 MB/s. Doublings are of one regime each: texts of one window, below 2 MiB, where what is worse than linear within a
window shows, and those of a full batch or more, which are decoded in parts and counted whole. Of a container of many tiny members
each member costs and hardly its bytes, so these are measured by the member, up to as many as a capture may have. A file, or a
text in which one is written as letters, goes to a child once, whatever its length: that start is measured and taken off. What
misses is measured again after all others, in turns that lie minutes apart, and the median of all tries of a length counts:
another load, or a neighbour of this machine, makes CPU time dearer as well, and for a while. A search by mutation, with a fixed
seed, looks for worse inputs than those that were thought of. `make bench ONLY=hostile` fails where a class misses.
"""

from __future__ import annotations

import base64
import collections
import gzip
import io
import itertools
import math
import os
import random
import re
import statistics
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from harness.bench import engines
from harness.bench.corpus_list import enrol_people
from harness.bench.corpus_people import Person
from harness.bench.detect import captures, ours
from harness.bench.hostile_files import FILES, TEXTS
from harness.bench.table import row
from matcher.cli.loading import build_matcher, keep_freed_memory
from matcher.match.pipeline import Matcher
from matcher.unpack.envelopes import may_hold
from ullage import setup
from ullage.settings import Context

MB, KIB = 10**6, 1024
SHORT = tuple(KIB * int(size) for size in os.environ.get("ULLAGE_BENCH_HOSTILE_SHORT", "512 1024 2047").split())
LONG = tuple(KIB * int(size) for size in os.environ.get("ULLAGE_BENCH_HOSTILE_LONG", "4200 8400").split())
"""Bytes of inputs of one window, and of several; the environment gives KiB."""
MANY = (12_500, 25_000, 50_000, 100_000)
"""Members of a container; the last is the most that are read of a capture unless another number is set."""
MOST_GROWTH, LEAST_RATE, LEAST_REPEATED, LEAST_MEMBERS = 2.2, 5.0 * MB, 3.0 * MB, 5_000.0
"""How often as long twice as much may take; bytes a second, of a few characters over and over too; and members a second: unpacked
by a child, read, and counted by the parent."""
LEAST_OWN = 1.0 * MB
"""Bytes a second of what names the tenant's own sites over and over: what stands beside each of them is read."""
PATIENCE = 60.0
"""Seconds: an input that takes longer is not tried at twice the length."""
ENOUGH, LEAST, MOST, AGAIN, TURNS, STARTS = 0.4, 2, 30, 3, 6, 5
"""CPU seconds for one input in all, and tries for them, at least and at most; how often a missed class is measured in a turn;
turns; starts."""
YARDSTICK, USUAL, FRESH_SECONDS = b"13912345678 " * 40_000, 60.0, 0.05
"""A text, MB/s at which Python's own search for numbers reads it where the goals were set, and how long such a look counts."""
CUSTOMERS = 1000
DIFFERENCE = 0.1
"""Of what the start of a child costs, by which one differs from another."""
OWN_START = 0.75
"""Of the least that a file ever took, which its start is at most."""
STARTING = b"a line of text that somebody wrote down, and that is read by a child".hex().encode() * 2
"""A file written as letters."""


def repeated(text: str) -> Callable[[int], bytes]:
    """`text` over and over, up to `size` bytes, cut at a whole one."""
    unit = text.encode()
    return lambda size: unit * max(1, size // len(unit))


def _nested(size: int) -> bytes:
    """Base64 of base64 of base64 of a phone list."""
    body = b"15400000001,x\n" * (size // 14 * 27 // 64)
    for _ in range(3):
        body = base64.b64encode(body)
    return body


def _wrapped(size: int) -> bytes:
    """Base64 of what is no text, in lines of 76, as a mailbox holds pictures."""
    body = base64.b64encode(random.Random(size).randbytes(size * 3 // 4)).decode()
    return "\n".join(body[place : place + 76] for place in range(0, len(body), 76))[:size].encode()


def _mail(parts: int) -> bytes:
    """Mail of so many parts of one character, gzipped to a five-hundredth."""
    head = b"From: a@example.com\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
    return gzip.compress(head + b"--b\n\n1\n" * parts + b"--b--\n", 9, mtime=0)


def _archive(members: int) -> bytes:
    """A tar of so many files of one phone number, gzipped."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for number in range(members):
            entry = tarfile.TarInfo(f"{number}.txt")
            entry.size = 11
            tar.addfile(entry, io.BytesIO(b"%d" % (15400000000 + number)))
    return packed.getvalue()


def _insert(size: int) -> bytes:
    """One statement with as many tuples as there is room for, on one line."""
    unit = "(17,'15400000001','x y','it''s','420106188905108614'),"
    return f"INSERT INTO `t` VALUES {unit * (size // len(unit))}(0,'');".encode()


def _long_line(size: int) -> bytes:
    """Numbers of all lengths with commas between, and no line end."""
    numbers = (str(10**n + 7) for n in itertools.cycle(range(6, 22)))
    length, made = 0, list[str]()
    while length < size:
        made.append(next(numbers))
        length += len(made[-1]) + 1
    return ",".join(made).encode()


INPUTS: dict[str, Callable[[int], bytes]] = {
    "repeated @": repeated("@"),
    "a@": repeated("a@"),
    "a@b.cn.": repeated("a@b.cn. "),
    "local parts of 100": repeated(f"{'a.b-c_d+e%' * 10}@"),
    "domains of 100": repeated(f"a@{'b-c.' * 25}"),
    "no line end, a.a.a": repeated("a."),
    "cards in groups": repeated("4222 0212 3456 7890 "),
    "phones in groups": repeated("139 1234 5678 "),
    "phones": repeated("13912345678 "),
    "phones, dashes": repeated("139-1234-5678-"),
    "a digit run": repeated("1"),
    "digits and dots": repeated("1."),
    "digits and spaces": repeated("1 "),
    "eleven digits, a letter": repeated("13912345678a"),
    "resident IDs": repeated("420106188905108614,"),
    "IBAN groups": repeated("GB03 TEST 0000 0500 0395 95 "),
    "hex words of 16": repeated("0123456789abcdef "),
    "a hex run": repeated("0123456789abcdef"),
    "hex of 32": repeated("0123456789abcdef0123456789abcdeF\n"),
    "<<<<": repeated("<"),
    "&#": repeated("&#"),
    "&amp;": repeated("&amp;"),
    "%25%25": repeated("%25"),
    "%": repeated("%"),
    "percent octets": repeated("%31%e4%b8"),
    "backslash u": repeated("\\u"),
    "backslashes": repeated("\\"),
    "JSON escapes": repeated("\\u0031"),
    "nested base64": _nested,
    "base64 in lines, no text": _wrapped,
    "quoted-printable, no line end": repeated("86="),
    "base64 alphabet": repeated("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo"),
    "Han digits": repeated("一三八零"),
    "Han digits, apart": repeated("一 三-八.零"),
    "Han digits of six": repeated("一三八零零一，"),
    "zero width": repeated("\u200b"),
    "digits and zero width": repeated("1\u200b\u202e3\u2060"),
    "full width": repeated("１３９１２３４５６７８，"),
    "combining marks": repeated("e\u0301"),
    "four-byte digits": repeated("𝟏𝟑𝟗"),
    "masked": repeated("138****8000 "),
    "masked rows": repeated("王*明,138****8000,4403**********1234\n"),
    "masked in two fields": repeated("138****8000 1101**********1234\n"),
    "stars": repeated("*"),
    "labels": repeated("手机:"),
    "labels in English": repeated("phone:qq:wechat:"),
    "label and value": repeated("QQ:12345678 微信:abc_def1 护照:E12345678 "),
    "jargon": repeated("料"),
    "jargon, long": repeated("银行卡四件套"),
    "jargon in plain words": repeated("出售客户数据"),
    "logins": repeated("https://bank.example/login:user:pass\n"),
    "SQL insert": _insert,
    "a long line": _long_line,
    "quotes": repeated("'"),
    "quoted commas": repeated("'\",'"),
    "parentheses": repeated("("),
    "braces": repeated('{"a":'),
    "brackets": repeated("["),
    "line ends": repeated("\n"),
    "columns": repeated("----"),
    "bars": repeated("|"),
    "one field a line": repeated("1\n"),
    "zero bytes": repeated("\0"),
    "spelt signs, Han domain": repeated(":9[at]一.cn"),
    "entity signs and octets": repeated("&%31"),
    "octets and digits": repeated("%0212"),
    "labels and brackets": repeated("QQ["),
    "prefixes": repeated("_0086"),
    "mail in one stretch": repeated("}＠手机:①http://<a@b.cn"),
    "signs and octets": repeated("@%31"),
    "octets of no encoding": repeated("%E12"),
    "spelt signs": repeated("z[at]"),
    "cards, labelled": repeated("13卡号%"),
    "spelt signs and labels": repeated("QQ[at]"),
    "header cells": repeated(";QQ"),
    "numbers of a spreadsheet": repeated("1.3912345678E+10 "),
    "groups with slashes": repeated("139/1234/5678 "),
    "groups with a word": repeated("139加1234加5678 "),
    "hex literals": repeated("0x3133393132333435363738 "),
    "spelt digits": repeated("yao san "),
    "spelt numbers": repeated("one three nine one two three four five six seven eight, "),
    "glued labels": repeated("TEL13912345678 "),
    "from abroad": repeated("+14155552671 "),
    "from abroad, glued": repeated("TEL0014155552671\n"),
    "labelled thousands": repeated("电话:13,912,345,678 "),
    "masked addresses": repeated("a***@b.example "),
    "masked but for four": repeated("****1234 "),
    "masked cards": repeated("6222 **** **** "),
    "masked at the end": repeated("139****"),
    "digits with signs": repeated("1~3~9~1~"),
    "groups with signs": repeated("139~~1234~~5678 "),
    "SHA-512": repeated("0123456789abcdef" * 8 + "\n"),
    "digests, labelled": repeated("phone=0123456789abcdef0123456789abcdeF,"),
    "digests in base64": repeated("ABCDEFGHIJKLMNOPQRSTUA==,"),
    "cells in base64": repeated("MTM5MTIzNDU2Nzg=,"),
    "cells in hex": repeated("3133393132333435363738,"),
    "octets apart": repeated("31 33 39 31 "),
    "escaped octets": repeated("\\x31"),
    "octal": repeated("\\061"),
    "written line ends": repeated("\\n1"),
    "folded cards": repeated("BEGIN:VCARD\nTEL:139\n 1234\n"),
    "quoted cards": repeated("BEGIN:VCARD\nN;ENCODING=QUOTED-PRINTABLE:=31=\n"),
    "statements": repeated(":86:166?31GB03TEST\n00000500039595?32\n"),
}
PAGES: dict[str, Callable[[int], bytes]] = {
    "page: <": repeated("<"),
    "page: <a": repeated("<a "),
    "page: <a b='": repeated("<a b='"),
    "page: <a b=1": repeated("<a b=13912345678 "),
    "page: <!--": repeated("<!--"),
    "page: <b>": repeated("<b>"),
    "page: digits in tags": repeated("1<b>3</b>"),
    "page: cells": repeated("<td>13912345678</td> "),
    "page: attributes": repeated("<input value='13912345678'>"),
    "page: &amp;#49;": repeated("&amp;#49;"),
}
"""The same for what is read as HTML."""
DOMAIN = "spruce.example"
"""The bench's tenant's own."""


def _numbered(line: str) -> Callable[[int], bytes]:
    """Lines in which `#` is a number of their own, up to `size` bytes."""
    return lambda size: "".join(line.replace("#", f"{number:06}") for number in range(size // len(line) + 1)).encode()[:size]


OWN: dict[str, Callable[[int], bytes]] = {
    "own: address, login, password": _numbered(f"https://app.{DOMAIN}/login:user#@mail.example:Pw#!\n"),
    "own: login, password, address": _numbered(f"user#@mail.example:Pw#!:https://app.{DOMAIN}/login\n"),
    "own: bars": _numbered(f"app.{DOMAIN}|user#|Pw#!\n"),
    "own: tables": _numbered(f'"app","https://app.{DOMAIN}/login","user#","Pw#!"\n'),
    "own: blocks": _numbered(f"URL: https://app.{DOMAIN}/login\nUsername: user#\nPassword: Pw#!\nApplication: Chrome\n=====\n"),
    "own: objects": _numbered(f'{{"url":"https://app.{DOMAIN}/","username":"user#","password":"p#"}}\n'),
    "own: cookies": _numbered(f".{DOMAIN}\tTRUE\t/\tTRUE\t1790000000\tSESSION\tabcdef#\n"),
    "own: headers": _numbered(f"Host: app.{DOMAIN}\nCookie: SESSION=abc#; x=1; y=2\n"),
    "own: extension's cookies": _numbered(f'{{"domain":".{DOMAIN}","expirationDate":1790000000,"name":"sid","value":"#"}},\n'),
    "own: words": _numbered(f"{DOMAIN} # abc\n"),
    "own: words on one line": _numbered(f"{DOMAIN} # abc "),
    "own: mail": _numbered(f"user#@{DOMAIN} "),
    "own: braces": _numbered(f"url: {DOMAIN} pwd: #{{}}}}{{"),
}
"""Texts full of the tenant's own domain."""
MEMBERS: dict[str, Callable[[int], bytes]] = {"mail of many parts, gzipped": _mail, "archive of many files, gzipped": _archive}
"""Containers, by the number of their members."""


def seconds(matcher: Matcher, context: Context, body: bytes, *, page: bool = False) -> float:
    """CPU seconds for one capture, read as a page of HTML or as plain text."""
    given = [captures([body], context, "text/html" if page else "text/plain")]
    start = time.process_time() + engines.children_seconds()  # a container is read by a child
    ours(matcher, given, context)
    return time.process_time() + engines.children_seconds() - start


@dataclass
class Start:
    """What the start of a child costs: the median of all that was measured, in CPU seconds."""

    cost: Callable[[bytes], float]
    tries: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Of one start."""
        return statistics.median(self.tries)

    def measure(self) -> None:
        """Measure it some more."""
        self.tries += [self.cost(STARTING) for _ in range(STARTS)]

    def less(self, spent: float, least: float = math.inf) -> float:
        """`spent` without the start; at least what starts differ by.

        A file's own start is no more than three quarters of the `least` that such a file ever took: some parsers load sooner.
        """
        return max(spent - min(self.seconds, least * OWN_START), self.seconds * DIFFERENCE)


@dataclass
class Machine:
    """What something costs in CPU seconds of the machine on which the goals were set, however slow this one is at the moment."""

    fastest: float = 0.0
    """The most that was measured, as a share of that machine."""
    _speed: float = 0.0
    _looked_at: float = -math.inf

    def seconds(self, cost: Callable[..., float], *what: bytes, **how: bool) -> float:
        """What `cost` says, by the speed just before or just after it, whichever was more."""
        before = self._speed_now()
        spent = cost(*what, **how)
        return spent * max(before, self._speed_now())

    def _speed_now(self) -> float:
        """1 at most: a faster machine is held to no more."""
        if time.monotonic() - self._looked_at > FRESH_SECONDS:
            spent = _search_seconds(re.compile(rb"1[3-9]\d{9}(?!\d)"))
            self._speed = min(1.0, len(YARDSTICK) / spent / (USUAL * MB))
            self.fastest, self._looked_at = max(self.fastest, self._speed), time.monotonic()
        return self._speed


def _search_seconds(pattern: re.Pattern[bytes]) -> float:
    start = time.process_time()
    collections.deque(map(re.Match.end, pattern.finditer(YARDSTICK)), 0)
    return time.process_time() - start


def hostile(folder: Path) -> list[str]:
    """A line an input, the worst that the search finds among them; the names of those that miss."""
    context = Context(folder / "hostile")
    list(setup.initialise(context))
    (context.data / "ullage.toml").write_text(f"[tenants.bench]\ndomains = ['{DOMAIN}']\n", encoding="utf-8")
    context = Context(folder / "hostile")
    enrol_people(context, "bench", map(Person, range(CUSTOMERS)))
    matcher = build_matcher(context)
    keep_freed_memory()  # as match does: else growth beyond 2 MiB is that of page faults
    with engines.one_core():
        seconds(matcher, context, repeated("13912345678 ")(MB))  # tables are built on first use
        machine = Machine()
        cost = partial(machine.seconds, partial(seconds, matcher, context))
        start = Start(cost)
        start.measure()
        row("hostile: start of a child, ms", f"{start.seconds * 1000:.0f}")
        inputs = {**INPUTS, **PAGES}
        found = search(lambda body: start.less(cost(body)) if may_hold(body) else cost(body))
        inputs |= {f"found {number}: {unit[:24]!r}": repeated(unit) for number, unit in enumerate(found, 1)}
        pages = {name: partial(cost, page=name in PAGES) for name in inputs}
        classes = [HostileClass(name, make, pages[name], start, least=LEAST_REPEATED) for name, make in inputs.items()]
        classes += [HostileClass(name, make, cost, start, least=LEAST_OWN) for name, make in OWN.items()]
        classes += [HostileClass(name, make, cost, start, (SHORT,)) for name, make in TEXTS.items()]
        classes += [HostileClass(name, make, cost, start, (SHORT,), is_file=True) for name, make in FILES.items()]
        classes += [HostileClass(name, make, cost, None, (MANY,), LEAST_MEMBERS, "members") for name, make in MEMBERS.items()]
        missed = missing(classes, start)
        row("hostile: speed of this machine, as a share of the one of the goals", f"{machine.fastest:.2f}")
        return [each.name for each in missed]


@dataclass
class HostileClass:
    """A kind of input, by its length or number of members, and the median of what each length took, in CPU seconds."""

    name: str
    make: Callable[[int], bytes]
    cost: Callable[[bytes], float]
    start: Start | None = None
    """Is taken off where given."""
    regimes: Sequence[Sequence[int]] = (SHORT, LONG)
    least: float = LEAST_RATE
    unit: str = "MB"
    is_file: bool = False
    """Whether a child reads it at every length."""
    tries: dict[int, list[float]] = field(default_factory=dict)
    given: set[int] = field(default_factory=set)
    """Lengths of which a child was given something to read."""

    def measure(self) -> bool:
        """Each length once, then those again by which it misses; whether the class passes by all that was measured so far."""
        for length in self._doubtful():
            body = self.make(length)
            tries = self.tries.setdefault(length, [])
            tries += _tried(partial(self.cost, body))
            if self.is_file or may_hold(body):
                self.given.add(length)
            if statistics.median(tries) > PATIENCE:
                return False
        return self._growth <= MOST_GROWTH and self._rate >= self.least

    def show(self, passed: bool) -> None:
        """Print the class as a line of the table."""
        shown = f"{self._rate / MB:.1f} MB/s" if self.unit == "MB" else f"{self._rate:,.0f} {self.unit}/s"
        missed = "" if passed else f" MISS, {' '.join(f'{length:,}: {spent:.3f} s' for length, spent in self.spent.items())}"
        row(f"hostile: {self.name}", shown, f"growth {self._growth:.2f}{missed}")

    @property
    def spent(self) -> dict[int, float]:
        """Seconds by length, without the start of a child."""
        start, measured = self.start, {n: statistics.median(tries) for n, tries in self.tries.items()}
        least = min(measured.values())
        return {n: start.less(spent, least) if start and n in self.given else spent for n, spent in measured.items()}

    def _doubtful(self) -> list[int]:
        """The lengths to measure: all of them at first, then those that are too slow, or of doublings that grow too fast."""
        every = list(itertools.chain.from_iterable(self.regimes))
        if self.tries.keys() != {*every}:
            return every
        slow = {n for n, seconds in self.spent.items() if n / seconds < self.least}
        fast = {n for doubling, growth in self._growths.items() if growth > MOST_GROWTH for n in doubling}
        return [n for n in every if n in slow | fast]

    @property
    def _rate(self) -> float:
        return min(length / seconds for length, seconds in self.spent.items())

    @property
    def _growth(self) -> float:
        return max(self._growths.values())

    @property
    def _growths(self) -> dict[tuple[int, int], float]:
        """The ratio of each doubling, give or take what starts differ by; infinite where a length was not reached."""
        spent = self.spent
        spare = self.start.seconds * DIFFERENCE if self.start and self.given else 0.0
        return {
            (shorter, longer): spent[longer] / (spent[shorter] + spare) if longer in spent else math.inf
            for shorter, longer in itertools.chain.from_iterable(map(itertools.pairwise, self.regimes))
        }


def missing(classes: Sequence[HostileClass], start: Start) -> list[HostileClass]:
    """Print a line a class as it is measured, and those that miss again, later, in turns; those that miss at every time."""
    left = list(classes)
    for turn in range(TURNS):
        measured, left = left, []
        for each in measured:
            passed = any(each.measure() for _ in range(AGAIN if turn else 1))
            each.show(passed)
            left += [] if passed else [each]
        start.measure()
    return left


def _tried(act: Callable[[], float]) -> list[float]:
    """What `act` took at each try, until ENOUGH has gone by: one alone varies by a quarter."""
    spent = [act()]
    while (sum(spent) < ENOUGH or len(spent) < LEAST) and len(spent) < MOST and spent[0] < PATIENCE:
        spent.append(act())
    return spent


FRAGMENTS = (
    *"@aAzZ0179+-./:;,|'\"()[]{}<>&#%\\=*_x \t\n",
    *"13 138 86 +86 0086 25 %31 &#49; \\u0031 u00 at dot com .cn 6222 0212 deadbeef QUJD ----".split(),
    *"INSERT VALUES http:// QQ wxid_ E12 <b> </td> <!-- GB82 H123".split(),
    *"一 零 壹 幺 １ ① 𝟏 ＠ ： ， 手机 卡号 护照 微信 料 银行".split(),
    "\u200b", "\u202e", "\u0301", "\u3000", "138****", "13912345678", "[at]", " at ", "a@b.cn", "42010618890510861",
)  # fmt: skip
PROBE = 64 * 1024
GENERATIONS, CHILDREN, KEPT = 12, 20, 8


def search(cost: Callable[[bytes], float], seed: int = 5) -> Sequence[str]:
    """The `KEPT` costliest repeated texts of up to eight fragments, by mutation from random ones; the same draws for a seed."""
    rng = random.Random(seed)
    costs: dict[tuple[str, ...], float] = {}
    for _ in range(GENERATIONS):
        parents = _worst(costs)
        for _ in range(CHILDREN):
            made = _mutated(rng, rng.choice(parents) if parents and rng.random() < 0.7 else ())
            if made not in costs:
                body = repeated("".join(made))(PROBE)
                costs[made] = min(cost(body), cost(body)) / len(body)
    return ["".join(parts) for parts in _worst(costs)]


def _worst(costs: dict[tuple[str, ...], float]) -> list[tuple[str, ...]]:
    """The costliest, none sharing a fragment with a costlier one: else all would be forms of one."""
    kept: list[tuple[str, ...]] = []
    for parts in sorted(costs, key=costs.__getitem__, reverse=True):
        if len(kept) < KEPT and not any(set(parts) & set(other) for other in kept):
            kept.append(parts)
    return kept


def _mutated(rng: random.Random, parts: tuple[str, ...]) -> tuple[str, ...]:
    """`parts` with a fragment or two put in, and perhaps one taken out."""
    made = list(parts)
    for _ in range(rng.randint(1, 2)):
        made.insert(rng.randint(0, len(made)), rng.choice(FRAGMENTS))
    if len(made) > 2 and rng.random() < 0.5:
        made.pop(rng.randrange(len(made)))
    return tuple(made[:8])
