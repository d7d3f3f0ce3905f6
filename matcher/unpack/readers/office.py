"""Read office files: workbooks by sheet, documents and slides by paragraph, other parts unchanged.

An office file is a zip of XML (ECMA-376, ISO/IEC 26300). Sheets become lines of cells with tabs
between, with values as a person sees them; element names are those of ECMA-376 part 1, sections
18.3 and 18.4. Expat parses the XML as it arrives. A document type is refused: office files have
none, and XML bombs are made of entities.

Compound files ([MS-CFB]) are encrypted office files, and those from before 2007. Calamine reads
workbooks. Of doc, ppt and msg only strings in clear are read, and the outcome reports that they
were not read completely.
"""

from __future__ import annotations

import io
import pyexpat
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial

from matcher.unpack.formats import FileFormat
from matcher.unpack.protocol import ABOUT, SEPARATOR, Halt
from matcher.unpack.readers.archives import read_zip_entry
from matcher.unpack.walk import Body, Walk, clean, lines, load_package, number

Attributes = dict[str, str]
TYPES = "[Content_Types].xml"
WORKBOOK = "xl/workbook.xml"
SHARED = "xl/sharedStrings.xml"
SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
ROOTS = {"xl/": "xlsx", "word/": "docx", "ppt/": "pptx"}
"""Folders of office files, and the kind of file."""
PARAGRAPHS = re.compile(
    r"word/(?:document|header|footer|footnotes|endnotes|comments|glossary/document)\d*\.xml"
    r"|ppt/(?:slides|notesSlides|comments)/[^/]+\.xml"
    r"|xl/(?:comments\d*|threadedComments/[^/]+)\.xml|xl/drawings/drawing\d+\.xml"
    r"|(?:word|xl|ppt)/diagrams/data\d+\.xml"
)
PLAIN = {".xml": "text/plain", ".vml": "text/plain"}
"""Other parts are read with their tags.

Attributes hold values too, and without its tags XML would run values together.
"""
PROPERTIES = re.compile(r"docProps/[^/]+\.xml|meta\.xml")
"""Parts with metadata: author and date."""
DATA = re.compile(r"customXml/item\d*\.xml")
"""Custom XML: records of some other program."""
STRUCTURE = re.compile(
    r"\[Content_Types\]\.xml|.*(?:theme|styles|stylesWithEffects|settings|webSettings|fontTable"
    r"|numbering|calcChain|presProps|viewProps|tableStyles)\d*\.xml"
    r"|ppt/(?:slideLayouts|slideMasters|notesMasters|handoutMasters)/.*"
    r"|ppt/presentation\.xml"
    r"|.*printerSettings\d*\.bin|xl/(?:worksheets|chartsheets)/[^/]+\.xml"
    r"|xl/(?:workbook|sharedStrings|metadata)\.xml"
    r"|docProps/thumbnail\..*|Thumbnails/thumbnail\.png|layout-cache"
)
"""Parts without personal values, and those that are read as sheets."""
BINARY_WORKBOOK = "xl/workbook.bin"
BINARY_PART = re.compile(r"xl/(?:worksheets/|chartsheets/)?[^/]+\.bin|xl/.*/binaryIndex\d*\.bin")
"""Parts of [MS-XLSB], a binary format that calamine reads."""
MANIFEST, LOCKED = "META-INF/manifest.xml", b"encryption-data"
"""The part that declares encryption in an OpenDocument, and the word for it."""
OPEN = ("content.xml", "styles.xml")
"""Parts of an OpenDocument that hold text."""


def is_office(names: frozenset[str]) -> bool:
    """Return whether a zip with these names of entries is an office file (OOXML or ODF)."""
    return (TYPES in names and any(name.startswith(tuple(ROOTS)) for name in names)) or {
        "mimetype",
        *OPEN,
    } <= names


