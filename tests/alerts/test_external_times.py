"""Times that others give, at every boundary where one enters: what is none that can be is
refused or not known, never stored.
"""

import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alerts.cases.actions import Cases, parse_bound, parse_due, parse_past_moment
from alerts.coverage.view import read_time
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.records import Decision, Incident, Sighting, incident_id
from alerts.records.document import QueryError
from alerts.store import DocumentFilter
from alerts.web.dependencies import ANYBODY, list_permissions
from crawlers.frontier.cipher import FrontierCipher
from crawlers.intake.submission import captures_of, read_line
from crawlers.sites.dates import DateFormats
from tests.alerts.builders import finding, fold_all, handle
from tests.alerts.test_table_of_roles import calls
from tests.factories import capture
from ullage.clock import EARLIEST, LATEST, in_range
from ullage.errors import ConfigError, RecordError
from ullage.records import CAPTURE_SCHEMA, FINDING_SCHEMA, Capture, Finding

NOW = datetime(2026, 9, 21, tzinfo=UTC)
FIRST = "0001-01-01T00:00:00+23:59"
EXTREME = [
    FIRST, "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z",
    "0001-01-01", "9999-12-31",
    "1969-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "9999-12-31T23:59:59+23:59",
    "0001-01-01T00:00:00-23:59",
]  # fmt: skip
ZONES = [ZoneInfo(name) for name in sorted(available_timezones())]
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(timezones=OFFSETS)


def is_safe(moment: datetime) -> bool:
    """Return whether every zone and any 36,500 days can be added to `moment`."""
    shown = [
        moment.astimezone(zone).isoformat()
        for zone in (*ZONES, timezone(timedelta(hours=-23, minutes=-59)))
    ]
    return (
        all(shown)
        and all(moment.astimezone(UTC) + timedelta(days=days) for days in (-36_500, 36_500))
        and moment.timestamp() >= 0
    )


@given(MOMENTS)
@example(datetime.min.replace(tzinfo=timezone(timedelta(minutes=1439))))
@example(datetime.max.replace(tzinfo=timezone(-timedelta(minutes=1439))))
@example(EARLIEST)
@example(LATEST - timedelta(microseconds=1))
def test_time_in_range_is_safe_in_every_zone(moment):
    accepted = in_range(moment)
    assert accepted in (None, moment)
    assert accepted is None or is_safe(accepted)


@pytest.mark.parametrize("text", EXTREME)
def test_time_out_of_range_is_unknown(text):
    assert in_range(datetime.fromisoformat(text)) is None
    assert DateFormats().parse(text, NOW) is None


@given(
    st.one_of(
        MOMENTS.map(datetime.isoformat), st.sampled_from(EXTREME), st.integers(-(10**15), 10**15)
    )
)
@example(FIRST)
def test_collector_line_has_a_safe_time_or_none(given_):
    line = json.dumps({"site": "paste", "text": "x", "published_at": given_}).encode()
    try:
        (parsed,) = captures_of(read_line(line), {}, FrontierCipher(bytes(32)), NOW)
    except RecordError:
        return
    read = Capture.decode(parsed.encode(), CAPTURE_SCHEMA)
    assert read.published_at is None or is_safe(read.published_at)


@given(MOMENTS)
def test_site_date_is_safe_or_none(moment):
    for text in (
        moment.isoformat(),
        f"{moment:%Y-%m-%d %H:%M}",
        f"{moment:%d.%m.%Y}",
        str(moment.year * 10**8),
    ):
        for zone in (UTC, ZoneInfo("Pacific/Kiritimati"), ZoneInfo("Pacific/Pago_Pago")):
            read = DateFormats(zone, "DMY").parse(text, NOW)
            assert read is None or is_safe(read), text


