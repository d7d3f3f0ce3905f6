"""Define what the process that unpacks files may read, and how it reports what it found.

Archives and documents of strangers are parsed in a *child*: a fresh process without network, files
or keys. It turns a *container* (a zip, a workbook, a mail) into *members*, the texts in it, and
*outcomes*, one for each part that it could not read. `Limits` bounds its work; whatever a limit
cuts off has an outcome, so nothing is missed silently. The child writes frames to a pipe; the
parent never parses their content:

    ┌─────────┬───────────┬──────────────────┐
    │ kind u8 │ length u32│ payload          │    big-endian
    └─────────┴───────────┴──────────────────┘
    HELLO     flags u8: which protections are active
    ENTRY     number u32 of an entry that a parser begins to read
    MEMBER    container and media type u8, charset, NUL, path
    DATA      bytes of the member, up to END
    OUTCOME   reason u8 (index in `REASONS`), path
    DONE      the end

    HELLO (ENTRY | MEMBER DATA… END | OUTCOME)… DONE

If an entry ends the child, another child reads the container again, sends nothing up to that entry,
and leaves the entry out: a crash of native code costs one entry. `Halt` ends the reading of one
member or of everything, with a reason from `REASONS`.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple, Self

from matcher.unpack.formats import find_formats
from ullage.errors import UllageError

MIB, GIB = 1 << 20, 1 << 30


class Limits(NamedTuple):
    """The limits of one container with everything nested in it.

    Whatever a limit cuts off has an outcome that says so.
    """

    ratio: int = 250
    """Unpacked bytes for each packed byte, of a member and of the whole, beyond `free_bytes`.

    Dumps compress 5–20 times, sheets up to 60, repeated log lines 200; a deflate bomb 1,030.
    """
    free_bytes: int = 16 * MIB
    """Unpacked bytes from which the ratio counts: a small file of equal lines is no bomb."""
    total_bytes: int = 1 * GIB
    """Unpacked bytes in all, intermediate containers included: about ten seconds of matching."""
    member_bytes: int = 512 * MIB
    """Bytes of one member that are read; the rest is cut off."""
    nested_bytes: int = 128 * MIB
    """Bytes of a nested container, which is held in the child's memory.

    Streams and tars are not held.
    """
    depth: int = 6
    """Depth of nested containers.

    A mail with a zip of a tar.gz of workbooks has 4; 42.zip has 6.
    """
    entries: int = 100_000
    """Entries in all. A stealer's archive has about 20 for each victim."""
    cpu_seconds: int = 60
    """Processor time in whole seconds: 1 GiB of LZMA takes about 20."""
    memory_bytes: int = 768 * MIB
    """Address space beyond the container itself.

    The parsers' code takes about 100 MiB of it, LZMA dictionaries up to 64 MiB.
    """
    ocr_seconds: int = 0
    """Wall-clock seconds for all pictures together; 0 reads none.

    Each picture is read in a child of its own.
    """
    wall_seconds: float = 120.0
    """Seconds that the parent waits for the child in all.

    The parent's own work between two members is not counted.
    """

    def for_picture(self, seconds: float) -> Limits:
        """Return the limits for a child that reads one picture.

        `seconds` are those left for all pictures.
        """
        return self._replace(
            cpu_seconds=PICTURE_SECONDS,
            memory_bytes=PICTURE_MEMORY,
            wall_seconds=min(seconds, 2.0 * PICTURE_SECONDS),
        )

    def words(self) -> list[str]:
        """Return the limits that the child needs, as command line arguments in a fixed order.

        They reveal nothing about the container.
        """
        return [str(value) for value in self[:10]]


LOCAL = Limits(
    total_bytes=64 * GIB,
    member_bytes=64 * GIB,
    nested_bytes=512 * MIB,
    entries=1_000_000,
    cpu_seconds=3600,
    memory_bytes=2 * GIB,
    wall_seconds=7200.0,
)
"""Limits for files that a person chose on the command line.

They may be larger than a capture, and nothing waits behind them.
"""

OCR_SECONDS, LOCAL_OCR_SECONDS = 120, 3600
"""`Limits.ocr_seconds`, if pictures are read, of a capture and of a file that a person chose.

A picture takes 1 to 20 seconds.
"""
PICTURE_SECONDS = 60
"""Processor time of one picture: a long screenshot with a thousand cells takes as much."""
PICTURE_MEMORY = 3 * GIB
"""Address space for one picture: 0.6 GiB of libraries and models, and up to 1.5 GiB for 2000 by
2000 pixels, which is what is looked at at once; far more than any other reader takes, so only the
child of a picture has it.
"""
PICTURE_BYTES = 32 * MIB
"""Bytes of a picture file; a screenshot has fewer."""
PICTURE_PIXELS = 40_000_000
"""Pixels of a picture, by its header: 120 MB of memory.

A phone's camera has 12 to 50 million, a long screenshot 20.
"""


