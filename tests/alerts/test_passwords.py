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
def test_unknown_account_costs_as_much_time_as_a_known_one(
    hasher: PasswordHasher,
) -> None:
    passwords = Passwords(hasher)
    assert extract_parameters(passwords._nobody) == extract_parameters(passwords.digest(PASSWORD))
    # it was computed; of a digest that is none the error is another, and comes at once
    with pytest.raises(VerifyMismatchError):
        hasher.verify(passwords._nobody, PASSWORD)
    assert not passwords.verify(None, PASSWORD)


def test_preparing_passwords_hashes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_on_hash(*_: object) -> str:
        raise AssertionError("a start would take a third of a second and 64 MiB more")

    monkeypatch.setattr(PasswordHasher, "hash", fail_on_hash)
    assert Passwords()._nobody != Passwords()._nobody


def test_stored_password_and_token_parameters_are_as_documented(
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
