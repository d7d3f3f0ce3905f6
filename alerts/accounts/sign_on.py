"""Log people in through an identity provider.

An account is found by the provider's subject, never by its name: otherwise anybody who can choose a
name at the provider could take over an account. Accounts that see only some tenants have one of
them in their name (`wang.fang@bank`), so that names of different tenants do not collide or reveal
each other. Roles and tenants come from the person's groups; those of several groups are combined
only if that grants nothing that no single group grants.

`alerts.accounts.oidc` speaks to the provider; this module finds or creates the account. Every
refusal is logged in the audit log with its reason, but without anything that was sent.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alerts.accounts import ALL, digest
from alerts.accounts.accounts import (
    NAME,
    Accounts,
    User,
    qualify_name,
    validate_roles,
    validate_tenants,
)
from alerts.accounts.management import describe_scope
from ullage.audit import Trail
from ullage.clock import Clock
from ullage.errors import ConfigError, UllageError, UnavailableError
from ullage.lookup.values import identifier_in
from ullage.phrase import Phrase
from ullage.runtime.rate_limit import Allowance
from ullage.settings import Context
from ullage.settings.roles import GrantSettings, OidcSettings
from ullage.settings.tenants import find_tenants, require_tenant

JOURNEY_SECONDS, MOST_JOURNEYS = 600.0, 2_000


class LoginRefusedError(UllageError):
    """A login was refused.

    The message is for the person; `why` is for the audit log and contains nothing that was sent.
    """

    def __init__(self, message: Phrase, why: str) -> None:
        self.why = why
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Journey:
    """A login in progress: the secrets to compare, and the page to go to afterwards."""

    state: str
    nonce: str
    verifier: str
    browser: str
    redirect: str
    then: str
    until: float


class Journeys:
    """The logins in progress, in memory. Thread-safe.

    Each can be finished once, within `JOURNEY_SECONDS`.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._journeys: dict[str, Journey] = {}

    def begin(self, redirect: str, then: str) -> tuple[Journey, str]:
        """Start a login; return it and the secret for a cookie, by which its browser is recognised.

        `redirect` is where the provider sends the browser back, and `then` the page to show
        afterwards. If there are over 2,000 logins in progress, the oldest is dropped.
        """
        browser, until = secrets.token_urlsafe(32), self._clock.monotonic() + JOURNEY_SECONDS
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        journey = Journey(state, nonce, verifier, digest(browser), redirect, then, until)
        with self._lock:
            self._journeys[state] = journey
            if len(self._journeys) > MOST_JOURNEYS:
                del self._journeys[next(iter(self._journeys))]
        return journey, browser

    def end(self, state: str, browser: str) -> Journey:
        """Remove and return the login with that state, which thus works only one time.

        Raises LoginRefusedError if it is unknown, expired, or was begun in another browser. In the
        last case it is removed too.
        """
        with self._lock:
            journey = self._journeys.pop(state, None)
        if journey is None or journey.until <= self._clock.monotonic():
            raise LoginRefusedError(AGAIN, "state: unknown, already used, or too old")
        if not secrets.compare_digest(journey.browser, digest(browser)):
            raise LoginRefusedError(AGAIN, "state: begun in another browser")
        return journey


AGAIN = Phrase(
    "This login was started elsewhere, took too long or was already used. Please log in again."
)
NOT_BELIEVED = Phrase(
    "The identity provider's answer is not trustworthy. Please log in again; an operator can find"
    " the reason in the audit log."
)


LONGEST_SUBJECT = 255
"""OpenID Connect Core, 2."""
BY = "identity provider"
"""The actor in the audit log for accounts created or changed because of groups."""
CLOSED = Phrase("Your account here is disabled. Ask an operator to open it again.")
TOGETHER = Phrase(
    "Your groups at the identity provider do not map to one account here: ask an operator."
)


def subject_of(settings: OidcSettings, sub: str) -> str:
    """Return the stored form of the subject `sub`: `ISSUER SUB`."""
    return f"{settings.issuer} {sub}"


def validate_subject(settings: OidcSettings, sub: str) -> str:
    """Return the stored form, `ISSUER SUB`, of a subject that an operator entered.

    Raises ConfigError if it is empty, longer than 255 characters or not printable, or if no
    provider is configured.
    """
    if not settings.issuer:
        raise ConfigError("no identity provider is configured: set search.oidc in ullage.toml")
    if not 0 < len(sub) <= LONGEST_SUBJECT or not sub.isprintable():
        raise ConfigError(
            Phrase(
                "a subject must have 1 to %(most)s characters; the login page shows it to anybody"
                " without an account",
                most=LONGEST_SUBJECT,
            )
        )
    return subject_of(settings, sub)


