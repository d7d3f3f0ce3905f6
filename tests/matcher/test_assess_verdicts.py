"""What is said of files that an analyst would judge at a glance: from the text of the file to
its severity and its next step.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.matcher.bank import customer, resident_id

BIN = "62171234"


def card(number: int) -> str:
    """Return a card number in the bank's range that passes Luhn."""
    digits = f"{BIN}{number * 7919 % 10**7:07d}"
    total = sum(
        sum(divmod(int(digit) * (2 - n % 2), 10)) for n, digit in enumerate(reversed(digits))
    )
    return f"{digits}{-total % 10}"


SQUARES = {7 * k * k % 9001 for k in range(9001)}
"""Numbers that run in no steps."""
PEOPLE = [customer(n, card=card(n)) for n in sorted(SQUARES)[:3000]]
DAY = "2026-03-{0:02d}"


def each(form: str, number: int, step: int = 1) -> str:
    """Rows of every so manyth customer: `n` counts, `day` and `code` are made up."""
    return "".join(
        form.format(
            n=n, day=DAY.format(1 + n % 28), code=100000 + n * 7919 % 900000, **PEOPLE[n * step]
        )
        for n in range(number)
    )


@pytest.fixture
def judge(
    data: Path, ullage: Callable, enrol_once: Callable, tmp_path: Path
) -> Callable[[str], dict]:
    """Return a function that assesses a text for a bank of three thousand customers."""
    enrol_once(data, PEOPLE)
    (data / "ullage.toml").write_text(
        f'[tenants.bank]\nbrands = ["云杉银行"]\ndomains = ["bank.example"]\nbins = ["{BIN}"]\n',
        encoding="utf-8",
    )

    def assess_text(text: str) -> dict:
        path = tmp_path / "given.txt"
        path.write_text(text, encoding="utf-8")
        tenant = json.loads(ullage("assess", path, "--json").stdout)["tenants"][0]
        return {**tenant, "why": tenant["exposure"]["reasons"][-1][2]}

    return assess_text


GATEWAYS = {
    "pipes": (
        "{day} 10:00:01|{phone}|【云杉银行】您的验证码是{code}，5分钟内有效，请勿泄露。"
        "|DELIVRD|10690000\n"
    ),
    "table": "{day} 10:00:01,{phone},【云杉银行】验证码{code}，您正在登录手机银行,0\n",
    "objects": (
        '{{"mobile":"{phone}","content":"【云杉银行】您的校验码为{code}，'
        '请勿告诉他人","report":"DELIVRD"}}\n'
    ),
    "lines": (
        "[{day} 10:00:01] send to {phone}: 【云杉银行】动态密码{code}，10分钟内有效 status=0\n"
    ),
    "English": (
        "{day} 10:00:01\t{phone}\t[云杉银行] {code} is your verification code, do not share"
        " it\tDELIVRD\n"
    ),
}


@pytest.mark.parametrize("form", GATEWAYS)
def test_our_codes_in_gateway_log_are_high_and_name_the_supplier(
    judge: Callable, form: str
) -> None:
    tenant = judge(each(GATEWAYS[form], 60))
    assert (tenant["exposure"]["severity"], tenant["exposure"]["row"]) == ("high", 7)
    assert tenant["next_step"].startswith("Call the SMS supplier now")


def test_codes_of_other_senders_do_not_name_our_supplier(judge: Callable) -> None:
    tenant = judge(each(GATEWAYS["pipes"].replace("云杉银行", "某某外卖"), 60))
    assert tenant["exposure"]["row"] != 7
    assert "SMS supplier" not in tenant["next_step"]


SLIPS = {
    "table": (
        "商户号,终端号,卡号,金额,日期,授权码\n",
        "89810000,T00{n},{card},{n}00.00,{day},{code}\n",
    ),
    "slips": (
        "",
        (
            "MERCHANT: SHOP\nTERMINAL: T00{n}\nCARD NO: {card}\nEXP: **/**\nAMOUNT: RMB"
            " {n}00.00\nAUTH CODE: {code}\n\n"
        ),
    ),
    "Chinese slips": (
        "",
        (
            "商户名称：便利店\n终端编号：T00{n}\n卡号：{card}\n交易类型：消费\n金额：RMB"
            " {n}9.00\n日期：{day}\n\n"
        ),
    ),
}


@pytest.mark.parametrize("form", SLIPS)
def test_our_cards_on_merchant_slips_are_monitored(judge: Callable, form: str) -> None:
    head, row = SLIPS[form]
    tenant = judge(head + each(row, 80, 11))
    assert tenant["kinds"] == {"card": 80}
    assert tenant["exposure"]["severity"] == "medium"
    assert tenant["next_step"].startswith("Monitor the cards in it")


TRACKS = {
    "words": "原轨 带磁 出\n{card}=27121010000012300000\n",
    "a table": "出售 轨道料 带磁\n卡号,有效期\n{card},2712\n",
    "English": "dumps track1 track2 with pin\n{card}=27121010000012300000\n",
}


