"""Incidents for programs: the queue's filters, and changes of the version that was read."""

import pytest

from alerts.deadlines import regimes
from alerts.records import Decision, Incident
from alerts.store import DocumentFilter
from tests.alerts.browser import ASKER, Browser, add_account
from tests.stores import on_server_too
from ullage import audit

REGIME = next(iter(regimes().values()))


@pytest.fixture
def soar(desk, accounts):
    """A program that may read and change incidents."""
    scope = ["incident.read", "incident.decide", "incident.assign", "incident.close"]
    secret = accounts.add_token(
        "soar", scope, ["bank"], purpose="orchestration", days=1, by="test"
    )[1]

    class Program(Browser):
        def ask(self, method, path, headers=(), **more):
            return super().ask(
                method, path, headers={"authorization": f"Bearer {secret}", **dict(headers)}, **more
            )

        def version(self, id_: str) -> str:
            return self.get(f"/v1/incidents/{id_}").headers["etag"]

        def change(self, id_: str, version: str | None, **asked):
            headers = {} if version is None else {"if-match": version}
            return self.ask("POST", f"/v1/incidents/{id_}/decisions", json=asked, headers=headers)

    return Program(desk.app)


def decided(store, id_: str) -> list[Decision]:
    return sorted(
        store.scroll(Decision, DocumentFilter({"incident": (id_,)})), key=lambda one: one.at
    )


@on_server_too
def test_a_page_has_the_filters_of_the_queue_and_knows_no_others(leaked, soar) -> None:
    def ids(query: str) -> list[str]:
        answer = soar.get(f"/v1/incidents?{query}")
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["items"]]

    assert (
        ids("")
        == ids("tab=unassigned&order=-customers&limit=1")
        == ids("since=3d&site=paste")
        == [leaked]
    )
    assert ids("tab=closed") == ids("tab=mine") == ids("assignee=Li") == ids("until=3d") == []
    for refused in (
        "colour=red",
        "tab=none",
        "order=luck",
        "origin=mars",
        "limit=0",
        "limit=501",
        "after=x",
        "tab=all&tab=open",
    ):
        assert soar.get(f"/v1/incidents?{refused}").status_code == 400, refused


@on_server_too
def test_what_is_read_can_be_changed_once_and_sent_twice(leaked, soar, store, context) -> None:
    version = soar.version(leaked)
    assert version == f'"{soar.get(f"/v1/incidents/{leaked}").json()["version"]}"'
    first = soar.change(leaked, version, decision="acknowledged", note="seen", by="Wang Fang")
    again = soar.change(leaked, version, decision="acknowledged", note="seen", by="Wang Fang")
    assert (
        (first.status_code, first.json())
        == (again.status_code, again.json())
        == (200, first.json())
    )
    assert (first.json()["by"], first.json()["status"]) == ("Wang Fang via soar", "acknowledged")
    assert f'"{first.json()["version"]}"' == soar.version(leaked) != version
    assert len(decided(store, leaked)) == 1
    assert [
        one.actor
        for _, one in audit.entries(context.data / "audit")
        if one.action == "incident.decide"
    ] == ["Wang Fang via soar"]


@on_server_too
def test_of_another_version_nothing_is_changed_and_the_new_one_is_said(
    leaked, soar, store, browser
) -> None:
    version = soar.version(leaked)
    assert (
        browser.post(
            f"/incidents/{leaked}/decisions", {"status": "confirmed", "token": "0" * 16}
        ).status_code
        == 303
    )
    late = soar.change(leaked, version, decision="takedown", state="asked")
    assert (late.status_code, late.headers["etag"]) == (412, soar.version(leaked))
    for asked in (
        {"decision": "takedown", "state": "asked"},
        {"decision": "acknowledged", "note": "another"},
    ):
        assert soar.change(leaked, '"0123456789abcdef"', **asked).status_code == 412
    assert [one.status for one in decided(store, leaked)] == ["confirmed"]
    assert (
        soar.change(leaked, late.headers["etag"], decision="takedown", state="asked").status_code
        == 200
    )


@on_server_too
def test_of_two_that_change_one_version_one_does(leaked, soar, store) -> None:
    version = soar.version(leaked)
    assert soar.change(leaked, version, decision="confirmed").status_code == 200
    assert (
        soar.change(leaked, version, decision="false_positive", reason="chance").status_code == 412
    )
    assert soar.change(leaked, version, decision="confirmed", note="another").status_code == 412
    assert soar.change(leaked, version, decision="confirmed", by="Li").status_code == 412
    assert len(decided(store, leaked)) == 1


