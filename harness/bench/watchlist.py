"""The watchlist at a size given by `ULLAGE_BENCH_ENTRIES`: how fast it is built, how large it is,
how fast it opens and answers.

Build rates are CPU time of one core, from Parquet, with the digests and without; look-ups are 99 %
misses, 10,000 at a time. The first pass is over a file whose pages the kernel was told to drop,
`warm` the best of the later passes over other tags.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from harness.bench.table import row
from matcher.columns.batch import Texts
from matcher.watchlist import Watchlist, installation
from matcher.watchlist.build import Builder
from matcher.watchlist.changes import Changes, erase_customer
from matcher.watchlist.source import Source
from matcher.watchlist.tagging import TagKeys, handles
from ullage.identifiers.resident_id import CHECKS, WEIGHTS
from ullage.security.keys import load_verify_key
from ullage.settings import Context

ENTRIES = int(os.environ.get("ULLAGE_BENCH_ENTRIES", "1000000"))
BATCH = 10_000
BATCHES = 40
CSV_CUSTOMERS = 100_000


def digits(numbers: np.ndarray, width: int) -> np.ndarray:
    """Numbers as `width` decimal digits: u8[n, width]."""
    places = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return (numbers[:, None] // places % 10 + 48).astype(np.uint8)


def concatenate(*parts: bytes | np.ndarray) -> list[bytes]:
    """Return columns of characters side by side; a single value stands in every row."""
    n = max(len(part) for part in parts if isinstance(part, np.ndarray))
    tables = [
        np.tile(np.frombuffer(p, np.uint8), (n, 1)) if isinstance(p, bytes) else p for p in parts
    ]
    return Texts.whole(np.ascontiguousarray(np.concatenate(tables, axis=1))).messages()


def resident_ids(numbers: np.ndarray) -> list[bytes]:
    """IDs of people born in 1800 to 1899, with their check characters."""
    birth = digits(
        (18 * 100 + numbers // 336_000 % 100) * 10_000
        + (1 + numbers // 28_000 % 12) * 100
        + 1
        + numbers // 1000 % 28,
        8,
    )
    first = np.concatenate(
        [
            np.tile(np.frombuffer(b"110105", np.uint8), (len(numbers), 1)),
            birth,
            digits(numbers % 1000, 3),
        ],
        axis=1,
    )
    checks = np.frombuffer(CHECKS.encode(), np.uint8)[
        (first - 48).astype(np.int64) @ np.array(WEIGHTS) % 11
    ]
    return concatenate(first, checks[:, None])


def export(path: Path, customers: int) -> None:
    """Write a Parquet file of customers with a phone, a resident ID, a card and an address each."""
    import pyarrow as pa
    from pyarrow import parquet

    names = ("customer_ref", "phone", "resident_id", "card", "email")
    schema = pa.schema([(name, pa.binary()) for name in names])
    text = pa.schema([(name, pa.string()) for name in names])
    with parquet.ParquetWriter(path, text) as writer:
        for first in range(0, customers, 1_000_000):
            numbers = np.arange(first, min(customers, first + 1_000_000))
            columns = [
                concatenate(b"C", digits(numbers, 10)), concatenate(b"154", digits(numbers, 8)),
                resident_ids(numbers),
                concatenate(b"6200000", digits(numbers, 9)),
                concatenate(b"customer", digits(numbers, 9), b"@example.com"),
            ]  # fmt: skip
            writer.write_table(pa.table(columns, schema=schema).cast(text), row_group_size=100_000)


def peak() -> float:
    """Most memory that this process held since `forget_peak`, in MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def forget_peak() -> None:
    """Begin to count anew (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def drop_pages(path: Path) -> None:
    """Ask the kernel to forget what it holds of a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def built(folder: Path, context: Context, digests: str, customers: int) -> Path:
    """Build from Parquet and print the rate."""
    list_path, target = folder / "bench.parquet", folder / f"bench-{digests}.watchlist"
    export(list_path, customers)
    forget_peak()
    memory_before = peak()
    builder, before, start = (
        Builder(context.keys, "bench", 1, digests),
        time.process_time(),
        time.monotonic(),
    )
    header = builder.build(Source(list_path, {}), target, context.clock.now())
    seconds, wall, highest = time.process_time() - before, time.monotonic() - start, peak()
    list_path.unlink()
    size, count = target.stat().st_size, builder.report.identifiers
    row(
        f"build, digests {digests}: identifiers/s",
        f"{count / seconds:,.0f}",
        f"wall {count / wall:,.0f}",
    )
    row("  entries; entries/s", f"{header.entries:,}", f"{header.entries / seconds:,.0f}")
    row("  bytes an entry; an identifier", f"{size / header.entries:.1f}", f"{size / count:.1f}")
    row("  peak memory, MiB", f"{highest:,.0f}", f"before it {memory_before:,.0f}")
    return target


