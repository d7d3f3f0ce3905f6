"""Texts and files in another dress: rich text, quoted-printable, MessagePack, Brotli, an archive
behind a picture.
"""

import base64
import gzip
import quopri
import zlib

import brotli
import pytest

from matcher.unpack.formats import TEXT, sniff
from matcher.unpack.readers import mail
from tests.matcher.unpack import builders
from tests.matcher.unpack.conftest import QUICK, out_of

TEXT_OF = "张某,15400000001,a@example.com\n李某,15400000002,b@example.com\n" * 20
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9 + b"IEND\xaeB`\x82"
PICTURES = {
    "png": PNG,
    "jpeg": b"\xff\xd8\xff\xe0" + bytes(range(200)) * 9 + b"\xff\xd9",
    "gif": b"GIF89a" + bytes(999) + b";",
}


@pytest.mark.parametrize("how", ["u", "hex"])
def test_rich_text_is_joined_across_runs(how: str) -> None:
    unpacked = out_of(builders.rtf_of(TEXT_OF, how))
    assert unpacked.texts == {"!/text": TEXT_OF}
    assert unpacked.outcomes == []


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb"{\rtf1\ansicpg936 \'d5\'c5{\fonttbl{\f0 x;}}\tab 154\~}", "张\t154 "),
        (
            rb"{\rtf1 a{\*\bkmkstart x}b{\field{\*\fldinst HYPERLINK mailto:c}{\fldrslt d}}}",
            "abHYPERLINK mailto:cd",
        ),
        (rb"{\rtf1\uc2 \u24352\'d5\'c5\u-10179?\'3f\u-8704 ?\'3fx}", "张\N{GRINNING FACE}x"),
        (b"{\\rtf1 a\\bin5 }}}}}b}", "ab"),
        (b"{\\rtf1 1540000\r\n0001\\\\ \\{x\\}}}}}} y", "15400000001\\ {x} y"),
        (b"{\\rtf1 " + b"{" * 9999 + b"x", "x"),
    ],
)
def test_control_words_are_removed(body: bytes, text: str) -> None:
    assert out_of(body).texts == {"!/text": text}


def test_objects_embedded_in_rich_text_are_read() -> None:
    inner = builders.zip_of({"a.csv": b"15400000001"}).hex()
    unpacked = out_of(
        f"{{\\rtf1 x{{\\object{{\\*\\objdata {inner}}}}}{{\\pict\\pngblip {PNG.hex()}}}}}".encode()
    )
    assert unpacked.texts == {"!/text": "x", "!/object 1!/a.csv": "15400000001"}
    assert unpacked.outcomes == [("!/picture 2", "image")]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_quoted_printable_needs_no_header(encoding: str) -> None:
    body = quopri.encodestring(TEXT_OF.encode(encoding))
    assert out_of(body).members == {"": TEXT_OF.encode(encoding)}


def test_vcard_of_an_old_phone_is_read() -> None:
    name = quopri.encodestring("张某某".encode()).decode()
    card = (
        f"BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:{name}\n"
        "TEL;CELL:15400000001\nEND:VCARD\n"
    )
    unpacked = out_of(card.encode())
    assert "ENCODING=QUOTED-PRINTABLE:张某某\nTEL;CELL:15400000001" in unpacked.texts[""]


def test_text_resembling_quoted_printable_stays_unchanged() -> None:
    text = "=E5=BC=A0" * 9 + "key=13800138000&a=86138\n"
    assert out_of(text.encode()).texts[""] == "张" * 9 + "key=13800138000&a=86138\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 60])
@pytest.mark.parametrize("end", ["\n", ""])
def test_quoted_printable_is_decoded_alike_in_any_chunks(size: int, end: str) -> None:
    text = (
        quopri.encodestring("张某某,154 0000 0001\n".encode() * 9) + f"{'86=' * 90}{end}".encode()
    )
    pieces = mail._lines(text[at : at + size] for at in range(0, len(text), size))
    assert b"".join(pieces) == mail.decode_quoted(text)


RECORDS = [
    {"name": "张某", "phone": "15400000001", "id": 15400000003, "more": [1.5, None, True]}
    for _ in range(40)
]


