"""Keep texts for people translatable until they are shown.

An error or a verdict is written by code that does not know the reader's language. It therefore
holds a `Phrase`: an English text with named values. `str()` gives the English, for a terminal; the
console calls `render` with the reader's translation and time zone (`alerts.translation`). The
English text is also the key of the translation, so nothing but the text itself has to be marked:

    Phrase("%(hours)s h %(minutes)s", hours=3, minutes=5)   str():    3 h 5
           └── id: key of the catalogue                     render(): 3 小时 5 分
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo


class Phrase:
    """A text in English, `id`, with `%(name)s` where `values` go.

    An error's message may be a phrase: `QueryError(Phrase("at most %(most)s days", most=180))`. A
    value may itself be a phrase, a moment, or a tuple of both.

    >>> str(Phrase("at most %(most)s days", most=180))
    'at most 180 days'
    """

    __slots__ = ("id", "values")

    def __init__(self, id: str, /, **values: object) -> None:  # noqa: A002 - what gettext calls it
        self.id: str = id
        self.values: Mapping[str, object] = values

    def __str__(self) -> str:
        """Return the English text."""
        return self.render(str)

    def __repr__(self) -> str:
        return f"Phrase({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Phrase) and (self.id, self.values) == (other.id, other.values)

    def __hash__(self) -> int:
        return hash(self.id)

    def render(self, translate: Callable[[str], str], zone: tzinfo | None = None) -> str:
        """Return the text as `translate` gives it for `id`, with the values filled in.

        Values that are phrases are translated too, and those of a tuple are joined with commas.
        Moments are shown to the minute in `zone`, or in this machine's zone, then named, if it is
        None. Raises KeyError if the text names a value that is missing.
        """
        values = {
            name: _render_value(value, translate, zone) for name, value in self.values.items()
        }
        return translate(self.id) % values if values else translate(self.id)


def _render_value(value: object, translate: Callable[[str], str], zone: tzinfo | None) -> object:
    if isinstance(value, tuple):
        return translate(mark_for_translation(", ")).join(
            str(_render_value(item, translate, zone)) for item in value
        )
    if isinstance(value, datetime):
        return value.astimezone(zone).strftime("%Y-%m-%d %H:%M" if zone else "%Y-%m-%d %H:%M %Z")
    return value.render(translate, zone) if isinstance(value, Phrase) else value


def mark_for_translation(text: str) -> str:
    """Return `text` unchanged; the call marks it for the message catalogue.

    Use it for tables whose texts stay strings until they are shown.
    """
    return text
