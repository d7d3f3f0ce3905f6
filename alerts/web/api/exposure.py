"""Tell whether people are exposed, as JSON.

A CRM asks about one person on the phone (`/exposed`), a risk engine about many customers by
pseudonym or keyed hash (`/exposure`). Every request is written to the audit log.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from alerts.accounts import PURPOSES, ForbiddenError
from alerts.cases.lookups.lookup import UNSEEN, CallerAnswer, list_disclosures, reply
from alerts.cases.lookups.screening import HOLDS, MOST, SPEED, CustomerRisk, ExposureQuery, State
from alerts.cases.outgoing import Text
from alerts.coverage.monitoring_status import MonitoringStatus, Worth, monitoring_status
from alerts.records.document import QueryError
from alerts.translation import catalogue, translated
from alerts.web.api import PREFIX
from alerts.web.dependencies import Console, require_permission
from alerts.web.middleware import limit_body
from alerts.web.pages.person import look_up
from ullage.audit.trail import REQUEST
from ullage.phrase import Phrase


class ExposedRequest(BaseModel):
    """The person to look up, with purpose and case number.

    `by` names the person on whose behalf a program asks. Unknown members are refused.

    Without `kind` the value is a phone number, resident ID, card number or email address. With the
    customer's `pseudonym` the answer is about the customer as well as about the value.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    value: SecretStr
    by: str = ""
    purpose: str
    case: str
    kind: str = ""
    pseudonym: str = ""


class BilingualText(BaseModel):
    """A text in English and Chinese."""

    en: str
    zh: str


class ExposedBy(BaseModel):
    """One exposure as it may be disclosed to the caller.

    Until notifying is `approved`, `script` is a general warning that says nothing about the person.
    """

    kinds: list[BilingualText]
    month: str
    scam: BilingualText
    protects: list[BilingualText]
    approved: bool
    script: BilingualText


class CoverageStatement(BaseModel):
    """How far the monitoring reaches: since when, and until the last heartbeat.

    `worth` says whether an empty answer can be trusted; `unseen` is what no answer can cover.
    """

    worth: Worth
    since: datetime | None
    last: datetime | None
    unseen: BilingualText


class ExposedAnswer(BaseModel):
    """The answer about one person or value.

    `kinds` are the kinds of identifier as which the value was read. If it is empty, `answer` is
    `refused`, nothing was looked up, and `check` says what to compare before asking again. `about`
    says whether the answer is about the `person` or about the `value` alone; `value_found`, whether
    an exposure holds the value itself, and not only its owner.

    `recorded` means that somebody is enrolled with the value and that it was found nowhere;
    `listed_on` is the day of the list that says so, or that nobody is. Without such a list it is
    null, and `no_record` does not say whether its owner is a customer. `script` is read to the
    caller if nothing was found. `seen_alone` means that the value appeared somewhere without any
    sign of a leak, which alone is no exposure.
    """

    kinds: tuple[str, ...]
    answer: Literal["exposed", "recorded", "no_record", "refused"]
    exposed: bool
    found: list[ExposedBy]
    listed_on: datetime | None
    script: BilingualText | None
    seen_alone: bool
    about: Literal["person", "value"]
    value_found: bool
    check: BilingualText | None
    coverage: CoverageStatement


def _person(router: APIRouter) -> None:
    @router.post("/exposed", operation_id="check_person")
    def exposed(
        site: Annotated[Console, require_permission("person.check")], asked: ExposedRequest
    ) -> ExposedAnswer:
        """Return whether the person on the phone is exposed, and what to say.

        The check is recorded in the audit log under the case number.
        """
        value, by = asked.value.get_secret_value(), site.actor(asked.by, "by")
        question = site.question(
            value, by, asked.purpose, asked.case, kind=asked.kind, pseudonym=asked.pseudonym
        )
        answer = look_up(site, question)
        disclosures = [
            ExposedBy.model_validate(_to_members(disclosure))
            for disclosure in list_disclosures(answer)
        ]
        now = monitoring_status(site.store, site.clock.now())
        behind = CoverageStatement(
            worth=now.worth,
            since=now.since,
            last=now.last,
            unseen=BilingualText(**UNSEEN._asdict()),
        )
        spoken = reply(answer, now)
        return ExposedAnswer(
            kinds=answer.kinds,
            answer=spoken.answer,
            exposed=bool(disclosures),
            found=disclosures,
            listed_on=spoken.listed_on,
            script=BilingualText(**spoken.script._asdict()) if spoken.script else None,
            seen_alone=bool(answer.benign_posts),
            about=spoken.about,
            value_found=answer.is_value_found,
            check=_in_both_languages(spoken.problem) if spoken.problem else None,
            coverage=behind,
        )


def _in_both_languages(text: Phrase) -> BilingualText:
    return BilingualText(en=translated(text, str), zh=translated(text, catalogue("zh").gettext))


def _to_members(answer: CallerAnswer) -> dict[str, Any]:
    """Return an answer with its texts as JSON members instead of pairs."""
    return {
        "kinds": [text._asdict() for text in answer.kinds],
        "month": answer.month,
        "scam": answer.scam._asdict(),
        "protects": [text._asdict() for text in answer.protects],
        "approved": answer.approved,
        "script": answer.script._asdict(),
    }


MOST_BYTES = 64 * 1024
"""A thousand of 32 hex digits each, with room for the JSON around them."""
Token = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
TERMS = Text(
    "This may not decide alone: a person can have it explained and refuse a decision made by"
    " machines only (PIPL Art. 24). It is for fraud prevention, not for credit or marketing"
    " (Anti-Telecom and Online Fraud Law Art. 16, 18).",
    "本结果不得作为自动化决策的唯一依据：个人有权要求说明并拒绝仅通过自动化方式作出的决定（个人信息保护法第二十四条）。"
    "仅用于反诈防控，不得用于授信或营销（反电信网络诈骗法第十六、十八条）。",
)


