"""Who is told of incidents, by which channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ullage.files.faults import quoted
from ullage.settings.knobs import TENANT, Seconds, Section, knob
from ullage.verdict.rules import Severity


class ChannelSettings(Section):
    """One channel that messages leave by; what is secret of it lies in the key folder, see `alerts.notify`."""

    not_here: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("url", "webhook", "address", "to", "token", "secret", "key", "password"),
        "is a secret and stands in the key folder, in the file notify/NAME: the address on its first line, what signs on its"
        " second",
    )
    """What is said of a knob that is looked for here and is none."""

    kind: str = knob("webhook", "webhook, dingtalk, wecom, feishu, slack, teams or mail: a file in alerts/notify/channels")
    detail: Literal["minimal", "facts"] = knob(
        "minimal", "minimal: severity, incident number, the page's address; facts: also counts, scenario and sites"
    )


class RouteSettings(Section):
    """Which incidents go to which channels; an incident takes every route that it fits."""

    channels: tuple[str, ...] = knob((), "names of channels")
    tenants: tuple[str, ...] = knob((), "of these tenants alone; all by default")
    severity: Severity = knob("medium", "at least this severity: lower ones are for the list, not for a phone")
    scenarios: tuple[str, ...] = knob((), "of these scenarios alone (X1 …); all by default")
    origins: tuple[str, ...] = knob((), "of these origins alone (ours, partner, …); all by default")
    repeat_hours: Annotated[float, Field(ge=0, allow_inf_nan=False)] = knob(
        4.0,
        "an incident that is high or above, or has a clock, is sent again so often until somebody acknowledges it; 0 never",
        "hours",
    )
    escalate_to: tuple[str, ...] = knob(
        (),
        "channels that hear of such a one that stays unacknowledged; with a clock and none named here, those above hear it again",
    )
    escalate_minutes: Seconds = knob(
        30.0, "how long it may stay so at most; with a clock, half of the time that is left", "minutes"
    )


class NotifySettings(Section):
    """Who is told of incidents. Nothing is sent before there is a route."""

    page: str = knob("", "the page's address as readers reach it; that of this machine by default")
    group_seconds: Annotated[float, Field(ge=0, le=3600)] = knob(
        20.0, "new incidents of a tenant within this time are one message", "seconds"
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = knob(10.0, "one attempt; a channel that hangs is down", "seconds")
    retry_hours: Seconds = knob(24.0, "a message that cannot be delivered for so long is given up, and counted", "hours")
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
