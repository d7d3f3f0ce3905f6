"""Classify cells by their own text, without header, label or column.

Such cells are `借款8万`, `已放款`, a name, a password. Rows are cut into cells together, in
columns, and each cell gets the number of its `Content`: everything that its text shows without its
column. Most cells are classified by their bytes alone (an identifier, nothing, digits, a name in
Han characters); of the remaining ones, each distinct cell is read one time. Rows that are written
alike and have equal contents share one `RowShape`, and what its cells are in their columns is
decided one time per shape (`reader`).

The words are in `values.tsv`. Only whole cells count, so that a word in prose proves nothing, and
none counts beside words of an offer (`最高20万，咨询…`). The rules for passwords are our own, from
published descriptions of such lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Bytes, Flags, Places
from matcher.detect.labels import label_before, label_of, words
from matcher.records.table import (
    HIDDEN,
    MARK,
    MARK_BYTES,
    NUMBER,
    OPEN,
    MarkedText,
    Numbers,
    Seen,
    decode_marked,
    find_borders,
    mark,
)
from matcher.text.fold import list_scripts
from ullage.regex import compile_later
from ullage.vocabulary.fields import SURNAMES, FieldLabel

LONGEST = 32
"""Characters of a cell that may be classified by its words."""
LONGEST_OFFER = 1024
"""Characters of a line that are searched for words of an offer."""
AMOUNTS = frozenset((FieldLabel.LOAN, FieldLabel.BALANCE))
"""Fields that are amounts: a word for one stands before or behind a number."""
_DIGITS = (
    r"(?:[¥$]?[0-9][0-9,]{0,14}(?:\.[0-9]{1,4})?"
    r"|[一二两三四五六七八九十百千]{1,5}(?=[十百千万亿元块]))"
)
AMOUNT = (
    rf"{_DIGITS}\s?(?:[十百千万亿]{{1,2}}|w|k)?\s?"
    r"(?:人民币|港币|元|块|rmb|cny|hkd|usd|天|期|个月|days?)?(?:整|左右)?"
)
_WORD = r"([\u4e00-\u9fff]{1,8}?|[A-Za-z][A-Za-z_ ]{2,24}?)"
BEFORE = compile_later(
    rf"{_WORD}(?:[为是约共了]|人民币)?[\s:=]{{0,2}}{AMOUNT}([\u4e00-\u9fff]{{0,4}})", re.IGNORECASE
)
"""Word, amount, and perhaps a status.

`借款8万`, `申请金额为50000元`, `借8万未还`, `Loan amount 5,000`.
"""
BEHIND = compile_later(rf"{AMOUNT}(?:的)?([\u4e00-\u9fff]{{2,8}})", re.IGNORECASE)
"""`8万借款`, `3000元未还`."""
_FROM, _TO = r"[0-9][0-9.,]*+\s?[十百千万亿元%期天kw]{0,3}\s?[-~至到]\s?", r"[0-9]"
TERMS = compile_later(
    rf"(?:最高|最低|up to|{_FROM}{_TO})(?!.*(?:20[0-9]{{2}}|[0-9]:))|[0-9万千元]起", re.IGNORECASE
)
"""Terms of a product, which are nobody's amount: `1-50万`, `最高20万`, `3-36期`, `1万起`.

