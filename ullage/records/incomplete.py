"""List the reasons why a finding may be incomplete, each with its text for people.

A capture that is too large, or on which a part of ullage fails, still gives a finding with the
results of everything else. The finding names what is missing by words of this closed list:
`BUDGETS` are limits, the others parts that failed. The words are metric labels and names of parts
(`ullage.guard`), so they stay as they are; the texts are translated when they are shown.
"""

from __future__ import annotations

from ullage.phrase import mark_for_translation

BUDGETS = {
    "bytes": mark_for_translation("it exceeds the size limit of a captured post"),
    "members": mark_for_translation("it exceeds the limit of archive members of a captured post"),
    "candidates": mark_for_translation("it exceeds the limit of candidates of a captured post"),
    "rows": mark_for_translation("it exceeds the limit of rows of a captured post"),
    "matches": mark_for_translation("it exceeds the limit of matches listed for a captured post"),
    "time": mark_for_translation("unpacking it took too long"),
    "memory": mark_for_translation("unpacking it took too much memory"),
}
"""Content beyond a limit was left out; with higher limits a replay reads it all."""
READERS = {
    "unpack": mark_for_translation("unpacking or decoding part of it failed"),
    "folding": mark_for_translation("plain forms of characters could not be read"),
    "markup": mark_for_translation("its markup could not be removed"),
    "spellings": mark_for_translation("the reader of escapes and spellings failed"),
    "words": mark_for_translation("the search for field names, terms and masked values failed"),
}
DETECTORS = {
    "search": mark_for_translation("searching part of it failed"),
    "labels": mark_for_translation("the detector of values behind field names failed"),
    "masks": mark_for_translation("the detector of masked values failed"),
    "abroad": mark_for_translation("the detector of foreign phone numbers failed"),
    "emails": mark_for_translation("the detector of e-mail addresses failed"),
    "patterns": mark_for_translation("the detector of IBANs and other rare identifiers failed"),
    "numbers": mark_for_translation("the detectors of numbers failed"),
    "company_ids": mark_for_translation("the detector of company identifiers failed"),
    "phones": mark_for_translation("the detector of phone numbers failed"),
    "resident_ids": mark_for_translation("the detector of resident IDs failed"),
    "cards": mark_for_translation("the detector of card numbers failed"),
    "fixed_width": mark_for_translation("the detector of numbers in fixed-width rows failed"),
    "qq": mark_for_translation("the detector of QQ numbers failed"),
    "digests": mark_for_translation("the detector of digests failed"),
    "backwards": mark_for_translation("the detector of reversed numbers failed"),
    "card_headers": mark_for_translation("the detector of cards below a header failed"),
    "unread_values": mark_for_translation("values that cannot be looked up were not counted"),
}
RULES = {
    "lexicon": mark_for_translation("lexicon analysis failed"),
    "logins": mark_for_translation("logins and cookies could not be counted"),
    "look_up": mark_for_translation("customers could not be looked up"),
    "evidence": mark_for_translation(
        "rows were not readable: the fields beside a customer are unknown"
    ),
    "own_cards": mark_for_translation("cards of the tenant's ranges could not be counted"),
    "offers": mark_for_translation("whether it offers data for sale is unknown"),
    "other_names": mark_for_translation("rows that name another platform could not be counted"),
    "statistics": mark_for_translation("its statistics could not be counted"),
    "redaction": mark_for_translation("the place cannot be shown without revealing a value"),
}
JUDGEMENTS = {
    "facts": mark_for_translation("what the verdict rests on could not be counted"),
    "origin": mark_for_translation("whose leak it is could not be judged: a rule failed"),
    "severity": mark_for_translation(
        "its severity could not be judged: a rule failed, and a person must judge"
    ),
    "next_step": mark_for_translation("the next step could not be chosen: a rule failed"),
}
FAULTS = {**READERS, **DETECTORS, **RULES, **JUDGEMENTS}
"""Our own failures, by name of the failed part; all other parts gave their results."""
INCOMPLETE = {**BUDGETS, **FAULTS}
