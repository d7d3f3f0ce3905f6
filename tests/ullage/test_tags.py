"""Tags equal AES-256-CMAC, whatever the lengths in a batch."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from ullage.security.cmac import derive_key
from ullage.security.tags import STEP, Tagger, lay_out

KEY = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
MESSAGE = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
VECTORS = {  # SP 800-38B D.3, AES-256: message length in bytes and tag
    0: "028962f61b7bf89efc6b551f4667d983",
    16: "28a7023f452e8f82bd4bf28d8c37c35c",
    40: "aaf3d8f1de5640c232f5b169b9c911e6",
    64: "e1992190549f6ed5696a2c056c315410",
}


def oracle(key: bytes, message: bytes) -> bytes:
    cmac = CMAC(AES(key))
    cmac.update(message)
    return cmac.finalize()


@pytest.mark.parametrize(("length", "tag"), VECTORS.items())
def test_standard_vectors_agree_singly_and_as_one_batch(length: int, tag: str) -> None:
    assert Tagger(KEY).tag_one(MESSAGE[:length]).hex() == tag
    batch = Tagger(KEY).tag([MESSAGE[:n] for n in VECTORS])
    assert [row.tobytes().hex() for row in batch] == list(VECTORS.values())


@given(
    key=st.binary(min_size=32, max_size=32), messages=st.lists(st.binary(max_size=100), max_size=20)
)
def test_batch_of_any_lengths_agrees_with_the_oracle_in_order(
    key: bytes, messages: list[bytes]
) -> None:
    tags = Tagger(key).tag(messages)
    assert tags.shape == (len(messages), 16)
    assert tags.dtype == np.uint8
    assert [row.tobytes() for row in tags] == [oracle(key, m) for m in messages]


def test_every_length_from_0_to_100_agrees_with_the_oracle() -> None:
    messages = [bytes(range(n)) for n in range(101)]
    assert [t.tobytes() for t in Tagger(KEY).tag(messages)] == [oracle(KEY, m) for m in messages]


def table(messages: list[bytes], width: int, junk: int) -> np.ndarray:
    """Messages as rows of `width` bytes, filled up with `junk`."""
    return np.frombuffer(
        b"".join(m.ljust(width, bytes([junk])) for m in messages), np.uint8
    ).reshape(len(messages), width)


def row_tags(messages: list[bytes], width: int, junk: int = 0xA5) -> list[bytes]:
    lengths = np.array([len(m) for m in messages], np.int64)
    return [t.tobytes() for t in Tagger(KEY).tag_rows(table(messages, width, junk), lengths)]


@pytest.mark.parametrize("width", [64, 70, 80, 81])
def test_rows_ignore_bytes_beyond_their_length(width: int) -> None:
    messages = [MESSAGE[:n] for n in range(65)]
    assert row_tags(messages, width) == [oracle(KEY, m) for m in messages]
    assert row_tags([MESSAGE[:n] for n in VECTORS], width) == [
        bytes.fromhex(tag) for tag in VECTORS.values()
    ]


@pytest.mark.parametrize("length", [0, 1, 11, 15, 16, 17, 32, 40, 47, 48, 49, 100])
@pytest.mark.parametrize("wider", [0, 1, 16])
def test_rows_of_one_length_agree_with_the_oracle(length: int, wider: int) -> None:
    messages = [bytes([i]) * length for i in range(5)]
    assert row_tags(messages, length + wider) == [oracle(KEY, m) for m in messages]


@given(messages=st.lists(st.binary(max_size=70), max_size=30), junk=st.integers(0, 255))
def test_any_rows_agree_with_the_oracle_in_order(messages: list[bytes], junk: int) -> None:
    assert row_tags(messages, 70, junk) == [oracle(KEY, m) for m in messages]


def test_more_rows_than_one_step_agree_with_the_oracle() -> None:
    rng = np.random.default_rng(1)
    values, lengths = (
        rng.integers(0, 256, (2 * STEP + 5, 40), np.uint8),
        rng.integers(0, 41, 2 * STEP + 5),
    )
    tags = Tagger(KEY).tag_rows(values, lengths)
    for i in [*range(0, len(values), 97), len(values) - 1]:
        assert tags[i].tobytes() == oracle(KEY, values[i, : lengths[i]].tobytes())
    again = Tagger(KEY).tag_rows(values[:, :16], np.full(len(values), 16))
    assert again[-1].tobytes() == oracle(KEY, values[-1, :16].tobytes())


@given(
    messages=st.lists(st.binary(max_size=70), min_size=1, max_size=30),
    width=st.sampled_from([70, 72, 80]),
)
def test_prepared_blocks_are_tagged_under_any_key(messages: list[bytes], width: int) -> None:
    laid = lay_out(table(messages, width, 0xA5), np.array([len(m) for m in messages], np.int64))
    for key in (KEY, bytes(32)):
        out = np.empty((len(messages) + 1, 16), np.uint8)
        Tagger(key).tag_blocks(laid, out)
        assert [t.tobytes() for t in out[:-1]] == [oracle(key, m) for m in messages]


def test_no_rows_give_no_tags() -> None:
    assert Tagger(KEY).tag_rows(np.empty((0, 16), np.uint8), np.empty(0, np.int64)).shape == (0, 16)


def test_long_message_among_short_ones_agrees_with_the_oracle() -> None:
    messages = [b"x" * 100_000, *[b"13800138000"] * 100, b""]
    assert [t.tobytes() for t in Tagger(KEY).tag(messages)] == [oracle(KEY, m) for m in messages]


def test_tagger_keeps_no_state_between_batches() -> None:
    tagger = Tagger(KEY)
    assert (
        tagger.tag_one(b"13800138000")
        == tagger.tag_one(b"13800138000")
        == oracle(KEY, b"13800138000")
    )


def test_derived_keys_depend_on_each_part_and_are_repeatable() -> None:
    words = [
        ("match", "bank", "phone", "plain"),
        ("index", "bank", "phone", "plain"),
        ("match", "shop", "phone", "plain"),
    ]
    words += [("match", "bank", "card", "plain"), ("match", "bank", "phone", "md5")]
    derived = {derive_key(KEY, *parts) for parts in words} | {derive_key(bytes(32), *words[0])}
    assert len(derived) == 6
    assert derive_key(KEY, *words[0]) in derived
    assert {len(key) for key in derived} == {32}
