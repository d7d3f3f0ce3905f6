"""One person on the phone, asked for by the CRM: the same answers as page "Check a person" gives."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, SecretStr

from alerts.cases.lookup import UNSEEN, CallerAnswer, reply, told
from alerts.coverage import Worth, looked
from alerts.web.api import PREFIX
from alerts.web.dependencies import Console, may
from alerts.web.pages.person import asked_of


class ExposedRequest(BaseModel):
    """Whom to look up, why, under which case number. `by` whom is for programs to say. Unknown members are refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    value: SecretStr
    by: str = ""
    purpose: str
    case: str


class BilingualText(BaseModel):
    """The same in English and Chinese."""

    en: str
    zh: str


class ExposedBy(BaseModel):
    """One exposure as the caller may hear of it; `script` is a warning that says nothing of them until telling is `approved`."""

    kinds: list[BilingualText]
    month: str
    scam: BilingualText
    protects: list[BilingualText]
    approved: bool
    script: BilingualText


class CoverageStatement(BaseModel):
    """Since when is looked, and when last; `worth` as of a list, `unseen` what no answer speaks of."""

    worth: Worth
    since: datetime | None
    last: datetime | None
    unseen: BilingualText


class ExposedAnswer(BaseModel):
    """`kinds` is what the value was read as; none means that it is no identifier that is known here, and `answer` is `refused`.

    `recorded` says that somebody is recorded with the value and that it was found nowhere; `listed_on` is the day of the list
    that says so, or that nobody is. Without such a list it is null, and `no_record` does not say whether its owner is a customer.
    `script` is what is read to the caller where nothing was found. `seen_alone` says that the value stood somewhere without
    anything that a leak has, which is no exposure by itself.
    """

    kinds: tuple[str, ...]
    answer: Literal["exposed", "recorded", "no_record", "refused"]
    exposed: bool
    found: list[ExposedBy]
    listed_on: datetime | None
    script: BilingualText | None
    seen_alone: bool
    coverage: CoverageStatement


def routes() -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix=PREFIX, tags=["people"])

    @router.post("/exposed", operation_id="check_person")
    def exposed(site: Annotated[Console, may("person.check")], asked: ExposedRequest) -> ExposedAnswer:
        """Whether the person on the phone is exposed, and what to say; recorded in the audit log under the case number."""
        question = site.question(asked.value.get_secret_value(), site.actor(asked.by, "by"), asked.purpose, asked.case)
        answer = asked_of(site, question)
        found = [ExposedBy.model_validate(_said(one)) for one in told(answer)]
        now = looked(site.store, site.clock.now())
        behind = CoverageStatement(worth=now.worth, since=now.since, last=now.last, unseen=BilingualText(**UNSEEN._asdict()))
        said = reply(answer, now)
        return ExposedAnswer(
            kinds=answer.kinds,
            answer=said.answer,
            exposed=bool(found),
            found=found,
            listed_on=said.listed_on,
            script=BilingualText(**said.script._asdict()) if said.script else None,
            seen_alone=bool(answer.seen),
            coverage=behind,
        )

    return router


def _said(one: CallerAnswer) -> dict[str, Any]:
    """An exposure with its texts as members, not as pairs."""
    return {
        "kinds": [text._asdict() for text in one.kinds],
        "month": one.month,
        "scam": one.scam._asdict(),
        "protects": [text._asdict() for text in one.protects],
        "approved": one.approved,
        "script": one.script._asdict(),
    }
