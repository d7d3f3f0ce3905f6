"""Takes sites from one crawl host to another: `export` writes what is known of them, `take_in` adds
it to another frontier.

The file is a frontier of its own, as unreadable as the one that it is from, under the same
`frontier.key`. That of a host which is lost, or a copy of it, can be taken in as well. Under
another key what is known of pages is told anew: which were read, which are due, what the site calls
its lists. Digests cannot be: posts on pages that are read again come once more, as after a crash,
and match makes one of them; a thread whose stamp has changed since it was found is looked at once.
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
"""Tables that say nothing under another key."""
AT_ONCE = 1000
PAGES = "select rowid, * from pages where site = ? and rowid > ? order by rowid limit ?"


def export(frontier: Frontier, path: Path, sites: Sequence[str]) -> int:
    """Write what is known of `sites`, of all where none is named, into a new file; returns how
    many pages.
    """
    if path.exists():
        raise ConfigError(f"{path} is there already: name a new file")
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
                    for name in names:
                        database.execute(
                            f"insert into moved.{table} select * from {table} where {column} = ?",  # noqa: S608 - of the table above
                            (name,),
                        )
            return int(database.execute("select count(*) from moved.pages").get)
        finally:
            database.execute("detach moved")


def take_in(frontier: Frontier, other: Frontier, sites: Sequence[str] = ()) -> int:
    """Add what `other` knows of `sites`, of all where none is named; returns how many pages.

    ConfigError where one of them is known here already: nobody could say which of the two is right.
    """
    theirs, ours = other.connection, frontier.connection
    held = [name for (name,) in theirs.execute("select distinct site from pages order by site")]
    names = [name for name in held if name in sites or not sites]
    if missing := sorted({*sites} - {*held}):
        raise ConfigError(f"nothing is known of {missing[0]} in that file")
    for name in names:
        if ours.execute("select 1 from pages where site = ? limit 1", (name,)).get:
            raise ConfigError(
                f"site {name} is known here already: take the others by name, or move this frontier"
                " away"
            )
    is_same = frontier.has_key_of(other)
    pages = 0
    for name in names:
        with contextlib.ExitStack() as stack:
            stack.enter_context(sqlite_errors(Path(ours.filename)))
            stack.enter_context(transaction(ours))  # a site is here whole or not at all
            for table, column in BY_SITE.items():
                if table != "pages" and (is_same or table not in OF_KEY):
                    _copy(theirs, ours, table, column, name)
            pages += (
                _copy(theirs, ours, "pages", "site", name)
                if is_same
                else _tell_anew(frontier, other, name)
            )
    return pages


def _copy(theirs: Any, ours: Any, table: str, column: str, site: str) -> int:
    """The rows of a site as they are."""
    rows = theirs.execute(f"select * from {table} where {column} = ?", (site,))  # noqa: S608 - of the table above
    count = 0
    for row in rows:
        ours.execute(f"insert into {table} values ({', '.join('?' * len(row))})", row)  # noqa: S608
        count += 1
    return count


def _tell_anew(frontier: Frontier, other: Frontier, site: str) -> int:
    """Pages of a site under the key of `frontier`."""
    columns = [name for _, name, *_ in other.connection.execute("pragma table_info(pages)")]
    last = count = 0
    while rows := other.connection.execute(PAGES, (site, last, AT_ONCE)).fetchall():
        for _, *values in rows:
            frontier.adopt(other, dict(zip(columns, values, strict=True)))
        last, count = int(str(rows[-1][0])), count + len(rows)
    return count
