"""Build the matcher from everything installed here, and keep freed memory in the process.

Numpy soon needs again the memory that it frees, and returning it to the system costs a page fault a
page. Measured: with glibc told to keep it, the search takes 37 % less time on prose, and tags half.
A part of it is in large pages if the system grants them (transparent huge pages, `always` or
`madvise`): 2 to 4 % less again, since rows are taken from all over a buffer. Elsewhere (musl,
macOS) there are no such calls, and the search is that much slower.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from matcher.lexicon import Lexicon
from matcher.match.batches import Public
from matcher.match.capture_key import CaptureKey
from matcher.watchlist import installation
from matcher.watchlist.installation import Sizes, TenantLists
from ullage.errors import ConfigError, FaultsError
from ullage.monitoring.canary import TENANT as CANARY
from ullage.settings import Context
from ullage.vocabulary.lexicon import list_themes

if TYPE_CHECKING:
    from matcher.match.pipeline import Matcher

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
"""Options of `mallopt(3)`."""
MIB = 1 << 20
BLOCK, BLOCKS = 16 * MIB, 4
"""Memory that is requested in large pages.

With TOP_PAD it is less than the memory kept, so that none of it is returned.
"""


class MatchInputs(NamedTuple):
    """The inputs of matching.

    They are every tenant's customer lists, the words of the lexicon, and identifiers that are
    public.
    """

    lists: list[TenantLists]
    lexicon: Lexicon
    public: Public


def load_known(
    context: Context,
    tenant: str = "",
    lists: list[TenantLists] | None = None,
    *,
    words: bool = True,
) -> MatchInputs:
    """Return the inputs of matching: everything installed, one tenant's, or those for `lists`.

    Without `words` the lexicon is empty. Freezes the garbage collector, so that objects made until
    now are never examined again. Raises ConfigError if a lexicon or a list is invalid.
    """
    lists = installation.load(context, tenant) if lists is None else lists
    tenants = {t.tenant: context.tenant(t.tenant) for t in lists}
    names = {name: (*tenant.brands, *tenant.domains) for name, tenant in tenants.items()}
    bins = {name: tenant.bins for name, tenant in tenants.items() if tenant.bins}
    public = Public.from_written(
        number for tenant in context.settings.tenants.values() for number in tenant.own_numbers
    )
    if words:
        lexicon = Lexicon(
            names,
            bins,
            [
                row
                for theme in list_themes().values()
                for row in theme.load_current(context.data).rules.rows
            ],
        )
    else:
        lexicon = Lexicon({}, {}, ())
    known = MatchInputs(lists, lexicon, public)
    # modules, patterns and lists stay: to look through them for garbage takes 40 ms each time
    gc.freeze()
    return known


def build_matcher(
    context: Context, *, detailed: bool = True, tenant: str = "", known: MatchInputs | None = None
) -> Matcher:
    """Return a matcher over everything installed now, over one tenant's, or over `known`.

    Without `detailed` it only counts matches. Raises ConfigError if a lexicon or a customer list is
    invalid.
    """
    # half of all modules, and a scan needs none of them
    from matcher.match.pipeline import Matcher, Own  # noqa: PLC0415

    known = known or load_known(context, tenant)
    tenants = {t.tenant: context.tenant(t.tenant) for t in known.lists}
    key = CaptureKey(context.keys)
    own = Own(
        domains={domain: name for name, tenant in tenants.items() for domain in tenant.domains},
        bins={name: tenant.bins for name, tenant in tenants.items() if tenant.bins},
        public=known.public,
        staff={name: tenant.staff for name, tenant in tenants.items()},
        names={name: (*tenant.brands, *tenant.domains) for name, tenant in tenants.items()},
        others={name: tenant.others for name, tenant in tenants.items() if tenant.others},
    )
    return Matcher(known.lists, known.lexicon, key, own, detailed=detailed)


def known_here(
    context: Context, tenant: str = "", *, canaries: bool = True, words: bool = True
) -> MatchInputs:
    """Return the inputs for a command, with or without the people of canary posts and the lexicon.

    Raises `ConfigError` without a customer list. Raises FaultsError if the keys of an enrolled
    tenant are faulty.
    """
    keep_freed_memory()
    known = load_known(context, tenant, words=words)
    known = known._replace(
        lists=[lists for lists in known.lists if canaries or lists.tenant != CANARY]
    )
    enrolled = {lists.tenant: lists.customers for lists in known.lists}
    short = Sizes(context.data, context.keys).shortfalls(enrolled.items())
    if refused := [said for name, said in short.items() if name in enrolled]:
        raise FaultsError(refused)
    if not known.lists:
        whose = f"customer list of tenant {tenant}" if tenant else "customer list"
        raise ConfigError(
            f"no {whose} in {context.data}: load one with `ullage watchlist load FILE --tenant"
            f" {tenant or 'NAME'}`"
        )
    return known


def keep_freed_memory() -> bool:
    """Keep up to 96 MiB of freed memory in this process; return whether libc supports it.

    False means that nothing or only a part was set. Also asks for large pages where the system has
    them.
    """
    library = ctypes.CDLL(None)
    mallopt = getattr(library, "mallopt", None)
    if mallopt is None:
        return False
    wanted = ((MMAP_THRESHOLD, 32 * MIB), (TRIM_THRESHOLD, 96 * MIB), (TOP_PAD, 16 * MIB))
    done = all(mallopt(option, size) for option, size in wanted)
    if done and hasattr(mmap, "MADV_HUGEPAGE"):
        malloc, free, madvise = library.malloc, library.free, library.madvise
        malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        free.argtypes, madvise.argtypes = (
            [ctypes.c_void_p],
            [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int],
        )
        ask_for_large_pages(
            malloc, free, lambda start, size: madvise(start, size, mmap.MADV_HUGEPAGE)
        )
    return done


def ask_for_large_pages(
    malloc: Callable[[int], int | None],
    free: Callable[[int], object],
    advise: Callable[[int, int], object],
) -> None:
    """Let the heap grow one time, and request large pages for that part of it.

    If its blocks are not adjacent, nothing is requested: the memory between them is another's.
    """
    blocks = sorted(filter(None, [malloc(BLOCK) for _ in range(BLOCKS)]))
    if len(blocks) == BLOCKS and blocks[-1] - blocks[0] <= (BLOCKS - 1) * BLOCK + mmap.PAGESIZE:
        start = -(-blocks[0] // mmap.PAGESIZE) * mmap.PAGESIZE
        advise(start, (blocks[-1] + BLOCK) // mmap.PAGESIZE * mmap.PAGESIZE - start)
    for block in blocks:
        free(block)
