"""Whose leak was it: the likelihood of a post, or of victims alone, for each candidate source.

A pure library on numpy, used on the host of the customer list. Nothing here reads or writes a file.

    candidates   who may have leaked, and which customers each of them had
    post         likelihood of a post; victims: of reported fraud without a post
    density      what both share; evidence: fields, versions, honeytokens
    background   how often each candidate's customers are victims anyway
    hypotheses   one source, two, or none of these: the posterior
    statement    ratios, 95 % set and words: what may be said
    excess       the e-process for daily looks, and Mantel-Haenszel's odds ratio

What leaves the host is a `statement.SourceStatement`. `docs/leak-source.md` has the model in plain
words and its calibration.
"""
