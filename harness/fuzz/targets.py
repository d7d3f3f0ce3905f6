"""What is fuzzed: functions that take bytes of a stranger, and what they may do with them.

A target raises nothing but what is a fault. Errors of ours are answers; none may repeat a value,
which here is a digit run of an identifier's length. What a search found stands in `found/TARGET/`,
one input a file, and is tried first.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.errors import UllageError

if TYPE_CHECKING:  # a search watches what is imported after it has begun
    from alerts.records import Incident, Sighting

FOUND = Path(__file__).parent / "found"
VALUE = re.compile(rb"\d{11,}")
"""What no error may repeat, where it stood in the input."""
TEXTS = (
    "手机号码:15400000001\n",
    "姓名,手机,身份证\n张某,154 0000 0001,110105189905150017\n",
    "&#49;54%30\\u0030 壹五四零零零零零零零一",
)


class RepeatedValueError(AssertionError):
    """An error's message repeats what stood in the input."""


@dataclass(frozen=True, slots=True)
class Target:
    """`run` takes any bytes; `seeds` are what a search begins with; `modules` are those whose
    branches lead it.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    modules: tuple[str, ...]

    def __call__(self, data: bytes) -> None:
        """Try one input; raises what is a fault."""
        try:
            self.run(data)
        except UllageError as error:
            message = str(error).encode("utf-8", "replace")
            if repeated := {value for value in VALUE.findall(data) if value in message}:
                raise RepeatedValueError(
                    f"{type(error).__name__} repeats {len(repeated)} values"
                ) from error

    def inputs(self, name: str) -> list[bytes]:
        """Seeds, and what was found in target `name`."""
        return [*self.seeds(), *(path.read_bytes() for path in sorted((FOUND / name).glob("*")))]


@contextmanager
def file_of(data: bytes, name: str) -> Iterator[Path]:
    """Yield a file that holds `data`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def decoder(data: bytes) -> None:
    """Decode `data`; its first byte chooses a declared charset."""
    from matcher.text.decode import cut_windows, decode_as, utf8_of

    declared = (
        ("", "utf-8", "gb18030", "big5", "utf-16", "x-none", "gb2312", "shift_jis")[data[0] % 8]
        if data
        else ""
    )
    body = data[1:]
    text, encoding = decode_as(body, declared)
    utf8_of(body, text, encoding)
    assert b"".join(cut_windows([body[:7], body[7:]])) == body


def fold(data: bytes) -> None:
    """Folding and unescaping keep every place."""
    from matcher.text.fold import fold as folded
    from matcher.text.splice import unescape

    text = data.decode("utf-8", "replace")
    folded_text = folded(text)
    assert folded_text.original == text
    for place in range(len(folded_text.utf8)):
        assert 0 <= folded_text.span(place, place)[0] <= len(folded_text.body)
    for markup in (False, True):
        assert len(unescape(folded_text.text, markup=markup)) == len(folded_text.text)


def unpacker(data: bytes) -> None:
    """Walk through `data` in this process, which always ends with an outcome."""
    from matcher.unpack import formats, protocol
    from matcher.unpack.protocol import Limits, UnpackBudget
    from matcher.unpack.walk import Walk

    kind = formats.sniff(data[: formats.HEAD])
    if kind == formats.TEXT and formats.can_hold_file(data):
        kind = formats.ENVELOPE
    # which no child is asked to open
    if kind != formats.ENVELOPE and kind not in formats.find_formats():
        return
    frames = os.memfd_create("frames")
    try:
        writer = protocol.ChildWriter(frames)
        budget = UnpackBudget(Limits().words(), len(data))
        Walk(budget, writer, kind).everything(kind, data)  # type: ignore[arg-type]
        writer.done()
    finally:
        os.close(frames)


def records(data: bytes) -> None:
    """Decode a record; the first byte chooses its kind and schema."""
    from ullage.records.base import frame
    from ullage.records.capture import Capture
    from ullage.records.finding import Finding
    from ullage.records.heartbeat import Heartbeat

    choice, body = (data[0], data[1:]) if data else (0, b"")
    schema = choice // 3 % 12
    if choice % 3 == 0:
        Capture.decode(frame(body, b"post"), schema)
    elif choice % 3 == 1:
        Finding.decode(body, schema)
    else:
        Heartbeat.decode(body, str(schema))


def watchlist(data: bytes) -> None:
    """Read a bank's list as text, or, after a brace, the head of a list that was built."""
    from matcher.watchlist.file import WatchlistHeader
    from matcher.watchlist.source import Source

    if data.startswith(b"{"):
        WatchlistHeader.decode(Path("tenant.watchlist"), data)
    with file_of(data, "customers.csv") as path:
        for batch in Source(path, {}).batches():
            assert all(len(column.cells) == len(batch.lines) for column in batch.columns)


def rules(data: bytes) -> None:
    """Read rules; the first byte chooses their kind."""
    from alerts.grouping.replay import rule_kinds

    kind = (
        list(rule_kinds().values())[data[0] % len(rule_kinds())]
        if data
        else rule_kinds()["verdict"]
    )
    kind.read(data[1:].decode("utf-8", "replace"), "rules")


def site(data: bytes) -> None:
    """Read a site's file with its platform's options."""
    from crawlers.platforms import find_platform
    from crawlers.sites.site import read_site

    with file_of(data, "some.toml") as path:
        read_site(path, find_platform)


