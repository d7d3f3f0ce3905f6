"""The Elasticsearch store beside the embedded one, and what it does when the server refuses,
stands still or is gone.
"""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from alerts.records import CLASSES, Audit, Claim, Incident
from alerts.store import DocumentFilter, IncidentStore, WriteResult, open_store
from alerts.store.elasticsearch_cluster import build_templates, index_name
from deploy.local.elasticsearch import find_java
from tests.alerts import builders
from tests.stores import ON_SERVERS, SERVERS, Backend, each_backend, empty_store, keep, require
from ullage.errors import ConfigError, RecordError, UnavailableError

T0 = datetime(2026, 9, 21, 12, 0, tzinfo=UTC)
OUTSIDE = "elasticsearch://10.1.2.3:9200"
backend = each_backend(*ON_SERVERS)
url = empty_store((Audit, Claim, Incident))


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[IncidentStore]:
    with contextlib.closing(open_store(url, tmp_path)) as opened:
        yield opened


def prefix(url: str) -> str:
    return url.partition("prefix=")[2].partition("&")[0]


def claim(n: int, **changes: Any) -> Claim:
    return Claim(
        **{"id": f"bank:candidates:{n}", "tenant": "bank", "incident": "INC-A", "at": T0, **changes}
    )


WHO = ("某银行", "支付平台", "證券公司", "City Bank")
WHAT = (
    "客户信息",
    "用户数据 10w",
    "信用卡四件套",
    "借款人通讯录",
    "VIP list",
    "银行卡",
    "手机号·姓名",
)
HOW = ("出售", "打包下载", "免费分享！", "SELL", "求购，私信")


def incident(n: int) -> Incident:
    return builders.incident(
        f"INC-{n:03d}",
        T0 + timedelta(minutes=n // 3, microseconds=n % 7),
        tenant=("bank", "shop")[n % 2],
        severity=("low", "medium", "high")[n % 3],
        exposure=n,
        origin=("ours", "unknown")[n % 5 == 0],
        kinds=("phone", "card")[: 1 + n % 2],
        sites=(f"site{n % 4}",),
        authors=(f"user_{n % 11}",),
        terms=("四件套",) if n % 13 == 0 else (),
        titles=(HOW[n % 5] + WHO[n % 4] + WHAT[n % 7], f"第{n}批"),
    )


QUERIES = {
    "all": DocumentFilter(),
    "one character": DocumentFilter(text="银"),
    "another character": DocumentFilter(text="證"),
    "a rare character": DocumentFilter(text="批"),
    "two characters": DocumentFilter(text="客户"),
    "two across a border": DocumentFilter(text="售某"),
    "three characters": DocumentFilter(text="四件套"),
    "three with a number": DocumentFilter(text="第12批"),
    "a long phrase": DocumentFilter(text="出售某银行客户信息"),
    "two phrases": DocumentFilter(text="信用卡 分享"),
    "latin": DocumentFilter(text="vip sell"),
    "half a word": DocumentFilter(text="VI"),
    "full width": DocumentFilter(text="ＶＩＰ"),
    "signs": DocumentFilter(text='"*:(AND) OR -客户~2 /.*/'),
    "signs alone": DocumentFilter(text="*:* -()"),
    "nothing": DocumentFilter(text="龙虾"),
    "text and filter": DocumentFilter({"severity": ("high",), "kinds": ("card",)}, text="银行"),
    "a set": DocumentFilter({"sites": ("site1", "site3"), "tenant": ("bank",)}),
    "before": DocumentFilter(
        {"origin": ("unknown",)}, before=T0 + timedelta(minutes=40, microseconds=3)
    ),
    "ids": DocumentFilter(
        text="客户", ids=[f"INC-{n:03d}" for n in range(100)], without=["INC-000", "INC-007"]
    ),
}


@pytest.mark.servers
def test_twenty_queries_have_the_same_answers_as_sqlite(
    store: IncidentStore, tmp_path: Path
) -> None:
    documents = [incident(n) for n in range(300)]
    with contextlib.closing(open_store("sqlite:///other.sqlite", tmp_path)) as embedded:
        answers = []
        for store_ in (embedded, store):
            assert store_.put(documents) == [WriteResult.CREATED] * 300
            store_.refresh()
            answers.append({name: list_paged_ids(store_, where) for name, where in QUERIES.items()})
            assert {name: store_.count(Incident, where) for name, where in QUERIES.items()} == {
                name: len(ids) for name, ids in answers[-1].items()
            }
    assert len(QUERIES) == 20
    assert answers[0] == answers[1]
    assert sum(bool(ids) for ids in answers[0].values()) >= 15


def list_paged_ids(store: IncidentStore, where: DocumentFilter) -> list[str]:
    """Return every id, in order, over pages of 70."""
    ids, after = [], "first"
    while after:
        page = store.search(Incident, where, 70, after.removeprefix("first"))
        ids += [document.id for document in page.items]
        after = page.after
    return ids


@pytest.mark.servers
def test_one_bad_document_of_a_thousand_is_rejected_alone(
    store: IncidentStore,
) -> None:
    documents = [claim(n, tenant="x" * 40_000 if n == 500 else "bank") for n in range(1000)]
    outcomes = store.put(documents)
    assert outcomes.index(WriteResult.REJECTED) == 500
    assert outcomes.count(WriteResult.CREATED) == 999
    store.refresh()
    assert store.count(Claim, DocumentFilter()) == 999


@pytest.mark.servers
@pytest.mark.parametrize("id_", ["", "x" * 513])
def test_invalid_document_id_spoils_no_other_document(store: IncidentStore, id_: str) -> None:
    assert store.put([claim(1), claim(2, id=id_), claim(3)]) == [
        WriteResult.CREATED,
        WriteResult.REJECTED,
        WriteResult.CREATED,
    ]
    assert store.get(Claim, id_) is None
    assert store.delete(Claim, [id_]) == 0
    with pytest.raises(RecordError):
        store.create([claim(4, id=id_)])


@pytest.mark.servers
@pytest.mark.parametrize("block", ["read_only_allow_delete", "write", "read_only"])
def test_read_only_block_is_waited_for(
    store: IncidentStore, backend: Backend, url: str, block: str
) -> None:
    index = index_name(prefix(url), Claim)
    assert backend.server
    with contextlib.closing(backend.server.client()) as admin:
        admin.indices.put_settings(index=index, settings={f"index.blocks.{block}": True})
        for write in (store.put, store.create):
            with pytest.raises(UnavailableError, match="read-only"):
                write([claim(1)])
        admin.indices.put_settings(index=index, settings={f"index.blocks.{block}": None})
    assert store.create([claim(1)]) == [True]


@pytest.mark.servers
def test_killed_server_is_waited_for_and_keeps_every_write(
    store: IncidentStore, backend: Backend
) -> None:
    assert backend.server
    assert store.create([claim(1)]) == [True]
    backend.server.kill()
    calls = (
        lambda: store.get(Claim, "x"),
        lambda: store.count(Claim, DocumentFilter()),
        lambda: store.put([claim(2)]),
        store.refresh,
    )
    for call in (*calls, lambda: list(store.scroll(Claim, DocumentFilter()))):
        with pytest.raises(UnavailableError) as raised:
            call()
        assert "\n" not in str(raised.value)
    backend.server.start()
    assert store.create([claim(1), claim(2)]) == [False, True]
    store.refresh()
    assert store.count(Claim, DocumentFilter()) == 2


@pytest.mark.servers
def test_wrong_login_or_certificate_is_a_one_line_error(
    backend: Backend, url: str, tmp_path: Path
) -> None:
    keep(tmp_path / "wrong", "guessed")
    assert backend.server
    for opened in (
        open_store(url, tmp_path, tmp_path / "wrong"),
        open_store(url.partition("&")[0], tmp_path),
        open_store(url.replace("prefix=ullage-", "prefix=others-"), tmp_path),
    ):
        with contextlib.closing(opened), pytest.raises(ConfigError) as raised:
            opened.get(Claim, "x")
        assert "\n" not in str(raised.value)
        assert "guessed" not in str(raised.value)


ABANDON = """
import os, signal, sys
from pathlib import Path
from deploy.local.elasticsearch import elasticsearch
with elasticsearch(Path(sys.argv[1]), sys.argv[2]) as server:
    print(server.port, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.servers
def test_node_ends_with_the_process_that_started_it(backend: Backend, tmp_path: Path) -> None:
    version = SERVERS[backend.name]
    result = subprocess.run(
        [sys.executable, "-c", ABANDON, str(tmp_path), version],
        capture_output=True,
        text=True,
        check=False,
    )
    with pytest.raises(ConnectionRefusedError):
        knock(int(result.stdout), 20.0)


def knock(port: int, seconds: float) -> None:
    """Connect again and again until it is refused, or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        socket.create_connection(("127.0.0.1", port), timeout=5.0).close()
        time.sleep(0.2)


@pytest.mark.servers
def test_missing_indexes_are_an_error_and_not_created(
    backend: Backend, url: str, tmp_path: Path
) -> None:
    missing_url = url.replace(prefix(url), "ullage-none-")
    with contextlib.closing(open_store(missing_url, tmp_path)) as missing:
        for call in (
            lambda: missing.put([claim(1)]),
            lambda: missing.get(Claim, "x"),
            lambda: missing.count(Claim, DocumentFilter()),
        ):
            with pytest.raises(ConfigError, match=r"templates|permission"):
                call()
    assert backend.server
    with contextlib.closing(backend.server.client()) as admin:
        assert not admin.indices.exists(index=index_name("ullage-none-", Claim))


@pytest.mark.servers
def test_indexes_have_ecs_names_and_keep_no_words(
    store: IncidentStore, backend: Backend, url: str
) -> None:
    store.put([incident(1)])
    store.refresh()
    assert backend.server
    with contextlib.closing(backend.server.client()) as admin:
        index = index_name(prefix(url), Incident)
        hit = admin.search(index=index, query={"term": {"organization.id": "shop"}})["hits"][
            "hits"
        ][0]["_source"]
    assert "words" not in hit
    assert hit["@timestamp"] == hit["time"] // 1000


@pytest.mark.parametrize(
    "url",
    [
        f"{OUTSIDE}?plain=1", "elasticsearch://localhost.example.test:9200?plain=1",
        "elasticsearch://127.0.0.1:1,10.1.2.3:1?plain=1",
        "elasticsearch://u:p@127.0.0.1:9200", "elasticsearch://127.0.0.1", "elasticsearch://",
        "elasticsearch://h:99999",
        f"{OUTSIDE}?cafile=absent", f"{OUTSIDE}?unknown=1", f"{OUTSIDE}?prefix", f"{OUTSIDE}/index",
        OUTSIDE,
    ],
)  # fmt: skip
def test_unsafe_or_ambiguous_url_is_rejected_in_one_line(tmp_path: Path, url: str) -> None:
    """The last lacks nothing but a password."""
    with pytest.raises(ConfigError) as raised:
        open_store(url, tmp_path)
    assert "\n" not in str(raised.value)
    assert "u:p" not in str(raised.value)


def test_loopback_http_and_a_systemd_credential_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = open_store("elasticsearch://127.0.0.1:1?plain=1", tmp_path)
    with contextlib.closing(plain), pytest.raises(UnavailableError):
        plain.get(Claim, "x")
    keep(tmp_path / "given", "secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "given"))
    open_store("elasticsearch://127.0.0.1:1", tmp_path).close()


def test_password_readable_by_others_is_rejected(tmp_path: Path) -> None:
    keep(tmp_path / "keys", "secret")
    (tmp_path / "keys" / "store.password").chmod(0o644)
    with pytest.raises(ConfigError, match="0600"):
        open_store(OUTSIDE, tmp_path)


def test_password_behind_a_link_is_rejected(tmp_path: Path) -> None:
    keep(tmp_path / "elsewhere", "secret")
    (tmp_path / "keys").mkdir(mode=0o700)
    (tmp_path / "keys" / "store.password").symlink_to(tmp_path / "elsewhere" / "store.password")
    with pytest.raises(ConfigError, match="is a symbolic link"):
        open_store(OUTSIDE, tmp_path)


def test_every_class_has_a_strict_template() -> None:
    templates = build_templates("ullage-")
    assert len(templates) == len(CLASSES)
    assert all(
        template["template"]["mappings"]["dynamic"] == "strict" for template in templates.values()
    )


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)]
)
def test_missing_server_fails_in_ci_and_is_skipped_elsewhere(monkeypatch, ci, outcome) -> None:
    def absent() -> None:
        raise UnavailableError("no Java: install one")

    monkeypatch.setattr("tests.stores.find_java", absent)
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="install one"):
        require("9.5.4")


def test_unsuitable_java_names_what_to_install(tmp_path: Path) -> None:
    old = tmp_path / "java-17"
    (old / "bin").mkdir(parents=True)
    (old / "bin" / "java").touch()
    (old / "release").write_text('JAVA_VERSION="17.0.9"\n', encoding="utf-8")
    with pytest.raises(UnavailableError, match="JDK of version 21"):
        find_java([old, tmp_path / "nothing"])
    (old / "release").write_text('IMPLEMENTOR="x"\nJAVA_VERSION="25"\n', encoding="utf-8")
    assert find_java([old]) == old
