"""Count values that stand for people but that cannot be looked up in a customer list.

These are masks, digests in other forms, and numbers in other spellings: `138****8000`,
`a***@b.c`, SHA-512, a digest in base64, `zhang*qq.com`, `l38 OO13 8000`. A file of such values
must not be reported as searched without a match, so they are counted per text. `whole_text`
counts numbers in fragments. A gate, found by hyperscan in the one pass over all texts, says
where such a value may stand. Around it a Python pattern decides. Each pattern is linear, as its
repetitions are bounded.

Ordinary texts also hold digests: of commits, files, sessions. A digest counts only if it is a
cell whose label or header does not name a thing that has digests or random ids.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cache, partial

import hyperscan
import numpy as np

from matcher.columns.batch import Batch, Flags, Places
from matcher.columns.bitset import is_letter, is_one_of, places, shift_back
from matcher.columns.literals import SearchPatterns, stretches
from matcher.detect.candidates import Segment
from matcher.detect.numbers import DIGEST
from matcher.detect.whole_text import FEWEST, count_fragments
from matcher.text.group_numbers import is_valid
from ullage.identifiers.masked_value import FORM as MASKED
from ullage.regex import compile_later

SPELT = "spelt"
"""The name under which spellings are counted, beside MASKED and the forms of digests."""
SIZES = {32: "md5", 40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}
MOST = 1 << 12
"""Places that are examined in one text.

