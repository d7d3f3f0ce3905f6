"""Exports of chats: what each form says of a message, in files in the shape that the programs write. All people are made up."""

import base64
import json
import mailbox
from email.message import EmailMessage
from pathlib import Path

import pytest

from crawlers.intake.chat_exports import read_export
from crawlers.intake.submission import CaptureLine
from tests.crawlers.conftest import Station
from ullage.errors import ConfigError


def read(path: Path, form: str, channel: str = "") -> list[CaptureLine]:
    return [CaptureLine.model_validate_json(json.dumps(said)) for said in read_export(path, form, "chat", channel)]


TELEGRAM = {
    "name": "贷款资料群",
    "type": "public_supergroup",
    "id": 1234567890,
    "messages": [
        {"id": 1, "type": "service", "action": "create_channel", "text": ""},
        {"id": 2, "type": "message", "date": "2026-09-01T12:00:00", "date_unixtime": "1788235200", "from": "卖家",
         "from_id": "user77",
         "text": ["内料 ", {"type": "phone", "text": "13800138000"}, " 出售"], "file": "files/样本.csv", "mime_type": "text/csv"},
        {"id": 3, "type": "message", "date": "2026-09-01T12:01:00", "date_unixtime": "1788235260",
         "edited_unixtime": "1788235300", "from": None, "from_id": "user78", "text": "多少钱",
         "reply_to_message_id": 2, "forwarded_from": "别处",
         "file": "(File not included. Change data exporting settings to download.)"},
        {"id": 4, "type": "message", "date": "2026-09-01T12:02:00", "from": "卖家", "text": "", "photo": "../../../etc/hostname"},
    ],
}  # fmt: skip


def test_telegram_desktops_json_of_one_chat_and_of_all(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "样本.csv").write_text("姓名,电话")
    (tmp_path / "result.json").write_text(json.dumps(TELEGRAM))
    for path in (tmp_path, tmp_path / "result.json"):
        first, second, third = read(path, "telegram")
        assert (first.channel, first.message_id, first.author, first.text) == ("贷款资料群", "2", "卖家", "内料 13800138000 出售")
        assert first.published_at.timestamp() == 1788235200
        assert base64.b64decode(first.attachments[0].data).decode() == "姓名,电话"
        assert (second.author, second.reply_to, second.forwarded_from, second.edited) == ("user78", "2", "别处", True)
        assert second.attachments[0].startswith("(File not included")
        assert third.attachments == ("hostname",), "a file outside of the export's folder is not read"
    (tmp_path / "all.json").write_text(json.dumps({"chats": {"list": [TELEGRAM, {**TELEGRAM, "name": "二"}]}}))
    assert [line.channel for line in read(tmp_path / "all.json", "telegram")] == ["贷款资料群"] * 3 + ["二"] * 3


PAGE = """<html><body><div class="page_header"><div class="content"><div class="text bold"> 贷款资料群 </div></div></div>
<div class="history">
<div class="message service" id="message-1"><div class="body details">1 September 2026</div></div>
<div class="message default clearfix" id="message2"><div class="body">
<div class="pull_right date details" title="01.09.2026 12:00:00 UTC+08:00">12:00</div><div class="from_name"> 卖家 </div>
<div class="text">内料 <a href="tel:13800138000">13800138000</a> 出售</div></div></div>
<div class="message default clearfix joined" id="message3"><div class="body">
<div class="pull_right date details" title="01.09.2026 12:01:00 UTC+08:00">12:01</div>
<div class="media_wrap clearfix">
<a class="media clearfix pull_left block_link media_file" href="files/a.csv">a.csv</a></div></div></div>
<div class="message default clearfix" id="message4"><div class="body">
<div class="pull_right date details" title="01.09.2026 12:02:00 UTC+08:00">12:02</div><div class="from_name">买家</div>
<div class="reply_to details">In reply to <a href="#go_to_message2" onclick="return GoToMessage(2)">this message</a></div>
<div class="forwarded body"><div class="from_name">别处 <span class="date details">x</span></div>
<div class="text">转发</div></div></div></div>
</div></body></html>"""


def test_telegram_desktops_pages(tmp_path: Path) -> None:
    (tmp_path / "messages.html").write_text(PAGE)
    (tmp_path / "messages2.html").write_text(PAGE.replace("message2", "message12"))
    first, second, third, *more = read(tmp_path, "telegram")
    assert (first.channel, first.message_id, first.author, first.text) == ("贷款资料群", "2", "卖家", "内料 13800138000 出售")
    assert first.published_at.isoformat() == "2026-09-01T12:00:00+08:00"
    assert (second.author, second.attachments, second.text) == ("卖家", ("a.csv",), "")
    assert (third.author, third.reply_to, third.forwarded_from, third.text) == ("买家", "2", "别处", "转发")
    assert more[0].message_id == "12"


