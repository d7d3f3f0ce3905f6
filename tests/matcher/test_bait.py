"""Lists of bait are recorded by their SHA-256 before they are handed out, and that shows in the
report.
"""

import hashlib
import stat
from pathlib import Path

import pytest

from tests.matcher.bank import HEADER, customer
from tests.matcher.test_witnesses import put
from ullage.audit.bait import read_stamps
from ullage.audit.trail import FOLDER
from ullage.errors import ConfigError
from ullage.settings import Context

BAIT = [customer(n, canary="sms A" if n < 3 else "sms B") for n in range(5)]
COLUMNS = (*HEADER, "canary")


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the command line runs."""
    return Context(data)


@pytest.fixture
def bait(tmp_path: Path) -> Path:
    return put(tmp_path / "bait.csv", BAIT, COLUMNS)


def test_stamp_records_the_digest_of_the_kept_file(
    ullage, context: Context, bait: Path, tmp_path: Path
) -> None:
    kept_file = tmp_path / "kept"
    result = ullage(
        "watchlist", "stamp", bait, "--tenant", "bank", "--canary", "sms A", "--output", kept_file
    )
    assert result.exit_code == 0, result.output
    digest = hashlib.sha256(kept_file.read_bytes()).hexdigest()
    [stamp] = read_stamps(context.data / FOLDER, "bank", "sms A")
    assert (stamp.sha256, stamp.customers, stamp.party) == (digest, 3, "sms A")
    assert digest in result.stdout
    assert f"openssl ts -query -data {kept_file} -sha256" in result.stdout
    assert stat.S_IMODE(kept_file.stat().st_mode) == 0o600
    assert digest in ullage("audit", "list", "--json").stdout
    assert ullage("audit", "verify").exit_code == 0


def test_stamped_file_ignores_row_order_and_column_layout(
    ullage, context: Context, tmp_path: Path
) -> None:
    bodies = []
    for number, rows in enumerate(
        (
            BAIT,
            BAIT[::-1],
            [
                {**row, "email": row["email"].upper(), "phone": f"+86 {row['phone']}"}
                for row in BAIT
            ],
        )
    ):
        kept_file = tmp_path / f"kept{number}"
        ullage(
            "watchlist",
            "stamp",
            put(tmp_path / "l.csv", rows, COLUMNS),
            "--tenant",
            "bank",
            "--canary",
            "sms A",
            "--output",
            kept_file,
        )
        bodies.append(kept_file.read_text("utf-8").splitlines())
    randoms = {body.pop(3) for body in bodies}
    assert len(randoms) == 3
    assert bodies[0] == bodies[1] == bodies[2]
    assert len(bodies[0]) == 3 + 3


def test_file_is_verified_against_the_log(
    ullage, context: Context, bait: Path, tmp_path: Path
) -> None:
    kept_file = tmp_path / "kept"
    ullage(
        "watchlist", "stamp", bait, "--tenant", "bank", "--canary", "sms A", "--output", kept_file
    )
    good = ullage("watchlist", "stamp", "--check", kept_file, "--tenant", "bank")
    assert (good.exit_code, "honeytokens of sms A, 3 customers, recorded 20" in good.stdout) == (
        0,
        True,
    )
    kept_file.write_bytes(kept_file.read_bytes().replace(b"C000001", b"C000009"))
    bad = ullage("watchlist", "stamp", "--check", kept_file, "--tenant", "bank")
    assert (bad.exit_code, "not recorded" in bad.stderr) == (1, True)


def test_unreadable_or_unwritable_file_records_nothing(
    ullage, context: Context, bait: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    there.write_text("x")
    broken = put(tmp_path / "broken.csv", [{**BAIT[0], "phone": "12"}], COLUMNS)
    for words, message in (
        ((bait, "--canary", "sms A", "--output", there), "already exists"),
        ((bait, "--canary", "sms C", "--output", tmp_path / "new"), "no customer has the label"),
        (
            (bait, "--canary", "15400000001", "--output", tmp_path / "new"),
            "unlike an identifier",
        ),
        ((bait, "--canary", "sms A"), "--output"),
        (
            (broken, "--canary", "sms A", "--output", tmp_path / "new"),
            "line 2, column phone: has the wrong format",
        ),
    ):
        result = ullage("watchlist", "stamp", "--tenant", "bank", *words)
        assert isinstance(result.exception, ConfigError)
        assert message in str(result.exception)
    assert not list(read_stamps(context.data / FOLDER))
    assert there.read_text() == "x"


def test_load_names_partners_with_unstamped_honeytokens(
    ullage, context: Context, bait: Path, tmp_path: Path
) -> None:
    ullage(
        "watchlist",
        "stamp",
        bait,
        "--tenant",
        "bank",
        "--canary",
        "sms A",
        "--output",
        tmp_path / "kept",
    )
    loaded = ullage("watchlist", "load", bait, "--tenant", "bank", "--digests", "none")
    assert loaded.exit_code == 0
    assert "the honeytokens of sms B are not recorded" in loaded.stderr
    assert "sms A" not in loaded.stderr
