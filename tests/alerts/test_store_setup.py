"""What the owner of a cluster sets up by our plan, what the roles in it allow, and what `ullage
check` says of the store.
"""

import contextlib
import http.server
import secrets
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alerts.records import (
    CLASSES,
    VERSION,
    Audit,
    Claim,
    Decision,
    Exposure,
    Incident,
    Original,
    Sighting,
)
from alerts.service import process
from alerts.service.upkeep import expire
from alerts.store import DocumentFilter, IncidentStore, open_store
from alerts.store.elasticsearch import ElasticsearchStore
from alerts.store.elasticsearch_cluster import index_name
from deploy.local.certificates import make_certificates
from deploy.local.elasticsearch import Server
from tests.alerts.builders import finding, fold_all
from tests.conftest import NOON
from tests.contracts.test_incident_store import T0
from tests.factories import clocks_at
from tests.stores import (
    ON_SERVERS,
    Backend,
    each_backend,
    empty_store,
    keep,
    requests_of,
    until_it_may_log_in,
)
from ullage.cli import app
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.settings import Context, StoreSettings

backend = each_backend(*ON_SERVERS)
url = empty_store(CLASSES)


def configure_store(data: Path, url: str) -> Context:
    (data / "ullage.toml").write_text(
        f'metrics = false\n[store]\nurl = "{url}"\n[tenants.bank]\n', encoding="utf-8"
    )
    return Context(data)


def prefix(url: str) -> str:
    return url.partition("prefix=")[2].partition("&")[0]


def decision(id_: str) -> Decision:
    return Decision(id=id_, tenant="bank", incident="INC-A", at=T0, by="Li", status="confirmed")


def is_denied(act: Callable[[], object]) -> bool:
    try:
        act()
    except ConfigError as error:
        return "refuses the permission" in str(error)
    return False


def test_embedded_store_needs_no_setup(context):
    assert list(process.plan(context)) == []


def test_plan_lists_templates_indexes_and_roles_without_password(data):
    requests = requests_of(
        process.plan(configure_store(data, "elasticsearch://10.1.2.3:9200?prefix=leaks-"))
    )
    paths = [path for path, _ in requests]
    names = [index_name("leaks-", kind) for kind in CLASSES]
    assert set(names) | {f"_index_template/{name}" for name in names} | {
        "_security/role/leaks-alert"
    } <= set(paths)
    for path, body in requests:
        if path.startswith("_security/role/"):
            granted = [name for block in body["indices"] for name in block["names"]]
            assert set(granted) <= set(names)
            assert body["cluster"] == []


@contextlib.contextmanager
def open_as_user(
    server: Server, name: str, rights: dict, url: str, data: Path
) -> Iterator[IncidentStore]:
    """Yield the store as a new user with `rights`.

    Wait until the node has read the files that name the user.
    """
    user, password = f"{name}-{secrets.token_hex(4)}", secrets.token_hex(16)
    server.add_user(user, password, rights)
    keep(data / user, password, user)
    with contextlib.closing(open_store(url, data, data / user)) as store:
        until_it_may_log_in(store)
        yield store


@pytest.mark.servers
def test_planned_rights_are_sufficient_and_minimal(backend: Backend, data: Path, clock) -> None:
    """Roles go through the file realm: this distribution cannot keep them where `PUT
    _security/role` would.
    """
    server = backend.server
    url = server.url(f"ullage-{secrets.token_hex(4)}-")
    roles = {}
    with contextlib.closing(server.client()) as admin:
        for path, body in requests_of(process.plan(configure_store(data, url))):
            if path.startswith("_security/role/"):
                roles[path.rpartition("-")[2]] = body
            else:
                headers = {"accept": "application/json", "content-type": "application/json"}
                admin.perform_request("PUT", f"/{path}", headers=headers, body=body)
        admin.indices.create(index="private")
        with (
            open_as_user(server, "alert", roles["alert"], url, data) as alert,
            open_as_user(server, "search", roles["search"], url, data) as search,
            open_as_user(server, "desk", roles["desk"], url, data) as desk,
        ):
            role_texts = ("rights of alert and desk", "rights of search", "rights of desk")
            assert (alert.check(), search.check(), desk.check()) == role_texts
            fold_all(alert, clock, [finding("f", range(10), people="ab")])
            alert.refresh()
            assert search.count(Exposure, DocumentFilter()) == 2
            assert search.create([decision("d")]) == [True]
            denied: dict[str, Callable[[], object]] = {
                "search changes a decision": lambda: search.put([decision("d")]),
                "search removes one": lambda: search.delete(Decision, ["d"]),
                "search removes an incident": lambda: search.delete(Incident, ["x"]),
                "search reads claims": lambda: search.get(Claim, "x"),
                "search reads originals": lambda: search.get(Original, "x"),
                "desk reads exposures": lambda: desk.get(Exposure, "x"),
                "desk removes originals": lambda: desk.delete(Original, ["x"]),
                "alert changes a decision": lambda: alert.put([decision("d")]),
            }
            assert [what for what, act in denied.items() if not is_denied(act)] == []
            for store in (alert, search):
                assert isinstance(store, ElasticsearchStore)
                with pytest.raises(ConfigError, match="refuses the permission"):
                    store.create_templates()
                with pytest.raises(Exception, match="security_exception"):
                    store._client.count(index="private")
            alert.refresh()
            gone = expire(alert, StoreSettings(), clocks_at(Clock(wall=lambda: NOON + 10**9).now()))
            assert gone.total() >= 5
            alert.refresh()
            assert [
                alert.count(kind, DocumentFilter())
                for kind in (Sighting, Exposure, Decision, Incident)
            ] == [0, 0, 0, 0]
        admin.indices.delete(index="private")


