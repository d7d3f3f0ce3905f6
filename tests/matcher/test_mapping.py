"""Columns whose names are not known are proposed by their names and values: a person confirms,
or pastes the command.
"""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from matcher.cli.watchlist_options import (
    confirmed,
    is_evident,
    list_proposed_kinds,
    mappings,
    mask_value,
    require_columns,
)
from matcher.watchlist import installation
from matcher.watchlist.source import REFERENCE, Source
from tests.matcher.bank import phone
from ullage.errors import ConfigError
from ullage.security.keys import load_verify_key
from ullage.settings import Context

NUMBERS = [phone(number) for number in range(1, 6)]
RESIDENT_ID = "420106188905108614"


def write_list(folder: Path, header: str, *columns: list[str]) -> Source:
    """Write a file with this header and these columns."""
    rows = [",".join(row) for row in zip(*columns, strict=True)]
    (path := folder / "list.csv").write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return Source(path, {})


def references(count: int = 5) -> list[str]:
    return [f"C-{number}" for number in range(count)]


@pytest.mark.parametrize(
    ("header", "kinds"),
    [
        ("id,mobile", {"id": REFERENCE, "mobile": "phone"}),
        ("uid,contact", {"uid": REFERENCE, "contact": "phone"}),  # by its values
        ("customer_id,mobile", {"mobile": "phone"}),
        ("客户号,tel", {"tel": "phone"}),
        ("customer_ref,phone", {}),
        ("remark,phone", {}),
        ("CIF,Mob No.", {"Mob No.": "phone"}),
    ],
)
def test_mapping_is_proposed_for_unrecognised_columns(
    tmp_path: Path, header: str, kinds: dict[str, str]
) -> None:
    assert (
        list_proposed_kinds(mappings(write_list(tmp_path, header, references(), NUMBERS))) == kinds
    )


def test_short_names_of_a_bank_are_proposed_whole(tmp_path: Path) -> None:
    header = "CIF,Cust Nm,Mob No.,Govt ID #,PAN"
    columns = references(), ["李娜"] * 5, NUMBERS, [RESIDENT_ID] * 5, ["4111111111111111"] * 5
    source = write_list(tmp_path, header, *columns)
    with pytest.raises(ConfigError) as raised:
        require_columns(source, mappings(source), ["ullage"])
    assert str(raised.value).endswith(
        "use: ullage --map 'Cust Nm=name' --map 'Mob No.=phone'"
        " --map 'Govt ID #=resident_id' --map PAN=card"
    )


def test_id_column_of_resident_ids_is_not_a_reference(tmp_path: Path) -> None:
    assert list_proposed_kinds(
        mappings(write_list(tmp_path, "id,phone", [RESIDENT_ID] * 5, NUMBERS))
    ) == {"id": "resident_id"}


def test_mapping_contradicted_by_values_is_not_proposed(tmp_path: Path) -> None:
    assert list_proposed_kinds(
        mappings(write_list(tmp_path, "id,card_number,phone", references(), references(), NUMBERS))
    ) == {"id": REFERENCE}


def test_column_named_id_is_read_without_asking(tmp_path: Path) -> None:
    source = write_list(tmp_path, "id,phone", references(), NUMBERS)
    assert is_evident(mappings(source))
    assert confirmed(source).mapping == {"id": REFERENCE}
    [batch] = confirmed(source).batches()
    assert batch.references.strings() == references()


def test_non_interactive_load_prints_the_command_without_values(
    tmp_path: Path,
) -> None:
    source = write_list(tmp_path, "id,mobile,name", references(), NUMBERS, ["李娜"] * 5)
    with pytest.raises(ConfigError) as raised:
        require_columns(source, mappings(source), ["ullage", "watchlist", "load", "a list.csv"])
    assert str(raised.value).endswith(
        "use: ullage watchlist load 'a list.csv' --map id=customer_ref --map mobile=phone"
    )
    assert not any(number in str(raised.value) for number in NUMBERS)


def test_file_without_header_is_reported_without_values(tmp_path: Path) -> None:
    (path := tmp_path / "list.csv").write_text(
        "".join(f"C-{n},{number}\n" for n, number in enumerate(NUMBERS))
    )
    for act in (lambda: mappings(Source(path, {})), lambda: list(Source(path, {}).batches())):
        with pytest.raises(
            ConfigError, match="line 1 has values instead of column names"
        ) as raised:
            act()
        assert NUMBERS[0] not in str(raised.value)


def test_printed_command_loads_the_list(tmp_path: Path) -> None:
    source = write_list(tmp_path, "id,mobile", references(), NUMBERS)
    ullage = [sys.executable, "-m", "ullage", "--data", str(tmp_path / "data")]
    subprocess.run([*ullage, "init"], check=True, capture_output=True)
    load = [*ullage, "watchlist", "load", str(source.paths[0]), "--tenant", "bank"]
    refused = subprocess.run(
        load, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert refused.returncode == 2
    maps = refused.stderr.rpartition(" --tenant bank ")[2].split()
    result = subprocess.run(
        [*load, *maps], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert (result.returncode, "bank: 5 customers" in result.stdout) == (0, True), result.stderr


def test_daily_changes_use_the_mapping_of_the_list(tmp_path: Path) -> None:
    ullage = [sys.executable, "-m", "ullage", "--data", str(tmp_path / "data")]
    subprocess.run([*ullage, "init"], check=True, capture_output=True)
    whole = (
        write_list(tmp_path, "id,phone", references(), NUMBERS)
        .paths[0]
        .rename(tmp_path / "whole.csv")
    )
    (new := tmp_path / "new.csv").write_text(f"id,phone\nC-9,{phone(9)}\n")
    (gone := tmp_path / "gone.csv").write_text("id\nC-1\n")
    for words in (("load", whole), ("update", new, "--remove", gone, "--shrink")):
        result = subprocess.run(
            [*ullage, "watchlist", *map(str, words), "--tenant", "bank"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
    main = installation.path_of(tmp_path / "data", "bank", 1)
    key = load_verify_key(Context(tmp_path / "data").keys, "bank")
    assert installation.customers_of(main, main.with_suffix(installation.DELTA), key) == 5


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ("y", 0, "bank: 5 customers"),
        ("n", 2, "nothing was read"),
        ("mobile=wechat\nmobile=phone\ny", 0, "bank: 5 customers"),
    ],
)
def test_interactive_load_shows_masked_values_and_asks(
    tmp_path: Path, answer: str, code: int, said: str
) -> None:
    source = write_list(tmp_path, "id,mobile", references(), NUMBERS)
    ullage = [sys.executable, "-m", "ullage", "--data", str(tmp_path / "data")]
    subprocess.run([*ullage, "init"], check=True, capture_output=True)
    ours, theirs = pty.openpty()
    load = [*ullage, "watchlist", "load", str(source.paths[0]), "--tenant", "bank"]
    with subprocess.Popen(
        load, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"}
    ) as process:
        os.close(theirs)
        screen = _until(ours, "to correct one]")
        os.write(ours, f"{answer}\n".encode())
        screen += _until(ours, said)
    os.close(ours)
    assert process.returncode == code
    assert mask_value(NUMBERS[0]) in screen
    assert not any(number in screen for number in NUMBERS)


def _until(terminal: int, text: str) -> str:
    """Return what the screen shows once it shows `text`."""
    output = b""
    while text.encode() not in output:
        output += os.read(terminal, 4096)
    return output.decode()
