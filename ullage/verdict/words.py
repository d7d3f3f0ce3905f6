"""Fields of a row as a person reads them, in English and Chinese."""

from __future__ import annotations

from datetime import date

from ullage.vocabulary.fields import Field

FIELDS: dict[str, tuple[str, str]] = {
    Field.NAME: ("name", "姓名"),
    Field.PHONE: ("phone", "手机号"),
    Field.ID: ("ID", "身份证号"),
    Field.CARD: ("card", "银行卡号"),
    Field.EMAIL: ("mail", "邮箱"),
    Field.ADDRESS: ("address", "地址"),
    Field.PASSWORD: ("password", "密码"),
    Field.CVV: ("card code", "安全码"),
    Field.EXPIRY: ("expiry", "有效期"),
    Field.OTP: ("one-time code", "验证码"),
    Field.BALANCE: ("balance", "余额"),
    Field.LOAN: ("loan", "贷款"),
    Field.CREDIT: ("credit", "征信"),
    Field.ORDER: ("order", "订单"),
    Field.POLICY: ("policy", "保单"),
    Field.HEALTH: ("health", "健康"),
    Field.EMPLOYER: ("employer", "工作单位"),
    Field.BRANCH: ("branch", "网点"),
    Field.TRAVEL: ("travel", "行程"),
    Field.DATE: ("date", "日期"),
    Field.AGE: ("age", "年龄"),
    Field.GENDER: ("gender", "性别"),
    Field.IBAN: ("IBAN", "国际银行账号"),
    Field.USCC: ("company code", "统一社会信用代码"),
    Field.PASSPORT: ("passport", "护照号"),
    Field.PERMIT: ("permit", "通行证号"),
    Field.QQ: ("QQ", "QQ号"),
    Field.WECHAT: ("WeChat", "微信号"),
}
"""What OTHER is, nobody can say: it is not told."""


def counted(number: int, noun: str) -> str:
    """How many of something there are.

    >>> counted(1, "login"), counted(1200, "row")
    ('1 login', '1,200 rows')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


def cookies_in_words(staff: int, live: int, session: int, until: date | str | None) -> tuple[str, str]:
    """How many cookies are of staff hosts, how many have not expired, and until when; `session` of them end with the session."""
    last, last_zh = (f", the last until {until}", f"，最晚{until}到期") if until else ("", "")
    ends, ends_zh = (f", {session:,} of them end with the session", f"，其中{session:,}个随会话结束") if session else ("", "")
    of_staff, of_staff_zh = (f"{staff:,} of staff hosts, ", f"员工系统{staff:,}个，") if staff else ("", "")
    return f"{of_staff}{live:,} not expired{last}{ends}", f"{of_staff_zh}未过期{live:,}个{last_zh}{ends_zh}"


def fields_in_words(labels: frozenset[str]) -> tuple[str, str]:
    """`labels` in the order above.

    >>> fields_in_words(frozenset(("LOAN", "PHONE", "ID")))
    ('phone, ID and loan', '手机号、身份证号、贷款')
    """
    words = [pair for label, pair in FIELDS.items() if label in labels] or [("a value of theirs", "其一项信息")]
    *others, last = [english for english, _ in words]
    return ", ".join(others) + " and " * bool(others) + last, "、".join(chinese for _, chinese in words)
