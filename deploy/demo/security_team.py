"""Receive the demo's notifications by a webhook on loopback, and check their contents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from deploy.local.services import write_secret
from deploy.local.webhook import Received, Receiver, new_key

CHANNEL = "security-team"
CONFIG = """
[notify]
page = "{page}"

[notify.channels.{channel}]
kind = "webhook"

[notify.routes.all]
channels = ["{channel}"]
severity = "{severity}"
"""
MESSAGE = {"type", "id", "page", "language", "incidents"}
MINIMUM, SELLER = {"id", "severity", "why", "url"}, "series"
"""The fields of every incident, and the further field where several are from one seller."""
TOLD = ("medium", "high", "statutory")
PAGED = "high"


def configuration(page: str, severity: str = "notice") -> str:
    """Return lines of `ullage.toml`: one channel, and one route to it.

    The route takes incidents of `severity` or above.
    """
    return CONFIG.format(page=page, channel=CHANNEL, severity=severity)


def introduce(keys: Path, receiver: Receiver) -> str:
    """Write the channel's secret file; return the key that signs its messages."""
    key = new_key()
    write_secret(keys / "notify" / CHANNEL, f"{receiver.url}\n{key}")
    return key


def faults(
    received: Sequence[Received], key: str, incidents: Sequence[Mapping[str, Any]], page: str
) -> Iterator[str]:
    """Yield a line for each fault of the notifications.

    Each incident must be notified one time, with a signature and with no more than the minimum
    data.
    """
    told = [incident for message in received for incident in message.json["incidents"]]
    if unsigned := sum(not message.signed_with(key) for message in received):
        yield f"{unsigned} messages have a signature that is not right"
    if any(set(message.json) != MESSAGE for message in received) or any(
        set(incident) - {SELLER} != MINIMUM for incident in told
    ):
        yield "a message says more than severity, incident number and the page's address"
    if any(incident["url"] != f"{page}/incidents/{incident['id']}" for incident in told):
        yield "a message leads elsewhere than to the page"
    wanted = sorted((i["id"], i["severity"]) for i in incidents if i["severity"] in TOLD)
    if sorted((i["id"], i["severity"]) for i in told) != wanted:
        yield f"{len(wanted)} incidents required one notification, {len(told)} had one"
    if not any(incident["severity"] == PAGED for incident in told):
        yield "the offer of the bank's own data was not notified as high"


def show(received: Sequence[Received], console: Console) -> None:
    """Print a summary of the received messages in two lines."""
    told = [incident for message in received for incident in message.json["incidents"]]
    many = f"{len(received)} signed message{'s' * (len(received) != 1)}"
    console.print(
        f"[green]notified:[/] {many} to a webhook on loopback about {len(told)} incidents, the"
        " worst of them"
    )
    if told:
        worst = told[0]
        console.print(
            f"         {worst['severity']}  {worst['id']}  {worst['url']}  and said no more than"
            " that",
            highlight=False,
        )
