r"""Undo values that a layout has broken: over lines, over the messages of a chat, over table cells.

    wrapped             `公民身份号码 110105-⏎19491231-⏎002X`, `phone: 138001\⏎38000`
    columns of a form   `手机号码 |1 | 3 | 8 | …`, is read by `numbers`
    SQL*Plus            a column that is narrower than its values, its width drawn with hyphens
    chats               `{"type": "code", "text": "13800"}, {"type": "spoiler", "text": "138000"}`
                        (Telegram), consecutive messages of one author that are digits alone
    cells               a digit a cell below a label in pieces, a number in columns area, exchange
                        and line

What is joined is a mobile number, a resident ID or card whose check holds, or, where the layout
says so, an address or a number of North America. Each text stays as long as before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from string import digits

import numpy as np

from matcher.columns.bitset import (
    Classes,
    Places,
    is_one_of,
    lowest,
    places,
    shift_back,
    shift_forward,
    windows,
)
from matcher.columns.literals import spell_out
from matcher.text.fold import GONE, fit
from matcher.text.group_numbers import LABELS, is_labelled, is_valid, split_labels
from matcher.text.spellings import Spelling
from ullage.identifiers import email, phone
from ullage.identifiers.base import GAP

PHONE, RESIDENT_ID, ADDRESS = "13800138000", "11010519491231002X", "li.wei8@example.com"
ABROAD = "+12025550123"
WRAPPED = re.compile(
    r"(?<![0-9A-Za-z])(?P<value>[0-9]{2,17}(?:-?\n[0-9]{1,17}){1,4}(?:(?:-?\n)?[Xx])?)"
    r"(?![0-9A-Za-z])"
)
CONTINUED = re.compile(
    r"(?<![0-9A-Za-z])(?P<value>[0-9]{2,17}(?:\\\n[0-9]{1,17}){1,4}[Xx]?)(?![0-9A-Za-z])"
)
LABELLED_END = tuple(
    f"(?:{'|'.join(map(re.escape, labels))}){GAP}(?:[0-9]{{2,10}}|[0-9]{{12,17}})\\n[0-9]"
    for labels in split_labels(LABELS)
)
LINE_OF_DIGITS = re.compile(r"\n(?<=[0-9\-]\n)[0-9]")
"""A line that begins with a digit behind one that ends with a digit or hyphen."""
NO_DIGIT = re.compile(r"[^0-9Xx]+")
LONGEST_LABEL, LONGEST_BETWEEN = 40, 400
"""Characters before a number in which its label stands, and before a message its author."""
NARROW = re.compile(r"^-{4,}(?:[ ]-+)*$", re.MULTILINE)
RULED = r"-{4,}\n[^\n\-][^\n]{0,60}\n-{4,}\n"
"""Two headers one below the other, each with its rule: a row takes more than one line."""
_TYPE = r"\{\s{0,40}\"type\"\s?:\s?\"[a-z_]{2,20}\"\s?,\s{0,40}"
ENTITY_GLUE = rf"\"\s{{0,40}}(?:\}}\s{{0,40}})?,\s{{0,40}}(?:{_TYPE}\"text\"\s?:\s?)?\""
ENTITIES = re.compile(
    rf"(?<=\")(?P<value>\+?[0-9][0-9 \-]{{0,16}}(?:{ENTITY_GLUE}[0-9 \-]{{1,17}}){{1,10}})(?=\")"
)
GLUE = re.compile(ENTITY_GLUE)
_CONTENT = r"\"content\"\s?:\s?\""
MESSAGES = re.compile(
    rf"{_CONTENT}(?P<value>(?P<first>[0-9]{{2,10}}|[a-z0-9._%+\-]{{1,30}})"
    rf"(?P<between>\"(?:(?!\"content\")[\s\S]){{1,600}}{_CONTENT})"
    rf"(?P<second>[^\"\n]{{1,60}}))(?=\")"
)
AUTHOR = re.compile(r"\"(?:author|from|sender|user|username)\"\s?:\s?(\{[^{}]*\}|\"[^\"]*\"|\d+)")
_MOMENT = r"[^\n\x1c]{0,60}?[0-2]?\d:[0-5]\d[^\n\x1c]{0,60}"
MESSAGE_LINES = re.compile(
    rf"(?<![^\n\x1c])(?P<head>{_MOMENT})\n"
    rf"(?P<value>[0-9]{{2,9}}(?:\n{_MOMENT}\n[0-9]{{2,9}}){{1,12}})(?![^\n\x1c])"
)
"""Lines that are read together have a FILE SEPARATOR between them."""
TIMES = re.compile(r"[0-9][0-9:./\-]*")
LINE_ENDS = b"\n\x1c"
SHORTEST_PART, LONGEST_HEAD = 2, 130
"""Digits of a part of a number, and bytes of the line with author and time before it."""
LABEL_CELLS = ("手\t机", "电\t话", "電\t話", "身\t份", "卡\t号", "证\t件")
LABEL_SIGN = re.compile(f"\t[{''.join(label[-1] for label in LABEL_CELLS)}]")
SINGLE_CELLS = re.compile(r"(?<![^\t\n])(?P<value>[0-9](?:\t[0-9]){10,18}(?:\t[Xx])?)(?![^\t\n])")
COLUMNS = (
    ("area", "exchange", "line"),
    ("area_code", "exchange", "line"),
    ("area_code", "exchange", "line_number"),
    ("area code", "exchange", "line number"),
    ("area_code", "prefix", "line_number"),
    ("area_code", "prefix", "line"),
    ("areacode", "exchange", "line"),
    ("npa", "nxx", "line"),
    ("npa", "nxx", "xxxx"),
    ("npa", "nxx", "station"),
)
"""Labels of the three columns of a number of North America."""
MIDDLE_COLUMNS = ("xchange", "XCHANGE", "refix", "REFIX", "nxx", "NXX")
"""Parts of the label of the second of them."""
SIGNS = ",;\t|"
HEADER = re.compile(
    rf"(?i)(?<![a-z0-9_])(?:npa|area[ _]?(?:code)?)[\"']?(?P<sign>[{SIGNS}])[\"']?"
    r"(?:nxx|exchange|prefix)[\"']?(?P=sign)[\"']?(?:line(?:[ _]number)?|xxxx|station)(?![a-z0-9_])"
)


def rows() -> Iterator[Spelling]:
    """Yield the layouts, in the order in which they are undone."""
    yield from _list_lines()
    yield from _list_chats()
    yield from _list_cells()


def _list_lines() -> Iterator[Spelling]:
    yield Spelling(
        "number over several lines",
        "text",
        examples=(
            ("公民身份号码 110105-\n19491231-\n002X\n", RESIDENT_ID),
            ("身份证号 110105194\n91231002X\n", RESIDENT_ID),
            ("电话：138001-\n38000\n", PHONE),
        ),
        near_misses=("单号 138001-\n38000", "138001\n38000", "数量：138001\n金额：38000"),
        gate=(*spell_out(digits, ("-\\n",), digits), *LABELLED_END),
        rewrite=partial(_rewrite, LINE_OF_DIGITS, WRAPPED, _read_wrapped),
    )
    yield Spelling(
        "backslash at the end of a line",
        "text",
        examples=(
            (f"phone: {PHONE[:6]}\\\n{PHONE[6:]}\n", PHONE),
            ("tel=138\\\n0013\\\n8000;", PHONE),
        ),
        near_misses=(f"a = {PHONE[:6]} \\\n{PHONE[6:]}", f"n: 1{PHONE[:6]}\\\n{PHONE[6:]}"),
        gate=tuple(spell_out(("\\\\\\n",), digits)),
        rewrite=partial(_rewrite, re.compile(r"\\\n[0-9]"), CONTINUED, _read_continued),
    )
    yield Spelling(
        "narrow columns of SQL*Plus",
        "text",
        examples=(
            ("MOBILE\n------\nCARD_NO\n--------\n138001\n38000\n", PHONE),
            ("ID\n----------\nIDNO\n----------\n        12\n1101051949\n1231002X\n", RESIDENT_ID),
        ),
        near_misses=(
            "MOBILE\n------\n138001\n38000\n",
            "MOBILE\n-----\nCARD\n----\n138001\n38000\n",
        ),
        gate=(RULED,),
        rewrite=_join_narrow,
    )


def _list_chats() -> Iterator[Spelling]:
    yield Spelling(
        "number in several entities of a message",
        "text",
        examples=(
            ('[{"type":"code","text":"13800"},{"type":"spoiler","text":"138000"}]', PHONE),
            ('"text": [\n "138",\n {\n  "type": "bold",\n  "text": "0013"\n },\n "8000"\n]', PHONE),
        ),
        near_misses=(
            '[{"type":"code","text":"13800"},{"type":"code","text":"13800"}]',
            '["138","0013","8000"]',
        ),
        gate=(
            rf"[0-9][0-9 ]{{0,9}}\"\s{{0,40}}\}},\s{{0,40}}{_TYPE}\"text\"\s?:\s?\"[0-9 ]",
            rf"\"[0-9 +]{{1,12}}\",\s{{0,40}}{_TYPE}\"text\"\s?:\s?\"[0-9 ]",
        ),
        rewrite=partial(_rewrite, re.compile('"type"'), ENTITIES, _read_entities),
    )
    yield Spelling(
        "value in two messages of one author",
        "text",
        examples=(
            (
                (
                    '[{"author":{"name":"q"},"content":"138001"},'
                    '{"author":{"name":"q"},"content":"38000"}]'
                ),
                PHONE,
            ),
            (
                '{"author":"q","content":"li"},\n{"author":"q","content":".wei8@example.com"}',
                ADDRESS,
            ),
        ),
        near_misses=(
            '{"author":"q","content":"138001"},{"author":"r","content":"38000"}',
            '{"author":"q","content":"138001"},{"author":"q","content":"380000"}',
        ),
        gate=(
            rf"{_CONTENT}[0-9]{{2,10}}\"",
            rf"{_CONTENT}[.@_][a-z0-9._%+\-]{{0,40}}[@.]",
        ),
        rewrite=partial(_rewrite, re.compile('"content"'), MESSAGES, _read_messages),
    )

    yield Spelling(
        "number in several messages of a chat",
        "stretch",
        examples=(
            ("2026-11-20 20:01:11 王\n138\n2026-11-20 20:01:14 王\n00138000\n", PHONE),
            ("王 20:01\n138\n王 20:01\n0013\n王 20:02\n8000\n下一个", PHONE),
        ),
        near_misses=(
            "王 20:01\n138\n李 20:01\n00138000\n",
            "王 20:01\n138\n王 20:01\n0013800\n",
        ),
        starts=find_message_lines,
        pattern=MESSAGE_LINES,
        plain=_read_message_lines,
    )


def _list_cells() -> Iterator[Spelling]:
    yield Spelling(
        "digit a cell",
        "text",
        examples=(
            ("姓名\t手\t机\t号\t码\n李\t" + "\t".join(PHONE) + "\n", PHONE),
            ("身\t份\t证\n" + "\t".join(RESIDENT_ID), RESIDENT_ID),
        ),
        near_misses=(
            "姓名\t分数\n李\t" + "\t".join(PHONE) + "\n",
            "姓名\t手\t机\n李\t" + "\t".join(PHONE[:10]) + "\n",
        ),
        gate=LABEL_CELLS,
        rewrite=partial(
            _rewrite,
            LABEL_SIGN,
            SINGLE_CELLS,
            lambda match: match["value"].replace("\t", ""),
        ),
    )
    yield Spelling(
        "columns of a number of North America",
        "text",
        examples=(
            ("name,area,exchange,line\nMary,202,555,0123\n", ABROAD),
            ("NPA\tNXX\tLINE\n202\t555\t0123\n", ABROAD),
        ),
        near_misses=("a,b,c\n202,555,0123\n", "area,exchange,line\n102,555,0123\n"),
        gate=tuple(re.escape(sign.join(labels)) for labels in COLUMNS for sign in SIGNS),
        rewrite=_join_columns,
    )


def _rewrite(
    sign: re.Pattern[str],
    pattern: re.Pattern[str],
    read: Callable[[re.Match[str]], str],
    text: str,
) -> str:
    """Return `text` with each match of `pattern` as `read` returns it; "" leaves it.

    A text without `sign`, which is found at the speed of memory, stays: a text full of escapes is
    rewritten whatever gates it has.
    """
    if sign.search(text) is None:
        return text

    def replace(match: re.Match[str]) -> str:
        plain, (start, end) = read(match), match.span("value")
        if not plain or len(plain) > end - start:
            return match[0]
        first = start - match.start()
        return match[0][:first] + fit(plain, end - start, GONE) + match[0][first + end - start :]

    return pattern.sub(replace, text)


def _is_proven(bare: str) -> bool:
    """Return whether a number has a check, which holds."""
    return len(bare) > phone.LENGTH and is_valid(bare)


def _read_wrapped(match: re.Match[str]) -> str:
    """Return a number over several lines: of a phone number, only what a label precedes."""
    bare = NO_DIGIT.sub("", match["value"]).upper()
    before = match.string[max(0, match.start() - LONGEST_LABEL) : match.start()]
    if not is_valid(bare) or any(is_valid(part) for part in match["value"].split("\n")):
        return ""
    return bare if is_labelled(before) or ("-\n" in match["value"] and _is_proven(bare)) else ""


def _read_continued(match: re.Match[str]) -> str:
    bare = NO_DIGIT.sub("", match["value"]).upper()
    return bare if is_valid(bare) else ""


def _read_entities(match: re.Match[str]) -> str:
    """Return the digits of neighbouring entities, at least one of which has a type.

    Returns "" if none has, or they are no phone number.
    """
    if '"type"' not in match["value"]:
        return ""
    written = GLUE.sub("", match["value"])
    bare = NO_DIGIT.sub("", written)
    if written.startswith("+"):
        return f"+{bare}" if bare[:2] == "86" or phone.is_number(bare) else ""
    return bare if is_valid(bare.removeprefix("86")) or is_valid(bare) else ""


def _read_messages(match: re.Match[str]) -> str:
    """Return both messages in the place of the first, if one author wrote both.

    Returns "" if not, or if they are no number or mail address together, or the second is one
    alone.
    """
    first, second, between = match["first"], match["second"], match["between"]
    joined = first + second
    before = AUTHOR.findall(match.string, max(0, match.start() - LONGEST_BETWEEN), match.start())
    if len({*before[-1:], *AUTHOR.findall(between)}) != 1 or not AUTHOR.search(between):
        return ""
    is_number = joined.isdigit() and is_valid(joined) and not is_valid(second)
    is_mail = email.normalise(joined) != "" and not first.isdigit()
    is_mail = is_mail and (second[0] in ".@_" or email.normalise(second) == "")
    return joined + between if is_number or is_mail else ""


def find_message_lines(classes: Classes) -> Places:
    """Return places in lines that hold a few digits alone, and in those around them: i64[n].

    Between two of them stands one line, as of an author and a time.
    """
    data, digit = classes.data, classes.digit
    short = shift_forward(classes.line_end, 1) & digit & shift_back(digit, 1)
    place = places(short & ~classes.digits.find_starts(phone.LENGTH - 1))
    end = place + lowest(~windows(digit, place))
    is_line = is_one_of(data.take(end), LINE_ENDS)
    place, end = place[is_line], end[is_line]
    size = place[1:] - end[:-1] - 1
    pair = np.flatnonzero((size > SHORTEST_PART) & (size < LONGEST_HEAD))
    if not len(pair):
        return pair
    first, last = place[pair], place[pair + 1]
    return np.concatenate((first - 2, first, end[pair] + 2, last))


def _read_message_lines(match: re.Match[str]) -> str:
    """Return the numbers whose parts one author sent, a line each; "" if any part remains."""
    lines = [match["head"], *match["value"].split("\n")]
    if len({TIMES.sub("", head).strip() for head in lines[::2]}) != 1:
        return ""
    numbers, waiting = list[str](), ""
    for part in lines[1::2]:
        waiting += part
        if len(waiting) >= phone.LENGTH and is_valid(waiting):
            numbers.append(waiting)
            waiting = ""
    return "" if waiting else "\n".join(numbers)


def _join_narrow(text: str) -> str:
    """Return `text` with values whole that were cut at the width of their column.

    Each stays as long as it was. A text without a rule of dashes is returned unchanged.
    """
    if "----\n" not in text:
        return text
    widths = {len(rule[0]) for rule in NARROW.finditer(text)}
    lines, number = text.split("\n"), 0
    while number < len(lines) - 1:
        first, second = lines[number : number + 2]
        bare = (first + second.strip()).upper()
        if (
            len(first) in widths
            and first.isdecimal()
            and len(second) <= len(first)
            and not is_valid(first)
            and is_valid(bare)
        ):
            lines[number : number + 2] = fit(bare, len(first) + len(second), GONE), ""
            number += 1
        number += 1
    return "\n".join(lines)


def _join_columns(text: str) -> str:
    """Return `text` with numbers in three columns whole, from the line of their labels on.

    Only numbers of 3, 3 and 4 digits that are valid behind +1 are joined. A text without such
    labels is returned unchanged.
    """
    if not any(name in text for name in MIDDLE_COLUMNS):
        return text
    lines, sign, first = text.split("\n"), "", -1
    for number, line in enumerate(lines):
        if header := HEADER.search(line):
            sign = header["sign"]
            first = line[: header.start()].count(sign)
        elif first >= 0:
            cells = line.split(sign)
            parts = [cell.strip(" \"'") for cell in cells[first : first + 3]]
            if [len(part) for part in parts] == [3, 3, 4] and phone.is_number(f"1{''.join(parts)}"):
                whole = sign.join(cells[first : first + 3])
                cells[first : first + 3] = [fit(f"+1{''.join(parts)}", len(whole), GONE)]
                lines[number] = sign.join(cells)
    return "\n".join(lines)
