"""Keep alert running when a channel's secret is unusable, and report the fault.

Alert starts whatever its channels' secret files contain. A message to an unusable channel counts as
undelivered and is tried again. The secret is read again after each failed delivery, and every half
minute while it is unusable, so that a corrected file takes effect without a restart. The fault is
shown in the log, in `ullage_notification_channel_usable`, and in the store for the channels page,
because the console runs as another user who cannot read the secret.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from alerts.http_post import UndeliveredError
from alerts.notify import Message
from alerts.notify.channels import Channel
from alerts.notify.metrics import NotifyMetrics
from alerts.records import Claim
from alerts.store import IncidentStore
from ullage import log
from ullage.clock import Clock
from ullage.errors import ConfigError

CHECK_SECONDS = 30.0


@dataclass(slots=True)
class GuardedChannel:
    """A configured channel that is opened when it is needed.

    `open` raises ConfigError while the secret is unusable.
    """

    name: str
    open: Callable[[], Channel]
    store: IncidentStore
    clock: Clock
    metrics: NotifyMetrics
    _opened: Channel | None = None
    _fault: str = ""
    _stored: str | None = None
    """The fault that the store shows; None before the first report."""
    _check_at: float = field(default=float("-inf"))

    def send(self, message: Message) -> None:
        """Deliver a message by the channel, which is opened first if needed.

        Raises UndeliveredError if the channel cannot be opened or the receiver does not confirm.
        After a failure the channel is opened anew next time, with the secret as it is then.
        """
        channel = self._open()
        try:
            channel.send(message)
        except UndeliveredError:
            self._opened = None
            raise

    def reach(self) -> str:
        """Connect without sending anything and describe the connection in a phrase.

        Raises UndeliveredError if nobody answers or the channel cannot be opened.
        """
        return self._open().reach()

    def check(self) -> None:
        """Try to open the channel, at most once in `CHECK_SECONDS`, and update the metric.

        A new fault is logged. No error is raised, and nothing is sent.
        """
        if self.clock.monotonic() < self._check_at:
            return
        self._check_at = self.clock.monotonic() + CHECK_SECONDS
        before, self._fault = self._fault, ""
        try:
            self._open()
        except UndeliveredError as error:
            self._fault = str(error)
            if self._fault != before:
                log.get("alert").error("channel_unusable", part=self.name, error=self._fault)
        self.metrics.set_usable(self.name, not self._fault)

    def report(self) -> None:
        """Check whether the channel can be opened, and store a new fault or delete a past one.

        Raises UnavailableError while the store is down.
        """
        self.check()
        if self._fault == self._stored:
            return
        if self._fault:
            self.store.put(
                [
                    Claim(
                        id=_fault_id(self.name),
                        tenant="",
                        incident=self._fault,
                        at=self.clock.now(),
                    )
                ]
            )
        else:
            self.store.delete(Claim, [_fault_id(self.name)])
        self._stored = self._fault

    def _open(self) -> Channel:
        if self._opened is None:
            try:
                self._opened = self.open()
            except ConfigError as error:
                raise UndeliveredError(str(error)) from None
        return self._opened


def find_unusable(store: IncidentStore, channels: Collection[str]) -> dict[str, str]:
    """Return the stored faults, by name, of those `channels` that alert could not open.

    A channel without a fault is missing.
    """
    claims = store.mget(Claim, [_fault_id(name) for name in channels])
    return {name: claims[id_].incident for name in channels if (id_ := _fault_id(name)) in claims}


def _fault_id(channel: str) -> str:
    return f"-channel:{channel}"
