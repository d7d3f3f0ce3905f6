"""Authors of posts, as they are told apart and searched: by a tag of their name, never by the name.

Match tags an author under the index key of each tenant that a finding is for; whoever holds that key (the search page, a
terminal of the desk) tags the name that somebody asks for, and only the tags meet the store. The kind is one of its own, so an
author's tag is equal to no identifier's, whatever the author is called.
"""

from __future__ import annotations

import unicodedata

from ullage.security.cmac import Cmac, derive_key
from ullage.security.keys import KeyStore, epochs
from ullage.security.masking import Secret

KIND, FORM = "author", "plain"
MAX_NAME = 320


NOBODY = frozenset(
    "anonymous anon guest unknown unregistered deleted 匿名 匿名用户 匿名网友 匿名者 游客 访客 路人 网友"
    " 佚名 未知 已注销 已注销用户 账号已注销 该用户已注销".split()
) | {"deleted account", "deleted user", "anonymous user", "group anonymous bot"}


def normal(name: str) -> str:
    """A name in the form in which two are the same author: without case, width, hidden characters, and a sign before it.

    What a site calls everybody whose name it does not know or show is no name.

    >>> normal(' @Dark\u200bSeller '), normal('ＤＡＲＫＳＥＬＬＥＲ')
    ('darkseller', 'darkseller')
    """
    plain = unicodedata.normalize("NFKC", name).casefold()
    shown = "".join(char for char in plain if unicodedata.category(char) not in ("Cc", "Cf", "Cs") or char.isspace())
    known = " ".join(shown.split()).removeprefix("@").strip()
    return "" if known.strip("[]()<>【】（） ") in NOBODY else known


def tag(tagger: Cmac, name: str) -> str:
    """The tag (hex) of an author's name under a tenant's index key; "" for no name."""
    known = normal(name)
    return tagger.one(known.encode("utf-8", "surrogatepass")).hex() if known else ""


def tags(keys: KeyStore, tenant: str, name: Secret) -> list[str]:
    """The tags of an author's name under every index key of `tenant` that is still there, the newest last."""
    live = [keys.read(f"{tenant}/index-{epoch}.key") for epoch in epochs(keys, tenant, "index")]
    found = (tag(Cmac(derive_key(key, "index", tenant, KIND, FORM)), name.reveal()) for key in live)
    return [one for one in found if one]
