"""Tell whether one person is exposed, what may be said to them, and how often one may ask.

The index keys are not the match keys, so that a copy of the store alone answers nothing. A value is looked up under every index
epoch whose key still exists, in every form of the one list by which customers are enrolled (`ullage.lookup.values`). That
the question was asked, and what came of it, is in the audit log before it is answered: who, why, and the value by its tag under
the newest index key.

Of an exposure that is kinds of data, the month, the scam and what protects. Never the site, the case, whose data it was, a
partner or a number; so exposures that read the same are one. "Recorded, found nowhere" needs a list of what is recorded
(`ullage.lookup.list_index`), which is off by default. Without it a value that nothing holds has no record, whether its owner is a
customer or not; with it "no record" says that nobody is recorded with it.

Neighbours share all but the last digits. A range is told by a tag of how it begins, a value by a tag of its own, both under a key
that is made when search starts and never leaves its memory; so what is kept says nothing, and ends with the process.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Literal, NamedTuple

from alerts.accounts import Principal
from alerts.cases.decisions import may_be_told
from alerts.cases.report import Text, advice_for, categories
from alerts.coverage import BELIEVED, MonitoringStatus
from alerts.grouping.exposures import is_verified
from alerts.records import Audit, Background, Decision, Exposure, Incident, Status
from alerts.records.document import Frozen
from alerts.store import DocumentFilter, IncidentStore
from alerts.store.queries import compare, status_of
from ullage.audit import Trail
from ullage.clock import Clock
from ullage.errors import ConfigError, UllageError
from ullage.files.rule_files import shipped
from ullage.lookup.list_index import EnrolledLists
from ullage.lookup.values import readings, written_forms
from ullage.monitoring.canary import TENANT as CANARY
from ullage.phrase import Phrase
from ullage.runtime.rate_limit import Allowance
from ullage.security.cmac import Cmac, derive_key
from ullage.security.keys import KeyStore, epochs
from ullage.security.masking import Secret
from ullage.verdict.rules import Scenario, ScenarioConditions, own_rules

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


UNSEEN = Text(
    "Not seen by it: closed groups, what was sold without a post, other numbers of this person, and masked numbers.",
    "无法看到：封闭群组、未发帖的私下交易、此人的其他号码，以及中间位被遮盖的号码。",
)
"""What no answer of this product speaks of."""


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
    """What clerks read, by scenario."""
    return shipped(Scripts, __package__, "scripts.toml")


@dataclass(frozen=True, slots=True)
class CallerAnswer:
    """One exposure: kinds of data, month (2026-11), scam, what protects, and what is read to the caller.

    `approved` is whether the DPO has approved telling: without that `script` is a warning that says nothing of this person.
    """

    kinds: tuple[Text, ...]
    month: str
    scam: Text
    protects: tuple[Text, ...]
    approved: bool
    script: Text


@dataclass(frozen=True, slots=True)
class Reply:
    """Which of the answers it is, and what is read to the caller where nothing was found: None else.

    `listed_on` is the day of the list of what is recorded that was asked; None says that none was, so that `no_record` does not
    say whether somebody is a customer.
    """

    answer: Literal["exposed", "recorded", "no_record", "refused"]
    listed_on: datetime | None = None
    script: Text | None = None


def reply(answer: LookupResult, looked: MonitoringStatus) -> Reply:
    """The answer in a word. That nothing was found is said to the caller only where it was looked for."""
    if not answer.kinds or told(answer):
        return Reply("exposed" if answer.kinds else "refused")
    texts = scripts()
    name: Literal["recorded", "no_record"] = "recorded" if answer.recorded else "no_record"
    if looked.worth not in BELIEVED and answer.recorded is not False:
        return Reply(name, answer.listed_on, _with_advice(texts.unsure, texts.unsure_zh))
    if not answer.recorded:
        return Reply(name, answer.listed_on, _with_advice(texts.no_record, texts.no_record_zh))
    en, zh = (f" since {looked.since:%Y-%m}", f"自{looked.since:%Y年%-m月}起") if looked.since else ("", "")
    script = _with_advice(texts.recorded.format(since=en), texts.recorded_zh.format(since=zh))
    return Reply("recorded", answer.listed_on, script)


def _with_advice(en: str, zh: str) -> Text:
    """A script with what protects everybody behind it."""
    lines = [line for advice in advice_for("") for line in advice.lines()]
    return Text(" ".join((en, *(line.en for line in lines))), zh + "".join(line.zh for line in lines))


def told(answer: LookupResult) -> tuple[CallerAnswer, ...]:
    """What may be said of the exposures that were found, the newest first."""
    found = [hit for hit in answer.found if hit.is_heard]
    return tuple(dict.fromkeys(_told(hit) for hit in sorted(found, key=lambda hit: hit.exposure.first_seen, reverse=True)))


def _told(hit: PersonExposure) -> CallerAnswer:
    worst = worst_way(hit)
    scenario = worst[1] if worst else None
    kinds = kinds_of(hit)
    scam = Text(scenario.title, scenario.title_zh) if scenario else Text("none in particular", "无特定骗术")
    month = f"{hit.exposure.first_seen:%Y-%m}"
    protects = tuple(line for advice in advice_for(scenario.id if scenario else "") for line in advice.lines())
    script = script_of(scenario.id if scenario else "", kinds, month, protects, approved=hit.may_be_told)
    return CallerAnswer(kinds, month, scam, protects, hit.may_be_told, script)


def kinds_of(hit: PersonExposure) -> tuple[Text, ...]:
    """Which kinds of data stood in this very person's rows."""
    known = [categories()[name] for name in hit.exposure.fields or () if name in categories()]
    return tuple(Text(kind.title, kind.title_zh) for kind in known)


