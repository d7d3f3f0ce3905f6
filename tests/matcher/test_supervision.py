"""A crash of native code, or a loop without end, costs `scan` and `assess` one part of one text;
nothing is printed twice.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.matcher.bank import customer, phone, resident_id
from tests.matcher.test_stage import match_of
from ullage.bus import FINDINGS
from ullage.errors import Exit
from ullage.records import FINDING_SCHEMA, Finding
from ullage.records.incomplete import FAULTS
from ullage.runtime import dead_letters
from ullage.settings import Context

PROGRAM = """
import os, signal, sys
import matcher.cli.supervision as supervision
import matcher.detect.search as where
import matcher.match.batches as batches

find = where.find_phones
supervision.HANG_SECONDS = 1.0


def failing(batch, *words):
    if b"POISON" in batch.data.tobytes():
        {end}
    return find(batch, *words)


where.find_phones = failing
batches.BATCH = 4096
from ullage.cli import main
main()
"""
CRASH, HANG = "os.kill(os.getpid(), signal.SIGSEGV)", "\n        while True: pass"


def run(
    context: Context, end: str, *words: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM.format(end=end), "--data", str(context.data), *words]
    result = subprocess.run(command, input=stdin, capture_output=True, check=False)
    return subprocess.CompletedProcess(
        command, result.returncode, result.stdout.decode(), result.stderr.decode()
    )


@pytest.fixture
def folder(bank: Context, tmp_path: Path) -> Path:
    """Four files in order of name, of which the third holds what ends a process, and a batch
    holds several.
    """
    folder = tmp_path / "sent"
    folder.mkdir()
    for number, name in enumerate(("a.txt", "b.txt", "c.txt", "d.txt")):
        poison = "POISON " if name == "c.txt" else ""
        line = f"{poison}{customer(number)['name']} {phone(number)} {resident_id(number)}\n"
        (folder / name).write_text(line + "nobody stands in this line\n" * 50, encoding="utf-8")
    return folder


@pytest.mark.parametrize("end", [CRASH, HANG], ids=["crash", "hang"])
def test_scan_skips_the_crashing_part_and_prints_nothing_twice(
    bank: Context, folder: Path, end: str
) -> None:
    result = run(bank, end, "scan", str(folder))
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    counted = sorted((Path(row["path"]).name, row["kind"]) for row in rows)
    whole = [
        (name, kind)
        for name in ("a.txt", "b.txt", "c.txt", "d.txt")
        for kind in ("phone", "resident_id")
    ]
    assert counted == [pair for pair in whole if pair != ("c.txt", "phone")], result.stderr
    assert result.returncode == Exit.NO_VERDICT
    [line] = [line for line in result.stderr.splitlines() if FAULTS["phones"] in line]
    assert line.startswith(str(folder / "c.txt"))


def test_scan_reads_standard_input_again(bank: Context, folder: Path) -> None:
    result = run(bank, CRASH, "scan", "-", stdin=(folder / "c.txt").read_bytes())
    assert [json.loads(line)["kind"] for line in result.stdout.splitlines()] == ["resident_id"], (
        result.stderr
    )
    assert result.returncode == Exit.NO_VERDICT


@pytest.mark.parametrize("end", [CRASH, HANG], ids=["crash", "hang"])
def test_assess_prints_one_verdict_after_a_crash(bank: Context, folder: Path, end: str) -> None:
    result = run(bank, end, "assess", "--json", str(folder / "c.txt"))
    verdict = json.loads(result.stdout)
    assert (verdict["tenants"][0]["kinds"], result.returncode) == (
        {"resident_id": 1},
        Exit.NO_VERDICT,
    )
    assert [part["reason"] for part in verdict["not_read"]] == ["fault"]


@pytest.mark.parametrize("beside", [0, 3], ids=["alone", "among others"])
def test_match_publishes_all_but_the_crashing_part(bank: Context, beside: int) -> None:
    with match_of(bank) as match:
        match.put(f"POISON {customer(1)['name']} {phone(1)} {resident_id(1)}", post_id="faulty")
        for number in range(2, 2 + beside):
            match.put(phone(number), post_id=str(number))
    codes = [run(bank, CRASH, "match", "--once").returncode]
    while codes[-1] != Exit.DONE and len(codes) < 6:
        codes.append(run(bank, CRASH, "match", "--once").returncode)
    assert codes == [-signal.SIGSEGV, -signal.SIGSEGV, Exit.DONE]
    with closing(bank.bus()) as bus:
        records = bus.subscribe(FINDINGS, "alert").poll(100, 0.0)
        by_fault = {
            finding.incomplete: finding
            for finding in (Finding.decode(r.value, FINDING_SCHEMA) for r in records)
        }
        letters = [letter.reason for letter in dead_letters.waiting_or_parked(bus)]
    assert ({m.kind for m in by_fault[("phones",)].matches}, len(by_fault)) == (
        {"resident_id"},
        1 + bool(beside),
    )
    assert letters == ["internal"]


def test_run_without_a_fault_keeps_its_exit_code(bank: Context, folder: Path) -> None:
    for words, code in (
        (["scan", str(folder / "a.txt")], Exit.DONE),
        (["scan", "--fail", str(folder / "a.txt")], Exit.EXPOSED),
        (["scan", str(folder / "none.txt")], Exit.USAGE),
    ):
        result = run(bank, CRASH, *words)
        assert (result.returncode, "Traceback" in result.stderr) == (code, False)
