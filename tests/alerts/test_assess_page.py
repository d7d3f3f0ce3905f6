"""A file dropped on the page: judged by match, shown, opened; and what goes wrong on the way."""

import asyncio
import contextlib
import csv
import io
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, Counter

from alerts.accounts import Principal
from alerts.records import Decision, Incident
from alerts.records.document import QueryError
from alerts.store import DocumentFilter
from alerts.web.dropped_files import (
    MOST,
    MOST_BYTES,
    MOST_FIELDS,
    SECONDS,
    AssessmentCache,
    DroppedFile,
    FileAssessment,
    Upload,
)
from alerts.web.static_files import find_static_path
from matcher.cli.assess_service import listening
from tests.alerts.browser import OURS, Browser
from tests.matcher.bank import command, customer, enrol
from tests.matcher.test_assess_service import assess
from ullage import audit
from ullage.runtime import assessing
from ullage.settings import Context

CUSTOMERS = [customer(n) for n in range(60)]
LEAK = "\n".join(
    [
        "姓名,手机,身份证",
        *(",".join((p["name"], p["phone"], p["resident_id"])) for p in CUSTOMERS[:50]),
    ]
).encode()
FIELDS = {"how": "colleague", "giver": "Wang, branch 12", "purpose": "incident_response"}
VERDICT = {"verdict": "nobody", "rows": 1, "not_read": [], "not_looked_for": [], "tenants": []}


@pytest.fixture
def context(data: Path) -> Context:
    """Return the context of the matching process, which uses the real clock."""
    return Context(data)


@pytest.fixture
def page(browser: Browser, context: Context) -> Browser:
    enrol(context, "bank", CUSTOMERS, "none")
    return browser


@pytest.fixture
def match(page: Browser, context: Context) -> Iterator[None]:
    """Run match's real service."""
    with listening(
        context,
        Counter("outcomes", "What became of files.", ["outcome"], registry=CollectorRegistry()),
    ):
        yield


@pytest.fixture(scope="module")
def real_answer(tmp_path_factory: pytest.TempPathFactory, fresh_data: Path) -> list[dict]:
    """Return the real matching service's answer about `LEAK`."""
    data = shutil.copytree(fresh_data, tmp_path_factory.mktemp("judged") / "data")
    enrol(Context(data), "bank", CUSTOMERS, "none")
    with listening(
        Context(data),
        Counter("outcomes", "What became of files.", ["outcome"], registry=CollectorRegistry()),
    ):
        return assess(data, LEAK, hold_bytes=2**26)


@pytest.fixture
def answers(
    page: Browser, context: Context, real_answer: list[dict]
) -> Callable[[int], contextlib.AbstractContextManager[None]]:
    """Return a stand-in for match that gives the real answer about `LEAK` so many times."""

    def answer(connection: socket.socket, file: io.BufferedReader) -> None:
        send_lines(connection, {"go": True})
        take(file)
        send_lines(connection, *real_answer)

    return lambda times: serve_scripts(context.data, *[answer] * times)


def drop(
    page: Browser,
    body: bytes = LEAK,
    name: str = "13800138000 名单.csv",
    path: str = "/assess",
    **fields: str,
):
    return page.ask(
        "POST", path, data={**FIELDS, **fields}, files={"file": (name, body)}, headers=OURS
    )


def entries(context: Context) -> list[tuple[str, str, str]]:
    return [
        (entry.action, entry.object, entry.reason)
        for _, entry in audit.read_entries(context.data / "audit")
        if "file" in entry.action
    ]


