"""R20, the way back: each kind of state file as a later version would leave it is refused in one
line, and left as it is.

What a later version will write nobody knows. Here it is the next number where a format has a
version, and where it has none one thing more than this version knows, under the digest or signature
that the format has.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from alerts.cases.feed import FILE as EVENTS
from alerts.cases.feed import SCHEMA as OF_EVENTS
from tests.state import folder
from tests.state.folder import Told, open_folder, reader_of
from tests.state.test_damage import whole
from ullage.audit.entry import read_head, read_line
from ullage.bus import CAPTURES
from ullage.bus.spool.files import BAD
from ullage.bus.spool.files import MAGIC as SPOOL
from ullage.errors import ConfigError, CorruptError
from ullage.files.database import VFS, open_database
from ullage.security.keys import KeyStore, load_signing_key

__all__ = ["whole"]
MORE = {"later": 1}
Change = Callable[[Path, KeyStore], None]


def compact(said: dict[str, Any]) -> bytes:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def database(path: Path, _: KeyStore) -> None:
    with closing(apsw.Connection(str(path), vfs=VFS)) as file:
        file.pragma("user_version", int(file.pragma("user_version")) + 1)


def raise_list_version(covers_magic: bool) -> Change:
    """Magic, length of the head, the head in JSON, its signature, which may cover the magic."""

    def change(path: Path, keys: KeyStore) -> None:
        content = path.read_bytes()
        (length,) = struct.unpack_from("<I", content, 8)
        magic, header = content[:8], json.loads(content[12 : 12 + length])
        head = json.dumps({**header, "version": header["version"] + 1}, sort_keys=True).encode()
        assert len(head) == length
        signature = load_signing_key(keys, header["tenant"]).sign(
            (magic if covers_magic else b"") + head
        )
        path.write_bytes(content[:12] + head + signature + content[12 + length + len(signature) :])

    return change


def with_digest(fields: dict[str, Any]) -> bytes:
    """Return a line with the `sha256` of its other fields, as evidence has it."""
    return compact(
        {**fields, "sha256": hashlib.sha256(compact({**fields, "sha256": ""})).hexdigest()}
    )


def evidence(path: Path, _: KeyStore) -> None:
    line, _newline, sealed = path.read_bytes().partition(b"\n")
    path.write_bytes(with_digest({**json.loads(line), **MORE}) + b"\n" + sealed)


def spool_state(path: Path, _: KeyStore) -> None:
    """Write a position of three numbers, or one more fact about the stream."""
    state = json.loads(path.read_bytes())["state"]
    grown = (
        {**state, **MORE}
        if "stream" in state
        else {stream: [*position, 1] for stream, position in state.items()}
    )
    path.write_text(
        json.dumps(
            {"state": grown, "crc32": zlib.crc32(json.dumps(grown, sort_keys=True).encode())}
        )
    )


def spool_file(path: Path, _: KeyStore) -> None:
    content, size = bytearray(path.read_bytes()), struct.calcsize(">8s16sQQIdQ")
    content[:8] = SPOOL[:-1] + b"%d" % (int(SPOOL[-1:]) + 1)
    content[size : size + 4] = struct.pack(">I", zlib.crc32(content[:size]))
    path.write_bytes(content)


def audit(read: Callable[[Path], Any]) -> Change:
    """Return a change that adds a field to an entry or head, signed with the chain's key."""

    def change(path: Path, keys: KeyStore) -> None:
        entry, key = read(path), keys.read("audit/command.key")
        kind = type(entry)
        later = type(kind.__name__, (kind,), {"__annotations__": {"later": int}})(
            **entry.model_dump(), later=1
        )
        line = later.model_copy(update={"digest": later.compute_digest(key)}).to_line()
        path.write_bytes(b"".join([*path.read_bytes().splitlines(keepends=True)[:-1], line]))

    return change


def knob(path: Path, _: KeyStore) -> None:
    path.write_text(f"later = 1\n{path.read_text()}")


