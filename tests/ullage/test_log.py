"""A log line holds declared fields and nothing else."""

import contextlib
import io
import json
import subprocess
import sys

import pytest
import structlog

from ullage import log
from ullage.security.masking import Secret


@pytest.fixture
def stream():
    stream = io.StringIO()
    log.configure("info", stream)
    yield stream
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_line_is_json_with_role_level_time_and_declared_fields(stream: io.StringIO) -> None:
    log.get("match").info("captures_matched", site="论坛", count=3)
    (line,) = lines(stream)
    assert {k: line[k] for k in ("event", "role", "level", "site", "count")} == {
        "event": "captures_matched",
        "role": "match",
        "level": "info",
        "site": "论坛",
        "count": 3,
    }
    assert str(line["timestamp"]).endswith("Z")


def test_undeclared_field_is_dropped_and_counted(stream: io.StringIO) -> None:
    log.get("match").warning(
        "record_dropped", text="13800138000", url="http://x/13800138000", reason="schema"
    )
    (line,) = lines(stream)
    assert "13800138000" not in stream.getvalue()
    assert (line["_dropped"], line["reason"]) == (2, "schema")


@pytest.mark.parametrize("event", ["found 13800138000", "", "Found", "x" * 65, "李某"])
def test_event_that_is_not_a_plain_name_is_replaced(stream: io.StringIO, event: str) -> None:
    log.get("match").info(event)
    assert lines(stream)[0]["event"] == "unnamed"


def test_positional_arguments_are_not_logged(stream: io.StringIO) -> None:
    log.get("match").info("found_%s!", "13800138000")
    assert "13800138000" not in stream.getvalue()


def test_exception_is_not_logged(stream: io.StringIO) -> None:
    try:
        raise ValueError("13800138000")
    except ValueError:
        log.get("match").exception("handler_failed")
    assert "13800138000" not in stream.getvalue()


def test_value_that_is_not_json_is_logged_as_its_type(stream: io.StringIO) -> None:
    log.get("match").info("odd", path=Secret("13800138000"))
    assert lines(stream)[0]["path"] == "Secret"


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    log.get("match").debug("too_fine")
    assert stream.getvalue() == ""


def test_configuration_before_structlog_is_loaded_applies() -> None:
    script = (
        "import sys; from ullage import log; log.configure('warning'); print('structlog' in"
        " sys.modules)\n"
    )
    script += (
        "log.get('match').info('started'); log.get('match').warning('stopped', text='13800138000')"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    line = json.loads(result.stderr)
    assert (result.stdout, line["event"], line["role"], line["_dropped"]) == (
        "False\n",
        "stopped",
        "match",
        1,
    )


def test_equal_lines_are_limited_and_the_omitted_ones_counted() -> None:
    now = [0.0]
    limit = log.RepetitionLimit(lambda: now[0])
    written = 0
    for offset in range(1000):
        now[0] += 0.01
        with contextlib.suppress(structlog.DropEvent):
            limit(
                None,
                "",
                {
                    "event": "record_dropped",
                    "reason": "schema",
                    "offset": offset,
                    "request": str(offset),
                },
            )
            written += 1
    assert written == log.MOST_EQUAL
    limit(None, "", {"event": "record_dropped", "reason": "malformed"})
    now[0] += log.EQUAL_SECONDS
    line = limit(None, "", {"event": "record_dropped", "reason": "schema", "offset": 1000})
    assert line["repeated"] == 1000 - log.MOST_EQUAL
    assert "repeated" not in limit(
        None, "", {"event": "record_dropped", "reason": "schema", "offset": 1001}
    )


def test_omitted_line_is_neither_written_nor_raised(stream: io.StringIO) -> None:
    for _ in range(log.MOST_EQUAL + 5):
        log.get("match").warning("record_dropped", reason="schema")
    assert len(lines(stream)) == log.MOST_EQUAL
