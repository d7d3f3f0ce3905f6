"""Every kind of channel against a server that answers as the real one does, good and bad."""

import base64
import contextlib
import json
import logging
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from urllib.parse import parse_qs, urlsplit

import pytest

from alerts.http_post import UndeliveredError, post
from alerts.notify import MessageEntry, compose_message
from alerts.notify.channels import load_kinds, open_channel
from alerts.notify.channels.by_apprise import ByApprise
from alerts.notify.channels.robots import sign
from alerts.notify.channels.webhook import read_key, signature
from deploy.local.certificates import make_certificates
from deploy.local.webhook import Receiver, new_key
from tests.conftest import NOON
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.security.keys import KeyStore
from ullage.settings import NotifySettings

KEY = new_key()
TOKEN = "0123456789abcdef0123456789abcdef"
TOLD = compose_message(
    "msg_1",
    [MessageEntry("INC-A", "high", "new", "https://page.example/incidents/INC-A", language="en")],
    "https://page.example",
)


def open_soc(tmp_path, kind: str, *lines: str):
    """Open the channel `soc` of that kind, whose secret file holds `lines`."""
    folder = tmp_path / "keys" / "notify"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "soc").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "soc").chmod(0o600)
    settings = NotifySettings.model_validate({"channels": {"soc": {"kind": kind}}})
    return open_channel("soc", settings, KeyStore(tmp_path / "keys"), Clock(wall=lambda: NOON))


def robot(receiver: Receiver, kind: str) -> str:
    return receiver.url + {"dingtalk": f"?access_token={TOKEN}", "wecom": f"?key={TOKEN}"}[kind]


# --- our own webhook


def test_webhook_sends_signed_json_with_minimal_facts(tmp_path, receiver):
    open_soc(tmp_path, "webhook", receiver.url, KEY).send(TOLD)
    [got] = receiver.received
    assert got.signed_with(KEY)
    assert not got.signed_with(new_key())
    assert (got.headers["webhook-id"], got.headers["webhook-timestamp"]) == (
        "msg_1",
        str(int(NOON)),
    )
    assert got.json == {
        "type": "ullage.incidents",
        "id": "msg_1",
        "page": "https://page.example/",
        "language": "en",
        "incidents": [
            {
                "id": "INC-A",
                "severity": "high",
                "why": "new",
                "url": "https://page.example/incidents/INC-A",
            }
        ],
    }


def test_signature_agrees_with_the_standard_webhooks_example():
    key = b"01234567890123456789012345678901"
    # made with the specification's own Python library, standardwebhooks 1.1.0
    signed = signature(key, "msg_1", "1790000000", b'{"type":"ullage.incidents"}')
    assert signed == "v1,BR+RZG2fmWmO/pNfGswF5uDE8qz8CUerfijzB/9ff5M="


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, {}, b""), "answers 500"),
        ((404, {}, b""), "answers 404"),
        ((302, {"Location": "http://127.0.0.1:9/"}, b""), "answers 302"),
        ((200, {}, b'{"ok": false, "why": "no such token"}'), '"ok": false'),
    ],
)
def test_any_other_status_is_a_definite_failure(tmp_path, receiver, answer, said):
    receiver.answer = lambda _: answer
    with pytest.raises(UndeliveredError, match=said) as failed:
        open_soc(tmp_path, "webhook", receiver.url, KEY).send(TOLD)
    assert not failed.value.maybe
    assert "token" not in str(failed.value)
    assert len(receiver.received) == 1  # a redirect is not followed


@pytest.mark.parametrize("body", [b"", b"ok", b"[1]", b'{"ok": true}', b"\xff"])
def test_any_body_of_a_2xx_is_accepted(tmp_path, receiver, body):
    receiver.answer = lambda _: (202, {}, body)
    open_soc(tmp_path, "webhook", receiver.url, KEY).send(TOLD)


def test_retry_after_header_is_respected(tmp_path, receiver):
    receiver.answer = lambda _: (429, {"Retry-After": "17"}, b"")
    with pytest.raises(UndeliveredError) as failed:
        open_soc(tmp_path, "webhook", receiver.url, KEY).send(TOLD)
    assert failed.value.retry_after == 17.0


def test_refused_connection_is_a_definite_failure(tmp_path, free_port):
    with pytest.raises(UndeliveredError, match="ConnectionRefusedError") as failed:
        open_soc(tmp_path, "webhook", f"http://127.0.0.1:{free_port}/secret-path", KEY).send(TOLD)
    assert not failed.value.maybe
    assert "secret-path" not in str(failed.value)


@pytest.fixture
def free_port() -> int:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as probe:
        return probe.server_address[1]


