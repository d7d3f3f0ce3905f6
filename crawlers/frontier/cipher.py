"""Make the frontier unreadable without `frontier.key`: URLs are encrypted, keyed digests find them.

A URL may contain a name or a number, so no URL and no plain hash of one is ever on disk.
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
        """Return the keyed digest that identifies a page, series, stamp or post id of `site`."""
        return self._names.tag_one(f"{site}\x1f{text}".encode("utf-8", "surrogatepass"))

    def digest_version(self, site: str, post: Post) -> bytes:
        """Return the keyed digest (16 bytes) of a post and its text; an edit changes it.

        The text is `wording`, or `body` if that is empty. It goes through SHA-256 first, which is
        faster; the plain hash is not stored.
        """
        content = hashlib.sha256(post.wording or post.body).digest()
        return self._posts.tag_one(
            f"{site}\x1f{post.post_id}\x1f".encode("utf-8", "surrogatepass") + content
        )

    def digest_post(self, site: str, post: Post) -> bytes:
        """Return the keyed digest (16 bytes) of a post's thread and id; an edit does not change it.

        Returns b"" if the post's id is not permanent (`Post.lasting`).
        """
        return self.name(site, f"\x1d{post.thread}\x1f{post.post_id}") if post.lasting else b""

    def seal(self, site: str, name: bytes, page: PageAddress) -> bytes:
        """Encrypt `page`; it opens only under the same site and name."""
        return self.seal_bytes(site, name, json.dumps(asdict(page)).encode())

    def open(self, site: str, name: bytes, sealed: bytes) -> PageAddress:
        """Decrypt a page.

        Raises CorruptError when the key is a different one, or the row is damaged.
        """
        return PageAddress(**json.loads(self.open_bytes(site, name, sealed)))

    def seal_bytes(self, site: str, name: bytes, plain: bytes) -> bytes:
        """Encrypt data that belongs to the page `name` of `site`; return nonce, ciphertext and tag.

        The result can be decrypted only with the same site and name.
        """
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain, site.encode() + name)

    def open_bytes(self, site: str, name: bytes, sealed: bytes) -> bytes:
        """Decrypt a result of `seal_bytes` for the same site and name.

        Raises CorruptError if the key, site or name is a different one, or the data is damaged.
        """
        try:
            return self._aead.decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], site.encode() + name
            )
        except (InvalidTag, ValueError):
            raise CorruptError(
                "frontier.sqlite cannot be decrypted with this frontier.key: restore the"
                " key or the file"
            ) from None
