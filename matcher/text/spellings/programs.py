r"""Undo values as the source of a program, a page or a document writes them.

a long integer          `new User(13800138000L)`, `13800138000n`
Cloudflare's addresses  `data-cfemail="5a36…"`: a key, and each byte XOR the key, in hex
TeX                     `li\_wei@example{.}com`, `+1\,202\,555\,0123`
EDIFACT                 `COM+li.wei@example.com:EM'`, where a plus sign parts elements
Ascii85                 `<~0ekC;…~>` (the alphabet of PostScript, in Adobe's marks)
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from string import ascii_lowercase, digits

from matcher.columns.bitset import Classes, Places, is_one_of, places, shift_back, shift_forward
from matcher.columns.literals import spell_out
from matcher.text.fold import fit
from matcher.text.group_numbers import is_valid
from matcher.text.spellings import Spelling
from matcher.text.spellings.escapes import CONTROL
from ullage.identifiers import email, phone
from ullage.identifiers.base import BEFORE

PHONE, ADDRESS, ABROAD = "13800138000", "li.wei8@example.com", "+12025550123"
SHORTEST = phone.LENGTH
"""Digits of a number that a program writes as a long integer."""
BEHIND_LONG = b"LUn"
"""First letters of the endings of a long integer in Java and C# (L), C (UL), JavaScript (n)."""
SHORTEST_HIDDEN, LONGEST_HIDDEN = 7, 120
"""Bytes of a hidden address, its key included."""
TEX_LOCAL, TEX_LABEL = r"(?:[A-Za-z0-9._%+\-]|\\_|\{\.\})", r"(?:[A-Za-z0-9.\-]|\{\.\})"
TEX_SIGNS = str.maketrans("", "", "\\{}")
ASCII85 = re.compile(r"<~(?P<inner>[!-uz\s]++)~>")


