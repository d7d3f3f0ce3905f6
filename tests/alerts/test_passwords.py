"""The digest of nobody: whoever asks for an account that is not there waits as long as for one that is."""

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from alerts.accounts.sessions import Passwords
from tests.alerts.browser import CHEAP, PASSWORD


@pytest.mark.parametrize("hasher", [CHEAP, PasswordHasher(time_cost=2, memory_cost=16, parallelism=2, hash_len=24, salt_len=8)])
def test_an_account_that_is_not_there_is_looked_for_at_the_cost_of_one_that_is(hasher: PasswordHasher) -> None:
    passwords = Passwords(hasher)
    assert extract_parameters(passwords._nobody) == extract_parameters(passwords.digest(PASSWORD))
    with pytest.raises(VerifyMismatchError):  # it was computed; of a digest that is none the error is another, and comes at once
        hasher.verify(passwords._nobody, PASSWORD)
    assert not passwords.fits(None, PASSWORD)


def test_to_be_ready_for_passwords_digests_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def digested(*_: object) -> str:
        raise AssertionError("a start would take a third of a second and 64 MiB more")

    monkeypatch.setattr(PasswordHasher, "hash", digested)
    assert Passwords()._nobody != Passwords()._nobody
