"""No textual form of a Secret shows it."""

import copy
import json
import logging
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass

import pytest

from ullage.security.masking import Secret

VALUE = "13800138000"


@dataclass
class _Holder:
    value: Secret


FORMS: dict[str, Callable[[Secret], str]] = {
    "str": str,
    "repr": repr,
    "f-string": lambda s: f"{s}",
    "f-string repr": lambda s: f"{s!r}",
    "format spec": lambda s: f"{s:>40}",
    "percent s": lambda s: "%s" % s,  # noqa: UP031  the operator is what is tested
    "percent r": lambda s: "%r" % s,  # noqa: UP031  the operator is what is tested
    "in a list": lambda s: str([s]),
    "in a dataclass": lambda s: repr(_Holder(s)),
    "in an error": lambda s: repr(KeyError(s)),
    "in a log record": lambda s: logging.LogRecord("x", 20, "x", 1, "%s", (s,), None).getMessage(),
    "json with default": lambda s: json.dumps([s], default=str),
    "dir and vars": lambda s: str([getattr(s, "__dict__", None)]),
}
REFUSED: dict[str, Callable[[Secret], object]] = {
    "pickle": pickle.dumps,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "json": json.dumps,
    "asdict": lambda s: asdict(_Holder(s)),
    "concatenation": lambda s: "phone " + s,  # type: ignore[operator]
    "join": lambda s: "".join(iter([s])),  # type: ignore[list-item]
    "bytes": bytes,  # type: ignore[dict-item]
    "iteration": list,  # type: ignore[dict-item]
}


@pytest.mark.parametrize("form", FORMS)
def test_every_text_form_of_a_secret_is_masked(form: str) -> None:
    text = FORMS[form](Secret(VALUE))
    assert VALUE not in text
    assert not any(digit in text for digit in "38")


@pytest.mark.parametrize("form", REFUSED)
def test_serialising_or_joining_a_secret_fails_without_showing_it(form: str) -> None:
    with pytest.raises(TypeError) as caught:
        REFUSED[form](Secret(VALUE))
    assert VALUE not in str(caught.value)


def test_reveal_returns_the_text_and_equality_compares_it() -> None:
    assert Secret(VALUE).reveal() == VALUE
    assert Secret(VALUE) == Secret(VALUE)
    assert Secret(VALUE) != Secret("13800138001")
    assert Secret(VALUE) != VALUE
    assert len({Secret(VALUE), Secret(VALUE)}) == 1
