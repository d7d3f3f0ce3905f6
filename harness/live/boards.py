"""The boards as pictures of a running demo: `make boards` writes `boards-NAME.png` into TO (docs).

The demo's sites, the roles and a real Prometheus run for some minutes while leaks are posted; then
every panel's query is asked for all of that time. It fails where a panel has no series and no word
for that.
"""

import sys
import tempfile
import time
from pathlib import Path

from deploy.demo.people import people
from deploy.demo.plant import SEED
from deploy.grafana.board import read_boards
from deploy.local.programs import ensure_environment
from harness.live.board_sheet import Window, draw, query_panel
from harness.live.station import running

ROOT = Path(__file__).parents[2]
LEAKS, PAUSE_SECONDS = 8, 20.0


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    programs = ensure_environment(ROOT / ".demo" / "sites-venv")
    silent = []
    with tempfile.TemporaryDirectory() as work, running(Path(work), programs) as station:
        start = time.time()
        victims = list(people(len(station.plan.customers), SEED))
        for leak in range(LEAKS):
            rows = "\n".join(
                f"{p.email}:Winter{n}pass!"
                for n, p in enumerate(victims[leak * 10 : leak * 10 + 12 * (leak + 1)])
            )
            station.pastes.paste(rows, f"combolist-{leak}.txt")
            time.sleep(PAUSE_SECONDS)
        window = Window(start, time.time())
        for name, board in read_boards().items():
            answers = [query_panel(station.prometheus, panel, window) for panel in board.panels()]
            draw(board, answers, window, folder / f"boards-{name}.png")
            panels = zip(board.panels(), answers, strict=True)
            silent += [
                f"{name}: {panel.title}"
                for panel, series in panels
                if not series and not panel.empty
            ]
    for one in silent:
        print(f"no series, and no word for that: {one}", file=sys.stderr)
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