def write_all(descriptor: int, data: bytes | bytearray) -> None:
    """Write all of `data` to a file descriptor, in as many calls as that takes.

    Raises OSError if the other end is closed.
    """
    with memoryview(data) as view:
        written = 0
        while written < len(view):
            written += os.write(descriptor, view[written:])


class Halt(UllageError):  # noqa: N818  not a fault of ours: the end of reading, with its reason
    """Raised to end reading at a limit or fault; its `reason` is a key of `REASONS`.

    It ends one member or container or, with `whole`, everything.
    """

    def __init__(self, reason: str, *, whole: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.whole = reason, whole


class UnpackBudget:
    """Counts bytes and entries, and raises `Halt` at a limit.

    `words` are those of `Limits.words` and then the entries that crashed earlier children; `size`
    is that of the outermost container in bytes.
    """

    def __init__(self, words: list[str], size: int) -> None:
        numbers = [int(word) for word in words]
        self.ratio, self.free, self.total, self.member, self.nested, self.depth, self.entries = (
            numbers[:7]
        )
        self.cpu_seconds, self.memory, ocr_seconds = numbers[7:10]
        self.reads_pictures = ocr_seconds > 0
        self.crashed = numbers[10:]
        """Numbers of entries at which earlier children crashed."""
        self.taken = 0
        """Entries so far."""
        self._spent, self._size = 0, size

    def entry(self) -> None:
        """Count an entry; raises `Halt` (`too_many`, whole) beyond the limit."""
        self.taken += 1
        self.entries -= 1
        if self.entries < 0:
            raise Halt("too_many", whole=True)

    def spend(self, count: int) -> None:
        """Count unpacked bytes against the budget of the whole container.

        Raises Halt, which ends the reading: `too_large` beyond the total, `bomb` beyond the allowed
        ratio to the packed size.
        """
        self._spent += count
        if self._spent > self.total:
            raise Halt("too_large", whole=True)
        if self._spent > max(self.free, self.ratio * self._size):
            raise Halt("bomb", whole=True)

    def measure(
        self, chunks: Iterable[bytes], packed: Callable[[], int], limit: int = 0
    ) -> Iterator[bytes]:
        """Yield the chunks of one member, and count them.

        `packed` returns the number of packed bytes read so far; `limit` is the most bytes to yield,
        0 for the limit of members. Raises `Halt`: `too_large` after the bytes that still fit,
        `bomb` before the chunk that grew too far.
        """
        size, most = 0, limit or self.member
        for chunk in chunks:
            remaining = self.total - self._spent
            size += len(chunk)
            try:
                self.spend(len(chunk))
            except Halt as halt:
                if halt.reason == "too_large" and remaining > 0:
                    # the prefix up to the limit is kept whole
                    yield chunk[:remaining][: most - size + len(chunk)]
                raise
            if size > self.free and size > self.ratio * packed():
                raise Halt("bomb")
            if size > most:
                yield chunk[: most - size]
                raise Halt("too_large")
            yield chunk


REASONS = {
    "encrypted": ("encrypted, not read", "已加密，未读取"),
    "bomb": ("expands too much, the rest not read", "解压膨胀异常，其余未读取"),
    "too_deep": ("nested too deeply, not read", "嵌套过深，未读取"),
    "too_many": ("too many entries, the rest not read", "条目过多，其余未读取"),
    "too_large": ("too large, the rest not read", "过大，其余未读取"),
    "image": ("image, not read", "图片，未读取"),
    "ocr": (
        "image, read by OCR, which can misread or miss text",
        "图片，经文字识别读取，可能有误或遗漏",
    ),
    "audio_video": ("audio or video, not read", "音视频，未读取"),
    "binary": ("program or font, not read", "程序或字体，未读取"),
    "database": (
        "database or binary table, only its plain text read",
        "数据库或二进制表，仅读取明文部分",
    ),
    "unrecognised": (
        "not text and not a known format, only its plain text read",
        "非文本且类型不明，仅读取明文部分",
    ),
    "damaged": ("damaged, read as far as possible", "已损坏，仅读取可读部分"),
    "unsupported": ("of a format that cannot be read here", "此处无法读取的类型"),
    "timeout": ("took too long, the rest not read", "耗时过长，其余未读取"),
    "memory": ("needs too much memory, the rest not read", "所需内存过大，其余未读取"),
    "fault": (
        "a part of ullage failed on it, the rest read",
        "本系统的一个部件处理时出错，其余已读取",
    ),
    "denied": ("cannot be opened, not read", "无法打开，未读取"),
    "empty": ("empty, nothing to read", "为空，没有可读内容"),
    "link": (
        "a link, which is not followed: name its target instead",
        "链接，未跟随：请直接指明其目标",
    ),
    "masked": (
        "masked values, not looked up: each fits many people",
        "个脱敏值，每个都可能对应许多人，未查询",
    ),
    "spelt": ("numbers in notations that cannot be read", "个十一位数字，写法无法读取"),
    "digests": ("digests of a form that is not enrolled", "个摘要，其形式未登记"),
    "salted": (
        "digests of no enrolled value: salted, hashed twice, or of other people",
        "个摘要，均不属于已登记的值：可能加盐、二次摘要，或属于他人",
    ),
    "cookies": ("cookies of an unnamed site", "个Cookie，未注明所属网站"),
}
"""The closed list of reasons, each as text for people, in English and Chinese.

The keys are metric labels.
"""
SINGULAR = {
    "masked": "masked value, not looked up: it fits many people",
    "spelt": "number in a notation that cannot be read",
    "digests": "digest of a form that is not enrolled",
    "salted": "digest of no enrolled value: salted, hashed twice, or of somebody else",
    "cookies": "cookie of an unnamed site",
}
"""The English texts of reasons that count values, for one value."""
LOSES_NOTHING = frozenset(("empty",))
"""Reasons that cannot hide a loss.

They are reported, and leave the verdict on the remaining parts as it is.
"""


class UnreadPart(NamedTuple):
    """A part that was not read, or not completely.

    `path` may hold leaked values, as any file name may: it is for the person who chose the file,
    never for a log or a store.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.words()[0]}"

    @property
    def number(self) -> int:
        """The number of parts that this entry stands for."""
        return 1

    def words(self) -> tuple[str, str]:
        """Return why the part was not read, in words: (English, Chinese)."""
        return REASONS[self.reason]


class UnreadValueCount(UnreadPart):
    """A number of values in a text that no customer list can be searched for.

    `form` is the likely algorithm if they are digests.
    """

    _number: int
    _form: str

    def __new__(cls, path: str, reason: str, number: int, form: str = "") -> Self:  # noqa: D102
        part = super().__new__(cls, path, reason)
        part._number, part._form = number, form
        return part

    @property
    def number(self) -> int:
        """Return the number of values."""
        return self._number

    def words(self) -> tuple[str, str]:
        """Return how many values were not read and why, in words: (English, Chinese).

        >>> UnreadValueCount("a.txt", "digests", 1).words()[0]
        '1 digest of a form that is not enrolled'
        """
        english, chinese = super().words()
        english = SINGULAR.get(self.reason, english) if self._number == 1 else english
        probably = (
            (f" (probably {self._form})", f"（可能为{self._form}）") if self._form else ("", "")
        )
        return f"{self._number:,} {english}{probably[0]}", f"{self._number:,}{chinese}{probably[1]}"


class UnreadCounts:
    """The parts of some files that were not read, counted by reason."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.files = 0
        self._last = ""

    def add(self, outcome: UnreadPart, file: str) -> None:
        """Count an unread part of `file` by its reason.

        All parts of one file must be added before those of the next, because files are counted too.
        """
        self.reasons[outcome.reason] += outcome.number
        self.files += file != self._last
        self._last = file

    @property
    def matters(self) -> bool:
        """Return whether something may have been missed."""
        return bool(self.reasons.keys() - LOSES_NOTHING)

    def __str__(self) -> str:
        """Return the end of a sentence that begins with a number of files.

        Either `all read whole`, or how many were not, and the reasons with their counts.
        """
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.reasons.items()))
        return f"{self.files} not fully read ({reasons})" if reasons else "all fully read"


