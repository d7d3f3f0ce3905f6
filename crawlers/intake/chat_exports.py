"""Read exports that people make with chat programs, as lines for ingest.

The structure of an export is described by data (`export_form`). A message without an id is
identified by its time, its sender and its order within the second, so that overlapping exports
yield the same messages again.
"""

from __future__ import annotations

import base64
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from crawlers.intake.export_form import (
    ENDING,
    ExportForm,
    Field,
    TextForm,
    TreeForm,
    list_forms,
    load_form,
)
from crawlers.intake.mail_export import MAX_FILE_BYTES, read_mails
from crawlers.sites import nesting
from crawlers.sites.dates import NUMBERS, DateFormats, Order
from crawlers.sites.selectors import MOST_LINKS, Node, Selections, is_element
from ullage.errors import ConfigError, FaultsError, list_faults
from ullage.files.validation import read_json

Message = dict[str, Any]
"""The fields of a line of ingest; a message without `text` could not be read.

`published_at` is the written form until `_with_times` parses it.
"""
MAIL = "mail"
"""The one form that is code and not data: `mail_export`."""
DELIMITERS = ",;\t|"
_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def form_names(folder: Path | None = None) -> list[str]:
    """Return the names of all forms of `--format`; `folder` holds the organization's own."""
    return sorted({MAIL, *list_forms(folder)})


def read_export(
    path: Path, form: str, site: str, channel: str = "", folder: Path | None = None
) -> Iterator[Message]:
    """Yield the messages of an export as lines of ingest for `site`.

    `form` is the name of a form or MAIL; `folder` has your own forms; `channel`, unless "",
    replaces the channel that a message names. Empty fields are left out, but for the text. Raises
    ConfigError if the export cannot be read or holds no message of that form; where single files
    cannot be read, it is raised after the messages of the others. Raises KeyError if the form does
    not exist.
    """
    is_empty = True
    try:
        messages = (
            read_mails(path, channel)
            if form == MAIL
            else _read_files(path, load_form(form, folder))
        )
        for message in messages:
            is_empty = False
            named = {**message, "channel": channel or message.get("channel")}
            yield {
                "site": site,
                **{
                    name: value
                    for name, value in named.items()
                    if name == "text" or value not in ("", None, [])
                },
            }
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    if is_empty:
        raise _no_message(path, form)


def _no_message(path: Path, form: str) -> ConfigError:
    return ConfigError(
        f"{path}: has no messages in {form} format: export it again completely, or name"
        " another format with --format"
    )


def _read_files(path: Path, form: ExportForm) -> Iterator[Message]:
    """Yield the messages of all files of an export.

    Raises ConfigError, which names the files that cannot be read, after the messages of the others.
    """
    files, faults, before = _list_files(path, form), list[ConfigError](), Message()
    for file in files:
        try:
            messages = parse_file(form, file, file.read_bytes(), before)
        except ConfigError as fault:
            faults.append(fault)
            continue
        if not messages:
            faults.append(_no_message(file, form.name))
        for message in messages:
            attached = [_attach(file.parent, name) for name in message.get("attachments", ())]
            yield {**message, "attachments": attached}
    if len(faults) > 1 and len(files) > len(faults):
        raise ConfigError(
            f"{len(faults)} of {len(files)} files were not read, the first: {faults[0]}"
        )
    if faults:
        raise faults[0]


def _list_files(path: Path, form: ExportForm) -> list[Path]:
    """Return the files to read, in order of the numbers in their names.

    This is `path` itself, or in a folder the files of the first pattern of the form that matches
    any; symbolic links are left out. Raises ConfigError if none matches, or the form does not
    accept a folder.
    """
    if not path.is_dir():
        return [path]
    if not form.files:
        raise ConfigError(f"{path}: is a folder: name a file for --format {form.name}")
    for pattern in form.files:
        if files := [
            file for file in path.glob(pattern) if file.is_file() and not file.is_symlink()
        ]:
            return sorted(files, key=_by_numbers)
    raise ConfigError(f"{path}: a {form.name} export must contain one of {', '.join(form.files)}")


