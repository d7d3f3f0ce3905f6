"""Fields of a row as a person reads them, in English and Chinese."""

from __future__ import annotations

from datetime import date

from ullage.vocabulary.fields import FieldLabel

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
