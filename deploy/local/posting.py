"""Post into bepasty and Spirit through their web forms, as a person with a browser would.

This works on loopback only.
"""

from __future__ import annotations

import http.cookiejar
import re
import secrets
import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus
from http.client import HTTPMessage
from typing import IO, NamedTuple

from ullage.errors import ConfigError, UnavailableError

SECONDS = 60.0
CSRF_COOKIE = "csrftoken"
TOPIC = re.compile(r"/topic/(\d+)/")


class Page(NamedTuple):
    """An answer: the address after all redirects, and the text."""

    url: str
    text: str


class _FormRedirects(urllib.request.HTTPRedirectHandler):
    """A handler that does not follow the redirect of a form.

    Its target shows the result of the form, and loading that page would take as long as the form.
    """

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        return None if req.data else super().redirect_request(req, fp, code, msg, headers, newurl)


class Browser:
    """A client with cookies for one loopback address; it uses no proxy."""

    def __init__(self, base: str) -> None:
        if urllib.parse.urlsplit(base).hostname != "127.0.0.1":
            raise ConfigError(
                f"{base} must be on 127.0.0.1: test posts go to programs on this machine only"
            )
        self.base = base.rstrip("/")
        self._cookies = http.cookiejar.CookieJar()
        jar = urllib.request.HTTPCookieProcessor(self._cookies)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), jar, _FormRedirects()
        )

    def cookie(self, name: str) -> str:
        """Return the value of a cookie; "" where the site has set none of that name."""
        return next((cookie.value or "" for cookie in self._cookies if cookie.name == name), "")

    def get(self, path: str) -> Page:
        """Return the page at `path` after redirects; UnavailableError for an error status."""
        # `base` is checked to be loopback
        return self._open(urllib.request.Request(self.base + path))  # noqa: S310

    def post(self, path: str, fields: dict[str, str]) -> Page:
        """Send a form and return the page that follows.

        Its text is empty where the site redirects. Raises UnavailableError if the site cannot be
        reached or answers with an error status.
        """
        body = urllib.parse.urlencode(fields).encode()
        url = self.base + path
        return self._open(urllib.request.Request(url, body, {"Referer": url}))  # noqa: S310

    def upload(
        self, path: str, fields: dict[str, str], name: str, data: bytes, media_type: str
    ) -> Page:
        """Send a form with one file in the field `file`, as multipart, and return the page.

        Raises UnavailableError if the site cannot be reached or answers with an error status.
        """
        mark = secrets.token_hex(16)
        parts = [
            f'--{mark}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode()
            for k, v in fields.items()
        ]
        quoted = name.replace('"', "%22").replace("\r", "").replace("\n", "")
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="file";'
            f' filename="{quoted}"\r\nContent-Type: {media_type}\r\n\r\n'
        )
        body = b"".join(parts) + head.encode() + data + f"\r\n--{mark}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        return self._open(urllib.request.Request(self.base + path, body, headers))  # noqa: S310

    def _open(self, request: urllib.request.Request) -> Page:
        try:
            with self._opener.open(request, timeout=SECONDS) as answer:
                return Page(answer.url, answer.read().decode("utf-8", "replace"))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (HTTPStatus.FOUND, HTTPStatus.SEE_OTHER):
                return Page(urllib.parse.urljoin(request.full_url, error.headers["location"]), "")
            raise UnavailableError(
                f"{self.base} answered {error.code} {HTTPStatus(error.code).phrase}: see its log"
            ) from None
        except OSError as error:
            raise UnavailableError(
                f"{self.base} cannot be reached ({type(error).__name__}): check that it runs there"
            ) from None


class Bepasty:
    """A user of a bepasty into which anybody may paste."""

    def __init__(self, base: str) -> None:
        self._browser = Browser(base)

    def paste(self, text: str | bytes, title: str, media_type: str = "text/plain") -> str:
        """Add a paste, or a file if `text` is bytes, under the file name `title`.

        Returns its id, such as `RditHhxz`. Raises UnavailableError if the site cannot be reached or
        answers with an error status.
        """
        fields = {
            "contenttype": media_type,
            "filename": title,
            "maxlife-value": "1",
            "maxlife-unit": "forever",
        }
        if isinstance(text, bytes):
            page = self._browser.upload("/+upload", fields, title, text, media_type)
        else:
            page = self._browser.post("/+upload", {**fields, "text": text})
        return urllib.parse.urlsplit(page.url).path.strip("/")


class Spirit:
    """A user of a Spirit forum, who is logged in on creation."""

    def __init__(self, base: str, user: str, password: str) -> None:
        self._browser = Browser(base)
        page = self._form("/user/login/", {"username": user, "password": password, "next": "/"})
        if "/login/" in page.url:
            raise ConfigError(f"{base} rejects user {user}: check name and password")

    def topic(self, category: int, title: str, body: str) -> int:
        """Open a topic in `category` and return its number.

        Raises UnavailableError if the forum took none, cannot be reached or answers with an error
        status.
        """
        page = self._form(
            f"/topic/publish/{category}/",
            {"title": title, "category": str(category), "comment": body},
        )
        match = TOPIC.search(urllib.parse.urlsplit(page.url).path)
        if not match:
            raise UnavailableError(
                f"{self._browser.base} took no topic: check that category {category} exists and"
                " that this user may post there"
            )
        return int(match[1])

    def reply(self, topic: int, body: str) -> None:
        """Add a comment to `topic`.

        Raises UnavailableError if the forum took none, cannot be reached or answers with an error
        status.
        """
        page = self._form(f"/comment/{topic}/publish/", {"comment": body})
        if "/publish/" in page.url:
            raise UnavailableError(
                f"{self._browser.base} took no reply: check that topic {topic} exists and is open"
            )

    def _form(self, path: str, fields: dict[str, str]) -> Page:
        """Send a form with the token that the site has given to this browser.

        The form is requested first if there is no token yet.
        """
        if not self._browser.cookie(CSRF_COOKIE):
            self._browser.get(path)
        return self._browser.post(
            path, {**fields, "csrfmiddlewaretoken": self._browser.cookie(CSRF_COOKIE)}
        )
