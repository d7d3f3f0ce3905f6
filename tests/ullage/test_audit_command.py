"""`ullage audit`: what it lists, and its exit code."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import HeldClock
from ullage.audit_command import app
from ullage.errors import ConfigError
from ullage.settings import Context


@pytest.fixture
def context(data: Path, clock: HeldClock) -> Context:
    built = Context(data, clock.as_clock())
    built.trail("search").append(
        "incident.decide",
        "incident INC-A: confirmed",
        actor="王芳",
        tenant="bank",
        reason="客户确认",
    )
    clock.advance(60)
    built.trail().append("watchlist.load", "epoch 1", actor="ops\x1b[31m", tenant="shop")
    return built


def run(context: Context, *words: str):
    return CliRunner().invoke(app, [*words], obj=context)


def test_list_shows_time_person_action_and_reason_newest_last(context):
    shown = run(context, "list").stdout
    assert "2026-09-21" in shown
    assert shown.index("客户确认") < shown.index("watchlist.load")
    assert "\x1b[31m" not in shown


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--actor", "王芳"), ["incident.decide"]),
        (("--action", "watchlist"), ["watchlist.load"]),
        (("--tenant", "shop"), ["watchlist.load"]),
        (("--limit", "1"), ["watchlist.load"]),
        (("--tenant", "shop", "--actor", "nobody"), []),
    ],
)
def test_list_can_be_filtered(context, words, found):
    rows = [json.loads(line) for line in run(context, "list", "--json", *words).stdout.splitlines()]
    assert [row["action"] for row in rows] == found
    assert run(context, "list", "--actor", "nobody").stdout == "No changes.\n"
    assert "tenant shpo is unknown: use " in str(run(context, "list", "--tenant", "shpo").exception)


def test_verify_exits_with_0_or_with_1_and_the_place_of_the_change(context):
    good = run(context, "verify")
    assert (good.exit_code, "command: entries 1 to 1" in good.stdout) == (0, True)
    file = context.data / "audit" / "search" / "0000000001.jsonl"
    file.write_bytes(file.read_bytes().replace("王芳".encode(), "李四".encode()))
    bad = run(context, "verify")
    assert bad.exit_code == 1
    assert "search: BROKEN" in bad.stdout
    assert f"{file}:1: entry 1 was changed" in bad.stdout


def test_verify_compares_with_an_earlier_output(context, tmp_path):
    noted = tmp_path / "noted.jsonl"
    noted.write_text(run(context, "verify", "--json").stdout, encoding="utf-8")
    context.trail().append("watchlist.load", "epoch 2", actor="ops")
    assert run(context, "verify", "--expect", str(noted)).exit_code == 0
    noted.write_text(noted.read_text().replace('"seq": 1', '"seq": 9'), encoding="utf-8")
    later = run(context, "verify", "--expect", str(noted))
    assert (later.exit_code, "entry 9 was noted and is not there" in later.stdout) == (1, True)
    noted.write_text("no json", encoding="utf-8")
    assert isinstance(run(context, "verify", "--expect", str(noted)).exception, ConfigError)


def test_verify_without_a_log_succeeds(data):
    result = run(Context(data), "verify")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no audit log" in result.stderr
