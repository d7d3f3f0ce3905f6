"""Kinds of identifier, one file each: shape, checksum, normal form, examples.

Dropping a file with a `KIND` in here registers the kind: `kinds()` walks the package. Its examples and near-misses live
beside its rule and one shared test covers all of them. Both the watchlist's builder and the matcher use these, so that a
value is normalised the same way on both sides.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from ullage.identifiers.base import Candidate, Kind

__all__ = ["Candidate", "Kind", "kinds"]


@cache
def kinds() -> dict[str, Kind]:
    """Every kind by name, those with the stronger claim on a stretch of text first."""
    modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
    found = sorted((m.KIND for m in modules if hasattr(m, "KIND")), key=lambda kind: (kind.rank, kind.name))
    return {kind.name: kind for kind in found}
