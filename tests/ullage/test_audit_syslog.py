"""The copy of the audit log on a syslog receiver: every entry as it was written, whatever
becomes of the connection.
"""

import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from deploy.local.certificates import Authority
from tests.ullage.syslog_receiver import SyslogReceiver, parse
from ullage import setup
from ullage.audit import AuditEntry, Trail
from ullage.audit import syslog as sending
from ullage.audit.forwarding import FILE, AuditForwarder, count_waiting, find_fault, read_state
from ullage.audit.syslog import Receiver, read_url, to_message
from ullage.audit.witness import AuditWitness
from ullage.clock import Clock
from ullage.errors import ConfigError, CorruptError, UnavailableError
from ullage.runtime import service
from ullage.security.keys import KeyStore
from ullage.settings import Context

SECONDS = 60.0


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ullage.audit.forwarding.TURN_SECONDS", 0.2)


@pytest.fixture
def trails(tmp_path: Path) -> dict[str, Trail]:
    keys = KeyStore(tmp_path / "keys")
    return {
        name: Trail(tmp_path / "audit", name, keys, Clock(), max_segment=2_000)
        for name in ("command", "search")
    }


@pytest.fixture
def receiver(tmp_path: Path) -> SyslogReceiver:
    return SyslogReceiver(tmp_path)


def write(trail: Trail, count: int, reason: str = "case 7, 复核") -> None:
    for number in range(count):
        trail.append(
            "incident.ack", f"incident INC-{number}", actor="Li Wei", tenant="bank", reason=reason
        )


def forwarder(data: Path, receiver: SyslogReceiver) -> AuditForwarder:
    target = read_url(receiver.url(), data)
    assert target
    return AuditForwarder(data / "audit", target, Clock())


