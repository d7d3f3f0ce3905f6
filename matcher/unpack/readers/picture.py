"""Read pictures: their text by OCR if wanted, and an archive that is appended to one.

The child that meets a picture searches it for an archive and passes it on to a child of its own
(`ocr`). Only that child has the OCR library and its models, which take a second to load. The rows
of the text become lines, their cells separated by tabs, so that a table in a screenshot stays a
table. Nothing that was misread is corrected by guessing. An outcome reports for each picture that
it was read by OCR.
"""

from __future__ import annotations

import io
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from matcher.unpack.formats import FileFormat
from matcher.unpack.protocol import HEAVY, PICTURE_BYTES, PICTURE_PIXELS, SEPARATOR, Halt
from matcher.unpack.walk import DAMAGED, Body, Walk, slices

PICTURE, OCR = "picture", "ocr"
ARCHIVE = re.compile(
    rb"PK\x03\x04[\x0a-\x3f]\0|Rar!\x1a\x07[\0\x01]|7z\xbc\xaf\x27\x1c"
    rb"|\x1f\x8b\x08[\0\x08].{4}[\0\x02\x04][\0\x03\xff]",
    re.DOTALL,
)
"""How an archive begins.

For zip and gzip it is more than their marks, which occur in pictures by chance.
"""
OVERLAP = 15
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}
"""One thread, and none that reports to the library's maker."""
MODULES = ("PIL.Image", "PIL.ImageOps", "numpy", "cv2", "rapidocr_onnxruntime")
FAULTS = (
    *(("cv2", "error"), ("pyclipper", "ClipperException"), ("shapely.errors", "ShapelyError")),
    *(
        ("rapidocr_onnxruntime.utils.load_image", "LoadImageError"),
        ("rapidocr_onnxruntime.utils.infer_engine", "ONNXRuntimeError"),
    ),
    *(
        (f"rapidocr_onnxruntime.{part}", "ResizeImgError")
        for part in ("utils.process_img", "ch_ppocr_det.utils")
    ),
)
"""Errors of RapidOCR and its dependencies that are not built-in, by module and name.

Pillow raises SyntaxError too.
"""
READ = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
STRIP, AROUND = 1500, 100
"""Pixels of a tall picture that are read at a time, and of the overlap above and below.

The library shrinks what is larger than 2000, and then nothing in a long screenshot is readable.
"""
BLUR = 4
"""Pixels by which a text may be displaced in another strip: reading it twice beats never."""


class Library(NamedTuple):
    """RapidOCR, Pillow and numpy; `faults` are their errors for a picture that is unreadable."""

    engine: Any
    image: Any
    turning: Any
    numpy: Any
    faults: tuple[type[Exception], ...]


class Box(NamedTuple):
    """A text and its position, in pixels from the top left."""

    text: str
    left: float
    top: float
    bottom: float


@cache
def library() -> Library | None:
    """Return the libraries for OCR, ready to use; None if they are not installed.

    Also None if they started a thread, which would be outside the confinement.
    """
    os.environ.update(ENVIRONMENT)
    try:
        modules: list[Any] = [import_module(name) for name in MODULES]
        faults = (
            *DAMAGED,
            SyntaxError,
            *(getattr(import_module(module), name) for module, name in FAULTS),
        )
    except (ImportError, AttributeError):  # not installed, or an unknown version
        return None
    image, turning, numpy, cv2, rapid = modules
    cv2.setNumThreads(0)
    image.MAX_IMAGE_PIXELS = None  # which would warn: what is too large is refused here
    loaded = Library(
        rapid.RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1),
        image,
        turning,
        numpy,
        faults,
    )
    _warm_up(loaded)
    # pathlib would slow down the start of the child
    return loaded if len(os.listdir("/proc/self/task")) == 1 else None  # noqa: PTH208


def _warm_up(loaded: Library) -> None:
    """Have Pillow import its code for each format.

    The recogniser needs no warm-up, which would take half a second.
    """
    for kind in READ:
        written = io.BytesIO()
        loaded.image.new("RGB", (9, 9)).save(written, kind)
        _decode(loaded, written.getvalue())


def picture(walk: Walk, chunks: Iterable[bytes], path: str, depth: int) -> None:
    """Read an archive behind a picture, if any, and pass the picture on to be read.

    Raises Halt `image` if no pictures are read, `too_large` for a large one.
    """
    body = bytearray()
    before, remaining = (
        b"",
        _copy_chunks(chunks, body) if walk.budget.reads_pictures else iter(chunks),
    )
    for chunk in remaining:
        window = before + chunk
        if archive := ARCHIVE.search(window, 1):
            behind = itertools.chain((window[archive.start() :],), remaining)
            walk.entry(f"{path}{SEPARATOR}behind the picture", behind, lambda: 1 << 20, depth)
            break
        before = window[-OVERLAP:]
    if not walk.budget.reads_pictures:
        raise Halt("image")
    if len(body) > PICTURE_BYTES:
        raise Halt("too_large")
    walk.text(path, slices(bytes(body)), HEAVY)


