"""A store, in the data folder where the commands look for it, the page over it, and a log of the test's own."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from alerts.lookup.exposed import index_tags
from alerts.records import incident_id
from alerts.search.app import create_app
from alerts.search.door import token_of
from alerts.store import IncidentStore, open_store
from tests.alerts.browser import HOST, PHONE, Browser
from tests.alerts.builders import finding, fold_all, handle
from tests.factories import match
from ullage import log
from ullage.security import keys
from ullage.security.masking import Secret
from ullage.settings import Context


@pytest.fixture
def store(data: Path) -> Iterator[IncidentStore]:
    opened = open_store("sqlite:///incidents.sqlite", data)
    yield opened
    opened.close()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def browser(store: IncidentStore, context: Context, registry: CollectorRegistry) -> Browser:
    """The page, with the keys of tenant `bank`, where somebody has logged in."""
    keys.make_tenant(context.keys, "bank")
    opened = Browser(create_app(context, store, registry, frozenset({HOST})))
    assert opened.log_in(token_of(context.keys)).status_code == 303
    return opened


@pytest.fixture
def leaked(store, clock, context, browser) -> str:
    """One incident, in which the owner of PHONE is."""
    tag = index_tags(context.keys.read("bank/index-1.key"), "bank", "phone", Secret(PHONE))[0]
    told = finding("f", range(10), capture={"title": "内料 四件套", "url": "https://paste.example/1"})
    found = match(subject=handle("a"), index_tag=tag)
    fold_all(store, clock, [told.model_copy(update={"matches": (found,), "alarm": False})])
    return incident_id("f")


@pytest.fixture(autouse=True)
def logged() -> io.StringIO:
    """What is logged; a command that an earlier test ran has left the log at a stream that is closed."""
    stream = io.StringIO()
    log.configure("debug", stream)
    return stream