def query(data: bytes) -> None:
    """Read a console search, and compute what of it is indexed."""
    from alerts.store import index_words, query_phrases

    text = data.decode("utf-8", "surrogateescape")
    for phrase in query_phrases(text):
        assert phrase
        assert all(phrase)
    index_words([text])


@cache
def _make_incident() -> tuple[Incident, Sighting]:
    """Return an incident and its sighting, whose texts each input changes."""
    from alerts.records import Incident, Sighting
    from alerts.store import DocumentFilter, open_store
    from tests.alerts.builders import finding, fold_all
    from tests.conftest import HeldClock

    with (
        tempfile.TemporaryDirectory() as folder,
        closing(open_store("sqlite:///incidents.sqlite", Path(folder))) as store,
    ):
        fold_all(store, HeldClock(), [finding("f", range(10), people="ab")])
        return next(iter(store.scroll(Incident, DocumentFilter()))), next(
            iter(store.scroll(Sighting, DocumentFilter()))
        )


def exporters(data: bytes) -> None:
    """Texts between NULs are what strangers wrote of an incident; every format can be read back."""
    from alerts.cases.exports import ExportedIncident, build_exported_sighting, format_named, names

    incident, sighting = _make_incident()
    texts = tuple(data.decode("utf-8", "replace").split("\0")[:6])
    exported = incident.model_copy(
        update={
            "sites": texts,
            "titles": texts,
            "terms": texts,
            "brands": texts,
            "skeleton": texts[0],
        }
    )
    sightings = tuple(
        build_exported_sighting(
            sighting.model_copy(
                update={"id": f"s{number}", "title": text, "url": text, "site": text}
            )
        )
        for number, text in enumerate(texts)
    )
    for name in names():
        written = "".join(
            format_named(name).write(
                [ExportedIncident(exported, "open", incident.last_seen, sightings)]
            )
        )
        if name == "csv":
            header, row = csv.reader(
                io.StringIO(written.removeprefix("\ufeff"), newline=""), strict=True
            )
            assert len(header) == len(row)
        else:
            for line in written.rstrip("\n").split("\n") if name == "ecs" else [written]:
                json.loads(line)


def _make_texts(*more: str) -> list[bytes]:
    return [text.encode() for text in (*TEXTS, *more)]


def _containers() -> list[bytes]:
    from tests.matcher.unpack.test_walk import SOUND

    sound: dict[str, Callable[[], bytes]] = SOUND
    return [build() for name, build in sorted(sound.items()) if name not in ("picture", "xz")]


def _charsets() -> list[bytes]:
    encodings = ("utf-8", "gb18030", "utf-16-le", "utf-16", "big5", "shift_jis", "cp037", "utf-32")
    return [
        bytes([n]) + TEXTS[n % 2].encode(encoding, "replace") * 3
        for n, encoding in enumerate(encodings)
    ]


def _encode_examples() -> list[bytes]:
    from tests.factories import capture, finding
    from ullage.records.base import unframe
    from ullage.records.capture import CAPTURE_SCHEMA
    from ullage.records.finding import FINDING_SCHEMA

    head, _ = unframe(capture().encode())
    return [
        bytes([CAPTURE_SCHEMA * 3]) + head,
        bytes([FINDING_SCHEMA * 3 + 1]) + finding().encode(),
    ]


def _rules() -> list[bytes]:
    from alerts.grouping.replay import rule_kinds

    return [
        bytes([number]) + kind.load_shipped().text[:3000].encode()
        for number, kind in enumerate(rule_kinds().values())
    ]


SITES = (
    (
        'platform = "raw_paste"\nstart = ["http://paste.example/archive"]\nlegal_basis = "PIPL'
        ' 13"\nowner = "team"\n'
    ),
    """platform = "board"
start = ["http://[::1]:80/"]
night = ["23:30-06:00"]
time_zone = "Asia/Shanghai"
[options]
pattern = "^/(?P<id>[a-z]+)$"
raw = "/raw/{id}"
""",
)
TOML = "tomllib._parser"
TARGETS = {
    "decoder": Target(decoder, _charsets, ("matcher.text.decode",)),
    "fold": Target(
        fold, _make_texts, ("matcher.text.fold", "matcher.text.splice", "matcher.text.spellings")
    ),
    "unpacker": Target(
        unpacker,
        _containers,
        ("matcher.unpack.formats", "matcher.unpack.walk", "matcher.unpack.readers"),
    ),
    "records": Target(
        records,
        _encode_examples,
        ("ullage.records.capture", "ullage.records.finding", "ullage.records.heartbeat"),
    ),
    "watchlist": Target(
        watchlist,
        lambda: _make_texts(
            "customer_ref,name,phone\nC0000001,张某,15400000001\n",
            '{"version": 1, "algorithm": "aes-256-cmac"}',
        ),
        ("matcher.watchlist.source", "matcher.watchlist.file"),
    ),
    "rules": Target(
        rules,
        _rules,
        ("alerts.grouping.replay", "ullage.vocabulary.lexicon", "alerts.grouping.benign", TOML),
    ),
    "site": Target(
        site,
        lambda: [text.encode() for text in SITES],
        (TOML, "crawlers.sites.site", "crawlers.sites.layout"),
    ),
    "query": Target(
        query, lambda: _make_texts('银行 "客户信息" VIP* -x', "a" * 300), ("alerts.store",)
    ),
    "exporters": Target(
        exporters,
        lambda: _make_texts("=cmd|' /C calc'!A0\0<script>\0http://x.example/1\0,\"\r\n"),
        ("alerts.cases.exports", "alerts.cases.exports", "ullage.display"),
    ),
}
