"""First bytes of files that are no text, and the kinds that they say."""

from __future__ import annotations

TEXT, IMAGE, AUDIO_VIDEO, BINARY, ENCRYPTED, UNSUPPORTED = "text", "image", "audio_video", "binary", "encrypted", "unsupported"
DATABASE, ARMOURED, SQLITE, DBASE = "database", "armoured", "sqlite", "dbase"
UNREADABLE = (IMAGE, AUDIO_VIDEO, BINARY, ENCRYPTED, UNSUPPORTED)
"""Kinds that nothing is read of; each is the reason as well."""
IN_PART = {DATABASE: "database", ARMOURED: "encrypted"}
"""Kinds of which only the words are read that stand there in clear, and the reason that is given for that."""
SURE = {
    b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"PK\x07\x08PK": "zip", b"PK00PK": "zip",
    b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "rar", b"MSCF\0\0\0\0": "cab",
    b"\x1f\x8b\x08": "gz", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zst", b"\x04\x22\x4d\x18": "lz4",
    b"\x1f\x9d\x90": "Z", b"LZIP\1": "lz",
    b"%PDF-": "pdf", b"\xef\xbb\xbf%PDF-": "pdf", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "ole",
    b"\x89PNG\r\n\x1a\n": IMAGE, b"\xff\xd8\xff": IMAGE, b"GIF87a": IMAGE, b"GIF89a": IMAGE, b"II*\0": IMAGE, b"MM\0*": IMAGE,
    b"8BPS\0\1": IMAGE, b"\0\0\1\0": IMAGE, b"\0\0\0\x0cjP  ": IMAGE, b"\0\0\0\x0cJXL ": IMAGE,
    b"\xff\x4f\xff\x51": IMAGE, b"\x97JB2\r\n\x1a\n": IMAGE, b"\xd7\xcd\xc6\x9a\0\0": IMAGE,
    b"OggS\0": AUDIO_VIDEO, b"fLaC": AUDIO_VIDEO, b"\x1a\x45\xdf\xa3": AUDIO_VIDEO, b"FLV\x01": AUDIO_VIDEO,
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": AUDIO_VIDEO, b"\xff\xfb": AUDIO_VIDEO, b"\xff\xf3": AUDIO_VIDEO, b"ID3\2": AUDIO_VIDEO,
    b"ID3\3": AUDIO_VIDEO, b"ID3\4": AUDIO_VIDEO, b"\0\0\1\xba": AUDIO_VIDEO, b"\0\0\1\xb3": AUDIO_VIDEO,
    b"#!AMR\n": AUDIO_VIDEO, b"#!AMR-WB\n": AUDIO_VIDEO, b"#!SILK": AUDIO_VIDEO, b"\2#!SILK": AUDIO_VIDEO,
    b"\x7fELF": BINARY, b"\xca\xfe\xba\xbe": BINARY, b"\xcf\xfa\xed\xfe": BINARY, b"\xce\xfa\xed\xfe": BINARY, b"dex\n0": BINARY,
    b"\0asm": BINARY, b"OTTO\0": BINARY, b"\0\1\0\0\0": BINARY, b"ttcf\0": BINARY, b"wOFF": BINARY, b"wOF2": BINARY,
    # SQLite, its write-ahead log and its rollback journal; Access; Outlook, Outlook Express, Notes
    b"SQLite format 3\0": SQLITE, b"\x37\x7f\x06\x82": DATABASE, b"\x37\x7f\x06\x83": DATABASE,
    b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7": DATABASE,
    b"\0\1\0\0Standard Jet DB\0": DATABASE, b"\0\1\0\0Standard ACE DB\0": DATABASE, b"\0\1\0\0MSISAM Database\0": DATABASE,
    b"\xcf\xad\x12\xfe": DATABASE, b"\x1a\0\0\4\0\0": DATABASE,
    # Avro, Arrow, HDF5, NetCDF, Hadoop sequences, NumPy, property lists, Java objects
    b"Obj\1": DATABASE, b"ARROW1\0\0": DATABASE, b"\x89HDF\r\n\x1a\n": DATABASE, b"CDF\1": DATABASE, b"CDF\2": DATABASE,
    b"SEQ\6": DATABASE, b"RCF\1": DATABASE, b"\x93NUMPY": DATABASE, b"\xac\xed\0\5": DATABASE,
    # SQL Server's backups and files, Oracle's exports, MySQL's tables, registry and event logs, packets
    b"TAPE\0": DATABASE, b"\1\x0f\0\0": DATABASE, b"\3\0\1EXPORT:V": DATABASE, b"\3\0\3EXPORT:V": DATABASE,
    b"\xfe\1\7": DATABASE, b"\xfe\1\x09": DATABASE, b"\xfe\1\x0a": DATABASE, b"\xfe\xfe\3": DATABASE, b"\xfe\xfe\7": DATABASE,
    b"\xc1\x83\x2a\x9e": DATABASE, b"ElfFile\0": DATABASE, b"\xd4\xc3\xb2\xa1": DATABASE, b"\xa1\xb2\xc3\xd4": DATABASE,
    b"\x0a\x0d\x0d\x0a": DATABASE,
    # LUKS, BitLocker, AES Crypt, KeePass, OpenPGP and age
    b"LUKS\xba\xbe": ENCRYPTED, b"\xebR\x90-FVE-FS-": ENCRYPTED, b"\xebX\x90-FVE-FS-": ENCRYPTED, b"AES\1": ENCRYPTED,
    b"AES\2": ENCRYPTED, b"\x03\xd9\xa2\x9a\x67\xfb\x4b\xb5": ENCRYPTED, b"\x03\xd9\xa2\x9a\x65\xfb\x4b\xb5": ENCRYPTED,
    b"\x85\1\x0c\3": ENCRYPTED, b"\x85\2\x0c\3": ENCRYPTED, b"\x8c\x0d\4": ENCRYPTED, b"age-encryption.org/v1\n": ENCRYPTED,
    b"-----BEGIN PGP MESSAGE": ARMOURED, b"-----BEGIN AGE ENCRYPTED": ARMOURED, b"$ANSIBLE_VAULT;": ARMOURED,
    # RPM, Windows images and help, LZO, Snappy, lrzip, ALZip, StuffIt, disks
    b"\xed\xab\xee\xdb": UNSUPPORTED, b"MSWIM\0\0\0": UNSUPPORTED, b"ITSF\3\0\0\0": UNSUPPORTED,
    b"\x89LZO\0\r\n\x1a\n": UNSUPPORTED, b"\xff\6\0\0sNaPpY": UNSUPPORTED, b"LRZI\0": UNSUPPORTED, b"ALZ\1": UNSUPPORTED,
    b"SIT!\0": UNSUPPORTED, b"QFI\xfb": UNSUPPORTED, b"vhdxfile": UNSUPPORTED,
}  # fmt: skip
"""Bytes that no text begins with."""
BESIDE_CONTROLS = {
    b"PAR1": DATABASE, b"PARE": ENCRYPTED, b"ORC": DATABASE, b"FEA1": DATABASE, b"!BDN": DATABASE, b"PGDMP": DATABASE,
    b"REDIS0": DATABASE, b"$FL2": DATABASE, b"$FL3": DATABASE, b"<stata_dta>": DATABASE, b"RDX2\n": DATABASE, b"RDX3\n": DATABASE,
    b"bplist": DATABASE, b"regf": DATABASE, b"MATLAB 5": DATABASE, b"Salted__": ENCRYPTED,
    b"!<arch>\n": "ar", b"0707": "cpio", b"\xc7\x71": "cpio",
    b"II+\0": IMAGE, b"MM\0+": IMAGE, b"\xff\x0a": IMAGE, b"AT&TFORM": IMAGE, b"AC10": IMAGE,
    b"\xff\xf1": AUDIO_VIDEO, b"\xff\xf2": AUDIO_VIDEO, b"\xff\xf9": AUDIO_VIDEO, b"\xff\xfa": AUDIO_VIDEO, b"MThd": AUDIO_VIDEO,
    b".RMF": AUDIO_VIDEO, b"FORM": AUDIO_VIDEO, b"caff": AUDIO_VIDEO, b"MAC ": AUDIO_VIDEO,
    b"xar!": UNSUPPORTED, b"\x60\xea": UNSUPPORTED, b"7kSt": UNSUPPORTED, b"zPQ": UNSUPPORTED, b"EGGA": UNSUPPORTED,
    b"\x1f\xa0": UNSUPPORTED, b"CAJ": UNSUPPORTED, b"HN\0\0": UNSUPPORTED, b"KDMV": UNSUPPORTED, b"conectix": UNSUPPORTED,
}  # fmt: skip
"""Bytes that a text may begin with: they count where control characters follow that no text has."""
FURTHER_IN = {
    (2, b"-lh"): "lha", (7, b"**ACE**"): UNSUPPORTED, (8, b"WAVE"): AUDIO_VIDEO, (12, b"\x61\x15\6\0"): DATABASE,
    (12, b"\x62\x31\5\0"): DATABASE, (12, b"\0\6\x15\x61"): DATABASE, (12, b"\0\5\x31\x62"): DATABASE,
    (4, b"\xef\xcd\xab\x89"): DATABASE, (16, b"\xde\xc0\xef\xbe"): DATABASE, (40, b" EMF"): IMAGE, (128, b"DICM"): IMAGE,
    (16, b"\xc2\xea\x81\x60\xb3\x14"): DATABASE, (512, b"\x89HDF\r\n\x1a\n"): DATABASE,
}  # fmt: skip
"""Place and bytes, likewise: Berkeley DB, Exchange and Active Directory, LMDB, SAS among them."""
