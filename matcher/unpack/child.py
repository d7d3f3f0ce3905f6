"""The child: `server` forks it for each container. Descriptors: 0 the container, 1 the pipe to the parent, 2 nowhere.

The order matters: import and load all that any parser may need (nothing can be opened later), which the server does for all of
its children; give up what can be given up; and only then look at the first byte.
"""

from __future__ import annotations

import codecs
import ctypes
import datetime  # noqa: F401, ICN001  calamine wants it at the first date, when no file can be opened any more
import mmap
import os
import sys
from importlib import import_module
from types import ModuleType

from matcher.unpack import frames, seccomp
from matcher.unpack.budget import Budget
from matcher.unpack.confine import confine, no_more_files
from matcher.unpack.libarchive import Archives
from matcher.unpack.pdfium import Pdfium
from matcher.unpack.walk import Tools, Walk

PRIVATE, NO_RESERVE = mmap.MAP_PRIVATE, 0x4000
"""A file that is sealed, or open for reading only, maps so; and one larger than memory too (`man 2 mmap`)."""
ENCODINGS = "ascii latin-1 cp437 cp1252 utf-8 utf-16 utf-16-le utf-16-be gb18030 big5 raw-unicode-escape".split()
"""What names and headers are decoded from: Python reads each from a file at first use."""


def _calamine(folder: str) -> ModuleType | None:
    """The reader of old workbooks, None where it is not installed."""
    if not folder:
        return None
    sys.path.append(folder)
    try:
        return import_module("python_calamine")
    except ImportError:
        return None
    finally:
        sys.path.remove(folder)


def load(pdfium: str, calamine: str) -> Tools:
    """All that a parser may need, which cannot be opened later: `pdfium` is a path, `calamine` a folder, or nothing."""
    for encoding in ENCODINGS:
        codecs.lookup(encoding)
    seccomp.program(os.uname().machine)  # made once
    return Archives.load(), Pdfium.load(pdfium), _calamine(calamine)


def work(libc: ctypes.CDLL, server: int, tools: Tools, words: list[str], *, has_namespace: bool) -> None:
    """Read the container at descriptor 0. Words: its kind, and the limits' numbers."""
    kind, *limits = words
    size = os.fstat(0).st_size
    budget = Budget(limits, size)
    body = mmap.mmap(
        0, size, PRIVATE | NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE
    )  # writable for ctypes' sake; copied if written
    confine(libc, server, budget.cpu_seconds, budget.memory + size)
    flags = (frames.NETNS if has_namespace else 0) | (frames.SECCOMP if seccomp.seal(libc) else 0)
    if not flags & frames.SECCOMP:
        no_more_files()
    writer = frames.Writer(1)
    writer.hello(flags)
    if not flags:  # a parser with a network is worse than none
        writer.outcome("unsupported", "")
    else:
        try:
            Walk(budget, writer, tools).everything(kind, body)
        except MemoryError:
            os._exit(frames.OUT_OF_MEMORY)
    writer.done()
