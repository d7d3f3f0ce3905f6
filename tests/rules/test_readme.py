"""README is short, and says the same in both languages."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md")
)
FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) ", re.MULTILINE)
LINK = re.compile(r"\]\(([^)]+)\)")
FIGURE = re.compile(r"\d[\d,.]*")
MOST_WORDS = 1_000


def blocks(text: str) -> list[str]:
    """Return the content of each fenced block, without remarks and indentation."""
    return [re.sub(r" +# .*$", "", block, flags=re.MULTILINE) for block in FENCED.findall(text)]


def prose(text: str) -> str:
    return FENCED.sub("", text)


def rows(text: str) -> list[list[str]]:
    """Return the figures of each row of each table, in order of size as text.

    Languages place them as they need.
    """
    return [
        sorted(FIGURE.findall(line)) for line in prose(text).splitlines() if line.startswith("|")
    ]


def links(text: str) -> list[str]:
    """Return where links lead, except those to the other language."""
    return sorted(
        link for link in LINK.findall(prose(text)) if link not in {"README.md", "README.zh.md"}
    )


def list_code_by_section(text: str) -> list[list[str]]:
    """Return what is in backticks, as a sorted list for each section."""
    return [sorted(re.findall(r"`([^`\n]+)`", section)) for section in HEADING.split(prose(text))]


def test_readme_can_be_read_in_five_minutes() -> None:
    assert len(ENGLISH.split()) <= MOST_WORDS


@pytest.mark.parametrize(
    "part",
    [HEADING.findall, blocks, rows, links, list_code_by_section],
    ids=lambda part: part.__name__,
)
def test_both_languages_have_the_same_structure(part) -> None:
    assert part(CHINESE) == part(ENGLISH)
    assert part(ENGLISH)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        (HEADING.findall, ("## 工作台", "工作台")),
        (
            blocks,
            ("sites try https://paste.example.com/archive", "sites try https://paste.example.com/"),
        ),
        (rows, ("| 77/80", "| 78/80")),
        (links, ("docs/what-is-found.md", "docs/chats.md")),
        (list_code_by_section, ("`admin`", "`root`")),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_outdated_translation_is_detected(part, change) -> None:
    changed = CHINESE.replace(*change)
    assert changed != CHINESE
    assert part(changed) != part(ENGLISH)


def test_readmes_link_to_each_other() -> None:
    assert "(README.zh.md)" in ENGLISH
    assert "(README.md)" in CHINESE
