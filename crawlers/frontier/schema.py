"""The tables of `frontier.sqlite`, and the longer queries on them."""

from __future__ import annotations

SCHEMA = """
create table key_check (value text not null) strict;
create table sites (
    name text primary key,
    due_at real not null,
    success_at real not null,
    failures integer not null,
    visits integer not null default 0,
    whole_at real not null default 0
) strict;
create table pages (
    site text not null,
    name blob not null,
    sealed blob not null,
    role text not null,
    series blob not null,
    number integer not null,
    stamp blob not null,
    content blob not null default x'',
    state text not null default 'due',
    due_at real not null,
    done_at real not null default 0,
    attempts integer not null default 0,
    entries integer not null default 0,
    size integer not null default 0,
    shown_at real not null default 0,
    validators blob not null default x'',
    counted integer not null default 0,
    waits integer not null default 0,
    primary key (site, name)
) strict;
create index pages_by_series on pages (site, series, number);
create index pages_by_turn on pages (
    site,
    state,
    iif(role <> 'list', 1, iif(number = 1, 0, 2)),
    due_at desc
);
create index pages_heads on pages (site) where role = 'list' and number = 1;
create index pages_older on pages (site, number, done_at) where role = 'list' and number > 1;
create index pages_changed on pages (site, due_at) where role = 'thread';
create index pages_read on pages (site, done_at) where role = 'thread';
create table seen (
    site text not null,
    post blob not null,
    page blob not null default x'',
    at real not null default 0,
    named blob not null default x'',
    missing real not null default 0,
    primary key (site, post)
) strict, without rowid;
create index seen_by_name on seen (site, named);
create index seen_by_page on seen (site, page);
create index seen_missing on seen (site, page) where missing > 0;
create table taken (
    site text not null,
    named blob not null,
    at real not null,
    primary key (site, named)
) strict, without rowid;
create table reading (
    partition text primary key,
    position integer not null,
    until real not null
) strict;
create table standings (
    site text primary key,
    state text not null default '',
    since real not null default 0,
    former text not null default '',
    former_since real not null default 0,
    doubted real not null default 0,
    last_new real not null default 0,
    posts integer not null default 0,
    author integer not null default 0,
    date integer not null default 0,
    title integer not null default 0,
    reason text not null default '',
    unread integer not null default 0,
    unread_as text not null default ''
) strict;
create table arrivals (
    site text not null,
    hour integer not null,
    posts integer not null,
    primary key (site, hour)
) strict, without rowid;
create table blind (
    site text not null,
    began real not null,
    ended real not null,
    primary key (site, began)
) strict, without rowid;
create table beats (at real primary key) strict, without rowid;
create table tallies (
    site text not null,
    word text not null,
    count integer not null,
    primary key (site, word)
) strict, without rowid;
"""
"""`pages_heads`: each visit begins with these, of a site that may have a million pages.

`pages.waits`: a page failed for a reason that passes, so that it waits to be read.
"""

WAITING = """
select count(*) from pages where site = ?1 and state = 'due'
and ((waits and attempts > 0) or (?2 and done_at = 0 and due_at <= ?3))
"""
NEXT = """
select name, sealed, stamp, attempts, entries, size, validators from pages
where site = ? and state = 'due'
and iif(role <> 'list', 1, iif(number = 1, 0, 2)) = ? and due_at <= ?
order by due_at desc limit ?
"""
"""The pages of a site that are due, of a role, the latest first."""
WALK = """
with older as (select rowid as id, number, done_at from pages indexed by pages_older
where site = ?1 and state = 'done' and role = 'list' and number > 1)
update pages set state = 'due', due_at = ?2 where rowid in (
select * from (select id from older order by number, done_at limit ?3)
union select * from (select id from older order by done_at limit ?3))
"""
"""Pages behind the heads of the lists: the nearest, and those that were read the longest ago."""
WALK_THREADS = """
update pages set state = 'due' where state = 'done' and rowid in (
select * from (select rowid from pages indexed by pages_changed
where site = ?1 and role = 'thread' order by due_at desc limit ?2)
union select * from (select rowid from pages indexed by pages_read
where site = ?1 and role = 'thread' order by done_at limit ?2))
"""
"""Pages of threads, for what is edited or deleted there: those that changed last, and those that
were read the longest ago.
"""
KEEP_POST = "insert into seen (site, post, page, at, named) values (?, ?, ?, ?, ?)"
MOVE_VERSION = """
update seen set page = ?3, missing = 0, named = ?4
where site = ?1 and post = ?2 and (page <> ?3 or missing > 0 or named <> ?4)
"""
MOVE_POST = """
update seen set page = ?3, missing = 0
where site = ?1 and named = ?2 and (page <> ?3 or missing > 0)
"""
"""All versions of a post are on the page that shows one of them."""
FINISH_PAGE = """
update pages set state = iif(stamp = ?1, 'done', 'due'), content = ?2, done_at = ?3, attempts = 0,
validators = ?4, entries = iif(?5, ?5, entries), size = iif(?5, ?6, size)
where site = ?7 and name = ?8
"""
TALLY = (
    "insert into tallies values (?, ?, ?) on conflict (site, word) do update set count = count +"
    " excluded.count"
)
ARRIVED = (
    "insert into arrivals values (?, ?, 1) on conflict (site, hour) do update set posts = posts + 1"
)
CAME = """
insert into standings (site, last_new, posts, author, date, title) values (?1, ?2, ?3, ?4, ?5, ?6)
on conflict (site) do update set
    last_new = iif(last_new > ?7, ?2, max(last_new, ?2)),
    posts = posts + ?3,
    author = author + ?4,
    date = date + ?5,
    title = title + ?6
"""
FORGET_ARRIVALS = "delete from arrivals where site = ? and hour < ?"
WRITES = (
    KEEP_POST, MOVE_VERSION, MOVE_POST, FINISH_PAGE, ARRIVED, CAME, FORGET_ARRIVALS, TALLY,
)  # fmt: skip
"""What finished pages write, in this order: a post that one page adds, another may move."""
