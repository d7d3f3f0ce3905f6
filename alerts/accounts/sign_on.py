"""Log people in through an identity provider.

Nobody is taken for an account of the same name: that would be whoever may choose names at the
provider. Who is of some tenants alone is called after one of them (`wang.fang@bank`), so that no
name of another tenant is in the way, or told. What no group grants is nobody's, and roles and
tenants of several groups are taken together only where that grants nothing that none of them does.

What is asked of the provider is `alerts.accounts.oidc`, whose account somebody has
`alerts.accounts.sign_on`. Every refusal is in the audit log with its reason, and without anything
of what was sent.
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
from alerts.accounts.accounts import NAME, Accounts, User, checked_roles, checked_tenants, named_in
from alerts.accounts.management import said
from ullage.audit import Trail
from ullage.clock import Clock
from ullage.errors import ConfigError, UllageError, UnavailableError
from ullage.lookup.values import identifier_in
from ullage.phrase import Phrase
from ullage.runtime.rate_limit import Allowance
from ullage.settings import Context
from ullage.settings.roles import GrantSettings, OidcSettings
from ullage.settings.tenants import require_tenant, tenants_here

JOURNEY_SECONDS, MOST_JOURNEYS = 600.0, 2_000


class LoginRefusedError(UllageError):
    """Somebody is not let in.

    The message is for them; `why` is for the audit log and holds nothing of what was sent.
    """

    def __init__(self, message: Phrase, why: str) -> None:
        self.why = why
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Journey:
    """A login that was begun: what is sent and must come back, and where its person wanted to
    go.
    """

    state: str
    nonce: str
    verifier: str
    browser: str
    redirect: str
    then: str
    until: float


class Journeys:
    """Those under way, in memory, each good once and for `JOURNEY_SECONDS`. Threads share it."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._journeys: dict[str, Journey] = {}

    def begin(self, redirect: str, then: str) -> tuple[Journey, str]:
        """A new one, and the secret by which the browser that began it is known again."""
        browser, until = secrets.token_urlsafe(32), self._clock.monotonic() + JOURNEY_SECONDS
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        journey = Journey(state, nonce, verifier, digest(browser), redirect, then, until)
        with self._lock:
            self._journeys[state] = journey
            if len(self._journeys) > MOST_JOURNEYS:
                del self._journeys[next(iter(self._journeys))]
        return journey, browser

    def end(self, state: str, browser: str) -> Journey:
        """The one of that state, which is over by that; RefusedError where this browser began
        none, or not now.
        """
        with self._lock:
            journey = self._journeys.pop(state, None)
        if journey is None or journey.until <= self._clock.monotonic():
            raise LoginRefusedError(AGAIN, "state: none of ours, used before, or too old")
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
"""Who makes accounts that follow from groups, and changes them, in the audit log."""
CLOSED = Phrase("Your account here is disabled.")
TOGETHER = Phrase(
    "Your groups at the identity provider do not map to one account here: ask an operator."
)


def subject_of(settings: OidcSettings, sub: str) -> str:
    """What somebody is known by: the same `sub` of another issuer is somebody else."""
    return f"{settings.issuer} {sub}"


def checked_subject(settings: OidcSettings, given: str) -> str:
    """A subject of the configured issuer, as accounts have it; ConfigError for what can be none."""
    if not settings.issuer:
        raise ConfigError(
            "no identity provider is configured here: search.oidc in ullage.toml names one"
        )
    if not 0 < len(given) <= LONGEST_SUBJECT or not given.isprintable():
        raise ConfigError(
            Phrase(
                "a subject must have 1 to %(most)s characters; the login page shows it to anybody"
                " without an account",
                most=LONGEST_SUBJECT,
            )
        )
    return subject_of(settings, given)