def _by_numbers(path: Path) -> tuple[str, list[tuple[str, int]]]:
    parts = re.findall(r"(\D*)(\d*)", path.stem)
    return str(path.parent), [(words, int(number or 0)) for words, number in parts]


def parse_file(
    form: ExportForm, path: Path, content: bytes, before: Message | None = None
) -> list[Message]:
    """Return the messages of one file; [] where it does not have that form.

    Attached files are returned as names only. `path` is for messages and the folder's name, and is
    not read. `before` holds the fields that a message may take from the one before it, and is
    updated. Raises ConfigError where the file is an archive or damaged.
    """
    if content.startswith(b"PK\x03\x04"):
        raise ConfigError(f"{path}: is an archive: unpack it and name its content")
    text = _decode(content)
    messages = list(_parse(form, path, text, {} if before is None else before))
    if form.channel_is_folder:
        messages = [{**message, "channel": path.parent.name} for message in messages]
    return _with_times(form, messages)


def _decode(content: bytes) -> str:
    """Return a text decoded as UTF-8 or UTF-16, else as GB18030.

    A byte order mark selects the encoding; GB18030 can read any bytes.
    """
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return content.decode("gb18030", "replace")


def _parse(form: ExportForm, path: Path, text: str, before: Message) -> Iterator[Message]:
    first = text[:1000].lstrip()[:1]
    if first in {"{", "["} and form.json_:
        try:
            yield from _parse_tree(form.json_, read_json(text), before)
        except ValueError:
            raise ConfigError(f"{path}: is not complete JSON: export it again") from None
    elif first == "<" and form.html:
        shortened = nesting.limit_tags(text)
        root = nesting.parse_html(shortened)
        most = max(
            (len(form.html.messages.nodes(chat)) for chat in _chats(form.html, root)), default=0
        )
        if len(shortened) < len(text) or most > MOST_LINKS:
            raise ConfigError(
                f"{path}: has more than {MOST_LINKS:,} messages: export it as JSON, or in parts"
            )
        yield from _parse_tree(form.html, root, before)
    elif form.text:
        yield from _parse_text(form.text, text)
    elif form.csv:
        yield from _parse_table(form.csv, text)


def _chats(table: TreeForm, root: Node) -> list[Node]:
    return table.chats.nodes(root) if table.chats else [root]


def _parse_tree(table: TreeForm, root: Node, before: Message) -> Iterator[Message]:
    """Yield the messages of a file in JSON or HTML.

    A node that is no message yields {}. Fields in `table.continued` that are missing are taken from
    `before`, which is updated.
    """
    for chat in _chats(table, root):
        channel = table.channel.text(chat)
        for node in table.messages.nodes(chat):
            if not (isinstance(node, dict) or is_element(node)):
                yield {}
                continue
            message: Message = {"channel": channel, "text": ""}
            message |= {
                name: _read_field(name, selections, node)
                for name, selections in table.fields.items()
            }
            for name in table.continued:
                message[name] = before[name] = message.get(name) or before.get(name, "")
            yield message


def _read_field(name: Field, selections: Selections, node: Node) -> Any:
    if name == "text":
        return "".join(map(_full_text, selections.nodes(node))).strip()
    if name == "attachments":
        return selections.texts(node)
    if name == "edited":
        return any(value not in (None, False, "", 0) for value in selections.nodes(node)) or None
    return selections.text(node)


def _full_text(node: Node) -> str:
    """Return all text of a part of a message, with its line breaks."""
    if not is_element(node):
        return (
            str(node) if isinstance(node, str | int | float) and not isinstance(node, bool) else ""
        )
    parts = node.xpath(".//text() | .//br")
    return "".join("\n" if is_element(part) else part.get() for part in parts)


