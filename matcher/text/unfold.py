"""Lines that a format has folded or encoded by property: vCard, iCalendar and LDIF, statements of account in SWIFT's MT940.

A value goes on behind a line end and a blank (RFC 6350, RFC 5545, RFC 2849), in quoted-printable behind an equals sign (vCard
2.1). What field 86 of a statement says is cut into lines of 65 characters and has its subfields behind `?20` to `?63`, glued
to what they hold. Each text is made as long as before: what was taken out is filled up behind the line.
"""

from __future__ import annotations

import quopri
import re

from matcher.text.fold import fit

CARD = re.compile(r"^(?:BEGIN:V(?:CARD|CALENDAR)|dn::? ?\w+=)", re.IGNORECASE | re.MULTILINE)
FOLDED = re.compile(r"^[^\r\n]*(?:\r?\n[ \t](?=\S)[^\r\n]*)+", re.MULTILINE)
FOLD = re.compile(r"\r?\n[ \t]")
QUOTED, LONGEST = re.compile("ENCODING=QUOTED-PRINTABLE", re.IGNORECASE), 80
"""What says that a value is quoted, and how far behind it the value may begin."""
STATEMENT = re.compile(r"^:86:[^\r\n]*(?:\r?\n(?![:-])[^\r\n]+)*", re.MULTILINE)
SUBFIELD = re.compile(r"\?[0-6][0-9]")
GATES = (r"begin:v(?:card|calendar)", r"\ndn::? ?[a-z]+=", r":86:[0-9]{3}\?")
"""Where there may be such a text, for hyperscan, in any case."""


def unfold(text: str) -> str:
    """`text` with its folded lines whole, exactly as long as before."""
    if "BEGIN:V" in text or "dn:" in text:
        if "QUOTED-PRINTABLE" in text:
            text = _unquoted(text)
        if CARD.search(text):
            text = FOLDED.sub(lambda match: fit(FOLD.sub("", match[0]), len(match[0])), text)
    return STATEMENT.sub(_statement, text) if ":86:" in text else text


def _unquoted(text: str) -> str:
    """`text` with its properties in quoted-printable readable."""
    made, copied = list[str](), 0
    for match in QUOTED.finditer(text):
        start = end = text.find(":", match.end(), match.end() + LONGEST) + 1
        if start <= copied or "\n" in text[match.end() : start]:
            continue
        while (line_end := text.find("\n", end)) >= 0 and text.endswith(("=", "=\r"), end, line_end):
            end = line_end + 1
        end = len(text) if line_end < 0 else line_end - text.endswith("\r", end, line_end)
        said = _said(text[start:end])
        made += [text[copied:start], fit(said, end - start)] if len(said) <= end - start else [text[copied:end]]
        copied = end
    return "".join([*made, text[copied:]])


def _said(value: str) -> str:
    """What a value in quoted-printable says."""
    plain = quopri.decodestring(value.encode("utf-8", "surrogatepass"))
    try:
        return plain.decode("utf-8")
    except UnicodeDecodeError:
        return plain.decode("gb18030", "replace")


def _statement(match: re.Match[str]) -> str:
    if SUBFIELD.search(match[0]) is None:
        return match[0]
    whole = match[0].replace("\r\n", "").replace("\n", "")
    return fit(" ".join(SUBFIELD.split(whole)), len(match[0]))
