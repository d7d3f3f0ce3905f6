"""Recognise mobile numbers of China, and phone numbers of other countries with `+` or `00`.

`KIND` finds a number in any of its written forms and brings it to one (`ullage.identifiers.base`):

    +86 138-0013-8000, 013800138000, (86)13800138000   → 13800138000
    001 (415) 555-2671, +1-415-555-2671                → +14155552671

A Chinese number is `1[3-9]` and nine digits, without a checksum. About 5.2 billion are assignable
(libphonenumber metadata 2024-10), so a number alone proves nothing. It is written with +86, 0086,
86, (86) or a trunk 0 before, and grouped 3-4-4, 3-8 or 7-4. Fictitious examples: 13800138000 is
widely printed; no carrier holds 154.

A number from abroad becomes E.164 (`+14155552671`, ITU-T E.164: at most 15 digits), so eleven
digits alone are always Chinese. One sign stands between two groups, and one group may stand in
brackets. Numbering plans come from the metadata of libphonenumber (`phonenumbers`). Its `parse` and
`is_valid_number` take some 30 µs per number, and hostile text may be full of `00…`. So the plans
are compiled here to one pattern per calling code, and a number costs one or two matches. Tests
compare them with the library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

from ullage.identifiers.base import AFTER, BEFORE, Kind, digits
from ullage.regex import compile_later
from ullage.vocabulary.fields import FieldLabel

if TYPE_CHECKING:
    from phonenumbers.phonemetadata import PhoneNumberDesc

LENGTH = 11
PREFIXES = ("", "86", "0086", "0")
GROUPS = ((3, 4, 4), (3, 8), (7, 4))
"""Prefixes of a mobile number; sizes of its groups if all are separated."""
PREFIX = r"(?:(?:\+|00)?86[ \-]?|\(\+?86\)[ ]?|0)?"
BODY = r"1[3-9]\d(?:\d{8}|([ .\-])\d{4}\1?\d{4}|[ .\-]\d{8}|\d{4}[ .\-]\d{4})"
DECIMALS = r"\.(?=[0-9]*[1-9])[0-9]{1,6}[\"'<]"
"""Decimals behind a number in quotes or markup, which is an amount: `value="13800138000.5"`."""
MAINLAND = rf"{BEFORE}(?<![0-9]\.){PREFIX}{BODY}{AFTER}(?!{DECIMALS})"
ANY_GROUPS = r"\d{0,2}(?P<sign>[.\-])\d{1,4}(?:(?P=sign)\d{1,4}){1,12}(?!(?P=sign)\d)"
"""The rest of a number in groups of any length with the same sign: `+33-6-12-34-56-78`."""
ZEROS = r"00(?=\d{5})|(?<! (?s:.){3}\d )(?<!-(?s:.){3}\d-)(?!(?<=\d[ \-])00\d\d(?!\d))00"
"""Zeros that stand for a plus sign.

Zeros of a group of four within a card or a mobile number (`6217 0012 3456 7890`) do not.
"""
ABROAD = (
    rf"{BEFORE}(?<!\+)(?:\+|{ZEROS})(?!86)[1-9](?:\d{{6,14}}|{ANY_GROUPS}"
    rf"|\d{{0,2}}[.\-]\d{{1,12}}(?:[ .\-]\d{{2,8}}){{0,5}}"
    rf"|\d{{0,2}}[ ]?(?:\(\d{{1,4}}\)[ ]?)?\d{{1,12}}(?:[ .\-]\d{{2,8}}){{0,5}}){AFTER}"
)
PATTERN = compile_later(rf"{MAINLAND}|{ABROAD}", re.ASCII)
PREFIXED = re.compile(r"^(?:\+?86|0086|\(\+?86\)|0)(?=1[3-9]\d{9}$)", re.ASCII)
SHAPE = re.compile(r"1[3-9]\d{9}", re.ASCII)
TRUNK = re.compile(r"\(0\)|[ .\-()]")
"""Parts of a number from abroad that are written but not dialled: `+44 (0)20 …`."""
LETTERS, FEWEST_DIGITS = {"O": "0", "o": "0", "l": "1", "I": "1"}, 8
"""Letters read as the digits they look like (`l38OOl38000`).

