"""What leaves the house: by default severity, number and address; never a title, an author, a
value.
"""

import json
import re

import pytest

from alerts.notify import IncidentSummary, MessageEntry, compose_message, message_id
from tests.alerts.notify.support import incident

PAGE = "https://page.example"
LEAKED = ("王伟 13800138000 料子", "seller_wang", "<NAME>----<PHONE>")
A = incident(
    "A", titles=LEAKED[:1], authors=LEAKED[1:2], skeleton=LEAKED[2],
    sites=("paste", "群 王伟 13800138000"), terms=("jargon",),
    scenario_title="False loan", scenario_title_zh="虚假贷款",
)  # fmt: skip


def entry(
    name: str, severity: str = "high", facts: IncidentSummary | None = None, language: str = "en"
) -> MessageEntry:
    return MessageEntry(
        f"INC-{name}", severity, "new", f"{PAGE}/incidents/INC-{name}", facts, language=language
    )


def test_the_worst_stands_first_and_the_subject_counts():
    made = compose_message(
        "m",
        [entry("B", "low"), entry("C", "statutory"), entry("A", "high"), entry("D", "high")],
        PAGE,
    )
    assert [e.incident for e in made.entries] == ["INC-C", "INC-A", "INC-D", "INC-B"]
    assert made.subject() == "ullage: 4 incidents (1 statutory, 2 high, 1 low)"


def test_one_incident_is_named_in_the_subject():
    made = compose_message("m", [entry("A")], PAGE)
    assert made.subject() == "ullage: HIGH  INC-A"
    assert made.text() == f"HIGH  INC-A  new\n{PAGE}/incidents/INC-A"


def test_a_text_names_the_worst_and_says_how_many_more_there_are():
    made = compose_message("m", [entry(f"{n:03}") for n in range(480)], PAGE)
    lines = made.text().splitlines()
    assert len(lines) == 19
    assert lines[-1] == f"and 471 more: {PAGE}/"
    assert len(made.payload()["incidents"]) == 480


def test_incidents_of_one_seller_are_told_as_one_by_the_worst_of_them():
    def sold(name: str, severity: str, series: str = "series_a") -> MessageEntry:
        return MessageEntry(
            f"INC-{name}", severity, "new", f"{PAGE}/incidents/INC-{name}", None, series, 2, "en"
        )

    many = [sold(f"{n:03}", "low") for n in range(7)]
    made = compose_message(
        "m", [*many, sold("A", "high"), sold("B", "medium", "series_b"), entry("C", "low")], PAGE
    )
    lines = made.text().splitlines()
    assert lines[:3] == [
        "HIGH  INC-A  new",
        (
            "16 posts by one seller in 8 incidents: also INC-000, INC-001, INC-002, INC-003,"
            " INC-004 +2"
        ),
        f"{PAGE}/incidents/INC-A",
    ]
    assert [line.split("  ")[1] for line in lines if "  " in line] == ["INC-A", "INC-B", "INC-C"]
    told = {one["id"]: one.get("series") for one in made.payload()["incidents"]}
    assert len(told) == 10
    assert (told["INC-A"], told["INC-B"], told["INC-C"]) == ("series_a", "series_b", None)


@pytest.mark.parametrize("detail", ["minimal", "facts"])
def test_a_text_is_never_longer_than_twenty_lines(detail):
    facts = (
        IncidentSummary.from_incident(A, ("decide by 12:00", "请判定"))
        if detail == "facts"
        else None
    )
    made = compose_message("m", [entry(f"{n:03}", facts=facts) for n in range(12)], PAGE)
    assert 15 <= len(made.text().splitlines()) <= 20


def test_of_how_many_messages_it_is_joined_is_a_fact():
    made = compose_message(
        "m",
        [entry("A", facts=IncidentSummary.from_incident(A.model_copy(update={"joined": 31})))],
        PAGE,
    )
    assert made.text().splitlines()[1].endswith("on other, paste, joined from 31 messages")
    assert made.payload()["incidents"][0]["joined"] == 31


@pytest.mark.parametrize("detail", ["minimal", "facts"])
def test_titles_authors_rows_terms_and_names_of_chats_never_leave(detail):
    made = compose_message(
        "m",
        [entry("A", facts=IncidentSummary.from_incident(A) if detail == "facts" else None)],
        PAGE,
    )
    said = made.subject() + made.text() + json.dumps(made.payload(), ensure_ascii=False)
    assert not any(part in said for leaked in LEAKED for part in leaked.split())
    assert "jargon" not in said
    assert ("bank" in said, "48" in said, "paste" in said, "False loan" in said) == (
        detail == "facts",
    ) * 4


@pytest.mark.parametrize(
    ("language", "says"), [("en", "no known scenario"), ("zh", "无已知诈骗场景")]
)
def test_of_what_no_scenario_fits_that_is_said(language, says):
    facts = IncidentSummary.from_incident(incident("A", sites=("paste",)))
    assert says in entry_text(facts, language)


def entry_text(facts: IncidentSummary, language: str) -> str:
    return compose_message("m", [entry("A", facts=facts, language=language)], PAGE).text()


def test_facts_are_tenant_counts_scenario_and_configured_sites():
    made = compose_message("m", [entry("A", facts=IncidentSummary.from_incident(A))], PAGE)
    assert made.text().splitlines()[1] == "bank: 48 customers, False loan, on other, paste"
    assert made.payload()["incidents"][0] | {"url": ""} == {
        "id": "INC-A", "severity": "high", "why": "new", "url": "",
        "tenant": "bank", "customers": 48, "scenario": "False loan", "sites": ["other", "paste"],
        "next_step": A.next_step.text,
    }  # fmt: skip


def test_a_message_is_in_the_language_of_the_tenant_of_the_worst_and_in_no_other():
    told = IncidentSummary.from_incident(
        A.model_copy(update={"joined": 31, "incomplete": ("x",)}),
        ("decide by 12:00", "请于12:00前判定"),
    )
    series = [
        MessageEntry(f"INC-{n}", "low", "grown", PAGE, None, "series", 2, "en") for n in range(2)
    ]
    made = compose_message(
        "m", [entry("B", "low"), *series, entry("A", "statutory", told, "zh")], PAGE
    )
    said = f"{made.subject()}\n{made.text()}"
    own = {
        "ullage",
        "INC",
        "bank",
        "other",
        "paste",
        "https",
        "page",
        "example",
        "incidents",
        "A",
        "B",
    }
    assert {*re.findall("[A-Za-z]+", said)} <= own
    assert (
        said.splitlines()[2]
        == "bank：客户 至少 48 人，虚假贷款，站点：other、paste，由 31 条消息合并"
    )
    assert made.payload()["language"] == "zh"
    assert made.payload()["incidents"][0]["decide"] == "请于12:00前判定"
    english = compose_message(
        "m", [entry("A", "statutory", told), entry("B", "low", language="zh")], PAGE
    )
    assert not re.search("[\u4e00-\u9fff]", english.subject() + english.text())


def test_the_same_notifications_make_the_same_message_in_any_order():
    assert message_id(["a", "b"]) == message_id(["b", "a"]) != message_id(["a"])
    assert message_id(["a"]).startswith("msg_")
