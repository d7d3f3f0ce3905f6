"""Create a certificate authority for loopback, which signs for servers and clients.

It is made anew for each run and valid for a day, or as long as requested. Real servers in tests
use TLS as in operation, so that tests cover the code path that is used.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Certificates:
    """The authority that a client trusts, and a certificate with its key; all in PEM."""

    authority: bytes
    certificate: bytes
    key: bytes

    @property
    def pair(self) -> bytes:
        """Key and certificate in one file."""
        return self.key + self.certificate


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that signs for servers and clients."""

    name: str = "loopback authority"
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def certificate(self) -> x509.Certificate:
        """Return the authority's own, self-signed certificate."""
        return (
            _builder(self.name, self.name, self.private.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign=True), critical=True)
            .sign(self.private, hashes.SHA256())
        )

    def server(self, *more: str, until: dt.timedelta = DAY, loopback: bool = True) -> Certificates:
        """Return a server's certificate for the names `more`, valid until `until` from now.

        It is also for loopback, unless `loopback` is False.
        """
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in more]
        if loopback:
            names += [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return self._sign("localhost", until, x509.SubjectAlternativeName(names))

    def client(self, name: str, until: dt.timedelta = DAY) -> Certificates:
        """Return a certificate for the client called `name`."""
        return self._sign(name, until, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]))

    def _sign(self, subject: str, until: dt.timedelta, purpose: x509.ExtensionType) -> Certificates:
        key = ec.generate_private_key(ec.SECP256R1())
        signed = (
            _builder(subject, self.name, key.public_key(), until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign=False), critical=True)
            .add_extension(purpose, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.private.public_key()),
                critical=False,
            )
            .sign(self.private, hashes.SHA256())
        )
        return Certificates(
            self.certificate().public_bytes(Encoding.PEM),
            signed.public_bytes(Encoding.PEM),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )


def make_certificates(*more: str, until: dt.timedelta = DAY) -> Certificates:
    """Return a server's certificate, signed by a new authority.

    It is for loopback and the names `more`, and expires `until` from now.
    """
    return Authority().server(*more, until=until)


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePublicKey, until: dt.timedelta = DAY
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - HOUR)
        .not_valid_after(now + until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign, content_commitment=False, key_encipherment=False,
        data_encipherment=False,
        key_agreement=False, key_cert_sign=sign, crl_sign=sign, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip
