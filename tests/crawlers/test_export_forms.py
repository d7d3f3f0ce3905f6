"""Export forms: each reads its samples, and refuses its near misses and the samples of others."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from crawlers.cli import parts
from crawlers.intake.chat_exports import check_samples, form_names, parse_file, read_export
from crawlers.intake.export_form import FOLDER, ExportForm, ExportSample, list_forms, load_form
from tests.crawlers.conftest import Station
from ullage.errors import ConfigError, FaultsError
from ullage.settings import Context

FORMS = list_forms()
ALIKE = {"qq", "wechat"}
"""Some tools write WeChat's messages below heads like those of QQ."""
OWN = """\
about = "a tool of ours"
zone = "Asia/Tokyo"
[csv]
text = ["words"]
author = ["who"]
[[sample]]
file = "x.csv"
body = "who,words\\nli,hello"
messages = [{ author = "li", text = "hello" }]
[[near_miss]]
file = "x.csv"
body = "who,text\\nli,hello"
"""


def write(folder: Path, text: str = OWN, name: str = "ours") -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / name
    path.write_text(text)
    return path


def parse_whole(form: ExportForm, sample: ExportSample, content: bytes) -> list[dict[str, Any]]:
    """Return the messages of a file; none where it is JSON that is cut off."""
    try:
        return parse_file(form, Path(sample.file), content)
    except ConfigError:
        return []


@pytest.mark.parametrize("name", FORMS)
def test_form_reads_its_samples_and_rejects_near_misses(name: str) -> None:
    assert check_samples(load_form(name)) == []


@pytest.mark.parametrize("name", FORMS)
def test_sample_of_one_form_is_rejected_by_all_others(name: str) -> None:
    unlike = {*FORMS} - (ALIKE if name in ALIKE else {name})
    for form, sample in itertools.product(sorted(unlike), load_form(name).sample):
        assert parse_whole(load_form(form), sample, sample.body.encode()) == [], form


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
def test_encoding_of_an_export_makes_no_difference(name: str, encoding: str) -> None:
    form = load_form(name)
    for sample in form.sample:
        if not {"ä", "ü"} & {*sample.body}:  # GB18030 is guessed where a text is no UTF-8
            expected = parse_file(form, Path(sample.file), sample.body.encode())
            assert parse_file(form, Path(sample.file), sample.body.encode(encoding)) == expected


@pytest.mark.parametrize("name", FORMS)
def test_truncated_sample_causes_no_traceback(name: str) -> None:
    form = load_form(name)
    for sample in form.sample:
        body = sample.body.encode()
        for end in range(0, len(body), 7):
            assert len(parse_whole(form, sample, body[:end])) <= len(sample.messages)


def test_sample_mismatch_shows_what_the_form_read() -> None:
    form = load_form("csv")
    assert form.csv
    changed = form.model_copy(update={"csv": {"text": form.csv["text"]}, "near_miss": ()})
    faults = check_samples(changed)
    assert faults[0] == "has no near miss"
    assert any(fault.startswith("sample 1, message 1: author is None") for fault in faults)


@pytest.mark.parametrize("name", form_names())
def test_export_without_messages_is_an_error(station: Station, name: str) -> None:
    (station.data / "empty").write_text('{"name": "a", "messages": []}')
    if name == "mail":
        (station.data / "empty").unlink()
        (station.data / "empty" / "cur").mkdir(parents=True)
        (station.data / "empty" / "new").mkdir()
    log = station.run(
        "ingest", str(station.data / "empty"), "--format", name, "--site", "x", exits=2
    )
    assert f"empty: has no messages in {name} format: " in log
    assert "--format" in log
    assert "accepted" not in log


def test_unreadable_file_of_an_export_loses_only_its_messages(
    station: Station,
) -> None:
    folder, sample = station.data / "export" / "loans", load_form("slack").sample[0]
    for day in (1, 2, 3):
        write(folder, sample.body if day != 2 else sample.body[:-9], f"2026-09-0{day}.json")
    log = station.run("ingest", str(folder.parent), "--format", "slack", "--site", "x", exits=2)
    assert "2026-09-02.json: is not complete JSON: export it again" in log
    assert len(station.captures()) == 4


