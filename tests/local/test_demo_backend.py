"""What the demo runs on: refused before it begins where it cannot be had, and cleaned without
hiding the first fault.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.demo import backend
from deploy.demo.backend import Backend
from deploy.local import services
from deploy.local.server import free_ports
from ullage.errors import UnavailableError


def not_there(tmp_path: Path) -> services.Services:
    """Services whose ports nobody listens on."""
    services.write_secret(tmp_path / "admin" / "store.password", "x")
    (tmp_path / "elasticsearch").mkdir()
    return services.Services(tmp_path, *free_ports(2), (), kept=True)


def test_missing_real_servers_are_reported_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "find", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    backend.require(Backend.EMBEDDED)
    with pytest.raises(UnavailableError, match="there is no Maven: install Maven"):
        backend.require(Backend.DISTRIBUTED)


def test_unknown_backend_is_a_usage_error(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "ullage", "--data", str(tmp_path), "demo", "--backend", "cloud"]
    process = subprocess.run(words, capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert "embedded" in process.stderr


def test_embedded_backend_changes_no_configuration(tmp_path: Path) -> None:
    def step(name: str, act: Callable[[], services.Services]) -> services.Services:
        pytest.fail(f"{name}: embedded parts start no server")

    with backend.running(Backend.EMBEDDED, tmp_path, step) as parts:
        assert (parts.configuration, parts.password) == ("", "")


def test_unreachable_broker_is_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(
        UnavailableError,
        match=r"the topics t\.captures … \(ConnectionRefusedError\): start it with `make services`",
    ):
        backend.delete_topics(not_there(tmp_path), ["t.captures"])


def test_first_fault_is_reported_rather_than_that_of_cleaning_up(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyError, match="first"),
        backend._clean_afterwards(not_there(tmp_path), "t.", "ullage-t-"),
    ):
        raise KeyError("first")
    with (
        pytest.raises(UnavailableError, match="does not delete"),
        backend._clean_afterwards(not_there(tmp_path / "b"), "t.", "ullage-t-"),
    ):
        pass
