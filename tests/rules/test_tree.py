"""What git keeps."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK = "120000"


def test_repository_contains_no_symbolic_link() -> None:
    """A link to something beside a checkout leads nowhere in another, and `make env` fails at
    one in the place of `.venv`.
    """
    listing = subprocess.run(
        ["git", "ls-files", "--stage"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert [line for line in listing.splitlines() if line.startswith(LINK)] == []
