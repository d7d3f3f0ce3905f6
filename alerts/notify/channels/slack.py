"""Slack, by an incoming webhook or a bot."""

from __future__ import annotations

from alerts.notify.by_apprise import hook
from alerts.notify.channels import ChannelKind

KIND = ChannelKind("https://hooks.slack.com/services/…", hook(("slack",), "hooks.slack.com"))
