"""The commands that the documents show are run, as they stand there, on a folder that has what they
speak of.

`DIR`, `INNER`, `OUTER` and the like are folders here; what stands for a number or a name is put in
its place. What is not run says why, and a reason that no command needs any more fails.
"""

import json
import mailbox
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from deploy.local.services import write_secret
from deploy.local.webhook import new_key, receiving
from tests.matcher.bank import customer, to_csv
from ullage.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / f"{name}.md" for name in ("README", "README.zh", "CONTRIBUTING", "SECURITY")]
DOCUMENTS += sorted(
    path
    for path in (ROOT / "docs").rglob("*.md")
    if path.stem not in {"getting-started", "collector"}
)
"""`tests/flow/test_getting_started.py` and `tests/rules/test_collector_example.py` run the other
two whole.
"""
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONAL = re.compile(r"\[(--[^\]]+)\]")
PROGRAMS = set(
    "apt cp curl export git install ls make mkdir mv node openssl sed systemctl ullage".split()
)
NOT_RUN = {
    r"git clone": "there is no address to clone from",
    r"make (?!docs)": "they are the suites and the servers that `.ci/run` and developers start",
    r"make docs": "tests/rules/test_documents_site.py builds it",
    r"apt ": "it changes the machine",
    r".*/(etc|var)/": (
        "it changes the machine; harness/live/test_monitoring.py starts Prometheus on these files"
    ),
    r".*\bkubectl ": (
        "there is no cluster: tests/deploy/test_helm.py holds the chart to Kubernetes' schemas"
    ),
    r"systemctl ": "it changes the machine; tests/deploy/test_systemd.py runs the units",
    r"ullage (--data \w+ )?run\b": (
        "it goes on until Ctrl-C; tests/flow/test_getting_started.py starts it"
    ),
    r"ullage --data \w+ crawl": (
        "it asks sites; tests/flow/test_gap.py and tests/crawlers/test_crawl.py"
    ),
    r"ullage --data \w+ collect (matrix|xmpp|telegram|imap)": (
        "it goes on, and asks a server; harness/live/test_matrix.py"
    ),
    r"ullage (--data \w+ )?sites try": "it asks a site; tests/crawlers/test_trial.py",
    r"curl .*/metrics": (
        "it asks a role that runs; what is looked for in the answer is looked at below"
    ),
    r"curl ": (
        "it asks a server that runs; tests/crawlers/test_intake.py, harness/live/test_monitoring.py"
    ),
    r"ullage --data \w+ match$": (
        "it goes on until Ctrl-C; tests/flow/test_gap.py matches behind a gap"
    ),
    r"ullage .*--site board": (
        "the ledger has to have seen that site on that day;"
        " tests/alerts/coverage/test_coverage_command.py"
    ),
    r"openssl pkeyutl": "the archive is made by make bundle; tests/deploy/test_bundle.py",
    r"openssl ts -verify": "an authority has to answer first",
    r"openssl ts -query": (
        "the file is that of the command before; whoever has no authority needs none of it"
    ),
    r"ullage evidence (keygen|open)": (
        "people type passphrases; tests/alerts/custody/test_command.py"
    ),
    r"cp STICK/": "the key comes of evidence keygen",
    r"install .*\.demo/services": "servers have to run; tests/local/test_services.py",
    r"ullage check --accept-loss": (
        "a part has to be lost first; tests/state/test_inventory.py loses that one"
    ),
    r"install -D -m 600 OUT/bank.enrolled": (
        "the list comes from a building host; tests/matcher/test_watchlist_enrolled.py"
    ),
}
ENDS = {
    r"ullage --data DIR status$": 1,  # no role runs here
    r"ullage source ": 3,  # five victims are too few
    r"ullage .*coverage\b(?! explain)": 3,  # no heartbeat came yet, so that nothing is claimed
}
"""With which code a command ends here, where that is not 0."""


class DocumentedCommand(NamedTuple):
    """A command, and what stands between its marks."""

    line: str
    words: tuple[str, ...]


def commands(text: str) -> Iterator[DocumentedCommand]:
    """Yield the commands of a document's blocks, without remarks.

    In a session (`$ …`) these are what was typed.
    """
    for language, block in BLOCK.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        if language not in {"", "console", "sh", "bash"}:
            continue
        typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")] or lines
        for line in typed:
            if line.partition(" ")[0] in PROGRAMS:
                bare = OPTIONAL.sub(r"\1", re.sub(r"\s+#\s.*$", "", line)).strip()
                yield DocumentedCommand(bare, tuple(shlex.split(bare)))


