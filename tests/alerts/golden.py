"""What the stages after matching leave, as digests that any rebuilding must reproduce:
`golden.json`, held by `test_golden`.

A month of leaks in small and the posts of the demo are matched and signed, the alert service takes
them a few days at a time, and people work on what comes of them. Frozen are then every document of
the store, each message by kind of channel, exports, drafts and letters, pages in both languages,
and what programs are answered. Each is frozen twice: as `facts`, its numbers, identifiers, words of
closed lists, links and names of fields, and as `wording`, every word; who changes sentences alone
sees `wording` alone move. The entries `findings` are what all of it begins with: where they move,
it is matching that changed.

`python -m tests.alerts.golden` freezes anew, for a change of behaviour that is meant; `python -m
tests.alerts.golden FOLDER` writes the texts themselves there, to compare those of two commits.
"""

from __future__ import annotations

import html
import io
import json
import random
import re
import sys
import tempfile
import threading
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

from prometheus_client import CollectorRegistry

from alerts.accounts.accounts import Accounts
from alerts.cases.evidence import Holds
from alerts.cases.exports import names as formats
from alerts.notify import MOST_BYTES, Message
from alerts.notify.channels import load_kinds as kinds_of_channel
from alerts.notify.channels.robots import MOST_TEXT_BYTES as MOST_OF_ROBOTS
from alerts.records import CLASSES, Incident
from alerts.service.process import run_alert
from alerts.store import DocumentFilter, open_configured_store
from alerts.web.app import create_app
from deploy.demo.plant import plan
from harness.bench.corpus.people import COLUMNS, Person
from harness.bench.month import leaks as month_leaks
from harness.bench.month import posts as month_posts
from matcher.cli.loading import build_matcher
from matcher.match.findings import find_all
from matcher.match.pipeline import Matcher
from tests.alerts.browser import ASKER, CHEAP, HOST, Browser, add_account
from tests.conftest import HeldClock
from tests.factories import sign_finding_record
from tests.matcher.golden import DEMO_HEADER, derive_key, digests, enrol
from ullage import setup
from ullage.bus import FINDINGS, Outgoing
from ullage.custody.vault import Vault
from ullage.records import Capture, Finding
from ullage.records.heartbeat import SLOTS, Heartbeat, SiteHour, to_slot
from ullage.security import keys
from ullage.security.keys import KeyStore
from ullage.security.signing import record_parts
from ullage.settings import Context

FROZEN = Path(__file__).with_name("golden.json")
SEED = 20261124
ROWS, ROWS_OF_PARTS = 60, 1_100
"""Of a list; of the one whose finding comes in parts."""
ORDINARY, KEPT = 400, 12
"""Ordinary posts of a month, of which every so many-th is kept."""
STEP = timedelta(days=9)
AFTER = timedelta(hours=30)
"""Until people begin to work: by then messages are repeated and escalated."""
BACKGROUND_THREADS = ("running time",)
REFERENCE, TOKEN = "C-2026-1", "0123456789abcdef"
SENT = {"sent_at": "2026-03-11T23:40", "channel": "portal", "reference": "R-1"}
LIMITS = {"dingtalk": MOST_OF_ROBOTS, "wecom": MOST_OF_ROBOTS}
MINIMAL = ("slack", "wecom")
TALK = (
    "今天天气很好，去公园散步。",
    "有没有人周末一起去爬山？",
    "The bus was late again.",
    "这本书写得真不错，推荐给大家。",
)
Texts = dict[str, str]

SETTINGS = """\
log_level = "error"
metrics = false

[tenants.bank]
brands = ["{brand}"]
domains = ["{domain}"]
bins = ["{bin}"]
circulation = {phones}.0
regimes = ["pipl-57", "nfra-2024", "gdpr-33"]
language = "zh"

[tenants.bank.entity]
name = "云杉银行股份有限公司"
name_en = "Spruce Bank"
contact = "security@spruce.example"

[tenants.demo]
brands = ["{brand}"]
language = "en"

[notify]
page = "https://desk.example"
"""


