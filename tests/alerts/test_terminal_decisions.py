"""Who decides on a terminal: an account that may, as on the page; of another tenant nothing is
there.
"""

import pytest
from typer.testing import CliRunner

from alerts.accounts.accounts import FILE
from alerts.cli.accounts import user
from alerts.cli.evidence import evidence
from alerts.cli.incidents import incidents, suppress
from alerts.cli.services import rules_app as rules
from alerts.records import Decision
from alerts.store import DocumentFilter
from tests.alerts.browser import ASKER, CHEAP, add_account
from tests.alerts.test_table_of_roles import A, B, things  # noqa: F401 - a fixture
from ullage import audit
from ullage.audit import current_user
from ullage.errors import ConfigError, Exit, UllageError
from ullage.security import keys

SENT = ("--regime", "pipl-57", "--channel", "fax", "--reference", "R-1")
ROWS = [
    (("assign", A), "incident.assign", "fraud", "analyst"),
    (("note", A, "a word"), "incident.decide", "auditor", "dpo"),
    (("resolve", A), "incident.close", "dpo", "lead"),
    (
        ("resolve", A, "--as", "false_positive", "--reason", "chance"),
        "incident.close",
        "fraud",
        "analyst",
    ),
    (("resolve", A, "--as", "confirmed"), "incident.decide", "resolver", "fraud"),
    (("acknowledge", A), "incident.decide", "operator", "dpo"),
    (("takedown", A, "asked"), "incident.decide", "agent", "analyst"),
    (("export", A, "--format", "customers"), "customers.export", "analyst", "resolver"),
    (("hold", A, "--case", "7", "--reason", "x"), "evidence.hold", "analyst", "dpo"),
    (("deadline", A, "--sent", *SENT), "incident.decide", "agent", "dpo"),
    (
        ("deadline", A, "--regime", "cac-2025", "--waived", "--note", "x"),
        "deadline.waive",
        "analyst",
        "lead",
    ),
]


@pytest.fixture
def run(context):
    def command(*words: str):
        result = CliRunner().invoke(incidents, list(words), obj=context)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return command


@pytest.mark.parametrize(
    ("words", "permission", "may_not", "may"), ROWS, ids=[" ".join(row[0][::2]) for row in ROWS]
)
def test_terminal_and_page_require_the_same_permission(
    things,  # noqa: F811
    run,
    accounts,
    store,
    words,
    permission,
    may_not,
    may,
) -> None:
    add_account(accounts, "Wang Fang", [may_not])
    add_account(accounts, "Zhao Min", [may])
    with pytest.raises(UllageError, match=f"allow {permission}"):
        run(*words, "--by", "Wang Fang")
    store.refresh()
    assert list(store.scroll(Decision, DocumentFilter())) == []
    assert run(*words, "--by", "zhao min").exit_code == 0


def test_last_decision_is_undone_by_a_permitted_user(
    things,  # noqa: F811
    run,
    accounts,
    store,
) -> None:
    for name, role in (("Wang Fang", "fraud"), ("Zhao Min", "analyst")):
        add_account(accounts, name, [role])
    with pytest.raises(UllageError, match="this incident has nothing to undo"):
        run("note", A, "--undo", "last", "--by", "Zhao Min")
    run("assign", A, "--to", "Wang Fang", "--by", "Zhao Min")
    run("assign", A, "--to", "Zhao Min", "--by", "Zhao Min")
    with pytest.raises(UllageError, match=r"allow incident\.assign"):
        run("note", A, "--undo", "last", "--by", "Wang Fang")
    assert (
        run("note", A, "mistaken", "--undo", "last", "--by", "Zhao Min").output == f"{A}: undone\n"
    )
    decided = sorted(store.scroll(Decision, DocumentFilter()), key=lambda one: one.at)
    assert [(decision.act, decision.note) for decision in decided] == [
        ("assigned", ""),
        ("assigned", ""),
        ("undone", "mistaken"),
    ]
    assert decided[-1].about == decided[1].id
    with pytest.raises(UllageError, match="already undone"):
        run("note", A, "--undo", decided[1].id, "--by", "Zhao Min")


def test_incident_is_assigned_only_to_a_permitted_account(
    things,  # noqa: F811
    run,
    accounts,
    store,
) -> None:
    for name, role in (("Wang Fang", "agent"), ("Zhao Min", "analyst")):
        add_account(accounts, name, [role])
    for name in ("Nobody", "Wang Fang"):
        refused = run("assign", A, "--to", name, "--by", "Zhao Min")
        assert (refused.exit_code, "nobody with an account of that name" in refused.output) == (
            Exit.FAILED,
            True,
        )
    assert run("assign", A, "--to", "-", "--by", "Zhao Min").exit_code == 0


