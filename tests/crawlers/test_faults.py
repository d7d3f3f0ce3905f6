"""Every fault of `faults.py` on every way to a site: what is said of it, what is read all the same,
and that nobody else pays.

A way is crawled twice, with all faults and sites in good health side by side in one process, and
what hangs in another that waits for it no longer than it must; `tests/faults.md` has the table.
"""

import contextlib
import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from crawlers.frontier.database import open_frontier
from deploy.local.certificates import make_certificates
from tests.crawlers.conftest import Station
from tests.crawlers.faults import FAULTS, HANGING, LIMIT, SECRET, TEXT, Fault, Tls, label, serving
from tests.crawlers.proxies import Http, Socks, proxying
from tests.crawlers.resolving import PUBLIC
from tests.warm import WarmProcess
from ullage import setup
from ullage.records import Capture
from ullage.settings import Context

pytestmark = pytest.mark.flow
DEADLINE = "8"
"""Seconds for what hangs: everything beside it has to be read by then on a busy machine as well."""
HEALTHY = [f"a healthy site {number}" for number in range(10)]
"""Enough that what hangs beside them is not blamed on the way out; the first is crawled with all
that does not hang.
"""
ALL = {**FAULTS, **dict.fromkeys(HEALTHY, Fault("", read={"bad0": None, "good0": None}, unread=0))}
DIRECT, TLS, PROXY, TUNNEL, SOCKS = (
    "direct",
    "TLS",
    "HTTP proxy",
    "HTTP proxy, TLS, own CA",
    "SOCKS5",
)
PROXIES = {PROXY: ("http", Http), TUNNEL: ("http", Http), SOCKS: ("socks5h", Socks)}


@dataclass
class VisitOutcome:
    """What came of a way: rows of `ullage sites`, captures by site and name, all output."""

    rows: dict[str, dict[str, Any]]
    captures: dict[str, dict[str, Capture]]
    output: str
    rests: dict[str, float]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    names = ("*.site.example", "*.site.onion")
    certificates = {
        "good": make_certificates(*names),
        "over": make_certificates(*names, until=dt.timedelta(minutes=-1)),
        "other": make_certificates("other.example"),
        "stranger": make_certificates(*names),
    }
    trusted = b"".join(
        certificate.authority for name, certificate in certificates.items() if name != "stranger"
    )
    pairs = {
        name: (certificate.certificate, certificate.key)
        for name, certificate in certificates.items()
    }
    return Tls(tmp_path_factory.mktemp("tls"), pairs, trusted)


FULL = [pytest.param(way, marks=pytest.mark.full) for way in (TLS, PROXY)]
"""`make test` leaves these out: in the others each fault is met with and without TLS, and by
either kind of proxy.
"""


@pytest.fixture(scope="module", params=[DIRECT, TUNNEL, SOCKS, *FULL])
def visit_outcome(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    tls: Tls,
    warm: WarmProcess,
) -> VisitOutcome:
    """Return the result of visiting all sites twice over this transport."""
    way, data = request.param, tmp_path_factory.mktemp("data") / "data"
    list(setup.initialise(Context(data)))
    station, secure = Station(data, warm), way in (TLS, TUNNEL)
    faults = {name: fault for name, fault in ALL.items() if secure or way == SOCKS or not fault.tls}
    with (
        serving(faults, tls, secure=secure) as ports,
        pytest.MonkeyPatch.context() as patch,
        contextlib.ExitStack() as stack,
    ):
        hosts = {
            name: f"{label(name)}.site.{'onion' if way == SOCKS else 'example'}" for name in faults
        }
        station.names = [f"{host}={PUBLIC}" for host in hosts.values()]
        if way in PROXIES:
            scheme, kind = PROXIES[way]
            proxy = stack.enter_context(proxying(kind))
            proxy.names = {hosts[name]: (PUBLIC, port) for name, port in ports.items()}
            proxy_table = f'address = "{scheme}://127.0.0.1:{proxy.port}"\nca = "{tls.bundle}"'
            config = data / "ullage.toml"
            config.write_text(f"{config.read_text()}\n[crawl.proxies.out]\n{proxy_table}\n")
        else:
            patch.setenv("SSL_CERT_FILE", str(tls.bundle))
        for name, fault in faults.items():
            place = hosts[name] if way in PROXIES else f"{hosts[name]}:{ports[name]}"
            scheme = "https" if secure or fault.tls else "http"
            more = 'proxy = "out"\n' if way in PROXIES else ""
            station.site(
                label(name),
                f"{scheme}://{place}/archive",
                more=f"allow_private = false\n{more}{fault.more}",
            )
        return VisitOutcome(*crawl(station))


def crawl(station: Station) -> Iterator[Any]:
    """Return the four parts of `VisitOutcome`."""
    there = {path.stem for path in (station.data / "sites.d").glob("*.toml")}
    hanging = sorted(there & set(map(label, [*HANGING, *HEALTHY[1:]])))
    limits = {"crawl__download_bytes": str(LIMIT), "crawl__concurrency": "16", "log_level": "debug"}
    log = ""
    for _ in range(2):
        with station.start(
            "crawl", *hanging, "--once", crawl__download_seconds=DEADLINE, **limits
        ) as waiting:
            log += station.run(
                "crawl",
                *sorted(there - {*hanging}),
                "--once",
                exits=1,
                crawl__download_seconds="60",
                **limits,
            )
            log += "".join(waiting.communicate())
    yield {row["site"]: row for row in map(json.loads, station.run("sites", "--json").splitlines())}
    captures: dict[str, dict[str, Capture]] = {}
    for capture in station.captures():
        captures.setdefault(capture.site, {})[capture.post_id] = capture
    yield captures
    yield log
    context = Context(station.data)
    with contextlib.closing(open_frontier(context)) as frontier:
        now = context.clock.wall()
        yield {label(name): frontier.visits(label(name)).due_at - now for name in ALL}


@pytest.mark.parametrize("name", ALL)
def test_fault_is_reported_and_affects_no_other_site(
    visit_outcome: VisitOutcome, name: str
) -> None:
    site, fault = label(name), ALL[name]
    if site not in visit_outcome.rows:
        pytest.skip("of TLS, and this way has none")
    row = visit_outcome.rows[site]
    assert (row["state"], row["reason"]) == (fault.state, fault.reason)
    captures = visit_outcome.captures.get(site, {})
    assert {number: capture.body for number, capture in captures.items()} == {
        number: TEXT if body is None else body for number, body in fault.read.items()
    }
    assert {number for number, capture in captures.items() if capture.truncated} == (
        {"bad0"} if fault.cut else set()
    )
    assert row["due"] + row["parked"] == fault.unread, "what was not read is read later"
    if fault.revisit:
        assert fault.revisit[0] <= visit_outcome.rests[site] <= fault.revisit[1]


def test_faults_print_no_page_content_and_no_traceback(visit_outcome: VisitOutcome) -> None:
    assert "Traceback" not in visit_outcome.output
    assert SECRET not in visit_outcome.output
