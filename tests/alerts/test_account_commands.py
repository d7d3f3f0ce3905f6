"""`ullage user` and `ullage token`."""

import contextlib
import json
import stat

import pytest
from typer.testing import CliRunner

from alerts.accounts import PEOPLE_ALONE, TOKEN_PERMISSIONS
from alerts.accounts.accounts import Accounts
from alerts.accounts.sessions import PasswordError
from alerts.cli.accounts import token, user
from tests.alerts.browser import PASSWORD
from ullage import audit
from ullage.errors import ConfigError
from ullage.security import keys
from ullage.settings import Context


@pytest.fixture
def run(context):
    """Return a function that runs `ullage user …` or `ullage token …` and raises its error."""
    keys.make_tenant(context.keys, "bank")

    def command(group, *words: str, typed: str = ""):
        result = CliRunner().invoke(group, list(words), obj=context, input=typed)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return command


def add(run, name: str = "Li Wei", *words: str, password: str = PASSWORD):
    return run(
        user,
        "add",
        name,
        "--role",
        "analyst",
        "--tenant",
        "bank",
        "--password-file",
        "-",
        *words,
        typed=f"{password}\n",
    )


def read_audit(context) -> list[tuple[str, str]]:
    return [(entry.action, entry.object) for _, entry in audit.read_entries(context.data / "audit")]


def test_account_changes_are_audited(run, context) -> None:
    add(run)
    run(user, "change", "li wei", "--role", "lead", "--all-tenants")
    run(user, "change", "Li Wei", "--password-file", "-", typed="another sentence of words\n")
    run(user, "change", "Li Wei", "--close")
    (shown,) = [json.loads(line) for line in run(user, "list", "--json").stdout.splitlines()]
    assert (shown["name"], shown["roles"], shown["tenants"], shown["state"]) == (
        "Li Wei",
        ["lead"],
        ["*"],
        "closed",
    )
    run(user, "change", "Li Wei", "--open")
    assert "password to be changed" in run(user, "list").stdout
    assert read_audit(context) == [
        ("account.add", "account Li Wei: analyst of bank"),
        ("account.roles", "account Li Wei: lead of all tenants; before: analyst of bank"),
        ("account.password", "account Li Wei"),
        ("account.disable", "account Li Wei"),
        ("account.enable", "account Li Wei"),
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add", "Li", "--role", "boss", "--tenant", "bank"), "unknown roles"),
        (("change", "nobody", "--password"), "no account"),
    ],
)
def test_invalid_options_are_reported_before_the_password_prompt(
    run, words: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):  # typer.Abort, were it asked for: nobody types one
        run(user, *words)


def test_password_is_asked_twice_and_never_shown(run, context) -> None:
    result = run(
        user,
        "add",
        "Li Wei",
        "--role",
        "agent",
        "--tenant",
        "bank",
        typed=f"{PASSWORD}\n{PASSWORD}\n",
    )
    assert result.exit_code == 0
    assert PASSWORD not in result.output
    assert (
        run(
            user, "add", "Wang", "--role", "agent", "--tenant", "bank", typed=f"{PASSWORD}\nother\n"
        ).exit_code
        == 1
    )


