"""List the reasons for an incomplete finding, each with its text for people."""

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
"""Content beyond a limit was left out; with higher limits a replay reads it all."""
READERS = {
    "unpack": marked("unpacking or decoding part of it failed"),
    "folding": marked("plain forms of characters could not be read"),
    "markup": marked("its markup could not be removed"),
    "spellings": marked("the reader of escapes and spellings failed"),
    "words": marked("the search for field names, terms and masked values failed"),
}
DETECTORS = {
    "search": marked("searching part of it failed"),
    "labels": marked("the detector of values behind field names failed"),
    "masks": marked("the detector of masked values failed"),
    "abroad": marked("the detector of foreign phone numbers failed"),
    "emails": marked("the detector of e-mail addresses failed"),
    "patterns": marked("the detector of IBANs and other rare identifiers failed"),
    "numbers": marked("the detectors of numbers failed"),
    "company_ids": marked("the detector of company identifiers failed"),
    "phones": marked("the detector of phone numbers failed"),
    "resident_ids": marked("the detector of resident IDs failed"),
    "cards": marked("the detector of card numbers failed"),
    "fixed_width": marked("the detector of numbers in fixed-width rows failed"),
    "qq": marked("the detector of QQ numbers failed"),
    "digests": marked("the detector of digests failed"),
    "backwards": marked("the detector of reversed numbers failed"),
    "card_headers": marked("the detector of cards below a header failed"),
    "unread_values": marked("values that cannot be looked up were not counted"),
}
RULES = {
    "lexicon": marked("lexicon analysis failed"),
    "logins": marked("logins and cookies could not be counted"),
    "look_up": marked("customers could not be looked up"),
    "evidence": marked("rows were not readable: the fields beside a customer are unknown"),
    "own_cards": marked("cards of the tenant's ranges could not be counted"),
    "offers": marked("whether it offers data for sale is unknown"),
    "other_names": marked("rows that name another platform could not be counted"),
    "statistics": marked("its statistics could not be counted"),
    "redaction": marked("the place cannot be shown without revealing a value"),
}
JUDGEMENTS = {
    "facts": marked("what the verdict rests on could not be counted"),
    "origin": marked("whose leak it is could not be judged: a rule failed"),
    "severity": marked("its severity could not be judged: a rule failed, and a person must judge"),
    "next_step": marked("the next step could not be chosen: a rule failed"),
}
FAULTS = {**READERS, **DETECTORS, **RULES, **JUDGEMENTS}
"""Our own failures, by name of the failed part; all other parts gave their results."""
INCOMPLETE = {**BUDGETS, **FAULTS}