class Member:
    """One text out of a container; read it before the next, since its bytes come from the child.

    `path` is `a.zip!/b.csv`; `a.zip!/` is the list of names in the archive, one a line. It may hold
    leaked values, as the path of an outcome may. `container` is the kind of the container
    (`containers`), "" for a text outside any.
    """

    __slots__ = ("_lettered", "_next", "charset", "container", "media_type", "path")

    def __init__(
        self,
        path: str,
        media_type: str,
        charset: str,
        following: Callable[[], bytes],
        container: str = "",
        *,
        lettered: Callable[[], bool] = lambda: True,
    ) -> None:
        self.path, self.media_type, self.charset, self._next, self.container = (
            path,
            media_type,
            charset,
            following,
            container,
        )
        self._lettered = lettered

    @property
    def is_lettered(self) -> bool:
        """Return False if the bytes taken so far are known to have no long line of letters.

        See `formats.has_line`.
        """
        return self._lettered()

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in pieces of at most 2 MiB, each one time.

        If a member is cut off, the pieces simply end; its outcome follows.
        """
        while chunk := self._next():
            yield chunk

    def read(self) -> bytes:
        """Return the bytes that have not been taken yet, at most `Limits.member_bytes`."""
        return b"".join(self.chunks())


HELLO, ENTRY, MEMBER, DATA, END, OUTCOME, DONE = b"HNMDEOZ"
HEADER = struct.Struct(">BI")
MAX_DATA = 256 << 10
MAX_OTHER = 8 << 10
MAX_PATH = 4 << 10
OUT_OF_MEMORY = 3
"""Exit code of a child that has no memory left to report anything."""
NETNS, SECCOMP = 1, 2
"""Flags of HELLO: the child has a network namespace; it has given up system calls."""
REASON = tuple(REASONS)
LONGEST_REQUEST, PASSWORD = 8 << 10, "="
"""Bytes of a request, and what a password begins with in it."""
ENTRY_NUMBER = struct.Struct(">I")
ENDED = struct.Struct("@i")
"""The server's report on a child's end: its exit code, negative for a signal."""
TEXTS = ("text/plain", "text/html")
BYTES = "application/octet-stream"
"""Media type of binary data that is read as it is; an outcome reports it."""
ABOUT = "text/x-about"
"""Media type of the metadata of a file or mail (author, date), which is read as plain text."""
HEAVY = "application/x-heavy"
"""Media type of a nested container that needs a child of its own; the parent starts it."""
MEDIA = (*TEXTS, BYTES, ABOUT, HEAVY)
SEPARATOR = "!/"
CONTENT = "\0"
"""Name of the content of an outermost container that is a stream.

