"""Folding by a look-up does what folding does, or says that it takes more."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.columns.batch import Batch
from matcher.text import fold
from matcher.text.han_digits import DIGITS, X_ALIKE
from matcher.text.light import fold_lightly
from matcher.text.needs_unescape import doubted
from matcher.text.plain import becomes
from tests.matcher.test_fold import DROPPED

HAN_DIGITS = "".join(DIGITS)
HAN_RUN = re.compile(rf"[0-9{HAN_DIGITS}](?:[ .\-]?[0-9{HAN_DIGITS}]){{6}}")
SIGNS = "，。！？：；（）【】“”、—－～｜　\u00a0％＃"
CHARS = st.sampled_from("0123456789一三零○1８ -.，＋×√张a\n" + SIGNS + DROPPED[:3])


def is_light(text: str) -> bool:
    """Whether a look-up is enough, and nothing in the text that it makes is doubted."""
    (light,) = fold_lightly([text.encode()])
    if light is None:
        return False
    batch = Batch.of([light.utf8])
    return not doubted(batch.data, batch.starts, batch.ends, seen=True).any()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name,phone\n1,13800138000",
        "过了一会儿，园丁演奏了七篇山路（钟表、苹果）！",
        "二〇二四年三月，四五个老房子：",
        "13800138000，张三，李五\n",
        "第 1166 页\n二零二六年春天",
        "1920×1080，二零二六年三月二十五日四点五十六分",
        "3×4 是十二，√ 和 ＋ 号",
        "13800138000\n三年前",
        "一二三四五六",
        "１３８００１３８０００",
        "姓名，手机\r\n王某，１３８\r\n",
        "name\r\nwang\r\n",
        "😀，好",
        "Ｑ＋ａ",
    ],
)
def test_what_takes_a_look_up_and_no_more(text: str) -> None:
    (light,) = fold_lightly([text.encode()])
    assert light is not None
    assert is_light(text)
    assert light.text == fold(text).text
    assert (light.utf8, light.original, light.drops.tolist()) == (fold(text).text.encode(), text, fold(text).drops.tolist())


@pytest.mark.parametrize(
    "text",
    [
        "一三八零零一三八零零零",
        "一三八 零零一三 八零零零",
        "一二三四五六七",
        "一－二－三－四－五－六－七",
        "13800138000一",
        "三 13800138000",
        "三－13800138000",
        "１三",
        "11010519491231002×",
        "110105 19491231 002 ×",
        "１１０１０５１９４９１２３１００２Х",
        "＋８６13800138000",
        "张\r三",
        "张\0三",
        "a\rb",
        "a\0b",
    ],
)
def test_what_takes_more_is_left_to_folding(text: str) -> None:
    assert not is_light(text)


@pytest.mark.parametrize("char", DROPPED)
def test_what_is_dropped_is_told_when_somebody_asks(char: str) -> None:
    text = f"张{char}三，{char}\r\n1"
    (light,) = fold_lightly([text.encode()])
    assert light is not None
    assert (light.text, light.original, light.drops.tolist()) == ("张三,\n1", text, fold(text).drops.tolist())


@pytest.mark.parametrize("x", X_ALIKE)
def test_what_looks_like_an_x_matters_behind_a_digit_alone(x: str) -> None:
    assert is_light(f"{x}，张{x}三 {x}1")
    assert not is_light(f"11010519491231002{x}，")


def test_a_text_that_stays_as_it_is_is_not_made_anew() -> None:
    texts = ["姓名、电话", "plain", "姓名，电话"]
    bodies = [text.encode() for text in texts]
    first, second, third = fold_lightly(bodies)
    assert first
    assert second
    assert third
    assert (first.text, second.text, third.text) == ("姓名、电话", "plain", "姓名,电话")
    assert [first.utf8 is bodies[0], second.utf8 is bodies[1], third.utf8] == [True, True, "姓名,电话".encode()]


@given(st.lists(st.text(CHARS, max_size=20), max_size=5))
def test_texts_do_not_touch_one_another(texts: list[str]) -> None:
    bodies = [text.encode() for text in texts]
    alone = [fold_lightly([body])[0] for body in bodies]
    for light, one in zip(fold_lightly(bodies), alone, strict=True):
        assert light is None or one is None or (light.text, light.utf8) == (one.text, one.utf8)


@given(st.text(CHARS, max_size=30))
def test_a_long_run_with_a_han_digit_is_never_folded_lightly(text: str) -> None:
    folded = "".join(map(becomes, text))
    if any(not match.isascii() for match in HAN_RUN.findall(folded)):
        assert not is_light(text)
