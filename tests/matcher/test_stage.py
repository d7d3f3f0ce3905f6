"""Match as a process: on the real bus, with keys that turn over and watchlists that change
beneath it.
"""

import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from matcher.cli.evidence_vault import is_behind_gap
from matcher.cli.match import GROUP, MatchStage, rotate_seal_keys
from matcher.cli.metrics import MatchMetrics
from matcher.watchlist import installation
from matcher.watchlist.installation import Sizes
from tests.factories import capture
from tests.matcher.bank import customer, enrol, phone, tokens
from tests.matcher.conftest import BANK
from ullage.bus import CAPTURES, FINDINGS, Outgoing
from ullage.clock import Backoff
from ullage.errors import ConfigError, CorruptError, RecordError
from ullage.records import CAPTURE_SCHEMA, FINDING_SCHEMA, Finding
from ullage.records.base import frame
from ullage.records.heartbeat import (
    HEARTBEAT_SCHEMA,
    Coverage,
    Heartbeat,
    SiteCounter,
    SiteReport,
    is_heartbeat,
)
from ullage.runtime import dead_letters
from ullage.runtime.dead_letters import DeadLetters
from ullage.runtime.worker import Worker
from ullage.security import keys
from ullage.security.capture_seal import PURPOSE, CaptureSealer
from ullage.settings import BusSettings, Context, Settings
from ullage.settings.tenant import Tenant
from ullage.vocabulary.lexicon import list_themes

DAY = 86_400.0


class MatchProcess:
    """A match process: put captures in, let it drain, read what came out."""

    def __init__(self, context: Context) -> None:
        self.context, self.bus = context, context.bus()
        self.registry = CollectorRegistry()
        self.metrics = MatchMetrics(self.registry, [], context.clock)
        self.subscription = self.bus.subscribe(CAPTURES, GROUP)
        self.captures, self.publisher = self.bus.publisher(CAPTURES), self.bus.publisher(FINDINGS)
        self.stage = MatchStage(context, self.subscription, self.publisher, self.metrics)
        self.letters = DeadLetters(self.bus, keys.load_sealer(context.keys), "match")
        self.out = self.bus.subscribe(FINDINGS, "alert")

    def put(
        self,
        body: str | bytes,
        headers: dict[str, str] | None = None,
        value: bytes | None = None,
        **changes,
    ) -> None:
        sealer = keys.load_sealer(self.context.keys)
        raw = changes.pop("body_bytes", body.encode() if isinstance(body, str) else body)
        captured = capture(
            body=raw, fetched_at=self.context.clock.now() - timedelta(seconds=5), **changes
        )
        sealed = CaptureSealer(sealer, keys.load_signer(self.context.keys, "crawl")).seal(
            captured.encode()
        )
        clear = {"schema": str(CAPTURE_SCHEMA), "key_id": sealer.key_id, **(headers or {})}
        self.captures.append([Outgoing("paste", sealed if value is None else value, clear)])

    def work(self) -> None:
        Worker(
            "match",
            self.subscription,
            self.stage.handle,
            self.letters,
            threading.Event(),
            4,
            Backoff(0.0, 0.0),
        ).run(once=True)

    def drain(self) -> list[Finding]:
        self.work()
        records = self.out.poll(100, 0.0)
        drained = [Finding.decode(r.value, FINDING_SCHEMA) for r in records]
        for record in records:
            clear = record.headers
            assert (record.key, clear["tenant"], clear["schema"]) == (
                "bank",
                "bank",
                str(FINDING_SCHEMA),
            )
        return drained

    def reasons(self) -> list[str]:
        return sorted(letter.reason for letter in dead_letters.waiting_or_parked(self.bus))

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"ullage_match_{name}", labels)

    def close(self) -> None:
        for part in (
            self.subscription,
            self.captures,
            self.publisher,
            self.letters,
            self.out,
            self.bus,
        ):
            part.close()


@contextmanager
def match_of(context: Context) -> Iterator[MatchProcess]:
    """Return a match process whose seal keys are of the held clock's day."""
    for key in (context.keys.root / "seal").iterdir():  # made by the real clock
        context.keys.destroy(f"seal/{key.name}")
    rotate_seal_keys(context)
    running = MatchProcess(context)
    yield running
    running.close()


