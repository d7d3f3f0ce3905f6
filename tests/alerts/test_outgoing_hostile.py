"""What strangers wrote, and what people configured, is inert in every export and in the draft,
whatever it is.
"""

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import docx
import pymisp
import pytest
import stix2
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from alerts.cases.exports import (
    ExportedIncident,
    ExportedSighting,
    build_exported_sighting,
    format_named,
    names,
)
from alerts.cases.exports.csv import COLUMNS
from alerts.cases.outgoing import OutgoingIncident, outgoing_sightings
from alerts.cases.report import Case, ReportLanguage, page
from alerts.cases.report_files import literal, markdown, word
from alerts.deadlines.outstanding import Moments
from alerts.records import STATUSES, Incident, IncidentReason, Sighting
from alerts.store import DocumentFilter, open_store
from tests.alerts.builders import finding, fold_all
from tests.conftest import HeldClock
from ullage.display import FORMULA
from ullage.settings import Entity, Tenant

HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "{{7*7}}",
    "{% raw %}",
    "=cmd|' /C calc'!A0", "@SUM(1+1)", "\x1b[31mred", "\u202egnp.exe", "a\r\nb: c", '","x',
    "| a | b |", "# heading", "- item",
    "1. item", "[a](http://x)", "![a](http://x)", "`code`", "**bold**", "\\", "\ufeff", "\x00",
    "&lt;b&gt;",
    "http://x.example/<PHONE>", "客户资料", "",
)  # fmt: skip
TEXTS = st.sampled_from(HOSTILE) | st.text(max_size=30).filter(
    lambda text: text.isprintable() or len(text) < 20
)
WHEN = datetime(2026, 9, 21, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> tuple[Incident, Sighting]:
    """Return a stored incident and its sighting; each test changes copies."""
    store = open_store("sqlite:///incidents.sqlite", tmp_path_factory.mktemp("base"))
    fold_all(store, HeldClock(), [finding("f", range(10), people="ab")])
    documents = (
        next(iter(store.scroll(Incident, DocumentFilter()))),
        next(iter(store.scroll(Sighting, DocumentFilter()))),
    )
    store.close()
    return documents


@st.composite
def changes(draw) -> dict:
    """Draw an incident's external fields, and counts of any size."""
    texts = draw(st.lists(TEXTS, max_size=3))
    return {
        "sites": tuple(draw(st.lists(TEXTS.filter(bool), min_size=1, max_size=3))),
        "titles": tuple(texts), "terms": tuple(texts), "brands": tuple(texts),
        "skeleton": draw(TEXTS),
        "origin_label": draw(TEXTS), "customers": draw(st.integers(0, 10**9)),
        "rows": draw(st.integers(0, 10**9)),
        "reasons": (IncidentReason(code="X1", points=draw(st.integers(-60, 60)),
        evidence=draw(TEXTS), evidence_zh=draw(TEXTS)),),
        "scenario": draw(st.sampled_from(["", "X1", "X18"])), "scenario_title": draw(TEXTS),
        "kinds": (),
        "alarm": draw(st.booleans()),
    }  # fmt: skip


@st.composite
def draw_sightings(draw, sighting: Sighting) -> tuple[ExportedSighting, ...]:
    posts = draw(st.lists(st.tuples(TEXTS, TEXTS, TEXTS.filter(bool)), max_size=3))
    return tuple(
        build_exported_sighting(
            sighting.model_copy(update={"id": f"s{n}", "title": title, "url": url, "site": site})
        )
        for n, (title, url, site) in enumerate(posts)
    )


def everything(base: tuple[Incident, Sighting]) -> st.SearchStrategy[ExportedIncident]:
    incident, sighting = base
    return st.builds(
        lambda change, places, status, later: ExportedIncident(
            incident.model_copy(update=change),
            status,
            incident.updated_at + timedelta(seconds=later),
            places,
        ),
        changes(),
        draw_sightings(sighting),
        st.sampled_from(STATUSES),
        st.integers(0, 10**6),
    )


def write_export(form: str, *incidents: ExportedIncident) -> str:
    return "".join(format_named(form).write(incidents))


def test_every_format_is_readable_with_any_content(base):
    nowhere = [
        build_exported_sighting(
            base[1].model_copy(update={"id": f"s{n}", "site": site, "title": site})
        )
        for n, site in enumerate("\x00 \u202e")
    ]
    blank = ExportedIncident(
        base[0].model_copy(update={"sites": ("\x00", " ")}),
        "open",
        base[0].updated_at,
        tuple(nowhere),
    )

    @settings(max_examples=25)
    @given(everything(base))
    @example(blank)
    def check(one: ExportedIncident) -> None:
        for form in names():
            assert write_export(form, one) == write_export(form, one)
        rows = list(csv.reader(io.StringIO(write_export("csv", one), newline="")))
        assert [len(row) for row in rows] == [len(COLUMNS)] * 2
        assert not any(cell.startswith(FORMULA) for cell in rows[1])
        lines = write_export("ecs", one).split("\n")
        assert (len(lines), lines[1]) == (2, "")
        assert json.loads(lines[0])["ullage"]["customers"] == one.incident.customers
        event = pymisp.MISPEvent()
        event.load(json.loads(write_export("misp", one))["response"][0])
        assert len(event.objects) == len(one.sightings)
        objects = json.loads(write_export("stix", one))["objects"]
        assert stix2.parse(next(o for o in objects if o["type"] == "incident"))["id"].startswith(
            "incident--"
        )
        assert [o["value"] for o in objects if o["type"] == "url"] == list(
            dict.fromkeys(s.address for s in one.sightings if s.address)
        )

    check()


def test_hostile_bundles_pass_the_validator(base):
    import stix2validator  # takes seconds, of which collection has none

    incident, sighting = base
    hostile_incidents = [
        ExportedIncident(
            incident.model_copy(
                update={
                    "id": f"INC-{n}",
                    "sites": (text or "x",),
                    "scenario_title": text,
                    "brands": (text,),
                }
            ),
            "open",
            incident.updated_at,
            (
                build_exported_sighting(
                    sighting.model_copy(update={"id": f"s{n}", "url": text, "title": text})
                ),
            ),
        )
        for n, text in enumerate(HOSTILE)
    ]
    validated = stix2validator.validate_string(
        write_export("stix", *hostile_incidents), stix2validator.ValidationOptions(version="2.1")
    )
    assert validated.is_valid
    assert json.loads(write_export("stix", *hostile_incidents))["objects"]
    assert len(json.loads(write_export("misp", *hostile_incidents))["response"]) == len(HOSTILE)


@pytest.mark.parametrize("text", HOSTILE)
def test_titles_and_addresses_hold_no_control_characters(base, text):
    exported = build_exported_sighting(base[1].model_copy(update={"title": text, "url": text}))
    assert not re.search("[\x00-\x1f\u202e\ufeff]", exported.title)
    assert exported.address == ""


def case_of(base: tuple[Incident, Sighting], text: str, now: datetime = WHEN) -> Case:
    incident, sighting = base
    hostile = incident.model_copy(
        update={
            "sites": (text,),
            "origin_label": text,
            "origin_reasons": (
                IncidentReason(code="X1", points=1, evidence=text, evidence_zh=text),
            ),
        }
    )
    entity = Entity(
        name=text, name_en=text, contact=text, officer=text, regulators=(text,), system=text
    )
    posts = outgoing_sightings([sighting.model_copy(update={"site": text})], None)
    return Case(
        OutgoingIncident.from_incident(hostile),
        posts,
        Moments(WHEN),
        (),
        Tenant(entity=entity),
        UTC,
        now,
    )


def parse_tokens(text: str) -> list[tuple[str, str]]:
    """Return every Markdown token as a CommonMark reader sees it, with children."""
    tokens = MarkdownIt("commonmark").parse(text)
    return [(t.type, t.content) for token in tokens for t in (token, *(token.children or ()))]


@pytest.mark.parametrize("text", [text for text in HOSTILE if text])
def test_draft_has_only_its_own_markup(base, text):
    plain, hostile = (
        parse_tokens(markdown(page(case_of(base, t), ReportLanguage.ZH))) for t in ("words", text)
    )
    assert [
        kind for kind, _ in hostile if kind.startswith(("html", "link", "image", "code", "fence"))
    ] == []
    structure = [
        [kind for kind, _ in tokens if kind.endswith("_open")] for tokens in (plain, hostile)
    ]
    assert structure[0] == structure[1]


@example("-")
@example("1.")
@example("12) x")
@example("---")
@example("===")
@given(st.text(max_size=40))
def test_escaped_text_reads_unchanged(text):
    """By a reader of CommonMark, on one line; entities and characters without a shape are
    `safe`'s to deal with.
    """
    if any(c in text for c in "&_~\n\r\x00\t") or not text.isprintable() or text != text.strip():
        return
    read = MarkdownIt("commonmark").parse(f"- {literal(text)}")
    assert "".join(t.content for token in read for t in token.children or ()) == text


def test_document_shows_everything_as_text(base):
    entity = Entity(name="bank", regulators=tuple(text for text in HOSTILE if text))
    case = case_of(base, "words")
    drafted = page(replace(case, tenant=Tenant(entity=entity), now=WHEN), ReportLanguage.ZH)
    document = docx.Document(io.BytesIO(word(drafted, WHEN)))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    assert "\n".join(drafted.parts[0].items[-1].lines) in cells
    assert len(drafted.parts[0].items[-1].lines) == len(HOSTILE) - 1
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e\ufeff]", "".join(cells))