The child must not know the container's name.
"""


@cache
def containers() -> tuple[str, ...]:
    """Return the kinds of container of a text: "" (none), `other`, then the rest, sorted.

    They stand for the container's name, which never leaves match. Frames hold an index in this
    list.
    """
    return (
        "",
        "other",
        *sorted(
            {
                name
                for reader in find_formats().values()
                for name in reader.containers or (reader.kind,)
            }
            - {"other"}
        ),
    )


class ChildWriter:
    """The child's end of the protocol.

    Each frame is written before anything else is parsed, so that a crash costs only the entry that
    caused it. `crashed` are the numbers of entries that ended earlier children: nothing is written
    before the last of them.
    """

    def __init__(self, fd: int, crashed: Sequence[int] = ()) -> None:
        self._fd, self._waiting, self._open = fd, bytearray(), False
        self._crashed = tuple(crashed)
        self._is_silent = bool(crashed)
        self.members = 0

    def enters(self, number: int) -> bool:
        """Report that a parser begins to read entry `number`, and return whether it may.

        False if an earlier child crashed at it, so that it must be left out.
        """
        self.end()
        if number in self._crashed:
            self._is_silent = self._is_silent and number != self._crashed[-1]
            return False
        self._say(ENTRY, ENTRY_NUMBER.pack(number))
        return True

    def hello(self, flags: int) -> None:
        """Send the first frame: which protections are active."""
        is_silent, self._is_silent = self._is_silent, False
        self._say(HELLO, bytes((flags,)))
        self._is_silent = is_silent

    def member(self, path: str, media_type: str, charset: str, container: str = "") -> None:
        """Begin a member, and end the open one.

        `container` is the kind of the container that holds it.
        """
        self.end()
        self.members += 1
        self._open = True
        self._add(
            MEMBER,
            bytes((_member(container, media_type),))
            + charset.encode("ascii", "ignore")[:40]
            + b"\0"
            + _path(path),
        )

    def data(self, chunk: bytes) -> None:
        """Send bytes of the open member."""
        for start in range(0, len(chunk), MAX_DATA):
            self._say(DATA, chunk[start : start + MAX_DATA])

    def end(self) -> None:
        """End the open member, if any."""
        if self._open:
            self._open = False
            self._say(END, b"")

    def outcome(self, reason: str, path: str) -> None:
        """Report that the part `path` was not read; `reason` is a key of `REASONS`."""
        self.end()
        self._say(OUTCOME, bytes((REASON.index(reason),)) + _path(path))

    def done(self) -> None:
        """Send the last frame."""
        self.end()
        self._say(DONE, b"")

    def _add(self, kind: int, payload: bytes) -> None:
        if self._is_silent:
            return
        self._waiting += HEADER.pack(kind, len(payload))
        self._waiting += payload

    def _say(self, kind: int, payload: bytes) -> None:
        self._add(kind, payload)
        try:
            write_all(self._fd, self._waiting)
        except OSError:  # the parent has closed the pipe
            os._exit(1)
        self._waiting = bytearray()


def _member(container: str, media_type: str) -> int:
    names = find_formats()[container].containers if container in find_formats() else ()
    return containers().index(names[0] if names else container) * len(MEDIA) + MEDIA.index(
        media_type
    )


def _path(path: str) -> bytes:
    return path.encode("utf-8", "replace")[-MAX_PATH:]
