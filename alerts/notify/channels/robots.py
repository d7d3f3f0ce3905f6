"""Group robots of DingTalk and WeCom (企业微信).

apprise speaks to both as well, but looks at the status alone (2.3.0, measured), so a revoked token
or a missing keyword would count as delivered. These are the few lines that look.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from alerts.http_post import UndeliveredError, accepted, address, post, reach
from alerts.notify import Message
from alerts.notify.channels import Channel, ChannelKind, Opening
from ullage.errors import ConfigError

MOST_TEXT_BYTES = 2048
"""Of a text: WeCom refuses more."""


@dataclass(frozen=True, slots=True)
class Robot:
    """A robot at `url`; `signed` gives the address of one attempt."""

    url: str
    timeout: float
    signed: Callable[[str], str] = lambda url: url

    def send(self, message: Message) -> None:
        """See `Channel.send`."""
        head = message.subject()
        words = f"{head}\n{message.text(MOST_TEXT_BYTES - len(head.encode()) - 1)}"
        body: dict[str, Any] = {"msgtype": "text", "text": {"content": words}}
        sent = json.dumps(body, ensure_ascii=False).encode()
        answer = accepted(
            post(
                self.signed(self.url),
                sent,
                {"Content-Type": "application/json; charset=utf-8"},
                self.timeout,
            )
        )
        code = answer.field("errcode")
        if code != 0:
            shown = f"errcode {code}" if isinstance(code, int) else "no errcode"
            raise UndeliveredError(f"answers {answer.status} with {shown}")

    def reach(self) -> str:
        """See `Channel.reach`."""
        return reach(self.url, self.timeout)


def sign(secret: str, milliseconds: int) -> str:
    r"""What proves an attempt at that time to DingTalk, good for an hour.

    Base64 of HMAC-SHA256 over `TIMESTAMP\nSECRET` under the secret (DingTalk open platform, custom
    robot access).
    """
    return base64.b64encode(
        hmac.digest(secret.encode(), f"{milliseconds}\n{secret}".encode(), hashlib.sha256)
    ).decode()


def _dingtalk(given: Opening) -> Channel:
    """A robot that is signed where its second line gives the secret that DingTalk shows as
    `SEC…`.
    """
    if "access_token=" not in address(given.address).query:
        raise ConfigError("the address has no access_token")

    def signed(url: str) -> str:
        now = int(given.clock.wall() * 1000)
        return (
            f"{url}&{urlencode({'timestamp': now, 'sign': sign(given.secret, now)})}"
            if given.secret
            else url
        )

    return Robot(given.address, given.timeout, signed)


def _wecom(given: Opening) -> Channel:
    if "key=" not in address(given.address).query:
        raise ConfigError("the address has no key")
    return Robot(given.address, given.timeout)


KINDS = {
    "dingtalk": ChannelKind(
        "https://oapi.dingtalk.com/robot/send?access_token=…, then the secret SEC… if the robot"
        " signs",
        _dingtalk,
    ),
    "wecom": ChannelKind("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=…", _wecom),
}
