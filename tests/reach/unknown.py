"""Forum programs that no preset knows, of `unknown.toml`, after different ways to write a forum: all pages of a site by path.

Each site has 14 threads on two pages of its list, threads of up to 13 posts on up to three pages, and thirty people of whom each
stands in one post: most of them in the last posts of long threads, which are lost when only first pages are read.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

THREADS, LISTED, ON_PAGE = 14, 8, 5
PEOPLE = tuple(f"1380013{8000 + n}" for n in range(30))
WORDS = "offer fresh data bank rows sample price contact today trust seller escrow buyer reply thanks nice deal full base".split()
AROUND = (
    '<html><head><title>{title}</title></head><body><ul class="nav"><li><a href="/">Home</a></li>'
    '<li><a href="/login?next=/">Log in</a></li><li><a href="/register">Register</a></li></ul>{body}'
    "<footer>All times are UTC. 2026</footer></body></html>"
)
BOARDS = ("Trade of data", "Talk of the day", "Rules and news", "Off topic things")
EMPTY = ("/b/talk", "/b/rules", "/b/off")


@dataclass(frozen=True)
class Told:
    """A post as it is planted."""

    thread: int
    number: int
    text: str

    def fields(self) -> dict[str, object]:
        """What a template may say of it."""
        day, hour, minute = 1 + (self.thread + self.number) % 26, 8 + self.number % 4, 10 + self.number
        return {
            "text": self.text,
            "number": self.number + 1,
            "id": 1000 + self.thread * 40 + self.number,
            "author": f"user{(self.thread * 3 + self.number) % 11}",
            "day": day,
            "date": f"2026-11-{day:02} {hour:02}:{minute:02}",
            "english": f"Nov {day}, 2026 {hour}:{minute:02} AM",
            "kind": "reply" if self.number else "first",
        }


def told() -> list[list[Told]]:
    """All posts by thread."""
    texts = [
        [" ".join(WORDS[(n * 7 + k * 3 + w) % len(WORDS)] for w in range(6 + (n + k) % 9)) for k in range((n * 5) % 13 + 1)]
        for n in range(THREADS)
    ]
    places = sorted(((k, n) for n, thread in enumerate(texts) for k in range(len(thread))), reverse=True)
    for person, (k, n) in zip(PEOPLE, places[:: len(places) // len(PEOPLE)], strict=False):
        texts[n][k] += f" Wang Xiaoming {person} {WORDS[k % 9]}"
    return [[Told(n, k, text) for k, text in enumerate(thread)] for n, thread in enumerate(texts)]


def title(n: int) -> str:
    """Of a thread."""
    return f"{WORDS[n].title()} of the {WORDS[-n - 1]} customers in lot {WORDS[(n * 5) % 17]}"


@dataclass(frozen=True, kw_only=True)
class Program:
    """How one program writes its pages; see `unknown.toml`."""

    name: str
    row: str
    post: str
    first: str = ""
    """The first post of a thread, where it looks otherwise."""
    list_at: tuple[str, str]
    thread_at: tuple[str, str]
    """The address of the first page, and what stands behind it in others."""
    pages: str
    list: str = "{}"
    thread: str = "{}"
    board: str = ""
    """A row of the front page, where there is one."""
    short: str = ""
    """How what `sites try` says of it must begin, where nothing could read all of it."""

    @property
    def start(self) -> str:
        """Where somebody would begin."""
        return "/" if self.board else self.list_at[0]

    def site(self) -> dict[str, str]:
        """Every page by its path."""
        threads, found, lists = told(), dict[str, str](), -(-THREADS // LISTED)
        for number in range(1, lists + 1):
            rows = "".join(self._row(n, threads[n]) for n in range((number - 1) * LISTED, min(THREADS, number * LISTED)))
            links = self._pages(number, lists, self._list_at)
            found[self._list_at(number)] = AROUND.format(title="Trade", body=f"<h1>Trade</h1>{self.list.format(rows)}{links}")
        for n, thread in enumerate(threads):
            self._write(n, thread, found)
        if self.board:
            login = '<table><tr><td><a href="/login.php?do=login">Log in here to see all of it</a></td></tr>{}</table>'
            places = zip(BOARDS, (self.list_at[0], *EMPTY), strict=True)
            boards = (self.board.format(name=name, url=url, n=n) for n, (name, url) in enumerate(places))
            found["/"] = AROUND.format(title="Board", body=login.format("".join(boards)))
            found |= {path: AROUND.format(title="Board", body="<h1>Board</h1><p>nothing yet</p>") for path in EMPTY}
        return found

    def _write(self, n: int, thread: Sequence[Told], found: dict[str, str]) -> None:
        last = -(-len(thread) // ON_PAGE)
        for number in range(1, last + 1):
            some = thread[(number - 1) * ON_PAGE : number * ON_PAGE]
            posts = "".join((self.first if self.first and not one.number else self.post).format(**one.fields()) for one in some)
            links = self._pages(number, last, lambda page: self._thread_at(n, page))
            body = f"<h1>{title(n)}</h1>{self.thread.format(posts)}{links}"
            found[self._thread_at(n, number)] = AROUND.format(title=title(n), body=body)

    def _row(self, n: int, posts: Sequence[Told]) -> str:
        fields = {**posts[-1].fields(), "author": posts[0].fields()["author"]}
        more = {"url": escape(self._thread_at(n, 1)), "title": title(n), "replies": len(posts) - 1, "posts": len(posts)}
        return self.row.format(**fields, **more, views=n * 371 + 5, n=n + 31)

    def _list_at(self, page: int) -> str:
        return self.list_at[0] + (self.list_at[1].format(page=page, offset=(page - 1) * LISTED) if page > 1 else "")

    def _thread_at(self, n: int, page: int) -> str:
        slug = title(n).lower().replace(" ", "-")
        more = self.thread_at[1].format(page=page, offset=(page - 1) * ON_PAGE) if page > 1 else ""
        return self.thread_at[0].format(n=n + 31, slug=slug) + more

    def _pages(self, number: int, last: int, address: Callable[[int], str]) -> str:
        """Links to other pages, as the program makes them."""
        if last == 1:
            return ""
        at = {n: escape(address(n)) for n in range(1, last + 2)}
        kind, _, word = self.pages.partition(" ")
        others = [f'<a href="{at[n]}">{n}</a>' if n != number else "" for n in range(1, last + 1)]
        numbers = [link or f"<b>{number}</b>" for link in others]
        items = (f'<li class="{"active" if n == number else ""}"><a href="{at[n]}">{n}</a></li>' for n in range(1, last + 1))
        is_last = number == last
        made = {
            "relation": "" if is_last else f'<p><a rel="next" href="{at[number + 1]}">older</a></p>',
            "word": f'<div class="pg">{" ".join(others)} {"" if is_last else f"<a href={at[number + 1]}>{word}</a>"}</div>',
            "numbers": f"<p>Pages: {' '.join(numbers)}</p>",
            "others": f"<div>Page {number} of {last} {''.join(f'[{link}]' for link in others if link)}</div>",
            "items": f"<ul>{''.join(items)}</ul>",
            "arrows": "" if is_last else f'<div class="nav2"><a href="{at[number + 1]}"><img src="r.gif"></a></div>',
            "button": "" if is_last else f'<button class="load" data-next="{at[number + 1]}">Load more</button>',
            "choice": f"<select>{''.join(f'<option value={at[n]}>page {n}</option>' for n in range(1, last + 1))}</select>",
        }
        return made[kind]


def programs() -> list[Program]:
    """All of them."""
    read = tomllib.loads(Path(__file__).with_name("unknown.toml").read_text(encoding="utf-8"))
    return [Program(name=name, **{k: tuple(v) if isinstance(v, list) else v for k, v in of.items()}) for name, of in read.items()]
