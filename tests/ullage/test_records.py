"""Captures and findings survive the wire; what is not one is a RecordError that says nothing of
its content.
"""

import json
import struct
import traceback
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.factories import WHEN, capture, finding, match
from ullage.errors import RecordError
from ullage.records import (
    CAPTURE_SCHEMA,
    FINDING_SCHEMA,
    MAX_BODY_BYTES,
    MAX_MATCHES,
    Capture,
    Finding,
    RowGroup,
    Statistics,
    Term,
)
from ullage.records.base import frame
from ullage.records.capture import CATEGORIES

TEXT = st.text(max_size=30)
# hypothesis adds the zone
FIRST, LAST = datetime(1970, 1, 1), datetime(2099, 12, 31)  # noqa: DTZ001
TIMES = st.datetimes(FIRST, LAST, timezones=st.just(UTC))
CAPTURES = st.builds(
    Capture,
    id=TEXT,
    site=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True),
    source=TEXT,
    section=TEXT,
    category=st.sampled_from(CATEGORIES),
    post_id=TEXT,
    url=TEXT,
    title=TEXT,
    author=TEXT,
    published_at=st.none() | TIMES,
    fetched_at=TIMES,
    kind=st.sampled_from(["post", "paste", "attachment", "message"]),
    truncated=st.booleans(),
    attachments=st.lists(TEXT, max_size=3).map(tuple),
    body=st.binary(max_size=200),
)
MATCHES = st.builds(
    match,
    start=st.integers(0, 10**7),
    end=st.integers(0, 10**7),
    row=st.integers(0, 10**6),
    form=st.sampled_from(["plain", "md5", "sha1", "sha256", "masked"]),
    member=st.integers(min_value=0, max_value=100_000),
)
STATISTICS = st.builds(
    Statistics,
    rows=st.integers(0, 10**6),
    candidates=st.dictionaries(st.sampled_from(["phone", "card"]), st.integers(0, 99)),
    newest_date=st.none() | st.dates(),
    groups=st.lists(
        st.builds(RowGroup, fields=st.just(("NAME", "PHONE")), rows=st.integers(0, 9)), max_size=2
    ).map(tuple),
    terms=st.lists(
        st.builds(Term, id=TEXT, category=TEXT, weight=st.integers(0, 9), count=st.integers(0, 9)),
        max_size=2,
    ).map(tuple),
)


@given(CAPTURES)
def test_capture_round_trips(sent: Capture) -> None:
    assert Capture.decode(sent.encode(), CAPTURE_SCHEMA) == sent


def with_header(**changes: object) -> bytes:
    """Return a capture with the given header fields."""
    fields = json.loads(capture().model_dump_json(exclude={"body"}, exclude_defaults=True))
    return frame(json.dumps({**fields, **changes}).encode(), b"text")


@pytest.mark.parametrize("changes", [{"site": "诸葛"}, {"category": "诸葛"}, {"site": ""}])
def test_capture_with_an_invalid_site_or_category_is_rejected(changes: dict[str, str]) -> None:
    with pytest.raises(RecordError) as caught:
        Capture.decode(with_header(**changes), CAPTURE_SCHEMA)
    assert caught.value.reason == "malformed"


@given(matches=st.lists(MATCHES, max_size=4).map(tuple), statistics=STATISTICS, alarm=st.booleans())
def test_finding_round_trips(matches: tuple, statistics: Statistics, alarm: bool) -> None:
    sent = finding(matches=matches, statistics=statistics, alarm=alarm)
    assert Finding.decode(sent.encode(), FINDING_SCHEMA) == sent


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_are_a_record_error(data: bytes) -> None:
    for record in (Capture, Finding):
        with pytest.raises(RecordError, match=r"^malformed$"):
            record.decode(data, 1)


