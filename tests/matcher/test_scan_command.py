"""`ullage scan` and `ullage match --once`: one JSON object a line, whose offsets cut out what
was found.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.factories import capture
from tests.matcher.bank import phone
from tests.matcher.conftest import BANK
from ullage.bus import CAPTURES, FINDINGS, Outgoing
from ullage.errors import ConfigError
from ullage.records import CAPTURE_SCHEMA
from ullage.security import keys
from ullage.security.capture_seal import CaptureSealer
from ullage.settings import Context

FIELDS = ["path", "start", "end", "kind", "form", "tenant", "subject", "confidence"]
ONE = BANK[1]


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the command line runs."""
    return Context(data)


def rows(done) -> list[dict]:
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_output_line_has_documented_fields_in_order(ullage, bank: Context, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"{ONE['name']}|{ONE['phone']}", encoding="utf-8")
    [row] = rows(ullage("scan", path))
    assert list(row) == FIELDS
    assert {k: v for k, v in row.items() if k != "subject"} == {
        "path": str(path), "start": 4, "end": 15, "kind": "phone", "form": "plain",
        "tenant": "bank", "confidence": 99,
    }  # fmt: skip
    assert len(bytes.fromhex(row["subject"])) == 16


@pytest.mark.parametrize(
    ("name", "text", "encoding", "cut"),
    [
        ("a.txt", f"姓名，手机\r\n张某，{phone(1)}\r\n", "gb18030", phone(1)),
        ("a.csv", f"x,{phone(1)[:3]}-{phone(1)[3:7]}-{phone(1)[7:]},y", "utf-16", "154-0000-0001"),
        ("a.html", f"<p>x</p>{phone(1)[:3]}<b>{phone(1)[3:]}</b>&nbsp;", "utf-8", "154<b>00000001"),
        ("a.htm", "&#49;5400000001&#32;", "utf-8", "&#49;5400000001"),
        ("a.json", r'{"a":"\u0031540000000\u0031"}', "utf-8", r"\u0031540000000\u0031"),
        ("a.txt", "手机１５４００００\u200b０００１。", "utf-8", "１５４００００\u200b０００１"),
    ],
)
def test_offsets_cut_the_value_out_of_the_decoded_text(
    ullage, bank: Context, tmp_path: Path, name: str, text: str, encoding: str, cut: str
) -> None:
    (tmp_path / name).write_bytes(text.encode(encoding))
    [row] = rows(ullage("scan", tmp_path / name))
    decoded = text.encode(encoding).decode(encoding)
    assert decoded[row["start"] : row["end"]] == cut


