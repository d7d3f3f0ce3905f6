"""Declare settings: a value with a default, a unit and an explanation; and common value ranges."""

from __future__ import annotations

import re
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field

from ullage.files.validation import quote_word

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SITES = "sites.d"
"""The folder of site files in the data folder."""
TENANT = re.compile(r"[a-z][a-z0-9-]{0,31}")
"""Pattern of table names: tenants, channels, routes."""
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]


class SettingsTable(BaseModel):
    """One table of `ullage.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def setting(default: Any, reason: str, unit: str = "") -> Any:
    """Declare a field that `ullage config show` explains."""
    return Field(default=default, description=reason, json_schema_extra={"unit": unit})


def validate_zone(zone: str) -> str:
    """Return `zone` if it is a time zone installed here, such as `Asia/Shanghai`.

    Raises ValueError, which names an example, otherwise.
    """
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{quote_word(zone)} is not a time zone that is installed here: use a name"
            " like Asia/Shanghai"
        ) from None
    return zone