def check_store_line(data: Path, url: str, store_user: Callable[[Path], None] | None = None) -> str:
    """Return the line of `ullage check` about the store."""
    configure_store(data, url)
    if store_user:
        store_user(data / "keys")
    result = CliRunner().invoke(app, ["--data", str(data), "check"])
    (line,) = [line for line in result.output.splitlines() if "incident store" in line]
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    return line


@pytest.fixture
def password(backend: Backend, data: Path) -> str:
    keep(data / "keys", backend.server.password)
    return backend.server.password


@pytest.mark.servers
def test_check_explains_wrong_server_certificate_and_login(backend, url, data, password):
    assert "ok     incident store: 0 incidents, rights of alert" in check_store_line(data, url)
    assert "FAULT" in (line := check_store_line(data, url.partition("&cafile")[0]))
    assert "its certificate is not trusted: cafile= in store.url" in line
    assert "cannot be reached" in check_store_line(
        data, url.replace(f":{backend.server.port}", ":1")
    )
    assert "rejected the user name or password: check" in (
        line := check_store_line(data, url, lambda keys: keep(keys, "guessed"))
    )
    assert "guessed" not in line


@pytest.mark.servers
def test_check_names_the_missing_right(backend, url, data):
    rights = {"indices": [{"names": [f"{prefix(url)}*"], "privileges": ["read"]}]}
    with (
        open_as_user(backend.server, "reader", rights, url, data) as store,
        pytest.raises(ConfigError) as raised,
    ):
        store.check()
    message = str(raised.value)
    assert (
        f"for alert it lacks view_index_metadata on {index_name(prefix(url), Sighting)}" in message
    )
    assert "ullage check --plan" in message


@pytest.mark.servers
def test_check_names_a_missing_or_outdated_index(backend, url, data, password):
    index = index_name(prefix(url), Audit)
    with contextlib.closing(backend.server.client()) as admin:
        for meta, expected in (
            (
                {"ullage": VERSION - 1},
                (
                    f"index {index} has mapping {VERSION - 1}, and this ullage reads {VERSION}: use"
                    " the ullage that made it"
                ),
            ),
            (
                {"ullage": VERSION + 1},
                (
                    f"index {index} has mapping {VERSION + 1}, and this ullage reads {VERSION}: use"
                    " the ullage that made it"
                ),
            ),
            ({}, f"index {index} was not made from our template"),
        ):
            admin.indices.put_mapping(index=index, meta=meta)
            assert expected in check_store_line(data, url)
        for path, body in requests_of(process.plan(configure_store(data, url))):
            if path == f"{index}/_mapping":
                admin.indices.put_mapping(index=index, body=body)
        assert "ok  " in check_store_line(data, url)
        admin.indices.delete(index=index)
    assert f"index {index} is missing" in check_store_line(data, url)


class OpenSearch(http.server.BaseHTTPRequestHandler):
    """Answers as OpenSearch does: well, and without the header by which Elasticsearch says what
    it is.
    """

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = (
            b'{"version": {"distribution": "opensearch", "number": "2.19.0"}, "has_all_requested":'
            b" true}"
        )
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  the standard library's name

    def log_message(self, *_args: object) -> None:
        pass


def test_check_recognises_another_product(data, tmp_path):
    """OpenSearch itself cannot be had here, so a server of ours answers like it; all other tests
    here use the real product.
    """
    certificates = make_certificates()
    (tmp_path / "ca.crt").write_bytes(certificates.authority)
    (tmp_path / "server.pem").write_bytes(certificates.certificate + certificates.key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), OpenSearch) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"elasticsearch://127.0.0.1:{server.server_port}?cafile={tmp_path}/ca.crt"
        line = check_store_line(data, url, lambda keys: keep(keys, "secret"))
        server.shutdown()
        thread.join()
    assert "FAULT  incident store: Elasticsearch at https://127.0.0.1" in line
    assert "another product, such as OpenSearch" in line
