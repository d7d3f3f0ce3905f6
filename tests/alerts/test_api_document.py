"""The examples of docs/api.md, as they stand there, against the application behind a real server."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.alerts.builders import handle

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def token(accounts, line: str) -> str:
    """The token that a line of the document makes."""
    permissions = re.findall(r"--may (\S+)", line)
    purpose = re.findall(r'--purpose (?:"([^"]+)"|(\S+))', line)[0]
    name = re.findall(r"token add (\S+)", line)[0]
    return accounts.add_token(name, permissions, ["bank"], purpose="".join(purpose), days=1, by="test")[1]


def test_every_example_runs_as_it_stands(address, accounts, tmp_path: Path) -> None:
    lines = [line for line in TEXT.splitlines() if " token add " in line]
    soar, engine, cases = (token(accounts, line) for line in lines)
    known = {"PATH": os.environ["PATH"], "DESK": address, "SOAR": soar, "ENGINE": engine, "CASES": cases, "HANDLE": handle("a")}
    script = "set -euo pipefail\n" + "\n".join(blocks("sh"))
    done = subprocess.run(
        ["bash", "-c", script], env=known, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for said in (
        '"acknowledged"',
        '"exposed"',
        '"not_found"',
        '"risk_engine"',
        '"recorded":true',
        '"loss_rate":0.5',
        '"count": 3',
    ):
        assert said in done.stdout, said
    shown = subprocess.run(
        [sys.executable, "-c", blocks("python")[0]], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert re.findall(r" (created|grew|acknowledged) INC-", shown.stdout) == ["created", "grew", "acknowledged"]


def test_every_route_is_in_the_document(desk) -> None:
    from alerts.web.dependencies import routes_of
    from tests.alerts.test_table_of_roles import application

    paths = {route.path for route in routes_of(application(desk)) if route.path.startswith("/v1/")}
    told = {re.sub(r"\{[^}]*\}|\$ID", "X", path) for path in re.findall(r"/v1/[\w/{}$.]+", TEXT)}
    assert {re.sub(r"\{[^}]*\}", "X", path) for path in paths} <= told
