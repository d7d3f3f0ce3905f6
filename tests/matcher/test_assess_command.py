"""`ullage assess`: the verdict on a file, as text and as JSON."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.matcher.bank import customer, enrol, phone, resident_id
from ullage.bus import FINDINGS
from ullage.errors import Exit
from ullage.records import FINDING_SCHEMA, Finding
from ullage.settings import Context

CUSTOMERS = [customer(n) for n in range(400)]


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the command line runs."""
    return Context(data)


@pytest.fixture
def bank(context: Context, enrol_once: Callable) -> Context:
    """Four hundred customers in a market of two hundred thousand numbers: chance gives one in
    five hundred.
    """
    enrol_once(context.data, CUSTOMERS, "none")
    (context.data / "ullage.toml").write_text("[tenants.bank]\ncirculation = 200000.0\n")
    return context


def verdict(ullage, path: Path, *words: str) -> dict:
    result = ullage("assess", path, "--json", *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["tenants"][0]


def strangers(count: int) -> list[str]:
    chance = random.Random(1)
    return [phone(chance.randrange(10**6, 10**8)) for _ in range(count)]


def failing(number: int) -> str:
    """Return a resident ID with a wrong check character."""
    right = resident_id(number)
    return right[:-1] + ("1" if right[-1] != "1" else "2")


OURS = ["----".join((p["name"], p["phone"], p["resident_id"])) for p in CUSTOMERS[:60]]
FILES = {
    "our rows": (["姓名----手机----身份证", *OURS], "ours"),
    "foreign phones": (strangers(500), "elsewhere"),
    "one own phone among foreign ones": ([*strangers(500), phone(7)], "elsewhere"),
    "too few": (strangers(3), "unknown"),
    "generated": ([phone(10**6 + 7 * n) for n in range(300)], "fabricated"),
    "invalid IDs": ([failing(n) for n in range(1000, 1040)], "fabricated"),
}


@pytest.mark.parametrize("file", FILES)
def test_origin_of_sample_file_is_recognised(
    ullage, bank: Context, tmp_path: Path, file: str
) -> None:
    lines, origin = FILES[file]
    path = tmp_path / "sample.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert verdict(ullage, path)["origin"]["verdict"] == origin


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "[bold]sample.txt"
    rows = [
        "|".join((p["name"], p["phone"], p["resident_id"], "5000", "2024-01-02"))
        for p in CUSTOMERS[:50]
    ]
    path.write_text(
        "\n".join(
            [
                "姓名|手机|身份证|余额|日期",
                *rows,
                f"赵某|{phone(10**7)}||1|",
                "内料 110105194912310021",
            ]
        ),
        encoding="utf-8",
    )
    return path


def test_verdict_fits_100_columns(ullage, bank: Context, sample: Path) -> None:
    result = ullage("assess", sample)
    assert result.exit_code == 0
    lines = [line.strip("│ ") for line in result.stdout.splitlines()]
    assert max(map(len, result.stdout.splitlines())) <= 100
    shown = " ".join(" ".join(lines).split())
    for phrase in (
        "[bold]sample.txt",
        "newest date 2024-01-02",
        "51 phone, 50 resident_id (checksum fails: 1 resident_id)",
        "<NAME>|<PHONE>|<ID>|<BALANCE>|<DATE>",
        "内料 (card)",
        "tenant bank",
        "OURS",
        "50 of 400 customers (50 phone, 50 resident_id)",
        "虚假投资理财",
        "50 rows agree with a customer in two or more fields",
        "1 of 51 resident IDs fail their checksum",
        "Next: ",
    ):
        assert phrase in shown
    assert not [
        p
        for p in CUSTOMERS[:50]
        for kind in ("name", "phone", "resident_id")
        if p[kind] in result.output
    ]


def test_json_agrees_with_screen(ullage, bank: Context, sample: Path) -> None:
    whole = json.loads(ullage("assess", sample, "--json").stdout)
    assert (whole["rows"], whole["candidates"], whole["failures"]) == (
        51,
        {"phone": 51, "resident_id": 50},
        {"resident_id": 1},
    )
    [bank_verdict] = whole["tenants"]
    assert (
        bank_verdict["customers"],
        bank_verdict["matched_rows"],
        bank_verdict["corroborated_rows"],
    ) == (50, 50, 50)
    assert bank_verdict["exposure"]["scenario"] == "X10"
    assert bank_verdict["exposure"]["severity"] == "high"
    total = sum(points for _, points, *_ in bank_verdict["exposure"]["reasons"])
    assert bank_verdict["exposure"]["score"] == min(100, total)


def test_tenant_with_most_customers_is_listed_first(ullage, bank: Context, sample: Path) -> None:
    enrol(bank, "aaa", [customer(9000)])
    enrol(bank, "zzz", [customer(0)])
    tenants = json.loads(ullage("assess", sample, "--json").stdout)["tenants"]
    assert [(t["tenant"], t["customers"]) for t in tenants] == [
        ("bank", 50),
        ("zzz", 1),
        ("aaa", 0),
    ]
    assert "tenant aaa: none of 1 customers is in it" in ullage("assess", sample).stdout


@pytest.fixture
def bank_with_labels(bank: Context, ullage, tmp_path: Path) -> Context:
    """Return the bank with labels on its customers: an export cohort, and one honeytoken."""
    columns = ("customer_ref", "name", "phone", "resident_id", "cohort_export", "canary")
    rows = [
        (*(p[c] for c in columns[:4]), "E17" if n < 100 else "E18", "sms A" if n == 3 else "")
        for n, p in enumerate(CUSTOMERS)
    ]
    source = tmp_path / "labelled.csv"
    source.write_text("\n".join(map(",".join, (columns, *rows))), encoding="utf-8")
    assert (
        ullage("watchlist", "load", source, "--tenant", "bank", "--digests", "none").exit_code == 0
    )
    return bank


def test_honeytoken_names_partner_on_screen_and_in_json(
    ullage, bank_with_labels: Context, sample: Path
) -> None:
    exposed = verdict(ullage, sample)
    assert (
        exposed["origin"]["verdict"],
        exposed["origin"]["label"],
        exposed["exposure"]["severity"],
    ) == ("partner", "sms A", "high")
    shown = " ".join(
        " ".join(line.strip("│ ") for line in ullage("assess", sample).stdout.splitlines()).split()
    )
    for phrase in (
        "HIGH",
        "PARTNER sms A: a verified row contains a honeytoken that only this party received,",
        "+10 a honeytoken was found in a verified row",
        (
            "50 of 50 customers are of export E17, as are 100 of 400 enrolled (p < 1e-12): nobody"
            " else can know it"
        ),
        "high: 50 of our customers with name, phone",
        "Next: Ask the partner today",
    ):
        assert phrase in shown


@pytest.mark.parametrize(("own", "origin"), [('["BRANCH"]', "ours"), ('["POLICY"]', "unknown")])
def test_own_field_in_table_marks_rows_as_ours(
    ullage, bank: Context, tmp_path: Path, own: str, origin: str
) -> None:
    (bank.data / "ullage.toml").write_text(
        f"[tenants.bank]\ncirculation = 200000.0\nown_fields = {own}\n"
    )
    sample_ = random.Random(3).sample(CUSTOMERS, 30)
    numbers = [*(p["phone"] for p in sample_), *strangers(70)]
    path = tmp_path / "branches.csv"
    path.write_text(
        "\n".join(["手机号,开户行", *(f"{number},中山路支行" for number in numbers)]),
        encoding="utf-8",
    )
    exposed = verdict(ullage, path)
    assert exposed["origin"]["verdict"] == origin
    assert ("fields that only the tenant has: BRANCH" in str(exposed)) == (origin == "ours")


def test_unknown_own_field_is_rejected_with_its_setting(
    ullage, bank: Context, tmp_path: Path
) -> None:
    (bank.data / "ullage.toml").write_text('[tenants.bank]\nown_fields = ["BRANCHES"]\n')
    result = ullage("assess", tmp_path)
    assert result.exit_code != 0
    assert "tenants.bank.own_fields" in result.output + str(result.exception)


def test_matches_expected_by_chance_are_shown_as_noise(
    ullage, bank: Context, tmp_path: Path
) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text("\n".join([*strangers(500), phone(7)]), encoding="utf-8")
    shown = " ".join(ullage("assess", path).stdout.split())
    assert "NOISE exposure 12/100 ELSEWHERE" in shown
    assert "noise: 1 customer of ours by phone alone, chance alone" in shown


def test_assess_writes_nothing_unless_incident_is_opened(
    ullage, bank: Context, sample: Path
) -> None:
    def list_files() -> set[Path]:
        return {p for p in bank.data.rglob("*") if p.is_file()}

    before = list_files()
    ullage("assess", sample)
    assert list_files() == before
    bus = bank.bus()
    subscription = bus.subscribe(FINDINGS, "alert")
    result = ullage("assess", sample, "--open", "--wait", "0")
    assert (result.exit_code, "submitted, but not processed yet" in result.stderr) == (
        Exit.FAILED,
        True,
    )
    [record] = subscription.poll(9, 0.0)
    finding = Finding.decode(record.value, FINDING_SCHEMA)
    assert (finding.tenant, finding.capture.site, finding.total_subjects) == ("bank", "assess", 50)
    assert finding.statistics.groups[0].corroborated == 50
    subscription.close()
    bus.close()


def test_standard_input_and_empty_file_get_a_verdict(ullage, bank: Context) -> None:
    for body, code in (
        (b"", Exit.NO_VERDICT),
        (b"\xff\xfe\x00", Exit.NO_VERDICT),
        (b"x", Exit.DONE),
        (phone(1).encode(), Exit.DONE),
    ):
        result = ullage("assess", "-", input=body)
        assert result.exit_code == code
        assert "bank" in result.stdout


@pytest.mark.parametrize("name", ["orders.xls", "orders.html", "orders"])
@pytest.mark.parametrize("end", ["", "\n", "\n  "])
def test_html_table_is_detected_by_content_not_name(
    ullage, bank: Context, tmp_path: Path, name: str, end: str
) -> None:
    cells = (
        f"<tr>{end}<td>{p['name']}</td>{end}<td>{p['phone']}</td><td>DD2026{n}</td>{end}</tr>{end}"
        for n, p in enumerate(CUSTOMERS[:60])
    )
    path = tmp_path / name
    path.write_text(
        (
            "<html><table><tr><th>买家</th><th>电话</th><th>订单号</th></tr>"
            f"{''.join(cells)}</table></html>"
        ),
        encoding="gb18030",
    )
    assessed = verdict(ullage, path)
    assert (
        assessed["corroborated_rows"],
        assessed["origin"]["verdict"],
        assessed["exposure"]["row"],
    ) == (
        60,
        "ours",
        9,
    )


@pytest.mark.parametrize("end", ["", "\n  "])
def test_excel_2003_xml_sheet_has_rows(ullage, bank: Context, tmp_path: Path, end: str) -> None:
    data = [
        ("姓名", "手机", "贷款余额"),
        *((p["name"], p["phone"], str(5000 + n)) for n, p in enumerate(CUSTOMERS[:60])),
    ]
    cells = [
        "".join(f'<Cell><Data ss:Type="String">{value}</Data></Cell>{end}' for value in row)
        for row in data
    ]
    rows = "".join(f"<Row>{end}{text}</Row>{end}" for text in cells)
    path = tmp_path / "a.xls"
    path.write_text(
        '<?xml version="1.0"?><?mso-application'
        f' progid="Excel.Sheet"?><Workbook><Table>{rows}</Table></Workbook>'
    )
    assessed = verdict(ullage, path)
    assert (
        assessed["corroborated_rows"],
        assessed["origin"]["verdict"],
        assessed["exposure"]["row"],
    ) == (
        60,
        "ours",
        9,
    )
