"""The draft of a breach notification: exact counts, nobody's identifier, what is not known left
open, the same each time.
"""

import io
import re
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import docx
import pytest
from typer.testing import CliRunner

from alerts.cases.report import (
    MARK,
    SHOWN_SIGHTINGS,
    Case,
    ReportForm,
    ReportLanguage,
    advice_for,
    case_of,
    categories,
    page,
    render_draft,
    sections,
    values,
)
from alerts.cases.report_files import literal
from alerts.records import Decision, Exposure, Incident, Sighting, incident_id
from alerts.records.decision import WaiverFacts
from alerts.store import DocumentFilter
from alerts.translation import ORIGIN
from tests.alerts.builders import finding, fold_all, handle
from tests.alerts.test_duties import record_notification
from tests.factories import WHEN
from ullage import audit
from ullage.audit.bait import record
from ullage.cli import app
from ullage.records import Honeytoken
from ullage.settings import Context, Entity, Tenant
from ullage.verdict.rules import load_verdict_rules
from ullage.vocabulary.fields import FieldLabel

A = incident_id("f")
ENTITY = Entity(
    name="示例银行",
    name_en="Example Bank",
    contact="值班室",
    officer="个保办",
    regulators=("某局",),
    system="核心系统",
)
PLANTED = (
    "13800138000", "11010519491231002X", "6222020000000000000", "li.lei@example.com", "李雷雷",
    "hunter2secret",
    "seller-alias",
)  # fmt: skip
WROTE = {
    "title": "低价出 13800138000 李雷雷", "author": "seller-alias",
    "url": "http://x.example/11010519491231002X/hunter2secret",
    "channel": "li.lei@example.com", "thread": "6222020000000000000",
}  # fmt: skip
FIELDS = ("NAME", "PHONE", "CARD", "CVV", "BALANCE")


@pytest.fixture
def incident(store, clock) -> str:
    """Store a leak with planted identifiers in each post field and 60 customers in two slices."""
    folded = [
        finding(
            "f", range(50), people=range(50), kinds=("phone", "card"), fields=FIELDS, capture=WROTE
        ),
        finding(
            "g",
            range(50),
            people=range(10, 60),
            kinds=("phone", "card"),
            fields=FIELDS,
            site="forum",
            capture=WROTE,
        ),
    ]
    fold_all(store, clock, folded)
    return A


@pytest.fixture
def case(store, context, incident) -> Case:
    settings = context.settings.model_copy(update={"tenants": {"bank": Tenant(entity=ENTITY)}})
    return case_of(Context(context.data, context.clock, settings), store, incident)


def text_of(document: bytes) -> str:
    """Return the whole text of a .docx file with headers and footers."""
    word_file = docx.Document(io.BytesIO(document))
    cells = [cell.text for table in word_file.tables for row in table.rows for cell in row.cells]
    bands = [
        p.text
        for band in (word_file.sections[0].header, word_file.sections[0].footer)
        for p in band.paragraphs
    ]
    return "\n".join([*(p.text for p in word_file.paragraphs), *cells, *bands])


def lines(case: Case, field: str, language: ReportLanguage = ReportLanguage.ZH) -> tuple[str, ...]:
    order = [f.id for s in sections() for f in s.field]
    items = [item for part in page(case, language).parts for item in part.items]
    return items[order.index(field)].lines


def with_incident(case: Case, **changes) -> Case:
    return replace(case, incident=replace(case.incident, **changes))


def test_draft_has_every_required_field():
    """The union of what PIPL 57, CAC 7, GDPR 33(3) and NYDFS ask for."""
    assert [field.id for section in sections() for field in section.field] == (
        "entity_name entity_contact officer system_or_facility is_cii regulators first_seen_at"
        " alerted_at acknowledged_at determined_at data_time_range incident_type place origin"
        " grade_cac grade_nfra grade_pboc people_distinct records_total people_by_class"
        " sensitive_people minors_under_14 categories c3_present cause_preliminary harm_occurred"
        " harm_possible fraud_scenarios trend_and_further_impact trace_leads loss_estimate_cny"
        " ransom measures_taken effect measures_planned support_requested advice_to_individuals"
        " scene_preservation individual_notice police_report reports"
    ).split()


