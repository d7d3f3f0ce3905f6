"""Base64 blocks of text are read in place, whatever stands around; what is no text stays."""

import base64
import random
import textwrap
from importlib import import_module

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matcher.reference import find
from matcher.text import read, unescape
from matcher.text.fold import GONE
from matcher.text.spellings.blocks import reveal_base64 as reveal

PHONE = "13800138000"
LEAKED = f"客户资料第十七号,手机{PHONE},test@example.com"


def block(text: str, encoding: str = "utf-8", *, safe: bool = False, padded: bool = True) -> str:
    body = text.encode(encoding)
    encoded = (base64.urlsafe_b64encode(body) if safe else base64.b64encode(body)).decode()
    return encoded if padded else encoded.rstrip("=")


def reveal_text(text: str) -> str:
    return reveal(text).replace(GONE, "")


@pytest.mark.parametrize("safe", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "a,{},b",
        "张某----{}----x",
        '{{"v":"{}"}}',
        "data:text/plain;base64,{}",
        "\n{}\n",
        "={}&x=1",
        "x {} y",
    ],
)
def test_block_is_read_in_any_context(around: str, encoding: str, padded: bool, safe: bool) -> None:
    for start in range(16):  # whatever its alignment
        text = "。" * start + around.format(
            block(LEAKED + "甲" * (start % 3), encoding, safe=safe, padded=padded)
        )
        assert LEAKED in reveal_text(text)
        assert len(reveal(text)) == len(text)


@pytest.mark.parametrize("width", [60, 64, 76])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_wrapped_block_is_read_as_one(width: int, end: str) -> None:
    text = LEAKED * 9
    for behind in ("", end, f"{end}The end", f"{end}{end}QUJD"):
        assert reveal_text(end.join(textwrap.wrap(block(text), width)) + behind) == text + behind


def test_nested_block_is_read() -> None:
    assert LEAKED in read(block(block(LEAKED)).encode()).text


def test_decoded_block_maps_back_to_its_place() -> None:
    text = f"before {block(LEAKED)} after"
    folded = read(text.encode())
    for candidate in find(folded.text):
        start, end = folded.span(candidate.start, candidate.end)
        assert 7 <= start < end <= 7 + len(block(LEAKED))


@pytest.mark.parametrize(
    "text",
    [
        "7945bd83237335e5376ff44d62e4f0ae",
        "A6942F9771D67F34034D2F1926988ED3FAD3BF1B4E7CEDB9A31F31398DEA43BC", "a" * 200,
        "ThisIsALongCamelCaseIdentifierOfNothing",
        "/usr/lib/python3/dist-packages/Twisted/Internet", "-" * 100, "0" * 100,
        base64.b64encode(random.Random(1).randbytes(3000)).decode(),
        base64.b64encode(b"no number stands in this text, none").decode(),
        base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256))).decode(),
        base64.b64encode(b"short 1").decode(),
    ],
)  # fmt: skip
def test_block_without_text_and_number_stays_unchanged(text: str) -> None:
    assert reveal(f"a {text} b") == f"a {text} b"


@given(
    st.lists(
        st.binary(max_size=60).map(lambda b: base64.b64encode(b).decode()) | st.text(max_size=6),
        max_size=6,
    ).map("".join)
)
def test_decoding_keeps_the_length_and_never_fails(text: str) -> None:
    assert len(reveal(text)) == len(text)
    assert len(unescape(text, markup=False)) == len(text)


@given(
    st.text(
        st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5)
        | st.sampled_from("0123456789 ,@"),
        min_size=18,
        max_size=60,
    ),
    st.integers(0, 40),
)
@example("一一临妴獀000000000000000138001", 5)
def test_any_chinese_text_with_a_number_is_read(text: str, before: int) -> None:
    text += PHONE
    assert text in reveal_text(" " * before + block(text) + "\n")


def hexadecimal(char: str) -> bool:
    return not set(base64.b64encode(char.encode()).decode()) - set("0123456789abcdef")


ALIKE = [char for char in map(chr, range(0x4E00, 0x9FA6)) if hexadecimal(char)]
"""Characters that are hexadecimal digits in base64, as a digest is."""


