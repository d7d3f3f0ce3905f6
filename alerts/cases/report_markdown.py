"""The draft of a report as Markdown."""

from __future__ import annotations

import re

from jinja2 import Environment, PackageLoader, StrictUndefined

from alerts.cases.report import ReportDraft

SIGNS = re.compile(r"[\\`*<>|#\[\]]")
BEGINNING = re.compile(r"^(\s*)([-+=])|^(\s*\d+)([.)])")
"""What a line begins with that would make it an item of a list, a heading or a rule; of a number the sign behind it."""


def literal(text: str) -> str:
    r"""`text` with the signs escaped that Markdown or HTML would read.

    >>> literal("# <b> *x*")
    '\\# \\<b\\> \\*x\\*'
    """
    return BEGINNING.sub(r"\1\3\\\2\4", SIGNS.sub(lambda found: "\\" + found[0], text))


def markdown(page: ReportDraft) -> str:
    """The page as Markdown, ending in a newline."""
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
