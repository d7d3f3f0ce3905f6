"""Log in through OpenID Connect Core 1.0: authorization code with PKCE (RFC 7636), state and nonce.

Of the provider's answer only a valid ID token is believed: signed by a key of the issuer with an
asymmetric algorithm, for this client, not expired, and for the login that began in this browser
(RFC 9700). Times are those of the clock that is passed in.
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
"""Maximum number of requests in progress, so that a hanging provider blocks few threads."""
ANSWER_SECONDS, TURN_SECONDS = 2.0, 0.5
"""A login page is answered within three seconds, even if the provider hangs."""


@dataclass(slots=True)
class Fetching:
    """Sends requests to the provider over `transport`. Thread-safe.

    A request that takes longer than `seconds` is abandoned.
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
        """Send a request to the provider and return the JSON object that it answers with.

        `form` is the body, `basic` a user name and password, and `token` a bearer token. An answer
        of status 200 or in `refusals` counts; redirects are not followed. Raises UnavailableError
        for any other answer, one that is too long or slow, or if eight other requests stay in
        progress for half a second.
        """
        client = httpx.Client(
            transport=self.transport, timeout=self.seconds, follow_redirects=False, trust_env=False
        )
        try:
            request = client.build_request(method, address, data=form, headers=_headers(token))
        except (httpx.InvalidURL, ValueError):
            raise UnavailableError("the identity provider's address is not valid") from None
        if not self._turns.acquire(timeout=TURN_SECONDS):
            raise UnavailableError(
                "the identity provider is slow, and other logins are waiting for it"
            )
        answer = Future[Mapping[str, Any]]()
        auth = httpx.BasicAuth(*basic) if basic else None

        def ask() -> None:
            try:
                answer.set_result(self._send(client, request, auth, refusals))
            except UnavailableError as error:
                answer.set_exception(error)
            finally:
                self._turns.release()

        # httpx bounds each read and not the whole: a thread of its own can be left behind where an
        # answer drips.
        threading.Thread(target=ask, name="identity provider", daemon=True).start()
        try:
            return answer.result(self.seconds)
        except TimeoutError:
            raise UnavailableError("the identity provider takes too long") from None

    def _send(
        self,
        client: httpx.Client,
        request: httpx.Request,
        auth: httpx.BasicAuth | None,
        refusals: tuple[int, ...],
    ) -> Mapping[str, Any]:
        try:
            with contextlib.closing(client.send(request, stream=True, auth=auth)) as answer:
                return self._read_object(answer, refusals)
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise UnavailableError(
                f"the identity provider cannot be reached ({type(error).__name__})"
            ) from None

    def _read_object(self, answer: httpx.Response, refusals: tuple[int, ...]) -> Mapping[str, Any]:
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
            value = httpx.Response(200, content=bytes(body)).json()
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise UnavailableError("the identity provider did not answer with a JSON object")
        return value


def _headers(token: str) -> dict[str, str]:
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    return {**headers, "authorization": f"Bearer {token}"} if token else headers


