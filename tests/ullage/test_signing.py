"""Who signed a record, and that nobody else did."""

import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ullage.errors import ConfigError, RecordError
from ullage.security import keys
from ullage.security.signing import Signer, Verifier, to_fingerprint
from ullage.settings import Context

SIGNER, OTHER = (
    Signer(Ed25519PrivateKey.from_private_bytes(bytes(32))),
    Signer(Ed25519PrivateKey.from_private_bytes(b"x" * 32)),
)
KNOWN = Verifier(lambda: {SIGNER.name: SIGNER.private.public_key()})
PARTS = st.lists(st.binary(max_size=20), max_size=4).map(tuple)


def reason(signer: str, signature: str, purpose: str, *parts: bytes) -> str:
    with pytest.raises(RecordError) as caught:
        KNOWN.verify(signer, signature, purpose, *parts)
    return caught.value.reason


@given(PARTS, PARTS)
def test_signature_is_valid_only_for_its_own_parts(
    parts: tuple[bytes, ...], others: tuple[bytes, ...]
) -> None:
    signature = SIGNER.sign("finding", *parts)
    KNOWN.verify(SIGNER.name, signature, "finding", *parts)
    assert reason(SIGNER.name, signature, "heartbeat", *parts) == "not_authentic"
    if others != parts:
        assert reason(SIGNER.name, signature, "finding", *others) == "not_authentic"


def test_bytes_cannot_move_between_parts() -> None:
    assert (
        reason(SIGNER.name, SIGNER.sign("finding", b"ab", b"c"), "finding", b"a", b"bc")
        == "not_authentic"
    )


@pytest.mark.parametrize("signature", ["", "zz", "00" * 64, "é"])
def test_invalid_signature_is_not_authentic(signature: str) -> None:
    assert reason(SIGNER.name, signature, "finding", b"a") == "not_authentic"


def test_unknown_signer_is_reported() -> None:
    assert reason(OTHER.name, OTHER.sign("finding", b"a"), "finding", b"a") == "unknown_signer"


def test_disclosed_text_comes_with_whether_its_signer_is_trusted() -> None:
    assert KNOWN.disclose(SIGNER.enclose(b"text", "capture"), "capture") == (b"text", True)
    assert KNOWN.disclose(OTHER.enclose(b"text", "capture"), "capture") == (b"text", False)
    with pytest.raises(RecordError, match="not_authentic"):
        KNOWN.disclose(SIGNER.enclose(b"text", "capture")[:-1] + b"T", "capture")


@given(st.binary(max_size=200))
def test_any_bytes_are_disclosed_or_a_record_error(data: bytes) -> None:
    with pytest.raises(RecordError):
        KNOWN.disclose(data, "capture")


def test_service_signs_with_one_key_known_to_its_readers(context: Context) -> None:
    first, again = (keys.load_signer(context.keys, "match") for _ in range(2))
    assert first.name == again.name
    assert set(keys.load_verifier(context.keys, "findings").known) == {
        first.name,
        keys.load_signer(context.keys, "assess").name,
    }
    assert first.name not in keys.load_verifier(context.keys, "captures").known


def test_signer_added_later_is_trusted_at_its_first_signature(context: Context) -> None:
    verifier = keys.load_verifier(context.keys, "findings")
    context.keys.write(
        f"signers/findings/{OTHER.name}.pub", OTHER.private.public_key().public_bytes_raw()
    )
    verifier.verify(OTHER.name, OTHER.sign("finding", b"a"), "finding", b"a")


def test_removed_signer_is_rejected_within_a_minute(
    context: Context,
) -> None:
    now = [0.0]
    name = f"signers/findings/{OTHER.name}.pub"
    context.keys.write(name, OTHER.private.public_key().public_bytes_raw())
    verifier = keys.load_verifier(context.keys, "findings")
    verifier.monotonic = lambda: now[0]
    verifier.refresh(now=True)
    before = verifier.known
    now[0] += 59.0
    verifier.verify(OTHER.name, OTHER.sign("finding", b"a"), "finding", b"a")
    assert verifier.known is before
    (context.keys.root / name).unlink()
    now[0] += 59.0
    with pytest.raises(RecordError, match="unknown_signer"):
        verifier.verify(OTHER.name, OTHER.sign("finding", b"a"), "finding", b"a")


def test_public_key_damaged_later_affects_only_its_signer(context: Context) -> None:
    verifier = keys.load_verifier(context.keys, "findings")
    known_signers = set(verifier.known)
    (context.keys.root / "signers/findings/0123456789abcdef.pub").write_bytes(b"x" * 32)
    verifier.refresh(now=True)
    assert set(verifier.known) == known_signers


def test_having_no_signer_is_a_fault(context: Context) -> None:
    verifier = keys.load_verifier(context.keys, "findings")
    assert verifier.fault() == ""
    for file in (context.keys.root / "signers/findings").glob("*.pub"):
        file.unlink()
    verifier.monotonic = lambda: time.monotonic() + 60
    assert verifier.fault() == "no signer is known, so no record is accepted"


def test_damaged_public_key_stops_the_start_and_is_named(context: Context) -> None:
    name = f"signers/findings/{keys.load_signer(context.keys, 'match').name}.pub"
    path = context.keys.root / name
    damaged = bytearray(path.read_bytes())
    damaged[7] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ConfigError, match=rf"{name} does not match its own check value"):
        keys.load_verifier(context.keys, "findings")


def test_fingerprint_is_the_beginning_of_a_digest() -> None:
    assert to_fingerprint(b"") == "e3b0c44298fc1c14"