@pytest.mark.parametrize("form", TRACKS)
@pytest.mark.parametrize("number", [3, 30])
def test_cards_with_magnetic_tracks_are_medium_and_blocked_first(
    judge: Callable, form: str, number: int
) -> None:
    *head, row = TRACKS[form].splitlines(keepends=True)
    tenant = judge("".join(head) + each(row, number, 11))
    assert tenant["exposure"]["scenario"] == "X3"
    assert tenant["next_step"].startswith("Block first")
    assert tenant["exposure"]["severity"] == "medium"
    assert "raised to medium by its next step" in tenant["why"]


NUMBERS = "\n姓名,手机号\n" + "".join(f"王某,154{70000000 + n:08d}\n" for n in range(40))
SALES = (
    "[SELLING] 云杉银行 8,000,000 customers, escrow",
    "云杉银行 8,000,000 customers for sale, price 5000 USDT",
    "Selling 云杉银行 customer database 8,000,000 customers" + NUMBERS,  # in steps: made up
    "云杉银行数据 八百万客户 打包出售",
    "WTS 云杉银行 8M customers",
    "出售云杉银行 8,000,000 customers",
)


@pytest.mark.parametrize("text", SALES)
def test_unverified_sale_offer_naming_us_reaches_the_console(judge: Callable, text: str) -> None:
    tenant = judge(text)
    assert (
        tenant["exposure"]["severity"],
        tenant["exposure"]["row"],
        tenant["exposure"]["notify"],
    ) == (
        "medium",
        15,
        "desk",
    )
    assert tenant["customers"] == 0


@pytest.mark.parametrize(
    "text",
    [
        "云杉银行服务超过800万客户，实时到账",
        "警方提醒：有人出售云杉银行 800万客户 数据，经法院判处",
        "出售二手车 云杉银行按揭 3万公里",
        "某银行 8,000,000 customers for sale",
    ],
)
def test_text_that_mentions_us_without_selling_data_is_noise(judge: Callable, text: str) -> None:
    assert judge(text)["exposure"]["severity"] == "noise"


REPORTS = {
    "Chinese": (
        "云杉银行可疑交易报告\n报告编号,客户姓名,证件号码,可疑特征,报告日期\n",
        "STR{n},{name},{resident_id},分散转入集中转出,{day}\n",
    ),
    "English": (
        "Suspicious transaction reports\nSTR no,customer,ID number,reason,filed\n",
        "{n},{name},{resident_id},structuring,{day}\n",
    ),
    "without a title": (
        "可疑交易报告编号,姓名,身份证号,手机,状态\n",
        "STR{n},{name},{resident_id},{phone},已报送\n",
    ),
}


@pytest.mark.parametrize("form", REPORTS)
def test_suspicion_reports_go_to_counsel_and_stay_confidential(judge: Callable, form: str) -> None:
    head, row = REPORTS[form]
    tenant = judge(head + each(row, 50, 3))
    assert tenant["exposure"]["scenario"] == "X22"
    assert tenant["exposure"]["severity"] == "high"
    assert tenant["next_step"].startswith("Counsel and the anti-money-laundering officer first")
    assert "Warn no customer" in tenant["next_step"]


@pytest.mark.parametrize(
    "form", ["{phone}----{resident_id}\n", "{phone},{resident_id}\n", "{resident_id} {phone}\n"]
)
def test_four_hundred_rows_of_phone_and_id_are_medium(judge: Callable, form: str) -> None:
    tenant = judge(each(form, 400))
    assert tenant["exposure"]["severity"] == "medium"
    assert "400 of our customers with phone and ID" in tenant["why"]


def test_fields_beside_a_match_are_not_reported_as_matched(judge: Callable) -> None:
    """Thirty of our IDs with others' names and phones, in a clinic's list."""
    unrelated = [n for n in range(9001) if n not in SQUARES]
    rows = [
        f"赵某某,154{5000000 + 7 * n * n:08d},{resident_id(unrelated[n * 17 % 4000])},高血压\n"
        for n in range(300)
    ]
    rows[::10] = [
        f"赵某某,154{6000000 + 7 * n * n:08d},{PEOPLE[n * 31]['resident_id']},高血压\n"
        for n in range(30)
    ]
    tenant = judge("姓名,手机,身份证,诊断\n" + "".join(rows))
    assert tenant["kinds"] == {"resident_id": 30}
    assert "30 of our customers by ID alone" in tenant["why"]
    assert "name" not in tenant["why"]


@pytest.mark.parametrize("number", [1, 3, 10])
@pytest.mark.parametrize("strangers", [0, 400])
def test_few_suspicion_reports_still_go_to_counsel(
    judge: Callable, number: int, strangers: int
) -> None:
    head, row = REPORTS["without a title"]
    unrelated = [n for n in range(9001) if n not in SQUARES]
    text = "".join(
        f"STR9{n},赵某某,{resident_id(unrelated[n * 7])},154{5000000 + 7 * n * n:08d},已报送\n"
        for n in range(strangers)
    )
    tenant = judge(head + each(row, number, 3) + text)
    assert tenant["exposure"]["scenario"] == "X22"
    assert tenant["next_step"].startswith("Counsel and the anti-money-laundering officer first")
    assert tenant["exposure"]["severity"] == "high"