class ExposureRequest(BaseModel):
    """The customers to look up: pseudonyms, keyed hashes, or both.

    Each has 32 hexadecimal digits, and 1 to 1,000 may be sent together.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    pseudonyms: Annotated[list[Token], Field(max_length=MOST)] = []
    keyed_hashes: Annotated[list[Token], Field(max_length=MOST)] = []


class Scam(BaseModel):
    """The worst scam that the leaked data allows, by the id of its rule and in words."""

    id: str
    title: BilingualText


class ExposureOf(BaseModel):
    """The answer about one customer, in `asked`.

    Days are in UTC. Unless the state is `exposed`, only `why` has content.

    `not_exposed`: enrolled, searched for everywhere, and not found; this needs a list of enrolled
    customers. `unknown`: nobody is enrolled with this keyed hash. `not_found`: nothing was found,
    and no more can be said.
    """

    asked: str
    state: State
    risk: int
    kinds: list[BilingualText]
    scenario: Scam | None
    first_seen: datetime | None
    last_seen: datetime | None
    why: list[BilingualText]


class CoverageSpan(BaseModel):
    """The time that an answer covers: from `since` to the last heartbeat at `last`.

    `worth` and `said` are those of a list of incidents; `unseen` is what no answer can cover.
    """

    worth: Worth
    said: str
    since: datetime | None
    last: datetime | None
    kept_days: float
    unseen: BilingualText


class UsageTerms(BaseModel):
    """What the answer may be used for, and until when it holds."""

    decides_alone: bool = False
    purpose: str
    not_for: list[str] = ["credit", "marketing"]
    holds_until: datetime
    said: BilingualText


class Formula(BaseModel):
    """How `risk` is computed."""

    risk: str = (
        "base points of the scenario, 0 to 60, times 1 - (days since last seen / life_days) ** (1 /"
        " speed)"
    )
    life_days: float
    speed: float = SPEED
    source: str = (
        "base points: ullage/verdict/rules.toml; decay: arXiv:1803.11052 (MISP); speed: policy of"
        " this project"
    )


class ExposureAnswer(BaseModel):
    """The answers, one per customer, pseudonyms first, in the order of the request."""

    items: list[ExposureOf]
    coverage: CoverageSpan
    formula: Formula
    terms: UsageTerms


def _screening(router: APIRouter) -> None:
    @router.post(
        "/exposure",
        operation_id="screen_exposure",
        dependencies=[limit_body(MOST_BYTES)],
        response_model=ExposureAnswer,
    )
    async def exposure(
        site: Annotated[Console, require_permission("exposure.ask")], asked: ExposureRequest
    ) -> Response:
        """Return whether customers are exposed, by pseudonym or keyed hash.

        For a token whose purpose is `risk_engine`.
        """
        if site.principal.purpose != PURPOSES["exposure.ask"]:
            raise ForbiddenError(
                Phrase(
                    "use a token with the purpose %(purpose)s for this request",
                    purpose=PURPOSES["exposure.ask"],
                )
            )
        if not 1 <= len(asked.pseudonyms) + len(asked.keyed_hashes) <= MOST:
            raise QueryError(
                Phrase(
                    "ask for 1 to %(most)s pseudonyms and keyed hashes in one request", most=MOST
                ),
                "pseudonyms",
                "keyed_hashes",
            )
        question = ExposureQuery(
            site.lookup, asked.pseudonyms, asked.keyed_hashes, site.actor(), REQUEST.get()
        )
        risks = await site.screenings.ask(question, len(asked.pseudonyms) + len(asked.keyed_hashes))
        now, life = site.clock.now(), site.context.settings.store.exposures_days
        terms = UsageTerms(
            purpose=site.principal.purpose, holds_until=now + HOLDS, said=_bilingual(TERMS)
        )
        answer = ExposureAnswer(
            items=[_to_item(risk) for risk in risks.items],
            coverage=_describe_span(risks.looked, now, life),
            formula=Formula(life_days=life),
            terms=terms,
        )
        # else it would be validated a second time
        return Response(answer.model_dump_json(), media_type="application/json")


def _describe_span(status: MonitoringStatus, now: datetime, life: float) -> CoverageSpan:
    """Describe the period that an answer covers.

    It begins at most `life` days ago, since older exposures are deleted.
    """
    since = max(status.since, now - timedelta(days=life)) if status.since else None
    return CoverageSpan(
        worth=status.worth,
        said=str(status.said),
        since=since,
        last=status.last,
        kept_days=life,
        unseen=_bilingual(UNSEEN),
    )


def _to_item(risk: CustomerRisk) -> ExposureOf:
    scenario = risk.scenario
    return ExposureOf(
        asked=risk.query,
        state=risk.state,
        risk=risk.risk,
        kinds=_bilingual_list(risk.kinds),
        scenario=(
            Scam(id=scenario.id, title=BilingualText(en=scenario.title, zh=scenario.title_zh))
            if scenario
            else None
        ),
        first_seen=risk.first_seen,
        last_seen=risk.last_seen,
        why=_bilingual_list(risk.why),
    )


def _bilingual_list(texts: Sequence[Text]) -> list[BilingualText]:
    return [_bilingual(text) for text in texts]


def _bilingual(text: Text) -> BilingualText:
    return BilingualText(en=text.en, zh=text.zh)


def routes() -> APIRouter:
    """Return the routes of this module."""
    router = APIRouter(prefix=PREFIX, tags=["people"])
    _person(router)
    _screening(router)
    return router