@pytest.mark.parametrize(
    "body", [builders.msgpack_of(RECORDS), b"".join(map(builders.msgpack_of, RECORDS))]
)
def test_messagepack_records_become_lines(body: bytes) -> None:
    unpacked = out_of(body)
    [text] = unpacked.texts.values()
    assert "name\tphone\tid\tmore\n张某\t15400000001\t15400000003\t\n" in text
    assert "1.5\t\t1\n" in text
    assert unpacked.outcomes == []
    assert [reason for _, reason in out_of(body[:-9]).outcomes] == ["damaged"]


@pytest.mark.parametrize(
    "text", ["倛倛hello 15400000001", "伀伀，张某。15400000001，李某", "亐亐\n"]
)
def test_chinese_gbk_text_is_not_messagepack(text: str) -> None:
    assert sniff(text.encode("gb18030") * 9) == TEXT


@pytest.mark.parametrize("size", [1, 30_000])
def test_brotli_is_recognised_by_name(size: int) -> None:
    text = "".join(f"{number},15400000001\n" for number in range(size))
    unpacked = out_of(brotli.compress(text.encode()), "a.csv.br")
    assert unpacked.texts == {"!/a.csv": text}
    inside = out_of(builders.zip_of({"a.csv.br": brotli.compress(text.encode())}))
    assert inside.texts == {"!/a.csv.br!/a.csv": text}
    assert inside.outcomes == []


def test_brotli_is_bounded_and_its_damage_reported() -> None:
    assert [reason for _, reason in out_of(brotli.compress(bytes(64 << 20)), "a.br").outcomes] == [
        "bomb"
    ]
    text = zlib.compress(bytes(range(256)) * 99).hex().encode() * 9
    assert [reason for _, reason in out_of(brotli.compress(text)[:-20], "a.br").outcomes] == [
        "damaged"
    ]


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("what", ["zip", "7z", "rar", "gz"])
def test_archive_after_a_picture_is_read(picture: str, what: str) -> None:
    files = {"a.csv": b"15400000001"}
    builders_of = {
        "zip": lambda: builders.zip_of(files),
        "7z": lambda: builders.libarchive_of(files),
        "rar": lambda: builders.rar5_of(files),
        "gz": lambda: gzip.compress(files["a.csv"]),
    }[what]()
    body = PICTURES[picture] + builders_of
    for unpacked in (out_of(body, "a"), out_of(builders.zip_of({"x": body}))):
        assert "15400000001" in unpacked.texts.values()
        assert [reason for _, reason in unpacked.outcomes] == ["image"]
    assert out_of(PICTURES[picture], "a").outcomes == [("", "image")]


def test_unreadable_text_does_not_block_embedded_objects() -> None:
    letters = (
        base64.encodebytes(builders.zip_of({"a.csv": b"x" * 99})).decode().replace("\n", "\\par ")
    )
    body = f"{{\\rtf1 {letters}{{\\object{{\\*\\objdata {b'15400000001'.hex()}}}}}}}".encode()
    unpacked = out_of(body, limits=QUICK._replace(depth=1))
    assert unpacked.texts["!/object 1"] == "15400000001"
    assert unpacked.outcomes == [("!/text", "too_deep")]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("=?utf-8?b?5byg?= =?UTF-8?b?5p+Q?=", "张某"),
        ("=?utf-8?b?5by?= =?utf-8?b?oA==?=", "张"),
        ("=?utf-8?q?=E5=BC?=\r\n =?utf-8?q?=A0?=", "张"),
        ("=?gb2312*zh?B?1cXEsw==?= b =?x-none?q?=41?=!", "张某 b A!"),
        ("a =?utf-8?q??= b =?utf-8?b?QUJDR?=", "a  b =?utf-8?b?QUJDR?="),
    ],
)
def test_encoded_words_are_read(value: str, read: str) -> None:
    assert mail.decode_header(value) == read


def test_flowed_lines_of_a_mail_are_joined() -> None:
    def write_message(more: str) -> str:
        return (
            "From: a@mail.invalid\nTo: b@mail.invalid\nMIME-Version: 1.0\n"
            f"Content-Type: text/plain; charset=utf-8; format=flowed{more}\n\n"
            "call 15400 \n000001 now\n-- \nme\n"
        )

    glued, apart = (
        out_of(write_message(more).encode(), "a.eml").texts["!/part1.txt"]
        for more in ("; delsp=yes", "")
    )
    assert glued == "call 15400000001 now\n-- \nme\n"
    assert apart == "call 15400 000001 now\n-- \nme\n"
