"""A browser without a window: it sends requests straight into the page's application."""

import asyncio
import io
from collections.abc import Sequence

import httpx
from argon2 import PasswordHasher

from alerts.accounts import ALL
from alerts.accounts.accounts import Accounts
from ullage import log

HOST = "127.0.0.1:8600"
PHONE = "13800138000"
ASKED = {"value": PHONE, "purpose": "fraud_case", "case": "C-2026-1"}
ASKER = "Li Wei"
PASSWORD = "a sentence of many words"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""What a digest costs in tests."""
OURS = {"sec-fetch-site": "same-origin"}


class Browser:
    """Sends requests straight into the application, with the cookie that it was given; `log` is
    what was logged meanwhile.
    """

    def __init__(self, app):
        self.app, self.log, self.cookies = app, io.StringIO(), {}
        log.configure("debug", self.log)

    def log_in(self, name: str, password: str = PASSWORD, **more) -> httpx.Response:
        answer = self.post("/login", {"name": name, "password": password, **more})
        self.cookies |= dict(answer.cookies)
        return answer

    def ask(self, method: str, path: str, **more) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url=f"http://{HOST}", cookies=self.cookies
            ) as client:
                return await client.request(method, path, **more)

        return asyncio.run(send())

    def get(self, path: str, **more) -> httpx.Response:
        return self.ask("GET", path, **more)

    def post(
        self, path: str, data: dict | None = None, headers: dict = OURS, **more
    ) -> httpx.Response:
        return self.ask("POST", path, data=data, headers=headers, **more)


def add_account(
    accounts: Accounts, name: str, roles: Sequence[str], tenants: Sequence[str] = (ALL,)
) -> None:
    """Somebody with password `PASSWORD`, which is their own."""
    accounts.add(name, roles, tenants, digest=CHEAP.hash(PASSWORD), by="test", is_own=True)