@pytest.fixture
def match(bank: Context):
    with match_of(bank) as running:
        yield running


def test_sealed_capture_becomes_a_counted_finding(match: MatchProcess) -> None:
    match.put(f"{BANK[1]['name']}----{phone(1)}")
    match.put("内料 担保 nothing of ours", post_id="43")
    [finding] = match.drain()
    assert (finding.total_matches, [finding.capture.post_id]) == (1, tokens(match.context, "42"))
    assert match.value("captures_total") == 2
    assert match.value("findings_total", tenant="bank") == 1
    assert match.value("matches_total", tenant="bank", kind="phone") == 1
    assert match.value("candidates_total") == 1
    assert match.value("jargon_only_total") == 1
    assert match.value("fetch_to_match_seconds_sum") == pytest.approx(10.0)
    assert match.value("last_success_timestamp_seconds") == match.context.clock.wall()
    assert match.value("watchlist_customers", tenant="bank") == 10
    [lists] = installation.load(match.context)
    assert (
        match.value("watchlist_expiry_timestamp_seconds", tenant="bank")
        == lists.expires.timestamp()
    )


def test_unread_offer_without_a_brand_is_counted_but_not_published(
    match: MatchProcess,
) -> None:
    match.put(b"\x89PNG\r\n\x1a\n" + bytes(99), title="出售 内料")
    match.put(bytes(range(256)) * 9, title="holiday", post_id="43")
    match.put("内料", title="出售 内料", post_id="44")
    assert match.drain() == []
    assert (
        match.value("unread_total", reason="image"),
        match.value("unread_total", reason="unrecognised"),
    ) == (1, 1)
    assert (match.value("jargon_only_total"), match.value("unread_offers_total")) == (2, 1)


def test_drained_captures_are_not_matched_again(match: MatchProcess) -> None:
    match.put(phone(1))
    assert len(match.drain()) == 1
    assert match.drain() == []


@pytest.mark.parametrize(
    ("headers", "value", "reason"),
    [
        ({"key_id": "19990101"}, None, "key_destroyed"),
        ({"schema": "9"}, None, "schema"),
        ({"schema": "x"}, None, "malformed"),
        ({}, b"not sealed at all", "malformed"),
        ({}, b"", "malformed"),
    ],
)
def test_poison_record_becomes_a_dead_letter_without_blocking_others(
    match: MatchProcess, headers: dict[str, str], value: bytes | None, reason: str
) -> None:
    match.put(phone(1), post_id="1")
    match.put(phone(2), headers, value)
    match.put(phone(3), post_id="3")
    assert [f.capture.post_id for f in match.drain()] == tokens(match.context, "1", "3")
    assert match.reasons() == [reason]


def test_sealed_non_capture_becomes_a_dead_letter(match: MatchProcess) -> None:
    sealer, signer = (
        keys.load_sealer(match.context.keys),
        keys.load_signer(match.context.keys, "crawl"),
    )
    grant = sealer.seal(
        signer.enclose(b"too short a key", PURPOSE),
        purpose=PURPOSE,
        topic=CAPTURES,
        schema=CAPTURE_SCHEMA,
    )
    elsewhere = sealer.seal(
        signer.enclose(b"k" * 32, PURPOSE), purpose=PURPOSE, topic=FINDINGS, schema=CAPTURE_SCHEMA
    )
    match.put("", value=CaptureSealer(sealer, signer).seal(b"\0\0\0\2{}"))
    match.put("", value=frame(grant, b""))
    match.put("", value=frame(elsewhere, b""))
    match.put("", value=sealer.seal(b"", purpose=PURPOSE, topic=CAPTURES, schema=CAPTURE_SCHEMA))
    assert match.drain() == []
    assert sorted(match.reasons()) == ["malformed", "malformed", "malformed", "not_authentic"]