At least FEWEST_DIGITS of the number must be digits.
"""
INTERNATIONAL = re.compile(r"(?:\+|00)([1-9]\d{6,14})", re.ASCII)
ANYWHERE = (
    *(
        "手机 手机号 手机号码 电话 电话号码 联系电话 联系方式 预留手机 预留手机号 tel phone mobile"
        " phone_number sjh phone_no phoneno mobile_no mobileno mobile_phone mobilephone"
        " telephone tel_no 联系手机 绑定手机 注册手机 phonenumber mobile_number mobilenumber"
        " whatsapp mobile_phone_number contact_number contact_phone contactnumber contactphone"
        " homephone workphone msisdn dest_addr"
    ).split(),
    *("call me on", "call me at", "call me back on", "call me back at"),
)
TRADITIONAL = "852 853 886"
"""Calling codes of places that write traditional characters."""
_HOME_LABELS = {
    "84": (
        "sđt|sdt|số điện thoại|so dien thoai|so_dien_thoai|sodienthoai|điện thoại|dien"
        " thoai|dien_thoai|dienthoai|số đt|điện thoại di động|điện thoại liên hệ|đtdđ|đt|di động|số"
        " di động"
    ),
    TRADITIONAL: "行動電話|行動|手提電話|流動電話|連絡電話|市話|手提|手機號|電話號碼",
    "7 380 375": (
        "тел|телефон|моб|моб. тел|моб. телефон|мобильный|мобильный телефон|номер"
        " телефона|контактный телефон|сотовый|сот|сотовый телефон|номер"
        " телефону|мобільний|мобільний телефон|контактний телефон"
        "|телефонконтакта|контактныйтелефон|телефонмобильный"
    ),
    "66": "โทร|โทรศัพท์|เบอร์|เบอร์โทร|เบอร์โทรศัพท์|เบอร์มือถือ|มือถือ|หมายเลขโทรศัพท์",
    "81": "電話番号|携帯電話|携帯番号|携帯電話番号|携帯|お電話番号|連絡先",
    "82": "휴대폰|휴대전화|핸드폰|휴대폰번호|휴대폰 번호|휴대전화번호|전화번호|전화|연락처",
    "62": (
        "no hp|no. hp|nohp|no_hp|nomor hp|nomor_hp|no telp|no. telp|no_telp|nomor telepon|nomor"
        " ponsel|telepon|telp|handphone|hp/wa|wa/hp|no wa|no. wa|nomor wa"
    ),
    "60": "no telefon|no. telefon|telefon bimbit|no. tel. bimbit",
    "63": "cp no|cp no.|cp_no|cellphone no|cellphone no.",
    "90": "cep|cep tel|cep telefonu|cep_telefonu|gsm no|telefon numarası|telefon no|gsm",
    "91": "mob no|mob. no|mob no.|mob. no.|mobile no.|मोबाइल|मोबाइल नंबर|मोबाइल नं|फोन|फ़ोन",
    "55 351": "telefone|telefone celular|fone|telemóvel|telemovel",
    "34": "tlf|tlfno|móvil|movil|teléfono móvil|telefono movil",
    "33": "téléphone|tél|téléphone portable|numéro de téléphone",
    "39": "cellulare|numero di cellulare",
    "49 43 41": "fon|handy|handynummer|rufnummer|mobilnummer|telefonnummer",
    "966 971 20": "جوال|الجوال|رقم الجوال|هاتف|رقم الهاتف|موبايل|رقم الموبايل",
}
_SHARED_LABELS = {
    "34 52 54 57 51 56 58 593 502 503 504 505 506 507 591 595 598": "teléfono|número de teléfono",
    "34 39 52 54 57 51 56 58 593 502 503 504 505 506 507 591 595 598": "telefono",
    "52 54 57 51 56 58 593 502 503 504 505 506 507 591 595 598 55": "celular|número de celular",
    "49 43 41 90 48 46 47 45 40 420 421 36 385 386 381 62 60": "telefon",
    "49 43 41 46 47 45 36 420 421 62": "mobil",
    "1 27 63": "cell|cell phone|cellphone|cell_phone",
}
HOME_LABELS = {
    tuple(codes.split()): tuple(labels.split("|")) for codes, labels in _HOME_LABELS.items()
}
"""Labels of a phone number, by the calling codes of the countries that speak their language.

