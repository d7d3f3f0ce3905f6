"""The walk by itself, without a child: whatever the bytes, it ends with an outcome and never
with an exception.
"""

import base64
import os
import quopri

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matcher.unpack import protocol
from matcher.unpack.formats import sniff
from matcher.unpack.protocol import Limits, UnpackBudget
from matcher.unpack.walk import BodyFile, Walk
from tests.matcher.unpack import builders
from tests.matcher.unpack.test_documents import OLE, mail

SOUND = {
    "zip": lambda: builders.zip_of(
        {"a.csv": b"15400000001\n" * 50, "n.zip": builders.zip_of({"b": b"x"})}
    ),
    "tar": lambda: builders.tar_of({"a.csv": b"15400000001\n" * 50}),
    "gz": lambda: builders.tar_of({"a.csv": b"15400000001\n" * 50}, "w:gz"),
    "xz": lambda: builders.tar_of({"a.csv": b"15400000001\n" * 50}, "w:xz"),
    "bz2": lambda: builders.tar_of({"a.csv": b"15400000001\n" * 50}, "w:bz2"),
    "rar": lambda: builders.rar4_of({"a.csv": b"15400000001\n" * 50}),
    "xlsx": lambda: builders.xlsx_of(
        {"S": '<row><c r="B1" t="s"><v>0</v></c></row>' * 9}, ("15400000001",)
    ),
    "docx": lambda: builders.docx_of("<w:p><w:t>15400000001</w:t></w:p>" * 9),
    "mail": lambda: mail().as_bytes(),
    "mbox": lambda: b"From a@example.com Mon Jan  1 00:00:00 2024\n" + mail().as_bytes(),
    "avro": lambda: builders.avro_of([["张某", "15400000001", n] for n in range(50)], "null"),
    "msgpack": lambda: builders.msgpack_of(
        [{"name": "张某", "phone": "15400000001", "more": [1, {"x": None}]}] * 20
    ),
    "rtf": lambda: builders.rtf_of("张某,15400000001\n" * 20, "hex"),
    "quoted": lambda: quopri.encodestring("张某,15400000001\n".encode() * 20),
    "picture": lambda: (
        b"\x89PNG\r\n\x1a\n" + bytes(99) + builders.zip_of({"a.csv": b"15400000001\n" * 50}, 0)
    ),
    "dbase": lambda: builders.dbf_of([("PHONE", 11), ("N", 3)], [["15400000001", "x"]] * 9),
    "sqlite": lambda: builders.sqlite_of([["15400000001", n] for n in range(50)]),
    "envelope": lambda: (
        b"x\n" + base64.encodebytes(builders.zip_of({"a.csv": b"15400000001\n" * 50}))
    ),
    "ole": lambda: OLE + "手机15400000001".encode("utf-16-le"),
}


def walk(body: bytes, kind: str) -> list[tuple[int, bytes]]:
    """Return the frames of a walk.

    A container that is only half built is walked as the kind that it would have been.
    """
    descriptor = os.memfd_create("frames")
    try:
        writer = protocol.ChildWriter(descriptor)
        Walk(UnpackBudget(Limits().words(), len(body)), writer, kind).everything(kind, body)
        writer.done()
        data, at, frames = os.pread(descriptor, 1 << 30, 0), 0, []
        while at < len(data):
            what, size = protocol.HEADER.unpack_from(data, at)
            at += protocol.HEADER.size + size
            frames.append((what, data[at - size : at]))
        return frames
    finally:
        os.close(descriptor)


def kind_of(name: str, body: bytes) -> str:
    """Return the kind of a body; a text that holds a container begins as any other text."""
    return name if name == "envelope" else sniff(body)


@pytest.mark.parametrize("kind", SOUND)
def test_intact_file_is_read(kind: str) -> None:
    body = SOUND[kind]()
    frames = walk(body, kind_of(kind, body))
    text = b"".join(payload for what, payload in frames if what == protocol.DATA)
    assert b"15400000001" in text
    assert frames[-1] == (protocol.DONE, b"")


def test_database_without_table_list_is_damaged() -> None:
    body = bytearray(SOUND["sqlite"]())
    del body[101:108]
    assert len(walk(bytes(body), "sqlite")) > 1


def test_avro_schema_without_type_is_damaged() -> None:
    before, mark, behind = SOUND["avro"]().rpartition(b'"type"')
    assert mark
    assert len(walk(before + b'"typo"' + behind, "avro")) > 1


@pytest.mark.parametrize("kind", SOUND)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_file_is_reported(kind: str, data: st.DataObject) -> None:
    sound = SOUND[kind]()
    body = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(body) - 1))
        new = data.draw(st.binary(max_size=8))
        body[place : place + data.draw(st.integers(0, 8))] = new
    frames = walk(bytes(body), kind_of(kind, sound))
    assert frames[-1] == (protocol.DONE, b"")
    # something was said of it; the text of an envelope is read by the parent
    assert len(frames) > 1 or kind == "envelope"


def test_body_file_acts_as_a_file() -> None:
    view = BodyFile(b"0123456789")
    assert (view.seek(-3, os.SEEK_END), view.read(2), view.tell(), view.read()) == (
        7,
        b"78",
        9,
        b"9",
    )
    assert (view.seek(2), view.seek(3, os.SEEK_CUR), view.read(1)) == (2, 5, b"5")
    assert view.readable()
    assert view.seekable()
    with pytest.raises(OSError):
        view.seek(-1)
