"""Prose and code that name nobody: sentences made from this project's own words, with natural
punctuation and Han numbers.

No line holds a form of the shipped lexicon, so that terms stand only where a corpus puts them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import cache

from ullage.vocabulary.lexicon import list_themes

WHO = (
    "我们 邻居 老师 同学们 这家店 他 她 孩子 村里人 图书馆 研究所 天气台 园丁 司机 面包师 记者"
    " 编辑部 旅行者"
    " 木匠 渔民 学校 剧团 乐队"
).split()
WHEN = (
    "今天 昨天傍晚 上个月 二零二六年春天 周末 清晨 第二天 十月初 去年冬天 下午三点 三年前 每逢周五"
    " 雨停以后 第一百二十三天 "
    "过了一会儿 假期里 正月十五"
).split()
DID = (
    "种下了 修好了 读完了 画了 讨论了 参观了 整理了 写了 拍摄了 比较了 记录了 介绍了 烤了 搬走了"
    " 发现了 收集了 观察了 翻译了 "
    "打扫了 测量了 演奏了 排练了"
).split()
MANY = (
    "三百二十棵 两本 一座 十几张 七篇 九十九只 一万两千米长的 四五个 若干 一千零一夜的 两三杯 半打"
    " 十二扇 3种 15座 2.5公斤"
).split()
WHAT = (
    "梧桐树 小说 石桥 风景照片 论文 蓝色的鸟 山路 问题 苹果 热茶 窗户 诗歌 植物标本 旧地图 老房子"
    " 乐谱 星图 花瓶 书架 菜谱 灯笼 "
    "自行车 钟表 陶罐"
).split()
THEN = (
    "心情很好 天色渐渐暗了下来 大家都笑了 效果比想象的好 问题并不复杂 道路十分安静 结果有些意外"
    " 味道不错 只用了八成时间 "
    "还剩下不少工作 声音传得很远 值得再看一遍 温度降到了零下五度"
).split()
MARKS = ("。", "！", "？", "……", "；")
SUBJECTS = (
    "the gardener,a young engineer,our neighbour,the committee,the orchestra,the river,this"
    " library,the compiler,every reader,the old lighthouse,a patient teacher,the museum,my"
    " sister,the baker,an honest critic,the committee's report"
).split(",")
VERBS = (
    "described,repaired,measured,painted,followed,explained,reviewed,collected,compared,designed,"
    "observed,translated,questioned,improved,visited,remembered,photographed,rebuilt"
).split(",")
OBJECTS = (
    "the narrow bridge,a blue notebook,forty-two windows,the northern valley,an early draft,the"
    " second chapter,its own shadow,a wooden table,the missing page,3 small lamps,the long road"
    " home,a quiet garden,the weather of 2026,several maps,a bowl of soup,the ninth"
    " symphony,version 2.1 of the plan"
).split(",")
ENDINGS = (
    "before the rain began,with great care,in less than 15 minutes,as everyone expected,for the"
    " first time,without a word,near the harbour,because the evening was long,and nobody"
    " complained,over three summers,at half past seven,under a clear sky"
).split(",")
CODE = (
    "for index in range(len({0})): {1}[index] += {0}[index] * {2}",
    "def {0}_{1}(values: list[float], limit: int = {2}) -> float:",
    "    return sum({0} for {0} in {1} if {0} > {2}) / max(1, len({1}))",
    'if (({0} & 0x{2:04x}) != 0) {{ {1}->flags |= {2}; return "{0}"; }}',
    "import {0}.{1} as {1}  # see section {2}",
    "SELECT {0}, count(*) FROM {1} WHERE {0} < {2} GROUP BY {0};",
    "<section class={0}> {1} </section> {2}",
)
NAMES = (
    "height width total buffer matrix sample offset weight colour vector queue window signal filter"
    " branch corner".split()
)
POOL = 8000


def _chinese(rng: random.Random) -> str:
    parts = []
    for _ in range(rng.randint(1, 2)):
        sentence = (
            f"{rng.choice(WHEN)}，{rng.choice(WHO)}"
            f"{rng.choice(DID)}{rng.choice(MANY)}{rng.choice(WHAT)}"
        )
        sentence += (
            f"，{rng.choice(THEN)}"
            if rng.random() < 0.6
            else f"（{rng.choice(WHAT)}、{rng.choice(WHAT)}）"
        )
        parts.append(f"“{sentence}”" if rng.random() < 0.1 else sentence + rng.choice(MARKS))
    return "".join(parts)


def _english(rng: random.Random) -> str:
    parts = []
    for _ in range(rng.randint(1, 2)):
        sentence = f"{rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(OBJECTS)}"
        parts.append(f"{sentence.capitalize()} {rng.choice(ENDINGS)}{rng.choice('..?!;')}")
    return " ".join(parts)


def _code(rng: random.Random) -> str:
    return rng.choice(CODE).format(rng.choice(NAMES), rng.choice(NAMES), rng.randint(0, 4095))


@cache
def lexicon_forms() -> tuple[str, ...]:
    """Return every surface form in the shipped lexicon: columns term and forms."""
    forms = set()
    for theme in list_themes().values():
        lines = [
            line
            for line in theme.load_shipped().text.splitlines()
            if line and not line.startswith("#")
        ]
        forms |= {
            form
            for line in lines
            for column in line.split("\t")[:2]
            for form in column.split(";")
            if form
        }
    return tuple(sorted(forms))


@cache
def _a_form() -> re.Pattern[str]:
    """Any form of the lexicon; what begins or ends in a Latin letter as a whole word."""
    return re.compile(
        "|".join(
            ("(?<![0-9A-Za-z])" if form[0].isascii() else "")
            + re.escape(form)
            + ("(?![0-9A-Za-z])" if form[-1].isascii() else "")
            for form in lexicon_forms()
        ),
        re.IGNORECASE,
    )


@cache
def prose(seed: int, size: int = POOL) -> Sequence[str]:
    """Distinct lines without a lexicon form: half Chinese, two fifths English, one tenth code."""
    rng = random.Random(seed)
    lines: dict[str, None] = {}
    while len(lines) < size:
        draw = rng.random()
        line = _chinese(rng) if draw < 0.5 else _english(rng) if draw < 0.9 else _code(rng)
        if not _a_form().search(line):
            lines[line] = None
    return tuple(lines)
