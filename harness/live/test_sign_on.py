"""Logging in by a real identity provider (npm's oidc-provider), through the real login page in a
real Chromium.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.server import free_ports
from harness.live.console.desk import CHROMIUM, SWITCHES, Desk, desk
from ullage import audit

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
NODE, NPM = (shutil.which(program) or "" for program in ("node", "npm"))
PROVIDER = "oidc-provider@9.13.3"
SECRET = "a secret between desk and provider: 48 characters"
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not (CHROMIUM and NODE and NPM), reason="Debian: chromium, nodejs, npm"),
]
CONFIGURED = """
[search.oidc]
issuer = "http://127.0.0.1:{port}"
client_id = "desk"

[search.oidc.grants.fraud]
value = "fraud-desk"
roles = ["fraud"]
tenants = ["bank"]

[tenants.bank]
"""


@pytest.fixture(scope="module")
def provider_folder() -> Path:
    """Return the provider with its packages, which the next run uses again."""
    folder = Path(__file__).parents[2] / ".demo" / PROVIDER
    if not (folder / "node_modules" / "oidc-provider").exists():
        folder.mkdir(parents=True, exist_ok=True)
        quiet = "--silent --no-audit --no-fund --ignore-scripts --no-save".split()
        subprocess.run([NPM, "install", *quiet, PROVIDER], cwd=folder, check=True)
    shutil.copy(Path(__file__).with_name("provider.mjs"), folder / "provider.mjs")
    return folder


@pytest.fixture(scope="module")
def opened(
    provider_folder: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Desk, list[subprocess.Popen[str]]]]:
    """Yield the console, and the provider's process in a list so that a test can end it."""
    data = tmp_path_factory.mktemp("sign-on") / "data"
    (port,) = free_ports(1)

    def configure() -> None:
        (data / "ullage.toml").write_text(CONFIGURED.format(port=port), encoding="utf-8")
        secret = data / "keys" / "oidc.secret"
        secret.write_text(SECRET, encoding="utf-8")
        secret.chmod(0o600)

    with desk(data, incidents=3, nights=False, configure=configure) as console:
        words = [NODE, "provider.mjs", str(port), console.url, SECRET]
        process = subprocess.Popen(
            words, cwd=provider_folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout is not None
        while "ready" not in (line := process.stdout.readline()):
            assert line, "the provider ended"
        yield console, [process]
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def page(opened: Any) -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        context = browser.new_context(locale="en")
        new_page = context.new_page()
        new_page.wrong = []
        new_page.on(
            "console",
            lambda said: (
                new_page.wrong.append(said.text) if "Content Security Policy" in said.text else None
            ),
        )
        yield new_page
        assert new_page.wrong == []
        browser.close()


def log_in_by_provider(page: Any, made: Desk, place: str, login: str) -> None:
    made.clock.seconds = time.time()  # the provider's tokens are of now
    page.goto(f"{made.url}{place}")
    page.get_by_role("link", name="Log in with single sign-on").click()
    page.get_by_placeholder("Enter any login").fill(login)
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def list_audited(console: Desk, action: str) -> list[str]:
    return [
        entry.object
        for _, entry in audit.read_entries(console.context.data / "audit")
        if entry.action == action
    ]


def test_fraud_analyst_logs_in_and_out_through_the_provider(opened: Any, page: Any) -> None:
    console, _ = opened
    log_in_by_provider(page, console, "/exposed", "fraud.wang")
    page.wait_for_url(f"{console.url}/exposed")
    assert page.get_by_role("heading", level=1).inner_text()
    assert page.locator(".who").inner_text() == "fraud.wang@bank"  # whose groups are of one tenant
    assert list_audited(console, "account.add") == [
        "account fraud.wang@bank: fraud of bank; by its groups"
    ]
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("link", name="Log out there as well").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    page.wait_for_url(f"{console.url}/login*")
    page.goto(console.url)
    page.get_by_role("link", name="Log in with single sign-on").click()
    assert page.get_by_placeholder("Enter any login").is_visible(), "the provider asks again"


def test_user_without_a_group_has_no_account_and_sees_the_subject(opened: Any, page: Any) -> None:
    console, _ = opened
    log_in_by_provider(page, console, "/", "somebody")
    page.wait_for_url(f"{console.url}/login/back*")
    assert "your subject: somebody" in page.get_by_role("alert").inner_text()
    assert (
        "identity provider: somebody without an account: no group that grants anything here"
        in list_audited(console, "account.refused")
    )


def test_user_who_cancels_at_the_provider_returns_to_the_login(opened: Any, page: Any) -> None:
    console, _ = opened
    page.goto(console.url)
    page.get_by_role("link", name="Log in with single sign-on").click()
    page.get_by_role("link", name="[ Cancel ]").click()
    page.wait_for_url(f"{console.url}/login/back*")
    assert "did not log you in" in page.get_by_role("alert").inner_text()


def test_password_login_works_while_the_provider_is_down(opened: Any, page: Any) -> None:
    console, (process,) = opened
    page.goto(console.url)
    process.kill()
    process.wait()
    console.clock.advance(3601)  # what was discovered is not believed for ever
    page.get_by_role("link", name="Log in with single sign-on").click()
    assert "cannot be reached" in page.get_by_role("alert").inner_text()
    page.get_by_label("Name").fill(console.name)
    page.get_by_label("Password").fill(console.password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{console.url}/")
