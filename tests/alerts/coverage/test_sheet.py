"""Each day's sheet: signed when the day is over, open while more is heard of it, time-stamped by
a real authority (OpenSSL's).
"""

import datetime as dt
import http.server
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from alerts.coverage.signed_days import (
    Authority,
    DayCheck,
    Sheets,
    Stamper,
    check_days,
    open_sheets,
    open_stamper,
)
from alerts.records import DaySheet, SiteDay
from alerts.store import DocumentFilter
from tests.alerts.coverage.heartbeats import DAY, HOUR, NINE, Alert, beat
from ullage.errors import ConfigError
from ullage.security import keys
from ullage.security.signing import TOPIC
from ullage.settings import Context, Settings
from ullage.settings.storage import CoverageSettings, KeySettings

CONFIG = """
[tsa]
default_tsa = tsa_config
[tsa_config]
serial = {0}/serial
crypto_device = builtin
signer_cert = {0}/tsa.pem
signer_key = {0}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""


def certificate(
    name: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
) -> bytes:
    """Return the PEM certificate of a root, or of a time-stamping authority."""
    named = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (name, issuer)]
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named[0])
        .issuer_name(named[1])
        .public_key(key.public_key())
    )
    builder = (
        builder.serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if not ca:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True
        )
    return builder.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Yield the address of an authority on loopback, and its root certificate."""
    folder = tmp_path_factory.mktemp("tsa")
    root, tsa_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (folder / "ca.pem").write_bytes(certificate("root", "root", root, root, ca=True))
    (folder / "tsa.pem").write_bytes(certificate("tsa", "root", tsa_key, root, ca=False))
    form = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "tsa.key").write_bytes(tsa_key.private_bytes(*form))
    (folder / "serial").write_text("01")
    (folder / "tsa.cnf").write_text(CONFIG.format(folder))

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (folder / "asked").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            command = [
                "openssl",
                "ts",
                "-reply",
                "-config",
                folder / "tsa.cnf",
                "-queryfile",
                folder / "asked",
            ]
            reply = subprocess.run(
                [*command, "-out", folder / "said"], capture_output=True, check=False
            )
            self.send_response(200 if reply.returncode == 0 else 500)
            self.end_headers()
            self.wfile.write((folder / "said").read_bytes() if reply.returncode == 0 else b"")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", folder / "ca.pem"
    server.shutdown()
    server.server_close()


@pytest.fixture
def signing(alert: Alert, context: Context) -> Sheets:
    sheets = Sheets(alert.store, alert.clock.as_clock(), keys.load_signer(context.keys, "alert"))
    alert.ledger.reopen = sheets.reopen
    alert.hears(NINE, NINE + HOUR)
    alert.at(NINE + DAY)
    alert.ledger.begin_day()
    return sheets


def stands(
    alert: Alert, context: Context, stamper: Stamper | None = None, day: str = "2026-09-21"
) -> DayCheck:
    now = alert.clock.as_clock().now()
    return check_days(alert.store, [day], keys.load_verifier(context.keys, TOPIC), stamper, now)[0]


def test_day_is_signed_once_after_it_ends(alert: Alert, signing: Sheets, context: Context) -> None:
    alert.at(NINE + 15.5 * HOUR)
    signing.sign_due()
    assert str(stands(alert, context).said) == "not signed yet: the day has not ended"
    for hours in (16, 17, 18, 30):
        alert.at(NINE + hours * HOUR)
        signing.sign_due()
    (sheet,) = alert.store.scroll(DaySheet, DocumentFilter())
    assert (sheet.day, sheet.at, sheet.sites) == ("2026-09-21", NINE + 16 * HOUR, 1)
    standing = stands(alert, context)
    assert (standing.holds, str(standing.said).partition(", ")[2]) == (
        True,
        "not time-stamped: no authority is configured",
    )


def test_tampered_day_is_reported_and_never_signed_again(
    alert: Alert, signing: Sheets, context: Context, log_stream
) -> None:
    signing.sign_due()
    (day,) = alert.store.scroll(SiteDay, DocumentFilter({"day": ("2026-09-21",)}))
    alert.store.put([day.with_hour(12, "o" * 12, 9)])
    assert (stands(alert, context).holds, str(stands(alert, context).said)[:7]) == (
        False,
        "CHANGED",
    )
    alert.at(NINE + 3 * DAY)
    Sheets(alert.store, alert.clock.as_clock(), signing.signer).sign_due()
    assert not stands(alert, context).holds
    (sheet,) = alert.store.scroll(DaySheet, DocumentFilter({"day": ("2026-09-21",)}))
    alert.store.put([sheet.model_copy(update={"digest": "0" * 64})])
    assert str(stands(alert, context).said) == "invalid signature: the report was changed"


