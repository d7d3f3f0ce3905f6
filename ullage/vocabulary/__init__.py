"""Closed lists of words: labels of fields, terms of the trade, and what may be kept of a stranger's
text.

    fields     what a column of a leaked row may be called, and how the law weighs it
    lexicon    terms and context words, from `lexicons/*.tsv` or the house's own files
    kept       a text reduced to words that are known

What is not in a list is never stored of a post or a row.
"""
