"""What the posts of unknown software look like, guessed from a few threads: what repeats, has a
date, and holds what differs.

Elements are grouped by what could select them: a class, an attribute, a place below a parent. Of
the groups that hold nearly all of the text that the threads do not share, that with the most
elements is the posts: larger ones hold several posts each. Where a post is a row that says who and
when, and the next row what, the text is looked for behind it.
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
    r"(?i)/(u|user|users|member|members|profile|author|people|space)[/.?-]|[?&](uid|u|user|mod=space)=?"
)
MOMENT = DateFormats()
MOST_CLASSES = 3
MOST_PAIRED, LEAST_REPLY = 40, 8
"""Groups of each kind that are paired, and how much a first post or a reply says on average: a
heading says less.
"""
EVERYWHERE = 0.8
"""Of the pages of threads so many have posts: one may be gone, or for members."""
MOST_GROUPS = 80
"""Groups that are looked at, those with the most text first."""
NEARLY = 0.85
"""So much of what the best group holds must another hold to be thought of."""
LEAST_COVER = 0.5
"""So much of what threads do not share must posts hold."""
DATED = (0.9, 0.6, 0.0)
BEHIND, ALL_OF_IT = "xpath:following-sibling::*[1]", "xpath:."
LONGEST_DATE, LONGEST_NAME = 60, 40
LONG = 25
"""Bytes of a text that is rather somebody's words than a label or a name."""
LONGEST_SAID, LONGEST_AGO = 80, 30
"""Letters of a text that may be a date, or an age: whoever writes "today" in a post dates
nothing.
"""
KEPT = 0.6
"""So much of a post must its text be; else all of the post is read."""
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
    """How many pages have one."""
    is_pair: bool = False
    """Whether it is made of two: the first post of a thread, and replies to it that look
    otherwise.
    """


def of_threads(roots: Sequence[HtmlElement], now: datetime | None) -> Options:
    """Options that read the posts of threads of one site; {} where nothing in them looks like
    one.
    """
    texts = [Counter(said for one in root.itertext() if (said := one.strip())) for root in roots]
    same = set.intersection(*map(set, texts)) if len(roots) > 1 else set[str]()
    # its title stands above the posts, and of short ones it is most
    for root, own_texts in zip(roots, texts, strict=True):
        headings = root.findall(".//h1")
        titles = [
            " ".join((root.findtext(".//title") or "").split()),
            *map(text, headings if len(headings) == 1 else ()),
        ]
        same |= {one for one in own_texts if any(one in title for title in titles)}
    weights = {said: _weight(said) for own_texts in texts for said in own_texts if said not in same}
    whole = sum(fresh(body(root), weights) for root in roots)
    groups = [made for found in _grouped(roots) for made in _measured(*found, weights, now)]
    pairs = _pairs(groups, EVERYWHERE * len(roots))
    groups = [group for group in groups if group.pages >= EVERYWHERE * len(roots)]
    best = max((group.cover for group in groups), default=0)
    if not whole or best < LEAST_COVER * whole:
        return {}
    near = [group for group in (*groups, *pairs) if group.cover >= NEARLY * best]
    chosen = _likeliest(near)
    told: Options = {"post": chosen.selector, **_in_posts(chosen, weights, now)}
    if chosen.is_pair:  # `post-7` is another than `comment-7`
        told["id_pattern"] = "^.+$"
    return {**told, "id": f"xpath:@{chosen.number}"} if chosen.number not in {"", "id"} else told


def _likeliest(near: Sequence[_Group]) -> _Group:
    """Return the group that is the posts: what stands several times on a page and is dated goes
    before what stands once.

    Of groups that stand once on each page the smallest is the post, and others hold it.
    """
    near = [group for group in near if len(group.nodes) > group.pages or not group.behind]
    for least in DATED:
        dated = [group for group in near if group.dated >= least]
        several = [group for group in dated if len(group.nodes) > group.pages]
        singles = [group for group in several if not group.is_pair]
        if several and (least or singles):
            likely = max(
                singles or several,
                key=lambda one: (len(one.nodes), one.number != "", not one.behind, one.cover),
            )
            return _with_first(likely, near)
        if dated:
            return min(
                dated,
                key=lambda one: (
                    sum(len(text(node)) for node in one.nodes),
                    one.number == "",
                    one.behind,
                ),
            )
    raise ValueError("no group is given")


def _with_first(replies: _Group, near: Sequence[_Group]) -> _Group:
    """Return the pair of a group with what stands before it on each page and says as much as a
    post; else the group itself.
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
        key=lambda pair: (sum(len(text(node)) for node in pair.nodes), -pair.cover),
        default=replies,
    )


def _pairs(groups: Sequence[_Group], least_pages: float) -> list[_Group]:
    """Return pairs of a group that stands once on each page and a dated one of replies, which
    not all threads have.
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
    made = list[_Group]()
    for first in firsts:
        for reply in replies:
            nodes = [*first.nodes, *reply.nodes]
            if len(set(nodes)) == len(outermost(nodes)) == len(nodes):
                cover, selector = first.cover + reply.cover, f"{first.selector}, {reply.selector}"
                made.append(
                    _Group(
                        selector,
                        nodes,
                        cover,
                        reply.dated,
                        numbered(nodes),
                        pages=first.pages,
                        is_pair=True,
                    )
                )
    return made


