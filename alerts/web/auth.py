"""Authenticate people by session and programs by token, and find out where a request came from.

The console may be served below a path (`https://bank.example/desk/`). Pages and redirects then lead
there, whether or not the proxy removes the path.

`X-Forwarded-For` and `X-Forwarded-Host` are believed only from the addresses in `search.proxies`; a
request with such a header from any other address is refused. In a chain of proxies, the source is
the last address that is not a trusted proxy.

A person logs in with name and password. An unknown name, a wrong password and a disabled account
get the same answer after the same time, and waiting times do not depend on the name. Every login
and refusal is in the audit log; refusals of unknown names omit the name, because people type
passwords there by mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from prometheus_client import Counter
from starlette.types import Scope

from alerts.accounts import NOBODY, Principal
from alerts.accounts.accounts import Accounts, User, normalize_name
from alerts.accounts.sessions import (
    Attempt,
    Attempts,
    PasswordError,
    Passwords,
    Sessions,
    new_device,
    validate_password,
    verify_device,
)
from ullage.audit import Trail
from ullage.clock import Clock
from ullage.phrase import Phrase
from ullage.runtime.rate_limit import Allowance, LimitedError
from ullage.settings import LOOPBACK, Settings
from ullage.settings.roles import UNIX

FORWARDED = frozenset(
    {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"}
)
PORTS = {"https": 443, "http": 80}
MACHINES = frozenset({"/metrics", "/healthz", "/readyz"})
"""Paths that only this machine may request, because they name tenants."""


@dataclass(frozen=True, slots=True)
class RequestSource:
    """Where a request came from, as far as that can be believed.

    `host` is the name of this console that was requested, "" for an unknown one. `source` is the
    client's address, for IPv6 its /64 network. `origin` is the browser's origin of the page.
    `is_secure` says whether the client's connection is encrypted.
    """

    host: str
    source: str
    is_secure: bool
    is_local: bool
    origin: str = ""
    base: str = ""
    """The path below which the client sees the console, without a trailing slash; "" for none."""
    is_forged: bool = False
    """Whether it has forwarding headers but does not come from a configured proxy."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The addresses at which the console can be reached.

    `hosts` (`name:port`) reach it directly; `public` maps the host names of its public addresses to
    their origins.
    """

    hosts: frozenset[str]
    public: Mapping[str, str]
    bases: Mapping[str, str] = field(default_factory=dict)
    """The path of the console on each host."""
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    trusts_socket: bool = False
    scheme: str = "http"

    @classmethod
    def from_settings(cls, settings: Settings, hosts: Iterable[str]) -> Reach:
        """Return the configured addresses; `hosts` are the `name:port` that it listens on.

        An https address in `notify.page` counts as public too.
        """
        search = settings.search
        page = urlsplit(settings.notify.page)
        pages = (settings.notify.page,) if page.scheme == "https" and page.hostname else ()
        public = {host_of(address): origin_of(address) for address in (*search.public, *pages)}
        bases = {
            host_of(address): urlsplit(address).path.rstrip("/")
            for address in (*pages, *search.public)
        }
        networks = tuple(ip_network(address) for address in search.proxies if address != UNIX)
        return cls(
            frozenset(hosts),
            public,
            bases,
            networks,
            UNIX in search.proxies,
            "https" if search.certificate else "http",
        )

    @property
    def origins(self) -> frozenset[str]:
        """Return the browser origins of all pages of the console."""
        return frozenset(
            {*self.public.values(), *(f"{self.scheme}://{host}" for host in self.hosts)}
        )

    def read_source(self, scope: Scope, headers: Mapping[str, str]) -> RequestSource:
        """Return where a request came from: its host, client address, and whether it was encrypted.

        `headers` have lower-case names. Those that a proxy adds are believed only from a trusted
        proxy; from any other sender they make the request forged. The host is "" if it is none of
        the console's.
        """
        peer = scope["client"][0] if scope.get("client") else UNIX
        host, source = headers.get("host", ""), peer
        if by_proxy := self._trusts(peer):
            host = headers.get("x-forwarded-host", host)
            source = self._client_address(headers.get("x-forwarded-for", ""), peer)
        known_host = host if host in self.hosts or host in self.public else ""
        is_secure = self.scheme == "https" or (
            known_host in self.public and self.public[known_host].startswith("https:")
        )
        by_proxy = by_proxy and ("x-forwarded-for" in headers or "x-forwarded-host" in headers)
        is_local = (
            known_host in self.hosts and not by_proxy and (peer == UNIX or _is_loopback(peer))
        )
        is_secure = is_secure or (by_proxy and headers.get("x-forwarded-proto") == "https")
        origin = self.public.get(known_host) or f"{'https' if is_secure else 'http'}://{known_host}"
        is_forged = not self._trusts(peer) and not FORWARDED.isdisjoint(headers)
        return RequestSource(
            known_host,
            _group_address(source),
            is_secure,
            is_local,
            origin,
            self.bases.get(known_host, ""),
            is_forged,
        )

    def _client_address(self, forwarded: str, peer: str) -> str:
        """Return the last address of an `X-Forwarded-For` list that is not a trusted proxy.

        Without one it is `peer`.
        """
        for address in reversed([part.strip() for part in forwarded.split(",") if part.strip()]):
            if not self._trusts(address):
                return address[:64]
        return peer

    def _trusts(self, address: str) -> bool:
        if address == UNIX:
            return self.trusts_socket
        try:
            ip = ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self.networks)


def host_of(url: str) -> str:
    """Return the host of a URL as browsers send it, without the scheme's default port.

    An IPv6 address is in brackets.

    >>> host_of("https://ullage.bank.example:443/"), host_of("https://desk.example:8443")
    ('ullage.bank.example', 'desk.example:8443')
    """
    parts = urlsplit(url)
    name = parts.hostname or ""
    name = f"[{name}]" if ":" in name else name
    return name if parts.port in (None, PORTS.get(parts.scheme)) else f"{name}:{parts.port}"


def origin_of(url: str) -> str:
    """Return the origin of an address as browsers send it: scheme, host and any unusual port.

    >>> origin_of("https://ullage.bank.example:443/queue")
    'https://ullage.bank.example'
    """
    return f"{urlsplit(url).scheme}://{host_of(url)}"


def _group_address(source: str) -> str:
    """Return the address by which a client is counted.

    For IPv6 it is the /64 network, since a client may use any address in it.
    """
    try:
        ip = ip_address(source)
    except ValueError:
        return source
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is None:
        return str(ip_network((ip.packed, 64), strict=False).network_address) + "/64"
    return str(ip.ipv4_mapped if isinstance(ip, IPv6Address) else ip)


def _is_loopback(peer: str) -> bool:
    try:
        return ip_address(peer).is_loopback
    except ValueError:
        return peer in LOOPBACK


COOKIE, SECURE_COOKIE = "ullage_session", "__Host-ullage_session"
BEARER = "bearer"
PAGE = "page"
"""The actor in the audit log for somebody who is not logged in."""
LONGEST_NAME = 100
"""Characters of a typed name that are used at most."""
WRONG_TOKENS, WRONG_SECONDS = 10, 60.0


@dataclass(slots=True)
class Authenticator:
    """Authenticates people and programs. Thread-safe."""

    accounts: Accounts
    passwords: Passwords
    sessions: Sessions
    clock: Clock
    trail: Trail
    logins: Counter
    vouched_seconds: float = 900.0
    """Seconds after which the identity provider must vouch again."""
    attempts: Attempts = field(init=False)
    _wrong_tokens: Allowance = field(init=False)

    def __post_init__(self) -> None:
        self.attempts = Attempts(self.clock)
        self._wrong_tokens = Allowance(
            WRONG_TOKENS, WRONG_SECONDS, self.clock, "too many wrong tokens"
        )

    def log_in(self, name: str, password: str, source: str, device: str = "") -> str | None:
        """Check a password, open a session and return its id; None if the login is refused.

        It is refused if the name or password is wrong, the account is disabled, or a password made
        by somebody else was not changed in time. `source` is the client's address, `device` the
        device cookie of an earlier login. The outcome is counted and written to the audit log. A
        digest of outdated cost is replaced. Raises LimitedError after too many attempts.
        """
        user = self.accounts.user(name)
        is_made = user is not None and user.until is not None
        attempt = Attempt(
            normalize_name(name)[:LONGEST_NAME], source, verify_device(user, device), is_made
        )
        self._count_attempt(user, attempt)
        if not self._check_password(user, password):
            self._record_refusal(user)
            return None
        assert user is not None
        self.attempts.forgive(attempt)
        if user.digest and self.passwords.needs_rehash(user.digest):
            self.accounts.rehash_password(user.name, self.passwords.digest(password))
        return self.open(user, "password")

    def open(self, user: User, by: str) -> str:
        """Open a session of an authenticated person and return its id; count and log the login.

        `by` says how the person was authenticated, for the audit log.
        """
        self.trail.append("account.login", f"account {user.name} by {by}", actor=user.name)
        self.logins.labels("in").inc()
        return self.sessions.open(
            user.name, user.changes, None if user.subject is None else self.vouched_seconds
        )

    def needs_vouching(self, headers: Mapping[str, str], request_source: RequestSource) -> bool:
        """Return whether the identity provider must be asked again about the sender.

        That is so if the sender's session in use ended for that reason. True is returned one time
        for each such session.
        """
        return self.sessions.needs_vouching(
            _cookie(headers, SECURE_COOKIE if request_source.is_secure else COOKIE)
        )

    def device(self, name: str) -> str:
        """Return a new device cookie for the account `name`, which just logged in with a password.

        Raises ConfigError if there is no such account.
        """
        return new_device(self.accounts.get_user(name))

    def change(self, principal: Principal, old: str, new: str, source: str) -> str | None:
        """Change the principal's own password, which ends its sessions, and open a new one.

        Returns the new session's id, or None if the old password is wrong. `source` is the client's
        address. The outcome is written to the audit log. Raises PasswordError if the new password
        is invalid or the old one, or the account has none here, and LimitedError after too many
        attempts.
        """
        user = self.accounts.get_user(principal.name)
        if user.digest is None:
            raise PasswordError(
                Phrase("you have no password here: change it at the identity provider")
            )
        validate_password(new, user.name)
        if old == new:
            raise PasswordError(Phrase("this is the previous password: choose another one"))
        attempt = Attempt(normalize_name(user.name), source, f"session {principal.session}")
        self._count_attempt(user, attempt)
        if not self._check_password(user, old):
            self._record_refusal(user)
            return None
        self.attempts.forgive(attempt)
        self.trail.append(
            "account.password", f"account {user.name}: changed by its person", actor=user.name
        )
        self.accounts.set_password(user.name, self.passwords.digest(new), is_own=True)
        self.sessions.end(principal.session)
        return self.sessions.open(user.name, self.accounts.get_user(user.name).changes)

    def leave(self, principal: Principal) -> None:
        """Write the logout to the audit log and end the principal's session."""
        self.trail.append("account.logout", f"account {principal.name}", actor=principal.name)
        self.sessions.end(principal.session)

    def principal(self, headers: Mapping[str, str], request_source: RequestSource) -> Principal:
        """Return the sender of a request, by its bearer token or session cookie; NOBODY if unknown.

        A session that is found counts as used now; one whose account has changed is ended. A wrong
        token is written to the audit log. Raises LimitedError after too many wrong tokens from one
        source.
        """
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == BEARER:
            return self._program(token.strip(), request_source.source)
        session = self.sessions.find(
            _cookie(headers, SECURE_COOKIE if request_source.is_secure else COOKIE)
        )
        if session is None:
            return NOBODY
        user = self.accounts.user(session.user)
        if user is None or user.is_disabled or user.changes != session.change:
            self.sessions.end(session.name)
            return NOBODY
        return user.principal(session.name)

    def _program(self, secret: str, source: str) -> Principal:
        if token := self.accounts.find_token(secret):
            return token.principal()
        try:
            self._wrong_tokens.take(source)
        except LimitedError:
            self.logins.labels("limited").inc()
            raise
        self.logins.labels("refused").inc()
        self.trail.append(
            "token.refused", "a token that is none, expired or was revoked", actor=PAGE
        )
        return NOBODY

    def _count_attempt(self, user: User | None, attempt: Attempt) -> None:
        try:
            self.attempts.begin(attempt)
        except LimitedError as error:
            self.logins.labels("limited").inc()
            if error.is_first:
                self.trail.append(
                    "account.locked", f"{_describe_account(user)}: too many attempts", actor=PAGE
                )
            raise

    def _check_password(self, user: User | None, password: str) -> bool:
        """Return whether the person may log in with this password.

        The password is verified even if something else is wrong, so that every answer takes
        as long.
        """
        matches = self.passwords.verify(user.digest if user else None, password)
        return (
            matches
            and user is not None
            and not user.is_disabled
            and (user.until is None or self.clock.wall() < user.until)
        )

    def _record_refusal(self, user: User | None) -> None:
        self.logins.labels("refused").inc()
        why = (
            "is closed"
            if user and user.is_disabled
            else "wrong password, or one that ran out unused"
        )
        self.trail.append(
            "account.refused", f"{_describe_account(user)}{': ' + why if user else ''}", actor=PAGE
        )


def _describe_account(user: User | None) -> str:
    return f"account {user.name}" if user else "a name that is none"


def _cookie(headers: Mapping[str, str], cookie_name: str) -> str:
    pairs = (
        pair.strip().partition("=")
        for pair in headers.get("cookie", "").replace(",", ";").split(";")
    )
    return next((value for name, _, value in pairs if name == cookie_name), "")
