"""The stores that must pass the same tests: the embedded one, and Elasticsearch on real servers of this session."""

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from alerts.records import CLASSES, Document
from alerts.store import open_store
from alerts.store.elasticsearch import ElasticsearchStore
from alerts.store.mapping import index_name
from deploy.local.elasticsearch import ADMIN, Server, elasticsearch, fetch, find_java
from ullage.errors import UnavailableError

SERVERS = {"elasticsearch-8.19": "8.19.0", "elasticsearch-9.5": "9.5.4"}
ON_SERVERS = [pytest.param(name, marks=pytest.mark.servers) for name in SERVERS]


@dataclass(frozen=True)
class Backend:
    """`own_files` tells whether the store's bytes lie in the data folder, where a test can look at them."""

    name: str
    server: Server | None = None

    @property
    def own_files(self) -> bool:
        return self.server is None

    @contextlib.contextmanager
    def url(self, data: Path, kinds: Sequence[type[Document]] = CLASSES) -> Iterator[str]:
        """A store of one test, empty; what opens it finds its password under `data`."""
        if self.server is None:
            yield "sqlite:///incidents.sqlite"
            return
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


def keep(keys: Path, password: str, user: str = "") -> None:
    """Write the store's key files."""
    keys.mkdir(exist_ok=True, mode=0o700)
    for name, text in (("store.password", password), ("store.user", user)):
        if text:
            (keys / name).write_text(text + "\n", encoding="utf-8")
            (keys / name).chmod(0o600)


@contextlib.contextmanager
def running(name: str, work: Path) -> Iterator[Backend]:
    """The backend `name` with its server; skips with what to install where it cannot be had, fails where it does not start."""
    if name not in SERVERS:
        yield Backend(name)
        return
    try:
        find_java()
        fetch(SERVERS[name])
    except UnavailableError as error:
        pytest.skip(str(error))
    with elasticsearch(work, SERVERS[name]) as server:
        yield Backend(name, server)
