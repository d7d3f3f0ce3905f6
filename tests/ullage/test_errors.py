"""Each error says what becomes of the record and of the process, and the tree in the docstring
is the real one.
"""

import inspect

from ullage import errors
from ullage.errors import (
    Action,
    ConfigError,
    CorruptError,
    RecordError,
    UllageError,
    UnavailableError,
)


def test_each_error_carries_its_action_and_exit_code() -> None:
    assert [
        (e.action, e.exit_code) for e in (ConfigError, CorruptError, RecordError, UnavailableError)
    ] == [
        (Action.STOP, 2),
        (Action.STOP, 1),
        (Action.DROP, 1),
        (Action.RETRY, 1),
    ]


def test_docstring_lists_every_error_with_its_action() -> None:
    real = {
        name: cls
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, UllageError)
    }
    drawn = dict(
        line.partition("── ")[2].split()[:2]
        for line in (errors.__doc__ or "").splitlines()
        if "──" in line
    )
    assert drawn == {
        name: error.action.value for name, error in real.items() if name != "UllageError"
    }


def test_record_error_has_a_reason_and_unavailable_error_a_retry_time() -> None:
    assert (str(RecordError("schema")), RecordError("schema", "row 3").reason) == (
        "schema",
        "schema",
    )
    assert UnavailableError("down", 3.0).retry_after == 3.0
    assert UnavailableError("down").retry_after is None