def test_a_change_says_which_version_it_is_of(leaked, soar, store) -> None:
    answer = soar.change(leaked, None, decision="acknowledged")
    assert (answer.status_code, "If-Match" in answer.json()["detail"]) == (428, True)
    assert decided(store, leaked) == []


REPORTED = {
    "decision": "reported", "regime": REGIME.id, "stage": REGIME.stages[0].id, "channel": "portal",
    "reference": "R-1",
}  # fmt: skip


@pytest.fixture
def alone(data) -> None:
    """A team of one person, who ends deadlines alone."""
    (data / "ullage.toml").write_text("second_person = false\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("asked", "act", "value"),
    [
        ({"decision": "assigned", "to": ASKER, "due": "+4h"}, "assigned", ASKER),
        ({"decision": "assigned"}, "assigned", "soar"),
        ({"decision": "due", "due": "+2d"}, "due", ""),
        ({"decision": "takedown", "state": "asked"}, "takedown", "asked"),
        ({"decision": "false_positive", "reason": "chance", "days": 30}, "excused", "chance"),
        ({"decision": "note", "note": "called the host"}, "", ""),
        ({**REPORTED, "reference": "", "no_reference": "by telephone"}, "", "portal"),
        ({**REPORTED, "sent_at": "2020-01-02T03:04"}, "", "portal"),
    ],
)
def test_whatever_the_page_can_do_a_program_can(
    alone, leaked, soar, store, asked, act, value
) -> None:
    version = soar.version(leaked)
    answers = [soar.change(leaked, version, **asked) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200], answers[0].text
    assert (answers[0].json()["act"], answers[0].json()["value"]) == (act, value)
    assert len([one for one in decided(store, leaked) if one.act == act]) == 1


def test_a_program_undoes_an_assignment_and_repeats_that_safely(leaked, soar, store) -> None:
    soar.change(leaked, soar.version(leaked), decision="assigned", to=ASKER)
    [entry] = [
        one["id"]
        for one in soar.get(f"/v1/incidents/{leaked}").json()["decisions"]
        if one["act"] == "assigned"
    ]
    version = soar.version(leaked)
    answers = [
        soar.change(leaked, version, decision="undone", entry=entry, note="meant another one")
        for _ in range(2)
    ]
    assert [one.status_code for one in answers] == [200, 200], answers[0].text
    assert (answers[0].json()["act"], answers[0].json()["value"]) == ("undone", "assigned")
    assert len([one for one in decided(store, leaked) if one.act == "undone"]) == 1
    again = soar.change(leaked, soar.version(leaked), decision="undone", entry=entry)
    assert (again.status_code, "already undone" in again.text) == (400, True)
    assert soar.change(leaked, version, decision="undone", entry=f"{entry}0").status_code == 412, (
        "another entry"
    )


def test_an_incident_is_assigned_to_nobody_without_an_account(leaked, soar, store) -> None:
    answer = soar.change(leaked, soar.version(leaked), decision="assigned", to="Nobody Here")
    assert (answer.status_code, [one["member"] for one in answer.json()["errors"]]) == (400, ["to"])
    assert decided(store, leaked) == []


def test_what_ends_a_deadline_waits_and_says_for_whom(leaked, soar, store, accounts) -> None:
    add_account(accounts, "Zhou Li", ["dpo"])
    store.put(
        [
            store.get(Incident, leaked).model_copy(
                update={"clock": "run", "severity": "high", "origin": "ours"}
            )
        ]
    )
    version = soar.version(leaked)
    answers = [soar.change(leaked, version, **REPORTED) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200], answers[0].text
    assert (
        answers[0].json()["waiting_for_second_person"]
        == f"waiting for a second person: {ASKER}, Zhou Li"
    )
    assert decided(store, leaked) == []
    assert soar.change(leaked, version, **{**REPORTED, "reference": "R-2"}).status_code == 412


def test_a_report_sent_at_another_time_is_another_decision(leaked, soar) -> None:
    version, times = (
        soar.version(leaked),
        ("2020-01-02T03:04", "2020-01-02T03:04", "2020-01-02T03:05"),
    )
    answers = [soar.change(leaked, version, **REPORTED, sent_at=sent) for sent in times]
    assert [one.status_code for one in answers] == [200, 200, 412]


@pytest.mark.parametrize(
    "asked",
    [
        {**REPORTED, "channel": "pigeon"},
        {**REPORTED, "sent_at": "soon"},
        {"decision": "acknowledged", "state": "sent"},
        {"decision": "assigned", "reason": "chance"},
        {"decision": "waived"},
    ],
)
def test_what_is_no_part_of_a_decision_is_refused(leaked, soar, store, asked) -> None:
    assert soar.change(leaked, soar.version(leaked), **asked).status_code == 400
    assert decided(store, leaked) == []
