"""Tell a risk engine which of up to a thousand customers are exposed.

Customers are named by pseudonym or keyed index hash, never by an identifier. For an exposed
customer the answer has the kinds of data, the worst scam that they allow, the date of the last
sighting, and the reasons; never a site, a case or the number of other customers. For any other it
has a `State` that says what "not found" means.

Risk is the base points of the scam (`ullage/verdict/rules.toml`, 0 to 60) times what is left of
them at the age `t` of the exposure: `1 - (t / life) ** (1 / speed)`. This is the decay of MISP
(Mokaddem et al., "Taxonomy driven indicator scoring in MISP threat intelligence platforms",
arXiv:1803.11052, 2018). `life` is the number of days for which exposures are kept, so risk ends
when they do. `speed` is 0.5: numbers and names stay valid, so risk falls slowly at first. The speed
is a policy of this project. Of several exposures the highest risk counts; risks are not added.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Literal, NamedTuple

from alerts.cases.lookups.lookup import Lookup, PersonExposure, kinds_of, worst_way
from alerts.cases.outgoing import Text
from alerts.coverage.monitoring_status import MonitoringStatus, monitoring_status
from alerts.grouping.exposures import is_verified
from alerts.store import DocumentFilter
from ullage.audit.trail import PendingEntry, Trail
from ullage.errors import CorruptError, UllageError
from ullage.monitoring.canary import TENANT as CANARY
from ullage.verdict.rules import Scenario, ScenarioConditions, load_verdict_rules
from ullage.verdict.words import describe_fields

MOST = 1_000
SPEED = 0.5
HOLDS = timedelta(hours=24)
"""How long an answer may be used; later findings, decisions and erasures are not in it."""
Worst = tuple[ScenarioConditions, Scenario] | None
"""The worst scenario of an exposure, with its conditions; None if it allows none in particular."""
State = Literal["exposed", "not_exposed", "unknown", "not_found"]
"""What is known of a customer.

