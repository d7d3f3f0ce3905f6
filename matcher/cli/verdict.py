"""The verdict on a submitted file: real? ours? which of our customers? which scam? what next?

Nothing of the file is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from matcher.match.capture_result import CaptureReading
from matcher.match.counts import EpochMatches
from matcher.match.findings import count_labels, tenant_statistics
from matcher.match.pipeline import Matcher
from matcher.unpack.protocol import LOSES_NOTHING, UnreadPart
from matcher.watchlist.installation import TenantLists
from ullage.display.decide import Decide
from ullage.errors import ConfigError, Exit
from ullage.incidents import IncidentHistory, IncidentReference
from ullage.records import Statistics
from ullage.settings import Context
from ullage.verdict import (
    UNJUDGED_EXPOSURE,
    UNJUDGED_ORIGIN,
    UNJUDGED_STEP,
    ExposureScore,
    NextStep,
    Origin,
    StepConditions,
    VerdictFacts,
    expect_by_chance,
    judge,
    next_step,
)
from ullage.verdict.rules import ORDER
from ullage.verdict.severity import decide_minutes
from ullage.vocabulary.lexicon import is_suspicion, is_wanted

ORIGIN_WORDS = {
    "ours": "OURS: these rows match our own records",
    "by one value": (
        "OURS, or probing of our sign-up (筛号): only one value of each customer matches"
    ),
    "devices": "DEVICES: logins from the computers of customers or staff, not our leak",
    "elsewhere": "ELSEWHERE: another organization's leak that contains customers of ours",
    "fabricated": "FABRICATED: looks generated",
    "unknown": "UNKNOWN: nothing shows whose leak it is",
    "partner": (
        "PARTNER {label}: a verified row contains a honeytoken that only this party"
        " received, an indication"
    ),
    "recycled": ("RECYCLED: these customers appeared with the same fields in an earlier incident"),
}
ASK: Mapping[str, str] = {
    "encrypted": "ask for its password",
    "image": "ask for the data as text, or look at the images yourself",
    "ocr": (
        "ask for the data as text, or look at the images yourself, because OCR does not"
        " read everything"
    ),
    "audio_video": "ask for the data as text, or examine the file yourself",
    "binary": "ask for the data as text",
    "database": "ask for an export of its tables (CSV)",
    "unrecognised": ("ask which program wrote it, and for the data as text: it may be encrypted"),
    "damaged": "ask for an undamaged copy",
    "unsupported": "ask for the data as text or CSV",
    "empty": "ask whether this is the right file: it is empty",
    "denied": "run this as a user who may read it",
    "fault": ("ask for the data as text or CSV, and report the fault with the version of ullage"),
    "masked": "ask for the values in clear",
    "spelt": "ask for the numbers as plain digits",
    "digests": "ask what was hashed and how, or for the values in clear",
    "salted": "ask what was hashed and how (salt, rounds), or for the values in clear",
    "cookies": "ask which site they belong to",
}
"""What to ask the sender of the file for, by reason."""
IN_PARTS = "ask for its parts one by one: as a whole it exceeds the limits for one file"
MOST_LISTED = 10_000
"""Parts of a file that the JSON lists as not read; all are counted."""


@dataclass(frozen=True, slots=True)
class KnownIncidents:
    """What incidents show about a file, by tenant with customers in it.

    `why_not` is why they could not be queried.
    """

    known: Mapping[str, IncidentHistory] = field(default_factory=dict)
    why_not: str = ""

    def of(self, tenant: str) -> IncidentHistory | None:
        """Return the history of a tenant's customers, None if incidents were not queried."""
        return None if self.why_not else self.known.get(tenant, IncidentHistory())


