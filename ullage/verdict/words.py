"""Describe counts and fields of rows to a person, in English and Chinese.

Verdicts and reports are read by a security team and by a Chinese regulator, so most functions
return both languages, as (English, Chinese). `FIELDS` has the words for each field label. A reason
or label without words is shown as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from ullage.vocabulary.fields import FieldLabel

IN_WORDS = {
    "encrypted": ("encrypted", "已加密"),
    "bomb": ("expanding too much", "膨胀过大"),
    "too_deep": ("nested too deeply", "嵌套过深"),
    "too_many": ("with too many entries", "条目过多"),
    "too_large": ("too large", "过大"),
    "image": ("images", "图片"),
    "ocr": (
        "images read by OCR, which can misread or miss text",
        "图片（经OCR识别，可能误读或漏读）",
    ),
    "audio_video": ("audio or video", "音视频"),
    "fault": ("on which a part of ullage failed", "本系统部件处理出错"),
    "binary": ("programs or fonts", "程序或字体"),
    "database": ("databases or binary tables", "数据库或二进制表"),
    "unrecognised": ("of an unknown format", "未知格式"),
    "damaged": ("damaged", "已损坏"),
    "unsupported": ("of formats that cannot be read", "不支持的格式"),
    "timeout": ("that took too long", "读取超时"),
    "memory": ("that need too much memory", "内存不足"),
    "denied": ("that cannot be opened", "无法打开"),
    "empty": ("empty", "空文件"),
    "link": ("links, which are not followed", "链接（未跟随）"),
    "masked": ("masked values", "脱敏值"),
    "spelt": ("numbers in notations that cannot be read", "写法无法读取的号码"),
    "digests": ("digests of a form that is not enrolled", "形式未登记的摘要"),
    "salted": (
        "digests of no enrolled value (salted, hashed twice, or of other people)",
        "不属于已登记值的摘要（可能加盐、二次摘要或属于他人）",
    ),
    "cookies": ("cookies of an unnamed site", "未注明所属网站的Cookie"),
}
"""Text in English and Chinese, by reason."""


def describe_unread(unread: Mapping[str, int]) -> tuple[str, str]:
    """Return what was not read, with numbers, in English and Chinese; "" and "" for nothing.

    `unread` is the number by reason word. An unknown reason is shown unchanged.

    >>> describe_unread({"image": 2, "encrypted": 1})
    ('1 encrypted, 2 images', '已加密1项、图片2项')
    """
    words = [
        (count, *IN_WORDS.get(reason, (reason, reason))) for reason, count in sorted(unread.items())
    ]
    return ", ".join(f"{count} {text}" for count, text, _ in words), "、".join(
        f"{text}{count}项" for count, _, text in words
    )


FIELDS: dict[str, tuple[str, str]] = {
    FieldLabel.NAME: ("name", "姓名"),
    FieldLabel.PHONE: ("phone", "手机号"),
    FieldLabel.ID: ("ID", "身份证号"),
    FieldLabel.CARD: ("card", "银行卡号"),
    FieldLabel.EMAIL: ("mail", "邮箱"),
    FieldLabel.ADDRESS: ("address", "地址"),
    FieldLabel.PASSWORD: ("password", "密码"),
    FieldLabel.CVV: ("card code", "安全码"),
    FieldLabel.EXPIRY: ("expiry", "有效期"),
    FieldLabel.OTP: ("one-time code", "验证码"),
    FieldLabel.BALANCE: ("balance", "余额"),
    FieldLabel.LOAN: ("loan", "贷款"),
    FieldLabel.CREDIT: ("credit", "征信"),
    FieldLabel.ORDER: ("order", "订单"),
    FieldLabel.POLICY: ("policy", "保单"),
    FieldLabel.HEALTH: ("health", "健康"),
    FieldLabel.EMPLOYER: ("employer", "工作单位"),
    FieldLabel.BRANCH: ("branch", "网点"),
    FieldLabel.TRAVEL: ("travel", "行程"),
    FieldLabel.DATE: ("date", "日期"),
    FieldLabel.AGE: ("age", "年龄"),
    FieldLabel.GENDER: ("gender", "性别"),
    FieldLabel.IBAN: ("IBAN", "国际银行账号"),
    FieldLabel.USCC: ("company code", "统一社会信用代码"),
    FieldLabel.PASSPORT: ("passport", "护照号"),
    FieldLabel.PERMIT: ("permit", "通行证号"),
    FieldLabel.QQ: ("QQ", "QQ号"),
    FieldLabel.WECHAT: ("WeChat", "微信号"),
}
"""Label OTHER is missing, because it has no meaning to a reader."""


def format_count(number: int, noun: str) -> str:
    """Format a number of things in English.

    >>> format_count(1, "login"), format_count(1200, "row")
    ('1 login', '1,200 rows')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


def describe_cookies(
    staff: int, live: int, session: int, until: date | str | None
) -> tuple[str, str]:
    """Describe how many cookies are of staff hosts, how many have not expired, and until when.

    `session` of them end with the session.
    """
    last, last_zh = (f", the last until {until}", f"，最晚{until}到期") if until else ("", "")
    ends, ends_zh = (
        (f", {session:,} of them end with the session", f"，其中{session:,}个随会话结束")
        if session
        else ("", "")
    )
    of_staff, of_staff_zh = (
        (f"{staff:,} of staff hosts, ", f"员工系统{staff:,}个，") if staff else ("", "")
    )
    return (
        f"{of_staff}{live:,} not expired{last}{ends}",
        f"{of_staff_zh}未过期{live:,}个{last_zh}{ends_zh}",
    )


def describe_fields(labels: frozenset[str]) -> tuple[str, str]:
    """Return `labels` in words, in English and in Chinese, in the order of `FIELDS`.

    Without a known label it is `a value of theirs`.

    >>> describe_fields(frozenset(("LOAN", "PHONE", "ID")))
    ('phone, ID and loan', '手机号、身份证号、贷款')
    """
    words = [pair for label, pair in FIELDS.items() if label in labels] or [
        ("a value of theirs", "其一项信息")
    ]
    *first_words, last = [english for english, _ in words]
    return ", ".join(first_words) + " and " * bool(first_words) + last, "、".join(
        chinese for _, chinese in words
    )
