"""A site in the shape of a program: which pages it has, and what each says at the moment at
which it is asked for.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol, TypeVar

from harness.reach.content import Content
from tests.crawlers.support import Answers

Made = Callable[[], Any]
"""A page: a text, what becomes JSON, or an address to which it redirects, as `Redirect`."""
T = TypeVar("T")
SHORT = timedelta(minutes=1)
TOKEN = "Bearer made-up"
WITH_TOKEN = 'cookies = "forge"'


class Redirect(str):
    """Where a page redirects to."""

    __slots__ = ()


class Shape(Protocol):
    """One site program."""

    @property
    def name(self) -> str:
        """For people, with which the table says it."""

    @property
    def preset(self) -> str:
        """The platform that a site's file names."""

    @property
    def version(self) -> str:
        """Of the program."""

    @property
    def start(self) -> str:
        """The path that a user writes, where a visit begins."""

    @property
    def charset(self) -> str:
        """In which its pages are written."""

    @property
    def precision(self) -> timedelta:
        """How exactly they say when a post was written."""

    @property
    def paged(self) -> bool:
        """Whether a post has a thread."""

    @property
    def more(self) -> tuple[str, ...]:
        """Lines that a site's file needs beside the usual four; of one with `cookies` the site
        answers to `TOKEN` alone.
        """

    def pages(self, content: Content, url: str) -> Iterator[tuple[str, Made]]:
        """Return every path and its content; `url` is the site's own address."""


@dataclass(frozen=True)
class Head:
    """What every shape says of itself; see `Shape`."""

    name: str
    preset: str
    version: str
    start: str = "/"
    _: KW_ONLY
    charset: str = "utf-8"
    precision: timedelta = SHORT
    paged: bool = True
    more: tuple[str, ...] = ()


def serve(shape: Shape, content: Content, answers: Answers) -> None:
    """Put every page up; those that were there stay, as they then are."""
    for path, render in shape.pages(content, answers.url):
        for written in {path, urllib.parse.quote(path, safe="/?&=%;,:.+~-_")}:
            answers.pages[written] = _answer(
                render, shape.charset, TOKEN if WITH_TOKEN in shape.more else ""
            )


def given(said: object) -> Made:
    """Return a page that always has this content."""
    return lambda: said


def _answer(made: Made, charset: str, token: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("Authorization", "") != token:
            handler.send_error(401)
            return
        content = made()
        is_html = isinstance(content, str) and content.lstrip().startswith("<")
        kind = (
            "text/html"
            if is_html
            else "text/plain"
            if isinstance(content, str)
            else "application/json"
        )
        body = (content if isinstance(content, str) else json.dumps(content)).encode(
            charset if isinstance(content, str) else "utf-8"
        )
        handler.send_response(302 if isinstance(content, Redirect) else 200)
        if isinstance(content, Redirect):
            handler.send_header("Location", content)
        handler.send_header(
            "Content-Type", f"{kind}; charset={charset if isinstance(content, str) else 'utf-8'}"
        )
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def page_of(items: Sequence[T], number: int, size: int) -> Sequence[T]:
    """Return one page of the items, counted from 1."""
    return items[size * (number - 1) : size * number]


def count_of(items: Sequence[object], size: int) -> int:
    """Return how many pages the items take, at least one."""
    return max(1, -(-len(items) // size))