def test_new_watchlist_is_used_from_the_next_batch(match: MatchProcess) -> None:
    match.put(phone(50))
    assert match.drain() == []
    enrol(match.context, "bank", [*BANK, customer(50)])
    match.put(phone(50))
    assert len(match.drain()) == 1
    assert match.value("watchlist_last_reload_success") == 1
    assert match.value("watchlist_customers", tenant="bank") == 11


@pytest.mark.parametrize("is_gone", [True, False])
def test_missing_or_shrunken_list_keeps_the_old_one_and_is_reported(
    match: MatchProcess, tmp_path: Path, is_gone: bool
) -> None:
    context, folder = match.context, match.context.data / installation.FOLDER
    assert match.stage.ready()
    if is_gone:
        folder.rename(tmp_path / "away")
    else:
        enrol(context, "bank", BANK[:8], shrink=True)
        # as if the file had been put there by hand
        Sizes(context.data, context.keys).write("bank", 10)
    match.put(phone(9))
    assert len(match.drain()) == 1, "the list that is in memory is used"
    assert (
        match.value("watchlist_last_reload_success"),
        match.value("watchlist_customers", tenant="bank"),
    ) == (0, 10)
    assert not match.stage.ready()
    if is_gone:
        (tmp_path / "away").rename(folder)
    else:
        enrol(context, "bank", BANK[:8], shrink=True)
    match.stage.alive()
    assert match.stage.ready()
    assert match.value("watchlist_last_reload_success") == 1
    assert match.value("watchlist_customers", tenant="bank") == (10 if is_gone else 8)


def test_match_without_a_list_reads_nothing(bank: Context, tmp_path: Path) -> None:
    folder, stop = bank.data / installation.FOLDER, threading.Event()
    folder.rename(tmp_path / "away")
    with match_of(bank) as match:
        assert not match.stage.ready()
        assert match.value("watchlist_customers", tenant="bank") == 0
        with pytest.raises(ConfigError, match="the list of bank with 10 customers is missing"):
            match.stage.await_lists(stop, once=True)
        waiting = threading.Thread(
            target=match.stage.await_lists, args=(stop,), kwargs={"once": False}
        )
        waiting.start()
        (tmp_path / "away").rename(folder)
        waiting.join(60)
        assert not waiting.is_alive()
        assert match.stage.ready()
        match.put(phone(1))
        assert len(match.drain()) == 1


def test_match_is_not_ready_while_a_configured_tenant_has_no_list(bank: Context) -> None:
    bank.settings.tenants["shop"] = Tenant()
    with match_of(bank) as match:
        assert not match.stage.ready()
        assert match.value("watchlist_customers", tenant="shop") == 0
        enrol(bank, "shop", BANK[:1])
        match.stage.alive()
        assert match.stage.ready()
        Sizes(bank.data, bank.keys).forget("shop")
        shutil.rmtree(installation.folder_of(bank.data, "shop"))
        match.stage.alive()
        assert match.value("watchlist_customers", tenant="shop") == 0


def test_broken_watchlist_keeps_the_old_one_and_is_reported(match: MatchProcess) -> None:
    path = installation.path_of(match.context.data, "bank", 1)
    whole = path.read_bytes()
    broken = path.with_suffix(".new")
    broken.write_bytes(whole[:-40] + b"\xff" * 40)
    broken.replace(path)
    match.put(phone(1))
    assert len(match.drain()) == 1
    assert match.value("watchlist_last_reload_success") == 0
    broken.write_bytes(whole)
    broken.replace(path)
    match.stage.alive()
    assert match.value("watchlist_last_reload_success") == 1


def test_damaged_key_keeps_the_loaded_list_and_is_reported(
    match: MatchProcess,
) -> None:
    key = match.context.keys.root / "bank" / "match-1.key"
    original_key = key.read_bytes()
    for second, damaged in enumerate(
        (original_key[:31], bytes([original_key[0] ^ 1]) + original_key[1:])
    ):
        key.write_bytes(damaged)
        os.utime(key, (2 * second, 2 * second))  # two writes may have the same time
        match.put(phone(1))
        assert len(match.drain()) == 1
        assert match.value("watchlist_last_reload_success") == 0
        key.write_bytes(original_key)
        os.utime(key, (2 * second + 1, 2 * second + 1))
        match.stage.alive()
        assert match.value("watchlist_last_reload_success") == 1


