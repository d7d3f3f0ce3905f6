"""What is enrolled of a column of values, in which normal form, and under which key it is tagged.

A column is normalised at once where its cells are written as they should be, and one by one where not. Where a cell is called
clean, `kinds()[kind].normalise` gives the cell itself, and its checksum holds: the finders of `matcher.detect` say so, by
the rules that they search texts with. What they doubt goes the slow way.

A value is enrolled in the forms of `ullage.lookup.values`, many at a time, and masked: `138****8000`,
`4403**********1234`, `440301********1234`. One of a million customers has almost any masked phone number, so masks only
corroborate. There is none of cards: a card's tag must never lie beside its first or last digits (PCI DSS 3.5.1).

One key per (purpose, tenant, kind, form) under an epoch's random key; purposes `match` and `index` never meet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Bytes, Places, Texts, concatenate, hexed
from matcher.detect.email import are_normal_addresses
from matcher.detect.number_rules import are_normal_cards, are_normal_ids, are_normal_phones
from matcher.detect.numbers import WIDTH
from ullage.identifiers import kinds
from ullage.identifiers.email import strip_plus
from ullage.identifiers.masked_value import FORM as MASKED
from ullage.identifiers.masked_value import KEPT
from ullage.lookup.values import DIGESTED, DIGESTS, DOMESTIC, PLAIN, WHOLE, prefixes
from ullage.security.cmac import TAG_BYTES, derive_key
from ullage.security.keys import KeyStore, check_value, epochs
from ullage.security.tags import Tagger, Tags

CHOICES = {"none": (), "phone": ("phone",), "all": DIGESTED}
"""What `--digests` may say."""
CHECK_VALUE = b"ullage key check"
SELF_TEST = ("self-test", "plain", "ullage self-test")
"""Kind, form and value of the self-test entry; nothing in a text is of that kind."""
SELF_TEST_HANDLE = b"\xff" * TAG_BYTES
"""The handle of its customer, who is nobody: the last of all, so that customers are numbered as if it were not there."""


class FormValues(NamedTuple):
    """Values of one form: `rows` says which value of the column each comes from."""

    form: str
    rows: npt.NDArray[np.int64]
    texts: Texts


def normal_name(text: str) -> str:
    """A name without spaces, in lower case; only ever corroborates."""
    return "".join(text.split()).lower()


def entries_of(kind: str, digested: bool) -> int:
    """How many entries one value makes; a plus-tag makes more."""
    digests = sum(map(len, DIGESTS.values())) * len(prefixes(kind)) if digested else 0
    return 1 + digests + len(KEPT.get(kind, ()))


def enrolled(kind: str, texts: Texts, digested: bool) -> Iterator[FormValues]:
    """Every form of a column's normal values, if it has any."""
    if not len(texts):
        return
    rows = np.arange(len(texts), dtype=np.int64)
    yield FormValues(PLAIN, rows, texts)
    if kind == "email" and len(tagged := np.flatnonzero((texts.table == ord("+")).any(axis=1))):
        bare = Texts.of([strip_plus(text).encode() for text in texts.take(tagged).strings()])
        yield FormValues(PLAIN, tagged, bare)
        if digested:
            yield from (FormValues(e.form, tagged[e.rows], e.texts) for e in _digests(kind, bare))
    if digested:
        yield from _digests(kind, texts)
    whole = _domestic(kind, texts)
    if len(whole):
        for head, tail in KEPT.get(kind, ()):
            yield FormValues(MASKED, whole, _masked(texts.take(whole), head, tail))


def _digests(kind: str, texts: Texts) -> Iterator[FormValues]:
    """Digests of the values, and of domestic phone numbers with each prefix."""
    for prefix in prefixes(kind):
        rows = _domestic(kind, texts) if prefix else np.arange(len(texts), dtype=np.int64)
        written = [prefix.encode() + value for value in texts.take(rows).messages()]
        if not written:
            continue
        for form, parts in DIGESTS.items():
            digest = getattr(hashlib, form)
            raw = b"".join([digest(value, usedforsecurity=False).digest() for value in written])
            text = hexed(np.frombuffer(raw, np.uint8).reshape(len(rows), -1))
            for part in parts:
                yield FormValues(form, rows, Texts.whole(text if part is WHOLE else np.ascontiguousarray(text[:, part])))


