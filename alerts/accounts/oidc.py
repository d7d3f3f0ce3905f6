"""An identity provider (OpenID Connect Core 1.0), asked by authorization code with PKCE (RFC 7636),
state and nonce.

What comes back is believed only as its ID token: signed by a key of the issuer's own set, with an
asymmetric algorithm, for this client, good now, for the very journey that was begun in the same
browser (RFC 9700). Times are those of the clock that is given.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, KeySet

from alerts.accounts.sign_on import LONGEST_SUBJECT, NOT_BELIEVED, Journey, LoginRefusedError
from ullage.clock import Clock
from ullage.errors import ConfigError, UnavailableError
from ullage.settings import LOOPBACK
from ullage.settings.roles import OidcSettings

MOST_BYTES = 512 * 1024
AT_ONCE = 8
"""Requests under way: a provider that hangs holds no more threads of the desk."""
ANSWER_SECONDS, TURN_SECONDS = 2.0, 0.5
"""Whoever logs in has a page within three seconds, even if the provider hangs."""


@dataclass(slots=True)
class Fetching:
    """Threads share it; `transport` carries the requests.

    One that has not ended after `seconds` is waited for no longer.
    """

    transport: httpx.BaseTransport
    clock: Clock
    seconds: float
    _turns: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(AT_ONCE)
    )

    def json(
        self,
        method: str,
        address: str,
        *,
        form: Mapping[str, str] | None = None,
        basic: tuple[str, str] | None = None,
        token: str = "",
        refusals: tuple[int, ...] = (),
    ) -> Mapping[str, Any]:
        """The object that an address answers with, a status of `refusals` included;
        UnavailableError for all else.
        """
        client = httpx.Client(
            transport=self.transport, timeout=self.seconds, follow_redirects=False, trust_env=False
        )
        try:
            request = client.build_request(method, address, data=form, headers=_headers(token))
        except (httpx.InvalidURL, ValueError):
            raise UnavailableError("the identity provider's address is none") from None
        if not self._turns.acquire(timeout=TURN_SECONDS):
            raise UnavailableError("the identity provider is slow, and others wait for it")
        found = Future[Mapping[str, Any]]()
        auth = httpx.BasicAuth(*basic) if basic else None

        def ask() -> None:
            try:
                found.set_result(self._asked(client, request, auth, refusals))
            except UnavailableError as error:
                found.set_exception(error)
            finally:
                self._turns.release()

        # httpx bounds each read and not the whole: a thread of its own can be left behind where an
        # answer drips.
        threading.Thread(target=ask, name="identity provider", daemon=True).start()
        try:
            return found.result(self.seconds)
        except TimeoutError:
            raise UnavailableError("the identity provider takes too long") from None

    def _asked(
        self,
        client: httpx.Client,
        request: httpx.Request,
        auth: httpx.BasicAuth | None,
        refusals: tuple[int, ...],
    ) -> Mapping[str, Any]:
        try:
            with contextlib.closing(client.send(request, stream=True, auth=auth)) as answer:
                return self._object(answer, refusals)
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise UnavailableError(
                f"the identity provider cannot be asked ({type(error).__name__})"
            ) from None

    def _object(self, answer: httpx.Response, refusals: tuple[int, ...]) -> Mapping[str, Any]:
        if answer.status_code != 200 and answer.status_code not in refusals:
            raise UnavailableError(f"the identity provider answers {answer.status_code}")
        body, until = bytearray(), self.clock.monotonic() + self.seconds
        for piece in answer.iter_raw():
            body += piece
            if len(body) > MOST_BYTES or self.clock.monotonic() > until:
                raise UnavailableError(
                    "the identity provider's answer is too long, or takes too long"
                )
        try:
            found = httpx.Response(200, content=bytes(body)).json()
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise UnavailableError("the identity provider answers with no JSON object")
        return found


def _headers(token: str) -> dict[str, str]:
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    return {**headers, "authorization": f"Bearer {token}"} if token else headers


def fetching(settings: OidcSettings, data: Path, clock: Clock) -> Fetching:
    """As configured: `search.oidc.ca` alone is believed where it is given, and
    `search.oidc.proxy` is the only way out then.
    """
    try:
        context = ssl.create_default_context(
            cafile=str(data / settings.ca) if settings.ca else None
        )
    except (OSError, ssl.SSLError):
        raise ConfigError(
            f"search.oidc.ca: {data / settings.ca} is not there, or holds no certificate (PEM)"
        ) from None
    return Fetching(
        httpx.HTTPTransport(verify=context, proxy=settings.proxy or None, trust_env=False),
        clock,
        ANSWER_SECONDS,
    )


ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
"""Of ID tokens: asymmetric ones alone, so that the public key is never taken for a shared one."""
LEEWAY = 60
"""Seconds by which two clocks may differ."""
KEPT_SECONDS, KEYS_SECONDS = 3_600.0, 30.0
"""What was discovered is kept so long; a key that is not known has the set fetched again, at
most so often.
"""
_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class Provider:
    """The one that is configured.

    `secret` is "" for a public client. Threads share it: two may ask for the same at once.
    """

    def __init__(self, settings: OidcSettings, secret: str, clock: Clock, fetch: Fetching) -> None:
        self.settings, self._secret, self._clock, self._fetch = settings, secret, clock, fetch
        self._known: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def address(self, journey: Journey) -> str:
        """Where to send the browser.

        UnavailableError while the provider cannot be asked where that is.
        """
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": journey.redirect,
            "scope": " ".join(dict.fromkeys(("openid", *self.settings.scopes))),
            "state": journey.state,
            "nonce": journey.nonce,
            "code_challenge": create_s256_code_challenge(journey.verifier),
            "code_challenge_method": "S256",
        }
        return str(add_params_to_uri(self.discovered()["authorization_endpoint"], asked.items()))

    def left(self, back: str) -> str:
        """Where to log out of the provider itself, to come back to `back`; "" where it has no
        such place.
        """
        place = self.discovered().get("end_session_endpoint", "")
        asked = {"client_id": self.settings.client_id, "post_logout_redirect_uri": back}
        return str(add_params_to_uri(place, asked.items())) if place else ""

    def claims(self, journey: Journey, code: str, issuer: str | None) -> Mapping[str, Any]:
        """Who came back from `journey` with `code`, by claims that are believed; RefusedError
        otherwise.

        `issuer` is what the answer itself says of whom it is (RFC 9207).
        """
        known = self.discovered()
        promised = known.get("authorization_response_iss_parameter_supported") is True
        if (issuer is None and promised) or (issuer is not None and issuer != self.settings.issuer):
            raise LoginRefusedError(NOT_BELIEVED, "the answer is another issuer's, or says none")
        given = self._exchanged(known["token_endpoint"], journey, code)
        claims = self._believed(given, journey.nonce)
        if (
            self.settings.claim in claims
            or not known.get("userinfo_endpoint")
            or not self.settings.grants
        ):
            return claims
        told = self._fetch.json(
            "GET", known["userinfo_endpoint"], token=str(given.get("access_token", ""))
        )
        if told.get("sub") != claims["sub"]:
            raise LoginRefusedError(
                NOT_BELIEVED, "userinfo is of another subject than the ID token"
            )
        return {**told, **claims}

    def discovered(self) -> Mapping[str, Any]:
        """What the issuer says of itself; UnavailableError while it cannot be had, or is not
        what it must be.
        """
        now, known = self._clock.monotonic(), self._known
        if known is None or now - known[0] > KEPT_SECONDS:
            address = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
            self._known = known = (
                now,
                _checked(self._fetch.json("GET", address), self.settings.issuer),
            )
        return known[1]

    def _exchanged(self, place: str, journey: Journey, code: str) -> Mapping[str, Any]:
        """The answer to the code, which is good once."""
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": journey.redirect,
            "code_verifier": journey.verifier,
        }
        way, basic = self.settings.auth, None
        # RFC 6749, 2.3.1: both are encoded as a form's fields first
        if way == "client_secret_basic":
            basic = (quote_plus(self.settings.client_id), quote_plus(self._secret))
        else:
            asked["client_id"] = self.settings.client_id
            if way == "client_secret_post":
                asked["client_secret"] = self._secret
        given = self._fetch.json("POST", place, form=asked, basic=basic, refusals=(400, 401))
        if "error" in given:
            raise LoginRefusedError(
                NOT_BELIEVED, "the provider did not take the code, or not this client"
            )
        return given

    def _believed(self, given: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        """The claims of the ID token in an answer."""
        token = given.get("id_token")
        if not isinstance(token, str):
            raise LoginRefusedError(NOT_BELIEVED, "no ID token")
        try:
            decoded = self._verified(token)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                {
                    "iss": {"essential": True, "value": self.settings.issuer},
                    "aud": {"essential": True, "value": self.settings.client_id},
                },
                {
                    "nonce": nonce,
                    "client_id": self.settings.client_id,
                    "access_token": given.get("access_token"),
                },
            )
            claims.validate(now=int(self._clock.wall()), leeway=LEEWAY)
        except ExpiredTokenError:
            raise LoginRefusedError(NOT_BELIEVED, "ID token: expired") from None
        except JoseError as error:
            raise LoginRefusedError(NOT_BELIEVED, f"ID token: {_said(error)}") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise LoginRefusedError(NOT_BELIEVED, "ID token: not as it must be") from None
        if not 0 < len(claims["sub"]) <= LONGEST_SUBJECT:
            raise LoginRefusedError(NOT_BELIEVED, "ID token: sub")
        return dict(claims)

    def _verified(self, token: str) -> jwt.Token:
        """A token whose signature is the issuer's; a key that is not known may be a new one."""
        try:
            return jwt.decode(token, self._key_set(anew=False), algorithms=ALGORITHMS)
        except InvalidKeyIdError:
            return jwt.decode(token, self._key_set(anew=True), algorithms=ALGORITHMS)

    def _key_set(self, *, anew: bool) -> KeySet:
        now, known = self._clock.monotonic(), self._keys
        if known is None or now - known[0] > (KEYS_SECONDS if anew else KEPT_SECONDS):
            found = self._fetch.json("GET", self.discovered()["jwks_uri"])
            self._keys = known = (now, _keys(found.get("keys")))
        return known[1]


