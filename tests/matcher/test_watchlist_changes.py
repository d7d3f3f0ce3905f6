"""A day's changes and the erasure of a customer: at once, without a new list, and really gone."""

import random
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from matcher.match.findings import find_all
from matcher.watchlist import installation
from matcher.watchlist.changes import erase_customer
from matcher.watchlist.file import erasure_path
from matcher.watchlist.tagging import TagKeys, handles, normal_name
from tests.factories import capture
from tests.matcher.bank import customer, enrol, matcher_of, phone, resident_id, to_csv
from tests.matcher.conftest import BANK
from ullage.errors import ConfigError, CorruptError
from ullage.settings import Context


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the command line runs."""
    return Context(data)


@pytest.fixture
def bank_with_list(load_list: Callable[..., Context], tmp_path: Path) -> Context:
    return load_list(put(tmp_path, BANK))


def put(folder: Path, rows: list[dict[str, str]], name: str = "list.csv") -> Path:
    (folder / name).write_text(to_csv(rows), encoding="utf-8")
    return folder / name


def handle(context: Context, number: int) -> str:
    return handles(context.keys, "bank", [f"C{number:06d}"]).tobytes().hex()


def find_subjects(context: Context, *texts: str) -> list[str]:
    captured = capture(body="\n".join(texts).encode())
    return [
        m.subject
        for f in find_all(matcher_of(context), [captured], context.clock.now())
        for m in f.matches
    ]


def holders(context: Context, numbers: Iterable[int]) -> list[tuple[int, str]]:
    """(place among `numbers`, handle) of everybody who has one of these phones."""
    epoch = installation.load(context)[0].epochs[0]
    hits, subjects = epoch.list.look_up(
        epoch.tags.tagger("phone", "plain").tag([phone(n).encode() for n in numbers])
    )
    return sorted((int(h), epoch.list.handle(int(s))) for h, s in zip(hits, subjects, strict=True))


def update(ullage, *words):
    # of ten customers each is a tenth
    return ullage("watchlist", "update", *words, "--tenant", "bank", "--shrink")


def test_added_and_removed_customers_take_effect_at_once(
    ullage, bank_with_list: Context, tmp_path: Path
) -> None:
    before = installation.path_of(bank_with_list.data, "bank", 1).read_bytes()
    added = put(
        tmp_path, [customer(20), {"customer_ref": "C000003", "phone": phone(99)}], "came.csv"
    )
    went = put(
        tmp_path,
        [{"customer_ref": "C000004"}, {"customer_ref": "C000005", "phone": phone(5)}],
        "went.csv",
    )
    result = update(ullage, added, "--remove", went)
    assert result.stdout == "bank: 2 customers, 4 identifiers, 53 entries\n"
    assert find_subjects(bank_with_list, phone(20)) == [handle(bank_with_list, 20)]
    assert find_subjects(bank_with_list, phone(3), phone(99)) == [handle(bank_with_list, 3)] * 2
    assert find_subjects(bank_with_list, phone(4), resident_id(4), phone(5)) == []
    assert find_subjects(bank_with_list, resident_id(5)) == [handle(bank_with_list, 5)]
    assert installation.load(bank_with_list)[0].customers == 10
    assert installation.path_of(bank_with_list.data, "bank", 1).read_bytes() == before
    assert "entries added" in ullage("watchlist", "show").stdout
    pseudonyms = tmp_path / "handles.txt"
    pseudonyms.write_text(handle(bank_with_list, 20), encoding="utf-8")
    resolved = ullage("subjects", "resolve", pseudonyms, "--case", "1", "--reason", "test")
    assert resolved.stdout.splitlines()[1:] == [f"{handle(bank_with_list, 20)},C000020"]


def test_next_daily_changes_build_on_the_last(
    ullage, bank_with_list: Context, tmp_path: Path
) -> None:
    update(
        ullage,
        put(tmp_path, [customer(20), customer(21)], "a.csv"),
        "--remove",
        put(tmp_path, [BANK[4]], "b.csv"),
    )
    update(ullage, "--remove", put(tmp_path, [{"customer_ref": "C000020"}], "c.csv"))
    assert find_subjects(bank_with_list, phone(20), phone(4)) == []
    assert find_subjects(bank_with_list, phone(21)) == [handle(bank_with_list, 21)]
    update(ullage, put(tmp_path, [BANK[4], customer(20)], "d.csv"))
    assert find_subjects(bank_with_list, phone(4), phone(20), phone(21)) == [
        handle(bank_with_list, n) for n in (4, 20, 21)
    ]
    ullage("watchlist", "load", put(tmp_path, BANK), "--tenant", "bank", "--shrink")
    assert find_subjects(bank_with_list, phone(20)) == []
    assert not installation.path_of(bank_with_list.data, "bank", 1).with_suffix(".delta").exists()


def test_field_added_later_belongs_to_the_same_customer(
    ullage, bank_with_list: Context, tmp_path: Path
) -> None:
    update(ullage, put(tmp_path, [{"customer_ref": "C000003", "phone": phone(99)}], "a.csv"))
    captured = capture(body=f"{phone(99)},{resident_id(3)}".encode())
    [finding] = find_all(matcher_of(bank_with_list), [captured], bank_with_list.clock.now())
    assert {m.own_fields for m in finding.matches} == {("ID", "PHONE")}


def test_removal_by_reference_removes_the_whole_customer(
    ullage, bank_with_list: Context, tmp_path: Path
) -> None:
    rows = [
        {"customer_ref": "C000004", "name": BANK[4]["name"]},
        {"customer_ref": "C000005", "phone": "  "},
    ]
    update(ullage, "--remove", put(tmp_path, rows, "went.csv"))
    assert find_subjects(bank_with_list, phone(4), resident_id(4), phone(5)) == []
    assert installation.load(bank_with_list)[0].customers == 8


def test_control_totals_of_daily_changes_must_match(
    ullage, bank_with_list: Context, tmp_path: Path
) -> None:
    added, totals = put(tmp_path, [customer(20)], "came.csv"), tmp_path / "control.txt"
    totals.write_text("rows 2", encoding="utf-8")
    assert "says rows 2, but 1 were read" in str(
        update(ullage, added, "--control", totals).exception
    )
    assert find_subjects(bank_with_list, phone(20)) == []
    totals.write_text("rows 1", encoding="utf-8")
    assert update(ullage, added, "--control", totals).exit_code == 0
    assert find_subjects(bank_with_list, phone(20)) == [handle(bank_with_list, 20)]


def test_kind_added_later_is_looked_up(ullage, context: Context, tmp_path: Path) -> None:
    ullage(
        "watchlist",
        "load",
        put(tmp_path, [{"customer_ref": "C000001", "phone": phone(1)}]),
        "--tenant",
        "bank",
    )
    update(
        ullage,
        put(tmp_path, [{"customer_ref": "C000002", "email": "late@example.com"}], "came.csv"),
    )
    assert find_subjects(context, "late@example.com") == [handle(context, 2)]
    assert ("email", "plain") in installation.load(context)[0].epochs[0].list.kinds
    update(ullage, put(tmp_path, [{"customer_ref": "C000003", "phone": phone(3)}], "came.csv"))
    assert find_subjects(context, "late@example.com") == [handle(context, 2)]


def test_changes_are_built_on_one_host_and_installed_on_another(
    ullage, context: Context, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ullage("watchlist", "build", put(tmp_path, BANK), "--tenant", "bank", "--output", out)
    ullage("watchlist", "load", out / "bank.watchlist", "--tenant", "bank")
    result = update(ullage, put(tmp_path, [customer(20)], "a.csv"), "--output", out)
    assert f"copy {out / 'bank.delta'} to match" in result.stdout
    assert find_subjects(context, phone(20)) == []
    output = ullage("watchlist", "load", out / "bank.delta", "--tenant", "bank").stdout
    assert output.startswith("bank: changes to key generation 1, 1 customers")
    assert find_subjects(context, phone(20)) == [handle(context, 20)]
    ullage("watchlist", "build", put(tmp_path, BANK), "--tenant", "bank", "--output", out)
    ullage("watchlist", "load", out / "bank.watchlist", "--tenant", "bank")
    stale = ullage("watchlist", "load", out / "bank.delta", "--tenant", "bank").exception
    assert (
        "changes another list than the one of key generation 1 here: install that list first"
        in str(stale)
    )


def test_unreadable_removal_is_rejected_and_changes_nothing(
    ullage, bank_with_list: Context, tmp_path: Path
) -> None:
    refused = update(
        ullage, "--remove", put(tmp_path, [{"customer_ref": "C000004", "phone": "777"}], "a.csv")
    )
    assert isinstance(refused.exception, ConfigError)
    assert (
        "line 2, column phone: has the wrong format: correct it, because every value to remove"
        " must be readable" in str(refused.exception)
    )
    assert find_subjects(bank_with_list, phone(4)) == [handle(bank_with_list, 4)]
    assert isinstance(update(ullage).exception, ConfigError)
    assert "tenant other is unknown" in str(
        ullage("watchlist", "update", tmp_path / "x", "--tenant", "other").exception
    )


def traces(context: Context, number: int) -> list[bytes]:
    """Return a customer's pseudonym and keyed hashes.

    The hashes come in the halves in which the file stores them.
    """
    keys, pseudonym = (
        TagKeys(context.keys, "bank", "match", 1),
        bytes.fromhex(handle(context, number)),
    )
    values = {
        "phone": phone(number),
        "resident_id": resident_id(number),
        "name": normal_name(customer(number)["name"]),
    }
    tags = [keys.tagger(kind, "plain").tag_one(value.encode()) for kind, value in values.items()]
    return [pseudonym, *(tag[8:][::-1] for tag in tags), *(tag[:8][::-1] for tag in tags)]


def find_traces(context: Context, number: int) -> list[bool]:
    files = b"".join(
        p.read_bytes() for p in (context.data / "watchlists").rglob("*") if p.is_file()
    )
    return [trace in files for trace in traces(context, number)]


def test_erased_customer_is_not_found_and_leaves_no_byte(
    ullage, bank_with_list: Context, tmp_path: Path
) -> None:
    update(
        ullage,
        put(tmp_path, [customer(20), {"customer_ref": "C000003", "phone": phone(99)}], "came.csv"),
    )
    update(ullage, "--remove", put(tmp_path, [BANK[3]], "went.csv"))
    assert all(find_traces(bank_with_list, 3))
    result = ullage(
        "erase",
        "--case",
        "C-1",
        "--reason",
        "asked",
        "--tenant",
        "bank",
        "--subject",
        handle(bank_with_list, 3),
    )
    assert re.search("watchlists: [1-9][0-9]* removed", result.stdout)
    assert not any(find_traces(bank_with_list, 3))
    remaining = [n for n in range(10) if n != 3] + [20]
    assert find_subjects(bank_with_list, phone(3), phone(99), resident_id(3)) == []
    assert [find_subjects(bank_with_list, phone(n)) for n in remaining] == [
        [handle(bank_with_list, n)] for n in remaining
    ]
    again = ullage(
        "erase",
        "--case",
        "C-1",
        "--reason",
        "asked",
        "--tenant",
        "bank",
        "--subject",
        handle(bank_with_list, 3),
    )
    assert (again.exit_code, "watchlists: 0 removed" in again.output) == (0, True)


def test_all_customers_are_erased_in_turn(bank_with_list: Context) -> None:
    remaining = list(range(10))
    random.Random(5).shuffle(remaining)
    while remaining:
        assert erase_customer(
            bank_with_list.data,
            bank_with_list.keys,
            "bank",
            handle(bank_with_list, remaining.pop()),
        ) in (33, 36)
        assert holders(bank_with_list, range(10)) == [
            (n, handle(bank_with_list, n)) for n in sorted(remaining)
        ]
    assert not any(any(find_traces(bank_with_list, n)) for n in range(10))


def test_erasing_one_owner_of_a_shared_value_keeps_the_others(context: Context) -> None:
    enrol(context, "bank", [customer(n, phone=phone(1)) for n in range(40)])
    remaining = list(range(40))
    random.Random(6).shuffle(remaining)
    while remaining:
        erase_customer(context.data, context.keys, "bank", handle(context, remaining.pop()))
        assert holders(context, [1]) == sorted((0, handle(context, n)) for n in remaining)
        assert asks_each(
            installation.load(context)[0].epochs[0],
            phone(1),
            [handle(context, n) for n in range(40)],
        ) == [n in remaining for n in range(40)]


def asks_each(epoch: installation.Epoch, number: str, subjects: list[str]) -> list[bool]:
    """Return whether a phone number belongs to each of the subjects."""
    handles = np.frombuffer(bytes.fromhex("".join(subjects)), np.uint8).reshape(-1, 16)
    rows = epoch.list.main.rows_of(handles)
    tags = np.repeat(epoch.tags.tagger("phone", "plain").tag([number.encode()]), len(rows), axis=0)
    return (epoch.list.belongs(tags, np.maximum(rows, 0)) & (rows >= 0)).tolist()


def test_ownership_of_values_agrees_with_look_up(
    ullage, bank_with_list: Context, tmp_path: Path
) -> None:
    changed = {"customer_ref": "C000003", "phone": phone(99)}
    added, went = (
        put(tmp_path, [customer(20), changed], "came.csv"),
        put(tmp_path, [BANK[4], {"customer_ref": "C000005"}], "went.csv"),
    )
    update(ullage, added, "--remove", went)
    epoch = installation.load(bank_with_list)[0].epochs[0]
    numbers = [*range(10), 20, 99]
    tags = epoch.tags.tagger("phone", "plain").tag([phone(n).encode() for n in numbers])
    hits, subjects = epoch.list.look_up(tags)
    true = set(zip(hits.tolist(), subjects.tolist(), strict=True))
    pairs = [(place, subject) for place in range(len(numbers)) for subject in range(12)]
    places, rows = np.array(pairs).T
    assert {
        pair
        for pair, holds in zip(pairs, epoch.list.belongs(tags[places], rows), strict=True)
        if holds
    } == true
    assert len(true) == 10
    assert epoch.list.belongs(tags[:0], rows[:0]).tolist() == []


def test_running_match_keeps_reading_during_an_erasure(bank_with_list: Context) -> None:
    [lists] = installation.load(bank_with_list)
    tags = lists.epochs[0].tags.tagger("phone", "plain").tag([phone(n).encode() for n in range(10)])
    erase_customer(bank_with_list.data, bank_with_list.keys, "bank", handle(bank_with_list, 3))
    lists.epochs[0].list.main.chunks._checked[:] = False
    hits, _ = lists.epochs[0].list.look_up(tags)
    assert sorted(hits.tolist()) == [n for n in range(10) if n != 3]


def test_interrupted_erasure_leaves_a_valid_file_and_is_completed(
    bank_with_list: Context, monkeypatch
) -> None:
    def cut(*_: object) -> int:
        raise OSError("no power")

    with monkeypatch.context() as patch:
        patch.setattr("matcher.watchlist.changes.os.pwrite", cut)
        with pytest.raises(OSError, match="no power"):
            erase_customer(
                bank_with_list.data, bank_with_list.keys, "bank", handle(bank_with_list, 3)
            )
    assert len(find_subjects(bank_with_list, phone(3))) == 1
    assert erase_customer(
        bank_with_list.data, bank_with_list.keys, "bank", handle(bank_with_list, 3)
    ) in (33, 36)
    assert find_subjects(bank_with_list, phone(3)) == []


def test_erasure_notes_apply_to_one_host_and_list(
    ullage, bank_with_list: Context, tmp_path: Path
) -> None:
    path = installation.path_of(bank_with_list.data, "bank", 1)
    erase_customer(bank_with_list.data, bank_with_list.keys, "bank", handle(bank_with_list, 3))
    note = erasure_path(path)
    body = note.read_bytes()
    for place in range(0, len(body), 7):
        note.write_bytes(body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
        with pytest.raises(CorruptError):
            installation.load(bank_with_list)
    note.write_bytes(body)
    ullage("watchlist", "load", put(tmp_path, BANK), "--tenant", "bank")
    assert not note.exists()
    assert find_subjects(bank_with_list, phone(3)) == [handle(bank_with_list, 3)]


@pytest.mark.parametrize("subject", ["xyz", "12", "é" * 32])
def test_erase_accepts_only_a_pseudonym(ullage, bank_with_list: Context, subject: str) -> None:
    error = ullage(
        "erase", "--case", "C-1", "--reason", "asked", "--tenant", "bank", "--subject", subject
    ).exception
    assert "32 hexadecimal digits" in str(error)


def test_no_match_is_lost_while_lists_and_changes_are_installed(
    bank_with_list: Context, tmp_path: Path
) -> None:
    """Everybody is in every list or its delta, so that each look-up must find all, whatever is
    swapped meanwhile.
    """
    everybody = [customer(n) for n in range(30)]
    stop, missed, rounds = threading.Event(), [], []
    keys = TagKeys(bank_with_list.keys, "bank", "match", 1)
    tags = keys.tagger("phone", "plain").tag([phone(n).encode() for n in range(30)])

    def ask() -> None:
        reader = Context(bank_with_list.data)
        while not stop.is_set():
            [lists] = installation.load(reader)
            hits, subjects = lists.epochs[0].list.look_up(tags)
            if sorted(hits.tolist()) != list(range(30)) or len(np.unique(subjects)) != 30:
                missed.append(hits.tolist())
            rounds.append(1)

    def search_until_done(*steps) -> None:
        stop.clear()
        thread = threading.Thread(target=ask)
        thread.start()
        for step in steps:
            step()
        stop.set()
        thread.join()

    for turn in range(10):
        enrol(bank_with_list, "bank", everybody[:20], shrink=True)
        change(bank_with_list, tmp_path, everybody[20:])
        search_until_done(
            lambda: enrol(bank_with_list, "bank", everybody),
            lambda first=turn: change(bank_with_list, tmp_path, everybody[first : first + 5]),
            lambda: enrol(bank_with_list, "bank", everybody[::-1], "none"),
        )
    assert missed == []
    assert len(rounds) > 10


def change(context: Context, folder: Path, rows: list[dict[str, str]]) -> None:
    from matcher.watchlist.changes import Changes
    from matcher.watchlist.source import Source

    main = installation.path_of(context.data, "bank", 1)
    (context.data / "building").mkdir(exist_ok=True)
    changes = Changes(context.keys, "bank", main, main.with_suffix(".delta"))
    changes.build(
        Source(put(folder, rows, "came.csv"), {}),
        None,
        folder / "x.delta",
        folder / "bank.subjects",
        context.clock.now(),
    )
    installation.install(
        context.data, context.keys, "bank", folder / "x.delta", context.clock.now()
    )


def test_many_daily_changes_agree_with_a_dictionary(
    ullage, context: Context, tmp_path: Path
) -> None:
    """Lists, changes, removals and erasures in any order, against one plain dictionary."""
    chance = random.Random(23)
    expected: dict[int, set[int]] = {n: {n} for n in range(8)}
    put(tmp_path, [customer(n) for n in expected])
    ullage("watchlist", "load", tmp_path / "list.csv", "--tenant", "bank", "--digests", "none")
    for _ in range(30):
        number, second = chance.randrange(12), chance.randrange(12)
        row = {"customer_ref": f"C{number:06d}", "phone": phone(second)}
        deed = chance.choice(["came", "came", "went", "left", "both", "erase", "load"])
        if deed in {"came", "both"}:
            words = [put(tmp_path, [row], "came.csv")]
            if deed == "both":
                words += ["--remove", put(tmp_path, [{**row, "phone": phone(number)}], "went.csv")]
                expected.setdefault(number, set()).discard(number)
            update(ullage, *words)
            expected.setdefault(number, set()).add(second)
        elif deed == "went":
            update(ullage, "--remove", put(tmp_path, [row], "went.csv"))
            expected.get(number, set()).discard(second)
        elif deed == "left":
            update(
                ullage,
                "--remove",
                put(tmp_path, [{"customer_ref": row["customer_ref"]}], "went.csv"),
            )
            expected.pop(number, None)
        elif deed == "erase":
            erase_customer(context.data, context.keys, "bank", handle(context, number))
            expected.pop(number, None)
        elif any(expected.values()):
            rows = [
                {"customer_ref": f"C{n:06d}", "phone": phone(p)}
                for n, numbers in expected.items()
                for p in numbers
            ]
            ullage(
                "watchlist",
                "load",
                put(tmp_path, rows),
                "--tenant",
                "bank",
                "--digests",
                "none",
                "--shrink",
            )
        assert holders(context, range(12)) == sorted(
            (p, handle(context, n)) for n, numbers in expected.items() for p in numbers
        )