def texts(folder: Path) -> Texts:
    """Everything that is frozen, as text, by its name."""
    with ExitStack() as stack:
        draws = Draws()
        stack.enter_context(mock.patch.object(KeyStore, "make", derive_key))
        stack.enter_context(mock.patch("secrets.token_hex", lambda size=16: draws.draw(size).hex()))
        stack.enter_context(mock.patch("secrets.token_bytes", lambda size=32: draws.draw(size)))
        stack.enter_context(
            mock.patch("secrets.token_urlsafe", lambda size=32: draws.draw(size).hex())
        )
        return Play(folder).texts()


class Draws:
    """Random bytes, with a generator per thread that the service starts.

    Such a thread draws when time has passed, which a loaded machine reaches; with one generator
    for all its draw would move every later identifier.
    """

    def __init__(self) -> None:
        self._generators: dict[str, random.Random] = {}

    def draw(self, size: int) -> bytes:
        """Return the next `size` bytes for this thread; those that serve requests share them."""
        name = threading.current_thread().name
        name = name if name in BACKGROUND_THREADS else "play"
        return self._generators.setdefault(name, random.Random(f"{SEED} {name}")).randbytes(size)


@dataclass
class Play:
    """The months, and what is left of them."""

    folder: Path
    clock: HeldClock = field(default_factory=HeldClock)
    found: Texts = field(default_factory=dict)
    sent: dict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    """What each kind of channel was given."""

    @property
    def context(self) -> Context:
        """The folder at the moment of the play."""
        return Context(self.folder, self.clock.as_clock())

    def texts(self) -> Texts:
        """Run the scenario and return its texts by name."""
        posts = sorted((*month(), *demo()), key=lambda post: (post.at, post.id))
        self.clock.seconds = posts[0].at.timestamp() - 86_400
        list(setup.initialise(self.context))
        (self.folder / "ullage.toml").write_text(settings(), encoding="utf-8")
        self._enrol()
        matcher, findings_so_far = build_matcher(self.context), list[Finding]()
        while posts:
            until = posts[0].at + STEP
            now = [post for post in posts if post.at < until]
            posts = posts[len(now) :]
            self.clock.seconds = until.timestamp()
            findings_so_far += self._take(matcher, now)
        for _ in range(2):
            self.clock.advance(AFTER.total_seconds())
            self._run(self._heartbeat())
        for tenant in ("bank", "demo"):
            self.found[f"findings {tenant}"] = "\n".join(
                item.encode().decode() for item in findings_so_far if item.tenant == tenant
            )
        with (
            closing(open_configured_store(self.context)) as store,
            closing(Accounts(self.folder, self.clock.as_clock())) as accounts,
        ):
            add_account(accounts, ASKER, ["lead", "dpo", "fraud", "auditor"])
            app = create_app(
                self.context,
                store,
                accounts,
                CollectorRegistry(),
                frozenset({HOST}),
                zone=UTC,
                hasher=CHEAP,
            )
            head = min(item.id for item in store.scroll(Incident, DocumentFilter()))
            holds = Holds(
                store,
                Vault(self.folder / "evidence"),
                self.context.trail("alert"),
                self.context.clock,
            )
            holds.set(head, by="Li", case=REFERENCE, reason="police")
            Console(Browser(app), accounts, self._add).work()
            self._run()
            for kind in CLASSES:
                documents = sorted(
                    store.scroll(kind, DocumentFilter()), key=lambda document: document.id
                )
                self._add(
                    f"store {kind.__name__}", [item.model_dump(mode="json") for item in documents]
                )
        for name, sent in self.sent.items():
            limit = LIMITS.get(name, MOST_BYTES)
            self._add(
                f"messages {name}",
                "\n\n".join(f"{item.subject()}\n{item.text(limit)}" for item in sent),
            )
            if name == "webhook":
                self._add("messages webhook JSON", [item.payload() for item in sent])
        return self.found

    def _add(self, name: str, what: Any) -> None:
        """Add a text, or JSON data with one line per list item, under `name`.

        Texts under the same name are joined.
        """
        if isinstance(what, str):
            wording, facts = what, facts_of_text(what)
        else:
            lines = what if isinstance(what, list) else [what]
            wording, facts = (
                "\n".join(map(_as_json, part_lines)) for part_lines in (lines, facts_of(lines))
            )
        for part, text in (("facts", facts), ("wording", wording)):
            self.found[f"{name}: {part}"] = "\n\n".join(
                filter(None, (self.found.get(f"{name}: {part}"), text))
            )

    def _enrol(self) -> None:
        """Enrol the lists of both tenants.

        They are those who are in the leaks of the month, with the bait, and the customers
        of the demo.
        """
        bait = {number: party for party, number in month_leaks.CANARIES.items()}
        numbers = sorted(
            {number for leak in (*SMALL, *SMALL_BEFORE) for number in leak.people} | bait.keys()
        )
        people = ((Person(number), bait.get(number, "")) for number in numbers)
        rows = ([*(cell(person) for cell in COLUMNS.values()), party] for person, party in people)
        enrol(self.context, "bank", (*COLUMNS, "canary"), rows)
        enrol(self.context, "demo", DEMO_HEADER, (person.row() for person in plan().customers))

    def _take(self, matcher: Matcher, posts: Sequence[PostOf]) -> list[Finding]:
        """Process the posts of a few days and return the findings that alert received."""
        now = self.context.clock.now()
        captures = [
            Capture(
                id=post.id, site=post.site, post_id=post.id,
                url=f"http://{post.site}.example/{post.id}", title=post.title,
                author=post.author, published_at=post.at, fetched_at=post.at, kind="post",
                body=post.body.encode(),
                post_name=post.name, deleted=not post.body,
            )
            for post in posts
        ]  # fmt: skip
        sealed = {"original": "sealed", "original_key": "key"}
        new_findings = [
            finding.model_copy(update=sealed if finding.part == 1 else {})
            for finding in find_all(matcher, captures, now)
        ]
        self._run(
            *(
                sign_finding_record(self.context.keys, finding.encode(), finding.tenant, finding.id)
                for finding in new_findings
            ),
            self._heartbeat(),
        )
        return new_findings

    def _heartbeat(self) -> Outgoing:
        """Crawl is alive: it read one site in this five minutes, and could not read another."""
        slot = to_slot(self.clock.seconds)
        hour, at = divmod(slot, SLOTS)
        hours = tuple(
            SiteHour(
                site=site,
                hour=hour,
                slots="." * at + letter + "." * (SLOTS - 1 - at),
                posts=3,
                revisit=300,
            )
            for site, letter in (("demo-pastes", "o"), ("demo-forum", "b"))
        )
        beat = Heartbeat(
            id="0" * 32,
            origin="crawl",
            inserted_at=datetime.fromtimestamp(self.clock.seconds, UTC),
            hours=hours,
            enrolled=5,
        )
        headers, value = beat.headers(), beat.encode()
        by = keys.load_signer(self.context.keys, "match").headers(
            "heartbeat", *record_parts(FINDINGS, headers, value)
        )
        return Outgoing(beat.id, value, headers | by)

    def _run(self, *records: Outgoing) -> None:
        """`ullage alert --once` over `records`, with channels that keep what they are given."""
        context = self.context
        if records:
            with closing(context.bus()) as bus:
                bus.publisher(FINDINGS).append(list(records))
        with (
            mock.patch(
                "alerts.notify.sender.open_channel", lambda name, *_: Recorder(self.sent[name])
            ),
            mock.patch("ullage.runtime.service.stop_on_signals"),
        ):
            run_alert(context, once=True)


