"""Microsoft Teams, by a Power Automate workflow."""

from __future__ import annotations

from alerts.notify.by_apprise import hook
from alerts.notify.channels import ChannelKind

KIND = ChannelKind("the workflow's address, https://HOST:443/workflows/…", hook(("workflow", "workflows"), ""))
