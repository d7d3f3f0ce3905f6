"""Customers by handle or index tag, for a risk engine: what is told, what is not, and what
silence is worth.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from alerts.cases.lookups.lookup import Lookup, index_tags
from alerts.cases.lookups.screening import ExposureQuery, decay_points, screen_customers
from alerts.coverage.monitoring_status import HeartbeatRecorder
from alerts.records import Exposure
from alerts.store import DocumentFilter
from alerts.store.tenant_view import StoreWithin
from alerts.web.api.exposure import MOST_BYTES
from tests.alerts.browser import PHONE, Browser
from tests.alerts.builders import finding, fold_all, handle
from tests.factories import match
from tests.stores import on_server_too
from ullage import audit
from ullage.errors import ConfigError, CorruptError
from ullage.lookup import list_index
from ullage.records.heartbeat import Coverage, Heartbeat
from ullage.security import keys
from ullage.security.masking import Secret

NOBODY = "0" * 32


@pytest.fixture
def engine(desk, accounts):
    """Asks as the risk engine of some tenants: `engine(["bank"])`."""

    def engine_for(tenants=("bank",)):
        secret = accounts.add_token(
            "engine", ["exposure.ask"], tenants, purpose="risk_engine", days=1, by="test"
        )[1]
        asks = {"authorization": f"Bearer {secret}"}
        return lambda **asked: Browser(desk.app).ask(
            "POST", "/v1/exposure", json=asked, headers=asks
        )

    return engine_for


def tag_of(context, phone: str = PHONE, tenant: str = "bank") -> str:
    return index_tags(context.keys.read(f"{tenant}/index-1.key"), tenant, "phone", Secret(phone))[0]


def entries(context, action: str):
    return [
        entry for _, entry in audit.read_entries(context.data / "audit") if entry.action == action
    ]


@on_server_too
def test_exposed_customer_is_described_by_kinds_risk_and_reasons(
    phone_incident, engine, context, store
) -> None:
    answer = engine()(pseudonyms=[handle("a")], keyed_hashes=[tag_of(context)])
    assert answer.status_code == 200, answer.text
    by_handle, by_tag = answer.json()["items"]
    assert {**by_handle, "asked": ""} == {**by_tag, "asked": ""}
    assert (by_handle["state"], [kind["en"] for kind in by_handle["kinds"]]) == (
        "exposed",
        ["name", "telephone number"],
    )
    assert by_handle["scenario"]["id"] == "X17"
    assert by_handle["risk"] == 22
    assert by_handle["why"][0] == {
        "en": "stood together: name and phone",
        "zh": "同时出现：姓名、手机号",
    }
    assert len(by_handle["why"]) == 4


def test_answer_reveals_no_site_case_or_other_customer(
    phone_incident, engine, context, store
) -> None:
    (exposure,) = store.scroll(Exposure, DocumentFilter())
    text = engine()(pseudonyms=[handle("a")], keyed_hashes=[tag_of(context)]).text
    for secret in (
        phone_incident,
        "paste",
        "四件套",
        "内料",
        *exposure.sites,
        "sighting",
        "tenant",
    ):
        assert secret not in text


def test_answer_has_purpose_and_expiry(phone_incident, engine, clock) -> None:
    answer = engine()(pseudonyms=[handle("a")]).json()
    terms = answer["terms"]
    assert (terms["decides_alone"], terms["purpose"], terms["not_for"]) == (
        False,
        "risk_engine",
        ["credit", "marketing"],
    )
    assert terms["holds_until"].startswith(
        f"{clock.as_clock().now() + timedelta(hours=24):%Y-%m-%dT%H:%M}"
    )
    assert "PIPL Art. 24" in terms["said"]["en"]
    assert "第二十四条" in terms["said"]["zh"]
    assert answer["coverage"]["worth"] == "imported"
    assert answer["coverage"]["kept_days"] == answer["formula"]["life_days"] == 180
    assert "1803.11052" in answer["formula"]["source"]


def test_risk_decays_with_retention(phone_incident, engine, clock) -> None:
    ask, risks = engine(), []
    for hours in (0, 20):
        clock.advance(hours * 3600)
        risks.append(ask(pseudonyms=[handle("a")]).json()["items"][0]["risk"])
    assert risks == [22, 22]
    points = [decay_points(22, age, 180) for age in (0, 90, 170, 180, 999, -1)]
    assert points == [22, 16, 2, 0, 0, 22]
    assert all(decay_points(60, age, 180) >= decay_points(60, age + 1, 180) for age in range(200))


def test_not_found_says_how_far_it_can_be_trusted(
    phone_incident, engine, context, store, clock
) -> None:
    """`not_exposed` takes a list on which somebody is, and that all was read; a handle is on no
    list that can be asked.
    """
    enrolled_tag, strange = tag_of(context, "13900139000"), tag_of(context, "13700137000")
    ask = engine()

    def states() -> list[str]:
        return [
            item["state"]
            for item in ask(pseudonyms=[NOBODY], keyed_hashes=[enrolled_tag, strange]).json()[
                "items"
            ]
        ]

    assert states() == ["not_found"] * 3
    enrol(context, [enrolled_tag])
    assert states() == ["not_found", "not_exposed", "unknown"]
    HeartbeatRecorder(store, clock.as_clock())(beat(clock, {"unreachable": 1}))
    assert states() == ["not_found", "not_found", "unknown"]
    HeartbeatRecorder(store, clock.as_clock())(beat(clock, {"ok": 1}))
    assert states() == ["not_found", "not_exposed", "unknown"]


def beat(clock, sites) -> Heartbeat:
    now = clock.as_clock().now()
    return Heartbeat(
        id="0" * 32, origin="host-1", inserted_at=now, coverage=Coverage(sites=sites), enrolled=1
    )


def enrol(context, tags) -> None:
    """Write a customer registry of `bank` with these tags."""
    import numpy as np

    now = context.clock.now()
    header = list_index.header_for(
        context.keys, "bank", now, (now + timedelta(days=30)).isoformat()
    )
    pairs = b"".join(sorted(bytes.fromhex(tag) + bytes(16) for tag in tags))
    rows = np.frombuffer(pairs, np.uint8).reshape(-1, 32)
    list_index.write(
        list_index.path_of(context.data, "bank"),
        header,
        [rows],
        keys.load_signing_key(context.keys, "bank"),
    )


def test_false_positive_is_not_an_exposure(phone_incident, engine, browser) -> None:
    browser.post(
        f"/incidents/{phone_incident}/decisions",
        {"status": "excused", "reason": "chance", "days": "30", "note": "", "token": "0" * 16},
    )
    assert engine()(pseudonyms=[handle("a")]).json()["items"][0]["state"] == "not_found"


@pytest.mark.parametrize(
    "asked",
    [
        {"pseudonyms": [PHONE]},
        {"keyed_hashes": [PHONE]},
        {"pseudonyms": ["11010519491231002X"]},
        {"keyed_hashes": ["test@example.com"]},
        {"pseudonyms": [NOBODY, PHONE]},
        {"pseudonyms": [NOBODY.upper().replace("0", "A")]},
        {},
        {"pseudonyms": [NOBODY] * 501, "keyed_hashes": [NOBODY] * 500},
        {"pseudonyms": [NOBODY], "value": PHONE},
    ],
)
def test_identifier_is_rejected_and_not_echoed(desk, engine, context, asked) -> None:
    answer = engine()(**asked)
    assert answer.status_code == 400
    for secret in (PHONE, "11010519491231002X", "test@example.com"):
        assert secret not in answer.text
        assert secret not in desk.log.getvalue()
    assert entries(context, "exposure") == []


def test_request_takes_at_most_a_thousand_customers(phone_incident, engine, context) -> None:
    ask = engine()
    answer = ask(pseudonyms=[f"{n:032x}" for n in range(999)] + [handle("a")])
    assert [item["state"] for item in answer.json()["items"]] == ["not_found"] * 999 + ["exposed"]
    assert ask(pseudonyms=["0" * MOST_BYTES]).status_code == 413


def test_call_is_audited_once_with_counts_only(phone_incident, engine, context) -> None:
    engine()(pseudonyms=[handle("a"), NOBODY], keyed_hashes=[tag_of(context)])
    (entry,) = entries(context, "exposure")
    assert (entry.actor, entry.tenant, entry.object) == (
        "engine",
        "bank",
        "2 pseudonyms, 1 keyed hashes: 2 exposed",
    )


def test_customers_of_another_tenant_are_not_found(
    phone_incident, engine, context, store, clock
) -> None:
    keys.make_tenant(context.keys, "zetalend")
    foreign_leak = finding(
        "z", range(20, 30), tenant="zetalend", site="board", capture={"title": "内料 四件套"}
    )
    tag = tag_of(context, tenant="zetalend")
    foreign_match = match(subject=handle("z"), index_tag=tag)
    fold_all(
        store,
        clock,
        [foreign_leak.model_copy(update={"matches": (foreign_match,), "alarm": False})],
    )
    states = lambda ask: [  # noqa: E731
        item["state"] for item in ask(pseudonyms=[handle("z")], keyed_hashes=[tag]).json()["items"]
    ]
    assert states(engine()) == ["not_found", "not_found"]
    assert states(engine(["zetalend"])) == states(engine(["*"])) == ["exposed", "exposed"]


def test_only_risk_engines_may_ask(phone_incident, desk, browser, accounts) -> None:
    assert browser.ask("POST", "/v1/exposure", json={"pseudonyms": [NOBODY]}).status_code == 403
    for scope, purpose in (
        (["exposure.ask"], "marketing"),
        (["exposure.ask", "incident.read"], "risk_engine"),
    ):
        with pytest.raises(ConfigError, match="risk_engine"):
            accounts.add_token("engine", scope, ["bank"], purpose=purpose, days=1, by="test")
    with pytest.raises(ConfigError, match=r"exposure\.ask"):
        accounts.add_token(
            "engine", ["incident.read"], ["bank"], purpose="risk_engine", days=1, by="test"
        )


def test_token_with_an_edited_purpose_is_rejected(phone_incident, desk, accounts) -> None:
    secret = accounts.add_token(
        "engine", ["exposure.ask"], ["bank"], purpose="risk_engine", days=1, by="test"
    )[1]
    accounts._connection.execute("update tokens set purpose = 'marketing'")
    answer = Browser(desk.app).ask(
        "POST",
        "/v1/exposure",
        json={"pseudonyms": [NOBODY]},
        headers={"authorization": f"Bearer {secret}"},
    )
    assert answer.status_code == 403


def test_damaged_list_fails_only_its_own_callers_in_a_batch(phone_incident, context, store) -> None:
    lists, enrolled_tag = list_index.EnrolledLists(context.data, context.keys), tag_of(context)
    lookup = Lookup(store, context.keys, ("bank", "shop"), context.clock, context.trail(), lists)
    enrol(context, [enrolled_tag])
    listed = list_index.path_of(context.data, "bank")
    listed.write_bytes(listed.read_bytes()[:-1])
    bank, shop = (
        replace(lookup, store=StoreWithin(store, frozenset({t})), among=frozenset({t}))
        for t in ("bank", "shop")
    )
    queries = [
        ExposureQuery(bank, [NOBODY], [], "one"),
        ExposureQuery(shop, [handle("a")], [], "two"),
        ExposureQuery(bank, [], [tag_of(context, "13700137000")], "three"),
        ExposureQuery(bank, [handle("a")], [enrolled_tag], "four"),
    ]
    answers = screen_customers(queries, context.trail(), 180.0)
    states = [
        type(outcome) if isinstance(outcome, Exception) else [item.state for item in outcome.items]
        for outcome in answers
    ]
    assert states == [["not_found"], ["not_found"], CorruptError, ["exposed", "exposed"]]
    noted = [
        (outcome.actor, outcome.tenant, outcome.object.partition(": ")[2])
        for outcome in entries(context, "exposure")
    ]
    assert noted == [
        ("one", "bank", "0 exposed"),
        ("two", "shop", "0 exposed"),
        ("three", "bank", "not answered: CorruptError"),
        ("four", "bank", "2 exposed"),
    ]
