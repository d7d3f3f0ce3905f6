"""A frontier, a local server, and a data folder whose sites a test writes and whose captures it
opens.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from crawlers.frontier.database import Frontier
from tests.conftest import HeldClock, in_this_process
from tests.crawlers.support import KEY, Answers, serving
from tests.warm import WarmProcess
from ullage.bus import CAPTURES
from ullage.records import Capture
from ullage.security import keys
from ullage.security.capture_seal import CaptureOpener
from ullage.settings import Context


@pytest.fixture
def frontier(tmp_path: Path, clock: HeldClock) -> Iterator[Frontier]:
    opened = Frontier(tmp_path, KEY, clock.as_clock())
    yield opened
    opened.close()


@pytest.fixture
def server() -> Iterator[Answers]:
    with serving() as answers:
        yield answers


KNOBS = (("allow_private", "true"), ("delay_seconds", "0"), ("watch", "true"))


LOOKS = ("sites",)
"""Commands that look at a folder and neither crawl nor stay: for them no process is started,
which takes a second of CPU.
"""


def environment_with(**settings: str) -> dict[str, str]:
    """Return the environment of a command with these settings."""
    settings_ = {"crawl__heartbeat_seconds": "0", **settings}
    return {**os.environ, **{f"ULLAGE_{name.upper()}": value for name, value in settings_.items()}}


@dataclass
class Station:
    """A data folder that is crawled by a process of its own, as in real life."""

    data: Path
    warm: WarmProcess | None = None
    """What commands that are run to their end are forked from; without it they are started."""

    def site(self, name: str, url: str, platform: str = "raw_paste", more: str = "") -> None:
        """Write a site file: a loopback site without pauses, unless `more` says otherwise."""
        lines = [
            'legal_basis = "test"',
            'owner = "test"',
            f'platform = "{platform}"',
            f'start = ["{url}"]',
        ]
        lines += [f"{knob} = {value}" for knob, value in KNOBS if knob not in more]
        (self.data / "sites.d" / f"{name}.toml").write_text("\n".join([*lines, more]))

    def feed(self, name: str, more: str = "") -> None:
        """Write the file of a site that is never visited: another collector hands its posts in."""
        lines = ['legal_basis = "test"', 'owner = "test"', 'platform = "ingest"', more]
        (self.data / "sites.d" / f"{name}.toml").write_text("\n".join(lines))

    names: list[str] = field(default_factory=list)
    """What names resolve to in its commands, as `tests.crawlers.resolving` reads it; as on this
    machine where it is empty.
    """

    def words(self, *words: str) -> list[str]:
        program = ["tests.crawlers.resolving", *self.names, "--"] if self.names else ["ullage"]
        return [sys.executable, "-m", *program, "--data", str(self.data), *words]

    @contextlib.contextmanager
    def start(self, *words: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command beside the test; killed at the end if it has not ended by then."""
        environment = environment_with(**settings)
        with subprocess.Popen(
            self.words(*words),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *words: str, exits: int = 0, **settings: str) -> str:
        """Run a command to its end; returns what it printed, errors and log included."""
        if not self.names and words[0] in LOOKS and "try" not in words:
            code, out, err = in_this_process(
                "--data", str(self.data), *words, **{"crawl__heartbeat_seconds": "0", **settings}
            )
        elif self.warm:
            _, _, program, *arguments = self.words(*words)
            code, out, err = self.warm.run(program, arguments, environment_with(**settings))
        else:
            with self.start(*words, **settings) as process:
                out, err = process.communicate()  # the test's own limit ends it
            code = process.returncode
        assert code == exits, err
        return out + err

    def captures(self, group: str = "test") -> list[Capture]:
        """Return the decrypted captures on the bus that `group` has not read yet."""
        context = Context(self.data)
        opener = CaptureOpener(
            keys.load_opener(context.keys), keys.load_verifier(context.keys, CAPTURES)
        )
        subscription, captures = context.bus().subscribe(CAPTURES, group), []
        while records := subscription.poll(100, 0.0):
            for record in records:
                schema = int(record.headers["schema"])
                plain, is_trusted = opener.open(record.value, record.headers["key_id"])
                assert is_trusted
                captures.append(Capture.decode(plain, schema))
                assert captures[-1].id == record.headers["id"] == record.key
            subscription.commit(records[-1])
        subscription.close()
        return captures


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmProcess]:
    """Yield a process that has already imported the crawler's modules."""
    with contextlib.closing(
        WarmProcess(
            "tests.crawlers.lookups",
            "ullage.cli",
            "crawlers.cli",
            "crawlers.fetching.scrapy_setup",
            "crawlers.trial.fetch",
            "crawlers.scheduling.scheduler",
        )
    ) as process:
        yield process


@pytest.fixture
def station(data: Path, warm: WarmProcess) -> Station:
    return Station(data, warm)


@pytest.fixture
def pastes(server: Answers) -> Callable[[int], dict[str, str]]:
    """Return a function that serves a list of `count` pastes, and returns their texts by id."""

    def fill(count: int) -> dict[str, str]:
        texts = {f"paste{number:03}": f"text of paste {number} 内容" for number in range(count)}
        server.says("/archive", "".join(f'<a href="/{name}">title {name}</a>' for name in texts))
        for name, text in texts.items():
            server.says(f"/raw/{name}", text, **{"Content-Type": "text/plain; charset=utf-8"})
        return texts

    return fill
