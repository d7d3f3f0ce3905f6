"""`ullage check` says who is told of incidents, and fails where something is configured that
tells nobody.
"""

from pathlib import Path

import pytest

from alerts.service.process import channel_parts
from ullage.errors import ConfigError
from ullage.security import keys
from ullage.settings import Context

SOC = "[notify.channels.soc]\n"
ALL = '[notify.routes.all]\nchannels = ["soc"]\n'


def check_notifications(data: Path, text: str, *tenants: str) -> str:
    """Return what `check` says of notifications with this configuration and these tenants' keys."""
    (data / "ullage.toml").write_text(text)
    context = Context(data)
    for tenant in tenants:
        keys.make_tenant(context.keys, tenant)
    return dict(channel_parts(context))["notifications"]()


def test_missing_configuration_is_a_fault(data) -> None:
    with pytest.raises(ConfigError, match=r"^no recipient for any incident: "):
        check_notifications(data, "[notify]\n")


def test_check_lists_the_recipients(data) -> None:
    assert check_notifications(data, SOC + ALL, "bank") == "1 route to soc"
    assert (
        check_notifications(data, SOC + "[notify.channels.spare]\n" + ALL)
        == "1 route to soc; no route leads to spare"
    )
    boss = "[notify.channels.boss]\n"
    assert (
        check_notifications(data, SOC + boss + ALL + 'escalate_to = ["boss"]\n')
        == "1 route to boss, soc"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SOC, r"^no recipient for any incident: add a \[notify.routes.…\] that leads to soc$"),
        (
            SOC + ALL + 'tenants = ["bank"]\n[tenants.shop]\n',
            "^no recipient for incidents of shop: add a \\[notify.routes.…\\] that matches$",
        ),
    ],
)
def test_configured_channel_without_a_route_is_a_fault(data, text, said) -> None:
    with pytest.raises(ConfigError, match=said):
        check_notifications(data, text, "bank")


def test_route_without_a_channel_is_a_configuration_error(data) -> None:
    with pytest.raises(ConfigError, match=r"routes\.all has no channels"):
        check_notifications(data, SOC + "[notify.routes.all]\n")