def test_counts_match_the_store(store, case):
    people = store.count(Exposure, DocumentFilter({"incident": (A,)}))
    assert people == 60
    assert f"已发现本单位客户{people}人（精确计数）" in lines(case, "people_distinct")
    assert lines(case, "records_total") == ("最大一份数据50行",)
    counted = with_incident(case, people_by_class={"A": 1_060, "C": 2}, sensitive=1_061, minors=3)
    assert lines(counted, "people_by_class") == ("A类1,060人，B类0人，C类2人",)
    assert (lines(counted, "sensitive_people"), lines(counted, "minors_under_14")) == (
        ("1,061",),
        ("3",),
    )
    assert lines(case, "place") == ("网站：forum、paste", "共出现2次")


def test_bounds_differ_from_exact_counts(case):
    large_case = with_incident(case, customers=1_234_567, verified=1_000_001, rows=2_000_000)
    assert lines(large_case, "people_distinct", ReportLanguage.EN) == (
        "exactly 1,234,567 of the entity's customers found",
        "at least 1,000,001 whom chance cannot have matched",
        "at most 2,000,000, were every row of the largest copy another person of the entity's",
    )


@pytest.mark.parametrize("form", list(ReportForm))
@pytest.mark.parametrize("language", list(ReportLanguage))
def test_draft_holds_no_identifier_title_author_or_address(case, form, language):
    content = render_draft(page(case, language), form, case)
    text = text_of(content) if form is ReportForm.WORD else content.decode()
    raw = content
    if form is ReportForm.WORD:
        packed = zipfile.ZipFile(io.BytesIO(content))
        raw = b"".join(packed.read(name) for name in packed.namelist())
    for planted in (
        *PLANTED,
        *(handle(person) for person in range(60)),
        *(handle(f"{p}phone") for p in range(60)),
    ):
        assert planted not in text
        assert planted.encode() not in raw
    assert A in text


@pytest.mark.parametrize("language", list(ReportLanguage))
def test_both_forms_hold_the_same_lines(case, language):
    drafted = page(case, language)
    as_word, as_markdown = (
        text_of(render_draft(drafted, ReportForm.WORD, case)),
        render_draft(drafted, ReportForm.MARKDOWN, case).decode(),
    )
    for part in drafted.parts:
        for item in part.items:
            for line in (item.label, item.law, *item.lines):
                assert line in as_word
                assert literal(line) in as_markdown
    for text in (as_word, as_markdown):
        assert text.count(drafted.mark) >= 2


def test_same_case_gives_the_same_bytes(case):
    later = replace(case, now=case.now + timedelta(hours=1))
    for form in ReportForm:
        first, second = (
            render_draft(page(case, ReportLanguage.BOTH), form, case) for _ in range(2)
        )
        assert first == second
        assert first != render_draft(page(later, ReportLanguage.BOTH), form, later)


def test_unknown_facts_are_left_open(case, store, context):
    for field in (
        "cause_preliminary",
        "measures_taken",
        "police_report",
        "grade_nfra",
        "alerted_at",
        "loss_estimate_cny",
    ):
        assert lines(case, field)[0].startswith("【待填写：")
        assert lines(case, field, ReportLanguage.EN)[0].startswith("[to be filled in: ")
    quiet = replace(case, duties=())
    assert lines(quiet, "reports") == ("【待填写：目前无计时：来源非我方且未经人工确认】",)
    assert lines(case, "entity_name") == ("示例银行",)
    assert lines(case, "entity_name", ReportLanguage.EN) == ("Example Bank",)
    bare = case_of(context, store, A)
    for field in ("entity_name", "entity_contact", "officer", "system_or_facility", "regulators"):
        assert lines(bare, field)[0].startswith("【待填写：")
    assert page(bare, ReportLanguage.ZH).open == page(case, ReportLanguage.ZH).open + 5


