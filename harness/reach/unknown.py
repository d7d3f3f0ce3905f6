"""Forum programs that no preset knows, of `unknown.toml`, after different ways to write a forum:
all pages of a site by path.

Each site has 14 threads on two pages of its list or on two boards, threads of up to 13 posts on up
to three pages, and thirty people of whom each stands in one post: most of them in the last posts of
long threads, which are lost when only first pages are read.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

THREADS, LISTED, ON_PAGE = 14, 8, 5
TALK = 10
"""From this one on threads stand on the second board, where there are several."""
PEOPLE = tuple(f"1380013{8000 + n}" for n in range(30))
WORDS = (
    "offer fresh data bank rows sample price contact today trust seller escrow buyer reply thanks"
    " nice deal full base".split()
)
AROUND = (
    '<html><head><title>{title}</title></head><body><ul class="nav"><li><a'
    ' href="/">Home</a></li><li><a href="/login?next=/">Log in</a></li><li><a'
    ' href="/register">Register</a></li></ul>{body}<footer>All times are UTC.'
    " 2026</footer></body></html>"
)
BOARDS = ("Trade of data", "Talk of the day", "Rules and news", "Off topic things")


@dataclass(frozen=True)
class PlantedPost:
    """A post as it is planted."""

    thread: int
    number: int
    text: str

    def fields(self) -> dict[str, object]:
        """Return what a template may show of the post."""
        day, hour, minute = (
            1 + (self.thread + self.number) % 26,
            8 + self.number % 4,
            10 + self.number,
        )
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


def told() -> list[list[PlantedPost]]:
    """Return all posts, by thread."""
    texts = [
        [
            " ".join(WORDS[(n * 7 + k * 3 + w) % len(WORDS)] for w in range(6 + (n + k) % 9))
            for k in range((n * 5) % 13 + 1)
        ]
        for n in range(THREADS)
    ]
    places = sorted(
        ((k, n) for n, thread in enumerate(texts) for k in range(len(thread))), reverse=True
    )
    for person, (k, n) in zip(PEOPLE, places[:: len(places) // len(PEOPLE)], strict=False):
        texts[n][k] += f" Wang Xiaoming {person} {WORDS[k % 9]}"
    return [
        [PlantedPost(n, k, text) for k, text in enumerate(thread)] for n, thread in enumerate(texts)
    ]


def title(n: int) -> str:
    """Return the title of a thread."""
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
    boards: int = 4
    """So many are there."""
    latest: str = ""
    """What a front page shows of a new thread, beside its boards."""
    category: bool = False
    """Whether the front page leads to a category, and that to the boards."""
    head: str = ""
    """What a thread's page says above its posts."""
    nested: bool = False
    """Whether replies stand in what they reply to, at `{inner}`."""
    is_book: bool = False
    """Whether there are no threads: all posts stand on the list."""
    is_archive: bool = False
    """Whether each post has a page of its own, and a row."""
    charset: str = "utf-8"
    short: str = ""
    """How what `sites try` says of it must begin, where nothing could read all of it."""

    @property
    def start(self) -> str:
        """Where somebody would begin."""
        return "/" if self.board else self._list_at(BOARDS[0], 1)

    def site(self) -> dict[str, str]:
        """Return every page by its path."""
        threads, pages = told(), dict[str, str]()
        boards = (
            (range(TALK), range(TALK, THREADS)) if "{b" in self.list_at[0] else (range(THREADS),)
        )
        for board, of in zip(BOARDS, boards, strict=False):
            self._list(board, [(n, threads[n]) for n in of], pages)
        if not self.is_book:
            for n, thread in enumerate(threads):
                self._write(n, thread, pages)
        if self.board:
            places = {
                board: self._list_at(board, 1)
                for board in (BOARDS if len(boards) > 1 else BOARDS[:1])
            }
            empty = {
                board: f"/b/{board.partition(' ')[0].lower()}"
                for board in BOARDS
                if board not in places
            }
            rows = "".join(
                self.board.format(name=name, url=escape(url), n=n)
                for n, (name, url) in enumerate(list({**places, **empty}.items())[: self.boards])
            )
            login = (
                '<table><tr><td><a href="/login.php?do=login">Log in here to see all of'
                f" it</a></td></tr>{rows}</table>"
            )
            newest = (
                "".join(self._row(n, threads[n], self.latest) for n in (3, 12, 7, 9, 5))
                if self.latest
                else ""
            )
            if self.category:
                pages["/cat/1"] = AROUND.format(title="Category", body=f"<h1>Category</h1>{login}")
                login = '<h3><a href="/cat/1">Main category</a></h3>'
            pages["/"] = AROUND.format(title="Board", body=login + newest)
            nothing = AROUND.format(title="Board", body="<h1>Board</h1><p>nothing yet</p>")
            pages = dict.fromkeys((*places.values(), *empty.values()), nothing) | pages
        return pages

    def _list(
        self,
        board: str,
        threads: Sequence[tuple[int, Sequence[PlantedPost]]],
        found: dict[str, str],
    ) -> None:
        """Write all pages of a board."""
        if self.is_book or self.is_archive:
            rows = [
                self._post([entry]) if self.is_book else self._row(n, [entry])
                for n, all_ in threads
                for entry in all_
            ]
        else:
            rows = [self._row(n, thread) for n, thread in threads]
        last = -(-len(rows) // LISTED)
        for number in range(1, last + 1):
            links = self._pages(number, last, lambda page: self._list_at(board, page))
            listed = "".join(rows[(number - 1) * LISTED : number * LISTED])
            body = f"<h1>{board}</h1>{self.list.format(listed)}{links}"
            found[self._list_at(board, number)] = AROUND.format(title=board, body=body)

    def _write(self, n: int, thread: Sequence[PlantedPost], found: dict[str, str]) -> None:
        size = 1 if self.is_archive else ON_PAGE
        last = -(-len(thread) // size)
        for number in range(1, last + 1):
            posts = thread[(number - 1) * size : number * size]
            links = (
                ""
                if self.is_archive
                else self._pages(number, last, lambda page: self._thread_at(n, page))
            )
            head = self.head.format(replies=len(thread) - 1, posts=len(thread))
            place = self._post_at(posts[0]) if self.is_archive else self._thread_at(n, number)
            body = f"<h1>{title(n)}</h1>{head}{self.thread.format(self._post(posts))}{links}"
            found[place] = AROUND.format(title=title(n), body=body)

    def _post(self, posts: Sequence[PlantedPost]) -> str:
        """Return some posts, one after the other or each nested in the one before."""
        rendered, inner = list[str](), ""
        for post in reversed(posts):
            template = self.first if self.first and not post.number else self.post
            rendered.insert(
                0,
                template.format(
                    **post.fields(), inner=inner, title=title(post.thread), **self._around(post)
                ),
            )
            inner = rendered.pop() if self.nested and post is not posts[0] else ""
        return "".join(rendered)

    def _around(self, one: PlantedPost) -> dict[str, str]:
        """Return links to the posts before and after one, for an archive."""
        size = len(told()[one.thread]) if self.is_archive else 0
        near = (
            {"before": max(0, one.number - 1), "behind": min(size - 1, one.number + 1)}
            if size
            else {}
        )
        return {
            name: self._post_at(PlantedPost(one.thread, number, ""))
            for name, number in near.items()
        }

    def _row(self, n: int, posts: Sequence[PlantedPost], row: str = "") -> str:
        fields = {
            **posts[-1].fields(),
            "author": posts[0].fields()["author"],
            "first": posts[0].text,
        }
        url = self._post_at(posts[0]) if self.is_archive else self._thread_at(n, 1)
        more = {
            "url": escape(url),
            "title": title(n),
            "replies": len(posts) - 1,
            "posts": len(posts),
        }
        return (row or self.row).format(**fields, **more, views=n * 371 + 5, n=n + 31)

    def _list_at(self, board: str, page: int) -> str:
        named = self.list_at[0].format(
            board=board.partition(" ")[0].lower(), b=BOARDS.index(board) + 2
        )
        return named + (
            self.list_at[1].format(page=page, offset=(page - 1) * LISTED) if page > 1 else ""
        )

    def _post_at(self, one: PlantedPost) -> str:
        return self.thread_at[0].format(n=1000 + one.thread * 40 + one.number)

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
        links = [f'<a href="{at[n]}">{n}</a>' if n != number else "" for n in range(1, last + 1)]
        numbers = [link or f"<b>{number}</b>" for link in links]
        choices = (f"<option value={at[n]}>page {n}</option>" for n in range(1, last + 1))
        items = (
            f'<li class="{"active" if n == number else ""}"><a href="{at[n]}">{n}</a></li>'
            for n in range(1, last + 1)
        )
        is_last = number == last
        forms = {
            "relation": (
                "" if is_last else f'<p><a rel="next" href="{at[number + 1]}">older</a></p>'
            ),
            "word": (
                f'<div class="pg">{" ".join(links)}'
                f" {'' if is_last else f'<a href={at[number + 1]}>{word}</a>'}</div>"
            ),
            "numbers": f"<p>Pages: {' '.join(numbers)}</p>",
            "others": (
                f"<div>Page {number} of {last}"
                f" {''.join(f'[{link}]' for link in links if link)}</div>"
            ),
            "items": f"<ul>{''.join(items)}</ul>",
            "arrows": (
                ""
                if is_last
                else f'<div class="nav2"><a href="{at[number + 1]}"><img src="r.gif"></a></div>'
            ),
            "mixed": (
                f"<p>{' '.join(numbers)}"
                f" {'' if is_last else f'<a href={at[number + 1]}>&raquo;</a>'}</p>"
            ),
            "button": (
                ""
                if is_last
                else f'<button class="load" data-next="{at[number + 1]}">Load more</button>'
            ),
            "choice": f"<select>{''.join(choices)}</select>",
        }
        return forms[kind]


def programs() -> list[Program]:
    """Return all programs."""
    read = tomllib.loads(Path(__file__).with_name("unknown.toml").read_text(encoding="utf-8"))
    return [_program(name, of) for name, of in read.items()]


def _program(name: str, of: dict[str, Any]) -> Program:
    settings_: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in of.items()
    }
    return Program(name=name, **settings_)
