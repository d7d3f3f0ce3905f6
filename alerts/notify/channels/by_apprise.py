"""Channels that apprise speaks to, and whose refusals it sees: Feishu (`code`), Slack (`ok`), Teams
(202), mail.

apprise and urllib3 below it log addresses and bodies at DEBUG, and at WARNING what the other side
answered, which may repeat them; so both are silenced, and what is worth saying is said here. It
follows redirects unless told not to, and takes a while to load, which is left until a channel of it
is opened.

It does not sign for Feishu: give the robot a keyword (`ullage`) or a list of addresses as its
security setting instead.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from alerts.http_post import UndeliveredError, handshake
from alerts.notify import Message
from alerts.notify.channels import Channel, ChannelKind, Opening
from ullage.errors import ConfigError
from ullage.settings import LOOPBACK


@dataclass(frozen=True, slots=True)
class ByApprise:
    """One of apprise's services; `host` and `port` are what `reach` connects to."""

    service: Any
    host: str
    port: int
    tls: bool
    timeout: float

    def send(self, message: Message) -> None:
        """See `Channel.send`."""
        try:
            taken = self.service.notify(
                body=message.text(), title=message.subject(), body_format="text"
            )
        # what it lets through on an odd answer
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UndeliveredError(f"apprise failed ({type(error).__name__})") from None
        if not taken:
            raise UndeliveredError("did not take it: unreachable, or refused")

    def reach(self) -> str:
        """See `Channel.reach`."""
        return handshake(self.host, self.port, tls=self.tls, timeout=self.timeout)


def _service(given: Opening, schemes: Collection[str]) -> Any:
    """The service of apprise for the address; ConfigError, without repeating it, when it is for
    none of `schemes`.
    """
    from apprise import Apprise, AppriseAsset  # noqa: PLC0415  takes 140 ms

    for name in ("apprise", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    asset = AppriseAsset(app_id="ullage", app_desc="ullage", app_url="", http_redirects=False)
    found = (
        Apprise.instantiate(given.address, asset=asset, suppress_exceptions=True)
        if given.address
        else None
    )
    if found is None or not _schemes(found) & set(schemes):
        raise ConfigError("the first line is no such address")
    found.socket_connect_timeout = found.socket_read_timeout = given.timeout
    return found


def _schemes(found: Any) -> set[str]:
    """What the service's addresses may begin with."""
    schemes = set[str]()
    for entry in (getattr(found, "protocol", None), getattr(found, "secure_protocol", None)):
        schemes |= {entry} if isinstance(entry, str) else set(entry or ())
    return schemes


def _hook(schemes: Collection[str], host: str) -> Callable[[Opening], Channel]:
    """Opens a service with a fixed `host`, or that of the address where it is a URL of https."""

    def opened(given: Opening) -> Channel:
        parts = urlsplit(given.address)
        named = parts.hostname if parts.scheme == "https" else None
        return ByApprise(
            _service(given, schemes),
            named or host,
            (named and parts.port) or 443,
            tls=True,
            timeout=given.timeout,
        )

    return opened


def _mail(given: Opening) -> Channel:
    """Opens a mail server; without TLS on loopback alone."""
    found = _service(given, ("mailto", "mailtos"))
    host = str(found.smtp_host)
    if not found.secure and host not in LOOPBACK:
        raise ConfigError("the address is mailto, which only loopback may have: use mailtos")
    return ByApprise(
        found, host, int(found.port or 25), tls=found.secure_mode == "ssl", timeout=given.timeout
    )


NATIVE = re.compile(
    r"https://open\.(feishu|larksuite)\.(?:cn|com)/open-apis/bot/v2/hook/([A-Za-z0-9_-]+)/?"
)
SCHEMES = {"feishu": "feishu", "larksuite": "lark"}


def _feishu(given: Opening) -> Channel:
    """Opens a robot of Feishu or Lark (飞书): apprise reads the `code` of their answer."""
    found = NATIVE.fullmatch(given.address)
    if found is None:
        return _hook(("feishu", "lark"), "open.feishu.cn")(given)
    given = replace(given, lines=(f"{SCHEMES[found[1]]}://{found[2]}/",))
    return _hook(("feishu", "lark"), f"open.{found[1]}.{'cn' if found[1] == 'feishu' else 'com'}")(
        given
    )


KINDS = {
    "feishu": ChannelKind("https://open.feishu.cn/open-apis/bot/v2/hook/…", _feishu),
    "mail": ChannelKind("mailtos://USER:PASSWORD@SERVER?from=ULLAGE@HOUSE&to=TEAM@HOUSE", _mail),
    "slack": ChannelKind(
        "https://hooks.slack.com/services/…", _hook(("slack",), "hooks.slack.com")
    ),
    "teams": ChannelKind(
        "the workflow's address, https://HOST:443/workflows/…", _hook(("workflow", "workflows"), "")
    ),
}
