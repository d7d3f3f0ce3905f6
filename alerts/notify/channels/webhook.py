"""Our own signed webhook, after the Standard Webhooks specification 1.0: receivers have libraries
that check it.

POST of JSON with three headers. `webhook-id` names the message and is the same at every attempt: a
receiver that has seen it answers 2xx and does nothing. `webhook-timestamp` is the attempt's time in
Unix seconds: refuse what is older than five minutes. `webhook-signature` is `v1,` and base64 of
HMAC-SHA256 over `ID.TIMESTAMP.BODY`. Delivered is 2xx, unless the answer is a JSON object with
`"ok": false`.

The secret file: the address, then the key as `whsec_` and base64 of 24 to 64 bytes, as `openssl
rand -base64 32` makes them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass

from alerts.http_post import UndeliveredError, address, post, reach, require_success
from alerts.notify import Message
from alerts.notify.channels import Channel, ChannelKind, Opening
from ullage.clock import Clock
from ullage.errors import ConfigError

MARK = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64


def read_key(text: str) -> bytes:
    """Return the bytes of a webhook key, `whsec_` and the base64 of 24 to 64 bytes.

    Raises ConfigError, which does not repeat the key, if `text` has another form.
    """
    try:
        key = (
            base64.b64decode(text.removeprefix(MARK), validate=True)
            if text.startswith(MARK)
            else b""
        )
    except binascii.Error:
        key = b""
    if not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise ConfigError(
            "the second line must be a webhook key: whsec_ followed by the base64"
            " encoding of 24 to 64 bytes"
        )
    return key


def signature(key: bytes, id_: str, timestamp: str, body: bytes) -> str:
    """Return the signature header that proves that a message comes from a holder of `key`.

    The value is `v1,` and the base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`.
    """
    signed = b".".join((id_.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver of signed webhooks."""

    url: str
    key: bytes
    timeout: float
    clock: Clock

    def send(self, message: Message) -> None:
        """Deliver a message as signed JSON with all its incidents.

        Raises UndeliveredError unless the status is 2xx and the answer does not say `"ok": false`.
        """
        body = json.dumps(message.payload(), ensure_ascii=False, separators=(",", ":")).encode()
        timestamp = str(int(self.clock.wall()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature(self.key, message.id, timestamp, body),
        }
        answer = require_success(post(self.url, body, headers, self.timeout))
        if answer.field("ok") is False:
            raise UndeliveredError(f'answers {answer.status} with "ok": false')

    def reach(self) -> str:
        """Connect to the receiver's host without sending anything; describe the connection.

        Raises UndeliveredError if the host cannot be reached.
        """
        return reach(self.url, self.timeout)


def _open_webhook(opening: Opening) -> Channel:
    address(opening.address)
    return Webhook(opening.address, read_key(opening.secret), opening.timeout, opening.clock)


KINDS = {
    "webhook": ChannelKind(
        "the address, then whsec_ and a key as `openssl rand -base64 32` makes it", _open_webhook
    )
}
