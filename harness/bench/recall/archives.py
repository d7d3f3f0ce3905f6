"""Archives written by hand, so that reading them is tested against something else than the library
that reads them.

7z as in the format description of the public-domain LZMA SDK (7zFormat.txt), RAR 5.0 as in the
published technical note; the first with one LZMA2 coder, the second stored.
"""

from __future__ import annotations

import lzma
import struct
import zlib

SEVEN_ZIP = b"7z\xbc\xaf\x27\x1c\x00\x04"
LZMA2_ID, DICTIONARY = b"\x21", 1 << 20
LZMA2_DICTIONARY = 16
"""Property byte of LZMA2 for 2^20 bytes: 2^(12 + p / 2) for even p."""
RAR5 = b"Rar!\x1a\x07\x01\x00"


def seven_zip(name: str, body: bytes) -> bytes:
    """Return a 7z archive of one file in one LZMA2 stream, its header in clear."""
    packed = lzma.compress(
        body, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": DICTIONARY}]
    )
    names = b"\x00" + f"{name}\0".encode("utf-16-le")
    streams = b"".join((
        b"\x04",  # main streams
        # where the packed stream lies
        b"\x06" + seven(0) + seven(1) + b"\x09" + seven(len(packed)) + b"\x00",
        b"\x07\x0b" + seven(1) + b"\x00",  # one folder, described here
        seven(1) + bytes((0x20 | len(LZMA2_ID),)) + LZMA2_ID + seven(1) + bytes((LZMA2_DICTIONARY,
        )),
        b"\x0c" + seven(len(body)) + b"\x00",
        # its one file, with a checksum
        b"\x08\x0a\x01" + struct.pack("<I", zlib.crc32(body)) + b"\x00\x00",
    ))  # fmt: skip
    files = b"\x05" + seven(1) + b"\x11" + seven(len(names)) + names + b"\x00"
    header = b"\x01" + streams + files + b"\x00"
    place = struct.pack("<QQI", len(packed), len(header), zlib.crc32(header))
    return SEVEN_ZIP + struct.pack("<I", zlib.crc32(place)) + place + packed + header


def seven(number: int) -> bytes:
    """Return a number as 7z writes it: leading ones say how many bytes follow."""
    for extra in range(8):
        if number < 1 << (7 * (extra + 1)):
            first = (0xFF00 >> extra & 0xFF) | number >> (8 * extra)
            return bytes((first,)) + (number & ((1 << (8 * extra)) - 1)).to_bytes(extra, "little")
    return b"\xff" + number.to_bytes(8, "little")


def rar(name: str, body: bytes) -> bytes:
    """Return a RAR 5.0 archive of one stored file."""
    encoded = name.encode()
    file = _vint(0x04) + _vint(len(body)) + _vint(0o100644) + struct.pack("<I", zlib.crc32(body))
    file += _vint(0) + _vint(1) + _vint(len(encoded)) + encoded
    main = _block(1, b"", _vint(0))
    return (
        RAR5
        + main
        + _block(2, _vint(len(body)), file, flags=0x02)
        + body
        + _block(5, b"", _vint(0))
    )


def _block(kind: int, size: bytes, fields: bytes, flags: int = 0) -> bytes:
    """Return a RAR header.

    It has a CRC-32, the length, the type, the flags, the size of the data if there is any, and the
    fields of its type.
    """
    head = _vint(kind) + _vint(flags) + size + fields
    head = _vint(len(head)) + head
    return struct.pack("<I", zlib.crc32(head)) + head


def _vint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the high bit says that more follow."""
    octets = bytearray()
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*octets, number))
