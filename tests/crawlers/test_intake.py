"""`POST /v1/captures`: 202 after the durable append, once a key, 429 as back-pressure, and
nothing repeated of what was sent.
"""

import asyncio
import contextlib
import difflib
import json
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry

from crawlers.intake import requests
from crawlers.intake.feed import IntakeWriter
from crawlers.intake.requests import SMALL, Captures, describe_service
from crawlers.intake.server import MOST_WAITING_BYTES, TOKEN, IntakeService
from crawlers.intake.submission import SHOWN
from crawlers.metrics import IntakeMetrics
from crawlers.publishing.batching import PatientAppends
from deploy.local.certificates import make_certificates
from tests.crawlers.conftest import Station
from ullage.bus import PartitionPosition
from ullage.errors import CorruptError, Exit, RecordError, UnavailableError
from ullage.settings import Context, IntakeSettings

SECRET = "13800138000"
POST = {"site": "chat", "channel": "c", "message_id": "1", "text": f"内料 {SECRET}"}


class House:
    """The service over the data folder's own bus."""

    def __init__(self, context: Context) -> None:
        self.context, self.bus, self.registry = context, context.bus(), CollectorRegistry()
        feed = IntakeWriter.of(context)
        metrics = IntakeMetrics(self.registry, context.clock)
        self.appends = PatientAppends(
            self.bus, feed.outbox, context.clock, metrics.loop, metrics.captures, 3600.0
        )
        self.feed, self.stop = feed, threading.Event()
        self.service = IntakeService.of(
            context, Captures(feed, self.appends, metrics.refused), metrics, self.stop
        )
        self.token = (context.keys.root / TOKEN).read_text().strip()

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.service, raise_app_exceptions=True)
        return httpx.AsyncClient(
            transport=transport,
            base_url="http://127.0.0.1",
            headers={"Authorization": f"Bearer {self.token}"},
        )

    def call(self, act: Callable[[httpx.AsyncClient], object]) -> object:
        async def run() -> object:
            self.appends._broken = asyncio.Event()  # of this loop
            async with self.client() as client, self.alive():
                return await act(client)

        return asyncio.run(run())

    @contextlib.asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """Run the service from its server's start to its end."""
        incoming, outgoing = asyncio.Queue(), asyncio.Queue()
        living = asyncio.create_task(self.service({"type": "lifespan"}, incoming.get, outgoing.put))
        incoming.put_nowait({"type": "lifespan.startup"})
        assert await outgoing.get() == {"type": "lifespan.startup.complete"}
        yield
        incoming.put_nowait({"type": "lifespan.shutdown"})
        assert await outgoing.get() == {"type": "lifespan.shutdown.complete"}
        await living

    def post(self, content: object = POST, **headers: str) -> httpx.Response:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        all_headers = {
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return self.call(
            lambda client: client.post("/v1/captures", content=body, headers=all_headers)
        )


@pytest.fixture
def house(context: Context) -> Iterator[House]:
    running = House(context)
    yield running
    running.appends.on_bus.close()
    running.bus.close()


def test_accepted_post_is_on_the_bus(house: House, station: Station) -> None:
    answer = house.post()
    assert (answer.status_code, answer.json()) == (
        202,
        {"accepted": 1, "refused": [], "unknown_fields": []},
    )
    (capture,) = station.captures()
    assert (capture.body.decode(), capture.channel, capture.message_id, capture.kind) == (
        POST["text"],
        "c",
        "1",
        "message",
    )


def test_items_of_lines_and_arrays_are_accepted_separately(house: House, station: Station) -> None:
    posts = [POST, {"site": "x"}, {**POST, "message_id": "2", "views": 1}, SECRET]
    lines = b"\n".join(json.dumps(post).encode() for post in posts)
    for answer in (house.post(posts), house.post(lines, content_type="application/x-ndjson")):
        reply = answer.json()
        assert (answer.status_code, reply["accepted"], reply["unknown_fields"]) == (
            202,
            2,
            ["views"],
        )
        assert [post["line"] for post in reply["refused"]] == [2, 4]
        assert SECRET not in answer.text
    assert len(station.captures()) == 4


@pytest.mark.parametrize(
    "body",
    [{"site": "x"}, [], b"[", b"", b'{"site"', [SECRET], {"site": SECRET, "text": {"x": SECRET}}],
)
def test_fully_invalid_body_is_400_and_not_echoed(
    house: House, station: Station, body: object
) -> None:
    answer = house.post(body)
    assert answer.status_code == 400
    assert SECRET not in answer.text
    assert station.captures() == []


def test_internal_error_is_500_without_request_content(house: House, monkeypatch) -> None:
    monkeypatch.setattr(house.service, "door", None)
    answer = house.post()
    assert (answer.status_code, answer.json()) == (500, {"error": "internal error; see the log"})
    assert house.registry.get_sample_value("ullage_intake_requests_total", {"status": "5xx"}) == 1


def test_idempotency_key_is_accepted_once_and_only_with_its_body(
    house: House, station: Station
) -> None:
    first, again = house.post(idempotency_key="k-1"), house.post(idempotency_key="k-1")
    assert (first.status_code, again.status_code, again.json()) == (202, 202, first.json())
    assert house.post({**POST, "text": "other"}, idempotency_key="k-1").status_code == 422
    assert house.post(idempotency_key="two words").status_code == 400
    assert len(station.captures()) == 1


def test_token_is_required_and_wrong_ones_are_limited(house: House, station: Station) -> None:
    wrong = [
        house.post(authorization=value).status_code
        for value in ("", "Bearer x", f"Basic {house.token}")
    ]
    assert wrong == [401] * 3
    answers = [house.post(authorization="Bearer y") for _ in range(10)]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 0
    assert house.post().status_code == 202
    assert len(station.captures()) == 1


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/captures", {}, 405),
        ("POST", "/", {}, 404),
        ("POST", "/v1/captures", {"content-type": "text/plain"}, 415),
        (
            "POST",
            "/v1/captures",
            {"content-type": "application/json", "transfer-encoding": "chunked"},
            411,
        ),
        (
            "POST",
            "/v1/captures",
            {"content-type": "application/json", "content-length": "999999999"},
            413,
        ),
        ("GET", "/healthz", {"authorization": ""}, 200),
    ],
)
def test_other_requests_are_rejected_with_their_status(
    house: House, method: str, path: str, headers: dict, status: int
) -> None:
    answer = house.call(lambda client: client.request(method, path, headers=headers, content=b"{}"))
    assert answer.status_code == status


