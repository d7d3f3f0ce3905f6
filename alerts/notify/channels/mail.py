"""Mail through an SMTP server, by apprise's address of it."""

from __future__ import annotations

from alerts.notify.by_apprise import mail
from alerts.notify.channels import ChannelKind

KIND = ChannelKind("mailtos://USER:PASSWORD@SERVER?from=ULLAGE@HOUSE&to=TEAM@HOUSE", mail)