If there are more, the count is scaled up from these.
"""
AROUND = 96
"""Bytes on either side of the end of a gate's hit."""
BEFORE_AT = 16
"""Bytes before an at sign that are examined, as two words."""
HIDDEN_BEFORE = np.array((0x0101010000000000, 0x0001010101010101), np.uint64)
"""Of these the last eleven, where two hiding signs may begin."""
HIDING_PAIRS = (b"**", b"\x97\x8f", b"\x80\xa2", b"\xc3\x97")
"""Byte pairs of hiding signs: two stars, and the last two bytes of `●•×`."""
HIDES = r"(?:\*|\xe2\x97\x8f|\xe2\x80\xa2|\xc3\x97)"
"""Signs that hide a character, in UTF-8: `*●•×`."""
WORD = "[A-Za-z0-9._+-]"
MASKS = re.compile(
    rf"(?<![\w*@.+])(?:"
    # 138****8000, 6222 **** **** 1234
    rf"\+?\d{{1,10}}[ -]?(?:{HIDES}{{3,14}}[ -]?){{1,4}}\d{{0,6}}[\dXx]"
    rf"|{HIDES}{{4,14}}[ -]?\d{{4}}[\dXx]?"  # ****-8000
    rf"|1[3-9]\d{{1,6}}{HIDES}{{4,8}}"  # 138********
    rf"|1[3-9]\d####\d{{4}}"
    rf"|{WORD}{{0,24}}{HIDES}{{2,20}}{WORD}{{0,24}}@[A-Za-z0-9*.-]{{1,60}}\.[A-Za-z*]{{2,12}}"
    rf")(?![\w*])".encode(),
    re.ASCII,
)
LAST = r"[AEIMQUYcgkosw048]"
"""Last characters of base64 where it ends with one byte and two thirds."""
BASE64 = re.compile(
    rf"(?<![A-Za-z0-9+/=_-])(?:[A-Za-z0-9+/]{{21}}[AQgw]=|[A-Za-z0-9+/]{{26}}{LAST}"
    rf"|[A-Za-z0-9+/]{{42}}{LAST}"
    r"|[A-Za-z0-9+/]{85}[AQgw]=)=(?![A-Za-z0-9+/=])".encode()
)
OF_BASE64 = {24: "md5", 28: "sha1", 44: "sha256", 88: "sha512"}
CELL_BEFORE = re.compile(rb"""(?:[\n,;\t|:=>({\[]|--|[\x80-\xff]) ?["'`]?\Z""")
CELL_BEHIND = re.compile(rb"""["'`]? ?(?:[\n\r,;\t|<)}\]]|--|\Z)""")
LOOKALIKE = "[0-9OoIl|SBZ]"
ALIKE = re.compile(
    rf"(?<![0-9A-Za-z])(?=[0-9OoIl|SBZ .-]{{0,12}}[OoIl|SBZ])[1Il|]{LOOKALIKE}{{2}}"
    rf"([ .-]){LOOKALIKE}{{4}}\1{LOOKALIKE}{{4}}(?![0-9A-Za-z])".encode()
)
"""A mobile number in groups with a letter for a digit: `l38 OO13 8000`."""
ALIKE_SIGNS, FIRST_ALIKE, PIPE = b"0123456789OoIl|SBZ", b"1Il|", ord("|")
SHORT_GROUP, LONG_GROUP, GROUPED = 3, 4, 13
"""Characters of its first group, of each further group, and of the whole number."""
AS_DIGITS = bytes.maketrans(b"OoIl|SBZ", b"00111582")
PROVIDERS = (
    r"(?:qq|163|126|139|189|sina|sohu|yeah|foxmail|aliyun|gmail|googlemail|outlook|hotmail|live"
    r"|yahoo|icloud|gmx|web|mail|proton)"
    r"[.](?:com|cn|net|vip|me|de|ru|fr|jp)"
)
NO_AT = re.compile(
    rf"(?<![\w.@*/-])(?P<name>[A-Za-z0-9][A-Za-z0-9._+-]{{2,40}})(?P<sign> ?[*$%&^~!] ?|[,;|\t])"
    rf"(?P<host>{PROVIDERS})(?![\w.-])".encode(),
    re.ASCII,
)
"""An address without its at sign: `zhang*qq.com`, or its two parts as cells."""
MOST_LOOKED_AT = 256
"""Digests of one text whose surroundings are examined; they decide for the rest."""
LINE = 1024
"""Bytes before a digest that are searched for its label, or for the cells before it."""
LABEL = re.compile(rb"""([A-Za-z_][\w. -]{0,40})["'`]? ?[:=]>? ?["'`({\[]*\Z""")
BEHIND_LABEL = b"> \"'`({["
THING = compile_later(
    rb"""(?:\A|.*[\W_])(?:u?u?id|guid|oid|etag|commit|tree|parent|object|blob|rev|revision"""
    rb"""|sha|sha\d+|sha\d*sums?|md5sums?|checksums?
    |crc|integrity|tokens?|session|sid|csrf|nonce|trace|span|request|transaction|tx|txid"""
    rb"""|block|order|file|path|image|layer|build
    |version|cache|cookie|key|secret|signature|sign|salt|passw(?:or)?d|pwd|pass|hmac|content"""
    rb"""|resolved|ref|url|node)
    (?:[\W_]?(?:id|hash|hex|key|sha|sums?|digest|md5|sha\d+))?\Z""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
"""Names of things that have digests or random ids and are not a person."""
PERSON = re.compile(
    rb"(?i)phone|mobile|tel|msisdn|mail|card|citizen|national|person|passport|ident|cust|client"
    rb"|user|iban|ssn"
)
DELIMITERS = tuple(bytes((sign,)) for sign in b"\t|;,")
GLUED = re.compile(rb"(?i)(?:sha\d+[:-]|\) = )\Z")
"""Text before the digest of an image, a package or a file."""


@cache
def patterns() -> SearchPatterns:
    """Return the gates: hiding signs beside a digit, padded base64, addresses without @."""
    hides = [re.escape(sign).encode() for sign in "*●•×"]
    return SearchPatterns((
        *(sign * 3 + rb"[ \-]?[0-9]" for sign in hides),
        *(rb"1[3-9][0-9]{1,6}" + sign * 4 + rb"[^0-9A-Za-z]" for sign in hides),
        rb"1[3-9][0-9]####",
        rb"[A-Za-z0-9+/]{16}={1,2}[^A-Za-z0-9+/=]",
        rf"[A-Za-z0-9] ?[*$%&^~!,;|\t] ?{PROVIDERS}".encode(),
    ), hyperscan.HS_FLAG_DOTALL)  # fmt: skip


def unread_values(
    batch: Batch, segments: Sequence[Segment], hits: tuple[Places, Places]
) -> dict[int, Counter[str]]:
    """Count the values that no list can be asked for, by number of text and by form.

    Counted are the weak masks and the hex digests in `segments`, digests only where their label or
    header may name a person, and beside `segments` further masks, digests in base64 and disguised
    spellings. Of more than MOST (4,096) places in a text, some are examined and the count is scaled
    up. `hits` are the prescan's hits of `patterns` in the batch.
    """
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    weak = [segment.start for segment in segments if segment.form == MASKED and segment.weak]
    hexed = [
        segment
        for segment in segments
        if segment.kind == DIGEST and int(segment.length[0]) in SIZES
    ]
    gate = np.concatenate((hits[1], _hiding_before_at(batch), _find_lookalike_numbers(batch)))
    text, covered = batch.data.data, _merge_read_stretches(segments)
    for document, count in count_fragments(batch, partial(_are_read, covered)).items():
        counts[document][SPELT] += count
    if not (len(gate) or weak or hexed):
        return counts
    for start in weak:
        _count(batch, start, MASKED, counts)
    for segment in hexed:
        _count(
            batch,
            _people(batch, text, segment.start, segment.end),
            SIZES[int(segment.length[0])],
            counts,
        )
    unread_gate = gate[~_are_read(covered, gate - 1, gate)]
    unread_gate.sort()
    for document, of_document in batch.by_document(unread_gate):
        near = unread_gate[of_document]
        for form, count in _around(batch, covered, text, near[:MOST]).items():
            counts[document][form] += count * len(near) // min(len(near), MOST)
    return counts


def _hiding_before_at(batch: Batch) -> Places:
    """Find the at signs close behind two signs that may hide characters."""
    at = places(batch.classes.at)
    if not len(at):
        return at
    # in one row, for which numpy takes a fifth of the time
    before = batch.windows(at - BEFORE_AT, BEFORE_AT).reshape(-1)
    hides = np.zeros(len(before), bool)
    for first, second in HIDING_PAIRS:
        hides[:-1] |= (before[:-1] == first) & (before[1:] == second)
    words = hides.view(np.uint64).reshape(-1, 2) & HIDDEN_BEFORE
    return np.asarray(at[(words[:, 0] | words[:, 1]) != 0] + 1)


def _find_lookalike_numbers(batch: Batch) -> Places:
    """Return the ends of numbers in groups of 3, 4 and 4 with a letter or pipe for some digit.

    ALIKE is tried only there. Numbers of digits alone, and other groups, are left out. This is
    computed in columns, because no group has a literal, and a pattern without one costs hyperscan
    as much as a thousand words.
    """
    sign, is_alike = batch.classes.separator, partial(is_one_of, signs=ALIKE_SIGNS)
    gap = places(sign & shift_back(sign, LONG_GROUP + 1))
    gap = gap[is_alike(batch.data.take(gap + 1)) & is_alike(batch.data.take(gap - 1))]
    if not len(gap):
        return gap
    written = batch.windows(gap - SHORT_GROUP, GROUPED)
    in_groups = is_alike(written)
    in_groups[:, [SHORT_GROUP, SHORT_GROUP + LONG_GROUP + 1]] = True
    in_groups[:, 0] = is_one_of(written[:, 0], FIRST_ALIKE)
    has_letter = (is_letter(written) | (written == PIPE)).any(1)
    return np.asarray(gap[in_groups.all(1) & has_letter] - SHORT_GROUP + GROUPED)


def _around(
    batch: Batch, covered: tuple[Places, Places], text: memoryview, gate: Places
) -> Counter[str]:
    """Count the values around these places of one text, by form."""
    around = list(stretches(gate - AROUND, gate + AROUND, len(batch.data), apart=0))
    counts = Counter[str]()
    start, end = _places(MASKS, text, around)
    counts[MASKED] = len(start) - int(_are_read(covered, start, end).sum())
    start, end = _places(BASE64, text, around)
    for size, form in OF_BASE64.items():
        has_size = end - start == size
        counts[form] = len(_people(batch, text, start[has_size], end[has_size]))
    counts[SPELT] = _count_disguised(covered, text, around)
    return +counts


def _count_disguised(
    covered: tuple[Places, Places], text: memoryview, around: Sequence[tuple[int, int]]
) -> int:
    """Count the numbers with letters for digits, and the addresses without their at sign.

    Numbers count only if there are at least FEWEST, and so do addresses of one sign and host.
    """
    start, end = _places(ALIKE, text, around)
    written = {
        bytes(text[first:last]) for first, last in zip(start.tolist(), end.tolist(), strict=True)
    }
    numbers = [
        number for number in written if is_valid(number.translate(AS_DIGITS, b" .-").decode())
    ]
    count = len(numbers) if len(numbers) >= FEWEST else 0
    names: dict[tuple[bytes, bytes], set[bytes]] = defaultdict(set)
    start, end = _places(NO_AT, text, around)
    for first in start[~_are_read(covered, start, end)].tolist():
        if match := NO_AT.match(text, first):
            names[bytes(match["sign"]).strip(), bytes(match["host"])].add(bytes(match["name"]))
    return count + sum(
        len(local_parts) for local_parts in names.values() if len(local_parts) >= FEWEST
    )


def _count(batch: Batch, start: Places, form: str, totals: Mapping[int, Counter[str]]) -> None:
    """Add the values that begin at `start` to the counts of their texts."""
    if len(start):
        documents, counts = np.unique(batch.documents(start), return_counts=True)
        for document, count in zip(documents.tolist(), counts.tolist(), strict=True):
            totals[document][form] += count


def _places(
    pattern: re.Pattern[bytes], text: memoryview, around: Sequence[tuple[int, int]]
) -> tuple[Places, Places]:
    """Return the starts and ends of the matches of a pattern."""
    spans = [
        match.span() for first, last in around for match in pattern.finditer(text, first, last)
    ]
    columns = np.array(spans, np.int64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


def _merge_read_stretches(segments: Sequence[Segment]) -> tuple[Places, Places]:
    """Return the bytes that were read, as starts in order and ends.

    Each end is that of the value that extends furthest among those up to its start.
    """
    first = np.concatenate([segment.start for segment in segments] or [np.empty(0, np.int64)])
    last = np.concatenate([segment.end for segment in segments] or [np.empty(0, np.int64)])
    order = np.argsort(first, kind="stable")
    return first[order], np.maximum.accumulate(last[order])


def _are_read(covered: tuple[Places, Places], start: Places, end: Places) -> Flags:
    """Return which stretches [start, end) overlap with a value that was read: bool[n]."""
    first, behind = covered
    before = np.searchsorted(first, end) - 1
    read: Flags = (
        (before >= 0) & (behind.take(np.maximum(before, 0), mode="clip") > start)
        if len(first)
        else before >= 0
    )
    return read


def _people(batch: Batch, text: memoryview, start: Places, end: Places) -> Places:
    """Select the starts of digests that may stand for people.

    The label before a digest, or else the header above it, decides. Of a text with many digests at
    most MOST_LOOKED_AT (256) are examined, and each decides for those behind it.
    """
    if not len(start):
        return start
    # most digests of a text have the same name
    is_person, names_person = np.zeros(len(start), bool), cache(_names_person)
    document = batch.documents(start)
    for each, first, count in zip(
        *(column.tolist() for column in np.unique(document, return_index=True, return_counts=True)),
        strict=True,
    ):
        step = -(-count // MOST_LOOKED_AT)
        begin = int(batch.starts[each])
        head = bytes(text[begin : begin + LINE]).partition(b"\n")[0]
        delimiter = max(DELIMITERS, key=head.count)
        columns = head.split(delimiter)
        for place in range(first, first + count, step):
            line = _line_before(
                text, max(begin, int(start[place]) - LINE), int(start[place]), int(end[place])
            )
            if line is not None:
                label, number = _label(line), line.count(delimiter)
                above = columns[number].strip(b" \"'`") if number < len(columns) else b""
                is_person[place : place + step] = names_person(label or above)
    return start[is_person]


def _line_before(text: memoryview, first: int, start: int, end: int) -> bytes | None:
    """Return the text before a digest in its line, as far as [first, start) covers it.

    Returns None where the digest is not a cell of a row.
    """
    before, behind = bytes(text[first:start]), bytes(text[end : end + 8])
    is_cell = (
        CELL_BEHIND.match(behind)
        and not GLUED.search(before[-16:])
        and CELL_BEFORE.search(b"\n" + before[-8:])
    )
    return before.rpartition(b"\n")[2] if is_cell else None


def _label(line: bytes) -> bytes:
    """Return the label that a line ends with; b"" for none."""
    # a quick test first: the search begins at each letter
    if not line.rstrip(BEHIND_LABEL).endswith((b":", b"=")):
        return b""
    label = LABEL.search(line[-64:])
    return label[1] if label else b""


def _names_person(name: bytes) -> bool:
    """Return whether a name may stand for a person, as it names no thing with digests."""
    return PERSON.search(name) is not None or THING.fullmatch(name) is None