def test_dropped_file_gets_verdict_pseudonyms_and_incident(page, match, store, context):
    answer = drop(page)
    [(action, what, reason)] = entries(context)
    assert (action, what) == ("file.assess", f"{len(LEAK)} bytes, csv: exposed")
    assert reason == "incident_response; a colleague found it and sent it (Wang, branch 12)"
    written = b"".join(path.read_bytes() for path in context.data.rglob("*") if path.is_file())
    assert b"13800138000" not in written, "neither its name nor a value"
    assert (answer.status_code, answer.headers["location"].startswith("/assess/")) == (303, True)
    place = answer.headers["location"]
    shown = page.get(place).text
    for expected in (
        "This file contains customers",
        "<b>50 of 60 customers</b>",
        "13800138000 名单.csv",
        "Open as incident",
        "Wang",
    ):
        assert expected in shown
    handles = page.get(f"{place}/customers.csv")
    assert handles.headers["content-disposition"].startswith("attachment")
    assert len(list(csv.DictReader(io.StringIO(handles.text)))) == 50
    assert not [
        p
        for p in CUSTOMERS
        for kind in ("name", "phone", "resident_id")
        if p[kind] in shown + handles.text
    ]
    with folding(context):
        after = page.post(f"{place}/open", {"take": "customers"})
    assert (after.status_code, after.headers["location"]) == (
        303,
        f"{place}?take=customers#incidents",
    )
    download = f'content="0;url={place}/customers.csv"'
    assert [download in page.get(f"{place}{query}").text for query in ("?take=customers", "")] == [
        True,
        False,
    ]
    [incident] = store.scroll(Incident, DocumentFilter())
    assert incident.id in page.get(place).text
    [note] = store.scroll(Decision, DocumentFilter())
    assert (note.status, note.note) == (
        "note",
        "A file that was handed in: a colleague found it and sent it (Wang, branch 12)",
    )
    assert page.post(f"{place}/open").status_code == 303  # a second click opens nothing
    assert len([*store.scroll(Decision, DocumentFilter())]) == 1


def test_file_with_logins_only_is_not_said_to_contain_customers(data, browser, clock):
    (data / "ullage.toml").write_text(
        '[tenants.bank]\ndomains = ["bank.example"]\n', encoding="utf-8"
    )
    context = Context(data)
    enrol(context, "bank", CUSTOMERS, "none")
    with listening(
        context,
        Counter("outcomes", "What became of files.", ["outcome"], registry=CollectorRegistry()),
    ):
        answer = drop(browser, b"https://vpn.bank.example/login:user1:Secr3t!1\n", "logins.txt")
        shown = browser.get(answer.headers["location"]).text
    assert "This file contains no customers, but content about a tenant" in shown
    assert "0 of 60 customers" in shown
    assert "This file contains customers" not in shown


@contextlib.contextmanager
def folding(context: Context) -> Iterator[None]:
    """Alert runs meanwhile."""
    words = [sys.executable, "-m", "ullage", *command(context.data, "alert")]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as alert:
        try:
            yield
        finally:
            alert.terminate()


def test_dropped_file_can_open_an_incident_at_once(page, match, store, context):
    with folding(context):
        place = drop(page, open="1").headers["location"]
    [incident] = store.scroll(Incident, DocumentFilter())
    assert f"<b>{incident.id}</b>" in page.get(place).text


def test_customers_of_another_tenant_are_never_shown(page, match, context, log_in):
    enrol(context, "other", [customer(9000)])
    shown = (
        (other_lead := log_in("lead", tenants=["other"]))
        .get(place := drop(other_lead).headers["location"])
        .text
    )
    assert "This file contains no customers" in shown
    assert "bank" not in shown
    assert other_lead.get(f"{place}/customers.csv").text.count("\n") == 1
    assert page.get(place).status_code == 404, "a result is for whoever dropped the file"


def test_only_exporters_get_the_pseudonyms(page, answers, log_in):
    analyst = log_in("analyst")
    with answers(1):
        place = drop(analyst).headers["location"]
    assert (
        "customers.csv" not in analyst.get(place).text + analyst.get(f"{place}?take=customers").text
    )
    assert analyst.get(f"{place}/customers.csv").status_code == 403
    assert log_in("agent").get("/assess").status_code == 403


def test_unread_file_is_reported_and_not_cleared(page, match):
    shown = page.get(drop(page, b"", "empty.txt").headers["location"]).text
    assert "No verdict" in shown
    assert "empty, nothing to read" in shown
    assert "is in it." not in shown


REFUSED = [
    ({"how": ""}, "say who provided it and how it was obtained"),
    ({"how": "bought"}, "Criminal Law 253-1"),
    ({"giver": "13800138000"}, "seems to contain"),
    ({"giver": "x" * 201}, "at most 200 characters"),
    ({"purpose": "curiosity"}, "enter a purpose"),
]


