"""Tell which field a word names: a header cell, a word before a value, or the start of a line.

The words are data: the `headers` of each identifier kind, `labels.tsv` for other fields, and
`label_stems.tsv` for words that are made of parts (`label_of`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from importlib import resources

from matcher.text.fold import list_scripts
from ullage.identifiers import kinds
from ullage.vocabulary.fields import FieldLabel

UNIT = r"(?:\([^()]{1,8}+\)|\[[^\[\]]{1,8}+\]|【[^【】]{1,8}+】)"
VALUE_AFTER = re.compile(
    rf"[\s{{\[]*+[\"'`【(]?\s*+([^:=\"'`\[\]【】(){{}},]{{1,24}}+){UNIT}?[\"'`\]】)]?\s*+[:=]\s*+(?=\S)"
)
"""A word before a sign and a value: `手机: …`, `"phone":…`, `【姓名】: …`, `金额(元): …`."""
UNIT_BEHIND = re.compile(rf"{UNIT}$|[/_](?:万?元|天|期|rmb|cny|usd)$")
"""The unit of a column: `申请金额(元)`, `逾期[天]`, `金额/万元`."""
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
SIGNS = re.compile(r"[\s_.\-]+")
"""Signs between the words of an English label.

`loan_amount`, `Loan Amount` and `loanAmount` are the same label.
"""
LONGEST_HAN, MOST_WORDS = 8, 4
"""Longest Chinese label in characters, and English one in words, that is split into parts."""
PERSONAL = frozenset(
    (
        FieldLabel.NAME,
        FieldLabel.PHONE,
        FieldLabel.ID,
        FieldLabel.CARD,
        FieldLabel.EMAIL,
        FieldLabel.ADDRESS,
        FieldLabel.PASSWORD,
        FieldLabel.EMPLOYER,
    )
)
"""Fields that the end of a composed label names: `还款卡号`, `borrower_phone`."""
HAN_ENDS = frozenset((FieldLabel.NAME, FieldLabel.PHONE))
"""Fields that a Chinese label names by its last word, whoever owns them: `投保人姓名`."""
NOBODYS, ENDINGS = "-", "+"
OWNERS = (
    "user customer cust client member owner holder insured applicant borrower patient buyer"
    " receiver consignee payer passenger student"
).split()
BEHIND_OWNER, HAN_OWNERS = "_-. ", ("客户", "用户", "会员")
WHOSE = re.compile(rf"(?:{'|'.join(OWNERS)})[{re.escape(BEHIND_OWNER)}]|{'|'.join(HAN_OWNERS)}")
"""The owner of a field: `user_phone`, `客户手机号`."""
RECORD_WORDS = frozenset(
    "url ur1 host hostname login user username login_name u53rn4m3 user_login soft software browser"
    " application storage".split()
)
"""Words of stealer logs that name no field of ours but belong to the record."""


@cache
def words() -> dict[str, FieldLabel]:
    """Return the label of each known word, in lower case."""
    of_kinds = {name: kind.field for kind in kinds().values() for name in kind.headers}
    return {
        name: FieldLabel(label) for label, names in _lines("labels.tsv") for name in names
    } | of_kinds


@cache
def stems() -> dict[str, tuple[str, ...]]:
    """Return the word parts of which field labels are made, by label, in both Chinese scripts.

    Words for fields that belong to nobody, and endings, have keys of their own.
    """
    return {
        label: tuple(form for name in names for form in list_scripts(name))
        for label, names in _lines("label_stems.tsv")
    }


def _lines(file: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the first cell of each line of a file, and a list of the remaining cells."""
    for line in (resources.files(__package__) / file).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            first, *cells = line.split("\t")
            yield first, cells


def label_of(cell: str) -> FieldLabel | None:
    """Return the field that a header cell names; None if the cell names none.

    Quotes, brackets and a unit around the name are ignored.

    >>> label_of(' 手机号 '), label_of('`user_phone`')
    (<FieldLabel.PHONE: 'PHONE'>, <FieldLabel.PHONE: 'PHONE'>)
    """
    text = cell.strip().strip("\"'`").strip()
    return _label(text.strip("[]()【】").strip()) or _label(UNIT_BEHIND.sub("", text).strip())


