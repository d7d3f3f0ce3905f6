"""Pictures are read where that is wanted, and named as unread where it is not; what OCR found
says so.
"""

import base64
import io
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from matcher.cli import scan
from matcher.match.capture_result import CaptureBudget
from matcher.match.parts import pieces_of_capture
from matcher.unpack import parent
from matcher.unpack.protocol import SECCOMP, Limits, UnreadPart
from matcher.unpack.readers.picture import Box, _lines
from tests.factories import capture
from tests.matcher.conftest import BANK
from tests.matcher.unpack import builders
from tests.matcher.unpack.conftest import out_of
from ullage.errors import Exit
from ullage.settings import Context, MatchSettings

needs_ocr = pytest.mark.skipif(
    not parent.has_ocr(),
    reason=(
        "reads real pictures: pip install 'ullage[ocr]' (400 MB, Python 3.11 or 3.12, in no lock)"
    ),
)
FONTS = (
    Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"),
    Path("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"),
)
SIGNATURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
WITH_OCR = Limits(ocr_seconds=300)
PEOPLE = [(customer["name"], customer["phone"], customer["resident_id"]) for customer in BANK[:4]]


def draw_screenshot(kind: str = "PNG", *, height: int = 300, first: int = 20) -> bytes:
    """Return a screenshot of a table, in Chinese where a font for it is installed."""
    from PIL import Image, ImageDraw, ImageFont

    cjk = next((str(font) for font in FONTS if font.exists()), "")
    font = ImageFont.truetype(cjk, 26) if cjk else ImageFont.load_default(26)
    table = Image.new("RGB", (900, height), "white")
    draw = ImageDraw.Draw(table)
    header = ("姓名", "手机", "身份证") if cjk else ("Name", "Phone", "ID")
    for row, cells in enumerate([header, *PEOPLE]):
        for x, cell in zip((20, 220, 480), cells, strict=True):
            draw.text(
                (x, first + 52 * row),
                cell if cjk or cell.isascii() else "Zhang",
                font=font,
                fill="black",
            )
    written = io.BytesIO()
    table.save(written, kind)
    return written.getvalue()


def plain(width: int, height: int) -> bytes:
    from PIL import Image

    written = io.BytesIO()
    Image.new("1", (width, height), 1).save(written, "PNG")
    return written.getvalue()


@needs_ocr
def test_customers_are_found_in_a_screenshot(ullage, bank: Context, tmp_path: Path) -> None:
    path = tmp_path / "screen.png"
    path.write_bytes(draw_screenshot())
    unread = ullage("scan", path)
    assert (unread.exit_code, unread.stdout) == (Exit.NO_VERDICT, "")
    assert "image, not read" in unread.stderr
    result = ullage("scan", "--ocr", path)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.exit_code, {row["path"] for row in rows}) == (Exit.DONE, {f"{path}!/ocr"})
    assert {row["kind"] for row in rows} >= {"phone", "resident_id"}
    assert len({row["subject"] for row in rows}) == len(PEOPLE)
    assert "read by OCR" in result.stderr


@needs_ocr
def test_verdict_mentions_that_it_rests_on_ocr(ullage, bank: Context, tmp_path: Path) -> None:
    path = tmp_path / "screen.png"
    path.write_bytes(draw_screenshot())
    result = ullage("assess", "--ocr", "--json", path)
    whole = json.loads(result.stdout)
    assert (whole["verdict"], [(part["path"], part["reason"]) for part in whole["not_read"]]) == (
        "exposed",
        [(str(path), "ocr")],
    )
    [tenant] = whole["tenants"]
    assert (tenant["customers"], tenant["corroborated_rows"]) == (len(PEOPLE), len(PEOPLE))
    assert "images read by OCR" in json.dumps(tenant["exposure"]["reasons"])
    assert "read by OCR" in ullage("assess", "--ocr", path).stdout


@needs_ocr
def test_images_of_every_format_are_read_in_containers() -> None:
    kinds = ("JPEG", "WEBP", "GIF", "BMP")
    unpacked = out_of(
        builders.zip_of({f"a.{kind}": draw_screenshot(kind) for kind in kinds}), limits=WITH_OCR
    )
    assert unpacked.outcomes == [(f"!/a.{kind}", "ocr") for kind in kinds]
    for kind in kinds:
        rows = [line.split("\t") for line in unpacked.texts[f"!/a.{kind}!/ocr"].splitlines()]
        assert [tuple(row[-2:]) for row in rows[1:]] == [person[1:] for person in PEOPLE]
    document = out_of(
        builders.docx_of("<w:p/>", {"word/media/i.png": draw_screenshot()}), limits=WITH_OCR
    )
    assert BANK[0]["phone"] in document.texts["!/word/media/i.png!/ocr"]


