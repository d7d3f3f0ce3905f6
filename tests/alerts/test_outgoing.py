"""Documents for outsiders hold outgoing fields alone, and assert nothing that is not so at the
time.
"""

import io
import json
import re
from dataclasses import fields
from datetime import timedelta

import docx
import pytest

from alerts.cases.evidence import vault_of
from alerts.cases.exports import ExportedIncident, chosen, format_named
from alerts.cases.incident_list import Filters
from alerts.cases.outgoing import OutgoingIncident, OutgoingSighting
from alerts.cases.report import ReportForm, ReportLanguage, case_of, page, render_draft, values
from alerts.cases.takedown_letter import TakedownNotice
from alerts.records import Decision, Incident, IncidentReason, Sighting, incident_id
from alerts.store import DocumentFilter
from tests.alerts.builders import finding, fold_all
from ullage.custody.vault import VaultHeader

A = incident_id("f")
SECRET_REASON = IncidentReason(
    code="X99", points=33, evidence="internal scoring words", evidence_zh="内部评分用语"
)
INTERNAL = {
    "severity", "exposure", "reasons", "points", "told", "clock", "row", "minutes", "next_step",
    "titles", "authors", "terms",
    "skeleton", "origin_label", "origin_p", "linked", "sketch", "subjects", "brands", "unit",
}  # fmt: skip


@pytest.fixture
def leak(store, clock) -> str:
    """Store an incident with custom wording, a high score and reasons that name a partner."""
    fold_all(
        store,
        clock,
        [
            finding("f", range(10), people="abc"),
            finding("g", range(10), people="abc", site="forum"),
        ],
    )
    update = {
        "reasons": (SECRET_REASON,),
        "severity": "high",
        "exposure": 87,
        "origin": "partner",
        "origin_label": "Partner AG",
    }
    store.put([store.get(Incident, A).model_copy(update=update)])
    return A


def change(store, **update) -> None:
    store.put(
        [
            sighting.model_copy(update=update)
            for sighting in store.scroll(Sighting, DocumentFilter())
        ]
    )
    store.refresh()


def letter(browser, language: str) -> str:
    answer = browser.post(f"/incidents/{A}/letter", {"lang": language})
    assert answer.status_code == 200
    return answer.text


def draft(
    context,
    store,
    language: ReportLanguage = ReportLanguage.BOTH,
    form: ReportForm = ReportForm.MARKDOWN,
) -> str:
    case = case_of(context, store, A)
    content = render_draft(page(case, language), form, case)
    if form is ReportForm.MARKDOWN:
        return content.decode().replace("\\", "")
    document = docx.Document(io.BytesIO(content))
    return "\n".join(
        [
            *(p.text for p in document.paragraphs),
            *(c.text for t in document.tables for r in t.rows for c in r.cells),
        ]
    )


def seal(context, store, count: int = 99) -> None:
    for sighting in list(store.scroll(Sighting, DocumentFilter()))[:count]:
        at = context.clock.now()
        vault_of(context).put(
            VaultHeader(
                tenant="bank", finding=sighting.id, sealed_at=at, officers=("a.pub", "b.pub")
            ),
            b"sealed",
        )


def decide(store, clock, **what) -> None:
    clock.advance(60)
    at = clock.as_clock().now()
    fields_ = {"status": "note", "incident": A, **what}
    store.create([Decision(id=f"d{clock.seconds}", tenant="bank", at=at, by="Li Wei", **fields_)])
    store.refresh()


def test_outgoing_objects_have_no_internal_field():
    for kind in (OutgoingIncident, OutgoingSighting, TakedownNotice):
        assert not {member.name for member in fields(kind)} & INTERNAL, kind


@pytest.mark.parametrize("form", list(ReportForm))
def test_draft_has_no_score_next_step_or_partner(store, clock, context, leak, form):
    incident = store.get(Incident, A)
    decide(store, clock, regime="pipl-57", stage="waived", value="lead", note="waived because of X")
    text = draft(context, store, form=form)
    assert A in text
    for internal in (
        "X99",
        "+33",
        "internal scoring words",
        "内部评分",
        "87 of 100",
        "Partner AG",
        "waived because",
        "Li Wei",
    ):
        assert internal not in text, internal
    assert incident.next_step.text not in text
    assert incident.next_step.text_zh not in text
    assert not re.search(r"\bhigh\b|\bexposure\b|Next:|下一步：", text)


@pytest.mark.parametrize("form", ["misp", "stix"])
def test_exchange_formats_have_no_score_and_no_reason(store, leak, form):
    text = "".join(format_named(form).write(chosen(store, [A], Filters())))
    assert A in text
    for internal in (
        "X99",
        "+33",
        "internal scoring words",
        "Exposure 87",
        "severity",
        "Partner AG",
        '"origin:',
    ):
        assert internal not in text, internal
    assert json.loads(text)


