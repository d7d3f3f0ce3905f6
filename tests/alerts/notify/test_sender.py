"""Grouping, repeating, escalating, failing and coming back: one channel at a held time."""

from datetime import timedelta

import pytest

from alerts.http_post import UndeliveredError
from alerts.notify.sender import Notifier, Sender
from alerts.records import Decision, Incident, Notification, PendingDecision, WorkItem
from alerts.store import DocumentFilter
from alerts.store.sqlite import SqliteStore
from tests.alerts.notify.support import T0, RecordingChannel, incident, log_of, store_all
from ullage.errors import UnavailableError

DOWN = UndeliveredError("answers 503")
LOST = UndeliveredError("broke off", maybe=True)


def tell(notifier, store, *incidents) -> None:
    notifier.plan(store_all(store, incidents))


def turn(notifier, clock, seconds: float = 0.0) -> None:
    clock.advance(seconds)
    for sender in notifier.senders:
        sender.send_due()


def next_process(running: Notifier) -> Notifier:
    """Knows nothing but what is in the store."""
    return Notifier(
        running.setup,
        [Sender(sender.name, sender.channel, running.setup) for sender in running.senders],
    )


def decide(store, clock, status: str, incident: str = "INC-A") -> None:
    at = clock.as_clock().now()
    store.put(
        [
            Decision(
                id=f"{incident}:{status}",
                tenant="bank",
                incident=incident,
                at=at,
                by="Li",
                status=status,
            )
        ]
    )
    store.refresh()


def value(registry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels)


def test_new_incidents_of_a_tenant_within_the_window_are_one_message(notifier, store, clock, soc):
    running = notifier({"soc": soc})
    tell(running, store, incident("A"))
    turn(running, clock, 10)
    tell(running, store, incident("B", "medium"), incident("C", tenant="shop"))
    turn(running, clock, 9)
    assert soc.sent == []
    turn(running, clock, 1)
    assert soc.told == [[("INC-A", "high", "new"), ("INC-B", "medium", "new")]]
    turn(running, clock, 10)
    assert soc.told[1:] == [[("INC-C", "high", "new")]]


def test_incidents_of_one_seller_are_combined_in_one_message(notifier, store, clock, soc):
    running = notifier({"soc": soc})
    sold = {"series": ("@5e11e4",), "sightings": 3}
    tell(running, store, incident("A", **sold), incident("B", "medium", **sold), incident("C"))
    turn(running, clock, 20)
    (sent,) = soc.sent
    assert [entry.posts for entry in sent.entries if entry.series] == [3, 3]
    assert "同一卖家的 6 条帖子，分属 2 起事件：另见 INC-B" in sent.text().splitlines()
    assert "5e11e4" not in f"{sent.text()}{sent.payload()}"


def test_growth_is_notified_until_the_incident_is_closed(notifier, store, clock, soc):
    running = notifier({"soc": soc})
    for status, customers in (("acknowledged", 30), ("resolved", 90), ("resolved", 900)):
        tell(running, store, incident("A", customers=customers, joined=3))
        turn(running, clock, 20)
        decide(store, clock, status)
    assert soc.told == [[("INC-A", "high", "new")], [("INC-A", "high", "grown")]]


def test_sent_message_is_logged_and_not_repeated_by_a_new_process(notifier, store, clock, soc):
    running = notifier({"soc": soc})
    tell(running, store, incident())
    turn(running, clock, 20)
    [sent] = log_of(store, outcome="sent").values()
    assert (sent.id, sent.message, sent.attempts, sent.sent_at) == (
        "INC-A:soc:high", soc.sent[0].id, 1, T0 + timedelta(seconds=20),
    )  # fmt: skip
    tell(running, store, incident())
    turn(running, clock, 3600)
    assert len(soc.sent) == 1


def test_severity_raised_within_the_window_is_sent_once(notifier, store, clock, soc):
    running = notifier({"soc": soc})
    tell(running, store, incident(severity="medium"))
    tell(running, store, incident(severity="high"))
    turn(running, clock, 20)
    assert soc.told == [[("INC-A", "high", "new")]]
    assert {
        notification.outcome
        for notification in log_of(store).values()
        if notification.what in ("medium", "high")
    } == {"sent"}
    tell(running, store, incident(severity="statutory"))
    turn(running, clock, 20)
    assert soc.told[1:] == [[("INC-A", "statutory", "raised")]]