def _checked(found: Mapping[str, Any], issuer: str) -> Mapping[str, Any]:
    """What was discovered, if it is the issuer's own and names what is needed, over TLS (OpenID
    Connect Discovery 1.0, 4.3).
    """
    if found.get("issuer") != issuer:
        raise UnavailableError(
            "the identity provider calls itself otherwise than search.oidc.issuer: copy it from"
            " there exactly"
        )
    for name in (*_NEEDED, "userinfo_endpoint", "end_session_endpoint"):
        place = found.get(name)
        if place is None and name not in _NEEDED:
            continue
        if not isinstance(place, str) or not is_safe(place):
            raise UnavailableError(f"the identity provider's {name} is no https address")
    return found


def is_safe(address: str) -> bool:
    """Whether an address is one of TLS, or of this machine."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        )
    except ValueError:
        return False


def _keys(found: object) -> KeySet:
    """The keys of a set that may have signed; those that are not understood are left out (RFC
    7517, 5).
    """
    keys = []
    for one in found if isinstance(found, list) else ():
        if (
            isinstance(one, dict)
            and one.get("kty") in ("RSA", "EC", "OKP")
            and one.get("use", "sig") == "sig"
        ):
            try:
                keys.append(JWKRegistry.import_key(one))
            except (JoseError, ValueError, TypeError, KeyError):
                continue
    if not keys:
        raise UnavailableError("the identity provider's set of keys has none that signs")
    return KeySet(keys)


def _said(error: JoseError) -> str:
    """What is wrong with a token, in joserfc's words for it: never what stands in the token."""
    claim = getattr(error, "claim", None)
    return f"{error.error}{f' {claim}' if isinstance(claim, str) and claim.isidentifier() else ''}"
