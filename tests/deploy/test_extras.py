"""What the command line says to install is what pyproject.toml has, and all that is imported."""

import ast
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from deploy.bundle.parts import closure
from ullage.cli import EXTRAS

ROOT = Path(__file__).parents[2]
PRODUCT = ("ullage", "crawlers", "matcher", "alerts")
APART = {"gssapi": "kerberos", "rapidocr_onnxruntime": "ocr"}
"""Modules of extras that are not locked; who imports them says what to install."""


def list_imports() -> dict[str, Path]:
    """Return every foreign module that the product imports, with a file that does."""
    found = {}
    for package in PRODUCT:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.Import):
                    names = [name.name for name in node.names]
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module or ""]
                else:
                    continue
                found.update({name.partition(".")[0]: path.relative_to(ROOT) for name in names})
    return {
        name: path
        for name, path in found.items()
        if name not in {*sys.stdlib_module_names, *PRODUCT}
    }


@pytest.fixture(scope="module")
def homes() -> dict[str, set[str]]:
    """Return for each module the distributions that have it."""
    return {
        name: set(map(canonicalize_name, have))
        for name, have in metadata.packages_distributions().items()
    }


def test_every_imported_module_belongs_to_ullage_or_a_named_extra(
    homes: dict[str, set[str]],
) -> None:
    always, named = set(closure([])), {module for modules in EXTRAS.values() for module in modules}
    assert len(found := list_imports()) > 40
    assert {
        n: p
        for n, p in found.items()
        if not homes.get(n, set()) & always and n not in {*named, *APART}
    } == {}


def test_named_extra_provides_modules_that_ullage_alone_lacks(
    homes: dict[str, set[str]],
) -> None:
    always = set(closure([]))
    for extra, modules in EXTRAS.items():
        with_it = set(closure([extra]))
        for module in modules:
            assert homes[module] & with_it, (extra, module)
            assert not homes[module] & always, (extra, module)


def test_every_extra_of_the_product_is_named() -> None:
    declared = set(metadata.metadata("ullage").get_all("Provides-Extra"))
    assert declared - {"all", "bench", "dev", "docs", *APART.values()} == set(EXTRAS)
