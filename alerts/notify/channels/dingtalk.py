r"""A DingTalk group robot, signed where its second line gives the secret that DingTalk shows as `SEC…`.

`sign` is base64 of HMAC-SHA256 over `TIMESTAMP\nSECRET` under the secret, the timestamp in milliseconds (DingTalk open platform,
custom robot access). Good for an hour.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import urlencode

from alerts.http_post import address
from alerts.notify.channels import Channel, ChannelKind, Opening, Robot
from ullage.errors import ConfigError


def sign(secret: str, milliseconds: int) -> str:
    """What proves an attempt at that time."""
    return base64.b64encode(hmac.digest(secret.encode(), f"{milliseconds}\n{secret}".encode(), hashlib.sha256)).decode()


def _open(given: Opening) -> Channel:
    if "access_token=" not in address(given.address).query:
        raise ConfigError("the address has no access_token")

    def signed(url: str) -> str:
        now = int(given.clock.wall() * 1000)
        return f"{url}&{urlencode({'timestamp': now, 'sign': sign(given.secret, now)})}" if given.secret else url

    return Robot(given.address, given.timeout, signed)


KIND = ChannelKind("https://oapi.dingtalk.com/robot/send?access_token=…, then the secret SEC… if the robot signs", _open)
