"""Any site with a list for programs: JSON, RSS or Atom.

Threads and pastes behind it may be JSON or HTML.

Of RSS and Atom nothing needs to be said: each entry is a post. Where selectors are named, they are
JMESPath:

[options]
rows = "topic_list.topics"            # entries of the list; without it each `post` is captured
row_id = "id"
title = "title"
stamp = "join(' ', [to_string(posts_count), last_posted_at])"
thread = "/t/{id}.json"               # where the thread of an entry is
post = "post_stream.posts"
body = "cooked"
author = "username"
time = "created_at"

A page that a script fills has its data in it as JSON more often than not: `embedded =
"css:script#__NEXT_DATA__"` says where.
"""

from __future__ import annotations

from crawlers.platforms.board import Board
from crawlers.sites import selectors
from crawlers.sites.layout import SiteLayout, load_layout
from crawlers.sites.site import Site

SYNDICATED = {
    "post": ["css:item, entry"],
    "id": ["css:guid", "css:item > id, entry > id", "css:link[href]::attr(href)", "css:link"],
    "id_pattern": r"^.+$",
    "post_title": ["css:title"],
    "author": ["css:author > name", "css:creator", "css:author"],
    "time": ["css:published", "css:pubDate", "css:date", "css:updated"],
    "body": [
        "css:encoded",
        "css:item > content, entry > content",
        "css:description",
        "css:summary",
    ],
    "post_link": ["css:link[rel=alternate]", "css:link[href]", "css:link"],
    "next": ["css:feed > link[rel=next], channel > link[rel=next]"],
}
"""RSS 2, RSS 1 and Atom, once their namespaces are taken off."""


class FeedPlatform(Board):
    """Read JSON and feeds by a layout; see the module."""

    document = staticmethod(selectors.parse_document)

    @staticmethod
    def _layout(site: Site) -> SiteLayout:
        options = site.options
        return load_layout(
            site.name,
            options if {"post", "raw", "files"} & options.keys() else {**SYNDICATED, **options},
            "json",
        )


PLATFORM = FeedPlatform()
