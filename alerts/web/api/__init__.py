"""Serve the console's JSON API under `/v1`, one module each.

A module is served because it is in this package: `routes()` returns its router. The types of
requests and responses are declared, so that `/v1/openapi.json` describes them
(`alerts.web.api.openapi`). Routes receive the same restricted console as pages do: permissions,
tenants and the audit log are the same, and decisions go through the same code.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from fastapi import APIRouter

PREFIX = "/v1"


def routers() -> Iterator[APIRouter]:
    """Yield the router of every module."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda one: one.name):
        router: APIRouter = importlib.import_module(f"{__name__}.{module.name}").routes()
        yield router
