"""Whether a role that runs on this machine says that it is ready: its /readyz, on loopback."""

from __future__ import annotations

import urllib.request
from urllib.error import HTTPError

from ullage.errors import ConfigError
from ullage.monitoring.loopback import HOST
from ullage.settings import Settings

READY = "ready"
ANSWER_SECONDS = 5.0
ROLES = ("crawl", "match", "alert", "search", "intake", "collect")
SERVICES = ("matrix", "xmpp", "telegram", "imap")


def port_of(settings: Settings, words: str) -> int:
    """Where the role with this command serves its metrics; 0 where nobody can know. ConfigError where there is no such role."""
    role, _, service = words.partition(" ")
    if role not in ROLES or (service not in SERVICES if role == "collect" else service):
        raise ConfigError(f"there is no role {words}: say one of {', '.join(ROLES)}, the last with one of {', '.join(SERVICES)}")
    if not settings.metrics and role != "search":
        return 0
    section = getattr(settings, role)
    names = {"intake": "metrics_port", "collect": f"{service}_port"}
    return int(getattr(section, names.get(role, "port")))


def of(settings: Settings, words: str) -> str:
    """`READY`, or what speaks against it."""
    port = port_of(settings, words)
    if not port:
        return "not asked: its port is 0, or no metrics are served"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{HOST}:{port}/readyz", timeout=ANSWER_SECONDS):
            return READY
    except HTTPError as error:
        error.close()
        return "not ready: it waits for what it works on"
    except OSError:
        return "does not answer"
