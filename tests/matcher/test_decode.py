"""Bytes to text, whatever they are and whatever they say that they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.match.parts import HEAD
from matcher.text import decode, decode_as, read
from matcher.text.decode import FIRST_BYTES, WINDOW, common_share, cut_windows, detect_wide, utf8_of

ROW = "姓名张某,手机13800138000,身份证11010519491231002X"
TRADITIONAL = "姓名陳某,電話13800138000,億元"
HAN = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=4)
DECLARED = st.sampled_from(
    [
        "",
        "utf-8",
        "gb2312",
        "iso-8859-1",
        "utf-16",
        "utf-7",
        "idna",
        "hex",
        "no such",
        "unicode_escape",
        "a\0b",
        "\ud800",
    ]
)


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("gbk", ""),
        ("gbk", "gb2312"),
        ("gbk", "GB2312"),
        ("gbk", "utf-8"),
        ("gbk", "iso-8859-1"),
        ("gbk", "x-unheard-of"),
        ("utf-8", ""),
        ("utf-8", "gbk; no"),
        ("utf-8", "iso-8859-1"),
        ("utf-8-sig", "gbk"),
        ("utf-16", ""),
        ("utf-16-le", ""),
        ("utf-16-be", ""),
        ("utf-16-le", "utf-8"),
        ("utf-32", ""),
        ("utf-32-le", ""),
        ("utf-32-be", ""),
        ("utf-32-le", "utf-8"),
        ("gb18030", "'GBK'"),
    ],
)
def test_row_is_decoded_despite_wrong_declared_encoding(encoding: str, declared: str) -> None:
    assert decode(ROW.encode(encoding), declared) == ROW


def test_mainframe_file_is_read() -> None:
    """EBCDIC: records of fixed length, digits and blanks; there is no blank and no digit of
    ASCII in it.
    """
    record = f"{'0000123456':<12}{'ZHANG SAN':<20}{'13800138000':<15}{'11010519491231002X':<20}\n"
    assert decode((record * 9).encode("cp037")) == record * 9


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-le", "utf-32-be", "utf-16", "utf-16-be"])
def test_windows_of_wide_text_are_cut_between_characters(encoding: str) -> None:
    body = f"{ROW}\n".encode(encoding) * (2 * WINDOW // len(ROW.encode(encoding)))
    if encoding in ("utf-32", "utf-16"):
        mark = len("".encode(encoding))
        body = body[:mark] + f"{ROW}\n".encode(encoding)[mark:] * (
            2 * WINDOW // len(ROW.encode(encoding))
        )
    charset = ""
    for window in cut_windows([body], detect_wide(body[:HEAD])):
        text, charset = decode_as(window, charset)
        assert set(text.splitlines()) == {ROW}


def test_declared_big5_is_read() -> None:
    assert decode(TRADITIONAL.encode("big5"), "big5") == TRADITIONAL


def test_four_byte_characters_do_not_consume_digits() -> None:
    body = "😀13800138000🀄".encode("gb18030")
    assert b"\x94\x39\xfc\x36" in body
    assert decode(body) == "😀13800138000🀄"


def test_gbk_character_ending_in_a_bar_byte_is_not_a_separator() -> None:
    body = "億|13800138000|乗".encode("gbk")
    assert body.count(b"|") == 3
    assert decode(body).count("|") == 2


@pytest.mark.parametrize("declared", ["cp1252", "windows-1252", "iso-8859-1", "latin1"])
def test_western_text_is_decoded_as_browsers_do(declared: str) -> None:
    assert decode(b"price 5 \x80, caf\xe9 \x95", declared) == "price 5 €, café •"


@pytest.mark.parametrize("encoding", ["gbk", "utf-8", "gb18030"])
def test_page_cut_within_a_character_loses_only_that_character(encoding: str) -> None:
    assert decode(f"{ROW}住".encode(encoding)[:-1]) == ROW


def test_page_with_one_damaged_byte_is_still_chinese() -> None:
    body = (ROW * 20).encode("gbk")
    assert decode(body[:20] + b"\xff" + body[20:]).count("身份证") >= 19


@pytest.mark.parametrize("text", ["card", "name1", "手机", "", "a", "1\0"])
def test_short_text_is_not_taken_for_utf_16(text: str) -> None:
    assert decode(text.encode()) == text


def test_trailing_western_letter_is_not_half_a_character() -> None:
    assert decode(b"13800138000 caf\xe9") == "13800138000 café"


def test_utf_8_page_with_damaged_bytes_is_still_utf_8() -> None:
    body = (ROW * 20).encode()
    assert decode(body[:70] + b"\xff\xc3" + body[70:]).count("身份证") >= 19


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_chinese_utf_16_without_a_byte_order_mark_is_read(encoding: str) -> None:
    prose = "今天天气很好，我们去公园散步。小明说好！\n张三，电话没有变。"
    assert decode_as(prose.encode(encoding)) == (prose, encoding)


def test_western_text_keeps_every_letter() -> None:
    page = "Le café où l'élève déjeune; prix 5 €. " * 40
    assert decode(page.encode("cp1252"), "windows-1252") == page
    assert decode(page.replace("€", "E").encode("latin-1")) == page.replace("€", "E")


@pytest.mark.parametrize("declared", ["", "big5", "utf-8"])
def test_big5_is_distinguished_from_gbk(declared: str) -> None:
    prose = "親愛的客戶您好,本行通知您帳戶資料已經更新,請儘快聯絡我們的服務人員。" + TRADITIONAL
    assert decode_as(prose.encode("big5"), declared) == (prose, "big5")


def test_traditional_characters_in_gbk_are_not_taken_for_big5() -> None:
    prose = "親愛的客戶您好,本行通知您帳戶資料已經更新,請儘快聯絡我們的服務人員。" * 3
    assert decode_as(prose.encode("gbk")) == (prose, "gb18030")


@pytest.mark.parametrize("misread_as", ["latin-1", "cp1252"])
@pytest.mark.parametrize("was", ["gbk", "utf-8"])
def test_mojibake_is_repaired(misread_as: str, was: str) -> None:
    body = "".join(
        bytes([b]).decode(misread_as) if b not in b"\x81\x8d\x8f\x90\x9d" else chr(b)
        for b in ROW.encode(was)
    ).encode()
    assert decode(body) == ROW
    assert decode(body, "utf-8") == ROW
    text, encoding = decode_as(body)
    short = "姓名".encode("gbk").decode("latin-1").encode()
    assert (text, decode(short), decode(short, encoding)) == (ROW, "ÐÕÃû", "姓名")


@pytest.mark.parametrize(
    "text", ["Ärzte für Ölförderung, naïve café", "ÄÖÜäöüß", "«¡Señor!» ¿Qué?", "13800138000 ÿÿÿÿ",
    "价格 Ã©", "é" * 40]
)  # fmt: skip
def test_text_that_is_not_clearly_chinese_stays_unchanged(text: str) -> None:
    assert decode(text.encode()) == text


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "gb18030", "big5", "utf-16-le", "utf-16-be", "latin-1", "utf-8-sig", "utf-16"],
)
def test_encoding_of_one_window_decodes_the_next(encoding: str) -> None:
    page = TRADITIONAL if encoding != "latin-1" else "caf\xe9 cr\xe8me "
    _, learned = decode_as((page * 9).encode(encoding))
    following = page.encode("utf-16-le" if encoding == "utf-16" else encoding.removesuffix("-sig"))
    assert decode(following, learned) == page


@given(st.binary(), DECLARED)
def test_returned_encoding_decodes_the_same_bytes(body: bytes, declared: str) -> None:
    text, encoding = decode_as(body, declared)
    assert decode(body, declared) == text
    assert isinstance(decode(body, encoding), str)


@given(HAN, st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-32"]))
def test_chinese_text_survives_each_encoding(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding), encoding.removesuffix("-sig")) == text


@given(st.binary(), DECLARED, st.sampled_from(["text/plain", "text/html", "application/xml"]))
def test_arbitrary_bytes_are_decoded(body: bytes, declared: str, media: str) -> None:
    folded = read(body, declared, media)
    folded.text.encode("utf-8")  # and none gives half a surrogate pair, which no record could hold
    assert len(folded.text) + len(folded.drops) == len(folded.original)


@given(st.binary(max_size=40), st.sampled_from(["utf-8", "gbk", "utf-16", "latin-1"]))
def test_number_among_single_byte_noise_is_found(noise: bytes, declared: str) -> None:
    quiet = bytes(b for b in noise if 0x20 <= b < 0x7F and b not in b"&%\\")
    assert (
        "13800138000"
        in read(quiet + b" 13800138000 " + quiet, declared if declared != "utf-16" else "").text
    )


@pytest.mark.parametrize("encoding", FIRST_BYTES)
def test_common_characters_are_the_first_level_of_each_encoding(encoding: str) -> None:
    codec, signs, common = FIRST_BYTES[encoding]
    first_bytes = {*range(signs[0], signs[1] + 1), *range(common[0], common[1] + 1)}
    for char in map(
        chr,
        (
            *range(0x80, 0x500, 7),
            *range(0x2000, 0x3100, 3),
            *range(0x4E00, 0xA000, 11),
            0xFF0C,
            0x1F600,
        ),
    ):
        pair = char.encode(codec, "ignore")
        assert common_share(f"a{char}", encoding) == (pair[:1] != b"" and pair[0] in first_bytes)


@pytest.mark.parametrize(
    ("body", "is_its"),
    [
        ("姓名".encode(), True),
        (b"", True),
        (b"name", True),
        ("\ufeff姓名".encode(), False),
        ("姓名".encode()[:-1], False),
        ("姓名".encode("gbk"), False),
        ("姓名13800138000加，".encode()[1:], False),
        ("姓名张某手机".encode("gbk").decode("latin-1").encode(), False),
        (b"\x80" + ":9[at]一.cn".encode() * 99, False),
        ("我 13800138000 ".encode() * 99 + b"\xff" + "姓名".encode(), False),
    ],
)
def test_only_unchanged_utf_8_is_searched_without_copying(body: bytes, is_its: bool) -> None:
    text, encoding = decode_as(body)
    assert (utf8_of(body, text, encoding) is body) is is_its
    assert utf8_of(body, text, encoding) == text.encode()


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("ФИО;Телефон;Почта\r\nИванов;8 916 123-45-67\r\n", "cp1251"),
        ("имя, тел. 8 916 123-45-67", "koi8-r"),
        ("ФИО|МОБ|город", "cp866"),
        ("ลำดับ,ชื่อ,เบอร์โทร\r\n1,สมชาย,081-234-5678", "cp874"),
        ("氏名：佐藤\r\n携帯：090-1234-5678\r\n", "cp932"),
        ("氏名,電話番号\n佐藤,090-1234-5678", "euc-jp"),
        ("번호,이름,휴대폰번호\r\n1,김민준,010-2345-6789", "cp949"),
        ("الاسم,رقم الجوال\r\nأحمد,0501234567", "cp1256"),
    ],
)
@pytest.mark.parametrize("declared", ["", "iso-8859-1"])
def test_phone_label_tells_the_encoding_of_its_language(
    text: str, encoding: str, declared: str
) -> None:
    assert decode_as(text.encode(encoding), declared) == (text, encoding)


@pytest.mark.parametrize("encoding", ["gbk", "big5", "cp1252"])
def test_other_text_keeps_its_encoding_beside_home_encodings(encoding: str) -> None:
    text = "Données téléphone déjà là\n" if encoding == "cp1252" else TRADITIONAL * 20
    assert decode(text.encode(encoding), "cp1252" if encoding == "cp1252" else "") == text
