"""The jobs of a shift in a real Chromium: how many actions each takes, in both languages, by
mouse and by keyboard alone.
"""

import contextlib
import csv
import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerts.accounts.accounts import Accounts
from alerts.records import Incident, ShiftHandover, incident_id
from alerts.store import DocumentFilter
from deploy.local.server import free_ports
from harness.live.console.desk import CHROMIUM, SECOND, Desk, assessing_desk, desk
from tests.alerts.browser import PHONE, add_account
from tests.alerts.builders import finding, fold_all
from tests.alerts.test_person import leak
from tests.flow.test_getting_started import PORTS
from tests.matcher.bank import customer
from tests.ullage.custody.support import BODY, PASSPHRASES, officers, seal
from ullage import audit
from ullage.custody.vault import Vault
from ullage.security import keys
from ullage.security.signing import TOPIC, verify_report

pytest.importorskip(
    "playwright.sync_api", reason="pip install playwright; its browser is Debian's chromium"
)
from harness.live.console.hand import Hand, log_in_beside, log_in_page

ROOT = Path(__file__).parents[3]
CUSTOMERS = [customer(n) for n in range(400)]
NEWCOMER_SECONDS = 600
CALL_SECONDS = 15
APPROVE, OPEN = "form[action$='/evidence/approve']", "form[action$='/evidence.tar']"
FIRST_PASSWORD = re.compile(r"with the password (\S+),")
NEW_PASSWORD = "another sentence of many words"
READMES = {"en": "README.md", "zh": "README.zh.md"}
OWN_HEADERS = {
    "en": "Customer No.,Full Name,Mobile,ID Number,Branch",
    "zh": "会员号,客户姓名,联系电话,证件号码,开户网点",
}
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])
HANDS = pytest.mark.parametrize("keys_alone", [False, True], ids=["mouse", "keyboard"])
pytestmark = [pytest.mark.live, pytest.mark.skipif(CHROMIUM is None, reason="Debian: chromium")]


def rows(people: list[dict[str, str]]) -> str:
    return "\n".join(
        f"{person['name']}----{person['phone']}----{person['resident_id']}" for person in people
    )


@pytest.fixture(scope="module")
def assessing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with assessing_desk(tmp_path_factory.mktemp("desk") / "data", CUSTOMERS) as console:
        yield console


@LANGUAGES
@HANDS
def test_file_is_assessed_in_three_actions_and_handled_in_four(
    assessing: Desk, tmp_path: Path, language: str, keys_alone: bool
) -> None:
    (file := tmp_path / "leak.txt").write_text(rows(CUSTOMERS[:70]), "utf-8")
    with log_in_page(assessing.url, assessing.name, assessing.password, language) as page:
        hand, since = Hand(page, keys_alone=keys_alone), time.monotonic()
        hand.press("nav.menu a[href='/assess']")
        hand.choose("select[name=how]", "colleague")
        hand.give("input[name=file]", file)
        page.wait_for_selector("article.judged")
        assert hand.actions <= 3
        handles = hand.take("button[name=take]").read_text("utf-8")
        hand.count("file", since)
        shown = page.inner_text("#incidents")
        assert page.faults == []
    assert len(list(csv.DictReader(io.StringIO(handles)))) == 70
    assert any(
        incident.id in shown for incident in assessing.store.scroll(Incident, DocumentFilter())
    )
    assert hand.actions <= 4


@LANGUAGES
@HANDS
def test_coverage_of_last_night_is_shown_in_one_action(
    tmp_path: Path, language: str, keys_alone: bool
) -> None:
    with (
        desk(tmp_path / "data", incidents=20) as console,
        log_in_page(console.url, console.name, console.password, language) as page,
    ):
        hand, since = Hand(page, keys_alone=keys_alone), time.monotonic()
        hand.press("main a[href='/coverage/sheet']")
        hand.count("night", since)
        assert "SHA-256" in page.inner_text("footer")
        saved = page.context.request.get(page.url).text()
        assert verify_report(saved, keys.load_verifier(console.context.keys, TOPIC))
        assert page.faults == []
    assert hand.actions <= 1


