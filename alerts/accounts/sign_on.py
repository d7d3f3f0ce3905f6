"""Logging in by an identity provider, from the link on the login page to an account.

What is asked of the provider is `alerts.accounts.oidc`, whose account somebody has `alerts.accounts.oidc_accounts`. Every refusal
is in the audit log with its reason, and without anything of what was sent.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alerts.accounts.accounts import Accounts, User
from alerts.accounts.journeys import Journeys, LoginRefusedError
from alerts.accounts.oidc_accounts import OidcAccounts, check_grants
from ullage.audit import Trail
from ullage.errors import ConfigError, UnavailableError
from ullage.phrase import Phrase
from ullage.runtime.allowance import Allowance
from ullage.settings import Context
from ullage.settings.tenants import tenants_here

if TYPE_CHECKING:
    from alerts.accounts.oidc import Provider

SECRET = "oidc.secret"  # noqa: S105 - its name
BEGUN, BEGUN_SECONDS = 60, 60.0
"""Logins that one source may begin."""
PAGE = "page"
"""Who stands in the audit log for somebody who is not known."""
DOWN = Phrase("The identity provider cannot be reached. Log in with a local password, or try again soon.")
DENIED = Phrase("The identity provider did not log you in.")


@dataclass(frozen=True, slots=True)
class SignOn:
    """Threads share it."""

    provider: Provider
    vouched: OidcAccounts
    journeys: Journeys
    begun: Allowance
    trail: Trail

    @property
    def label(self) -> str:
        """What it is called on the login page."""
        return self.provider.settings.label

    def begin(self, redirect: str, then: str, source: str) -> tuple[str, str]:
        """Where to send the browser, and the secret by which it is known when it is back at `redirect`.

        LimitedError after too many; RefusedError while the provider cannot be asked.
        """
        self.begun.take(source)
        journey, browser = self.journeys.begin(redirect, then)
        with self._told():
            return self.provider.address(journey), browser

    def finish(self, sent: Mapping[str, str], browser: str) -> tuple[User, str]:
        """Who came back with `sent`, the query, and where they wanted to go; RefusedError for somebody who is not let in."""
        with self._told():
            journey = self.journeys.end(sent.get("state", ""), browser)
            if "error" in sent or not sent.get("code"):
                raise LoginRefusedError(DENIED, "the provider did not log somebody in")
            return self.vouched.user(self.provider.claims(journey, sent["code"], sent.get("iss"))), journey.then

    def left(self, back: str) -> str:
        """Where to log out of the provider as well; "" where that is not known."""
        try:
            return self.provider.left(back)
        except UnavailableError:
            return ""

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Every refusal is noted; a provider that cannot be asked refuses, in words for whoever waits."""
        try:
            yield
        except LoginRefusedError as error:
            self.trail.append("account.refused", f"identity provider: {error.why}", actor=PAGE)
            raise
        except UnavailableError as error:
            self.trail.append("account.refused", str(error), actor=PAGE)
            raise LoginRefusedError(DOWN, str(error)) from error


def configured(context: Context, accounts: Accounts, trail: Trail) -> SignOn | None:
    """As `search.oidc` has it, None where it names no issuer. ConfigError says what is wrong or missing; nothing is asked yet."""
    settings = context.settings.search.oidc
    if not settings.issuer:
        return None
    try:
        from alerts.accounts.fetching import fetching  # noqa: PLC0415 - an extra
        from alerts.accounts.oidc import Provider  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError(f"search.oidc needs {error.name}: pip install 'ullage[search,oidc]'") from None
    check_grants(settings, tenants_here(context))
    provider = Provider(settings, _secret(context), context.clock, fetching(settings, context.data, context.clock))
    begun = Allowance(BEGUN, BEGUN_SECONDS, context.clock, "too many logins were begun")
    return SignOn(provider, OidcAccounts(settings, accounts, trail), Journeys(context.clock), begun, trail)


def _secret(context: Context) -> str:
    if context.settings.search.oidc.auth == "none":
        return ""
    lines = context.keys.lines(SECRET)
    if len(lines) != 1:
        raise ConfigError(f"secret {SECRET} has {len(lines)} lines: the client's secret is one")
    return lines[0]


def parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """What `ullage check` looks at here: the identity provider, where there is one; it is asked once."""

    def look() -> str:
        with contextlib.closing(Accounts(context.data, context.clock)) as accounts:
            found = configured(context, accounts, context.trail("search"))
            assert found is not None
            try:
                known = found.provider.discovered()
            except UnavailableError as error:
                raise ConfigError(f"{error}; until then people log in with passwords of here alone") from None
            grants = len(found.vouched.settings.grants)
            ends = "" if known.get("end_session_endpoint") else ", has no address to log out of it"
            return f"{found.provider.settings.issuer} answers{ends}; {grants} groups grant something here"

    if context.settings.search.oidc.issuer:
        yield "identity provider", look
