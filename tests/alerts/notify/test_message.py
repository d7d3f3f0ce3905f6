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


def test_most_severe_incident_comes_first_and_the_subject_counts():
    message = compose_message(
        "m",
        [entry("B", "low"), entry("C", "statutory"), entry("A", "high"), entry("D", "high")],
        PAGE,
    )
    assert [e.incident for e in message.entries] == ["INC-C", "INC-A", "INC-D", "INC-B"]
    assert message.subject() == "ullage: 4 incidents (1 statutory, 2 high, 1 low)"


def test_single_incident_is_named_in_the_subject():
    message = compose_message("m", [entry("A")], PAGE)
    assert message.subject() == "ullage: HIGH  INC-A"
    assert message.text() == f"HIGH  INC-A  new\n{PAGE}/incidents/INC-A"


def test_text_names_the_most_severe_and_counts_the_rest():
    message = compose_message("m", [entry(f"{n:03}") for n in range(480)], PAGE)
    lines = message.text().splitlines()
    assert len(lines) == 19
    assert lines[-1] == f"and 471 more: {PAGE}/"
    assert len(message.payload()["incidents"]) == 480


def test_incidents_of_one_seller_are_one_entry_of_the_most_severe():
    def sold(name: str, severity: str, series: str = "series_a") -> MessageEntry:
        return MessageEntry(
            f"INC-{name}", severity, "new", f"{PAGE}/incidents/INC-{name}", None, series, 2, "en"
        )

    sold_entries = [sold(f"{n:03}", "low") for n in range(7)]
    message = compose_message(
        "m",
        [*sold_entries, sold("A", "high"), sold("B", "medium", "series_b"), entry("C", "low")],
        PAGE,
    )
    lines = message.text().splitlines()
    assert lines[:3] == [
        "HIGH  INC-A  new",
        (
            "16 posts by one seller in 8 incidents: also INC-000, INC-001, INC-002, INC-003,"
            " INC-004 +2"
        ),
        f"{PAGE}/incidents/INC-A",
    ]
    assert [line.split("  ")[1] for line in lines if "  " in line] == ["INC-A", "INC-B", "INC-C"]
    series = {item["id"]: item.get("series") for item in message.payload()["incidents"]}
    assert len(series) == 10
    assert (series["INC-A"], series["INC-B"], series["INC-C"]) == ("series_a", "series_b", None)


@pytest.mark.parametrize("detail", ["minimal", "facts"])
def test_text_has_at_most_twenty_lines(detail):
    facts = (
        IncidentSummary.from_incident(A, ("decide by 12:00", "请判定"))
        if detail == "facts"
        else None
    )
    message = compose_message("m", [entry(f"{n:03}", facts=facts) for n in range(12)], PAGE)
    assert 15 <= len(message.text().splitlines()) <= 20


def test_number_of_grouped_messages_is_a_fact():
    message = compose_message(
        "m",
        [entry("A", facts=IncidentSummary.from_incident(A.model_copy(update={"joined": 31})))],
        PAGE,
    )
    assert message.text().splitlines()[1].endswith("on other, paste, joined from 31 messages")
    assert message.payload()["incidents"][0]["joined"] == 31


@pytest.mark.parametrize("detail", ["minimal", "facts"])
def test_titles_authors_rows_and_chat_names_are_never_sent(detail):
    message = compose_message(
        "m",
        [entry("A", facts=IncidentSummary.from_incident(A) if detail == "facts" else None)],
        PAGE,
    )
    text = message.subject() + message.text() + json.dumps(message.payload(), ensure_ascii=False)
    assert not any(part in text for leaked in LEAKED for part in leaked.split())
    assert "jargon" not in text
    assert ("bank" in text, "48" in text, "paste" in text, "False loan" in text) == (
        detail == "facts",
    ) * 4


@pytest.mark.parametrize(
    ("language", "says"), [("en", "no known scenario"), ("zh", "无已知诈骗场景")]
)
def test_incident_without_a_scenario_says_so(language, says):
    facts = IncidentSummary.from_incident(incident("A", sites=("paste",)))
    assert says in entry_text(facts, language)


def entry_text(facts: IncidentSummary, language: str) -> str:
    return compose_message("m", [entry("A", facts=facts, language=language)], PAGE).text()


def test_facts_are_tenant_counts_scenario_and_configured_sites():
    message = compose_message("m", [entry("A", facts=IncidentSummary.from_incident(A))], PAGE)
    assert message.text().splitlines()[1] == "bank: 48 customers, False loan, on other, paste"
    assert message.payload()["incidents"][0] | {"url": ""} == {
        "id": "INC-A", "severity": "high", "why": "new", "url": "",
        "tenant": "bank", "customers": 48, "scenario": "False loan", "sites": ["other", "paste"],
        "next_step": A.next_step.text,
    }  # fmt: skip


def test_message_uses_the_language_of_the_most_severe_tenant():
    summary = IncidentSummary.from_incident(
        A.model_copy(update={"joined": 31, "incomplete": ("x",)}),
        ("decide by 12:00", "请于12:00前判定"),
    )
    series = [
        MessageEntry(f"INC-{n}", "low", "grown", PAGE, None, "series", 2, "en") for n in range(2)
    ]
    message = compose_message(
        "m", [entry("B", "low"), *series, entry("A", "statutory", summary, "zh")], PAGE
    )
    text = f"{message.subject()}\n{message.text()}"
    untranslated = {
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
    assert {*re.findall("[A-Za-z]+", text)} <= untranslated
    assert (
        text.splitlines()[2]
        == "bank：客户 至少 48 人，虚假贷款，站点：other、paste，由 31 条消息合并"
    )
    assert message.payload()["language"] == "zh"
    assert message.payload()["incidents"][0]["decide"] == "请于12:00前判定"
    english = compose_message(
        "m", [entry("A", "statutory", summary), entry("B", "low", language="zh")], PAGE
    )
    assert not re.search("[\u4e00-\u9fff]", english.subject() + english.text())


def test_message_id_does_not_depend_on_order():
    assert message_id(["a", "b"]) == message_id(["b", "a"]) != message_id(["a"])
    assert message_id(["a"]).startswith("msg_")
