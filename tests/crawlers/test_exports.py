"""Exports of chats and of mail as lines of ingest; the forms themselves are in test_export_forms.

All people are made up.
"""

import base64
import json
import mailbox
from email.message import EmailMessage
from pathlib import Path

import pytest

from crawlers.intake.chat_exports import read_export
from crawlers.intake.export_form import list_forms, load_form
from crawlers.intake.submission import CaptureLine
from tests.crawlers.conftest import Station
from ullage.errors import ConfigError


def read(path: Path, form: str, channel: str = "") -> list[CaptureLine]:
    return [
        CaptureLine.model_validate_json(json.dumps(item))
        for item in read_export(path, form, "chat", channel)
    ]


TELEGRAM = {
    "name": "贷款资料群",
    "type": "public_supergroup",
    "id": 1234567890,
    "messages": [
        {"id": 1, "type": "service", "action": "create_channel", "text": ""},
        {"id": 2, "type": "message", "date": "2026-09-01T12:00:00", "date_unixtime": "1788235200",
        "from": "卖家",
         "from_id": "user77",
         "text": ["内料 ", {"type": "phone", "text": "13800138000"}, " 出售"],
         "file": "files/样本.csv", "mime_type": "text/csv"},
        {"id": 3, "type": "message", "date": "2026-09-01T12:01:00", "date_unixtime": "1788235260",
         "edited_unixtime": "1788235300", "from": None, "from_id": "user78", "text": "多少钱",
         "reply_to_message_id": 2, "forwarded_from": "别处",
         "file": "(File not included. Change data exporting settings to download.)"},
        {"id": 4, "type": "message", "date": "2026-09-01T12:02:00", "from": "卖家", "text": "",
        "photo": "../../../etc/hostname"},
    ],
}  # fmt: skip


def test_telegram_json_of_one_chat_or_all_is_read(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "样本.csv").write_text("姓名,电话")
    (tmp_path / "result.json").write_text(json.dumps(TELEGRAM))
    for path in (tmp_path, tmp_path / "result.json"):
        first, second, third = read(path, "telegram")
        assert (first.channel, first.message_id, first.author, first.text) == (
            "贷款资料群",
            "2",
            "卖家",
            "内料 13800138000 出售",
        )
        assert first.published_at.timestamp() == 1788235200
        assert base64.b64decode(first.attachments[0].data).decode() == "姓名,电话"
        assert (second.author, second.reply_to, second.forwarded_from, second.edited) == (
            "user78",
            "2",
            "别处",
            True,
        )
        assert second.attachments[0].startswith("(File not included")
        assert third.attachments == ("hostname",), (
            "a file outside of the export's folder is not read"
        )
    (tmp_path / "all.json").write_text(
        json.dumps({"chats": {"list": [TELEGRAM, {**TELEGRAM, "name": "二"}]}})
    )
    assert [line.channel for line in read(tmp_path / "all.json", "telegram")] == [
        "贷款资料群"
    ] * 3 + ["二"] * 3


def letter(number: int) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["Subject"], message["Message-ID"] = (
        "卖家 <seller@example.org>",
        f"内料 {number}",
        f"<{number}@example.org>",
    )
    message["Date"], message["In-Reply-To"] = "Tue, 01 Sep 2026 12:00:00 +0800", "<0@example.org>"
    message.set_content("手机 13800138000")
    message.add_attachment(
        "姓名,电话".encode(), maintype="text", subtype="csv", filename="样本.csv"
    )
    return message


def test_maildir_mbox_and_single_mail_are_read(tmp_path: Path) -> None:
    folder, box = mailbox.Maildir(tmp_path / "dir"), mailbox.mbox(tmp_path / "box")
    for number in (1, 2):
        folder.add(letter(number)), box.add(letter(number))
    folder.close(), box.close()
    (tmp_path / "one.eml").write_bytes(bytes(letter(1)))
    for path, count in ((tmp_path / "dir", 2), (tmp_path / "box", 2), (tmp_path / "one.eml", 1)):
        messages = read(path, "mail")
        assert sorted(line.title for line in messages) == [
            f"内料 {number}" for number in range(1, count + 1)
        ]
        line = next(message for message in messages if message.title == "内料 1")
        assert (line.message_id, line.reply_to, line.text.strip()) == (
            "<1@example.org>",
            "<0@example.org>",
            "手机 13800138000",
        )
        assert line.author == "卖家 <seller@example.org>"
        assert line.published_at.isoformat() == "2026-09-01T12:00:00+08:00"
        assert base64.b64decode(line.attachments[0].data).decode() == "姓名,电话"


def test_damaged_mail_gives_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "x.eml").write_bytes(
        b"From: =?utf-8?q?x\nDate: never\nContent-Type: text/plain; charset=nothing\n\n13800138000"
        b" \xff"
    )
    [line] = read(tmp_path / "x.eml", "mail")
    assert "13800138000" in line.text
    assert line.published_at is None


@pytest.mark.parametrize("form", list_forms())
@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"messages": 1}', b"13800138000\n" * 3]
)
def test_invalid_export_is_rejected_without_showing_it(
    tmp_path: Path, form: str, content: bytes
) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"x\.json: ") as caught:
        read(tmp_path / "x.json", form)
    assert "13800138000" not in str(caught.value)


def test_repeated_export_gives_the_same_messages(station: Station) -> None:
    station.feed("wechat", 'category = "chat"')
    (station.data / "chat.txt").write_text(load_form("wechat").sample[0].body)
    for _ in range(2):
        words = (
            "ingest",
            str(station.data / "chat.txt"),
            "--format",
            "wechat",
            "--site",
            "wechat",
            "--channel",
            "贷款资料群",
        )
        assert "2 accepted, 0 refused" in station.run(*words)
    captures = station.captures()
    assert (len(captures), len({captured.post_id for captured in captures})) == (4, 2)
    assert {(captured.site, captured.kind, captured.channel) for captured in captures} == {
        ("wechat", "message", "贷款资料群")
    }
    assert "cannot be read" in station.run(
        "ingest", str(station.data / "absent"), "--format", "qq", "--site", "x", exits=2
    )


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("qq", "no message\n"),
        ("wechat", "no message\n"),
        ("telegram", '{"messages": []}'),
        ("mail", ""),
    ],
)
def test_export_without_a_message_of_its_form_is_an_error(
    tmp_path: Path, form: str, text: str
) -> None:
    path = tmp_path / "export.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"export\.json"):
        list(read_export(path, form, "chats"))
