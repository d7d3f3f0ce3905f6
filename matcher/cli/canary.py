"""Enrol the people of canary posts in a watchlist of the reserved tenant, and renew it in time.

They do not exist, and the list is built like any other, so that a canary post is found by the same
look-up as customers. If this tenant's keys come from a command or from credentials, their keeper
has to load the list: see docs/canary.md.
"""

from __future__ import annotations

import csv
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from matcher.cli.watchlist_options import source_of
from matcher.watchlist import installation
from matcher.watchlist.build import Builder
from matcher.watchlist.file import read_header
from ullage import log
from ullage.errors import ConfigError
from ullage.monitoring.canary import COLUMNS, CUSTOMERS, TENANT
from ullage.security.keys import list_generations, load_verify_key, make_tenant
from ullage.settings import Context

RENEW = timedelta(days=30)


def write_customers(path: Path) -> None:
    """Write the customer list that `watchlist load` or `build` reads."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(CUSTOMERS)


def enrol(context: Context) -> bool:
    """Build and install the list of the canary unless a lasting one is there.

    Returns whether it did. Creates the tenant's keys. Nothing is done where the keys are kept
    elsewhere. A failure never stops match: it is logged, and the result is False.
    """
    if context.keys.are_external(TENANT) or _has_lasting_list(context):
        return False
    try:
        make_tenant(context.keys, TENANT)
        with tempfile.TemporaryDirectory(dir=context.data, prefix="build-") as folder:
            source, target = (
                Path(folder) / "canary.csv",
                Path(folder) / f"{TENANT}{installation.SUFFIX}",
            )
            write_customers(source)
            builder = Builder(
                context.keys, TENANT, list_generations(context.keys, TENANT, "match")[-1], "none"
            )
            builder.build(source_of([source]), target, context.clock.now(), None)
            installation.install(
                context.data, context.keys, TENANT, target, context.clock.now(), move=True
            )
    except (ConfigError, OSError) as error:
        log.get("match").error(
            "canary_not_enrolled",
            error=str(error) if isinstance(error, ConfigError) else type(error).__name__,
        )
        return False
    return True


def _has_lasting_list(context: Context) -> bool:
    """Return whether a list is installed that is valid for more than RENEW (30 days).

    Raises ConfigError if a list cannot be read.
    """
    for epoch in list_generations(context.keys, TENANT, "match"):
        path = installation.path_of(context.data, TENANT, epoch)
        if path.is_file():
            expires = datetime.fromisoformat(
                read_header(path, load_verify_key(context.keys, TENANT)).expires
            )
            if expires > context.clock.now() + RENEW:
                return True
    return False
