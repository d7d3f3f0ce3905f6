"""Why a finding is of less than the whole capture: the closed list of words, and each as it is said to a person."""

from __future__ import annotations

from ullage.phrase import marked

BUDGETS = {
    "bytes": marked("it holds more bytes than are read of one capture"),
    "members": marked("it holds more members than are read of one capture"),
    "candidates": marked("it holds more candidates than are looked up of one capture"),
    "rows": marked("it holds more rows than are read of one capture"),
    "matches": marked("more of it are customers' than are listed of one capture"),
    "time": marked("unpacking it took too long"),
    "memory": marked("unpacking it took too much memory"),
}
"""What was left out since the capture goes beyond a limit: higher limits, and a replay reads it whole."""
FAULTS = {
    "unpack": marked("unpacking or decoding failed at a part of it"),
    "search": marked("the search failed at a part of it"),
    "lexicon": marked("the lexicon failed at it"),
    "evidence": marked("rows could not be read: what stands beside a customer is not known"),
    "statistics": marked("its statistics could not be counted"),
    "redaction": marked("where it was posted could not be told without showing a value"),
    "fault": marked("matching it failed"),
}
"""A fault of ours, in the step of that name."""
INCOMPLETE = {**BUDGETS, **FAULTS}
