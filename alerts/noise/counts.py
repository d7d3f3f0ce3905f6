"""How much of what came is background: counted in the store, by site and rule."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

from alerts.records import Background
from alerts.store import DocumentFilter, IncidentStore


class BenignCount(NamedTuple):
    """Posts of one site of one tenant that one rule called background, and how many different customers are in them."""

    tenant: str
    site: str
    rule: str
    posts: int
    customers: int


def background_counts(store: IncidentStore, tenant: str = "") -> list[BenignCount]:
    """Exact counts, most posts first."""
    posts = Counter[tuple[str, str, str]]()
    people = defaultdict[tuple[str, str, str], set[str]](set)
    for fact in store.scroll(Background, DocumentFilter({"tenant": (tenant,)} if tenant else {})):
        key = fact.tenant, fact.site, fact.rule
        posts[key] += 1
        people[key].add(fact.subject)
    return sorted((BenignCount(*key, count, len(people[key])) for key, count in posts.items()), key=lambda c: (-c.posts, c[:3]))
