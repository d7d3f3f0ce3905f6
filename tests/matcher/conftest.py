"""A bank with ten customers, and a way to run the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.matcher.bank import command, customer, enrol
from ullage.cli import app
from ullage.settings import Context

BANK = [customer(n) for n in range(10)]


@pytest.fixture
def bank(context: Context) -> Context:
    """A data folder in which tenant `bank` has ten customers."""
    enrol(context, "bank", BANK)
    return context


@pytest.fixture
def ullage(data: Path) -> Callable[..., Result]:
    """Runs the command line on the data folder; what it raised is in `exception`."""

    def run(*words: Any, input: bytes | None = None) -> Result:  # noqa: A002
        return CliRunner().invoke(app, command(data, *words), input=input)

    return run
