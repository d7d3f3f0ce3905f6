"""`ullage rules`: what it prints, and what it puts into force."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner, Result

from alerts.cli.incidents import incidents
from alerts.cli.services import rules_app
from alerts.grouping.benign import BACKGROUND, BenignRules, load_shipped_rules
from alerts.records import Decision, Incident, incident_id
from alerts.records.document import QueryError
from alerts.service.process import parts
from tests.alerts.builders import everything, finding, fold_all, record, stage
from tests.factories import WHEN
from ullage import audit
from ullage.errors import ConfigError
from ullage.files.rule_files import Live
from ullage.records import Term
from ullage.verdict import VERDICT, load_verdict_rules
from ullage.vocabulary.lexicon import list_themes

LOAN = ("NAME", "PHONE", "LOAN")
BY = ("--reason", "too many", "--by", "Li Wei")


@pytest.fixture
def run(store, clock, context):
    fold_all(
        store,
        clock,
        [
            finding("a", range(10), people="ab", fields=LOAN),
            finding("b", range(20, 30), people="cd"),
        ],
    )
    store.create(
        [
            Decision(
                id="d",
                tenant="bank",
                incident=incident_id("a"),
                at=WHEN,
                by="Li",
                status="confirmed",
            )
        ]
    )
    store.refresh()
    return lambda *words: CliRunner().invoke(rules_app, [str(word) for word in words], obj=context)


def read_json_lines(result: Result) -> list[dict]:
    assert result.exit_code == 0
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def other(run, tmp_path):
    """Return the verdict's rules with other points for loans, as a person would edit them."""
    file = tmp_path / "verdict.toml"
    text = run("show", "verdict").stdout
    points = 'ways = [{ points = 50, all = ["PHONE", "LOAN"] }]'
    assert points in text
    file.write_text(
        text.replace(points, points.replace("50", "60")).replace("version = ", "version = 9", 1),
        encoding="utf-8",
    )
    return file


def test_replay_without_a_file_counts_the_rules_in_force(run):
    verdict, background = read_json_lines(run("replay", "--json"))
    rows = {row["rule"]: row for row in verdict["rules"]}
    assert (rows["X9"]["precision"], rows["X9"]["confirmed"]) == (1.0, 1)
    assert (rows["X17"]["precision"], rows["X17"]["confirmed"]) == (None, 0)
    assert (verdict["kind"], verdict["changed"], background["kind"], background["changed"]) == (
        "verdict",
        0,
        "background",
        0,
    )
    shown = run("replay").stdout
    assert "100%" in shown
    assert "One person's own number" in shown


def test_shown_rules_are_a_valid_rule_file(run, tmp_path):
    for kind in ("verdict", "background"):
        file = tmp_path / f"{kind}.toml"
        file.write_text(run("show", kind).stdout, encoding="utf-8")
        assert "0 of " in run("replay", file).stdout
    assert isinstance(run("show", "other").exception, ConfigError)


def test_replay_lists_old_and_new_verdicts_and_writes_nothing(run, store, context, other):
    before = everything(store)
    (trial,) = read_json_lines(run("replay", other, "--json"))
    (change,) = trial["incidents"]
    assert (change["incident"], change["after"]["exposure"] - change["before"]["exposure"]) == (
        incident_id("a"),
        10,
    )
    assert (trial["judged"], trial["changed"]) == (2, 1)
    shown = run("replay", other).stdout
    assert incident_id("a") in shown
    assert f"{change['before']['exposure']} → {change['after']['exposure']}" in shown
    assert "1 of 2 would be judged otherwise" in shown
    assert everything(store) == before
    assert not VERDICT.own_path(context.data).exists()


def test_replay_of_benign_rules_counts_posts(run, tmp_path):
    file = tmp_path / "b.toml"
    file.write_text(
        "version = 9\n" + "\n".join(run("show", "background").stdout.split("version = 1")[1:]),
        encoding="utf-8",
    )
    (trial,) = read_json_lines(run("replay", file, "--json"))
    assert (trial["judged"], trial["posts"]) == (2, [])


def test_activated_rules_are_used_and_audited(run, context, other):
    result = run("use", other, *BY)
    assert (result.exit_code, str(VERDICT.own_path(context.data)) in result.stdout) == (0, True)
    assert context.rules().version > load_verdict_rules().version
    ((_, entry),) = audit.read_entries(context.data / "audit")
    assert (entry.action, entry.actor, entry.reason) == ("rules.use", "Li Wei", "too many")
    assert f"instead of {load_verdict_rules().version}, SHA-256 " in entry.object
    assert "0 of 2" not in run("replay", other).stdout, (
        "what was judged keeps its verdict until something joins it"
    )