def labels_of(cells: Sequence[str]) -> tuple[FieldLabel | None, ...]:
    """Return the field that each cell of a header line names, None for a cell that names none.

    () if fewer than two cells name a field: then the line is not a header.
    """
    labels = tuple(label_of(cell) for cell in cells)
    return labels if sum(label is not None for label in labels) >= 2 else ()


def label_before(cell: str) -> tuple[FieldLabel, str] | None:
    """Return the field and the value of a cell such as `手机: …`.

    None if the text before the value is no known label.
    """
    match = VALUE_AFTER.match(cell)
    if match is None:
        return None
    label = _label(match.group(1).strip())
    return (label, cell[match.end() :]) if label else None


def block_label(beginning: str) -> str:
    """Return the field that a line of a record with one field per line names; "" for none.

    A word of RECORD_WORDS that names no field, such as `url`, is returned as `=url`. `beginning` is
    the start of the line and ends with the sign: `手机:`, `URL:`.
    """
    match = VALUE_AFTER.match(f"{beginning}x")
    if match is None:
        return ""
    word = match.group(1).strip()
    label, word = _label(word), word.lower()
    return str(label or (f"={word}" if word.replace(" ", "_") in RECORD_WORDS else ""))


@cache
def tails() -> frozenset[bytes]:
    """Return the last two bytes of every word that `block_label` may know, in either case.

    Most lines begin with none of them, so they are passed over cheaply.
    """
    owners = (owner + sign for owner in OWNERS for sign in BEHIND_OWNER)
    label_parts = (part for label, parts in stems().items() if label != NOBODYS for part in parts)
    known_words = (*_list_forms(), *RECORD_WORDS, *HAN_OWNERS, *owners, *label_parts)
    return frozenset(form.encode()[-2:] for word in known_words for form in (word, word.upper()))


@cache
def _list_forms() -> dict[str, FieldLabel]:
    """Return the label of every form of every word.

    Forms are traditional characters, and English words without the signs between their parts.
    """
    spelt = {form: label for word, label in words().items() for form in list_scripts(word)}
    return {**{SIGNS.sub("", word): label for word, label in spelt.items()}, **spelt}


@lru_cache(maxsize=4096)
def _label(word: str) -> FieldLabel | None:
    """Return the label of a word in any case, or None.

    The word may begin with the owner of the field.
    """
    parted = CAMEL.sub("_", word).lower()
    for form in dict.fromkeys(
        (low := word.lower(), WHOSE.sub("", parted, count=1), UNIT_BEHIND.sub("", low))
    ):
        if label := _list_forms().get(form) or _list_forms().get(SIGNS.sub("", form)):
            return label
    return _label_compound(word)


def _label_compound(word: str) -> FieldLabel | None:
    """Return the label of a word that is made of parts, or None."""
    parts = _parts(word)
    if not parts or any(part in parts for part in stems()[NOBODYS]):
        return None
    label = next(
        (
            label
            for label, label_parts in stems().items()
            if label in FieldLabel.__members__ and any(map(parts.__contains__, label_parts))
        ),
        None,
    )
    if label is None:
        return (
            None
            if word.isascii()
            else next(
                (
                    _list_forms()[end]
                    for end in (word[-2:], word[-3:])
                    if _list_forms().get(end) in HAN_ENDS
                ),
                None,
            )
        )
    ends = (_list_forms().get(word.lower()[at:]) for at in range(1, len(word)))
    return next((end for end in ends if end in PERSONAL), FieldLabel(label))


def _parts(word: str) -> Sequence[str]:
    """Split a Chinese word into characters, or an English one into words.

    Returns nothing for a word that is too long, or in neither language.
    """
    if word.isascii():
        words_ = tuple(CAMEL.sub("_", word).lower().replace("-", "_").replace(" ", "_").split("_"))
        return words_ if len(words_) <= MOST_WORDS else ()
    return word if len(word) <= LONGEST_HAN and word.isalpha() else ""
