"""The demo's steps: start the sites, post, configure, crawl. Each is what a person would do by hand."""

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

from deploy.demo.backend import Parts
from deploy.demo.people import Person
from deploy.demo.plant import BRAND, CHAT, FORUM, PASTES, Plan
from deploy.local.posting import Bepasty, Spirit
from deploy.local.programs import Forum
from deploy.local.services import write_secret
from ullage.errors import UllageError
from ullage.runtime.role import SUPERVISOR
from ullage.runtime.supervisor import command

TENANT = "spruce-bank"
CONFIG = """\
[crawl]
user_agent = "ullage demo (loopback only)"
port = 0

[match]
port = 0

[alert]
port = 0

[search]
port = {port}

[tenants.{tenant}]
brands = ["{brand}"]
"""
CANARY = """\

[canary]
interval_seconds = {interval}
port = {port}
"""
MORE = """\
domains = ["spruce-bank.example"]
bins = ["620000"]
"""
SITE = """\
platform = "{platform}"
start = ["{url}"]
category = "{category}"
delay_seconds = {delay}
concurrency = {concurrency}
max_pages = 5000
revisit_seconds = {revisit}
allow_private = true
legal_basis = "synthetic people, on this machine"
owner = "the demo"
watch = true
"""
FED = """\
platform = "ingest"
category = "chat"
legal_basis = "synthetic people, on this machine"
owner = "the demo"
"""
SECONDS_APART = 2
"""Between two messages of the chat."""


def configuration(tenant: str, port: int = 0) -> str:
    """`ullage.toml` with one tenant of the demo's brand; free ports for the metrics, `port` for the page, 0 for a free one.

    The tenant's table comes last, so that lines which follow are the tenant's.
    """
    return CONFIG.format(tenant=tenant, brand=BRAND, port=port)


def site(platform: str, url: str, category: str, *, revisit: int = 30, delay: float = 0.0, concurrency: int = 8) -> str:
    """A site's TOML for a program on loopback; `revisit` and `delay` in seconds."""
    return SITE.format(platform=platform, url=url, category=category, revisit=revisit, delay=delay, concurrency=concurrency)


def canary(port: int, interval: int = 60) -> str:
    """The settings of a canary post every `interval` seconds, from a site on `port`; for the end of `configuration`."""
    return CANARY.format(port=port, interval=interval)


class Ullage:
    """Runs the product's command line on one data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def __call__(self, *words: str, text: str = "") -> str:
        """Standard output of `ullage WORDS`; its own error line is raised when it fails."""
        environment = {**os.environ, SUPERVISOR: str(os.getpid()), "ULLAGE_LOG_LEVEL": "warning"}
        done = subprocess.run(
            command(self.data, *words), input=text, capture_output=True, text=True, env=environment, check=False
        )
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
            raise UllageError(f"`ullage {words[0]}` failed: {last.removeprefix('ullage: ')}")
        return done.stdout


def fresh(folder: Path) -> Path:
    """An empty folder; what an earlier demo left in it is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_customers(path: Path, customers: Iterable[Person]) -> None:
    """The bank's export: synthetic people, as CSV in GB18030, as banks have it."""
    with path.open("w", encoding="gb18030", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("customer_ref", "name", "phone", "resident_id", "card", "email"))
        writer.writerows(person.row() for person in customers)


def configure(ullage: Ullage, plan: Plan, parts: Parts, port: int, more: str = "") -> None:
    """`init`, the tenant's words, the bus and store of `parts`, the page on `port`, `more` lines, and the watchlist."""
    ullage.data.mkdir(parents=True, exist_ok=True)
    text = configuration(TENANT, port) + MORE + parts.configuration + more
    (ullage.data / "ullage.toml").write_text(text, encoding="utf-8")
    ullage("init")
    if parts.password:
        write_secret(ullage.data / "keys" / "store.password", parts.password)
    export = ullage.data.parent / "customers.csv"
    write_customers(export, plan.customers)
    ullage("watchlist", "load", str(export), "--tenant", TENANT)
    export.unlink()


def add_account(ullage: Ullage) -> tuple[str, str]:
    """Name and password of somebody who may do on the page whatever one person may."""
    name, password = "demo", "-".join(secrets.token_hex(3) for _ in range(3))
    roles = [word for role in ("lead", "dpo", "operator") for word in ("--role", role)]
    ullage("user", "add", name, *roles, "--all-tenants", "--own", "--password-file", "-", text=f"{password}\n")
    return name, password


def add_sites(ullage: Ullage, pastes: str, forum: Forum) -> None:
    """Three site files: this is all that it takes to watch a place. Both sites are read by presets, the chat is handed in."""
    folder = ullage.data / "sites.d"
    (folder / f"{CHAT}.toml").write_text(FED, encoding="utf-8")
    for name, platform, url, category in ((PASTES, "bepasty", pastes, "paste"), (FORUM, "spirit", forum.url, "forum")):
        (folder / f"{name}.toml").write_text(site(platform, f"{url}/", category), encoding="utf-8")


def post(plan: Plan, pastes: str, forum: Forum, told: Callable[[], None]) -> None:
    """Put every post up through the sites' own forms; `told` after each."""
    bepasty = Bepasty(pastes)
    seller, victim = (Spirit(forum.url, user, forum.password) for user in (forum.user, forum.guest))
    topics: dict[str, int] = {}
    category = next(iter(forum.categories.values()))
    for planted in plan.posts:
        if planted.site == CHAT:
            continue
        if planted.site == PASTES:
            bepasty.paste(planted.body, planted.title)
        elif planted.thread:
            (victim if planted.alone else seller).reply(topics[planted.thread], planted.body)
        else:
            topics[planted.title] = seller.topic(category, planted.title, planted.body)
        told()


def chat(ullage: Ullage, plan: Plan, now: datetime) -> None:
    """Hand in the messages of the chat, the last of them sent just `now`, as a collector does."""
    said = [planted for planted in plan.posts if planted.site == CHAT]
    lines = (
        {
            "site": CHAT,
            "channel": "贷款资源互助群",
            "message_id": str(number),
            "author": one.author,
            "published_at": (now - timedelta(seconds=SECONDS_APART * (len(said) - number))).isoformat(),
            "text": one.body,
        }
        for number, one in enumerate(said, 1)
    )
    ullage("ingest", "-", text="".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines))
