"""Files that are bytes: what is made of a rendered text.

Each builder takes the text and the options of its file, and returns bytes by file name.
"""

from __future__ import annotations

import base64
import hashlib
import plistlib
import sqlite3
import struct
import zlib
from collections.abc import Callable, Mapping
from email.message import EmailMessage

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from harness.bench.recall.archives import SEVEN_ZIP, seven
from harness.bench.recall.containers import docx, parts, pdf, xlsx
from tests.matcher.unpack.builders import libarchive_of

Options = Mapping[str, str]
Builder = Callable[[str, Options], dict[str, bytes]]


def _alone(write: Callable[[str], bytes]) -> Builder:
    return lambda text, options: {options["name"]: write(text)}


def plain(text: str, options: Options) -> dict[str, bytes]:
    """Return the text in its encoding."""
    return {options["name"]: text.encode(options.get("encoding", "utf-8"))}


def _cells(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def bson(text: str) -> bytes:
    """Return a document a row: a name, and a number as int64 (what `mongodump` writes)."""
    elements = b""
    for name, number in _cells(text):
        key = name.encode() + b"\0"
        body = (
            b"\x02name\0"
            + struct.pack("<i", len(key))
            + key
            + b"\x12phone\0"
            + struct.pack("<q", int(number))
            + b"\0"
        )
        elements += struct.pack("<i", len(body) + 4) + body
    return elements


def build_deleted_rows(text: str) -> bytes:
    """Return an SQLite file whose rows were deleted and not overwritten."""
    base = sqlite3.connect(":memory:")
    base.execute("PRAGMA secure_delete = off")
    base.execute("CREATE TABLE contacts (name TEXT, phone TEXT)")
    base.execute("CREATE TABLE settings (key TEXT, value TEXT)")
    base.execute("INSERT INTO settings VALUES ('theme', 'dark')")
    base.executemany("INSERT INTO contacts VALUES (?, ?)", _cells(text))
    base.commit()
    base.execute("DELETE FROM contacts WHERE rowid > 1")
    base.execute("DELETE FROM contacts")
    base.commit()
    return base.serialize()


def property_list(text: str) -> bytes:
    """Return a binary property list with numbers as integers, as an address book of macOS writes
    it.
    """
    return plistlib.dumps(
        [{"name": name, "phone": int(number)} for name, number in _cells(text)],
        fmt=plistlib.FMT_BINARY,
    )


def in_zip(text: str, options: Options) -> dict[str, bytes]:
    """Return a zip archive with the text as its member `member`."""
    return {
        options["name"]: parts({options["member"]: text.encode(options.get("encoding", "utf-8"))})
    }


def encrypt(text: str, options: Options) -> dict[str, bytes]:
    """Return an encrypted archive and a note with its password.

    The note is beside the archive, a mail around it, or in an archive with it.
    """
    name, body, password = (
        options["name"],
        text.encode(options.get("encoding", "utf-8")),
        options["password"],
    )
    make = encrypt_7z if name.endswith(".7z") else encrypt_zip
    archive = make(
        options.get("member", "list.txt"), body, password, options.get("method", "aes256")
    )
    note = options.get("note", "").replace("{password}", password)
    if options.get("wrap") == "mail":
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = (
            "a@mail.invalid",
            "b@mail.invalid",
            options.get("subject", "data"),
        )
        message.set_content(note)
        message.add_attachment(
            archive, maintype="application", subtype="octet-stream", filename=name
        )
        return {"message.eml": message.as_bytes()}
    files = {name: archive} | (
        {options.get("note_name", "readme.txt"): note.encode()} if note else {}
    )
    return {"upload.zip": parts(files)} if options.get("wrap") == "zip" else files


def encrypt_zip(member: str, body: bytes, password: str, method: str) -> bytes:
    """Return a zip archive by libarchive; `method` is traditional, aes128 or aes256."""
    return libarchive_of(
        {member: body}, "zip", options=f"zip:encryption={method}", password=password
    )


def encrypt_7z(member: str, body: bytes, password: str, _: str) -> bytes:
    """Return a 7z archive of one stored file in AES-256 (7zAES of the LZMA SDK), its names in
    clear.
    """
    rounds, vector = 10, hashlib.md5(member.encode(), usedforsecurity=False).digest()
    state, secret = hashlib.sha256(), password.encode("utf-16-le")
    for number in range(1 << rounds):
        state.update(secret + number.to_bytes(8, "little"))
    cipher = Cipher(algorithms.AES(state.digest()), modes.CBC(vector)).encryptor()
    packed = cipher.update(body + bytes(-len(body) % 16)) + cipher.finalize()
    names = b"\x00" + f"{member}\0".encode("utf-16-le")
    properties = bytes((0x40 | rounds, 0x0F)) + vector
    streams = b"".join((
        b"\x04\x06" + seven(0) + seven(1) + b"\x09" + seven(len(packed)) + b"\x00",
        b"\x07\x0b" + seven(1) + b"\x00" + seven(1),
        # one coder with an ID of four bytes
        b"\x24\x06\xf1\x07\x01" + seven(len(properties)) + properties,
        b"\x0c" + seven(len(body)) + b"\x00",
        b"\x08\x0a\x01" + struct.pack("<I", zlib.crc32(body)) + b"\x00\x00",
    ))  # fmt: skip
    files = b"\x05" + seven(1) + b"\x11" + seven(len(names)) + names + b"\x00"
    header = b"\x01" + streams + files + b"\x00"
    place = struct.pack("<QQI", len(packed), len(header), zlib.crc32(header))
    return SEVEN_ZIP + struct.pack("<I", zlib.crc32(place)) + place + packed + header


BUILDERS: dict[str, Builder] = {
    "plain": plain,
    "bson": _alone(bson),
    "deleted": _alone(build_deleted_rows),
    "plist": _alone(property_list),
    "xlsx": _alone(xlsx),
    "docx": _alone(docx),
    "pdf": _alone(pdf),
    "zip": in_zip,
    "encrypted": encrypt,
    "base85": _alone(lambda text: base64.b85encode(text.encode())),
    "ascii85": _alone(lambda text: base64.a85encode(text.encode(), wrapcol=76, adobe=True)),
}
