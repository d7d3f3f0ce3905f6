"""What makes the frontier unreadable without `frontier.key`: URLs are encrypted, and known again by
keyed digests.

A URL may carry a name or a number in its slug, so no URL and no plain hash of one is ever on disk.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from crawlers.sites.pages import PageAddress, Post
from ullage.errors import CorruptError
from ullage.security.cmac import Cmac, derive_key

NONCE_BYTES = 12


class FrontierCipher:
    """Digests (16 bytes) and encryption under keys derived from one 32-byte key."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCMSIV(derive_key(key, "frontier", "page"))
        self._names = Cmac(derive_key(key, "frontier", "name"))
        self._posts = Cmac(derive_key(key, "frontier", "post"))

    def name(self, site: str, text: str) -> bytes:
        """Keyed digest by which a page, a series, a stamp or a post id of `site` is known again."""
        return self._names.one(f"{site}\x1f{text}".encode("utf-8", "surrogatepass"))

    def post(self, site: str, post: Post) -> bytes:
        """Keyed digest of a post and what it says: it differs when the post is edited.

        The content goes through SHA-256 first, which is faster; the plain hash never leaves here.
        """
        content = hashlib.sha256(post.wording or post.body).digest()
        return self._posts.one(
            f"{site}\x1f{post.post_id}\x1f".encode("utf-8", "surrogatepass") + content
        )

    def named(self, site: str, post: Post) -> bytes:
        """Keyed digest of a post whatever it says; b"" where nothing that lasts tells it from
        others.
        """
        return self.name(site, f"\x1d{post.thread}\x1f{post.post_id}") if post.lasting else b""

    def seal(self, site: str, name: bytes, page: PageAddress) -> bytes:
        """`page` encrypted; it opens only under the same site and name."""
        return self.seal_bytes(site, name, json.dumps(asdict(page)).encode())

    def open(self, site: str, name: bytes, sealed: bytes) -> PageAddress:
        """The page again; CorruptError when the key is another one, or the row is damaged."""
        return PageAddress(**json.loads(self.open_bytes(site, name, sealed)))

    def seal_bytes(self, site: str, name: bytes, plain: bytes) -> bytes:
        """What belongs to a page, encrypted as `seal` does."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain, site.encode() + name)

    def open_bytes(self, site: str, name: bytes, sealed: bytes) -> bytes:
        """What `seal_bytes` was given; CorruptError as of `open`."""
        try:
            return self._aead.decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], site.encode() + name
            )
        except (InvalidTag, ValueError):
            raise CorruptError(
                "frontier.sqlite does not open with this frontier.key: restore the key or the file"
            ) from None
