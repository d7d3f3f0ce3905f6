"""Find the passwords of archives in what stands beside them: a post, a note, a file's name.

Whoever passes an archive on tells how to open it: `解压密码：abc`, `Pass: abc`, `пароль от архива:
abc`, a file `password.txt` with nothing else in it, `data (pw 1234).zip`. These are tried on that
archive alone, in the memory of the child that reads it. They are never used to log in anywhere,
and are neither stored nor reported.
"""

from __future__ import annotations

import codecs
import html
import itertools
import os.path
import re
from collections.abc import Iterable, Iterator

from matcher.unpack.protocol import SEPARATOR

MOST, LONGEST, MOST_BYTES = 20, 64, 2048
"""Passwords that are tried on an archive, characters of one, and bytes of those that are passed
to a child.
"""
NOTE_BYTES, MOST_NOTES, MOST_OF_NOTE = 8 << 10, 256, 5
"""Bytes of a text that is a note, notes that are kept, and passwords in one: what names more is a
list of logins.
"""
SHORT_NOTE = 80
"""Characters of a note that may be nothing but the password."""
LABELS = (
    "解压缩密码|解压密码|解壓縮密碼|解壓密碼|压缩包密码|壓縮檔密碼|压缩密码|提取密码|密码|密碼|口令"
    r"|(?<![A-Za-z])(?:archive |zip |rar )?(?:password|passphrase|passwd|pass|pwd|pw)(?![A-Za-z])"
    "|пароль|mật khẩu|mat khau|contraseña|contrasena|clave|senha|mot de passe|passwort|kennwort"
    "|パスワード|비밀번호|şifre|parola|kata sandi|รหัสผ่าน|hasło"
)
OF_WHAT = (
    r"(?:[ _]?(?:от|к|для|на) \w{1,12}|[ _]giải nén|[ _](?:for|of|to)(?: the)? \w{1,12}"
    r"|[ _]de(?:l| la)? \w{1,12}|[ _](?:zip|rar|archive))?"
)
VALUE = r"[^\s\"'“”‘’「」『』《》<>|，。；、！？]"
_IS = r"(?:[:：=＝]|是|为|為|は|(?i:is|es|é|est|ist)(?=\s))?"
PASSWORD = re.compile(
    rf"(?i:{LABELS})(?i:{OF_WHAT})[ \t_\-]{{0,3}}{_IS}"
    rf"[\s\"'“‘「『《`*]{{0,4}}(?P<value>{VALUE}{{1,{LONGEST}}})"
)
ASCII_VALUE = re.compile(r"[!-~]{2,}")
TAIL = ")]}）】`*.,;:!?"
"""Signs that close a sentence or bracket and may belong to the password as well."""
ENDINGS = (".zip", ".7z", ".rar", ".zipx")
TAG = re.compile(r"<[^<>]{0,400}>")


def find_passwords(text: str) -> Iterator[str]:
    """Yield what a text calls a password, and the text itself if it is as short as one.

    A text that names over MOST_OF_NOTE (5) passwords names none. Each may come in several readings.

    >>> list(find_passwords("样本 100 条，解压密码：abc#2026 不要外传，" + "其余下周再发。" * 9))
    ['abc#2026']
    """
    plain = html.unescape(TAG.sub(" ", text)) if "<" in text else text
    values = [match["value"] for match in PASSWORD.finditer(plain)]
    if len(values) <= MOST_OF_NOTE:
        for value in values:
            yield from _list_readings(value)
    if len(text) <= SHORT_NOTE:
        yield from (line.strip() for line in text.splitlines() if line.strip())


def _list_readings(value: str) -> Iterator[str]:
    """Yield a value as it stands, and without what may follow a password, each reading one time."""
    readings = [value]
    for ending in ENDINGS:
        readings.append(readings[-1].removesuffix(ending))
    readings.append(readings[-1].rstrip(TAIL))
    if run := ASCII_VALUE.match(value):
        readings.append(run[0])
    yield from (reading for reading in dict.fromkeys(readings) if reading)


def list_passwords(texts: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return the passwords to try: those that texts and names state, then the names themselves.

    A name counts without its ending. Control characters end no password, and none is longer than
    LONGEST.
    """
    names = [name for name in names if name]
    passwords = dict[str, None]()
    for text in (*texts, *names):
        passwords |= dict.fromkeys(find_passwords(text))
    passwords |= dict.fromkeys(os.path.splitext(name)[0] for name in names)  # noqa: PTH122
    usable, size = list[str](), 0
    for password in passwords:
        size += len(password.encode("utf-8", "replace"))
        if password.isprintable() and 0 < len(password) <= LONGEST and size <= MOST_BYTES:
            usable.append(password)
    return usable[:MOST]


class Notes:
    """The short texts of a container, by path, and the `stated` passwords from outside it."""

    def __init__(self, stated: Iterable[str] = ()) -> None:
        self._stated, self._texts = list(stated), list[tuple[str, bytes]]()

    def add(self, path: str, body: bytes) -> None:
        """Keep a text, if it is a note."""
        if 0 < len(body) <= NOTE_BYTES and len(self._texts) < MOST_NOTES:
            self._texts.append((path, body))

    def list_for(self, path: str) -> list[str]:
        """Return the passwords to try on the archive at `path`, those of the nearest note first."""
        nearest = sorted(self._texts, key=lambda note: -_count_shared(note[0], path))
        texts = [decode_note(body) for _, body in nearest]
        name = path.rpartition("/")[2]
        stated = dict.fromkeys((*self._stated, *list_passwords(texts, [name])))
        return list(stated)[:MOST]


def _count_shared(one_path: str, other_path: str) -> int:
    """Count the containers that two paths have in common."""
    pairs = zip(one_path.split(SEPARATOR), other_path.split(SEPARATOR), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def decode_note(body: bytes) -> str:
    """Return the text of a note in UTF-8, UTF-16 with a mark, or GB18030."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body.decode("utf-16", "replace")
    try:
        return body.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError:
        return body.decode("gb18030", "replace")
