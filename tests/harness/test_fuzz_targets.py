"""No target fails: on what it begins with, on what was found once, and on these with bytes
changed.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.fuzz.targets import TARGETS, RepeatedValueError, Target
from ullage.errors import ConfigError

ROOT = Path(__file__).parents[2]
CHANGE = st.tuples(
    st.sampled_from(["flip", "cut", "insert", "repeat", "end"]),
    st.integers(0, 4000),
    st.binary(min_size=1, max_size=6)
    | st.sampled_from([b"\0", b"[", b"{", b'"', b"\n", b",", b"\xff\xfe", b"\\u", b"9" * 5000]),
)


def apply_changes(data: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
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
def test_target_accepts_its_seeds_and_earlier_findings(name: str) -> None:
    inputs = TARGETS[name].inputs(name)
    assert inputs
    for data in (b"", *inputs):
        TARGETS[name](data)


@pytest.mark.hypothesis  # for `make fuzz`: the property is within
@pytest.mark.parametrize("name", TARGETS)
def test_target_accepts_mutated_inputs(name: str) -> None:
    @settings(max_examples=25)
    @given(st.sampled_from(TARGETS[name].inputs(name)), st.lists(CHANGE, max_size=5))
    def check(data: bytes, changes: list[tuple[str, int, bytes]]) -> None:
        TARGETS[name](apply_changes(data, changes))

    check()


PLANTED = """
def read(data):
    if data[:1] == b"F":
        if data[1:2] == b"Z":
            if data[2:3] == b"!":
                raise KeyError("planted")
"""
SEARCH = """
from pathlib import Path
from harness.fuzz.search import search
from harness.fuzz.targets import Target

def run(data):
    from planted import read
    read(data)

search("planted", Target(run, lambda: [b"some words"], ("planted",)), 200, Path("kept"))
"""


def test_search_follows_new_branches_and_keeps_failures(
    tmp_path: Path,
) -> None:
    pytest.importorskip("atheris", reason="there is none for this machine")
    (tmp_path / "planted.py").write_text(PLANTED)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    result = subprocess.run(
        [sys.executable, "-c", SEARCH],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert result.returncode
    assert b"KeyError: 'planted'" in result.stdout + result.stderr
    [failed_input] = (tmp_path / "kept" / "planted" / "found").iterdir()
    assert failed_input.read_bytes().startswith(b"FZ!")


def test_error_that_echoes_a_value_is_a_fault() -> None:
    def refuse(data: bytes) -> None:
        raise ConfigError(f"there is {data[:11].decode()} in it")

    target = Target(refuse, list, ())
    target(b"some words")
    with pytest.raises(RepeatedValueError, match="repeats 1 values"):
        target(b"15400000001 is in it")
