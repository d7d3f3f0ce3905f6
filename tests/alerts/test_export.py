"""Exports: readable by the system that they are for, updated by a second one, and with nobody's
identifier in them.
"""

import csv
import io
import json
import socket
import sys
from datetime import timedelta

import pymisp
import pytest
import stix2
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from alerts.cases.exports import chosen, format_named, names
from alerts.cases.exports.csv import BOM, COLUMNS
from alerts.cases.incident_list import Filters
from alerts.records import Decision, Incident, incident_id
from alerts.records.document import QueryError
from tests.alerts.builders import finding, fold_all, handle
from ullage import audit
from ullage.cli import app
from ullage.display import FORMULA, inert
from ullage.errors import ConfigError, Exit
from ullage.lookup.values import identifier_in

A, B = incident_id("f"), incident_id("h")
SLUG = "http://x.example/11010519491231002X"
LEFT = ("13800138000", "11010519491231002X", "li.lei@example.com", "seller-alias")


@pytest.fixture
def incidents(store, clock) -> list[str]:
    """Two incidents.

    The first was seen on three sites, on one of them under a title and an address that redaction
    missed.
    """
    fold_all(store, clock, [
        finding("f", range(50), people=range(30), kinds=("phone", "card"),
        fields=("NAME", "PHONE", "CARD", "CVV"),
                capture={"title": "内料 =HYPERLINK", "url": "https://paste.example/1",
                "author": "seller-alias"}),
        finding("g", range(50), people=range(20), site="forum",
                capture={"title": "13800138000 li.lei@example.com", "url": SLUG,
                "author": "seller-alias"}),
        finding("g2", range(50), people=range(20), site="chat",
        capture={"title": "@channel", "url": "http://x.example/<PHONE>"}),
        finding("h", range(900, 950), people=range(100, 103), site="forum",
        capture={"title": "=cmd|' /C calc'!A0", "url": ""}),
    ])  # fmt: skip
    return [A, B]


def export_text(store, form: str, *ids: str, **filters: str) -> str:
    return "".join(format_named(form).write(chosen(store, ids, Filters(**filters))))


def objects(store, *ids: str) -> dict[str, dict]:
    return {o["id"]: o for o in json.loads(export_text(store, "stix", *ids))["objects"]}


def decide(store, clock, incident: str, status: str) -> None:
    clock.advance(60)
    at = clock.as_clock().now()
    store.create(
        [
            Decision(
                id=f"{incident}:{status}",
                tenant="bank",
                incident=incident,
                at=at,
                by="Li",
                status=status,
            )
        ]
    )


@pytest.mark.parametrize("form", names())
def test_no_export_holds_an_identifier(store, incidents, form):
    text = export_text(store, form)
    for person in (*range(30), *range(100, 103)):
        for secret in (handle(person), handle(f"{person}phone"), handle(f"{person}card")):
            assert secret not in text
    for identifier in LEFT:
        assert identifier not in text
    assert all(id_ in text for id_ in incidents)


@pytest.mark.parametrize("form", names())
def test_export_changes_only_with_the_incident(store, clock, incidents, form):
    first = export_text(store, form)
    assert export_text(store, form) == first
    decide(store, clock, A, "confirmed")
    assert export_text(store, form) != first


@pytest.mark.parametrize("form", names())
def test_export_without_incidents_is_well_formed(store, form):
    text = export_text(store, form)
    assert {"csv": f"{BOM}{','.join(COLUMNS)}\r\n", "ecs": ""}.get(form, text) == text
    if form in ("misp", "stix"):
        json.loads(text)


