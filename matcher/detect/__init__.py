"""The search for candidates: over a buffer of many texts at once, in columns.

    search      the table of detectors; before it one pass of hyperscan for all that is known by its letters; kinds that are
                too rare for columns, by their pattern
    numbers     digits in one piece and in groups, whatever kind they are; runs of letters and digits, digests among them
    number_rules, email   which of these it is, by the rules of `ullage/identifiers`; addresses
    labels, marked_values  words that name fields, and what counts only beside such a label, or below a header; masks
    whole_text  what a whole text proves: numbers backwards, and in fragments
    candidates  what is found, as columns; and who wins where two claim one stretch

What is found is a `Segment` for each kind and form: arrays, and no object a candidate.
"""  # noqa: E501
