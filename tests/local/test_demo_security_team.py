"""The demo's check of its notifications can tell right from wrong."""

import json

import pytest

from deploy.demo.security_team import faults
from deploy.local.webhook import Received, new_key
from tests.alerts.notify.support import sign_headers

KEY, PAGE = new_key(), "http://127.0.0.1:1"
INCIDENTS = [
    {"id": "INC-A", "severity": "high"},
    {"id": "INC-B", "severity": "medium"},
    {"id": "INC-C", "severity": "low"},
]
TOLD = [
    {"id": i["id"], "severity": i["severity"], "why": "new", "url": f"{PAGE}/incidents/{i['id']}"}
    for i in INCIDENTS[:2]
]


def build_message(incidents: list[dict[str, str]], key: str = KEY, **more: str) -> Received:
    body = json.dumps(
        {
            "type": "ullage.incidents",
            "id": "m",
            "page": f"{PAGE}/",
            "language": "zh",
            "incidents": incidents,
            **more,
        }
    ).encode()
    return Received("/", sign_headers(key, "m", body), body, 0.0)


def test_required_notifications_were_sent():
    assert (
        list(faults([build_message(TOLD[:1]), build_message(TOLD[1:])], KEY, INCIDENTS, PAGE)) == []
    )


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "2 incidents required one notification, 0 had one"),
        (
            [build_message(TOLD), build_message(TOLD)],
            "2 incidents required one notification, 4 had one",
        ),
        ([build_message(TOLD, new_key())], "1 messages have a signature that is not right"),
        ([build_message(TOLD, title="王伟")], "a message says more than"),
        ([build_message([TOLD[0], {**TOLD[1], "tenant": "bank"}])], "a message says more than"),
        (
            [build_message([TOLD[0], {**TOLD[1], "url": "http://elsewhere.example/"}])],
            "a message leads elsewhere",
        ),
    ],
)
def test_faulty_notifications_are_reported(messages, said):
    assert any(fault.startswith(said) for fault in faults(messages, KEY, INCIDENTS, PAGE))


def test_missing_high_notification_is_reported():
    medium, messages = [{"id": "INC-B", "severity": "medium"}], [build_message(TOLD[1:])]
    assert list(faults(messages, KEY, medium, PAGE)) == [
        "the offer of the bank's own data was not notified as high"
    ]