class BrokenPublisher:
    """A publisher that is down until it is told otherwise."""

    def __init__(self, real) -> None:
        self.real, self.up, self.tried = real, threading.Event(), threading.Event()

    def append(self, records) -> None:
        self.tried.set()
        if not self.up.is_set():
            raise UnavailableError("the bus is down")
        self.real.append(records)

    def close(self) -> None:
        self.real.close()


def test_answer_waits_for_the_append_and_excess_requests_get_429(
    house: House, station: Station
) -> None:
    down = house.feed.publisher = BrokenPublisher(house.feed.publisher)
    size = len(json.dumps(POST).encode())
    house.service.most_waiting = size + 1
    headers = {"content-type": "application/json"}

    async def act(client: httpx.AsyncClient) -> list[httpx.Response]:
        async def send(**more: str) -> httpx.Response:
            return await client.post(
                "/v1/captures", content=json.dumps(POST), headers={**headers, **more}
            )

        first = asyncio.create_task(send(**{"idempotency-key": "k"}))
        await asyncio.to_thread(down.tried.wait, 20)
        crowded = await send()
        house.service.most_waiting = MOST_WAITING_BYTES
        same = await send(**{"idempotency-key": "k"})
        assert not first.done()
        assert station.captures() == []
        down.up.set()
        return [await first, crowded, same]

    first, crowded, same = house.call(act)
    assert [answer.status_code for answer in (first, crowded, same)] == [202, 429, 409]
    assert crowded.headers["retry-after"] == "1"
    assert len(station.captures()) == 1