def test_activated_lexicon_is_used_from_the_next_batch(
    match: MatchProcess,
) -> None:
    jargon, data = list_themes()["jargon"], match.context.data
    jargon.install(data, "# version 9\n葫芦娃\t\tzh\tTRADE\tm\t5\tL\tK\n")
    match.put("葫芦娃 nothing of ours")
    match.put("内料 nothing of ours", post_id="43")
    match.drain()
    assert match.value("jargon_only_total") == 1
    jargon.install(data, "# version 10\nno term")
    match.put("葫芦娃 nothing of ours", post_id="44")
    match.drain()
    assert (match.value("jargon_only_total"), match.value("watchlist_last_reload_success")) == (
        2,
        0,
    )


def test_process_does_not_start_on_a_broken_watchlist(bank: Context) -> None:
    path = installation.path_of(bank.data, "bank", 1)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptError):
        MatchProcess(bank)


def test_lag_is_reported_on_every_turn(match: MatchProcess, clock) -> None:
    match.put(phone(1))
    clock.advance(60.0)
    match.stage.alive()
    assert (match.value("lag_records"), match.value("lag_seconds")) == (1, 60.0)
    match.drain()
    match.stage.alive()
    assert (match.value("lag_records"), match.value("lag_seconds")) == (0, 0.0)


def test_seal_keys_rotate_at_midnight_and_old_ones_still_open(match: MatchProcess, clock) -> None:
    match.put(phone(1))
    first = keys.load_sealer(match.context.keys).key_id
    clock.advance(DAY)
    match.stage.alive()
    second = keys.load_sealer(match.context.keys).key_id
    assert second > first
    match.put(phone(2), post_id="43")
    assert len(match.drain()) == 2
    assert match.reasons() == []


def test_key_is_destroyed_after_retention(match: MatchProcess, clock) -> None:
    store = match.context.keys
    sealer = keys.load_sealer(store)
    sealed = sealer.seal(b"x", purpose=PURPOSE, topic=CAPTURES, schema=1)
    ages = []
    for day in range(14):
        rotate_seal_keys(match.context)
        ages.append(store.exists(f"seal/{sealer.key_id}.key"))
        assert store.exists(f"seal/{sealer.key_id}.pub") == ages[day]
        clock.advance(DAY)
    assert ages == [True] * 10 + [False] * 4
    assert len(store.list_names("seal", ".key")) == 10
    with pytest.raises(RecordError, match="key_destroyed"):
        keys.load_opener(store).open(
            sealed, purpose=PURPOSE, topic=CAPTURES, schema=1, key_id=sealer.key_id
        )


@pytest.mark.parametrize("jump", [2, 200, -30])
def test_clock_jump_destroys_no_key_and_expires_no_list(
    match: MatchProcess, clock, jump: float
) -> None:
    store = match.context.keys
    posts = [phone(number) for number in range(3)]
    for number, text in enumerate(posts):
        match.put(text, post_id=str(number))
    for _ in range(4):
        clock.advance(DAY)
        rotate_seal_keys(match.context)
    before = store.list_names("seal", ".key")
    clock.jump(jump * DAY)
    for _ in range(20):
        match.stage.alive()
        clock.advance(DAY)
    assert set(before) <= set(store.list_names("seal", ".key"))
    assert len(match.drain()) == len(posts)
    assert match.reasons() == []


def test_key_is_destroyed_by_running_time_once_the_clock_is_accepted(
    match: MatchProcess, clock
) -> None:
    store, first = match.context.keys, keys.load_sealer(match.context.keys).key_id
    clock.advance(DAY)
    rotate_seal_keys(match.context)
    clock.jump(200 * DAY)
    match.context.running_time.accept(lambda _: None)
    for _ in range(8):
        rotate_seal_keys(match.context)
        assert store.exists(f"seal/{first}.key")
        clock.advance(DAY)
    clock.advance(2 * DAY)
    rotate_seal_keys(match.context)
    assert not store.exists(f"seal/{first}.key")