@dataclass(frozen=True)
class PostOf:
    """A post of month or demo."""

    id: str
    at: datetime
    site: str
    title: str
    body: str
    author: str = ""
    name: str = ""
    """Of what lasts though it is edited or taken away."""


def _small(leak: month_leaks.Leak) -> month_leaks.Leak:
    most = ROWS_OF_PARTS if leak.name == "thirty thousand" else ROWS
    return replace(leak, size=min(leak.size, most), people=[])


SMALL = tuple(map(_small, month_leaks.LEAKS))
SMALL_BEFORE = tuple(map(_small, month_leaks.BEFORE))


def month() -> Iterator[PostOf]:
    """Yield the month's leaks with fewer rows, and some of its ordinary posts."""
    with (
        mock.patch.object(month_leaks, "LEAKS", SMALL),
        mock.patch.object(month_leaks, "BEFORE", SMALL_BEFORE),
    ):
        leaks = [*month_leaks.leak_posts(random.Random(SEED))]
    # the bench's talk takes long to make
    with mock.patch.object(month_posts, "prose", return_value=TALK):
        ordinary = [*islice(month_posts.ordinary(random.Random(SEED + 1), ORDINARY), 0, None, KEPT)]
    for number, post in enumerate((*leaks, *ordinary)):
        yield PostOf(f"m{number:04x}", post.at, post.site, post.title, post.text)


