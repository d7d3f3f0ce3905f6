"""Numbers written as spreadsheets and dumps write them, or so that a filter misses them, are
read where they stand.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.hostile.inputs import repeat
from matcher.columns.batch import Batch
from matcher.detect.search import search
from matcher.reference import find
from matcher.text import decode, read
from matcher.text.splice import reveal_numbers

PHONE, ID, CARD = "13800138000", "11010519491231002X", "6200000000000005"
WRITTEN = [
    *((PHONE, text) for text in ("1.3800138000E+10", "1.3800138E+10", "1.3800138e10",
    "8.613800138E+12")),
    *((PHONE, text) for text in ("手机：13,800,138,000", '"phone": "13,800,138,000"',
    "电话:138,0013,8000")),
    *((PHONE, text) for text in ("0x3368d6510", "0x3133383030313338303030",
    "X'3133383030313338303030'")),
    *((PHONE, text) for text in ("138 - 0013 - 8000", "138 / 0013 / 8000", "138/0013/8000",
    "138**0013**8000")),
    *((PHONE, text) for text in ("138加0013加8000", "138空格0013空格8000", "TEL13800138000",
    "tel138-0013-8000")),
    *(("+14155552671", text) for text in ("TEL+14155552671", "tel0014155552671",
    "+1 415 555 2671QQ")),
    *((PHONE, text) for text in ("VX13800138000", "wx13800138000", "QQ13800138000",
    "phone13800138000", "13800138000tel")),
    (PHONE, "yao san ba ling ling yao san ba ling ling ling"),
    (PHONE, "YaoSanBaLingLingYaoSanBaLingLingLing"),
    (PHONE, "one-three-eight-zero-zero-one-three-eight-zero-zero-zero"),
    *((ID, text) for text in (f"SFZ{ID}", f"idcard{ID}", "110105 / 19491231 / 002X",
    f"0x{ID.encode().hex()}")),
    (ID, "yao yao ling yao ling wu yao jiu si jiu yao er san yao ling ling er x"),
    *((CARD, text) for text in (f"ICBC{CARD}", f"kahao{CARD}", f"{CARD}visa",
    "6200 / 0000 / 0000 / 0005")),
    ("6205500000000000004", "6205/5000/0000/0000/004"),
    *((PHONE, text) for text in ("138OO138000", "l38o0l38000", "I3800I38000", "1380013800O")),
    *(
        ("NO9386011117947", text)
        for text in ("NO 93 8601 1117 947", "NO 93 86011117947", "NO93.8601.1117.947",
        "NO  93 8601 1117 947")
    ),
    ("MK07250120000058984", "MK072 5012 0000 0589 84"),
    ("ES9121000418450200051332", "ES 91 2100 0418 4502 0005 1332"),
    ("a@example.com", f"X'{'李,a@example.com'.encode().hex()}'"),
]  # fmt: skip
NOBODYS = [
    *("1.38E+10", "1.380014E+10", "2.3800138000E+10", "1.3800138000E+11", "x1.3800138000E+10"),
    *("13,800,138,000", "金额:13,800,138,000", "138,0013,8000", "1,138,0013,8000,2",
    "a/138/0013/8000/b"),
    *("138元0013元8000元", "138 - 0013 / 8000", "138 - 0013 - 8000 - 1",
    "110105 / 19491231 / 0021"),
    *("0x0368d6510", "0x3368d65100", f"0x{b'13800138000'.hex()}3", f"0x{'ab' * 20}",
    f"0x{bytes(range(20)).hex()}"),
    *("SKU13800138000", "atel13800138000", "tel138001380001", "13800138000telx", "1tel13800138000",
    "13800138000mm"),
    *("138OO138OOO", "l38ool38ooo", "138OO1380001", "x138OO138000", "NO 93 8601 1117 948",
    "NO  93 8601 1117 948"),
    *("one three eight zero zero one three eight zero zero",
    "one three eight zero zero one three eight zero zero zero zero"),
]  # fmt: skip


def find_valid(text: str) -> set[str]:
    """Return the valid values in `text`.

    The search in columns must agree with the plain one, and each value must occur in the text.
    """
    folded = read(text.encode())
    plain = {(c.kind, c.normal) for c in find(folded.text) if c.valid and not c.weak}
    segments = search(Batch.join([folded.utf8])).segments
    columns = {
        (segment.kind, normal[:length].tobytes().decode())
        for segment in segments
        for normal, length in zip(
            segment.normal[segment.valid], segment.length[segment.valid], strict=True
        )
    }
    assert {pair for pair in columns if pair[0] != "qq"} == {
        pair for pair in plain if pair[0] not in ("qq", "wechat")
    }
    for candidate in find(folded.text):
        start, end = folded.span(candidate.start, candidate.end)
        assert 0 <= start < end <= len(text)
    return {normal for _, normal in columns}


@pytest.mark.parametrize(("normal", "text"), WRITTEN)
@pytest.mark.parametrize("around", ["{}", "李某,{},x", "联系{}。", "17\t{}\t北京\n"])
def test_number_is_read_in_any_notation(normal: str, text: str, around: str) -> None:
    assert find_valid(around.format(text)) == {normal}


@pytest.mark.parametrize("text", NOBODYS)
@pytest.mark.parametrize("around", ["{}", "李某：{}。"])
def test_lookalike_number_stays_unchanged(text: str, around: str) -> None:
    written = around.format(text)
    assert find_valid(written) == set()
    assert reveal_numbers(written) == written


@pytest.mark.parametrize(
    ("normal", "text"), [pair for pair in WRITTEN if not pair[1][:1].isalpha()]
)
def test_rewritten_number_maps_back_to_its_place(normal: str, text: str) -> None:
    folded = read(f"李某，{text}，北京".encode())
    (candidate,) = (c for c in find(folded.text) if c.normal == normal)
    start, end = folded.span(candidate.start, candidate.end)
    assert (
        folded.original[start:end].replace("\N{WORD JOINER}", "")
        == folded.text[candidate.start : candidate.end]
    )
    assert end <= len(f"李某，{text}")


@pytest.mark.parametrize("text", ["13800138000110105194912310029", "110105194912310029" + PHONE])
def test_fixed_width_fields_are_split_by_check_digit(text: str) -> None:
    expected = {PHONE, "440524188001010014"}
    text = text.replace("110105194912310029", "440524188001010014")
    assert find_valid(f"张三{text}") == expected
    assert find_valid(f"张三{text[:-1]}5") == (
        set() if text.endswith("4") else expected - {PHONE} | {"13800138005"}
    )
    assert find_valid(f"张三{text}1") == set()


def test_wechat_name_and_its_phone_are_both_found() -> None:
    assert [c.normal for c in find("微信:wx13800138000") if c.valid] == ["wx13800138000", PHONE]


@pytest.mark.parametrize(
    "text",
    ["1\0" + PHONE + "\0" + "17", f"a@example.com\0{PHONE}\0", f"{PHONE}\0李某\0{ID}\0{CARD}"],
)
def test_nul_bytes_separate_values(text: str) -> None:
    assert decode(text.encode()) == text
    assert PHONE in find_valid(text)


PIECES = (
    "1", "13", "138", "0013", "8000", "/", " - ", "**", "加", ",", "tel", "QQ", "0x", "X'", "'",
    "3133", "E+10", "1.38",
    "00138", "yao ", "san",
)  # fmt: skip
FRAGMENTS = (*PIECES, "电话:", "one", " three", " ", "\n", "。", "\u2061", "@", "a")  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join))
def test_rewriting_keeps_the_length(text: str) -> None:
    assert len(reveal_numbers(text)) == len(text)


@pytest.mark.parametrize("unit", [text for _, text in WRITTEN])
def test_floods_are_rewritten_to_the_end(unit: str) -> None:
    text = repeat(f"{unit} ")(4000).decode()
    assert len(reveal_numbers(text)) == len(text)