def test_incident_is_assigned_to_anybody_where_no_account_exists(
    phone_incident, context, run, accounts
) -> None:
    accounts.close()
    for file in context.data.glob(f"{FILE}*"):
        file.unlink()
    assert run("assign", phone_incident, "--to", "Wang Fang", "--by", "Li Wei").exit_code == 0
    assert not (context.data / FILE).exists(), "and none is made by that"


def test_unknown_account_decides_nothing(
    things,  # noqa: F811
    run,
    accounts,
    context,
    store,
) -> None:
    add_account(accounts, "Wang Fang", ["analyst"])
    accounts.set_disabled("Wang Fang", is_disabled=True)
    accounts.add("Zhao Min", ["analyst"], ["*"], digest=CHEAP.hash("x"), by="test")
    for name, says in (
        ("Nobody", "no account has the name"),
        ("Wang Fang", "is closed"),
        ("Zhao Min", "has no password yet"),
    ):
        with pytest.raises(ConfigError, match=says):
            run("acknowledge", A, "--by", name)
    with pytest.raises(ConfigError, match="this machine's user has no account"):
        run("acknowledge", A)
    store.refresh()
    assert list(store.scroll(Decision, DocumentFilter())) == []


def test_operating_system_user_decides_as_the_linked_account(
    things,  # noqa: F811
    run,
    accounts,
    context,
    store,
) -> None:
    add_account(accounts, "Wang Fang", ["analyst"])
    assert (
        CliRunner()
        .invoke(user, ["change", "Wang Fang", "--login", current_user()], obj=context)
        .exit_code
        == 0
    )
    assert run("acknowledge", A).exit_code == 0
    store.refresh()
    assert [decision.by for decision in store.scroll(Decision, DocumentFilter())] == ["Wang Fang"]
    noted = [
        entry.object
        for _, entry in audit.read_entries(context.data / "audit")
        if entry.action == "account.login_of"
    ]
    assert noted == [f"account Wang Fang: user {current_user()} of this machine"]
    assert (
        CliRunner()
        .invoke(user, ["change", ASKER, "--login", current_user()], obj=context)
        .exit_code
        == 0
    )
    assert [accounts.get_user(name).login for name in (ASKER, "Wang Fang")] == [
        current_user(),
        None,
    ]
    assert CliRunner().invoke(user, ["change", ASKER, "--login", "-"], obj=context).exit_code == 0
    with pytest.raises(ConfigError, match="this machine's user has no account"):
        run("acknowledge", A)


def test_account_of_one_tenant_finds_no_incident_of_another(
    things,  # noqa: F811
    run,
    accounts,
    store,
) -> None:
    add_account(accounts, "Wang Fang", ["lead"], ["bank"])
    none = run("acknowledge", "INC-AAAAAAAAAA", "--by", "Wang Fang")
    theirs = run("acknowledge", B, "--by", "Wang Fang")
    assert (theirs.exit_code, theirs.stderr) == (
        none.exit_code,
        none.stderr.replace("INC-AAAAAAAAAA", B),
    )
    assert run("acknowledge", A, "--by", "Wang Fang").exit_code == 0


def test_missing_accounts_are_reported(phone_incident, context, run, accounts) -> None:
    context.data.joinpath("accounts.sqlite").exists()
    accounts.close()
    for file in context.data.glob("accounts.sqlite*"):
        file.unlink()
    result = run("acknowledge", phone_incident, "--by", "Anybody")
    assert result.exit_code == 0
    assert "note: there is no account here, so permissions were not checked;" in result.stderr


def test_suppressing_needs_a_permitted_account(
    things,  # noqa: F811
    accounts,
    context,
) -> None:
    import typer

    add_account(accounts, "Wang Fang", ["agent"])
    app = typer.Typer()
    app.command()(suppress)
    keys.make_tenant(context.keys, "other")
    words = ["--tenant", "bank", "--site", "x", "--days", "1", "--reason", "y", "--by", "Wang Fang"]
    result = CliRunner().invoke(app, words, obj=context)
    assert "noise.change" in str(result.exception)


def test_rules_and_evidence_need_a_permitted_account(
    things,  # noqa: F811
    accounts,
    context,
    tmp_path,
) -> None:
    add_account(accounts, "Wang Fang", ["analyst"])
    file = tmp_path / "none.toml"
    file.write_text("version = 7\nrule = []\n", encoding="utf-8")
    why = ["--reason", "x", "--by", "Wang Fang"]
    case = ["--case", "7", *why]
    for app, words, permission in (
        (rules, ["use", str(file)], "rules.change"),
        (incidents, ["hold", "f1"], "evidence.hold"),
        (evidence, ["open", "f1", "--key", str(file)], "evidence.open"),
    ):
        result = CliRunner().invoke(app, [*words, *(why if app is rules else case)], obj=context)
        assert f"allow {permission}" in str(result.exception), words
    assert not [
        entry
        for _, entry in audit.read_entries(context.data / "audit")
        if entry.action.startswith(("rules", "evidence"))
    ]