def demo() -> Iterator[PostOf]:
    """Yield the demo's posts, one a minute after the month.

    Some chat messages are deleted later.
    """
    begin = month_posts.BEGIN + timedelta(days=month_posts.DAYS + 1)
    for number, post in enumerate(plan().posts):
        at = begin + timedelta(minutes=number)
        id_ = f"d{number:04x}"
        yield PostOf(
            id_,
            at,
            post.site,
            post.title or post.thread,
            post.body,
            post.author,
            post.author and id_,
        )
        if post.author and post.exposed and number % 2:
            yield PostOf(id_, at + timedelta(hours=9), post.site, "", "", post.author, id_)


def settings() -> str:
    """Return settings with a channel of every kind.

    All channels receive severe incidents; a webhook receives all others too.
    """
    text = SETTINGS.format(
        brand=month_posts.BRAND,
        domain=month_posts.DOMAIN,
        bin=month_posts.CARD_RANGE,
        phones=month_posts.PHONES,
    )
    kinds = [*kinds_of_channel()]
    for name in kinds:
        detail = "minimal" if name in MINIMAL else "facts"
        text += f'\n[notify.channels.{name}]\nkind = "{name}"\ndetail = "{detail}"\n'
    listed = ", ".join(f'"{name}"' for name in kinds)
    text += (
        f'\n[notify.routes.wake]\nchannels = [{listed}]\nseverity = "high"\nescalate_to ='
        ' ["mail"]\n'
    )
    return (
        f'{text}\n[notify.routes.list]\nchannels = ["webhook"]\nseverity = "notice"\nrepeat_hours'
        " = 0\n"
    )


@dataclass(frozen=True)
class Recorder:
    """A channel that keeps what it is given."""

    sent: list[Message]

    def send(self, message: Message) -> None:
        """See `Channel.send`."""
        self.sent.append(message)

    def reach(self) -> str:
        """See `Channel.reach`."""
        return "here"


