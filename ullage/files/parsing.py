"""JSON and TOML of anybody's making: whatever is wrong with a text is a ValueError, which callers turn into an error of ours.

The standard library's parsers end with RecursionError where a text nests too deeply, and that of TOML with a ValueError which is
none of its own kind for a number of more digits than Python converts.
"""

from __future__ import annotations

import json
import tomllib
from typing import Any

from ullage.files.faults import cleared


def read_json(text: str | bytes) -> Any:
    """What `text` says; ValueError where it is no JSON, or nests too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it nests too deeply") from None


def read_toml(text: str) -> dict[str, Any]:
    """What `text` says; `tomllib.TOMLDecodeError` where it is no TOML, nests too deeply or has too long a number."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise tomllib.TOMLDecodeError(cleared(str(error))) from None
    except RecursionError:
        raise tomllib.TOMLDecodeError("it nests too deeply") from None
    except ValueError:
        raise tomllib.TOMLDecodeError("it has a number of too many digits") from None