@pytest.mark.parametrize(("language", "words"), [("en", "encrypted"), ("zh", "留存")])
def test_letter_mentions_sealed_originals_only_where_they_exist(
    browser, store, context, leak, language, words
):
    assert words not in letter(browser, language)
    seal(context, store, 1)
    paragraphs = letter(browser, language)
    assert {"en": "The originals of 1 of them are", "zh": "其中 1 处的原件已加密留存"}[
        language
    ] in paragraphs
    seal(context, store)
    assert {"en": "The originals are", "zh": "；原件已加密留存"}[language] in letter(
        browser, language
    )
    for path in (context.data / "evidence").rglob("*.evidence"):
        path.write_bytes(path.read_bytes()[:-1])
    assert words not in letter(browser, language), "what is damaged is not preserved"


@pytest.mark.parametrize(
    ("language", "words"), [("en", "of our customers"), ("zh", "我方客户的个人信息")]
)
def test_letter_mentions_customers_only_where_they_exist(browser, store, leak, language, words):
    assert words in letter(browser, language)
    change(store, customers=0)
    assert words not in letter(browser, language)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_letter_says_offer_or_disclosure_as_observed(browser, store, leak, language):
    offer, disclose = {"en": ("offer", "disclose"), "zh": ("兜售", "披露")}[language]
    for alarm, customers, rows in ((True, 3, 3), (True, 0, 0), (False, 3, 3), (False, 0, 0)):
        change(store, alarm=alarm, customers=customers, matched_rows=rows, skeleton="")
        sentence = letter(browser, language).split("\n\n")[2].split("1195")[0]
        assert (offer in sentence, disclose in sentence) == (alarm, bool(customers)), sentence


def test_letter_claims_nothing_about_deleted_posts_or_access(browser, store, clock, leak):
    later = clock.as_clock().now() + timedelta(days=3)
    posts = sorted(store.scroll(Sighting, DocumentFilter()), key=lambda one: one.id)
    store.put(
        [
            posts[1].model_copy(
                update={
                    "fetched_at": later,
                    "gone_at": later,
                    "gone_how": "deleted",
                    "customers": 9,
                }
            )
        ]
    )
    text = letter(browser, "en")
    assert "in 1 places" in text
    assert f"{later:%Y-%m-%d}" not in text
    assert "anybody" not in text, (
        "a post behind a login is not public, and where it stood is not known here"
    )


def test_draft_counts_preserved_originals(store, context, leak):
    def read_preservation() -> str:
        return values(case_of(context, store, A))["scene_preservation"][0].en

    assert read_preservation() == "no original is stored; recorded is where and when:"
    seal(context, store, 1)
    assert read_preservation() == "originals kept encrypted: 1 of 2"


def test_draft_lists_recorded_measures(store, clock, context, leak):
    assert "measures_taken" not in values(case_of(context, store, A))
    decide(store, clock, note="keys of the export job were rotated")
    decide(store, clock, act="takedown", value="sent")
    decide(store, clock, stage="telling_approved", note="meeting 7")
    decide(store, clock, act="excused", value="duplicate", note="grounds for a false positive")
    text = "\n".join(line.en for line in values(case_of(context, store, A))["measures_taken"])
    for measure in (
        "keys of the export job were rotated",
        "takedown letter sent",
        "notification of the people approved",
    ):
        assert measure in text
    assert "grounds for a false positive" not in text
    assert "to be reviewed, from the incident's records: what was done" in draft(
        context, store, ReportLanguage.EN
    )


def test_draft_of_merged_incidents_lists_all_measures(store, clock, context, leak):
    part = "INC-PPPPPPPPPP"
    decide(store, clock, act="takedown", value="asked", incident=part)
    decide(store, clock, note="keys of the export job were rotated", incident="INC-QQQQQQQQQQ")
    store.put([store.get(Incident, A).model_copy(update={"parts": (part,)})])
    [measure] = values(case_of(context, store, A))["measures_taken"]
    assert "takedown requested" in measure.en


def test_undone_measure_is_not_listed(store, clock, context, leak):
    decide(store, clock, act="takedown", value="sent")
    [sent] = store.scroll(Decision, DocumentFilter())
    decide(store, clock, act="undone", about=sent.id)
    assert "measures_taken" not in values(case_of(context, store, A))


@pytest.mark.parametrize(
    ("customers", "alarm", "words"),
    [
        (3, False, "personal information of customers seen outside"),
        (0, True, "offered"),
        (0, False, "not established"),
    ],
)
def test_draft_claims_a_leak_only_where_customers_were_found(
    store, context, leak, customers, alarm, words
):
    store.put([store.get(Incident, A).model_copy(update={"customers": customers, "alarm": alarm})])
    assert words in values(case_of(context, store, A))["incident_type"][0].en


def test_export_is_made_from_outgoing_facts(store, leak):
    [exported] = list(chosen(store, [A], Filters()))
    assert isinstance(exported, ExportedIncident)
    shared = exported.to_shared()
    assert isinstance(shared.incident, OutgoingIncident)
    assert "origin" not in shared.headline
