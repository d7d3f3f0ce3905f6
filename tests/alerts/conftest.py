"""A store, in the data folder where the commands look for it, the page over it, and a log of the test's own."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from alerts.search.app import create_app
from alerts.store import IncidentStore, open_store
from tests.alerts.browser import HOST, Browser
from ullage import keys, log
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
    """The page, with the keys of tenant `bank`."""
    keys.make_tenant(context.keys, "bank")
    return Browser(create_app(context, store, registry, frozenset({HOST})))


@pytest.fixture(autouse=True)
def logged() -> io.StringIO:
    """What is logged; a command that an earlier test ran has left the log at a stream that is closed."""
    stream = io.StringIO()
    log.configure("debug", stream)
    return stream
