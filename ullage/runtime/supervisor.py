"""Run the services as child processes of one supervisor, and restart them when they die.

This is `ullage run`, on one machine and as one user: docs/not-covered.md says that this does not
separate the services from one another.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ullage import log
from ullage.clock import Backoff, Clock
from ullage.errors import Exit
from ullage.files.descriptors import is_out_of_resources
from ullage.runtime.service import EXIT_CODE, SUPERVISOR

ROLES = ("crawl", "match", "alert", "search")
DRAIN_SECONDS = 30.0
STEADY_SECONDS = 60.0
LOOK_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 30.0
CONFIGURED_SECONDS = 5.0
"""Interval at which newly configured services are looked for."""


@dataclass(slots=True)
class _Child:
    role: str
    """The words of its command."""
    process: subprocess.Popen[bytes]
    started: float
    backoff: Backoff = field(default_factory=lambda: Backoff(cap=LONGEST_WAIT_SECONDS))
    start_again_at: float | None = None
    is_first: bool = True
    """It is one of the basic services and has not been restarted."""

    def refuses(self, exit_code: int, now: float) -> bool:
        """Return whether a child ended because its configuration is invalid, at its first start.

        Somebody is there to read the error then. `now` is on the clock of `started`, in seconds.
        """
        return exit_code == Exit.USAGE and self.is_first and now - self.started < STEADY_SECONDS


def command(data: Path, *words: str) -> list[str]:
    """Return the command line of a service: the same interpreter and data folder, then `words`."""
    return [sys.executable, "-m", "ullage", "--data", str(data), *words]


def supervise(
    data: Path,
    roles: Sequence[str],
    stop: threading.Event,
    clock: Clock,
    more: Callable[[], Sequence[str]] = tuple,
) -> Exit:
    """Run `roles`, and the commands that `more` lists, until `stop`.

    Then they are ended gently, after 30 s by force. If one of `roles` refuses its configuration at
    the start, all are ended. One that does so later, as after a crash at night, or that `more`
    lists, is restarted like any other, because its fault must not end those that work.
    """
    children = {
        role: _Child(role, _start(data, role), clock.monotonic(), is_first=role in roles)
        for role in (*roles, *more())
    }
    code, ask_at = Exit.DONE, clock.monotonic() + CONFIGURED_SECONDS
    while not stop.wait(LOOK_SECONDS) and not code:
        for child in children.values():
            code = code or _look_after(child, data, clock)
        if (now := clock.monotonic()) >= ask_at:
            ask_at = now + CONFIGURED_SECONDS
            for role in {*more()} - children.keys():
                children[role] = _Child(role, _start(data, role), now, is_first=False)
    _end(children.values(), clock)
    return code


def _end(children: Collection[_Child], clock: Clock) -> None:
    for child in children:
        child.process.terminate()
    deadline = clock.monotonic() + DRAIN_SECONDS
    for child in children:
        try:
            child.process.wait(max(0.1, deadline - clock.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()


def _start(data: Path, role: str, exit_code: int = 0) -> subprocess.Popen[bytes]:
    """Start the process of a service.

    `exit_code` is that of its last process, negative if a signal ended it.
    """
    extra = {SUPERVISOR: str(os.getpid()), EXIT_CODE: str(exit_code)}
    return subprocess.Popen(
        command(data, *role.split()),
        env={**os.environ, **extra},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def _look_after(child: _Child, data: Path, clock: Clock) -> Exit:
    """Start a dead child again after its wait.

    Returns the exit code with which everything must end, DONE to continue.
    """
    exit_code = child.process.poll()
    if exit_code is None:
        return Exit.DONE
    now = clock.monotonic()
    if child.start_again_at is None:
        if child.refuses(exit_code, now):
            return Exit.USAGE
        if now - child.started > STEADY_SECONDS:
            child.backoff.reset()
        wait = child.backoff.next()
        child.start_again_at = now + wait
        log.get("run").warning(
            "role_died", reason=child.role, exit_code=exit_code, wait=round(wait, 1)
        )
    elif now >= child.start_again_at:
        try:
            child.process = _start(data, child.role, exit_code)
        except OSError as error:
            if not is_out_of_resources(error):
                raise
            child.start_again_at = now + child.backoff.next()
            log.get("run").warning(
                "role_not_started", reason=child.role, error=type(error).__name__
            )
        else:
            child.started, child.start_again_at, child.is_first = now, None, False
    return Exit.DONE


def run_once(data: Path, roles: Sequence[str]) -> int:
    """Run each service until it has no work left, one after the other; return an exit code.

    It is the first code that is not DONE, or DONE. A service that fails does not keep the next from
    its work. A service that a signal killed counts as FAILED.
    """
    environment, code = {**os.environ, SUPERVISOR: str(os.getpid())}, int(Exit.DONE)
    for role in roles:
        process = subprocess.run(command(data, role, "--once"), env=environment, check=False)
        code = code or (max(process.returncode, Exit.FAILED) if process.returncode else Exit.DONE)
    return code
