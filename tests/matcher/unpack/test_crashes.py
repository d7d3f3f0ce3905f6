"""A reader that crashes, or raises what nobody expects, costs the entry that it reads; all
others of the container are read.
"""

from __future__ import annotations

import pytest

from matcher.unpack import parent
from tests.matcher.unpack.builders import pdf_of, tar_of, zip_of
from tests.matcher.unpack.conftest import out_of

PROGRAM = """
import sys
sys.path.append(sys.argv.pop(1))
import ctypes, os
from matcher.unpack import child, formats

readers = formats.find_formats()
whole = readers["pdf"]


def failing(walk, body, path, depth):
    if b"POISON" in bytes(body):
        {end}
    whole.read(walk, body, path, depth)


readers["pdf"] = whole._replace(read=failing)
child.main()
"""
ENDS = {
    "crash": "ctypes.string_at(0)",
    "exit": "os._exit(1)",
    "fault": "raise Exception('154 0000 0001')",
}


@pytest.fixture(params=ENDS)
def failing_reader(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, own_servers: None
) -> str:
    """Children whose reader of PDF fails at a poisoned one."""
    monkeypatch.setattr(parent, "PROGRAM", PROGRAM.format(end=ENDS[request.param]))
    return request.param


FILES = {
    "a.txt": b"first",
    "b.pdf": pdf_of("second", trailer="% POISON"),
    "c.pdf": pdf_of("third"),
    "d.pdf": pdf_of("fourth", trailer="% POISON"),
    "e.zip": zip_of({"f.pdf": pdf_of("fifth"), "g.txt": b"sixth"}),
    "h.txt": b"seventh",
}


@pytest.mark.usefixtures("failing_reader")
@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_crash_on_one_member_reads_the_others_once(pack) -> None:
    unpacked = out_of(pack(FILES), alone=True)
    assert sorted(text.strip() for text in unpacked.texts.values()) == [
        "fifth",
        "first",
        "seventh",
        "sixth",
        "third",
    ]
    assert [outcome for outcome in unpacked.outcomes if outcome[1] == "fault"] == [
        ("!/b.pdf", "fault"),
        ("!/d.pdf", "fault"),
    ]


@pytest.mark.usefixtures("failing_reader")
def test_crashing_container_itself_is_named() -> None:
    unpacked = out_of(FILES["b.pdf"], alone=True)
    assert unpacked.outcomes[-1] == ("", "fault")


def test_repeated_crashes_are_limited(monkeypatch: pytest.MonkeyPatch, own_servers: None) -> None:
    monkeypatch.setattr(parent, "PROGRAM", PROGRAM.format(end=ENDS["crash"]))
    files = {f"{number:02}.pdf": FILES["b.pdf"] for number in range(parent.MOST_CRASHES + 4)}
    unpacked = out_of(zip_of(files), alone=True)
    assert [reason for _, reason in unpacked.outcomes] == ["fault"] * (parent.MOST_CRASHES + 1)
    assert unpacked.outcomes[-1][0] == ""
