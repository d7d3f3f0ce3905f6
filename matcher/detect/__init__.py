"""The search for candidates: over a buffer of many texts at once, in columns.

    batch      texts side by side        classes    where digits, letters, at signs stand, as bits
    numbers    in one piece              separated  in groups             mail       around at signs
    words      of letters and digits     digests    among the words       codes      among words and numbers
    labelled   beside a label only       rare       behind a gate         masked     in part
    segment    candidates, and who wins  search     all of it on one screen

What is found is a `Segment` for each kind and form: arrays, and no object a candidate.
"""
