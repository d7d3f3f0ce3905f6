"""The stores that must pass the same tests: the embedded one, and Elasticsearch on real servers
of this session.
"""

import contextlib
import json
import os
import re
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from alerts.records import CLASSES, Incident
from alerts.records.document import Document
from alerts.store import DocumentFilter, IncidentStore, Versions, WriteResult, open_store
from deploy.local.elasticsearch import ADMIN, Server, elasticsearch, fetch, find_java
from tests.running.shared_servers import elasticsearch_node, worker_name
from ullage.errors import ConfigError, UnavailableError

SERVERS = {"elasticsearch-8.19": "8.19.0", "elasticsearch-9.5": "9.5.4"}
SHARED, LOGIN_SECONDS = f"ullage-shared-{worker_name()}", 60.0
NEWEST = "elasticsearch-9.5"
ON_SERVERS = [
    pytest.param(name, marks=[pytest.mark.servers, *([] if name == NEWEST else [pytest.mark.full])])
    for name in SERVERS
]
"""Each version; `make test` runs the newest alone, as no contract ever told two of them apart."""
on_server_too = pytest.mark.parametrize("backend", ["sqlite", ON_SERVERS[-1]], indirect=True)
"""For a few tests of what stands on the store's promises; the contracts hold every version to
these.
"""


@dataclass(frozen=True)
class Backend:
    """`own_files` tells whether the store's bytes lie in the data folder, where a test can look
    at them.
    """

    name: str
    server: Server | None = None

    @property
    def own_files(self) -> bool:
        return self.server is None

    @contextlib.contextmanager
    def url(self, data: Path, kinds: Sequence[type[Document]] = CLASSES) -> Iterator[str]:
        """Yield an empty store of one test; what opens it finds its password under `data`."""
        if self.server is None:
            yield "sqlite:///incidents.sqlite"
            return
        # its client takes longer to load than all of pytest
        from alerts.store.elasticsearch import ElasticsearchStore
        from alerts.store.elasticsearch_cluster import index_name

        prefix = f"ullage-{uuid.uuid4().hex[:8]}-"
        url = self.server.url(prefix)
        keep(data / "keys", self.server.password)
        keep(data / "admin", self.server.admin_password, ADMIN)
        with (
            contextlib.closing(open_store(url, data, data / "admin")) as store,
            contextlib.closing(self.server.client()) as admin,
        ):
            assert isinstance(store, ElasticsearchStore)
            store.create_templates(kinds)
            yield url
            for name in (index_name(prefix, kind) for kind in kinds):
                admin.indices.delete(index=name, ignore_unavailable=True)
                admin.indices.delete_index_template(name=name)

    @contextlib.contextmanager
    def share(
        self, data: Path, process: str = "", kinds: Sequence[type[Document]] = CLASSES
    ) -> Iterator[str]:
        """Yield a store as `url` does, on indexes of a server that are made once and then emptied.

        This takes a twentieth of the time. The server refreshes nothing by itself, so what a search
        must show does not hang on who is faster. If `process` is named, whatever opens the store
        has the planned rights of that process only.
        """
        if self.server is None:
            yield "sqlite:///incidents.sqlite"
            return
        url = self.server.url(SHARED)
        keep(data / "keys", self.server.password)
        keep(data / "admin", self.server.admin_password, ADMIN)
        with contextlib.closing(open_store(url, data)) as store:
            self._make_shared(url, data)
            empty(store, kinds)
            if process:
                self.become(process, data / "keys")
            yield url

    @contextlib.contextmanager
    def open_as(self, process: str, data: Path, store: IncidentStore) -> Iterator[IncidentStore]:
        """Yield the store of `share` with the planned rights of one process only.

        Where no server asks for rights it is `store` itself.
        """
        if self.server is None:
            yield store
            return
        keys = data / f"keys-of-{process}"
        self.become(process, keys)
        with contextlib.closing(open_store(self.server.url(SHARED), data, keys)) as opened:
            yield opened

    def become(self, process: str, keys: Path) -> None:
        """Let what opens the shared store with `keys` have the rights of `process` alone, as
        they are planned.
        """
        assert self.server
        from alerts.store.elasticsearch_cluster import build_roles  # as above

        user = SHARED + process
        if user not in (self.server.home / "config" / "users").read_text(encoding="utf-8"):
            self.server.add_user(user, self.server.password, build_roles(SHARED)[user])
        keep(keys, self.server.password, user)
        with contextlib.closing(open_store(self.server.url(SHARED), keys.parent, keys)) as store:
            until_it_may_log_in(store)

    def _make_shared(self, url: str, data: Path) -> None:
        assert self.server
        from alerts.store.elasticsearch import ElasticsearchStore  # as above
        from alerts.store.elasticsearch_cluster import index_name

        with (
            contextlib.closing(self.server.client()) as server_client,
            contextlib.closing(open_store(url, data, data / "admin")) as admin,
        ):
            assert isinstance(admin, ElasticsearchStore)
            if not server_client.indices.exists(index=index_name(SHARED, CLASSES[-1])):
                admin.create_templates()
                server_client.indices.put_settings(
                    index=f"{SHARED}*", settings={"index.refresh_interval": "-1"}
                )


def empty(store: IncidentStore, kinds: Sequence[type[Document]] = CLASSES) -> None:
    """Remove every document of `kinds`."""
    store.refresh()
    for kind in kinds:
        if ids := [document.id for document in store.scroll(kind, DocumentFilter())]:
            store.delete(kind, ids)
    store.refresh()


