"""Check which files git keeps, and how long their lines are."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK = "120000"
MOST_CHARACTERS = 100


def test_repository_contains_no_symbolic_link() -> None:
    """A link to something beside a checkout leads nowhere in another, and `make env` fails at
    one in the place of `.venv`.
    """
    listing = subprocess.run(
        ["git", "ls-files", "--stage"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert [line for line in listing.splitlines() if line.startswith(LINK)] == []


def test_lines_of_python_have_at_most_100_characters() -> None:
    """Ruff says so too (E501), except of lines that end in a pragma or are one long word."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    paths = [ROOT / name for name in names.split("\0") if name]
    overlong = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in paths
        if path.exists()
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1)
        if len(line) > MOST_CHARACTERS
    ]
    assert overlong == []