def test_unacknowledged_incident_is_repeated_until_acknowledged(notifier, store, clock, soc):
    running = notifier({"soc": soc}, route={"repeat_hours": 4})
    tell(running, store, incident("A"), incident("B"))
    turn(running, clock, 20)
    turn(running, clock, 4 * 3600 - 1)
    assert len(soc.sent) == 1
    turn(running, clock, 21)
    assert soc.told[1] == [("INC-A", "high", "unacknowledged"), ("INC-B", "high", "unacknowledged")]
    decide(store, clock, "acknowledged", "INC-A")
    turn(running, clock, 4 * 3600 + 20)
    assert soc.told[2] == [("INC-B", "high", "unacknowledged")]
    decide(store, clock, "resolved", "INC-B")
    for _ in range(3):
        turn(running, clock, 4 * 3600 + 20)
    assert len(soc.sent) == 3
    assert {notification.what for notification in log_of(store, outcome="suppressed").values()} == {
        "repeat-2",
        "repeat-3",
    }
    assert log_of(store, outcome="pending") == {}


@pytest.mark.parametrize(("severity", "hours"), [("medium", 4.0), ("high", 0.0)])
def test_nothing_is_repeated_below_high_or_without_an_interval(
    notifier, store, clock, soc, severity, hours
):
    running = notifier({"soc": soc}, route={"repeat_hours": hours})
    tell(running, store, incident(severity=severity))
    turn(running, clock, 20)
    turn(running, clock, 86_400)
    assert len(soc.sent) == 1


def test_unacknowledged_incident_is_escalated_once(notifier, store, clock, soc):
    boss = RecordingChannel()
    running = notifier({"soc": soc, "boss": boss}, route={"repeat_hours": 0})
    tell(running, store, incident("A"), incident("B"))
    turn(running, clock, 20)
    decide(store, clock, "acknowledged", "INC-B")
    turn(running, clock, 1779)
    assert boss.sent == []
    turn(running, clock, 21)
    assert boss.told == [[("INC-A", "high", "escalated")]]
    turn(running, clock, 86_400)
    assert (len(boss.sent), len(soc.sent)) == (1, 1)


@pytest.mark.parametrize("changes", [{"clock": "run"}, {"clock": "if confirmed", "minutes": 60}])
def test_medium_incident_with_a_deadline_is_escalated_and_repeated(
    notifier, store, clock, soc, changes
):
    boss = RecordingChannel()
    running = notifier({"soc": soc, "boss": boss}, route={"repeat_hours": 4})
    tell(running, store, incident("A", "medium", **changes), incident("B", "medium", **changes))
    turn(running, clock, 20)
    decide(store, clock, "acknowledged", "INC-B")
    turn(running, clock, 1770)
    assert boss.sent == []
    turn(running, clock, 30)
    assert boss.told == [[("INC-A", "medium", "escalated")]]
    turn(running, clock, 4 * 3600)
    assert soc.told[1:] == [[("INC-A", "medium", "unacknowledged")]]
    decide(store, clock, "acknowledged", "INC-A")
    turn(running, clock, 4 * 3600 + 20)
    assert len(soc.sent) == 2


def test_channel_outage_ends_in_one_digest(notifier, store, clock, soc, registry):
    soc.failing = [DOWN]
    prompt = RecordingChannel()
    running = notifier(
        {"soc": soc, "other": prompt}, route={"channels": ["soc", "other"], "escalate_to": []}
    )
    assert (
        value(registry, "ullage_notification_oldest_undelivered_timestamp_seconds", channel="other")
        == 0.0
    )
    for minute in range(10):
        tell(running, store, *(incident(f"{minute}{n:02}") for n in range(20)))
        for _ in range(12):
            turn(running, clock, 5)
    assert soc.sent == []
    # nobody else was held up
    assert len({i for message in prompt.told for i, _, _ in message}) == 200
    assert value(registry, "ullage_notifications_total", channel="soc", outcome="failed") > 0
    oldest = value(
        registry, "ullage_notification_oldest_undelivered_timestamp_seconds", channel="soc"
    )
    assert oldest == T0.timestamp()
    soc.failing = []
    for _ in range(13):  # the longest wait is a minute
        turn(running, clock, 5)
    [digest] = soc.told
    assert len(digest) == 200
    assert (
        value(registry, "ullage_notification_oldest_undelivered_timestamp_seconds", channel="soc")
        == 0.0
    )
    assert log_of(store, outcome="pending", channel="soc").keys() == {
        f"INC-{m}{n:02}:soc:repeat-1" for m in range(10) for n in range(20)
    }


