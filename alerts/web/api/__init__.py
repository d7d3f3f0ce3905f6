"""The desk for programs, as JSON under `/v1`, a file each: `routes()` gives its router, and it is
served by being here.

Shapes are declared, so that `/v1/openapi.json` describes them (`alerts.web.api.openapi`). A route
gets the site as whoever asks may see it, as those of pages do: rights, tenants and the audit log
are the same, and what is decided goes through the same code.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from fastapi import APIRouter

PREFIX = "/v1"


def routers() -> Iterator[APIRouter]:
    """The router of every file."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda one: one.name):
        router: APIRouter = importlib.import_module(f"{__name__}.{module.name}").routes()
        yield router