BY_SCHEMA, BY_VERSION, BY_NAME, UNKNOWN, BY_MARK = (
    r"has schema 2, and this ullage reads 1: use the ullage that wrote it",
    r"was written by a newer ullage",
    r"has version \d+\b.*this ullage reads",
    r"later: unknown setting",
    r"or written by a newer version: use that version",
)
DATABASES = (
    "accounts",
    "bus/captures",
    "bus/findings",
    "bus/dead-letters",
    "frontier",
    "incidents",
    "collect",
)
LATER: dict[str, tuple[Change, str]] = {
    **{f"{name}.sqlite": (database, BY_SCHEMA) for name in DATABASES},
    "watchlists/bank/1.watchlist": (raise_list_version(covers_magic=False), BY_NAME),
    "watchlists/bank/1.delta": (raise_list_version(covers_magic=False), BY_NAME),
    "enrolled/bank.enrolled": (raise_list_version(covers_magic=True), BY_NAME),
    "evidence/bank/f1d1.evidence": (evidence, BY_MARK),
    "spool/positions/captures.match.json": (spool_state, BY_VERSION),
    "spool/streams/captures.expired.json": (spool_state, BY_VERSION),
    "spool/streams/captures.json": (spool_state, BY_VERSION),
    "audit/command/head.json": (audit(read_head), "if a newer ullage wrote it, use that version"),
    "audit/command/0000000001.jsonl": (
        audit(lambda path: read_line(path.read_bytes().splitlines(keepends=True)[-1])),
        "if a newer ullage wrote it, use that version",
    ),
    "ullage.toml": (knob, UNKNOWN),
    "sites.d/demo-forum.toml": (knob, UNKNOWN),
}
"""By the file's name: what makes a later version's of it, and what is said of that."""


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """Return a copy of the folder in which every database log is checkpointed."""
    data = tmp_path / "data"
    shutil.copytree(whole, data)
    shutil.copytree(whole.parent / "officers", tmp_path / "officers")
    for file in data.rglob("*.sqlite"):
        with closing(apsw.Connection(str(file), vfs=VFS)) as database:
            database.pragma("wal_checkpoint(truncate)")
    return data


def contents(data: Path) -> dict[Path, bytes]:
    return {
        path: path.read_bytes()
        for path in data.rglob("*")
        if path.is_file() and not path.name.endswith("lock")
    }


def read_refusal(copy: Path, name: str) -> str:
    """Return why the file is refused, in one line."""
    reader = reader_of(name)
    assert reader
    try:
        value = reader[0](open_folder(copy))
    except (ConfigError, CorruptError) as error:
        lines = [str(error)]
    else:
        assert isinstance(value, Told), "it was read"
        lines = value.words
    assert not any("\n" in line for line in lines)
    return "|".join(lines)


@pytest.mark.parametrize("name", LATER)
def test_file_of_a_later_version_is_rejected_and_left_unchanged(copy: Path, name: str) -> None:
    change, pattern = LATER[name]
    change(copy / name, KeyStore(copy / "keys"))
    before = contents(copy)
    message = read_refusal(copy, name)
    assert re.search(pattern, message), message
    assert str(copy / Path(name).parent) in message
    assert contents(copy) == before


def test_event_log_of_a_later_version_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / EVENTS
    open_database(path, OF_EVENTS).close()
    database(path, KeyStore(tmp_path))
    before = contents(tmp_path)
    with pytest.raises(CorruptError, match=BY_SCHEMA):
        open_database(path, OF_EVENTS)
    assert contents(tmp_path) == before


def test_spool_file_of_a_later_version_is_named_by_check_and_kept(copy: Path) -> None:
    [path] = (copy / "spool" / CAPTURES).glob("*3-*.spool")
    spool_file(path, KeyStore(copy / "keys"))
    content = path.read_bytes()
    with (
        closing(folder.spool(copy)) as bus,
        pytest.raises(CorruptError, match=BY_VERSION) as caught,
    ):
        bus.check(CAPTURES)
    assert str(path) in str(caught.value)
    assert read_refusal(copy, str(path.relative_to(copy)))  # who reads says that it was set aside
    assert path.with_name(f"{path.name}{BAD}").read_bytes() == content
