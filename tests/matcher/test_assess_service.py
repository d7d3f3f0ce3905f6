"""Files that are dropped on the page: judged by match, on a unix socket, in a process of their
own.
"""

import base64
import contextlib
import copy
import csv
import dataclasses
import errno
import io
import json
import os
import shutil
import socket
import stat
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, Self

import pytest
from prometheus_client import CollectorRegistry, Counter

from matcher.cli import assess_service
from matcher.cli.assess_service import (
    MOST_OF_ONE,
    RESERVED,
    RETRY_AFTER,
    AssessmentQueue,
    AssessmentService,
    FullError,
    _users,
    listening,
    received,
)
from matcher.watchlist import subjects
from tests.matcher.bank import customer, enrol
from tests.matcher.unpack import builders
from ullage import audit
from ullage.bus import FINDINGS
from ullage.clock import Clock
from ullage.errors import RecordError, UnavailableError
from ullage.records import FINDING_SCHEMA, Finding
from ullage.runtime import assessing
from ullage.security import keys
from ullage.security.signing import SIGNATURE, SIGNER, record_parts
from ullage.settings import Context

CUSTOMERS = [customer(n) for n in range(60)]
LEAK = "\n".join(
    [
        "姓名,手机,身份证",
        *(",".join((p["name"], p["phone"], p["resident_id"])) for p in CUSTOMERS[:50]),
    ]
).encode()


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the assessing process runs."""
    return Context(data)


@pytest.fixture
def bank(context: Context, enrol_once: Callable) -> Context:
    enrol_once(context.data, CUSTOMERS, "none")
    return context


@pytest.fixture
def outcomes() -> Counter:
    return Counter("outcomes", "What became of files.", ["outcome"], registry=CollectorRegistry())


@pytest.fixture
def service_folder(bank: Context, outcomes: Counter) -> Iterator[Path]:
    with listening(bank, outcomes):
        yield bank.data


class Client:
    """One connection, blocking."""

    def __init__(self, data: Path, **question: object) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(120)
        with assessing.address(data) as address:
            self.socket.connect(address)
        self.file = self.socket.makefile("rb")
        self.send(json.dumps(question).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def send(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.socket.sendall(assessing.to_frame(payload))

    def line(self) -> dict:
        """Return the next line of the response, or {} at its end."""
        try:
            return json.loads(self.file.readline() or b"{}")
        except ConnectionResetError:  # it hung up before it took all that was sent
            return {}

    def until(self, name: str) -> list[dict]:
        """Return the lines up to and including the one of that name."""
        lines = [self.line()]
        while lines[-1] and name not in lines[-1]:
            lines.append(self.line())
        assert name in lines[-1], lines
        return lines


def assess(data: Path, body: bytes, **more: object) -> list[dict]:
    with Client(data, verb="assess", **{"name": "leak.csv", **more}) as client:
        client.until("go")
        client.send(*(body[n : n + 100_000] for n in range(0, len(body), 100_000)), b"")
        return client.until("done")


def select(lines: list[dict], field: str) -> list:
    return [line[field] for line in lines if field in line]


@pytest.fixture(scope="module")
def leak_response(
    tmp_path_factory: pytest.TempPathFactory, fresh_data: Path, enrol_once: Callable
) -> tuple[list[dict], Path]:
    """Return the response to `LEAK`, with its finding, and the data folder that assessed it."""
    data = shutil.copytree(fresh_data, tmp_path_factory.mktemp("dropped") / "data")
    enrol_once(data, CUSTOMERS, "none")
    with listening(
        Context(data),
        Counter("outcomes", "What became of files.", ["outcome"], registry=CollectorRegistry()),
    ):
        return assess(data, LEAK, hold_bytes=2**26), data


def test_service_gives_same_verdict_as_command(
    leak_response: tuple, bank: Context, ullage, tmp_path: Path
) -> None:
    [verdict] = select(leak_response[0], "verdict")
    (tmp_path / "leak.csv").write_bytes(LEAK)
    by_command = json.loads(ullage("assess", tmp_path / "leak.csv", "--json").stdout)
    assert verdict.pop("code") == 0
    assert verdict == by_command
    assert verdict["tenants"][0]["customers"] == 50


def test_service_returns_same_customers_csv_as_command(
    leak_response: tuple, bank: Context, ullage, tmp_path: Path
) -> None:
    lines, _ = leak_response
    (tmp_path / "leak.csv").write_bytes(LEAK)
    ullage("assess", tmp_path / "leak.csv", "--customers", tmp_path / "out.csv")
    told_here = "".join(select(lines, "customers"))
    assert told_here == (tmp_path / "out.csv").read_bytes().decode()
    assert len(list(csv.DictReader(io.StringIO(told_here)))) == 50


def test_customers_beyond_listed_matches_are_still_named(bank: Context, outcomes: Counter) -> None:
    (bank.data / "ullage.toml").write_text("[match]\ncapture_matches = 10\n")
    with listening(Context(bank.data), outcomes):
        lines = assess(bank.data, LEAK)
    rows = list(csv.DictReader(io.StringIO("".join(select(lines, "customers")))))
    assert len({row["handle"] for row in rows}) == len(rows) == 50
    assert sum(bool(row["kinds"]) for row in rows) < 50


def test_file_is_not_stored_and_values_are_not_returned(
    leak_response: tuple,
) -> None:
    lines, data = leak_response
    written = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    plain_findings = (
        base64.b64decode(select(lines, "finding")[0]["value"])
        + json.dumps(lines, ensure_ascii=False).encode()
        + written
    )
    assert not [
        p
        for p in CUSTOMERS
        for kind in ("name", "phone", "resident_id")
        if p[kind].encode() in plain_findings
    ]


def test_returned_findings_are_published_as_signed(
    leak_response: tuple, service_folder: Path, bank: Context
) -> None:
    """The keys of this data folder are those of the one where the file was judged."""
    finding_lines = select(leak_response[0], "finding")
    assert Context(leak_response[1]).bus().subscribe(FINDINGS, "test").poll(9, 0.0) == []
    subscription = bank.bus().subscribe(FINDINGS, "test")
    with Client(service_folder, verb="open") as client:
        client.until("go")
        client.send(*(json.dumps(line).encode() for line in finding_lines), b"")
        [handed] = select(client.until("done"), "handed")
    [record] = subscription.poll(9, 0.0)
    subscription.close()
    finding = Finding.decode(record.value, FINDING_SCHEMA)
    assert handed == {finding.id: "bank"}
    verifier = keys.load_verifier(bank.keys, FINDINGS)
    parts = record_parts(FINDINGS, record.headers, record.value)
    verifier.verify(record.headers[SIGNER], record.headers[SIGNATURE], "finding", *parts)
    assert len({match.subject for match in finding.matches}) == 50


def test_immediate_open_publishes_the_finding(service_folder: Path, bank: Context) -> None:
    lines = assess(service_folder, LEAK, to_open=True)
    [record] = bank.bus().subscribe(FINDINGS, "test").poll(9, 0.0)
    assert select(lines, "handed") == [{record.headers["id"]: "bank"}]
    assert select(lines, "finding") == []


def test_findings_too_large_to_hold_are_reported(service_folder: Path) -> None:
    assert select(assess(service_folder, LEAK, hold_bytes=10), "unheld") == [True]


@pytest.mark.parametrize("spoilt", ["value", "id", "signer"])
def test_altered_finding_is_not_published(
    leak_response: tuple, service_folder: Path, bank: Context, spoilt: str
) -> None:
    finding = copy.deepcopy(select(leak_response[0], "finding")[0])
    if spoilt == "value":
        finding["value"] = base64.b64encode(base64.b64decode(finding["value"]) + b" ").decode()
    elif spoilt == "id":
        finding["headers"]["id"] = "f" * 32
    else:
        finding["headers"]["signer"] = "0" * 16
    with Client(service_folder, verb="open") as client:
        client.until("go")
        client.send(json.dumps(finding).encode(), b"")
        client.until("error")
        assert client.line() == {}
    assert bank.bus().subscribe(FINDINGS, "test").poll(9, 0.0) == []


def make_encrypted_zip() -> bytes:
    """Return a zip whose one member is marked as encrypted."""
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as packed:
        packed.writestr("a.csv", LEAK)
    body = bytearray(buffer.getvalue())
    body[6] |= 1
    body[body.index(b"PK\x01\x02") + 8] |= 1
    return bytes(body)


def test_unreadable_file_has_no_verdict_and_a_reason(service_folder: Path) -> None:
    [verdict] = select(assess(service_folder, make_encrypted_zip(), name="a.zip"), "verdict")
    assert (verdict["verdict"], verdict["code"]) == ("no verdict", 3)
    assert "encrypted" in [part["reason"] for part in verdict["not_read"]]


def test_containers_are_read(service_folder: Path) -> None:
    cells = [line.split(",") for line in LEAK.decode().splitlines()]
    rows = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row) + "</row>"
        for row in cells
    )
    [verdict] = select(
        assess(service_folder, builders.xlsx_of({"Sheet1": rows}), name="leak.xlsx"), "verdict"
    )
    assert verdict["tenants"][0]["customers"] == 50


def test_client_disconnect_ends_the_work(service_folder: Path, outcomes: Counter) -> None:
    with Client(service_folder, verb="assess") as client:
        client.until("go")
        client.send(LEAK)
    assert select(assess(service_folder, LEAK), "verdict"), "nobody is in its way any more"
    assert outcomes.labels("gone")._value.get() == 1


def service(
    outcomes: Counter,
    program: str,
    users: frozenset[int] = frozenset({os.getuid()}),
    seconds: float = 60.0,
) -> AssessmentService:
    return AssessmentService(
        users, seconds, Clock(), outcomes, lambda *_: (sys.executable, "-c", program)
    )


HOLDS = (
    'import socket, sys; s = socket.socket(fileno=int(sys.argv[1])); s.sendall(b\'{"judging":'
    " 1}\\n'); s.recv(1)"
)
"""Judges a file until its client sends something more."""


class Peer(Client):
    """A connection to a service that has no socket of its own."""

    def __init__(self, made: AssessmentService, *tenants: str, verb: str = "assess") -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(60)
        self.file = self.socket.makefile("rb")
        made.accept(theirs)
        self.send(json.dumps({"verb": verb, **({"tenants": tenants} if tenants else {})}).encode())

    def drop(self, body: bytes = b"x") -> Self:
        self.until("go")
        self.send(body, b"")
        return self


@pytest.fixture
def holding(outcomes: Counter) -> AssessmentService:
    running = service(outcomes, HOLDS)
    return dataclasses.replace(
        running, program=lambda connection, _: (sys.executable, "-c", HOLDS, str(connection))
    )


def test_slow_upload_delays_nobody(holding: AssessmentService) -> None:
    with Peer(holding, "bank") as slow, Peer(holding, "shop") as shop:
        slow.until("go")
        slow.socket.sendall(assessing.to_frame(b"x" * 100)[:5])
        shop.drop().until("judging")


def test_files_are_assessed_one_at_a_time_with_tenants_in_turn(holding: AssessmentService) -> None:
    with contextlib.ExitStack() as stack:
        (first := stack.enter_context(Peer(holding, "bank"))).drop().until("judging")
        (second := stack.enter_context(Peer(holding, "bank"))).drop().until(
            "place"
        )  # who has come is told so before the next comes
        (third := stack.enter_context(Peer(holding, "bank"))).drop().until("place")
        shop = stack.enter_context(Peer(holding, "shop")).drop()
        assert shop.until("place")[-1] == {"place": 1}
        assert stack.enter_context(Peer(holding, "shop", verb="status")).line() == {"waiting": 1}
        assert stack.enter_context(Peer(holding, "bank", verb="status")).line() == {"waiting": 3}
        first.close()
        shop.until("judging")
        shop.close()
        second.until("judging")
        second.close()
        third.until("judging")


def test_full_queue_rejects_only_that_tenant(
    holding: AssessmentService,
) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_OF_ONE):
            stack.enter_context(Peer(holding, "bank")).until("go")
        late = stack.enter_context(Peer(holding, "bank"))
        assert late.line()["busy"] == {"waiting": MOST_OF_ONE, "retry_after": RETRY_AFTER}
        assert late.line() == {}
        stack.enter_context(Peer(holding, "shop")).drop().until("judging")


def test_queue_memory_is_bounded_and_shared_by_tenant() -> None:
    queue, gib = AssessmentQueue(), 1 << 30
    with contextlib.ExitStack() as stack:
        a, b, c, d = (stack.enter_context(queue.place(name)) for name in ("a", "b", "c", "a"))
        queue.hold(a, gib)
        queue.hold(b, gib)
        for connection, size in ((d, 1), (c, RESERVED + 1)):
            with pytest.raises(FullError):
                queue.hold(connection, size)
        queue.hold(c, RESERVED)


def test_slow_upload_is_aborted_with_an_error(
    holding: AssessmentService, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = dataclasses.replace(holding, clock=clock.as_clock())
    with Peer(slow, "bank") as dripping:
        dripping.until("go")
        clock.advance(3600)
        dripping.socket.sendall(assessing.to_frame(b"x" * 100)[:5])
        assert (
            "KiB per second: send it over a faster connection"
            in dripping.until("error")[-1]["error"]
        )
    monkeypatch.setattr(assess_service, "SILENT_SECONDS", 0.05)
    with Peer(holding, "bank") as silent:
        assert "no data of the file arrived for" in silent.until("error")[-1]["error"]


def ask_to_assess(running: AssessmentService) -> bytes:
    """Return the bytes that a client receives when it asks for an assessment."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.settimeout(60)
        running.accept(theirs)
        with contextlib.suppress(BrokenPipeError):
            ours.sendall(assessing.to_frame(b'{"verb": "assess"}') + assessing.to_frame(b""))
        heard = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := ours.recv(1 << 16):
                heard += chunk
    return heard