def rows() -> Iterator[Spelling]:
    """Yield what programs write, in the order in which it is undone."""
    yield Spelling(
        "block in Ascii85",
        "text",
        examples=(
            (base64.a85encode(f"n,{PHONE},x".encode(), adobe=True).decode(), PHONE),
            (
                base64.a85encode(f"mail: {ADDRESS}\n".encode(), wrapcol=20, adobe=True).decode(),
                ADDRESS,
            ),
        ),
        near_misses=(
            f"<~{PHONE}0123~>",
            base64.a85encode(f"n,{PHONE},x".encode(), adobe=True).decode().removesuffix(">"),
        ),
        gate=tuple(f"<~{re.escape(chr(code))}" for code in (*range(33, 118), ord("z"))),
        rewrite=lambda text: ASCII85.sub(_read_ascii85, text) if "<~" in text else text,
    )
    yield Spelling(
        "long integer of a program",
        "stretch",
        examples=((f"new User(7L, {PHONE}L)", PHONE), (f"const TEL = {PHONE}n;", PHONE)),
        near_misses=(f"{PHONE}1L", f"{PHONE}Lx", f"x{PHONE}L"),
        starts=find_long_integers,
        pattern=re.compile(rf"{BEFORE}([0-9]{{11}}|[0-9]{{16,19}})(?:U?LL?|n)(?![0-9A-Za-z_])"),
        plain=lambda match: match[1] if is_valid(match[1]) else "",
    )
    yield Spelling(
        "address hidden by Cloudflare",
        "stretch",
        examples=(
            (f'<a data-cfemail="{_hide(ADDRESS)}">', ADDRESS),
            (f"/cdn-cgi/l/email-protection#{_hide(ADDRESS)}", ADDRESS),
        ),
        near_misses=(f'data-email="{_hide(ADDRESS)}"', f'data-cfemail="{_hide(ADDRESS)[2:]}"'),
        gate=("data-cfemail", "email-protection#"),
        pattern=re.compile(
            r"(?:data-cfemail=[\"'\s]*|email-protection#)"
            rf"(?P<value>(?:[0-9a-f]{{2}}){{{SHORTEST_HIDDEN},{LONGEST_HIDDEN}}}+)(?![0-9a-z])"
        ),
        plain=lambda match: _reveal(match["value"]),
    )
    yield Spelling(
        "address in TeX",
        "stretch",
        examples=(
            (r"\texttt{li\_wei8@example.com}", "li_wei8@example.com"),
            (r"\texttt{ li{.}wei8@example{.}com }", ADDRESS),
        ),
        near_misses=(r"x\_1 = 5 @ 7", r"li{.}wei8 example{.}com"),
        gate=(r"[0-9a-z]\{\.\}[0-9a-z]", *spell_out((r"\\_",), ascii_lowercase + digits)),
        pattern=re.compile(
            rf"(?<![A-Za-z0-9._%+\-\\])[A-Za-z0-9]{TEX_LOCAL}{{0,64}}@{TEX_LABEL}{{3,80}}"
        ),
        plain=lambda match: match[0].translate(TEX_SIGNS),
        needs=re.compile("@"),
    )
    yield Spelling(
        "address of an EDIFACT segment",
        "stretch",
        examples=(
            (f"CTA+IC+:LI WEI'COM+{ADDRESS}:EM'", ADDRESS),
            (f"COM+{ADDRESS}:EM+13700137000:TE'", ADDRESS),
        ),
        near_misses=(f"COM+{ADDRESS}'", f"TELECOM+{ADDRESS}:EM'"),
        gate=("com\\+",),
        pattern=re.compile(
            r"(?<![0-9A-Za-z._%+\-@])(?P<value>COM\+)(?=[0-9A-Za-z][0-9A-Za-z._%+\-]{0,63}"
            r"@[0-9A-Za-z.\-]{3,80}:EM['+])"
        ),
        plain=lambda _: "COM ",
    )
    yield Spelling(
        "thin spaces of TeX",
        "stretch",
        examples=(
            (r"+1\,202\,555\,0123", ABROAD),
            (r"+861\,380\,0138000", PHONE),
            (r"Tel. 138\,0013\,8000", PHONE),
        ),
        near_misses=(r"1\,380\,013\,800", r"138\,0013\,800"),
        gate=tuple(spell_out(digits, (r"\\,",), digits)),
        pattern=re.compile(
            r"(?P<value>(?<![0-9A-Za-z])\+[0-9]{1,4}(?:\\,[0-9]{2,12}){1,5}+"
            r"|(?<=[0-9])\\,(?=[0-9]))"
        ),
        plain=lambda match: match["value"].replace(r"\,", "") or " ",
    )


def find_long_integers(classes: Classes) -> Places:
    """Return the last digits of long numbers with a letter behind that ends a long integer."""
    long = shift_forward(classes.digits.find_starts(SHORTEST), SHORTEST - 1)
    last = places(long & ~shift_back(classes.digit, 1) & shift_back(classes.letter, 1))
    return last[is_one_of(classes.data.take(last + 1), BEHIND_LONG)]


def _hide(address: str, key: int = 0x5A) -> str:
    """Return an address as Cloudflare hides it."""
    return bytes((key, *(byte ^ key for byte in address.encode()))).hex()


def _reveal(written: str) -> str:
    """Return the address that Cloudflare has hidden, or "" if it is none."""
    key, *hidden = bytes.fromhex(written)
    plain = bytes(byte ^ key for byte in hidden)
    return plain.decode() if plain.isascii() and email.normalise(plain.decode()) else ""


def _read_ascii85(match: re.Match[str]) -> str:
    """Return the text of a block, or the block itself if it holds no text."""
    try:
        plain = base64.a85decode("".join(match["inner"].split())).decode()
    except ValueError:
        return match[0]
    is_text = not CONTROL.search(plain) and len(plain) <= len(match[0])
    return fit(plain, len(match[0])) if is_text else match[0]
