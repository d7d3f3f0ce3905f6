"""The list of what is recorded: what it finds is what was put in, and nothing but what was
signed is believed.
"""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ullage.errors import ConfigError, CorruptError
from ullage.lookup import list_index
from ullage.lookup.list_index import (
    BLOCK,
    BODY,
    PAIR,
    EnrolledLists,
    VerifiedList,
    header_for,
    path_of,
)
from ullage.security.keys import load_signing_key, make_tenant, with_check_value
from ullage.settings import Context

MANY = 1000
EXPIRES = "2027-03-01T00:00:00+00:00"


def pair(number: int) -> bytes:
    """Tag and handle; some tags begin alike, some customers have three."""
    tag = random.Random(number // 2).randbytes(6) + bytes(9) + bytes((number % 2,))
    return tag + random.Random(-1 - number // 3).randbytes(16)


def put(
    context: Context, count: int = MANY, tenant: str = "bank", path: Path | None = None
) -> Path:
    make_tenant(context.keys, tenant)
    pairs = np.frombuffer(b"".join(sorted(map(pair, range(count)))), np.uint8).reshape(-1, PAIR)
    path = path or path_of(context.data, tenant)
    header = header_for(context.keys, tenant, context.clock.now(), EXPIRES)
    list_index.write(path, header, np.array_split(pairs, 7), load_signing_key(context.keys, tenant))
    return path


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, MANY])
def test_only_recorded_pairs_are_found(context: Context, count: int) -> None:
    opened = VerifiedList(put(context, count), context.keys, "bank")
    assert (opened.check(), opened.header.pairs) == (count, count)
    assert all(opened.has(pair(n)[:16]) for n in range(count))
    assert not any(opened.has(pair(n)[:16]) for n in range(MANY, MANY + 300))
    assert not any(opened.has(tag * 16) for tag in (b"\0", b"\xff"))


def test_tags_with_equal_prefixes_are_found_across_blocks(context: Context) -> None:
    """Of four bytes alike, more than one block."""
    make_tenant(context.keys, "bank")
    rows = [b"same" + n.to_bytes(12, "big") + bytes(16) for n in range(2 * BLOCK // PAIR + 3)]
    pairs = np.frombuffer(b"".join([bytes(PAIR), *rows, b"\xff" * PAIR]), np.uint8).reshape(
        -1, PAIR
    )
    path = path_of(context.data, "bank")
    list_index.write(
        path,
        header_for(context.keys, "bank", context.clock.now(), EXPIRES),
        [pairs],
        load_signing_key(context.keys, "bank"),
    )
    opened = VerifiedList(path, context.keys, "bank")
    assert all(opened.has(row[:16]) for row in rows)
    assert not opened.has(b"same" + (10**6).to_bytes(12, "big"))


def test_file_contains_no_value_or_reference_and_is_private(context: Context) -> None:
    path = put(context)
    assert path.stat().st_mode & 0o777 == 0o600
    head = json.loads(path.read_bytes()[12:].partition(b"}")[0] + b"}")
    assert set(head) == {
        "version",
        "tenant",
        "key",
        "check",
        "created",
        "expires",
        "pairs",
        "digests",
    }


def test_flipped_bit_anywhere_is_rejected(context: Context) -> None:
    path = put(context)
    content, chance = path.read_bytes(), random.Random(1)
    for place in (*range(0, 800, 9), *(chance.randrange(len(content)) for _ in range(100))):
        path.write_bytes(
            content[:place]
            + bytes([content[place] ^ 1 << chance.randrange(8)])
            + content[place + 1 :]
        )
        with pytest.raises((ConfigError, CorruptError), match=r"bank\.enrolled") as refused:
            VerifiedList(path, context.keys, "bank").check()
        assert "\n" not in str(refused.value)


def test_lookup_in_a_damaged_block_is_rejected(context: Context) -> None:
    path = put(context)
    content = bytearray(path.read_bytes())
    content[BODY : BODY + BLOCK] = content[BODY + BLOCK : BODY + 2 * BLOCK]
    path.write_bytes(content)
    first = min(pair(n) for n in range(MANY))[:16]
    opened = VerifiedList(path, context.keys, "bank")
    with pytest.raises(CorruptError, match="was changed after it was signed:"):
        opened.has(first)


def test_truncated_or_extended_list_is_rejected(context: Context) -> None:
    path = put(context)
    content = path.read_bytes()
    for changed in (
        *(content[:size] for size in (0, 1, 100, BODY - 1, BODY, BODY + BLOCK, -1)),
        content + b"x",
    ):
        path.write_bytes(changed)
        with pytest.raises((ConfigError, CorruptError), match=r"bank\.enrolled"):
            VerifiedList(path, context.keys, "bank")


def foreign_tenant(context: Context, path: Path) -> None:
    put(context, tenant="other", path=path)


def forge(context: Context, path: Path) -> None:
    """Signed by another building host."""
    make_tenant(context.keys, "other")
    header = header_for(context.keys, "bank", context.clock.now(), EXPIRES)
    list_index.write(path, header, [], load_signing_key(context.keys, "other"))


def other_name(context: Context, path: Path) -> None:
    """Signed by the bank's own host for a tenant of another name."""
    header = replace(header_for(context.keys, "bank", context.clock.now(), EXPIRES), tenant="other")
    list_index.write(path, header, [], load_signing_key(context.keys, "bank"))


def other_key(context: Context, path: Path) -> None:
    key = context.keys.root / "bank" / "index-1.key"
    context.keys.inventory.strike("keys/bank/index-1.key")
    key.write_bytes(with_check_value(bytes(32), "bank/index-1.key"))


def no_key(context: Context, path: Path) -> None:
    (context.keys.root / "bank" / "verify.pub").unlink()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (foreign_tenant, "not signed by"),
        (forge, "not signed by"),
        (other_name, "is of tenant other"),
        (other_key, "was built with another key than"),
        (no_key, "verify.pub is not in"),
    ],
)
def test_list_of_another_host_is_rejected_in_one_line(
    context: Context, how: Callable, why: str
) -> None:
    path = put(context)
    how(context, path)
    with pytest.raises(ConfigError, match=why) as refused:
        VerifiedList(path, context.keys, "bank")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("first", [True, False])
