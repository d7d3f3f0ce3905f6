"""Describe the packages of a release as a CycloneDX 1.6 document (ECMA-424).

It holds the name, version, licence and wheel hash of each package, and its dependencies.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import Distribution
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.bundle.parts import PRODUCT, Licences, licence_of


def document(
    parts: Mapping[str, Distribution], wheels: Mapping[str, Path], known: Licences, epoch: int
) -> str:
    """Return the document as JSON; it is the same for the same wheels.

    `parts` and `wheels` are by canonical name, with ullage itself among them.
    """
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in wheels.items()}
    components = {name: _component(name, part, hashes[name], known) for name, part in parts.items()}
    bom = Bom(components=[component for name, component in components.items() if name != PRODUCT])
    bom.metadata.component = components[PRODUCT]
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, UTC)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_OID, " ".join(sorted(hashes.values())))
    for name, part in parts.items():
        bom.register_dependency(
            components[name],
            [
                components[dependency]
                for dependency in sorted(_list_dependencies(part) & parts.keys() - {name})
            ],
        )
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _list_dependencies(part: Distribution) -> set[str]:
    """Return the names of all packages that a package may need with any of its extras.

    Those that were not installed do not belong to an extra in use.
    """
    return {canonicalize_name(Requirement(line).name) for line in part.requires or ()}


def _component(name: str, part: Distribution, sha256: str, known: Licences) -> Component:
    purl = PackageURL("pypi", name=name, version=part.version)
    return Component(
        type=ComponentType.APPLICATION if name == PRODUCT else ComponentType.LIBRARY,
        name=name,
        version=part.version,
        purl=purl,
        bom_ref=str(purl),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
        licenses=[LicenseFactory().make_from_string(licence_of(part, known))],
    )
