"""Events of incidents: each change once, in order, signed, and none left out."""

import base64
import json
from datetime import timedelta

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from alerts.cases.feed import FILE, EventFeed
from alerts.records import Decision, Incident, Sighting
from alerts.store import DocumentFilter
from tests.alerts.builders import finding, fold_all
from tests.stores import on_server_too


def bytes_of(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verify_event(jws: str, key: dict) -> dict:
    """Return the payload of an event that `key` signed."""
    head, payload, signature = jws.split(".")
    Ed25519PublicKey.from_public_bytes(bytes_of(key["x"])).verify(
        bytes_of(signature), f"{head}.{payload}".encode()
    )
    assert json.loads(bytes_of(head)) == {
        "alg": "EdDSA",
        "kid": key["kid"],
        "typ": "ullage-event+json",
    }
    return json.loads(bytes_of(payload))


class Follower:
    """A program that keeps its mark."""

    def __init__(self, who):
        self.who, self.after, self.seen = who, "", []
        self.key = who.get("/v1/events/key").json()

    def read(self, limit: int = 500) -> list[tuple[str, str]]:
        fresh = []
        while True:
            answer = self.who.get(f"/v1/events?after={self.after}&limit={limit}").json()
            fresh += [verify_event(jws, self.key) for jws in answer["items"]]
            self.after = answer["after"]
            if not answer["more"]:
                break
        self.seen += fresh
        return [(event["type"], event["what"]) for event in fresh]


@pytest.fixture
def follower(phone_incident, browser):
    return Follower(browser)


def decide(browser, id_: str, n: int, **typed) -> None:
    assert (
        browser.post(
            f"/incidents/{id_}/decisions", {"note": "", "token": f"{n:016x}", **typed}
        ).status_code
        == 303
    )


@on_server_too
def test_every_change_of_an_incident_is_one_event(
    phone_incident, follower, browser, store, clock
) -> None:
    assert follower.read() == [("created", ""), ("grew", "first finding")]
    clock.advance(60)
    fold_all(store, clock, [finding("g", range(10), people="b")])
    assert follower.read() == [("grew", "")]
    for n, (typed, event) in enumerate(
        [
            ({"status": "acknowledged"}, ("acknowledged", "")),
            ({"status": "assigned", "to": "me"}, ("assigned", "")),
            ({"status": "takedown", "state": "asked"}, ("noted", "takedown")),
            ({"status": "resolved"}, ("closed", "resolved")),
            ({"status": "excused", "reason": "chance", "days": "3"}, ("closed", "")),
            ({"status": "confirmed"}, ("decided", "confirmed")),
        ]
    ):
        clock.advance(1)
        decide(browser, phone_incident, n, **typed)
        assert follower.read() == [event]
        assert follower.read() == []
    assert [feed_event["n"] for feed_event in follower.seen] == list(
        range(1, len(follower.seen) + 1)
    )
    assert {feed_event["incident"] for feed_event in follower.seen} == {phone_incident}


def test_first_event_of_an_incident_is_its_opening(phone_incident, follower, store, clock) -> None:
    """Alert writes a sighting before the incident, and a server shows the one it was asked to
    refresh before the other.
    """
    (incident,) = store.scroll(Incident, DocumentFilter())
    store.delete(Incident, [incident.id])
    assert follower.read() == []
    store.put([incident])
    assert follower.read() == [("created", ""), ("grew", "first finding")]
    long_ago = incident.model_copy(
        update={"id": "INC-OLD", "opened_at": incident.opened_at - timedelta(days=99)}
    )
    now = clock.as_clock().now()
    store.put(
        [
            long_ago,
            Decision(
                id="old", tenant="bank", incident="INC-OLD", at=now, by="Li", status="confirmed"
            ),
        ]
    )
    assert follower.read() == [("decided", "confirmed")]


def test_page_size_does_not_change_the_events(phone_incident, browser, store, clock) -> None:
    fold_all(
        store,
        clock,
        [finding(f"g{n}", range(100 * n, 100 * n + 10), people=f"{n}") for n in range(7)],
    )
    runs = []
    for limit in (1, 3, 500):
        follower = Follower(browser)
        follower.read(limit)
        runs.append([event["id"] for event in follower.seen])
    assert runs[0] == runs[1] == runs[2]
    facts = sum(store.count(kind, DocumentFilter()) for kind in (Incident, Sighting, Decision))
    assert len(runs[0]) == len(set(runs[0])) == facts


@pytest.mark.parametrize("late", [timedelta(minutes=5), timedelta(hours=9), timedelta(days=20)])
def test_late_write_is_not_left_out(phone_incident, follower, store, clock, context, late) -> None:
    """A decision that a store takes long after its time, as after an outage, comes behind what
    was read.
    """
    follower.read()
    now = clock.as_clock().now()
    decisions = [
        Decision(
            id=f"{phone_incident}:{n}",
            tenant="bank",
            incident=phone_incident,
            at=at,
            by="Li",
            status=status,
        )
        for n, (at, status) in enumerate([(now, "acknowledged"), (now - late, "confirmed")])
    ]
    store.create(decisions[:1])
    assert follower.read() == [("acknowledged", "")]
    store.create(decisions[1:])
    assert follower.read() == [("decided", "confirmed")]
    assert follower.read() == []


def test_replaced_document_is_one_event_and_hides_no_other(
    phone_incident, store, context, clock
) -> None:
    """A whole finding replaces the incomplete one of its capture, at the same time: the store
    counts as many as before.
    """
    feed, marks = EventFeed(context.data, store, context.keys, context.clock), [""]

    def read() -> list[str]:
        feed_page = feed.page(None, marks[-1], 500)
        marks.append(feed_page.after)
        return [verify_event(jws, feed.public_key())["type"] for jws in feed_page.items]

    def replace(old: str, new: str) -> None:
        (sighting,) = store.mget(Sighting, [old]).values()
        store.delete(Sighting, [old])
        store.create([sighting.model_copy(update={"id": new})])

    def decide(name: str) -> None:
        at = clock.as_clock().now()
        store.create(
            [
                Decision(
                    id=f"{phone_incident}:{name}",
                    tenant="bank",
                    incident=phone_incident,
                    at=at,
                    by="Li",
                    status="confirmed",
                )
            ]
        )

    assert read() == ["created", "grew"]
    replace("f", "whole")
    assert read() == ["grew"]
    clock.advance(3590)
    decide("one")
    assert read() == ["decided"]
    clock.advance(20)
    read()
    replace("whole", "again")
    decide("two")
    clock.advance(60)
    assert "decided" in (first_types := read())
    clock.advance(3600)
    assert sorted([*first_types, *read()]) == ["decided", "grew"]
    assert read() == []


def test_changed_event_fails_verification(phone_incident, follower, browser) -> None:
    jws = browser.get("/v1/events").json()["items"][0]
    head, payload, signature = jws.split(".")
    changed = {**json.loads(bytes_of(payload)), "type": "closed"}
    forged = base64.urlsafe_b64encode(json.dumps(changed).encode()).decode().rstrip("=")
    with pytest.raises(InvalidSignature):
        verify_event(f"{head}.{forged}.{signature}", follower.key)


def test_each_tenant_has_its_own_numbers_and_events(phone_incident, log_in, store, clock) -> None:
    fold_all(
        store, clock, [finding("z", range(20, 30), people="z", tenant="zetalend", site="board")]
    )
    for tenant in ("bank", "zetalend"):
        follower = Follower(log_in("analyst", tenants=[tenant]))
        follower.read()
        assert [(event["tenant"], event["n"]) for event in follower.seen] == [
            (tenant, 1),
            (tenant, 2),
        ]


def test_cursor_of_another_log_is_rejected_and_ids_are_stable(
    phone_incident, follower, browser, store, context, clock
) -> None:
    follower.read()
    other_feed = EventFeed(context.data / "other", store, context.keys, context.clock)
    answer = other_feed.page(None, "", 500)
    assert [verify_event(jws, follower.key)["id"] for jws in answer.items] == [
        event["id"] for event in follower.seen
    ]
    assert browser.get(f"/v1/events?after={answer.after}").status_code == 400
    for wrong in ("x", "1", "a.b", f"{follower.after.partition('.')[0]}.-1"):
        assert browser.get(f"/v1/events?after={wrong}").status_code == 400
    assert (context.data / FILE).stat().st_mode & 0o077 == 0


def test_event_holds_no_note_and_no_customer(phone_incident, follower, browser) -> None:
    decide(browser, phone_incident, 1, status="acknowledged", note="called the host")
    follower.read()
    names = {"feed", "n", "id", "type", "tenant", "incident", "at", "by", "what"}
    assert all(set(event) == names for event in follower.seen)
    assert "called" not in json.dumps(follower.seen)


def test_cursor_counts_only_its_tenant_and_serves_nobody_else(
    phone_incident, log_in, store, clock
) -> None:
    fold_all(
        store,
        clock,
        [
            finding(f"s{n}", range(99 * n, 99 * n + 10), people=f"{n}", tenant="shop")
            for n in range(5)
        ],
    )
    ours, theirs = (Follower(log_in("analyst", tenants=[tenant])) for tenant in ("bank", "shop"))
    assert (len(ours.read()), len(theirs.read())) == (2, 10)
    feed, _, event = ours.after.partition(".")
    assert event == ours.seen[-1]["id"]
    for mark in (theirs.after, f"{feed}.1", f"{feed}.0", f"{feed}.{'0' * 32}"):
        assert ours.who.get(f"/v1/events?after={mark}").status_code == 400
    fold_all(store, clock, [finding("late", range(10), people="z")])
    assert ours.read() == [("grew", "")]