@LANGUAGES
@HANDS
def test_caller_is_answered_in_three_actions(
    tmp_path: Path, language: str, keys_alone: bool
) -> None:
    """The clerk takes calls alone, so logging in leads to the form, as does each answer."""
    with desk(tmp_path / "data", incidents=5, nights=False) as console:
        leak(console.store, console.clock, console.context, "call")
        add_people(console, "Chen Agent", role="agent")
        with log_in_page(console.url, "Chen Agent", console.password, language) as page:
            hand, since = Hand(page, keys_alone=keys_alone), time.monotonic()
            hand.fill("input[name=value]", PHONE)
            hand.fill("input[name=case]", "C-2026-7")
            hand.press("main form button")
            seconds = hand.count("caller", since)
            script, recorded = page.inner_text("blockquote.script"), page.inner_text("#recorded")
            assert page.locator(".result.found").is_visible(), "whether they are affected"
            assert page.locator("input[name=value]").is_visible(), "for the next caller"
            assert page.faults == []
        noted = [
            entry.reason
            for _, entry in audit.read_entries(console.context.data / "audit")
            if entry.action == "lookup"
        ]
    assert "96110" in script, "what is read to the caller"
    assert bool(re.search("[\u4e00-\u9fff]{10}", script)) == (language == "zh")
    assert "C-2026-7" in recorded
    assert noted == ["customer_enquiry, case C-2026-7"]
    assert hand.actions <= 3
    assert seconds <= CALL_SECONDS


@LANGUAGES
@HANDS
def test_handover_is_written_and_accepted_in_three_actions(
    tmp_path: Path, language: str, keys_alone: bool
) -> None:
    """One other person may take over, and no note is written: it is one action more."""
    with desk(tmp_path / "data", incidents=5, nights=False) as console:
        with log_in_page(console.url, console.name, console.password, language) as page:
            hand, since = Hand(page, keys_alone=keys_alone), time.monotonic()
            hand.press("nav.menu a[href='/handover']")
            hand.press("#write button")
            actions, faults = hand.actions, page.faults
        with log_in_page(console.url, SECOND, console.password, language) as page:
            hand = Hand(page, keys_alone=keys_alone)
            hand.press("#waiting button")
            hand.count("handover", since)
            actions, faults = actions + hand.actions, faults + page.faults
        accepted = [
            handover
            for handover in console.store.scroll(ShiftHandover, DocumentFilter())
            if handover.accepts
        ]
    assert [(handover.by, handover.receiver) for handover in accepted] == [(console.name, SECOND)]
    assert faults == []
    assert actions <= 3


@LANGUAGES
@HANDS
def test_encrypted_post_is_opened_by_two_people_in_six_actions(
    tmp_path: Path, language: str, keys_alone: bool
) -> None:
    """Both have followed a link to the incident; the first keeps the page while they wait."""
    with desk(tmp_path / "data", incidents=5, nights=False) as console:
        fold_all(console.store, console.clock, [finding("f1d0", range(500, 540), people="ab")])
        pair = officers(tmp_path, console.context.keys)
        seal(Vault(console.context.data / "evidence"), pair, "f1d0")
        add_people(console, "Li Officer", "Wang Officer", role="evidence")
        place = f"{console.url}/incidents/{incident_id('f1d0')}"
        with log_in_page(console.url, "Li Officer", console.password, language) as first:
            second = log_in_beside(
                first.context.browser, console.url, "Wang Officer", console.password, language
            )
            hands = [Hand(page, keys_alone=keys_alone) for page in (first, second)]
            li, wang = hands
            first.goto(place)
            since = time.monotonic()
            li.press("nav.parts a[href='#seen']", leaves=False)
            li.press("form[action$='/evidence'] button")
            second.goto(place)
            wang.fill(f"{APPROVE} input[name=passphrase]", PASSPHRASES["wang.pem"])
            with second.expect_navigation():
                wang.give(f"{APPROVE} input[name=key]", tmp_path / "wang.pem")
            li.fill(f"{OPEN} input[name=passphrase]", PASSPHRASES["li.pem"])
            with first.expect_download() as coming:
                li.give(f"{OPEN} input[name=key]", tmp_path / "li.pem")
            for hand in hands:
                hand.count("encrypted post", since)
            with tarfile.open(coming.value.path()) as tar:
                body = tar.extractfile("f1d0/body")
                assert body is not None
                assert body.read() == BODY
            assert first.faults == second.faults == []
    assert sum(hand.actions for hand in hands) <= 6


