"""The terminal that tables are printed on."""

from __future__ import annotations

from rich.console import Console

WIDTH = 100


def console() -> Console:
    """A terminal as wide as it is; 100 columns elsewhere."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=WIDTH)