Dates and times with hyphens are none.
"""
CODE_SENT = compile_later(
    r"(?:验证码|驗證碼|校验码|动态密?码|短信码|(?<![a-z])otp|verification code)[^0-9，。"
    r",;；]{0,8}[0-9]{4,8}(?![0-9])"
    r"|(?<![0-9])[0-9]{4,8}\s?(?:\(|是|为|is)?(?:您的|你的|your)?[^0-9，。"
    r",;；]{0,12}(?:验证码|驗證碼|校验码|verification code)",
    re.IGNORECASE,
)
"""A one-time code in a message, which is prose: `您的验证码是123456,5分钟内有效`."""
LONGEST_MESSAGE = 256
"""Characters of a cell that are searched for such a code."""
DATED = re.compile(r"(?<![0-9])(?:19|20)[0-9]{2}\s?[\-/.]\s?[0-9]{1,2}(?![0-9])")
"""A day or a month, whose hyphens are not those of a range."""
OTHER, OFFERS, GLUED, PASSWORDS = str(FieldLabel.OTHER), "-", "+", f"*{FieldLabel.PASSWORD}"


@cache
def _data() -> dict[str, frozenset[str]]:
    """Return the words by the first cell of their line, in both scripts."""
    lines = (resources.files(__package__) / "values.tsv").read_text(encoding="utf-8").splitlines()
    parted = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {
        first: frozenset(form for word in words for form in list_scripts(word))
        for first, *words in parted
    }


@cache
def whole_values() -> dict[str, FieldLabel]:
    """Return the values that are whole cells, with their field."""
    return {
        word: FieldLabel(label)
        for label, words in _data().items()
        if label in FieldLabel.__members__
        for word in words
    }


@cache
def _offer() -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(_data()[OFFERS]))), re.IGNORECASE)


def is_offer(text: str) -> bool:
    """Return whether `text` offers something to everybody, so that its amounts belong to nobody.

    Only the beginning of the text is read.

    >>> is_offer('贷款额度最高20万,咨询13800138000'), is_offer('张某,借款8万')
    (True, False)
    """
    return _offer().search(text[:LONGEST_OFFER]) is not None


def is_terms(value: str) -> bool:
    """Return whether a value behind a label gives the terms of a product, not somebody's amount.

    >>> is_terms('1-50万'), is_terms('最高20万'), is_terms('50000'), is_terms('2024-01-02')
    (True, True, False, False)
    """
    return _has_terms(value[:LONGEST]) or is_offer(value)


def field_of(value: str) -> FieldLabel | None:
    """Return the field that a whole value shows by itself; OTHER for a tag, None for no field.

    >>> [field_of(cell) and field_of(cell).value for cell in ('借款8万', '已放款', '8万', '高净值')]
    ['LOAN', 'LOAN', None, 'OTHER']
    >>> field_of('【某银行】您的验证码是123456'), field_of('验证码登录')
    (<FieldLabel.OTP: 'OTP'>, None)
    """
    if value and CODE_SENT.search(value[:LONGEST_MESSAGE]):
        return FieldLabel.OTP
    if not value or len(value) > LONGEST:
        return None
    exact = whole_values().get(value.lower())
    if exact:
        return exact
    # words behind an amount are Chinese
    for pattern in (BEFORE,) if value.isascii() else (BEFORE, BEHIND):
        match = pattern.fullmatch(value)
        if match and not _has_terms(value) and (label := _amount(match[1])):
            return label
    return None


def _has_terms(value: str) -> bool:
    return TERMS.search(value) is not None and not DATED.search(value)


def is_tag(value: str) -> bool:
    """Return whether a value is a tag for a group of customers that looks like a name.

    >>> is_tag('高净值'), is_tag('白领女性'), is_tag('高某')
    (True, True, False)
    """
    return value.startswith(_tags())


@cache
def _tags() -> tuple[str, ...]:
    return tuple(_data()[OTHER])


def _amount(word: str) -> FieldLabel | None:
    """Return the field that a word before or behind an amount names."""
    text = word.strip()
    for label in AMOUNTS:
        if text.lower() in _data().get(f"{GLUED}{label}", ()):
            return label
    named = label_of(text)
    return named if named in AMOUNTS else None


SHORTEST_MADE = 6
POSSIBLE = re.compile(r"[!-~]{4,64}")
_LETTER, _DIGIT, _SIGN = (
    "(?=[^A-Za-z]*[A-Za-z])",
    "(?=[^0-9]*[0-9])",
    "(?=[^!@#$%^&*?+~]*[!@#$%^&*?+~])",
)
MADE = re.compile(f"{_LETTER}(?:{_DIGIT}|{_SIGN})|{_DIGIT}{_SIGN}")
"""Letters with digits or signs, or digits with signs."""
SOMETHING_ELSE = compile_later(
    # dates, times, ranges, ratios, addresses of machines
    r"[0-9]{1,4}[-/.:xX~][0-9]{1,4}(?:[-/.:~][0-9:.\-/~T]{0,32})?"
    r"|[-+]?[$][0-9.,]{1,16}|[-+]?[0-9][0-9,]{0,15}(?:\.[0-9]{1,4})?"
    # amounts with their unit
    r"(?:%|[wkmxhsd]|[kmgt]b|rmb|cny|usdt?|hkd|days?|hours?|min|months?|years?|yuan|km|kg|px|pcs)"
    r"|[Vv]?[0-9]+(?:\.[0-9]+){1,3}\S{0,16}"  # versions
    r"|[A-Z]{1,5}[-_]?[0-9]{8,24}"  # numbers of orders and waybills
    r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?:[a-z][a-z0-9+.]{1,9}:)?//\S{1,64}|www\.\S{1,64}|/\S{1,64}"
    r"|[A-Za-z0-9._\-]{1,32}/[A-Za-z0-9._/\-]{1,32}"
    r"|(?:[A-Za-z0-9_\-]{1,32}\.){1,4}(?:com|cn|net|org|io|top|xyz|cc|hk|tw|gov|edu"
    r"|vip|info|html?|php|jpe?g|png|gif|txt|csv|xlsx?|pdf|zip|rar|sql|apk|exe)(?:[:/?]\S{0,64})?"
    r"|(?i:iphone|ipad|redmi|huawei|honor|oppo|vivo|xiaomi|samsung|galaxy|android|windows"
    r"|chrome|sm-|ios)\S{0,24}"
    r"|[A-Za-z_]{2,16}=\S{0,48}|wxid_\S{1,32}|@\S{1,32}|[{\[<(].{0,64}"
)
"""Values of such characters that are more likely something else than a password."""


def is_possible(value: str) -> bool:
    """Return whether a value may be a password.

    >>> is_possible('abc123'), is_possible('123456'), is_possible('张三')
    (True, True, False)
    >>> is_possible('2024-01-02'), is_possible('12:30')
    (False, False)
    """
    return value.lower() in _data()[PASSWORDS] or (
        POSSIBLE.fullmatch(value) is not None and not SOMETHING_ELSE.fullmatch(value)
    )


def is_made(value: str) -> bool:
    """Return whether a value has the form of a password: a common one, or mixed characters.

    Behind a login, such a value is evidence of a password.

    >>> is_made('abc123'), is_made('p@ssword'), is_made('123456')
    (True, True, True)
    >>> is_made('beijing'), is_made('50000')
    (False, False)
    """
    return value.lower() in _data()[PASSWORDS] or (
        len(value) >= SHORTEST_MADE and MADE.match(value) is not None
    )


def is_secret(value: str) -> bool:
    """Return whether a value behind a login is a password, even if no other row confirms it."""
    return is_made(value) and is_possible(value)


NAME = compile_later(rf"[{SURNAMES}][\u4e00-\u9fff某*]{{1,3}}|[A-Z][a-z]+(?: [A-Z][a-z]+){{1,2}}")
NOT_NAMES = re.compile(r"[省市区县路街号村镇银行卡公司数据客户余额]")
HAN_BYTES = 3
"""Bytes of a Han character in UTF-8."""


def is_name(text: str) -> bool:
    """Return whether a whole cell looks like a name.

    >>> is_name('张某'), is_name('张家口市')
    (True, False)
    """
    return NAME.fullmatch(text) is not None and not NOT_NAMES.search(text)


def names_in(text: str) -> list[str]:
    """Return the first two personal names in the text of a cell.

    The text must have no numbers: they are replaced by marks before.
    """
    return [m.group() for m in NAME.finditer(text) if not NOT_NAMES.search(m.group())][:2]


AROUND = " \t\n\"'`()[]{};"
"""What may surround a value in its cell."""
BETWEEN = AROUND + ",.:|-。、"
"""What may stand between a number and the other text of its cell."""
EMPTY = frozenset(("", "null", "none", "nil", "\\n", "-"))
DIGIT, CODE = re.compile("[0-9]"), re.compile("[0-9]{3,4}")
SECRET = re.compile(r"(?=[!-~]*[0-9])[!-~]{4,32}")
"""The text behind a word for a password; no word of prose matches."""
PASSWORD = re.compile(r"(?=.*[^\d])[\x21-\x7e]{4,64}")
BEHIND_LOGIN = re.compile(r"\s?(:|-{2,8}|\|)\s?(\S{4,64})")
PASSWORD_BEHIND = b":"
"""The sign between an address and a password, where it never follows a label."""
LONGEST_TITLE = 48
"""Characters of a cell that may be a word for the value in the next one."""
NO_DIGIT, NO_NAME = 1, 2
"""Flags of a byte: its cell is not all digits, or not a name in Han characters."""
HAN, LEADS = (0x4E00, 0xA000), (0xE4, 0xEA)
"""Code points of Han characters, and their first bytes in UTF-8."""
SHORTEST_NAME, LONGEST_NAME = 2 * HAN_BYTES, 4 * HAN_BYTES
MOST_DIGITS = 33
"""Longer runs of digits are treated as equal."""


class Content(NamedTuple):
    """What the text of one cell shows by itself.

    `candidates` are its identifiers. A `label` may precede its value, as in `手机: …`; a cell that
    `is_labelled` without a label has the terms of a product there. `around` are the labels of the
    text around its identifiers, and `sign` separates a login from a password behind it. `words` is
    the field that the value shows, `title` the one that it announces for the next cell;
    `is_digits`, `is_code` and `is_secret` are what such a next cell may be.
    """

    candidates: tuple[Seen, ...] = ()
    is_labelled: bool = False
    label: FieldLabel | None = None
    is_empty: bool = False
    is_name: bool = False
    around: frozenset[str] = frozenset()
    sign: str = ""
    words: FieldLabel | None = None
    title: FieldLabel | None = None
    is_digits: bool = False
    is_code: bool = False
    is_secret: bool = False
    is_password: bool = False
    """Whether it may be the password behind an address and a colon."""


@dataclass(frozen=True, eq=False)
class RowShape:
    """Rows that are written in one `style` and whose cells have these contents."""

    style: int
    contents: tuple[Content, ...]

    @cached_property
    def words(self) -> tuple[FieldLabel | None, ...]:
        """The field of each cell by its own words or by those in the cell before; None if unknown.

        An example of the latter is `借款金额 50000`.
        """
        titles = (None, *(content.title for content in self.contents[:-1]))
        return tuple(
            [_words(content, title) for content, title in zip(self.contents, titles, strict=True)]
        )

    @cached_property
    def has_words(self) -> bool:
        """Whether the words of any cell show which field it is."""
        return any(self.words)


def _words(content: Content, title: FieldLabel | None) -> FieldLabel | None:
    field = content.words
    if field is None and title is not None:
        is_titled = (
            content.is_digits
            if title in AMOUNTS
            else content.is_code
            if title is FieldLabel.CVV
            else content.is_secret
        )
        field = title if is_titled else None
    return None if field is FieldLabel.OTHER else field


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of some rows.

    They are the bytes [start, end) of `data`; `content` (i64[n]) is the number of each cell's
    content. `borders` are the first cell of each row, and the end of the last. `is_han` (bool[n])
    marks names in Han characters, whose bytes are those of the name alone.
    """

    data: Bytes
    start: Places
    end: Places
    content: Numbers
    is_han: Flags
    borders: Numbers
    separator: bytes

    def value(self, cell: int) -> str:
        """Return the text of a cell, stripped.

        NUMBER replaces candidates, HIDDEN separators inside quotes.
        """
        return self._text(int(self.start[cell]), int(self.end[cell])).strip(AROUND)

    def text(self, row: int) -> str:
        """Return the text of one row, in which a mark replaces each candidate value."""
        first, last = self.borders[row], self.borders[row + 1] - 1
        return decode_marked(self.data[self.start[first] : self.end[last]].tobytes())

    def _text(self, start: int, end: int) -> str:
        written = self.data[start:end].tobytes()
        return decode_marked(written.replace(self.separator, HIDDEN) if self.separator else written)

    def names(self, cell: int, *, whole: bool) -> list[str]:
        """Return the names in a cell.

        With `whole`, it is the whole value; without, names are in the text around its numbers.
        """
        text = self._text(int(self.start[cell]), int(self.end[cell]))
        if whole:
            named = label_before(text) if ":" in text or "=" in text else None
            names = [(named[1] if named else text).strip(AROUND)]
        else:
            names = names_in(text.replace(NUMBER, " "))
        return [name.replace(HIDDEN.decode(), self.separator.decode()) for name in names]


