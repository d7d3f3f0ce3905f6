"""`init` makes what is missing and leaves what is there; `check` says what is wrong, a line a part."""

from pathlib import Path

import pytest

from ullage import keys, setup
from ullage.bus import CAPTURES, DEAD_LETTERS
from ullage.errors import ConfigError
from ullage.settings import Context

READERS = {CAPTURES: "match"}


def contents(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_second_init_makes_nothing_and_changes_nothing(context: Context) -> None:
    before = contents(context.data)
    assert list(setup.initialise(context)) == []
    assert contents(context.data) == before
    assert len(before) == 6


def test_a_changed_configuration_survives_init(context: Context) -> None:
    (context.data / "ullage.toml").write_text("log_level = 'debug'\n")
    list(setup.initialise(context))
    assert (context.data / "ullage.toml").read_text() == "log_level = 'debug'\n"


def test_init_completes_a_seal_pair_that_a_crash_left_half_made(context: Context) -> None:
    (public,) = (context.keys.root / "seal").glob("*.pub")
    before = public.read_bytes()
    public.unlink()
    assert list(setup.initialise(context)) == [f"made seal key pair {public.stem}"]
    assert public.read_bytes() == before


def test_a_role_before_init_is_told_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not set up: run `ullage --data .* init`"):
        setup.require(Context(tmp_path / "nothing"))


def test_check_of_a_sound_folder_has_no_fault(context: Context) -> None:
    keys.make_tenant(context.keys, "bank")
    lines = setup.check(context, READERS)
    assert [line.split()[0] for line in lines] == ["ok"] * 4
    assert any("tenant bank: 1 live match epoch" in line for line in lines)


def test_check_looks_at_the_parts_that_stages_add(context: Context) -> None:
    def broken() -> str:
        raise ConfigError("sites.d/x.toml: platform: is unknown")

    lines = setup.check(context, READERS, [("sites", broken), ("store", lambda: "3 incidents")])
    assert "FAULT  sites: sites.d/x.toml: platform: is unknown" in lines
    assert "ok     store: 3 incidents" in lines


def test_check_names_each_part_that_is_wrong_and_still_looks_at_the_rest(context: Context) -> None:
    (context.keys.root / "capture.key").chmod(0o644)
    context.bus().publisher(DEAD_LETTERS).close()
    (context.data / "bus" / "captures.sqlite").write_bytes(b"nonsense" * 1000)
    lines = setup.check(context, READERS)
    assert [line.split()[0] for line in lines] == ["FAULT", "FAULT", "ok"]
    assert "make it 0600" in lines[0]
    assert "captures.sqlite is damaged" in lines[1]