@needs_ocr
def test_scanned_pages_are_read() -> None:
    from PIL import Image

    written = io.BytesIO()
    Image.open(io.BytesIO(draw_screenshot())).save(
        written, "PDF", save_all=True, append_images=[Image.new("RGB", (90, 90), "white")]
    )
    unpacked = out_of(written.getvalue(), limits=WITH_OCR)
    assert BANK[0]["phone"] in unpacked.texts["!/page 1!/ocr"]
    assert unpacked.outcomes == [("!/page 1", "ocr"), ("!/page 2", "image")]
    assert out_of(written.getvalue()).outcomes == [("!/page 1 and 1 more", "image")]


@needs_ocr
def test_long_screenshot_reads_each_row_once() -> None:
    text = out_of(draw_screenshot(height=2400, first=1390), limits=WITH_OCR).texts["!/ocr"]
    assert [text.count(person[1]) for person in PEOPLE] == [1] * len(PEOPLE)


@needs_ocr
def test_image_without_text_stays_unread() -> None:
    assert out_of(plain(400, 300), limits=WITH_OCR).outcomes == [("", "image")]
    assert out_of(draw_screenshot()[:3000], limits=WITH_OCR).outcomes == [("", "image")]
    assert out_of(SIGNATURE, limits=WITH_OCR).outcomes == [("", "image")]
    assert out_of(plain(8000, 8000), limits=WITH_OCR).outcomes == [("", "too_large")]


@needs_ocr
def test_ocr_timeout_does_not_affect_other_members() -> None:
    files = {f"{n}.png": draw_screenshot() for n in range(3)} | {"list.csv": b"phone\n1"}
    unpacked = out_of(builders.zip_of(files), limits=Limits(ocr_seconds=1))
    assert unpacked.texts["!/list.csv"] == "phone\n1"
    assert [path for path, _ in unpacked.outcomes] == ["!/0.png", "!/1.png", "!/2.png"]
    assert unpacked.outcomes[-1] == ("!/2.png", "timeout")


@needs_ocr
def test_ocr_runs_in_the_sandbox() -> None:
    unpacked = parent.UnpackRun(draw_screenshot(), "a", WITH_OCR.for_picture(60), "")
    unpacked._is_inner = True
    with unpacked:
        read = [item.reason if isinstance(item, UnreadPart) else item.read() for item in unpacked]
    assert read[-1] == "ocr"
    assert unpacked.flags & SECCOMP


@needs_ocr
def test_container_of_a_captured_image_is_ocr() -> None:
    limits = CaptureBudget.from_settings(MatchSettings(ocr=True)).to_limits()
    skipped: list[UnreadPart] = []
    pieces = list(
        pieces_of_capture(
            0, capture(body=draw_screenshot(), media_type="image/png"), skipped.append, limits
        )
    )
    assert ([piece.container for piece in pieces], [part.reason for part in skipped]) == (
        ["ocr"],
        ["ocr"],
    )


def test_ocr_is_off_by_default() -> None:
    assert (
        Limits().ocr_seconds,
        CaptureBudget.from_settings(MatchSettings()).to_limits().ocr_seconds,
    ) == (0, 0)


def test_missing_ocr_library_leaves_images_unread(
    ullage, bank: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (parent, scan):
        monkeypatch.setattr(module, "has_ocr", lambda: False)
    (tmp_path / "a.png").write_bytes(SIGNATURE)
    result = ullage("scan", "--ocr", tmp_path / "a.png")
    assert (result.exit_code, result.stdout) == (Exit.NO_VERDICT, "")
    assert "image, not read" in result.stderr
    assert "ullage[match,ocr]" in result.stderr


@pytest.mark.parametrize("mark", ["RIFF\x24\0\0\0WEBPVP8 ", "BM\x36\0\1\0\0\0\0\0\x36\0\0\0"])
def test_unsupported_image_formats_stay_unread(mark: str) -> None:
    body = mark.encode("latin-1") + bytes(1000)
    assert out_of(body).outcomes == [("", "image")]
    assert out_of(builders.zip_of({"a": body})).outcomes == [("!/a", "image")]
    text = out_of(base64.encodebytes(body)).texts
    assert list(text) == [""]


def test_boxes_of_one_row_become_one_line() -> None:
    boxes = [
        Box("b", 90, 14, 30),
        Box("a", 0, 10, 28),
        Box("c", 0, 40, 58),
        Box("", 9, 70, 80),
        Box("d", 40, 39, 61),
    ]
    assert list(_lines(boxes)) == ["a\tb", "c\td"]


def test_ocr_extra_is_detected_by_its_package() -> None:
    assert parent.has_ocr() == bool(find_spec("rapidocr_onnxruntime"))


@needs_ocr
def test_rows_of_a_tilted_image_stay_rows() -> None:
    from PIL import Image

    written = io.BytesIO()
    Image.open(io.BytesIO(draw_screenshot())).rotate(-4, expand=True, fillcolor="white").save(
        written, "JPEG"
    )
    rows = [
        tuple(line.split("\t")[-2:])
        for line in out_of(written.getvalue(), limits=WITH_OCR).texts["!/ocr"].splitlines()
    ]
    assert rows[1:] == [person[1:] for person in PEOPLE]