def test_bundle_passes_the_validator_offline(store, incidents, monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    # it builds grammars for a second, which whoever only collects this would wait for
    import stix2validator

    report = stix2validator.validate_string(
        export_text(store, "stix"), stix2validator.ValidationOptions(version="2.1")
    )
    assert report.is_valid
    assert {str(warning).split("{")[1][:3] for warning in report.warnings} == {"103"}, (
        "ids are version 5, on purpose"
    )
    assert all(
        o["object_marking_refs"] == [stix2.TLP_AMBER.id]
        for o in objects(store).values()
        if "created_by_ref" in o
    )


def test_second_bundle_is_a_new_version_of_the_same_objects(store, clock, incidents):
    before = objects(store, A)
    decide(store, clock, A, "confirmed")
    after = objects(store, A)
    assert set(after) == set(before)
    changed = {id_ for id_ in before if before[id_] != after[id_]}
    assert {id_.split("--")[0] for id_ in changed} == {"incident", "sighting", "observed-data"}
    for id_ in changed:
        assert before[id_]["created"] == after[id_]["created"]
        assert before[id_]["modified"] < after[id_]["modified"]
    incident = next(o for o in after.values() if o["type"] == "incident")
    assert "status:confirmed" in incident["labels"]


def test_bundle_has_addresses_and_sighting_counts(store, incidents):
    bundle = objects(store, A)
    assert [o["value"] for o in bundle.values() if o["type"] == "url"] == [
        "https://paste.example/1"
    ], "others were redacted"
    sighting = next(o for o in bundle.values() if o["type"] == "sighting")
    assert sighting["count"] == 3
    assert bundle[sighting["sighting_of_ref"]]["external_references"][0]["external_id"] == A
    assert [o for o in bundle.values() if o["type"] == "note"] == [], "reasons stay in the house"
    alone = [o for o in objects(store, B).values() if o["type"] == "sighting"]
    assert "observed_data_refs" not in alone[0]


def test_misp_reads_its_events_and_recognises_updates(store, clock, incidents):
    def events(*ids: str) -> dict[str, pymisp.MISPEvent]:
        events_by_id = {}
        for row in json.loads(export_text(store, "misp", *ids))["response"]:
            event = pymisp.MISPEvent()
            event.load(row)
            events_by_id[event.info.split(":")[0]] = event
        return events_by_id

    before = events()
    assert set(before) == {A, B}
    event = before[A]
    assert (event.distribution, event.analysis, event.published) == (0, 0, False)
    assert {"tlp:amber", 'ullage:tenant="bank"', 'ullage:status="open"'} <= {
        tag.name for tag in event.tags
    }
    assert [o.name for o in event.objects] == ["paste"] * 3
    urls = [a.value for o in event.objects for a in o.attributes if a.object_relation == "url"]
    assert urls == ["https://paste.example/1"]
    assert all(not attribute.to_ids for attribute in event.attributes)
    decide(store, clock, A, "resolved")
    after = events(A)[A]
    assert (after.uuid, after.analysis) == (event.uuid, 2)
    assert after.timestamp > event.timestamp
    assert [o.uuid for o in after.objects] == [o.uuid for o in event.objects]
    assert [a.uuid for a in after.attributes] == [a.uuid for a in event.attributes]


def test_csv_has_one_line_per_incident_and_no_formula(store, incidents):
    rows = {
        row["incident"]: row
        for row in csv.DictReader(
            io.StringIO(export_text(store, "csv").removeprefix(BOM), newline="")
        )
    }
    assert set(rows) == {A, B}
    assert (rows[A]["customers"], rows[A]["sites"], rows[A]["status"]) == (
        "30",
        "chat forum paste",
        "open",
    )
    assert set(rows[A]["titles"].split(" | ")) == {"内料 =HYPERLINK", "@channel"}
    assert rows[B]["titles"] == "'=cmd|' /C calc'!A0"
    assert rows[A]["first_seen"] == "2026-09-21T12:00:00Z"


@given(st.text(max_size=20) | st.text(alphabet=f"{FORMULA};'a", max_size=9))
def test_no_cell_begins_as_a_formula_with_any_separator(text):
    for cell, whole in zip(inert(text).split(";"), text.split(";"), strict=True):
        assert not cell.startswith(tuple(FORMULA))
        assert cell in (whole, f"'{whole}")


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"])
def test_each_formula_prefix_is_quoted(sign):
    assert inert(f"{sign}1") == f"'{sign}1"
    assert inert(f"1{sign}") == f"1{sign}"


def test_ecs_has_one_object_per_line(store, clock, incidents):
    lines = [json.loads(line) for line in export_text(store, "ecs").splitlines()]
    event = next(line for line in lines if line["event"]["id"] == A)
    incident = store.get(Incident, A)
    assert event["event"]["kind"] == "alert"
    assert (event["event"]["category"], event["event"]["type"]) == (["threat"], ["indicator"])
    assert event["event"]["risk_score"] == incident.exposure
    assert 0 <= event["event"]["severity"] <= 100
    assert event["rule"] == {
        "id": "X3",
        "name": incident.scenario_title,
        "category": "fraud-scenario",
        "ruleset": "ullage",
    }
    assert event["threat"]["indicator"]["sightings"] == 3
    assert [e["indicator"]["provider"] for e in event["threat"]["enrichments"]] == [
        "paste",
        "forum",
        "chat",
    ]
    assert all(
        set(e["matched"]) == {"id", "occurred", "type"} for e in event["threat"]["enrichments"]
    )
    assert set(event) == {
        "@timestamp",
        "ecs",
        "message",
        "event",
        "organization",
        "observer",
        "rule",
        "threat",
        "ullage",
    }
    assert event["ullage"]["customers"] == 30
    assert event["ullage"]["status"] == "open"
    assert event["@timestamp"].endswith("Z")


def test_filters_select_and_ids_keep_their_order(store, clock, incidents):
    decide(store, clock, B, "confirmed")
    assert [exported.incident.id for exported in chosen(store, [B, A, B], Filters())] == [B, A]
    assert [
        exported.incident.id for exported in chosen(store, [], Filters(status="confirmed"))
    ] == [B]
    assert [exported.incident.id for exported in chosen(store, [], Filters(tenant="shop"))] == []
    with pytest.raises(QueryError, match="1 of these incidents do not exist"):
        list(chosen(store, [A, "INC-NOBODY"], Filters()))


def test_all_pages_of_a_long_list_are_exported(store, clock, monkeypatch):
    monkeypatch.setattr("alerts.cases.exports.PAGE", 3)
    fold_all(
        store, clock, [finding(f"f{n}", range(n * 10, n * 10 + 10), people=(n,)) for n in range(8)]
    )
    assert len({exported.incident.id for exported in chosen(store, [], Filters())}) == 8


def test_modified_is_the_last_change_by_a_finding_or_a_person(store, clock, incidents):
    before = next(chosen(store, [A], Filters())).modified
    assert before == store.get(Incident, A).updated_at
    decide(store, clock, A, "note")
    assert next(chosen(store, [A], Filters())).modified == before + timedelta(seconds=60)


def test_readable_identifiers_are_left_out(store, incidents):
    for exported in chosen(store, incidents, Filters()):
        for sighting in exported.sightings:
            assert not identifier_in(sighting.title)
            assert not identifier_in(sighting.address, numbers=False)
            assert "<" not in sighting.address


def test_missing_library_is_reported_with_what_to_install(store, incidents, monkeypatch):
    monkeypatch.setitem(sys.modules, "stix2", None)
    monkeypatch.delitem(sys.modules, "alerts.cases.exports.stix", raising=False)
    with pytest.raises(ConfigError, match=r"this format needs stix2: install ullage\[export\]"):
        export_text(store, "stix")
    with pytest.raises(QueryError, match=f"unknown format: use {', '.join(names())}"):
        format_named("xml")


def test_command_writes_a_private_file_and_an_audit_entry(data, incidents, tmp_path):
    (data / "ullage.toml").write_text("metrics = false\n[tenants.bank]\n")
    target = tmp_path / "out.csv"
    words = ["--data", str(data), "incidents", "export", A, "--format", "csv", "-o", str(target)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert (result.stdout, result.stderr) == ("", "1 incidents\n")
    assert target.read_bytes().startswith(b"\xef\xbb\xbfincident,")
    assert target.stat().st_mode & 0o777 == 0o600
    _, last = list(audit.read_entries(data / "audit"))[-1]
    assert (last.action, last.object) == ("incident.export", "1 incidents as csv")
    printed = CliRunner().invoke(
        app, ["--data", str(data), "incidents", "export", "--format", "csv", "--severity", "noise"]
    )
    assert printed.stdout_bytes == f"{BOM}{','.join(COLUMNS)}\r\n".encode()


@pytest.mark.parametrize("form", names())
def test_empty_export_says_that_nothing_was_collected(data, form):
    (data / "ullage.toml").write_text("metrics = false\n[tenants.bank]\n")
    result = CliRunner().invoke(app, ["--data", str(data), "incidents", "export", "--format", form])
    assert result.exit_code == Exit.NO_VERDICT
    assert result.stderr.startswith(
        "0 incidents; nothing was collected: alert has received no heartbeat"
    )


@pytest.mark.parametrize("form", names())
def test_api_exports_the_same_text(store, incidents, browser, form):
    answer = browser.get(f"/v1/export/{form}?id={A}")
    assert answer.status_code == 200
    assert answer.text == export_text(store, form, A)
    assert answer.headers["content-type"] == format_named(form).MEDIA
    document = browser.get("/v1/openapi.json").json()["paths"]["/v1/export/{form}"]["get"]
    assert format_named(form).MEDIA.partition(";")[0] in document["responses"]["200"]["content"]
    assert answer.headers["content-disposition"].startswith('attachment; filename="incidents.')


def test_pages_link_to_their_export_and_other_sites_cannot(incidents, browser):
    assert f'href="/v1/export/stix?id={A}"' in browser.get(f"/incidents/{A}").text
    link = "/v1/export/csv?tenant=bank"
    assert f'href="{link}"' in browser.get("/?tenant=bank").text
    assert browser.get(link, headers={"sec-fetch-site": "same-origin"}).status_code == 200
    assert browser.get(link, headers={"sec-fetch-site": "none"}).status_code == 200
    for site in ("cross-site", "same-site"):
        assert browser.get(link, headers={"sec-fetch-site": site}).status_code == 403


def test_unknown_format_is_rejected(browser):
    assert browser.get("/v1/export/xml").status_code == 400
    assert browser.get("/v1/export/csv?severity=awful").status_code == 400
    assert browser.get("/v1/export/csv?id=INC-NOBODY").status_code == 400
