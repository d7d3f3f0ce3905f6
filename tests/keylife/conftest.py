"""A bank, and posts that go the whole way through it: on one machine, or over a real broker and
a store on a real server.
"""

import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from alerts.records import Exposure
from alerts.store import DocumentFilter, open_configured_store
from matcher.watchlist.tagging import handles
from tests.matcher.bank import command, customer, phone, to_csv
from tests.stores import Backend, backend_named
from ullage import setup
from ullage.cli import app
from ullage.settings import Context

BANK = [customer(n) for n in range(10)]
POSTS = (
    "\n".join(f"{BANK[n]['name']}----{phone(n)}----{BANK[n]['resident_id']}" for n in range(4)),
    f"出售 某某银行 {BANK[3]['name']} {phone(3)} {BANK[3]['resident_id']}",
    f"{BANK[5]['name']}----{phone(5)}----{BANK[5]['resident_id']}",
)
"""Who stands in them: 0 to 3; 3; 5."""


class House:
    """The command line over one data folder, at the real time."""

    def __init__(self, data: Path) -> None:
        self.data, self.context = data, Context(data)

    def move(self, bus: str, store: str) -> None:
        """Work with another bus and store from now on."""
        path = self.data / "ullage.toml"
        urls = f"[bus]\nurl = {json.dumps(bus)}\n[store]\nurl = {json.dumps(store)}\n"
        path.write_text(
            path.read_text(encoding="utf-8").replace("[tenants", f"{urls}[tenants", 1),
            encoding="utf-8",
        )
        self.context = Context(self.data)

    def ask(self, *words: Any, input: bytes | None = None) -> Result:  # noqa: A002
        """Run a command and return its result; what it raised is in `exception`."""
        return CliRunner().invoke(app, command(self.data, *words), input=input)

    def done(self, *words: Any, input: bytes | None = None) -> str:  # noqa: A002
        """Run a command that must succeed, and return what it printed."""
        result = self.ask(*words, input=input)
        assert result.exit_code == 0, f"{words}\n{result.output}{result.exception}"
        return result.output

    def load(self, customers: list[dict[str, str]] = BANK) -> str:
        return self.done(
            "watchlist", "load", "-", "--tenant", "bank", input=to_csv(customers).encode()
        )

    def post(self, *texts: str) -> None:
        """Put posts on the bus; match and alert have not seen them."""
        lines = [
            json.dumps({"site": "board", "url": f"http://127.0.0.1/{hash(t) % 10**9}", "text": t})
            for t in texts
        ]
        self.done("ingest", "-", input="\n".join(lines).encode())

    def work(self) -> None:
        """Match and alert deal with what there is."""
        self.done("match", "--once")
        self.done("alert", "--once")

    def count_exposures(self) -> dict[str, int]:
        """Count the incidents of each customer, by handle."""
        counts: dict[str, int] = {}
        store = open_configured_store(self.context)
        for exposure in store.scroll(Exposure, DocumentFilter()):
            counts[exposure.subject] = counts.get(exposure.subject, 0) + 1
        store.close()
        return counts

    def handle(self, number: int) -> str:
        """Return the handle of a customer of BANK, on the building host."""
        return handles(self.context.keys, "bank", [BANK[number]["customer_ref"]])[0].tobytes().hex()


def copy_house(folder: Path, data: Path) -> House:
    """Return a house over a copy of a folder that was made beforehand."""
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(folder, data)
    return House(data)


@pytest.fixture(scope="session")
def folder_with_list(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with the bank's list."""
    folder = tmp_path_factory.mktemp("loaded") / "data"
    list(setup.initialise(Context(folder)))
    (folder / "ullage.toml").write_text(
        'metrics = false\n[tenants.bank]\nbrands = ["某某银行"]\n', encoding="utf-8"
    )
    House(folder).load()
    return folder


@pytest.fixture(scope="session")
def folder_with_leak(folder_with_list: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return such a folder after three posts were collected, matched and grouped."""
    house = copy_house(folder_with_list, tmp_path_factory.mktemp("leaked") / "data")
    house.post(*POSTS)
    house.work()
    return house.data


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Backend:
    """Return the embedded parts, and servers beside them in tests that are `on_server_too`.

    The servers are Elasticsearch and Kafka.
    """
    return backend_named(getattr(request, "param", "sqlite"), request)


@pytest.fixture
def house(
    backend: Backend, folder_with_list: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[House]:
    """Yield a bank with its list."""
    bank = copy_house(folder_with_list, tmp_path / "data")
    with backend.share(bank.data, "alert") as store:
        if backend.server is not None:
            bank.move(
                (
                    f"{request.getfixturevalue('run_wide_kafka')}/?create=1&partitions=1&"
                    f"prefix={secrets.token_hex(4)}."
                ),
                store,
            )
        yield bank


@pytest.fixture
def house_with_leak(backend: Backend, house: House, request: pytest.FixtureRequest) -> House:
    """Return a bank after three posts were collected, matched and grouped."""
    if backend.server is None:
        return copy_house(request.getfixturevalue("folder_with_leak"), house.data)
    house.post(*POSTS)
    house.work()
    return house