def test_killed_worker_is_reported(outcomes: Counter) -> None:
    heard = ask_to_assess(
        service(outcomes, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    )
    assert b"died" in json.loads(heard.splitlines()[-1])["error"].encode()


def test_worker_over_time_limit_is_killed_and_reported(outcomes: Counter) -> None:
    heard = ask_to_assess(service(outcomes, "import signal; signal.pause()", seconds=0.2))
    assert "longer than" in json.loads(heard.splitlines()[-1])["error"]


def test_other_user_gets_no_answer(outcomes: Counter) -> None:
    assert ask_to_assess(service(outcomes, "", users=frozenset({os.getuid() + 1}))) == b""
    assert outcomes.labels("refused")._value.get() == 1


def test_socket_is_in_shared_folder_for_permitted_users(
    bank: Context, outcomes: Counter, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    chosen = {"assess_folder": str(shared), "assess_users": (str(os.getuid() + 1),)}
    bank.settings = bank.settings.model_copy(
        update={"match": bank.settings.match.model_copy(update=chosen)}
    )
    with listening(bank, outcomes):
        assert stat.S_IMODE((shared / assessing.NAME).stat().st_mode) == 0o660
        assert not (bank.data / assessing.NAME).exists()
        assert select(assess(assessing.folder_of(bank), LEAK), "done")
    assert list(shared.iterdir()) == []
    assert _users(("10004",)) == {os.getuid(), 10004}


@pytest.mark.parametrize(
    "said",
    [b"{}", b'{"verb": "assess", "size": 2000000000}', b"\xff", b'{"verb": "assess", "more": 1}'],
)
def test_malformed_or_oversized_request_is_rejected(service_folder: Path, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as client, assessing.address(service_folder) as address:
        client.connect(address)
        client.sendall(assessing.to_frame(said))
        assert client.recv(100) == b""


def make_framed_pair(*sent: bytes) -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    for chunk in sent:
        ours.sendall(chunk)
    return ours, theirs


def receive(theirs: socket.socket) -> contextlib.AbstractContextManager[int]:
    return received(
        theirs,
        (queue := AssessmentQueue()),
        queue.place("bank").__enter__(),
        Clock(),
        Clock().monotonic(),
    )


def test_body_over_size_limit_is_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(assessing, "MOST_BYTES", 10)
    ours, theirs = make_framed_pair(assessing.to_frame(b"1234567"), assessing.to_frame(b"1234567"))
    with ours, theirs, pytest.raises(RecordError, match="1 GiB"), receive(theirs):
        pass


def test_truncated_body_is_rejected() -> None:
    ours, theirs = make_framed_pair(assessing.to_frame(b"1234567"))
    ours.close()
    with theirs, pytest.raises(UnavailableError), receive(theirs):
        pass


def test_received_file_cannot_be_changed() -> None:
    ours, theirs = make_framed_pair(assessing.to_frame(b"1234567"), assessing.to_frame(b""))
    with ours, theirs, receive(theirs) as descriptor:
        file = Path(f"/proc/self/fd/{descriptor}")
        assert file.read_bytes() == b"1234567"
        with pytest.raises(PermissionError), file.open("r+b", buffering=0) as changed:
            changed.write(b"0")
    assert not file.exists()


def test_socket_is_owner_only_and_removed_on_stop(bank: Context, outcomes: Counter) -> None:
    place = bank.data / assessing.NAME
    with listening(bank, outcomes):
        assert place.stat().st_mode & 0o777 == 0o600
    assert not place.exists()


def test_second_service_leaves_socket_of_first(
    service_folder: Path, bank: Context, outcomes: Counter
) -> None:
    with listening(bank, outcomes):
        pass
    assert select(assess(service_folder, LEAK), "verdict")


def test_stale_socket_is_replaced(bank: Context, outcomes: Counter) -> None:
    with socket.socket(socket.AF_UNIX) as stale, assessing.address(bank.data) as address:
        stale.bind(address)
    with listening(bank, outcomes):
        assert select(assess(bank.data, LEAK), "verdict")


APPROVED = {
    "incident": "INC-A",
    "case": "2026-17",
    "reason": "call them",
    "by": "Wang Fang",
    "approved_by": ["Zhao Min"],
}


@pytest.fixture
def resolving(data: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Return a data folder where one approval resolves pseudonyms, and its pseudonyms."""
    (data / "ullage.toml").write_text(
        "[tenants.bank]\nreference_approvals = 1\nreference_budget = 3\n", encoding="utf-8"
    )
    context = Context(data)
    enrol(context, "bank", CUSTOMERS[:3], "none")
    (data / "building").mkdir(mode=0o700)
    home = (data / "bank.subjects").rename(data / "building" / "bank.subjects")
    pairs = [
        line.split(",")
        for _, plain in subjects._decrypt(home, context.keys, "bank")
        for line in plain.decode().split()
    ]
    with listening(
        context,
        Counter("outcomes", "What became of files.", ["outcome"], registry=CollectorRegistry()),
    ):
        yield data, dict(pairs)


def resolve(data: Path, pseudonyms: list[str], **more: object) -> list[dict]:
    with Client(
        data, **{"verb": "resolve", "tenants": ["bank"], "approval": APPROVED, **more}
    ) as client:
        client.until("go")
        client.send("\n".join(pseudonyms).encode(), b"")
        return client.until("done")


def test_approved_pseudonyms_are_resolved_after_audit_entry(
    resolving: tuple[Path, dict[str, str]],
) -> None:
    data, customers = resolving
    [first, *_] = customers
    [resolved] = select(resolve(data, [first, "f" * 32]), "references")
    assert resolved == {first: customers[first]}
    [(_, entry)] = audit.read_entries(data / "audit")
    assert (entry.action, entry.actor, entry.tenant, entry.reason) == (
        "subjects.resolve",
        "Wang Fang",
        "bank",
        "call them",
    )
    assert (
        entry.object
        == "case 2026-17, incident INC-A: 2 pseudonyms requested, 1 found, approved by Zhao Min"
    )


def test_invented_approvers_cannot_exceed_daily_budget(
    resolving: tuple[Path, dict[str, str]],
) -> None:
    data, customers = resolving
    made_up = {"approval": {**APPROVED, "approved_by": ["Nobody"]}}
    for pseudonym in [*customers][:2]:
        assert select(resolve(data, [pseudonym], **made_up), "references")
    assert select(resolve(data, [*customers], **made_up), "unresolved") == ["budget"]
    assert select(resolve(data, [[*customers][2]], **made_up), "references")
    assert select(resolve(data, [[*customers][2]], **made_up), "unresolved") == ["budget"]
    actions = [entry.action for _, entry in audit.read_entries(data / "audit")]
    assert actions == [
        f"subjects.{what}"
        for what in ("resolve", "resolve", "over_budget", "resolve", "over_budget")
    ]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"approval": {**APPROVED, "approved_by": []}}, "approval"),
        ({"approval": {**APPROVED, "approved_by": ["Wang Fang"]}}, "approval"),
        ({"approval": None}, "approval"),
        ({"tenants": None}, "approval"),
        ({"tenants": ["bank", "shop"]}, "approval"),
        ({"tenants": ["shop"]}, "off"),
    ],
)
def test_unapproved_request_is_not_resolved(
    resolving: tuple[Path, dict[str, str]], more: dict, why: str
) -> None:
    data, customers = resolving
    lines = resolve(data, [*customers], **more)
    assert select(lines, "unresolved") == [why]
    assert select(lines, "references") == []
    assert not (data / "audit").exists()


@pytest.mark.parametrize(
    ("gone", "why"), [("building/bank.subjects", "absent"), ("keys/bank/resolver.key", "absent")]
)
def test_missing_resolver_key_or_table_resolves_nothing(
    resolving: tuple[Path, dict[str, str]], gone: str, why: str
) -> None:
    data, customers = resolving
    with Client(data, verb="status", tenants=["bank"]) as client:
        assert client.line()["resolves"] == ["bank"]
    (data / gone).unlink()
    assert select(resolve(data, [*customers]), "unresolved") == [why]
    with Client(data, verb="status", tenants=["bank"]) as client:
        assert "resolves" not in client.line()


def test_pseudonym_is_resolved_while_a_file_is_assessed(holding: AssessmentService) -> None:
    with Peer(holding, "bank") as first, Peer(holding, "bank", verb="resolve") as second:
        first.drop().until("judging")
        second.drop().until("judging")


def test_running_out_of_descriptors_keeps_the_listener_alive(monkeypatch, outcomes):
    class Listener:
        errors: ClassVar = [
            OSError(errno.EMFILE, "x"),
            OSError(errno.ENFILE, "x"),
            OSError(errno.EBADF, "closed"),
        ]
        accepted = 0

        def accept(self):
            raise self.errors.pop(0)

    monkeypatch.setattr(assess_service, "PAUSE_SECONDS", 0.0)
    assess_service._accept(Listener(), None)
    assert Listener.errors == []
