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
    """Return a program that may read and change incidents."""
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


def read_decisions(store, id_: str) -> list[Decision]:
    return sorted(
        store.scroll(Decision, DocumentFilter({"incident": (id_,)})), key=lambda one: one.at
    )


@on_server_too
def test_api_list_accepts_exactly_the_filters_of_the_queue(phone_incident, soar) -> None:
    def ids(query: str) -> list[str]:
        answer = soar.get(f"/v1/incidents?{query}")
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    assert (
        ids("")
        == ids("tab=unassigned&order=-customers&limit=1")
        == ids("since=3d&site=paste")
        == [phone_incident]
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
def test_change_of_the_current_version_is_idempotent(phone_incident, soar, store, context) -> None:
    version = soar.version(phone_incident)
    assert version == f'"{soar.get(f"/v1/incidents/{phone_incident}").json()["version"]}"'
    first = soar.change(
        phone_incident, version, decision="acknowledged", note="seen", by="Wang Fang"
    )
    again = soar.change(
        phone_incident, version, decision="acknowledged", note="seen", by="Wang Fang"
    )
    assert (
        (first.status_code, first.json())
        == (again.status_code, again.json())
        == (200, first.json())
    )
    assert (first.json()["by"], first.json()["status"]) == ("Wang Fang via soar", "acknowledged")
    assert f'"{first.json()["version"]}"' == soar.version(phone_incident) != version
    assert len(read_decisions(store, phone_incident)) == 1
    assert [
        entry.actor
        for _, entry in audit.read_entries(context.data / "audit")
        if entry.action == "incident.decide"
    ] == ["Wang Fang via soar"]


@on_server_too
def test_change_of_a_stale_version_is_rejected_with_the_current_one(
    phone_incident, soar, store, browser
) -> None:
    version = soar.version(phone_incident)
    assert (
        browser.post(
            f"/incidents/{phone_incident}/decisions", {"status": "confirmed", "token": "0" * 16}
        ).status_code
        == 303
    )
    late = soar.change(phone_incident, version, decision="takedown", state="asked")
    assert (late.status_code, late.headers["etag"]) == (412, soar.version(phone_incident))
    for body in (
        {"decision": "takedown", "state": "asked"},
        {"decision": "acknowledged", "note": "another"},
    ):
        assert soar.change(phone_incident, '"0123456789abcdef"', **body).status_code == 412
    assert [decision.status for decision in read_decisions(store, phone_incident)] == ["confirmed"]
    assert (
        soar.change(
            phone_incident, late.headers["etag"], decision="takedown", state="asked"
        ).status_code
        == 200
    )


@on_server_too
def test_only_one_of_two_concurrent_changes_succeeds(phone_incident, soar, store) -> None:
    version = soar.version(phone_incident)
    assert soar.change(phone_incident, version, decision="confirmed").status_code == 200
    assert (
        soar.change(phone_incident, version, decision="false_positive", reason="chance").status_code
        == 412
    )
    assert (
        soar.change(phone_incident, version, decision="confirmed", note="another").status_code
        == 412
    )
    assert soar.change(phone_incident, version, decision="confirmed", by="Li").status_code == 412
    assert len(read_decisions(store, phone_incident)) == 1


def test_change_requires_a_version(phone_incident, soar, store) -> None:
    answer = soar.change(phone_incident, None, decision="acknowledged")
    assert (answer.status_code, "If-Match" in answer.json()["detail"]) == (428, True)
    assert read_decisions(store, phone_incident) == []


REPORTED = {
    "decision": "reported", "regime": REGIME.id, "stage": REGIME.stages[0].id, "channel": "portal",
    "reference": "R-1",
}  # fmt: skip


@pytest.fixture
def alone(data) -> None:
    """Configure a team of one person, who may end deadlines alone."""
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
def test_program_can_make_every_decision_of_the_page(
    alone, phone_incident, soar, store, asked, act, value
) -> None:
    version = soar.version(phone_incident)
    answers = [soar.change(phone_incident, version, **asked) for _ in range(2)]
    assert [item.status_code for item in answers] == [200, 200], answers[0].text
    assert (answers[0].json()["act"], answers[0].json()["value"]) == (act, value)
    assert len([item for item in read_decisions(store, phone_incident) if item.act == act]) == 1


def test_program_undoes_an_assignment_idempotently(phone_incident, soar, store) -> None:
    soar.change(phone_incident, soar.version(phone_incident), decision="assigned", to=ASKER)
    [entry] = [
        item["id"]
        for item in soar.get(f"/v1/incidents/{phone_incident}").json()["decisions"]
        if item["act"] == "assigned"
    ]
    version = soar.version(phone_incident)
    answers = [
        soar.change(
            phone_incident, version, decision="undone", entry=entry, note="meant another one"
        )
        for _ in range(2)
    ]
    assert [item.status_code for item in answers] == [200, 200], answers[0].text
    assert (answers[0].json()["act"], answers[0].json()["value"]) == ("undone", "assigned")
    assert (
        len([item for item in read_decisions(store, phone_incident) if item.act == "undone"]) == 1
    )
    again = soar.change(
        phone_incident, soar.version(phone_incident), decision="undone", entry=entry
    )
    assert (again.status_code, "already undone" in again.text) == (400, True)
    assert (
        soar.change(phone_incident, version, decision="undone", entry=f"{entry}0").status_code
        == 412
    ), "another entry"


def test_incident_is_assigned_only_to_an_account(phone_incident, soar, store) -> None:
    answer = soar.change(
        phone_incident, soar.version(phone_incident), decision="assigned", to="Nobody Here"
    )
    assert (answer.status_code, [error["member"] for error in answer.json()["errors"]]) == (
        400,
        ["to"],
    )
    assert read_decisions(store, phone_incident) == []


def test_decision_that_ends_a_deadline_waits_for_a_second_person(
    phone_incident, soar, store, accounts
) -> None:
    add_account(accounts, "Zhou Li", ["dpo"])
    store.put(
        [
            store.get(Incident, phone_incident).model_copy(
                update={"clock": "run", "severity": "high", "origin": "ours"}
            )
        ]
    )
    version = soar.version(phone_incident)
    answers = [soar.change(phone_incident, version, **REPORTED) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    assert (
        answers[0].json()["waiting_for_second_person"]
        == f"waiting for a second person: {ASKER}, Zhou Li"
    )
    assert read_decisions(store, phone_incident) == []
    assert (
        soar.change(phone_incident, version, **{**REPORTED, "reference": "R-2"}).status_code == 412
    )


def test_report_sent_at_another_time_is_another_decision(phone_incident, soar) -> None:
    version, times = (
        soar.version(phone_incident),
        ("2020-01-02T03:04", "2020-01-02T03:04", "2020-01-02T03:05"),
    )
    answers = [soar.change(phone_incident, version, **REPORTED, sent_at=sent) for sent in times]
    assert [answer.status_code for answer in answers] == [200, 200, 412]


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
def test_unknown_decision_member_is_rejected(phone_incident, soar, store, asked) -> None:
    assert soar.change(phone_incident, soar.version(phone_incident), **asked).status_code == 400
    assert read_decisions(store, phone_incident) == []
