"""Perform the steps of the demo: start the sites, post, configure, crawl.

Each is what a person would do by hand.
"""

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.demo.backend import Parts
from deploy.demo.people import Person
from deploy.demo.plant import BRAND, CHAT, FORUM, PASTES, PRESETS, Plan
from deploy.local.matrix_room import Room, Said
from deploy.local.posting import Bepasty, Spirit
from deploy.local.programs import Forum
from deploy.local.services import write_secret
from ullage.errors import UllageError
from ullage.runtime.service import SUPERVISOR
from ullage.runtime.supervisor import command

TENANT = "spruce-bank"
CONFIG = """\
[metrics_ports]
crawl = 0
match = 0
alert = 0
matrix = 0

[crawl]
user_agent = "ullage demo (loopback only)"

[match]

[alert]

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
CHANNEL = """\
service = "matrix"
address = "{address}"
account = "reader"
access = "open"
legal_basis = "synthetic people, on this machine"
owner = "the demo"
expires = 2099-12-31
"""
ACCOUNT = "reader"
PERSON = "demo"
"""The account of the person who looks at the console."""
CHAT_SECONDS = 120.0
"""The time limit for reading the whole chat, even on a busy machine."""
SECONDS_APART = 2
"""The time between two messages of the chat."""


def configuration(tenant: str, port: int = 0) -> str:
    """Return an `ullage.toml` with one tenant of the demo's brand.

    Metrics use free ports; `port` is that of the page, 0 for a free one. The tenant's table comes
    last, so that appended lines belong to it.
    """
    return CONFIG.format(tenant=tenant, brand=BRAND, port=port)


def site(
    platform: str,
    url: str,
    category: str,
    *,
    revisit: int = 30,
    delay: float = 0.0,
    concurrency: int = 8,
) -> str:
    """Return the TOML of a site on loopback; `revisit` and `delay` are in seconds."""
    return SITE.format(
        platform=platform,
        url=url,
        category=category,
        revisit=revisit,
        delay=delay,
        concurrency=concurrency,
    )


def canary(port: int, interval: int = 60) -> str:
    """Return the settings of a canary, to be appended to `configuration`.

    It posts every `interval` seconds, from a site on `port`.
    """
    return CANARY.format(port=port, interval=interval)


def environment(log_level: str) -> dict[str, str]:
    """Return the environment of a command that ends with this process.

    It logs from the level `log_level` on.
    """
    return {**os.environ, SUPERVISOR: str(os.getpid()), "ULLAGE_LOG_LEVEL": log_level}


class Ullage:
    """The product's command line on one data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def __call__(self, *words: str, text: str = "") -> str:
        """Run `ullage WORDS` and return its standard output; UllageError with its last line."""
        done = subprocess.run(
            command(self.data, *words),
            input=text,
            capture_output=True,
            text=True,
            env=environment("warning"),
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
            raise UllageError(f"`ullage {words[0]}` failed: {last.removeprefix('ullage: ')}")
        return done.stdout


def fresh(folder: Path) -> Path:
    """Create an empty folder, and remove what an earlier demo left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_customers(path: Path, customers: Iterable[Person]) -> None:
    """Write synthetic people as a bank exports its customers: CSV in GB18030."""
    with path.open("w", encoding="gb18030", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("customer_ref", "name", "phone", "resident_id", "card", "email"))
        writer.writerows(person.row() for person in customers)


def configure(ullage: Ullage, plan: Plan, parts: Parts, port: int, more: str = "") -> None:
    """Set up the data folder: `ullage.toml`, `init`, the store's password and the customer list.

    The configuration consists of the tenant, the bus and store of `parts`, the page on `port`, and
    the lines `more`. An existing `ullage.toml` is replaced. The customer file is deleted after it
    was loaded.
    """
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
    """Create an account with every role that one person may have; return name and password."""
    name, password = PERSON, "-".join(secrets.token_hex(3) for _ in range(3))
    roles = [word for role in ("lead", "dpo", "operator") for word in ("--role", role)]
    ullage(
        "user",
        "add",
        name,
        *roles,
        "--all-tenants",
        "--own",
        "--password-file",
        "-",
        text=f"{password}\n",
    )
    return name, password


def add_sites(ullage: Ullage, pastes: str, forum: Forum) -> None:
    """Write the two site files: nothing else is needed to watch a site with a preset."""
    folder = ullage.data / "sites.d"
    for name, url, category in ((PASTES, pastes, "paste"), (FORUM, forum.url, "forum")):
        (folder / f"{name}.toml").write_text(
            site(PRESETS[name], f"{url}/", category), encoding="utf-8"
        )


def post(plan: Plan, pastes: str, forum: Forum, told: Callable[[], None]) -> None:
    """Submit every planned post through the sites' own forms; call `told` after each."""
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


def said_in_chat(plan: Plan, now: datetime) -> list[Said]:
    """Return the messages of the chat; the last one was sent at `now`."""
    said = [planted for planted in plan.posts if planted.site == CHAT]
    senders = {
        author: f"member{number}"
        for number, author in enumerate(dict.fromkeys(one.author for one in said))
    }
    first = now.timestamp() - SECONDS_APART * (len(said) - 1)
    return [
        Said(senders[one.author], one.body, first + SECONDS_APART * number)
        for number, one in enumerate(said)
    ]


def chat(ullage: Ullage, room: Room) -> dict[str, Any]:
    """Read the chat as users do: with a channel file, an account's secret and a running collector.

    The collector runs until it has read all messages, at most CHAT_SECONDS (2 min). Returns the
    state of the chat that `ullage collect` then reports. Raises UllageError if it has not read all.
    """
    (ullage.data / "channels.d").mkdir(exist_ok=True)
    (ullage.data / "channels.d" / f"{CHAT}.toml").write_text(
        CHANNEL.format(address=room.address), encoding="utf-8"
    )
    write_secret(
        ullage.data / "keys" / "collect" / ACCOUNT,
        f"{room.url}\n@{ACCOUNT}:localhost\n{room.token}",
    )
    words = command(ullage.data, "collect", "matrix")
    with subprocess.Popen(
        words, env=environment("error"), stderr=subprocess.PIPE, text=True
    ) as collector:
        try:
            deadline = time.monotonic() + CHAT_SECONDS
            while (told := chat_standing(ullage))["messages"] < len(room.said) or told[
                "state"
            ] != "ok":
                if collector.poll() is not None or time.monotonic() > deadline:
                    collector.terminate()
                    why = collector.communicate()[1].strip().rpartition("\n")[2]
                    raise UllageError(
                        f"`ullage collect matrix` has read {told['messages']} of {len(room.said)}"
                        f" messages: {why}"
                    )
            return told
        finally:
            collector.terminate()


def chat_standing(ullage: Ullage) -> dict[str, Any]:
    """Return the state of the chat that `ullage collect` reports.

    Raises UllageError if there is none.
    """
    done = subprocess.run(
        command(ullage.data, "collect", "--json"), capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    if not lines:
        raise UllageError(
            "`ullage collect` does not report the chat:"
            f" {done.stderr.strip().rpartition(chr(10))[2]}"
        )
    told: dict[str, Any] = json.loads(lines[0])
    return told
