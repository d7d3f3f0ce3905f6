"""Prometheus and Alertmanager with their tools: Debian packages, which a developer's machine may
lack.
"""

import os
import shutil
import subprocess

import pytest


def need(*tools: str) -> list[str]:
    """Return the paths of these programs.

    Without one the test is skipped in one line, which in CI (`CI` is set) is a failure.
    """
    found = [shutil.which(tool) for tool in tools]
    if missing := [tool for tool, path in zip(tools, found, strict=True) if path is None]:
        message = f"{missing[0]} is not there: apt install prometheus prometheus-alertmanager"
        pytest.fail(message, pytrace=False) if os.environ.get("CI") else pytest.skip(message)
    return [path for path in found if path]


def run(*words: object, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a tool to its end."""
    program, *rest = map(str, words)
    return subprocess.run(
        [*need(program), *rest], input=text, capture_output=True, text=True, check=False
    )
