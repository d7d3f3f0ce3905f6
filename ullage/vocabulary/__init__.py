"""Closed lists of words: labels of fields, terms of the trade, and what may be stored of a text.

    fields       column labels of leaked rows, and how the law classifies them
    lexicon      terms and context words, from `lexicons/*.tsv` or the organization's own files
    known_words  a text reduced to known words

Of a post or a row, nothing that is not in a list is ever stored.
"""