def reason_not_to_run(command: DocumentedCommand) -> str:
    return next((why for pattern, why in NOT_RUN.items() if re.match(pattern, command.line)), "")


def code_of(command: DocumentedCommand) -> int:
    return next((code for pattern, code in ENDS.items() if re.match(pattern, command.line)), 0)


class World(NamedTuple):
    """A folder in which commands are run, and what stands for names and numbers in it."""

    folder: Path
    names: dict[str, str]

    def words(self, command: DocumentedCommand) -> list[str]:
        names = (
            {
                **self.names,
                "ID": json.loads(run_ullage("token", "list", "--json")[1])["id"],
            }
            if "revoke" in command.words
            else self.names
        )
        return [names.get(word, word) for word in command.words]


def run_ullage(*words: str, input: str | None = None) -> tuple[int, str]:  # noqa: A002
    """Run `ullage WORDS` in the working folder, and return exit code and output.

    The folder is DIR where the words name none.
    """
    arguments = list(words) if "--data" in words else ["--data", "DIR", *words]
    result = CliRunner().invoke(app, arguments, input=input)
    assert result.exception is None or isinstance(result.exception, SystemExit), (
        words,
        result.exception,
    )
    return result.exit_code, result.output


CUSTOMERS = [customer(n) for n in range(40)]
ROWS = "\n".join(
    f"{row['name']}----{row['phone']}----{row['resident_id']}" for row in CUSTOMERS[:12]
)
CONFIG = """\
metrics = false
[tenants.bank]
brands = ["某某银行"]
regimes = ["pipl-57", "cac-2025", "gdpr-33"]
[notify.channels.soc]
kind = "webhook"
[notify.routes.all]
channels = ["soc"]
"""
SITE = 'platform = "ingest"\ncategory = "forum"\nlegal_basis = "PIPL 13(1)(3)"\nowner = "team"\n'
QQ = "消息记录\n\n2026-09-01 12:00:00 卖家(10001)\n内料 出售\n\n"
WECHAT = "2026-09-01 12:00:00 卖家\n内料 出售\n\n"
TELEGRAM = {"name": "a", "type": "public_supergroup", "id": 1, "messages": [
    {"id": 2, "type": "message", "date": "2026-09-01T12:00:00", "date_unixtime": "1788235200",
    "from": "x", "from_id": "user7",
     "text": "hello"}]}  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two zones, a list, an incident, a channel that answers, an account, and files of each
    kind.
    """
    folder = tmp_path_factory.mktemp("commands")
    with pytest.MonkeyPatch.context() as patch, receiving() as team:
        patch.chdir(folder)
        patch.setattr("ullage.runtime.service.stop_on_signals", lambda stop: None)
        for zone in ("DIR", "INNER"):
            assert run_ullage("--data", zone, "init")[0] == 0
        Path("DIR/ullage.toml").write_text(CONFIG)
        write_secret(Path("DIR/keys/notify/soc"), f"{team.url}\n{new_key()}\n")
        for site in ("board", "telegram-loans", "qq-loans", "wechat-loans", "abuse-box"):
            Path(f"DIR/sites.d/{site}.toml").write_text(SITE)
        _write_files()
        assert run_ullage("watchlist", "load", "customers.csv", "--tenant", "bank")[0] == 0
        post = json.dumps(
            {
                "site": "board",
                "url": "https://board.example.com/t/1",
                "text": f"出售某某银行客户\n{ROWS}",
            }
        )
        assert run_ullage("ingest", "-", input=f"{post}\n")[0] == 0
        for role in ("match", "alert"):
            assert run_ullage(role, "--once")[0] == 0
        [incident] = [
            json.loads(line)["id"]
            for line in run_ullage("incidents", "list", "--json")[1].splitlines()
        ]
        names = {
            "INCIDENT": incident,
            "ID": incident,
            "INC-…": incident,
            "CHANNEL": "soc",
            "TENANT": "bank",
            "SITE": "board",
        }
        shutil.copytree("DIR/keys", "keys")  # those of the building host
        yield World(folder, names)


def _write_files() -> None:
    header, *rows = to_csv(CUSTOMERS).splitlines()
    witnessed = [
        f"{header},amount,date",
        *(f"{row},{1000 + n},2026-01-{1 + n % 28:02d}" for n, row in enumerate(rows)),
    ]
    Path("customers.csv").write_text("\n".join(witnessed) + "\n", encoding="utf-8")
    Path("changes.csv").write_text(to_csv([customer(50)]), encoding="utf-8")
    Path("bait.csv").write_text(to_csv([customer(n) for n in range(60, 66)]), encoding="utf-8")
    transfers = "".join(f"{customer(n)['customer_ref']},Courier\n" for n in range(40))
    Path("transfers.csv").write_text(f"customer_ref,recipient\n{transfers}", encoding="utf-8")
    cases = "".join(f"{customer(n)['customer_ref']},2020-05-01\n" for n in range(5))
    Path("cases.csv").write_text(f"customer_ref,first_contact\n{cases}", encoding="utf-8")
    Path("leak.txt").write_text(ROWS, encoding="utf-8")
    Path("deploy").symlink_to(ROOT / "deploy")  # with the sample, as in a clone
    Path("chat.txt").write_text(QQ, encoding="utf-8")
    for zone in ("DIR", "OUTER"):
        Path(f"{zone}/spool/captures").mkdir(parents=True)
        for name in (f"{1:020d}-0123456789abcdef.spool", f"{2:020d}-0123456789abcdef.spool.bad"):
            Path(f"{zone}/spool/captures/{name}").write_bytes(b"")
    Path("EXPORT").mkdir()
    Path("EXPORT/result.json").write_text(json.dumps(TELEGRAM), encoding="utf-8")
    mailbox.Maildir("MAILDIR", create=True).add("From: a@example.com\nSubject: b\n\nhello\n")


@pytest.fixture
def world(template: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a copy of the world for each document."""
    shutil.copytree(template.folder, tmp_path / "world")
    monkeypatch.chdir(tmp_path / "world")
    monkeypatch.setattr("ullage.runtime.service.stop_on_signals", lambda stop: None)
    return World(tmp_path / "world", template.names)


