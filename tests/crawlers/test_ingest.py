"""`ullage ingest`: JSON Lines in, sealed captures out, and a report that never shows a value."""

import base64
import io
import json
import subprocess
import time
from datetime import UTC, datetime

import pytest

from crawlers.intake import cli
from crawlers.intake.cli import take
from tests.crawlers.conftest import Station
from ullage.bus import CAPTURES
from ullage.settings import Context

SECRET = "13800138000"


def feed(*rows: object) -> io.BytesIO:
    return io.BytesIO(
        b"".join(
            (row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows
        )
    )


def row(number: int = 1, **more: object) -> dict[str, object]:
    return {
        "site": "chat",
        "url": f"http://chat.example/{number}",
        "text": f"text {number} 内容",
        **more,
    }


def test_every_field_arrives(context: Context, station: Station) -> None:
    station.feed("chat")
    line = row(
        title="标题", author="someone", published_at="2026-01-02T03:04:05+08:00", category="chat"
    )
    assert take(context, feed(line)) == (1, 0)
    (capture,) = station.captures()
    assert (capture.body.decode(), capture.media_type, capture.charset) == (
        line["text"],
        "text/plain",
        "utf-8",
    )
    assert (capture.site, capture.url, capture.title, capture.author) == (
        "chat",
        line["url"],
        "标题",
        "someone",
    )
    assert capture.published_at == datetime(2026, 1, 1, 19, 4, 5, tzinfo=UTC)
    assert (capture.category, capture.platform, capture.fetched_at) == (
        "chat",
        "ingest",
        context.clock.now(),
    )


def test_time_without_a_zone_is_utc(context: Context, station: Station) -> None:
    take(context, feed(row(published_at="2026-01-02T03:04:05")))
    assert station.captures()[0].published_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_post_is_identified_by_url_or_else_by_text(context: Context, station: Station) -> None:
    rows = [
        row(1),
        row(1, text="changed"),
        row(2),
        row(1, site="other"),
        row(1, url=""),
        row(1, url=""),
        row(2, url=""),
    ]
    take(context, feed(*rows))
    names = [capture.post_id for capture in station.captures()]
    assert names[0] == names[1]
    assert names[4] == names[5]
    assert len(set(names)) == 5
    assert "http" not in "".join(names)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (f"{SECRET} is no JSON".encode(), "must be a JSON object"),
        (b"[" * 10_000, "must be a JSON object"),
        (b'{"site": "s", "text": "\xff' + SECRET.encode() + b'"}', "must be a JSON object"),
        (b'{"site": "s", "text": "\\ud800"}', "must be a JSON object"),
        ({"site": "s", "url": ""}, "text: missing"),
        ({"site": "", "text": SECRET}, "site: string too short"),
        (row(published_at=SECRET + "x"), "published_at: datetime"),
        (
            row(attachments=[{"name": SECRET, "data": "attachments: data must be valid base64"}]),
            "attachments: data must be valid base64",
        ),
        (row(attachments=[{"bytes": SECRET}]), "attachments: "),
        (row(message_id=[SECRET]), "message_id: string type"),
        (row(edited=SECRET), "edited: bool parsing"),
        ([SECRET], "must be a JSON object"),
        (None, "must be a JSON object"),
    ],
)
def test_bad_line_is_reported_by_number_and_the_others_continue(
    context: Context,
    station: Station,
    capsys: pytest.CaptureFixture[str],
    bad: object,
    complaint: str,
) -> None:
    assert take(context, feed(row(1), b"", bad, row(2))) == (2, 1)
    errors = capsys.readouterr().err
    assert errors.startswith("line 3: ")
    assert complaint in errors
    assert SECRET not in errors
    assert len(station.captures()) == 2


def test_message_keeps_its_context_and_attachment(context: Context, station: Station) -> None:
    station.feed("chat", 'category = "chat"')
    line = {
        "channel": "-100123",
        "thread": 7,
        "message_id": 42,
        "reply_to": "41",
        "forwarded_from": "@elsewhere",
        "url": None,
    }
    file = {
        "name": "样本.csv",
        "media_type": "text/csv",
        "data": base64.b64encode("姓名,电话".encode()).decode(),
    }
    take(context, feed(row(**line, edited=True, attachments=["照片.jpg", file])))
    message, attachment = station.captures()
    assert (message.kind, message.channel, message.thread, message.message_id) == (
        "message",
        "-100123",
        "7",
        "42",
    )
    assert (message.reply_to, message.forwarded_from, message.edited, message.deleted) == (
        "41",
        "@elsewhere",
        True,
        False,
    )
    assert message.attachments == ("照片.jpg", "样本.csv")
    assert (attachment.kind, attachment.parent, attachment.title) == (
        "attachment",
        message.post_id,
        "样本.csv",
    )
    assert attachment.post_name == message.post_name == message.post_id, (
        "a file goes with its message"
    )
    assert (attachment.media_type, attachment.body.decode()) == ("text/csv", "姓名,电话")
    assert (attachment.channel, attachment.message_id) == ("-100123", "42")


def test_message_is_identified_by_site_channel_and_id(context: Context, station: Station) -> None:
    line = {"channel": "a", "message_id": "1"}
    rows = [
        row(**line),
        row(2, text="edited", **line),
        row(**{**line, "channel": "b"}),
        row(**{**line, "message_id": "2"}),
    ]
    rows += [row(site="elsewhere", **line), row(channel="a")]
    take(context, feed(*rows))
    names = [capture.post_id for capture in station.captures()]
    assert names[0] == names[1]
    assert len(set(names)) == 5


