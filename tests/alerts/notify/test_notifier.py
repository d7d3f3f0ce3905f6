"""Notifications as alert runs them: threads, the worker's loop, the command line."""

import json
import re
import threading
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from alerts.http_post import UndeliveredError
from alerts.notify.guarded_channel import find_unusable
from alerts.notify.sender import open_notifier
from alerts.records import Incident, Notification
from alerts.service.process import count_undelivered
from alerts.store import DocumentFilter
from deploy.local.webhook import new_key
from tests.alerts.builders import finding, record, stage
from tests.alerts.notify.support import T0, RecordingChannel, incident, log_of, store_all
from tests.alerts.test_command import publish
from ullage.cli import app
from ullage.errors import ConfigError
from ullage.settings import Context

KEY = new_key()
CONFIG = """
metrics = false
[tenants.bank]
[notify]
page = "https://page.example/"
group_seconds = 0
[notify.channels.soc]
[notify.routes.all]
channels = ["soc"]
severity = "notice"
"""


@pytest.fixture
def webhook_data(data, receiver):
    """Return a data folder with a webhook to the receiver."""
    (data / "ullage.toml").write_text(CONFIG, encoding="utf-8")
    (data / "keys" / "notify").mkdir(mode=0o700, exist_ok=True)
    secret = data / "keys" / "notify" / "soc"
    secret.touch(mode=0o600)
    secret.write_text(f"{receiver.url}\n{KEY}\n", encoding="utf-8")
    return data


@pytest.fixture
def run(webhook_data, monkeypatch):
    monkeypatch.setattr("ullage.runtime.service.stop_on_signals", lambda stop: None)

    def ran(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["--data", str(webhook_data), *words])
        assert result.exit_code == code, result.output
        return result.output

    return ran


