"""A process that dies, raises or hangs is named with the item that made it, and answers for all
others.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

from harness.isolated_process import IsolatedProcess

FAULTS = {
    "raises": "KeyError at test_isolated_process.py",
    "dies": "the process died",
    "hangs": "no answer in 5 s",
}


def make_answer() -> Callable[[Sequence[str]], list[str]]:
    """Return what does as an item says, or answers with it in capitals."""
    return lambda items: [_answer(item) for item in items]


def _answer(item: str) -> str:
    if item == "raises":
        raise KeyError(item)
    if item == "dies":
        os._exit(1)
    if item == "hangs":
        threading.Event().wait()
    return item.upper()


def test_faulty_items_are_named_and_lose_no_other(capfd) -> None:
    items = ["a", "raises", "b", "dies", "c", "hangs", "d", "e"]
    with IsolatedProcess[str, str](make_answer, patience=5.0) as process:
        answers = list(process.answer_each(items, at_once=6))
    assert [item for item, _, _ in answers] == items
    assert [answer for _, answer, _ in answers] == ["A", None, "B", None, "C", None, "D", "E"]
    assert {
        item: fault.rpartition(":")[0] or fault for item, _, fault in answers if fault
    } == FAULTS
    assert "KeyError: 'raises'" in capfd.readouterr().err
