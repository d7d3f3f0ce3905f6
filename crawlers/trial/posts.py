"""Guess the posts of unknown software from a few threads: elements that repeat and hold a date.

Elements are grouped by what could select them: a class, an attribute, a place below a parent. Of
the groups that hold nearly all of the text that the threads do not share, the one with the most
elements is the posts, since elements of the others hold several posts each. If a row holds author
and date and the next row the text, the text is read from that row.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from lxml import etree  # type: ignore[import-untyped]  # it has no types
from lxml.html import HtmlElement  # type: ignore[import-untyped]  # it has no types

from crawlers.sites.dates import DateFormats
from crawlers.sites.elements import elements_in, next_element, text_before, text_behind

NO_POSTS = frozenset(
    {
        "a",
        "span",
        "script",
        "style",
        "body",
        "html",
        "form",
        "time",
        "b",
        "i",
        "img",
        "head",
        "meta",
        "link",
        "option",
    }
)
NO_TEXTS = frozenset({"a", "script", "style", "title", "button", "select"})
NO_BODIES = frozenset(
    {
        "a",
        "span",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "li",
        "button",
        "footer",
        "header",
        "aside",
        "b",
        "i",
        "font",
    }
)
IDENT = re.compile(r"-?[_a-zA-Z][\w-]*")
NUMBERED = re.compile(r"\d")
ID_PREFIX = re.compile(r"([A-Za-z][A-Za-z_-]*?)[_-]?\d+")
BODY = re.compile(r"(?i)content|body|text|message|cooked|words")
BODY_BONUS = 3
AUTHOR = re.compile(r"(?i)author|user|poster|nick|member|by-?line|who|creator")
PROFILE = re.compile(
    r"(?i)/(u|user|users|member|members|profile|author|people|space)[/.?-]"
    r"|[?&](uid|u|user|mod=space)=?"
)
MOMENT = DateFormats()
MOST_CLASSES = 3
MOST_PAIRED, LEAST_REPLY = 40, 8
"""The most groups of each kind to pair, and the least average text of a first post or reply.

A heading has less text.
"""
EVERYWHERE = 0.8
"""The least share of thread pages with posts: a thread may be deleted, or for members only."""
MOST_GROUPS = 80
"""The most groups to examine, those with the most text first."""
NEARLY = 0.85
"""The least share of the best group's text that another group must hold to be considered."""
LEAST_COVER = 0.5
"""The least share that posts must hold of the text that threads do not share."""
DATED = (0.9, 0.6, 0.0)
BEHIND, ALL_OF_IT = "xpath:following-sibling::*[1]", "xpath:."
LONGEST_DATE, LONGEST_NAME = 60, 40
LONG = 25
"""From this number of bytes on, a text is considered words and not a label or a name."""
LONGEST_SAID, LONGEST_AGO = 80, 30
"""The most letters of a text that may be a date, or an age such as "today"."""
KEPT = 0.6
"""The least share of a post that its text must have; else the whole post is read."""
Options = dict[str, str | list[str] | bool]


@dataclass(slots=True)
class _Group:
    selector: str
    nodes: list[HtmlElement]
    cover: int
    dated: float
    number: str
    behind: bool = False
    pages: int = 1
    """The number of pages that have one."""
    is_pair: bool = False
    """Whether it joins two groups: the first post of a thread, and replies in another form."""