def until_it_may_log_in(store: IncidentStore) -> None:
    """Return when the node has read the files that name its user."""
    deadline = time.monotonic() + LOGIN_SECONDS
    while True:
        try:
            store.count(Incident, DocumentFilter())
        except ConfigError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        else:
            return


def requests_of(plan: Iterable[str]) -> list[tuple[str, dict[str, Any] | None]]:
    """Return the path and body of each PUT that a plan prints for Kibana's console.

    Comments are skipped.
    """
    text = "\n".join(line for line in "\n".join(plan).splitlines() if not line.startswith("#"))
    requests: list[tuple[str, dict[str, Any] | None]] = []
    for request in re.split(r"^PUT ", text, flags=re.MULTILINE)[1:]:
        path, _, body = request.partition("\n")
        requests.append((path, json.loads(body) if body.strip() else None))
    return requests


def keep(keys: Path, password: str, user: str = "") -> None:
    """Write the store's key files."""
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in (("store.password", password), ("store.user", user)):
        if text:
            (keys / name).write_text(text + "\n", encoding="utf-8")
            (keys / name).chmod(0o600)


Nodes = Callable[[str], Server]
"""Gives the session's node of a version, which the first caller starts."""


@contextlib.contextmanager
def nodes(folder: Callable[[str], Path]) -> Iterator[Nodes]:
    """Yield at most one node per version, each with its log in a folder that `folder` makes.

    All end with the context.
    """
    running: dict[str, Server] = {}
    with contextlib.ExitStack() as stack:

        def node(version: str) -> Server:
            if version not in running:
                require(version)
                running[version] = stack.enter_context(elasticsearch(folder(version), version))
            return running[version]

        yield node


def share_node(version: str, folder: Path) -> Server:
    """Return the node that all workers of the run with this folder share.

    The test is skipped where it cannot be had.
    """
    try:
        return elasticsearch_node(version, folder)
    except UnavailableError as error:
        cannot_be_had(error)


def require(version: str) -> None:
    """Skip, saying what to install, where `version` cannot be had; in CI (`CI` is set) that is a
    failure.
    """
    try:
        find_java()
        fetch(version)
    except UnavailableError as error:
        cannot_be_had(error)


def cannot_be_had(error: UnavailableError) -> NoReturn:
    """Skip a test whose server cannot be had, saying what to install; in CI (`CI` is set) it
    fails.
    """
    if os.environ.get("CI"):
        pytest.fail(str(error), pytrace=False)
    pytest.skip(str(error))


def each_backend(*params: Any) -> Any:
    """Return a fixture `backend`: each of `params` in turn, with the session's node."""

    @pytest.fixture(params=params)
    def backend(request: pytest.FixtureRequest) -> Backend:
        return backend_named(request.param, request)

    return backend


def backend_named(name: str, request: pytest.FixtureRequest) -> Backend:
    """Return the backend of that name, on the session's node where it needs one."""
    if name not in SERVERS:
        return Backend(name)
    started: Nodes = request.getfixturevalue("run_wide_nodes")
    return Backend(name, started(SERVERS[name]))


def make_shared_store(kinds: Sequence[type[Document]] = CLASSES) -> Any:
    """Return a fixture as `empty_store`, on the server's shared indexes.

    There only a `refresh` shows to a search what was written.
    """

    @pytest.fixture
    def url(backend: Backend, tmp_path: Path) -> Iterator[str]:
        with backend.share(tmp_path, kinds=kinds) as store_url:
            yield store_url

    return url


def empty_store(kinds: Sequence[type[Document]]) -> Any:
    """Return a fixture `url`: a store of the test's own on its `backend`.

    It has indexes for `kinds`, and leaves nothing behind.
    """

    @pytest.fixture
    def url(backend: Backend, tmp_path: Path) -> Iterator[str]:
        with backend.url(tmp_path, kinds) as store_url:
            yield store_url

    return url


class InterruptedStore:
    """The store of a process, with whom something happens just before its first write of one
    class, or before it removes any.
    """

    def __init__(
        self, inner: IncidentStore, kind: type[Document], act: Callable[[], object], times: int = 1
    ) -> None:
        self._inner, self._kind, self._act, self._times = inner, kind, act, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def put(self, documents: Sequence[Document], over: Versions | None = None) -> list[WriteResult]:
        if self._times and any(isinstance(document, self._kind) for document in documents):
            self._times -= 1
            self._act()
        return self._inner.put(documents, over)

    def delete(
        self, kind: type[Document], ids: Collection[str], over: Versions | None = None
    ) -> int:
        if self._times and ids and kind is self._kind:
            self._times -= 1
            self._act()
        return self._inner.delete(kind, ids, over)


class StallingStore:
    """The store of a process that stalls at its n-th write, which is on its way and arrives when
    it is told to.
    """

    def __init__(self, inner: IncidentStore, at: int) -> None:
        self._inner, self._left = inner, at
        self.arrive: Callable[[], object] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def put(self, documents: Sequence[Document], over: Versions | None = None) -> list[WriteResult]:
        self._stall(lambda: self._inner.put(documents, over))
        return self._inner.put(documents, over)

    def create(self, documents: Sequence[Document]) -> list[bool]:
        self._stall(lambda: self._inner.create(documents))
        return self._inner.create(documents)

    def _stall(self, write: Callable[[], object]) -> None:
        self._left -= 1
        if self._left == 0:
            self.arrive = write
            raise UnavailableError("the process is killed")
