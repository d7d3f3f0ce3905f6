"""What was not read of a capture, as an explanation says it: how often and why."""

from __future__ import annotations

from collections.abc import Mapping

IN_WORDS = {
    "encrypted": ("encrypted", "已加密"),
    "bomb": ("growing too far for their size", "膨胀过大"),
    "too_deep": ("nested too deep", "嵌套过深"),
    "too_many": ("with too many entries", "条目过多"),
    "too_large": ("too large", "过大"),
    "image": ("images", "图片"),
    "ocr": ("images read by OCR, which misreads and misses", "图片（经OCR识别，可能误读或漏读）"),
    "audio_video": ("audio or video", "音视频"),
    "binary": ("programs or fonts", "程序或字体"),
    "database": ("databases or binary tables", "数据库或二进制表"),
    "unrecognised": ("of no known kind", "未知格式"),
    "damaged": ("damaged", "已损坏"),
    "unsupported": ("of kinds that cannot be read", "不支持的格式"),
    "timeout": ("that took too long", "读取超时"),
    "memory": ("that need too much memory", "内存不足"),
    "denied": ("that cannot be opened", "无法打开"),
    "empty": ("empty", "空文件"),
    "link": ("links, which are not followed", "链接（未跟随）"),
    "masked": ("masked values", "脱敏值"),
    "spelt": ("numbers in spellings that are not read", "写法无法读取的号码"),
    "digests": ("digests in a form that is not enrolled", "形式未登记的摘要"),
    "salted": (
        "digests of nobody enrolled (salted, digested twice, or of others)",
        "不属于已登记值的摘要（可能加盐、二次摘要或属于他人）",
    ),
    "cookies": ("cookies of a site that is not named", "未注明所属网站的Cookie"),
}
"""By reason, English and Chinese."""


def unread_in_words(unread: Mapping[str, int]) -> tuple[str, str]:
    """The same of `unread`, how much there is a reason; a reason that is not known here stands for itself.

    >>> unread_in_words({"image": 2, "encrypted": 1})
    ('1 encrypted, 2 images', '已加密1项、图片2项')
    """
    words = [(count, *IN_WORDS.get(reason, (reason, reason))) for reason, count in sorted(unread.items())]
    return ", ".join(f"{count} {said}" for count, said, _ in words), "、".join(f"{said}{count}项" for count, _, said in words)
