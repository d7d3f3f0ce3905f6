"""Authenticate people by session and programs by token, and know by which address a request came.

A name may have a path, below which the desk is (`https://bank.example/desk/`). Pages and redirects
lead there then, whether the proxy takes the path away or passes it on.

`X-Forwarded-For` and `X-Forwarded-Host` are believed from the addresses in `search.proxies`; a
request with such a header from anybody else is refused. Of a chain of proxies the last address that
is none of ours is the source.

A person logs in with name and password. That a name is none, a password wrong, an account closed:
all get one answer, after as long a time, and who has to wait waits whatever the name. Every login
and every refusal is in the audit log, refusals of unknown names without the name: people type
passwords there.
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
"""What is for this machine alone: it names tenants."""


@dataclass(frozen=True, slots=True)
class RequestSource:
    """A request's name (`host`, "" for one that is not ours), `source` and whether what its reader
    sent was encrypted.

    `source` is an address, of IPv6 the network (/64) that one reader has; `origin` is what a
    browser calls the page that it sees.
    """

    host: str
    source: str
    is_secure: bool
    is_local: bool
    origin: str = ""
    base: str = ""
    """The path below which its reader sees the desk, without a slash at the end; "" for the
    whole name.
    """
    is_forged: bool = False
    """Whether it says for whom it was forwarded, and comes from no configured proxy."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How the desk can be reached: `hosts` directly, `public` (host to origin) by the addresses
    that its readers know.
    """

    hosts: frozenset[str]
    public: Mapping[str, str]
    bases: Mapping[str, str] = field(default_factory=dict)
    """Host to the path below which it has the desk."""
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    trusts_socket: bool = False
    scheme: str = "http"

    @classmethod
    def of(cls, settings: Settings, hosts: Iterable[str]) -> Reach:
        """As the settings have it; `hosts` are the `name:port` under which it listens."""
        search = settings.search
        page = urlsplit(settings.notify.page)
        told = (settings.notify.page,) if page.scheme == "https" and page.hostname else ()
        public = {host_of(one): origin_of(one) for one in (*search.public, *told)}
        bases = {host_of(one): urlsplit(one).path.rstrip("/") for one in (*told, *search.public)}
        networks = tuple(ip_network(one) for one in search.proxies if one != UNIX)
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
        """What a browser calls a page of ours."""
        return frozenset(
            {*self.public.values(), *(f"{self.scheme}://{host}" for host in self.hosts)}
        )

    def asked(self, scope: Scope, headers: Mapping[str, str]) -> RequestSource:
        """What a request says of itself, as far as it can be believed."""
        peer = scope["client"][0] if scope.get("client") else UNIX
        host, source = headers.get("host", ""), peer
        if by_proxy := self._trusts(peer):
            host = headers.get("x-forwarded-host", host)
            source = self._source(headers.get("x-forwarded-for", ""), peer)
        known = host if host in self.hosts or host in self.public else ""
        is_secure = self.scheme == "https" or (
            known in self.public and self.public[known].startswith("https:")
        )
        by_proxy = by_proxy and ("x-forwarded-for" in headers or "x-forwarded-host" in headers)
        is_local = known in self.hosts and not by_proxy and (peer == UNIX or _is_loopback(peer))
        is_secure = is_secure or (by_proxy and headers.get("x-forwarded-proto") == "https")
        origin = self.public.get(known) or f"{'https' if is_secure else 'http'}://{known}"
        is_forged = not self._trusts(peer) and not FORWARDED.isdisjoint(headers)
        return RequestSource(
            known,
            _network_of(source),
            is_secure,
            is_local,
            origin,
            self.bases.get(known, ""),
            is_forged,
        )

    def _source(self, forwarded: str, peer: str) -> str:
        """The last address in a list of `X-Forwarded-For` that is no proxy of ours; the peer
        where it says nothing.
        """
        for one in reversed([part.strip() for part in forwarded.split(",") if part.strip()]):
            if not self._trusts(one):
                return one[:64]
        return peer

    def _trusts(self, address: str) -> bool:
        if address == UNIX:
            return self.trusts_socket
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.networks)


def host_of(url: str) -> str:
    """The host of an address as a browser sends it: without the scheme's own port.

    >>> host_of("https://ullage.bank.example:443/"), host_of("https://desk.example:8443")
    ('ullage.bank.example', 'desk.example:8443')
    """
    parts = urlsplit(url)
    name = parts.hostname or ""
    name = f"[{name}]" if ":" in name else name
    return name if parts.port in (None, PORTS.get(parts.scheme)) else f"{name}:{parts.port}"


def origin_of(url: str) -> str:
    """The origin of an address as a browser sends it."""
    return f"{urlsplit(url).scheme}://{host_of(url)}"


def _network_of(source: str) -> str:
    """Where somebody may have any of the addresses, as one source."""
    try:
        found = ip_address(source)
    except ValueError:
        return source
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((found.packed, 64), strict=False).network_address) + "/64"
    return str(found.ipv4_mapped if isinstance(found, IPv6Address) else found)


def _is_loopback(peer: str) -> bool:
    try:
        return ip_address(peer).is_loopback
    except ValueError:
        return peer in LOOPBACK


COOKIE, SECURE_COOKIE = "ullage_session", "__Host-ullage_session"
BEARER = "bearer"
PAGE = "page"
"""Who stands in the audit log for somebody who is not known."""
LONGEST_NAME = 100
"""Of a name that is typed, what is remembered of it at most."""
WRONG_TOKENS, WRONG_SECONDS = 10, 60.0


@dataclass(slots=True)
class Authenticator:
    """Lets people and programs in. Threads share it."""

    accounts: Accounts
    passwords: Passwords
    sessions: Sessions
    clock: Clock
    trail: Trail
    logins: Counter
    vouched_seconds: float = 900.0
    """After which a provider has to vouch again for whom it vouches."""
    attempts: Attempts = field(init=False)
    _wrong_tokens: Allowance = field(init=False)

    def __post_init__(self) -> None:
        self.attempts = Attempts(self.clock)
        self._wrong_tokens = Allowance(
            WRONG_TOKENS, WRONG_SECONDS, self.clock, "too many wrong tokens"
        )

    def enter(self, name: str, password: str, source: str, device: str = "") -> str | None:
        """A new session's id, None for somebody who is not let in; LimitedError after too many
        attempts, right or wrong.

        `device` is what the browser keeps of an earlier login.
        """
        user = self.accounts.user(name)
        is_made = user is not None and user.until is not None
        attempt = Attempt(
            normalize_name(name)[:LONGEST_NAME], source, verify_device(user, device), is_made
        )
        self._begin(user, attempt)
        if not self._is_right(user, password):
            self._refused(user)
            return None
        assert user is not None
        self.attempts.forgive(attempt)
        if user.digest and self.passwords.needs_rehash(user.digest):
            self.accounts.rehash_password(user.name, self.passwords.digest(password))
        return self.open(user, "password")

    def open(self, user: User, by: str) -> str:
        """A session of somebody who has shown who they are, `by` what."""
        self.trail.append("account.login", f"account {user.name} by {by}", actor=user.name)
        self.logins.labels("in").inc()
        return self.sessions.open(
            user.name, user.changes, None if user.subject is None else self.vouched_seconds
        )

    def is_to_be_vouched(self, headers: Mapping[str, str], asked: RequestSource) -> bool:
        """Whether who sent a request is to be led to the identity provider, that it may vouch
        for them again.
        """
        return self.sessions.needs_vouching(
            _cookie(headers, SECURE_COOKIE if asked.is_secure else COOKIE)
        )

    def device(self, name: str) -> str:
        """What the browser of somebody keeps who has just logged in by password."""
        return new_device(self.accounts.get_user(name))

    def change(self, principal: Principal, old: str, new: str, source: str) -> str | None:
        """Change the asker's own password, which ends their sessions, and open one; None where the
        old one is wrong.

        PasswordError for a new one that is not taken.
        """
        user = self.accounts.get_user(principal.name)
        if user.digest is None:
            raise PasswordError(
                Phrase("you have no password here: you are verified by an identity provider")
            )
        validate_password(new, user.name)
        if old == new:
            raise PasswordError(Phrase("this is the previous password: choose another one"))
        attempt = Attempt(normalize_name(user.name), source, f"session {principal.session}")
        self._begin(user, attempt)
        if not self._is_right(user, old):
            self._refused(user)
            return None
        self.attempts.forgive(attempt)
        self.trail.append(
            "account.password", f"account {user.name}: changed by its person", actor=user.name
        )
        self.accounts.set_password(user.name, self.passwords.digest(new), is_own=True)
        self.sessions.end(principal.session)
        return self.sessions.open(user.name, self.accounts.get_user(user.name).changes)

    def leave(self, principal: Principal) -> None:
        """End the asker's session."""
        self.trail.append("account.logout", f"account {principal.name}", actor=principal.name)
        self.sessions.end(principal.session)

    def principal(self, headers: Mapping[str, str], asked: RequestSource) -> Principal:
        """Who sent a request; NOBODY for somebody who is not known.

        LimitedError for a wrong token of a program after too many of them.
        """
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == BEARER:
            return self._program(given.strip(), asked.source)
        session = self.sessions.find(_cookie(headers, SECURE_COOKIE if asked.is_secure else COOKIE))
        if session is None:
            return NOBODY
        user = self.accounts.user(session.user)
        if user is None or user.is_disabled or user.changes != session.change:
            self.sessions.end(session.name)
            return NOBODY
        return user.principal(session.name)

    def _program(self, given: str, source: str) -> Principal:
        if token := self.accounts.find_token(given):
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

    def _begin(self, user: User | None, attempt: Attempt) -> None:
        try:
            self.attempts.begin(attempt)
        except LimitedError as error:
            self.logins.labels("limited").inc()
            if error.is_first:
                self.trail.append("account.locked", f"{_said(user)}: too many attempts", actor=PAGE)
            raise

    def _is_right(self, user: User | None, password: str) -> bool:
        """Whether they are let in; the password is looked at whatever else is wrong, so that all
        takes as long.
        """
        fits = self.passwords.verify(user.digest if user else None, password)
        return (
            fits
            and user is not None
            and not user.is_disabled
            and (user.until is None or self.clock.wall() < user.until)
        )

    def _refused(self, user: User | None) -> None:
        self.logins.labels("refused").inc()
        why = (
            "is closed"
            if user and user.is_disabled
            else "wrong password, or one that ran out unused"
        )
        self.trail.append(
            "account.refused", f"{_said(user)}{': ' + why if user else ''}", actor=PAGE
        )


def _said(user: User | None) -> str:
    return f"account {user.name}" if user else "a name that is none"


def _cookie(headers: Mapping[str, str], wanted: str) -> str:
    pairs = (
        pair.strip().partition("=")
        for pair in headers.get("cookie", "").replace(",", ";").split(";")
    )
    return next((value for name, _, value in pairs if name == wanted), "")
