"""A tenant that is not known is told from one of whom nothing is."""

import pytest

from ullage.errors import ConfigError
from ullage.security import keys
from ullage.settings import Context
from ullage.settings.tenants import find_tenants, require_tenant


def test_tenants_come_from_settings_and_keys(data) -> None:
    (data / "ullage.toml").write_text('[tenants.shop]\nbrands = ["某某"]\n')
    context = Context(data)
    assert find_tenants(context) == {"shop"}
    keys.make_tenant(context.keys, "bank")
    context.keys.make("far/index-1.key")  # all that a host of search has
    keys.make_tenant(context.keys, "ullage-canary")
    assert find_tenants(context) == {"bank", "far", "shop"}


def test_tenant_is_known_by_a_credential(data, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for name in ("bank.index-1.key", "intake.token", "seal.20260921.key"):
        (tmp_path / name).write_bytes(bytes(32))
    assert find_tenants(Context(data)) == {"bank"}


def test_similar_tenant_is_suggested_first() -> None:
    require_tenant("bank", ["bank"])
    with pytest.raises(ConfigError, match=r"^tenant bnak is unknown: use bank, agency, shop$"):
        require_tenant("bnak", ["shop", "agency", "bank"])
    with pytest.raises(ConfigError, match=r"use .* or one of 3 others$"):
        require_tenant("x", [f"tenant-{n}" for n in range(13)])
    with pytest.raises(ConfigError, match="and so is any other: load"):
        require_tenant("bank", [])


@pytest.mark.parametrize(
    "name", ["13800138000", "a13800138000", "x\x1b[31m", "110105-19491231-002x", ""]
)
def test_name_that_may_be_an_identifier_is_not_echoed(name) -> None:
    with pytest.raises(ConfigError, match=r"^that tenant is unknown: use bank$"):
        require_tenant(name, ["bank"])
