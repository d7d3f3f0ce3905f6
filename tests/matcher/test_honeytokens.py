"""Honeytokens are as many as the sample needs, valid, reach nobody, and are recorded."""

import csv
import hashlib
import io
import random

import pytest
from typer.testing import CliRunner

from matcher.watchlist.honeytokens import count_needed, format_rows, make_honeytokens
from ullage.audit import read_entries
from ullage.audit.bait import read_stamps
from ullage.cli import app
from ullage.errors import ConfigError
from ullage.identifiers import kinds


@pytest.mark.parametrize(
    ("confidence", "sample", "surviving", "number"),
    [
        (0.95, 0.01, 1.0, 299), (0.95, 0.01, 0.5, 598), (0.99, 0.1, 1.0, 44), (0.5, 0.5, 1.0, 1),
        (0.75, 0.5, 1.0, 2), (0.95, 1.0, 1.0, 1),
    ],
)  # fmt: skip
def test_number_follows_from_confidence_and_sample(confidence, sample, surviving, number):
    assert count_needed(confidence, sample, surviving) == number
    missed = (1 - sample * surviving) ** number
    assert missed <= 1 - confidence + 1e-12
    assert number == 1 or (1 - sample * surviving) ** (number - 1) > 1 - confidence


def test_drawn_samples_contain_one_as_often_as_planned():
    rng, number, rows = random.Random(5), count_needed(0.95, 0.01), 20_000
    drawn = [
        min(rng.sample(range(rows), rows // 100)) < number  # the first rows are honeytokens
        for _ in range(2_000)
    ]
    assert 0.935 < sum(drawn) / len(drawn) < 0.965


@pytest.mark.parametrize(
    ("confidence", "sample", "surviving"),
    [(1.0, 0.01, 1.0), (0.0, 0.01, 1.0), (0.95, 0.0, 1.0), (0.95, 1.5, 1.0), (0.95, 0.1, -1.0),
     (float("nan"), 0.1, 1.0), (0.95, 1e-9, 1.0)],
)  # fmt: skip
def test_impossible_shares_are_refused(confidence, sample, surviving):
    with pytest.raises(ConfigError, match="--"):
        count_needed(confidence, sample, surviving)


def test_every_identifier_is_valid_and_in_a_range_of_nobody():
    tokens = make_honeytokens(400, random.Random(1), "C######", "honey.bank.example")
    for token in tokens:
        for kind, text in (
            ("phone", token.phone), ("resident_id", token.resident_id), ("email", token.email),
        ):  # fmt: skip
            assert kinds()[kind].normalise(text) == text
        assert token.phone.startswith("154")
        assert token.resident_id.startswith("710000")
    for field in ("reference", "phone", "email"):
        assert len({getattr(token, field) for token in tokens}) == 400


def test_numbers_of_the_bank_replace_the_unassigned_range():
    phones = [f"1380013{n:04d}" for n in range(12)]
    tokens = make_honeytokens(10, random.Random(1), "######", phones=phones)
    assert {token.phone for token in tokens} <= set(phones)
    with pytest.raises(ConfigError, match="--phones"):
        make_honeytokens(13, random.Random(1), "######", phones=phones)
    with pytest.raises(ConfigError, match="--reference"):
        make_honeytokens(13, random.Random(1), "C#")


def test_rows_to_hand_out_do_not_name_the_trap():
    tokens = make_honeytokens(3, random.Random(1), "C######")
    header = next(csv.reader(io.StringIO(format_rows(tokens).decode())))
    assert header == ["customer_ref", "name", "phone", "resident_id"]
    assert b"canary" in format_rows(tokens, "sms A")


@pytest.fixture
def run(data, tmp_path):
    return lambda *words: CliRunner().invoke(
        app, ["--data", str(data), "honeytoken", "plan", "--partner", "sms A", *words]
    )


def test_plan_alone_writes_nothing(run, data):
    shown = run("--confidence", "0.95", "--sample", "0.01")
    assert shown.output.startswith("299 honeytokens: ")
    assert list(read_entries(data / "audit")) == []


def test_made_honeytokens_are_recorded_before_they_can_be_handed_out(run, data, tmp_path):
    folder = tmp_path / "sms-a"
    tokens = run("--sample", "0.1", "--tenant", "bank", "--output", str(folder))
    assert tokens.exit_code == 0, tokens.output
    [stamp] = read_stamps(data / "audit", "bank", "sms A")
    content = (folder / "recorded.bait").read_bytes()
    assert stamp.sha256 == hashlib.sha256(content).hexdigest()
    assert stamp.customers == count_needed(0.95, 0.1)
    rows = list(csv.DictReader((folder / "hand-out.csv").read_text().splitlines()))
    assert len(rows) == stamp.customers
    assert all(row["phone"].encode() in content for row in rows)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [row["phone"] for row in rows if row["phone"] in tokens.output] == []


def test_failure_leaves_no_folder_and_no_record(run, data, tmp_path):
    folder = tmp_path / "sms-a"
    refused = run("--tenant", "bank", "--output", str(folder), "--partner", "13800138000")
    assert isinstance(refused.exception, ConfigError)
    assert not folder.exists()
    folder.mkdir()
    assert isinstance(run("--tenant", "bank", "--output", str(folder)).exception, ConfigError)
    assert isinstance(run("--output", str(tmp_path / "new")).exception, ConfigError)
    assert list(read_entries(data / "audit")) == []


def test_invalid_line_of_phones_is_named_by_its_place(run, tmp_path):
    (tmp_path / "phones.txt").write_text("13800138000\nnothing\n")
    refused = run(
        "--tenant", "bank", "--output", str(tmp_path / "new"),
        "--phones", str(tmp_path / "phones.txt"),
    )  # fmt: skip
    assert "number 2 must be a phone number" in str(refused.exception)
    assert "nothing" not in str(refused.exception)
