"""Starts paste programs that list no pastes on free loopback ports, and puts pastes up by their
interfaces: pinnwand, dpaste.

Each is a context like those of `programs`; it yields the program's address, and what puts files up
and returns where they are. Both come from PyPI, dpaste into an environment of its own, since it
needs an old Django.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from deploy.local.programs import LOG, run
from deploy.local.server import HOST, free_ports, running

DPASTE_REQUIREMENTS = Path(__file__).with_name("requirements-dpaste.txt")
PINNWAND_SERVE = """\
import asyncio, sys
from pinnwand import configuration
configuration.paste_size, configuration.database_uri = 4194304, "sqlite:///pinnwand.sqlite"
rate = {"capacity": 10000, "consume": 1, "refill": 10000}
configuration.ratelimit = {name: dict(rate) for name in ("create", "read", "delete")}
from pinnwand import database
database.Base.metadata.create_all(database._engine)
from pinnwand.http import make_application
async def main():
    make_application().listen(int(sys.argv[1]), address="127.0.0.1")
    await asyncio.Event().wait()
asyncio.run(main())
"""
DPASTE_SETTINGS = """\
from dpaste.apps import dpasteAppConfig
from dpaste.settings.base import *
SECRET_KEY, DEBUG, ALLOWED_HOSTS = {secret!r}, False, ["127.0.0.1"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = False
STATICFILES_STORAGE = "django.contrib.staticfiles.storage.StaticFilesStorage"
class App(dpasteAppConfig):
    @staticmethod
    def get_base_url(request=None):
        return {url!r}
INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "dpaste.apps.dpasteAppConfig"]
INSTALLED_APPS += ["local_settings.App"]
"""
Paste = Callable[[Mapping[str, str]], str]
"""Puts files, by name, up as one paste, and returns its address."""


@contextlib.contextmanager
def pinnwand(binaries: Path, work: Path) -> Iterator[tuple[str, Paste]]:
    """Run pinnwand; a paste may be of several files."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "serve.py").write_text(PINNWAND_SERVE, encoding="ascii")
    (port,) = free_ports(1)
    url = f"http://{HOST}:{port}"

    def paste(files: Mapping[str, str]) -> str:
        listed = [{"name": name, "lexer": "text", "content": text} for name, text in files.items()]
        body = json.dumps({"expiry": "1week", "files": listed}).encode()
        return _post_json(f"{url}/api/v1/paste", body, "application/json")["link"]

    environment = {"PYTHONPATH": os.fspath(work)}
    with running(
        "pinnwand", [str(binaries / "python"), "serve.py", str(port)], work / LOG, environment, port
    ):
        yield url, paste


@contextlib.contextmanager
def dpaste(binaries: Path, work: Path) -> Iterator[tuple[str, Paste]]:
    """Run dpaste; of several files each is a paste, and the last one's address is returned."""
    work.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    url, database = f"http://{HOST}:{port}", f"sqlite:///{(work / 'dpaste.sqlite').absolute()}"
    (work / "local_settings.py").write_text(
        DPASTE_SETTINGS.format(secret=secrets.token_hex(32), url=url), encoding="ascii"
    )
    environment = {
        "DATABASE_URL": database,
        "PYTHONPATH": os.fspath(work),
        "DJANGO_SETTINGS_MODULE": "local_settings",
    }
    django = [str(binaries / "python"), "-m", "django"]
    run([*django, "migrate", "-v0"], work, environment)

    def paste(files: Mapping[str, str]) -> str:
        link = ""
        for name, text in files.items():
            fields = {
                "content": text,
                "filename": name,
                "lexer": "_text",
                "format": "json",
                "expires": "never",
            }
            body = urllib.parse.urlencode(fields).encode()
            link = _post_json(f"{url}/api/", body, "application/x-www-form-urlencoded")["url"]
        return link

    with running(
        "dpaste",
        [*django, "runserver", "--noreload", f"{HOST}:{port}"],
        work / LOG,
        environment,
        port,
    ):
        yield url, paste


def _post_json(url: str, body: bytes, media_type: str) -> dict[str, str]:
    """Return the response of a program's interface."""
    request = urllib.request.Request(url, body, {"Content-Type": media_type})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        reply: dict[str, str] = json.loads(answer.read())
    return reply
