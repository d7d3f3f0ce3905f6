"""What rows say without a header: loans, passwords behind logins, tags that are no names. Beside what only looks like it."""

import pytest

from matcher.labels import block_label, label_of
from matcher.text import read
from tests.matcher.bank import phone
from tests.matcher.test_rows import rows
from ullage.fields import Field


def of(text: str) -> list[set[str]]:
    """The fields of each row's layout."""
    return [{*map(str, row.fields)} for row in rows(text)]


LOANS = [
    *"申请金额 授信额度 放款状态 借款金额 放款金额 贷款余额 额度 逾期天数 还款日 待还 在贷余额 首逾日期".split(),
    *"借款期限 授信结果 催收状态 放款狀態 申請金額 貸款餘額 待還金額".split(),
    *"loan_status loanAmount Loan-Term CREDIT_LIMIT repayment_date disbursed_amount dpd days_past_due".split(),
    *"outstanding_balance 贷款用途 申请金额(元) 额度【万元】 逾期[天] 放款金额/万元 客户贷款余额".split(),
]


@pytest.mark.parametrize("word", LOANS)
@pytest.mark.parametrize("separator", [",", "|", "\t", "----"])
def test_a_header_of_such_words_names_loans(word: str, separator: str) -> None:
    lines = [("姓名", "手机号", word), *(("张某", phone(n), str(n * 700)) for n in range(3))]
    assert of("\n".join(map(separator.join, lines))) == [{"LOAN", "NAME", "PHONE"}] * 3


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "utf-16", "utf-8-sig"])
def test_in_other_encodings_too(encoding: str) -> None:
    text = "姓名,手機,放款狀態\n" + "\n".join(f"李某,{phone(n)},已放款" for n in range(3))
    assert of(read(text.encode(encoding), "", "text/plain").text) == [{"LOAN", "NAME", "PHONE"}] * 3


@pytest.mark.parametrize("word", LOANS)
def test_a_label_of_such_a_word_names_a_loan_in_a_record_downwards(word: str) -> None:
    record = f"{word}: 8000\n姓名: 张某\n手机: {{}}\n"
    assert of(record.format(phone(1)) + record.format(phone(2))) == [{"LOAN", "NAME", "PHONE"}] * 2


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("还款卡号", Field.CARD),
        ("借款人姓名", Field.NAME),
        ("借款人手机号", Field.PHONE),
        ("loan_phone", Field.PHONE),
        ("borrowerName", Field.NAME),
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
def test_a_word_that_is_made_of_parts_is_what_its_end_says(word: str, label: Field | None) -> None:
    assert label_of(word) == label
    assert block_label(f"{word}:") == str(label or "")


SAID = ["借款8万", "申请金额50000", "授信额度为8万元", "已放款", "逾期30天", "8万借款", "欠3000元未还", "额度：5万", "借款八万",
        "放款狀態:已放款", "overdue 30 days", "loan amount: 5,000", "借款金额 80000", "待还３２００.50元", "貸款5萬"]  # fmt: skip


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize(
    "line", ["张某,{},{}", "{}----张某----{}", "张某|{}||{}", "{}\t{}", "姓名:张某,电话:{},{}", "张某；{}；{}"]
)
def test_a_cell_that_speaks_of_a_loan_is_one_without_a_header(line: str, said: str) -> None:
    assert all("LOAN" in fields for fields in of("\n".join(line.format(phone(n), said) for n in range(3))))
    assert "LOAN" in of(line.format(phone(9), said))[0]


def test_a_long_table_is_read_by_its_samples() -> None:
    text = "\n".join(f"张某|{phone(n)}|借款{n % 9 + 1}万|{n}" for n in range(500))
    assert of(text) == [{"LOAN", "NAME", "PHONE"}] * 500


@pytest.mark.parametrize("glued", ["张某{}借款8万", "{}，借款8万，已逾期", "姓名张某 电话{} 借款8万", "张某 {} 申请金额 50000"])
def test_a_loan_in_one_line_with_a_number_is_seen(glued: str) -> None:
    assert "LOAN" in of(glued.format(phone(1)))[0]


PROSE = [
    "贷款额度最高20万,咨询{}",
    "无抵押贷款,额度5万,月息1%,电话{}",
    "贷款1-50万,联系{}",
    "产品: 快贷\n贷款额度: 1-50万\n贷款期限: 3-36期\n电话: {}\n",
    "我昨天去银行问了借款8万的事，回头打{}",
    "新闻：某公司放款金额超过300亿，联系人{}",
    "{},北京市朝阳区8号",
    "{},5000",
    "{},2024-01-02 12:30",
    "{}:12:30",
    "比分 3:2 {}",
    "{},年龄35",
    "{},放学",
    "apply now, loan up to 50000, call {}",
    "{},8万",
]


@pytest.mark.parametrize("text", PROSE)
def test_prose_products_and_other_values_are_no_loans(text: str) -> None:
    assert all("LOAN" not in fields for fields in of(text.format(phone(1))))