def _domestic(kind: str, texts: Texts) -> npt.NDArray[np.int64]:
    """Which values are of the length that is masked and digested with prefixes; a number from abroad begins with `+`."""
    return np.flatnonzero((texts.lengths == DOMESTIC.get(kind, 0)) & (texts.table[:, 0] != ord("+")))


def _masked(texts: Texts, head: int, tail: int) -> Texts:
    """The values, which are all as long, with stars between the first `head` and the last `tail` characters."""
    length = int(texts.lengths[0])
    table = texts.table[:, :length].copy()
    table[:, head : length - tail] = ord("*")
    return Texts(table, texts.lengths)


class TagKeys:
    """The taggers of one tenant, purpose and epoch, made as they are needed."""

    def __init__(self, keys: KeyStore, tenant: str, purpose: str, epoch: int) -> None:
        name = f"{tenant}/{purpose}-{epoch}.key"
        self._key = keys.read(name)
        self.noted = (name, check_value(self._key, name))
        """The key's name and check value."""
        self._tenant, self._purpose = tenant, purpose
        self._taggers: dict[tuple[str, str], Tagger] = {}

    def tagger(self, kind: str, form: str) -> Tagger:
        """The tagger of one kind and form."""
        if (kind, form) not in self._taggers:
            key = derive_key(self._key, self._purpose, self._tenant, kind, form)
            self._taggers[kind, form] = Tagger(key)
        return self._taggers[kind, form]

    def tag(self, kinds: Sequence[str], forms: Sequence[str], values: Sequence[str]) -> Tags:
        """Tags of `values`, each as the kind and form beside it: shape (n, 16), one AES batch a (kind, form)."""
        out = np.empty((len(values), TAG_BYTES), np.uint8)
        groups: dict[tuple[str, str], list[int]] = {}
        for place, pair in enumerate(zip(kinds, forms, strict=True)):
            groups.setdefault(pair, []).append(place)
        for (kind, form), places in groups.items():
            out[places] = self.tagger(kind, form).tag([values[i].encode() for i in places])
        return out

    def noting_key(self) -> bytes:
        """32 bytes under which this host notes what it erased in a file that it cannot sign."""
        return derive_key(self._key, "amended", self._tenant)

    def self_test(self) -> Tags:
        """The tag (1, 16) of the self-test entry."""
        kind, form, value = SELF_TEST
        return self.tagger(kind, form).tag([value.encode()])

    def check_value(self) -> str:
        """Hex of a fixed message's tag: tells two keys apart without telling either."""
        return self.tagger("check", "plain").one(CHECK_VALUE)[:8].hex()


class HandleKey:
    """Makes handles of customer references, under a key that only the building host has."""

    def __init__(self, keys: KeyStore, tenant: str) -> None:
        key = keys.read(f"{tenant}/handle.key")
        self._tagger = Tagger(derive_key(key, "handle", tenant))
        self._lots = Tagger(derive_key(key, "witness", tenant))

    def tags(self, references: Texts) -> Tags:
        """The handles (n, 16) of references."""
        return self._tagger.tag_rows(references.table, references.lengths)

    def chosen(self, references: Texts, share: float) -> npt.NDArray[np.bool_]:
        """Which customers are of a random `share` of all, 0 to 1: bool[n]. The key decides, so it is the same at each load."""
        lots = self._lots.tag_rows(references.table, references.lengths)[:, :8].copy().view(">u8").ravel()
        below: npt.NDArray[np.bool_] = lots < np.uint64(int(share * (1 << 64)))
        return below


def check_values_of(keys: KeyStore, tenant: str) -> tuple[tuple[str, str], ...]:
    """(name, check value) of the tenant's keys besides that of the epoch on which the use of a list depends.

    These are the newest key of index tags, and the key of handles.
    """
    index = [f"{tenant}/index-{number}.key" for number in epochs(keys, tenant, "index")[-1:]]
    return tuple((name, check_value(keys.read(name), name)) for name in (*index, f"{tenant}/handle.key"))


