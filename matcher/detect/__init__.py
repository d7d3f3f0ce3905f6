"""Find candidates in a buffer that holds many texts at once.

`search` holds the table of detectors. Before they run, one pass of hyperscan finds everything
that a literal word or pattern can find. Kinds that are too rare for columns are found there by
their own pattern.

    numbers        digits in one piece or in groups; runs of letters and digits; digests
    number_rules   decides what a number is, by the rules of `ullage/identifiers`
    email          mail addresses and the QQ numbers in them
    labels         words that name fields
    marked_values  values that count only beside a label or below a header; masked values
    whole_text     numbers that only the whole text proves: reversed, or split into fragments
    candidates     the columns of candidates, and the rule for overlaps

The result is one `Segment` for each kind and form: arrays, with no Python object per candidate.
"""
