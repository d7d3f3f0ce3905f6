"""Office files: workbooks by sheet, documents and slides by paragraph, all other parts that may hold words as they are.

An office file is a zip of XML (ECMA-376).
"""

from __future__ import annotations

import mmap
import re
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from matcher.unpack import archives, compound, sheet
from matcher.unpack.budget import Halt
from matcher.unpack.frames import ABOUT, SEPARATOR
from matcher.unpack.markup import Attributes, attribute, one_a_line, parsed
from matcher.unpack.paragraphs import paragraphs

if TYPE_CHECKING:
    from matcher.unpack.walk import Walk

TYPES = "[Content_Types].xml"
WORKBOOK = "xl/workbook.xml"
SHARED = "xl/sharedStrings.xml"
SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
ROOTS = {"xl/": "xlsx", "word/": "docx", "ppt/": "pptx"}
"""Folders of office files, and the kind of file."""
PARAGRAPHS = re.compile(
    r"word/(?:document|header|footer|footnotes|endnotes|comments|glossary/document)\d*\.xml"
    r"|ppt/(?:slides|notesSlides|comments)/[^/]+\.xml|xl/(?:comments\d*|threadedComments/[^/]+)\.xml|xl/drawings/drawing\d+\.xml|(?:word|xl|ppt)/diagrams/data\d+\.xml"
)
PLAIN = {".xml": "text/plain", ".vml": "text/plain"}
"""Other parts are read tags and all: values stand in attributes too, and without its tags XML runs values together."""
PROPERTIES = re.compile(r"docProps/[^/]+\.xml|meta\.xml")
"""Parts that say who made the file, and when."""
DATA = re.compile(r"customXml/item\d*\.xml")
"""Custom XML: records of a program of somebody's own."""
STRUCTURE = re.compile(
    r"\[Content_Types\]\.xml|.*(?:theme|styles|stylesWithEffects|settings|webSettings|fontTable|numbering|calcChain|presProps"
    r"|viewProps|tableStyles)\d*\.xml|ppt/(?:slideLayouts|slideMasters|notesMasters|handoutMasters)/.*|ppt/presentation\.xml"
    r"|.*printerSettings\d*\.bin|xl/(?:worksheets|chartsheets)/[^/]+\.xml|xl/(?:workbook|sharedStrings|metadata)\.xml"
    r"|docProps/thumbnail\..*|Thumbnails/thumbnail\.png|layout-cache"
)
"""Parts without a value of anybody's, and those that are read as sheets."""


BINARY_WORKBOOK = "xl/workbook.bin"
BINARY_PART = re.compile(r"xl/(?:worksheets/|chartsheets/)?[^/]+\.bin|xl/.*/binaryIndex\d*\.bin")
"""Of [MS-XLSB]: the same as tables of a program's own, which calamine reads."""
MANIFEST, LOCKED = "META-INF/manifest.xml", b"encryption-data"
"""Where an OpenDocument says that its parts are under a password, and how."""
OPEN = ("content.xml", "styles.xml")
"""Parts of an OpenDocument that hold words."""


def is_office(infos: Sequence[zipfile.ZipInfo]) -> bool:
    """Whether a zip is an office file."""
    names = {info.filename for info in infos}
    return (TYPES in names and any(name.startswith(tuple(ROOTS)) for name in names)) or {"mimetype", *OPEN} <= names


def read(walk: Walk, archive: zipfile.ZipFile, body: bytes | mmap.mmap, path: str, depth: int) -> None:
    """Every part of an office file: as lines, as paragraphs, or as an entry of its own."""
    infos = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    walk.container = next((kind for root, kind in ROOTS.items() if any(name.startswith(root) for name in infos)), "odf")
    if MANIFEST in infos and _says(walk, archive, infos[MANIFEST], LOCKED):
        raise Halt("encrypted")
    if BINARY_WORKBOOK in infos:
        walk.guarded(path, partial(_binary_sheets, walk, body, path))
    if any(SHEET.fullmatch(name) for name in infos):
        _sheets(walk, archive, infos, path)
    for name, info in infos.items():
        place = f"{path}{SEPARATOR}{name.removesuffix('.xml')}"
        if PARAGRAPHS.fullmatch(name) or name in OPEN:
            walk.guarded(place, partial(_paragraphs, walk, archive, info, place, is_open=name in OPEN))
        elif name.endswith(".rels"):
            _links(walk, archive, info, place)
        elif not (STRUCTURE.fullmatch(name) or (BINARY_WORKBOOK in infos and BINARY_PART.fullmatch(name))):
            packed, chunks = partial(getattr, info, "compress_size"), archives.zipped(archive, info)
            media_type = ABOUT if PROPERTIES.fullmatch(name) else PLAIN.get(name[-4:], "")
            chunks = one_a_line(chunks) if DATA.fullmatch(name) else chunks
            walk.entry(path + SEPARATOR + name, chunks, packed, depth, media_type=media_type)