The likeliest country is first.
"""
SHARED_LABELS = {
    tuple(codes.split()): tuple(labels.split("|")) for codes, labels in _SHARED_LABELS.items()
}
"""Labels in a language of many countries, by their calling codes.

Which country is meant is known only from where the customers of a list are.
"""
HEADERS = tuple(
    dict.fromkeys(
        chain(ANYWHERE, *HOME_LABELS.values(), *SHARED_LABELS.values()),
    )
)
GLUED = tuple(
    "vx wx v wechat weixin qq mob mobile cell contact hp dh lxdh lxfs shouji dianhua sj sjhm"
    " shouhao".split()
)
"""Words that may be glued to a number, beside its headers.

The number is often the name of an account as well.
"""


def normalise(text: str) -> str:
    """Return eleven digits without prefix, E.164 for a number from abroad, or "" for neither.

    >>> normalise('+86 138-0013-8000')
    '13800138000'
    >>> normalise('001 (415) 555-2671')
    '+14155552671'
    """
    written = text.strip().removesuffix(".0")
    bare = PREFIXED.sub("", digits(written))
    if SHAPE.fullmatch(bare):
        return bare
    abroad = INTERNATIONAL.fullmatch(TRUNK.sub("", written))
    if abroad and is_number(abroad[1]):
        return f"+{abroad[1]}"
    # `+13800138000` is no number of North America, but a Chinese one
    stray = bare.removeprefix("+")
    return stray if SHAPE.fullmatch(stray) else ""


KIND = Kind(
    name="phone",
    field=FieldLabel.PHONE,
    noun="a phone number",
    noun_zh="手机号",
    rank=5,
    pattern=PATTERN,
    normalise=normalise,
    by_chance=True,
    headers=HEADERS,
    glued=GLUED,
    examples=(
        ("手机:13800138000", "13800138000"),
        ("+8613800138000", "13800138000"),
        ("+86 138 0013 8000", "13800138000"),
        ("008613800138000", "13800138000"),
        ("8613800138000", "13800138000"),
        ("(86)13800138000", "13800138000"),
        ("013800138000", "13800138000"),
        ("138-0013-8000", "13800138000"),
        ("138.0013.8000", "13800138000"),
        ("13800138000.0", "13800138000"),
        ("张某13800138000住址", "13800138000"),
        ("李某----13800138000----x", "13800138000"),
        ("13800138000,13800138000", "13800138000"),
        ("tel:+14155552671", "+14155552671"),
        ("0014155552671", "+14155552671"),
        ("+1 (415) 555-2671", "+14155552671"),
        ("+1-415-555-2671", "+14155552671"),
        ("+33-6-12-34-56-78", "+33612345678"),
        ("+33.6.12.34.56.78", "+33612345678"),
        ("+33-61-23-45-67-8", "+33612345678"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("+49-17096259826", "+4917096259826"),
        ("+49(0)17096259826", "+4917096259826"),
        ("电话+852 6123 4567住址", "+85261234567"),
        ("+886912345678", "+886912345678"),
        ("+13800138000", "13800138000"),
    ),
    near_misses=(
        "138001380001",
        "1380013800",
        "20231380013800099",
        "12800138000",
        "138--0013--8000",
        'office:value="13800138000.5"',
        "a13800138000b4f6",
        "+4155552671",
        "14155552671234",
        "++442079460958",
        "+141555526711",
        "+862112345678",
        "+1-415-555--2671",
    ),
)
FROM_ABROAD = replace(KIND, pattern=compile_later(ABROAD, re.ASCII))
"""The same kind, restricted to numbers from abroad."""


CHINA = 86
LONGEST_CODE = 3
CALLING_CODE = re.compile(rf"[1-9][0-9]{{0,{LONGEST_CODE - 1}}}")
TRUNKS = {"7": "8", "36": "06"}
"""Digits that stand for the trunk prefix 0 in other countries, by calling code."""
OF_PEOPLE = ("mobile", "fixed_line", "personal_number", "voip")
"""Types of number that a customer gives as his own.