@dataclass(frozen=True, slots=True)
class OidcAccounts:
    """Turns claims that are believed into accounts."""

    settings: OidcSettings
    accounts: Accounts
    trail: Trail

    def user(self, claims: Mapping[str, Any]) -> User:
        """Their account, made or changed now where their groups say so; RefusedError for
        somebody who has none.
        """
        subject = subject_of(self.settings, claims["sub"])
        user = self.accounts.of_subject(subject)
        if user and user.is_disabled:
            raise LoginRefusedError(CLOSED, f"account {user.name}: is closed")
        if user and not user.is_mapped:
            return user
        try:
            roles, tenants = self._granted(claims, user)
        except LoginRefusedError:
            if user:
                self.trail.append(
                    "account.sessions", f"account {user.name}: its sessions end", actor=BY
                )
                self.accounts.end_sessions(user.name)
            raise
        if user is None:
            return self._made(claims, subject, roles, tenants)
        if (set(user.roles), set(user.tenants)) != (set(roles), set(tenants)):
            self._note(
                "account.roles",
                f"account {user.name}: {said(roles, tenants)}; before:"
                f" {said(user.roles, user.tenants)}",
            )
            self.accounts.set_roles(user.name, roles, tenants)
        return self.accounts.named(user.name)

    def _granted(
        self, claims: Mapping[str, Any], user: User | None
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        groups = claims.get(self.settings.claim)
        has = (
            {groups}
            if isinstance(groups, str)
            else {one for one in groups if isinstance(one, str)}
            if isinstance(groups, list)
            else ()
        )
        grants = [one for one in self.settings.grants.values() if one.value in has]
        who = f"account {user.name}" if user else "somebody without an account"
        if not grants:
            raise LoginRefusedError(
                Phrase(
                    "You have no account here. An operator can create one for your subject:"
                    " %(subject)s",
                    subject=claims["sub"],
                ),
                f"{who}: no group that grants anything here",
            )
        try:
            return together(grants)
        except ConfigError as error:
            raise LoginRefusedError(TOGETHER, f"{who}: {error}") from None

    def _made(
        self,
        claims: Mapping[str, Any],
        subject: str,
        roles: Collection[str],
        tenants: Collection[str],
    ) -> User:
        given = claims.get(self.settings.name)
        name = (
            unicodedata.normalize("NFKC", given).partition("@")[0].strip()
            if isinstance(given, str)
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
        name = named_in(name, tenants)
        if self.accounts.user(name):
            raise LoginRefusedError(
                Phrase(
                    "Another account here has your name: ask an operator to create one for you."
                ),
                f"account {name}: the name is taken, and not by the subject that came",
            )
        self._note("account.add", f"account {name}: {said(roles, tenants)}; by its groups")
        return self.accounts.add(
            name, roles, tenants, digest=None, by=BY, subject=subject, is_mapped=True
        )

    def _note(self, action: str, what: str) -> None:
        self.trail.append(action, what, actor=BY)


def together(grants: Iterable[GrantSettings]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Roles and tenants of several grants as one account's; ConfigError where nobody may be that.

    An account has all its roles for all its tenants: of grants for different tenants that would be
    more than they grant.
    """
    of = [(checked_roles(one.roles), checked_tenants(one.tenants)) for one in grants]
    roles = checked_roles({role for ours, _ in of for role in ours})
    tenants = checked_tenants({tenant for _, theirs in of for tenant in theirs})
    for role in roles:
        for tenant in tenants:
            if not any(role in ours and (tenant in theirs or ALL in theirs) for ours, theirs in of):
                raise ConfigError(
                    "groups that grant different roles for different tenants are not one account"
                )
    return roles, tenants


def check_grants(settings: OidcSettings, tenants: Collection[str]) -> None:
    """ConfigError for a grant that could never be given: a role that is none, two that nobody
    has, a tenant that is not known.
    """
    for name, grant in settings.grants.items():
        try:
            together([grant])
            for tenant in grant.tenants:
                if tenant != ALL:
                    require_tenant(tenant, tenants)
        except ConfigError as error:
            raise ConfigError(f"search.oidc.grants.{name}: {error}") from None


if TYPE_CHECKING:
    from alerts.accounts.oidc import Provider
SECRET = "oidc.secret"  # noqa: S105 - its name
BEGUN, BEGUN_SECONDS = 60, 60.0
"""Logins that one source may begin."""
PAGE = "page"
"""Who stands in the audit log for somebody who is not known."""
DOWN = Phrase(
    "The identity provider cannot be reached. Log in with a local password, or try again soon."
)
DENIED = Phrase("The identity provider did not log you in.")


@dataclass(frozen=True, slots=True)
class SignOn:
    """Threads share it."""

    provider: Provider
    vouched: OidcAccounts
    journeys: Journeys
    begun: Allowance
    trail: Trail

    def begin(self, redirect: str, then: str, source: str) -> tuple[str, str]:
        """Where to send the browser, and the secret by which it is known when it is back at
        `redirect`.

        LimitedError after too many; RefusedError while the provider cannot be asked.
        """
        self.begun.take(source)
        journey, browser = self.journeys.begin(redirect, then)
        with self._told():
            return self.provider.address(journey), browser

    def finish(self, sent: Mapping[str, str], browser: str) -> tuple[User, str]:
        """Who came back with `sent`, the query, and where they wanted to go; RefusedError for
        somebody who is not let in.
        """
        with self._told():
            journey = self.journeys.end(sent.get("state", ""), browser)
            if "error" in sent or not sent.get("code"):
                raise LoginRefusedError(DENIED, "the provider did not log somebody in")
            return (
                self.vouched.user(self.provider.claims(journey, sent["code"], sent.get("iss"))),
                journey.then,
            )

    def left(self, back: str) -> str:
        """Where to log out of the provider as well; "" where that is not known."""
        try:
            return self.provider.left(back)
        except UnavailableError:
            return ""

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Every refusal is noted; a provider that cannot be asked refuses, in words for whoever
        waits.
        """
        try:
            yield
        except LoginRefusedError as error:
            self.trail.append("account.refused", f"identity provider: {error.why}", actor=PAGE)
            raise
        except UnavailableError as error:
            self.trail.append("account.refused", str(error), actor=PAGE)
            raise LoginRefusedError(DOWN, str(error)) from error


def configured(context: Context, accounts: Accounts, trail: Trail) -> SignOn | None:
    """As `search.oidc` has it, None where it names no issuer.

    ConfigError says what is wrong or missing; nothing is asked yet.
    """
    settings = context.settings.search.oidc
    if not settings.issuer:
        return None
    try:
        from alerts.accounts.oidc import Provider, fetching  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError(
            f"search.oidc needs {error.name}: pip install 'ullage[search,oidc]'"
        ) from None
    check_grants(settings, tenants_here(context))
    provider = Provider(
        settings, _secret(context), context.clock, fetching(settings, context.data, context.clock)
    )
    begun = Allowance(BEGUN, BEGUN_SECONDS, context.clock, "too many logins were begun")
    return SignOn(
        provider, OidcAccounts(settings, accounts, trail), Journeys(context.clock), begun, trail
    )


def _secret(context: Context) -> str:
    if context.settings.search.oidc.auth == "none":
        return ""
    lines = context.keys.lines(SECRET)
    if len(lines) != 1:
        raise ConfigError(f"secret {SECRET} has {len(lines)} lines: the client's secret is one")
    return lines[0]


def parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """What `ullage check` looks at here: the identity provider, where there is one; it is asked
    once.
    """

    def look() -> str:
        with contextlib.closing(
            Accounts(context.data, context.clock, context.inventory)
        ) as accounts:
            found = configured(context, accounts, context.trail("search"))
            assert found is not None
            try:
                known = found.provider.discovered()
            except UnavailableError as error:
                raise ConfigError(
                    f"{error}; until then people log in with passwords of here alone"
                ) from None
            grants = len(found.vouched.settings.grants)
            ends = "" if known.get("end_session_endpoint") else ", has no address to log out of it"
            return (
                f"{found.provider.settings.issuer} answers{ends}; {grants} groups grant something"
                " here"
            )

    if context.settings.search.oidc.issuer:
        yield "identity provider", look