def look_ups(path: Path, context: Context, customers: int) -> None:
    """Open the list, cold and warm, and ask it: all that are enrolled must be found, and no
    other.
    """
    key, tags, rng = (
        load_verify_key(context.keys, "bench"),
        TagKeys(context.keys, "bench", "match", 1),
        np.random.default_rng(1),
    )
    drop_pages(path)
    start, before = time.monotonic(), time.process_time()
    opened = Watchlist(path, key)
    wall, cpu = time.monotonic() - start, time.process_time() - before
    row("open, s (wall), pages dropped", f"{wall:.3f}", f"CPU {cpu:.2f}")
    numbers = rng.integers(0, customers, BATCH // 100)
    known_tags = tags.tagger("phone", "plain").tag(concatenate(b"154", digits(numbers, 8)))

    def batches() -> list[np.ndarray]:
        return [
            np.concatenate(
                (known_tags, rng.integers(0, 256, (BATCH - len(known_tags), 16), np.uint8))
            )
            for _ in range(BATCHES)
        ]

    drop_pages(path)
    passes, matches = [], 0
    for batches_ in (batches(), batches(), batches(), batches(), batches()):
        wall, cpu = time.monotonic(), time.process_time()
        for batch in batches_:
            matches += len(opened.look_up(batch)[0])
        passes.append(
            (
                (time.monotonic() - wall) / BATCH / BATCHES * 1e9,
                (time.process_time() - cpu) / BATCH / BATCHES * 1e9,
            )
        )
    row(
        "look-up warm, ns (CPU)",
        f"{min(cpu for _, cpu in passes[1:]):.0f}",
        f"wall {min(wall for wall, _ in passes[1:]):.0f}",
    )
    row("  first pass, ns (CPU)", f"{passes[0][1]:.0f}", f"wall {passes[0][0]:.0f}")
    enrolled, foreign = (
        len(passes) * BATCHES * count for count in (len(known_tags), BATCH - len(known_tags))
    )
    row("  found of enrolled; asked of others", f"{matches:,} of {enrolled:,}", f"{foreign:,}")
    if matches != enrolled:
        raise RuntimeError(f"{matches} were found where {enrolled} are enrolled")
    start = time.process_time()
    opened.check()
    row("check of the whole file, s (CPU)", f"{time.process_time() - start:.2f}")


def changes(folder: Path, context: Context, main: Path, customers: int) -> None:
    """Measure a day's changes of 0.2 % of the customers, and one erased customer."""
    added, delta = folder / "came.parquet", folder / "bench.delta"
    export(added, max(1, customers // 500))
    builder = Changes(context.keys, "bench", main, delta)
    start, cpu = time.monotonic(), time.process_time()
    builder.build(Source(added, {}), None, delta, folder / "bench.subjects", context.clock.now())
    row(
        "changes of 0.2 %, s (CPU)",
        f"{time.process_time() - cpu:.2f}",
        f"wall {time.monotonic() - start:.2f}",
    )
    row("  their bytes", f"{delta.stat().st_size:,}")
    installation.install(context.data, context.keys, "bench", main, context.clock.now(), move=True)
    installation.install(context.data, context.keys, "bench", delta, context.clock.now(), move=True)
    start = time.monotonic()
    lists = installation.load(context)
    row(
        "open with changes, s (wall)",
        f"{time.monotonic() - start:.3f}",
        f"{lists[0].customers:,} customers",
    )
    handle = handles(context.keys, "bench", ["C0000000001"]).tobytes().hex()
    start = time.monotonic()
    count = erase_customer(context.data, context.keys, "bench", handle)
    row("erase one customer, s (wall)", f"{time.monotonic() - start:.3f}", f"{count} entries")


def csv_rate(folder: Path, context: Context) -> None:
    """Measure the same customers as CSV."""
    from pyarrow import csv, parquet

    export(folder / "few.parquet", CSV_CUSTOMERS)
    csv.write_csv(parquet.read_table(folder / "few.parquet"), folder / "few.csv")
    builder, start = Builder(context.keys, "bench", 1, "none"), time.process_time()
    builder.build(Source(folder / "few.csv", {}), folder / "few.watchlist", context.clock.now())
    row(
        "build from CSV: identifiers/s",
        f"{builder.report.identifiers / (time.process_time() - start):,.0f}",
    )


def watchlist(folder: Path, context: Context) -> None:
    """Without digests at the size asked for; with them at a tenth."""
    a_customer = {"none": 7, "all": 27}
    customers = ENTRIES // a_customer["none"]
    main = built(folder, context, "none", customers)
    look_ups(main, context, customers)
    changes(folder, context, main, customers)
    built(folder, context, "all", max(1, ENTRIES // 10 // a_customer["all"]))
    csv_rate(folder, context)
