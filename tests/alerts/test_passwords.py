"""The digest of nobody: whoever asks for an account that is not there waits as long as for one
that is.
"""

import base64
import hashlib
from pathlib import Path

import pytest
from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import VerifyMismatchError

from alerts.accounts import ALL
from alerts.accounts.accounts import Accounts
from alerts.accounts.sessions import PasswordError, Passwords, validate_password
from tests.alerts.browser import CHEAP, PASSWORD


@pytest.mark.parametrize(
    "hasher",
    [CHEAP, PasswordHasher(time_cost=2, memory_cost=16, parallelism=2, hash_len=24, salt_len=8)],
)
def test_an_account_that_is_not_there_is_looked_for_at_the_cost_of_one_that_is(
    hasher: PasswordHasher,
) -> None:
    passwords = Passwords(hasher)
    assert extract_parameters(passwords._nobody) == extract_parameters(passwords.digest(PASSWORD))
    # it was computed; of a digest that is none the error is another, and comes at once
    with pytest.raises(VerifyMismatchError):
        hasher.verify(passwords._nobody, PASSWORD)
    assert not passwords.verify(None, PASSWORD)


def test_to_be_ready_for_passwords_digests_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def digested(*_: object) -> str:
        raise AssertionError("a start would take a third of a second and 64 MiB more")

    monkeypatch.setattr(PasswordHasher, "hash", digested)
    assert Passwords()._nobody != Passwords()._nobody


def test_what_is_stored_of_passwords_and_tokens_is_what_is_promised(
    accounts: Accounts, data: Path
) -> None:
    """SECURITY.md names the function, its memory, the shortest password, and 256 random bits a
    token.
    """
    parameters = extract_parameters(Passwords().digest(PASSWORD))
    assert (parameters.type, parameters.memory_cost) == (Type.ID, 64 * 1024)
    with pytest.raises(PasswordError, match="15 to"):
        validate_password("abcdefghijklmn", "somebody")
    assert validate_password("abcdefghijklmno", "somebody")
    _, secret = accounts.add_token(
        "soar", ["incident.read"], [ALL], purpose="tests", days=1.0, by="test"
    )
    random = secret.split("_", 2)[2]
    assert len(base64.urlsafe_b64decode(random + "=")) == 32
    files = [path.read_bytes() for path in data.rglob("accounts.sqlite*")]
    assert files
    assert not any(random.encode() in file for file in files)
    assert any(hashlib.sha256(secret.encode()).hexdigest().encode() in file for file in files)
