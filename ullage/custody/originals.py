"""Originals: address, title, author and members' names of a post, sealed to the desk so that people can act on it.

What is stored of a post is words of closed lists. A takedown needs its address, and a question of whether it is genuine may need
its title: so match seals these, and nothing of the body, with HPKE to a key of the tenant's desk (`T/desk.pub`), bound to tenant
and finding. Whoever has the private half opens them one purpose at a time, and the audit log says so first.
"""

from __future__ import annotations

import base64
import binascii

from pydantic import BaseModel, Field, ValidationError

from ullage.errors import RecordError
from ullage.records.base import STRICT
from ullage.security.sealing import Sealer, SealOpener

PURPOSE = "original"
SCHEMA = 1
MAX_TEXT, MAX_URL, MAX_NAME = 2_000, 8_000, 300
"""Characters that are kept of a text, an address, a member's name."""
MAX_MEMBERS = 100


class SealedPost(BaseModel):
    """What is sealed of one post. `members` has the names of those members that hold a customer, by their numbers."""

    model_config = STRICT

    url: str = Field(default="", max_length=MAX_URL)
    title: str = Field(default="", max_length=MAX_TEXT)
    author: str = Field(default="", max_length=MAX_TEXT)
    channel: str = Field(default="", max_length=MAX_TEXT)
    source: str = Field(default="", max_length=MAX_TEXT)
    """The collector's own name of the place."""
    members: dict[int, str] = Field(default={}, max_length=MAX_MEMBERS)

    def __repr__(self) -> str:
        """Nothing of it: it is shown on purpose or not at all."""
        return "Original(…)"

    __str__ = __repr__


def _place(tenant: str, finding: str) -> str:
    """What the seal is bound to: it does not open as another finding's."""
    return f"{tenant}/{finding}"


def seal(original: SealedPost, sealer: Sealer, tenant: str, finding: str) -> str:
    """`original` sealed, in base64."""
    plain = original.model_dump_json(exclude_defaults=True).encode()
    sealed = sealer.seal(plain, purpose=PURPOSE, topic=_place(tenant, finding), schema=SCHEMA)
    return base64.b64encode(sealed).decode("ascii")


def unseal(sealed: str, key_id: str, opener: SealOpener, tenant: str, finding: str) -> SealedPost:
    """What `seal` made; RecordError `key_destroyed`, `not_authentic` or `malformed`."""
    try:
        raw = base64.b64decode(sealed, validate=True)
    except (binascii.Error, ValueError):
        raise RecordError("malformed") from None
    plain = opener.open(raw, purpose=PURPOSE, topic=_place(tenant, finding), schema=SCHEMA, key_id=key_id)
    try:
        return SealedPost.model_validate_json(plain)
    except ValidationError:
        raise RecordError("malformed") from None
