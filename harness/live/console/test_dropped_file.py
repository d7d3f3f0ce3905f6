"""A file dropped in a real Chromium: judged once the form is filled in, whatever the file is
called and however large it is.
"""

import csv
import io
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from alerts.records import Incident
from alerts.store import DocumentFilter
from harness.live.console.desk import CHROMIUM, Desk, assessing_desk
from tests.matcher.bank import customer, phone, resident_id

pytest.importorskip("playwright.sync_api", reason="pip install playwright")
from harness.live.console.hand import log_in_page

NAME = "<img src=x onerror=alert(1)> 13800138000 名单.csv"
MEGABYTES = 100
CUSTOMERS = [customer(n) for n in range(2_000)]
pytestmark = [pytest.mark.live, pytest.mark.skipif(CHROMIUM is None, reason="Debian: chromium")]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with assessing_desk(tmp_path_factory.mktemp("desk") / "data", CUSTOMERS) as console:
        yield console


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of strangers, with a customer in each fifty."""
    chance, path = random.Random(5), tmp_path_factory.mktemp("file") / NAME.replace("/", "")
    rows = ["姓名,手机号,身份证,借款金额"]
    for number in range(50_000):
        person = chance.choice(CUSTOMERS)
        who = (person["name"], person["phone"], person["resident_id"])
        stranger = (
            "赵某",
            phone(chance.randrange(10**6, 10**8)),
            resident_id(chance.randrange(10**5, 10**6)),
        )
        rows.append(
            ",".join((*(stranger if number % 50 else who), f"{chance.randrange(1, 90)}000"))
        )
    block = "\n".join(rows).encode() + b"\n"
    with path.open("wb") as written:
        while written.tell() < MEGABYTES * 10**6:
            written.write(block)
    return path


@pytest.fixture
def page(opened: Desk) -> Iterator[Any]:
    with log_in_page(opened.url, opened.name, opened.password) as page:
        page.set_default_timeout(240_000)
        page.said = []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("dialog", lambda dialog: page.said.append(dialog.message) or dialog.dismiss())
        yield page


def test_large_file_with_any_name_is_assessed_and_opened(
    page: Any, opened: Desk, file: Path, record_property: Callable[[str, object], None]
) -> None:
    page.goto(f"{opened.url}/assess")
    since = time.monotonic()
    page.select_option("select[name=how]", "colleague")
    page.check("input[name=open]")
    page.set_input_files("input[name=file]", file)
    page.wait_for_selector("h1:has-text('This file contains customers')")
    [incident] = opened.store.scroll(Incident, DocumentFilter())
    assert incident.id in page.inner_text("#incidents")
    with page.expect_download() as download:
        page.click("a[download]")
    seconds = time.monotonic() - since
    handles = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8"))))
    assert len({row["handle"] for row in handles}) == len(handles) > 500
    assert page.inner_text("main").count(NAME.replace("/", "")) == 1
    assert page.said == []
    record_property("seconds", round(seconds, 1))
    sys.stderr.write(f"{MEGABYTES} MB: {seconds:.1f} s\n")


def test_verdict_is_shown_before_the_file_is_opened(
    page: Any, opened: Desk, tmp_path: Path
) -> None:
    small = tmp_path / "small.csv"
    small.write_text(
        "\n".join(
            f"{customer_['name']},{customer_['phone']},{customer_['resident_id']}"
            for customer_ in CUSTOMERS[:70]
        ),
        "utf-8",
    )
    page.goto(f"{opened.url}/assess")
    page.set_input_files("input[name=file]", small)
    page.select_option("select[name=how]", "customer")
    page.click("button:text-is('Assess')")
    page.wait_for_selector("h1:has-text('This file contains customers')")
    page.click("button:text-is('Open as incident')")
    page.wait_for_selector("#incidents a[href^='/incidents/']")
    assert page.said == []


def test_bought_file_is_rejected_at_its_field_and_keeps_other_input(
    page: Any, opened: Desk, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("1")
    page.goto(f"{opened.url}/assess")
    page.fill("input[name=giver]", "Wang")
    page.select_option("select[name=how]", "bought")
    page.set_input_files("input[name=file]", tmp_path / "a.txt")
    page.wait_for_selector("#how-fault")
    assert page.input_value("input[name=giver]") == "Wang"


DROPPED = """sizes => {
    const data = new DataTransfer();
    const file = (size, at) => new File(["手机号\\n", "x".repeat(size)], `${at}.txt`);
    sizes.forEach((size, at) => data.items.add(file(size, at)));
    return data;
}"""
NOTED = """() => {
    const shown = document.querySelector("#progress");
    const note = () => (sessionStorage.said = `${sessionStorage.said ?? ""}|${shown.innerText}`);
    new MutationObserver(note).observe(shown, {subtree: true, childList: true});
}"""
"""Everything that is said of the upload, noted where the next page finds it."""


def drop(page: Any, *sizes: int) -> None:
    """Drop files of these sizes in bytes on the form, as from a file manager's window."""
    page.dispatch_event(
        "form.ask", "drop", {"dataTransfer": page.evaluate_handle(DROPPED, list(sizes))}
    )


def test_file_dropped_on_a_completed_form_starts_at_once(page: Any, opened: Desk) -> None:
    page.goto(f"{opened.url}/assess")
    page.select_option("select[name=how]", "colleague")
    drop(page, 1)
    page.wait_for_url("**/assess/*")
    assert page.said == []


def test_dropped_file_shows_its_upload_progress(page: Any, opened: Desk) -> None:
    page.goto(f"{opened.url}/assess")
    drop(page, 30 << 20)
    assert page.evaluate("document.querySelector('input[name=file]').files[0].name") == "0.txt"
    page.select_option("select[name=how]", "colleague")
    page.evaluate(NOTED)
    page.click("button:text-is('Assess')")
    page.wait_for_url("**/assess/*")
    progress = page.evaluate("sessionStorage.said")
    assert progress.startswith("|0.0 MiB / 30 MiB")
    assert "Uploaded; the file is being assessed." in progress
    assert page.said == []


def test_invalid_drop_is_rejected_at_once(page: Any, opened: Desk) -> None:
    page.goto(f"{opened.url}/assess")
    drop(page, 1, 1)
    assert "Drop one file at a time." in page.inner_text("#progress")
    page.evaluate("document.querySelector('form.ask').dataset.most = 100")
    drop(page, 101)
    assert "The file is larger than 1 GiB." in page.inner_text("#progress")
    assert page.evaluate("document.querySelector('input[name=file]').files.length") == 0


def test_rejection_keeps_the_chosen_file(page: Any, opened: Desk, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("手机号\n13800138000\n", "utf-8")
    page.goto(f"{opened.url}/assess")
    page.set_input_files("input[name=file]", tmp_path / "a.txt")
    page.select_option("select[name=how]", "bought")
    page.click("button:text-is('Assess')")
    page.wait_for_selector("#how-fault")
    assert page.evaluate("document.querySelector('input[name=file]').files[0].name") == "a.txt"
    page.select_option("select[name=how]", "colleague")
    page.click("button:text-is('Assess')")
    page.wait_for_url("**/assess/*")
