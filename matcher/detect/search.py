"""Find the candidates in a buffer, and return them as columns.

The prescan runs first: one pass over the batch for every pattern of letters (lexicon words,
labels with values, masks, escapes). Hyperscan costs per pass and hardly per word: a thousand
words take 5 ms for 8 MB, but one pattern without a literal as much again (measured), so such
patterns are computed in columns. The hits of the prescan say where to look.

`DETECTORS` is the table of everything that finds candidates. A detector runs only where the
buffer holds what it needs, and one that fails loses only its own candidates.

Kinds too rare for columns (numbers from abroad, IBANs, addresses with a domain in another
script) are found by their own pattern. A cheap gate over the whole buffer gives the places
where one may stand, and the pattern runs on the text around these. Stretches that touch are
joined, so that a flood of gates costs one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Flag, auto
from functools import cache, cached_property, partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Batch, Bytes, Flags, Places
from matcher.columns.bitset import (
    CASE,
    DASH,
    DOT,
    ONE,
    SPACE,
    ZERO,
    Classes,
    Words,
    is_digit,
    is_one_of,
    is_separator,
    is_word,
    lowest,
    places,
    shift_back,
    shift_forward,
    under,
    windows,
)
from matcher.columns.literals import JoinedSearch, SearchPatterns, once, stretches
from matcher.detect import abroad, marked_values, unread
from matcher.detect.candidates import Segment, SettledCandidates, settle
from matcher.detect.email import find_addresses, find_qq
from matcher.detect.number_rules import (
    SHAPES,
    find_cards,
    find_company_ids,
    find_fixed_width,
    find_phones,
    find_resident_ids,
)
from matcher.detect.numbers import (
    FEWEST_BEFORE,
    FEWEST_BEHIND,
    SHORTEST,
    SHORTEST_WORD,
    NumberRuns,
    are_before_word,
    are_behind_word,
    find_digests,
    is_space_or_dash,
)
from matcher.detect.whole_text import find_backwards
from matcher.text.events import Hits
from matcher.text.events import patterns as escapes
from ullage.guard import STRICT, FaultGuard
from ullage.identifiers import Kind, iban, kinds, without_glued_words
from ullage.identifiers.base import no_check
from ullage.identifiers.email import LONGEST_LABEL
from ullage.identifiers.phone import FROM_ABROAD

APART = ("email", "qq", "wechat", "digest")
"""Kinds that may overlap with others.

An address may hold a phone (`13800138000@qq.com`), and so may a name (`wx13800138000`).
"""


class PrescanHits(NamedTuple):
    """The hits of the prescan in one buffer, by the part that asked for them.

    `cookies` has at most one hit per pattern.
    """

    words: Hits
    labelled: Hits
    undone: Hits
    card_headers: Hits
    masked: Hits
    unread: Hits
    abroad: Hits
    cookies: Hits


NO_HITS: Hits = np.empty(0, np.int64), np.empty(0, np.int64)
NOTHING_SEEN = PrescanHits(*[NO_HITS] * len(PrescanHits._fields))
"""The hits to assume where the prescan itself failed: none.

Any text may then hold something to unescape.
"""
COOKIE_SIGNS = (b"ookie", b"httpOnly", b"sameSite")
"""Words of texts with cookies that name no site.

