"""What a document must have in common with its translation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) ", re.MULTILINE)
LINK = re.compile(r"\]\(([^)]+)\)")
FIGURE = re.compile(r"\d[\d,.]*")
CODE = re.compile(r"`([^`]+)`")


def list_blocks(text: str) -> list[str]:
    """Return the content of each fenced block, without remarks and indentation."""
    return [re.sub(r" +# .*$", "", block, flags=re.MULTILINE) for block in FENCED.findall(text)]


def strip_blocks(text: str) -> str:
    """Return `text` without its fenced blocks."""
    return FENCED.sub("", text)


def list_rows(text: str) -> list[list[str]]:
    """Return the figures of each row of each table, in order of size as text.

    Languages place them as they need.
    """
    return [
        sorted(FIGURE.findall(line))
        for line in strip_blocks(text).splitlines()
        if line.startswith("|")
    ]


def list_links(text: str) -> list[str]:
    """Return where links lead."""
    return sorted(LINK.findall(strip_blocks(text)))


def list_code_by_section(text: str) -> list[list[str]]:
    """Return what is in backticks, as a sorted list for each section."""
    return [
        sorted(" ".join(code.split()) for code in CODE.findall(section))
        for section in HEADING.split(strip_blocks(text))
    ]


def list_items_by_section(text: str) -> list[int]:
    """Return the number of list items and of paragraphs with a bold heading in each section."""
    return [
        len(re.findall(r"^(?:- |\*\*)", section, re.MULTILINE))
        for section in HEADING.split(strip_blocks(text))
    ]


PARTS: Mapping[str, Any] = {
    "headings": HEADING.findall,
    "blocks": list_blocks,
    "rows": list_rows,
    "links": list_links,
    "code": list_code_by_section,
    "items": list_items_by_section,
}
"""How each part is read, by its name."""
