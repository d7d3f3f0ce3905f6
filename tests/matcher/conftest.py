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
def share_lexicons() -> Iterator[None]:
    """Build a lexicon of the same words only once.

    Hundreds of tests build a matcher, and half of that time goes into its lexicon.
    """
    lexicons: dict[str, Lexicon] = {}

    def get_lexicon(*words: Any) -> Lexicon:
        key = repr(words)
        if key not in lexicons:
            lexicons[key] = Lexicon(*words)
        return lexicons[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "Lexicon", get_lexicon)
        yield


class SharedServer:
    """Stands for a `ForkServer` of one's own: to start one costs 0.15 s of CPU, a child of one
    that runs a hundredth.
    """

    running = ForkServer()

    def __enter__(self) -> ForkServer:
        return self.running

    def __exit__(self, *_: object) -> None:
        """Do nothing: the server ends with the tests."""


WHO_UNPACKS = (parent, pipeline, scan)


@pytest.fixture(autouse=True, scope="session")
def share_server() -> Iterator[None]:
    """Matchers and commands that run inside tests have their containers unpacked by children of
    one server.
    """
    with pytest.MonkeyPatch.context() as patch, SharedServer.running:
        for module in WHO_UNPACKS:
            patch.setattr(module, "ForkServer", SharedServer)
        yield


@pytest.fixture
def own_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a test fork servers of its own, to see how they are started and how many there are."""
    for module in WHO_UNPACKS:
        monkeypatch.setattr(module, "ForkServer", ForkServer)


@pytest.fixture(scope="session")
def enrolment_folder(tmp_path_factory: pytest.TempPathFactory, fresh_data: Path) -> Path:
    """Return a data folder whose tenant `bank` has ten customers, to be copied.

    Copying takes less than half as long as enrolling. The customers are enrolled by the real clock,
    which command lines use: by the tests' noon the list would be over a day old.
    """
    folder = shutil.copytree(fresh_data, tmp_path_factory.mktemp("enrolled") / "data")
    enrol(Context(folder), "bank", BANK)
    return folder


@pytest.fixture(scope="session")
def enrol_once(tmp_path_factory: pytest.TempPathFactory, fresh_data: Path) -> Callable[..., None]:
    """Return a function that gives a data folder a tenant `bank` with these customers.

    They are enrolled once for all tests that name the same.
    """
    folders: dict[str, Path] = {}

    def give(data: Path, customers: Sequence[dict[str, str]], digests: str = "all") -> None:
        key = json.dumps([digests, customers])
        if key not in folders:
            folders[key] = shutil.copytree(fresh_data, tmp_path_factory.mktemp("enrolled") / "data")
            enrol(Context(folders[key]), "bank", customers, digests)
        shutil.copytree(folders[key], data, dirs_exist_ok=True)

    return give


@pytest.fixture
def bank(context: Context, enrolment_folder: Path) -> Context:
    """Return this test's own data folder, in which tenant `bank` has ten customers."""
    shutil.copytree(enrolment_folder, context.data, dirs_exist_ok=True)
    return context


@pytest.fixture
def ullage(data: Path) -> Callable[..., Result]:
    """Return a function that runs the command line on the data folder.

    What it raised is in `exception`.
    """

    def run(*words: Any, input: bytes | None = None) -> Result:  # noqa: A002
        return CliRunner().invoke(app, command(data, *words), input=input)

    return run


@pytest.fixture
def load_list(ullage: Callable[..., Result], context: Context) -> Callable[..., Context]:
    """Return a function that loads a customer list of tenant `bank`, by the command line."""

    def load(source: Path, *options: str) -> Context:
        result = ullage("watchlist", "load", source, "--tenant", "bank", *options)
        assert result.exit_code == 0, result.output
        return context

    return load
