"""Which of up to a thousand customers are exposed, asked by a risk engine: by handle or by index
tag, never by an identifier.

Of one that is exposed it is told which kinds of data, the worst scam that these allow, when they
were seen last, and why; never a site, a case or how many others. Of one that is not it is told how
much that is worth (`State`).

Risk is the base points of the scam (`ullage/verdict/rules.toml`, 0 to 60) times what is left of
them at the age `t` of the exposure: `1 - (t / life) ** (1 / speed)`. That is the decay of MISP
(Mokaddem et al., "Taxonomy driven indicator scoring in MISP threat intelligence platforms",
arXiv:1803.11052, 2018), with `life` the days for which exposures are kept, so that risk ends with
them, and `speed` 0.5: a number or a name stays true, so risk falls slowly at first. The speed is
policy of this project. Of several exposures the highest counts; they do not add up.
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
"""So long an answer may be used: what is found, decided or erased later is not in it."""
Worst = tuple[ScenarioConditions, Scenario] | None
"""The worst that an exposure allows, and by which way; None for nothing in particular."""
State = Literal["exposed", "not_exposed", "unknown", "not_found"]
"""`not_exposed`: recorded, looked for in all that is read, and not found.

`unknown`: no customer is recorded under it. `not_found`: nothing was found, and more cannot be
said: of a handle, or without a list, it is not known whether anybody is recorded; or not all was
read.
"""


@dataclass(frozen=True, slots=True)
class CustomerRisk:
    """The answer on one handle or tag.

    `risk` is 0 to 60; `first_seen`, `last_seen` and `scenario` are None unless exposed.
    """

    asked: str
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


def decayed(points: int, age_days: float, life_days: float) -> int:
    """What is left of `points` after `age_days` of `life_days`, see the module.

    >>> [decayed(50, age, 180) for age in (0, 30, 90, 150, 180, 400)]
    [50, 49, 38, 15, 0, 0]
    """
    past: float = (min(max(age_days, 0.0), life_days) / life_days) ** (1 / SPEED)
    return round(points * (1 - past))


class ExposureQuery(NamedTuple):
    """What one caller asks: handles and index tags, of the tenants of `lookup`, in the name of
    `who` by `request`.
    """

    lookup: Lookup
    handles: Sequence[str]
    tags: Sequence[str]
    who: str
    request: str = ""

    def noted(self, said: str) -> PendingEntry:
        """Its entry in the audit log, with what came of it."""
        tenants = self.lookup.among or ()
        asked = f"{len(self.handles)} pseudonyms, {len(self.tags)} keyed hashes: {said}"
        tenant = "".join(tenants) if len(tenants) == 1 else ""
        return PendingEntry("exposure", asked, self.who, tenant, request=self.request)


class ExposureResult(NamedTuple):
    """What one caller is told, in the order of what was asked, handles first; `looked` is what
    an empty answer is worth.
    """

    items: Sequence[CustomerRisk]
    looked: MonitoringStatus


def screened(
    questions: Sequence[ExposureQuery], trail: Trail, life_days: float
) -> list[ExposureResult | UllageError]:
    """Answers, an error where that of a caller failed; an entry of each in the audit log is durable
    before they are given.

    Callers who ask of the same tenants are answered by the same reading of the store. `life_days`
    is how long exposures are kept.
    """
    of_scope = defaultdict[frozenset[str] | None, list[ExposureQuery]](list)
    for one in questions:
        of_scope[one.lookup.among].append(one)
    told = {scope: _told(some, life_days) for scope, some in of_scope.items()}
    answers = [told[one.lookup.among].pop(0) for one in questions]
    trail.append_all(
        [one.noted(_said(answer)) for one, answer in zip(questions, answers, strict=True)]
    )
    return answers


def _told(
    questions: Sequence[ExposureQuery], life_days: float
) -> list[ExposureResult | UllageError]:
    """Answers to those who ask of the same tenants."""
    lookup = questions[0].lookup
    try:
        heard = monitoring_status(lookup.store, lookup.clock.now())
        return [
            ExposureResult(items, heard)
            for items in Screening(lookup, life_days, heard).ask(questions)
        ]
    except CorruptError as error:  # of a list that not all of them need
        return (
            [answer for one in questions for answer in _told([one], life_days)]
            if len(questions) > 1
            else [error]
        )
    except UllageError as error:
        return [error] * len(questions)


def _said(answer: ExposureResult | UllageError) -> str:
    if isinstance(answer, UllageError):
        return f"not answered: {type(answer).__name__}"
    return f"{sum(one.state == 'exposed' for one in answer.items)} exposed"


@dataclass(frozen=True, slots=True)
class Screening:
    """Answers for the tenants of `lookup`; `life_days` is how long exposures are kept, `looked`
    what an empty answer is worth.
    """

    lookup: Lookup
    life_days: float
    looked: MonitoringStatus

    def ask(self, questions: Sequence[ExposureQuery]) -> list[list[CustomerRisk]]:
        """The answers to each, in order, handles first.

        CorruptError where a list of what is recorded would have to be asked and is damaged.
        """
        by_handle, by_tag = (
            defaultdict[str, list[PersonExposure]](list),
            defaultdict[str, list[PersonExposure]](list),
        )
        for hit in self._heard("subject", {handle for one in questions for handle in one.handles}):
            by_handle[hit.exposure.subject].append(hit)
        for hit in self._heard("index_tags", {tag for one in questions for tag in one.tags}):
            for tag in hit.exposure.index_tags:
                by_tag[tag].append(hit)
        missing = {tag for one in questions for tag in one.tags if tag not in by_tag}
        recorded = self._recorded(missing) if missing else None
        return [
            [
                self._exposed(one, by_handle[one]) if one in by_handle else _no(one, "not_found")
                for one in asked.handles
            ]
            + [
                self._exposed(one, by_tag[one]) if one in by_tag else self._absent(one, recorded)
                for one in asked.tags
            ]
            for asked in questions
        ]

    def _heard(self, name: str, values: Collection[str]) -> Iterable[PersonExposure]:
        return (
            (
                hit
                for hit in self.lookup.exposures(DocumentFilter({name: tuple(values)}))
                if hit.is_heard
            )
            if values
            else ()
        )

    def _recorded(self, tags: Iterable[str]) -> frozenset[str] | None:
        """Those of `tags` that are recorded; None where a tenant that is asked has no list, so
        that it cannot be said.
        """
        now, lists = self.lookup.clock.now(), self.lookup.lists
        tenants = [tenant for tenant in self.lookup.everyone() if tenant != CANARY]
        found = [lists.of(tenant, now) for tenant in tenants] if lists else []
        if not found or None in found:
            return None
        return frozenset(
            tag
            for tag in tags
            if any(one is not None and one.has(bytes.fromhex(tag)) for one in found)
        )

    def _absent(self, tag: str, recorded: frozenset[str] | None) -> CustomerRisk:
        if recorded is None:
            return _no(tag, "not_found")
        if tag not in recorded:
            return _no(tag, "unknown")
        return _no(tag, "not_exposed" if self.looked.is_trusted else "not_found")

    def _exposed(self, asked: str, hits: Sequence[PersonExposure]) -> CustomerRisk:
        now = self.lookup.clock.now()
        judged = [(hit, worst_way(hit)) for hit in hits]
        weighed = [
            (self._risk(hit, worst, now), hit.exposure.last_seen, hit.exposure.id, hit, worst)
            for hit, worst in judged
        ]
        risk, _, _, hit, worst = max(weighed, key=lambda one: one[:3])
        kinds = dict.fromkeys(kind for one in hits for kind in kinds_of(one))
        first, last = (
            min(one.exposure.first_seen for one in hits),
            max(one.exposure.last_seen for one in hits),
        )
        return CustomerRisk(
            asked,
            "exposed",
            _why(hit, worst),
            risk,
            tuple(kinds),
            worst[1] if worst else None,
            first,
            last,
        )

    def _risk(self, hit: PersonExposure, worst: Worst, now: datetime) -> int:
        age = (now - hit.exposure.last_seen).total_seconds() / 86_400
        return decayed(worst[0].points if worst else _least(), age, self.life_days)


@cache
def _least() -> int:
    """Points of what allows no scam in particular: those of the least that does."""
    return min(way.points for way, _ in load_verdict_rules().list_ways())


def _no(asked: str, state: State) -> CustomerRisk:
    return CustomerRisk(asked, state, (NOT[state],))


def _why(hit: PersonExposure, worst: Worst) -> tuple[Text, ...]:
    """In plain phrases, of the exposure whose risk counts."""
    group = max(hit.exposure.groups, key=len, default=hit.exposure.fields)
    en, zh = describe_fields(frozenset(group))
    said = [Text(f"stood together: {en}", f"同时出现：{zh}")]
    if worst:
        said.append(Text(f"allows: {worst[1].title}", f"可用于：{worst[1].title_zh}"))
    if is_verified(hit.exposure):
        said.append(Text("chance cannot explain the match", "匹配并非偶然"))
    else:
        said.append(Text("one value agrees, which can be chance", "仅一项信息吻合，可能为偶然"))
    return (
        *said,
        Text(
            f"seen last on {hit.exposure.last_seen:%Y-%m-%d}",
            f"最近出现：{hit.exposure.last_seen:%Y-%m-%d}",
        ),
    )
