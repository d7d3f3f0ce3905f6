"""Build and recognise canary posts: our own posts, which test the whole way to a notification.

Crawl publishes a post that offers invented people on a site of its own, and collects it like any
other; match finds the people in the customer list of a reserved tenant; alert measures the time and
sends nothing. Such posts are no incident, page nobody and belong to no real tenant. `render_post`
writes one and `make_proof` signs it; `is_authentic` tells ours from a copy, since anybody may
publish the text. They are not canary *customers*, which a tenant puts into its own lists to trace
the source of a leak.

    出售 贷款客户数据 …           text of an offer
    <nonce> <proof>               12 letters; signer and signature, hex digits as letters a–p
    姓名----邮箱----贷款金额      rows with the invented customers
"""

from __future__ import annotations

import re
from datetime import datetime

from ullage.errors import RecordError
from ullage.security.signing import FINGERPRINT_BYTES, Signer, Verifier

TENANT = SITE = "ullage-canary"
"""The reserved tenant and the reserved site.

No table of `ullage.toml` and no site file may have this name.
"""
CUSTOMERS = tuple(
    (f"canary-{n}", f"金丝{'甲乙丙丁戊'[n]}", f"canary-{n}@canary.example") for n in range(5)
)
"""Reference, name and mail address of people who cannot exist.

Nobody can own a domain under `example` (RFC 2606).
"""
COLUMNS = ("customer_ref", "name", "email")
PURPOSE = "canary"
LETTERS = "abcdefghijklmnop"
"""Letters for hex digits in a post, because digits could be read as somebody's number."""
PROOF = re.compile(rb"([a-z]{12}) ([a-p]{%d})" % (2 * FINGERPRINT_BYTES + 128))


def make_proof(signer: Signer, nonce: str, published: float) -> str:
    """Return the proof for a post: signer and signature of its nonce and time, written as letters.

    `published` is in Unix seconds and counts to the millisecond.
    """
    signed = signer.name + signer.sign(PURPOSE, nonce.encode(), _to_milliseconds(published))
    return signed.translate(str.maketrans("0123456789abcdef", LETTERS))


def is_authentic(body: bytes, published: datetime | None, verifier: Verifier) -> bool:
    """Return whether a known crawl host signed this very post, published at this very time.

    False for a post without a proof. The text alone proves nothing, because anybody can publish it.
    """
    match = PROOF.search(body)
    if match is None or published is None:
        return False
    signed = match[2].decode().translate(str.maketrans(LETTERS, "0123456789abcdef"))
    name, signature = signed[: 2 * FINGERPRINT_BYTES], signed[2 * FINGERPRINT_BYTES :]
    try:
        verifier.verify(name, signature, PURPOSE, match[1], _to_milliseconds(published.timestamp()))
    except RecordError:
        return False
    return True


def _to_milliseconds(published: float) -> bytes:
    """Return whole milliseconds in ASCII digits."""
    return str(round(published * 1000)).encode()


def render_post(nonce: str, proof: str) -> str:
    """Return the text of a post that offers the invented customers.

    `nonce` makes each text different, so that it is not a repetition. It names no tenant and
    contains no real identifier, so it concerns only the canary's own tenant.
    """
    rows = "\n".join(
        f"{name}----{email}----{len(nonce) + n},000" for n, (_, name, email) in enumerate(CUSTOMERS)
    )
    return (
        f"出售 贷款客户数据 一手料 可验 样例\n{nonce} {proof}\n\n姓名----邮箱----贷款金额\n{rows}\n"
    )
