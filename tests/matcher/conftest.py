"""A bank with ten customers, and a way to run the command line."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from matcher.cli import loading, scan
from matcher.lexicon import Lexicon
from matcher.match import pipeline
from matcher.unpack import parent
from matcher.unpack.parent import ForkServer
from tests.matcher.bank import command, customer, enrol
from ullage.cli import app
from ullage.settings import Context

BANK = [customer(n) for n in range(10)]


@pytest.fixture(autouse=True, scope="session")
def shared_lexicons() -> Iterator[None]:
    """A lexicon of the same words is built once: half of what it takes to build a matcher, which
    hundreds of tests do.
    """
    made: dict[str, Lexicon] = {}

    def shared(*words: Any) -> Lexicon:
        key = repr(words)
        if key not in made:
            made[key] = Lexicon(*words)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "Lexicon", shared)
        yield


class SharedServer:
    """Stands for a `ForkServer` of one's own: to start one costs 0.15 s of CPU, a child of one
    that runs a hundredth.
    """

    running = ForkServer()

    def __enter__(self) -> ForkServer:
        return self.running

    def __exit__(self, *_: object) -> None:
        """It goes with the tests."""


WHO_UNPACKS = (parent, pipeline, scan)


@pytest.fixture(autouse=True, scope="session")
def shared_server() -> Iterator[None]:
    """Matchers and commands that run inside tests have their containers unpacked by children of
    one server.
    """
    with pytest.MonkeyPatch.context() as patch, SharedServer.running:
        for module in WHO_UNPACKS:
            patch.setattr(module, "ForkServer", SharedServer)
        yield


@pytest.fixture
def own_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what a server is started with, or how many there are."""
    for module in WHO_UNPACKS:
        monkeypatch.setattr(module, "ForkServer", ForkServer)


@pytest.fixture(scope="session")
def enrolled(tmp_path_factory: pytest.TempPathFactory, initialised: Path) -> Path:
    """A data folder in which tenant `bank` has ten customers, to be copied: less than half of what
    it takes to enrol them.

    They are enrolled by the real clock, by which command lines go: at the tests' noon the list
    would be over one day.
    """
    folder = shutil.copytree(initialised, tmp_path_factory.mktemp("enrolled") / "data")
    enrol(Context(folder), "bank", BANK)
    return folder


@pytest.fixture(scope="session")
def enrol_once(tmp_path_factory: pytest.TempPathFactory, initialised: Path) -> Callable[..., None]:
    """Gives a data folder a tenant `bank` with these customers, who are enrolled once for all
    tests that name the same.
    """
    made: dict[str, Path] = {}

    def give(data: Path, customers: Sequence[dict[str, str]], digests: str = "all") -> None:
        key = json.dumps([digests, customers])
        if key not in made:
            made[key] = shutil.copytree(initialised, tmp_path_factory.mktemp("enrolled") / "data")
            enrol(Context(made[key]), "bank", customers, digests)
        shutil.copytree(made[key], data, dirs_exist_ok=True)

    return give


@pytest.fixture
def bank(context: Context, enrolled: Path) -> Context:
    """A data folder of the test's own in which tenant `bank` has ten customers."""
    shutil.copytree(enrolled, context.data, dirs_exist_ok=True)
    return context


@pytest.fixture
def ullage(data: Path) -> Callable[..., Result]:
    """Runs the command line on the data folder; what it raised is in `exception`."""

    def run(*words: Any, input: bytes | None = None) -> Result:  # noqa: A002
        return CliRunner().invoke(app, command(data, *words), input=input)

    return run
