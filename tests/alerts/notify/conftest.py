"""A local receiver for the tests of channels, and senders over a store at a held time."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.notify.channels import Channel
from alerts.notify.metrics import NotifyMetrics
from alerts.notify.plan import Muted
from alerts.notify.sender import Notifier, Sender, Setup
from deploy.local.webhook import Receiver, receiving
from tests.alerts.notify.support import RecordingChannel, notify_settings
from ullage.settings import Tenant


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def notifier(store, clock, registry, context) -> Callable[..., Notifier]:
    """Return a function that makes a notifier over `channels` by name."""

    def make(channels: dict[str, Channel], muted: Muted = lambda _: (), **changes: Any) -> Notifier:
        settings = notify_settings(channels, **changes)
        metrics = NotifyMetrics(registry, channels, ["bank"])
        duties = Duties(store, lambda _: Tenant(regimes=("nfra-2024",)), clock.as_clock())
        renew = Work(duties).renew
        setup = Setup(
            settings,
            "https://page.example",
            store,
            clock.as_clock(),
            metrics,
            muted,
            duties,
            renew,
            context.running_time.deadline_clock(),
        )
        return Notifier(setup, [Sender(name, channel, setup) for name, channel in channels.items()])

    return make


@pytest.fixture
def soc() -> RecordingChannel:
    return RecordingChannel()
