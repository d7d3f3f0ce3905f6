"""What comes out of a container: members, outcomes for what was not read, and why it was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

REASONS = {
    "encrypted": "encrypted, not read",
    "bomb": "grows too far for its size, the rest not read",
    "too_deep": "nested too deep, not read",
    "too_many": "too many entries, the rest not read",
    "too_large": "too large, the rest not read",
    "image": "image, not read",
    "ocr": "image, read by OCR, which misreads and misses",
    "audio_video": "audio or video, not read",
    "binary": "program or font, not read",
    "database": "database or binary table, read only as far as its words stand in clear",
    "unrecognised": "no text and of no known kind, read only as far as words stand in it in clear",
    "damaged": "damaged, read as far as it goes",
    "unsupported": "of a kind that cannot be read here",
    "timeout": "took too long, the rest not read",
    "memory": "needs too much memory, the rest not read",
    "denied": "cannot be opened, not read",
    "empty": "empty, there is nothing to read",
}
"""The closed list of reasons, each as it is said to a person. The keys are metric labels."""
IN_CHINESE = {
    "encrypted": "已加密，未读取",
    "bomb": "解压膨胀异常，其余未读取",
    "too_deep": "嵌套过深，未读取",
    "too_many": "条目过多，其余未读取",
    "too_large": "过大，其余未读取",
    "image": "图片，未读取",
    "ocr": "图片，经文字识别读取，可能有误或遗漏",
    "audio_video": "音视频，未读取",
    "binary": "程序或字体，未读取",
    "database": "数据库或二进制表，仅读取明文部分",
    "unrecognised": "非文本且类型不明，仅读取明文部分",
    "damaged": "已损坏，仅读取可读部分",
    "unsupported": "此处无法读取的类型",
    "timeout": "耗时过长，其余未读取",
    "memory": "所需内存过大，其余未读取",
    "denied": "无法打开，未读取",
    "empty": "为空，没有可读内容",
}
"""The same in Chinese."""
LOSES_NOTHING = frozenset(("empty",))
"""Of these nothing can have been missed: they are told, and leave the verdict on the rest as it is."""


class Outcome(NamedTuple):
    """Something that was not read, or not wholly.

    `path` may hold leaked values as any file name may: it is for the person who chose the file, never for a log or a store.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {REASONS[self.reason]}"


class Unread:
    """What was not read of some files, counted by reason as it is told."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.files = 0
        self._last = ""

    def add(self, outcome: Outcome, file: str) -> None:
        """Something in a file; of one file all is told before anything of the next."""
        self.reasons[outcome.reason] += 1
        self.files += file != self._last
        self._last = file

    @property
    def matters(self) -> bool:
        """Whether something may have been missed."""
        return bool(self.reasons.keys() - LOSES_NOTHING)

    def __str__(self) -> str:
        """The end of a sentence on how many files there were."""
        said = ", ".join(f"{count} {reason}" for reason, count in sorted(self.reasons.items()))
        return f"{self.files} not read or not wholly ({said})" if said else "all read whole"


class Member:
    """One text out of a container: to be read while it is the newest, since its bytes come straight from the child.

    `path` is `a.zip!/b.csv`; `a.zip!/` is the list of names in it, one a line. What goes for the path of an outcome goes for it.
    `container` is the kind of what it came out of (`protocol.containers`), "" for a text that lay in none.
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
        self.path, self.media_type, self.charset, self._next, self.container = path, media_type, charset, following, container
        self._lettered = lettered

    @property
    def is_lettered(self) -> bool:
        """False where what was taken so far is known to have no long line of letters (`envelopes.has_line`)."""
        return self._lettered()

    def chunks(self) -> Iterator[bytes]:
        """The bytes in pieces of at most 2 MiB, each once. A member that is cut off simply ends: its outcome follows."""
        while chunk := self._next():
            yield chunk

    def read(self) -> bytes:
        """The bytes that have not been taken yet, at most `Limits.member_bytes`."""
        return b"".join(self.chunks())
