"""Scrapy is only a fetcher: what it would do beyond that is off, and every name that we set is
one that it knows.
"""

import json
import logging
import subprocess
import sys

import pytest
from scrapy.settings import Settings, default_settings
from scrapy.utils.misc import load_object

from crawlers.fetching.scrapy_setup import build_settings
from tests.crawlers.support import make_site
from ullage.settings import CrawlSettings

CRAWL = CrawlSettings(download_seconds=7, download_bytes=1000, user_agent="honest")


@pytest.fixture
def settings() -> Settings:
    return Settings(
        build_settings(
            CRAWL,
            make_site(delay_seconds=1.5, concurrency=2, robots=False, verify_certificates=False),
        )
    )


def test_every_setting_exists_in_scrapy() -> None:
    assert [
        name for name in build_settings(CRAWL, make_site()) if not hasattr(default_settings, name)
    ] == []


@pytest.mark.parametrize(
    "kind", ["EXTENSIONS_BASE", "SPIDER_MIDDLEWARES_BASE", "DOWNLOADER_MIDDLEWARES"]
)
def test_disabled_components_exist_and_enabled_ones_load(kind: str) -> None:
    for path, place in build_settings(CRAWL, make_site())[kind].items():
        assert load_object(path)
        assert place is not None or path in getattr(
            default_settings, f"{kind.removesuffix('_BASE')}_BASE"
        )


@pytest.mark.parametrize(
    "name",
    [
        "REMOTE_CONTROL_ENABLED", "TELNETCONSOLE_ENABLED", "COOKIES_ENABLED", "RETRY_ENABLED",
        "METAREFRESH_ENABLED",
        "HTTPPROXY_ENABLED", "LOG_ENABLED",
    ],
)  # fmt: skip
def test_unwanted_feature_is_off(settings: Settings, name: str) -> None:
    assert settings.getbool(name) is False


def test_only_http_is_supported(settings: Settings) -> None:
    spoken = [
        scheme for scheme, handler in settings.getwithbase("DOWNLOAD_HANDLERS").items() if handler
    ]
    assert sorted(spoken) == ["http", "https"]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [("EXTENSIONS", "AutoThrottle"), ("SPIDER_MIDDLEWARES", "RefererMiddleware")],
)
def test_scrapy_defaults_are_removed(settings: Settings, kind: str, wanted: str) -> None:
    assert [
        path.rpartition(".")[2]
        for path, place in settings.getwithbase(kind).items()
        if place is not None
    ] == [wanted]


def test_limits_and_pace_come_from_the_configuration(settings: Settings) -> None:
    assert (
        settings["DOWNLOAD_TIMEOUT"],
        settings["DOWNLOAD_MAXSIZE"],
        settings["REDIRECT_MAX_TIMES"],
    ) == (
        7,
        1000,
        5,
    )
    assert (
        settings["DOWNLOAD_DELAY"],
        settings["CONCURRENT_REQUESTS"],
        settings["USER_AGENT"],
    ) == (
        1.5,
        2,
        "honest",
    )
    assert (
        settings["ROBOTSTXT_OBEY"],
        settings["DOWNLOAD_VERIFY_CERTIFICATES"],
        settings["AUTOTHROTTLE_ENABLED"],
    ) == (False, False, True)
    assert (settings["REFERRER_POLICY"], settings["JOBDIR"]) == ("no-referrer", None)


QUIET = """
import asyncio, logging, warnings
from twisted.internet.defer import fail
from crawlers.fetching.scrapy_setup import silence_libraries
from ullage import log
log.configure("debug")
silence_libraries()
secret = "http://board.example/13800138000"
for name in ("scrapy.core.engine", "twisted", "asyncio", "some.library"):
    logging.getLogger(name).error("Getting %s", secret)
    try:
        raise ValueError(secret)
    except ValueError:
        logging.getLogger(name).exception("while getting %s", secret)
logging.getLogger("some.library").warning("broken %s %s", secret)
logging.getLogger("scrapy").info(secret)
logger = __import__("twisted.logger").logger.Logger()
fail(KeyError(secret)).addErrback(lambda failure: logger.failure(secret, failure))
"""


def test_libraries_log_errors_without_content() -> None:
    result = subprocess.run(
        [sys.executable, "-c", QUIET], capture_output=True, text=True, check=True
    )
    assert "13800138000" not in result.stdout + result.stderr
    lines = [
        (line["reason"], line["error"]) for line in map(json.loads, result.stderr.splitlines())
    ]
    assert ("scrapy.core.engine", "ValueError") in lines
    assert ("some.library", "WARNING") in lines
    assert ("twisted", "KeyError") in lines


def test_importing_the_stage_changes_no_logging() -> None:
    code = (
        "import logging, crawlers.scheduling.scheduler, crawlers.cli; assert not"
        " logging.getLogger().handlers"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert logging.raiseExceptions