def test_incident_that_got_worse_before_delivery_is_sent_as_new(notifier, store, clock, soc):
    soc.failing = [DOWN]
    running = notifier({"soc": soc})
    tell(running, store, incident(severity="medium"))
    turn(running, clock, 20)
    tell(running, store, incident(severity="statutory"))
    turn(running, clock, 20)
    soc.failing = []
    for _ in range(60):
        turn(running, clock, 20)
    assert soc.told == [[("INC-A", "statutory", "new")]]


def test_retries_become_rarer_and_respect_retry_after(notifier, store, clock, soc):
    soc.failing = [UndeliveredError("answers 429", retry_after=45.0), DOWN]
    running = notifier({"soc": soc})
    tell(running, store, incident())
    turn(running, clock, 20)
    for _ in range(44):
        turn(running, clock, 1)
    assert len(soc.tried) == 1
    for _ in range(600):
        turn(running, clock, 1)
    assert 10 < len(soc.tried) < 30


def test_uncertain_message_is_retried_under_the_same_id(notifier, store, clock, soc):
    soc.failing = [LOST]
    running = notifier({"soc": soc})
    tell(running, store, incident("A"))
    turn(running, clock, 20)
    soc.failing = []
    tell(running, store, incident("B"))
    turn(running, clock, 60)
    assert soc.tried[0] == soc.tried[1] == soc.sent[0].id
    assert soc.told == [[("INC-A", "high", "new")], [("INC-B", "high", "new")]]


def test_rejection_after_a_lost_answer_keeps_the_message_id(notifier, store, clock, soc):
    soc.failing = [LOST, DOWN, DOWN]
    running = notifier({"soc": soc})
    tell(running, store, incident("A"))
    turn(running, clock, 20)
    turn(running, clock, 60)
    soc.failing = []
    tell(running, store, incident("B"))
    turn(running, clock, 60)
    assert len({*soc.tried[:3]}) == 1, "it may have arrived under its first id"
    assert soc.told == [[("INC-A", "high", "new")], [("INC-B", "high", "new")]]


class CrashedError(Exception):
    """The process is gone."""


def test_crash_after_sending_repeats_only_that_message_under_its_id(
    notifier, store, clock, soc, monkeypatch
):
    running = notifier({"soc": soc})
    tell(running, store, incident("A"), incident("B"))
    written = []

    def put(documents):
        if any(isinstance(d, Notification) and d.outcome == "sent" for d in documents):
            raise CrashedError
        return written.append(documents) or SqliteStore.put(store, documents)

    monkeypatch.setattr(store, "put", put)
    with pytest.raises(CrashedError):
        turn(running, clock, 20)
    monkeypatch.undo()
    fresh = next_process(running)
    tell(fresh, store, incident("C"))
    turn(fresh, clock, 0)
    turn(fresh, clock, 20)
    assert soc.tried[0] == soc.tried[1]
    assert [[i for i, _, _ in message] for message in soc.told] == [
        ["INC-A", "INC-B"],
        ["INC-A", "INC-B"],
        ["INC-C"],
    ]


def test_result_is_stored_before_the_next_message_is_sent(notifier, store, clock, soc, monkeypatch):
    running = notifier({"soc": soc})
    tell(running, store, incident("A"))
    put, down = store.put, []

    def refusing(documents):
        if down or any(getattr(d, "outcome", "") == "sent" for d in documents):
            down.append(1)
            raise UnavailableError("the store is down")
        return put(documents)

    monkeypatch.setattr(store, "put", refusing)
    for _ in range(3):
        with pytest.raises(UnavailableError):
            turn(running, clock, 20)
    monkeypatch.undo()
    turn(running, clock, 20)
    assert len(soc.sent) == 1
    assert len(log_of(store, outcome="sent")) == 1


@pytest.mark.parametrize(
    "is_due",
    [lambda one: getattr(one, "outcome", "") == "sent", lambda one: isinstance(one, WorkItem)],
)
def test_work_items_are_written_later_after_a_store_outage(
    notifier, store, clock, soc, monkeypatch, is_due
):
    running = notifier({"soc": soc})
    tell(running, store, incident("A", clock="run"), incident("B", clock="run"))
    put, down = store.put, [1, 2]

    def refusing(documents):
        if down and any(map(is_due, documents)):
            down.pop()
            raise UnavailableError("the store is down")
        return put(documents)

    monkeypatch.setattr(store, "put", refusing)
    for _ in range(2):
        with pytest.raises(UnavailableError):
            turn(running, clock, 20)
        assert store.mget(WorkItem, ["INC-A", "INC-B"]) == {}
    turn(running, clock)
    assert {item.due_for for item in store.mget(WorkItem, ["INC-A", "INC-B"]).values()} == {
        "nfra-2024 first"
    }
    assert len(soc.sent) == 1
    store.delete(WorkItem, ["INC-A", "INC-B"])
    turn(running, clock, 20)
    assert store.count(WorkItem, DocumentFilter()) == 0  # which is done once