def open_fetching(settings: OidcSettings, data: Path, clock: Clock) -> Fetching:
    """Return the HTTP client of the configured provider; nothing is sent yet.

    If `search.oidc.ca` is set, only its certificates are trusted; if `search.oidc.proxy` is set,
    all requests go through it. Raises ConfigError if the certificates cannot be read.
    """
    try:
        context = ssl.create_default_context(
            cafile=str(data / settings.ca) if settings.ca else None
        )
    except (OSError, ssl.SSLError):
        raise ConfigError(
            f"search.oidc.ca: {data / settings.ca} must exist and contain a certificate in PEM"
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
"""Algorithms of ID tokens. All are asymmetric: the public key must not pass as a shared secret."""
LEEWAY = 60
"""Seconds by which two clocks may differ."""
KEPT_SECONDS, KEYS_SECONDS = 3_600.0, 30.0
"""How long metadata and keys are cached, and how often an unknown key may refetch the key set."""
_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class Provider:
    """The configured identity provider. Thread-safe.

    `secret` is "" for a public client.
    """

    def __init__(self, settings: OidcSettings, secret: str, clock: Clock, fetch: Fetching) -> None:
        self.settings, self._secret, self._clock, self._fetch = settings, secret, clock, fetch
        self._known: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def address(self, journey: Journey) -> str:
        """Return the address to which the browser is sent to log in.

        Raises UnavailableError while the provider's metadata cannot be fetched.
        """
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": journey.redirect,
            "scope": " ".join(dict.fromkeys(("openid", *self.settings.scopes))),
            "state": journey.state,
            "nonce": journey.nonce,
            "code_challenge": create_s256_code_challenge(journey.verifier),
            "code_challenge_method": "S256",
        }
        return str(add_params_to_uri(self.get_metadata()["authorization_endpoint"], query.items()))

    def logout_address(self, back: str) -> str:
        """Return where to log out of the provider, or "" if it has no such address.

        The provider then sends the browser to `back`. Raises UnavailableError while the provider's
        metadata cannot be fetched.
        """
        place = self.get_metadata().get("end_session_endpoint", "")
        query = {"client_id": self.settings.client_id, "post_logout_redirect_uri": back}
        return str(add_params_to_uri(place, query.items())) if place else ""

    def claims(self, journey: Journey, code: str, issuer: str | None) -> Mapping[str, Any]:
        """Exchange `code` for an ID token and return the verified claims of the person.

        They always include `sub`. If the claim with the person's groups is missing and groups grant
        something here, the claims of the userinfo endpoint are added. `issuer` is the issuer that
        the browser's answer names (RFC 9207), or None. Raises LoginRefusedError if anything does
        not verify, UnavailableError while the provider cannot be reached.
        """
        metadata = self.get_metadata()
        promised = metadata.get("authorization_response_iss_parameter_supported") is True
        if (issuer is None and promised) or (issuer is not None and issuer != self.settings.issuer):
            raise LoginRefusedError(NOT_BELIEVED, "the answer is another issuer's, or says none")
        answer = self._exchange_code(metadata["token_endpoint"], journey, code)
        claims = self._read_claims(answer, journey.nonce)
        if (
            self.settings.claim in claims
            or not metadata.get("userinfo_endpoint")
            or not self.settings.grants
        ):
            return claims
        userinfo = self._fetch.json(
            "GET", metadata["userinfo_endpoint"], token=str(answer.get("access_token", ""))
        )
        if userinfo.get("sub") != claims["sub"]:
            raise LoginRefusedError(
                NOT_BELIEVED, "userinfo is of another subject than the ID token"
            )
        return {**userinfo, **claims}

    def get_metadata(self) -> Mapping[str, Any]:
        """Return the provider's metadata, which are fetched again after an hour.

        Raises UnavailableError if they cannot be fetched or are invalid; the next call then tries
        again.
        """
        now, cached = self._clock.monotonic(), self._known
        if cached is None or now - cached[0] > KEPT_SECONDS:
            address = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
            self._known = cached = (
                now,
                _validate_metadata(self._fetch.json("GET", address), self.settings.issuer),
            )
        return cached[1]

    def _exchange_code(self, place: str, journey: Journey, code: str) -> Mapping[str, Any]:
        """Exchange the code, which works once, and return the answer.

        Raises LoginRefusedError if the provider takes neither the code nor the client. Raises
        UnavailableError if the provider cannot be reached or answers in another way.
        """
        form = {
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
            form["client_id"] = self.settings.client_id
            if way == "client_secret_post":
                form["client_secret"] = self._secret
        answer = self._fetch.json("POST", place, form=form, basic=basic, refusals=(400, 401))
        if "error" in answer:
            raise LoginRefusedError(
                NOT_BELIEVED, "the provider did not take the code, or not this client"
            )
        return answer

    def _read_claims(self, answer: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        """Return the verified claims of the ID token in an answer.

        Raises LoginRefusedError if there is no token, or it is expired, forged or incomplete.
        """
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise LoginRefusedError(NOT_BELIEVED, "no ID token")
        try:
            decoded = self._verify_signature(token)
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
                    "access_token": answer.get("access_token"),
                },
            )
            claims.validate(now=int(self._clock.wall()), leeway=LEEWAY)
        except ExpiredTokenError:
            raise LoginRefusedError(NOT_BELIEVED, "ID token: expired") from None
        except JoseError as error:
            raise LoginRefusedError(NOT_BELIEVED, f"ID token: {_describe_error(error)}") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise LoginRefusedError(NOT_BELIEVED, "ID token: not as it must be") from None
        if not 0 < len(claims["sub"]) <= LONGEST_SUBJECT:
            raise LoginRefusedError(NOT_BELIEVED, "ID token: sub")
        return dict(claims)

    def _verify_signature(self, token: str) -> jwt.Token:
        """Decode a token that is signed by the issuer.

        If the key is unknown, the key set is fetched again.
        """
        try:
            return jwt.decode(token, self._key_set(anew=False), algorithms=ALGORITHMS)
        except InvalidKeyIdError:
            return jwt.decode(token, self._key_set(anew=True), algorithms=ALGORITHMS)

    def _key_set(self, *, anew: bool) -> KeySet:
        now, cached = self._clock.monotonic(), self._keys
        if cached is None or now - cached[0] > (KEYS_SECONDS if anew else KEPT_SECONDS):
            key_set = self._fetch.json("GET", self.get_metadata()["jwks_uri"])
            self._keys = cached = (now, _parse_keys(key_set.get("keys")))
        return cached[1]


def _validate_metadata(metadata: Mapping[str, Any], issuer: str) -> Mapping[str, Any]:
    """Return `metadata` if it is valid (OpenID Connect Discovery 1.0, 4.3).

    Raises UnavailableError unless it names this issuer and has the required addresses, over TLS.
    """
    if metadata.get("issuer") != issuer:
        raise UnavailableError(
            "the identity provider's issuer differs from search.oidc.issuer: copy it exactly"
        )
    for name in (*_NEEDED, "userinfo_endpoint", "end_session_endpoint"):
        place = metadata.get(name)
        if place is None and name not in _NEEDED:
            continue
        if not isinstance(place, str) or not is_safe(place):
            raise UnavailableError(f"the identity provider's {name} is not an https address")
    return metadata


def is_safe(address: str) -> bool:
    """Return whether an address is https, or http on this machine."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        )
    except ValueError:
        return False


def _parse_keys(key_set: object) -> KeySet:
    """Return the signing keys of a JSON key set; unsupported keys are skipped (RFC 7517, 5).

    Raises UnavailableError if none remains.
    """
    keys = []
    for key in key_set if isinstance(key_set, list) else ():
        if (
            isinstance(key, dict)
            and key.get("kty") in ("RSA", "EC", "OKP")
            and key.get("use", "sig") == "sig"
        ):
            try:
                keys.append(JWKRegistry.import_key(key))
            except (JoseError, ValueError, TypeError, KeyError):
                continue
    if not keys:
        raise UnavailableError("the identity provider publishes no signing key")
    return KeySet(keys)


def _describe_error(error: JoseError) -> str:
    """Describe an error of a token in joserfc's words, without the token's content."""
    claim = getattr(error, "claim", None)
    return f"{error.error}{f' {claim}' if isinstance(claim, str) and claim.isidentifier() else ''}"