@pytest.mark.parametrize(("fields", "said"), REFUSED, ids=lambda one: str(one)[:30])
def test_rejected_form_keeps_its_input_with_the_reason_at_its_field(page, fields, said):
    answer = drop(page, **fields)
    assert answer.status_code == 400
    assert said in answer.text
    assert re.search(rf'name="{next(iter(fields))}"[^>]*aria-invalid="true"', answer.text)
    assert ("Wang, branch 12" in answer.text) == ("giver" not in fields)
    assert "13800138000" not in answer.text


def test_form_without_a_file_is_rejected(page):
    answer = page.ask("POST", "/assess", data=FIELDS, files={"file": ("", b"")}, headers=OURS)
    assert (answer.status_code, "choose the file" in answer.text) == (400, True)


def test_page_says_that_nothing_was_examined_without_match(page, context):
    assert "match is not running" in page.get("/assess").text.lower()
    answer = drop(page)
    assert (answer.status_code, "was not processed" in answer.text) == (503, True)
    assert [what for _, what, _ in entries(context)] == ["0 bytes, csv: no verdict"]


def test_page_answers_within_three_seconds_while_match_is_stopped(page, context):
    with socket.socket(socket.AF_UNIX) as listener, assessing.address(context.data) as address:
        listener.bind(address)
        listener.listen()
        for ask in (lambda: page.get("/assess"), lambda: drop(page)):
            began = time.monotonic()
            answer = ask()
            assert time.monotonic() - began < 3
            assert "match does not respond" in answer.text.lower()
        assert answer.status_code == 503


@contextlib.contextmanager
def serve_scripts(
    data: Path, *scripts: Callable[[socket.socket, io.BufferedReader], None]
) -> Iterator[None]:
    """Run a stand-in for match that follows one script per connection."""
    with socket.socket(socket.AF_UNIX) as listener, assessing.address(data) as address:
        listener.bind(address)
        listener.listen()

        def serve() -> None:
            for script in scripts:
                connection, _ = listener.accept()
                with connection, connection.makefile("rb") as file:
                    assessing.frame(file.raw)
                    script(connection, file)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            thread.join()


def send_lines(connection: socket.socket, *lines: dict) -> None:
    connection.sendall("".join(f"{json.dumps(line)}\n" for line in lines).encode())


def take(file: io.BufferedReader) -> bytes:
    return b"".join(assessing.frames(file.raw))


def test_match_that_dies_midway_gives_no_verdict(page, context):
    def dying(connection, file):
        send_lines(connection, {"go": True})
        take(file)
        connection.sendall(b'{"verdict": {"verd')

    with serve_scripts(context.data, dying):
        answer = drop(page)
    assert (answer.status_code, "so there is no verdict" in answer.text) == (503, True)


def test_match_that_dies_during_upload_gives_no_verdict(page, context):
    with serve_scripts(context.data, lambda connection, _: send_lines(connection, {"go": True})):
        answer = drop(page, LEAK * 500)
    assert (answer.status_code, "so there is no verdict" in answer.text) == (503, True)


def test_rejection_by_match_is_shown_verbatim(page, context):
    def refusing(connection, file):
        send_lines(connection, {"go": True})
        take(file)
        send_lines(connection, {"error": "no watchlist"})

    with serve_scripts(context.data, refusing):
        answer = drop(page)
    assert (answer.status_code, "no verdict: no watchlist" in answer.text) == (503, True)


def test_full_queue_names_a_time_to_retry(page, context):
    with serve_scripts(
        context.data,
        lambda connection, _: send_lines(connection, {"busy": {"waiting": 8, "retry_after": 20}}),
    ):
        answer = drop(page)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "20")
    assert "8 are ahead of this one" in answer.text


def test_queued_upload_starts_when_its_turn_comes(page, context):
    def later(connection, file):
        send_lines(connection, {"place": 2}, {"place": 1}, {"go": True})
        assert take(file) == LEAK
        send_lines(
            connection,
            {"read": 5},
            {"verdict": VERDICT},
            {"customers": "handle\r\n"},
            {"done": True},
        )

    with serve_scripts(
        context.data, lambda connection, _: send_lines(connection, {"waiting": 2}), later
    ):
        assert "2 are ahead of yours" in page.get("/assess").text
        assert "This file contains no customers" in page.get(drop(page).headers["location"]).text


