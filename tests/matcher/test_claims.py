"""What posts claim, read as people read it; and nothing that is somebody's passes for a claim."""

import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.match.claims import MOST, read_claims
from matcher.match.findings import find_all
from matcher.text import fold
from tests.factories import capture
from tests.matcher.bank import matcher_of
from tests.matcher.conftest import BANK
from ullage.records import Claims
from ullage.settings import Context

ONE = BANK[1]


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("10万条", 100_000),
        ("一手数据10万 条", 100_000),
        ("100w", 1_000_000),
        ("１００Ｗ", 1_000_000),
        ("500k rows", 500_000),
        ("500k fresh user records", 500_000),
        ("1.2亿", 120_000_000),
        ("三千万", 30_000_000),
        ("一亿两千万条", 120_000_000),
        ("十五万条", 150_000),
        ("百万级客户", 1_000_000),
        ("5,000,000 records", 5_000_000),
        ("5.000.000 records", 5_000_000),
        ("20W+", 200_000),
        ("20万多车主", 200_000),
        ("2.5 million users", 2_500_000),
        ("2M users", 2_000_000),
        ("1.3 billion", 1_300_000_000),
        ("5000条样本，共30万", 300_000),
        ("valid 500k lines", 500_000),
        ("1234567 customers", 1_234_567),
        ("出50w银行客户 每天更新2w", 500_000),
        ("2019年 1,234 rows", 1_234),
        ("0.5元一条 50万", 500_000),
        ("出售客户手机号 1万条", 10_000),
        ("QQ号 300w", 3_000_000),
        ("5万张卡", 50_000),
        ("信用卡号：20万", 200_000),
    ],
)
def test_volume_is_read(text: str, volume: int) -> None:
    assert read_claims(text, ()).volume == volume
    assert read_claims("", ("1条", fold(text).text)).volume == volume


@pytest.mark.parametrize(
    "text",
    [
        "", "2024年5月", "20240501 更新", "20240501条", "2024 records", "50万元", "￥50w", "$500k",
        "售价 20w", "余额10万",
        "月入5w",        "13800138000条", "138 0013 8000人", "138-0013-8000人", "QQ 1234567人",
        "微信号:12345678条",
        "电话 8000123人", "密码 8w", "尾号 3万", "508000\n张某", "5000 张伟", "5000\n户籍",
        "卡号 62284801条", "11010519491231002X", "千万不要", "万一", "3个月", "100人工", "5条件",
        "154 中 1825 间 1888",
        "v5.000.1", "x500k", "5/10条", "100次播放", "50km", "2m", "5GB", "zhuge1888条", "30万公里",
        "999999999999万条",
    ],
)  # fmt: skip
def test_other_number_is_not_a_volume(text: str) -> None:
    assert read_claims(text, ()).volume is None


@pytest.mark.parametrize(
    ("text", "price", "currency"),
    [
        ("300元", 300, "CNY"),
        ("价格300元/千条", 300, "CNY"),
        ("0.5元一条", 0.5, "CNY"),
        ("￥800", 800, "CNY"),
        ("¥1,200.50", 1200.5, "CNY"),
        ("3万元", 30_000, "CNY"),
        ("五百块", 500, "CNY"),
        ("500U打包", 500, "USDT"),
        ("500 usdt", 500, "USDT"),
        ("USDT 1500", 1500, "USDT"),
        ("$1,200 for all", 1200, "USD"),
        ("$5k", 5000, "USD"),
        ("200刀", 200, "USD"),
        ("HK$300", 300, "HKD"),
        ("€99", 99, "EUR"),
        ("0.05 BTC", 0.05, "BTC"),
        ("先500u 后800u", 500, "USDT"),
    ],
)
def test_price_is_read(text: str, price: float, currency: str) -> None:
    claimed = read_claims(text, ())
    assert (claimed.price, claimed.currency) == (price, currency)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "500",
        "余额5000元",
        "balance: $500",
        "贷款 3万元",
        "5 units",
        "¥13800138000",
        "13800138000元",
        "abc500u",
    ],
)
def test_other_amount_is_not_a_price(text: str) -> None:
    assert (read_claims(text, ()).price, read_claims(text, ()).currency) == (None, "")


