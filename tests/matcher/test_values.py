"""What rows say without a header: loans, passwords behind logins, tags that are no names.

Beside what only looks like it.
"""

import hashlib

import pytest

from matcher.detect.labels import block_label, label_of
from matcher.text import read
from tests.matcher.bank import phone
from tests.matcher.test_rows import rows
from ullage.vocabulary.fields import FieldLabel


def read_labels(text: str) -> list[set[str]]:
    """Return the fields of each row's layout."""
    return [{*map(str, row.fields)} for row in rows(text)]


LOANS = [
    *"申请金额 授信额度 放款状态 借款金额 放款金额 贷款余额 额度 逾期天数 还款日 待还 在贷余额"
    " 首逾日期".split(),
    *"借款期限 授信结果 催收状态 放款狀態 申請金額 貸款餘額 待還金額".split(),
    *"loan_status loanAmount Loan-Term CREDIT_LIMIT repayment_date disbursed_amount dpd"
    " days_past_due".split(),
    *(
        "outstanding_balance 贷款用途 申请金额(元) 额度【万元】 逾期[天] 放款金额/万元 客户贷款余额"
    ).split(),
]


@pytest.mark.parametrize("word", LOANS)
@pytest.mark.parametrize("separator", [",", "|", "\t", "----"])
def test_loan_header_labels_its_column(word: str, separator: str) -> None:
    lines = [("姓名", "手机号", word), *(("张某", phone(n), str(n * 700)) for n in range(3))]
    assert read_labels("\n".join(map(separator.join, lines))) == [{"LOAN", "NAME", "PHONE"}] * 3


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "utf-16", "utf-8-sig"])
def test_loan_header_is_read_in_other_encodings(encoding: str) -> None:
    text = "姓名,手機,放款狀態\n" + "\n".join(f"李某,{phone(n)},已放款" for n in range(3))
    assert (
        read_labels(read(text.encode(encoding), "", "text/plain").text)
        == [{"LOAN", "NAME", "PHONE"}] * 3
    )


@pytest.mark.parametrize("word", LOANS)
def test_loan_label_is_read_in_key_value_records(word: str) -> None:
    record = f"{word}: 8000\n姓名: 张某\n手机: {{}}\n"
    assert (
        read_labels(record.format(phone(1)) + record.format(phone(2)))
        == [{"LOAN", "NAME", "PHONE"}] * 2
    )


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("还款卡号", FieldLabel.CARD),
        ("借款人姓名", FieldLabel.NAME),
        ("借款人手机号", FieldLabel.PHONE),
        ("loan_phone", FieldLabel.PHONE),
        ("borrowerName", FieldLabel.NAME),
        ("贷款咨询", None),
        ("贷款产品", None),
        ("放款热线", None),
        ("loan_officer", None),
        ("我们为您提供贷款与还款服务", None),
        ("how do I get a loan today", None),
        ("http", None),
        ("download", None),
        ("loaned", None),
    ],
)
def test_compound_label_is_read_by_its_ending(word: str, label: FieldLabel | None) -> None:
    assert label_of(word) == label
    assert block_label(f"{word}:") == str(label or "")


SAID = [
    "借款8万",
    "申请金额50000",
    "授信额度为8万元",
    "已放款",
    "逾期30天",
    "8万借款",
    "欠3000元未还",
    "额度：5万",
    "借款八万",
    "放款狀態:已放款",
    "overdue 30 days",
    "loan amount: 5,000",
    "借款金额 80000",
    "待还３２００.50元",
    "貸款5萬",
]


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize(
    "line",
    [
        "张某,{},{}",
        "{}----张某----{}",
        "张某|{}||{}",
        "{}\t{}",
        "姓名:张某,电话:{},{}",
        "张某；{}；{}",
    ],
)
def test_loan_cell_is_recognised_without_a_header(line: str, said: str) -> None:
    assert all(
        "LOAN" in fields
        for fields in read_labels("\n".join(line.format(phone(n), said) for n in range(3)))
    )
    assert "LOAN" in read_labels(line.format(phone(9), said))[0]


