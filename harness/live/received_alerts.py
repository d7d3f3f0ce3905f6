"""What Alertmanager told which of its receivers."""

from deploy.local.webhook import Receiver


def alerts(
    receiver: Receiver, alert: str, to: str | None = None, status: str = "firing", after: int = 0
) -> list[dict[str, str]]:
    """Labels of the alerts of that name that were delivered (to the receiver `to`), with their
    annotations, as they came.

    The first `after` messages are left out.
    """
    return [
        {**entry["labels"], **entry["annotations"]}
        for message in receiver.received[after:]
        for entry in message.json["alerts"]
        if entry["labels"]["alertname"] == alert
        and entry["status"] == status
        and message.path.endswith(to or "")
    ]