def guess_options(roots: Sequence[HtmlElement], now: datetime | None) -> Options:
    """Return options that read the posts of a site's threads.

    Returns {} if nothing looks like one: the best elements hold less than LEAST_COVER (0.5) of the
    text. Texts on all pages and titles do not count. `now` is what relative dates refer to, None if
    unknown.
    """
    texts = [
        Counter(text_node for candidate in root.itertext() if (text_node := candidate.strip()))
        for root in roots
    ]
    same = set.intersection(*map(set, texts)) if len(roots) > 1 else set[str]()
    # the title is above the posts, and is most of the text of short ones
    for root, page_texts in zip(roots, texts, strict=True):
        headings = root.findall(".//h1")
        titles = [
            " ".join((root.findtext(".//title") or "").split()),
            *map(get_text, headings if len(headings) == 1 else ()),
        ]
        same |= {
            candidate for candidate in page_texts if any(candidate in title for title in titles)
        }
    weights = {
        text_node: _weigh(text_node)
        for page_texts in texts
        for text_node in page_texts
        if text_node not in same
    }
    whole = sum(count_unshared(get_body(root), weights) for root in roots)
    groups = [
        made for elements in _group_elements(roots) for made in _measure(*elements, weights, now)
    ]
    pairs = _pair_groups(groups, EVERYWHERE * len(roots))
    groups = [group for group in groups if group.pages >= EVERYWHERE * len(roots)]
    best = max((group.cover for group in groups), default=0)
    if not whole or best < LEAST_COVER * whole:
        return {}
    near = [group for group in (*groups, *pairs) if group.cover >= NEARLY * best]
    chosen = _choose_group(near)
    options: Options = {"post": chosen.selector, **_guess_parts(chosen, weights, now)}
    if chosen.is_pair:  # `post-7` differs from `comment-7`
        options["id_pattern"] = "^.+$"
    return (
        {**options, "id": f"xpath:@{chosen.number}"} if chosen.number not in {"", "id"} else options
    )


def _choose_group(near: Sequence[_Group]) -> _Group:
    """Return the group that is the posts.

    Dated groups with several elements per page take precedence over those with one. Of groups with
    one element per page the smallest is chosen, since the others contain it. Raises ValueError if
    there is none.
    """
    near = [group for group in near if len(group.nodes) > group.pages or not group.behind]
    for least in DATED:
        dated = [group for group in near if group.dated >= least]
        several = [group for group in dated if len(group.nodes) > group.pages]
        singles = [group for group in several if not group.is_pair]
        if several and (least or singles):
            likely = max(
                singles or several,
                key=lambda choice: (
                    len(choice.nodes),
                    choice.number != "",
                    not choice.behind,
                    choice.cover,
                ),
            )
            return _add_first_post(likely, near)
        if dated:
            return min(
                dated,
                key=lambda choice: (
                    sum(len(get_text(node)) for node in choice.nodes),
                    choice.number == "",
                    choice.behind,
                ),
            )
    raise ValueError("no group is given")


def _add_first_post(replies: _Group, near: Sequence[_Group]) -> _Group:
    """Return the pair of a group of replies with a first post before it, else the group itself.

    The first post must say as much as a post usually does.
    """
    pairs = [
        pair
        for pair in near
        if pair.is_pair
        and pair.selector.endswith(f", {replies.selector}")
        and pair.cover - replies.cover >= LONG * pair.pages
        and not replies.behind
    ]
    return min(
        pairs,
        key=lambda pair: (sum(len(get_text(node)) for node in pair.nodes), -pair.cover),
        default=replies,
    )


def _pair_groups(groups: Sequence[_Group], least_pages: float) -> list[_Group]:
    """Return pairs of a group with one element per page and a dated group of replies.

    The first group must be on at least `least_pages` pages; not every thread needs to have replies.
    Of each kind, the MOST_PAIRED (40) largest are tried; pairs whose elements overlap are left out.
    """
    plain = sorted((group for group in groups if not group.behind), key=lambda group: -group.cover)
    firsts = [
        group
        for group in plain
        if group.pages >= least_pages
        and len(group.nodes) == group.pages
        and group.cover >= LEAST_REPLY * group.pages
    ][:MOST_PAIRED]
    replies = [
        group
        for group in plain
        if group.dated >= DATED[0] and group.cover >= LEAST_REPLY * len(group.nodes)
    ][:MOST_PAIRED]
    pairs = list[_Group]()
    for first in firsts:
        for reply in replies:
            nodes = [*first.nodes, *reply.nodes]
            if len(set(nodes)) == len(drop_nested(nodes)) == len(nodes):
                cover, selector = first.cover + reply.cover, f"{first.selector}, {reply.selector}"
                pairs.append(
                    _Group(
                        selector,
                        nodes,
                        cover,
                        reply.dated,
                        find_numbering(nodes),
                        pages=first.pages,
                        is_pair=True,
                    )
                )
    return pairs


