"""Feishu or Lark (飞书) group robots: apprise reads the `code` of their answer.

apprise does not sign for them: give the robot a keyword (`ullage`) or a list of addresses as its security setting instead.
"""

from __future__ import annotations

import re
from dataclasses import replace

from alerts.notify.by_apprise import hook
from alerts.notify.channels import Channel, ChannelKind, Opening

NATIVE = re.compile(r"https://open\.(feishu|larksuite)\.(?:cn|com)/open-apis/bot/v2/hook/([A-Za-z0-9_-]+)/?")
SCHEMES = {"feishu": "feishu", "larksuite": "lark"}


def _open(given: Opening) -> Channel:
    found = NATIVE.fullmatch(given.address)
    if found is None:
        return hook(("feishu", "lark"), "open.feishu.cn")(given)
    given = replace(given, lines=(f"{SCHEMES[found[1]]}://{found[2]}/",))
    return hook(("feishu", "lark"), f"open.{found[1]}.{'cn' if found[1] == 'feishu' else 'com'}")(given)


KIND = ChannelKind("https://open.feishu.cn/open-apis/bot/v2/hook/…", _open)