Each such text holds one of them, in any case.
"""


class Prescan:
    """The pass for the `words` of a lexicon, and for patterns that every lexicon shares."""

    def __init__(self, words: SearchPatterns) -> None:
        self._joined = JoinedSearch(
            (
                *(
                    words,
                    marked_values.patterns(),
                    escapes(),
                    marked_values.card_headers(),
                    marked_values.mask_patterns(),
                    unread.patterns(),
                ),
                abroad.patterns(),
                once(COOKIE_SIGNS),
            )
        )

    def find(self, data: Bytes) -> PrescanHits:
        """Return the places in `data` at which a label, mask or other sign of a value matches.

        `data` is UTF-8 between line ends, as in a `Batch`.
        """
        return PrescanHits(*self._joined.find(data))


class ClassMask(Flag):
    """Properties of a buffer that detectors ask for."""

    DIGIT = auto()
    AT = auto()
    RUN = auto()
    """Eleven letters and digits in a row, the second of them a digit.

    Shorter numbers are in groups.
    """
    GROUPS = auto()
    """A separator with enough digits on either side."""
    LONG_WORD = auto()
    """As many letters and digits in a row as a digest or a company ID has."""
    LABELS = auto()
    MASKS = auto()

    @classmethod
    def detect(cls, classes: Classes, hits: PrescanHits) -> ClassMask:
        """Return which kinds of content a buffer has, so that other detectors can be skipped.

        `hits` are the prescan's matches in this buffer.
        """
        mask = (cls.LABELS if len(hits.labelled[0]) else cls(0)) | (
            cls.MASKS if len(hits.masked[0]) else cls(0)
        )
        if classes.at.any():
            mask |= cls.AT
        if classes.words.find_starts(SHORTEST_WORD).any():
            mask |= cls.LONG_WORD
        if not classes.digit.any():
            return mask
        mask |= cls.DIGIT
        if (classes.words.find_starts(SHORTEST) & shift_back(classes.digit, 1)).any():
            mask |= cls.RUN
        before, following = (
            classes.digits.find_starts(FEWEST_BEFORE),
            classes.digits.find_starts(FEWEST_BEHIND),
        )
        if (shift_forward(before, FEWEST_BEFORE) & shift_back(following, 1) & ~classes.digit).any():
            mask |= cls.GROUPS
        return mask


NUMBERS = ClassMask.RUN | ClassMask.GROUPS | ClassMask.LONG_WORD
"""Without one of these, only patterns and labels can find numbers."""


@dataclass
class SearchView:
    """The input of detectors.

    It holds a buffer, the prescan's hits, and the candidates of earlier detectors. `strange_at` are
    the at signs before domains in another script. `settled` are the candidates that remain after
    overlaps are resolved. `codes` are the calling codes of which a list has customers.
    """

    batch: Batch
    hits: PrescanHits
    codes: tuple[str, ...] = ()
    by: dict[str, Sequence[Segment]] = field(default_factory=dict)
    strange_at: Places = field(default_factory=lambda: np.empty(0, np.int64))
    settled: Sequence[Segment] = ()

    @cached_property
    def runs(self) -> NumberRuns:
        """Digits in one piece and in groups, and words."""
        return NumberRuns.find(self.batch, SHAPES)

    def prepare(self) -> ClassMask:
        """Return which kinds of content the buffer has; read the numbers if there may be any."""
        mask = ClassMask.detect(self.batch.classes, self.hits)
        if mask & NUMBERS:
            _ = self.runs
        return mask

    def list_apart(self, *names: str) -> list[Segment]:
        """Return the candidates of the detectors `names` that may overlap with other candidates."""
        return [segment for name in names for segment in self.by.get(name, ()) if is_apart(segment)]


def is_apart(segment: Segment) -> bool:
    """Return whether candidates may overlap with others.

    These are addresses, names, digests, and weak candidates that only corroborate.
    """
    return segment.kind in APART or segment.weak


class Detector(NamedTuple):
    """A function that finds candidates.

    It runs where the buffer holds one of `needs`, or everywhere if `needs` is empty. `name` is its
    word in `ullage.records.incomplete`.
    """

    name: str
    needs: ClassMask
    find: Callable[[SearchView], Sequence[Segment]]


def _find_mail(view: SearchView) -> Sequence[Segment]:
    """Find addresses in ASCII, and note the at signs of other addresses in the view."""
    mail, view.strange_at = find_addresses(view.batch, places(view.batch.classes.at))
    return mail


def _find_mailboxes(view: SearchView) -> Sequence[Segment]:
    """Find the QQ numbers in addresses, except those behind a label.

    `QQ: 12345@qq.com` is one number, which the label's detector found.
    """
    labelled_starts = [
        segment.start for segment in view.list_apart(*BESIDE) if segment.kind == "qq"
    ]
    mailboxes = find_qq(
        [segment for segment in view.list_apart("emails", "patterns") if segment.kind == "email"]
    )
    return (
        [
            segment.select(~np.isin(segment.start, np.concatenate(labelled_starts)))
            for segment in mailboxes
        ]
        if labelled_starts
        else mailboxes
    )


BESIDE = ("labels", "masks", "abroad")
"""Detectors of values that count only beside something else."""
DETECTORS = (
    Detector(
        "company_ids", ClassMask.LONG_WORD, lambda view: find_company_ids(view.batch, view.runs)
    ),
    Detector(
        "phones", ClassMask.RUN | ClassMask.GROUPS, lambda view: find_phones(view.batch, view.runs)
    ),
    Detector(
        "resident_ids", ClassMask.RUN | ClassMask.GROUPS, lambda view: find_resident_ids(view.runs)
    ),
    Detector("cards", ClassMask.RUN | ClassMask.GROUPS, lambda view: find_cards(view.runs)),
    Detector(
        "fixed_width", ClassMask.LONG_WORD, lambda view: find_fixed_width(view.batch, view.runs)
    ),
    Detector("emails", ClassMask.AT, _find_mail),
    Detector(
        "patterns",
        ClassMask(0),
        lambda view: find_by_pattern(view.batch, view.batch.classes, view.strange_at),
    ),
    Detector(
        "labels",
        ClassMask.LABELS,
        lambda view: marked_values.find_labelled(view.batch, view.hits.labelled),
    ),
    Detector(
        "masks",
        ClassMask.MASKS,
        lambda view: marked_values.find_masked(view.batch, view.hits.masked),
    ),
    Detector(
        "abroad",
        ClassMask.DIGIT,
        lambda view: abroad.find_abroad(view.batch, view.hits.abroad, view.codes),
    ),
    Detector("qq", ClassMask.AT, _find_mailboxes),
    Detector(
        "digests", ClassMask.LONG_WORD, lambda view: find_digests(view.batch, view.runs.words)
    ),
)
UNLIKELY = (
    Detector("backwards", ClassMask.RUN, lambda view: find_backwards(view.batch, view.runs.digits)),
    Detector(
        "card_headers",
        ClassMask.RUN | ClassMask.GROUPS,
        lambda view: [
            marked_values.find_labelled_cards(view.batch, view.settled, view.hits.card_headers)
        ],
    ),
)
"""Detectors that run after overlaps are resolved.