def test_long_table_is_read_by_samples() -> None:
    text = "\n".join(f"张某|{phone(n)}|借款{n % 9 + 1}万|{n}" for n in range(500))
    assert read_labels(text) == [{"LOAN", "NAME", "PHONE"}] * 500


@pytest.mark.parametrize(
    "glued",
    ["张某{}借款8万", "{}，借款8万，已逾期", "姓名张某 电话{} 借款8万", "张某 {} 申请金额 50000"],
)
def test_loan_in_a_line_with_a_number_is_found(glued: str) -> None:
    assert "LOAN" in read_labels(glued.format(phone(1)))[0]


PROSE = [
    "贷款额度最高20万,咨询{}", "无抵押贷款,额度5万,月息1%,电话{}", "贷款1-50万,联系{}",
    "产品: 快贷\n贷款额度: 1-50万\n贷款期限: 3-36期\n电话: {}\n",
    "我昨天去银行问了借款8万的事，回头打{}",
    "新闻：某公司放款金额超过300亿，联系人{}", "{},北京市朝阳区8号", "{},5000",
    "{},2024-01-02 12:30", "{}:12:30",
    "比分 3:2 {}", "{},年龄35", "{},放学", "apply now, loan up to 50000, call {}", "{},8万",
]  # fmt: skip


@pytest.mark.parametrize("text", PROSE)
def test_prose_products_and_other_values_are_not_loans(text: str) -> None:
    assert all("LOAN" not in fields for fields in read_labels(text.format(phone(1))))


SECRETS = [
    "abc123456", "Qwe!2580", "woaini1314", "5201314", "zhangsan", "P@ssw0rd", "19880808",
    "li_wei99", "x7Kd02mQ", "hunter2",
]  # fmt: skip