def _parse_text(table: TextForm, text: str) -> Iterator[Message]:
    """Yield the messages of a text: each is a head line and the lines up to the next head.

    Notices (heads without a sender) are left out, with their lines. Lines before the first head may
    name the channel; a line that matches `table.day` sets the day of the following heads.
    """
    channel, day, lines = "", "", list[str]()
    message = Message()
    for line in text.splitlines():
        if (head := _match_head(table, line, day)) is not None:
            if message:
                yield _with_text(table, message, channel, lines)
            message, lines = head, [head.pop("first_line", "")]
        elif table.day and (match := table.day.match(line)):
            day = match["day"]
        else:
            lines.append(line)
            if table.channel and not channel and (match := table.channel.match(line)):
                channel = match["channel"].strip()
    if message:
        yield _with_text(table, message, channel, lines)


def _with_text(table: TextForm, message: Message, channel: str, lines: Sequence[str]) -> Message:
    text = "\n".join(lines).strip()
    names = [match["name"] for pattern in table.attachments for match in pattern.finditer(text)]
    return {**message, "channel": channel, "text": text, "attachments": names}


def _match_head(table: TextForm, line: str, day: str) -> Message | None:
    """Return the fields in a head line, with the rest of the line as `first_line`.

    Returns None where the line is no head. A notice has no sender, and its head gives {}. `day` is
    used for heads that have only a time of day; while it is "", such heads are not recognised.
    """
    for pattern in table.heads:
        if not (match := pattern.match(line)):
            continue
        groups = match.groupdict()
        if "clock" in groups and not day:
            continue
        if groups.get("author") is None:
            return {}
        moment = groups.get("at") or f"{day} {groups.get('clock')}"
        return {
            "author": groups["author"].strip(),
            "published_at": moment,
            "first_line": groups.get("text") or "",
        }
    return None


def _parse_table(columns: Mapping[Field, Sequence[str]], text: str) -> Iterator[Message]:
    """Yield the rows of a table as messages; nothing where no column holds texts.

    The delimiter is the one of `DELIMITERS` with which most columns of the header are known. Cells
    are stripped; columns without a known name are left out.
    """
    lines = io.StringIO(text.lstrip("\ufeff\r\n"), newline="")
    header = lines.readline()
    tables = [
        (_find_columns(columns, next(_rows([header], candidate), [])), candidate)
        for candidate in DELIMITERS
    ]
    places, delimiter = max(tables, key=lambda table: len(table[0]))
    if "text" not in places:
        return
    for row in _rows(lines, delimiter):
        message: Message = {
            str(name): row[place].strip() for name, place in places.items() if place < len(row)
        }
        if name := message.pop("attachments", ""):
            message["attachments"] = [name]
        yield message