@dataclass(frozen=True, slots=True)
class TenantVerdict:
    """The verdict of `ullage assess` for one tenant."""

    tenant: str
    customers: int
    watchlist: int
    kinds: dict[str, int]
    matched_rows: int
    corroborated_rows: int
    logins: int
    staff_logins: int
    cookies: int
    staff_cookies: int
    live_cookies: int
    session_cookies: int
    cookies_until: str
    """The day on which the last unexpired one expires, "" if none has a day."""
    own_cards: int
    expected_by_chance: float
    exposure: ExposureScore
    origin: Origin
    next_step: NextStep
    earlier: IncidentHistory | None = None
    """What incidents show about these customers; None if they were not queried."""

    @property
    def decide(self) -> tuple[str, str]:
        """Return the time within which a person decides on it, in English and Chinese.

        Both are "" if there is nothing to decide.
        """
        minutes = decide_minutes(self.exposure.severity, self.exposure.clock, self.exposure.minutes)
        return Decide(minutes).words() if minutes else ("", "")

    @property
    def whose(self) -> str:
        """Return in words whose leak it is."""
        is_weak = self.origin.verdict == "ours" and not self.corroborated_rows
        return ORIGIN_WORDS["by one value" if is_weak else self.origin.verdict].format(
            label=self.origin.label
        )

    def as_dict(self) -> dict[str, object]:
        """Return the fields for `--json`."""
        fields: dict[str, object] = {"whose": self.whose}
        fields |= {"next_step": self.next_step.text, "next_step_zh": self.next_step.text_zh}
        fields |= {"decide": self.decide[0], "decide_zh": self.decide[1]}
        return asdict(self) | fields | {"earlier": self.earlier._asdict() if self.earlier else None}


@dataclass(frozen=True, slots=True)
class Assessment:
    """The complete assessment of a file.

    `not_compared` is why earlier incidents could not be queried, "" if they were; `outcomes` are
    the parts that were not read; `absent` are tenants without a watchlist here, whose customers
    were not searched for.
    """

    whole: Statistics
    tenants: Sequence[TenantVerdict]
    not_compared: str
    outcomes: Sequence[UnreadPart]
    absent: Sequence[str]
    file: Path

    @property
    def is_exposed(self) -> bool:
        """Return whether it holds a customer, or a login or a cookie of a tenant's own site."""
        return any(
            verdict.customers or verdict.logins or verdict.cookies for verdict in self.tenants
        )

    @property
    def is_whole(self) -> bool:
        """Return whether nothing can have been missed."""
        return not self.outcomes and not self.absent

    @property
    def in_a_word(self) -> str:
        """Return the answer as a word for programs."""
        return "exposed" if self.is_exposed else "nobody" if self.is_whole else "no verdict"

    def code(self, *, fail: bool, fail_on: str) -> Exit:
        """Return the exit code of the command."""
        worst = max((ORDER.index(verdict.exposure.severity) for verdict in self.tenants), default=0)
        if (fail and self.is_exposed) or (fail_on and worst >= list[str](ORDER).index(fail_on)):
            return Exit.EXPOSED
        loses_something = bool(self.absent) or any(
            outcome.reason not in LOSES_NOTHING for outcome in self.outcomes
        )
        return (
            Exit.DONE
            if self.is_whole or (self.is_exposed and not loses_something)
            else Exit.NO_VERDICT
        )

    def as_dict(self, opened: Mapping[str, IncidentReference] | None = None) -> dict[str, object]:
        """Return the fields for `--json`.

        `opened` is the incident of each tenant, None if none was to be opened; then there is no
        field `incidents`. Of the parts not read, at most MOST_LISTED (10,000) are listed.
        """
        counted = {"rows", "candidates", "failures", "skeleton", "unread", "estimated"}
        fields: dict[str, object] = self.whole.model_dump(include=counted) | {
            "verdict": self.in_a_word
        }
        fields["not_read"] = [
            {
                "path": one.path,
                "reason": one.reason,
                "count": one.number,
                "said": one.words()[0],
                "said_zh": one.words()[1],
                "ask": ASK.get(one.reason, IN_PARTS),
            }
            for one in self.outcomes[:MOST_LISTED]
        ]
        fields |= {"not_looked_for": list(self.absent), "not_compared": self.not_compared}
        fields |= {
            "fields": self.whole.field_map,
            "tenants": [verdict.as_dict() for verdict in self.tenants],
        }
        if opened is not None:
            fields["incidents"] = [
                {"tenant": tenant} | one._asdict() for tenant, one in opened.items()
            ]
        return fields


def check_severity(name: str) -> None:
    """Raise `ConfigError` unless `name` is a severity, or ""."""
    if name not in ("", *ORDER):
        raise ConfigError(f"--fail-on must be one of {', '.join(ORDER)}")


def verdicts(
    context: Context, matcher: Matcher, reading: CaptureReading, before: KnownIncidents
) -> tuple[Statistics, list[TenantVerdict]]:
    """Return the statistics of the file and a verdict for each tenant, those with matches first.

    A rule that fails is a fault of `reading`.
    """
    whole = reading.guard.run(
        "statistics", reading.statistics, Statistics(bytes=len(reading.capture.body))
    )
    made = [
        _verdict(
            context,
            reading,
            tenant_statistics(reading, whole, lists.tenant),
            lists,
            before.of(lists.tenant),
        )
        for lists in matcher.lists
    ]
    return whole, sorted(made, key=lambda v: (-v.customers, v.tenant))


