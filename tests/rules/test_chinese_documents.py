"""A document in Chinese says what its English text says: it cannot fall behind unnoticed."""

import re
from pathlib import Path

import pytest

from tests.rules.languages import PARTS, list_links, strip_blocks

DOCS = Path(__file__).parents[2] / "docs"
NAMES = sorted(path.name for path in (DOCS / "zh").glob("*.md"))
SENTENCE = re.compile(r"[A-Za-z]{2,}(?:[ ,;'-]+[A-Za-z]+){4,}")
"""Five English words in a row."""
NOT_PROSE = re.compile(r"`[^`]+`|\]\([^)]+\)")


def read(name: str) -> tuple[str, str]:
    """Return the English and the Chinese text of a document."""
    return (
        (DOCS / name).read_text(encoding="utf-8"),
        (DOCS / "zh" / name).read_text(encoding="utf-8"),
    )


def read_part(part: str, text: str) -> object:
    """Return a part of a text, with links as both languages have them.

    Links to the other language are left out, and folders before a file.
    """
    without = re.sub(r"^\[(?:中文|English)\]\([^)]+\)$", "", text, flags=re.MULTILINE)
    return PARTS[part](re.sub(r"\]\((?:\.\./|zh/)+", "](", without))


def test_first_day_and_shift_documents_exist_in_chinese() -> None:
    assert {"getting-started.md", "assess.md", "operating.md", "runbooks.md"} <= set(NAMES)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", NAMES)
def test_both_languages_have_the_same_structure(name: str, part: str) -> None:
    english, chinese = read(name)
    assert read_part(part, chinese) == read_part(part, english)


@pytest.mark.parametrize("name", NAMES)
def test_chinese_text_has_no_english_sentence(name: str) -> None:
    prose = NOT_PROSE.sub("·", strip_blocks(read(name)[1]))
    assert SENTENCE.findall(prose) == []


@pytest.mark.parametrize("name", NAMES)
def test_chinese_documents_link_to_chinese_documents(name: str) -> None:
    links = {link.partition("#")[0] for link in list_links(read(name)[1])} - {f"../{name}"}
    assert [link for link in links if link.removeprefix("../") in NAMES and "/" in link] == []


@pytest.mark.parametrize("name", NAMES)
def test_documents_link_to_their_translation(name: str) -> None:
    english, chinese = read(name)
    assert f"[中文](zh/{name})" in english
    assert f"[English](../{name})" in chinese


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("headings", "## UllageWatchdog\n", ""),
        ("blocks", "ullage --data DIR collect\n", "ullage --data DIR collects\n"),
        ("links", "(#ullageexpiring)", "(#ullagesitequiet)"),
        ("code", "`bus.captures_hours`", "`bus.hours`"),
        ("items", "- `unreachable`：", "`unreachable`："),
    ],
)
def test_outdated_translation_is_detected(part: str, old: str, new: str) -> None:
    english, chinese = read("runbooks.md")
    changed = chinese.replace(old, new)
    assert changed != chinese
    assert read_part(part, changed) != read_part(part, english)