def test_expired_facts_are_left_open_and_not_zero(case):
    old = with_incident(case, people_by_class={}, fields=(), rows=0)
    for field in (
        "people_by_class",
        "sensitive_people",
        "minors_under_14",
        "categories",
        "c3_present",
        "records_total",
    ):
        assert lines(old, field)[0].startswith("【待填写：")


def test_times_and_deadlines_are_in_the_tenants_zone(store, clock, context, incident):
    store.put(
        [
            store.get(Incident, A).model_copy(
                update={"origin": "ours", "severity": "high", "first_seen": clock.as_clock().now()}
            )
        ]
    )
    now = clock.as_clock().now()
    record_notification(store, now)
    later = now + timedelta(hours=3)
    report = Decision(
        id="d", tenant="bank", incident=A, at=later, by="Li", status="reported",
        regime="nfra-2024", stage="first", reference="NFRA-7", note="line was busy",
    )  # fmt: skip
    store.create(
        [Decision(id="c", tenant="bank", incident=A, at=now, by="Li", status="confirmed"), report]
    )
    case = case_of(context, store, A)
    assert lines(case, "alerted_at") == lines(case, "determined_at") == ("2026-09-21 22:13 CST",)
    reports = lines(case, "reports", ReportLanguage.EN)
    assert (
        "PIPL Art. 57, first report; at once; our target: the same day; due 2026-09-21 23:59 CST;"
        " running" in reports
    )
    assert (
        "NFRA data security measures, first report; within 2 h; due 2026-09-22 00:13 CST; sent"
        " late; 2026-09-22 01:13 CST; NFRA-7; line was busy" in reports
    )
    assert any(line.endswith("未核对原文") for line in lines(case, "reports"))
    waiver = {
        "tenant": "bank",
        "incident": A,
        "at": later,
        "status": "note",
        "regime": "pipl-57",
        "stage": "waived",
    }
    stored = store.get(Incident, A)
    met = ("people_from", "severity_from", "critical_infrastructure")
    facts = WaiverFacts(
        customers=stored.customers, kinds=stored.kinds, severity=stored.severity, conditions=met
    )
    store.create(
        [
            Decision(
                id="v",
                by="Wang",
                note="harm averted",
                facts=facts,
                ends=("pipl-57 first",),
                **waiver,
            )
        ]
    )
    due = "个人信息保护法第五十七条，首次报告；立即；内部目标：当日；截止 2026-09-21 23:59 CST；"
    waived = f"已豁免，以{stored.customers:,}名客户为限；由一人决定"
    assert f"{due}{waived}" in lines(case_of(context, store, A), "reports"), (
        "its grounds stay in the house"
    )


@pytest.mark.parametrize(
    ("people", "grade"),
    [(999_999, "一般"), (1_000_000, "较大"), (10_000_000, "重大"), (100_000_000, "特别重大")],
)
def test_grade_uses_the_words_of_the_regulation(case, people, grade):
    assert lines(with_incident(case, customers=people), "grade_cac") == (grade,)


def test_kinds_of_information_are_named_with_the_highest_class(case):
    case = with_incident(case, fields=tuple(sorted(FIELDS)))
    assert lines(case, "categories") == (
        "账户余额、资产",
        "银行卡号",
        "卡片验证码",
        "姓名",
        "电话号码",
    )
    assert lines(case, "c3_present") == ("卡片验证码",)
    assert lines(with_incident(case, fields=("PHONE",)), "c3_present") == ("未发现",)
    expiry = categories()["EXPIRY"].title_zh
    assert lines(with_incident(case, fields=("CARD", "EXPIRY")), "c3_present") == (expiry,)
    assert set(categories()) == {field.value for field in FieldLabel}


