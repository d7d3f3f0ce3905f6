"""From bytes to the folded text that identifiers can be found in.

1. `decode` tells the encoding; from here on a text is UTF-8.
2. `unescape` undoes escapes, markup, base64 blocks and addresses with spelt-out signs. It keeps the
   length: what an escape stood for takes its place, and the rest is filled with a character that
   folding drops. So one map, made by folding, leads from any place in the folded text back to the
   decoded one.
3. `fold` gives every digit, letter and separator its plain form.

Most lines hold nothing to undo, and telling so is cheapest in the pass over the folded text that
looks for words as well. So a text without markup is folded first. `events` then tells the lines in
which something may be undone; `splice` undoes them as they were before folding, and puts those that
change in their places.
"""

from matcher.text.decode import decode, decode_as
from matcher.text.fold import FoldedText, fold, fold_all
from matcher.text.splice import unescape, unescape_all

__all__ = [
    "FoldedText",
    "decode",
    "decode_as",
    "fold",
    "fold_all",
    "read",
    "unescape",
    "unescape_all",
]


def read(body: bytes, charset: str = "", media_type: str = "text/plain") -> FoldedText:
    """Return the decoded, unescaped and folded text of a body; never raises, whatever the bytes."""
    text = decode(body, charset)
    return fold(unescape(text, markup="html" in media_type or "xml" in media_type))