def test_password_file_must_be_private(run, tmp_path) -> None:
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o640)
    words = ("add", "Li Wei", "--role", "agent", "--tenant", "bank", "--password-file", str(path))
    with pytest.raises(ConfigError, match="0600"):
        run(user, *words)
    path.write_text("two\nlines\n")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="2 lines"):
        run(user, *words)
    path.write_text(PASSWORD + "\n")
    assert run(user, *words).exit_code == 0


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("short", "15 to 256"),
        ("x" * 257, "15 to 256"),
        ("aaaaaaaaaaaaaaaaaaaa", "different"),
        ("LI WEI and more words", "account name"),
    ],
)
def test_weak_password_is_rejected_and_no_account_is_created(run, context, password, says) -> None:
    with pytest.raises(PasswordError, match=says) as refused:
        add(run, password=password)
    assert password not in str(refused.value)
    assert run(user, "list").stdout == "No account yet.\n"
    assert read_audit(context) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add", "Li", "--role", "boss", "--tenant", "bank"), "unknown roles"),
        (
            ("add", "Li", "--role", "operator", "--role", "auditor", "--tenant", "bank"),
            "cannot be auditor and operator",
        ),
        (
            ("add", "Li", "--role", "resolver", "--role", "operator", "--tenant", "bank"),
            "cannot be operator and resolver",
        ),
        (("add", "Li", "--role", "agent"), "whose data"),
        (("add", "Li", "--role", "agent", "--tenant", "shop"), "tenant shop is unknown"),
        (("add", "13800138000", "--role", "agent", "--tenant", "bank"), "must start with a letter"),
        (("add", "x" * 33, "--role", "agent", "--tenant", "bank"), "at most 32"),
        (("change", "nobody", "--close"), "no account with that name"),
        (("change", "nobody", "--password-file", "-"), "no account with that name"),
        (("change", "nobody"), "give what to change"),
        (("change", "nobody", "--tenant", "bank", "--close"), "--tenant needs --role"),
        (("change", "nobody", "--login", "../x"), "give the name of a user"),
        (("change", "nobody", "--role", "agent", "--tenant", "bank"), "no account with that name"),
    ],
)
def test_error_is_one_line(run, context, words, says) -> None:
    more = ("--password-file", "-") if words[0] == "add" else ()
    with pytest.raises(ConfigError, match=says):
        run(user, *words, *more, typed=f"{PASSWORD}\n")
    assert read_audit(context) == []


def test_incompatible_roles_cannot_be_combined_later(run) -> None:
    add(run)
    with pytest.raises(ConfigError, match="the same person cannot be auditor and resolver"):
        run(user, "change", "Li Wei", "--role", "auditor", "--role", "resolver", "--all-tenants")


@pytest.mark.parametrize("name", ["Li Wei", "LI WEI", "Ｌｉ Ｗｅｉ"])
def test_account_names_are_unique_in_every_spelling(run, name) -> None:
    add(run)
    with pytest.raises(ConfigError, match="an account with this name exists"):
        add(run, name)


def test_data_folder_holds_neither_password_nor_token(run, context) -> None:
    add(run)
    secret = run(
        token, "add", "crm", "--may", "incident.read", "--tenant", "bank", "--purpose", "exports"
    ).stdout.strip()
    assert secret.startswith("ullage_")
    for path in context.data.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert PASSWORD.encode() not in content
            assert secret.partition("_")[2][9:].encode() not in content
    for ending in ("", "-wal"):
        path = context.data / f"accounts.sqlite{ending}"
        assert not path.exists() or stat.S_IMODE(path.stat().st_mode) == 0o600


def test_token_help_offers_exactly_what_it_accepts(run):
    offered = " ".join(run(token, "add", "--help").stdout.split())
    assert all(name in offered for name in TOKEN_PERMISSIONS)
    assert not any(name in offered.replace(" ", "") for name in PEOPLE_ALONE)


