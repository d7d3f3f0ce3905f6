"""Start bepasty (pastes) and Spirit (forum) on free ports of loopback, and end them.

Each is a context manager: the program answers when the block begins, is ended when the block
ends, and is killed by the kernel if this process dies. An existing work folder is used again with
its posts. Linux ties a child to the *thread* that started it, so start them from a thread that
lives on.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.server import HOST, free_ports, running
from ullage.errors import UnavailableError
from ullage.files.atomic_write import wait_for_lock

SITE, LOG, STAMP = "a site program", "server.log", "installed.txt"
REQUIREMENTS = Path(__file__).with_name("requirements-sites.txt")
USER, GUEST, PASSWORD = "admin", "guest", "loopback-only"

BEPASTY_SETTINGS = """\
SITENAME = "loopback pastes"
STORAGE_FILESYSTEM_DIRECTORY = {store!r}
SECRET_KEY = {secret!r}
SESSION_COOKIE_SECURE = False
DEFAULT_PERMISSIONS = "list,create,read"
"""
SPIRIT_SETTINGS = """\
from .dev import *
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
SECRET_KEY = {secret!r}
LANGUAGE_CODE, TIME_ZONE, USE_TZ = "en", "UTC", True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ST_RATELIMIT_ENABLE = False
ST_DOUBLE_POST_THRESHOLD_MINUTES = 0
ST_COMMENT_MAX_LEN = 4_000_000
"""
SPIRIT_FILL = """\
import json, sys
from django.contrib.auth import get_user_model
from spirit.category.models import Category
users = get_user_model().objects
for user in {users!r}:
    if not users.filter(username=user).exists():
        users.create_superuser(user, user + "@example.test", {password!r})
found = [Category.objects.get_or_create(title=title)[0] for title in {categories!r}]
print(json.dumps({{category.title: category.pk for category in found}}))
"""


@dataclass(frozen=True, slots=True)
class Forum:
    """A running Spirit: its address, two accounts that may post, and its categories.

    `categories` holds their numbers by title.
    """

    url: str
    user: str
    guest: str
    password: str
    categories: Mapping[str, int]


def ensure_environment(folder: Path, requirements: Path | None = None) -> Path:
    """Return the `bin` of the virtual environment in `folder`, which holds the pinned programs.

    It is made, in about half a minute, if it does not exist, if making it was interrupted, or if
    `requirements` are others than then. Raises UnavailableError if the packages cannot be
    installed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    requirements = requirements or REQUIREMENTS
    with wait_for_lock(folder.with_name(folder.name + ".lock")):
        if not is_installed(folder, requirements):
            run([sys.executable, "-m", "venv", "--clear", str(folder)], folder.parent)
            pip = [
                str(folder / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ]
            run([*pip, "--requirement", str(requirements)], folder.parent)
            shutil.copyfile(requirements, folder / STAMP)
    return folder.resolve() / "bin"


def is_installed(folder: Path, requirements: Path = REQUIREMENTS) -> bool:
    """Return whether the environment in `folder` has the programs as they are pinned now."""
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_bytes() == requirements.read_bytes()


@contextlib.contextmanager
def bepasty(binaries: Path, work: Path) -> Iterator[str]:
    """Run bepasty with its pastes in `work`; yield its address, as `http://127.0.0.1:41234`.

    Raises UnavailableError if it does not start.
    """
    (work / "store").mkdir(parents=True, exist_ok=True)
    settings = work / "bepasty.conf"
    settings.write_text(
        BEPASTY_SETTINGS.format(store=str(work / "store"), secret=secrets.token_hex(32)),
        encoding="utf-8",
    )
    (port,) = free_ports(1)
    words = [str(binaries / "bepasty-server"), "--host", HOST, "--port", str(port)]
    with running(SITE, words, work / LOG, {"BEPASTY_CONFIG": str(settings)}, port):
        yield f"http://{HOST}:{port}"


@contextlib.contextmanager
def spirit(binaries: Path, work: Path, categories: Sequence[str] = ("General",)) -> Iterator[Forum]:
    """Run Spirit with its database in `work`, made on first use, and yield the forum.

    Its users and `categories` are created if they are missing. Raises UnavailableError if it does
    not start or a command fails.
    """
    work.mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}",
        "DJANGO_SETTINGS_MODULE": "board.settings.local",
    }
    project, python = work / "board", str(binaries / "python")
    if not project.is_dir():
        shutil.copytree(_install_spirit(binaries, environment), project)
    fill = SPIRIT_FILL.format(users=(USER, GUEST), password=PASSWORD, categories=list(categories))
    numbers = json.loads(
        run(
            [python, "manage.py", "shell", "-v", "0", "-c", fill], project, environment
        ).splitlines()[-1]
    )
    (port,) = free_ports(1)
    words = [python, "manage.py", "runserver", "--noreload", "--insecure", f"{HOST}:{port}"]
    with running(SITE, words, project / LOG, environment, port):
        yield Forum(f"http://{HOST}:{port}", USER, GUEST, PASSWORD, numbers)


def _install_spirit(binaries: Path, environment: Mapping[str, str]) -> Path:
    """Return the folder of an empty forum, from which new forums are copied.

    Creating its tables takes three seconds, so this is done one time.
    """
    board_folder = binaries.parent / "board"
    with wait_for_lock(board_folder.with_name("board.lock")):
        if not board_folder.is_dir():
            work = binaries.parent / "board-new"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            run([str(binaries / "spirit"), "startproject", "board"], work, environment)
            text = SPIRIT_SETTINGS.format(secret=secrets.token_hex(32))
            (work / "board" / "board" / "settings" / "local.py").write_text(text, encoding="utf-8")
            run(
                [str(binaries / "python"), "manage.py", "spiritinstall"],
                work / "board",
                environment,
            )
            (work / "board").rename(board_folder)
            work.rmdir()
    return board_folder


def run(
    words: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None, told: str = ""
) -> str:
    """Run a program to its end with the input `told`, and return what it printed.

    UnavailableError holds its last line if it failed.
    """
    process = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        input=told,
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        last = (process.stderr.strip() or process.stdout.strip()).rpartition("\n")[2]
        raise UnavailableError(f"{Path(words[0]).name} {' '.join(words[1:3])} failed: {last}")
    return process.stdout