`not_exposed`: enrolled, searched for in everything that is read, and not found. `unknown`: no
customer is enrolled with this value. `not_found`: nothing was found, but more cannot be said,
because it was a pseudonym, because there is no list of enrolled customers, or because not
everything was read.
"""


@dataclass(frozen=True, slots=True)
class CustomerRisk:
    """The answer about one pseudonym or keyed hash.

    `risk` is 0 to 60. `first_seen`, `last_seen` and `scenario` are None unless exposed.
    """

    query: str
    state: State
    why: tuple[Text, ...]
    risk: int = 0
    kinds: tuple[Text, ...] = ()
    scenario: Scenario | None = None
    first_seen: datetime | None = None
    last_seen: datetime | None = None


NOT: dict[State, Text] = {
    "not_exposed": Text(
        "registered, not found in the examined content", "已登记，在已查看的范围内未发现"
    ),
    "unknown": Text("no customer is recorded under it", "未登记任何客户"),
    "not_found": Text(
        "not found; it is not known whether it is a customer's, or whether everything was examined",
        "未发现；无法确认是否登记有客户，或是否已全部查看",
    ),
}


def decay_points(points: int, age_days: float, life_days: float) -> int:
    """Return the points that remain after `age_days` of `life_days`; see the module.

    >>> [decay_points(50, age, 180) for age in (0, 30, 90, 150, 180, 400)]
    [50, 49, 38, 15, 0, 0]
    """
    past: float = (min(max(age_days, 0.0), life_days) / life_days) ** (1 / SPEED)
    return round(points * (1 - past))


class ExposureQuery(NamedTuple):
    """One caller's question about pseudonyms and keyed hashes of the tenants of `lookup`.

    `who` is the caller, `request` the id of the request.
    """

    lookup: Lookup
    handles: Sequence[str]
    tags: Sequence[str]
    who: str
    request: str = ""

    def to_audit_entry(self, result: str) -> PendingEntry:
        """Return the entry for the audit log: how many customers were asked about, and `result`.

        They are counted by pseudonyms and by keyed hashes. The entry names the tenant if the query
        covers exactly one.
        """
        tenants = self.lookup.among or ()
        entry = f"{len(self.handles)} pseudonyms, {len(self.tags)} keyed hashes: {result}"
        tenant = "".join(tenants) if len(tenants) == 1 else ""
        return PendingEntry("exposure", entry, self.who, tenant, request=self.request)


class ExposureResult(NamedTuple):
    """One caller's answers, in the order of the question, pseudonyms first.

    `looked` says whether monitoring was complete enough for "not found" to mean something.
    """

    items: Sequence[CustomerRisk]
    looked: MonitoringStatus


def screen_customers(
    questions: Sequence[ExposureQuery], trail: Trail, life_days: float
) -> list[ExposureResult | UllageError]:
    """Answer each query, in order; a query that failed gives its error in place of the answer.

    An audit entry for each query is durable before any answer is returned. Queries about the same
    tenants share one reading of the store. `life_days` is how many days exposures are kept.
    """
    queries_by_scope = defaultdict[frozenset[str] | None, list[ExposureQuery]](list)
    for query in questions:
        queries_by_scope[query.lookup.among].append(query)
    answers_by_scope = {
        scope: _answer_queries(group, life_days) for scope, group in queries_by_scope.items()
    }
    answers = [answers_by_scope[query.lookup.among].pop(0) for query in questions]
    trail.append_all(
        [
            query.to_audit_entry(_describe_result(answer))
            for query, answer in zip(questions, answers, strict=True)
        ]
    )
    return answers


def _answer_queries(
    questions: Sequence[ExposureQuery], life_days: float
) -> list[ExposureResult | UllageError]:
    """Return the answers to queries about the same tenants."""
    lookup = questions[0].lookup
    try:
        status = monitoring_status(lookup.store, lookup.clock.now())
        return [
            ExposureResult(items, status)
            for items in Screening(lookup, life_days, status).ask(questions)
        ]
    except CorruptError as error:  # a list that only some of them need
        return (
            [answer for query in questions for answer in _answer_queries([query], life_days)]
            if len(questions) > 1
            else [error]
        )
    except UllageError as error:
        return [error] * len(questions)


def _describe_result(answer: ExposureResult | UllageError) -> str:
    if isinstance(answer, UllageError):
        return f"not answered: {type(answer).__name__}"
    return f"{sum(item.state == 'exposed' for item in answer.items)} exposed"


@dataclass(frozen=True, slots=True)
class Screening:
    """The screening of customers for the tenants of `lookup`.

    `life_days` is how long exposures are kept; `looked` is the status of the monitoring.
    """

    lookup: Lookup
    life_days: float
    looked: MonitoringStatus

    def ask(self, questions: Sequence[ExposureQuery]) -> list[list[CustomerRisk]]:
        """Return the answers to each query, in order, pseudonyms first.

        Raises CorruptError if a needed list of enrolled customers is damaged.
        """
        by_handle, by_tag = (
            defaultdict[str, list[PersonExposure]](list),
            defaultdict[str, list[PersonExposure]](list),
        )
        for hit in self._find_exposures(
            "subject", {handle for query in questions for handle in query.handles}
        ):
            by_handle[hit.exposure.subject].append(hit)
        for hit in self._find_exposures(
            "index_tags", {tag for query in questions for tag in query.tags}
        ):
            for tag in hit.exposure.index_tags:
                by_tag[tag].append(hit)
        missing = {tag for query in questions for tag in query.tags if tag not in by_tag}
        recorded = self._find_enrolled(missing) if missing else None
        return [
            [
                self._answer_exposed(handle, by_handle[handle])
                if handle in by_handle
                else _build_negative_answer(handle, "not_found")
                for handle in query.handles
            ]
            + [
                self._answer_exposed(tag, by_tag[tag])
                if tag in by_tag
                else self._answer_not_found(tag, recorded)
                for tag in query.tags
            ]
            for query in questions
        ]

    def _find_exposures(self, name: str, values: Collection[str]) -> Iterable[PersonExposure]:
        return (
            (
                hit
                for hit in self.lookup.exposures(DocumentFilter({name: tuple(values)}))
                if hit.is_disclosable
            )
            if values
            else ()
        )

    def _find_enrolled(self, tags: Iterable[str]) -> frozenset[str] | None:
        """Return the enrolled ones of `tags`, or None if a tenant in question has no list."""
        now, lists = self.lookup.clock.now(), self.lookup.lists
        tenants = [tenant for tenant in self.lookup.everyone() if tenant != CANARY]
        registries = [lists.of(tenant, now) for tenant in tenants] if lists else []
        if not registries or None in registries:
            return None
        return frozenset(
            tag
            for tag in tags
            if any(
                registry is not None and registry.has(bytes.fromhex(tag)) for registry in registries
            )
        )

    def _answer_not_found(self, tag: str, recorded: frozenset[str] | None) -> CustomerRisk:
        if recorded is None:
            return _build_negative_answer(tag, "not_found")
        if tag not in recorded:
            return _build_negative_answer(tag, "unknown")
        return _build_negative_answer(tag, "not_exposed" if self.looked.is_trusted else "not_found")

    def _answer_exposed(self, query: str, hits: Sequence[PersonExposure]) -> CustomerRisk:
        now = self.lookup.clock.now()
        judged = [(hit, worst_way(hit)) for hit in hits]
        weighed = [
            (
                self._compute_risk(hit, worst, now),
                hit.exposure.last_seen,
                hit.exposure.id,
                hit,
                worst,
            )
            for hit, worst in judged
        ]
        risk, _, _, decisive_hit, worst = max(weighed, key=lambda weights: weights[:3])
        kinds = dict.fromkeys(kind for hit in hits for kind in kinds_of(hit))
        first, last = (
            min(hit.exposure.first_seen for hit in hits),
            max(hit.exposure.last_seen for hit in hits),
        )
        return CustomerRisk(
            query,
            "exposed",
            _list_reasons(decisive_hit, worst),
            risk,
            tuple(kinds),
            worst[1] if worst else None,
            first,
            last,
        )

    def _compute_risk(self, hit: PersonExposure, worst: Worst, now: datetime) -> int:
        age = (now - hit.exposure.last_seen).total_seconds() / 86_400
        return decay_points(
            worst[0].points if worst else _find_lowest_points(), age, self.life_days
        )


@cache
def _find_lowest_points() -> int:
    """Return the points of an exposure that allows no particular scam: the lowest of any scam."""
    return min(way.points for way, _ in load_verdict_rules().list_ways())


def _build_negative_answer(query: str, state: State) -> CustomerRisk:
    return CustomerRisk(query, state, (NOT[state],))


def _list_reasons(hit: PersonExposure, worst: Worst) -> tuple[Text, ...]:
    """Return the reasons for the risk, as phrases about the exposure that counts.

    `worst` is the scenario that it allows, if any.
    """
    group = max(hit.exposure.groups, key=len, default=hit.exposure.fields)
    en, zh = describe_fields(frozenset(group))
    reasons = [Text(f"stood together: {en}", f"同时出现：{zh}")]
    if worst:
        reasons.append(Text(f"allows: {worst[1].title}", f"可用于：{worst[1].title_zh}"))
    if is_verified(hit.exposure):
        reasons.append(Text("chance cannot explain the match", "匹配并非偶然"))
    else:
        reasons.append(Text("one value agrees, which can be chance", "仅一项信息吻合，可能为偶然"))
    return (
        *reasons,
        Text(
            f"seen last on {hit.exposure.last_seen:%Y-%m-%d}",
            f"最近出现：{hit.exposure.last_seen:%Y-%m-%d}",
        ),
    )
