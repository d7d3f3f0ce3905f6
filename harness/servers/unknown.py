"""Runs programs that no preset knows, filled with known posts: blogs, an archive of mail, trackers.

Pelican, Nikola, Trac and Roundup come from PyPI, ikiwiki, Chronicle and MHonArc are Debian's. Each
is a context that yields the address at which somebody would begin. Those that write files are
served as files.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

from deploy.local.programs import LOG, run
from deploy.local.server import HOST, free_ports, running, serving
from ullage.errors import UnavailableError

REQUIREMENTS = Path(__file__).with_name("requirements-unknown.txt")
WORDS = (
    "offer fresh data bank rows sample price contact today trust seller escrow buyer reply thanks"
    " nice deal full".split()
)
THREADS, STEP = 14, 19
FIRST_SECOND = 1_793_500_000
"""Of the first post, since 1970; each thread is a day after the one before, each reply an hour."""
Threads = Sequence[tuple[str, Sequence[str]]]
"""Titles, each with the posts of a thread of that title."""


@dataclass(frozen=True, slots=True)
class UnknownProgram:
    """A program; `replies` tells whether a thread may have more than one post."""

    name: str
    running: Callable[[Path, Path, Threads], AbstractContextManager[str]]
    replies: bool = True


def threads(*, replies: bool) -> Threads:
    """Return threads of up to five posts, or of one, in each of which stands a text of its own."""

    def text(n: int, k: int) -> str:
        talk = " ".join(WORDS[(n * 7 + k * 3 + w) % len(WORDS)] for w in range(8 + (n * k) % 9))
        return f"post {n}-{k} of the trial: {talk} in words of its own."

    lengths = [1 + (n * 3) % 5 if replies else 1 for n in range(THREADS)]
    return [
        (f"{WORDS[n].title()} of the {WORDS[n * 5 % 17]} part", [text(n, k) for k in range(m)])
        for n, m in enumerate(lengths)
    ]


def _seconds(n: int, k: int = 0) -> int:
    return FIRST_SECOND + n * 86_400 + k * 3_600


def _date(n: int, k: int = 0) -> str:
    return formatdate(_seconds(n, k), usegmt=True)


def _program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise UnavailableError(f"{name} is not there: apt install {package}")
    return path


class _QuietFiles(SimpleHTTPRequestHandler):
    """Serves files without a log on the terminal."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Log nothing."""


@contextlib.contextmanager
def _files(folder: Path, start: str = "") -> Iterator[str]:
    make_handler = partial(_QuietFiles, directory=str(folder))
    with serving(make_handler) as url:  # type: ignore[arg-type]  # a partial makes handlers too
        yield f"{url}/{start}"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def pelican(binaries: Path, work: Path, written: Threads) -> Iterator[str]:
    """Run a blog of Pelican in its default theme."""
    for n, (title, (text, *_)) in enumerate(written):
        _write(
            work / "content" / f"{n}.md",
            f"Title: {title}\nDate: {_date(n)}\nAuthor: li\nCategory: Trade\n\n{text}\n",
        )
    settings = (
        "SITENAME = 'A blog'\nSITEURL = ''\nRELATIVE_URLS = True\nTIMEZONE ="
        " 'UTC'\nDEFAULT_PAGINATION = 10\n"
    )
    _write(work / "pelicanconf.py", settings)
    run([str(binaries / "pelican"), "content", "-o", "output", "-s", "pelicanconf.py"], work)
    with _files(work / "output") as url:
        yield url


@contextlib.contextmanager
def nikola(binaries: Path, work: Path, written: Threads) -> Iterator[str]:
    """Run a blog of Nikola, whose older pages have smaller numbers."""
    work.mkdir(parents=True)
    program, site = str(binaries / "nikola"), work / "site"
    run([program, "init", "--quiet", str(site)], work)
    for n, (title, (text, *_)) in enumerate(written):
        head = f".. title: {title}\n.. slug: lot-{n}\n.. date: {_date(n)}\n.. author: li\n"
        _write(site / "posts" / f"{n}.md", f"{head}\n{text}\n")
    run([program, "build"], site)
    with _files(site / "output") as url:
        yield url