class Contents:
    """The contents and shapes met so far.

    `names` are the kinds of candidates, by the number in their marks.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._candidates = {
            mark(number, valid=valid)[1]: (kind, valid)
            for number, kind in enumerate(names)
            for valid in (True, False)
        }
        self._contents: list[Content] = []
        self._numbers: dict[Content, int] = {}
        self._cells: dict[bytes, dict[bytes, int]] = {}
        """The number of each content, by separator and by the bytes of the cell."""
        self._shapes: dict[tuple[int, bytes], int] = {}
        self.shapes: list[RowShape] = []

    def cut(self, rows: MarkedText, separator: bytes, style: int) -> Cells:
        """Cut rows of text into cells, and return these with their contents.

        All `rows` (at least one) have the given separator and style. Equal cells share one content.
        """
        parted = find_borders(rows, separator, style)
        start = np.sort(np.concatenate((rows.start, parted + len(separator))))
        borders = np.append(np.searchsorted(start, rows.start), len(start))
        end = np.append(start[1:], 0) - len(separator)
        end[borders[1:] - 1] = rows.end
        content = np.full(len(start), -1)
        is_han = self._classify_by_bytes(rows.data, start, end, content, separator)
        unread = np.flatnonzero(content < 0)
        whole, numbers = rows.data.tobytes(), self._cells.setdefault(separator, {})
        parts = [
            whole[low:high]
            for low, high in zip(start[unread].tolist(), end[unread].tolist(), strict=True)
        ]
        content[unread] = [
            number if (number := numbers.get(part)) is not None else self._number(part, separator)
            for part in parts
        ]
        return Cells(rows.data, start, end, content, is_han, borders, separator)

    def shapes_of(self, cells: Cells, style: int) -> Numbers:
        """Return the number of each row's shape in `shapes`: i64[rows].

        Equal neighbours are looked up one time.
        """
        count = np.diff(cells.borders)
        is_same = (
            cells.content == cells.content[np.arange(len(cells.content)) - np.repeat(count, count)]
        )
        is_new = ~np.logical_and.reduceat(is_same, cells.borders[:-1])
        is_new[0] = True
        is_new[1:] |= count[1:] != count[:-1]
        rows = np.flatnonzero(is_new)
        size, whole = cells.content.itemsize, cells.content.tobytes()
        row_shapes = []
        for low, high in zip(
            (cells.borders[rows] * size).tolist(),
            (cells.borders[rows + 1] * size).tolist(),
            strict=True,
        ):
            key = style, whole[low:high]
            number = self._shapes.get(key)
            if number is None:
                number = self._shapes[key] = len(self.shapes)
                contents = np.frombuffer(key[1], cells.content.dtype).tolist()
                self.shapes.append(
                    RowShape(style, tuple([self._contents[content] for content in contents]))
                )
            row_shapes.append(number)
        numbers: Numbers = np.array(row_shapes, np.int64)[np.cumsum(is_new) - 1]
        return numbers

    def _classify_by_bytes(
        self, data: Bytes, start: Places, end: Places, content: Numbers, separator: bytes
    ) -> Flags:
        """Set in place the `content` of cells that their bytes alone classify, also inside quotes.

        Of names in quotes, `start` and `end` are moved inside these, in place too. Returns which
        cells are names: bool[n].
        """
        first, last = data.take(start), data.take(end - 1)
        is_quoted = (
            (first == last) & ((first == ord('"')) | (first == ord("'"))) & (end - start >= 2)
        )
        is_quoted &= separator != PASSWORD_BEHIND  # there the quotes may be a password's
        low, high = start + is_quoted, end - is_quoted
        length = high - low
        first = data.take(low)
        flags = np.bitwise_or.reduceat(_flag_bytes(data), np.stack((low, high), 1).ravel())[::2]
        content[length == 0] = self._number(b"", separator)
        marks = np.flatnonzero((length == MARK_BYTES) & (first == MARK))
        seconds = data[low[marks] + 1]
        for second in np.unique(seconds).tolist():
            content[marks[seconds == second]] = self._number(bytes((MARK, second)), separator)
        digits = np.flatnonzero((flags & NO_DIGIT == 0) & (length > 0))
        lengths = np.minimum(length[digits], MOST_DIGITS)
        for size in np.unique(lengths).tolist():
            content[digits[lengths == size]] = self._number(b"7" * size, separator)
        han = np.flatnonzero((first >= LEADS[0]) & (first < LEADS[1]) & (flags & NO_NAME == 0))
        han = han[(length[han] >= SHORTEST_NAME) & (length[han] <= LONGEST_NAME)]
        han = han[_characters()[1].take(_code_points(data, low[han]))]
        content[han] = self._number("张三".encode(), separator)
        start[han], end[han] = low[han], high[han]
        is_han = np.zeros(len(start), bool)
        is_han[han] = True
        return is_han

    def _number(self, part: bytes, separator: bytes) -> int:
        """Return the number of the content of a cell with these bytes.

        Equal contents have one number; a new one is classified and added. `separator` is that of
        the row.
        """
        numbers = self._cells.setdefault(separator, {})
        number = numbers.get(part)
        if number is None:
            hidden = part.replace(separator, HIDDEN) if separator else part
            content = self._classify(hidden, may_be_password=separator == PASSWORD_BEHIND)
            number = numbers[part] = self._numbers.setdefault(content, len(self._contents))
            if number == len(self._contents):
                self._contents.append(content)
        return number

    def _classify(self, part: bytes, *, may_be_password: bool = False) -> Content:
        """Classify a cell by its bytes, in which candidates are marked.

        `may_be_password` allows that the cell is taken for a password.
        """
        text = decode_marked(part)
        first, *tails = part.split(OPEN)
        around = (
            [piece.decode("utf-8", "replace") for piece in (first, *[tail[1:] for tail in tails])]
            if tails
            else []
        )
        named = label_before(text) if ":" in text or "=" in text else None
        label = (
            named[0]
            if named and (tails or named[0] not in AMOUNTS or not is_terms(named[1]))
            else None
        )
        value, whole = (named[1] if named else text).strip(AROUND), text.strip(AROUND)
        return Content(
            candidates=tuple([self._candidates[tail[0]] for tail in tails]),
            is_labelled=named is not None,
            label=label,
            is_empty=value.lower() in EMPTY,
            is_name=is_name(value),
            around=frozenset(_find_labels_around(around)) if tails else frozenset(),
            sign=_sign_before_password(around) if tails else "",
            words=field_of(whole),
            title=None if named or tails or is_name(whole) else _title(whole),
            is_digits=whole[:1].isdigit(),
            is_code=CODE.fullmatch(whole) is not None,
            is_secret=SECRET.fullmatch(whole) is not None,
            is_password=may_be_password
            and not tails
            and PASSWORD.fullmatch(bare := text.strip()) is not None
            and is_possible(bare),
        )


def _title(text: str) -> FieldLabel | None:
    """Return the field that a cell announces for the next one.

    A value with digits announces one only if the whole value is a known word.
    """
    label = (
        words().get(text.lower())
        if DIGIT.search(text)
        else label_of(text)
        if len(text) <= LONGEST_TITLE
        else None
    )
    return label if label in AMOUNTS or label in (FieldLabel.CVV, FieldLabel.PASSWORD) else None


def _find_labels_around(around: Sequence[str]) -> Iterator[str]:
    """Yield the labels in the text around a cell's identifiers: `13800138000借款8万`."""
    if names_in(" ".join(around)):
        yield str(FieldLabel.NAME)
    for value in {piece.strip(BETWEEN) for piece in around}:  # a long cell often repeats pieces
        if (
            value
            and (label := field_of(value))
            and label is not FieldLabel.OTHER
            and not is_offer(value)
        ):
            yield str(label)


