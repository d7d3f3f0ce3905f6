"""Scrapy's names of the past, without what it costs to mark them as such.

Scrapy marks a class that has been renamed by `inspect.stack()`, which reads the source of every frame that leads to the import:
with its downloader that happens three times, and was a sixth of the CPU that crawl starts with. Nobody here uses the old names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from scrapy.utils import deprecate


@contextlib.contextmanager
def unmarked() -> Iterator[None]:
    """What is imported within has its old names as plain aliases of the new ones."""
    marking = deprecate.create_deprecated_class
    deprecate.create_deprecated_class = _alias  # type: ignore[assignment]  # it takes whatever the other takes
    try:
        yield
    finally:
        deprecate.create_deprecated_class = marking


def _alias(_name: str, new_class: type, **_: Any) -> type:
    return new_class