def test_too_large_file_is_rejected_before_upload(page):
    headers = {
        **OURS,
        "content-length": str(2 * 2**30),
        "content-type": "multipart/form-data; boundary=b",
    }
    assert page.ask("POST", "/assess", content=b"", headers=headers).status_code == 413


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {}], ids=str
)
def test_cross_site_form_is_rejected(page, headers):
    assert (
        page.ask(
            "POST", "/assess", data=FIELDS, files={"file": ("a", b"b")}, headers=headers
        ).status_code
        == 403
    )


def test_upload_requires_a_login(page, context):
    page.cookies = {}
    assert drop(page).status_code == 401
    assert entries(context) == []


def parts(*fields: tuple[str, bytes]) -> bytes:
    """Return a form body; a name with a semicolon is inserted unchanged."""
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%s\r\n\r\n%s\r\n' % (n.encode(), v)
        for n, v in fields
    )
    return body + b"--b--\r\n"


FORM = parts(('how"', b"public"), ('file"; filename="a.txt"', b"first --b of\r\nthe file\r\n-"))


def upload(*chunks: bytes, kind: str = "multipart/form-data; boundary=b") -> Upload:
    async def stream():
        for chunk in chunks:
            yield chunk
        yield b""

    return Upload(SimpleNamespace(headers={"content-type": kind}, stream=stream), "file")


async def read(form: Upload) -> tuple[dict, bytes]:
    return await form.fields(), b"".join([chunk async for chunk in form.chunks()])


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_form_parsing_does_not_depend_on_chunk_boundaries(size):
    form = upload(*(FORM[n : n + size] for n in range(0, len(FORM), size)))
    assert asyncio.run(read(form)) == ({"how": "public"}, b"first --b of\r\nthe file\r\n-")
    assert form.name == "a.txt"


def test_file_is_passed_on_while_it_uploads():
    async def first() -> tuple[bytes, bool]:
        cut = FORM.index(b"first") + 5
        form = upload(FORM[:cut], FORM[cut:])
        await form.fields()
        return await anext(form.chunks()), form.taken.is_set()

    assert asyncio.run(first()) == (b"first", False)


