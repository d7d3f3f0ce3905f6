"""Files of rules: this version's or the house's own, and read again when they change."""

import io
import json
import os
from pathlib import Path

import pytest
from pydantic import BaseModel

from ullage import log
from ullage.errors import ConfigError
from ullage.files.ownership import MAX_BYTES
from ullage.files.rule_files import Live, RuleKind, toml_reader
from ullage.verdict import VERDICT


class Points(BaseModel):
    version: int
    points: int = 0


KIND = RuleKind("verdict", "ullage.verdict", "rules.toml", toml_reader(Points))


def put(data: Path, text: str) -> None:
    """Write a rules file like an editor: in its place, with a later modification time."""
    path = KIND.own_path(data)
    path.parent.mkdir(exist_ok=True)
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(before + 10**9, before + 10**9))


def test_shipped_rules_apply_without_own_rules(tmp_path: Path) -> None:
    assert VERDICT.load_current(tmp_path) == VERDICT.load_shipped()
    assert not VERDICT.own_path(tmp_path).exists()


def test_activated_rules_apply_and_are_readable_by_other_users(
    tmp_path: Path,
) -> None:
    path = KIND.install(tmp_path, "version = 7")
    assert KIND.load_current(tmp_path).rules.version == 7
    assert (path, path.stat().st_mode & 0o777) == (tmp_path / "rules" / "verdict.toml", 0o644)


def test_changed_or_removed_file_is_noticed_at_the_next_call(tmp_path: Path) -> None:
    live = Live(KIND, tmp_path)
    shipped = live().version
    for version in (8, 9):
        put(tmp_path, f"version = {version}")
        assert live().version == version
    KIND.own_path(tmp_path).unlink()
    assert live().version == shipped


def test_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    put(tmp_path, "version = 8")
    live = Live(KIND, tmp_path)
    assert live() is live()


def test_broken_file_keeps_the_former_rules_and_is_reported_once(tmp_path: Path) -> None:
    put(tmp_path, "version = 8")
    live = Live(KIND, tmp_path)
    live()
    log.configure("error", out := io.StringIO())
    put(tmp_path, "version = ")
    assert (live().version, live().version) == (8, 8)
    (event,) = map(json.loads, out.getvalue().splitlines())
    assert (event["event"], event["kind"]) == ("rules_not_reloaded", "verdict")
    assert str(KIND.own_path(tmp_path)) in event["error"]
    put(tmp_path, "version = 9")
    assert live().version == 9


def test_unreadable_folder_is_reported_and_not_taken_for_empty(tmp_path: Path, monkeypatch) -> None:
    put(tmp_path, "version = 8")
    live = Live(KIND, tmp_path)
    live()

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", deny)
    assert live().version == 8
    with pytest.raises(ConfigError, match="cannot be read"):
        KIND.load_current(tmp_path)


def test_broken_file_is_an_error_at_first_use(tmp_path: Path) -> None:
    put(tmp_path, "points = 1")
    with pytest.raises(ConfigError, match=r"verdict\.toml: version: Field required"):
        Live(KIND, tmp_path)()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff", "cannot be read"),
        (b"#" * (MAX_BYTES + 1), "too large"),
        (b"x = 'secret", "Unterminated|Expected"),
    ],
)
def test_invalid_rule_file_is_a_one_line_error(tmp_path: Path, content: bytes, told: str) -> None:
    put(tmp_path, "")
    KIND.own_path(tmp_path).write_bytes(content)
    with pytest.raises(ConfigError, match=told) as caught:
        KIND.load_current(tmp_path)
    assert str(KIND.own_path(tmp_path)) in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        KIND.load(tmp_path / "gone.toml")