@dataclass(frozen=True)
class Console:
    """People at work on what came, and what they and programs are shown then."""

    browser: Browser
    accounts: Accounts
    add: Callable[[str, Any], None]

    def work(self) -> None:
        """Decide, look up and silence; then view every page."""
        assert self.browser.log_in(ASKER).status_code == 303
        ids = self._ids("?tenant=bank&order=opened&limit=500")
        assert len(ids) > 20
        self._decide(ids)
        question = {"value": Person(3).phone, "purpose": "fraud_case", "case": REFERENCE}
        for language in ("en", "zh"):
            self._page("person", language, "/exposed", question)
        self._page("seller", "en", "/sellers", {"name": "料商老周"})
        self._ask("API exposed", "POST", "/v1/exposed", json=question)
        self._programs(ids)
        for form in formats():
            self._ask(f"export {form}", "GET", f"/v1/export/{form}")
        self._files(ids)
        self._pages(sorted({*ids, *self._ids("?limit=500")}))

    def _ids(self, query: str) -> list[str]:
        return [item["id"] for item in self.browser.get(f"/v1/incidents{query}").json()["items"]]

    def _decide(self, ids: Sequence[str]) -> None:
        """Make one decision of each kind."""
        forms: tuple[dict[str, str], ...] = (
            {"status": "acknowledged", "note": "seen"},
            {"status": "confirmed"},
            {"status": "assigned", "to": "me", "due": "+4h"},
            {"status": "takedown", "state": "asked"},
            {"status": "note", "note": "called the host"},
            {"status": "reported pipl-57 first", "note": "R-1", **SENT},
            {"status": "linked", "other": ids[9]},
            {"status": "telling_approved", "note": "meeting 7"},
        )
        closing_: tuple[dict[str, str], ...] = (
            {"status": "excused", "reason": "chance", "days": "30"},
            {"status": "resolved"},
        )
        free = self._ids("?tenant=demo&order=opened")  # where no clock keeps it open
        for id_, form in (*zip(ids, forms, strict=False), *zip(free, closing_, strict=False)):
            self._post(f"/incidents/{id_}/decisions", {**form, "token": TOKEN})
        self._post(
            f"/incidents/{ids[1]}/decisions",
            {"status": "reported pipl-57 first", "note": "R-2", "token": TOKEN[::-1], **SENT},
        )
        self._post(
            f"/incidents/{ids[10]}/silence",
            {"what": f"incident {ids[10]}", "reason": "a test of ours", "days": "7"},
        )
        gap = {
            "site": "demo-forum",
            "since": "2d",
            "until": "1d",
            "reason": "they rebuilt the forum",
        }
        self._post("/coverage/explain", gap)

    def _post(self, path: str, form: dict[str, str]) -> None:
        answer = self.browser.post(path, form)
        assert answer.status_code == 303, (form, answer.status_code, words(answer.text)[-600:])

    def _programs(self, ids: Sequence[str]) -> None:
        """Record what the API answers to programs."""
        self._ask("API incidents", "GET", "/v1/incidents?limit=500")
        for id_ in ids:
            self._ask("API incident", "GET", f"/v1/incidents/{id_}")
        customers = self._ask("API customers", "GET", f"/v1/incidents/{ids[0]}/customers").json()[
            "items"
        ]
        outcome = {
            "incident": ids[0],
            "pseudonym": customers[0]["pseudonym"],
            "outcome": "loss",
            "first_contact": "2026-03-05",
        }
        handles = [customer["pseudonym"] for customer in customers[:20]]
        engine = self._program("engine", ["exposure.ask"], "risk_engine")
        self._keep("API exposure", engine("POST", "/v1/exposure", json={"pseudonyms": handles}))
        program = self._program("program", ["incident.read", "outcome.report"], "orchestration")
        self._keep("API fraud cases", program("POST", "/v1/fraud-cases", json=outcome))
        self._keep("API events", program("GET", "/v1/events"))

    def _program(self, name: str, scope: Sequence[str], purpose: str) -> Callable[..., Any]:
        """Asks with a token of that scope."""
        secret = self.accounts.add_token(name, scope, ["bank"], purpose=purpose, days=1, by="test")[
            1
        ]
        return partial(Browser(self.browser.app).ask, headers={"authorization": f"Bearer {secret}"})

    def _files(self, ids: Sequence[str]) -> None:
        """Drafts, letters, lists of customers."""
        for id_ in ids[-6:]:
            for language in ("zh", "en", "both"):
                self._keep(
                    f"report {language}",
                    self.browser.post(f"/incidents/{id_}/report", {"lang": language}),
                )
            for language in ("zh", "en"):
                self._keep(
                    f"letter {language}",
                    self.browser.post(f"/incidents/{id_}/letter", {"lang": language}),
                )
            self._keep("customers", self.browser.post(f"/incidents/{id_}/customers.csv", {}))

    def _pages(self, ids: Sequence[str]) -> None:
        """Record what people see, in both languages."""
        tabs = (
            "?tab=open",
            "?tab=closed",
            "?tab=mine",
            "?tab=all&flat=1&order=-customers",
            "?tab=all&tenant=demo",
        )
        single = (
            "noise",
            "handover",
            "coverage",
            "sites",
            "channels",
            "watchlists",
            "accounts",
            "assess",
            "password",
            "audit",
        )
        for language in ("en", "zh"):
            for tab in tabs:
                self._page("queue", language, f"/{tab}")
            for name in single:
                self._page(name, language, f"/{name}")
            for id_ in ids[::4]:
                self._page("incident", language, f"/incidents/{id_}")

    def _page(
        self, name: str, language: str, path: str, form: dict[str, str] | None = None
    ) -> None:
        headers = {"accept-language": language, "sec-fetch-site": "same-origin"}
        answer = (
            self.browser.post(path, form, headers)
            if form
            else self.browser.get(path, headers=headers)
        )
        if answer.status_code == 303:
            answer = self.browser.get(answer.headers["location"], headers=headers)
        self._keep(f"page {language} {name}", answer)

    def _ask(self, name: str, method: str, path: str, **more: Any) -> Any:
        answer = self.browser.ask(method, path, **more)
        self._keep(name, answer)
        return answer

    def _keep(self, name: str, answer: Any) -> None:
        assert answer.status_code == 200, (name, answer.status_code, words(answer.text)[-600:])
        kind = answer.headers["content-type"].partition(";")[0]
        if "html" in kind:
            before, page, after = PAGE.split(answer.text)
            self.add(name, f"{words(page)}\n\n{structure(page)}")
            if name in ("page en noise", "page zh noise"):
                self.add(
                    name.replace("noise", "frame"),
                    f"{words(before + after)}\n\n{structure(before + after)}",
                )
        elif "officedocument" in kind:
            with zipfile.ZipFile(io.BytesIO(answer.content)) as document:
                self.add(
                    name, words(document.read("word/document.xml").decode().replace("</w:p>", "\n"))
                )
        elif "ndjson" in kind:
            self.add(name, [json.loads(line) for line in answer.text.splitlines()])
        else:
            self.add(name, answer.json() if "json" in kind else answer.text)