ROWS = frozenset({"li", "p", "dd", "dt", "nav"})
LONGEST_ROW = 80
"""Letters beside the link of a row that leads elsewhere; in a longer one somebody speaks of
another thread.
"""


def take_out_rows(root: HtmlElement, leads_elsewhere: Callable[[str], bool]) -> None:
    """Take out of a page the small rows with a link to another thread, such as "next message" or
    "related".
    """
    for link in [link for link in root.iter("a") if leads_elsewhere(link.get("href") or "")]:
        row = next((above for above in link.iterancestors() if above.tag in ROWS), None)
        if row is None or row.getparent() is None or moment_in(row, None):
            continue
        if len(text(row)) - sum(len(text(one)) for one in row.iter("a")) <= LONGEST_ROW:
            row.drop_tree()


def body(root: HtmlElement) -> HtmlElement:
    """What is shown of a page."""
    found = root.find("body")
    return found if found is not None else root


def fresh(one: HtmlElement, weights: Mapping[str, int]) -> int:
    """How much of its text not all threads have, that of links apart: they tell of other pages."""
    return sum(weights.get(said, 0) for said in said_in(one))


def _weight(said: str) -> int:
    """How much a text tells of somebody's words: of a short one little, and a date nothing."""
    size = len(said)
    if size < LONGEST_DATE and MOMENT.parse(said) is not None:
        return 0
    return size if len(said.encode("utf-8", "replace")) >= LONG else 1 + size // 4


def said_in(one: HtmlElement) -> Iterator[str]:
    """The texts that stand in it, those of links apart."""
    walk = etree.iterwalk(one, events=("start", "end"), tag="*")
    for event, element in walk:
        is_left_out = element.tag in NO_TEXTS
        if event == "start" and is_left_out and element is not one:
            walk.skip_subtree()
        if event == "end":
            text = text_behind(element) if element is not one else ""
        else:
            text = "" if is_left_out else text_before(element)
        if said := text.strip():
            yield said


def _grouped(roots: Sequence[HtmlElement]) -> list[tuple[str, list[HtmlElement], int]]:
    """Return elements by what selects them, where there are several, and how many pages have
    one.
    """
    groups: dict[str, list[list[HtmlElement]]] = defaultdict(lambda: [[] for _ in roots])
    for place, root in enumerate(roots):
        mixed = {
            above
            for above in elements_in(body(root))
            if len({child.tag for child in above if _may_be_post(child)}) > 1
        }
        for one in elements_in(body(root), itself=False):
            if _may_be_post(one):
                for selector in _selectors(one, mixed):
                    groups[selector][place].append(one)
    found = [
        (name, outermost([node for page in pages for node in page]), sum(map(bool, pages)))
        for name, pages in groups.items()
    ]
    found = [(name, nodes, pages) for name, nodes, pages in found if len(nodes) > 1]
    return sorted(found, key=lambda one: -sum(len(text(node)) for node in one[1]))[:MOST_GROUPS]


def _may_be_post(one: HtmlElement) -> bool:
    return isinstance(one.tag, str) and one.tag not in NO_POSTS


def _selectors(one: HtmlElement, mixed: AbstractSet[HtmlElement]) -> Iterator[str]:
    """All by which an element and its like could be selected; `mixed` have children of several
    tags that may be posts.
    """
    tag = str(one.tag)
    classes = [name for name in (one.get("class") or "").split() if is_kind(name)]
    yield from (f"{tag}.{name}" for name in dict.fromkeys(classes))
    for name, value in one.attrib.items():
        if name == "id" and (found := ID_PREFIX.fullmatch(value)):
            yield f"{tag}[id^='{found[1]}']"
        elif name in {"itemprop", "itemtype", "role"} and "'" not in value:
            yield f"{tag}[{name}='{value}']"
        elif name not in {"class", "id", "style"} and IDENT.fullmatch(name):
            yield f"{tag}[{name}]"
    if (above := one.getparent()) is not None:
        yield f"{_way(above)} > {tag}"
        # the first post and replies to it
        if above in mixed and not (way := _way(above)).startswith("body"):
            yield f"{way} > *"


def _way(one: HtmlElement) -> str:
    """An element by its class or id, or by the tags that lead to it from one that has any."""
    steps = list[str]()
    while one is not None and one.tag != "body" and len(steps) < 6:
        classes = [name for name in (one.get("class") or "").split() if is_kind(name)]
        own = one.get("id") or ""
        if classes or is_kind(own):
            return " > ".join(
                [f"{one.tag}.{classes[0]}" if classes else f"{one.tag}#{own}", *steps]
            )
        steps.insert(0, str(one.tag))
        one = one.getparent()
    return " > ".join(["body", *steps])


