"""The pages of the desk, a file each: `routes()` gives its router, and it is served by being here.

A route gets the site as whoever asks may see it, by what it needs: `site: Annotated[Site, may("incident.read")]`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from fastapi import APIRouter


def routers() -> Iterator[APIRouter]:
    """The router of every page."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda one: one.name):
        page: APIRouter = importlib.import_module(f"{__name__}.{module.name}").routes()
        yield page
