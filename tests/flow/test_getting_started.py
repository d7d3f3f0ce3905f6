"""The ten minutes of `docs/getting-started.md`, as they stand there, with real processes."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from deploy.local.server import free_ports
from deploy.local.webhook import receiving
from tests.flow.daemon import until

pytestmark = pytest.mark.flow

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```(\w+)\n(.*?)^```$",
    (ROOT / "docs" / "getting-started.md").read_text("utf-8"),
    re.MULTILINE | re.DOTALL,
)
NOT_RUN = {
    "make env": "this runs in what it made",
    "export PATH": "the same; the path is that of all commands",
    "ullage --data first sites try": (
        "its site is an example; tests/crawlers/test_trial.py tries real ones"
    ),
}
SYSTEM_PATH = "/usr/bin:/bin"
HOOK = "https://hooks.bank.example/ullage"
PORTS = ("SEARCH__PORT", "METRICS_PORTS__CRAWL", "METRICS_PORTS__MATCH", "METRICS_PORTS__ALERT")


@pytest.fixture
def machine(tmp_path: Path) -> Mapping[str, str]:
    """Return the environment of an empty shell in a clone in which `make env` was run.

    Its ports are free here; the sample is where it is there.
    """
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    ports = {
        f"ULLAGE_{name}": str(port)
        for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)
    }
    return {
        **ports,
        "PATH": f"{tmp_path / '.venv' / 'bin'}:{SYSTEM_PATH}",
        "HOME": str(tmp_path),
    }


@pytest.fixture
def running(tmp_path: Path, machine: Mapping[str, str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Yield a list for commands of a second terminal, each of which is ended with Ctrl-C."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        interrupt(process)


def interrupt(process: subprocess.Popen[bytes]) -> int:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    return process.wait(60)


def list_commands(block: str) -> list[str]:
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]


def read_shown_verdict(page: str) -> list[str]:
    """Return the verdict on the sample that a page shows."""
    block = re.compile(
        r"^\$ ullage --data first assess deploy/demo/sample/leak.txt\n(.*?)^```$",
        re.MULTILINE | re.DOTALL,
    )
    match = block.search((ROOT / page).read_text("utf-8"))
    return match[1].splitlines() if match else []


def is_shortened(shown: Sequence[str], whole: Sequence[str]) -> bool:
    """Return whether all of `shown` is in `whole`, in that order."""
    remaining = iter(whole)
    return all(line in remaining for line in shown)


@pytest.mark.timeout(900)
def test_every_shown_command_works(
    tmp_path: Path, machine: Mapping[str, str], running: list[subprocess.Popen[bytes]]
) -> None:
    outputs: dict[str, str] = {}

    def run(line: str, codes: tuple[int, ...] = (0,)) -> str:
        process = subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env=machine,
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode in codes, (
            line,
            process.returncode,
            process.stdout,
            process.stderr,
        )
        return process.stdout + process.stderr

    def start(line: str) -> None:
        with (tmp_path / "run.log").open("ab") as log:
            running.append(
                subprocess.Popen(
                    line.split(),
                    cwd=tmp_path,
                    env=machine,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def is_ready() -> bool:
        words = ["ullage", "--data", "first", "status"]
        return (
            subprocess.run(
                words, cwd=tmp_path, env=machine, capture_output=True, check=False
            ).returncode
            == 0
        )

    with receiving() as team:
        for language, block in BLOCKS:
            if language == "csv":
                (tmp_path / "customers.csv").write_text(block, encoding="utf-8")
            elif language == "toml":
                with (tmp_path / "first" / "ullage.toml").open("a", encoding="utf-8") as file:
                    file.write(block)
            for line in list_commands(block) if language == "console" else ():
                if line == "ullage --data first run":
                    start(line)
                elif HOOK in line:
                    run(line.replace(HOOK, team.url))
                    assert interrupt(running[-1]) == 0
                    start("ullage --data first run")
                elif line == "ullage --data first status":
                    until(is_ready, "all roles are ready")
                    outputs[line] = run(line)
                elif not any(line.startswith(beginning) for beginning in NOT_RUN):
                    outputs[line] = run(line)
        assert team.received, "notify test reached the channel"
    verdict = [
        line.rstrip()
        for line in outputs["ullage --data first assess deploy/demo/sample/leak.txt"].splitlines()
    ]
    for page in ("README.md", "README.zh.md", "docs/assess.md"):
        assert read_shown_verdict(page), page
        assert is_shortened(read_shown_verdict(page), verdict), page
    assert re.search(r"INC-\w+\t\S+\thigh", outputs["ullage --data first incidents list"])
    assert "password" in (tmp_path / "run.log").read_text()


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_readme_assesses_the_sample_in_an_empty_shell(
    tmp_path: Path, machine: Mapping[str, str], page: str
) -> None:
    section = (ROOT / page).read_text("utf-8").split("\n## ")[2]
    commands = list_commands(section)
    assert any(" assess " in line for line in commands)
    result = subprocess.run(
        ["bash", "-c", "set -e\n" + "\n".join(commands)],
        cwd=tmp_path,
        env={"PATH": SYSTEM_PATH, "HOME": machine["HOME"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    verdict = [line.rstrip() for line in result.stdout.splitlines()]
    assert is_shortened(read_shown_verdict(page), verdict)


def test_commands_that_are_not_run_are_shown_and_have_a_reason() -> None:
    lines = [
        line for language, block in BLOCKS if language == "console" for line in list_commands(block)
    ]
    assert [
        beginning for beginning in NOT_RUN if not any(line.startswith(beginning) for line in lines)
    ] == []
    assert len(lines) > 12
