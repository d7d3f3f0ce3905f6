"""`ullage watchlist …` and `ullage subjects resolve`: whole or not at all, and never a value in
what is said.
"""

import hashlib
import re
import time
from pathlib import Path

import pytest

from matcher.match.findings import find_all
from matcher.watchlist import installation
from tests.durable import Names
from tests.factories import capture
from tests.matcher.bank import customer, enrol, matcher_of, phone, to_csv
from tests.matcher.conftest import BANK
from ullage import audit
from ullage.clock import Clock
from ullage.errors import ConfigError, CorruptError, Exit
from ullage.security.keys import make_tenant, with_check_value
from ullage.settings import Context


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the command line runs."""
    return Context(data)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "export.csv"
    path.write_text(to_csv(BANK), encoding="utf-8")
    return path


def handles(context: Context, *numbers: str) -> list[str]:
    body = "\n".join(numbers).encode()
    return [
        m.subject
        for f in find_all(matcher_of(context), [capture(body=body)], context.clock.now())
        for m in f.matches
    ]


def files(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def test_load_makes_keys_installs_and_reports_counts(
    ullage, context: Context, export: Path
) -> None:
    result = ullage("watchlist", "load", export, "--tenant", "bank")
    assert (result.exit_code, result.stdout) == (
        0,
        "bank: 10 customers, 30 identifiers, 333 entries\n",
    )
    assert len(handles(context, phone(3), "customer4@example.com")) == 2
    assert {p.name for p in (context.data / "building").iterdir()} == {"bank.subjects"}
    assert not list(context.data.glob("build-*"))


def test_installed_files_survive_a_loss_of_power(
    ullage, context: Context, export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, more, out = Names(monkeypatch), tmp_path / "more.csv", tmp_path / "out"
    more.write_text(to_csv([customer(90)]), encoding="utf-8")
    for words in (
        ("load", export, "--tenant", "bank", "--enrolled"),
        ("update", more, "--tenant", "bank"),
        ("build", export, "--tenant", "bank", "--enrolled", "--output", out),
        ("update", more, "--tenant", "bank", "--output", out),
    ):
        assert ullage("watchlist", *words).exit_code == 0
        assert {*names.undone()} <= {
            "head.json",
            "record.json",
        }  # the audit log is whole without its head, and the clocks are read anew
    put = {path.name for path in names.given}
    assert {
        "1.watchlist",
        "1.delta",
        "bank.subjects",
        "bank.watchlist",
        "bank.delta",
        "bank.enrolled",
    } <= put


def test_column_with_a_suggested_kind_is_never_left_out_silently(ullage, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("客户号,手机号码,借记卡卡号\nC1,15400000001,no card\n", encoding="utf-8")
    words = "watchlist", "load", path, "--tenant", "bank", "--digests", "none"
    refused = ullage(*words)
    assert refused.exit_code != 0
    assert "--map 借记卡卡号=- leaves it out" in str(refused.exception) + refused.stderr
    assert ullage(*words, "--map", "借记卡卡号=-").exit_code == 0


def test_column_of_unknown_kind_is_named(ullage, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("客户号,手机号码,备注\nC1,15400000001,vip\n", encoding="utf-8")
    result = ullage("watchlist", "load", path, "--tenant", "bank", "--digests", "none")
    assert result.exit_code == 0
    assert result.stderr.startswith("not read, as their names are unknown: 备注; ")


@pytest.mark.parametrize(("digests", "entries"), [("none", 70), ("phone", 250), ("all", 333)])
def test_digests_are_separate_entries(
    ullage, data: Path, export: Path, digests: str, entries: int
) -> None:
    assert (
        f" {entries} entries"
        in ullage("watchlist", "load", export, "--tenant", "bank", "--digests", digests).stdout
    )


def test_mapped_columns_are_read_from_standard_input(ullage, context: Context) -> None:
    body = "ref|tel\nC1|15400000001\nC1|15400000002\nC2|+86 154-0000-0003\n".encode("gb18030")
    result = ullage(
        "watchlist",
        "load",
        "-",
        "--tenant",
        "bank",
        "--map",
        "ref=customer_ref",
        "--map",
        "tel=phone",
        input=body,
    )
    assert result.stdout.startswith("bank: 2 customers, 3 identifiers")
    first, second, third = handles(context, phone(1), phone(2), phone(3))
    assert first == second != third


def test_rejected_values_are_named_by_line_and_column(ullage, export: Path, data: Path) -> None:
    bad = [
        "C91,,123456,,,",
        "C92,,,110105194912310021,,",
        ",,15400000092,,,",
        '"C9\n3",,15400000093,,,',
        "C94,,,,,nobody-at-all",
    ]
    export.write_text(
        to_csv([customer(n) for n in range(80)]) + "\n" + "\n".join(bad) + "\n", encoding="utf-8"
    )
    result = ullage("watchlist", "load", export, "--tenant", "bank")
    assert result.stdout.startswith("bank: 80 customers, 240 identifiers")
    left_out = sorted(line for line in result.stderr.splitlines() if "left out" in line)
    assert left_out == [
        "line 83, column phone: has the wrong format; left out",
        "line 84, column resident_id: fails its checksum; left out",
        "line 85, column customer_ref: is empty; left out",
        "line 86, column customer_ref: contains a control character; left out",
        "line 88, column email: has the wrong format; left out",
    ]
    values = ["123456", "110105194912310021", "15400000092", "15400000093", "nobody", "C91"]
    assert not [v for v in values if v in result.output]


def test_poor_list_is_rejected_and_the_live_one_stays(
    ullage, context: Context, export: Path
) -> None:
    ullage("watchlist", "load", export, "--tenant", "bank")
    before = files(context.data)
    export.write_text(
        "customer_ref,phone\n" + "C1,15400000001\n" * 9 + "C2,777\n", encoding="utf-8"
    )
    refused = ullage("watchlist", "load", export, "--tenant", "bank")
    assert isinstance(refused.exception, ConfigError)
    assert (
        "1 of 10 values cannot be read (line 11, phone: has the wrong format): check the column"
        " mapping" in str(refused.exception)
    )
    assert "777" not in str(refused.exception)
    assert files(context.data) == before
    assert len(handles(context, phone(3))) == 1


@pytest.mark.parametrize(
    "body",
    [
        "", "customer_ref,phone\n", "customer_ref,name,phone\nC1,张某,\n",
        "customer_ref,phone\nC1,\n,15400000001\n",
        "phone\n1\n", "customer_ref,phone\nC1\n",
    ],
)  # fmt: skip
def test_list_without_identifiers_is_rejected(
    ullage, context: Context, export: Path, body: str
) -> None:
    export.write_text(body, encoding="utf-8")
    assert isinstance(
        ullage("watchlist", "load", export, "--tenant", "bank").exception, ConfigError
    )
    assert installation.tenants(context.data) == []
    assert not list(context.data.glob("build*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--tenant", "Bank"], "use a-z"), (["--tenant", "../x"], "use a-z"),
     (["--tenant", "bank", "--map", "tel"], "must be COLUMN=KIND"),
     (["--tenant", "bank", "--digests", "some"], "must be one of none, phone, all")],
)  # fmt: skip
def test_invalid_options_are_a_one_line_error(
    ullage, export: Path, words: list[str], said: str
) -> None:
    error = ullage("watchlist", "load", export, *words).exception
    assert isinstance(error, ConfigError)
    assert said in str(error)


def test_list_built_on_one_host_is_installed_on_another(
    ullage, context: Context, export: Path, tmp_path: Path
) -> None:
    built = ullage("watchlist", "build", export, "--tenant", "bank", "--output", tmp_path / "out")
    assert "bank.subjects stays here" in built.stdout
    assert installation.tenants(context.data) == []
    assert b"C000003" not in (tmp_path / "out" / "bank.subjects").read_bytes()
    result = ullage("watchlist", "load", tmp_path / "out" / "bank.watchlist", "--tenant", "bank")
    assert re.fullmatch(
        r"bank: key generation 1, 10 customers, valid until 20\d\d-\d\d-\d\d\n", result.stdout
    )
    assert len(handles(context, phone(3))) == 1


def test_estimate_prints_the_size_and_creates_nothing(
    ullage, context: Context, export: Path
) -> None:
    before = files(context.data)
    result = ullage("watchlist", "build", export, "--tenant", "bank", "--estimate")
    assert re.fullmatch(r"330 tags, 0\.0 MiB, about 1 min\n", result.stdout)
    assert files(context.data) == before


def test_stats_count_entries_by_kind_and_days_left(ullage, bank: Context) -> None:
    [line] = ullage("watchlist", "show").stdout.splitlines()
    assert re.match(
        r"bank key generation 1: 10 customers, expires in 10[34] days: email 10, email\.md5 20, .*,"
        r" phone\.md5 80",
        line,
    )


@pytest.fixture
def built(ullage, export: Path, tmp_path: Path) -> Path:
    ullage("watchlist", "build", export, "--tenant", "bank", "--output", tmp_path)
    return tmp_path / "bank.watchlist"


def refusal(context: Context, file: Path, tenant: str = "bank") -> str:
    with pytest.raises((ConfigError, CorruptError)) as error:
        installation.install(context.data, context.keys, tenant, file, context.clock.now())
    assert not list((context.data / "watchlists").rglob("*.*")), "nothing of a refused file stays"
    return str(error.value)


def test_install_rejects_foreign_expired_or_damaged_lists(
    context: Context, built: Path, tmp_path: Path
) -> None:
    make_tenant(context.keys, "other")
    assert "not signed by this tenant" in refusal(context, built, "other")
    for name in ("sign.key", "verify.pub"):
        context.inventory.strike(f"keys/other/{name}")
        other_tenant = with_check_value(context.keys.read(f"bank/{name}"), f"other/{name}")
        (context.keys.root / "other" / name).write_bytes(other_tenant)
    assert "belongs to tenant bank, not other" in refusal(context, built, "other")
    key = context.keys.root / "bank" / "match-1.key"
    original_key = key.read_bytes()
    key.write_bytes(with_check_value(bytes(32), "bank/match-1.key"))
    assert "match-1.key does not match its check value" in refusal(context, built)
    context.inventory.strike("keys/bank/match-1.key")
    assert "with another key than key generation 1" in refusal(context, built)
    key.unlink()
    assert "needs key generation 1, which is not on this host" in refusal(context, built)
    context.keys.write("bank/match-1.key", original_key)
    body = built.read_bytes()
    (tmp_path / "bad.watchlist").write_bytes(body[:-9] + bytes([body[-9] ^ 255]) + body[-8:])
    assert "was changed after it was signed" in refusal(context, tmp_path / "bad.watchlist")
    assert "cannot be read" in refusal(context, tmp_path / "gone.watchlist")
    assert "expired on" in refusal(
        Context(context.data, Clock(wall=lambda: time.time() + 105 * 86_400)), built
    )


def test_damaged_installed_file_is_not_used(bank: Context) -> None:
    path = installation.path_of(bank.data, "bank", 1)
    body = path.read_bytes()
    path.write_bytes(body[:-40] + bytes([body[-40] ^ 1]) + body[-39:])
    with pytest.raises(CorruptError):
        installation.load(bank)


def test_subjects_are_resolved_with_a_case_and_audited(
    ullage, context: Context, export: Path, tmp_path: Path
) -> None:
    ullage("watchlist", "load", export, "--tenant", "bank")
    pseudonyms = tmp_path / "handles.txt"
    expected = handles(context, phone(3), phone(4))
    pseudonyms.write_text("\n".join([*expected, "f" * 32]) + "\n", encoding="utf-8")
    result = ullage(
        "subjects", "resolve", pseudonyms, "--case", "2026-17", "--reason", "call the customer"
    )
    assert result.stdout.splitlines() == [
        "handle,customer_ref",
        f"{expected[0]},C000003",
        f"{expected[1]},C000004",
    ]
    assert "1 of 3 pseudonyms are not in this list" in result.stderr
    *_, (_, entry) = audit.read_entries(context.data / "audit")
    assert (entry.tenant, entry.action, entry.reason) == (
        "bank",
        "subjects.resolve",
        "call the customer",
    )
    assert entry.object == "case 2026-17: 3 pseudonyms requested, 2 found"
    assert not [
        p for p in context.data.rglob("*") if p.is_file() and (b"C000003" in p.read_bytes())
    ]


def test_resolving_needs_a_case_a_reason_and_the_building_host(
    ullage, context: Context, tmp_path: Path
) -> None:
    pseudonyms = tmp_path / "handles.txt"
    pseudonyms.write_text("f" * 32, encoding="utf-8")
    assert ullage("subjects", "resolve", pseudonyms, "--reason", "x").exit_code == 2
    for case, reason in ((" ", "x"), ("1", "")):
        assert isinstance(
            ullage("subjects", "resolve", pseudonyms, "--case", case, "--reason", reason).exception,
            ConfigError,
        )
    assert "on the build host" in str(
        ullage("subjects", "resolve", pseudonyms, "--case", "1", "--reason", "x").exception
    )
    gone = ullage(
        "subjects", "resolve", tmp_path / "gone", "--case", "1", "--reason", "x"
    ).exception
    assert isinstance(gone, ConfigError | OSError)
    assert not (context.data / "audit").exists()


def test_every_change_of_a_list_is_audited(
    ullage, context: Context, export: Path, tmp_path: Path
) -> None:
    ullage("watchlist", "load", export, "--tenant", "bank")
    ullage(
        "erase",
        "--case",
        "C-1",
        "--reason",
        "asked",
        "--tenant",
        "bank",
        "--subject",
        handles(context, phone(3))[0],
    )
    ullage("watchlist", "rotate-key", "--tenant", "bank")
    ullage("watchlist", "build", export, "--tenant", "bank", "--output", tmp_path)
    ullage("watchlist", "load", tmp_path / "bank.watchlist", "--tenant", "bank")
    ullage("watchlist", "rotate-key", "--tenant", "bank", "--retire")
    entries = [entry for _, entry in audit.read_entries(context.data / "audit")]
    assert [entry.action.removeprefix("watchlist.") for entry in entries] == [
        "load", "subject.erase", "subject.erased", "rotate-key", "install", "rotate-key",
    ]  # fmt: skip
    assert {entry.tenant for entry in entries} == {"bank"}
    assert not audit.walk_all(context.data / "audit", context.keys)[0].faults


def test_key_rotation_fills_the_new_key_and_retires_the_old(
    ullage, context: Context, export: Path
) -> None:
    def rotate(*words: str):
        return ullage("watchlist", "rotate-key", "--tenant", "bank", *words)

    assert "tenant bank is unknown" in str(rotate().exception)
    ullage("watchlist", "load", export, "--tenant", "bank")
    before = handles(context, phone(3))
    assert "no newer key generation with a list" in str(rotate("--retire").exception)
    assert "created key generation 2" in rotate().stdout
    assert "no newer key generation with a list" in str(rotate("--retire").exception)
    assert handles(context, phone(3)) == before
    ullage("watchlist", "load", export, "--tenant", "bank")
    assert [e.number for e in installation.load(context)[0].epochs] == [1, 2]
    assert "key generation 1 is destroyed" in rotate("--retire").stdout
    assert [p.name for p in (context.data / "watchlists" / "bank").iterdir()] == ["2.watchlist"]
    assert not context.keys.exists("bank/match-1.key")
    assert handles(context, phone(3)) == before
    # which makes no key of the epoch that was destroyed
    ullage("watchlist", "load", export, "--tenant", "bank")
    assert not context.keys.exists("bank/match-1.key")


def test_check_names_each_tenant_without_a_live_list(ullage, context: Context) -> None:
    """One tenant's live list says nothing of another's that was never loaded, or is gone, or
    expired.
    """
    enrol(context, "bank", [customer(1)])
    enrol(context, "gone", [customer(2)])
    assert "ok     watchlists: bank 1 customers" in ullage("check").stdout
    installation.path_of(context.data, "gone", 1).unlink()
    (context.data / "ullage.toml").write_text("[tenants.bank]\n[tenants.never]\n")
    result = ullage("check")
    assert result.exit_code == Exit.FAILED
    faults = [line for line in result.stdout.splitlines() if line.startswith("FAULT  watchlists")]
    expected = (
        "FAULT  watchlists: tenants without a valid list: gone, never; none of their"
        " customers is found: load one with "
    )
    assert [fault.partition("`")[0] for fault in faults] == [expected]