@contextmanager
def forwarding(data: Path, receiver: SyslogReceiver) -> Iterator[AuditForwarder]:
    stop, copier = threading.Event(), forwarder(data, receiver)
    thread = threading.Thread(target=copier.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield copier
    finally:
        stop.set()
        thread.join(SECONDS)
        assert not thread.is_alive()


def until(what: str, holds: object) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        threading.Event().wait(0.01)


def lines(trail: Trail) -> list[bytes]:
    return [
        line
        for path in sorted((trail.root / trail.chain).glob("*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]


def copies(receiver: SyslogReceiver, chain: str) -> list[bytes]:
    return [message.text for message in receiver.messages if message.parts["process"] == chain]


def test_receiver_gets_each_entry_once_in_order(trails, receiver, tmp_path):
    write(trails["command"], 12)
    with receiver.listening(), forwarding(tmp_path, receiver):
        receiver.wait_for(12)
        write(trails["search"], 3)
        write(trails["command"], 2)
        receiver.wait_for(17)
        until("all is delivered", lambda: count_waiting(tmp_path / "audit") == 0)
    for name, trail in trails.items():
        assert copies(receiver, name) == lines(trail)
    assert (receiver.connections, find_fault(tmp_path / "audit")) == (1, "")
    parts = receiver.messages[0].parts
    assert (parts["priority"], parts["program"], parts["kind"]) == ("109", "ullage", "incident.ack")
    assert '[meta sequenceId="1"]' in parts["facts"]
    assert datetime.fromisoformat(parts["at"]) == datetime.fromisoformat(
        receiver.messages[0].entry["at"]
    )


def test_entries_wait_for_an_absent_receiver_without_delaying_work(trails, receiver, tmp_path):
    with receiver.listening():
        pass  # it had a port once
    with forwarding(tmp_path, receiver):
        started = time.monotonic()
        write(trails["command"], 3)
        assert time.monotonic() - started < 5
        until("it is named", lambda: "3 audit entries wait" in find_fault(tmp_path / "audit"))
        assert f"audit log receiver 127.0.0.1:{receiver.port} does not respond" in find_fault(
            tmp_path / "audit"
        )
        with receiver.listening():
            receiver.wait_for(3)
            until("the fault is over", lambda: not find_fault(tmp_path / "audit"))
    assert copies(receiver, "command") == lines(trails["command"])


def test_receiver_that_keeps_disconnecting_gets_everything(trails, receiver, tmp_path, monkeypatch):
    monkeypatch.setattr("ullage.audit.forwarding.TURN_SECONDS", 1.0)
    receiver.most, receiver.more = 2, 2
    write(trails["command"], 7)
    with receiver.listening(), forwarding(tmp_path, receiver):
        until("all is delivered", lambda: count_waiting(tmp_path / "audit") == 0)
    assert receiver.connections > 1
    assert set(copies(receiver, "command")) == set(lines(trails["command"]))


def test_silent_receiver_times_out(trails, receiver, tmp_path, monkeypatch):
    monkeypatch.setattr(sending, "SECONDS", 0.3)
    write(trails["command"], 1)
    with receiver.listening():
        pass
    with socket.create_server(("127.0.0.1", receiver.port)):
        started = time.monotonic()
        with pytest.raises(
            UnavailableError, match=r"audit log receiver 127\.0\.0\.1:\d+ does not respond"
        ):
            forwarder(tmp_path, receiver).turn()
        assert time.monotonic() - started < 10


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_untrusted_receiver_gets_nothing(trails, receiver, tmp_path, wrong):
    write(trails["command"], 1)
    with receiver.listening():
        target = read_url(receiver.url(), tmp_path)
        if wrong == "authority":
            (tmp_path / "syslog-ca.pem").write_bytes(Authority().server().authority)
        else:
            target = Receiver("localhost.localdomain", target.port, target.trust)
        reason = (
            "is not trusted" if wrong == "authority" else "is for another name|does not respond"
        )
        with pytest.raises((ConfigError, UnavailableError), match=reason):
            AuditForwarder(tmp_path / "audit", target, Clock()).turn()
    assert receiver.messages == []


def test_chain_that_differs_from_the_delivered_one_is_sent_again(trails, receiver, tmp_path):
    trail = trails["command"]
    write(trail, 2)
    with receiver.listening():
        with forwarding(tmp_path, receiver):
            receiver.wait_for(2)
            until("all is delivered", lambda: count_waiting(tmp_path / "audit") == 0)
        shutil.rmtree(tmp_path / "audit" / "command")
        shutil.rmtree(tmp_path / "keys")
        shutil.rmtree(tmp_path / "inventory")
        write(
            Trail(tmp_path / "audit", "command", KeyStore(tmp_path / "keys"), Clock()),
            3,
            "another history",
        )
        with forwarding(tmp_path, receiver):
            receiver.wait_for(5)
    assert copies(receiver, "command")[2:] == lines(trail)


def test_damaged_chain_is_named_and_delays_no_other(trails, receiver, tmp_path):
    for trail in trails.values():
        write(trail, 3)
    path = tmp_path / "audit" / "command" / "0000000001.jsonl"
    content = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(content[0] + b"{}\n" + content[2])
    with receiver.listening(), forwarding(tmp_path, receiver):
        receiver.wait_for(4)
        until(
            "it is named",
            lambda: f"{path} is damaged behind entry 1" in find_fault(tmp_path / "audit"),
        )
    assert copies(receiver, "search") == lines(trails["search"])
    assert copies(receiver, "command") == [content[0].rstrip(b"\n")]


def test_entry_that_is_not_durable_is_not_sent(trails, receiver, tmp_path):
    write(trails["command"], 1)
    path = tmp_path / "audit" / "command" / "0000000001.jsonl"
    head = (path.parent / "head.json").read_bytes()
    write(trails["command"], 1)
    (path.parent / "head.json").write_bytes(head)  # as between the two steps of writing
    sent = forwarder(tmp_path, receiver)
    with receiver.listening():
        sent.receiver = read_url(receiver.url(), tmp_path)
        sent.turn()
        assert [message.entry["seq"] for message in receiver.wait_for(1)] == [1]
        sent.fail(UnavailableError("the test ends"))


def test_one_process_for_each_folder_sends(trails, receiver, tmp_path):
    write(trails["command"], 5)
    with receiver.listening(), forwarding(tmp_path, receiver), forwarding(tmp_path, receiver):
        receiver.wait_for(5)
        write(trails["command"], 5)
        receiver.wait_for(10)
    assert copies(receiver, "command") == lines(trails["command"])


def test_state_of_another_version_is_named_and_a_damaged_one_resends(tmp_path):
    path = tmp_path / FILE
    path.write_text(json.dumps({"version": 2, "delivered": {}, "fault": "", "more": 1}))
    with pytest.raises(CorruptError, match=r"syslog\.json has version 2, and this ullage reads 1"):
        read_state(tmp_path)
    assert "has version 2" in find_fault(tmp_path)
    path.write_text('{"delivered": {"command": [4, "')
    assert read_state(tmp_path).delivered == {}


def test_metric_shows_the_last_entry_delivered(trails, receiver, tmp_path):
    write(trails["command"], 3)
    registry = CollectorRegistry()
    registry.register(AuditWitness(trails["command"].keys.inventory, is_forwarded=True))

    def value() -> float | None:
        return registry.get_sample_value("ullage_audit_last_entry_sent", {"chain": "command"})

    assert value() == 0
    with receiver.listening(), forwarding(tmp_path, receiver):
        until("it is told", lambda: value() == 3)


def test_check_status_and_readyz_name_an_unresponsive_receiver(receiver, data, monkeypatch):
    with receiver.listening():
        url = f"syslog://127.0.0.1:{receiver.port}?cafile={receiver.folder}/syslog-ca.pem"
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        (data / "ullage.toml").write_text(
            f'metrics_ports.match = {port}\n[audit]\nsyslog = "{url}"\n'
        )
        context = Context(data)
        assert (
            f"ok     audit log receiver: 127.0.0.1 responds, {count_waiting(data / 'audit')}"
            " entries" in read_check(context)
        )
    refused = f"audit log receiver 127.0.0.1:{receiver.port} does not respond (Connection refused)"
    refused += ": check that it runs"
    assert f"FAULT  audit log receiver: {refused}" in read_check(context)
    monkeypatch.setattr(service, "stop_on_signals", lambda _stop: None)
    with service.running("match", CollectorRegistry(), port, context) as stop:
        context.trail().append("incident.ack", "incident INC-1", actor="Li Wei")
        until(
            "it is named",
            lambda: service.read_state(context.settings, "match").startswith(
                f"ready, but {refused}; "
            ),
        )
        with receiver.listening():
            until(
                "it is ready again",
                lambda: service.read_state(context.settings, "match") == service.READY,
            )
        stop.set()
    assert "incident.ack" in [message.parts["kind"] for message in receiver.messages]


def read_check(context: Context) -> str:
    return "\n".join(setup.check(context, {}))


@pytest.mark.parametrize(
    "url",
    [
        "syslog://user:word@host:1",
        "udp://host:514",
        "syslog://host:port",
        "syslog://",
        "syslog://h/x",
        "syslog://h?ca=x",
        "h:1",
    ],
)
def test_invalid_receiver_setting_is_rejected_and_not_echoed(url, tmp_path):
    with pytest.raises(
        ConfigError, match=r"audit\.syslog .*: use syslog://HOST:6514\?cafile=ca\.crt"
    ) as refused:
        read_url(url, tmp_path)
    assert "word" not in str(refused.value)


@given(st.text(), st.text(), st.text(max_size=300), st.datetimes(timezones=st.just(UTC)))
def test_any_entry_becomes_a_message_that_can_be_parsed(action, host, reason, at):
    entry = AuditEntry(
        seq=7, at=at, actor="Li", action=action, object="x", reason=reason, previous="0" * 64
    )
    message = parse(to_message("command", entry, host))
    assert message.text + b"\n" == entry.to_line()
