r"""Every disguise by name: how a value of a kind is written so that plain patterns miss it.

A disguise takes the kind and the normal value and returns what stands in the text, or "" where it
does not apply. Those in `MARKUP` are read as they should only in a page of HTML.
"""

from __future__ import annotations

import base64
import hashlib
import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

Write = Callable[[str, str], str]
DIGITS = "0123456789"
NUMBERS = ("phone", "resident_id", "card")
GROUPS = {"phone": (3, 4, 4), "resident_id": (6, 8, 4), "card": (4, 4, 4, 4, 3), "iban": (4,) * 8}
OTHER_GROUPS = {
    "phone": ((3, 8), (7, 4)),
    "resident_id": ((6, 8, 3, 1),),
    "card": ((6, 13), (6, 10)),
}
LABELS = {"passport": "护照号", "home_return_permit": "回乡证", "qq": "QQ", "wechat": "微信"}
"""Kinds that count only beside a label, and one of their labels."""
OTHER_LABELS = {
    "phone": "手机",
    "resident_id": "身份证号",
    "card": "卡号",
    "email": "邮箱",
    "iban": "IBAN",
    "uscc": "统一社会信用代码",
}


def add_label(kind: str, text: str) -> str:
    """Return `text` with the label that its kind requires."""
    return f"{LABELS[kind]}:{text}" if kind in LABELS else text


def _script(digits: str) -> Write:
    """Digits of another script; a one-character-a-digit alphabet of ten."""
    table = str.maketrans(DIGITS, digits)
    return lambda kind, value: value.translate(table) if kind in NUMBERS else ""


def _from(zero: int) -> str:
    return "".join(map(chr, range(zero, zero + 10)))