def _sign_before_password(around: Sequence[str]) -> str:
    """Return the sign between a login and its password in one cell, "" for none.

    An example is `13800138000:abc123`.
    """
    before, behind = around[:2]
    match = BEHIND_LOGIN.fullmatch(behind)
    return match[1] if match and not before.strip() and is_secret(match[2]) else ""


def _flag_bytes(data: Bytes) -> Bytes:
    """Return the flags of each byte, or of the character that begins with it: u8[size]."""
    flags = _bytes().take(data)
    lead = np.flatnonzero((data >= 0xC0) & (data != MARK))
    is_wide = (data[lead] >> 4) == 0xE
    flags[lead[~is_wide]] |= NO_NAME
    lead = lead[is_wide]
    flags[lead] |= _characters()[0].take(_code_points(data, lead))
    return flags


def _code_points(data: Bytes, place: Places) -> Numbers:
    """Return the three-byte character at each place; arbitrary where `data` ends before."""
    first, second, third = (
        data.take(place + offset, mode="clip").astype(np.int64) for offset in range(HAN_BYTES)
    )
    points: Numbers = (first & 15) << 12 | (second & 63) << 6 | (third & 63)
    return points


@cache
def _bytes() -> Bytes:
    """Return the flags of each byte value: u8[256]."""
    byte = np.arange(256)
    flags = np.where((byte >= ord("0")) & (byte <= ord("9")), 0, NO_DIGIT) | np.where(
        (byte < 0x80) | (byte == MARK), NO_NAME, 0
    )
    return flags.astype(np.uint8)


@cache
def _characters() -> tuple[Bytes, npt.NDArray[np.bool_]]:
    """Return the flags of each character up to U+FFFF, u8[65536], and whether it is a surname.

    Surnames that begin a value with a field are left out.
    """
    point = np.arange(1 << 16)
    none = (
        (point < HAN[0])
        | (point >= HAN[1])
        | np.isin(point, [ord(char) for char in NOT_NAMES.pattern.strip("[]")])
    )
    begins = {value[0] for value in whole_values()}
    return np.where(none, NO_NAME, 0).astype(np.uint8), np.isin(
        point, [ord(char) for char in SURNAMES if char not in begins]
    )
