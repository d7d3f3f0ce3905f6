"""Define a tenant: its names in posts, data that only it has, its rules, and who is responsible."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from ullage.settings.knobs import SettingsTable, setting, validate_zone
from ullage.vocabulary.fields import FieldLabel as Label

Language = Literal["zh", "en"]
HOST = r"[@.]?(?:[^\s./:@*]+\.)+[^\s./:@*]+\.?"
SHAPES: Mapping[str, tuple[str, str]] = {
    "brands": (r".*\S.*", "name"),
    "others": (r".*\S.*", "name"),
    "domains": (HOST, "domain as bank.example, without http://, path or port"),
    "staff": (
        HOST,
        (
            "host as oa.bank.example and no mail domain as @bank.example, without http://, path or"
            " port"
        ),
    ),
    "bins": (r"[0-9]{6,8}", "6 to 8 digits"),
    "own_numbers": (r".*@.*|(?:\D*\d){3,}\D*", "number or mail address"),
}
"""Pattern of each list entry, and its description in errors.

An entry of another form would never match, or match every card.
"""


class Entity(SettingsTable):
    """Who is responsible for a tenant, as in reports to authorities.

    Empty fields are left for a person to fill in.
    """

    name: str = setting("", "its registered name, as in its licence")
    name_en: str = setting("", "the same in English, for reports abroad")
    contact: str = setting("", "contact for authorities")
    officer: str = setting("", "the personal information protection officer (PIPL 52) or DPO")
    regulators: tuple[str, ...] = setting((), "authorities it reports to")
    system: str = setting("", "the system with the customers' data, and its protection grade")


class Tenant(SettingsTable):
    """One financial platform, and what identifies it in a text."""

    brands: tuple[str, ...] = setting((), "names that a post would use for it")
    domains: tuple[str, ...] = setting(
        (), "its domains and app packages (com.bank.app), whose logins are counted"
    )
    bins: tuple[str, ...] = setting((), "its card ranges (first 6 to 8 digits)")
    others: tuple[str, ...] = setting(
        (),
        "names of other platforms as their own lists would give them (rival lenders, their apps):"
        " where half of a list's rows name one and not this tenant, the list is theirs; no banks"
        " whose cards your own lists name",
    )
    own_numbers: tuple[str, ...] = setting(
        (),
        "its hotlines, service mobiles and mail addresses: public, so never a match and no second"
        " person in a post",
    )
    circulation: Annotated[float, Field(gt=0, allow_inf_nan=False)] = setting(
        1.8e9,
        "phone numbers in use in its market, from which chance matches are computed",
        "numbers",
    )
    own_fields: tuple[Label, ...] = setting(
        (),
        (
            "labels of fields that only this tenant has, such as POLICY: they show whose"
            " rows these are"
        ),
    )
    staff: tuple[str, ...] = setting(
        (),
        "hosts where its staff, administrators and suppliers sign in, such as oa.bank.example, and"
        " mail domains that are theirs, such as @bank.example: a login there is an employee's;"
        " addresses of its own domains always are, and so are hosts below them and paths with a"
        " word such as oa, vpn, crm or admin",
    )
    overlap: Annotated[float, Field(ge=0, le=0.5)] = setting(
        0.0,
        "measured share of other platforms' customers who are also its own; 0 if not measured",
        "share",
    )
    market_share: Annotated[float, Field(ge=0, le=1)] = setting(
        0.0,
        (
            "its share of the market's borrowers, used if the overlap was not measured;"
            " calibrate it. 0 if not used"
        ),
        "share",
    )
    zone: str = setting("Asia/Shanghai", "time zone of its deadlines")
    language: Language = setting("zh", "language of messages, reports and letters")
    regimes: tuple[str, ...] = setting(
        ("pipl-57", "cac-2025-cii", "cac-2025", "pboc-2025", "nfra-2024"),
        "notification rules that apply to it, as `ullage incidents deadline` lists them",
    )
    medium_deadline: Literal["run", "if confirmed"] = setting(
        "if confirmed",
        "what a medium incident starts, for counsel to decide: run (deadlines count at once), or if"
        " confirmed (a person decides first)",
    )
    second_person: bool = setting(
        True,
        "as the top-level second_person; false in either place means false",
    )
    reference_approvals: Annotated[int, Field(ge=0, le=2)] = setting(
        0,
        (
            "how many other people with the role resolver must approve a request for customer"
            " references on the console; 0: none are given out"
        ),
    )
    reference_budget: Annotated[int, Field(ge=0, le=100_000)] = setting(
        1_000,
        (
            "limit of customer references that match gives out within 24 hours, whoever"
            " approved; match uses its own setting"
        ),
    )
    reference_help: Annotated[str, Field(max_length=500)] = setting(
        "", "how your own system resolves pseudonyms, for the incident page"
    )
    evidence: bool = setting(
        False, "keep posts of high findings, encrypted for two officers ([evidence])"
    )
    is_cii: bool = setting(False, "critical information infrastructure: CAC gives 1 hour, not 4")
    entity: Entity = Entity()

    @field_validator(*SHAPES)
    @classmethod
    def _validate_entries(cls, entries: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        shape, what = SHAPES[info.field_name or ""]
        if not all(re.fullmatch(shape, entry) for entry in entries):
            raise ValueError(f"has an invalid value: expected {what}")
        return entries

    @field_validator("zone")
    @classmethod
    def _validate_zone(cls, zone: str) -> str:
        return validate_zone(zone)
