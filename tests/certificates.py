"""
Certificates for tests: an authority, and what it issues, good and bad.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@attrs.frozen
class Issued:
    """
    Paths of a certificate and its key, as PEM.
    """

    chain: Path
    key: Path


class Authority:
    """
    Issues certificates that nobody trusts but who is told to.

    :ivar certificate: path of its own, as PEM.
    """

    def __init__(self, directory: Path, name: str = "Test Authority") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = directory / f"{name.replace(' ', '-')}.pem"
        self.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, host: str, *others: str, days: int = 1, begins: int = -2, self_signed: bool = False, unnamed: bool = False
    ) -> Issued:
        """
        A certificate for host names or addresses.

        :param days: until it expires; negative for one that has.
        :param begins: days until it begins to be valid.
        :param self_signed: signed by its own key instead of the authority's.
        :param unnamed: the host is only its common name, which nobody looks at any more.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name if self_signed else self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=begins))
            .not_valid_after(now + timedelta(days=days))
        )
        if not unnamed:
            subjects = [_subject(each) for each in (host, *others)]
            builder = builder.add_extension(x509.SubjectAlternativeName(subjects), critical=False)
        made = builder.sign(key if self_signed else self._key, hashes.SHA256())
        stem = "-".join((host, *others, str(days), str(begins), str(self_signed), str(unnamed)))
        issued = Issued(self._directory / f"{stem}.pem", self._directory / f"{stem}.key")
        issued.chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        issued.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        issued.key.chmod(0o600)
        return issued


def _subject(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
