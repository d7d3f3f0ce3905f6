"""Patterns that the check finds fault with and that are fast all the same, each with its bound
or its reason.
"""

from __future__ import annotations

BOUNDED = {
    "crawlers.sites.dates.MONTH_FIRST": "LONGEST",
    "crawlers.sites.dates.AGO": "LONGEST",
    "matcher.records.cells.TERMS": "LONGEST",
}
"""By the constant of their module that is the longest text they are given: the worst of that
length must take no time.
"""
OURS = {
    "alerts.web.templating._LEADS": "reads templates of ours",
    "alerts.web.pages.coverage.STYLE": "reads a style sheet of ours",
}
"""Of what nobody outside writes."""
PROVEN = {
    "matcher.records.logins.PICTURE": "asked at most ATTEMPTS times of a row, of 256 bytes each",
    "matcher.records.login_forms.USUAL": (
        "is tried once behind each host, and takes 600 bytes at most"
    ),
    "matcher.records.own_sites.USER_INFORMATION": (
        "is tried once behind each host, and takes 400 bytes at most"
    ),
    "matcher.text.spellings.escapes.BACKSLASHED": (
        "begins at no backslash behind two, and so once in a run of them"
    ),
    "matcher.text.spellings.fragments.MESSAGES": (
        "goes on to the next `content` alone, and 600 characters at most"
    ),
    "matcher.unpack.readers.office.TOKEN": (
        "each `<` looks ahead to the next, and what the first form leaves the second takes"
    ),
    "ullage.identifiers.GLUED": (
        "goes on behind a letter only where none stands before it, or a digit"
    ),
    "ullage.identifiers.email.PATTERN": "begins anew at `--` alone, where what it took before ends",
}
"""What looks further than one character makes these linear; they are held to it by measurement,
as all others are.
"""