def test_folder_is_read_in_numeric_order(tmp_path: Path) -> None:
    sample = next(part for part in load_form("telegram").sample if part.file == "messages.html")
    for number in ("", "2", "10"):
        write(
            tmp_path,
            sample.body.replace("message2", f"message{number or 1}00"),
            f"messages{number}.html",
        )
    messages = list(read_export(tmp_path, "telegram", "x"))
    assert [message["message_id"] for message in messages[::3]] == ["100", "200", "1000"]


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("x.zip", b"PK\x03\x04rest", "x.zip: is an archive: unpack it"),
        ("x.json", b'{"messages": [', "x.json: is not complete JSON: export it again"),
        ("absent", None, "absent: cannot be read"),
        (
            "folder/other",
            b"",
            "folder: a telegram export must contain one of result.json, messages*.html",
        ),
    ],
)
def test_error_names_file_problem_and_remedy(
    tmp_path: Path, file: str, content: bytes | None, complaint: str
) -> None:
    path = tmp_path / file
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        list(read_export(tmp_path / file.partition("/")[0], "telegram", "x"))


def test_folder_is_rejected_by_a_single_file_form(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder: name a file for --format qq"):
        list(read_export(tmp_path, "qq", "x"))


def test_unreadable_message_is_a_rejected_line(station: Station) -> None:
    messages = [
        {"id": 1, "type": "message", "from": "a", "text": "x"},
        {"id": 2, "type": "message", "text": "y"},
    ]
    export = {"name": "a", "messages": messages}
    (station.data / "result.json").write_text(json.dumps(export))
    (station.data / "x.csv").write_text(f"author,text\na,x\nb,{'y' * 140_000}\nc\nd,z\n")
    assert "2 accepted, 0 refused" in station.run(
        "ingest", str(station.data / "result.json"), "--format", "telegram", "--site", "x"
    )
    log = station.run(
        "ingest", str(station.data / "x.csv"), "--format", "csv", "--site", "x", exits=1
    )
    assert "line 2: text: missing" in log
    assert "line 3: text: missing" in log
    assert "2 accepted, 2 refused" in log


@pytest.mark.parametrize(
    "name", ["a\0b", "x" * 5000, "../../etc/hostname", "https://cdn.example/a/%E6%A0%B7.csv?x=/y"]
)
def test_attached_file_is_known_by_name_only(tmp_path: Path, name: str) -> None:
    message = {"id": 1, "type": "message", "from": "a", "text": "", "file": name}
    (tmp_path / "result.json").write_text(json.dumps({"name": "a", "messages": [message]}))
    [read] = read_export(tmp_path, "telegram", "x")
    assert read["attachments"] == [{"h": "样.csv", ".": "hostname"}.get(name[0], name[:1000])]


def test_own_form_in_the_data_folder_takes_precedence(station: Station, context: Context) -> None:
    folder = station.data / FOLDER
    write(folder, name="ours.toml")
    write(folder, OWN.replace("words", "text"), name="csv.toml")
    assert {"ours", "csv", "telegram"} <= {*form_names(folder)}
    (station.data / "x.csv").write_text("who,words\nli,hello\n")
    assert "1 accepted, 0 refused" in station.run(
        "ingest", str(station.data / "x.csv"), "--format", "ours", "--site", "x"
    )
    station.run("ingest", str(station.data / "x.csv"), "--format", "csv", "--site", "x", exits=2)
    assert context.data


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (OWN.replace('"hello"', '"goodbye"'), "ours.toml: sample 1, message 1: text is 'hello'"),
        (OWN.replace("author", "athor", 1), "ours.toml: csv"),
        (OWN.replace("[csv]", "[csw]"), "ours.toml: csw"),
        (OWN.replace('text = ["words"]\n', ""), "ours.toml: csv.text: is missing"),
        (
            OWN.replace("Asia/Tokyo", "Nowhere"),
            "ours.toml: zone: is not a time zone such as Asia/Shanghai",
        ),
        ("about = 'x'", "ours.toml: does not say how messages are stored: add"),
        (
            "about = 'x'\n[json]\nmessages = '[[['\nfields = { text = 'a' }",
            "ours.toml: json.messages: is not valid JMESPath: for HTML or XML begin with",
        ),
        (
            "about = 'x'\n[text]\nheads = ['(a+)+']",
            "ours.toml: text.heads.0: has nested repetition, such as",
        ),
        ("=", "ours.toml: must be valid TOML"),
    ],
)
def test_check_reports_an_invalid_own_form(context: Context, text: str, complaint: str) -> None:
    check = next(check for name, check in parts(context) if name == "export forms")
    assert check().endswith(", 0 of them your own")
    write(context.data / FOLDER, text, name="ours.toml")
    with pytest.raises(FaultsError) as caught:
        check()
    assert complaint in caught.value.faults[0]


def test_own_form_writable_by_others_is_rejected(tmp_path: Path) -> None:
    write(tmp_path, name="ours.toml").chmod(0o666)
    with pytest.raises(ConfigError, match=r"ours\.toml"):
        load_form("ours", tmp_path)