def _rows(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """Yield the rows that are not blank; [] for one with a cell that is too long to read."""
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield []
            continue
        if any(cell.strip() for cell in row):
            yield row


def _find_columns(
    columns: Mapping[Field, Sequence[str]], header: Sequence[str]
) -> dict[Field, int]:
    """Return the position of each field's column.

    Where several columns fit a field, the name that comes first in the form wins.
    """
    names = [name.strip().casefold() for name in header]
    places = (
        (field, next((names.index(name) for name in titles if name in names), -1))
        for field, titles in columns.items()
    )
    return {field: place for field, place in places if place >= 0}


def _with_times(form: ExportForm, messages: Sequence[Message]) -> list[Message]:
    """Return the messages with their times in ISO 8601; a time that cannot be read becomes None.

    A message that has a time and no id is given an id of its time, its author and a number. Where
    the form does not say in which order day and month stand, all messages together decide.
    """
    order = form.date_order or _guess_order(
        form, [str(message.get("published_at") or "") for message in messages]
    )
    dates, repeats, dated = (
        DateFormats(form.zone, order, form.time_formats),
        Counter[tuple[str, str]](),
        list[Message](),
    )
    for message in messages:
        written = str(message.get("published_at") or "")
        moment = dates.parse(written)
        extra = {"published_at": moment.isoformat() if moment else None} if message else {}
        if written and not message.get("message_id"):
            key = extra["published_at"] or written, str(message.get("author", ""))
            repeats[key] += 1
            extra["message_id"] = f"{key[0]}/{key[1]}/{repeats[key]}"
        dated.append({**message, **extra})
    return dated


def _guess_order(form: ExportForm, moments: Sequence[str]) -> Order:
    """Return which number of a date such as `03/04` is the month; the day comes first by default.

    A number above twelve decides, else the order in which the messages are sorted by time.
    """
    numbers = [match for moment in moments if (match := NUMBERS.search(moment))]
    if any(int(match[1]) > 12 for match in numbers):
        return "DMY"
    if any(int(match[3]) > 12 for match in numbers):
        return "MDY"

    def count_steps_back(order: Order) -> int:
        times = [
            moment for text in moments if (moment := DateFormats(form.zone, order).parse(text))
        ]
        return sum(later < earlier for earlier, later in pairwise(times))

    return "MDY" if numbers and count_steps_back("MDY") < count_steps_back("DMY") else "DMY"


def _attach(folder: Path, name: str) -> Message | str:
    """Return an attached file with its name and its content in base64.

    Returns only its name where it is not an ordinary file below `folder`, is larger than
    MAX_FILE_BYTES (24 MiB) or cannot be read.
    """
    path = folder / name
    try:
        is_inside = (
            "\0" not in name and path.resolve().is_relative_to(folder.resolve()) and path.is_file()
        )
        if not is_inside or path.is_symlink() or path.stat().st_size > MAX_FILE_BYTES:
            return _file_name(name)
        return {"name": path.name[:1000], "data": base64.b64encode(path.read_bytes()).decode()}
    except OSError:
        return _file_name(name)


def _file_name(name: str) -> str:
    """Return the name of a file without its folders, for a path or an address."""
    if re.match(r"(?i)https?://", name):
        name = unquote(name.partition("?")[0])
    return name.rpartition("/")[2][:1000]


def check_samples(form: ExportForm) -> list[str]:
    """Return the differences between a form's samples and what it reads in them, a line each.

    The list is empty where all samples are read as expected. Raises ConfigError if a sample cannot
    be parsed at all, such as incomplete JSON.
    """
    faults = [
        f"has no {kind}"
        for kind, samples in (("sample", form.sample), ("near miss", form.near_miss))
        if not samples
    ]
    for number, sample in enumerate(form.near_miss, 1):
        if messages := parse_file(form, Path(sample.file), sample.body.encode()):
            faults.append(f"near miss {number}: {len(messages)} messages read, not 0")
    for number, sample in enumerate(form.sample, 1):
        messages = parse_file(form, Path(sample.file), sample.body.encode())
        if len(messages) != len(sample.messages):
            faults.append(
                f"sample {number}: {len(messages)} messages read, not {len(sample.messages)}"
            )
            continue
        for place, (message, expected) in enumerate(zip(messages, sample.messages, strict=True), 1):
            names = [_file_name(name) for name in message.get("attachments", ())]
            read, where = {**message, "attachments": names}, f"sample {number}, message {place}"
            faults += [
                f"{where}: {name} is {read.get(name)!r}"
                for name, value in expected.items()
                if read.get(name) != value
            ]
    return faults


def check_own_forms(folder: Path) -> str:
    """Check the forms in `folder` against their samples and return a summary with their number.

    Raises FaultsError, which lists what is wrong. Only files that end in `ENDING` are checked;
    without any, the summary is returned.
    """
    faults, paths = list[str](), sorted(folder.glob(f"*{ENDING}"))
    for path in paths:
        try:
            faults += [f"{path}: {fault}" for fault in check_samples(load_form(path.stem, folder))]
        except ConfigError as error:
            faults += list_faults(error)
    if faults:
        raise FaultsError(faults)
    return f"{len(form_names(folder))} known, {len(paths)} of them your own"
