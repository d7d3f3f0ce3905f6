"""Why a finding is of less than the whole capture: the closed list of words, and each as it is said to a person."""

from __future__ import annotations

BUDGETS = {
    "bytes": "it holds more bytes than are read of one capture",
    "members": "it holds more members than are read of one capture",
    "candidates": "it holds more candidates than are looked up of one capture",
    "rows": "it holds more rows than are read of one capture",
    "matches": "more of it are customers' than are listed of one capture",
    "time": "unpacking it took too long",
    "memory": "unpacking it took too much memory",
}
"""What was left out since the capture goes beyond a limit: higher limits, and a replay reads it whole."""
FAULTS = {
    "unpack": "unpacking or decoding failed at a part of it",
    "search": "the search failed at a part of it",
    "lexicon": "the lexicon failed at it",
    "evidence": "rows could not be read: what stands beside a customer is not known",
    "statistics": "its statistics could not be counted",
    "redaction": "where it was posted could not be told without showing a value",
    "fault": "matching it failed",
}
"""A fault of ours, in the step of that name."""
INCOMPLETE = {**BUDGETS, **FAULTS}