QQ = """消息记录(此消息记录为文本格式,不支持重新导入)

================================================================
消息分组:我的群聊
================================================================
消息对象:贷款资料群
================================================================

2026-09-01 9:05:00 【管理员】卖家(123456789)
内料 13800138000
第二行

2026-09-01 9:05:00 【管理员】卖家(123456789)
[图片]

2026-09-01 21:06:07 买家<buyer@example.org>
多少钱
"""


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_qqs_text_in_the_codes_that_it_is_written_in(tmp_path: Path, code: str) -> None:
    (tmp_path / "qq.txt").write_bytes(QQ.encode(code))
    first, second, third = read(tmp_path / "qq.txt", "qq")
    assert (first.channel, first.author, first.text) == ("贷款资料群", "123456789", "内料 13800138000\n第二行")
    assert first.published_at.isoformat() == "2026-09-01T09:05:00+08:00"
    assert first.message_id != second.message_id
    assert (third.author, third.text) == ("buyer@example.org", "多少钱")


WECHAT = """微信聊天记录

—————  2026-09-01  —————


卖家  9:05

内料 13800138000

—————  2026-09-02  —————

买家  21:06

多少钱
"""
TOOL = "2026-09-01 09:05:00 卖家\n内料 13800138000\n\n买家 2026/09/02 21:06:00\n多少钱\n"


@pytest.mark.parametrize("text", [WECHAT, TOOL])
def test_wechats_text_by_days_and_by_whole_times(tmp_path: Path, text: str) -> None:
    (tmp_path / "chat.txt").write_text(text)
    first, second = read(tmp_path / "chat.txt", "wechat", "贷款资料群")
    assert (first.channel, first.author, first.text) == ("贷款资料群", "卖家", "内料 13800138000")
    assert first.published_at.isoformat() == "2026-09-01T09:05:00+08:00"
    assert (second.author, second.text) == ("买家", "多少钱")
    assert second.published_at.isoformat() == "2026-09-02T21:06:00+08:00"


def letter(number: int) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["Subject"], made["Message-ID"] = "卖家 <seller@example.org>", f"内料 {number}", f"<{number}@example.org>"
    made["Date"], made["In-Reply-To"] = "Tue, 01 Sep 2026 12:00:00 +0800", "<0@example.org>"
    made.set_content("手机 13800138000")
    made.add_attachment("姓名,电话".encode(), maintype="text", subtype="csv", filename="样本.csv")
    return made


def test_mail_as_maildir_mbox_and_one_message(tmp_path: Path) -> None:
    folder, box = mailbox.Maildir(tmp_path / "dir"), mailbox.mbox(tmp_path / "box")
    for number in (1, 2):
        folder.add(letter(number)), box.add(letter(number))
    folder.close(), box.close()
    (tmp_path / "one.eml").write_bytes(bytes(letter(1)))
    for path, count in ((tmp_path / "dir", 2), (tmp_path / "box", 2), (tmp_path / "one.eml", 1)):
        found = read(path, "mail")
        assert sorted(line.title for line in found) == [f"内料 {number}" for number in range(1, count + 1)]
        line = next(one for one in found if one.title == "内料 1")
        assert (line.message_id, line.reply_to, line.text.strip()) == ("<1@example.org>", "<0@example.org>", "手机 13800138000")
        assert line.author == "卖家 <seller@example.org>"
        assert line.published_at.isoformat() == "2026-09-01T12:00:00+08:00"
        assert base64.b64decode(line.attachments[0].data).decode() == "姓名,电话"


def test_a_mail_that_is_damaged_gives_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "x.eml").write_bytes(
        b"From: =?utf-8?q?x\nDate: never\nContent-Type: text/plain; charset=nothing\n\n13800138000 \xff"
    )
    [line] = read(tmp_path / "x.eml", "mail")
    assert "13800138000" in line.text
    assert line.published_at is None


@pytest.mark.parametrize("form", ["telegram", "qq", "wechat"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"messages": 1}', b"13800138000\n" * 3])
def test_what_is_no_export_is_refused_and_not_told(tmp_path: Path, form: str, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"x\.json: ") as caught:
        read(tmp_path / "x.json", form)
    assert "13800138000" not in str(caught.value)


def test_the_command_takes_an_export_twice_as_the_same_messages(station: Station) -> None:
    station.feed("wechat", 'category = "chat"')
    (station.data / "chat.txt").write_text(WECHAT)
    for _ in range(2):
        words = ("ingest", str(station.data / "chat.txt"), "--as", "wechat", "--site", "wechat", "--channel", "贷款资料群")
        assert "2 accepted, 0 refused" in station.run(*words)
    captures = station.captures()
    assert (len(captures), len({one.post_id for one in captures})) == (4, 2)
    assert {(one.site, one.kind, one.channel) for one in captures} == {("wechat", "message", "贷款资料群")}
    assert "cannot be read" in station.run("ingest", str(station.data / "absent"), "--as", "qq", "--site", "x", exits=2)


@pytest.mark.parametrize(
    ("form", "text"), [("qq", "no message\n"), ("wechat", "no message\n"), ("telegram", '{"messages": []}'), ("mail", "")]
)
def test_an_export_without_a_message_of_its_form_is_an_error(tmp_path: Path, form: str, text: str) -> None:
    path = tmp_path / "export.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"export\.json"):
        list(read_export(path, form, "chats"))