def _as_json(what: Any) -> str:
    return json.dumps(what, ensure_ascii=False, sort_keys=True)


WORD = re.compile(r"[!-~]*")
FACT = re.compile(r"https?://[^\s\"'<>]+|\b(?:href|action|name)=\S+|[\w.+-]*[0-9][\w.,:%/+-]*")
PAGE = re.compile(r"(<main\b.*</main>)", re.DOTALL)
"""What a page has of its own; menu and footer are the same on all."""
HIDDEN = re.compile(r"<(script|style|svg)\b.*?</\1>", re.DOTALL)


def facts_of(what: Any) -> Any:
    """JSON of which of every sentence the facts are left."""
    if isinstance(what, dict):
        return {key: facts_of(value) for key, value in what.items()}
    if isinstance(what, list | tuple):
        return [facts_of(value) for value in what]
    return facts_of_text(what) if isinstance(what, str) and not WORD.fullmatch(what) else what


def facts_of_text(text: str) -> str:
    """List the facts of a text in an order that no wording changes.

    Facts are numbers, identifiers, addresses, links and field names.
    """
    return "\n".join(sorted(fact.rstrip(".,:") for fact in FACT.findall(text)))


def words(page: str) -> str:
    """Return the visible text of a page, one line per element."""
    lines = re.sub(r"<[^>]*>", "\n", HIDDEN.sub("", page)).splitlines()
    return "\n".join(filter(None, (" ".join(html.unescape(line).split()) for line in lines)))


def structure(page: str) -> str:
    """List a page's links, form targets and field names, without digests in file names."""
    named = re.sub(r"(/static/\w+)\.[0-9a-f]{16}\.", r"\1.", page)
    return "\n".join(sorted(set(re.findall(r'(?:href|action|name)="[^"#]*"', named))))


def main() -> None:
    """Freeze the texts, or write them to the folder named on the command line."""
    with tempfile.TemporaryDirectory() as folder:
        frozen = texts(Path(folder))
    if len(sys.argv) > 1:
        for name, text in frozen.items():
            (Path(sys.argv[1]) / f"{re.sub(r'[^ -~]|[/:?&]', '_', name)[:120]}.txt").write_text(
                text, encoding="utf-8"
            )
    else:
        FROZEN.write_text(
            json.dumps(digests(frozen), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
