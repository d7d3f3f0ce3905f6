"""What is installed with an extra of ullage, and under which licence each part of it stands.

A part is a distribution as its metadata say it, of this environment or of a folder of wheels. Its
licence is the SPDX expression of its metadata (PEP 639) or, where they have none, what
`licences.toml` says that a person read in its licence file.
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
"""The extras of what a release ships: everything that runs, but OCR (400 MB) and Kerberos (of
the system's own library).
"""
LICENCES = Path(__file__).with_name("licences.toml")
LEGAL = re.compile(r"(?i)(^|/)(licen[cs]es?|copying|copyright|notice|authors|patents)([^/]*$|/)")
"""Files beside a distribution's metadata that its licence asks to be handed on."""


class Weak(BaseModel):
    """A licence beyond those that are allowed, why it may be there all the same, and what NOTICE
    must name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    licence: str
    reason: str


class Licences(BaseModel):
    """`licences.toml`; names of distributions are canonical, licences SPDX expressions."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    allowed: frozenset[str]
    read: Mapping[str, str]
    weak: Mapping[str, Weak]
    carried: Mapping[str, Weak]


def licences() -> Licences:
    """What `licences.toml` says."""
    return Licences.model_validate(tomllib.loads(LICENCES.read_text(encoding="utf-8")))


def closure(
    extras: Iterable[str], found: Callable[[str], Distribution] = distribution
) -> dict[str, Distribution]:
    """The product with `extras` and all that they need here, by canonical name;
    PackageNotFoundError where one lacks.
    """
    parts: dict[str, Distribution] = {}
    done = set[tuple[str, frozenset[str]]]()
    waiting = [(PRODUCT, frozenset(extras))]
    while waiting:
        name, wanted = asked = waiting.pop()
        if asked in done:
            continue
        done.add(asked)
        parts[name] = found(name)
        waiting += [
            (canonicalize_name(needed.name), frozenset(needed.extras))
            for needed in map(Requirement, parts[name].requires or ())
            if needed.marker is None
            or any(needed.marker.evaluate({"extra": extra}) for extra in {"", *wanted})
        ]
    return dict(sorted(parts.items()))


def in_wheels(wheels: Iterable[Path]) -> dict[str, Distribution]:
    """The distributions that lie in wheels, by canonical name; ConfigError where a file is none."""
    parts = dict[str, Distribution]()
    for wheel in wheels:
        try:
            inside = zipfile.Path(wheel)
            [folder] = [entry for entry in inside.iterdir() if entry.name.endswith(".dist-info")]
        except (zipfile.BadZipFile, ValueError):
            raise ConfigError(f"{wheel}: this is no wheel") from None
        made: Distribution = PathDistribution(folder)
        parts[canonicalize_name(made.name)] = made
    return parts


def licence_of(part: Distribution, known: Licences) -> str:
    """The SPDX expression of its licence; ConfigError where nobody has read it.

    The older field `License` is free text, and taken where it is an expression all the same.
    """
    (expression,) = part.metadata.get_all("License-Expression") or ("",)
    (text,) = part.metadata.get_all("License") or ("",)
    if said := known.read.get(canonicalize_name(part.name)) or expression:
        return said
    with contextlib.suppress(InvalidLicenseExpression):
        return canonicalize_license_expression(text)
    raise ConfigError(
        f"{part.name}: its metadata have no SPDX expression: read its licence and name it in"
        f" {LICENCES.name}"
    )


def beyond(expression: str, allowed: frozenset[str]) -> set[str]:
    """The licences in `expression` that are not allowed, where no other may be chosen instead of
    them.
    """
    needed = (re.split(r" OR ", both.strip("()")) for both in re.split(r" AND ", expression))
    return {choice for choices in needed if allowed.isdisjoint(choices) for choice in choices}