def handles(keys: KeyStore, tenant: str, references: Iterable[str]) -> Tags:
    """Handles of customer references: shape (n, 16)."""
    return HandleKey(keys, tenant).tags(Texts.of([reference.encode() for reference in references]))


Flags = npt.NDArray[np.bool_]
NO_SHAPE, NO_CHECKSUM, TOO_LONG = "has no such shape", "fails its checksum", "is too long"
LONGEST = 64
"""Bytes of a cell that may be clean."""


def normalised(kind: str, cells: Texts) -> tuple[Places, Texts, dict[int, str]]:
    """(rows that hold a value, their normal forms, what is wrong by row); blank cells are neither."""
    clean = _clean(kind, cells)
    long = cells.too_long()
    good = np.flatnonzero(clean & ~long)
    others = np.flatnonzero(~clean & ~long & (cells.lengths > 0))
    faults = dict.fromkeys(np.flatnonzero(long).tolist(), TOO_LONG)
    if not len(others):
        return good, cells.take(good), faults
    rows, normals = [], []
    for row, text in zip(others.tolist(), cells.take(others).strings(), strict=True):
        if text.strip():
            normal, fault = normalised_one(kind, text)
            if fault:
                faults[row] = fault
            else:
                rows.append(row)
                normals.append(normal.encode())
    if not rows:
        return good, cells.take(good), faults
    return np.concatenate((good, np.array(rows, np.int64))), concatenate((cells.take(good), Texts.of(normals))), faults


def normalised_one(kind: str, text: str) -> tuple[str, str]:
    """(normal form, ""), or ("", what is wrong). An ID whose checksum fails cannot be asked for: a typing error in the list.

    A card that fails Luhn is enrolled: some issuers give them out.
    """
    known = kinds().get(kind)
    normal = known.normalise(text) if known else normal_name(text)
    if not normal:
        return "", NO_SHAPE
    if known and kind != "card" and not known.check(normal):
        return "", NO_CHECKSUM
    return normal, ""


def _clean(kind: str, cells: Texts) -> Flags:
    """Which cells are in their normal form already, as far as `TESTS` can say."""
    test = TESTS.get(kind)
    if test is None or not len(cells):
        return np.zeros(len(cells), bool)
    width = min(cells.table.shape[1], LONGEST)
    text = np.zeros((len(cells), max(WIDTH, -(-width // 8) * 8)), np.uint8)
    text[:, :width] = cells.table[:, :width]
    return test(text, cells.lengths) & (cells.lengths <= LONGEST)


def _are_han(text: Bytes, lengths: Places) -> Flags:
    """Names wholly of Chinese characters, three bytes each, the first E4 to E9 (U+4000 to U+9FFF)."""
    clean: Flags = (lengths > 0) & (lengths % 3 == 0)
    for place in range(0, text.shape[1], 3):
        clean &= (lengths <= place) | ((text[:, place] - np.uint8(0xE4)) < 6)
    return clean


TESTS: dict[str, Callable[[Bytes, Places], Flags]] = {
    "phone": are_normal_phones,
    "resident_id": are_normal_ids,
    "card": are_normal_cards,
    "email": are_normal_addresses,
    "name": _are_han,
}
"""What tells of cells, u8[n, width] and their lengths, which are normal: it may doubt too much, never too little."""


def clean_references(cells: Texts) -> tuple[Texts, dict[int, str]]:
    """Customer references without spaces around them, and what is wrong with those that belong to nobody, by row."""
    long = cells.too_long()
    visible = (cells.table > 0x20) & (cells.table < 0x7F)
    doubtful = np.flatnonzero(~(visible | ~cells.within()).all(axis=1) | (cells.lengths == 0) | long)
    if not len(doubtful):
        return cells, {}
    faults, stripped = {}, {}
    for row, text in zip(doubtful.tolist(), cells.take(doubtful).strings(), strict=True):
        reference = text.strip()
        if long[row]:
            faults[row] = TOO_LONG
        elif not reference:
            faults[row] = "is empty"
        elif not reference.isprintable():
            faults[row] = "holds a control character"
        elif reference != text:
            stripped[row] = reference.encode()
    if not stripped:
        return cells, faults
    messages = cells.messages()
    for row, reference_bytes in stripped.items():
        messages[row] = reference_bytes
    return Texts.of(messages), faults
