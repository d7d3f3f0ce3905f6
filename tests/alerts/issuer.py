"""An identity provider on loopback whose every answer a test can bend.

Signatures are real; people are synthetic.
"""

import base64
import contextlib
import functools
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

CLIENT, SECRET = "desk", "a secret of the client, with spaces & signs"
SUBJECT = "248289761001"


class Issuer:
    """What it says is in `found` and `keys`; the ID token in answer to a code is that of
    `claims`, signed by `sign`.
    """

    def __init__(self, url: str, clock) -> None:
        self.url, self.clock = url, clock
        self.key = _key()
        self.keys = [self.key.as_dict(private=False)]
        self.found = {
            "issuer": url,
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "jwks_uri": f"{url}/keys",
            "end_session_endpoint": f"{url}/end",
        }
        self.more, self.info, self.asked, self.status = {}, None, [], 200
        self.nonce = ""
        self.sign = lambda claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)

    def claims(self) -> dict:
        now = int(self.clock.wall())
        plain = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": SUBJECT,
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
        }
        return {name: value for name, value in {**plain, **self.more}.items() if value is not None}

    def follow(self, address: str) -> dict[str, str]:
        """Return the query parameters of the login address and remember its nonce for the token."""
        sent = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        self.nonce = sent["nonce"]
        return sent

    def answer(self, path: str, headers, form: dict[str, str]) -> tuple[int, object]:
        self.asked.append((path, dict(headers), form))
        if path.endswith("openid-configuration"):
            return self.status, self.found
        if path == "/keys":
            return self.status, {"keys": self.keys}
        if path == "/userinfo":
            return self.status, self.info
        return self.status, {
            "access_token": "opaque",
            "token_type": "Bearer",
            "id_token": self.sign(self.claims()),
        }


def encode_unsigned(claims: dict) -> str:
    """Return a token with algorithm `none`."""
    parts = (json.dumps(part).encode() for part in ({"alg": "none", "kid": "one"}, claims))
    return ".".join(_base64(part) for part in parts) + "."


def _base64(plain: bytes) -> str:
    return base64.urlsafe_b64encode(plain).rstrip(b"=").decode()


@functools.cache
def _key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})


def by_public_key(issuer: Issuer) -> Callable[[dict], str]:
    """Return a signer that uses HMAC with the issuer's public PEM key as the secret.

    A verifier that accepts any algorithm accepts its tokens.
    """

    def sign(claims: dict) -> str:
        parts = (json.dumps(part).encode() for part in ({"alg": "HS256", "kid": "one"}, claims))
        text = ".".join(_base64(part) for part in parts)
        signature = hmac.digest(issuer.key.as_pem(private=False), text.encode(), "sha256")
        return f"{text}.{_base64(signature)}"

    return sign


def by_another_key(kid: str):
    """Signs with a key that is not the issuer's."""
    key = ECKey.generate_key("P-256", {"kid": kid})
    return lambda claims: jwt.encode({"alg": "ES256", "kid": kid}, claims, key)


@contextlib.contextmanager
def serving(clock) -> Iterator[Issuer]:
    """Serve an issuer on a free loopback port and yield it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            form = {
                name: values[0]
                for name, values in parse_qs(self.rfile.read(length).decode()).items()
            }
            status, answer = issuer.answer(urlsplit(self.path).path, self.headers, form)
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the standard library's name

        def log_message(self, *_args) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = Issuer(f"http://127.0.0.1:{server.server_port}", clock)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
