"""The examples of docs/api.md, as they stand there, against the application behind a real
server.

They run in an empty shell: only variables that the page sets are known. The address and the tokens
that the page's commands print are put in their place.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from alerts.web.dependencies import list_routes
from matcher.cli.assess_service import listening
from tests.alerts.test_table_of_roles import application
from tests.matcher.bank import customer, enrol
from ullage.settings import Context

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def token(accounts, line: str) -> str:
    """Create the token for a command line of the document and return it."""
    permissions = re.findall(r"--may (\S+)", line)
    purpose = re.findall(r'--purpose (?:"([^"]+)"|(\w+))', line)[0]
    name = re.findall(r"token add (\S+)", line)[0]
    return accounts.add_token(
        name, permissions, ["bank"], purpose="".join(purpose), days=1, by="test"
    )[1]


@pytest.fixture
def environment(address, accounts, context, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Yield the environment the examples assume, with addresses and tokens.

    The folder holds a file to assess, and match runs.
    """
    # match goes by the real clock
    people, real = [customer(n) for n in range(20)], Context(context.data)
    enrol(real, "bank", people, "none")
    rows = [
        "姓名,手机,身份证",
        *(",".join((person["name"], person["phone"], person["resident_id"])) for person in people),
    ]
    (tmp_path / "leak.csv").write_text("\n".join(rows), encoding="utf-8")
    tokens = {
        line.partition("=")[0].removeprefix("export "): token(accounts, line)
        for line in TEXT.splitlines()
        if " token add " in line
    }
    with listening(
        real,
        Counter("outcomes", "What became of files.", ["outcome"], registry=CollectorRegistry()),
    ):
        yield {"DESK": address, **tokens}


def run(words: list[str], environment: dict[str, str], folder: Path) -> str:
    """Run an example that must succeed and return what it prints."""
    result = subprocess.run(
        words, env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_every_documented_example_runs(environment, tmp_path: Path) -> None:
    script = re.sub(
        r"^export (\w+)=.*$",
        lambda line: f"export {line[1]}={environment[line[1]]}",
        "\n".join(blocks("sh")),
        flags=re.MULTILINE,
    )
    empty = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    shown = run(["bash", "-c", f"set -euo pipefail\n{script}"], empty, tmp_path)
    for expected in (
        '"acknowledged"',
        '"exposed"',
        '"not_found"',
        '"no_record"',
        '"risk_engine"',
        '"recorded":true',
        '"loss_rate":0.5',
        '"count": 3',
        '"member": "tab"',
    ):
        assert expected in shown, expected
    exported = {**empty, **environment}
    shown = run([sys.executable, "-c", "\n".join(blocks("python"))], exported, tmp_path)
    for expected in (
        "run-18 invalid_request [('limit', 'out_of_range')]",
        "confirmed version_mismatch True",
        "exposed\n",
        "True\n",
    ):
        assert expected in shown, expected
    assert re.findall(r" (created|grew|acknowledged|decided) INC-", shown) == [
        "created",
        "grew",
        "acknowledged",
        "decided",
    ]


def test_each_example_exists_for_shell_and_python() -> None:
    """A section that shows how to ask with curl shows it in Python, too."""
    for section in TEXT.split("\n## ")[1:]:
        assert ("```sh" in section) == ("```python" in section), section.partition("\n")[0]


def test_every_route_is_documented(desk) -> None:
    paths = {
        route.path for route in list_routes(application(desk)) if route.path.startswith("/v1/")
    }
    documented = {
        re.sub(r"\{[^}]*\}|\$ID|csv", "X", path) for path in re.findall(r"/v1/[\w/{}$.-]+", TEXT)
    }
    assert {re.sub(r"\{[^}]*\}", "X", path) for path in paths} <= documented
