"""The verdict on a file that somebody sent: real? ours? who of ours? which scam? what next? Nothing of it is kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from matcher.findings import statistics_for
from matcher.found import Found
from matcher.labelled import labelled
from matcher.match import Matcher
from matcher.readings import Reading
from matcher.unpack.reasons import LOSES_NOTHING
from matcher.watchlist.installed import TenantLists
from ullage.next_step import Step, next_step
from ullage.records import Statistics
from ullage.settings import Context
from ullage.verdict import Exposure, Facts, Origin, chance_matches, judge


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `ullage assess` says for one tenant."""

    tenant: str
    customers: int
    watchlist: int
    kinds: dict[str, int]
    matched_rows: int
    corroborated_rows: int
    logins: int
    own_cards: int
    expected_by_chance: float
    exposure: Exposure
    origin: Origin
    next_step: Step

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {**asdict(self), "next_step": self.next_step.text, "next_step_zh": self.next_step.text_zh}


def verdicts(context: Context, matcher: Matcher, reading: Reading) -> tuple[Statistics, list[Verdict]]:
    """Statistics of the file and a verdict a tenant, those with matches first."""
    whole = reading.statistics()
    made = [_verdict(context, reading, statistics_for(reading, whole, lists.tenant), lists) for lists in matcher.lists]
    return whole, sorted(made, key=lambda v: (-v.customers, v.tenant))


def _verdict(context: Context, reading: Reading, whole: Statistics, lists: TenantLists) -> Verdict:
    found = reading.best(lists.tenant) or Found(0)
    facts = _facts(context, reading, whole, lists, found)
    exposure, origin = judge(facts, context.rules())
    return Verdict(
        tenant=lists.tenant,
        customers=len(found.subjects),
        watchlist=lists.customers,
        kinds=dict(sorted(facts.matched_kinds.items())),
        matched_rows=found.rows,
        corroborated_rows=found.corroborated,
        logins=whole.logins,
        own_cards=whole.own_cards,
        expected_by_chance=chance_matches(facts),
        exposure=exposure,
        origin=origin,
        next_step=next_step(
            origin.verdict, exposure.severity, exposure.scenario, people=bool(found.subjects), unread=bool(facts.unread)
        ),
    )


def exposure_of(context: Context, reading: Reading, whole: Statistics, lists: TenantLists) -> Exposure:
    """How the customers in one capture can be cheated, by its own facts alone; `whole` is that tenant's."""
    found = reading.best(lists.tenant) or Found(0)
    return judge(_facts(context, reading, whole, lists, found), context.rules())[0]


def _facts(context: Context, reading: Reading, whole: Statistics, lists: TenantLists, found: Found) -> Facts:
    """What the verdict is drawn from."""
    tenant = context.tenant(lists.tenant)
    return Facts(
        today=context.clock.now().date(),
        people=found.people(),
        verified=found.people_verified(),
        matched=len(found.subjects),
        rows=whole.rows,
        matched_rows=found.rows,
        corroborated_rows=found.corroborated,
        groups=whole.groups,
        watchlist=lists.customers,
        circulation=tenant.circulation,
        candidates=whole.candidates,
        matched_kinds=found.kinds,
        failures=whole.failures,
        longest_run=whole.longest_run,
        newest_date=whole.newest_date,
        brand=bool(whole.brands),
        terms=tuple(t.id for t in whole.terms),
        alarm=lists.tenant in reading.offered,
        unread={reason: count for reason, count in whole.unread.items() if reason not in LOSES_NOTHING},
        logins=whole.logins,
        minors=len(found.minors),
        own_cards=whole.own_cards,
        cards_enrolled=lists.cards,
        **labelled(lists, found)._asdict(),
        own_fields=frozenset(tenant.own_fields),
        own_cohorts=frozenset(tenant.own_cohorts),
    )
