"""Texts for people that are written in one place and translated in another: where they are
shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo


class Phrase:
    """A text in English, `id`, with `%(name)s` where `values` go.

    A terminal shows it so, the desk in its reader's language.

    An error's message may be one: `QueryError(Phrase("at most %(most)s days", most=180))`. A value
    may be a phrase or a moment.

    >>> str(Phrase("at most %(most)s days", most=180))
    'at most 180 days'
    """

    __slots__ = ("id", "values")

    def __init__(self, id: str, /, **values: object) -> None:  # noqa: A002 - what gettext calls it
        self.id: str = id
        self.values: Mapping[str, object] = values

    def __str__(self) -> str:
        """The English."""
        return self.said(str)

    def __repr__(self) -> str:
        return f"Phrase({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Phrase) and (self.id, self.values) == (other.id, other.values)

    def __hash__(self) -> int:
        return hash(self.id)

    def said(self, translate: Callable[[str], str], zone: tzinfo | None = None) -> str:
        """The text as `translate` has it, values that are phrases as well; moments in `zone`,
        without one in this machine's.
        """
        values = {name: _said(one, translate, zone) for name, one in self.values.items()}
        return translate(self.id) % values if values else translate(self.id)


def _said(value: object, translate: Callable[[str], str], zone: tzinfo | None) -> object:
    if isinstance(value, tuple):
        return translate(marked(", ")).join(str(_said(one, translate, zone)) for one in value)
    if isinstance(value, datetime):
        return value.astimezone(zone).strftime("%Y-%m-%d %H:%M" if zone else "%Y-%m-%d %H:%M %Z")
    return value.said(translate, zone) if isinstance(value, Phrase) else value


def marked(text: str) -> str:
    """`text`, which is translated where it is shown: for tables of texts that stay strings."""
    return text
