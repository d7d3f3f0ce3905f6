"""R13: each file of the data folder with a flipped byte and cut short, at ten places each, empty,
and another's content.

What is read is what was written, or it is refused or said, with the file's name; no other error,
nothing of what stood there.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.state import folder
from tests.state.folder import CHANGEABLE, Told, files, is_one_of, open_folder, reader_of
from ullage.errors import ConfigError, CorruptError

TIMES = 10
FOREIGN = b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 40
DATABASE = ("", "-wal", "-shm", ".commits")
NAMES = (
    "audit/command/0000000001.jsonl",
    "audit/command/head.json",
    "building/bank.subjects",
    "building/bank.transfers",
    "clock/record.json",
    *(
        f"{name}.sqlite{ending}"
        for name in ("accounts", "bus/findings", "frontier", "incidents")
        for ending in DATABASE
    ),
    "enrolled/bank.enrolled",
    "enrolled/bank.enrolled.amended",
    "evidence/bank/f1d1.evidence",
    "inventory/command.json",
    "keys/audit/command.key",
    "keys/bank/match-1.key",
    "keys/bank/verify.pub",
    "keys/frontier.key",
    "keys/notify/security-team",
    "keys/seal/*.key",
    "keys/signers/findings/*.pub",
    "rules/jargon.tsv",
    "rules/verdict.toml",
    "sites.d/demo-forum.toml",
    "spool/captures/*3-*.spool",
    "spool/positions/captures.match.json",
    "spool/streams/captures.expired.json",
    "spool/streams/captures.json",
    "ullage.toml",
    "watchlist-sizes/bank.size",
    *(f"watchlists/bank/{name}" for name in ("1.delta", "1.watchlist", "1.watchlist.amended")),
)
"""One of each kind, as patterns: streams and keys are named at random; of several files that fit
it is the first.
"""
PAIRS = ("resolver.key", "resolver.pub", "sign.key", "verify.pub", "console.key", "console.pub")
ROLES = "alert assess crawl erase ingest match search".split()
MORE = (
    *(
        f"{name}.sqlite{ending}"
        for name in ("bus/captures", "bus/dead-letters", "collect")
        for ending in DATABASE
    ),
    *(f"evidence/bank/f1d{n}.evidence" for n in (0, 2)),
    *(
        f"keys/{name}"
        for name in (
            *(f"bank/{name}" for name in (*PAIRS, "handle.key", "index-1.key")),
            *(f"sign/{role}.key" for role in ROLES),
            *(f"signers/{topic}/*.pub" for topic in ("captures", "erasures", "events", "sheets")),
            *("capture.key", "evidence/li.pub", "evidence/wang.pub", "seal/*.pub"),
        )
    ),
    "keys/inventory/*.key",
    "keys/audit/command.mark",
    *(f"rules/{name}" for name in ("background.toml", "context.tsv")),
    "sites.d/demo-pastes.toml",
    *(f"spool/captures/*{n}-*.spool" for n in (2, 4)),
)
"""Of the same kinds: looked at by `make test-faults`."""
EMPTY = ("*.hold", "*.off", "*lock")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return folder.make(tmp_path_factory.mktemp("state"))


@dataclass(frozen=True)
class Outcome:
    """What a reader gave, or the error with which it refused, and what it logged."""

    value: Any
    error: str = ""
    warnings: str = ""


class DamagedCopies:
    """Copies of the folder with one file changed; what was read of the whole one."""

    def __init__(self, whole: Path, name: str) -> None:
        file = min(whole.glob(name))
        self.name, self.content = str(file.relative_to(whole)), file.read_bytes()
        reader = reader_of(self.name)
        assert reader, f"nothing reads {name}"
        self.read, parts = reader
        self.copy = folder.Copy(whole, parts, whole.parent / "copy")
        self.before = self.outcome(self.content)
        assert not self.before.error

    def outcome(self, content: bytes) -> Outcome:
        """Return what is read when the file holds `content`.

        An error that is none of ours, or one that would pass, goes through.
        """
        self.copy.restore()
        (self.copy.path / self.name).write_bytes(content)
        with capture_logs() as logs:
            try:
                value = self.read(open_folder(self.copy.path))
            except (ConfigError, CorruptError) as error:
                return Outcome(None, str(error))
        if isinstance(value, Told):
            return Outcome(None, warnings="\n".join(value.words))
        warnings = [str(line) for line in logs if line["log_level"] in ("warning", "error")]
        return Outcome(value, warnings="\n".join(warnings))

    def judge(self, content: bytes, what: str) -> str:
        """Return how the damage was dealt with.

        AssertionError when it was taken for content, or not reported well.
        """
        outcome = self.outcome(content)
        if outcome.error:
            assert file_name_in_error(self.name) in outcome.error, (what, outcome.error)
            assert "\n" not in outcome.error, (what, outcome.error)
            return "refused"
        if outcome.value == self.before.value:
            return "the same"
        if is_one_of(self.name, CHANGEABLE) and outcome.value is not None and content.strip():
            return "changed"
        assert outcome.warnings, (
            f"{self.name}, {what}: read as something else, and nothing was said"
        )
        return "said"


def file_name_in_error(name: str) -> str:
    """Return the name an error uses for a file: list or database parts share one."""
    last = Path(name).name
    return (
        last.partition("-")[0].removesuffix(".commits")
        if ".sqlite" in last
        else last.removesuffix(".amended")
    )


def places(name: str, size: int, times: int) -> Iterator[int]:
    """Yield `times` places spread over the file, the same for each name."""
    chance = random.Random(name)
    step = size / times
    yield from (int(step * n) + chance.randrange(max(1, int(step))) for n in range(times))


def flips(name: str, content: bytes, times: int) -> Iterator[tuple[str, bytes]]:
    chance = random.Random(name)
    for place in places(name, len(content), times):
        bit = 1 << chance.randrange(8)
        yield (
            f"bit {bit} of byte {place} flipped",
            content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :],
        )


def cuts(name: str, content: bytes, times: int) -> Iterator[tuple[str, bytes]]:
    yield "empty", b""
    for place in places(name, len(content), times - 1):
        yield f"cut to {place} bytes", content[:place]


def test_every_file_of_the_folder_is_covered(whole: Path) -> None:
    """A file that a later version adds needs a reader, and its name above."""
    holding = {name for name in files(whole) if not is_one_of(name, EMPTY)}
    assert {name for name in holding if not is_one_of(name, (*NAMES, *MORE))} == set()
    assert [name for name in (*NAMES, *MORE) if not list(whole.glob(name))] == []
    assert [name for name in holding if reader_of(name) is None] == []


@pytest.mark.parametrize("name", NAMES)
def test_flipped_bit_is_not_read_as_content(whole: Path, name: str) -> None:
    damaged = DamagedCopies(whole, name)
    for what, content in flips(name, damaged.content, TIMES):
        damaged.judge(content, what)


@pytest.mark.parametrize("name", NAMES)
def test_truncated_file_is_not_read_as_whole(whole: Path, name: str) -> None:
    damaged = DamagedCopies(whole, name)
    for what, content in cuts(name, damaged.content, TIMES):
        damaged.judge(content, what)


@pytest.mark.parametrize("name", NAMES)
def test_content_of_another_file_is_rejected(whole: Path, name: str) -> None:
    assert DamagedCopies(whole, name).judge(FOREIGN, "foreign") in ("refused", "said", "the same")
