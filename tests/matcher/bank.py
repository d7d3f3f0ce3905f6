"""Two banks with three customers, of which they share one; numbers that no carrier, police or
scheme gives out.
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matcher.cli.loading import build_matcher
from matcher.match import redact
from matcher.match.capture_key import CaptureKey
from matcher.match.pipeline import Matcher
from matcher.watchlist import installation
from matcher.watchlist.build import Builder, Report
from matcher.watchlist.source import Source
from ullage.identifiers.resident_id import check_character
from ullage.lookup import list_index
from ullage.security.keys import list_generations, make_tenant
from ullage.settings import Context

HEADER = ("customer_ref", "name", "phone", "resident_id", "card", "email")


def phone(number: int) -> str:
    return f"154{number:08d}"


def resident_id(number: int) -> str:
    first17 = (
        f"1101051899{1 + number % 12:02d}{1 + number // 12 % 28:02d}{number // 336 % 1000:03d}"
    )
    return first17 + check_character(first17)


def customer(number: int, **changes: str) -> dict[str, str]:
    row = {
        "customer_ref": f"C{number:06d}",
        "name": f"张{chr(0x4E00 + 1000 + number)}{chr(0x4E00 + 2000 + number)}",
        "phone": phone(number),
        "resident_id": resident_id(number),
        "email": f"customer{number}@example.com",
    }
    return {**row, **changes}


def to_csv(customers: Sequence[dict[str, str]], delimiter: str = ",") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER, restval="", delimiter=delimiter)
    writer.writeheader()
    writer.writerows(customers)
    return text.getvalue()


def enrol(
    context: Context,
    tenant: str,
    customers: Sequence[dict[str, str]],
    digests: str = "all",
    *,
    recorded: bool = False,
    shrink: bool = False,
) -> Report:
    """Load a list; with `recorded` that of what is recorded as well, with `shrink` one that may
    be much smaller than before.
    """
    make_tenant(context.keys, tenant)
    source, target = context.data / f"{tenant}.csv", context.data / f"{tenant}.watchlist"
    source.write_text(to_csv(customers), encoding="utf-8")
    builder = Builder(
        context.keys,
        tenant,
        list_generations(context.keys, tenant, "match")[-1],
        digests,
        listed=recorded,
    )
    builder.build(Source(source, {}), target, context.clock.now())
    installation.install(
        context.data, context.keys, tenant, target, context.clock.now(), shrink=shrink
    )
    source.unlink()
    if recorded:
        path = list_index.path_of(context.data, tenant)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        target.with_suffix(list_index.SUFFIX).replace(path)
    return builder.report


def matcher_of(context: Context, *, brands: dict[str, Sequence[str]] | None = None) -> Matcher:
    """Return a matcher of the customer lists; `brands` are configured first."""
    tables = "".join(
        f"[tenants.{t}]\nbrands = {json.dumps(list(b), ensure_ascii=False)}\n"
        for t, b in (brands or {}).items()
    )
    if tables:
        (context.data / "ullage.toml").write_text(tables, encoding="utf-8")
    return build_matcher(Context(context.data, context.clock))


def tokens(context: Context, *posts: str, site: str = "paste") -> list[str]:
    """Return the tokens that stand for the ids of these posts in a finding."""
    return [redact.id_token("post", post, site, CaptureKey(context.keys)) for post in posts]


def command(data: Path, *words: Any) -> list[str]:
    return ["--data", str(data), *map(str, words)]