def test_captures_sealed_during_a_long_outage_still_open(match: MatchProcess, clock) -> None:
    clock.advance(30 * DAY)
    match.put(phone(1))
    match.stage.alive()
    assert len(match.drain()) == 1
    assert match.reasons() == []


def test_externally_managed_keys_are_not_rotated(bank: Context, clock) -> None:
    external = keys.KeyStore(bank.keys.root, ("kms", "get"))
    before = bank.keys.list_names("seal", ".key")
    clock.advance(90 * DAY)
    away = Context(bank.data, bank.clock)
    away.keys = external
    rotate_seal_keys(away)
    assert bank.keys.list_names("seal", ".key") == before


@pytest.mark.parametrize(("credential", "turned"), [("capture.key", 1), ("seal.20260921.key", 0)])
def test_only_seal_keys_from_credentials_stop_rotation(
    bank: Context, clock, tmp_path: Path, credential: str, turned: int
) -> None:
    """As in the unit of systemd, which hands over other keys and leaves the pairs of each day to
    match.
    """
    (tmp_path / credential).write_bytes(b"c" * 32)
    before = bank.keys.list_names("seal", ".key")
    clock.advance(DAY)
    handed = Context(bank.data, bank.clock)
    handed.keys = keys.KeyStore(bank.keys.root, credentials=tmp_path)
    rotate_seal_keys(handed)
    assert len(bank.keys.list_names("seal", ".key")) - len(before) == turned


def put_beat(
    match: MatchProcess, seconds_ago: float = 5.0, value: bytes | None = None
) -> Heartbeat:
    """Publish a heartbeat the way crawl sends it."""
    sealer = keys.load_sealer(match.context.keys)
    report = SiteReport(site="board", state="blocked", since=1.0)
    beat = Heartbeat(
        id=secrets.token_hex(16),
        origin="crawl",
        inserted_at=match.context.clock.now() - timedelta(seconds=seconds_ago),
        coverage=Coverage(watched=(report,), sites={"blocked": 1}),
        counts=(SiteCounter(name="ullage_crawl_captures_total", value=7),),
    )
    signed = keys.load_signer(match.context.keys, "crawl").enclose(beat.encode(), "heartbeat")
    sealed = value or sealer.seal(
        signed, purpose="heartbeat", topic=CAPTURES, schema=HEARTBEAT_SCHEMA
    )
    match.captures.spread(Outgoing(beat.id, sealed, {**beat.headers(), "key_id": sealer.key_id}))
    return beat


def list_published(match: MatchProcess) -> list[Heartbeat | str]:
    """Return what match published: heartbeats, and the post of each finding."""
    match.work()
    return [
        Heartbeat.decode(r.value, r.headers["schema"])
        if is_heartbeat(r.headers)
        else Finding.decode(r.value, FINDING_SCHEMA).capture.post_id
        for r in match.out.poll(100, 0.0)
    ]


def test_heartbeat_follows_the_findings_of_its_batch_without_details(
    match: MatchProcess,
) -> None:
    match.put(phone(1), post_id="1")
    beat = put_beat(match)
    match.put(phone(2), post_id="2")
    assert list_published(match) == [
        *tokens(match.context, "1", "2"),
        beat.without_crawl_details({"bank": 10}),
    ]
    labels = {"stage": "match", "origin": "crawl"}
    assert (
        match.registry.get_sample_value("ullage_heartbeat_timestamp_seconds", labels)
        == beat.inserted_at.timestamp()
    )
    assert match.registry.get_sample_value("ullage_pipe_seconds_sum", {"stage": "match"}) == 5.0
    assert (match.value("captures_total"), match.reasons()) == (2, [])


def test_repeated_heartbeat_is_forwarded_once(match: MatchProcess, clock) -> None:
    first = put_beat(match)
    again = match.captures
    record = match.bus.subscribe(CAPTURES, "look").poll(1, 0.0)[0]
    again.append([Outgoing(record.key, record.value, record.headers)] * 3)
    assert list_published(match) == [first.without_crawl_details({"bank": 10})]
    clock.advance(60)
    second = put_beat(match)
    again.append([Outgoing(record.key, record.value, record.headers)])
    assert list_published(match) == [second.without_crawl_details({"bank": 10})]
    assert match.registry.get_sample_value("ullage_pipe_seconds_count", {"stage": "match"}) == 2


