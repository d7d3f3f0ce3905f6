"""Find the leaks in which one person appears, and what may be said about them.

The index keys differ from the match keys, so a copy of the store alone answers nothing. A value is
looked up under every index key generation that still exists, and in every written form under which
customers are enrolled (`ullage.lookup.values`). Each question and its result are written to the
audit log before the answer is given: who asked, why, and the value as a keyed hash under the newest
index key.

For an exposure, the answer has the kinds of data, the month, the scam to expect and what protects
against it. It never has the site, the case, the source of the data, a partner or a count, so
exposures with the same answer are shown as one. "Recorded, found nowhere" needs the list of
enrolled customers (`ullage.lookup.list_index`), which is off by default. Without the list, a value
without a finding has no record, whether or not its owner is a customer; with it, "no record" means
that no customer is enrolled with the value.

An answer is about the person if a customer pseudonym, the list or the exposure shows whose value it
is; otherwise it is about the value alone. The answer says which.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Literal, NamedTuple

from alerts.cases.decisions import is_notice_approved
from alerts.cases.lookups.typed_value import read_typed
from alerts.cases.outgoing import Text
from alerts.cases.report import advice_for, categories
from alerts.coverage.monitoring_status import MonitoringStatus
from alerts.grouping.exposures import is_verified
from alerts.records import Audit, Background, Decision, Exposure, Incident, Status
from alerts.records.document import Frozen
from alerts.store import DocumentFilter, IncidentStore
from alerts.store.queries import compute_status, require_same_keys
from ullage.audit import Trail
from ullage.clock import Clock
from ullage.errors import ConfigError, UllageError
from ullage.files.rule_files import load_shipped
from ullage.lookup.list_index import EnrolledLists
from ullage.lookup.values import list_written_forms
from ullage.monitoring.canary import TENANT as CANARY
from ullage.phrase import Phrase
from ullage.security.cmac import Cmac, derive_key
from ullage.security.keys import KeyStore, list_generations
from ullage.security.masking import Secret
from ullage.verdict.rules import Scenario, ScenarioConditions, load_verdict_rules

PURPOSES = {
    "customer_enquiry": Phrase("The customer asks"),
    "fraud_case": Phrase("Fraud case"),
    "incident_response": Phrase("Incident handling"),
    "authority_request": Phrase("Request by an authority"),
}


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """A question about one value: who asks, for what purpose, under which case number.

    `kind` is the chosen kind, or "" for the kinds that the field's label names. `pseudonym` is
    the customer's pseudonym, or "" if it was not given.
    """

    value: Secret
    who: str
    purpose: str
    case: str
    kind: str = ""
    pseudonym: str = ""

    @property
    def why(self) -> str:
        """The purpose and the case number of the look-up, as the audit log shows them."""
        return f"{self.purpose}, case {self.case}"


@dataclass(frozen=True, slots=True)
class PersonExposure:
    """One incident in which the person was found."""

    incident: Incident
    exposure: Exposure
    status: Status
    may_be_told: bool = False
    """Whether the DPO has approved telling the people in the incident."""

    @property
    def is_disclosable(self) -> bool:
        """Whether the exposure may be disclosed to the person.

        False positives are not disclosed, nor are invented lists that have only the number.
        """
        made_up = self.incident.origin == "fabricated" and not is_verified(self.exposure)
        return self.status != "false_positive" and not made_up


@dataclass(frozen=True, slots=True)
class LookupResult:
    """The result of a look-up.

    `kinds` are the kinds as which the value was read; if there are none, `problem` says what to
    check, and nothing was looked up. `exposures` are those of the value, and of its owner if
    `is_about_person`. `is_value_found` tells whether one that may be disclosed holds the value
    itself. `benign_posts` are benign posts with the number alone, most likely written by its owner.
    `recorded` says whether the value is on the list of enrolled customers of the day
    `listed_on`. It is None if the list was not asked, because an exposure is disclosed or
    because not every tenant has a list.
    """

    kinds: tuple[str, ...]
    exposures: tuple[PersonExposure, ...]
    benign_posts: tuple[Background, ...] = ()
    recorded: bool | None = None
    listed_on: datetime | None = None
    problem: Phrase | None = None
    is_value_found: bool = False
    is_about_person: bool = False


class _RegistryAnswer(NamedTuple):
    """The answer of the lists of enrolled customers, with the fields of `LookupResult`.

    `owners` are pseudonyms by tenant.
    """

    recorded: bool | None
    listed_on: datetime | None
    owners: dict[str, set[str]]


@dataclass(frozen=True, slots=True)
class Lookup:
    """The look-up of values in the store, with the index keys.

    The keys are those of `tenants` and of every tenant that has an index key, limited to the
    tenants in `among` if that is given.
    """

    store: IncidentStore
    keys: KeyStore
    tenants: Iterable[str]
    clock: Clock
    trail: Trail
    lists: EnrolledLists | None = None
    among: frozenset[str] | None = None

    def ask(self, question: LookupRequest) -> LookupResult:
        """Return the leaks in which the person with this identifier appears, newest first.

        An audit entry for each tenant is durable before the result is returned. If the value is no
        valid identifier, the result has no exposures and says what to check. Raises ConfigError if
        no tenant has an index key, because "not found" would then be wrong; a damaged list of
        enrolled customers raises an error as well.
        """
        typed = read_typed(question.value, question.kind)
        tags = {tenant: self._tags(tenant, typed.readings) for tenant in self.everyone()}
        if typed.readings and not any(tags.values()):
            raise ConfigError(
                Phrase(
                    "no tenant has an index key here, so nobody can be found: load a"
                    " customer list, or give this service its keys"
                )
            )
        tags = {tenant: tenant_tags for tenant, tenant_tags in tags.items() if tenant_tags}
        hits = {
            tenant: self.exposures(_having(tenant, tenant_tags))
            for tenant, tenant_tags in tags.items()
        }
        is_value_found = any(
            hit.is_disclosable for tenant_hits in hits.values() for hit in tenant_hits
        )
        owners = {
            tenant: {question.pseudonym} if question.pseudonym else _only_owner(tenant_hits)
            for tenant, tenant_hits in hits.items()
        }
        self._add_owners_exposures(hits, owners)
        registered = _RegistryAnswer(None, None, {})
        if not any(hit.is_disclosable for tenant_hits in hits.values() for hit in tenant_hits):
            registered = self._ask_registry(question, tags)
            self._add_owners_exposures(hits, registered.owners)
        all_hits = [hit for tenant_hits in hits.values() for hit in tenant_hits]
        if any(hit.is_disclosable for hit in all_hits):
            registered = registered._replace(recorded=None, listed_on=None)
        kinds = tuple(kind for kind, _ in typed.readings)
        for tenant, tenant_hits in hits.items():
            self._log(question, tenant, typed.readings, len(tenant_hits), registered.recorded)
        if not hits:
            self.trail.append(
                "lookup", "no identifier: refused", actor=question.who, reason=question.why
            )
        self._record(question, kinds, len(all_hits))
        return LookupResult(
            kinds,
            tuple(sorted(all_hits, key=lambda hit: hit.incident.opened_at, reverse=True)),
            self._posts_without_leak(tags),
            registered.recorded,
            registered.listed_on,
            typed.problem,
            is_value_found,
            any(owners.values()) or any(registered.owners.values()),
        )

    def _add_owners_exposures(
        self, hits: dict[str, list[PersonExposure]], owners: Mapping[str, set[str]]
    ) -> None:
        """Add the owners' other stored exposures to `hits`.

        Both arguments are by tenant; `owners` has customer pseudonyms.
        """
        for tenant, pseudonyms in owners.items():
            hit_ids = {hit.exposure.id for hit in hits[tenant]}
            if pseudonyms:
                of_owner = self.exposures(
                    DocumentFilter({"tenant": (tenant,), "subject": tuple(pseudonyms)})
                )
                hits[tenant] += [hit for hit in of_owner if hit.exposure.id not in hit_ids]

    def _posts_without_leak(self, tags: Mapping[str, Sequence[str]]) -> tuple[Background, ...]:
        posts = [
            fact
            for tenant, tenant_tags in tags.items()
            for fact in self.store.scroll(Background, _having(tenant, tenant_tags))
        ]
        return tuple(sorted(posts, key=lambda fact: (fact.fetched_at, fact.id), reverse=True))

    def _log(
        self,
        question: LookupRequest,
        tenant: str,
        read_as: Iterable[tuple[str, Secret]],
        count: int,
        recorded: bool | None,
    ) -> None:
        shown = ", ".join(f"{kind} {tag}" for kind, tag in self._newest_tags(tenant, read_as))
        answer = f"found in {count} incident{'s' * (count != 1)}" if count else "not found"
        answer += {None: "", True: ", recorded", False: ", not recorded"}[recorded]
        with_pseudonym = " and a customer pseudonym" if question.pseudonym else ""
        entry = f"{shown}{with_pseudonym}: {answer}"
        self.trail.append("lookup", entry, actor=question.who, tenant=tenant, reason=question.why)

    def _ask_registry(
        self, question: LookupRequest, tags: Mapping[str, Sequence[str]]
    ) -> _RegistryAnswer:
        """Return the answer of the lists of enrolled customers.

        An error is written to the audit log and raised.
        """
        try:
            return self._find_registration(tags)
        except UllageError as error:
            self.trail.append(
                "lookup",
                f"not answered: {type(error).__name__}",
                actor=question.who,
                reason=question.why,
            )
            raise

    def _find_registration(self, tags: Mapping[str, Sequence[str]]) -> _RegistryAnswer:
        """Return whether the value with these tags, by tenant, is enrolled, and the list's day.

        Of several lists the oldest day counts. "Not enrolled" requires a list of every tenant in
        question; without them the answer is None.
        """
        days, recorded_on, owners, missing = (
            list[datetime](),
            list[datetime](),
            dict[str, set[str]](),
            False,
        )
        for tenant, tenant_tags in tags.items():
            if not self.lists or tenant == CANARY:
                continue
            listed = self.lists.of(tenant, self.clock.now())
            if listed is None:
                missing = True
                continue
            days.append(datetime.fromisoformat(listed.header.created))
            if pseudonyms := {
                pseudonym
                for tag in tenant_tags
                for pseudonym in listed.find_pseudonyms(bytes.fromhex(tag))
            }:
                recorded_on.append(days[-1])
                owners[tenant] = {
                    pseudonym.hex()
                    for pseudonym in pseudonyms
                    if len(pseudonyms) == 1 and any(pseudonym)
                }
        if recorded_on:
            return _RegistryAnswer(True, min(recorded_on), owners)
        return (
            _RegistryAnswer(False, min(days), owners)
            if days and not missing
            else _RegistryAnswer(None, None, owners)
        )

    def check_keys(self) -> None:
        """Raise ConfigError if a tenant's index key has been replaced since the store was filled.

        Under another key nobody would be found. A list of enrolled customers that is damaged,
        forged or made under another key raises an error as well.
        """
        names = [
            f"{tenant}/index-{n}.key"
            for tenant in self.everyone()
            for n in list_generations(self.keys, tenant, "index")
        ]
        require_same_keys(self.store, self.keys, names)
        if self.lists:
            for tenant in self.lists.tenants():
                self.lists.of(tenant, self.clock.now())

    def everyone(self) -> list[str]:
        """Return the names of the tenants that this look-up covers, sorted.

        They are all tenants with settings or an index key, limited to `among` unless that is None.
        """
        tenants = {
            *self.tenants,
            *(path.parent.name for path in self.keys.root.glob("*/index-*.key")),
        }
        return sorted(tenants if self.among is None else tenants & self.among)

    def _tags(self, tenant: str, read_as: Iterable[tuple[str, Secret]]) -> list[str]:
        live = [
            (epoch, self.keys.read(f"{tenant}/index-{epoch}.key"))
            for epoch in list_generations(self.keys, tenant, "index")
        ]
        return [
            tag
            for kind, normal in read_as
            for _, key in live
            for tag in index_tags(key, tenant, kind, normal)
        ]

    def _newest_tags(
        self, tenant: str, read_as: Iterable[tuple[str, Secret]]
    ) -> list[tuple[str, str]]:
        """Return each kind with the keyed hash by which the audit log names the value."""
        key = self.keys.read(
            f"{tenant}/index-{list_generations(self.keys, tenant, 'index')[-1]}.key"
        )
        return [(kind, index_tags(key, tenant, kind, normal)[0]) for kind, normal in read_as]

    def exposures(self, where: DocumentFilter) -> list[PersonExposure]:
        """Return the exposures in `where` whose incidents exist, with their status.

        Each also says whether telling the people was approved.
        """
        exposures = list(self.store.scroll(Exposure, where))
        incidents = self.store.mget(Incident, [exposure.incident for exposure in exposures])
        decided: dict[str, list[Decision]] = {incident: [] for incident in incidents}
        for decision in (
            self.store.scroll(Decision, DocumentFilter({"incident": tuple(incidents)}))
            if incidents
            else ()
        ):
            decided[decision.incident].append(decision)
        facts = {
            id_: (compute_status(decisions), is_notice_approved(decisions))
            for id_, decisions in decided.items()
        }
        return [
            PersonExposure(incidents[e.incident], e, *facts[e.incident])
            for e in exposures
            if e.incident in incidents
        ]

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


def _only_owner(hits: Iterable[PersonExposure]) -> set[str]:
    """Return the pseudonym of the customer in `hits` if there is only one, else the empty set.

    Several customers may share a number, but must not learn of each other's data.
    """
    pseudonyms = {hit.exposure.subject for hit in hits}
    return pseudonyms if len(pseudonyms) == 1 else set()


def _having(tenant: str, tags: Sequence[str]) -> DocumentFilter:
    return DocumentFilter({"tenant": (tenant,), "index_tags": tuple(tags)})


def index_tags(epoch_key: bytes, tenant: str, kind: str, normal: Secret) -> list[str]:
    """Return the keyed hashes (hex) under which the store may have a normalized value.

    There is one for each form in which such a value is written, such as plain and MD5, plain first.
    `epoch_key` is the index key of one key generation; each form has a key derived from it.
    """
    texts: dict[str, list[bytes]] = {}
    for form, text in list_written_forms(kind, normal.reveal()):
        texts.setdefault(form, []).append(text.encode())
    taggers = {form: Cmac(derive_key(epoch_key, "index", tenant, kind, form)) for form in texts}
    return [
        taggers[form].tag_one(text).hex() for form, of_form in texts.items() for text in of_form
    ]


UNSEEN = Text(
    "Not seen by it: closed groups, what was sold without a post, other numbers of this person, and"
    " masked numbers.",
    "无法看到：封闭群组、未发帖的私下交易、此人的其他号码，以及中间位被遮盖的号码。",
)
"""What the product cannot find, and no answer covers."""


class _Words(Frozen):
    about: str
    about_zh: str
    harm: str
    harm_zh: str


class Scripts(Frozen):
    """The texts of `scripts.toml`."""

    warning: str
    warning_zh: str
    notice: str
    notice_zh: str
    recorded: str
    recorded_zh: str
    unsure: str
    unsure_zh: str
    no_record: str
    no_record_zh: str
    general: _Words
    scenario: dict[str, _Words]


@cache
def scripts() -> Scripts:
    """Return the texts that clerks read to callers, by scenario."""
    return load_shipped(Scripts, __package__, "scripts.toml")


@dataclass(frozen=True, slots=True)
class CallerAnswer:
    """One exposure as it is disclosed to the caller.

    It has the kinds of data, the month (2026-11), the scam, what protects against it, and the
    script to read. `approved` is whether the DPO has approved telling; without that, `script` is
    a general warning that says nothing about this person.
    """

    kinds: tuple[Text, ...]
    month: str
    scam: Text
    protects: tuple[Text, ...]
    approved: bool
    script: Text


@dataclass(frozen=True, slots=True)
class Reply:
    """The kind of an answer, and the script to read if nothing was found, else None.

    `about` says whether the answer is about the person or only about the value. `listed_on` is
    the day of the list of enrolled customers; if it is None, no list was asked, and `no_record`
    does not say whether somebody is a customer. `problem` says what to check if the value was
    `refused`.
    """

    answer: Literal["exposed", "recorded", "no_record", "refused"]
    about: Literal["person", "value"]
    listed_on: datetime | None = None
    script: Text | None = None
    problem: Phrase | None = None


def reply(answer: LookupResult, status: MonitoringStatus) -> Reply:
    """Return the kind of an answer to a caller, and the script to read if nothing was found.

    The caller is told that nothing was found only if monitoring can be trusted (`status`). A value
    that could not be read is `refused`.
    """
    about: Literal["person", "value"] = "person" if answer.is_about_person else "value"
    if not answer.kinds:
        return Reply("refused", about, problem=answer.problem)
    if list_disclosures(answer):
        return Reply("exposed", about)
    texts = scripts()
    name: Literal["recorded", "no_record"] = "recorded" if answer.recorded else "no_record"
    if not status.is_trusted and answer.recorded is not False:
        return Reply(name, about, answer.listed_on, _with_advice(texts.unsure, texts.unsure_zh))
    if not answer.recorded:
        return Reply(
            name, about, answer.listed_on, _with_advice(texts.no_record, texts.no_record_zh)
        )
    en, zh = (
        (f" since {status.since:%Y-%m}", f"自{status.since:%Y年%-m月}起")
        if status.since
        else ("", "")
    )
    script = _with_advice(texts.recorded.format(since=en), texts.recorded_zh.format(since=zh))
    return Reply("recorded", about, answer.listed_on, script)


def _with_advice(en: str, zh: str) -> Text:
    """Return a script followed by the general advice for everybody."""
    lines = [line for advice in advice_for("") for line in advice.lines()]
    return Text(
        " ".join((en, *(line.en for line in lines))), zh + "".join(line.zh for line in lines)
    )


def list_disclosures(answer: LookupResult) -> tuple[CallerAnswer, ...]:
    """Return what a clerk may disclose to the caller, newest exposure first.

    Equal disclosures are listed one time.
    """
    disclosable = [hit for hit in answer.exposures if hit.is_disclosable]
    return tuple(
        dict.fromkeys(
            _disclose(hit)
            for hit in sorted(disclosable, key=lambda hit: hit.exposure.first_seen, reverse=True)
        )
    )


def _disclose(hit: PersonExposure) -> CallerAnswer:
    worst = worst_way(hit)
    scenario = worst[1] if worst else None
    kinds = kinds_of(hit)
    scam = (
        Text(scenario.title, scenario.title_zh)
        if scenario
        else Text("none in particular", "无特定骗术")
    )
    month = f"{hit.exposure.first_seen:%Y-%m}"
    protects = tuple(
        line for advice in advice_for(scenario.id if scenario else "") for line in advice.lines()
    )
    script = script_of(
        scenario.id if scenario else "", kinds, month, protects, approved=hit.may_be_told
    )
    return CallerAnswer(kinds, month, scam, protects, hit.may_be_told, script)


def kinds_of(hit: PersonExposure) -> tuple[Text, ...]:
    """Return the names of the kinds of data in this person's own rows, for a clerk to read out.

    Kinds without a name are left out; () if none has one.
    """
    kinds = [categories()[name] for name in hit.exposure.fields or () if name in categories()]
    return tuple(Text(kind.title, kind.title_zh) for kind in kinds)


@cache
def _ways() -> tuple[tuple[ScenarioConditions, Scenario], ...]:
    """Return every combination of conditions with its scenario, the worst first."""
    return tuple(load_verdict_rules().list_ways())


def worst_way(hit: PersonExposure) -> tuple[ScenarioConditions, Scenario] | None:
    """Return the worst fraud scenario that this person's own leaked fields make possible.

    The result is the scenario's conditions and the scenario, or None if the fields allow none.
    Fields that leaked only of other customers in the incident do not count.
    """
    terms, groups = {*hit.incident.terms}, [frozenset(group) for group in hit.exposure.groups]
    for way, scenario in _ways():
        of_post = (
            (not way.terms or way.terms & terms)
            and (not way.brand or hit.incident.brands)
            and not way.logins
            and not way.suspicion
        )
        if (
            of_post
            and (way.every or way.some)
            and any(way.allows_fields(group) for group in groups)
        ):
            return way, scenario
    return None


def script_of(
    scenario: str, kinds: Iterable[Text], month: str, protects: Iterable[Text], *, approved: bool
) -> Text:
    """Return the text that a clerk reads to the caller, in English and Chinese.

    It is the notice of a leak if notifying is `approved`, else a general warning. `month` is
    `YYYY-MM`; the lines in `protects` are appended.
    """
    texts, kinds, protects = scripts(), [*kinds], [*protects]
    words = texts.scenario.get(scenario, texts.general)
    english, chinese = (
        (texts.notice, texts.notice_zh) if approved else (texts.warning, texts.warning_zh)
    )
    named = (
        ", ".join(kind.en for kind in kinds) or "contact data",
        "、".join(kind.zh for kind in kinds) or "联系方式",
    )
    year, number = month.split("-")
    en = english.format(about=words.about, harm=words.harm, kinds=named[0], month=month)
    zh = chinese.format(
        about=words.about_zh, harm=words.harm_zh, kinds=named[1], month=f"{year}年{int(number)}月"
    )
    return Text(
        " ".join((en, *(line.en for line in protects))), zh + "".join(line.zh for line in protects)
    )
