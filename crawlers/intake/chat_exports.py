"""Exports of chats that people make themselves, as lines: Telegram Desktop, QQ, WeChat, and mail.

    telegram   result.json of Telegram Desktop, or messages*.html and their folder; files beside it are read along
    qq         the text that QQ's message manager exports
    wechat     the text that WeChat sends as a chat record, and that of tools which write `TIME NAME` above each message
    mail       an mbox file, a maildir, or one message

None of QQ's and WeChat's messages has an id: they are told apart by time, sender and their order within the second, so an export
that overlaps another gives the same messages again. A message is taken as it stands; what is read as one is in the tests.
"""

from __future__ import annotations

import base64
import email
import mailbox
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from email.message import EmailMessage
from email.policy import default as modern
from email.utils import parsedate_to_datetime
from itertools import islice
from pathlib import Path
from typing import Any

from parsel import Selector

from ullage.errors import ConfigError
from ullage.files.validation import read_json

MAX_FILE_BYTES = 24 * 2**20
CHINA = timezone(timedelta(hours=8))
"""QQ and WeChat write the local time of whoever exports."""
Said = dict[str, Any]
_CODES = (("\ufeff".encode(), "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read_export(path: Path, form: str, site: str, channel: str = "") -> Iterator[Said]:
    """Yield the messages of an export as lines of ingest; ConfigError where it is none of that form, or holds no message."""
    is_empty = True
    try:
        for said in FORMS[form](path, channel):
            is_empty = False
            yield {"site": site, "text": "", **{name: value for name, value in said.items() if value not in ("", None, [])}}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    if is_empty:
        raise ConfigError(f"{path}: holds no message in the form {form}: is it an export of that program, and complete?")


def _text_of(path: Path) -> str:
    """A text in the encoding that it begins to show: UTF-8, UTF-16, else GB18030, which reads all that is none of these."""
    content = path.read_bytes()
    known = next((code for mark, code in _CODES if content.startswith(mark)), "utf-8")
    try:
        return content.decode(known)
    except UnicodeDecodeError:
        return content.decode("gb18030", "replace")


def telegram(path: Path, channel: str) -> Iterator[Said]:
    """Telegram Desktop's export, of one chat or of all."""
    found = sorted(path.glob("messages*.html"), key=_number) if path.is_dir() else []
    if path.is_dir() and (path / "result.json").is_file():
        path, found = path / "result.json", []
    if path.suffix == ".html":
        found = [path]
    if found:
        yield from _telegram_pages(found, channel)
        return
    try:
        told = read_json(path.read_bytes())
        chats = told["chats"]["list"] if "chats" in told else [told]
        messages = [(chat, one) for chat in chats for one in chat["messages"]]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path}: is no export of Telegram Desktop: result.json, or messages.html") from None
    for chat, one in messages:
        if isinstance(one, dict) and one.get("type") == "message":
            yield _telegram_message(one, channel or str(chat.get("name") or chat.get("id") or ""), path.parent)


def _number(path: Path) -> int:
    return int("".join(filter(str.isdigit, path.stem)) or 1)


def _telegram_message(one: Mapping[str, Any], channel: str, folder: Path) -> Said:
    text = one.get("text", "")
    parts = text if isinstance(text, list) else [text]
    named = [str(one[name]) for name in ("file", "photo") if isinstance(one.get(name), str)]
    return {
        "channel": channel,
        "message_id": str(one.get("id", "")),
        "author": str(one.get("from") or one.get("from_id") or ""),
        "published_at": str(one.get("date_unixtime") or one.get("date") or "") or None,
        "text": "".join(part if isinstance(part, str) else str(part.get("text", "")) for part in parts),
        "reply_to": str(one.get("reply_to_message_id") or ""),
        "forwarded_from": str(one.get("forwarded_from") or ""),
        "edited": bool(one.get("edited") or one.get("edited_unixtime")) or None,
        "attachments": [_file(folder, name) for name in named],
    }


def _file(folder: Path, name: str) -> Said | str:
    """A file of the export, read along where it lies in the export's folder and is small enough; else its name."""
    path = folder / name
    inside = path.resolve().is_relative_to(folder.resolve()) and path.is_file() and not path.is_symlink()
    if not inside or path.stat().st_size > MAX_FILE_BYTES:
        return Path(name).name[:1000]
    return {"name": path.name[:1000], "data": base64.b64encode(path.read_bytes()).decode()}


def _telegram_pages(paths: list[Path], channel: str) -> Iterator[Said]:
    """The pages of an export in HTML; a message that goes on from the one before has no name of its own."""
    author = ""
    for path in paths:
        page = Selector(_text_of(path), type="html")
        name = channel or _words(page.css(".page_header .text"))
        for one in page.css("div.message.default"):
            own = _words(one.xpath("./div[@class='body']/div[@class='from_name']"))
            author = own or author
            reply = one.css(".reply_to a::attr(href), .reply_to a::attr(onclick)").re_first(r"(\d+)")
            yield {
                "channel": name,
                "message_id": (one.attrib.get("id") or "").removeprefix("message"),
                "author": author,
                "published_at": _page_time(one.css(".date.details::attr(title), .date::attr(title)").get("")),
                "text": _words(one.css(".text")),
                "reply_to": reply or "",
                "forwarded_from": one.css(".forwarded .from_name::text").get("").strip(),
                "attachments": [_file(path.parent, link) for link in _links(one)],
            }


def _links(message: Selector) -> list[str]:
    """The files of the export to which a message leads."""
    return [link for link in message.css(".media_wrap a::attr(href)").getall() if "//" not in link]


def _words(found: Any) -> str:
    """All text of the first element that was found."""
    return str(found.xpath("string()").get("")).strip()


def _page_time(title: str) -> str | None:
    """`01.09.2026 12:00:00 UTC+08:00`, older ones without the zone."""
    match = re.match(r"(\d\d)\.(\d\d)\.(\d{4}) (\d\d:\d\d:\d\d)(?: UTC([+-]\d\d:\d\d))?", title)
    return f"{match[3]}-{match[2]}-{match[1]}T{match[4]}{match[5] or '+00:00'}" if match else None


QQ_HEAD = re.compile(
    r"^(?P<at>\d{4}-\d{1,2}-\d{1,2} \d{1,2}:\d\d:\d\d) (?P<name>.*?)(?:\((?P<id>\d{5,12})\)|<(?P<mail>[^<>\s@]++@[^<>\s]++)>)? ?$"
)
QQ_OF = re.compile(r"^消息对象[::]\s*(.+)$", re.MULTILINE)
WECHAT_DAY = re.compile(r"^[—\-–\s]*(\d{4})[-/年](\d{1,2})[-/月](\d{1,2})日?[—\-–\s]*$")
WECHAT_HEAD = re.compile(r"^(?P<name>\S.{0,80}?)\s{1,4}(?P<at>\d{1,2}:\d\d(?::\d\d)?)\s*$")
WECHAT_FULL = re.compile(
    r"^(?:\[?(?P<at>\d{4}[-/]\d{1,2}[-/]\d{1,2} \d{1,2}:\d\d(?::\d\d)?)\]?\s++(?P<name>[^::]{1,80}?)"
    r"|(?P<name2>\S.{0,80}?)(?<!\s)\s++\(?(?P<at2>\d{4}[-/]\d{1,2}[-/]\d{1,2} \d{1,2}:\d\d(?::\d\d)?)\)?)[::]?$"
)


def qq(path: Path, channel: str) -> Iterator[Said]:
    """QQ's text: a head with time and sender, then what was said, to the next head."""
    text = _text_of(path)
    name = channel or next(iter(QQ_OF.findall(text)), "").strip()

    def head(line: str, _day: str) -> tuple[str, str] | None:
        trimmed = line.rstrip()
        match = QQ_HEAD.match(trimmed if trimmed == line else f"{trimmed} ")
        return (match["at"], match["id"] or match["mail"] or match["name"].strip()) if match else None

    yield from _messages(path, text, name, head, "QQ")


def wechat(path: Path, channel: str) -> Iterator[Said]:
    """WeChat's text: days as lines of their own and `NAME  HH:MM` above each message, or whole times beside the names."""

    def head(line: str, day: str) -> tuple[str, str] | None:
        if match := WECHAT_FULL.match(line.rstrip()):
            return (match["at"] or match["at2"]).replace("/", "-"), (match["name"] or match["name2"]).strip()
        match = WECHAT_HEAD.match(line) if day else None
        return (f"{day} {match['at']}", match["name"].strip()) if match else None

    yield from _messages(path, _text_of(path), channel, head, "WeChat")


def _messages(
    path: Path, text: str, channel: str, head: Callable[[str, str], tuple[str, str] | None], what: str
) -> Iterator[Said]:
    """Messages that stand below a head each."""
    day, begun, lines, seen, found = "", None, list[str](), Counter[tuple[str, str]](), False

    def said(at: tuple[str, str]) -> Said:
        seen[at] += 1
        moment, author = at
        return {
            "channel": channel,
            "message_id": f"{moment}/{author}/{seen[at]}",
            "author": author,
            "published_at": _local(moment),
            "text": "\n".join(lines).strip(),
        }

    for line in text.splitlines():
        if match := WECHAT_DAY.match(line):
            day = f"{match[1]}-{match[2]}-{match[3]}"
            continue
        if (at := head(line, day)) is None:
            lines.append(line)
            continue
        if begun:
            yield said(begun)
        begun, found = at, True
        lines.clear()
    if begun:
        yield said(begun)
    if not found:
        raise ConfigError(f"{path}: holds no message in the form of {what}'s text exports")


def _local(moment: str) -> str | None:
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"):
        try:
            return datetime.strptime(moment, form).replace(tzinfo=CHINA).isoformat()
        except ValueError:
            continue
    return None


def mail(path: Path, channel: str) -> Iterator[Said]:
    """The messages of a maildir, an mbox file, or one message."""
    if path.is_dir():
        if not (path / "cur").is_dir():
            raise ConfigError(f"{path}: is no maildir: it has no folder `cur`")
        for file in sorted(one for part in ("cur", "new") for one in (path / part).iterdir() if one.is_file()):
            yield read_mail(file.read_bytes(), channel)
        return
    with path.open("rb") as opened:
        start = opened.read(5)
    if start != b"From ":
        content = path.read_bytes()
        if email.message_from_bytes(content, policy=modern).keys():  # a text without a head is no mail
            yield read_mail(content, channel)
        return
    box = mailbox.mbox(path, create=False)
    try:
        for key in box.iterkeys():
            yield read_mail(box.get_bytes(key), channel)
    finally:
        box.close()


def read_mail(content: bytes, channel: str) -> Said:
    """What one mail says, as a line of ingest but for its site."""
    message = email.message_from_bytes(content, policy=modern)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain", "html"))
    files = [_part(part) for part in islice(message.iter_attachments(), 100)]
    return {
        "channel": channel,
        "message_id": _head(message, "message-id"),
        "reply_to": _head(message, "in-reply-to"),
        "author": _head(message, "from"),
        "title": _head(message, "subject"),
        "published_at": _sent(_head(message, "date")),
        "text": _content(body) if body else "",
        "attachments": files,
    }


def _head(message: EmailMessage, name: str) -> str:
    try:
        return str(message[name] or "")[:1000].strip()
    except (ValueError, LookupError, AttributeError, IndexError):  # a header that the standard library cannot parse
        return ""


def _content(part: Any) -> str:
    try:
        return str(part.get_content())
    except (LookupError, KeyError, ValueError):
        return (part.get_payload(decode=True) or b"").decode("utf-8", "replace")


def _part(part: Any) -> Said | str:
    body = part.get_payload(decode=True)
    if body is None:  # a message within
        body = b"".join(bytes(one) for one in part.get_payload()) if isinstance(part.get_payload(), list) else b""
    name = str(part.get_filename() or "")[:1000]
    return {"name": name, "data": base64.b64encode(body).decode()} if 0 < len(body) <= MAX_FILE_BYTES else name


def _sent(date: str) -> str | None:
    try:
        sent = parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return None
    return (sent if sent.tzinfo else sent.replace(tzinfo=UTC)).isoformat()


FORMS: Mapping[str, Callable[[Path, str], Iterator[Said]]] = {"telegram": telegram, "qq": qq, "wechat": wechat, "mail": mail}