Premium and toll-free numbers belong to firms.
"""


def is_number(digits: str) -> bool:
    """Return whether `digits`, a calling code and a national number, fit the plan of a country.

    China does not count. The empty text fits none.
    """
    for length in range(1, LONGEST_CODE + 1):
        plan = _plan(digits[:length])
        if plan is not None and plan.fullmatch(digits, length) is not None:
            return True
    return False


def is_national(code: str, digits: str) -> bool:
    """Return whether `digits` are a national number behind the calling code `code`.

    False if `code` is China's or no calling code.
    """
    plan = _plan(code)
    return plan is not None and plan.fullmatch(digits) is not None


def find_calling_code(digits: str) -> str:
    """Return the calling code with which `digits` begin; "" if they begin with none.

    >>> find_calling_code('84912345678')
    '84'
    """
    heads = (digits[:length] for length in range(1, LONGEST_CODE + 1))
    return next((head for head in heads if _plan(head) is not None), "")


@cache
def list_lengths(code: str, kinds: tuple[str, ...] = OF_PEOPLE) -> frozenset[int]:
    """Return how many digits a national number of these kinds behind a calling code may have.

    No length is returned for China's code and for a text that is no calling code.
    """
    lengths = (
        length
        for description in _list_number_types(code, kinds)
        if description is not None and description.national_number_pattern
        for length in description.possible_length
    )
    return frozenset(length for length in lengths if length > 0)


@cache
def _plan(code: str) -> re.Pattern[str] | None:
    """Return the pattern of national numbers behind a calling code.

    Returns None if the text is not the calling code of another country.
    """
    patterns = {_to_pattern(description) for description in _list_number_types(code)} - {""}
    return re.compile("|".join(sorted(patterns)), re.ASCII) if patterns else None


def _list_number_types(
    code: str, kinds: tuple[str, ...] = OF_PEOPLE
) -> Iterator[PhoneNumberDesc | None]:
    """Yield the plans of these kinds of number behind a calling code.

    Yields nothing behind China's, or for a text that is no calling code; None for a kind that a
    region does not have.
    """
    from phonenumbers import (  # noqa: PLC0415  40 ms, and few texts have such a number
        COUNTRY_CODE_TO_REGION_CODE,
        PhoneMetadata,
    )

    if CALLING_CODE.fullmatch(code) is None or int(code) == CHINA:
        return
    for region in COUNTRY_CODE_TO_REGION_CODE.get(int(code), ()):
        metadata = PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
        if metadata is not None:
            yield from (getattr(metadata, kind) for kind in kinds)


def _to_pattern(description: PhoneNumberDesc | None) -> str:
    """Return the pattern of one type of number, limited to its possible lengths.

    Returns "" where a country has none.
    """
    if description is None or not description.national_number_pattern:
        return ""
    lengths = [length for length in description.possible_length if length > 0]
    allowed_lengths = "|".join(rf"\d{{{length}}}\Z" for length in lengths)
    return (
        rf"(?=(?:{allowed_lengths}))(?:{description.national_number_pattern})"
        if allowed_lengths
        else f"(?:{description.national_number_pattern})"
    )
