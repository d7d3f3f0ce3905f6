"""What systemd makes of the units: settings of a section with their drop-ins, and a service run
as they say.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
COMMON = UNITS / "ullage-.service.d" / "hardening.conf"
PROGRAM = "/opt/ullage/bin/ullage"
CONFINED = Path(__file__).with_name("confined.py")
SETTING = re.compile(r"^(\w+)=(.*)$", re.MULTILINE)
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))


def unable(why: str) -> None:
    """Skip what cannot be tried here; fail in CI."""
    pytest.fail(why, pytrace=False) if os.environ.get("CI") else pytest.skip(why)


def need(program: str, package: str) -> str:
    found = shutil.which(program)
    if found is None:
        unable(f"{program} is not there: apt install {package}")
    return str(found)


@dataclass(frozen=True)
class Unit:
    """One service: every value that each setting is given, in the order in which systemd reads
    them.
    """

    name: str
    values: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str, *more: Path) -> "Unit":
        role = name.removesuffix(".service")
        files = [UNITS / name, COMMON, *sorted((UNITS / f"{role}.service.d").glob("*.conf")), *more]
        values: dict[str, list[str]] = {}
        for file in files:
            for key, value in SETTING.findall(file.read_text(encoding="utf-8")):
                held = values.setdefault(key, [])
                if not value:
                    held.clear()
                held.append(value)
        return cls(name, values)

    @property
    def prefix(self) -> str:
        """What %p stands for."""
        return self.name.removesuffix(".service").partition("@")[0]

    def last(self, key: str) -> str:
        return self.values[key][-1].replace("%p", self.prefix)

    def calls(self) -> list[str]:
        """System calls that may be made."""
        allowed: set[str] = set()
        for value in self.values["SystemCallFilter"]:
            named = {call for word in value.removeprefix("~").split() for call in members(word)}
            allowed = allowed - named if value.startswith("~") else allowed | named
        return sorted(allowed | members("@default"))

    def namespaces(self) -> list[str]:
        return [
            word
            for value in self.values["RestrictNamespaces"]
            if value not in {"yes", ""}
            for word in value.split()
        ]

    def credentials(self) -> dict[str, str]:
        """Name in the service to name in /etc/credstore."""
        return dict(value.split(":") for value in self.values.get("LoadCredential", []))


@cache
def members(word: str) -> frozenset[str]:
    """Return the calls of a set such as @system-service, or the call itself."""
    if not word.startswith("@"):
        return frozenset([word])
    said = subprocess.run(
        [need("systemd-analyze", "systemd"), "syscall-filter", word],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = (line.strip() for line in said.stdout.splitlines()[1:])
    return frozenset(
        call for line in lines if line and not line.startswith("#") for call in members(line)
    )


def start(
    unit: Unit,
    user: int,
    data: Path,
    words: list[str],
    credentials: Path | None = None,
    program: list[str] | None = None,
) -> subprocess.Popen[str]:
    """`ullage --data DATA WORDS`, or `program`, as the unit would have it run, as this user (a
    number: none needs to be made).
    """
    program = program or [sys.executable, "-m", "ullage", "--data", str(data)]
    told = {
        "user": user,
        "group": user,
        "groups": [],
        "umask": unit.last("UMask"),
        "folder": str(data),
        "mdwe": unit.last("MemoryDenyWriteExecute") == "yes",
        "calls": unit.calls(),
        "families": unit.last("RestrictAddressFamilies").split(),
        "namespaces": unit.namespaces(),
        "reads": [sys.base_prefix, sys.prefix, str(UNITS.parents[1])],
        "words": [*program, *words],
        "environment": {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "XDG_CACHE_HOME": str(data / "cache"),
            "ULLAGE_LOG_LEVEL": "info",
            **({"CREDENTIALS_DIRECTORY": str(credentials)} if credentials else {}),
        },
    }
    line = [sys.executable, str(CONFINED), json.dumps(told)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