def test_erased_customer_is_not_found_and_the_list_stays_valid(
    context: Context, first: bool
) -> None:
    path = put(context)
    everybody = sorted(map(pair, range(MANY)))
    gone = everybody[256 if first else 300][16:]
    before = VerifiedList(path, context.keys, "bank")
    assert before.has(everybody[0][:16])
    assert VerifiedList(path, context.keys, "bank").erase(gone) == sum(
        pair_bytes[16:] == gone for pair_bytes in everybody
    )
    stays = {pair_bytes[:16] for pair_bytes in everybody if pair_bytes[16:] != gone}
    for opened in (before, VerifiedList(path, context.keys, "bank")):
        assert [opened.has(pair_bytes[:16]) for pair_bytes in everybody] == [
            pair_bytes[:16] in stays for pair_bytes in everybody
        ]
        assert opened.check() == MANY
    went = [pair_bytes for pair_bytes in everybody if pair_bytes[16:] == gone]
    assert not any(
        pair_bytes[4:16] in path.read_bytes() for pair_bytes in went if pair_bytes[:16] not in stays
    )
    assert gone not in path.read_bytes()
    assert VerifiedList(path, context.keys, "bank").erase(gone) == 0


def test_whole_block_can_be_erased(context: Context) -> None:
    path = put(context, 3)
    for n in range(3):
        VerifiedList(path, context.keys, "bank").erase(pair(n)[16:])
    opened = VerifiedList(path, context.keys, "bank")
    assert not any(opened.has(pair(n)[:16]) for n in range(3))
    assert opened.check() == 3


def test_erasure_notes_must_be_valid_and_of_this_list(context: Context) -> None:
    path = put(context)
    VerifiedList(path, context.keys, "bank").erase(pair(0)[16:])
    beside = path.with_name("bank.enrolled.amended")
    content = beside.read_bytes()
    for damaged in (b"", content[:-5], content.replace(b"0", b"1")):
        beside.write_bytes(damaged)
        with pytest.raises(CorruptError, match=r"bank\.enrolled"):
            VerifiedList(path, context.keys, "bank").check()
    beside.unlink()
    with pytest.raises(CorruptError, match=r"bank\.enrolled was changed after it was signed:"):
        VerifiedList(path, context.keys, "bank").check()
    put(context, 700)
    beside.write_bytes(content)  # of the list before, as where a new one was copied over it
    assert VerifiedList(path, context.keys, "bank").check() == 700


def test_replaced_list_is_noticed_and_an_expired_one_ignored(context: Context, clock) -> None:
    lists, now = EnrolledLists(context.data, context.keys), context.clock.now
    assert (lists.tenants(), lists.of("bank", now())) == ([], None)
    put(context, 10)
    opened_list = lists.of("bank", now())
    assert opened_list is not None
    assert not opened_list.has(pair(20)[:16])
    assert lists.of("bank", now()) is opened_list
    put(context, 30)
    again = lists.of("bank", now())
    assert again is not None
    assert again.has(pair(20)[:16])
    assert opened_list.check() == 10  # who has opened it goes on with it
    clock.advance(400 * 86400)
    assert lists.of("bank", now()) is None


def test_list_without_an_index_key_is_a_one_line_error(context: Context) -> None:
    with pytest.raises(ConfigError, match="no index key of bank is here"):
        header_for(context.keys, "bank", context.clock.now(), EXPIRES)