def test_missing_fields_of_chat_lines_are_counted_with_their_effect(
    context: Context, station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = [row(number, url="", author="li") for number in range(15)]
    whole = row(
        16, url="", author="li", channel="c", message_id=1, published_at="2026-01-02T03:04:05Z"
    )
    assert take(context, feed(*bare, whole, row(17))) == (17, 0)
    assert capsys.readouterr().err.splitlines() == [
        "15 of 17 lines have no channel: they are grouped only by site, author and time",
        (
            "15 of 17 lines have no message_id: they are identified by their text, so edits and"
            " deletions are not detected"
        ),
        "15 of 17 lines have no published_at: the time of import is used instead",
    ]


def test_unknown_field_is_reported_once_and_ignored(
    context: Context, station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        row(1, published="x", views=3),
        row(2, published="x"),
        row(3, **{SECRET: 1, "诸葛文昭": 2, f"tel{SECRET}": 3}),
    ]
    assert take(context, feed(*rows)) == (3, 0)
    assert capsys.readouterr().err.splitlines() == [
        "line 1: unknown field, ignored: published (did you mean published_at?)",
        "line 1: unknown field, ignored: views",
        "line 3: unknown field, ignored: a name with other characters",
    ]


def test_line_on_standard_input_is_durable_while_the_pipe_is_open(station: Station) -> None:
    with subprocess.Popen(
        station.words("ingest", "-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        for number in (1, 2):
            process.stdin.write(feed(row(number)).getvalue() + b'{"site": "half of a li')
            process.stdin.flush()
            while not (captures := station.captures()):
                time.sleep(0.05)
            assert [capture.body.decode() for capture in captures] == [f"text {number} 内容"]
            process.stdin.write(b'ne"}\n')
        process.stdin.close()
        assert process.wait(60) == 1  # the half lines have no text


def test_line_over_the_limit_is_rejected_whole(
    context: Context,
    station: Station,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli, "MAX_LINE_BYTES", 100)
    assert take(context, feed(row(1), row(2, text=SECRET * 1000), row(3))) == (2, 1)
    assert capsys.readouterr().err == "line 2: must be a JSON object\n"
    assert [capture.body.decode() for capture in station.captures()] == [
        "text 1 内容",
        "text 3 内容",
    ]


def test_unconfigured_site_becomes_other_and_keeps_its_source(
    context: Context, station: Station
) -> None:
    station.site("known", "http://known.example/")
    station.feed("chat")
    strange = (f"person-{SECRET}", "诸葛文昭", "ullage-canary", "known.toml", "../known", "KNOWN")
    take(
        context,
        feed(row(1, site="known"), row(2, site="chat"), *(row(3, site=site) for site in strange)),
    )
    records = context.bus().subscribe(CAPTURES, "look").poll(10, 0.0)
    captures = station.captures()
    assert [record.headers["site"] for record in records] == [capture.site for capture in captures]
    assert [capture.site for capture in captures] == ["known", "chat", *["other"] * len(strange)]
    assert [capture.source for capture in captures] == ["", "", *strange]
    assert len({capture.post_id for capture in captures}) == len(captures)
    written = b"".join(path.read_bytes() for path in (station.data / "bus").iterdir())
    assert SECRET.encode() not in written


@pytest.mark.parametrize(
    ("site", "said", "kept"),
    [
        ("elsewhere", "chat", "chat"),
        ("elsewhere", " Classified ", "classified"),
        ("elsewhere", SECRET, "other"),
        ("elsewhere", "诸葛文昭", "other"),
        ("elsewhere", "", ""),
        ("feed", "", "news"),
        ("feed", "paste", "news"),
        ("feed", SECRET, "news"),
        ("plain", SECRET, "other"),
        ("plain", "court", "court"),
    ],
)
def test_category_comes_from_the_site_file_or_a_closed_list(
    context: Context, station: Station, site: str, said: str, kept: str
) -> None:
    station.feed("feed", 'category = "news"')
    station.feed("plain")
    take(context, feed(row(site=site, category=said)))
    assert [capture.category for capture in station.captures()] == [kept]


def test_line_gets_the_section_of_its_site(context: Context, station: Station) -> None:
    station.feed(
        "chat",
        'start = ["https://chat.example/rooms/", "https://chat.example/rooms/loans?sort=new"]',
    )
    urls = (
        "https://chat.example/rooms/loans/7",
        "https://chat.example/x",
        f"https://{SECRET}.example/rooms/",
        "",
        "http://[",
    )
    take(context, feed(*(row(url=url) for url in urls), row(site="unknown", url=urls[0])))
    first, loans = "https://chat.example/rooms/", "https://chat.example/rooms/loans"
    assert [capture.section for capture in station.captures()] == [loans, first, "", "", "", ""]


def test_unreadable_site_file_is_reported_and_not_used(
    context: Context, station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    station.feed("chat", "colour = 1")
    assert take(context, feed(row())) == (1, 0)
    assert "chat.toml: colour: unknown setting" in capsys.readouterr().err
    assert [(capture.site, capture.source) for capture in station.captures()] == [("other", "chat")]


def test_several_batches_arrive_in_order(context: Context, station: Station) -> None:
    assert take(context, feed(*map(row, range(250)))) == (250, 0)
    assert [capture.body.decode() for capture in station.captures()] == [
        f"text {number} 内容" for number in range(250)
    ]


def test_command_exits_1_when_a_line_was_rejected(station: Station) -> None:
    file = station.data / "feed.jsonl"
    file.write_bytes(feed(row(1), b"no", row(2)).getvalue())
    assert "2 accepted, 1 refused" in station.run("ingest", str(file), exits=1)
    file.write_bytes(feed(row(3)).getvalue())
    assert "1 accepted, 0 refused" in station.run("ingest", str(file))
    assert "cannot be read" in station.run("ingest", str(station.data / "absent"), exits=2)
    assert len(station.captures()) == 3