@pytest.fixture
def hangs_up() -> Iterator[str]:
    """Run a server that reads a request and closes."""

    class HangUp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), HangUp) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_disconnect_after_the_request_is_an_uncertain_failure(tmp_path, hangs_up):
    with pytest.raises(UndeliveredError, match="broke off") as failed:
        open_soc(tmp_path, "webhook", hangs_up, KEY).send(TOLD)
    assert failed.value.maybe


@pytest.fixture
def answers_in_part() -> Iterator[Callable[[str], str]]:
    """Yield what starts a receiver that sends its headers and one byte of its body."""
    servers = list[socketserver.ThreadingTCPServer]()

    def start(status: str) -> str:
        class InPart(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.connection.recv(1 << 16)
                head = f"HTTP/1.1 {status}\r\nRetry-After: 7\r\nContent-Length: 9\r\n\r\n{{"
                self.connection.sendall(head.encode())
                ended.wait(30)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), InPart)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/hook"

    ended = threading.Event()
    yield start
    ended.set()
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", ["429 Too Many", "400 Bad", "503 Busy"])
def test_refusal_whose_body_never_ends_is_known_by_its_status(answers_in_part, status: str) -> None:
    answer = post(answers_in_part(status), b"{}", {}, 0.2)
    assert (answer.status, answer.body, answer.retry_after) == (int(status[:3]), b"", 7.0)


def test_success_whose_body_never_ends_is_an_uncertain_failure(answers_in_part) -> None:
    with pytest.raises(UndeliveredError, match="broke off") as failed:
        post(answers_in_part("200 OK"), b"{}", {}, 0.2)
    assert failed.value.maybe


def test_untrusted_certificate_gets_no_message(tmp_path):
    certificates = make_certificates()
    (tmp_path / "c.pem").write_bytes(certificates.certificate + certificates.key)
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain(tmp_path / "c.pem")

    class Secure(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                inside.wrap_socket(self.request, server_side=True)

    with socketserver.TCPServer(("127.0.0.1", 0), Secure) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(UndeliveredError, match="certificate is not trusted"):
            open_soc(
                tmp_path, "webhook", f"https://127.0.0.1:{server.server_address[1]}/", KEY
            ).send(TOLD)
        thread.join()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("http://hooks.example.com/x", KEY), "only on loopback"),
        (("ftp://127.0.0.1/x", KEY), "must be an address"),
        (("https://user:pw@h.example/x", KEY), "must be an address"),
        (("nonsense", KEY), "must be an address"),
        (("https://h.example/x",), "must be a webhook key"),
        (("https://h.example/x", "whsec_c2hvcnQ="), "must be a webhook key"),
        (("https://h.example/x", "c" * 32), "must be a webhook key"),
        (("https://h.example/x", "not a key at all, but rather long"), "must be a webhook key"),
    ],
)
def test_invalid_secret_file_is_named_but_not_shown(tmp_path, lines, said):
    with pytest.raises(ConfigError, match=said) as wrong:
        open_soc(tmp_path, "webhook", *lines)
    assert not any(line in str(wrong.value) for line in lines)
    assert "notify/soc" in str(wrong.value)


@pytest.mark.parametrize(("length", "taken"), [(23, False), (24, True), (64, True), (65, False)])
def test_key_has_24_to_64_bytes(length, taken):
    key = bytes(range(length))
    with nullcontext() if taken else pytest.raises(ConfigError, match="must be a webhook key"):
        assert read_key("whsec_" + base64.b64encode(key).decode()) == key


def test_receiver_that_never_answers_times_out(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(UndeliveredError, match="before it answered") as failed:
            post(f"http://127.0.0.1:{silent.getsockname()[1]}/", b"{}", {}, 0.2)
        assert failed.value.maybe


# --- group robots, whose refusal is a 200


@pytest.mark.parametrize("kind", ["dingtalk", "wecom"])
def test_chat_robot_gets_severity_id_and_link_as_text(tmp_path, receiver, kind):
    receiver.answer = lambda _: (200, {}, b'{"errcode": 0, "errmsg": "ok"}')
    open_soc(tmp_path, kind, robot(receiver, kind)).send(TOLD)
    [got] = receiver.received
    assert got.json["msgtype"] == "text"
    assert got.json["text"]["content"].splitlines() == [
        "ullage: HIGH  INC-A",
        "HIGH  INC-A  new",
        "https://page.example/incidents/INC-A",
    ]


@pytest.mark.parametrize("kind", ["dingtalk", "wecom"])
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"errcode": 310000, "errmsg": "sign not match"}', "errcode 310000"),
        (b"<html>", "no errcode"),
        (b"{}", "no errcode"),
    ],
)
def test_error_in_the_body_of_a_200_is_a_failure(tmp_path, receiver, kind, body, said):
    receiver.answer = lambda _: (200, {}, body)
    with pytest.raises(UndeliveredError, match=said) as failed:
        open_soc(tmp_path, kind, robot(receiver, kind)).send(TOLD)
    assert TOKEN not in str(failed.value)