def test_rules_without_a_higher_version_are_rejected(run, context, other):
    run("use", other, *BY)
    assert "increase it" in str(run("use", other, *BY).exception)
    assert len(list(audit.read_entries(context.data / "audit"))) == 1


def test_benign_rules_can_be_activated(run, context, tmp_path):
    file = tmp_path / "none.toml"
    file.write_text("version = 7\nrule = []\n", encoding="utf-8")
    assert run("use", file, *BY).exit_code == 0
    assert BACKGROUND.load_current(context.data).rules == BenignRules(version=7, rule=())
    assert load_shipped_rules().rule


@pytest.mark.parametrize(
    "text",
    ["version = 1", "rule = [", "[[scenario]]\nid = 1", "\x00", "version = 99\n[[rule]]\nid = 'X'"],
)
def test_invalid_file_changes_nothing(run, context, tmp_path, text):
    file = tmp_path / "bad.toml"
    file.write_text(text, encoding="utf-8")
    for words in (("replay", file), ("use", file, *BY)):
        assert isinstance(run(*words).exception, ConfigError)
    assert isinstance(run("replay", tmp_path / "gone.toml").exception, ConfigError)
    assert not list(audit.read_entries(context.data / "audit"))


def test_reason_with_a_value_is_rejected(run, other):
    assert isinstance(
        run("use", other, "--reason", "13800138000", "--by", "Li").exception, QueryError
    )


def test_damaged_own_rules_are_reported_with_their_path(run, context):
    VERDICT.own_path(context.data).parent.mkdir()
    VERDICT.own_path(context.data).write_text("version = ", encoding="utf-8")
    assert str(VERDICT.own_path(context.data)) in str(run("replay").exception)
    assert CliRunner().invoke(incidents, ["list"], obj=context).exit_code == 0, (
        "what is stored can be read all the same"
    )


def test_activated_rules_apply_from_the_next_batch(store, clock, context, run, other):
    live = replace(
        stage(store, clock),
        rules=Live(VERDICT, context.data),
        background=Live(BACKGROUND, context.data),
    )
    live.handle([record(finding("c", range(40, 50), people="ef", fields=LOAN))])
    run("use", other, *BY)
    live.handle([record(finding("d", range(60, 70), people="gh", fields=LOAN))])
    before, after = (store.get(Incident, incident_id(name)) for name in "cd")
    assert after.exposure == before.exposure + 10


def test_check_reports_active_versions_and_invalid_files(run, context):
    look = dict(parts(context))["rules"]
    assert (
        look()
        == f"verdict {load_verdict_rules().version}, background {load_shipped_rules().version},"
        " context 4, jargon 2"
    )
    BACKGROUND.install(context.data, "version = 7")
    with pytest.raises(ConfigError, match=r"background\.toml: rule: Field required"):
        look()


def test_lexicon_is_shown_and_activated_under_its_name(run, context, tmp_path):
    file, jargon = tmp_path / "jargon.tsv", list_themes()["jargon"]
    file.write_text(
        run("show", "jargon").stdout.replace("# version 2", "# version 3", 1), encoding="utf-8"
    )
    assert str(jargon.own_path(context.data)) in run("use", file, *BY).stdout
    assert jargon.load_current(context.data).rules == (3, jargon.load_shipped().rules.rows)
    ((_, entry),) = audit.read_entries(context.data / "audit")
    assert entry.object.startswith("rules jargon version 3 instead of 2")
    assert "increase it" in str(run("use", file, *BY).exception)
    renamed = file.rename(tmp_path / "mine.tsv")
    assert "jargon.tsv" in str(run("use", renamed, *BY).exception)


def test_lexicon_is_recognised_by_its_extension(run, store, clock, tmp_path):
    terms = (Term(id="内料", category="CARD", weight=5, count=1),)
    fold_all(store, clock, [finding("o", (), statistics={"terms": terms, "brands": ("某某银行",)})])
    file = tmp_path / "jargon.tsv"
    file.write_text("内料\t\tzh\tCARD\tm\t3\tL\tK\n", encoding="utf-8")
    assert "raised by nothing" in run("replay", file).stdout
    assert read_json_lines(run("replay", file, "--json"))[0]["posts"] == [
        {"site": "paste", "before": "incident", "after": "unraised", "posts": 1}
    ]
    file.write_text("内料\n", encoding="utf-8")
    assert "jargon.tsv:1 is not a term" in str(run("replay", file).exception)