def read(walk: Walk, body: Body, path: str, depth: int, archive: zipfile.ZipFile) -> None:
    """Read every part of an office file: as lines, as paragraphs, or as an entry of its own.

    A part that fails does not stop the others. Raises Halt ("encrypted") for an encrypted
    OpenDocument file.
    """
    infos = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    walk.container = next(
        (kind for root, kind in ROOTS.items() if any(name.startswith(root) for name in infos)),
        "odf",
    )
    if MANIFEST in infos and LOCKED in b"".join(_part(walk, archive, infos[MANIFEST])):
        raise Halt("encrypted")
    if BINARY_WORKBOOK in infos:
        walk.run_guarded(path, partial(workbook, walk, body, path))
    if any(SHEET.fullmatch(name) for name in infos):
        _sheets(walk, archive, infos, path)
    for name, info in infos.items():
        place = f"{path}{SEPARATOR}{name.removesuffix('.xml')}"
        if PARAGRAPHS.fullmatch(name) or name in OPEN:
            walk.run_guarded(
                place, partial(_paragraphs, walk, archive, info, place, is_open=name in OPEN)
            )
        elif name.endswith(".rels"):
            _links(walk, archive, info, place)
        elif not (
            STRUCTURE.fullmatch(name) or (BINARY_WORKBOOK in infos and BINARY_PART.fullmatch(name))
        ):
            packed, chunks = partial(getattr, info, "compress_size"), read_zip_entry(archive, info)
            media_type = ABOUT if PROPERTIES.fullmatch(name) else PLAIN.get(name[-4:], "")
            chunks = one_a_line(chunks) if DATA.fullmatch(name) else chunks
            walk.entry(path + SEPARATOR + name, chunks, packed, depth, media_type=media_type)