BROKEN = {
    "no form": (b"how=public", "application/x-www-form-urlencoded"),
    "no boundary": (FORM, "multipart/form-data"),
    "another boundary": (FORM, "multipart/form-data; boundary=c"),
    "no end": (FORM[:-10], "multipart/form-data; boundary=b"),
    "a field after the file": (
        parts(('file"', b"1"), ('how"', b"2")),
        "multipart/form-data; boundary=b",
    ),
    "a field twice": (
        parts(('how"', b"1"), ('how"', b"2"), ('file"', b"3")),
        "multipart/form-data; boundary=b",
    ),
    "an overlong field": (
        parts(('how"', b"1" * MOST_FIELDS), ('file"', b"3")),
        "multipart/form-data; boundary=b",
    ),
    "invalid text": (parts(('how"', b"\xff"), ('file"', b"3")), "multipart/form-data; boundary=b"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_malformed_form_is_rejected(what):
    body, kind = BROKEN[what]
    with pytest.raises(QueryError):
        asyncio.run(read(upload(body, kind=kind)))


def make_dropped_file() -> DroppedFile:
    return DroppedFile("a", "public", "", FileAssessment())


def test_results_are_kept_half_an_hour_for_their_owner(clock):
    cache, me, stranger = (
        AssessmentCache(clock.as_clock()),
        Principal("Li", session="1"),
        Principal("Wu", session="2"),
    )
    name = cache.keep(result := make_dropped_file(), me)
    assert (cache.get(name, me), cache.get(name, stranger), cache.get("x", me)) == (
        result,
        None,
        None,
    )
    clock.advance(SECONDS + 1)
    assert cache.get(name, me) is None


def test_number_of_kept_results_is_limited(clock):
    cache, me = AssessmentCache(clock.as_clock()), Principal("Li", session="1")
    names = [cache.keep(make_dropped_file(), me) for _ in range(MOST + 1)]
    assert [cache.get(name, me) is None for name in names] == [True] + [False] * MOST


# A program with a token.


@pytest.fixture
def token(accounts) -> str:
    return accounts.add_token(
        "soar", ["file.assess", "customers.export"], ["*"], purpose="files", days=1, by="test"
    )[1]


def drop_as_program(page: Browser, token: str, query: str = "", body: bytes = LEAK, **fields: str):
    headers = {"authorization": f"Bearer {token}"}
    program = Browser(page.app)
    return program.ask(
        "POST",
        f"/v1/assess{query}",
        data={**FIELDS, **fields},
        files={"file": ("x.csv", body)},
        headers=headers,
    )


def test_program_gets_the_verdict_of_the_page(page, answers, token, context) -> None:
    with answers(3):
        answer = drop_as_program(page, token)
        name = drop(page, name="x.csv").headers["location"].rpartition("/")[2]
        with_customers = drop_as_program(page, token, "?customers=true").json()["customers"]
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"verdict", "opened"}
    app = page.app
    while not hasattr(app, "state"):
        app = app._app
    (result,) = [entry.dropped for key, entry in app.state.site.held._kept.items() if key == name]
    assert body["verdict"] == json.loads(json.dumps(result.judged.verdict))
    assert len(with_customers) == 50
    assert CUSTOMERS[0]["phone"] not in json.dumps(with_customers)
    actions = [
        (entry.action, entry.actor) for _, entry in audit.read_entries(context.data / "audit")
    ]
    assert [entry for entry in actions if entry[1] == "soar"] == [
        ("file.assess", "soar"), ("file.assess", "soar"), ("customers.export", "soar"),
    ]  # fmt: skip


def test_program_is_rejected_like_a_person(page, token, accounts) -> None:
    answer = drop_as_program(page, token, how="bought")
    assert (answer.status_code, "offence" in answer.json()["detail"]) == (400, True)
    answer = drop_as_program(page, token)
    assert (answer.status_code, "match is not running" in answer.json()["detail"]) == (503, True)
    narrow = accounts.add_token("siem", ["file.assess"], ["*"], purpose="files", days=1, by="test")[
        1
    ]
    assert drop_as_program(page, narrow, "?customers=true").status_code == 403
    other_token = accounts.add_token(
        "crm", ["person.check"], ["*"], purpose="asks", days=1, by="test"
    )[1]
    assert drop_as_program(page, other_token).status_code == 403
    assert drop_as_program(page, "no token").status_code == 401


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic cHJveHk6cHJveHk="}])
def test_cross_site_form_cannot_use_the_api_with_a_session(page, headers) -> None:
    """Nor where a browser adds the login of a proxy before the desk by itself."""
    assert (
        page.ask(
            "POST", "/v1/assess", data=FIELDS, files={"file": ("x.csv", LEAK)}, headers=headers
        ).status_code
        == 403
    )


def test_results_of_one_tenant_do_not_evict_those_of_another(clock) -> None:
    cache = AssessmentCache(clock.as_clock(), tenants=2)
    ours, theirs = (
        Principal.person(f"lead of {name}", ["lead"], [name]) for name in ("bank", "shop")
    )
    mine = cache.keep(DroppedFile("a.txt", "colleague", "", FileAssessment()), ours)
    large = DroppedFile("b.txt", "colleague", "", FileAssessment(customers="x" * (MOST_BYTES // 4)))
    names = [cache.keep(large, theirs) for _ in range(3 * MOST)]
    assert cache.get(mine, ours) is not None
    assert [cache.get(name, theirs) is not None for name in names[-2:]] == [False, True], (
        "half of the memory is theirs"
    )
    assert cache.get(names[-1], ours) is None


def test_only_the_upload_page_may_send_by_script(page: Browser) -> None:
    allowed = {
        path: "connect-src 'self'" in page.get(path).headers["content-security-policy"]
        for path in ("/assess", "/", "/exposed")
    }
    assert allowed == {"/assess": True, "/": False, "/exposed": False}
    assert f'<script src="{find_static_path("upload.js")}" defer>' in page.get("/assess").text
