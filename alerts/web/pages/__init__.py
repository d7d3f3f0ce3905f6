"""Serve the pages of the console, one module each.

A module is served because it is in this package: `routes()` returns its router, and a `MENU`, if it
has one, its entry in the navigation (`alerts.web.templating`). A route receives the console
restricted to what the principal may see: `site: Annotated[Console, require_permission("…")]`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

from fastapi import APIRouter

from alerts.web.templating import MenuEntry


def routers() -> Iterator[APIRouter]:
    """Yield the router of every page."""
    for page in _pages():
        router: APIRouter = page.routes()
        yield router


def entries() -> tuple[MenuEntry, ...]:
    """Return the navigation entries of all pages."""
    return tuple(page.MENU for page in _pages() if hasattr(page, "MENU"))


def _pages() -> Iterator[ModuleType]:
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda one: one.name):
        yield importlib.import_module(f"{__name__}.{module.name}")