def _measured(
    selector: str,
    nodes: list[HtmlElement],
    pages: int,
    weights: Mapping[str, int],
    now: datetime | None,
) -> Iterator[_Group]:
    dated = sum(moment_in(node, now) is not None for node in nodes) / len(nodes)
    cover = sum(fresh(node, weights) for node in nodes)
    number = numbered(nodes)
    yield _Group(selector, nodes, cover, dated, number, pages=pages)
    ours = set(nodes)
    behind = [
        next_ for node in nodes if (next_ := next_element(node)) is not None and next_ not in ours
    ]
    if dated >= DATED[0] and len(behind) == len(nodes):
        more = sum(fresh(node, weights) for node in behind)
        if more > cover / 2:
            yield _Group(selector, nodes, cover + more, dated, number, behind=True, pages=pages)


def _in_posts(chosen: _Group, weights: Mapping[str, int], now: datetime | None) -> Options:
    """What a post holds: its text, its author, its time."""
    posts, sizes, dated, named, weak = (
        chosen.nodes,
        Counter[str](),
        Counter[str](),
        Counter[str](),
        Counter[str](),
    )
    kept = Counter[str]()
    for post in posts:
        for one in elements_in(post, itself=False):
            size, moment, made = len(text(one)), moment_in(one, now), own(one)
            named_so = f"{one.get('class', '')} {one.get('itemprop', '')}"
            if made != one.tag and one.tag not in NO_BODIES and moment_in(one, None) is None:
                weight = fresh(one, weights)
                kept[made] += weight
                sizes[made] += weight * (BODY_BONUS if BODY.search(named_so) else 1)
            if moment is not None and (one.tag in {"time", "meta"} or size < LONGEST_DATE):
                dated[made] += 1
            profile = PROFILE.search(one.get("href", "")) if one.tag == "a" else None
            if 0 < size < LONGEST_NAME and moment is None and (profile or AUTHOR.search(named_so)):
                named[
                    made
                    if made != one.tag or not profile
                    else f"a[href*='{profile[0].strip('?&')}']"
                ] += 1
            elif 0 < size < LONGEST_NAME and one.tag in {"b", "strong"}:
                weak[made] += 1
    told: Options = {
        "body": BEHIND
        if chosen.behind
        else _body_of(posts, sizes, kept, sum(fresh(post, weights) for post in posts))
    }
    for name, found in (("time", dated), ("author", named or weak)):
        if found:  # what each post has once
            told[name] = min(found, key=lambda made, found=found: abs(found[made] - len(posts)))  # type: ignore[misc]
    return told


def _body_of(
    posts: Sequence[HtmlElement], sizes: Counter[str], kept: Counter[str], whole: int
) -> str | list[str]:
    """What of a post is its text; all of it where no part holds most, or in posts that have no
    such part.
    """
    best = sizes.most_common(1)[0][0] if sizes else ""
    if not best or kept[best] < KEPT * whole:
        return ALL_OF_IT
    return (
        best
        if all(any(own(one) == best for one in elements_in(post, itself=False)) for post in posts)
        else [best, ALL_OF_IT]
    )


def numbered(nodes: Sequence[HtmlElement]) -> str:
    """The attribute that numbers each of them, its own `id` before others; "" where there is
    none.
    """
    for name in ("id", *(name for name in nodes[0].attrib if name.startswith("data-"))):
        values = [str(node.get(name, "")) for node in nodes]
        if len(set(values)) == len(values) and all(re.search(r"\d$", value) for value in values):
            return str(name)
    return ""


def outermost(nodes: Sequence[HtmlElement]) -> list[HtmlElement]:
    """Without those that stand in another."""
    ours = set(nodes)
    return [node for node in nodes if not any(above in ours for above in node.iterancestors())]


def own(one: HtmlElement) -> str:
    """Tag and first class that is a name of a kind, or what it is a property of; the tag alone
    where there is none.
    """
    classes = next(
        (f"{one.tag}.{name}" for name in (one.get("class") or "").split() if is_kind(name)), ""
    )
    property_ = one.get("itemprop", "")
    return classes or (
        f"{one.tag}[itemprop='{property_}']" if IDENT.fullmatch(property_) else str(one.tag)
    )


def is_kind(name: str) -> bool:
    """Whether it is the name of a kind, and not of one thing."""
    return bool(IDENT.fullmatch(name)) and not NUMBERED.search(name)


def text(one: HtmlElement) -> str:
    """What a person reads of it."""
    return " ".join((one.text_content() or "").split())


def moment_in(one: HtmlElement, now: datetime | None) -> datetime | None:
    """A date in it, in a text of its own or an attribute."""
    for inner in elements_in(one):
        for said in _texts_of(inner, is_self=inner is one):
            if (
                said
                and len(said) < LONGEST_SAID
                and (found := MOMENT.parse(said, now if len(said) < LONGEST_AGO else None))
            ):
                return found
    return None


def _texts_of(one: HtmlElement, *, is_self: bool) -> Iterable[str | None]:
    content = one.get("content") if one.tag == "meta" else None
    return (
        one.get("datetime"),
        one.get("title"),
        content,
        text_before(one),
        None if is_self else text_behind(one),
    )
