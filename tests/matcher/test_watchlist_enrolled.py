"""`watchlist … --enrolled`: search's host gets what a look-up asks for, kept as the list is, and
only where it is wanted.
"""

import shutil
from pathlib import Path

import pytest

from alerts.cases.lookups.lookup import index_tags
from matcher.watchlist.tagging import handles
from tests.matcher.bank import customer, to_csv
from tests.matcher.conftest import BANK
from ullage import setup
from ullage.errors import ConfigError
from ullage.lookup.list_index import EnrolledLists, VerifiedList, path_of
from ullage.security.masking import Secret
from ullage.settings import Context

VALUES = ("phone", "resident_id", "email")


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the command line runs."""
    return Context(data)


def write(path: Path, customers: list[dict[str, str]]) -> Path:
    path.write_text(to_csv(customers), encoding="utf-8")
    return path


def pairs(context: Context, path: Path | None = None) -> list[tuple[bytes, bytes]]:
    opened = VerifiedList(path or path_of(context.data, "bank"), context.keys, "bank")
    return [(row[:16].tobytes(), row[16:].tobytes()) for block in opened.pairs() for row in block]


def compute_tags(context: Context, customers: list[dict[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return the tags that search itself computes, one for each value that may be typed."""
    key, computed = context.keys.read("bank/index-1.key"), set()
    for person in customers:
        [handle] = handles(context.keys, "bank", [person["customer_ref"]])
        for kind in VALUES:
            if person.get(kind):
                tags = index_tags(key, "bank", kind, Secret(person[kind]))
                computed |= {
                    (bytes.fromhex(tag), handle.tobytes())
                    for tag in (tags[:1] if "+" not in person[kind] else tags[::13])
                }
    return sorted(computed)


def test_registry_is_off_by_default(ullage, context: Context, tmp_path: Path) -> None:
    export = write(tmp_path / "export.csv", BANK)
    assert ullage("watchlist", "load", export, "--tenant", "bank").exit_code == 0
    assert EnrolledLists(context.data, context.keys).tenants() == []
    assert "no list here, so a look-up has two answers" in ullage("check").stdout


def test_load_records_a_pair_for_each_value(ullage, context: Context, tmp_path: Path) -> None:
    people = [*BANK, customer(11, phone=BANK[0]["phone"])]
    export = write(tmp_path / "export.csv", people)
    result = ullage("watchlist", "load", export, "--tenant", "bank", "--enrolled")
    assert result.exit_code == 0
    assert pairs(context) == compute_tags(context, people)
    assert len(pairs(context)) == 33
    assert "bank customer registry: 33 pairs, created " in ullage("watchlist", "show").stdout
    assert "what is recorded: bank 33 values of " in ullage("check").stdout
    again = ullage("watchlist", "load", export, "--tenant", "bank")
    assert "because --enrolled was not given" in again.stderr
    assert not path_of(context.data, "bank").exists()


def test_email_is_recorded_with_and_without_plus_tag(
    ullage, context: Context, tmp_path: Path
) -> None:
    export = write(
        tmp_path / "export.csv", [{"customer_ref": "C1", "email": "li+shop@example.com"}]
    )
    ullage("watchlist", "load", export, "--tenant", "bank", "--enrolled")
    key, opened = (
        context.keys.read("bank/index-1.key"),
        VerifiedList(path_of(context.data, "bank"), context.keys, "bank"),
    )
    tags_of = {
        m: index_tags(key, "bank", "email", Secret(f"{m}@example.com"))
        for m in ("li+shop", "li", "li+x", "wang")
    }
    recorded = {
        mail: any(opened.has(bytes.fromhex(tag)) for tag in tags) for mail, tags in tags_of.items()
    }
    assert recorded == {"li+shop": True, "li": True, "li+x": True, "wang": False}


def test_list_built_elsewhere_serves_a_host_with_two_keys(
    ullage, context: Context, tmp_path: Path
) -> None:
    out, search = tmp_path / "out", Context(tmp_path / "search")
    result = ullage(
        "watchlist",
        "build",
        write(tmp_path / "export.csv", BANK),
        "--tenant",
        "bank",
        "--output",
        out,
        "--enrolled",
    )
    assert "to search, into its folder enrolled" in result.stdout
    list(setup.initialise(search))
    path = path_of(search.data, "bank")
    for folder in (path.parent, search.keys.root / "bank"):
        folder.mkdir(mode=0o700)
    shutil.copy(out / "bank.enrolled", path)
    for name in ("index-1.key", "verify.pub"):
        shutil.copy(context.keys.root / "bank" / name, search.keys.root / "bank")
    assert pairs(search) == compute_tags(context, BANK)
    assert sorted(p.name for p in out.iterdir()) == [
        "bank.enrolled",
        "bank.subjects",
        "bank.watchlist",
    ]
    ullage(
        "watchlist",
        "build",
        write(tmp_path / "export.csv", BANK),
        "--tenant",
        "bank",
        "--output",
        out,
    )
    assert sorted(p.name for p in out.iterdir()) == ["bank.subjects", "bank.watchlist"]