ROWS = frozenset({"li", "p", "dd", "dt", "nav"})
LONGEST_ROW = 80
"""The most letters beside the link of a row that leads elsewhere; a longer row is a post."""


def take_out_rows(root: HtmlElement, leads_elsewhere: Callable[[str], bool]) -> None:
    """Remove small rows that link to another thread, such as "next message" or "related"."""
    for link in [link for link in root.iter("a") if leads_elsewhere(link.get("href") or "")]:
        row = next((above for above in link.iterancestors() if above.tag in ROWS), None)
        if row is None or row.getparent() is None or find_date(row, None):
            continue
        if (
            len(get_text(row)) - sum(len(get_text(link_in_row)) for link_in_row in row.iter("a"))
            <= LONGEST_ROW
        ):
            row.drop_tree()


def get_body(root: HtmlElement) -> HtmlElement:
    """Return the body element of a page."""
    element = root.find("body")
    return element if element is not None else root


def count_unshared(element: HtmlElement, weights: Mapping[str, int]) -> int:
    """Return the weight of an element's text that not all threads share, without links."""
    return sum(weights.get(text_node, 0) for text_node in iter_texts(element))


def _weigh(text_node: str) -> int:
    """Return the weight of a text: little for a short one, nothing for a date."""
    size = len(text_node)
    if size < LONGEST_DATE and MOMENT.parse(text_node) is not None:
        return 0
    return size if len(text_node.encode("utf-8", "replace")) >= LONG else 1 + size // 4


def iter_texts(root: HtmlElement) -> Iterator[str]:
    """Yield the texts of an element, stripped, without blank ones.

    Texts of elements in NO_TEXTS, such as links, are left out.
    """
    walk = etree.iterwalk(root, events=("start", "end"), tag="*")
    for event, element in walk:
        is_left_out = element.tag in NO_TEXTS
        if event == "start" and is_left_out and element is not root:
            walk.skip_subtree()
        if event == "end":
            text = text_behind(element) if element is not root else ""
        else:
            text = "" if is_left_out else text_before(element)
        if stripped := text.strip():
            yield stripped


def _group_elements(roots: Sequence[HtmlElement]) -> list[tuple[str, list[HtmlElement], int]]:
    """Return elements by selector, and how many pages have one.

    Selectors with a single element are left out; of the others, the MOST_GROUPS (80) with most text
    are returned.
    """
    groups: dict[str, list[list[HtmlElement]]] = defaultdict(lambda: [[] for _ in roots])
    for place, root in enumerate(roots):
        mixed = {
            above
            for above in elements_in(get_body(root))
            if len({child.tag for child in above if _may_be_post(child)}) > 1
        }
        for element in elements_in(get_body(root), itself=False):
            if _may_be_post(element):
                for selector in _iter_selectors(element, mixed):
                    groups[selector][place].append(element)
    groups_found = [
        (name, drop_nested([node for page in pages for node in page]), sum(map(bool, pages)))
        for name, pages in groups.items()
    ]
    groups_found = [(name, nodes, pages) for name, nodes, pages in groups_found if len(nodes) > 1]
    return sorted(groups_found, key=lambda item: -sum(len(get_text(node)) for node in item[1]))[
        :MOST_GROUPS
    ]


def _may_be_post(element: HtmlElement) -> bool:
    """Return whether an element may be a post by its tag."""
    return isinstance(element.tag, str) and element.tag not in NO_POSTS