@given(
    st.text(st.sampled_from([*ALIKE, "一", "0"]), max_size=60),
    st.text(st.sampled_from(ALIKE), max_size=60),
    st.integers(0, 16),
)
@example("妴" * 18, "", 0)
@example("", "妴" * 40, 5)
@example("妴" * 40 + "一" + "妴" * 40, "", 3)
def test_number_in_a_digest_like_block_is_read_from_its_start(
    before: str, behind: str, start: int
) -> None:
    text = before + PHONE + behind
    if len(block(text, padded=False)) >= 24:
        assert reveal_text(" " * start + block(text)) == " " * start + text


def test_number_is_found_at_any_offset_in_a_block() -> None:
    assert len(ALIKE) > 100
    for char in ALIKE[:3]:
        for before in range(20):
            text = char * before + PHONE + char * (20 - before)
            for start in range(16):
                assert (
                    reveal_text("-" * 3 + "." * start + block(text)) == "-" * 3 + "." * start + text
                )


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("width", [60, 64, 76])
def test_text_lines_among_binary_lines_are_read(width: int, end: str, encoding: str) -> None:
    size = width // 4 * 3
    noise = random.Random(7).randbytes(size * 9)
    text = (LEAKED.encode(encoding) * 9)[: size * 8].decode(encoding, "ignore")
    whole = base64.b64encode(noise + text.encode(encoding).ljust(size * 8) + noise).decode()
    assert text in reveal_text(end.join(textwrap.wrap(whole, width)))


def test_each_record_among_binary_lines_is_read() -> None:
    rng, lines, expected = random.Random(7), [], []
    for number in range(60):
        body = (
            f"客户资料第{number:02}号,手机{PHONE},姓名某某".encode()
            if number % 3
            else rng.randbytes(48)
        )
        lines.append(base64.b64encode(body.ljust(48)[:48]).decode())
        expected += [f"第{number:02}号,手机{PHONE}"] if number % 3 else []
    read_ = reveal_text("\n".join(lines))
    assert [value for value in expected if value not in read_] == []


def test_block_after_a_word_as_long_as_its_lines_is_read() -> None:
    text = LEAKED * 9
    for width in (60, 64, 76):
        word = base64.b64encode(random.Random(3).randbytes(57)).decode()
        assert text in reveal_text("\n".join([word, *textwrap.wrap(block(text), width)]))


WRAPPED = {
    "binary": lambda rng, size: rng.randbytes(size),
    "text up to its end": lambda rng, size: "客户资料".encode() * (size // 12) + b"\xff" * 99,
    "text with a fault in each line": lambda rng, size: (b"abc 1" * 9 + b"\0") * (size // 46),
    "text with a fault in a thousand bytes": lambda rng, size: (
        ("客户1".encode() * 142 + b"\xff") * (size // 995)
    ),
    "GBK up to its end": lambda rng, size: "客户资料".encode("gbk") * (size // 8) + b"\xff" * 99,
    "rare GBK": lambda rng, size: "鼯鼱1".encode("gb18030") * (size // 5),
    "text without a number": lambda rng, size: (
        b"no number stands in this text, none " * (size // 36)
    ),
}


@pytest.mark.parametrize(
    "widths", [[76], [64], [60], [61], [76, 75, 74, 73, 72], [60, 61, 62, 63]], ids=str
)
@pytest.mark.parametrize("kind", WRAPPED)
def test_wrapped_blocks_cost_linear_work(
    kind: str, widths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in characters that are decoded, which no other load of the machine changes."""
    decoded = []
    blocks = import_module("matcher.text.spellings.blocks")
    monkeypatch.setattr(
        blocks,
        "_to_bytes",
        lambda block, of=blocks._to_bytes: decoded.append(len(block)) or of(block),
    )
    body = base64.b64encode(WRAPPED[kind](random.Random(1), 60_000)).decode()
    lines, place = [], 0
    while place < len(body):
        lines.append(body[place : place + widths[len(lines) % len(widths)]])
        place += len(lines[-1])
    text = "\n".join(lines)
    assert len(reveal(text)) == len(text)
    assert sum(decoded) <= 6 * len(text)


@pytest.mark.parametrize(
    "hostile",
    ["QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo" * 10_000, "aB1-" * 80_000, "aB1--" * 60_000,
    "QUJDREVGR0hJSktMTU5PUFFSU1R, " * 10_000,
     ("aB" * 38 + "\n") * 4_000, ("aB" * 38 + "\r") * 4_000, "=" * 300_000, "/" * 300_000],
)  # fmt: skip
@pytest.mark.timeout(60)
def test_near_block_costs_one_pass(hostile: str) -> None:
    assert reveal(hostile) == hostile
