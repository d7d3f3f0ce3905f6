"""Sellers: authors of posts by their tokens, what each has offered before, and how one is found by name.

A name is tagged at the edge, by the search page or a terminal that holds the index keys; only tags meet the store, and what was
asked is written nowhere. What a sighting shows is the token under match's capture key: it stays the same when an index key is
turned over, so a history follows the token.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from alerts.records import Sighting
from alerts.records.document import Excerpt
from alerts.records.facts import section_of
from alerts.store import DocumentFilter, IncidentStore, QueryError
from ullage.errors import ConfigError
from ullage.lookup import sellers
from ullage.phrase import Phrase
from ullage.security.keys import KeyStore
from ullage.security.masking import Secret

SHOWN = 10
"""Sellers of one incident whose history is shown, those who were seen most often in it."""
SECTIONS = 6
TOKENS = re.compile(r"@[0-9a-f]{8,16}(?:,@[0-9a-f]{8,16}){0,19}")


@dataclass(frozen=True, slots=True)
class Seller:
    """All that is known of an author: sightings and incidents of one tenant, since when, and the sections posted in."""

    author: str
    sightings: int
    incidents: int
    since: datetime
    last: datetime
    sections: tuple[str, ...]


class _SellerSighting(Excerpt):
    """Of a sighting, what a seller's history says of it."""

    incident: str
    fetched_at: datetime
    site: str
    url: str
    author: str


def sellers_of(store: IncidentStore, tenant: str, sightings: Sequence[Sighting]) -> tuple[Seller, ...]:
    """The authors of `sightings` with their history, those who were seen most often first."""
    authors = [sighting.author for sighting in sightings if sighting.author]
    named = sorted(set(authors), key=lambda author: (-authors.count(author), author))[:SHOWN]
    return tuple(seller for author in named if (seller := history(store, (author,), tenant)))


def history(store: IncidentStore, tokens: Sequence[str], tenant: str = "") -> Seller | None:
    """What was posted under `tokens`, for one tenant or all; None for nothing."""
    of_tenant: dict[str, Sequence[str]] = {"tenant": (tenant,)} if tenant else {}
    seen = list(store.excerpts(Sighting, DocumentFilter({**of_tenant, "seller": tokens}), _SellerSighting))
    if not seen:
        return None
    return Seller(
        author=", ".join(tokens),
        sightings=len(seen),
        incidents=len({sighting.incident for sighting in seen}),
        since=min(sighting.fetched_at for sighting in seen),
        last=max(sighting.fetched_at for sighting in seen),
        sections=tuple(sorted({section_of(sighting.url) or sighting.site for sighting in seen})),
    )


def named(store: IncidentStore, keys: KeyStore, tenants: Iterable[str], name: Secret) -> tuple[str, ...]:
    """The tokens under which the author called `name` stands in the store, () for nobody.

    QueryError for a name that is none; ConfigError where no tenant has an index key: "nobody" would be no answer.
    """
    if not sellers.normal(name.reveal()) or len(name.reveal()) > sellers.MAX_NAME:
        raise QueryError(Phrase("a seller's name must have 1 to %(most)s characters", most=sellers.MAX_NAME))
    asked = [tag for tenant in tenants for tag in sellers.tags(keys, tenant, name)]
    if not asked:
        raise ConfigError(
            Phrase("no index key here, so sellers cannot be found by name: load a customer list, or give this service its keys")
        )
    return tuple(
        sorted({sighting.author for sighting in store.excerpts(Sighting, DocumentFilter({"seller": asked}), _SellerSighting)})
    )


def tokens_of(text: str) -> tuple[str, ...]:
    """The tokens that a list is asked for, parted by commas; QueryError for what is none, which is not repeated."""
    if text and not TOKENS.fullmatch(text):
        raise QueryError(
            "a seller in an address must be the pseudonym shown by an incident (@ and hex digits); use the form to search by name"
        )
    return tuple(filter(None, text.split(",")))