def test_folders_are_walked_in_order_without_following_links(
    ullage, bank: Context, tmp_path: Path
) -> None:
    tmp_path = tmp_path / "sent"  # the data folder beside it holds what cannot be read
    tmp_path.mkdir()
    for name in ("b/2.txt", "a/1.txt", "a/.hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(ONE["phone"])
    (tmp_path / "c.txt").symlink_to(tmp_path / "a" / "1.txt")
    (tmp_path / "empty.txt").touch()
    result = ullage("scan", tmp_path / "a", tmp_path / "b", tmp_path / "empty.txt")
    assert [os.path.relpath(row["path"], tmp_path) for row in rows(result)] == [
        "a/.hidden",
        "a/1.txt",
        "b/2.txt",
    ]
    assert "4 files scanned" in result.stderr
    assert len(rows(ullage("scan", tmp_path))) == 3


@pytest.mark.parametrize("leads", ["file", "folder", "nothing"])
def test_link_out_of_the_folder_is_reported_without_a_verdict(
    ullage, bank: Context, tmp_path: Path, leads
) -> None:
    scanned, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    scanned.mkdir()
    elsewhere.mkdir()
    (scanned / "a.txt").write_text("nothing\n")
    (elsewhere / "b.txt").write_text(ONE["phone"])
    (scanned / "link").symlink_to(
        {"file": elsewhere / "b.txt", "folder": elsewhere, "nothing": tmp_path / "gone"}[leads]
    )
    result = ullage("scan", scanned)
    assert (result.exit_code, result.stdout) == (3, "")
    assert f"{scanned}/link: a link, which is not followed" in result.stderr
    assert "1 file scanned, 1 not fully read (1 link)" in result.stderr


def test_link_inside_the_folder_does_not_affect_the_verdict(
    ullage, bank: Context, tmp_path: Path
) -> None:
    (tmp_path / "here" / "in").mkdir(parents=True)
    (tmp_path / "here" / "a.txt").write_text("nothing\n")
    (tmp_path / "here" / "b.txt").symlink_to("a.txt")
    (tmp_path / "here" / "c").symlink_to("in")
    result = ullage("scan", tmp_path / "here")
    assert (result.exit_code, result.stderr) == (0, "1 file scanned, all fully read\n")


@pytest.mark.parametrize("name", ["", "empty.txt"])
def test_empty_input_gives_no_verdict(ullage, bank: Context, tmp_path: Path, name) -> None:
    (tmp_path / "here").mkdir()
    if name:
        (tmp_path / "here" / name).touch()
    result = ullage("scan", tmp_path / "here")
    assert result.exit_code == 3
    assert "all fully read" not in result.stderr
    (tmp_path / "here" / "a.txt").write_text("nothing\n")
    assert ullage("scan", tmp_path / "here").exit_code == 0


def test_standard_input_is_scanned(ullage, bank: Context) -> None:
    assert [r["path"] for r in rows(ullage("scan", "-", input=ONE["email"].encode()))] == ["-"]


def test_undecodable_file_name_is_accepted(ullage, bank: Context, tmp_path: Path) -> None:
    (tmp_path / "sent").mkdir()
    (tmp_path / "sent" / os.fsdecode(b"a\xff.txt")).write_text(ONE["phone"])
    [row] = rows(ullage("scan", tmp_path / "sent"))
    assert row["path"].endswith("a�.txt")


def test_alarms_are_lines_without_a_subject(ullage, bank: Context, tmp_path: Path) -> None:
    text = f"流水{' ' * 60}一批内料 {ONE['phone']}"
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert [r["kind"] for r in rows(ullage("scan", tmp_path / "a.txt"))] == ["phone"]
    match, alarm = rows(ullage("scan", tmp_path / "a.txt", "--alarms"))
    assert list(alarm) == FIELDS
    assert match["kind"] == "phone"
    assert (alarm["kind"], alarm["tenant"], alarm["subject"], alarm["confidence"]) == (
        "lexicon",
        None,
        None,
        100,
    )
    assert text[alarm["start"] : alarm["end"]] == "内料"


def test_missing_file_is_a_one_line_error(ullage, bank: Context, tmp_path: Path) -> None:
    for command in (["scan"], ["assess"]):
        error = ullage(*command, tmp_path / "gone.txt").exception
        assert isinstance(error, ConfigError)
        assert error.exit_code == 2
        assert "gone.txt" in str(error)
        assert "\n" not in str(error)


def test_scan_without_a_watchlist_is_rejected(ullage, data: Path) -> None:
    assert "load one with `ullage watchlist load" in str(ullage("scan", data).exception)


def test_match_once_drains_the_bus(ullage, bank: Context) -> None:
    bus, sealer = bank.bus(), keys.load_sealer(bank.keys)
    sealed = CaptureSealer(sealer, keys.load_signer(bank.keys, "crawl")).seal(
        capture(body=phone(1).encode()).encode()
    )
    bus.publisher(CAPTURES).append(
        [Outgoing("paste", sealed, {"schema": str(CAPTURE_SCHEMA), "key_id": sealer.key_id})]
    )
    assert ullage("match", "--once").exit_code == 0
    assert len(bus.subscribe(FINDINGS, "alert").poll(9, 0.0)) == 1
    bus.close()


def test_scan_imports_no_modules_of_other_commands() -> None:
    unneeded = {
        "structlog",
        "prometheus_client",
        "rich.console",
        "scrapy",
        "matcher.watchlist.build",
        "matcher.cli.match",
    }
    script = f"import sys, matcher.cli.scan; print(*sorted(sys.modules.keys() & {unneeded}))"
    assert (
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout
        == "\n"
    )