def test_every_scenario_has_advice():
    scenario_ids = [scenario.id for scenario in load_verdict_rules().scenario]
    for scenario in scenario_ids:
        advice_list = advice_for(scenario)
        assert len(advice_list) == 2, scenario
        for advice in advice_list:
            assert all((advice.harm, advice.harm_zh))
            assert all(text.en and text.zh for text in advice.lines())
    assert len(advice_for("")) == 1
    assert len(advice_for("X999")) == 1


def test_chinese_draft_is_chinese_except_codes_and_labels(case):
    """Its reader is an authority: reasons, laws and asks are not in English."""
    drafted = page(case, ReportLanguage.ZH)
    text_lines = [
        line
        for part in drafted.parts
        for item in part.items
        for line in (item.label, item.law, *item.lines)
    ]
    assert any("随机命中" in line for line in lines(case, "origin"))
    allowed = re.compile(r"paste|forum|bank|\b[A-Z]+\b|example\.com|[a-z]\b")
    assert [line for line in text_lines if re.search(r"[a-z]{3}", allowed.sub("", line))] == []


def test_advice_follows_the_scenario(case):
    assert case.incident.scenario == "X3"
    assert any("更换银行卡" in line for line in lines(case, "advice_to_individuals"))
    assert any("96110" in line for line in lines(case, "advice_to_individuals"))
    changed_case = with_incident(case, scenario="X15")
    assert any("安全账户" in line for line in lines(changed_case, "advice_to_individuals"))


def test_evidence_lists_our_ids_and_counts_omitted_ones(case):
    assert lines(case, "scene_preservation") == (
        "未留存原件，仅记录网站和时间：",
        "记录f，网站paste，采集于2026-09-21 20:00 CST",
        "记录g，网站forum，采集于2026-09-21 20:00 CST",
    )
    first = case.sightings[0]
    sightings = tuple(replace(first, id=f"s{n:03}") for n in range(SHOWN_SIGHTINGS + 7))
    crowded = replace(case, sightings=sightings)
    assert len(lines(crowded, "scene_preservation")) == SHOWN_SIGHTINGS + 2
    assert lines(crowded, "scene_preservation")[-1] == "另有7条记录"


def test_age_of_the_data_is_stated_where_known(case):
    assert "data_time_range" not in values(case)
    first = replace(case.sightings[0], newest_date=date(2026, 8, 31))
    dated = replace(
        with_incident(case, published_at=WHEN), sightings=(first,), zone=ZoneInfo("UTC")
    )
    assert lines(dated, "data_time_range", ReportLanguage.EN) == (
        "first published 2026-09-21 12:00 UTC, as far as its site says",
        "newest date in the data: 2026-08-31",
    )


def test_markdown_and_terminal_characters_are_inert(case):
    hostile = "# <script>*x* [a](javascript:b) | `c`\x1b[31m\u202e"
    attacked = replace(case, tenant=Tenant(entity=Entity(name=hostile)))
    text = render_draft(page(attacked, ReportLanguage.ZH), ReportForm.MARKDOWN, attacked).decode()
    assert r"\# \<script\>\*x\* \[a\](javascript:b) \| \`c\`\\x1b\[31m\\u202e" in text
    assert not re.search(r"[\x1b\u202e]|(?<!\\)<", text)
    assert literal("- a") == r"\- a"
    assert literal("2026-09-21") == "2026-09-21"
    assert literal("1. a") == r"1\. a"
    assert "\x1b" not in text_of(
        render_draft(page(attacked, ReportLanguage.ZH), ReportForm.WORD, attacked)
    )


