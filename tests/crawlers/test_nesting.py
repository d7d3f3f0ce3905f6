"""Tags within tags: nobody hides what stands below his own post, and no page costs more than its
length.
"""

import pytest
from lxml import etree

from crawlers.sites.nesting import DEEPEST, flatten, parse_html

BELOW = "".join(f'<p class="post"><em>post {number}</em>' for number in range(5))
TAGS = ("div", "b", "blockquote", "ul><li", "table><tr><td", "span class='>'")


def around(tag: str, count: int, *, closed: bool) -> str:
    ends = "".join(f"</{part.split()[0]}>" for part in reversed(tag.split("><"))) if closed else ""
    return f"<html><body>{f'<{tag}>' * count}inmost{ends * count}{BELOW}"


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("tag", TAGS)
def test_content_below_endlessly_nested_tags_is_read(tag: str, closed: bool) -> None:
    page = parse_html(around(tag, 5_000, closed=closed))
    assert page.css("p.post em::text").getall() == [f"post {number}" for number in range(5)]
    assert "inmost" in page.xpath("string()").get("")


def test_libxml2_alone_reads_no_further() -> None:
    """Else none of this were needed."""
    assert not etree.fromstring(
        around("div", 5_000, closed=True), etree.HTMLParser(recover=True, huge_tree=True)
    ).xpath("//p")


def test_many_different_nested_tags_are_flattened() -> None:
    opened = "".join(f"<x{number}>" for number in range(3 * DEEPEST))
    closed = "".join(f"</x{number}>" for number in reversed(range(3 * DEEPEST)))
    assert len(parse_html(opened + closed + BELOW).css("em")) == 5


@pytest.mark.parametrize(
    "text",
    [BELOW, "<p>one<p>two<br></b></p>", "a < b > c <", "<ul>" + "<li>x" * 3_000, "<b title='", ""],
)
def test_shallow_page_stays_unchanged(text: str) -> None:
    assert flatten(text) == text
