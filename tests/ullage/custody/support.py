"""Two officers with keys of their own, and a sealed finding."""

from datetime import timedelta
from pathlib import Path

from tests import factories
from ullage.custody import Manifest, Pair, encode, make_officer, manifest, pair_of
from ullage.custody.vault import Vault, VaultHeader
from ullage.security.keys import KeyStore

OFFICERS = ("li", "wang")
PASSPHRASES = {
    "li.pem": "correct horse 1",
    "wang.pem": "correct horse 2",
    "zhao.pem": "correct horse 3",
}
BODY = "张三----15400000001----Qk7!vexTrout\n".encode()


def officers(folder: Path, keys: KeyStore, names: tuple[str, ...] = OFFICERS) -> Pair:
    """Make pairs in `folder`, and give match the public halves."""
    for name in names:
        _, public = make_officer(folder, name, PASSPHRASES[f"{name}.pem"])
        keys.write(f"evidence/{name}.pub", public.read_bytes())
    return pair_of(keys, OFFICERS)


def make_manifest(finding: str = "f1d0", **changes) -> tuple[Manifest, VaultHeader]:
    """Return a manifest and its header in clear, without the officers."""
    record = factories.finding(id=finding)
    captured = factories.capture(
        body=BODY, headers=(("Server", "nginx"), ("Date", "Mon, 21 Sep 2026 12:00:00 GMT"))
    )
    when = factories.WHEN + timedelta(seconds=5)
    head = VaultHeader(tenant="bank", finding=finding, sealed_at=when, officers=())
    return manifest(captured, record, "high", when), head.model_copy(update=changes)


def seal(vault: Vault, pair: Pair, finding: str = "f1d0", **changes) -> VaultHeader:
    """Put one finding's evidence into `vault`."""
    evidence, head = make_manifest(finding, officers=pair.ids, **changes)
    vault.put(head, pair.seal(encode(evidence, BODY), head.place))
    return head