def add_people(console: Desk, *names: str, role: str) -> None:
    """Add people with the password of the first and one role."""
    with contextlib.closing(Accounts(console.context.data, console.context.clock)) as accounts:
        for name in names:
            add_account(accounts, name, [role])


def commands(readme: str, data: Path, *words: str) -> list[list[str]]:
    """Return the commands of a README that begin with one of these `words` after the folder.

    The folder becomes `data`.
    """
    lines = (ROOT / readme).read_text("utf-8").splitlines()
    command_lines = [
        line.partition("#")[0].split() for line in lines if line.startswith("ullage --data DIR ")
    ]
    return [
        ["ullage", "--data", str(data), *words_[3:]]
        for word in words
        for words_ in command_lines
        if words_[3] == word
    ][: len(words)]


def load(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Load the list; where a column is not known, with the command that is proposed."""
    result = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if result.returncode:
        proposed = re.search(r"use: (ullage .*)$", result.stderr, re.MULTILINE)
        assert proposed, result.stderr
        subprocess.run(
            ["sh", "-c", proposed[1]], cwd=folder, env=environment, check=True, capture_output=True
        )


@LANGUAGES
def test_newcomer_sees_the_first_incident_with_the_readme(tmp_path: Path, language: str) -> None:
    values = [
        ",".join(
            (
                customer_["customer_ref"],
                customer_["name"],
                customer_["phone"],
                customer_["resident_id"],
                "12",
            )
        )
        for customer_ in CUSTOMERS
    ]
    (tmp_path / "customers.csv").write_text("\n".join([OWN_HEADERS[language], *values]), "utf-8")
    (file := tmp_path / "leak.txt").write_text(rows(CUSTOMERS[:70]), "utf-8")
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    environment = {**os.environ, **{f"ULLAGE_{name}": port for name, port in ports.items()}}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    init, loading, running = commands(
        READMES[language], tmp_path / "data", "init", "watchlist", "run"
    )
    since = time.monotonic()
    subprocess.run(init, env=environment, check=True, capture_output=True)
    load(loading, tmp_path, environment)
    with subprocess.Popen(running, env=environment, stderr=subprocess.PIPE, text=True) as run:
        try:
            assert run.stderr is not None
            password = next(
                match[1] for line in run.stderr if (match := FIRST_PASSWORD.search(line))
            )
            # else it waits for somebody who reads
            threading.Thread(target=run.stderr.read, daemon=True).start()
            first_incident(f"http://127.0.0.1:{ports['SEARCH__PORT']}", password, language, file)
        finally:
            run.send_signal(signal.SIGINT)
    seconds = time.monotonic() - since
    sys.stderr.write(f"first incident: {seconds:.1f} s\n")
    assert seconds <= NEWCOMER_SECONDS


def first_incident(url: str, password: str, language: str, file: Path) -> None:
    """Log in for the first time, and make an incident of a file."""
    with log_in_page(url, "admin", password, language) as page:
        hand = Hand(page, keys_alone=False)
        hand.fill("input[name=old]", password)
        hand.fill("input[name=new]", NEW_PASSWORD)
        hand.fill("input[name=again]", NEW_PASSWORD)
        hand.press("main form button")
        page.goto(url)
        hand.press("main a[href='/assess']")
        hand.choose("select[name=how]", "colleague")
        hand.give("input[name=file]", file)
        hand.press("form[action$='/open'] button.second")
        hand.press("#incidents a[href^='/incidents/']")
        assert page.locator("section.next").is_visible(), "what is to be done next"
