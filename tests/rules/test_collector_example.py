"""The collector of the documents, in JavaScript: what it seals match opens, and finds the
customer in.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.matcher.bank import customer, enrol, phone
from ullage.cli import app
from ullage.runtime.dead_letters import read
from ullage.security.sealing import OVERHEAD
from ullage.settings import Context

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "collector.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SITE = 'platform = "ingest"\ncategory = "forum"\nlegal_basis = "PIPL 13(1)(3)"\nowner = "team"\n'
CONFIG = 'metrics = false\n[bus]\ncaptures = "spool:///spool?wait=0"\n[tenants.bank]\n'
CUSTOMERS = [customer(n) for n in range(40)]
Ullage = Callable[..., str]


@pytest.fixture
def zones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with OUTER, INNER and the example, as the page has them."""
    if shutil.which("node") is None:
        reason = "needs node (Debian: apt-get install nodejs)"
        pytest.fail(reason) if "CI" in os.environ else pytest.skip(reason)
    monkeypatch.setattr("ullage.runtime.service.stop_on_signals", lambda stop: None)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    inner = tmp_path / "INNER"
    assert CliRunner().invoke(app, ["--data", str(inner), "init"]).exit_code == 0
    (inner / "ullage.toml").write_text(CONFIG)
    (inner / "sites.d" / "loans.toml").write_text(SITE)
    enrol(Context(inner), "bank", CUSTOMERS, "none")
    return tmp_path


@pytest.fixture
def ullage(zones: Path) -> Ullage:
    def run(*words: str) -> str:
        result = CliRunner().invoke(app, ["--data", str(zones / "INNER"), *words])
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def write(zones: Path, *posts: object) -> None:
    lines = [
        post if isinstance(post, str) else json.dumps(post, ensure_ascii=False) for post in posts
    ]
    (zones / "posts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def offer(number: int, *people: int) -> dict[str, str]:
    rows = "\n".join(
        f"{CUSTOMERS[n]['name']} {CUSTOMERS[n]['phone']} {CUSTOMERS[n]['resident_id']}"
        for n in people
    )
    url = f"https://board.example.com/t/{number}"
    return {
        "site": "loans",
        "url": url,
        "title": "出售",
        "text": rows,
        "published_at": "2026-11-26T21:04:00+08:00",
    }


def list_shown_commands(*programs: str) -> list[str]:
    """Return the lines of the page's blocks that begin with one of `programs`, in their order."""
    lines = [line for language, block in BLOCKS if not language for line in block.splitlines()]
    return [line for line in lines if line.split()[0] in programs]


def shell(zones: Path, *lines: str, code: int = 0) -> str:
    process = subprocess.run(
        ["bash", "-ec", "\n".join(lines)], cwd=zones, capture_output=True, text=True, check=False
    )
    assert process.returncode == code, process.stderr
    return process.stdout + process.stderr


def carry(zones: Path, *, introduce: bool = True) -> None:
    """Carry out the page's steps on files: keys outward; collector, its key and files inward."""
    lines = list_shown_commands("mkdir", "cp", "node", "mv")
    shell(zones, *(line for line in lines if introduce or "OUTER/keys/signers" not in line))


def incidents(ullage: Ullage) -> list[dict[str, object]]:
    return [json.loads(line) for line in ullage("incidents", "list", "--json").splitlines()]


def test_page_shows_every_command_of_the_test() -> None:
    assert [
        line.split()[0] for line in list_shown_commands("mkdir", "cp", "node", "mv", "ullage")
    ] == [
        *("mkdir", "cp", "node", "cp", "mv"),
        *("ullage", "ullage", "ullage"),
    ]
    [post] = [block for language, block in BLOCKS if language == "json"]
    assert {"site", "url", "text"} <= json.loads(post).keys()


def test_sealed_post_becomes_an_incident_of_its_site(zones: Path, ullage: Ullage) -> None:
    write(
        zones,
        offer(1, *range(12)),
        {"site": "loans", "url": "https://board.example.com/t/2", "text": "天气很好"},
    )
    carry(zones)
    for line in list_shown_commands("ullage"):
        ullage(*line.split()[3:])
    [incident] = incidents(ullage)
    assert (incident["sites"], incident["customers"]) == (["loans"], 12)
    assert not list((zones / "OUTER" / "spool" / "captures").iterdir())


def test_unknown_signer_is_not_trusted_for_a_site(zones: Path, ullage: Ullage) -> None:
    write(zones, offer(1, *range(12)))
    carry(zones, introduce=False)
    ullage("match", "--once")
    ullage("alert", "--once")
    assert [incident["sites"] for incident in incidents(ullage)] == [["other"]]


def test_collector_resumes_and_completes_after_a_crash(zones: Path, ullage: Ullage) -> None:
    write(zones, offer(1, *range(12)))
    carry(zones)
    write(zones, offer(2, *range(20, 30)))
    shell(zones, *list_shown_commands("node"))
    folder = zones / "OUTER" / "spool" / "captures"
    [second] = folder.iterdir()
    second.rename(f"{second}.partial")  # a crash between spending the number and giving the name
    (folder / f"{3:020d}{second.name[20:]}.partial").write_bytes(b"half")  # and one before
    write(zones, offer(3, *range(30, 38)))
    shell(zones, *list_shown_commands("node"))
    assert sorted(int(path.name[:20]) for path in folder.iterdir()) == [2, 3]
    shell(zones, *list_shown_commands("mv"))
    ullage("match", "--once")
    ullage("alert", "--once")
    assert sorted(int(str(incident["customers"])) for incident in incidents(ullage)) == [8, 10, 12]


def test_invalid_line_is_named_without_its_content(zones: Path) -> None:
    write(zones, offer(1, 0), f"no json {phone(7)}", {"site": "loans", "text": phone(8)})
    shell(zones, *list_shown_commands("mkdir", "cp")[:2])
    output = shell(zones, *list_shown_commands("node"), code=1)
    assert "line 2: is no JSON" in output
    assert "line 3: url is missing" in output
    assert "1 posts sealed" in output
    assert phone(7) not in output
    assert phone(8) not in output


def test_missing_key_names_what_to_carry(zones: Path) -> None:
    write(zones, offer(1, 0))
    assert "carry keys/seal/*.pub" in shell(zones, *list_shown_commands("node"), code=2)


def test_no_post_is_outside_in_clear(zones: Path) -> None:
    write(zones, offer(1, 0))
    shell(zones, *list_shown_commands("mkdir", "cp")[:2], *list_shown_commands("node"))
    written = b"".join(path.read_bytes() for path in (zones / "OUTER").rglob("*") if path.is_file())
    assert not [value for value in CUSTOMERS[0].values() if value.encode() in written]
    assert b"board.example.com" not in written


def test_flipped_bit_is_detected(zones: Path, ullage: Ullage) -> None:
    write(zones, offer(1, *range(12)))
    carry(zones)
    [path] = (zones / "INNER" / "spool" / "captures").iterdir()
    content = bytearray(path.read_bytes())
    content[-OVERHEAD] ^= 1
    path.write_bytes(content)
    ullage("match", "--once")
    assert not [
        read(letter)
        for letter in Context(zones / "INNER").bus().subscribe("dead-letters", "test").poll(10, 0.0)
    ]
    assert list((zones / "INNER" / "spool" / "captures").glob("*.bad"))
