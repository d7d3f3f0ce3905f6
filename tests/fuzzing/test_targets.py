"""No target fails: on what it begins with, on what was found once, and on these with bytes changed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzzing.targets import TARGETS, RepeatedValueError, Target
from ullage.errors import ConfigError

CHANGE = st.tuples(
    st.sampled_from(["flip", "cut", "insert", "repeat", "end"]),
    st.integers(0, 4000),
    st.binary(min_size=1, max_size=6) | st.sampled_from([b"\0", b"[", b"{", b'"', b"\n", b",", b"\xff\xfe", b"\\u", b"9" * 5000]),
)


def changed(data: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    for what, place, more in changes:
        at, size = place % (len(data) + 1), len(more)
        data = {
            "flip": data[:at] + more + data[at + size :],
            "cut": data[:at] + data[at + size :],
            "insert": data[:at] + more + data[at:],
            "repeat": data[:at] + data[at : at + size] * 40 + data[at:],
            "end": data[:at],
        }[what]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_search_begins_with_and_what_it_found_once(name: str) -> None:
    inputs = TARGETS[name].inputs(name)
    assert inputs
    for data in (b"", *inputs):
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_changed_inputs(name: str) -> None:
    @settings(max_examples=25)
    @given(st.sampled_from(TARGETS[name].inputs(name)), st.lists(CHANGE, max_size=5))
    def check(data: bytes, changes: list[tuple[str, int, bytes]]) -> None:
        TARGETS[name](changed(data, changes))

    check()


def test_an_error_that_repeats_a_value_is_a_fault_and_one_that_does_not_is_an_answer() -> None:
    def refuse(data: bytes) -> None:
        raise ConfigError(f"there is {data[:11].decode()} in it")

    target = Target(refuse, list, ())
    target(b"some words")
    with pytest.raises(RepeatedValueError, match="repeats 1 values"):
        target(b"15400000001 is in it")