def _iter_selectors(element: HtmlElement, mixed: AbstractSet[HtmlElement]) -> Iterator[str]:
    """Yield every selector of an element and elements like it.

    Elements in `mixed` have children of several tags that may be posts.
    """
    tag = str(element.tag)
    classes = [name for name in (element.get("class") or "").split() if is_generic(name)]
    yield from (f"{tag}.{name}" for name in dict.fromkeys(classes))
    for name, value in element.attrib.items():
        if name == "id" and (match := ID_PREFIX.fullmatch(value)):
            yield f"{tag}[id^='{match[1]}']"
        elif name in {"itemprop", "itemtype", "role"} and "'" not in value:
            yield f"{tag}[{name}='{value}']"
        elif name not in {"class", "id", "style"} and IDENT.fullmatch(name):
            yield f"{tag}[{name}]"
    if (above := element.getparent()) is not None:
        yield f"{_select_path(above)} > {tag}"
        # the first post and replies to it
        if above in mixed and not (way := _select_path(above)).startswith("body"):
            yield f"{way} > *"


def _select_path(element: HtmlElement) -> str:
    """Return a selector of an element by class or id, or by the tags below a parent with one.

    At most six steps are named; they begin at `body` if no parent has a class or id of use.
    """
    steps = list[str]()
    while element is not None and element.tag != "body" and len(steps) < 6:
        classes = [name for name in (element.get("class") or "").split() if is_generic(name)]
        element_id = element.get("id") or ""
        if classes or is_generic(element_id):
            return " > ".join(
                [
                    f"{element.tag}.{classes[0]}" if classes else f"{element.tag}#{element_id}",
                    *steps,
                ]
            )
        steps.insert(0, str(element.tag))
        element = element.getparent()
    return " > ".join(["body", *steps])


def _measure(
    selector: str,
    nodes: list[HtmlElement],
    pages: int,
    weights: Mapping[str, int],
    now: datetime | None,
) -> Iterator[_Group]:
    """Yield the group of some elements, and the one that reads the text from the next row.

    The latter is yielded only if the elements are dated, each has a following row, and these hold
    over half as much text. `pages` is the number of pages with one of the elements.
    """
    dated = sum(find_date(node, now) is not None for node in nodes) / len(nodes)
    cover = sum(count_unshared(node, weights) for node in nodes)
    number = find_numbering(nodes)
    yield _Group(selector, nodes, cover, dated, number, pages=pages)
    ours = set(nodes)
    behind = [
        next_ for node in nodes if (next_ := next_element(node)) is not None and next_ not in ours
    ]
    if dated >= DATED[0] and len(behind) == len(nodes):
        more = sum(count_unshared(node, weights) for node in behind)
        if more > cover / 2:
            yield _Group(selector, nodes, cover + more, dated, number, behind=True, pages=pages)


def _guess_parts(chosen: _Group, weights: Mapping[str, int], now: datetime | None) -> Options:
    """Return options for the text, author and time in a post.

    The text always has one; author and time are left out if nothing looks like one.
    """
    posts, sizes, dated, named, weak = (
        chosen.nodes,
        Counter[str](),
        Counter[str](),
        Counter[str](),
        Counter[str](),
    )
    weights_by_selector = Counter[str]()
    for post in posts:
        for element in elements_in(post, itself=False):
            size, moment, selector = (
                len(get_text(element)),
                find_date(element, now),
                select_by_kind(element),
            )
            names = f"{element.get('class', '')} {element.get('itemprop', '')}"
            if (
                selector != element.tag
                and element.tag not in NO_BODIES
                and find_date(element, None) is None
            ):
                weight = count_unshared(element, weights)
                weights_by_selector[selector] += weight
                sizes[selector] += weight * (BODY_BONUS if BODY.search(names) else 1)
            if moment is not None and (element.tag in {"time", "meta"} or size < LONGEST_DATE):
                dated[selector] += 1
            profile = PROFILE.search(element.get("href", "")) if element.tag == "a" else None
            if 0 < size < LONGEST_NAME and moment is None and (profile or AUTHOR.search(names)):
                named[
                    selector
                    if selector != element.tag or not profile
                    else f"a[href*='{profile[0].strip('?&')}']"
                ] += 1
            elif 0 < size < LONGEST_NAME and element.tag in {"b", "strong"}:
                weak[selector] += 1
    options: Options = {
        "body": BEHIND
        if chosen.behind
        else _guess_body(
            posts, sizes, weights_by_selector, sum(count_unshared(post, weights) for post in posts)
        )
    }
    for name, counts in (("time", dated), ("author", named or weak)):
        if counts:  # elements that each post has one time
            distances = {part: abs(number - len(posts)) for part, number in counts.items()}
            options[name] = min(distances, key=distances.__getitem__)
    return options