def test_long_digest_fits_the_wecom_limit(tmp_path, receiver):
    receiver.answer = lambda _: (200, {}, b'{"errcode": 0}')
    url = "https://a-rather-long-name.of-a-bank.example"
    digest = compose_message(
        "m",
        [
            MessageEntry(
                f"INC-{n:010}", "high", "escalated", f"{url}/incidents/INC-{n:010}", language="en"
            )
            for n in range(500)
        ],
        url,
    )
    open_soc(tmp_path, "wecom", robot(receiver, "wecom")).send(digest)
    content = receiver.received[0].json["text"]["content"]
    assert len(content.encode()) <= 2048
    assert content.startswith("ullage: 500 incidents (500 high)")
    # whole lines alone
    assert content.endswith(f"and {500 - content.count('/incidents/')} more: {url}/")


def test_dingtalk_signs_each_attempt_with_its_time(tmp_path, receiver):
    receiver.answer = lambda _: (200, {}, b'{"errcode": 0}')
    open_soc(tmp_path, "dingtalk", robot(receiver, "dingtalk"), "SECtest").send(TOLD)
    query = parse_qs(urlsplit(receiver.received[0].path).query)
    milliseconds = int(NOON * 1000)
    assert query == {
        "access_token": [TOKEN],
        "timestamp": [str(milliseconds)],
        "sign": [sign("SECtest", milliseconds)],
    }


def test_dingtalk_signature_agrees_with_apprise(monkeypatch):
    from apprise.plugins.dingtalk import NotifyDingTalk

    monkeypatch.setattr("apprise.plugins.dingtalk.time.time", lambda: 1_790_000_000.0)
    timestamp, quoted = NotifyDingTalk(token=TOKEN, secret="SECtest").get_signature()
    from urllib.parse import unquote

    assert sign("SECtest", int(timestamp)) == unquote(quoted)


# --- what apprise speaks


@pytest.fixture
def feishu(tmp_path, receiver, monkeypatch):
    monkeypatch.setattr(
        "apprise.plugins.feishu.NotifyFeishu.notify_url", receiver.url + "/{token}/"
    )
    return open_soc(tmp_path, "feishu", f"https://open.feishu.cn/open-apis/bot/v2/hook/{TOKEN}")


def test_feishu_accepts_a_message(feishu, receiver):
    receiver.answer = lambda _: (200, {}, b'{"code": 0, "msg": "success"}')
    feishu.send(TOLD)
    assert "INC-A" in receiver.received[0].json["content"]["text"]
    assert receiver.received[0].path.endswith(f"{TOKEN}/")


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b'{"code": 9499, "msg": "Bad Request"}'),
        (500, {}, b""),
        (302, {"Location": "http://127.0.0.1:9"}, b""),
    ],
)
def test_feishu_rejection_is_a_failure(feishu, receiver, answer):
    receiver.answer = lambda _: answer
    with pytest.raises(UndeliveredError, match="did not accept the message"):
        feishu.send(TOLD)
    assert len(receiver.received) == 1


@pytest.mark.parametrize("error", [ValueError("answer of the other side"), ConnectionResetError()])
def test_apprise_exception_is_a_failure_without_details(error):
    class Broken:
        def notify(self, **_: object) -> bool:
            raise error

    with pytest.raises(UndeliveredError) as raised:
        ByApprise(Broken(), "h", 443, tls=True, timeout=1.0).send(TOLD)
    assert str(raised.value) == f"apprise failed ({type(error).__name__})"


@pytest.mark.parametrize(
    ("body", "taken"), [(b"ok", True), (b"invalid_token", False), (b'{"ok": false}', False)]
)
def test_slack_answer_other_than_ok_is_a_failure(tmp_path, receiver, monkeypatch, body, taken):
    monkeypatch.setattr("apprise.plugins.slack.NotifySlack.webhook_url", receiver.url)
    monkeypatch.setattr("apprise.plugins.slack.NotifySlack.request_rate_per_sec", 0)
    receiver.answer = lambda _: (200, {}, body)
    slack = open_soc(
        tmp_path,
        "slack",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    )
    if taken:
        slack.send(TOLD)
        assert "INC-A" in json.dumps(receiver.received[0].json)
    else:
        with pytest.raises(UndeliveredError):
            slack.send(TOLD)