@given(data=st.data())
def test_damaged_record_decodes_or_is_a_record_error(data: st.DataObject) -> None:
    for record, sent in ((Capture, capture().encode()), (Finding, finding().encode())):
        damaged = bytearray(sent)
        damaged[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
        cut = bytes(damaged[: data.draw(st.integers(0, len(sent)))])
        for attempt in (bytes(damaged), cut):
            assert outcome(record, attempt) in {record.__name__, "malformed", "oversize"}


def outcome(record: type[Capture | Finding], data: bytes) -> str:
    """Return the decoded record's type, or the reason of its RecordError."""
    try:
        return type(record.decode(data, 1)).__name__
    except RecordError as error:
        return error.reason


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(sorted(Capture.model_fields)), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(JSON)
def test_arbitrary_json_header_is_a_record_error(header: object) -> None:
    text = json.dumps(header).encode()
    with pytest.raises(RecordError, match=r"^malformed$"):
        Capture.decode(struct.pack(">I", len(text)) + text, 1)


def test_rejected_record_names_no_value_even_in_its_causes() -> None:
    text = json.dumps({"id": "1", "site": 13800138000, "title": "13800138000"}).encode()
    for record, data in ((Capture, struct.pack(">I", len(text)) + text), (Finding, text)):
        with pytest.raises(RecordError) as caught:
            record.decode(data, 1)
        assert "13800138000" not in "".join(traceback.format_exception(caught.value))


def test_invalid_capture_names_the_field_but_not_the_value() -> None:
    with pytest.raises(ValidationError) as caught:
        capture(kind="13800138000")
    assert "kind" in str(caught.value)
    assert "13800138000" not in str(caught.value)


def test_capture_in_a_message_shows_no_collected_content() -> None:
    shown = f"{capture()} {capture()!r} {[capture()]}"
    assert "c0ffee00" in shown
    assert not any(word in shown for word in ("13800138000", "客户资料", "127.0.0.1"))


@pytest.mark.parametrize("schema", [0, 2, 5, -1])
def test_other_schema_is_rejected(schema: int) -> None:
    for record, data in ((Capture, capture().encode()), (Finding, finding().encode())):
        with pytest.raises(RecordError) as caught:
            record.decode(data, schema)
        assert caught.value.reason == "schema"


def test_body_over_32_mib_is_rejected_on_both_sides() -> None:
    largest = capture(body=bytes(MAX_BODY_BYTES))
    encoded = largest.encode()
    assert Capture.decode(encoded, 1) == largest
    for act in (
        capture(body=bytes(MAX_BODY_BYTES + 1)).encode,
        lambda: Capture.decode(encoded + b"x", 1),
    ):
        with pytest.raises(RecordError, match="oversize"):
            act()


def test_header_over_256_kib_is_rejected() -> None:
    with pytest.raises(RecordError, match="oversize"):
        capture(title="x" * 300_000).encode()
    with pytest.raises(RecordError, match="malformed"):
        Capture.decode(struct.pack(">I", 2**31) + b"{}", 1)


def test_record_holds_at_most_2000_matches() -> None:
    assert (
        len(Finding.decode(finding(matches=(match(),) * MAX_MATCHES).encode(), 1).matches)
        == MAX_MATCHES
    )
    with pytest.raises(RecordError, match="oversize"):
        finding(matches=(match(),) * (MAX_MATCHES + 1)).encode()


@pytest.mark.parametrize("field", ["fetched_at", "published_at"])
def test_time_without_zone_is_rejected(field: str) -> None:
    with pytest.raises(ValidationError, match="timezone"):
        capture(**{field: WHEN.replace(tzinfo=None)})


def test_times_in_other_zones_are_the_same_moment() -> None:
    shanghai = datetime(2026, 9, 21, 20, 0, tzinfo=timezone(timedelta(hours=8)))
    assert Capture.decode(capture(fetched_at=shanghai).encode(), 1).fetched_at == WHEN


def test_records_are_immutable_and_take_no_unknown_field() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        capture().site = "other"
    with pytest.raises(ValidationError, match="extra"):
        finding(value="13800138000")
    assert finding(
        statistics=Statistics(newest_date=date(2026, 9, 1))
    ).statistics.newest_date == date(2026, 9, 1)