@cache
def _ways() -> tuple[tuple[ScenarioConditions, Scenario], ...]:
    """Every way, the worst first."""
    return tuple(own_rules().ways())


def worst_way(hit: PersonExposure) -> tuple[ScenarioConditions, Scenario] | None:
    """The worst that the fields of this very person's rows allow, and by which of them: others there may be worse off."""
    terms, groups = {*hit.incident.terms}, [frozenset(group) for group in hit.exposure.groups]
    for way, scenario in _ways():
        of_post = (
            (not way.terms or way.terms & terms)
            and (not way.brand or hit.incident.brands)
            and not way.logins
            and not way.suspicion
        )
        if of_post and (way.every or way.some) and any(way.allowed_by(group) for group in groups):
            return way, scenario
    return None


def script_of(scenario: str, kinds: Iterable[Text], month: str, protects: Iterable[Text], *, approved: bool) -> Text:
    """What a clerk reads in each language: the notice if telling is `approved`, else the warning."""
    texts, kinds, protects = scripts(), [*kinds], [*protects]
    words = texts.scenario.get(scenario, texts.general)
    english, chinese = (texts.notice, texts.notice_zh) if approved else (texts.warning, texts.warning_zh)
    named = ", ".join(kind.en for kind in kinds) or "contact data", "、".join(kind.zh for kind in kinds) or "联系方式"
    year, number = month.split("-")
    en = english.format(about=words.about, harm=words.harm, kinds=named[0], month=month)
    zh = chinese.format(about=words.about_zh, harm=words.harm_zh, kinds=named[1], month=f"{year}年{int(number)}月")
    return Text(" ".join((en, *(line.en for line in protects))), zh + "".join(line.zh for line in protects))


RANGES: Mapping[str, int] = {"phone": 3, "resident_id": 4, "card": 4, "qq": 3}
"""Of a kind, the last digits in which neighbours differ: a thousand phones, the people of one place and birthday."""
MANY = 5
"""Different values of one range within an hour: callers come from everywhere, five of one thousand numbers do not by chance."""
SECONDS = 3600.0
MOST_RANGES = 20_000


@dataclass(slots=True)
class _Range:
    values: dict[bytes, float] = field(default_factory=dict)
    told: float | None = None


@dataclass(slots=True)
class Sweeps:
    """What was asked for within the hour, as tags. Threads share it."""

    clock: Clock
    _tagger: Cmac = field(default_factory=lambda: Cmac(secrets.token_bytes(32)))
    _ranges: OrderedDict[bytes, _Range] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, value: Secret) -> str:
        """Note that a value was asked for: the kind of a range that somebody goes through, "" for none; told once an hour."""
        with self._lock:
            found = [kind for kind, normal in readings(value) if kind in RANGES and self._is_sweep(kind, normal.reveal())]
        return found[0] if found else ""

    def _is_sweep(self, kind: str, normal: str) -> bool:
        now, begins = self.clock.monotonic(), normal[: -RANGES[kind]]
        name = self._tagger.one(f"range {kind} {begins}".encode())
        one = self._ranges.pop(name, None) or _Range()
        one.values = {tag: at for tag, at in one.values.items() if now - at <= SECONDS}
        one.values[self._tagger.one(f"value {kind} {normal}".encode())] = now
        self._ranges[name] = one
        while len(self._ranges) > MOST_RANGES:
            self._ranges.popitem(last=False)
        is_news = one.told is None or now - one.told > SECONDS
        if len(one.values) < MANY or not is_news:
            return False
        one.told = now
        return True


MOST = 1_000
"""Sessions whose occasion is kept, in memory."""


class Occasion(NamedTuple):
    """A purpose of the closed list, and a case number that was checked; both "" where nothing was said yet."""

    purpose: str = ""
    case: str = ""


class Occasions:
    """By session. Threads share it."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, Occasion] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, session: str) -> Occasion:
        """What was said last."""
        with self._lock:
            return self._said.get(session, Occasion())

    def keep(self, session: str, occasion: Occasion) -> None:
        """Keep it for this session; a program, which has none, says it each time."""
        if not session:
            return
        with self._lock:
            self._said.pop(session, None)
            self._said[session] = occasion
            if len(self._said) > MOST:
                self._said.popitem(last=False)


class Lookups:
    """Look-ups: few for each caller in a minute, and not many for all together in a day, so that no list of numbers is tried.

    All together are those who see the same tenants: others neither use up what is theirs nor learn how much that is.
    """

    def __init__(self, per_minute: int, per_day: int, clock: Clock) -> None:
        self._each = Allowance(per_minute, 60.0, clock, "too many look-ups in a short time")
        self._all = Allowance(per_day, 86_400.0, clock, "too many look-ups today")

    def take(self, caller: Principal) -> None:
        """Count one of `caller`; LimitedError when none is left, to this caller or to all."""
        self._all.check(caller.whose)
        self._each.take(f"{caller.is_program} {caller.name}\n{caller.whose}")
        self._all.take(caller.whose)
