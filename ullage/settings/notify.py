"""Who is told of incidents, by which channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ullage.files.faults import quoted
from ullage.settings.knobs import TENANT, Seconds, SettingsTable, knob
from ullage.verdict.rules import Severity


class ChannelSettings(SettingsTable):
    """A channel; its secret is keys/notify/NAME."""

    not_here: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("url", "webhook", "address", "to", "token", "secret", "key", "password"),
        "is a secret and stands in the key folder, in the file notify/NAME: the address on its first line, what signs on its"
        " second",
    )
    """What is said of a knob that is looked for here and is none."""

    kind: str = knob("webhook", "webhook, dingtalk, wecom, feishu, slack, teams or mail")
    detail: Literal["minimal", "facts"] = knob(
        "minimal", "minimal: severity, incident number, the page's address; facts: also counts, scenario and sites"
    )


class RouteSettings(SettingsTable):
    """An incident takes every route that fits."""

    channels: tuple[str, ...] = knob((), "names of channels")
    tenants: tuple[str, ...] = knob((), "only these tenants")
    severity: Severity = knob("medium", "at least this severity")
    scenarios: tuple[str, ...] = knob((), "only these scenarios (X1 …)")
    origins: tuple[str, ...] = knob((), "only these leak sources (ours, partner, …)")
    repeat_hours: Annotated[float, Field(ge=0, allow_inf_nan=False)] = knob(
        4.0,
        "repeat unacknowledged high incidents and those with a deadline; 0 never",
        "hours",
    )
    escalate_to: tuple[str, ...] = knob(
        (),
        "channels for what stays unacknowledged; by default the channels above again",
    )
    escalate_minutes: Seconds = knob(
        30.0, "how long it may stay so at most; with a clock, half of the time that is left", "minutes"
    )


class NotifySettings(SettingsTable):
    """Who is notified. Nothing is sent without a route."""

    page: str = knob("", "the console's address as readers reach it")
    group_seconds: Annotated[float, Field(ge=0, le=3600)] = knob(
        20.0, "new incidents of a tenant in this time form one message", "seconds"
    )
    channels: dict[str, ChannelSettings] = knob({}, "one table a channel")
    routes: dict[str, RouteSettings] = knob({}, "one table a route")

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name in (*self.channels, *self.routes):
            if not TENANT.fullmatch(name):
                raise ValueError(f"{quoted(name)} is no name: use a-z, 0-9 and -, at most 32")
        for name, route in self.routes.items():
            if not route.channels:
                raise ValueError(f"routes.{name} has no channels")
            if unknown := sorted({*route.channels, *route.escalate_to} - {*self.channels}):
                raise ValueError(f"routes.{name} names the channel {quoted(unknown[0])}, for which there is no table")
        return self