Their candidates are looked up but do not make a file look genuine: numbers read backwards, and
cards that fail Luhn behind a label, because such cards are issued.
"""


def search(
    batch: Batch,
    hits: PrescanHits | None = None,
    guard: FaultGuard = STRICT,
    codes: tuple[str, ...] = (),
) -> SettledCandidates:
    """Return the candidates of every kind in a buffer; `hits` are the prescan's matches there.

    Without `hits`, detectors that need the prescan find nothing. Candidates do not overlap, except
    weak ones and those of the kinds in `APART`. A detector's exception is raised, unless `guard` is
    lenient: then it is reported to `guard`, and the detector gives no candidates. `codes` are the
    calling codes of which a list has customers.
    """
    view = SearchView(batch, hits or NOTHING_SEEN, codes)
    mask = guard.run("numbers", view.prepare, ~NUMBERS)
    for detector in DETECTORS:
        if mask & detector.needs or not detector.needs:
            view.by[detector.name] = guard.run(detector.name, partial(detector.find, view), ())
    settled = settle(
        [segment for segments in view.by.values() for segment in segments if not is_apart(segment)]
    )
    view.settled = [
        *settled.segments,
        *view.list_apart("emails", "patterns", "qq", "digests", *BESIDE),
    ]
    beaten = settled.beaten
    for detector in UNLIKELY:
        if mask & detector.needs:
            beaten += guard.run(detector.name, partial(detector.find, view), ())
    return SettledCandidates([*view.settled], [segment for segment in beaten if len(segment)])


WITH_COLUMNS = frozenset(("phone", "resident_id", "card", "email", "uscc", "iban"))
"""Kinds that a detector or a gate of this module finds."""
AROUND = 80
"""Bytes read on either side of a gate."""
CONTINUES = 0xC0
"""Mask of the bits that identify a UTF-8 continuation byte."""
SHORTEST_ABROAD, LONGEST_CODE = 7, 5
"""Digits of a number in one piece; digits of 00 and a calling code that a separator follows."""
BRACKETS = b"()"
WIDEST_LABEL = 4 * (LONGEST_LABEL + 1)
"""Bytes of a domain label in any script, and of a dot."""
GROUP = 4
"""Digits of a group within a card or a mobile number that 00 may begin."""
EIGHT, SIX = 56, 54
NOT_ASCII = 0x80
FOURS = np.uint64(sum(1 << place for place in range(4, 64, 5)))
"""Places of the separators between groups of four."""


def find_by_pattern(batch: Batch, classes: Classes, strange_at: Places) -> list[Segment]:
    """Find the candidates of all rare kinds by their own pattern.

    `strange_at` are the at signs before domains that are not plain ASCII.
    """
    gates = [(kinds()["email"], _before_dot(batch, strange_at))]
    if classes.digit.any():
        gates += [
            (kinds()["iban"], _find_iban_gates(batch, classes)),
            (iban.SPACED, _find_spaced_iban_gates(batch, classes)),
            (FROM_ABROAD, _find_abroad_gates(batch, classes)),
        ]
    size = len(batch.data)
    segments = [
        _columns(batch, kind, stretches(gate - AROUND, gate + AROUND, size, apart=0), gate)
        for kind, gate in gates
        if len(gate)
    ]
    whole = list(zip((batch.starts - 1).tolist(), (batch.ends + 1).tolist(), strict=True))
    # kinds of newly added files
    slow = (kind for name, kind in kinds().items() if name not in WITH_COLUMNS and not kind.labels)
    segments += [_columns(batch, kind, whole) for kind in slow]
    return [segment for segment in segments if len(segment)]


@cache
def _lengths() -> npt.NDArray[np.uint8]:
    """Return the length of IBANs by country: u8[65536].

    The index is two lower-case letters; 0 means that they are no country.
    """
    table = np.zeros(1 << 16, np.uint8)
    for country, length in iban.LENGTHS.items():
        table[int.from_bytes(country.lower().encode(), "little")] = length
    return table


def _keep_countries(batch: Batch, gate: Places) -> tuple[Places, npt.NDArray[np.uint8]]:
    """Return the gates at a country with IBANs, and the length of an IBAN of each: u8[n]."""
    countries = batch.windows(gate, 8)[:, :2] | np.uint8(CASE)
    length = _lengths().take(np.ascontiguousarray(countries).view("<u2")[:, 0])
    return gate[length > 0], length[length > 0]


def _find_iban_gates(batch: Batch, classes: Classes) -> Places:
    """Find where an IBAN may begin: two letters of a country and two digits.

    Nothing is glued before. The characters behind must reach the country's length in one piece, or
    be in groups of four.
    """
    letter = classes.letter
    gate = places(
        letter & shift_back(letter, 1) & shift_back(classes.digits.find_starts(2), 2) & classes.free
    )
    gate, full = _keep_countries(batch, gate)
    length = lowest(~windows(classes.word, gate))
    fours = (length < full) & (length % 4 == 0) & is_separator(batch.data.take(gate + length))
    begins: Places = gate[fours | (length == full)]
    return begins


def _find_spaced_iban_gates(batch: Batch, classes: Classes) -> Places:
    """Find where an IBAN in groups of any length may begin.

    It has a country in capitals, two digits, and single signs up to the length that the country
    requires. What is in one piece, or in fours, is left to `_find_iban_gates`.
    """
    two = classes.letter & shift_back(classes.letter, 1) & classes.free
    apart = ~shift_back(classes.word, 2) & shift_back(classes.digits.find_starts(2), 3)
    gate = places(two & (apart | shift_back(classes.digits.find_starts(2), 2)))
    gate = gate[(batch.data.take(gate) | batch.data.take(gate + 1)) & np.uint8(CASE) == 0]
    gate, full = _keep_countries(batch, gate)
    word_bits = windows(classes.word, gate)
    inside = under(lowest(~word_bits & ~(word_bits >> ONE)))
    long = (np.bitwise_count(word_bits & inside) >= full) & (lowest(~word_bits) < full)
    # which `_find_iban_gates` sees
    usual = ((word_bits ^ ~FOURS) & under(full.astype(np.int64) + (full - 1) // 4)) == 0
    usual &= is_space_or_dash(batch.data.take(gate + 4))
    begins: Places = gate[
        long
        & ~usual
        & (np.bitwise_count(windows(classes.digit, gate) & inside) >= iban.FEWEST_DIGITS)
    ]
    return begins


def _find_abroad_gates(batch: Batch, classes: Classes) -> Places:
    """Find digits behind a plus sign, or behind 00 with nothing glued before.

    They are not +86, and are long enough or in groups.
    """
    data, digit, zero = batch.data, classes.digit, classes.zero
    signed = places(digit & shift_forward(classes.plus, 1))
    signed = signed[(data[signed] != EIGHT) | (data[signed + 1] != SIX)]
    zeros = places(zero & shift_back(zero, 1) & ~shift_forward(digit, 1))
    zeros = zeros[is_digit(data.take(zeros + 2)) & (data.take(zeros + 2) != ZERO)]
    free = ~is_word(data.take(zeros - 1))
    free[~free] = are_behind_word(batch, zeros[~free])
    zeros = zeros[free]
    begin = np.sort(np.concatenate((signed, zeros)))
    length = lowest(~windows(classes.digit, begin))
    alone = ~is_word(data.take(begin + length))  # not the beginning of a digest
    alone[~alone] = are_before_word(batch, (begin + length)[~alone])
    begin, length = begin[alone], length[alone]
    before = data.take(begin - 1)
    # as `phone.ZEROS` has it
    inner = is_digit(data.take(begin - 2)) & ((before == SPACE) | (before == DASH))
    inner &= (length == GROUP) | (data.take(begin - GROUP - 2) == before)
    abroad: Places = begin[
        (length >= SHORTEST_ABROAD)
        | ((length <= LONGEST_CODE) & ~inner & _goes_on(data, digit, begin))
    ]
    return abroad


def _goes_on(data: Bytes, digit: Words, begin: Places) -> Flags:
    """Return which digits continue to a number's fewest digits, or have a bracket: bool[n].

    One sign may stand between two groups. Numbers with a bracket are not examined further.
    """
    digit_bits = windows(digit, begin)
    stop = lowest(~digit_bits & ~(digit_bits >> ONE))
    bracket = is_one_of(data.take(begin + stop), BRACKETS) | is_one_of(
        data.take(begin + stop + 1), BRACKETS
    )
    return np.asarray(bracket | (np.bitwise_count(digit_bits & under(stop)) >= SHORTEST_ABROAD))


def _before_dot(batch: Batch, at: Places) -> Places:
    """Select the at signs with a dot close behind, where the first label may end."""
    if not len(at):
        return at
    dots = np.append(np.flatnonzero(batch.data == DOT), len(batch.data) + WIDEST_LABEL)
    return at[dots.take(np.searchsorted(dots, at)) - at <= WIDEST_LABEL]


def _columns(
    batch: Batch, kind: Kind, parts: Iterable[tuple[int, int]], gate: Places | None = None
) -> Segment:
    """Find the candidates of `kind` in `parts` of the buffer, valid or not.

    With `gate`, only candidates that contain one of these places are returned.
    """
    numbers, normals = dict[str, int](), list[str]()
    shapes = [_read(batch, kind, first, last, numbers, normals) for first, last in parts]
    start, end, number = np.concatenate([np.empty((0, 3), np.int64), *shapes]).T
    bodies = [normal.encode() for normal in normals] or [b""]
    width = -(-max(map(len, bodies)) // 8) * 8
    table = (
        np.array(bodies, f"S{max(8, width)}")
        .view(np.uint8)
        .reshape(len(bodies), -1)
        .take(number, 0)
    )
    length = np.array([*map(len, bodies)], np.int64).take(number)
    valid = np.ones(len(number), bool)
    if kind.check is not no_check:
        valid = np.array([*map(kind.check, normals), False], bool).take(number)
    all_ = Segment(kind.name, "plain", start, end, table, length, valid)
    return (
        all_
        if gate is None
        else all_.select(np.searchsorted(gate, start) < np.searchsorted(gate, end))
    )


def _read(
    batch: Batch, kind: Kind, first: int, last: int, numbers: dict[str, int], normals: list[str]
) -> Places:
    """Find the shapes of a kind in one stretch: i64[n, 3].

    The columns are start and end, as bytes of the buffer, and the number of the normal form.
    `numbers` and `normals` are those of `Kind.columns`. A shape that touches the edge of the
    stretch is cut off and is left out.
    """
    while batch.data[first] & CONTINUES == NOT_ASCII:
        first -= 1
    while batch.data[last] & CONTINUES == NOT_ASCII:
        last += 1
    raw = batch.data[first:last]
    text = raw.tobytes().decode("utf-8", "surrogatepass")
    if kind.glued:
        text = without_glued_words(text)
    shapes: Places = np.stack(
        [np.frombuffer(column, np.int64) for column in kind.columns(text, numbers, normals)], 1
    )
    shapes = shapes[(shapes[:, 0] > 0) & (shapes[:, 1] < len(text))]
    if len(text) < len(raw):  # where each character begins
        shapes[:, :2] = np.flatnonzero(raw & CONTINUES != NOT_ASCII)[shapes[:, :2]]
    shapes[:, :2] += first
    return shapes