def test_work_items_lost_in_a_crash_are_written_by_the_next_process(
    notifier, store, clock, soc, monkeypatch
):
    running = notifier({"soc": soc})
    tell(running, store, incident("A", clock="run"))

    def put(documents):
        if any(isinstance(document, WorkItem) for document in documents):
            raise CrashedError
        return SqliteStore.put(store, documents)

    monkeypatch.setattr(store, "put", put)
    with pytest.raises(CrashedError):
        turn(running, clock, 20)
    monkeypatch.undo()
    assert (log_of(store)["INC-A:soc:high"].outcome, store.get(WorkItem, "INC-A")) == ("sent", None)
    turn(next_process(running), clock)
    assert store.get(WorkItem, "INC-A").due_for == "nfra-2024 first"
    assert len(soc.sent) == 1


def test_clock_jump_gives_up_and_repeats_nothing(notifier, store, clock, soc, context):
    context.running_time.read()
    soc.failing = [DOWN]
    running = notifier({"soc": soc})
    tell(running, store, incident())
    turn(running, clock, 20)
    clock.jump(200 * 86_400)
    soc.failing = []
    for _ in range(5):
        turn(running, clock, 120)
    assert log_of(store)["INC-A:soc:high"].outcome == "sent"
    assert [[entry.incident for entry in message.entries] for message in soc.sent] == [["INC-A"]]


def test_message_is_given_up_counted_and_shown_after_a_day(notifier, store, clock, soc, registry):
    soc.failing = [DOWN]
    running = notifier({"soc": soc})
    tell(running, store, incident())
    turn(running, clock, 20)
    turn(running, clock, 86_400)
    assert log_of(store)["INC-A:soc:high"].outcome == "failed"
    assert value(registry, "ullage_notifications_total", channel="soc", outcome="given_up") == 1.0
    soc.failing = []
    turn(running, clock, 3600)
    assert soc.sent == []


def test_message_due_during_days_of_downtime_is_sent(notifier, store, clock, soc):
    running = notifier({"soc": soc})
    tell(running, store, incident())
    turn(running, clock, 3 * 86_400)
    assert log_of(store)["INC-A:soc:high"].outcome == "sent"


def test_decision_made_while_waiting_cancels_the_message(notifier, store, clock, soc, registry):
    mute = set()
    running = notifier({"soc": soc}, muted=lambda some: mute & {i.id for i in some})
    tell(running, store, incident("A"), incident("B"), incident("C"), incident("D"))
    decide(store, clock, "false_positive", "INC-A")
    decide(store, clock, "acknowledged", "INC-D")  # known, but the channel has not heard of it
    mute.add("INC-B")
    store.delete(Incident, ["INC-C"])
    turn(running, clock, 20)
    assert soc.told == [[("INC-D", "high", "new")]]
    assert value(registry, "ullage_notifications_total", channel="soc", outcome="suppressed") == 3.0


@pytest.mark.parametrize("closed", ["resolved", "false_positive"])
def test_closed_incident_that_gets_worse_is_notified_and_repeated(
    notifier, store, clock, soc, closed
):
    boss = RecordingChannel()
    running = notifier({"soc": soc, "boss": boss}, route={"repeat_hours": 4})
    tell(running, store, incident(severity="medium"))
    turn(running, clock, 20)
    decide(store, clock, closed)
    turn(running, clock, 3600)
    tell(running, store, incident(severity="medium"))
    turn(running, clock, 20)
    assert len(soc.sent) == 1, "a copy that adds nothing is no news"
    tell(running, store, incident(severity="statutory"))
    turn(running, clock, 20)
    assert soc.told[1:] == [[("INC-A", "statutory", "raised")]]
    turn(running, clock, 1800)
    assert boss.told == [[("INC-A", "statutory", "escalated")]]
    turn(running, clock, 4 * 3600)
    assert soc.told[2:] == [[("INC-A", "statutory", "unacknowledged")]]
    decide(store, clock, closed)
    turn(running, clock, 4 * 3600 + 20)
    assert len(soc.sent) == 3


