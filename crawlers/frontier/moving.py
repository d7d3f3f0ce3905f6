"""Move sites between crawl hosts: `export` writes their state, `take_in` adds it to a frontier.

The file is a frontier of its own, as unreadable as its source, under the same `frontier.key`. The
file of a lost host, or a copy of it, can be added too. Under a different key the state of pages is
written again: which were read, which are due, and the names of lists. Digests cannot be converted:
posts on pages that are read again are captured a second time, as after a crash, and match removes
the duplicates; a thread whose stamp has changed since its discovery is read one time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crawlers.frontier.database import Frontier
from crawlers.frontier.schema import SCHEMA
from ullage.errors import ConfigError
from ullage.files.database import SCHEMAS, all_or_nothing, open_database, sqlite_errors, transaction

BY_SITE = {"sites": "name"} | dict.fromkeys(
    ("pages", "seen", "taken", "standings", "arrivals", "blind", "tallies"), "site"
)
"""Tables, and their column with the site's name."""
OF_KEY = ("seen", "taken")
"""Tables that are meaningless under a different key."""
AT_ONCE = 1000
PAGES = "select rowid, * from pages where site = ? and rowid > ? order by rowid limit ?"


def export(frontier: Frontier, path: Path, sites: Sequence[str]) -> int:
    """Copy the state of `sites`, or of all if none is named, into a new frontier file at `path`.

    Nothing is removed from `frontier`, and crawl may write to it meanwhile. A named site without
    any state adds nothing. Returns the number of copied pages. Raises ConfigError if the file
    exists. If copying fails, an empty file is left at `path`.
    """
    if path.exists():
        raise ConfigError(f"{path} already exists: name a new file")
    open_database(path, SCHEMA, SCHEMAS["frontier"]).close()
    database = frontier.connection
    with sqlite_errors(path):
        names = list(sites) or [
            name for (name,) in database.execute("select distinct site from pages")
        ]
        database.execute("attach ? as moved", (str(path),))
        try:
            with all_or_nothing(database, "begin"):  # crawl may write meanwhile
                database.execute("insert into moved.key_check select * from key_check")
                for table, column in BY_SITE.items():
                    rows = f"select * from {table} where {column} = ?"  # noqa: S608 - our own names
                    for name in names:
                        database.execute(f"insert into moved.{table} {rows}", (name,))
            return int(database.execute("select count(*) from moved.pages").get)
        finally:
            database.execute("detach moved")


def take_in(frontier: Frontier, other: Frontier, sites: Sequence[str] = ()) -> int:
    """Add the state of `sites` in `other`, or of all if none is named; return the number of pages.

    Each site is added in a transaction of its own. If `other` has a different key, the records of
    its known and deleted posts are left out. Raises ConfigError, before anything is added, if a
    site is not in `other`, or already has pages here.
    """
    source, target = other.connection, frontier.connection
    stored = [name for (name,) in source.execute("select distinct site from pages order by site")]
    names = [name for name in stored if name in sites or not sites]
    if missing := sorted({*sites} - {*stored}):
        raise ConfigError(f"that file has no site {missing[0]}: name one that was exported")
    for name in names:
        if target.execute("select 1 from pages where site = ? limit 1", (name,)).get:
            raise ConfigError(
                f"site {name} already exists here: import the others by name, or move this frontier"
                " away"
            )
    is_same = frontier.has_key_of(other)
    pages = 0
    for name in names:
        with contextlib.ExitStack() as stack:
            stack.enter_context(sqlite_errors(Path(target.filename)))
            stack.enter_context(transaction(target))  # a site is here whole or not at all
            for table, column in BY_SITE.items():
                if table != "pages" and (is_same or table not in OF_KEY):
                    _copy(source, target, table, column, name)
            pages += (
                _copy(source, target, "pages", "site", name)
                if is_same
                else _rewrite_pages(frontier, other, name)
            )
    return pages


def _copy(source: Any, target: Any, table: str, column: str, site: str) -> int:
    """Copy the rows of a site unchanged; return their number."""
    # table and column stand in `BY_SITE`
    rows = source.execute(f"select * from {table} where {column} = ?", (site,))  # noqa: S608
    count = 0
    for row in rows:
        places = ", ".join("?" * len(row))
        target.execute(f"insert into {table} values ({places})", row)  # noqa: S608
        count += 1
    return count


def _rewrite_pages(frontier: Frontier, other: Frontier, site: str) -> int:
    """Add the pages of a site under the key of `frontier`; return their number."""
    columns = [name for _, name, *_ in other.connection.execute("pragma table_info(pages)")]
    last = count = 0
    while rows := other.connection.execute(PAGES, (site, last, AT_ONCE)).fetchall():
        for _, *values in rows:
            frontier.adopt(other, dict(zip(columns, values, strict=True)))
        last, count = int(str(rows[-1][0])), count + len(rows)
    return count
