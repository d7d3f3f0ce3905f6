"""What earlier versions wrote, brought under the rule of this one: texts, and what incidents hold.

Texts: they had cleaned titles, addresses, authors and ids of posts, which lets names and passwords through, and took the names of
places from whoever handed a post in. What is left of such a document: tokens, terms of the lexicon, and `…` for all other text. A
suppression that names an author or a channel by such a text can cover nothing any more and goes.

What incidents hold were claims, a document a value; see `Holding`.

The embedded store does this when it opens a file of an earlier version. In another it is done once, by alert: `bring_up`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from itertools import groupby, islice
from typing import TypeVar

from alerts.records import TEXT_RULE, Background, Claim, Exposure, Holding, Incident, Sighting, Suppression, holding_of
from alerts.records.document import Document
from alerts.records.traits import Traits
from alerts.store import IncidentStore, Where
from ullage import log
from ullage.records import ELSEWHERE, INGEST, category_of
from ullage.records import reduced as reduced_texts
from ullage.records.finding import TOKEN
from ullage.records.heartbeat import is_name
from ullage.vocabulary.kept import GAP, terms_in

D = TypeVar("D", bound=Document)
KINDS: tuple[type[Document], ...] = (Suppression, Exposure, Background, Incident, Sighting)
"""Classes that hold such texts; the sightings last, for they tell which places somebody else named."""
DONE = f"ullage:texts:{TEXT_RULE}"
"""The id of the claim that says that a store is brought up."""
GATHERED = "ullage:holdings:1"
"""The same of what incidents hold."""
BATCH = 500
VALUES = {"candidates", "shingles", "subjects", "served", "talk", "thread", "advert", "template"}
"""What claims of earlier versions were of that are values of a holding now."""


def reduced(sighting: Sighting) -> Sighting:
    """A sighting under the rule of this version."""
    if sighting.text_rule >= TEXT_RULE:
        return sighting
    texts = reduced_texts({name: getattr(sighting, name) for name in _TEXTS})
    return sighting.model_copy(update={**texts, "traits": _traits(sighting.traits), "text_rule": TEXT_RULE})


_TEXTS = "site platform category url title author post_id channel thread".split()


def outside(sightings: Iterable[Sighting]) -> set[str]:
    """Names of places that stand in older sightings and are not ours: of no shape of a name, or from another collector alone."""
    handed, ours = set[str](), set[str]()
    for sighting in sightings:
        if sighting.text_rule < TEXT_RULE:
            (handed if sighting.platform == INGEST else ours).add(sighting.site)
    return handed - ours


def brought_up(document: Document, others: Collection[str]) -> Document | None:
    """`document` under the rule, itself where it is already; None for one that has to go. `others` are places `outside`."""

    def site(name: str) -> str:
        return name if is_name(name) and name not in others else ELSEWHERE

    def sites(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(set(map(site, names))))

    if isinstance(document, Sighting):
        return reduced(document)
    if isinstance(document, Background) and document.text_rule < TEXT_RULE:
        kept = {"url": document.url and GAP, "title": terms_in(document.title), "site": site(document.site)}
        return document.model_copy(update={**kept, "traits": _traits(document.traits), "text_rule": TEXT_RULE})
    if isinstance(document, Incident) and document.text_rule < TEXT_RULE:
        titles, authors = tuple(dict.fromkeys(map(terms_in, document.titles))), tuple(filter(TOKEN.fullmatch, document.authors))
        known = {"titles": titles, "authors": authors, "sites": sites(document.sites)}
        return document.model_copy(update={**known, "text_rule": TEXT_RULE})
    if isinstance(document, Exposure) and sites(document.sites) != tuple(sorted(document.sites)):
        return document.model_copy(update={"sites": sites(document.sites)})
    if isinstance(document, Suppression):
        named = (document.author and not TOKEN.fullmatch(document.author)) or (document.channel and document.channel[0] != "#")
        return None if named or (document.site and not is_name(document.site)) else document
    return document


def _traits(traits: Traits | None) -> Traits | None:
    return traits and traits.model_copy(update={"category": category_of(traits.category)})


def bring_up(store: IncidentStore, now: datetime) -> int:
    """Bring a store under the rule of this version, once; returns how many documents were written or removed."""
    if store.get(Claim, DONE) is not None:
        return 0
    store.refresh()
    others, changed = outside(store.scroll(Sighting, Where())), 0
    for kind in KINDS:
        for documents in batches(store.scroll(kind, Where())):
            pairs = [(document, brought_up(document, others)) for document in documents]
            new = [after for before, after in pairs if after is not None and after is not before]
            store.put(new)
            gone = [before.id for before, after in pairs if after is None]
            changed += len(new) + (store.delete(kind, gone) if gone else 0)
    if changed:
        store.expunge(KINDS)
        log.get("alert").info("texts_reduced", count=changed)
    store.create([Claim(id=DONE, tenant="", incident="", at=now)])
    return changed


def gathered(claims: Iterable[Claim]) -> Iterator[Holding]:
    """What holds the values of these claims; those of one incident and batch stand together, as they were written."""
    of_incidents = (claim for claim in claims if is_value(claim))
    for (tenant, incident, at), some in groupby(of_incidents, lambda claim: (claim.tenant, claim.incident, claim.at)):
        yield holding_of(tenant, incident, (claim.id for claim in some), at)


def is_value(claim: Claim) -> bool:
    """Whether it is of a value that an incident holds, and not of something that was done or is to stay away."""
    tenant, of, *_ = (*claim.id.split(":", 2), "")
    return tenant == claim.tenant and of in VALUES


def gather(store: IncidentStore, now: datetime) -> int:
    """Have a store hold as this version does, once and before anything is folded; returns how many claims it were."""
    if store.get(Claim, GATHERED) is not None:
        return 0
    store.refresh(Claim)
    count = 0
    for claims in batches(store.scroll(Claim, Where())):
        store.put([*gathered(claims)])
        count += store.delete(Claim, [claim.id for claim in claims if is_value(claim)])
    if count:
        store.expunge((Claim,))
        log.get("alert").info("claims_gathered", count=count)
    store.create([Claim(id=GATHERED, tenant="", incident="", at=now)])
    return count


def batches(documents: Iterator[D]) -> Iterator[list[D]]:
    """`documents`, 500 at a time."""
    while batch := list(islice(documents, BATCH)):
        yield batch
