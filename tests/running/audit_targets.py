"""Every entry that the product writes to the audit log while tests run has its Chinese.

A target is one English text in an entry, made where the entry is written, so no list of texts is
complete. Instead each test fails that has the product write an action or a target which the
Chinese page would show in English.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ullage.audit import AuditEntry, Trail
from ullage.audit import trail as trail_module
from ullage.audit.trail import PendingEntry

TESTS = ("tests", "harness")


@pytest.fixture(autouse=True)
def audit_entries_have_chinese(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which the product wrote an audit entry that has no Chinese."""
    written: list[PendingEntry] = []
    append_all = Trail.append_all

    def note(trail: Trail, entries: Sequence[PendingEntry]) -> list[AuditEntry]:
        if is_written_by_product():
            written.extend(entries)
        return append_all(trail, entries)

    monkeypatch.setattr(Trail, "append_all", note)
    yield
    if untranslated := list_untranslated(written):
        pytest.fail(f"audit entries without Chinese: {untranslated}", pytrace=False)


def is_written_by_product() -> bool:
    """Return whether the code that appends to the audit log is the product's, not a test's."""
    root = Path(__file__).parents[2]
    for frame in inspect.stack(context=0)[2:]:
        if frame.filename != trail_module.__file__:
            path = Path(frame.filename)
            return path.is_relative_to(root) and path.relative_to(root).parts[0] not in TESTS
    return False


def list_untranslated(entries: Sequence[PendingEntry]) -> list[str]:
    """Return the actions and targets of `entries` that a Chinese page would show in English."""
    if not entries:
        return []
    from alerts.translation import catalogue
    from alerts.web.audit_targets import translate_target
    from alerts.web.pages.audit import DID

    chinese = catalogue("zh").gettext
    untranslated = []
    for entry in entries:
        if entry.action not in DID:
            untranslated.append(entry.action)
        # a single word is a number of ours, such as that of an incident
        if " " in entry.object_ and translate_target(entry.object_, chinese) == entry.object_:
            untranslated.append(f"{entry.action}: {entry.object_}")
    return untranslated
