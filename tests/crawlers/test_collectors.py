"""Collectors without a service: a scripted session shows what becomes of batches, gaps, kills,
lost logins and silence.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import typer
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from typer.testing import CliRunner

from crawlers.collectors import collector as running
from crawlers.collectors import session as sessions
from crawlers.collectors.channel import ChannelFolder, ChatChannel, read_channel
from crawlers.collectors.channel_log import ChannelLedger
from crawlers.collectors.cli import collect, parts
from crawlers.collectors.collector import Runner
from crawlers.collectors.metrics import CollectMetrics
from crawlers.collectors.session import (
    MAX_FILE_BYTES,
    MEANING,
    STATE_OF,
    BlindError,
    ChatMessage,
    DeliveryBatch,
    PostedFile,
    pieces,
)
from crawlers.configured_services import roles_of
from crawlers.intake.feed import IntakeWriter
from crawlers.intake.submission import CaptureLine
from crawlers.publishing.batching import PatientAppends
from crawlers.publishing.outbox import CaptureOutbox
from tests.crawlers.conftest import Station
from ullage.errors import ConfigError, CorruptError, UllageError
from ullage.records.heartbeat import STATES
from ullage.settings import Context
from ullage.settings.roles import IntakeSettings

GOOD = """service = "matrix"
address = "#loans:example.org"
account = "reader"
access = "open"
legal_basis = "test"
owner = "test"
expires = 2099-01-01
"""


def write(context: Context, name: str, text: str = GOOD) -> Path:
    folder = context.data / "channels.d"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(text)
    return folder / f"{name}.toml"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            ('access = "open"', 'access = "closed"'),
            "access: must be public or open: a closed channel is not read",
        ),
        (('access = "open"', ""), "access: Field required"),
        (("legal_basis", "basis"), "legal_basis: Field required"),
        (("expires = 2099-01-01", 'expires = "soon"'), "expires: "),
        (('"matrix"', '"icq"'), "service: "),
        (('"reader"', '"../x"'), "account: "),
        (("owner", "owner ="), "is not valid TOML"),
    ],
)
def test_channel_file_needs_a_legal_basis_and_access(
    context: Context, change: tuple[str, str], complaint: str
) -> None:
    path = write(context, "room", GOOD.replace(*change))
    with pytest.raises(ConfigError, match=complaint) as caught:
        read_channel(path)
    assert str(path) in str(caught.value)


def test_faulty_channel_file_does_not_affect_others(context: Context) -> None:
    (
        write(context, "a"),
        write(context, "b", GOOD.replace("matrix", "xmpp")),
        write(context, "bad", "x"),
    )
    write(context, "twice"), (context.data / "sites.d" / "twice.toml").write_text("")
    write(context, "other"), write(context, "off", GOOD + "enabled = false")
    folder = ChannelFolder(context.data, "sites.d")
    assert set(folder.read()) == {"a", "b"}
    assert set(folder.read("xmpp")) == {"b"}
    assert [Path(str(fault).split(":")[0]).name for fault in folder.faults] == [
        "bad.toml",
        "other.toml",
        "twice.toml",
    ]


def test_run_starts_configured_services_and_reports_faulty_files(context: Context) -> None:
    roles = roles_of(context)
    assert roles() == []
    write(context, "a"), write(context, "b", GOOD.replace("matrix", "xmpp"))
    write(context, "off", GOOD.replace("matrix", "telegram") + "enabled = false")
    assert roles() == ["collect matrix", "collect xmpp"]
    (
        write(context, "bad", GOOD.replace("matrix", "telegram").replace("open", "closed")),
        write(context, "worse", "x"),
    )
    with capture_logs() as logs:
        assert roles() == roles() == ["collect matrix", "collect xmpp", "collect telegram"]
    errors = sorted(line["error"].partition("channels.d/")[2][:15] for line in logs)
    assert errors == ["bad.toml: acces", "worse.toml: is "]
    context.settings = context.settings.model_copy(update={"intake": IntakeSettings(run=True)})
    assert roles_of(context)() == ["intake", "collect matrix", "collect xmpp", "collect telegram"]


def test_every_reason_has_a_state_and_is_documented() -> None:
    document = (Path(__file__).parents[2] / "docs" / "chats.md").read_text(encoding="utf-8")
    assert MEANING.keys() == STATE_OF.keys()
    assert set(STATE_OF.values()) <= set(STATES)
    for reason, meaning in MEANING.items():
        assert f"| `{reason}` | `{STATE_OF[reason]}` | {meaning} |" in document


def message(number: int, event: str = "", **more: object) -> ChatMessage:
    line = {
        "site": "loans",
        "channel": "#loans",
        "message_id": str(number),
        "text": f"text {number}",
        **more,
    }
    return ChatMessage(event or f"e{number}", CaptureLine.model_validate(line))


def batch(*numbers: int, **more: object) -> DeliveryBatch:
    return DeliveryBatch("loans", tuple(map(message, numbers)), **more)


class Script:
    """Opens sessions that play what stands in `plays`, one after the other; the last one then
    waits for ever.
    """

    def __init__(self, *plays: list[DeliveryBatch | Exception]) -> None:
        self.plays, self.opened, self.closed = list(plays), 0, 0
        self.cursors: list[str] = []
        self.waiting = asyncio.Event()

    def __call__(
        self,
        secret: list[str],
        account: str,
        channels: dict[str, ChatChannel],
        ledger: ChannelLedger,
    ) -> "Script":
        assert (secret, account) == (["token"], "reader")
        self.opened += 1
        self.cursors.append(ledger.cursor("c"))
        return self

    async def batches(self) -> AsyncIterator[DeliveryBatch]:
        for batch in self.plays.pop(0) if self.plays else ():
            if isinstance(batch, Exception):
                raise batch
            yield batch
        self.waiting.set()
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed += 1


class Desk:
    """A runner over the data folder's own bus."""

    def __init__(self, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
        crawl = context.settings.crawl.model_copy(update={"heartbeat_seconds": 0.0})
        context.settings = context.settings.model_copy(update={"crawl": crawl})
        self.context = context
        monkeypatch.setattr(running, "TURN_SECONDS", 0.02)
        monkeypatch.setattr(
            running,
            "Backoff",
            lambda **_: type("At", (), {"next": lambda _: 0.0, "reset": lambda _: None})(),
        )
        (context.keys.root / "collect").mkdir(mode=0o700)
        (context.keys.root / "collect" / "reader").write_text("token\n")
        (context.keys.root / "collect" / "reader").chmod(0o600)
        self.registry = CollectorRegistry()
        self.ledger = ChannelLedger.of(context, "matrix")

    def run(self, script: Script, until: Callable[[], bool]) -> None:
        """Run until `until` says so, then kill: nothing is closed in order."""
        metrics = CollectMetrics(CollectorRegistry(), self.context.clock)
        feed, bus = IntakeWriter.of(self.context), self.context.bus()
        appends = PatientAppends(
            bus, feed.outbox, self.context.clock, metrics.loop, metrics.captures, 3600.0
        )
        folder = ChannelFolder(self.context.data, "sites.d")
        self.runner = Runner(
            self.context, "matrix", folder, self.ledger, feed, appends, metrics, script
        )
        self.metrics = metrics

        async def act() -> None:
            task = asyncio.create_task(self.runner.run(asyncio.Event()))
            for _ in range(2000):
                if until() or task.done():
                    break
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(act())
        assert until()
        appends.on_bus.close()
        bus.close()

    def standing(self, name: str = "loans"):
        return self.ledger.standing(name)


@pytest.fixture
def desk(context: Context, monkeypatch: pytest.MonkeyPatch) -> Desk:
    write(context, "loans")
    return Desk(context, monkeypatch)


OK = DeliveryBatch(answered=("loans",))


def test_coverage_of_each_channel_is_reported_including_unreadable_ones(
    desk: Desk, context: Context, clock
) -> None:
    files = {
        "off": GOOD + "enabled = false",
        "bad": GOOD.replace("open", "closed"),
        "old": GOOD.replace("2099", "2020"),
    }
    for name, text in files.items():
        write(context, name, text)
    (
        write(context, "unclear", "x"),
        write(context, "theirs", GOOD.replace("matrix", "xmpp").replace("open", "closed")),
    )
    desk.run(script := Script([OK]), script.waiting.is_set)
    standings = [desk.standing(name) for name in ("loans", "old")]
    statuses = {"loans": "o", "old": "x", "off": "d", "bad": "f", "unclear": "f"}
    assert desk.runner._letters(standings) == statuses
    desk.runner.appends.behind = True
    assert desk.runner._letters(standings) == {**statuses, "loans": "p"}, (
        "nothing is read meanwhile"
    )


def test_channel_removed_while_the_collector_was_down_is_reported(
    desk: Desk, context: Context
) -> None:
    desk.run(Script([OK]), lambda: desk.standing().state == "ok")
    (context.data / "channels.d" / "loans.toml").unlink(), write(context, "pawn")
    desk.run(
        Script([DeliveryBatch(answered=("pawn",))]), lambda: desk.standing("pawn").state == "ok"
    )
    desk.runner._hours.files({"pawn": "o"})
    assert desk.runner._hours.told(10)[1] == ("loans",)
    assert ChannelLedger.of(context, "xmpp").names() == set(), (
        "it is no business of another service"
    )


def test_repeated_messages_are_captured_once(desk: Desk, station: Station) -> None:
    script = Script(
        [batch(1, 2), batch(2, 3, cursor=("c", "3")), OK],
    )
    desk.run(script, lambda: desk.standing().state == "ok")
    again = Script([batch(1, 2, 3, 4), OK])
    desk.run(again, lambda: desk.standing().seen == 4)
    captures = station.captures()
    assert [captured.body.decode() for captured in captures] == [
        "text 1",
        "text 2",
        "text 3",
        "text 4",
    ]
    assert {(captured.site, captured.category) for captured in captures} == {("loans", "chat")}
    assert again.cursors[0] == "3"


def test_messages_in_hand_at_a_kill_are_read_again(
    desk: Desk, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = Script([batch(1, 2, cursor=("c", "2")), OK])
    note = ChannelLedger.note

    def dies(*_: object) -> None:
        killed.waiting.set()
        raise KeyboardInterrupt

    monkeypatch.setattr(ChannelLedger, "note", dies)
    with pytest.raises(KeyboardInterrupt):
        desk.run(killed, lambda: False)
    monkeypatch.setattr(ChannelLedger, "note", note)
    again = Script([batch(1, 2, 3, cursor=("c", "3")), OK])
    desk.run(again, lambda: desk.standing().state == "ok")
    assert again.cursors == [""]
    assert {captured.message_id for captured in station.captures()} == {"1", "2", "3"}
    assert desk.standing().seen == 3


def test_gap_is_reported_until_history_has_been_read(desk: Desk) -> None:
    desk.run(Script([OK, batch(gap="seen"), batch(1, 2)]), lambda: desk.standing().seen == 2)
    assert (desk.standing().state, desk.standing().reason) == ("incomplete", "gap")
    desk.run(Script([batch(3), batch(gap="filled"), OK]), lambda: desk.standing().state == "ok")
    status = desk.standing()
    assert (status.gaps, status.lost, status.refetched, status.seen) == (1, 0, 3, 3)


def test_unfilled_gap_is_reported_for_an_hour(desk: Desk, clock) -> None:
    desk.run(
        Script([OK, batch(gap="seen"), batch(1), batch(gap="lost"), OK]),
        lambda: desk.standing().lost == 1,
    )
    desk.run(
        script := Script([OK]),
        lambda: script.waiting.is_set() and desk.standing().last_success == clock.wall(),
    )
    assert (desk.standing().state, desk.standing().reason) == ("incomplete", "gap")
    clock.advance(3601)
    desk.run(Script([OK]), lambda: desk.standing().state == "ok")


@pytest.mark.parametrize("reason", ["login", "banned", "flood", "unreachable"])
def test_rejected_session_blinds_its_channels_and_is_reopened(desk: Desk, reason: str) -> None:
    script = Script([OK, BlindError(reason)], [batch(7), OK])
    reasons = []
    blame = Runner._blame

    def record(self, name: str, why: str) -> None:
        reasons.append((name, why))
        blame(self, name, why)

    Runner._blame = record
    try:
        desk.run(script, lambda: desk.standing().seen == 1 and desk.standing().state == "ok")
    finally:
        Runner._blame = blame
    assert reasons == [("loans", reason)]
    assert (script.opened, script.closed) == (2, 2)


def test_channel_without_an_answer_is_not_ok(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "STALL_SECONDS", 0.05)
    desk.run(Script([OK]), lambda: desk.standing().reason == "timeout")
    assert desk.standing().state == "unreachable"


def test_stop_during_a_session_close_is_a_stop(desk: Desk) -> None:
    """Python 3.11's `asyncio.wait_for` swallows a cancellation that comes as what it waits for
    ends.
    """
    script = Script([OK, BlindError("login")])

    async def close() -> None:
        script.closed += 1
        for task in desk.runner._tasks.values():
            task.cancel()

    script.close = close
    desk.run(script, lambda: script.closed > 0)
    assert script.closed == 1


def test_failing_append_ends_the_collector(
    desk: Desk, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise CorruptError("captures.sqlite: is damaged")

    monkeypatch.setattr(CaptureOutbox, "put", broken)
    with pytest.raises(CorruptError):
        desk.run(Script([batch(1), OK]), lambda: False)
    assert desk.standing().seen == 0


def test_blind_channel_does_not_affect_the_others(desk: Desk, context: Context) -> None:
    write(context, "pawn")
    script = Script([DeliveryBatch("loans", blind="banned"), DeliveryBatch(answered=("pawn",))])
    desk.run(script, lambda: desk.standing("pawn").state == "ok")
    assert (desk.standing().state, desk.standing().reason) == ("blocked", "banned")


def test_expired_channel_is_not_read_and_reported(desk: Desk, context: Context) -> None:
    write(context, "loans", GOOD.replace("2099-01-01", "2020-01-01"))
    script = Script([batch(1)])
    desk.run(script, lambda: desk.standing().reason == "expired")
    assert script.opened == 0


def test_added_and_removed_channel_files_are_noticed(desk: Desk, context: Context) -> None:
    script = Script([OK], [DeliveryBatch(answered=("loans", "pawn"))])
    added = []

    def until() -> bool:
        if script.waiting.is_set() and not added:
            added.append(write(context, "pawn"))
        return desk.standing("pawn").state == "ok"

    desk.run(script, until)
    assert script.opened == 2


def test_missing_secret_counts_as_a_lost_login(desk: Desk, context: Context) -> None:
    (context.keys.root / "collect" / "reader").unlink()
    desk.run(Script([]), lambda: desk.standing().reason == "login")


def test_heartbeats_and_metrics_report_every_channel(desk: Desk, context: Context, clock) -> None:
    write(context, "pawn"), write(context, "bad", "x")
    script = Script([batch(1), OK, DeliveryBatch("pawn", blind="closed")])
    desk.run(script, lambda: desk.standing("pawn").reason == "closed")
    standings = [desk.standing("loans"), desk.standing("pawn")]
    desk.metrics.show(standings)
    blind = desk.metrics._blind
    assert blind.labels("pawn", "closed")._value.get() == 1
    assert blind.labels("loans", "closed")._value.get() == 0
    record = desk.runner.heartbeat(standings)
    assert record.headers["record"] == "heartbeat"
    desk.metrics.show(standings[:1])
    assert [sample.labels["site"] for sample in desk.metrics._seen.collect()[0].samples] == [
        "loans"
    ]


def test_message_log_does_not_contain_message_ids(desk: Desk, context: Context) -> None:
    desk.run(
        Script([DeliveryBatch("loans", (message(1, "event-13800138000"),))]),
        lambda: desk.standing().seen == 1,
    )
    written = b"".join(path.read_bytes() for path in context.data.glob("collect.sqlite*"))
    assert b"13800138000" not in written


def test_only_the_last_messages_are_remembered(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crawlers.collectors.channel_log.KEPT", 3)
    monkeypatch.setattr("crawlers.collectors.channel_log.FORGET_EVERY", 1)
    ledger = ChannelLedger.of(context)
    messages = [message(number) for number in range(6)]
    for entry in messages:
        ledger.note("loans", [entry], None, 1.0)
    assert ledger.unseen("loans", messages) == messages[:3]
    assert ledger.unseen("elsewhere", messages) == messages
    assert ledger.standing("loans").seen == 6
    ledger.check()


def test_status_exits_5_where_a_channel_is_not_covered(desk: Desk, context: Context, clock) -> None:
    single = typer.Typer()
    single.command()(collect)

    def run_status(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(single, list(words), obj=context)
        return result.exit_code, result.stdout

    assert run_status() == (5, "loans  matrix  not read yet  0 messages, 0 gaps, 0 lost\n")
    desk.ledger.change("loans", state="ok", last_success=clock.wall())
    assert run_status() == (0, "loans  matrix  ok  0 messages, 0 gaps, 0 lost\n")
    clock.advance(3600)
    assert MEANING["stopped"] in run_status()[1], (
        "its collector is dead: what it said last says nothing of now"
    )
    desk.ledger.change("loans", state="blocked", reason="banned")
    assert (run_status()[0], MEANING["banned"] in run_status()[1]) == (5, True)
    assert json.loads(run_status("--json")[1])["reason"] == "banned"


def test_library_logging_is_reduced_to_the_logger_name() -> None:
    act = (
        "import logging; from crawlers.fetching.scrapy_setup import silence_libraries; from ullage"
        " import log; log.configure();silence_libraries('collect');"
        " logging.getLogger('aiohttp.client').warning('13800138000');"
        "logging.getLogger('slixmpp').error('%s',"
        " '13800138000')"
    )
    result = subprocess.run([sys.executable, "-c", act], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert [(entry["role"], entry["event"], entry["reason"]) for entry in lines] == [
        ("collect", "library_warning", "aiohttp.client"),
        ("collect", "library_warning", "slixmpp"),
    ]
    assert "13800138000" not in result.stderr + result.stdout


def test_check_reads_channels_secrets_and_the_ledger(desk: Desk, context: Context, clock) -> None:
    def run_checks() -> list[object]:
        results = []
        for _, look in parts(context):
            try:
                results.append(look())
            except UllageError as error:
                results.append(error)
        return results

    desk.ledger.change("loans", state="ok", last_success=clock.wall())
    assert run_checks() == ["1 read", "intact, and every channel is monitored"]
    clock.advance(3600)
    assert "loans (stopped)" in str(run_checks()[1])
    (context.keys.root / "collect" / "reader").chmod(0o644)
    assert "reader" in str(run_checks()[0])


def test_expiry_day_is_still_read(context: Context) -> None:
    channel_ = ChatChannel.model_validate(
        {
            **dict.fromkeys(("address", "account", "legal_basis", "owner"), "t"),
            "name": "x",
            "service": "xmpp",
            "access": "public",
            "expires": "2026-01-02",
        }
    )
    assert channel_.expires == date(2026, 1, 2)
    assert datetime(2026, 1, 3, tzinfo=UTC).date() - channel_.expires == timedelta(days=1)


def collect_batches(
    *postings: tuple[ChatMessage, PostedFile | None],
) -> list[tuple[ChatMessage, ...]]:
    async def act() -> list[tuple[ChatMessage, ...]]:
        return [piece async for piece in pieces(postings)]

    return asyncio.run(act())


def make_posting(fetch: Callable[[], Awaitable[bytes | None]], size: int = 0) -> PostedFile:
    return PostedFile("a.csv", size, fetch)


async def _hangs() -> bytes:
    await asyncio.Event().wait()
    return b""


async def _breaks() -> bytes:
    raise ConnectionResetError


async def _is_large() -> bytes:
    return bytes(MAX_FILE_BYTES + 1)


@pytest.mark.parametrize(
    ("fetch", "why"), [(_hangs, "failed"), (_breaks, "failed"), (_is_large, "too_large")]
)
def test_unreadable_file_does_not_block_later_messages(
    fetch: Callable[[], Awaitable[bytes]], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "FILE_SECONDS", 0.05)
    [piece] = collect_batches((message(1), make_posting(fetch)), (message(2), None))
    assert [(entry.event, entry.unread) for entry in piece] == [("e1", (why,)), ("e2", ())]


def test_messages_with_files_are_delivered_before_the_stall_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert sessions.FILE_SECONDS + sessions.PIECE_SECONDS < running.STALL_SECONDS
    monkeypatch.setattr(sessions, "PIECE_SECONDS", 0.0)

    async def fetch() -> bytes:
        return b"x"

    pieces = collect_batches(*((message(number), make_posting(fetch)) for number in range(3)))
    assert [entry.event for piece in pieces for entry in piece] == ["e0", "e1", "e2"]
    assert len(pieces) == 4  # a piece each, and the rest
    assert collect_batches() == [()]


def test_unread_files_are_counted_and_reported(desk: Desk) -> None:
    first, second = (
        message(1, attachments=[{"name": "a", "data": "eA=="}]),
        replace(message(2), unread=("too_large", "failed")),
    )
    desk.run(
        Script([DeliveryBatch("loans", (first, second)), DeliveryBatch("loans", (second,)), OK]),
        lambda: desk.standing().state == "ok",
    )
    assert desk.standing().unread == 2
    assert [
        desk.metrics.files.labels(outcome)._value.get()
        for outcome in ("read", "too_large", "failed", "cut")
    ] == [1, 1, 1, 0]


def test_messages_too_large_for_a_record_are_counted(desk: Desk) -> None:
    huge = replace(message(1), line=message(1).line.model_copy(update={"text": "x" * 40_000_000}))
    desk.run(
        Script([DeliveryBatch("loans", (huge, message(2)), refused=2), OK]),
        lambda: desk.standing().state == "ok",
    )
    counted = [
        s for m in desk.metrics.refused.collect() for s in m.samples if s.name.endswith("_total")
    ]
    assert {sample.labels["reason"]: sample.value for sample in counted} == {
        "oversize": 1,
        "malformed": 2,
    }


def test_changed_channel_is_returned_as_stored(context: Context) -> None:
    with contextlib.closing(ChannelLedger.of(context, "matrix")) as ledger:
        changed = ledger.change("room", gaps=3, seen=7, unread=2, last_new=5.0)
        assert changed == ledger.standing("room")
        assert (changed.gaps, changed.seen, changed.unread, changed.last_new) == (3, 0, 0, 0.0)