def test_price_in_title_wins() -> None:
    assert read_claims("300u", ("$5",)).price == 300


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("TG @zhuge", ("telegram",)),
        ("飞机联系", ("telegram",)),
        ("纸飞机 zhuge", ("telegram",)),
        ("https://t.me/zhuge", ("telegram",)),
        ("加QQ 12345678", ("qq",)),
        ("扣扣群:12345678", ("qq",)),
        ("加微信 zhuge1888", ("wechat",)),
        ("VX:zhuge1888", ("wechat",)),
        ("薇信同号", ("wechat",)),
        ("土豆", ("potato",)),
        ("whatsapp or signal", ("signal", "whatsapp")),
        ("contact me by email", ("mail",)),
        ("联系 a@b.cc", ("mail",)),
        ("联系电话13800138000", ("phone",)),
        ("致电详谈", ("phone",)),
        ("jabber, tox, wickr", ("jabber", "tox", "wickr")),
        ("姓名 手机 QQ 微信 邮箱", ()),
        ("电话,邮箱,qq,微信号", ()),
        ("", ()),
    ],
)
def test_kind_of_contact_is_kept_but_not_the_contact(text: str, kinds: tuple[str, ...]) -> None:
    assert read_claims(text, ()).contacts == kinds


@pytest.mark.parametrize(
    ("text", "files", "size"),
    [
        ("data.csv 3.4GB", ("csv",), 3_400_000_000),
        ("Excel 500M 与 300MB", ("xlsx",), 300_000_000),
        ("sql + txt, 12G", ("sql", "txt"), 12_000_000_000),
        ("bank.db", ("db",), None),
        ("1.5 TiB .rar", ("rar",), 1_649_267_441_664),
        ("4G 网络 5g", (), None),
        ("db leak, 诸葛.文昭", (), None),
    ],
)
def test_files_and_size_are_read(text: str, files: tuple[str, ...], size: int | None) -> None:
    claimed = read_claims(text, ())
    assert (claimed.files, claimed.size) == (files, size)


def test_claims_are_read_from_title_and_near_jargon(bank: Context) -> None:
    body = (
        f"内料 四件套 30万条 500u tg\n{ONE['name']}----{ONE['phone']}\n"
        + "无关的话。" * 400
        + "900万条"
    )
    sent = capture(title="一手数据 20w xlsx", body=body.encode())
    [finding] = find_all(matcher_of(bank), [sent], sent.fetched_at)
    assert finding.capture.claims == Claims(
        volume=300_000, price=500.0, currency="USDT", contacts=("telegram",), files=("xlsx",)
    )
    assert finding.capture.title == "一手数据 …"


def test_claims_are_read_in_every_window_of_a_long_text(bank: Context) -> None:
    rows = "".join(f"{ONE['name']}----{ONE['phone']}----{n}\n" for n in range(80_000))
    sent = capture(title="", body=f"内料 30万条\n{rows}内料 900万条".encode())
    assert len(sent.body) > 2**21
    [*_, finding] = find_all(matcher_of(bank), [sent], sent.fetched_at)
    assert finding.capture.claims.volume == 9_000_000


def test_text_without_jargon_has_no_claims(bank: Context) -> None:
    sent = capture(title="", body=f"{ONE['name']}----{ONE['phone']}----余额 5万 30万条".encode())
    [finding] = find_all(matcher_of(bank), [sent], sent.fetched_at)
    assert finding.capture.claims == Claims()


PLANTED = [
    "13800138000", "154 0000 0001", "12345678901", "zhuge1888", "芝麻开门", "wxid_zhuge",
    "6200000000000005",
    "11010519491231002X",
]  # fmt: skip


@given(
    st.sampled_from(PLANTED),
    st.sampled_from(
        ["{}", "QQ{}", "加{}", "{}元", "{}条", "￥{}", "{}u", "联系{}", "{}w", "密码{}人", "tg {}"]
    ),
)
def test_claims_contain_no_customer_value(value: str, around: str) -> None:
    claimed = json.dumps(read_claims(around.format(value), ()).model_dump(), ensure_ascii=False)
    digits = "".join(filter(str.isdigit, value))
    assert value not in claimed
    assert not digits or digits[:8] not in claimed


@given(st.text(max_size=600))
def test_arbitrary_text_is_accepted(text: str) -> None:
    assert isinstance(read_claims(text, (text,)), Claims)


@pytest.mark.parametrize(
    "unit",
    [
        "1,",
        "9" * 50 + " ",
        "万",
        "一",
        "联系 a",
        "a.",
        "$1",
        "1.000",
        "contact me ",
        "q" * 20,
        "内料 1万 ",
    ],
)
def test_claims_take_linear_time(unit: str) -> None:
    text = (unit * MOST)[:MOST]
    began = time.process_time()
    read_claims("", (text,))
    assert time.process_time() - began < 2.0, "16 KiB take milliseconds"


def test_dates_near_today_are_not_volumes() -> None:
    now = datetime.now(UTC)
    assert read_claims(f"{now:%Y%m%d}条 {now:%Y} rows", ()).volume is None
