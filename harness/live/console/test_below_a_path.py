"""The desk below a path of a public name, behind a real nginx, which takes the path away or
passes it on.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from alerts.web.static_files import find_static_path
from deploy.local.server import free_ports
from harness.live.console.desk import Desk, desk

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") or ""
pytestmark = [pytest.mark.live, pytest.mark.skipif(not NGINX, reason="Debian: nginx-light")]
BASE = "/tools/desk"
CONFIGURED = """
daemon off; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    location {base}/ {{
      proxy_pass {upstream};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
    location / {{ return 418; }}
  }}
}}
"""
LEADS = re.compile(r'\b(href|action|src)="([^"]+)"')


@pytest.fixture(scope="module", params=["taken away", "passed on"])
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Desk, httpx.Client]]:
    """Yield the console, and a client that has logged in through nginx."""
    folder = tmp_path_factory.mktemp("nginx")
    (port,) = free_ports(1)
    data = folder / "data"

    def configure() -> None:
        text = f'[search]\npublic = ["http://127.0.0.1:{port}{BASE}"]\nproxies = ["127.0.0.1"]\n'
        (data / "ullage.toml").write_text(text, encoding="utf-8")

    with desk(data, incidents=3, configure=configure) as console:
        upstream = console.url + ("/" if request.param == "taken away" else "")
        conf = folder / "nginx.conf"
        conf.write_text(
            CONFIGURED.format(folder=folder, port=port, base=BASE, upstream=upstream),
            encoding="utf-8",
        )
        process = subprocess.Popen(
            [NGINX, "-p", str(folder), "-c", str(conf)], stderr=subprocess.DEVNULL
        )
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"sec-fetch-site": "same-origin"},
            timeout=60,
        ) as client:
            until = time.monotonic() + 60
            while True:
                try:
                    client.get("/")
                    break
                except httpx.ConnectError:
                    assert process.poll() is None, "nginx ended"
                    assert time.monotonic() < until
            answer = client.post(
                f"{BASE}/login",
                data={"name": console.name, "password": console.password, "then": "/"},
            )
            assert (answer.status_code, answer.headers["location"]) == (303, f"{BASE}/")
            yield console, client
        process.terminate()
        process.wait()


def test_every_link_of_a_page_is_below_the_path_and_works(opened: Any) -> None:
    _, client = opened
    waiting, visited, forms = [f"{BASE}/"], set(), set()
    while waiting:
        place = waiting.pop()
        if place in visited:
            continue
        visited.add(place)
        answer = client.get(place)
        assert answer.status_code == 200, place
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        for name, value in LEADS.findall(answer.text):
            to = unescape(value).partition("#")[0]
            if not to or to.startswith(("data:", "https:", "http:")):
                continue
            to = urljoin(place, to)
            assert to.startswith(f"{BASE}/"), f"{place} leads to {to}"
            if name == "action":
                forms.add(to)
            elif len(visited) < 120 and "?" not in to.replace("?tab=", "") and "/audit" not in to:
                waiting.append(to)
    assert len(visited) > 15
    assert {
        f"{BASE}{path}"
        for path in ("/", "/coverage", "/watchlists", "/accounts", find_static_path("ullage.css"))
    } <= visited
    assert {f"{BASE}/logout", f"{BASE}/language", f"{BASE}/incidents/bulk"} <= forms


def test_forms_return_below_the_path(opened: Any) -> None:
    _, client = opened
    answer = client.post(f"{BASE}/language", data={"language": "zh", "then": "/channels"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{BASE}/channels")
    page = client.get(f"{BASE}/").text
    link = re.search(r"/incidents/(INC-[A-Z0-9]+)", page)
    assert link is not None
    incident = link[1]
    answer = client.post(
        f"{BASE}/incidents/{incident}/decisions", data={"status": "acknowledged", "token": "0" * 16}
    )
    assert answer.status_code == 303
    assert urlsplit(answer.headers["location"]).path == f"{BASE}/incidents/{incident}"
    assert client.get(answer.headers["location"]).status_code == 200
    answer = client.post(f"{BASE}/logout")
    assert answer.headers["location"].startswith(f"{BASE}/login")
    shown = client.get(f"{BASE}/coverage")
    assert shown.status_code == 401
    assert f'action="{BASE}/login"' in shown.text
    assert 'name="then" value="/coverage"' in shown.text
