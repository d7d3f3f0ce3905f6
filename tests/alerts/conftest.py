"""A store, in the data folder where the commands look for it, the page over it, and a log of the
test's own.
"""

import io
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from alerts.accounts import ALL
from alerts.accounts.accounts import Accounts
from alerts.cases.lookups.lookup import index_tags
from alerts.records import incident_id
from alerts.store import IncidentStore, open_store
from alerts.web.app import create_app
from tests.alerts.browser import ASKER, CHEAP, HOST, PHONE, Browser, add_account
from tests.alerts.builders import finding, fold_all, handle
from tests.conftest import HeldClock
from tests.factories import match
from tests.stores import Backend, backend_named
from ullage import log
from ullage.runtime.http_server import listening, serve
from ullage.security import keys
from ullage.security.masking import Secret
from ullage.settings import Context


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Backend:
    """Return the embedded backend; tests marked `on_server_too` also get a real server."""
    return backend_named(getattr(request, "param", "sqlite"), request)


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the file of an empty store, to be copied."""
    folder = tmp_path_factory.mktemp("empty")
    open_store("sqlite:///incidents.sqlite", folder).close()
    return folder


@pytest.fixture
def store(data: Path, backend: Backend, empty_file: Path) -> Iterator[IncidentStore]:
    if backend.own_files:
        shutil.copytree(empty_file, data, dirs_exist_ok=True)
    with backend.share(data) as url, closing(open_store(url, data)) as opened:
        yield opened


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture(scope="session")
def accounts_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an accounts file that contains `ASKER`, to be copied."""
    folder = tmp_path_factory.mktemp("accounts")
    with closing(Accounts(folder, HeldClock().as_clock())) as new_accounts:
        add_account(new_accounts, ASKER, ["lead", "dpo", "fraud", "auditor"])
    return folder


@pytest.fixture(scope="session")
def bank_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the keys of tenant `bank`, to be copied: making them is slow."""
    store = keys.KeyStore(tmp_path_factory.mktemp("keys"))
    keys.make_tenant(store, "bank")
    return store.root / "bank"


@pytest.fixture
def accounts(context: Context, accounts_file: Path) -> Iterator[Accounts]:
    """Yield accounts with one user, `ASKER`, who holds every permission one person may hold."""
    shutil.copytree(accounts_file, context.data, dirs_exist_ok=True)
    with closing(Accounts(context.data, context.clock)) as opened:
        yield opened


def give_keys(context: Context, bank_keys: Path) -> None:
    """Give a data folder the keys of tenant `bank`, unless it has some."""
    if not (context.keys.root / "bank").exists():
        shutil.copytree(bank_keys, context.keys.root / "bank")


@pytest.fixture
def desk(
    store: IncidentStore,
    backend: Backend,
    bank_keys: Path,
    accounts: Accounts,
    context: Context,
    registry: CollectorRegistry,
) -> Iterator[Browser]:
    """Yield the console with the keys of tenant `bank` and no logged-in user.

    On a server it connects with search rights only.
    """
    give_keys(context, bank_keys)
    with backend.open_as("search", context.data, store) as search_store:
        yield Browser(
            create_app(context, search_store, accounts, registry, frozenset({HOST}), hasher=CHEAP)
        )


@pytest.fixture
def browser(desk: Browser) -> Browser:
    """Return a browser in which `ASKER` is logged in."""
    opened = Browser(desk.app)
    assert opened.log_in(ASKER).status_code == 303
    return opened


@pytest.fixture
def log_in(desk: Browser, accounts: Accounts) -> Callable[..., Browser]:
    """Return a function that logs in a user with the given roles and tenants (default: all).

    Example: `log_in("agent", tenants=["bank"])`.
    """

    def open_session(*roles: str, tenants: Sequence[str] = (ALL,)) -> Browser:
        name = f"{roles[0]} of {tenants[0]}".replace(ALL, "all")
        if accounts.user(name) is None:
            add_account(accounts, name, roles, tenants)
        opened = Browser(desk.app)
        assert opened.log_in(name).status_code == 303
        return opened

    return open_session


@pytest.fixture
def phone_incident(store, clock, context, browser) -> str:
    """Store one incident that affects the owner of PHONE and return its id."""
    tag = index_tags(context.keys.read("bank/index-1.key"), "bank", "phone", Secret(PHONE))[0]
    leak = finding(
        "f", range(10), capture={"title": "内料 四件套", "url": "https://paste.example/1"}
    )
    phone_match = match(subject=handle("a"), index_tag=tag)
    fold_all(store, clock, [leak.model_copy(update={"matches": (phone_match,), "alarm": False})])
    return incident_id("f")


@pytest.fixture
def address(store, accounts, context, registry, clock, bank_keys) -> Iterator[str]:
    """Yield the address of the console served on loopback, with one incident."""
    give_keys(context, bank_keys)
    fold_all(store, clock, [finding("f", range(10), people="ab", kinds=("phone", "card"))])
    with listening("search", "127.0.0.1", 0) as (listener, port):
        app = create_app(
            context, store, accounts, registry, frozenset({f"127.0.0.1:{port}"}), hasher=CHEAP
        )
        stop = threading.Event()
        server = threading.Thread(target=serve, args=(app, listener, stop))
        server.start()
        yield f"http://127.0.0.1:{port}"
        stop.set()
        server.join()


@pytest.fixture(autouse=True)
def log_stream() -> io.StringIO:
    """Capture the log in a new stream.

    A command run by an earlier test leaves the log on a stream that is closed.
    """
    stream = io.StringIO()
    log.configure("debug", stream)
    return stream