def _part(walk: Walk, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    walk.budget.entry()
    return walk.budget.measure(read_zip_entry(archive, info), lambda: info.compress_size)


def _sheets(
    walk: Walk, archive: zipfile.ZipFile, infos: dict[str, zipfile.ZipInfo], path: str
) -> None:
    """Read sheets in the workbook's order, hidden ones included, then those it does not name."""
    shared: list[str] = []
    packed = 0
    if SHARED in infos:
        packed = infos[SHARED].compress_size
        place = path + SEPARATOR + SHARED
        walk.run_guarded(place, lambda: strings(_part(walk, archive, infos[SHARED]), shared))
    titles: dict[str, str] = {}
    walk.run_guarded(
        path + SEPARATOR + WORKBOOK, lambda: titles.update(_titles(walk, archive, infos))
    )
    for part in dict.fromkeys((*titles, *filter(SHEET.fullmatch, infos))):
        if part not in infos:
            continue
        title = titles.get(part) or part.rpartition("/")[2].removesuffix(".xml")
        place = path + SEPARATOR + title
        walk.run_guarded(place, partial(_sheet, walk, archive, infos[part], place, shared, packed))


def _sheet(
    walk: Walk,
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    place: str,
    shared: list[str],
    packed: int,
) -> None:
    """Read a sheet.

    It may repeat shared strings without end, so the output is counted too.
    """
    lines = worksheet(_part(walk, archive, info), shared)
    walk.text(place, walk.budget.measure(lines, lambda: info.compress_size + packed))


def _titles(
    walk: Walk, archive: zipfile.ZipFile, infos: dict[str, zipfile.ZipInfo]
) -> dict[str, str]:
    """Return the title of each sheet by the part that holds it; {} without a workbook."""
    targets: dict[str, str] = {}
    titles: dict[str, str] = {}

    def relation(name: str, attributes: Attributes) -> None:
        if name == "Relationship":
            target = attributes.get("Target", "")
            targets[attributes.get("Id", "")] = (
                target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            )

    def title(name: str, attributes: Attributes) -> None:
        if name == "sheet":
            titles[targets.get(attribute(attributes, "id"), "")] = attributes.get("name", "")

    for part, start in (("xl/_rels/workbook.xml.rels", relation), (WORKBOOK, title)):
        if part in infos:
            parse(_part(walk, archive, infos[part]), start)
    return titles


def _paragraphs(
    walk: Walk, archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str, *, is_open: bool
) -> None:
    words = paragraphs(_part(walk, archive, info), is_open=is_open)
    walk.text(place, walk.budget.measure(words, lambda: info.compress_size))


def _links(walk: Walk, archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str) -> None:
    """Write the external targets of links, which may hold mail addresses.

    Nothing is written if there are none.
    """
    targets: list[str] = []

    def start(name: str, attributes: Attributes) -> None:
        if name == "Relationship" and attributes.get("TargetMode") == "External":
            targets.append(attributes.get("Target", ""))

    walk.run_guarded(place, lambda: parse(_part(walk, archive, info), start))
    if targets:
        walk.text(place, ["\n".join(targets).encode("utf-8", "replace")])


class Paragraphs:
    """Handler of tags that collects the text of a document.

    WordprocessingML and DrawingML (ECMA-376 part 1, sections 17 and 21) use the same names.
    """

    WORDS = frozenset(("t", "delText", "instrText", "text"))
    """Deleted text of tracked changes, field codes (links) and comments are text too."""
    BREAKS: Mapping[str, str] = {"br": "\n", "cr": "\n", "tab": "\t", "noBreakHyphen": "-"}
    ENDS: Mapping[str, str] = {"p": "\n", "tc": "\t", "tr": "\n", "comment": "\n", "text": "\n"}
    CELL, TWICE = "tc", "Fallback"
    """A cell of a table; content that is repeated for older programs, which is left out."""

    def __init__(self) -> None:
        self.parts, self._words, self._cells, self._twice = list[str](), 0, 0, 0

    def start(self, name: str, _: Attributes) -> None:
        """Handle a tag that begins text or a cell, or breaks a line."""
        if name in self.WORDS:
            self._words += 1
        elif name in self.BREAKS:
            self.parts.append(self.BREAKS[name])
        elif name == self.CELL:
            self._cells += 1
        elif name == self.TWICE:
            self._twice += 1

    def end(self, name: str) -> None:
        """Handle the end of a tag.

        A paragraph in a cell ends in a blank, so that a row of cells stays one line.
        """
        if name in self.WORDS:
            self._words -= 1
        elif name == self.CELL:
            self._cells -= 1
        elif name == self.TWICE:
            self._twice -= 1
        if name in self.ENDS:
            self.parts.append(" " if name == "p" and self._cells else self.ENDS[name])

    def text(self, characters: str) -> None:
        """Collect characters if they are inside a tag for text."""
        if self._words and not self._twice:
            self.parts.append(characters)


class OpenParagraphs(Paragraphs):
    """The handler for OpenDocument (ISO/IEC 26300, sections 5 and 9), sheets included."""

    WORDS = frozenset(("p", "h"))
    BREAKS: Mapping[str, str] = {"s": " ", "tab": "\t", "line-break": "\n"}
    ENDS: Mapping[str, str] = {"p": "\n", "h": "\n", "table-cell": "\t", "table-row": "\n"}
    CELL, TWICE = "table-cell", ""


def paragraphs(chunks: Iterable[bytes], *, is_open: bool = False) -> Iterator[bytes]:
    """Yield the text of a document's part, of Office or of OpenDocument."""
    handler = OpenParagraphs() if is_open else Paragraphs()
    for _ in parse_chunks(chunks, handler.start, handler.end, handler.text):
        if handler.parts:
            yield "".join(handler.parts).encode("utf-8", "replace")
            handler.parts.clear()


LONGEST_GAP = 64
"""Empty cells that are kept between two cells.

A hostile sheet names only the last of 16,384 columns.
"""
DIGITS = "0123456789"
BESIDE = frozenset(
    (
        "formula formula1 formula2 oddHeader oddFooter evenHeader evenFooter"
        " firstHeader firstFooter"
    ).split()
)
"""Elements with text outside the cells: choices, conditions, headers and footers."""


def strings(chunks: Iterable[bytes], shared: list[str]) -> None:
    """Append the shared strings to `shared`, in the order of their numbers.

    Phonetic readings are left out: they are no part of the value.
    """
    parts: list[str] = []
    inside = {"t": False, "rPh": False}

    def start(name: str, _: Attributes) -> None:
        if name == "si":
            parts.clear()
        elif name in inside:
            inside[name] = True

    def end(name: str) -> None:
        if name == "si":
            shared.append(clean("".join(parts)))
        elif name in inside:
            inside[name] = False

    def text(characters: str) -> None:
        if inside["t"] and not inside["rPh"]:
            parts.append(characters)

    parse(chunks, start, end, text)


class WorksheetRows:
    """Handler of a worksheet's tags that collects its rows as lines."""

    def __init__(self, shared: list[str]) -> None:
        self._shared, self._cells, self._value = shared, list[str](), list[str]()
        self._kind, self._wanted, self.lines = "", False, list[str]()
        self._formula, self._in_formula = list[str](), False

    def start(self, name: str, attributes: Attributes) -> None:
        """Handle a tag that begins a cell, at the column of its reference, or a value."""
        if name == "c":
            self._value.clear()
            self._formula.clear()
            self._kind = attributes.get("t", "n")
            gap = column(attributes.get("r", "").rstrip(DIGITS)) - len(self._cells) - 1
            if gap > 0:
                self._cells += [""] * min(gap, LONGEST_GAP)
        elif name == "v" or name == "t":  # noqa: PLR1714  this runs for every tag of a workbook
            self._wanted = True
        elif name == "f":
            self._in_formula = True
        elif name in BESIDE:
            self._value.clear()
            self._wanted = True

    def text(self, characters: str) -> None:
        """Collect characters of a value, or of a formula, which is used if there is no value."""
        if self._wanted:
            self._value.append(characters)
        elif self._in_formula:
            self._formula.append(characters)

    def end(self, name: str) -> None:
        """Handle the end of a tag: complete a cell, or add a complete row to `lines`."""
        if name == "c":
            value = "".join(self._value)
            self._cells.append(
                self._cell(value)
                if value or not self._formula
                else f"={clean(''.join(self._formula))}"
            )
        elif name == "row":
            self.lines.append("\t".join(self._cells))
            self._cells.clear()
        else:
            if name in BESIDE and self._wanted:
                self.lines.append(clean("".join(self._value)))
            self._wanted = self._in_formula = False

    def _cell(self, value: str) -> str:
        if self._kind == "s":
            place = int(value or -1)
            # the list may be damaged
            return self._shared[place] if 0 <= place < len(self._shared) else ""
        return number(value) if self._kind == "n" else clean(value)


def worksheet(chunks: Iterable[bytes], shared: list[str]) -> Iterator[bytes]:
    """Yield the rows of a worksheet's XML as UTF-8 lines, many at a time, with tabs between cells.

    `shared` are the strings that cells refer to.
    """
    rows = WorksheetRows(shared)
    for _ in parse_chunks(chunks, rows.start, rows.end, rows.text):
        if rows.lines:
            yield ("\n".join(rows.lines) + "\n").encode("utf-8", "replace")
            rows.lines.clear()


@cache
def column(letters: str) -> int:
    """Return the number of a spreadsheet column, 1 for `A`; 0 without letters.

    Letters beyond the third are ignored.

    >>> column("A"), column("AB")
    (1, 28)
    """
    index = 0
    for letter in letters[:3]:
        index = index * 26 + (ord(letter) & 31)
    return index


def parse_chunks(
    chunks: Iterable[bytes],
    start: Callable[[str, Attributes], None],
    end: Callable[[str], None],
    text: Callable[[str], None],
) -> Iterator[None]:
    """Call back for each tag and stretch of text; yield after each chunk.

    If the outermost tag has a namespace prefix, all names are passed without their prefix. If it
    has none, neither have its relatives, and names are passed as they are: most sheets are of this
    kind, and a second call per tag would take half of the time.
    """
    parser = pyexpat.ParserCreate()
    parser.buffer_text = True

    def first(name: str, attributes: Attributes) -> None:
        if ":" in name:
            parser.StartElementHandler = lambda name, attributes: start(
                name.rpartition(":")[2], attributes
            )
            parser.EndElementHandler = lambda name: end(name.rpartition(":")[2])
        else:
            parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.StartElementHandler(name, attributes)

    parser.StartElementHandler = first
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _refuse
    for chunk in chunks:
        parser.Parse(chunk, False)
        yield
    parser.Parse(b"", True)
    yield


def parse(
    chunks: Iterable[bytes],
    start: Callable[[str, Attributes], None],
    end: Callable[[str], None] = lambda _name: None,
    text: Callable[[str], None] = lambda _text: None,
) -> None:
    """Call back for each tag and stretch of text of all chunks; see `parse_chunks`."""
    for _ in parse_chunks(chunks, start, end, text):
        pass


def _refuse(*_: object) -> None:
    raise ValueError("document type in an office file")


def attribute(attributes: Attributes, name: str) -> str:
    """Return the attribute `name`, with or without a namespace prefix; "" if missing."""
    if name in attributes:
        return attributes[name]
    return next((value for key, value in attributes.items() if key.rpartition(":")[2] == name), "")


TOKEN = re.compile(rb"<[^<>]*>|(?:<(?![^<>]*>)|[^<])+")
"""A tag, or the text between two; linear, as either ends before the next tag."""
NAME = re.compile(rb"</?([^\s/>]+)")
HELD = 1 << 16
"""Bytes of an unfinished tag or text that are kept."""
WIDE = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")
"""How XML in UTF-16 begins."""


def one_a_line(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield XML with its tags, and a line for each of several similar elements that hold values.

    Rows are recognised by their lines. Blanks between tags are removed, so that a record that a
    program spread over many lines is one line again. Other text stays as it is.
    """
    lines, buffer, is_wide = _Lines(), b"", None
    for chunk in chunks:
        is_wide = chunk.startswith(WIDE) if is_wide is None else is_wide
        if is_wide:
            yield chunk
            continue
        buffer += chunk
        end = buffer.rfind(b">") + 1 or (len(buffer) if len(buffer) > HELD else 0)
        if end:
            yield b"".join(map(lines.take, TOKEN.findall(buffer[:end])))
            buffer = buffer[end:]
    yield b"".join(map(lines.take, TOKEN.findall(buffer)))


class _Lines:
    """State that breaks the line before an element like the one that just ended.

    It does so if that element held elements or several attributes.
    """

    def __init__(self) -> None:
        self._ended, self._is_full, self._attributes, self._in_text = b"", False, 0, False

    def take(self, token: bytes) -> bytes:
        """Return a token as it is to be written."""
        if (
            not token.endswith(b">")
            or token.startswith((b"<!", b"<?"))
            or not (named := NAME.match(token))
        ):
            if token.isspace() and not self._in_text:
                return b""
            self._ended, self._in_text = b"", True
            return token
        self._in_text = False
        if token.startswith(b"</"):
            self._is_full = bool(self._ended) or self._attributes > 1
            self._ended, self._attributes = named[1], 0
            return token
        is_next = self._is_full and named[1] == self._ended
        self._attributes, self._ended = token.count(b"="), b""
        if token.endswith(b"/>"):
            self._is_full, self._ended, self._attributes = self._attributes > 1, named[1], 0
        return b"\n" + token if is_next else token


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ENCRYPTED = tuple(name.encode("utf-16-le") for name in ("EncryptedPackage", "EncryptedSummary"))
"""Names of streams in encrypted files: of Office since 2007, and of older PowerPoint."""
WORD, FLAGS, WORD_LOCKED = b"\xec\xa5", 10, 1
"""The first bytes of a Word document's main stream, and where its encryption flag is.

See [MS-DOC] 2.5.2.
"""
SECTOR = 512
WORKBOOKS = tuple(f"{name}\0".encode("utf-16-le") for name in ("Workbook", "Book"))
"""Names of the stream that makes a compound file a workbook, of Excel 97 and of 95."""
STRINGS = re.compile(
    # UTF-16: ASCII, Han, its signs, full width
    rb"((?:[\t\x20-\x7e]\0|[\0-\xff][\x4e-\x9f]|[\0-\x3f]\x30|[\x01-\x5e]\xff){4,}+)"
    rb"|((?:[\t\x20-\x7e]|[\x81-\xfe][\x40-\xfe]){6,}+)"  # bytes: ASCII and GBK
)
LINES = 1000


def compound(walk: Walk, body: Body, path: str, _depth: int) -> None:
    """Read a compound file: as a workbook if it is one, otherwise its strings, one per line.

    Raises Halt `encrypted` if it has a password, and `unsupported` after the strings were written.
    """
    if any(body.find(name) >= 0 for name in ENCRYPTED) or _is_locked(body):
        raise Halt("encrypted")
    if calamine() is not None and any(body.find(name) >= 0 for name in WORKBOOKS):
        walk.container = "xls"
        workbook(walk, body, path)
        return
    walk.text(
        f"{path}{SEPARATOR}strings", walk.budget.measure(clear_strings(body), lambda: len(body))
    )
    raise Halt("unsupported")


def _is_locked(body: Body) -> bool:
    """Return whether a Word document is encrypted."""
    at = body.find(WORD, SECTOR)
    while at >= 0 and at % SECTOR:
        at = body.find(WORD, at + 1)
    return at >= 0 and at + FLAGS + 1 < len(body) and bool(body[at + FLAGS + 1] & WORD_LOCKED)


calamine = partial(load_package, "python_calamine")
"""Loads the package that reads workbooks in formats other than XML."""


def workbook(walk: Walk, body: Body, path: str) -> None:
    """Write each sheet of a workbook as a member, one line a row.

    Raises Halt `unsupported` without the library that reads it, `encrypted` if it has a password,
    and ValueError if it is damaged.
    """
    library = calamine()
    if library is None:
        raise Halt("unsupported")
    try:
        book = library.CalamineWorkbook.from_filelike(io.BytesIO(body))
        for title in book.sheet_names:
            rows = book.get_sheet_by_name(title).iter_rows()
            walk.text(
                f"{path}{SEPARATOR}{title}", walk.budget.measure(lines(rows), lambda: len(body))
            )
    except library.PasswordError:
        raise Halt("encrypted") from None
    except library.CalamineError as error:
        raise ValueError("damaged workbook") from error


def clear_strings(body: Body) -> Iterator[bytes]:
    r"""Yield the strings of a binary file as lines of UTF-8, in pieces of at most `LINES` lines.

    A string is at least four characters of UTF-16, or six of ASCII and GBK. Bytes that cannot be
    decoded become U+FFFD.

    >>> b"".join(clear_strings(b"\0\1" + "手机15400000001".encode("utf-16-le"))).decode()
    '手机15400000001\n'
    """
    texts: list[str] = []
    for match in STRINGS.finditer(body):
        wide, narrow = match.groups()
        texts.append(
            wide.decode("utf-16-le", "replace") if wide else narrow.decode("gb18030", "replace")
        )
        if len(texts) == LINES:
            yield ("\n".join(texts) + "\n").encode()
            texts.clear()
    if texts:
        yield ("\n".join(texts) + "\n").encode()


FORMATS = (
    FileFormat("office", read, in_zip=is_office, containers=(*ROOTS.values(), "odf")),
    FileFormat(
        "ole",
        compound,
        starts=(OLE,),
        containers=("ole", "xls"),
        packages=("python_calamine",),
        load=calamine,
    ),
)
