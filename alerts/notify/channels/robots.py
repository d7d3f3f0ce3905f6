"""Send to group robots of DingTalk and WeCom (企业微信).

apprise supports both, but checks only the HTTP status (2.3.0, measured), so that a revoked token or
a missing keyword would count as delivered. This module checks the answer.
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

from alerts.http_post import UndeliveredError, address, post, reach, require_success
from alerts.notify import Message
from alerts.notify.channels import Channel, ChannelKind, Opening
from ullage.errors import ConfigError

MOST_TEXT_BYTES = 2048
"""Of a text: WeCom refuses more."""


@dataclass(frozen=True, slots=True)
class Robot:
    """A robot at `url`; `signed` returns the address for one attempt."""

    url: str
    timeout: float
    signed: Callable[[str], str] = lambda url: url

    def send(self, message: Message) -> None:
        """Deliver a message as text, of at most 2,048 bytes unless one item is longer.

        Raises UndeliveredError unless the status is 2xx and the answer has `errcode` 0.
        """
        head = message.subject()
        words = f"{head}\n{message.text(MOST_TEXT_BYTES - len(head.encode()) - 1)}"
        body: dict[str, Any] = {"msgtype": "text", "text": {"content": words}}
        sent = json.dumps(body, ensure_ascii=False).encode()
        answer = require_success(
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
        """Connect to the robot's host without sending anything; return a phrase on the connection.

        Raises UndeliveredError if the host cannot be reached.
        """
        return reach(self.url, self.timeout)


def sign(secret: str, milliseconds: int) -> str:
    r"""Return the signature with which DingTalk accepts an attempt for an hour.

    It is the base64 of HMAC-SHA256 over `TIMESTAMP\nSECRET` under the secret; the timestamp is in
    Unix milliseconds (DingTalk open platform, custom robot access).
    """
    return base64.b64encode(
        hmac.digest(secret.encode(), f"{milliseconds}\n{secret}".encode(), hashlib.sha256)
    ).decode()


def _open_dingtalk(opening: Opening) -> Channel:
    """Open a robot; requests are signed if the second line has the secret (`SEC…`).

    Raises ConfigError if the address has no `access_token=`.
    """
    if "access_token=" not in address(opening.address).query:
        raise ConfigError("the address in the first line of the secret must contain access_token=")

    def sign_url(url: str) -> str:
        now = int(opening.clock.wall() * 1000)
        return (
            f"{url}&{urlencode({'timestamp': now, 'sign': sign(opening.secret, now)})}"
            if opening.secret
            else url
        )

    return Robot(opening.address, opening.timeout, sign_url)


def _open_wecom(opening: Opening) -> Channel:
    if "key=" not in address(opening.address).query:
        raise ConfigError("the address in the first line must contain key=")
    return Robot(opening.address, opening.timeout)


KINDS = {
    "dingtalk": ChannelKind(
        "https://oapi.dingtalk.com/robot/send?access_token=…, then the secret SEC… if the robot"
        " signs",
        _open_dingtalk,
    ),
    "wecom": ChannelKind("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=…", _open_wecom),
}
