"""What two zones give one another before files go between them: public halves of keys, each way."""

from __future__ import annotations

import shutil
from pathlib import Path

from ullage.security import keys
from ullage.security.keys import KeyStore

SIGNERS = Path("signers") / "captures"


def exchange_keys(outer: Path, inner: Path) -> None:
    """Exchange keys between the folders `outer` and `inner`.

    Seal keys' public halves go out, and crawl's signing key's goes in. The frontier's key and the
    signing key are the outer zone's own.
    """
    secret = shutil.ignore_patterns("*.key")
    shutil.copytree(inner / "seal", outer / "seal", ignore=secret)
    store = KeyStore(outer)
    store.make("frontier.key")
    keys.load_signer(store, "crawl")
    shutil.copytree(outer / SIGNERS, inner / SIGNERS, dirs_exist_ok=True)