def test_sender_is_asked_to_retry_while_the_bus_is_down(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crawlers.intake.requests.WAIT_SECONDS", 0.05)
    house.feed.publisher = BrokenPublisher(house.feed.publisher)
    answer = house.post(idempotency_key="k")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert not house.service.captures._kept
    assert not house.service.captures._under_way
    assert house.appends._appends._waiting == [], (
        "what the sender was told to send again waits here no more"
    )


def test_failing_append_ends_the_service(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise CorruptError("captures.sqlite: is damaged")

    monkeypatch.setattr(house.feed.publisher, "append", broken)

    async def act(client: httpx.AsyncClient) -> int:
        answer = await client.post("/v1/captures", json=POST)
        await asyncio.to_thread(house.stop.wait, 20)
        return answer.status_code

    assert house.call(act) == 500
    assert house.stop.is_set()
    assert isinstance(house.service.fault, CorruptError)


def test_record_rejected_by_the_bus_is_the_senders_fault(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(_: object) -> None:
        raise RecordError("oversize")

    monkeypatch.setattr(house.feed.publisher, "append", too_large)
    assert house.post().status_code == 400
    assert not house.stop.is_set()


def test_process_with_a_failing_append_ends_with_the_reason(station: Station) -> None:
    with station.start("intake", intake__port="0", metrics_ports__intake="0") as process:
        url = process.stdout.readline().split()[-1]
        token = (station.data / "keys" / TOKEN).read_text().strip()
        for key in (station.data / "keys" / "seal").iterdir():
            key.unlink()
        assert (
            httpx.post(
                url, json=POST, headers={"Authorization": f"Bearer {token}"}, trust_env=False
            ).status_code
            == 500
        )
        _, output = process.communicate(timeout=60)
    assert process.returncode == Exit.USAGE
    assert "no encryption key in" in output.splitlines()[-1]


def test_nothing_is_accepted_while_match_is_too_far_behind(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.post()
    late = {0: PartitionPosition(0, 0, 1, house.context.clock.wall() - 7200)}
    monkeypatch.setattr(type(house.bus), "places", lambda *_: late)

    async def act(client: httpx.AsyncClient) -> httpx.Response:
        await house.appends._check_lag()
        return await client.post("/v1/captures", json=POST)

    answer = house.call(act)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")


def test_many_requests_are_made_durable_together(house: House, station: Station) -> None:
    async def act(client: httpx.AsyncClient) -> list[int]:
        posts = ({**POST, "message_id": str(number)} for number in range(60))
        return [
            answer.status_code
            for answer in await asyncio.gather(
                *(client.post("/v1/captures", json=post) for post in posts)
            )
        ]

    assert house.call(act) == [202] * 60
    assert len({capture.post_id for capture in station.captures()}) == 60


def test_service_publishes_its_openapi_document(house: House) -> None:
    answer = house.call(lambda client: client.get("/v1/openapi.json")).json()
    assert answer == json.loads(json.dumps(describe_service(answer["info"]["version"])))
    assert set(answer["paths"]["/v1/captures"]["post"]["responses"]) == set(
        "202 400 401 409 413 415 422 429 503".split()
    )
    assert {"site", "text", "channel", "message_id", "forwarded_from"} <= set(
        answer["components"]["schemas"]["Post"]["properties"]
    )


def test_non_loopback_host_needs_tls(context: Context) -> None:
    for settings in ({"host": "0.0.0.0"}, {"certificate": "x"}, {"key": "x"}):
        with pytest.raises(ValueError, match="certificate and key"):
            IntakeSettings(**settings)
    assert IntakeSettings(host="0.0.0.0", certificate="c", key="k").host == "0.0.0.0"


def test_command_serves_tls_and_logs_no_content(station: Station) -> None:
    certificates = make_certificates()
    for name, content in (("c.pem", certificates.certificate), ("k.pem", certificates.key)):
        (station.data / name).write_bytes(content)
        (station.data / name).chmod(0o600)
    settings = {
        "intake__port": "0",
        "metrics_ports__intake": "0",
        "intake__certificate": "c.pem",
        "intake__key": "k.pem",
    }
    with station.start("intake", **settings) as process:
        url = process.stdout.readline().split()[-1]
        token = (station.data / "keys" / TOKEN).read_text().strip()
        trusted = ssl.create_default_context(cadata=certificates.authority.decode())
        with httpx.Client(verify=trusted) as client:
            for sent, status in ((token, 202), (SECRET * 4, 401)):
                assert (
                    client.post(
                        url, json=POST, headers={"Authorization": f"Bearer {sent}"}
                    ).status_code
                    == status
                )
        process.terminate()
        _, output = process.communicate(timeout=60)
    assert process.returncode == 0
    assert SECRET not in output
    assert len(station.captures()) == 1


def test_many_unknown_fields_cost_linear_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups = []
    real = difflib.get_close_matches
    monkeypatch.setattr(
        difflib, "get_close_matches", lambda *given: lookups.append(1) or real(*given)
    )
    fields = {
        f"field{chr(97 + n % 26)}{'abcdefghij'[n // 26 % 10]}{'x' * (n % 7)}"
        + "y" * (n // 260 % 17): n
        for n in range(9_000)
    }
    answer = house.post({**POST, **fields})
    assert (answer.status_code, len(answer.json()["unknown_fields"])) == (202, SHOWN)
    assert len(lookups) == SHOWN
    response = house.post(
        [
            {**POST, "message_id": f"{n}", **dict(list(fields.items())[n : n + 30])}
            for n in range(500)
        ]
    )
    assert (response.status_code, len(lookups)) == (202, 2 * SHOWN)
    assert house.post({**POST, **{f"f{n}": 1 for n in range(60_000)}}).status_code == 202


@pytest.mark.parametrize(
    "make_body",
    [
        lambda: json.dumps({**POST, **{f"f{n}": 1 for n in range(600_000)}}).encode(),
        lambda: b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        lambda: b"[" + b"{}," * 3_000_000 + b"{}]",
        lambda: b"\n" * 20_000_000,
        lambda: b'"' + b'\\"' * 5_000_000,
        lambda: b"[" + b'"a",' * 5_000_000 + b'"a"]',
        lambda: b"{" * 10_000_000,
    ],
    ids=["fields", "nested", "objects", "lines", "quotes", "strings", "begun"],
)
def test_hostile_body_is_rejected_in_linear_time(
    house: House, make_body: Callable[[], bytes]
) -> None:
    body = make_body()
    began = time.process_time()
    for media_type in ("application/json", "application/x-ndjson"):
        assert house.post(body, content_type=media_type).status_code == 400
    assert time.process_time() - began < 2 + len(body) / 2e6, (
        "2 MB in a second of processor time, at least"
    )


def test_other_requests_are_answered_while_a_large_body_is_read(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    real = requests.parse_posts

    def slow(media_type: str, body: bytes):
        if len(body) > SMALL:
            begun.set()
            assert go.wait(60)
        return real(media_type, body)

    monkeypatch.setattr(requests, "parse_posts", slow)
    large, small = {**POST, "text": "x" * 2 * SMALL}, {**POST, "message_id": "2"}

    async def both(client: httpx.AsyncClient) -> tuple[int, int]:
        waiting = asyncio.create_task(client.post("/v1/captures", json=large))
        await asyncio.to_thread(begun.wait, 60)
        answered = await client.post("/v1/captures", json=small)
        go.set()
        return answered.status_code, (await waiting).status_code

    assert house.call(both) == (202, 202)


def test_remembered_answers_are_limited_in_bytes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "MOST_KEPT_BYTES", 50_000)
    wrong = [{**POST, "message_id": "1"}, *({"site": "x"} for _ in range(200))]
    for n in range(10):
        assert house.post(wrong, idempotency_key=f"k{n}").status_code == 202
    captures = house.service.captures
    assert 0 < captures._kept_bytes <= 50_000
    assert captures._kept_bytes == sum(stored.size for stored in captures._kept.values())
    assert 0 < len(captures._kept) < 10
    again = house.post(wrong, idempotency_key="k9")
    assert (again.status_code, len(again.json()["refused"])) == (202, 200)