def test_message_planned_while_the_clock_was_ahead_is_not_delayed(notifier, store, clock, soc):
    boss = RecordingChannel()
    running = notifier({"soc": soc, "boss": boss})
    turn(running, clock, 0)
    clock.advance(8 * 3600)
    tell(running, store, incident())
    turn(running, clock, 5)
    clock.advance(-8 * 3600)
    turn(running, clock, 5)
    turn(running, clock, 20)
    assert soc.told == [[("INC-A", "high", "new")]]
    turn(running, clock, 1800)
    assert boss.told == [[("INC-A", "high", "escalated")]]
    clock.advance(8 * 3600)
    tell(running, store, incident("B"))
    clock.advance(-8 * 3600)
    # anew, when the clock is right again
    started = Notifier(running.setup, [Sender("soc", soc, running.setup)])
    for _ in range(2):
        turn(started, clock, 20)
    assert soc.told[-1] == [("INC-B", "high", "new")]


def test_publish_to_notification_is_measured_for_first_messages(
    notifier, store, clock, soc, registry
):
    running = notifier({"soc": soc})
    tell(running, store, incident())
    turn(running, clock, 20)
    assert value(
        registry, "ullage_publish_to_notification_seconds_sum", tenant="bank"
    ) == pytest.approx(110.0)
    turn(running, clock, 5 * 3600)
    assert value(registry, "ullage_publish_to_notification_seconds_count", tenant="bank") == 1.0


def test_facts_are_sent_only_where_a_channel_allows_them(notifier, store, clock, soc):
    plain = RecordingChannel()
    running = notifier(
        {"soc": soc, "other": plain},
        detail={"soc": "facts"},
        route={"channels": ["soc", "other"], "escalate_to": []},
    )
    tell(running, store, incident(titles=("王伟 13800138000",), clock="if confirmed"))
    turn(running, clock, 20)
    assert "客户 48 人" in soc.sent[0].text()
    assert "2026" in soc.sent[0].entries[0].facts.decide[0], "by when a person decides"
    assert soc.sent[0].page == "https://page.example"
    assert "48" not in plain.sent[0].text()
    assert "13800138000" not in soc.sent[0].text()


def test_new_notification_is_sent_before_a_search_finds_it(
    notifier, store, clock, soc, monkeypatch
):
    monkeypatch.setattr(store, "scroll", lambda kind, where: iter(()))
    running = notifier({"soc": soc, "boss": RecordingChannel()})
    tell(running, store, incident("A"))
    for _ in range(3):
        turn(running, clock, 20)
    assert soc.told == [[("INC-A", "high", "new")]]
    assert [sender._heard for sender in running.senders] == [set(), set()]


def test_pending_act_is_notified_at_once_and_escalated(notifier, store, clock, soc):
    lead = RecordingChannel()
    running = notifier({"soc": soc, "lead": lead})
    [clocked] = store_all(store, [incident("A", clock="run")])
    decide(store, clock, "acknowledged")
    now = clock.as_clock().now()
    whose = {
        "tenant": "bank",
        "incident": "INC-A",
        "by": "Li",
        "proposers": ("Li",),
        "ends": ("pipl-57 first",),
    }
    waiting = PendingDecision(id="INC-A:1", at=now, due=now + timedelta(hours=2), **whose)
    store.create([waiting])
    for _ in range(2):  # doing it again notifies nobody twice
        running.plan_second_person([(clocked, waiting)])
        turn(running, clock, 20)
    assert soc.told == [[("INC-A", "high", "second_person")]]
    assert lead.told == []
    turn(running, clock, 3600)
    assert lead.told == [[("INC-A", "high", "unconfirmed")]]


def test_confirmed_act_is_not_escalated(notifier, store, clock, soc):
    lead = RecordingChannel()
    running = notifier({"soc": soc, "lead": lead})
    [clocked] = store_all(store, [incident("A", clock="run")])
    now = clock.as_clock().now()
    whose = {
        "tenant": "bank",
        "incident": "INC-A",
        "by": "Li",
        "proposers": ("Li",),
        "ends": ("pipl-57 first",),
    }
    waiting = PendingDecision(id="INC-A:1", at=now, due=now + timedelta(hours=2), **whose)
    running.plan_second_person([(clocked, waiting)])
    answer = {
        "id": waiting.answer_id,
        "status": "note",
        "act": "second_confirmed",
        "about": waiting.id,
    }
    store.create([waiting, Decision(tenant="bank", incident="INC-A", at=now, by="Wang", **answer)])
    turn(running, clock, 4000)
    assert (soc.told, lead.told) == ([], [])
