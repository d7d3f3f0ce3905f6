"""Which key tags what. One key per (purpose, tenant, kind, form) under an epoch's random key; `match` and `index` never meet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from matcher.columns.text_column import Texts
from ullage.security.check_values import check_value
from ullage.security.keys import KeyStore, epochs
from ullage.security.tags import TAG_BYTES, Tagger, Tags, derive_key

CHECK_VALUE = b"ullage key check"
SELF_TEST = ("self-test", "plain", "ullage self-test")
"""Kind, form and value of the self-test entry; nothing in a text is of that kind."""
SELF_TEST_HANDLE = b"\xff" * TAG_BYTES
"""The handle of its customer, who is nobody: the last of all, so that customers are numbered as if it were not there."""


class TagKeys:
    """The taggers of one tenant, purpose and epoch, made as they are needed."""

    def __init__(self, keys: KeyStore, tenant: str, purpose: str, epoch: int) -> None:
        name = f"{tenant}/{purpose}-{epoch}.key"
        self._key = keys.read(name)
        self.noted = (name, check_value(self._key, name))
        """The key's name and check value."""
        self._tenant, self._purpose = tenant, purpose
        self._taggers: dict[tuple[str, str], Tagger] = {}

    def tagger(self, kind: str, form: str) -> Tagger:
        """The tagger of one kind and form."""
        if (kind, form) not in self._taggers:
            key = derive_key(self._key, self._purpose, self._tenant, kind, form)
            self._taggers[kind, form] = Tagger(key)
        return self._taggers[kind, form]

    def tag(self, kinds: Sequence[str], forms: Sequence[str], values: Sequence[str]) -> Tags:
        """Tags of `values`, each as the kind and form beside it: shape (n, 16), one AES batch a (kind, form)."""
        out = np.empty((len(values), TAG_BYTES), np.uint8)
        groups: dict[tuple[str, str], list[int]] = {}
        for place, pair in enumerate(zip(kinds, forms, strict=True)):
            groups.setdefault(pair, []).append(place)
        for (kind, form), places in groups.items():
            out[places] = self.tagger(kind, form).tag([values[i].encode() for i in places])
        return out

    def noting_key(self) -> bytes:
        """32 bytes under which this host notes what it erased in a file that it cannot sign."""
        return derive_key(self._key, "amended", self._tenant)

    def self_test(self) -> Tags:
        """The tag (1, 16) of the self-test entry."""
        kind, form, value = SELF_TEST
        return self.tagger(kind, form).tag([value.encode()])

    def check_value(self) -> str:
        """Hex of a fixed message's tag: tells two keys apart without telling either."""
        return self.tagger("check", "plain").one(CHECK_VALUE)[:8].hex()


class HandleKey:
    """Makes handles of customer references, under a key that only the building host has."""

    def __init__(self, keys: KeyStore, tenant: str) -> None:
        key = keys.read(f"{tenant}/handle.key")
        self._tagger = Tagger(derive_key(key, "handle", tenant))
        self._lots = Tagger(derive_key(key, "witness", tenant))

    def tags(self, references: Texts) -> Tags:
        """The handles (n, 16) of references."""
        return self._tagger.tag_rows(references.table, references.lengths)

    def chosen(self, references: Texts, share: float) -> npt.NDArray[np.bool_]:
        """Which customers are of a random `share` of all, 0 to 1: bool[n]. The key decides, so it is the same at each load."""
        lots = self._lots.tag_rows(references.table, references.lengths)[:, :8].copy().view(">u8").ravel()
        below: npt.NDArray[np.bool_] = lots < np.uint64(int(share * (1 << 64)))
        return below


def check_values_of(keys: KeyStore, tenant: str) -> tuple[tuple[str, str], ...]:
    """(name, check value) of the tenant's keys besides that of the epoch on which the use of a list depends.

    These are the newest key of index tags, and the key of handles.
    """
    index = [f"{tenant}/index-{number}.key" for number in epochs(keys, tenant, "index")[-1:]]
    return tuple((name, check_value(keys.read(name), name)) for name in (*index, f"{tenant}/handle.key"))


def handles(keys: KeyStore, tenant: str, references: Iterable[str]) -> Tags:
    """Handles of customer references: shape (n, 16)."""
    return HandleKey(keys, tenant).tags(Texts.of([reference.encode() for reference in references]))