def _guess_body(
    posts: Sequence[HtmlElement], sizes: Counter[str], kept: Counter[str], whole: int
) -> str | list[str]:
    """Return the selectors of a post's text.

    The whole post is used if no part holds most of it, and for posts without that part.
    """
    best = sizes.most_common(1)[0][0] if sizes else ""
    if not best or kept[best] < KEPT * whole:
        return ALL_OF_IT
    return (
        best
        if all(
            any(select_by_kind(element) == best for element in elements_in(post, itself=False))
            for post in posts
        )
        else [best, ALL_OF_IT]
    )


def find_numbering(nodes: Sequence[HtmlElement]) -> str:
    """Return the attribute that numbers the elements, preferably `id`; "" for none.

    Its values all differ and end in a digit. Raises IndexError if `nodes` is empty.
    """
    for name in ("id", *(name for name in nodes[0].attrib if name.startswith("data-"))):
        values = [str(node.get(name, "")) for node in nodes]
        if len(set(values)) == len(values) and all(re.search(r"\d$", value) for value in values):
            return str(name)
    return ""


def drop_nested(nodes: Sequence[HtmlElement]) -> list[HtmlElement]:
    """Return the elements that are not inside another one of them."""
    ours = set(nodes)
    return [node for node in nodes if not any(above in ours for above in node.iterancestors())]


def select_by_kind(element: HtmlElement) -> str:
    """Return a selector of an element by its tag and first generic class, or by its property.

    Returns the tag alone if there is none.
    """
    classes = next(
        (
            f"{element.tag}.{name}"
            for name in (element.get("class") or "").split()
            if is_generic(name)
        ),
        "",
    )
    property_ = element.get("itemprop", "")
    return classes or (
        f"{element.tag}[itemprop='{property_}']" if IDENT.fullmatch(property_) else str(element.tag)
    )


def is_generic(name: str) -> bool:
    """Return whether a name is that of a kind of element, and not of a single one."""
    return bool(IDENT.fullmatch(name)) and not NUMBERED.search(name)


def get_text(element: HtmlElement) -> str:
    """Return the text of an element with single spaces."""
    return " ".join((element.text_content() or "").split())


def find_date(root: HtmlElement, now: datetime | None) -> datetime | None:
    """Return a date in an element, from a text or an attribute; None if there is none."""
    for inner in elements_in(root):
        for candidate in _list_texts(inner, is_self=inner is root):
            if (
                candidate
                and len(candidate) < LONGEST_SAID
                and (date := MOMENT.parse(candidate, now if len(candidate) < LONGEST_AGO else None))
            ):
                return date
    return None


def _list_texts(element: HtmlElement, *, is_self: bool) -> Iterable[str | None]:
    """Return the texts and attributes of an element that may hold a date."""
    content = element.get("content") if element.tag == "meta" else None
    return (
        element.get("datetime"),
        element.get("title"),
        content,
        text_before(element),
        None if is_self else text_behind(element),
    )
