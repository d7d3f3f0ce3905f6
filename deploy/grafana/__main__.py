"""Write the JSON of all boards: `python -m deploy.grafana`."""

from __future__ import annotations

from pathlib import Path

from deploy.grafana.board import read_boards
from deploy.grafana.generate import generate

DASHBOARDS = Path(__file__).parent / "dashboards"


def write(folder: Path) -> None:
    """Write every board into `folder`, and remove the files of boards that no longer exist."""
    dashboards = {f"{name}.json": generate(board) for name, board in read_boards().items()}
    for path in folder.glob("*.json"):
        if path.name not in dashboards:
            path.unlink()
    for name, text in dashboards.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(DASHBOARDS)