def input_for(command: DocumentedCommand, world: World) -> str:
    """Return the input for prompts: a customer's handle, or a new password twice."""
    if "--subject" not in command.words:
        return "correct horse battery staple\n" * 2
    assert (
        run_ullage(
            "incidents", "export", world.names["ID"], "--format", "customers", "-o", "handles.csv"
        )[0]
        == 0
    )
    [handle, *_] = re.findall(r"\b[0-9a-f]{32}\b", Path("handles.csv").read_text("utf-8"))
    return f"{handle}\n"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_commands_shown_in_a_document_work(document: Path, request: pytest.FixtureRequest) -> None:
    shown = [
        command
        for command in commands(document.read_text(encoding="utf-8"))
        if not reason_not_to_run(command)
    ]
    if not shown:
        return
    world: World = request.getfixturevalue("world")
    for command in shown:
        words = world.words(command)
        if words[0] == "ullage":
            code, output = run_ullage(*words[1:], input=input_for(command, world))
            assert (command.line, code) == (command.line, code_of(command)), output
        else:
            process = subprocess.run(
                ["bash", "-ec", command.line], capture_output=True, text=True, check=False
            )
            if "openssl: command not found" in process.stderr:
                pytest.skip("there is no openssl")
            assert (command.line, process.returncode) == (command.line, 0), process.stderr


def every() -> list[DocumentedCommand]:
    return [
        command
        for document in DOCUMENTS
        for command in commands(document.read_text(encoding="utf-8"))
    ]


def test_most_commands_are_run_and_each_reason_is_needed() -> None:
    assert sum(not reason_not_to_run(command) for command in every()) > 90
    assert [
        pattern
        for pattern in NOT_RUN
        if not any(re.match(pattern, command.line) for command in every())
    ] == []


def test_tests_named_in_reasons_exist() -> None:
    named = [
        path
        for why in NOT_RUN.values()
        for path in re.findall(r"(?:harness|tests)/[\w/]+\.py", why)
    ]
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_metrics_searched_in_documents_exist() -> None:
    """A runbook that greps for a name which no role has any more shows nothing, and that looks
    like health.
    """
    metrics = re.findall(
        r"^- `(\w+)[^`]*` \((?:counter|gauge|histogram)",
        (ROOT / "docs" / "metrics.md").read_text("utf-8"),
        re.MULTILINE,
    )
    patterns = [command.words[-1] for command in every() if "/metrics" in command.line]
    assert len(patterns) > 8
    looked_for = [
        metric.partition("{")[0] for pattern in patterns for metric in alternatives(pattern)
    ]
    assert [
        name for name in looked_for if not any(re.search(name, metric) for metric in metrics)
    ] == []


def alternatives(pattern: str) -> list[str]:
    """List the names that a pattern such as `a|b_(c|d)` looks for."""
    if (group := re.search(r"\(([^()]*)\)", pattern)) is not None:
        return [
            name
            for inner in group[1].split("|")
            for name in alternatives(pattern[: group.start()] + inner + pattern[group.end() :])
        ]
    return pattern.split("|")