@dataclass(frozen=True, slots=True)
class OidcAccounts:
    """Finds or creates the account that belongs to verified claims."""

    settings: OidcSettings
    accounts: Accounts
    trail: Trail

    def user(self, claims: Mapping[str, Any]) -> User:
        """Return the account of the claims' subject, created or updated from its groups.

        An account that an operator made keeps its roles and tenants. Changes are written to the
        audit log first. Raises LoginRefusedError if the account is disabled, no group grants
        anything, the groups do not add up to one account, or the name for a new account is invalid
        or taken. The sessions of an account whose groups no longer grant it end.
        """
        subject = subject_of(self.settings, claims["sub"])
        user = self.accounts.find_by_subject(subject)
        if user and user.is_disabled:
            raise LoginRefusedError(CLOSED, f"account {user.name}: is closed")
        if user and not user.is_mapped:
            return user
        try:
            roles, tenants = self._find_grants(claims, user)
        except LoginRefusedError:
            if user:
                self.trail.append(
                    "account.sessions", f"account {user.name}: its sessions end", actor=BY
                )
                self.accounts.end_sessions(user.name)
            raise
        if user is None:
            return self._create(claims, subject, roles, tenants)
        if (set(user.roles), set(user.tenants)) != (set(roles), set(tenants)):
            self._record(
                "account.roles",
                f"account {user.name}: {describe_scope(roles, tenants)}; before:"
                f" {describe_scope(user.roles, user.tenants)}",
            )
            self.accounts.set_roles(user.name, roles, tenants)
        return self.accounts.get_user(user.name)

    def _find_grants(
        self, claims: Mapping[str, Any], user: User | None
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        groups = claims.get(self.settings.claim)
        groups_held = (
            {groups}
            if isinstance(groups, str)
            else {item for item in groups if isinstance(item, str)}
            if isinstance(groups, list)
            else ()
        )
        grants = [item for item in self.settings.grants.values() if item.value in groups_held]
        who = f"account {user.name}" if user else "somebody without an account"
        if not grants:
            raise LoginRefusedError(
                Phrase(
                    "You have no account here. Ask an operator to create one for your"
                    " subject: %(subject)s",
                    subject=claims["sub"],
                ),
                f"{who}: no group that grants anything here",
            )
        try:
            return combine_grants(grants)
        except ConfigError as error:
            raise LoginRefusedError(TOGETHER, f"{who}: {error}") from None

    def _create(
        self,
        claims: Mapping[str, Any],
        subject: str,
        roles: Collection[str],
        tenants: Collection[str],
    ) -> User:
        claimed_name = claims.get(self.settings.name)
        name = (
            unicodedata.normalize("NFKC", claimed_name).partition("@")[0].strip()
            if isinstance(claimed_name, str)
            else ""
        )
        if not NAME.fullmatch(name) or identifier_in(name):
            raise LoginRefusedError(
                Phrase(
                    "The identity provider's name for you is not a valid account name here: ask an"
                    " operator."
                ),
                f"somebody without an account: claim {self.settings.name} has no name that can be"
                " one here",
            )
        name = qualify_name(name, tenants)
        if self.accounts.user(name):
            raise LoginRefusedError(
                Phrase(
                    "Another account here has your name: ask an operator to create one for you."
                ),
                f"account {name}: the name is taken, and not by the subject that came",
            )
        self._record(
            "account.add", f"account {name}: {describe_scope(roles, tenants)}; by its groups"
        )
        return self.accounts.add(
            name, roles, tenants, digest=None, by=BY, subject=subject, is_mapped=True
        )

    def _record(self, action: str, what: str) -> None:
        self.trail.append(action, what, actor=BY)


def combine_grants(grants: Iterable[GrantSettings]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the roles and tenants of one account that has all these grants.

    An account has each of its roles for each of its tenants. Raises ConfigError if that would grant
    more than the grants do, if two roles exclude each other, or if there is no grant.
    """
    scopes = [(validate_roles(grant.roles), validate_tenants(grant.tenants)) for grant in grants]
    roles = validate_roles({role for grant_roles, _ in scopes for role in grant_roles})
    tenants = validate_tenants({tenant for _, grant_tenants in scopes for tenant in grant_tenants})
    for role in roles:
        for tenant in tenants:
            if not any(
                role in grant_roles and (tenant in grant_tenants or ALL in grant_tenants)
                for grant_roles, grant_tenants in scopes
            ):
                raise ConfigError(
                    "these groups grant different roles for different tenants: give one"
                    " account the same roles for all its tenants"
                )
    return roles, tenants


def check_grants(settings: OidcSettings, tenants: Collection[str]) -> None:
    """Raise ConfigError if a configured grant can never be used; `tenants` are those that exist.

    That is the case with an unknown role or tenant, or two roles that exclude each other.
    """
    for name, grant in settings.grants.items():
        try:
            combine_grants([grant])
            for tenant in grant.tenants:
                if tenant != ALL:
                    require_tenant(tenant, tenants)
        except ConfigError as error:
            raise ConfigError(f"search.oidc.grants.{name}: {error}") from None


if TYPE_CHECKING:
    from alerts.accounts.oidc import Provider
SECRET = "oidc.secret"  # noqa: S105 - its name
BEGUN, BEGUN_SECONDS = 60, 60.0
"""Logins that one source may begin within so many seconds."""
PAGE = "page"
"""The actor in the audit log for somebody who is not logged in."""
DOWN = Phrase(
    "The identity provider cannot be reached. Log in with a local password, or try again soon."
)
DENIED = Phrase("The identity provider did not log you in. Try again, or ask an operator.")


@dataclass(frozen=True, slots=True)
class SignOn:
    """The login through the configured identity provider. Thread-safe."""

    provider: Provider
    vouched: OidcAccounts
    journeys: Journeys
    begun: Allowance
    trail: Trail

    def begin(self, redirect: str, then: str, source: str) -> tuple[str, str]:
        """Start a login; return the address for the browser and the secret that identifies it.

        `redirect` is where the provider sends it back, `then` the page to show afterwards. Raises
        LimitedError after 60 logins of one source within a minute, and LoginRefusedError while the
        provider cannot be reached, which is recorded in the audit log.
        """
        self.begun.take(source)
        journey, browser = self.journeys.begin(redirect, then)
        with self._record_refusals():
            return self.provider.address(journey), browser

    def finish(self, sent: Mapping[str, str], browser: str) -> tuple[User, str]:
        """Return the account that logged in, and the page to show.

        `sent` is the query with which the browser came back, and `browser` the secret of its
        cookie. The login cannot be finished again. Raises LoginRefusedError, after recording it in
        the audit log, if the login is not valid, the provider did not log the person in or cannot
        be reached, or the person has no account.
        """
        with self._record_refusals():
            journey = self.journeys.end(sent.get("state", ""), browser)
            if "error" in sent or not sent.get("code"):
                raise LoginRefusedError(DENIED, "the provider did not log somebody in")
            return (
                self.vouched.user(self.provider.claims(journey, sent["code"], sent.get("iss"))),
                journey.then,
            )

    def logout_address(self, back: str) -> str:
        """Return where to log out of the provider too, or "" if that is not possible.

        It is not if the provider has no such address or cannot be reached. The provider then sends
        the browser to `back`.
        """
        try:
            return self.provider.logout_address(back)
        except UnavailableError:
            return ""

    @contextlib.contextmanager
    def _record_refusals(self) -> Iterator[None]:
        """Record refusals in the block in the audit log.

        A provider that cannot be reached is turned into a refusal with a message for the person.
        That is a LoginRefusedError, too.
        """
        try:
            yield
        except LoginRefusedError as error:
            self.trail.append("account.refused", f"identity provider: {error.why}", actor=PAGE)
            raise
        except UnavailableError as error:
            self.trail.append("account.refused", str(error), actor=PAGE)
            raise LoginRefusedError(DOWN, str(error)) from error


def open_sign_on(context: Context, accounts: Accounts, trail: Trail) -> SignOn | None:
    """Return the login through the provider of `search.oidc`; None if that has no issuer.

    Nothing is sent yet. Raises ConfigError if a package, the client's secret or a certificate is
    missing, or a grant is invalid.
    """
    settings = context.settings.search.oidc
    if not settings.issuer:
        return None
    try:
        from alerts.accounts.oidc import Provider, open_fetching  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError(
            f"search.oidc needs {error.name}: pip install 'ullage[search,oidc]'"
        ) from None
    check_grants(settings, find_tenants(context))
    provider = Provider(
        settings,
        _secret(context),
        context.clock,
        open_fetching(settings, context.data, context.clock),
    )
    begun = Allowance(BEGUN, BEGUN_SECONDS, context.clock, "too many logins were begun")
    return SignOn(
        provider, OidcAccounts(settings, accounts, trail), Journeys(context.clock), begun, trail
    )


def _secret(context: Context) -> str:
    if context.settings.search.oidc.auth == "none":
        return ""
    lines = context.keys.read_lines(SECRET)
    if len(lines) != 1:
        raise ConfigError(
            f"secret {SECRET} has {len(lines)} lines: it must have one, the client's secret"
        )
    return lines[0]


def parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the check of a configured identity provider for `ullage check`, with its name.

    The check fetches the provider's metadata and returns one line. It raises ConfigError if the
    settings are wrong or the provider does not answer.
    """

    def check_provider() -> str:
        with contextlib.closing(
            Accounts(context.data, context.clock, context.inventory)
        ) as accounts:
            sign_on = open_sign_on(context, accounts, context.trail("search"))
            assert sign_on is not None
            try:
                metadata = sign_on.provider.get_metadata()
            except UnavailableError as error:
                raise ConfigError(
                    f"{error}; until the provider answers, people can log in only with a local"
                    " password"
                ) from None
            grants = len(sign_on.vouched.settings.grants)
            ends = (
                "" if metadata.get("end_session_endpoint") else ", has no address to log out of it"
            )
            return (
                f"{sign_on.provider.settings.issuer} answers{ends}; {grants} groups grant something"
                " here"
            )

    if context.settings.search.oidc.issuer:
        yield "identity provider", check_provider