def test_report_command_writes_a_private_file_and_is_audited(data, store, incident, tmp_path):
    (data / "ullage.toml").write_text("metrics = false\n[tenants.bank]\n")
    target = tmp_path / "draft.docx"
    words = [
        "--data",
        str(data),
        "report",
        A,
        "--format",
        "docx",
        "--lang",
        "zh",
        "-o",
        str(target),
    ]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert re.fullmatch(r"\d+ fields are left for a person to fill in.\n", result.stderr)
    assert result.stdout == ""
    assert "单位名称" in text_of(target.read_bytes())
    assert target.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["draft.docx"]
    _, last = list(audit.read_entries(data / "audit"))[-1]
    assert (last.action, last.object) == (
        "incident.draft",
        f"incident {A}: notification draft, docx, zh",
    )
    printed = CliRunner().invoke(app, ["--data", str(data), "report", A])
    assert printed.stdout.startswith("> **草稿 · 未报送 · 待法务审核**")
    assert "no incident with that id" in str(
        CliRunner().invoke(app, ["--data", str(data), "report", "INC-NOBODY"]).exception
    )


def test_document_has_only_the_given_time(case):
    file = zipfile.ZipFile(
        io.BytesIO(render_draft(page(case, ReportLanguage.ZH), ReportForm.WORD, case))
    )
    assert {member.date_time for member in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    about = docx.Document(
        io.BytesIO(render_draft(page(case, ReportLanguage.ZH), ReportForm.WORD, case))
    ).core_properties
    assert about.created == about.modified == case.now.replace(microsecond=0)
    assert about.author == "ullage"
    assert case.now == datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)


def test_all_sightings_are_listed(store, clock, context):
    fold_all(
        store,
        clock,
        [finding(f"f{n}", range(10), people=range(3), site=f"s{n}") for n in range(205)],
    )
    case = case_of(context, store, incident_id("f0"))
    assert (
        len(case.sightings)
        == store.count(Sighting, DocumentFilter({"incident": (incident_id("f0"),)}))
        == 205
    )


def test_honeytoken_list_is_stated_with_digest_and_date(store, clock, data):
    bait = (Honeytoken(label="sms A", customers=1, verified=1),)
    fold_all(
        store, clock, [finding("f", range(40), "ab", honeytokens=bait, honeytokens_enrolled=3)]
    )
    context = Context(data, clock.as_clock())
    without = "\n".join(
        line.en for line in values(case_of(context, store, A))["scene_preservation"]
    )
    assert "no time stamp in the audit log" in without
    record(context.trail(), "bank", "sms A", 3, "ab" * 32, actor="ops")
    record(context.trail(), "bank", "sms B", 3, "cd" * 32, actor="ops")
    bait_line = values(case_of(context, store, A))["scene_preservation"][-1]
    assert (
        "that only one partner received, 3 invented customers, recorded"
        f" {clock.as_clock().now():%Y-%m-%d}" in bait_line.en
    )
    assert "sms A" not in bait_line.en + bait_line.zh
    assert "ab" * 32 in bait_line.en
    assert "ab" * 32 in bait_line.zh


def test_origin_never_names_the_leaker() -> None:
    assert not [
        word
        for word in ORIGIN.values()
        if re.search("(?:我方|合作方|他处|客户|员工).{0,2}泄露", word)
    ]


@pytest.mark.parametrize(
    ("language", "whose", "signed"),
    [
        (ReportLanguage.ZH, ENTITY.name, "编制人 审核人 批准人"),
        (ReportLanguage.EN, ENTITY.name_en or ENTITY.name, "Prepared by Reviewed by Approved by"),
    ],
)
def test_every_page_has_organization_number_and_signature_lines(case, language, whose, signed):
    document = docx.Document(io.BytesIO(render_draft(page(case, language), ReportForm.WORD, case)))
    [sheet] = document.sections
    mark = language.line(MARK)
    assert sheet.header.paragraphs[0].text == f"{mark}\t{whose}"
    footer = sheet.footer.paragraphs[0]
    assert footer.text.startswith(f"{mark}\t{A}")
    assert re.findall(r'w:fldSimple w:instr="(\w+)"', footer._p.xml) == ["PAGE", "NUMPAGES"]
    assert (
        " ".join(paragraph.text.split("\t")[0] for paragraph in document.paragraphs[-3:]) == signed
    )
