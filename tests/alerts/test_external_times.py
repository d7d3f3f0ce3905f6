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

from alerts.cases.actions import Cases, moment_past, moment_typed
from alerts.coverage.view import read_time
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.records import Decision, Incident, Sighting, incident_id
from alerts.records.document import QueryError
from alerts.store import DocumentFilter
from alerts.web.dependencies import ANYBODY, needed
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
    """Whether no zone and no sum of days leads beyond what there is."""
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
def test_what_is_in_range_is_safe_in_every_zone(moment):
    known = in_range(moment)
    assert known in (None, moment)
    assert known is None or is_safe(known)


@pytest.mark.parametrize("text", EXTREME)
def test_what_is_out_of_range_is_not_known(text):
    assert in_range(datetime.fromisoformat(text)) is None
    assert DateFormats().parse(text, NOW) is None


@given(
    st.one_of(
        MOMENTS.map(datetime.isoformat), st.sampled_from(EXTREME), st.integers(-(10**15), 10**15)
    )
)
@example(FIRST)
def test_a_line_of_a_collector_has_a_safe_time_or_none(given_):
    line = json.dumps({"site": "paste", "text": "x", "published_at": given_}).encode()
    try:
        (made,) = captures_of(read_line(line), {}, FrontierCipher(bytes(32)), NOW)
    except RecordError:
        return
    read = Capture.decode(made.encode(), CAPTURE_SCHEMA)
    assert read.published_at is None or is_safe(read.published_at)


@given(MOMENTS)
def test_a_date_that_a_site_writes_is_safe_or_none(moment):
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
def test_a_record_with_such_a_time_has_none_and_one_that_needs_it_is_refused(text):
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
    found = finding("f", range(10))
    told = found.model_copy(
        update={"capture": found.capture.model_copy(update={"published_at": aware})}
    )
    assert Finding.decode(told.encode(), FINDING_SCHEMA).capture.published_at is None


@given(
    st.one_of(
        MOMENTS.map(datetime.isoformat),
        st.datetimes().map(datetime.isoformat),
        st.sampled_from(EXTREME),
    )
)
@example(FIRST)
@example("9999-12-31T23:59:59")
def test_what_a_person_types_is_safe_or_refused(typed):
    for zone in (UTC, ZoneInfo("Asia/Shanghai"), ZoneInfo("Pacific/Kiritimati")):
        for read in (
            partial(moment_typed, typed, zone, NOW),
            partial(moment_past, typed, zone, NOW),
            partial(read_time, typed, NOW, zone),
        ):
            with contextlib.suppress(QueryError, ConfigError):
                assert is_safe(read())


@pytest.fixture
def stored(store, clock) -> str:
    """An incident as a version stored it that looked at no times."""
    fold_all(store, clock, [finding("f", range(10), people="a")])
    id_ = incident_id("f")
    for kind, of in ((Incident, id_), (Sighting, "f")):
        store.put(
            [store.get(kind, of).model_copy(update={"published_at": datetime.fromisoformat(FIRST)})]
        )
    assert store.get(Incident, id_).published_at is None
    return id_


def test_every_page_shows_what_was_stored_before_and_takes_any_time_in_an_address(
    stored, desk, browser
):
    tried = 0
    for route, method, kind in calls(desk):
        if method != "GET" or needed(route) <= {ANYBODY} or kind not in ("", "incidents"):
            continue
        path = route.path.replace("{id_}", stored)
        if "{" in path:
            continue
        assert browser.get(path).status_code < 500, path
        names = {param.alias for param in route.dependant.query_params}
        names |= {param.alias for one in route.dependant.dependencies for param in one.query_params}
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
def test_no_program_and_no_form_has_such_a_time_stored(stored, browser, store, text):
    form = {"status": "due", "due": text, "token": "0" * 16}
    assert browser.post(f"/incidents/{stored}/decisions", form).status_code == 400
    outcome = {"incident": stored, "pseudonym": handle("a"), "outcome": "loss", "when": text}
    assert browser.ask(
        "POST", "/v1/outcomes", json=outcome, headers={"sec-fetch-site": "same-origin"}
    ).status_code in (400, 422)
    assert store.count(Decision, DocumentFilter()) == 0


def test_a_decision_that_was_stored_with_such_a_time_is_read_without_it(store, context, clock):
    store.put([Decision(id="INC-A:1", tenant="bank", incident="INC-A", at=NOW, by="Li",
        status="note", act="due",
                        until=datetime.fromisoformat(FIRST))])  # fmt: skip
    assert store.get(Decision, "INC-A:1").until is None
    assert Cases(Work(Duties(store, context.tenant, clock.as_clock())), context.trail())
