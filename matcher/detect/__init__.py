"""The search for candidates: over a buffer of many texts at once, in columns.

    search      all of it on one screen; before it one pass of hyperscan for all that is known by its letters; kinds that are too
                rare for columns, by their pattern
    numbers     digits in one piece and in groups, whatever kind they are; runs of letters and digits, digests among them
    kinds       a file a kind: which of these it is, by the rules of `ullage/identifiers`
    labelled    words that name fields, and what counts only beside such a label, or below a header
    candidates  what is found, as columns; and who wins where two claim one stretch

What is found is a `Segment` for each kind and form: arrays, and no object a candidate.
"""
