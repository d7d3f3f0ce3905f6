"""Group robots that answer 200 even when they refuse: the verdict is a number in the body (`errcode`, 0 for delivered).

apprise speaks to DingTalk and WeCom as well, but looks at the status alone (2.3.0, measured), so a revoked token or a missing
keyword would count as delivered. These are the few lines that look.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from alerts.notify.channels import UndeliveredError
from alerts.notify.message import Message
from alerts.notify.post import accepted, post, reach

MOST_BYTES = 2048
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
        words = f"{head}\n{message.text(MOST_BYTES - len(head.encode()) - 1)}"
        body: dict[str, Any] = {"msgtype": "text", "text": {"content": words}}
        sent = json.dumps(body, ensure_ascii=False).encode()
        answer = accepted(post(self.signed(self.url), sent, {"Content-Type": "application/json; charset=utf-8"}, self.timeout))
        code = answer.field("errcode")
        if code != 0:
            shown = f"errcode {code}" if isinstance(code, int) else "no errcode"
            raise UndeliveredError(f"answers {answer.status} with {shown}")

    def reach(self) -> str:
        """See `Channel.reach`."""
        return reach(self.url, self.timeout)
