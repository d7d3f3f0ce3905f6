"""README is short, and says the same in both languages."""

from pathlib import Path

import pytest

from tests.rules.languages import PARTS

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md")
)
MOST_WORDS = 1_000


def read_part(part: str, text: str) -> object:
    """Return a part of a README, without the links to the other language."""
    without = text.replace("](README.md)", "").replace("](README.zh.md)", "")
    return PARTS[part](without.replace("](docs/zh/", "](docs/"))


def test_readme_can_be_read_in_five_minutes() -> None:
    assert len(ENGLISH.split()) <= MOST_WORDS


@pytest.mark.parametrize("part", PARTS)
def test_both_languages_have_the_same_structure(part: str) -> None:
    assert read_part(part, CHINESE) == read_part(part, ENGLISH)
    assert read_part(part, ENGLISH)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("headings", ("## 工作台", "工作台")),
        (
            "blocks",
            ("sites try https://paste.example.com/archive", "sites try https://paste.example.com/"),
        ),
        ("rows", ("| 77/80", "| 78/80")),
        ("links", ("docs/what-is-found.md", "docs/chats.md")),
        ("code", ("`admin`", "`root`")),
    ],
)
def test_outdated_translation_is_detected(part: str, change: tuple[str, str]) -> None:
    changed = CHINESE.replace(*change)
    assert changed != CHINESE
    assert read_part(part, changed) != read_part(part, ENGLISH)


def test_readmes_link_to_each_other() -> None:
    assert "(README.zh.md)" in ENGLISH
    assert "(README.md)" in CHINESE
