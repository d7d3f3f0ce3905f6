"""Is this person exposed? The value is tagged in memory and forgotten; only its tags meet the store.

The index keys are not the match keys, so that a copy of the store alone answers nothing. A value is looked up under every index
epoch whose key still exists, in every form of the one list by which customers are enrolled (`ullage.lookup.written_forms`). That
the question was asked, and what came of it, is in the audit log before it is answered: who, why, and the value by its tag under
the newest index key.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from alerts.decisions.decide import may_be_told
from alerts.incidents.exposures import is_verified
from alerts.incidents.key_checks import compare
from alerts.incidents.status import status_of
from alerts.records import Audit, Background, Decision, Exposure, Incident, Status
from alerts.store import DocumentFilter, IncidentStore
from ullage.audit import Trail
from ullage.clock import Clock
from ullage.errors import ConfigError, UllageError
from ullage.lookup.free_text_check import readings
from ullage.lookup.list_index import EnrolledLists
from ullage.lookup.written_forms import written_forms
from ullage.monitoring.canary import TENANT as CANARY
from ullage.phrase import Phrase
from ullage.security.cmac import Cmac, derive_key
from ullage.security.keys import KeyStore, epochs
from ullage.security.masking import Secret

PURPOSES = {
    "customer_enquiry": Phrase("The customer asks"),
    "fraud_case": Phrase("Fraud case"),
    "incident_response": Phrase("Incident handling"),
    "authority_request": Phrase("Request by an authority"),
}


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """Who asks about which value, for what purpose, under which case number."""

    value: Secret
    who: str
    purpose: str
    case: str

    @property
    def why(self) -> str:
        """Purpose and case, as the audit log has them."""
        return f"{self.purpose}, case {self.case}"


@dataclass(frozen=True, slots=True)
class PersonExposure:
    """One incident in which the person was found."""

    incident: Incident
    exposure: Exposure
    status: Status
    may_be_told: bool = False
    """Whether the DPO has approved telling the people in it."""

    @property
    def is_heard(self) -> bool:
        """Whether the person hears of it: not where a person found no leak, nor of a made-up list that has the number alone."""
        made_up = self.incident.origin == "fabricated" and not is_verified(self.exposure)
        return self.status != "false_positive" and not made_up


@dataclass(frozen=True, slots=True)
class LookupResult:
    """`kinds` are what the value was read as; none means that it is no identifier that is known here.

    `seen` are posts that are no leak: the number stood alone there, most likely by its owner's own hand. `recorded` says whether
    the value is on the list of what is recorded, of the day `listed_on`; None where that is not asked: the person hears of an
    exposure, or there is not a list of every tenant.
    """

    kinds: tuple[str, ...]
    found: tuple[PersonExposure, ...]
    seen: tuple[Background, ...] = ()
    recorded: bool | None = None
    listed_on: datetime | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    """Answers questions from the store, with the index keys of `tenants` and of every tenant that has one.

    Where `among` is given, with those of these tenants alone.
    """

    store: IncidentStore
    keys: KeyStore
    tenants: Iterable[str]
    clock: Clock
    trail: Trail
    lists: EnrolledLists | None = None
    among: frozenset[str] | None = None

    def ask(self, question: LookupRequest) -> LookupResult:
        """The answer, newest incident first; its audit records are durable before it is given.

        ConfigError where no tenant has an index key: "not found" would be no answer; and where a list of what is recorded would
        have to be asked and is damaged.
        """
        read_as = readings(question.value)
        asked = [(tenant, self._tags(tenant, read_as)) for tenant in self.everyone()]
        if read_as and not any(tags for _, tags in asked):
            raise ConfigError(
                Phrase("no index key here, so nobody can be found: load a customer list, or give this service its keys")
            )
        hits = {tenant: self._look(tenant, tags) for tenant, tags in asked if tags}
        found = [hit for of_tenant in hits.values() for hit in of_tenant]
        seen = [fact for tenant, tags in asked if tags for fact in self.store.scroll(Background, _having(tenant, tags))]
        kinds = tuple(kind for kind, _ in read_as)
        try:
            recorded, listed_on = (None, None) if any(hit.is_heard for hit in found) else self._listed(dict(asked))
        except UllageError as error:
            self.trail.append("lookup", f"not answered: {type(error).__name__}", actor=question.who, reason=question.why)
            raise
        for tenant, of_tenant in hits.items():
            shown = ", ".join(f"{kind} {tag}" for kind, tag in self._newest_tags(tenant, read_as))
            said = f"found in {len(of_tenant)} incident{'s' * (len(of_tenant) != 1)}" if of_tenant else "not found"
            said += {None: "", True: ", recorded", False: ", not recorded"}[recorded]
            self.trail.append("lookup", f"{shown}: {said}", actor=question.who, tenant=tenant, reason=question.why)
        if not hits:
            self.trail.append("lookup", "no identifier: refused", actor=question.who, reason=question.why)
        self._record(question, kinds, len(found))
        newest = sorted(found, key=lambda hit: hit.incident.opened_at, reverse=True)
        alone = tuple(sorted(seen, key=lambda fact: (fact.fetched_at, fact.id), reverse=True))
        return LookupResult(kinds, tuple(newest), alone, recorded, listed_on)

    def _listed(self, asked: Mapping[str, Sequence[str]]) -> tuple[bool | None, datetime | None]:
        """Whether the value with these tags, a tenant, is recorded, and by a list of which day: of several the oldest.

        That it is not is known only where every tenant that was asked has a list; None where that cannot be told.
        """
        days, missing = list[datetime](), False
        for tenant, tags in asked.items():
            if not self.lists or not tags or tenant == CANARY:
                continue
            listed = self.lists.of(tenant, self.clock.now())
            if listed is None:
                missing = True
                continue
            days.append(datetime.fromisoformat(listed.header.created))
            if any(listed.has(bytes.fromhex(tag)) for tag in tags):
                return True, days[-1]
        return (False, min(days)) if days and not missing else (None, None)

    def check_keys(self) -> None:
        """ConfigError names an index key that is not the one that it was: under it nobody would be found.

        As it does a list of what is recorded that is damaged, forged, or made under another key.
        """
        names = [f"{tenant}/index-{n}.key" for tenant in self.everyone() for n in epochs(self.keys, tenant, "index")]
        compare(self.store, self.keys, names)
        if self.lists:
            for tenant in self.lists.tenants():
                self.lists.of(tenant, self.clock.now())

    def everyone(self) -> list[str]:
        """Tenants by configuration or by key, of those that may be asked."""
        known = {*self.tenants, *(path.parent.name for path in self.keys.root.glob("*/index-*.key"))}
        return sorted(known if self.among is None else known & self.among)

    def _tags(self, tenant: str, read_as: Iterable[tuple[str, Secret]]) -> list[str]:
        live = [(epoch, self.keys.read(f"{tenant}/index-{epoch}.key")) for epoch in epochs(self.keys, tenant, "index")]
        return [tag for kind, normal in read_as for _, key in live for tag in index_tags(key, tenant, kind, normal)]

    def _newest_tags(self, tenant: str, read_as: Iterable[tuple[str, Secret]]) -> list[tuple[str, str]]:
        """By which kinds and tags the audit log names the value."""
        key = self.keys.read(f"{tenant}/index-{epochs(self.keys, tenant, 'index')[-1]}.key")
        return [(kind, index_tags(key, tenant, kind, normal)[0]) for kind, normal in read_as]

    def _look(self, tenant: str, tags: Sequence[str]) -> list[PersonExposure]:
        return self.exposures(_having(tenant, tags))

    def exposures(self, where: DocumentFilter) -> list[PersonExposure]:
        """The exposures in `where` whose incidents are still there, each with what was decided of its incident."""
        exposures = list(self.store.scroll(Exposure, where))
        incidents = self.store.mget(Incident, [exposure.incident for exposure in exposures])
        decided: dict[str, list[Decision]] = {incident: [] for incident in incidents}
        for decision in self.store.scroll(Decision, DocumentFilter({"incident": tuple(incidents)})) if incidents else ():
            decided[decision.incident].append(decision)
        known = {id_: (status_of(made), may_be_told(made)) for id_, made in decided.items()}
        return [PersonExposure(incidents[e.incident], e, *known[e.incident]) for e in exposures if e.incident in incidents]

    def _record(self, question: LookupRequest, kinds: tuple[str, ...], found: int) -> None:
        audit = Audit(
            id=secrets.token_hex(16),
            tenant="",
            at=self.clock.now(),
            who=question.who,
            action="exposed",
            purpose=question.purpose,
            case=question.case,
            kinds=kinds,
            found=found,
        )
        self.store.create([audit])


def _having(tenant: str, tags: Sequence[str]) -> DocumentFilter:
    return DocumentFilter({"tenant": (tenant,), "index_tags": tuple(tags)})


def index_tags(epoch_key: bytes, tenant: str, kind: str, normal: Secret) -> list[str]:
    """The search tags of one normal form, each form under a key of its own; the plain one first."""
    texts: dict[str, list[bytes]] = {}
    for form, text in written_forms(kind, normal.reveal()):
        texts.setdefault(form, []).append(text.encode())
    taggers = {form: Cmac(derive_key(epoch_key, "index", tenant, kind, form)) for form in texts}
    return [taggers[form].one(text).hex() for form, of_form in texts.items() for text in of_form]
