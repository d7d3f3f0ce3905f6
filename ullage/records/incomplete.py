"""Why a finding is of less than the whole capture: the closed list of words, and each as it is said to a person."""

from __future__ import annotations

from ullage.phrase import marked

BUDGETS = {
    "bytes": marked("it exceeds the size limit of a captured post"),
    "members": marked("it exceeds the limit of archive members of a captured post"),
    "candidates": marked("it exceeds the limit of candidates of a captured post"),
    "rows": marked("it exceeds the limit of rows of a captured post"),
    "matches": marked("it exceeds the limit of matches listed for a captured post"),
    "time": marked("unpacking it took too long"),
    "memory": marked("unpacking it took too much memory"),
}
"""What was left out since the capture goes beyond a limit: higher limits, and a replay reads it whole."""
FAULTS = {
    "unpack": marked("unpacking or decoding part of it failed"),
    "search": marked("searching part of it failed"),
    "lexicon": marked("lexicon analysis failed"),
    "evidence": marked("rows were not readable: the fields beside a customer are unknown"),
    "statistics": marked("its statistics could not be counted"),
    "redaction": marked("the place cannot be shown without revealing a value"),
    "fault": marked("matching failed"),
}
"""A fault of ours, in the step of that name."""
INCOMPLETE = {**BUDGETS, **FAULTS}