@contextlib.contextmanager
def ikiwiki(_: Path, work: Path, written: Threads) -> Iterator[str]:
    """Run a blog of ikiwiki with comments, whose front page shows the newest ten."""
    for n, (title, posts) in enumerate(written):
        day, page = f'[[!meta date="{_date(n)}"]]', work / "source" / "posts" / f"lot_{n}.mdwn"
        _write(page, f'[[!meta title="{title}"]]\n{day}\n[[!meta author="li"]]\n\n{posts[0]}\n')
        for k, text in enumerate(posts[1:], 1):
            comment = (
                f'username="wang"\nsubject="Re"\ndate="{_date(n, k)}"\ncontent="""\n{text}\n"""'
            )
            _write(
                page.with_suffix("") / f"comment_{k}._comment",
                f"[[!comment format=mdwn\n{comment}]]\n",
            )
    of_posts = '[[!inline pages="page(posts/*) and !*/Discussion" {}]]\n'
    _write(
        work / "source" / "index.mdwn", of_posts.format('show="10"') + "\n[[All posts|archive]]\n"
    )
    _write(work / "source" / "archive.mdwn", of_posts.format('archive="yes" show="0"'))
    setup = {
        "srcdir": str(work / "source"),
        "destdir": str(work / "out"),
        "url": f"http://{HOST}/",
        "rcs": "",
        "discussion": 0,
    }
    setup |= {
        "wikiname": "A blog",
        "add_plugins": ["goodstuff", "comments"],
        "comments_pagespec": "posts/*",
    }
    _write(
        work / "iki.setup",
        f"# IkiWiki::Setup::Yaml - YAML formatted setup file\n{json.dumps(setup)}\n",
    )
    run(
        [_program("ikiwiki", "ikiwiki"), "--setup", "iki.setup", "--rebuild"],
        work,
        {"HOME": str(work)},
    )
    with _files(work / "out") as url:
        yield url


@contextlib.contextmanager
def chronicle(_: Path, work: Path, written: Threads) -> Iterator[str]:
    """Run a blog of Chronicle."""
    for n, (title, (text, *_extra)) in enumerate(written):
        _write(
            work / "data" / f"{n:02}.txt", f"Title: {title}\nDate: {_date(n)}\n\n<p>{text}</p>\n"
        )
    words = [
        "--input=data",
        "--output=out",
        "--pattern=*.txt",
        "--url-prefix=/",
        "--entry-count=10",
    ]
    run([_program("chronicle", "chronicle"), *words], work, {"HOME": str(work)})
    with _files(work / "out") as url:
        yield url


@contextlib.contextmanager
def mhonarc(_: Path, work: Path, written: Threads) -> Iterator[str]:
    """Run an archive of mails, which MHonArc wrote."""
    box = list[bytes]()
    for n, (title, posts) in enumerate(written):
        for k, text in enumerate(posts):
            mail = EmailMessage()
            mail["From"], mail["Subject"], mail["Date"] = (
                "Li <li@lists.example>",
                ("Re: " if k else "") + title,
                _date(n, k),
            )
            mail["Message-ID"] = f"<{n}.{k}@lists.example>"
            if k:
                mail["In-Reply-To"] = f"<{n}.0@lists.example>"
            mail.set_content(text)
            box.append(
                b"From li@lists.example Thu Nov 26 12:00:00 2026\n" + mail.as_bytes() + b"\n\n"
            )
    (work / "out").mkdir(parents=True)
    (work / "box").write_bytes(b"".join(box))
    run(
        [
            _program("mhonarc", "mhonarc"),
            "-quiet",
            "-outdir",
            "out",
            "-multipg",
            "-idxsize",
            "10",
            "box",
        ],
        work,
    )
    with _files(work / "out", "maillist.html") as url:
        yield url