def _copy_chunks(chunks: Iterable[bytes], copy: bytearray) -> Iterator[bytes]:
    """Yield the chunks and add them to `copy`, until it exceeds the size limit of a picture."""
    for chunk in chunks:
        if len(copy) <= PICTURE_BYTES:
            copy += chunk
        yield chunk


def ocr(walk: Walk, body: Body, path: str, _depth: int) -> None:
    """Write the text in a picture as a member.

    Always raises Halt at the end: `ocr` after a text, which may be wrong, and `image` if there is
    none or the library is missing.
    """
    loaded = library()
    if loaded is None:
        raise Halt("image")
    chunks = _text(loaded, bytes(body))
    first = next((chunk for chunk in chunks if chunk), b"")
    if not first:
        raise Halt("image")
    walk.text(
        f"{path}{SEPARATOR}{OCR}",
        walk.budget.measure(itertools.chain((first,), chunks), lambda: len(body)),
    )
    raise Halt(OCR)


def _text(loaded: Library, body: bytes) -> Iterator[bytes]:
    """Yield the rows of a picture as lines.

    A tall picture is read in strips, each a chunk, so that the rows read in time are kept.
    """
    try:
        pixels = _decode(loaded, body)
        step = len(pixels) if len(pixels) <= STRIP + 2 * AROUND else STRIP
        for start in range(0, len(pixels), step):
            above = max(0, start - AROUND)
            boxes = _boxes(loaded, pixels[above : start + step + AROUND], start - above, step)
            yield "".join(f"{line}\n" for line in _lines(boxes)).encode("utf-8", "replace")
    except loaded.faults as error:
        raise Halt("image") from error


def _decode(loaded: Library, body: bytes) -> Any:
    """Return a picture's pixels, turned upright, on white: height by width by three colours.

    Of a GIF, the first picture is taken.
    """
    with loaded.image.open(io.BytesIO(body), formats=READ) as opened:
        if opened.width * opened.height > PICTURE_PIXELS:
            raise Halt("too_large")
        turned = loaded.turning.exif_transpose(opened).convert("RGBA")
    white = loaded.image.new("RGBA", turned.size, "white")
    white.alpha_composite(turned)
    return loaded.numpy.asarray(white.convert("RGB"))[:, :, ::-1]


def _boxes(loaded: Library, pixels: Any, first: int, height: int) -> list[Box]:
    """Return the texts whose middle is in these lines of pixels, as if the picture were level."""
    read = loaded.engine(pixels.copy())[0] or []
    slopes = [
        (right[1] - left[1]) / (right[0] - left[0])
        for (left, right, *_), *_ in read
        if right[0] - left[0] > 1
    ]
    slope = float(loaded.numpy.median(slopes)) if slopes else 0.0
    boxes = []
    for corners, text, *_ in read:
        if not first - BLUR <= sum(y for _, y in corners) / len(corners) < first + height + BLUR:
            continue
        left, heights = min(x for x, _ in corners), [y - slope * x for x, y in corners]
        boxes.append(Box(" ".join(text.split()), left, min(heights), max(heights)))
    return boxes


def _lines(boxes: Iterable[Box]) -> Iterator[str]:
    r"""Yield rows of boxes from top to bottom, the cells of each from left to right, with tabs.

    >>> list(_lines([Box("b", 90, 12, 30), Box("a", 0, 10, 28), Box("c", 0, 40, 58)]))
    ['a\tb', 'c']
    """
    rows = list[list[Box]]()
    for box in sorted(boxes, key=lambda box: box.top + box.bottom):
        if rows and _is_beside(box, rows[-1][0]):
            rows[-1].append(box)
        else:
            rows.append([box])
    for row in rows:
        if line := "\t".join(box.text for box in sorted(row, key=lambda box: box.left) if box.text):
            yield line


def _is_beside(first: Box, second: Box) -> bool:
    """Return whether two boxes share more than half of the lower one's height."""
    shared = min(first.bottom, second.bottom) - max(first.top, second.top)
    return shared > min(first.bottom - first.top, second.bottom - second.top) / 2


def is_picture(head: bytes, _name: str = "") -> bool:
    """Return whether a file is WebP or BMP, which are recognised by two marks."""
    return (head.startswith(b"RIFF") and head[8:12] == b"WEBP") or (
        head.startswith(b"BM") and head[6:10] == bytes(4)
    )


FORMATS = (
    FileFormat(
        PICTURE,
        picture,
        starts=(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a"),
        is_binary=is_picture,
        containers=("other",),
        streams=True,
    ),
    FileFormat(OCR, ocr, packages=("rapidocr_onnxruntime",), load=library, is_heavy=True),
)
