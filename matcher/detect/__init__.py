"""The search for candidates: over a buffer of many texts at once, in columns.

    search          all of it on one screen, and before it one pass of hyperscan for all that is known by its letters
    numbers         digits in one piece and in groups, whatever kind they are; runs of letters and digits, digests among them
    kinds           a file a kind: which of these it is, by the rules of `ullage/identifiers`
    regex_fallback  kinds that are too rare for columns, by their pattern
    labelled        what counts only beside a label, or below a header; `labels` are the words that name fields
    candidates      what is found, as columns; and who wins where two claim one stretch

What is found is a `Segment` for each kind and form: arrays, and no object a candidate.
"""
