"""Send through apprise to services whose refusals it detects: Feishu, Slack, Teams and mail.

apprise and urllib3 log addresses and bodies at DEBUG, and at WARNING the receiver's answer, which
may repeat them. So their logging is disabled, and this module raises errors of its own. apprise
follows redirects unless told otherwise, and loads slowly, so it is imported when a channel is
opened.

It does not sign for Feishu: configure the robot with a keyword (`ullage`) or an IP allow list.
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
    """A service of apprise; `reach` connects to `host` and `port`."""

    service: Any
    host: str
    port: int
    tls: bool
    timeout: float

    def send(self, message: Message) -> None:
        """Deliver a message as text. Raises UndeliveredError if the service does not accept it."""
        try:
            is_accepted = self.service.notify(
                body=message.text(), title=message.subject(), body_format="text"
            )
        # what it lets through on an odd answer
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UndeliveredError(f"apprise failed ({type(error).__name__})") from None
        if not is_accepted:
            raise UndeliveredError("did not accept the message: unreachable, or refused")

    def reach(self) -> str:
        """Connect to the service's host without sending anything; describe the connection.

        Raises UndeliveredError if the host cannot be reached.
        """
        return handshake(self.host, self.port, tls=self.tls, timeout=self.timeout)


def _create_service(opening: Opening, schemes: Collection[str]) -> Any:
    """Create apprise's service for the address.

    Raises ConfigError, without the address, unless its scheme is one of `schemes`.
    """
    from apprise import Apprise, AppriseAsset  # noqa: PLC0415  takes 140 ms

    for name in ("apprise", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    asset = AppriseAsset(app_id="ullage", app_desc="ullage", app_url="", http_redirects=False)
    service = (
        Apprise.instantiate(opening.address, asset=asset, suppress_exceptions=True)
        if opening.address
        else None
    )
    if service is None or not _list_schemes(service) & set(schemes):
        raise ConfigError(
            f"the first line of the address file must begin with {min(schemes)}://, as the address"
            " of this service does"
        )
    service.socket_connect_timeout = service.socket_read_timeout = opening.timeout
    return service


def _list_schemes(service: Any) -> set[str]:
    """Return the schemes of a service's addresses."""
    schemes = set[str]()
    for entry in (getattr(service, "protocol", None), getattr(service, "secure_protocol", None)):
        schemes |= {entry} if isinstance(entry, str) else set(entry or ())
    return schemes


def _hook_opener(schemes: Collection[str], host: str) -> Callable[[Opening], Channel]:
    """Return a function that opens a webhook service.

    `reach` connects to the host of an https address, otherwise to `host`.
    """

    def open_hook(opening: Opening) -> Channel:
        parts = urlsplit(opening.address)
        named = parts.hostname if parts.scheme == "https" else None
        return ByApprise(
            _create_service(opening, schemes),
            named or host,
            (named and parts.port) or 443,
            tls=True,
            timeout=opening.timeout,
        )

    return open_hook


def _open_mail(opening: Opening) -> Channel:
    """Open a mail server; without TLS only on loopback.

    Raises ConfigError for `mailto` to another host.
    """
    service = _create_service(opening, ("mailto", "mailtos"))
    host = str(service.smtp_host)
    if not service.secure and host not in LOOPBACK:
        raise ConfigError(
            "the address in the first line is mailto, which is allowed only"
            " on loopback: use mailtos"
        )
    return ByApprise(
        service,
        host,
        int(service.port or 25),
        tls=service.secure_mode == "ssl",
        timeout=opening.timeout,
    )


NATIVE = re.compile(
    r"https://open\.(feishu|larksuite)\.(?:cn|com)/open-apis/bot/v2/hook/([A-Za-z0-9_-]+)/?"
)
SCHEMES = {"feishu": "feishu", "larksuite": "lark"}


def _open_feishu(opening: Opening) -> Channel:
    """Open a Feishu or Lark robot (飞书); apprise reads the `code` of its answer."""
    address = NATIVE.fullmatch(opening.address)
    if address is None:
        return _hook_opener(("feishu", "lark"), "open.feishu.cn")(opening)
    opening = replace(opening, lines=(f"{SCHEMES[address[1]]}://{address[2]}/",))
    return _hook_opener(
        ("feishu", "lark"), f"open.{address[1]}.{'cn' if address[1] == 'feishu' else 'com'}"
    )(opening)


KINDS = {
    "feishu": ChannelKind("https://open.feishu.cn/open-apis/bot/v2/hook/…", _open_feishu),
    "mail": ChannelKind(
        "mailtos://USER:PASSWORD@SERVER?from=ULLAGE@HOUSE&to=TEAM@HOUSE", _open_mail
    ),
    "slack": ChannelKind(
        "https://hooks.slack.com/services/…", _hook_opener(("slack",), "hooks.slack.com")
    ),
    "teams": ChannelKind(
        "the workflow's address, https://HOST:443/workflows/…",
        _hook_opener(("workflow", "workflows"), ""),
    ),
}
