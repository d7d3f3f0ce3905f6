"""Pictures read by OCR: seconds for each, how many of its phones and resident IDs come out
right, and of its rows with both.
"""

from __future__ import annotations

import io
import random
import time
from importlib import import_module
from typing import Any

from harness.bench.table import row
from matcher.unpack.parent import has_ocr, unpack
from matcher.unpack.protocol import LOCAL, LOCAL_OCR_SECONDS, UnreadPart
from tests.matcher.bank import customer
from ullage.errors import UnavailableError

ROWS = 12
MODULES = ("Image", "ImageDraw", "ImageFont", "ImageFilter")
LOOKS: dict[str, dict[str, Any]] = {
    "as a screen shows it": {"size": 24},
    "small letters": {"size": 10},
    "JPEG of quality 15": {"size": 20, "quality": 15},
    "turned by 2 degrees": {"size": 24, "turned": 2},
    "turned by 6 degrees": {"size": 24, "turned": 6},
    "blurred": {"size": 24, "blurred": 2.5},
    "grey on noise": {"size": 24, "noise": 140},
}


def pictures() -> None:
    """Return a line of the table for each look."""
    if not has_ocr():
        raise UnavailableError("the extra ocr is not installed")
    for look, how in LOOKS.items():
        people = [customer(number) for number in random.Random(look).sample(range(10_000), ROWS)]
        values = [person[kind] for person in people for kind in ("phone", "resident_id")]
        start = time.perf_counter()
        lines = [line.split() for line in _read(_draw(people, **how)).splitlines()]
        seconds = time.perf_counter() - start
        words = {word for line in lines for word in line}
        rows = sum(
            any({person["phone"], person["resident_id"]} <= {*line} for line in lines)
            for person in people
        )
        right = sum(value in words for value in values)
        row(f"OCR, {look}", f"{seconds:.1f} s", f"{right}/{len(values)} values, {rows}/{ROWS} rows")


def _draw(
    people: list[dict[str, str]],
    size: int,
    quality: int = 90,
    turned: float = 0,
    blurred: float = 0,
    noise: int = 0,
) -> bytes:
    """Return a table of people as a JPEG."""
    image, draw, fonts, filters = [import_module(f"PIL.{name}") for name in MODULES]
    font = fonts.load_default(size)
    table: Any = image.new("RGB", (size * 36, size * 2 * (ROWS + 2)), "white")
    if noise:
        table = image.blend(table, image.effect_noise(table.size, 100).convert("RGB"), noise / 255)
    pen = draw.Draw(table)
    for number, person in enumerate(people, 1):
        for column, cell in ((1, str(number)), (5, person["phone"]), (16, person["resident_id"])):
            pen.text(
                (column * size, number * 2 * size),
                cell,
                font=font,
                fill="#444444" if noise else "black",
            )
    table = table.rotate(turned, expand=True, fillcolor="white")
    table = table.filter(filters.GaussianBlur(blurred)) if blurred else table
    written = io.BytesIO()
    table.save(written, "JPEG", quality=quality)
    return written.getvalue()


def _read(body: bytes) -> str:
    with unpack(body, "a.jpg", LOCAL._replace(ocr_seconds=LOCAL_OCR_SECONDS)) as unpacked:
        return "".join(
            "" if isinstance(item, UnreadPart) else item.read().decode() for item in unpacked
        )
