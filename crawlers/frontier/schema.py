"""The tables of `frontier.sqlite`, step by step as they came to be: a file of an older version takes those that it lacks.

What is kept of posts and of sites as a whole has its steps beside what reads it (`posts`, `history`).
"""

from __future__ import annotations

from crawlers.frontier import history, posts

SCHEMA = """
create table sites (name text primary key, due_at real not null, success_at real not null, failures integer not null) strict;
create table pages (
    site text not null, name blob not null, sealed blob not null, role text not null, series blob not null,
    number integer not null, stamp blob not null, content blob not null default x'', state text not null default 'due',
    due_at real not null, done_at real not null default 0, attempts integer not null default 0, primary key (site, name)
) strict;
create index pages_by_due on pages (site, state, due_at);
create index pages_by_series on pages (site, series, number);
create table seen (site text not null, post blob not null, primary key (site, post)) strict, without rowid;
"""
WHERE_AND_WHEN = """
alter table seen add column page blob not null default x'';
alter table seen add column at real not null default 0;
create table reading (partition text primary key, position integer not null, until real not null) strict;
"""
KEY_CHECK = "create table key_check (value text not null) strict"
TURNS = """
update pages set state = 'due' where state = 'leased';
drop index pages_by_due;
create index pages_by_turn on pages (site, state, iif(role <> 'list', 1, iif(number = 1, 0, 2)), due_at desc);
create index pages_older on pages (site, number, done_at) where role = 'list' and number > 1;
alter table pages add column shown_at real not null default 0;
alter table pages add column validators blob not null default x'';
alter table sites add column visits integer not null default 0;
alter table sites add column whole_at real not null default 0;
"""
HEADS = "create index pages_heads on pages (site) where role = 'list' and number = 1"
"""Each visit begins with these, of a site that may have a million pages."""
WAITS = "alter table pages add column waits integer not null default 0"
"""Whether a page failed for a reason that passes, so that it waits to be read."""
STEPS = (
    SCHEMA, WHERE_AND_WHEN, history.SCHEMA, HEADS, KEY_CHECK, history.REASON, TURNS, posts.SCHEMA, history.TALLIES,
    history.UNREAD, posts.TAKEN, WAITS,
)  # fmt: skip
"""In the order in which they are taken; new ones come last."""

WAITING = """
select count(*) from pages where site = ?1 and state = 'due'
and ((waits and attempts > 0) or (?2 and done_at = 0 and due_at <= ?3))
"""
NEXT = """
select name, sealed, stamp, attempts, entries, size, validators from pages
where site = ? and state = 'due' and iif(role <> 'list', 1, iif(number = 1, 0, 2)) = ? and due_at <= ?
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
select * from (select rowid from pages indexed by pages_changed where site = ?1 and role = 'thread' order by due_at desc limit ?2)
union select * from (select rowid from pages indexed by pages_read where site = ?1 and role = 'thread' order by done_at limit ?2))
"""
"""Pages of threads, for what is edited or deleted there: those that changed last, and those that were read the longest ago."""