class HangingChannel(RecordingChannel):
    """A channel that hangs until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.let_go = threading.Event(), threading.Event()

    def send(self, message) -> None:
        self.entered.set()
        self.let_go.wait(120)
        super().send(message)


class Prompt(RecordingChannel):
    def __init__(self) -> None:
        super().__init__()
        self.done = threading.Event()

    def send(self, message) -> None:
        super().send(message)
        self.done.set()


def test_hanging_channel_delays_neither_grouping_nor_other_channels(notifier, store, clock):
    hanging, prompt = HangingChannel(), Prompt()
    running = notifier(
        {"held": hanging, "prompt": prompt},
        group_seconds=0,
        route={"channels": ["held", "prompt"], "escalate_to": []},
    )
    running.start()
    try:
        running.plan(store_all(store, [incident("A")]))
        assert hanging.entered.wait(60)
        running.plan(store_all(store, [incident("B")]))  # returns, which is the point
        assert prompt.done.wait(60)
        assert hanging.sent == []
    finally:
        hanging.let_go.set()
        running.close()
    assert [message.entries[0].incident for message in hanging.sent][:1] == ["INC-A"]


def test_permanent_error_ends_the_loop(notifier, store, clock, monkeypatch):
    running = notifier({"soc": RecordingChannel()})
    failed = threading.Event()

    def deny(*_):
        failed.set()
        raise ConfigError("the store refuses the permission")

    monkeypatch.setattr(store, "scroll", deny)
    running.start()
    assert failed.wait(60)
    running._running[0].thread.join(60)
    with pytest.raises(ConfigError, match="refuses the permission"):
        running.turn()
    running.close()


def test_crashed_sender_is_restarted(notifier, store, monkeypatch, log_stream):
    running = notifier({"soc": RecordingChannel()})
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    monkeypatch.setattr(store, "scroll", lambda *_: 1 / 0)
    running.start()
    running._running[0].thread.join(60)
    monkeypatch.undo()
    running.turn()
    assert running._running[0].thread.is_alive()
    assert "sender_died" in log_stream.getvalue()
    running.close()


def test_incidents_are_notified_before_the_batch_is_committed(store, clock):
    incidents: list[Incident] = []
    alert = stage(store, clock)
    object.__setattr__(alert, "tell", incidents.extend)

    alert.handle(
        [
            record(finding("f", range(10), people="ab")),
            record(finding("g", range(90, 99), people="c")),
        ]
    )
    assert {i.id for i in incidents} == {
        i.id for i in store.mget(Incident, [i.id for i in incidents]).values()
    }
    assert len(incidents) == 2


def test_flush_does_not_wait_for_a_group(notifier, store, soc):
    running = notifier({"soc": soc})
    running.plan(store_all(store, [incident()]))
    running._stop.set()  # it would wait for what is not due yet
    running.flush()
    assert soc.told == [[("INC-A", "high", "new")]]


def test_undelivered_count_covers_what_is_due(webhook_data, store):
    context = Context(webhook_data)
    fields = {
        "what": "high",
        "tenant": "bank",
        "incident": "INC-A",
        "severity": "high",
        "why": "new",
    }
    at, later = T0, context.clock.now() + timedelta(hours=1)
    store.put(
        [
            Notification(
                id=f"{channel}{number}", channel=channel, outcome=outcome, at=at, due=due, **fields
            )
            for number, (channel, outcome, due) in enumerate(
                [
                    ("soc", "pending", at),
                    ("boss", "pending", at),
                    ("soc", "sent", at),
                    ("soc", "pending", later),
                ]
            )
        ]
    )
    assert count_undelivered(store, "soc", context) == 1


def test_alert_once_delivers_each_incident_only_once(webhook_data, receiver, run):
    publish(
        Context(webhook_data),
        finding("f", range(10), people="ab").encode(),
        finding("g", range(90, 99), people="c").encode(),
    )
    run("alert", "--once")
    run("alert", "--once")
    [got] = receiver.received
    assert got.signed_with(KEY)
    ids = {json.loads(line)["id"] for line in run("incidents", "list", "--json").splitlines()}
    assert {item["id"] for item in got.json["incidents"]} == ids
    assert len(ids) == 2
    assert all(set(item) == {"id", "severity", "why", "url"} for item in got.json["incidents"])
    assert all(
        item["url"] == f"https://page.example/incidents/{item['id']}"
        for item in got.json["incidents"]
    )


def test_undelivered_notification_is_sent_by_the_next_run(
    webhook_data, receiver, run, store, monkeypatch
):
    monkeypatch.setattr("ullage.clock.Backoff.next", lambda *_: 0.01)
    receiver.answer = lambda _: (503, {}, b"")
    publish(Context(webhook_data), finding("f", range(10), people="ab").encode())
    run("alert", "--once")
    [notification] = log_of(store).values()
    assert (notification.outcome, notification.attempts) == ("pending", 3)
    receiver.answer = lambda _: (200, {}, b"")
    run("alert", "--once")
    [notification] = log_of(store).values()
    assert notification.outcome == "sent"


def test_notify_test_sends_one_message_about_no_incident(receiver, run):
    assert "delivered to soc" in run("notify", "test", "soc")
    [got] = receiver.received
    assert got.json["incidents"][0]["id"] == "INC-TEST"


def test_missing_or_failing_channel_is_a_one_line_error(webhook_data, receiver):
    runner = CliRunner()
    for words, reason, error in (
        (["notify", "test", "nobody"], "unknown channel: use soc", ConfigError),
        (["notify", "test", "soc"], "channel soc: answers 500", UndeliveredError),
    ):
        receiver.answer = lambda _: (500, {}, b"secret")
        result = runner.invoke(app, ["--data", str(webhook_data), *words])
        assert isinstance(result.exception, error)
        assert reason in str(result.exception)


def test_log_shows_what_was_sent_to_whom(webhook_data, run):
    assert run("notify", "log") == "Nothing in the log.\n"
    publish(Context(webhook_data), finding("f", range(10), people="ab").encode())
    run("alert", "--once")
    assert re.search(r" CST\tsent\tINC-\w+\t1\tsoc\t", run("notify", "log"))
    [row] = map(json.loads, run("notify", "log", "--json", "--outcome", "sent").splitlines())
    assert (row["channel"], row["outcome"], row["attempts"]) == ("soc", "sent", 1)
    assert run("notify", "log", "--json", "--outcome", "failed") == ""


def test_check_reaches_each_channel_and_sends_nothing(webhook_data, receiver, run):
    secret = webhook_data / "keys" / "notify" / "soc"
    # 1 because no watchlist is loaded
    assert "ok     channel soc: 127.0.0.1:" in run("check", code=1)
    assert receiver.received == []
    secret.chmod(0o644)
    assert f"FAULT  channel soc: key {secret} has mode 0644; make it 0600" in run("check", code=1)
    secret.unlink()
    assert "FAULT  channel soc: secret notify/soc is not in" in run("check", code=1)


def remove(secret):
    secret.unlink()


def empty(secret):
    secret.write_text("")


def expose(secret):
    secret.chmod(0o644)


def replace_by_folder(secret):
    secret.unlink()
    secret.mkdir()


def mistype(secret):
    secret.write_text("no address\n")


@pytest.mark.parametrize("spoil", [remove, empty, expose, replace_by_folder, mistype])
def test_alert_stores_incidents_while_a_channel_has_no_usable_secret(
    webhook_data, receiver, run, store, spoil
):
    secret = webhook_data / "keys" / "notify" / "soc"
    spoil(secret)
    publish(Context(webhook_data), finding("f", range(10), people="ab").encode())
    run("alert", "--once")
    assert store.count(Incident, DocumentFilter()) == 1
    [waiting_one] = log_of(store).values()
    assert waiting_one.outcome == "pending"
    assert receiver.received == []


def test_channel_delivers_without_a_restart_once_its_secret_is_corrected(
    webhook_data, receiver, store, clock, log_stream
):
    secret = webhook_data / "keys" / "notify" / "soc"
    lines = secret.read_text()
    secret.write_text("no address\n")
    registry, context = CollectorRegistry(), Context(webhook_data, clock.as_clock())
    running = open_notifier(context, store, registry, lambda _: ())

    def usable():
        return registry.get_sample_value("ullage_notification_channel_usable", {"channel": "soc"})

    def recipients():
        return registry.get_sample_value("ullage_notification_channels", {"tenant": "bank"})

    assert (usable(), recipients()) == (0, 0)
    running.plan(store_all(store, [incident()]))
    [sender] = running.senders
    sender.send_due(flush=True)
    assert "the first line must be an address" in find_unusable(store, ["soc"])["soc"]
    secret.write_text(lines)
    clock.advance(120)
    sender.send_due(flush=True)
    assert len(receiver.received) == 1
    assert (usable(), recipients()) == (1, 1)
    assert not find_unusable(store, ["soc"])
    assert log_stream.getvalue().count("channel_unusable") == 1
    assert "no address\n" not in log_stream.getvalue()


def test_lease_is_used_only_where_processes_share_a_bus(webhook_data, store):
    alone = open_notifier(Context(webhook_data), store, CollectorRegistry(), lambda _: ())
    assert alone.senders[0].holds() is True
    text = (webhook_data / "ullage.toml").read_text() + '[bus]\nurl = "kafka://127.0.0.1:9"\n'
    (webhook_data / "ullage.toml").write_text(text)
    first, second = (
        open_notifier(Context(webhook_data), store, CollectorRegistry(), lambda _: ())
        for _ in range(2)
    )
    assert first.senders[0].holds()
    assert not second.senders[0].holds()
    first.close()
    assert second.senders[0].holds()