def _verdict(
    context: Context,
    reading: CaptureReading,
    whole: Statistics,
    lists: TenantLists,
    earlier: IncidentHistory | None,
) -> TenantVerdict:
    found = reading.find_best_matches(lists.tenant) or EpochMatches(0)
    facts, exposure, origin = _judge(context, reading, whole, lists, earlier)
    conditions = (
        facts.step_conditions
        if facts
        else StepConditions(people=bool(found.subjects), alone=False, unread=True)
    )
    choose = partial(next_step, origin.verdict, exposure.severity, exposure.scenario, conditions)
    return TenantVerdict(
        tenant=lists.tenant,
        customers=len(found.subjects),
        watchlist=lists.customers,
        kinds=dict(sorted(found.kinds.items())),
        matched_rows=found.rows,
        corroborated_rows=found.corroborated,
        logins=whole.logins,
        staff_logins=whole.staff_logins,
        cookies=whole.cookies,
        staff_cookies=whole.staff_cookies,
        live_cookies=whole.live_cookies,
        session_cookies=whole.session_cookies,
        cookies_until=str(whole.cookies_until or ""),
        own_cards=whole.own_cards,
        expected_by_chance=expect_by_chance(facts) if facts else 0.0,
        exposure=exposure,
        origin=origin,
        next_step=reading.guard.run("next_step", choose, UNJUDGED_STEP),
        earlier=earlier,
    )


def exposure_of(
    context: Context, reading: CaptureReading, whole: Statistics, lists: TenantLists
) -> ExposureScore:
    """Return the exposure score of the customers in one capture, by its own facts alone.

    `whole` are the statistics for that tenant.
    """
    return _judge(context, reading, whole, lists)[1]


def _judge(
    context: Context,
    reading: CaptureReading,
    whole: Statistics,
    lists: TenantLists,
    earlier: IncidentHistory | None = None,
) -> tuple[VerdictFacts | None, ExposureScore, Origin]:
    """Return the facts, the exposure score and the origin.

    The facts are None if counting them fails: then a person must decide.
    """
    facts = reading.guard.run(
        "facts", partial(_facts, context, reading, whole, lists, earlier), None
    )
    if facts is None:
        return None, UNJUDGED_EXPOSURE, UNJUDGED_ORIGIN
    return facts, *judge(facts, context.rules(), reading.guard)


def _facts(
    context: Context,
    reading: CaptureReading,
    whole: Statistics,
    lists: TenantLists,
    earlier: IncidentHistory | None,
) -> VerdictFacts:
    """Count the facts for the verdict.

    `earlier` is what incidents show about the customers.
    """
    tenant, found = (
        context.tenant(lists.tenant),
        reading.find_best_matches(lists.tenant) or EpochMatches(0),
    )
    return VerdictFacts(
        today=context.clock.now().date(),
        people=found.people(),
        verified=found.people_verified(),
        agreeing=found.people_agreeing(),
        matched=len(found.subjects),
        matched_rows=found.rows,
        corroborated_rows=found.corroborated,
        watchlist=lists.customers,
        circulation=tenant.circulation,
        matched_kinds=found.kinds,
        brand=bool(whole.brands),
        terms=tuple(t.id for t in whole.terms),
        written={t.id: t.shown for t in whole.terms},
        alarm=lists.tenant in reading.offered,
        wanted=is_wanted(whole.context, whole.rows),
        incomplete=bool(reading.reasons) or reading.capture.truncated,
        claimed=reading.claims.volume or 0,
        suspicion=is_suspicion(whole.context, whole.rows),
        minors=len(found.minors),
        cards_enrolled=lists.cards,
        private_attributes_comparable=found.witnesses.comparable,
        private_attributes_agreeing=found.witnesses.agreeing,
        overlap=tenant.overlap,
        market_share=tenant.market_share,
        medium_deadline=tenant.medium_deadline,
        replayed=earlier.share if earlier else 0.0,
        replay_of=earlier.incident if earlier else "",
        replay_told=bool(earlier and earlier.acknowledged),
        **count_labels(lists, found)._asdict(),
        own_fields=frozenset(tenant.own_fields),
        **whole.get_counts()
        | {"unread": {r: n for r, n in whole.unread.items() if r not in LOSES_NOTHING}},
    )