def test_no_secret_is_logged_at_any_level(tmp_path, receiver, monkeypatch, caplog):
    for name in ("apprise", "urllib3"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(
        "apprise.plugins.feishu.NotifyFeishu.notify_url", receiver.url + "/{token}/"
    )
    # which apprise repeats
    receiver.answer = lambda _: (200, {}, b'{"code": 9499, "msg": "echo ' + TOKEN.encode() + b'"}')
    channel = open_soc(tmp_path, "feishu", f"feishu://{TOKEN}/")
    with pytest.raises(UndeliveredError):
        channel.send(TOLD)
    assert len(receiver.received) == 1
    assert TOKEN not in caplog.text


class Mailbox(socketserver.StreamRequestHandler):
    """The least of SMTP: takes one mail, and keeps it on the server."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        data = False
        while line := self.rfile.readline():
            if data:
                self.server.mail.append(line)
                data = line != b".\r\n"
                if not data:
                    self.wfile.write(b"250 taken\r\n" if self.server.takes else b"550 no\r\n")
            elif line.upper().startswith(b"DATA"):
                data = True
                self.wfile.write(b"354 go on\r\n")
            elif line.upper().startswith(b"QUIT"):
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")


@pytest.fixture
def mailbox() -> Iterator[socketserver.ThreadingTCPServer]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox) as server:
        server.mail, server.takes = [], True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_mail_is_accepted_or_rejected_by_its_server(tmp_path, mailbox):
    address = (
        f"mailto://127.0.0.1:{mailbox.server_address[1]}?from=ullage@bank.example&"
        "to=soc@bank.example&smtp=127.0.0.1"
    )
    channel = open_soc(tmp_path, "mail", address)
    channel.service.request_rate_per_sec = 0  # apprise lets five seconds pass between two
    channel.send(TOLD)
    assert b"To: soc@bank.example" in b"".join(mailbox.mail)
    mailbox.takes = False
    with pytest.raises(UndeliveredError):
        channel.send(TOLD)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("mail", "mailto://u:pw@smtp.example.com?to=a@example.com"),
        ("mail", "https://example.com/"),
        ("feishu", "https://example.com/hook/abc"),
        ("slack", "json://127.0.0.1/x"),
        ("teams", "https://example.com/"),
        ("wecom", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send"),
        ("dingtalk", "https://oapi.dingtalk.com/robot/send"),
    ],
)
def test_channel_kind_accepts_only_its_own_addresses(tmp_path, kind, line):
    with pytest.raises(ConfigError, match=f"{kind} needs") as wrong:
        open_soc(tmp_path, kind, line)
    assert "pw" not in str(wrong.value)


def test_teams_and_mail_addresses_are_parsed(tmp_path):
    flow = (
        "https://prod-1.westus.logic.azure.com:443/workflows/643e69f83c8944438d68119179a10a"
        "64/triggers/manual/paths/invoke"
    )
    teams = open_soc(
        tmp_path,
        "teams",
        f"{flow}?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={TOKEN}",
    )
    assert (teams.host, teams.port, teams.tls) == ("prod-1.westus.logic.azure.com", 443, True)
    mail = open_soc(
        tmp_path, "mail", "mailtos://u:pw@smtp.example.com?from=ullage@example.com&to=a@example.com"
    )
    assert (mail.host, mail.port) == ("smtp.example.com", 587)


def test_every_module_in_the_folder_adds_its_kinds(tmp_path):
    assert {
        "dingtalk",
        "feishu",
        "mail",
        "slack",
        "teams",
        "webhook",
        "wecom",
    } <= load_kinds().keys()
    with pytest.raises(ConfigError, match=f"unknown kind 'pigeon': use {', '.join(load_kinds())}"):
        open_soc(tmp_path, "pigeon", "x")


def test_mail_server_is_reached_without_sending_mail(tmp_path, free_port):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reached = open_soc(
            tmp_path, "mail", f"mailto://127.0.0.1:{port}?from=a@b.example&to=c@d.example"
        ).reach()
    assert reached == f"127.0.0.1:{port} takes connections"
    with pytest.raises(UndeliveredError, match="cannot be reached"):
        open_soc(
            tmp_path, "mail", f"mailto://127.0.0.1:{free_port}?from=a@b.example&to=c@d.example"
        ).reach()


def test_channel_is_reached_without_sending_a_message(tmp_path, receiver, free_port):
    assert "takes connections" in open_soc(tmp_path, "webhook", receiver.url, KEY).reach()
    assert receiver.received == []
    with pytest.raises(UndeliveredError, match="cannot be reached"):
        open_soc(tmp_path, "webhook", f"http://127.0.0.1:{free_port}/", KEY).reach()