def combo(line: str, rows_: int) -> str:
    """`rows_` lines with another login and password each."""
    return "\n".join(
        line.format(phone(n), f"user{n}@example.com", SECRETS[n * n // 3 % 10] + str(n // 10 or ""))
        for n in range(rows_)
    )


@pytest.mark.parametrize("count", [1, 2, 3, 10, 200])
@pytest.mark.parametrize(
    "line",
    ["{0}:{2}", "{0}----{2}", "{1}----{2}", "{1}:{2}", "https://shop.example/login:{0}:{2}",
    "{0}:{2}:https://shop.example/",
     "+86{0}:{2}", "{0}：{2}", "{0}－－－－{2}" ],
)  # fmt: skip
def test_password_after_a_login_needs_no_header(line: str, count: int) -> None:
    text = read(combo(line, count).encode("gb18030"), "", "text/plain").text
    if count == 1 and "{0}:{2}:" in line:
        pytest.skip("one line of three parts may be anything")
    labels = read_labels(text)
    assert len(labels) == count
    assert all("PASSWORD" in fields for fields in labels)


@pytest.mark.parametrize(
    "line",
    ["{0}|{2}", "{0},{2}", "{1}\t{2}", "{1};{2}", "{0} {2}", "{0}----{2}----x", "{1},{2},{0}"],
)
def test_other_separators_need_a_whole_column_of_passwords(line: str) -> None:
    assert all("PASSWORD" in fields for fields in read_labels(combo(line, 40)))
    assert "PASSWORD" not in read_labels(combo(line, 1))[0]


def test_mixed_separators_are_read_line_by_line() -> None:
    lines = [
        f"{phone(n)}{sign}abc{n}xyz" for n, sign in enumerate([":", "----", "|", ":", "----", ":"])
    ]
    assert all({"PHONE", "PASSWORD"} <= fields for fields in read_labels("\n".join(lines)))


NO_PASSWORDS = [
    "{0}:12:30", "{0}:{3}", "{0}----{3}", "{0}----2024-01-02", "{0}----2024/1/2 12:30",
    "{0}----12:30", "{0}----5000元", "{0}----500k", "{0}----16:9", "{0}----北京市朝阳区",
    "{0}----张某",
    "{0}----beijing", "{0}:ok", "{0}: 你好,abc123", "{0}----SF{4}", "{0}----iPhone14",
    "{0}----10.0.0.1:8080", "{0}----http://a.example/x1", "{0}----www.example.com",
    "{0}----v2.10.3", "{0}----{3}.50", "{0}----active", "{0}----a.jpg", "{0}----level=12",
    "{0}----wxid_abc123", "{0}|active", "{0},user", "{0}\t{3}", "{0},SF{4}", "{0}|12:30",
    "{0}----5-10", "git@example.com:org/repo1.git", "{0}----123e4567-e89b-12d3-a456-426614174000",
    "http://host.example:8080 {0}", "loan.max=50000\nadmin: {1}", "{0}----30days", "{0},G1234",
    "{0}----{3}----{3}",
]  # fmt: skip


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize("line", NO_PASSWORDS)
def test_other_values_after_a_number_are_not_passwords(line: str, count: int) -> None:
    filled = (
        line.format(phone(n), f"user{n}@example.com", "", 5000 + 37 * n, 10**9 + n)
        for n in range(count)
    )
    assert all("PASSWORD" not in fields for fields in read_labels("\n".join(filled)))


TAGS = ["高净值", "白领", "金领", "高消费", "金融", "车主"]


def digest(number: int) -> str:
    return hashlib.md5(phone(number).encode(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("count", [1, 5, 60])
@pytest.mark.parametrize("line", ["{0},{1}", "{1}|{0}", "{0}\t{1}\t3", "{0}----{1}", "{0},{1},{1}"])
def test_column_of_tags_beside_digests_is_not_a_name(line: str, count: int) -> None:
    assert not any(
        "NAME" in fields
        for fields in read_labels(
            "\n".join(line.format(digest(n), TAGS[n % 6]) for n in range(count))
        )
    )


def test_unknown_tags_are_recognised_by_repetition() -> None:
    text = "\n".join(f"{digest(n)},{['石榴籽', '马蹄莲', '金盏花'][n % 3]}" for n in range(30))
    assert read_labels(text) == [set()] * 30


def test_traditional_tags_and_tags_beside_phones_are_not_names() -> None:
    assert read_labels("\n".join(f"{digest(n)},高淨值" for n in range(3))) == [set()] * 3
    assert read_labels("\n".join(f"{phone(n)},高净值" for n in range(3))) == [{"PHONE"}] * 3


@pytest.mark.parametrize("name", ["张三", "高某", "张*", "李四某", "Zhang San"])
def test_names_beside_digests_stay_names(name: str) -> None:
    keeps = "某" in name or "*" in name
    other_names = [
        f"{name[:-1]}{chr(97 + n)}" if name.isascii() else f"张{chr(0x4E00 + n)}" for n in range(20)
    ]
    lines = [
        f"{digest(n)},{name if keeps else other_name}" for n, other_name in enumerate(other_names)
    ]
    assert read_labels("\n".join(lines)) == [{"NAME"}] * 20
    assert (
        read_labels(
            "姓名,md5,手机\n" + "\n".join(f"高净值,{digest(n)},{phone(n)}" for n in range(9))
        )
        == [{"NAME", "PHONE"}] * 9
    )


def test_cell_may_have_a_label_that_its_column_lacks() -> None:
    labels = read_labels(
        "\n".join(f"张三|{phone(n)}|{remark}" for n, remark in enumerate(("借款8万", "x", "y")))
    )
    assert labels == [{"NAME", "PHONE", "LOAN"}, {"NAME", "PHONE"}, {"NAME", "PHONE"}]