def test_heartbeat_alone_does_not_count_as_a_capture(match: MatchProcess) -> None:
    put_beat(match)
    assert len(list_published(match)) == 1
    assert (match.value("captures_total"), match.value("last_success_timestamp_seconds")) == (0, 0)


def test_damaged_heartbeat_is_a_dead_letter_and_loses_no_capture(match: MatchProcess) -> None:
    match.put(phone(1), post_id="1")
    put_beat(match, value=b"not sealed")
    match.put(phone(2), post_id="2")
    assert list_published(match) == tokens(match.context, "1", "2")
    assert match.reasons() == ["not_authentic"]


def test_capture_sealed_as_heartbeat_is_rejected(match: MatchProcess) -> None:
    sealer = keys.load_sealer(match.context.keys)
    put_beat(
        match,
        value=sealer.seal(
            capture().encode(), purpose=PURPOSE, topic=CAPTURES, schema=CAPTURE_SCHEMA
        ),
    )
    assert list_published(match) == []
    assert match.reasons() == ["not_authentic"]


def test_match_behind_a_gap_exports_the_metrics_of_crawled_sites(
    match: MatchProcess, clock
) -> None:
    put_beat(match)
    list_published(match)
    name, labels = "ullage_crawl_site_state", {"site": "board", "state": "blocked"}
    assert match.registry.get_sample_value(name, labels) is None
    registry = CollectorRegistry()
    match.stage.metrics = MatchMetrics(registry, ["bank"], match.context.clock, behind_gap=True)
    match.stage.__post_init__()
    clock.advance(60)
    put_beat(match)
    list_published(match)
    assert registry.get_sample_value(name, labels) == 1
    assert registry.get_sample_value("ullage_crawl_sites", {"state": "blocked"}) == 1
    assert (
        registry.get_sample_value(
            "ullage_crawl_captures_total", {"site": "other", "origin": "crawl"}
        )
        == 7
    )


@pytest.mark.parametrize(
    ("bus", "behind"),
    [
        ({"url": "sqlite:///bus"}, False),
        ({"url": "kafka://h:1"}, False),
        ({"url": "spool:///s"}, True),
        ({"captures": "spool:///s"}, True),
    ],
)
def test_gap_is_recognised_by_the_bus_url(bus: dict[str, str], behind: bool) -> None:
    assert is_behind_gap(Settings(bus=BusSettings(**bus))) is behind


def test_withdrawn_post_is_reported_to_tenants_it_concerned(
    match: MatchProcess,
) -> None:
    row, post = f"{BANK[1]['name']}----{phone(1)}", {"post_name": "ab" * 16}
    match.put(row, **post)
    match.put("nothing any more", post_id="43", edited=True, **post)
    match.put("", post_id="44", deleted=True, **post)
    match.put(row, post_id="45", deleted=True, **post)
    shown, edited, deleted, last = match.drain()
    assert (shown.withdrawn, len(shown.capture.post)) == (False, 12)
    assert shown.capture.post not in ("ab" * 6, shown.capture.post_id)
    assert {notice.capture.post for notice in (edited, deleted, last)} == {shown.capture.post}
    assert [(notice.withdrawn, notice.total_matches) for notice in (edited, deleted, last)] == [
        (True, 0),
        (True, 0),
        (False, 1),
    ]
    assert [(notice.capture.edited, notice.capture.deleted) for notice in (edited, deleted)] == [
        (True, False),
        (False, True),
    ]
    assert match.value("findings_total", tenant="bank") == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"edited": True},
        {"deleted": True},
        {"post_name": "ab" * 16},
        {"post_name": "ab" * 16, "edited": True, "truncated": True},
    ],
    ids=["edited, no name", "deleted, no name", "an ordinary post", "a truncated post"],
)
def test_post_not_known_to_be_gone_is_not_reported(
    match: MatchProcess, changes: dict[str, Any]
) -> None:
    match.put("nothing of ours", **changes)
    assert match.drain() == []
