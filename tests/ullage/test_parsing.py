"""Whatever is wrong with a file or an answer in JSON or TOML is told as wrong: no traceback, and
nothing of it is repeated.
"""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from alerts.grouping.replay import detect_kind, rule_kinds
from alerts.http_post import PostResponse
from crawlers.collectors.channel import read_channel
from crawlers.intake.chat_exports import read_export
from crawlers.intake.export_form import load_form
from crawlers.platforms import find_platform
from crawlers.sites.presets import Presets
from crawlers.sites.site import read_site
from matcher.watchlist.file import WatchlistHeader
from ullage.bus.spool.files import Position, file_name, pack, read_file, read_state
from ullage.errors import ConfigError, CorruptError, list_faults
from ullage.files.validation import quote_word, read_json, read_toml, redact_word
from ullage.settings.root import load

DEEP = 100_000
DIGITS = "15400000001"
WRONG_TOML = {
    "nested lists": f"a = {'[' * DEEP}{']' * DEEP}",
    "nested tables": "a = " + "{b=" * DEEP + "1" + "}" * DEEP,
    "a huge number": f"a = {DIGITS * 400}",
    "invalid syntax": f"a = = {DIGITS}",
    "a repeated table": f"[{DIGITS}]\n[{DIGITS}]",
    "a repeated quoted table": f"['{DIGITS} \"']\n['{DIGITS} \"']",
    "a table below a value": f"{DIGITS} = 1\n[{DIGITS}.b]",
    "a repeated setting in a line": f"a = {{ {DIGITS} = 1, {DIGITS} = 2 }}",
    "a setting below an inline table": f"{DIGITS} = {{ b = 1 }}\n[{DIGITS}.c]",
    "an unknown setting": f"{DIGITS} = 1",
    "an unknown table": f"[{DIGITS}.{DIGITS}]\na = 1",
}
DEEP_JSON = f'{{"a": {"[" * DEEP}{"]" * DEEP}}}'.encode()
STREAM = "0123456789abcdef"


def preset(path: Path) -> None:
    presets = Presets(path.parent)
    presets.refresh()
    presets.get(path.stem)


def export_form(path: Path) -> None:
    load_form(path.stem, path.parent)


def settings(path: Path) -> None:
    path.rename(path.with_name("ullage.toml"))
    load(path.parent)


READERS: dict[str, Callable[[Path], object]] = {
    "site": read_site,
    "channel": read_channel,
    "preset": preset,
    "export form": export_form,
    "settings": settings,
    "rule kind": detect_kind,
    "verdict": rule_kinds()["verdict"].load,
    "background": rule_kinds()["background"].load,
}


@pytest.mark.parametrize("wrong", WRONG_TOML)
@pytest.mark.parametrize("reader", READERS)
def test_invalid_toml_file_is_a_one_line_error_that_names_it(
    tmp_path: Path, reader: str, wrong: str
) -> None:
    path = tmp_path / "some.toml"
    path.write_text(WRONG_TOML[wrong])
    with pytest.raises(ConfigError, match=r"some\.toml|ullage\.toml") as raised:
        READERS[reader](path)
    assert DIGITS not in str(raised.value)


SITE = (
    'platform = "board"\nstart = ["https://paste.example/"]\nlegal_basis = "PIPL 13"\nowner ='
    ' "team"\n'
)
PASTED = {
    "a site's platform": ("site", SITE.replace("board", DIGITS), "platform"),
    "options of a platform without options": (
        "site",
        SITE.replace("board", "bepasty") + f"[options]\n{DIGITS} = 1",
        "options",
    ),
    "options of a site without a crawler": (
        "site",
        SITE.replace("board", "ingest") + f"[options]\n{DIGITS} = 1",
        "options",
    ),
    "an option": ("site", SITE + f"[options]\n{DIGITS} = 1", "options"),
    "a placeholder in an address": (
        "site",
        SITE + f"[options]\nraw = '/{{{DIGITS}}}'",
        r"options\.raw",
    ),
    "a group of an expression": (
        "site",
        SITE + f"[options]\npattern = '(?P<{DIGITS}>)'",
        r"options\.pattern",
    ),
    "a tenant": ("settings", f"[tenants.{DIGITS}]", "tenants"),
    "a setting of a tenant": ("settings", f"[tenants.bank]\n{DIGITS} = 1", r"tenants\.bank"),
    "a table of a channel": ("settings", f"[notify.channels.{DIGITS}]\nkind = 'wecom'", "notify"),
    "a channel of a route": ("settings", f"[notify.routes.all]\nchannels = ['{DIGITS}']", "notify"),
    "a time zone": ("settings", f"[coverage]\nzone = '{DIGITS}'", "coverage"),
}


@pytest.mark.parametrize("place", PASTED)
def test_value_in_place_of_a_word_is_not_echoed_but_located(tmp_path: Path, place: str) -> None:
    reader, text, named = PASTED[place]
    path = tmp_path / "some.toml"
    path.write_text(text)
    read = READERS[reader] if reader != "site" else lambda file: read_site(file, find_platform)
    with pytest.raises(
        ConfigError, match=rf"\.toml: .*({named}).*\((11|13) characters\)"
    ) as raised:
        read(path)
    assert not [fault for fault in list_faults(raised.value) if DIGITS in fault]


@pytest.mark.parametrize("word", ["colour", "诸葛", "site-2026", "a" * 64])
def test_plain_word_is_quoted(word: str) -> None:
    assert (redact_word(word), quote_word(word)) == (word, repr(word))


@pytest.mark.parametrize(
    "word",
    [
        DIGITS,
        "154-0000-0001",
        "E12345678",
        "１５４０００００００１",
        "li@bank.example",
        "a" * 65,
        "\x1b[31m",
    ],
)
def test_word_that_may_be_a_secret_or_control_text_is_not_quoted(word: str) -> None:
    assert redact_word(word) == quote_word(word) == f"({len(word)} characters)"


def test_endlessly_nested_json_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(DEEP_JSON)
    with pytest.raises(ConfigError, match=r"is not complete JSON"):
        list(read_export(path, "telegram", "x"))
    with pytest.raises(CorruptError, match="header"):
        WatchlistHeader.decode(path, DEEP_JSON)
    with pytest.raises(CorruptError, match="is damaged"):
        read_state(path)
    assert PostResponse(200, DEEP_JSON, None).field("errcode") is None


@pytest.mark.parametrize(
    "clear", [DEEP_JSON, b'{"key": "a", "headers": {}, "timestamp": 1' + b"0" * 400 + b"}"]
)
def test_spool_file_of_a_hostile_zone_is_damaged(tmp_path: Path, clear: bytes) -> None:
    body = struct.pack(">II", len(clear), 0) + clear
    path = tmp_path / file_name(1, STREAM)
    path.write_bytes(
        pack(STREAM, Position(1, 1), [body + struct.pack(">I", zlib.crc32(body))], 0.0)
    )
    with pytest.raises(CorruptError, match="another format"):
        read_file(path, "captures")


def test_valid_json_and_toml_are_read() -> None:
    assert read_json(b'{"a": [1]}') == {"a": [1]}
    assert read_toml("a = [1]") == {"a": [1]}