@pytest.mark.parametrize("apart", [False, True])
def test_daily_changes_give_the_same_list_as_a_new_load(
    ullage, context: Context, tmp_path: Path, apart: bool
) -> None:
    people, out = [customer(n) for n in range(300)], tmp_path / "out"
    how, path = (
        (("--output", out), out / "bank.enrolled") if apart else ((), path_of(context.data, "bank"))
    )
    export = write(tmp_path / "export.csv", people)
    ullage(
        "watchlist", "build" if apart else "load", export, "--tenant", "bank", "--enrolled", *how
    )
    for added, went in (
        ([customer(400), customer(7, phone="15400000777")], [{"customer_ref": "C000004"}]),
        ([customer(401), customer(4)], [{"customer_ref": "C000007", "phone": people[7]["phone"]}]),
    ):
        files = write(tmp_path / "came.csv", added), "--remove", write(tmp_path / "went.csv", went)
        assert ullage("watchlist", "update", *files, "--tenant", "bank", *how).exit_code == 0
    now = [
        *(person for person in people if person["customer_ref"] != "C000007"),
        customer(400),
        customer(401),
    ]
    now.append(customer(7, phone="15400000777"))
    assert pairs(context, path) == compute_tags(context, now)


def test_erased_customer_is_removed_from_the_registry(
    ullage, context: Context, tmp_path: Path
) -> None:
    ullage(
        "watchlist", "load", write(tmp_path / "export.csv", BANK), "--tenant", "bank", "--enrolled"
    )
    [handle] = handles(context.keys, "bank", [BANK[3]["customer_ref"]])
    result = ullage(
        "erase",
        "--case",
        "C-1",
        "--reason",
        "asked",
        "--tenant",
        "bank",
        "--subject",
        handle.tobytes().hex(),
    )
    assert result.exit_code == 0
    remaining = [person for person in BANK if person is not BANK[3]]
    assert sorted(set(pairs(context))) == compute_tags(context, remaining)
    assert handle.tobytes() not in path_of(context.data, "bank").read_bytes()
    # a host that has this list alone
    (context.data / "watchlists" / "bank" / "1.watchlist").unlink()
    (context.keys.root / "bank" / "match-1.key").unlink()
    [neighbour] = handles(context.keys, "bank", [BANK[4]["customer_ref"]])
    assert (
        ullage(
            "erase",
            "--case",
            "C-1",
            "--reason",
            "asked",
            "--tenant",
            "bank",
            "--subject",
            neighbour.tobytes().hex(),
        ).exit_code
        == 0
    )
    refused = ullage(
        "erase", "--case", "C-1", "--reason", "asked", "--tenant", "bank", "--subject", "ab"
    )
    assert "32 hexadecimal digits" in str(refused.exception)


def test_failed_load_leaves_the_list_unchanged(ullage, context: Context, tmp_path: Path) -> None:
    control = tmp_path / "totals"
    control.write_text("rows 999\n")
    export = write(tmp_path / "export.csv", BANK)
    bad = ("watchlist", "load", export, "--tenant", "bank", "--enrolled", "--control", control)
    assert ullage(*bad).exit_code != 0
    assert not (context.data / "enrolled").exists()
    ullage("watchlist", "load", export, "--tenant", "bank", "--enrolled")
    before = path_of(context.data, "bank").read_bytes()
    assert ullage(*bad).exit_code != 0
    assert path_of(context.data, "bank").read_bytes() == before


@pytest.mark.parametrize("command", [("check",), ("watchlist", "show")])
def test_damaged_list_is_a_one_line_error(
    ullage, context: Context, tmp_path: Path, command: tuple[str, ...]
) -> None:
    ullage(
        "watchlist", "load", write(tmp_path / "export.csv", BANK), "--tenant", "bank", "--enrolled"
    )
    path = path_of(context.data, "bank")
    content = bytearray(path.read_bytes())
    content[4100 if command == ("check",) else 60] ^= 4
    path.write_bytes(content)
    result = ullage(*command)
    assert result.exit_code != 0
    errors = [
        line
        for line in f"{result.stdout}\n{result.stderr}\n{result.exception or ''}".splitlines()
        if "bank.enrolled" in line
    ]
    assert len(errors) == 1
    assert command == ("check",) or isinstance(result.exception, ConfigError | SystemExit)
