"""Canary posts: posts of our own, on a site of our own, about people who do not exist, whose way to
a notification is timed.

Crawl publishes and collects them like any site's, match finds the people in the watchlist of a
reserved tenant, alert decides on them as on any finding and sends what comes of it nowhere. They
are no incident, page nobody and count as no tenant's. Not to be confused with canary *customers*,
whom a tenant puts into its own lists to see where a leak came from.
"""

from __future__ import annotations

import re
from datetime import datetime

from ullage.errors import RecordError
from ullage.security.signing import FINGERPRINT_BYTES, Signer, Verifier

TENANT = SITE = "ullage-canary"
"""The reserved tenant and the reserved site; no table of `ullage.toml` and no site file may have
that name.
"""
CUSTOMERS = tuple(
    (f"canary-{n}", f"金丝{'甲乙丙丁戊'[n]}", f"canary-{n}@canary.example") for n in range(5)
)
"""Reference, name and mail address of people who cannot exist: nobody can have a domain under
`example` (RFC 2606).
"""
COLUMNS = ("customer_ref", "name", "email")
PURPOSE = "canary"
LETTERS = "abcdefghijklmnop"
"""For hex digits, in a post: digits would be read as somebody's number."""
PROOF = re.compile(rb"([a-z]{12}) ([a-p]{%d})" % (2 * FINGERPRINT_BYTES + 128))


def proof(signer: Signer, nonce: str, published: float) -> str:
    """Crawl's signature on a post of that name and time (Unix seconds, in whole milliseconds),
    in letters.
    """
    said = signer.name + signer.sign(PURPOSE, nonce.encode(), _moment(published))
    return said.translate(str.maketrans("0123456789abcdef", LETTERS))


def is_proved(body: bytes, published: datetime | None, verifier: Verifier) -> bool:
    """Whether a known crawl host signed this very post; anybody can put up its text."""
    found = PROOF.search(body)
    if found is None or published is None:
        return False
    said = found[2].decode().translate(str.maketrans(LETTERS, "0123456789abcdef"))
    name, signature = said[: 2 * FINGERPRINT_BYTES], said[2 * FINGERPRINT_BYTES :]
    try:
        verifier.verify(name, signature, PURPOSE, found[1], _moment(published.timestamp()))
    except RecordError:
        return False
    return True


def _moment(published: float) -> bytes:
    """Whole milliseconds."""
    return str(round(published * 1000)).encode()


def text(nonce: str, proof: str) -> str:
    """A post that offers them; `nonce` makes it another text than the last, so that it is no
    repetition.

    It names no tenant and holds no identifier that anybody could have, so it concerns nobody but
    the canary's own tenant.
    """
    rows = "\n".join(
        f"{name}----{email}----{len(nonce) + n},000" for n, (_, name, email) in enumerate(CUSTOMERS)
    )
    return (
        f"出售 贷款客户数据 一手料 可验 样例\n{nonce} {proof}\n\n姓名----邮箱----贷款金额\n{rows}\n"
    )