@pytest.mark.parametrize("text", EXTREME)
def test_record_with_an_unsafe_time_drops_it_or_is_rejected(text):
    when = datetime.fromisoformat(text)
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    assert (
        Capture.decode(
            capture().model_copy(update={"published_at": aware}).encode(), CAPTURE_SCHEMA
        ).published_at
        is None
    )
    with pytest.raises(RecordError):
        Capture.decode(capture().model_copy(update={"fetched_at": aware}).encode(), CAPTURE_SCHEMA)
    plain = finding("f", range(10))
    dated = plain.model_copy(
        update={"capture": plain.capture.model_copy(update={"published_at": aware})}
    )
    assert Finding.decode(dated.encode(), FINDING_SCHEMA).capture.published_at is None


@given(
    st.one_of(
        MOMENTS.map(datetime.isoformat),
        st.datetimes().map(datetime.isoformat),
        st.sampled_from(EXTREME),
    )
)
@example(FIRST)
@example("9999-12-31T23:59:59")
def test_typed_time_is_safe_or_rejected(typed):
    for zone in (UTC, ZoneInfo("Asia/Shanghai"), ZoneInfo("Pacific/Kiritimati")):
        for read in (
            partial(parse_due, typed, zone, NOW),
            partial(parse_bound, typed, zone, NOW),
            partial(read_time, typed, NOW, zone),
        ):
            with contextlib.suppress(QueryError, ConfigError):
                assert is_safe(read())


def test_future_start_of_a_shift_is_rejected():
    ahead = (NOW + timedelta(hours=1)).isoformat()
    assert parse_bound(ahead, UTC, NOW) > NOW, "a list may end in the future"
    with pytest.raises(QueryError, match="in the future"):
        parse_past_moment(ahead, UTC, NOW)


@pytest.fixture
def legacy_incident(store, clock) -> str:
    """Store an incident as a version without time checks wrote it."""
    fold_all(store, clock, [finding("f", range(10), people="a")])
    id_ = incident_id("f")
    for kind, of in ((Incident, id_), (Sighting, "f")):
        store.put(
            [store.get(kind, of).model_copy(update={"published_at": datetime.fromisoformat(FIRST)})]
        )
    assert store.get(Incident, id_).published_at is None
    return id_


def test_pages_show_legacy_incidents_and_accept_any_time_in_addresses(
    legacy_incident, desk, browser
):
    tried = 0
    for route, method, kind in calls(desk):
        if method != "GET" or list_permissions(route) <= {ANYBODY} or kind not in ("", "incidents"):
            continue
        path = route.path.replace("{id_}", legacy_incident)
        if "{" in path:
            continue
        assert browser.get(path).status_code < 500, path
        names = {param.alias for param in route.dependant.query_params}
        names |= {
            param.alias
            for dependency in route.dependant.dependencies
            for param in dependency.query_params
        }
        for name in sorted(
            names
            & {"since", "until", "day", "month", "at", "from", "to", "after", "before", "when"}
        ):
            for text in EXTREME:
                answer = browser.get(path, params={name: text})
                assert answer.status_code < 500, f"{path}?{name}={text}"
                tried += 1
    assert tried > 20


@pytest.mark.parametrize("text", EXTREME)
def test_unsafe_time_is_never_stored(legacy_incident, browser, store, text):
    form = {"status": "due", "due": text, "token": "0" * 16}
    assert browser.post(f"/incidents/{legacy_incident}/decisions", form).status_code == 400
    outcome = {
        "incident": legacy_incident,
        "pseudonym": handle("a"),
        "outcome": "loss",
        "first_contact": text,
    }
    assert browser.ask(
        "POST", "/v1/fraud-cases", json=outcome, headers={"sec-fetch-site": "same-origin"}
    ).status_code in (400, 422)
    assert store.count(Decision, DocumentFilter()) == 0


def test_stored_decision_with_an_unsafe_time_is_read_without_it(store, context, clock):
    store.put([Decision(id="INC-A:1", tenant="bank", incident="INC-A", at=NOW, by="Li",
        status="note", act="due",
                        until=datetime.fromisoformat(FIRST))])  # fmt: skip
    assert store.get(Decision, "INC-A:1").until is None
    assert Cases(Work(Duties(store, context.tenant, clock.as_clock())), context.trail())
