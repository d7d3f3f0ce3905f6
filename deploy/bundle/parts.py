"""Find the packages that are installed with an extra of ullage, and the licence of each.

A package is a distribution, described by its metadata in this environment or in a folder of
wheels. Its licence is the SPDX expression in its metadata (PEP 639). Where that is missing, it
is the entry in `licences.toml`, which a person made after reading the licence file.
"""

from __future__ import annotations

import contextlib
import re
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict

from ullage.errors import ConfigError

PRODUCT = "ullage"
SHIPPED = ("all", "matrix", "telegram", "xmpp")
"""The extras that a release contains: all but OCR (400 MB) and Kerberos (a system library)."""
LICENCES = Path(__file__).with_name("licences.toml")
LEGAL = re.compile(r"(?i)(^|/)(licen[cs]es?|copying|copyright|notice|authors|patents)([^/]*$|/)")
"""Files in a distribution's metadata that its licence requires to be distributed."""


class Weak(BaseModel):
    """A licence outside of the allowed ones, and why it is accepted nevertheless.

    NOTICE must name the package.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    licence: str
    reason: str


class Licences(BaseModel):
    """The contents of `licences.toml`.

    Names of distributions are in canonical form; licences are SPDX expressions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    allowed: frozenset[str]
    read: Mapping[str, str]
    weak: Mapping[str, Weak]
    carried: Mapping[str, Weak]


def licences() -> Licences:
    """Return the contents of `licences.toml`."""
    return Licences.model_validate(tomllib.loads(LICENCES.read_text(encoding="utf-8")))


def closure(
    extras: Iterable[str], found: Callable[[str], Distribution] = distribution
) -> dict[str, Distribution]:
    """Return the product with `extras` and everything that they need here, by canonical name.

    `found` looks a package up, by default among the installed ones. Raises PackageNotFoundError
    where a package is missing.
    """
    parts: dict[str, Distribution] = {}
    visited = set[tuple[str, frozenset[str]]]()
    waiting = [(PRODUCT, frozenset(extras))]
    while waiting:
        name, part_extras = requirement = waiting.pop()
        if requirement in visited:
            continue
        visited.add(requirement)
        parts[name] = found(name)
        waiting += [
            (canonicalize_name(needed.name), frozenset(needed.extras))
            for needed in map(Requirement, parts[name].requires or ())
            if needed.marker is None
            or any(needed.marker.evaluate({"extra": extra}) for extra in {"", *part_extras})
        ]
    return dict(sorted(parts.items()))


def in_wheels(wheels: Iterable[Path]) -> dict[str, Distribution]:
    """Return the distributions in these wheels, by canonical name.

    Raises ConfigError for a file that is no wheel.
    """
    parts = dict[str, Distribution]()
    for wheel in wheels:
        try:
            inside = zipfile.Path(wheel)
            [folder] = [entry for entry in inside.iterdir() if entry.name.endswith(".dist-info")]
        except (zipfile.BadZipFile, ValueError):
            raise ConfigError(f"{wheel} must be a wheel") from None
        distribution: Distribution = PathDistribution(folder)
        parts[canonicalize_name(distribution.name)] = distribution
    return parts


def licence_of(part: Distribution, known: Licences) -> str:
    """Return the SPDX expression of a package's licence.

    What a person has read (`known`) comes first, then its metadata. The older field `License` holds
    free text; it counts if it happens to be an SPDX expression. Raises ConfigError where none of
    these has one.
    """
    (expression,) = part.metadata.get_all("License-Expression") or ("",)
    (text,) = part.metadata.get_all("License") or ("",)
    if licence := known.read.get(canonicalize_name(part.name)) or expression:
        return licence
    with contextlib.suppress(InvalidLicenseExpression):
        return canonicalize_license_expression(text)
    raise ConfigError(
        f"{part.name}: its metadata have no SPDX expression: read its licence and name it in"
        f" {LICENCES.name}"
    )


def beyond(expression: str, allowed: frozenset[str]) -> set[str]:
    """Return the licences in `expression` that are not allowed.

    A licence is left out where an allowed one may be chosen instead.
    """
    needed = (re.split(r" OR ", group.strip("()")) for group in re.split(r" AND ", expression))
    return {choice for choices in needed if allowed.isdisjoint(choices) for choice in choices}
