"""Real programs for the flow tests: installed once into the demo's folder, shared by all."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.programs import ensure_environment


@pytest.fixture(scope="session")
def site_programs() -> Path:
    """Return the `bin` folder of bepasty and Spirit."""
    return ensure_environment(Path(__file__).parents[2] / ".demo" / "sites-venv")