TRAC_FILL = """\
import json, sys
from datetime import datetime, timezone
from trac.env import open_environment
from trac.ticket.model import Ticket
environment = open_environment(sys.argv[1])
for title, posts in json.load(sys.stdin):
    ticket = Ticket(environment)
    fields = {"summary": title, "reporter": "li", "status": "new", "type": "defect"}
    for name, value in fields.items():
        ticket[name] = value
    ticket["description"] = posts[0][1]
    ticket.insert(when=datetime.fromtimestamp(posts[0][0], timezone.utc))
    for seconds, text in posts[1:]:
        ticket.save_changes("wang", text, when=datetime.fromtimestamp(seconds, timezone.utc))
"""
ROUNDUP_FILL = """\
import json, sys
import roundup.instance
from roundup.date import Date, Interval
database = roundup.instance.open(sys.argv[1]).open("admin")
member = database.user.create(username="li", address="li@lists.example", roles="User")
for title, posts in json.load(sys.stdin):
    messages = []
    for seconds, text in posts:
        date = Date("1970-01-01") + Interval(f"{seconds // 86400}d {seconds // 3600 % 24}:00")
        messages.append(database.msg.create(author=member, content=text, date=date))
    database.issue.create(title=title, messages=messages, status="2", priority="4")
database.commit()
"""
ROUNDUP_SERVE = """\
import sys
from wsgiref.simple_server import make_server
from roundup.cgi.wsgi_handler import RequestDispatcher
make_server("127.0.0.1", int(sys.argv[2]), RequestDispatcher(sys.argv[1])).serve_forever()
"""


def _to_dated_json(written: Threads) -> str:
    """Return threads as JSON, each post with its moment."""
    return json.dumps(
        [
            [t, [[_seconds(n, k), text] for k, text in enumerate(posts)]]
            for n, (t, posts) in enumerate(written)
        ]
    )


@contextlib.contextmanager
def trac(binaries: Path, work: Path, written: Threads) -> Iterator[str]:
    """Run a tracker of Trac, as its report of all tickets shows it."""
    work.mkdir(parents=True)
    python, environment = str(binaries / "python"), str(work / "environment")
    run(
        [str(binaries / "trac-admin"), environment, "initenv", "Tracker", "sqlite:db/trac.db"], work
    )
    run([python, "-c", TRAC_FILL, environment], work, {}, _to_dated_json(written))
    (port,) = free_ports(1)
    words = [str(binaries / "tracd"), "-s", "--hostname", HOST, "--port", str(port), environment]
    with running("Trac", words, work / LOG, {}, port):
        yield f"http://{HOST}:{port}/report/1"


@contextlib.contextmanager
def roundup(binaries: Path, work: Path, written: Threads) -> Iterator[str]:
    """Run a tracker of Roundup, as its index of issues shows it."""
    work.mkdir(parents=True)
    python, admin, tracker = (
        str(binaries / "python"),
        str(binaries / "roundup-admin"),
        str(work / "tracker"),
    )
    (port,) = free_ports(1)
    url = f"http://{HOST}:{port}/"
    web = f"tracker_web={url},mail_domain=lists.example,mailhost=localhost"
    run([admin, "-i", tracker, "install", "classic", "sqlite", web], work)
    run([admin, "-i", tracker, "initialise", "loopback-only"], work)
    run([python, "-c", ROUNDUP_FILL, tracker], work, {}, _to_dated_json(written))
    with running(
        "Roundup", [python, "-c", ROUNDUP_SERVE, tracker, str(port)], work / LOG, {}, port
    ):
        yield f"{url}issue?@columns=title,id,activity,status&@sort=activity&@pagesize=10"


PROGRAMS = (
    UnknownProgram("Pelican", pelican, replies=False),
    UnknownProgram("Nikola", nikola, replies=False),
    UnknownProgram("ikiwiki", ikiwiki),
    UnknownProgram("Chronicle", chronicle, replies=False),
    UnknownProgram("MHonArc", mhonarc),
    UnknownProgram("Trac", trac),
    UnknownProgram("Roundup", roundup),
)