def _full_width(kind: str, value: str) -> str:
    return add_label(kind, "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in value))


def _mathematical(kind: str, value: str) -> str:
    """Bold letters and digits of the mathematical alphabet, for an address too."""
    starts = (("0", "9", 0x1D7CE), ("a", "z", 0x1D41A), ("A", "Z", 0x1D400))
    shifted = {
        code: chr(to + code - ord(first))
        for first, last, to in starts
        for code in range(ord(first), ord(last) + 1)
    }
    return add_label(kind, value.translate(shifted))


def _woven(marks: str) -> Write:
    """Invisible characters between the others."""

    def write(kind: str, value: str) -> str:
        between = cycle(marks)
        return add_label(
            kind,
            value[0] + "".join(next(between) + c if n % 2 else c for n, c in enumerate(value[1:])),
        )

    return write


def split_groups(value: str, sizes: Sequence[int], separator: str) -> str:
    """Return `value` in groups of `sizes`; the remainder forms a last group."""
    parts, place = [], 0
    for size in sizes:
        parts.append(value[place : place + size])
        place += size
    return separator.join(part for part in (*parts, value[place:]) if part)


def _groups(separator: str, kinds: Sequence[str] = NUMBERS) -> Write:
    return lambda kind, value: split_groups(value, GROUPS[kind], separator) if kind in kinds else ""


def _other_groups(number: int) -> Write:
    def write(kind: str, value: str) -> str:
        fitting = [sizes for sizes in OTHER_GROUPS.get(kind, ()) if sum(sizes) == len(value)]
        return split_groups(value, fitting[number], " ") if number < len(fitting) else ""

    return write


def _around(before: str, after: str, kinds: Sequence[str] = (*NUMBERS, "email")) -> Write:
    return lambda kind, value: f"{before}{value}{after}" if kind in kinds else ""


def _column(separator: str) -> Write:
    return lambda kind, value: separator.join(("17", add_label(kind, value), "已核对"))


def _add_prefix(prefix: str, separator: str = "") -> Write:
    return lambda kind, value: (
        prefix + split_groups(value, GROUPS[kind], separator) if kind == "phone" else ""
    )


def _address(at: str, dot: str = ".") -> Write:
    def write(kind: str, value: str) -> str:
        local, _, domain = value.partition("@")
        return f"{local}{at}{domain.replace('.', dot)}" if kind == "email" else ""

    return write


def _escape(
    form: Callable[[str], str], kinds: Sequence[str] = (*NUMBERS, "email", "iban", "uscc")
) -> Write:
    return lambda kind, value: "".join(map(form, value)) if kind in kinds else ""


def _last_x(alike: str) -> Write:
    return lambda kind, value: (
        value[:-1] + alike if kind == "resident_id" and value.endswith("X") else ""
    )


def _base64(width: int = 0, *, safe: bool = False, twice: bool = False) -> Write:
    def write(kind: str, value: str) -> str:
        text = f"客户资料第十七号，登记内容：{add_label(kind, value)}，登记完毕。\n".encode()
        for _ in range(2 if twice else 1):
            text = base64.urlsafe_b64encode(text) if safe else base64.b64encode(text)
        return "\n".join(textwrap.wrap(text.decode(), width)) if width else text.decode()

    return write


def _digest(
    form: str, prefix: str = "", *, upper: bool = False, middle: bool = False, user: str = ""
) -> Write:
    """Hex of a value's digest; `middle` takes digits 9 to 24, the short md5 of old forums."""

    def write(kind: str, value: str) -> str:
        if kind not in (("phone",) if prefix else ("phone", "resident_id", "email")):
            return ""
        hexadecimal = hashlib.new(
            form, (prefix + value).encode(), usedforsecurity=False
        ).hexdigest()
        hexadecimal = hexadecimal[8:24] if middle else hexadecimal
        return user + (hexadecimal.upper() if upper else hexadecimal)

    return write


def _split(*tags: str) -> Write:
    """Tags within the value, a third and two thirds along."""

    def write(kind: str, value: str) -> str:
        third = len(value) // 3
        return add_label(
            kind, f"{value[:third]}{tags[0]}{value[third : 2 * third]}{tags[1]}{value[2 * third :]}"
        )

    return write


def _alternate_digits(kind: str, value: str) -> str:
    """Return a value in Han and plain digits by turns."""
    table = str.maketrans(DIGITS, "零一二三四五六七八九")
    return (
        "".join(c.translate(table) if n % 2 else c for n, c in enumerate(value))
        if kind in NUMBERS
        else ""
    )


SCRIPTS: dict[str, Write] = {
    "full width": _full_width,
    "circled": _script("⓪①②③④⑤⑥⑦⑧⑨"),
    "negative circled": _script("⓿❶❷❸❹❺❻❼❽❾"),
    "double circled": _script("⓪⓵⓶⓷⓸⓹⓺⓻⓼⓽"),
    "parenthesised": _script("0⑴⑵⑶⑷⑸⑹⑺⑻⑼"),
    "full stop": _script("🄀⒈⒉⒊⒋⒌⒍⒎⒏⒐"),
    "superscript": _script("⁰¹²³⁴⁵⁶⁷⁸⁹"),
    "subscript": _script("₀₁₂₃₄₅₆₇₈₉"),
    "mathematical": _mathematical,
    "mathematical double": _script(_from(0x1D7D8)),
    "mathematical monospace": _script(_from(0x1D7F6)),
    "segmented": _script(_from(0x1FBF0)),
    "Arabic-Indic": _script(_from(0x660)),
    "Persian": _script(_from(0x6F0)),
    "Devanagari": _script(_from(0x966)),
    "Thai": _script(_from(0xE50)),
    "keycap": lambda kind, value: (
        "".join(f"{c}\ufe0f\u20e3" if c.isdigit() else c for c in value) if kind in NUMBERS else ""
    ),
    "Han": _script("零一二三四五六七八九"),
    "Han with circle zero": _script("〇一二三四五六七八九"),
    "Han financial": _script("零壹贰叁肆伍陆柒捌玖"),
    "Han financial traditional": _script("零壹貳參肆伍陸柒捌玖"),
    "Han radio": _script("洞幺两三四五六拐八勾"),
    "Han mixed": _alternate_digits,
}
INVISIBLE: dict[str, Write] = {
    "zero width": _woven("\u200b\u200c\u200d\u2060\ufeff"),
    "bidi": _woven("\u200e\u200f\u202a\u202c\u202e\u2066\u2069\u061c"),
    "soft hyphen": _woven("\u00ad"),
    "fillers": _woven("\u115f\u1160\u3164\uffa0\u2800\u034f"),
    "variation selectors": _woven("\ufe0e\ufe0f"),
}
SEPARATED: dict[str, Write] = {
    "groups, space": _groups(" ", (*NUMBERS, "iban")),
    "groups, dash": _groups("-"),
    "groups, dot": _groups("."),
    "groups, no-break space": _groups("\u00a0"),
    "groups, ideographic space": _groups("\u3000"),
    "groups, en dash": _groups("–"),
    "groups, long dash": _groups("—"),
    "groups, minus": _groups("−"),
    "groups, box line": _groups("─"),
    "groups, full-width dash": _groups("－"),
    "groups, other": _other_groups(0),
    "groups, third way": _other_groups(1),
}
PREFIXED: dict[str, Write] = {
    "+86": _add_prefix("+86"),
    "+86 and space": _add_prefix("+86 ", " "),
    "+86 and dash": _add_prefix("+86-", "-"),
    "86 and dash": _add_prefix("86-"),
    "0086": _add_prefix("0086"),
    "86": _add_prefix("86"),
    "(86)": _add_prefix("(86)"),
    "(+86)": _add_prefix("(+86) "),
    "full-width (86)": _add_prefix("（86）"),
    "trunk zero": _add_prefix("0"),
}
ADDRESSES: dict[str, Write] = {
    "upper case": lambda kind, value: value.upper() if kind == "email" else "",
    "mixed case": lambda kind, value: value.title() if kind == "email" else "",
    "lower case": lambda kind, value: (
        add_label(kind, value.lower()) if kind in ("iban", "uscc", "passport") else ""
    ),
    "[at]": _address("[at]"),
    "(at)": _address("(at)"),
    " at ": _address(" at "),
    " [at] ": _address(" [at] "),
    "[at] [dot]": _address("[at]", "[dot]"),
    "(at) (dot)": _address("(at)", "(dot)"),
    " at  dot ": _address(" at ", " dot "),
    "full-width @": _address("＠"),
    "full-width @ and dot": _address("＠", "．"),
    "plus-tag": lambda kind, value: value.replace("@", "+shop@") if kind == "email" else "",
    "mailto": _around("mailto:", "?subject=x", ("email",)),
    "combolist": _around("", ":Passw0rd!", ("email", "phone")),
}
ESCAPES: dict[str, Write] = {
    "HTML decimal": _escape(lambda c: f"&#{ord(c)};"),
    "HTML hexadecimal": _escape(lambda c: f"&#x{ord(c):X};"),
    "HTML twice": _escape(lambda c: f"&amp;#{ord(c)};"),
    "HTML name": lambda kind, value: (
        value.replace("@", "&commat;").replace(".", "&period;") if kind == "email" else ""
    ),
    "URL": _escape(lambda c: f"%{ord(c):02x}"),
    "URL twice": _escape(lambda c: f"%25{ord(c):02X}"),
    "URL sign only": lambda kind, value: (
        f"mail={value.replace('@', '%40')}&x=1" if kind == "email" else ""
    ),
    "JSON": _escape(lambda c: f"\\u{ord(c):04x}"),
    "JSON twice": _escape(lambda c: f"\\\\u{ord(c):04X}"),
}
TABLES: dict[str, Write] = {
    "Excel apostrophe": _around("'", ""),
    "Excel formula": _around('="', '"'),
    "Excel float": _around("", ".0", ("phone",)),
    "JSON object": lambda kind,
    value: f'{{"n": 17, "value": "{add_label(kind, value)}", "ok": true}}',
    "JSON number": _around('{"n":17,"value":', ',"ok":true}', ("phone",)),
    "SQL tuple": lambda kind,
    value: f"INSERT INTO `t_user` VALUES (17,'{add_label(kind, value)}','x'),(18,'','x');",
    "column ----": _column("----"),
    "column --": _column("--"),
    "column |": _column("|"),
    "column tab": _column("\t"),
    "column comma": _column(","),
    "column full-width comma": _column("，"),
    "column semicolon": _column(";"),
    "column slash": _column("/"),
    "column plus": _column("＋"),
    "glued to Han": _around("号码", "住址", (*NUMBERS, "email", "iban", "uscc")),
    "label": lambda kind, value: f"{LABELS.get(kind) or OTHER_LABELS[kind]}：{value}。",
    "stealer block": _around("URL: https://bank.example/login\nUSER: ", "\nPASS: x1y2z3",
    ("phone", "email")),
}  # fmt: skip


def _hex_literal(before: str, after: str) -> Write:
    """Bytes as MySQL dumps a column of them."""
    return lambda kind, value: (
        f"(17,{before}{value.encode().hex()}{after},'x')" if kind not in LABELS else ""
    )


def _scientific(kind: str, value: str) -> str:
    return f"{value[0]}.{value[1:]}E+10" if kind == "phone" else ""


def _glue(word: str, kind: str, *, behind: bool = False) -> Write:
    return lambda own, value: (
        (f"{value}{word}" if behind else f"{word}{value}") if own == kind else ""
    )


def _spelt(words: str, separator: str) -> Write:
    table = dict(zip(f"{DIGITS}X", (*words.split(), "x"), strict=True))
    return lambda kind, value: (
        separator.join(table[c] for c in value) if kind in ("phone", "resident_id") else ""
    )


def _look_alike(kind: str, value: str) -> str:
    """Return a value whose last zeros and ones are letters, three at most."""
    text = value
    for _ in range(3):
        place = max(text.rfind(digit, 2) for digit in "01")
        text = text if place < 0 else text[:place] + "Ol"[int(text[place])] + text[place + 1 :]
    return text if kind == "phone" and text != value else ""


EXPORTED: dict[str, Write] = {
    "scientific": _scientific,
    "scientific of Java": lambda kind, value: _scientific(kind, value).replace("E+", "E"),
    "thousands, labelled": lambda kind, value: f"手机：{int(value):,}" if kind == "phone" else "",
    "hexadecimal": lambda kind, value: f"user={int(value):#x};" if kind == "phone" else "",
    "hex literal": _hex_literal("0x", ""),
    "hex string": _hex_literal("X'", "'"),
    "between underscores": _around("_", "_", ("email",)),
}
GLUED: dict[str, Write] = {
    **{f"{word} before": _glue(word, "phone") for word in ("TEL", "phone", "VX", "wx", "QQ")},
    **{f"{word} before": _glue(word, "resident_id") for word in ("SFZ", "IDCARD")},
    **{f"{word} before": _glue(word, "card") for word in ("ICBC", "kahao")},
    "tel behind": _glue("tel", "phone", behind=True),
}
EVASIVE: dict[str, Write] = {
    "groups, spaced dash": _groups(" - "),
    "groups, slash": _groups("/"),
    "groups, spaced slash": _groups(" / "),
    "groups, stars": _groups("**"),
    "groups, a word": _groups("加", ("phone",)),
    "groups, comma, labelled": lambda kind, value: (
        f"电话:{split_groups(value, GROUPS[kind], ',')}" if kind == "phone" else ""
    ),
    "letters for digits": _look_alike,
    "groups, uneven": lambda kind, value: (
        split_groups(value, (2, 2, 5, 1), " ") if kind == "iban" else ""
    ),
    "groups, with dots": lambda kind, value: (
        split_groups(value, (4,) * 5, ".") if kind == "iban" else ""
    ),
    "pinyin": _spelt("ling yao er san si wu liu qi ba jiu", " "),
    "English": _spelt("zero one two three four five six seven eight nine", " "),
    "English, hyphens": _spelt("zero one two three four five six seven eight nine", "-"),
}


def _octets(form: str, sign: str) -> Write:
    """Return a disguise that writes each character as a number of its own."""
    return lambda kind, value: (
        sign.join(form.format(ord(c)) for c in value) if kind in (*NUMBERS, "email") else ""
    )


def _ibans(size: int, sign: str) -> Write:
    return lambda kind, value: (
        split_groups(value, (size,) * len(value), sign) if kind == "iban" else ""
    )


OCTETS: dict[str, Write] = {
    **{f"octets, {sign!r}": _octets("{:02x}", sign) for sign in (" ", ":", "-", ",", ", ")},
    **{f"octets with 0x, {sign!r}": _octets("0x{:02x}", sign) for sign in (" ", ",", ", ")},
    "octets, decimal": _octets("{:d}", " "),
    "octets, quoted": _octets("={:02X}", ""),
    **{
        f"IBAN one by one, {sign!r}": _ibans(1, sign)
        for sign in (" ", "-", ".", "x", "丨", "·", " - ")
    },
    **{f"IBAN in fours, {sign!r}": _ibans(4, sign) for sign in ("x", "丨", "加", "|", "、")},
}
NAMED_SIGNS: dict[str, Write] = {
    f"{at!r} and {dot!r}": _address(at, dot)
    for at, dot in (
        *(
            (" AT ", " DOT "),
            ("&at;", "."),
            ("ⓐ", "."),
            ("[at]", "(punkt)"),
            ("艾特", "点"),
            ("(at-sign)", "."),
            ("#", "[dot]"),
        ),
        *((" @ ", " . "), ("@", "点"), ("(ät)", "[punkt]"), ("圈a", "。")),
    )
}
BACKWARDS: dict[str, Write] = {
    "address backwards": lambda kind, value: (
        value[::-1] if kind == "email" and value.endswith((".com", ".cn", ".org")) else ""
    ),
}
X_ALIKE = {
    "lower": "x",
    "Cyrillic": "Х",
    "small Cyrillic": "х",
    "Greek": "Χ",
    "times": "×",
    "full width": "Ｘ",
}
LAST_X: dict[str, Write] = {f"X as {name}": _last_x(alike) for name, alike in X_ALIKE.items()}
DIGESTS: dict[str, Write] = {
    "md5": _digest("md5"),
    "md5 upper": _digest("md5", upper=True),
    "md5, 16": _digest("md5", middle=True),
    "md5, 16 upper": _digest("md5", middle=True, upper=True),
    "sha1": _digest("sha1"),
    "sha256": _digest("sha256"),
    "sha256 upper": _digest("sha256", upper=True),
    "md5 of 86": _digest("md5", "86"),
    "md5 of +86": _digest("md5", "+86"),
    "sha1 of 86": _digest("sha1", "86"),
    "sha256 of +86": _digest("sha256", "+86"),
    "user:md5": _digest("md5", user="liwei2026:"),
}
BASE64: dict[str, Write] = {
    "base64": _base64(),
    "base64 in lines": _base64(76),
    "base64 for URLs": _base64(safe=True),
    "base64 twice": _base64(twice=True),
}
MARKUP: dict[str, Write] = {
    "split by tags": _split("<b>", "</b>"),
    "split by spans": _split('<span class="a">', "</span><i></i>"),
    "split by a comment": _split("<!-- x -->", "<wbr>"),
    "attribute": lambda kind, value: f'<input name="v" value="{add_label(kind, value)}">',
    "table cell": lambda kind, value: (
        f"<tr><td>17</td><td>{add_label(kind, value)}</td><td>x</td></tr>"
    ),
}
PLAIN: dict[str, Write] = {"plain": add_label}
IN_TEXT: dict[str, Write] = {
    **PLAIN, **SCRIPTS, **INVISIBLE, **SEPARATED, **PREFIXED, **ADDRESSES, **ESCAPES, **TABLES,
    **LAST_X, **DIGESTS, **BASE64,
    **EXPORTED, **GLUED, **EVASIVE, **OCTETS, **NAMED_SIGNS, **BACKWARDS,
}  # fmt: skip


def disguises(kind: str, value: str, ways: dict[str, Write]) -> Iterator[tuple[str, str]]:
    """(name, text) for every one of `ways` that applies to this value."""
    for name, write in ways.items():
        if text := write(kind, value):
            yield name, text