def _says(walk: Walk, archive: zipfile.ZipFile, info: zipfile.ZipInfo, what: bytes) -> bool:
    """Whether `what` stands in a part."""
    return what in b"".join(_part(walk, archive, info))


def _binary_sheets(walk: Walk, body: bytes | mmap.mmap, path: str) -> None:
    """The sheets of a workbook whose parts are no XML."""
    if walk.calamine is None:
        raise Halt("unsupported")
    compound.sheets(walk, walk.calamine, body, path)


def _part(walk: Walk, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    walk.budget.entry()
    return walk.budget.measured(archives.zipped(archive, info), lambda: info.compress_size)


def _sheets(walk: Walk, archive: zipfile.ZipFile, infos: dict[str, zipfile.ZipInfo], path: str) -> None:
    """Sheets in the workbook's order, hidden ones too, then those that it does not name."""
    shared: list[str] = []
    packed = 0
    if SHARED in infos:
        packed = infos[SHARED].compress_size
        place = path + SEPARATOR + SHARED
        walk.guarded(place, lambda: sheet.strings(_part(walk, archive, infos[SHARED]), shared))
    titles: dict[str, str] = {}
    walk.guarded(path + SEPARATOR + WORKBOOK, lambda: titles.update(_titles(walk, archive, infos)))
    for part in [part for part in titles if part in infos] + [
        part for part in infos if SHEET.fullmatch(part) and part not in titles
    ]:
        title = titles.get(part) or part.rpartition("/")[2].removesuffix(".xml")
        place = path + SEPARATOR + title
        walk.guarded(place, partial(_sheet, walk, archive, infos[part], place, shared, packed))


def _sheet(walk: Walk, archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str, shared: list[str], packed: int) -> None:
    """A sheet. It may repeat shared strings without end, so what comes out is counted as well."""
    lines = sheet.lines(_part(walk, archive, info), shared)
    walk.text(place, walk.budget.measured(lines, lambda: info.compress_size + packed))


def _titles(walk: Walk, archive: zipfile.ZipFile, infos: dict[str, zipfile.ZipInfo]) -> dict[str, str]:
    """Title of each sheet by the part that holds it."""
    targets: dict[str, str] = {}
    titles: dict[str, str] = {}

    def relation(name: str, attributes: Attributes) -> None:
        if name == "Relationship":
            target = attributes.get("Target", "")
            targets[attributes.get("Id", "")] = target.lstrip("/") if target.startswith("/") else f"xl/{target}"

    def title(name: str, attributes: Attributes) -> None:
        if name == "sheet":
            titles[targets.get(attribute(attributes, "id"), "")] = attributes.get("name", "")

    for part, start in (("xl/_rels/workbook.xml.rels", relation), (WORKBOOK, title)):
        if part in infos:
            for _ in parsed(_part(walk, archive, infos[part]), start, _nothing, _nothing):
                pass
    return titles


def _paragraphs(walk: Walk, archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str, *, is_open: bool) -> None:
    words = paragraphs(_part(walk, archive, info), is_open=is_open)
    walk.text(place, walk.budget.measured(words, lambda: info.compress_size))


def _links(walk: Walk, archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str) -> None:
    """Where links lead, out of the file: mail addresses stand there."""
    found: list[str] = []

    def start(name: str, attributes: Attributes) -> None:
        if name == "Relationship" and attributes.get("TargetMode") == "External":
            found.append(attributes.get("Target", ""))

    def take() -> None:
        for _ in parsed(_part(walk, archive, info), start, _nothing, _nothing):
            pass

    walk.guarded(place, take)
    if found:
        walk.text(place, ["\n".join(found).encode("utf-8", "replace")])


def _nothing(*_: object) -> None:
    """Not wanted."""
