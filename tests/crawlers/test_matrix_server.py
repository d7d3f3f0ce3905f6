"""What a Matrix server says, and what it may say instead: refusals, nonsense, too much, not now."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from crawlers.collectors import matrix_server
from crawlers.collectors.matrix_server import ASKED_AGAIN, MatrixError, MatrixServer

Answers = list[web.Response]


def call(
    answers: Answers, act: Callable[[MatrixServer], Awaitable[Any]]
) -> tuple[Any, list[web.Request]]:
    """Return the result of `act` and the requests that it made.

    The server gives these answers one after the other, and then the last for ever.
    """
    requests = list[web.Request]()

    async def answer(request: web.Request) -> web.Response:
        requests.append(request)
        reply = answers[min(len(requests), len(answers)) - 1]
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

    async def run() -> Any:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server = MatrixServer(f"http://127.0.0.1:{runner.addresses[0][1]}/", "secret")
        try:
            return await act(server)
        finally:
            await server.close()
            await runner.cleanup()

    return asyncio.run(run()), requests


def expect_refusal(answer: web.Response) -> tuple[str, int]:
    async def act(server: MatrixServer) -> str:
        with pytest.raises(MatrixError) as error:
            await server.sync("")
        return error.value.reason

    reason, requests = call([answer], act)
    return reason, len(requests)


def json_answer(status: int, **content: object) -> web.Response:
    return web.json_response(content, status=status)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (json_answer(401, errcode="M_UNKNOWN_TOKEN"), "login"),
        (json_answer(404, errcode="M_NOT_FOUND"), "address"),
        (json_answer(403, errcode="M_FORBIDDEN", error="You are banned from this room"), "banned"),
        (json_answer(403, errcode="M_FORBIDDEN", error="You are not invited"), "closed"),
        (json_answer(403, errcode=["M_FORBIDDEN"], error=7), "service"),
        (json_answer(500, errcode="M_UNKNOWN"), "service"),
        (json_answer(200, rooms={}), "service"),
        (web.Response(status=502, text="<html>bad gateway</html>"), "service"),
        (web.Response(text='["next_batch"]'), "service"),
        (web.Response(text="[" * 100_000), "service"),
        (web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"}), "service"),
    ],
)
def test_error_answer_has_a_reason(answer: web.Response, reason: str) -> None:
    assert expect_refusal(answer) == (reason, 1)


def test_rate_limited_request_is_retried_and_then_reported() -> None:
    assert expect_refusal(json_answer(429, errcode="M_LIMIT_EXCEEDED", retry_after_ms=1)) == (
        "flood",
        ASKED_AGAIN + 1,
    )


def test_sync_sends_its_token_only_in_a_header() -> None:
    answers = [json_answer(429, retry_after_ms=1), json_answer(200, next_batch="s2")]
    result, requests = call(answers, lambda server: server.sync("s1"))
    assert result == {"next_batch": "s2"}
    assert [request.query["since"] for request in requests] == ["s1", "s1"]
    assert {request.headers["Authorization"] for request in requests} == {"Bearer secret"}
    assert "secret" not in str(requests[0].rel_url)


def test_room_name_is_one_path_segment() -> None:
    result, [request] = call(
        [json_answer(200, room_id="!1:b")], lambda server: server.join("#a/../b?c:d")
    )
    assert (result, request.raw_path) == ("!1:b", "/_matrix/client/v3/join/%23a%2F..%2Fb%3Fc:d")


def test_unpaired_surrogate_in_a_message_is_tolerated() -> None:
    result, _ = call(
        [web.Response(text='{"chunk": "\\ud83d"}')],
        lambda server: server.messages("!1:b", "p1", None, 10),
    )
    assert result == {"chunk": "?"}


def test_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_server, "MOST_BYTES", 1000)
    assert expect_refusal(json_answer(200, next_batch="x" * 2_000_000)) == ("service", 1)


def test_file_is_requested_with_login_and_from_the_older_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(matrix_server, "MAX_FILE_BYTES", 4)
    result, requests = call(
        [json_answer(404), web.Response(body=b"abcdefgh")],
        lambda server: server.file("mxc://b:1/../x"),
    )
    assert result == b"abcde", "a byte more than is read, so that it is known to be too large"
    assert [request.raw_path for request in requests] == [
        "/_matrix/client/v1/media/download/b:1/..%2Fx",
        "/_matrix/media/v3/download/b:1/..%2Fx",
    ]


@pytest.mark.parametrize("address", ["", "None", "https://b/x", "mxc:///x"])
def test_invalid_file_address_is_not_requested(address: str) -> None:
    assert call([json_answer(200)], lambda server: server.file(address)) == (None, [])
