"""The commands that silence, and what the lists then show."""

import json

import pytest
from typer.testing import CliRunner, Result

from alerts.cli.incidents import incidents
from alerts.records import Background, incident_id
from tests.alerts.builders import finding, fold_all
from tests.alerts.noise.posts import post
from ullage import audit

A = incident_id("f")
SILENCE = (
    "suppress",
    "--tenant",
    "bank",
    "--site",
    "paste",
    "--days",
    "30",
    "--reason",
    "招聘帖",
    "--by",
    "王芳",
)


@pytest.fixture
def run(store, clock, context):
    fold_all(
        store,
        clock,
        [
            finding("f", range(20), people="ab"),
            finding("g", range(90, 99), people="c", site="forum"),
        ],
    )
    store.refresh()

    def ran(*words: str) -> Result:
        return CliRunner().invoke(incidents, words, obj=context)

    return ran


def rows(result: Result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_suppressed_incident_shows_who_suppressed_it_and_why(run):
    result = run(*SILENCE)
    assert (result.exit_code, "site paste of bank is silent until 2026-10-21" in result.stdout) == (
        0,
        True,
    )
    assert run("list").stdout.count("suppressed") == 1
    assert "suppressed by 王芳 until 2026-10-21" in run("show", A).stdout
    suppressed = {row["id"]: row["suppressed"] for row in rows(run("list", "--json"))}
    assert (suppressed[A]["by"], suppressed[A]["reason"], suppressed[incident_id("g")]) == (
        "王芳",
        "招聘帖",
        None,
    )
    assert json.loads(run("show", A, "--json").stdout)["suppressed"]["id"].startswith("SUP-")


def test_suppression_is_listed_lifted_and_shown_as_lifted(run):
    assert run("suppressions").stdout == "Nothing is suppressed.\n"
    run(*SILENCE)
    (suppression,) = rows(run("suppressions", "--json"))
    assert (suppression["state"], suppression["site"], "sketch" in suppression) == (
        "in force",
        "paste",
        False,
    )
    assert all(
        word in run("suppressions").stdout
        for word in (suppression["id"], "site paste", "王芳", "招聘帖")
    )
    assert (
        run("suppress", suppression["id"], "--end", "--reason", "over", "--by", "Li Wei").stdout
        == f"{suppression['id']} is lifted\n"
    )
    assert rows(run("suppressions", "--json")) == []
    (ended,) = rows(run("suppressions", "--json", "--ended"))
    assert (ended["state"], ended["lifted"]["by"]) == ("lifted", "Li Wei")
    assert "lifted by Li Wei" in run("suppressions", "--ended").stdout
    assert "suppressed" not in run("list").stdout


def test_expired_suppression_is_listed_only_on_request(run, clock):
    run(*SILENCE)
    clock.advance(31 * 86400)
    assert rows(run("suppressions", "--json")) == []
    assert [row["state"] for row in rows(run("suppressions", "--json", "--ended"))] == ["ended"]


@pytest.mark.parametrize("left_out", ["--tenant", "--days", "--reason"])
def test_tenant_days_and_reason_are_required(run, left_out, context):
    place = SILENCE.index(left_out)
    result = run(*SILENCE[:place], *SILENCE[place + 2 :])
    assert result.exit_code == 2 or "give --tenant and --days" in str(result.exception)
    assert not list(audit.read_entries(context.data / "audit"))


def test_benign_posts_are_counted_by_site_and_rule(run, store, clock):
    findings = [
        finding(f"b{n}", people=[n % 2], site=site, fields=("PHONE",))
        for n, site in enumerate(("shop", "shop", "shop", "bbs"))
    ]
    assert run("suppressions", "--background").stdout == "No benign posts.\n"
    fold_all(
        store,
        clock,
        [
            phone_finding.model_copy(update={"statistics": post().statistics})
            for phone_finding in findings
        ],
    )
    assert [
        (row["site"], row["rule"], row["posts"], row["customers"])
        for row in rows(run("suppressions", "--background", "--json"))
    ] == [
        ("shop", "B1", 3, 2),
        ("bbs", "B1", 1, 1),
    ]
    shown = run("suppressions", "--background").stdout
    assert "One person's own number" in shown
    assert rows(run("suppressions", "--background", "--json", "--tenant", "none")) == []


def test_benign_post_of_a_removed_rule_is_still_listed(run, store, clock):
    phone_finding = finding("b", people="a", fields=("PHONE",)).model_copy(
        update={"statistics": post().statistics}
    )
    fold_all(store, clock, [phone_finding])
    store.put([store.get(Background, "b").model_copy(update={"rule": "B77"})])
    assert "B77 of an earlier version" in run("suppressions", "--background").stdout
