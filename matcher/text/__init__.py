"""From bytes to text that identifiers can be found in: decode, then unescape, then fold.

Unescaping keeps the length: what an escape or a tag stood for takes its place, and the rest is filled with a character
that folding drops. So one map, made by folding, leads from any place in the folded text back to the decoded text.

Most texts need little of it. They are folded as the UTF-8 that came (`light`, `utf8`, `runs`) and not decoded before somebody
asks; `gate` says of what is made so where that was not enough. The rule: a text is folded lightly if it is strictly valid UTF-8,
no carriage return stands alone in it and no NUL, and its folded form holds no escape, spelt sign, base64 block, Han digit beside
a digit, long run of Han digits, X look-alike behind digits, or wide plus before one. What comes out is what the long way gives,
byte for byte.
"""

from matcher.text.batched import read_in_full, read_together
from matcher.text.decode import decode, decode_as
from matcher.text.fold import Folded, fold
from matcher.text.light import fold_lightly
from matcher.text.unescape import unescape

__all__ = ["Folded", "decode", "decode_as", "fold", "fold_lightly", "read", "read_in_full", "read_together", "unescape"]


def read(body: bytes, charset: str = "", media_type: str = "text/plain") -> Folded:
    """Decoded, unescaped and folded text of a body; never raises, whatever the bytes."""
    text = decode(body, charset)
    return fold(unescape(text, markup="html" in media_type or "xml" in media_type))
