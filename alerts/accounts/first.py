"""The first login: made where there is no account yet, and said once."""

from __future__ import annotations

from alerts.accounts.accounts import Accounts
from alerts.accounts.passwords import Passwords, made
from alerts.accounts.roles import ALL
from ullage.audit import Trail

NAME = "admin"
ROLES = ("operator", "lead")
"""Enough to make the other accounts and to see that all works; give both away when there are others."""
HOURS = 24


def first_login(accounts: Accounts, trail: Trail) -> str | None:
    """Name and password of a new account, as a line for whoever starts the desk first; None where there is one already.

    The password is good for `HOURS`, to log in and to change it; nothing else can be done with it.
    """
    if accounts.users():
        return None
    password = made()
    trail.append("account.add", f"account {NAME}: {', '.join(ROLES)} of all tenants, the first one", actor=trail.chain)
    accounts.add(NAME, ROLES, [ALL], digest=Passwords().digest(password), by=trail.chain, hours=HOURS)
    return f"{NAME} with the password {password}, to be changed within {HOURS} hours"