def test_token_is_printed_once_alone_on_stdout_and_never_listed(run, context) -> None:
    words = (
        "--may", "incident.read", "--may", "person.check", "--tenant", "bank", "--purpose",
        "asks for callers", "--days",
        "30",
    )  # fmt: skip
    added = run(token, "add", "crm", *words)
    assert len(added.stdout.splitlines()) == 1
    assert "shown this once" in added.stderr
    listed = run(token, "list", "--json").stdout
    (shown,) = [json.loads(line) for line in listed.splitlines()]
    assert added.stdout.strip() not in listed
    assert (shown["name"], shown["may"], shown["tenants"]) == (
        "crm",
        ["incident.read", "person.check"],
        ["bank"],
    )
    assert (shown["purpose"], shown["state"]) == ("asks for callers", "good")
    run(token, "revoke", shown["id"])
    assert json.loads(run(token, "list", "--json").stdout)["state"] == "revoked"
    with pytest.raises(ConfigError, match="no token with that id"):
        run(token, "revoke", shown["id"])
    assert [entry[0] for entry in read_audit(context)] == ["token.add", "token.revoke"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("--may", "deadline.waive", "--tenant", "bank", "--purpose", "x"),
            "the permissions of a token must be from",
        ),
        (
            ("--may", "account.manage", "--tenant", "bank", "--purpose", "x"),
            "the permissions of a token must be from",
        ),
        (
            ("--may", "nothing", "--tenant", "bank", "--purpose", "x"),
            "the permissions of a token must be from",
        ),
        (("--may", "incident.read", "--purpose", "x"), "whose data"),
        (("--may", "incident.read", "--tenant", "bank", "--purpose", " "), "purpose of the token"),
        (
            ("--may", "incident.read", "--tenant", "bank", "--purpose", "call 13800138000"),
            "without an identifier",
        ),
        (
            ("--may", "incident.read", "--tenant", "bank", "--purpose", "x", "--days", "400"),
            "within 366",
        ),
        (
            ("--may", "incident.read", "--tenant", "bank", "--purpose", "x", "--days", "0"),
            "within 366",
        ),
    ],
)
def test_token_needs_scope_purpose_and_expiry(run, context, words, says) -> None:
    with pytest.raises(ConfigError, match=says):
        run(token, "add", "crm", *words)
    assert read_audit(context) == []


def test_concurrent_processes_see_account_changes_at_once(run, context) -> None:
    first = Accounts(context.data, context.clock)
    add(run)
    assert first.get_user("Li Wei").changes == 1
    run(user, "change", "Li Wei", "--close")
    assert first.get_user("Li Wei").is_disabled
    first.close()


def test_generated_password_is_alone_on_stdout(run, context) -> None:
    added = run(user, "add", "Li Wei", "--role", "analyst", "--tenant", "bank", "--make")
    assert len(added.stdout.split()) == 1
    assert "account Li Wei: analyst" in added.stderr
    again = run(user, "change", "Li Wei", "--make")
    assert len(again.stdout.split()) == 1
    assert again.stdout != added.stdout
    with pytest.raises(ConfigError, match="leave out --password-file"):
        run(user, "change", "Li Wei", "--make", "--own")


def test_ended_sessions_are_audited(run, context) -> None:
    add(run)
    run(user, "change", "Li Wei", "--end-sessions")
    with contextlib.closing(Accounts(context.data, context.clock)) as accounts:
        assert accounts.get_user("Li Wei").changes == 2
    assert read_audit(context)[-1] == ("account.sessions", "account Li Wei: its sessions end")


def test_last_operator_cannot_be_disabled_on_a_terminal(run, context) -> None:
    run(
        user,
        "add",
        "Li Wei",
        "--role",
        "operator",
        "--all-tenants",
        "--password-file",
        "-",
        "--own",
        typed=f"{PASSWORD}\n",
    )
    for words in (
        ("change", "Li Wei", "--close"),
        ("change", "Li Wei", "--role", "lead", "--all-tenants"),
        ("change", "Li Wei", "--make"),
    ):
        with pytest.raises(ConfigError, match="nobody else could manage accounts"):
            run(user, *words)
    assert [entry[0] for entry in read_audit(context)] == ["account.add"]


def test_subject_account_needs_an_identity_provider_and_has_no_password(run, context) -> None:
    words = ("add", "Li Wei", "--role", "analyst", "--tenant", "bank", "--subject", "s-1")
    with pytest.raises(ConfigError, match="no identity provider is configured"):
        run(user, *words)
    text = '[search.oidc]\nissuer = "https://login.bank.example"\nclient_id = "desk"\n'
    (context.data / "ullage.toml").write_text(text, encoding="utf-8")
    context.settings = Context(context.data, context.clock).settings
    run(user, *words)
    (shown,) = [json.loads(line) for line in run(user, "list", "--json").stdout.splitlines()]
    assert (shown["state"], shown["by"]) == ("open", "identity provider")
    with pytest.raises(ConfigError, match="no password here"):
        run(user, "change", "Li Wei", "--make")
    with pytest.raises(ConfigError, match="for this subject"):
        run(user, "add", "Wang Fang", *words[2:])
    with pytest.raises(ConfigError, match="--subject takes no password"):
        run(user, *words, "--make")
