"""The pages of the desk, a file each: `routes()` gives its router, and it is served by being here.

What stands in the navigation has a `MENU` besides (`alerts.web.templating`). A route gets the site
as whoever asks may see it, by what it needs: `site: Annotated[Site, may("incident.read")]`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

from fastapi import APIRouter

from alerts.web.templating import MenuEntry


def routers() -> Iterator[APIRouter]:
    """The router of every page."""
    for page in _pages():
        router: APIRouter = page.routes()
        yield router


def entries() -> tuple[MenuEntry, ...]:
    """What of them stands in the navigation."""
    return tuple(page.MENU for page in _pages() if hasattr(page, "MENU"))


def _pages() -> Iterator[ModuleType]:
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda one: one.name):
        yield importlib.import_module(f"{__name__}.{module.name}")
