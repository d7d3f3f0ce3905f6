"""A WeCom (企业微信) group robot."""

from __future__ import annotations

from alerts.http_post import address
from alerts.notify.channels import Channel, ChannelKind, Opening, Robot
from ullage.errors import ConfigError


def _open(given: Opening) -> Channel:
    if "key=" not in address(given.address).query:
        raise ConfigError("the address has no key")
    return Robot(given.address, given.timeout)


KIND = ChannelKind("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=…", _open)
