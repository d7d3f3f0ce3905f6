"""Write the draft of a report as Markdown or as a .docx file.

Equal drafts give equal bytes.
"""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, datetime

import docx
from docx.document import Document
from docx.enum.text import WD_COLOR_INDEX, WD_TAB_ALIGNMENT, WD_TAB_LEADER
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt, RGBColor
from docx.table import _Cell
from docx.text.paragraph import Paragraph
from docx.text.run import Run
from jinja2 import Environment, PackageLoader, StrictUndefined

from alerts.cases.report import DraftField, ReportDraft

SIGNS = re.compile(r"[\\`*<>|#\[\]]")
BEGINNING = re.compile(r"^(\s*)([-+=])|^(\s*\d+)([.)])")
"""The start of a line that would make it a list item, a heading or a rule.

After a number, only the sign that follows it is escaped.
"""


def literal(text: str) -> str:
    r"""Return `text` with every character escaped that Markdown or HTML would interpret.

    >>> literal("# <b> *x*")
    '\\# \\<b\\> \\*x\\*'
    """
    return BEGINNING.sub(r"\1\3\\\2\4", SIGNS.sub(lambda found: "\\" + found[0], text))


def markdown(page: ReportDraft) -> str:
    """Return the draft as Markdown text, ending in a newline.

    Values are escaped, so that they cannot become mark-up.
    """
    templates = Environment(
        loader=PackageLoader("alerts.cases"),
        autoescape=False,  # noqa: S701  Markdown, not HTML: `literal` escapes
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["literal"] = literal
    return templates.get_template("draft.md.j2").render(page=page)


FONT, CHINESE_FONT = "Calibri", "SimSun"
RED, GREY = RGBColor(0xB0, 0x1E, 0x1E), RGBColor(0x70, 0x70, 0x70)
LABEL, VALUE = Cm(5.2), Cm(11.3)
WHOLE = 6
"""Number of lines up to which a row is kept on one page."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every member of the file.

With the actual date, two files of one draft would differ.
"""


def word(page: ReportDraft, now: datetime) -> bytes:
    """Return the draft as the bytes of a Word file (.docx), whose creation date is `now`.

    Equal arguments give equal bytes.
    """
    document = docx.Document()
    _prepare(document, page, now)
    document.add_heading(page.title, level=0)
    for note in page.notes:
        document.add_paragraph(note)
    for part in page.parts:
        document.add_heading(part.heading, level=1)
        table = document.add_table(rows=0, cols=2, style="Table Grid")
        table.autofit = False
        table.columns[0].width, table.columns[1].width = LABEL, VALUE
        for item in part.items:
            row = table.add_row()
            label, value = row.cells
            label.width, value.width = LABEL, VALUE
            _label(label.paragraphs[0], item)
            _lines(value, item)
            if len(item.lines) <= WHOLE:
                # there is no public API for this
                row._tr.get_or_add_trPr().append(OxmlElement("w:cantSplit"))  # noqa: SLF001
    _signatures(document, page)
    file = io.BytesIO()
    document.save(file)
    return _strip_dates(file.getvalue())


def _prepare(document: Document, page: ReportDraft, now: datetime) -> None:
    """Set the fonts of both scripts, the mark on every page, and the document properties."""
    for name in ("Normal", "Title", "Heading 1"):
        style = document.styles[name]
        style.font.name = FONT
        style.element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), CHINESE_FONT)
    normal = document.styles["Normal"]
    normal.font.size, normal.paragraph_format.space_after = Pt(10.5), Pt(3)
    document.styles["Title"].font.size = Pt(20)
    sheet = document.sections[0]
    sheet.page_width, sheet.page_height = Cm(21.0), Cm(29.7)
    sheet.left_margin = sheet.right_margin = Cm(2.25)
    for band, about in ((sheet.header, page.organization), (sheet.footer, page.incident)):
        paragraph = band.paragraphs[0]
        paragraph.paragraph_format.tab_stops.clear_all()
        paragraph.paragraph_format.tab_stops.add_tab_stop(LABEL + VALUE, WD_TAB_ALIGNMENT.RIGHT)
        _run(paragraph, page.mark, bold=True, colour=RED)
        _run(paragraph, f"\t{about}")
    _page_number(sheet.footer.paragraphs[0])
    about, created = (
        document.core_properties,
        now.astimezone(UTC).replace(tzinfo=None, microsecond=0),
    )
    about.author = about.last_modified_by = "ullage"
    about.title, about.comments = page.title, page.mark
    about.created = about.modified = created


def _page_number(paragraph: Paragraph) -> None:
    """Add the page number and the number of pages to a paragraph.

    The word processor computes both.
    """
    for before, name in (("  ", "PAGE"), (" / ", "NUMPAGES")):
        _run(paragraph, before)
        field = OxmlElement("w:fldSimple")
        field.set(qn("w:instr"), name)
        paragraph._p.append(field)  # noqa: SLF001  no public API


def _signatures(document: Document, page: ReportDraft) -> None:
    """Add a line for each signature; they stay together on one page."""
    for label in page.signatures:
        line = document.add_paragraph()
        line.paragraph_format.space_before, line.paragraph_format.keep_together = Pt(16), True
        line.paragraph_format.keep_with_next = label != page.signatures[-1]
        for place in (Cm(10), Cm(12.5), LABEL + VALUE):
            leader = WD_TAB_LEADER.SPACES if place == Cm(12.5) else WD_TAB_LEADER.LINES
            line.paragraph_format.tab_stops.add_tab_stop(place, WD_TAB_ALIGNMENT.LEFT, leader)
        _run(line, f"{label}\t  {page.date}\t\t")


def _label(paragraph: Paragraph, item: DraftField) -> None:
    _run(paragraph, item.label, bold=True)
    paragraph.add_run().add_break()
    _run(paragraph, item.law, colour=GREY, size=8)


def _lines(cell: _Cell, item: DraftField) -> None:
    """Add one paragraph per line, highlighted if a person has to fill in the field."""
    for number, line in enumerate(item.lines):
        paragraph = cell.add_paragraph() if number else cell.paragraphs[0]
        run = _run(paragraph, line)
        if item.open:
            run.font.highlight_color = WD_COLOR_INDEX.YELLOW


def _run(
    paragraph: Paragraph,
    text: str,
    *,
    bold: bool = False,
    colour: RGBColor | None = None,
    size: float = 0,
) -> Run:
    run = paragraph.add_run(text)
    run.bold = bold
    if colour is not None:
        run.font.color.rgb = colour
    if size:
        run.font.size = Pt(size)
    return run


def _strip_dates(document: bytes) -> bytes:
    """Return the same file without the dates of its members."""
    fresh = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(document)) as old,
        zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for member in sorted(old.namelist()):
            new.writestr(zipfile.ZipInfo(member, EPOCH), old.read(member), zipfile.ZIP_DEFLATED)
    return fresh.getvalue()
