"""From captures to findings: parts, look-up in watchlists, corroboration by rows, statistics,
what is published.
"""
