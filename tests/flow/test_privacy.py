"""No leaked value is at rest anywhere, in any form, after everything has run and crashed; and
the sweep can tell.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from alerts.accounts.accounts import Accounts
from alerts.cases import exports
from deploy.demo import security_team
from deploy.demo.drive import configuration, write_customers
from deploy.local.posting import Bepasty, Spirit
from deploy.local.programs import Forum, bepasty, spirit
from deploy.local.server import free_ports
from deploy.local.webhook import Receiver, receiving
from tests.flow import hostile, sweep
from tests.flow.daemon import Daemon, until, write_site
from tests.flow.victim import (
    AUTHOR,
    LEAK,
    LEAKED,
    OTHERS,
    PASSWORD,
    PLANTED,
    POST,
    SLUG,
    TITLE,
    VICTIM,
)
from tests.ullage.custody.support import OFFICERS, PASSPHRASES, officers
from ullage.bus import TOPICS
from ullage.custody import open_sealed, private_key
from ullage.custody.vault import Vault
from ullage.settings import Context

pytestmark = pytest.mark.flow

DETAILED = ('kind = "webhook"\n', 'kind = "webhook"\ndetail = "facts"\n')
"""The channel is told all that a channel may be told."""
EVIDENCE = 'evidence = true\n[evidence]\nofficers = ["li", "wang"]\n'


@pytest.fixture
def sites(tmp_path: Path, site_programs: Path) -> Iterator[tuple[str, Forum]]:
    with (
        bepasty(site_programs, tmp_path / "bepasty") as url,
        spirit(site_programs, tmp_path / "spirit") as forum,
    ):
        yield url, forum


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as team:
        yield team


@pytest.fixture
def daemon(
    tmp_path: Path, sites: tuple[str, Forum], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Daemon]:
    """Run a daemon whose customer list holds the victim and whose two sites leak them.

    It has a temporary folder of its own. Evidence is sealed and a webhook is notified: neither may
    hold anything in clear.
    """
    data = tmp_path / "swept" / "data"
    (tmp_path / "swept" / "tmp").mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "swept" / "tmp"))
    monkeypatch.setenv("ULLAGE_LOG_LEVEL", "debug")
    data.mkdir()
    (port,) = free_ports(1)
    text = (
        configuration("bank", port)
        + EVIDENCE
        + security_team.configuration(f"http://127.0.0.1:{port}").replace(*DETAILED)
    )
    (data / "ullage.toml").write_text(text, encoding="utf-8")
    with Daemon(data, tmp_path / "swept" / "run.log") as daemon:
        plant(daemon, tmp_path, sites)
        officers(tmp_path, Context(data).keys)
        security_team.introduce(data / "keys", receiver)
        yield daemon


def plant(made: Daemon, tmp_path: Path, sites: tuple[str, Forum]) -> None:
    """Put the victim on the customer list, and into 40 pastes and a topic."""
    made.ask("init")
    write_customers(tmp_path / "customers.csv", [VICTIM, *OTHERS])
    made.ask("watchlist", "load", str(tmp_path / "customers.csv"), "--tenant", "bank", "--enrolled")
    url, forum = sites
    board = Spirit(forum.url, forum.user, forum.password)
    board.topic(next(iter(forum.categories.values())), TITLE[:250], POST)
    pastes = Bepasty(url)
    for number in range(40):
        pastes.paste(f"{number}\n{POST}", f"{VICTIM.phone} {PASSWORD} {number}.txt")
    rows = "\n".join(
        f"{p.name}----{p.phone}----{p.resident_id}----{PASSWORD}" for p in [VICTIM, *OTHERS]
    )
    # high by itself, so evidence of it is sealed
    pastes.paste(f"姓名----手机----身份证----密码\n{rows}\n", "many.txt")
    write_site(made.data, "pastes", "bepasty", url)
    write_site(made.data, "forum", "spirit", forum.url)


def ingest_hostile(daemon: Daemon) -> None:
    """Ingest a capture whose place, title, author and URL slug are leaks themselves."""
    place = {"site": f"{VICTIM.name} {VICTIM.phone}", "category": PASSWORD}
    line = {
        **place,
        "url": f"{SLUG}/?q={VICTIM.email}",
        "text": POST,
        "title": TITLE,
        "author": AUTHOR,
    }
    daemon.ask(
        "ingest",
        "-",
        text="".join(
            json.dumps(post, ensure_ascii=False) + "\n" for post in (line, *hostile.lines())
        ),
    )


def program_token(daemon: Daemon) -> str:
    """Return a token by which a program reads incidents and looks people up."""
    context = Context(daemon.data)
    with contextlib.closing(Accounts(context.data, context.clock)) as accounts:
        may = ["incident.read", "person.check"]
        return accounts.add_token("crm", may, ["*"], purpose="a test", days=1, by="test")[1]


def page(daemon: Daemon, path: str, body: dict[str, str] | None = None, token: str = "") -> str:
    """Ask the search API, as a program that has this token; a body is posted as JSON."""
    port = Context(daemon.data).settings.search.port
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(body).encode() if body else None
    )
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(answer.read().decode())


def is_up(daemon: Daemon) -> bool:
    try:
        page(daemon, "/healthz")
    except OSError:
        return False
    return True


def run_everything(daemon: Daemon) -> int:
    """Crawl, ingest, match and fold with a kill -9 in the middle, then ask the page.

    Return how many posts must have been matched.
    """
    token = program_token(daemon)
    daemon.start()
    until((daemon.data / "incidents.sqlite").exists, "alert has opened its store")
    ingest_hostile(daemon)
    handed = hostile.hand_in(Context(daemon.data))
    daemon.kill()
    daemon.start()
    until(partial(is_up, daemon), "the search page is up")
    question = {
        "value": VICTIM.phone,
        "by": "fraud desk",
        "purpose": "customer_enquiry",
        "case": "CASE-1",
    }
    until(
        lambda: "INC-" in page(daemon, "/v1/incidents", token=token),
        "there is an incident, and every post is about the victim",
    )
    answer = page(daemon, "/v1/exposed", question, token)
    assert '"exposed":true' in answer
    assert "INC-" not in answer
    assert VICTIM.phone not in answer
    (daemon.log.parent / "metrics.txt").write_text(page(daemon, "/metrics"), encoding="utf-8")
    visible = [shown for pid in daemon.roles() if (shown := read_process(pid))]
    assert len(visible) >= 4, "crawl, match, alert and search"
    (daemon.log.parent / "processes.txt").write_bytes(b"\n".join(visible))
    assert daemon.stop() == 0
    daemon.drain()
    export(daemon)
    return 43 + len(hostile.lines()) + handed


def read_process(pid: int) -> bytes:
    """Return what every user of the machine sees of a process: its arguments and environment.

    It is empty for one that has ended meanwhile, as a check of the supervisor's does.
    """
    process = Path("/proc") / str(pid)
    try:
        return (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def export(daemon: Daemon) -> None:
    """Export what leaves the house: every format, and the draft of a report."""
    for form in exports.names():
        daemon.ask(
            "incidents", "export", "--format", form, "-o", str(daemon.log.parent / f"export.{form}")
        )
    incident = next(iter(daemon.incidents()))["id"]
    daemon.ask("report", incident, "-o", str(daemon.log.parent / "draft.md"))


def test_no_planted_value_is_in_any_written_byte(
    daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    posts = run_everything(daemon)
    incidents = list(daemon.incidents())
    assert {site for incident in incidents for site in incident["sites"]} == {
        "pastes",
        "forum",
        "other",
    }
    assert sum(len(incident["seen"]) for incident in incidents) == posts
    assert sweep.files([daemon.log.parent], PLANTED) == []
    assert sweep.secrets(daemon.data / "keys", [daemon.log.parent]) == []
    assert [hit for record in records(daemon) for hit in sweep.find(record, PLANTED)] == []
    answers = json.dumps(incidents, ensure_ascii=False).encode()
    assert list(sweep.find(answers, PLANTED)) == []
    assert dead_letters(daemon) == ["malformed"]
    assert receiver.received
    assert [hit for message in receiver.received for hit in sweep.find(message.body, PLANTED)] == []
    assert PASSWORD.encode() in open_evidence(daemon, tmp_path)


def open_evidence(daemon: Daemon, tmp_path: Path) -> bytes:
    """Return the evidence as two officers open it; it is in clear nowhere else."""
    vault = Vault(daemon.data / "evidence")
    keys = [private_key(tmp_path / f"{name}.pem", PASSPHRASES.__getitem__) for name in OFFICERS]
    return b"".join(
        open_sealed(vault.read_sealed(item), item.head.place, item.head.officers, keys)
        for item in vault.items()
    )


def dead_letters(daemon: Daemon) -> list[str]:
    """List the reason of each dead letter."""
    lines = daemon.ask("dead-letters", "--json").splitlines()
    return [json.loads(line)["reason"] for line in lines]


def records(daemon: Daemon) -> Iterator[bytes]:
    """Yield every record on the bus, read back through its client: value, key and headers."""
    bus = Context(daemon.data).bus()
    for topic in TOPICS:
        subscription = bus.subscribe(topic, "sweep")
        while batch := subscription.poll(100, 0.0):
            for record in batch:
                yield record.value + f"{record.key} {dict(record.headers)}".encode()
        subscription.close()


def test_sweep_fails_when_a_leak_is_switched_on(daemon: Daemon) -> None:
    ingest_hostile(daemon)
    process = subprocess.run(
        [sys.executable, "-c", LEAK, "--data", str(daemon.data), "match", "--once"],
        capture_output=True,
        env={**os.environ},
        check=False,
    )
    assert process.returncode == 0, process.stderr
    leaked = {value for _, value, _ in sweep.files([daemon.log.parent], PLANTED)}
    assert leaked >= LEAKED


@pytest.mark.parametrize("form", list(sweep.forms("欧阳靖宇 15400000001")))
def test_every_form_of_a_value_is_found_among_other_bytes(form: str) -> None:
    value = "欧阳靖宇 15400000001"
    assert (value, form) in set(sweep.find(b"x" * 7 + sweep.forms(value)[form] + b"y" * 7, [value]))


@pytest.mark.parametrize("form", sweep.forms_of_key(bytes(32)))
def test_every_form_of_a_key_is_found_among_other_bytes(form: str, tmp_path: Path) -> None:
    key = bytes(range(201, 233))
    (tmp_path / "keys" / "bank").mkdir(parents=True)
    (tmp_path / "keys" / "bank" / "match-1.key").write_bytes(key)
    (tmp_path / "run.log").write_bytes(b"x" * 7 + sweep.forms_of_key(key)[form] + b"y" * 7)
    hits = sweep.secrets(tmp_path / "keys", [tmp_path])
    assert (str(tmp_path / "run.log"), "bank/match-1.key", form) in hits
    assert {name for name, *_ in hits} == {str(tmp_path / "run.log")}