def test_day_with_late_heartbeats_reopens_and_is_signed_again(
    alert: Alert, signing: Sheets, context: Context
) -> None:
    signing.sign_due()
    alert.hear(beat(NINE + 2 * HOUR))
    assert str(stands(alert, context).said).startswith("changed by later heartbeats")
    signing.sign_due()
    assert stands(alert, context).holds
    alert.at(NINE + DAY + HOUR)
    signing.sign_due()
    assert [
        sheet.digest == ""
        for sheet in sorted(
            alert.store.scroll(DaySheet, DocumentFilter()), key=lambda sheet: sheet.id
        )
    ] == [
        False,
        True,
        False,
    ]
    assert (
        stands(alert, context).holds,
        "signed by alert" in str(stands(alert, context).said),
    ) == (True, True)


def test_real_time_stamp_is_verified(
    alert: Alert, signing: Sheets, context: Context, authority: tuple[str, Path]
) -> None:
    root = x509.load_pem_x509_certificate(authority[1].read_bytes())
    signing.stamper = Authority(authority[0], root)
    signing.sign_due()
    standing = stands(alert, context, signing.stamper)
    assert standing.holds
    assert standing.stamped_at is not None
    assert abs(standing.stamped_at - dt.datetime.now(dt.UTC)) < timedelta(minutes=2)
    (sheet,) = alert.store.scroll(DaySheet, DocumentFilter())
    alert.store.put([sheet.model_copy(update={"stamp": sheet.stamp[:-40] + "A" * 40})])
    assert str(stands(alert, context, signing.stamper).said).endswith("with an invalid time stamp")
    alert.store.put([sheet])
    stranger = ec.generate_private_key(ec.SECP256R1())
    foreign_root = x509.load_pem_x509_certificate(
        certificate("root", "root", stranger, stranger, ca=True)
    )
    assert not stands(alert, context, Authority(authority[0], foreign_root)).holds


def test_unreachable_authority_is_retried_and_reported(
    alert: Alert, signing: Sheets, context: Context, authority: tuple[str, Path]
) -> None:
    root = x509.load_pem_x509_certificate(authority[1].read_bytes())
    signing.stamper = Authority("http://127.0.0.1:1/", root)
    signing.sign_due()
    assert "not time-stamped: the authority cannot be reached" in str(
        stands(alert, context, signing.stamper).said
    )
    signing.stamper = Authority(authority[0], root)
    signing.sign_due()
    assert stands(alert, context, signing.stamper).stamped_at is None, "not at every turn"
    alert.at(NINE + DAY + HOUR)
    signing.sign_due()
    assert stands(alert, context, signing.stamper).stamped_at is not None


def test_authority_needs_its_root_certificate(
    context: Context, authority: tuple[str, Path]
) -> None:
    with pytest.raises(ValueError, match="timestamp_ca"):
        CoverageSettings(timestamp_url=authority[0])

    def context_with(root: str) -> Context:
        coverage_settings = CoverageSettings(timestamp_url=authority[0], timestamp_ca=root)
        return Context(context.data, context.clock, Settings(coverage=coverage_settings))

    assert isinstance(open_stamper(context_with(str(authority[1]))), Authority)
    with pytest.raises(ConfigError, match="must be a certificate"):
        open_stamper(context_with("nothing.pem"))
    assert open_stamper(context) is None


def test_damaged_key_stops_alert_and_a_missing_key_leaves_days_unsigned(
    alert: Alert, context: Context
) -> None:
    assert open_sheets(context, alert.store) is not None
    file = context.keys.root / "sign" / "alert.key"
    file.write_bytes(bytes(byte ^ 1 for byte in file.read_bytes()))
    with pytest.raises(ConfigError):
        open_sheets(context, alert.store)
    without_keys = Context(
        context.data, context.clock, Settings(keys=KeySettings(command=("false",)))
    )
    assert open_sheets(without_keys, alert.store) is None
