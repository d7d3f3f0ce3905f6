"""What is sealed opens for the same purpose, topic, schema and key, and for nothing else."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ullage.errors import RecordError
from ullage.security.sealing import OVERHEAD, Sealer, SealOpener

PRIVATE = X25519PrivateKey.generate()
SEALER = Sealer("20260921", PRIVATE.public_key())
OPENER = SealOpener({"20260921": PRIVATE, "20260922": X25519PrivateKey.generate()})
PLACE = {"purpose": "capture", "topic": "captures", "schema": 1}
PLAIN = "李某----13800138000".encode()


@given(st.binary(max_size=2000))
def test_sealed_bytes_open_to_the_same_and_are_48_longer(plain: bytes) -> None:
    sealed = SEALER.seal(plain, **PLACE)
    assert OPENER.open(sealed, **PLACE, key_id="20260921") == plain
    assert len(sealed) == len(plain) + OVERHEAD


def test_sealed_bytes_hide_the_plain_text_and_never_repeat() -> None:
    first, two = SEALER.seal(PLAIN, **PLACE), SEALER.seal(PLAIN, **PLACE)
    assert first != two
    assert b"13800138000" not in first + two


@pytest.mark.parametrize(
    "change",
    [{"purpose": "dead-letter"}, {"topic": "findings"}, {"schema": 2}, {"key_id": "20260922"}],
)
def test_other_purpose_topic_schema_or_key_does_not_open_it(change: dict[str, object]) -> None:
    sealed = SEALER.seal(PLAIN, **PLACE)
    with pytest.raises(RecordError) as caught:
        OPENER.open(sealed, **{**PLACE, "key_id": "20260921", **change})
    assert caught.value.reason == "not_authentic"


@given(st.integers(0, (len(PLAIN) + OVERHEAD) * 8 - 1))
def test_any_flipped_bit_is_detected(bit: int) -> None:
    sealed = bytearray(SEALER.seal(PLAIN, **PLACE))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RecordError, match="not_authentic"):
        OPENER.open(bytes(sealed), **PLACE, key_id="20260921")


@pytest.mark.parametrize("length", [0, 1, 31, 32, 47, 60])
def test_truncated_message_is_detected(length: int) -> None:
    with pytest.raises(RecordError, match="not_authentic"):
        OPENER.open(SEALER.seal(PLAIN, **PLACE)[:length], **PLACE, key_id="20260921")


def test_destroyed_key_is_a_separate_reason() -> None:
    with pytest.raises(RecordError) as caught:
        OPENER.open(SEALER.seal(PLAIN, **PLACE), **PLACE, key_id="20260901")
    assert caught.value.reason == "key_destroyed"
