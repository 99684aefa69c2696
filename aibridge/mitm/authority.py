"""
The certificate authority in whose name intercepted hosts are spoken for.

Note [Bounded]: whoever trusts this authority trusts it with little. It can issue no other authorities (path length 0),
and certificates for the providers' hosts alone (name constraints, RFC 5280, 4.2.1.10, critical): a stolen key is one
to a handful of names, not to the web. Address names are excluded as well unless a provider is one, as what no
constraint names is not constrained.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey

CA_DAYS: Final = 5 * 365 + 1
BACKDATED: Final = timedelta(days=1)
"""A client whose clock is a little slow shall not find a certificate that begins tomorrow."""

LEAF_NAME: Final = "Intercepted by AI Bridge Proxy"
"""What people see who look at a host's certificate. It is no name of a host, which would have to be permitted too."""

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_ALL_4, _ALL_6 = ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")
_NOWHERE = "aibridge.invalid"


class Unusable(ValueError):
    """
    What is there is no authority that could be used; its text says why.
    """


@attrs.frozen(eq=False)
class Authority:
    """
    A certificate authority, with its key.

    :ivar chain: certificates to be sent behind a host's, where clients trust another authority above this one.
    """

    certificate: x509.Certificate
    key: PrivateKey = attrs.field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()

    def issue(self, host: str, key: PublicKey, now: datetime, days: int) -> x509.Certificate:
        """
        A certificate for one host and nothing else.

        :param key: the host's public one.
        :param days: how long it is good, the backdating included; no longer than the authority itself.
        """
        life = timedelta(days=days)
        begins = now - min(BACKDATED, life / 4)
        ends = min(begins + life, self.certificate.not_valid_after_utc)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(LEAF_NAME))
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(_issued_by(self.certificate), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256())

    def permits(self, host: str) -> bool:
        """
        Whether clients would accept a certificate for `host` from it.
        """
        return permits(self.certificate, host)


def create(name: str, hosts: Iterable[str], now: datetime, days: int = CA_DAYS) -> Authority:
    """
    Make an authority for `hosts` (and what is below them). See Note [Bounded].
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(_constraints(hosts), critical=True)
        .add_extension(identifier, critical=False)
    )
    return Authority(builder.sign(key, hashes.SHA256()), key)


def load(certificates: bytes, key: bytes) -> Authority:
    """
    The authority that two PEM texts describe; the first certificate is its own.

    :raises Unusable: they do not.
    """
    found = read_certificates(certificates)
    if not found:
        raise Unusable("there is no certificate in it")
    own = found[0]
    private = _read_key(key)
    if _public_bytes(private.public_key()) != _public_bytes(own.public_key()):
        raise Unusable("the key is not the certificate's")
    if not _is_authority(own):
        raise Unusable("the certificate is not an authority's (CA:TRUE)")
    return Authority(own, private, tuple(each for each in found if each.issuer != each.subject))


def read_certificates(pem: bytes) -> list[x509.Certificate]:
    """
    The certificates in a PEM text, whatever else is in it.

    :raises Unusable: one of them is none.
    """
    try:
        return [x509.load_pem_x509_certificate(block) for block in _CERTIFICATE.findall(pem)]
    except ValueError:
        raise Unusable("a certificate in it cannot be read") from None


def permits(certificate: x509.Certificate, host: str) -> bool:
    """
    Whether an authority's name constraints allow it a host.
    """
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return True
    name = _general_name(host)
    permitted = [each for each in constraints.permitted_subtrees or () if type(each) is type(name)]
    excluded = [each for each in constraints.excluded_subtrees or () if type(each) is type(name)]
    return not any(_is_within(name, each) for each in excluded) and (
        not permitted or any(_is_within(name, each) for each in permitted)
    )


def constrained_to(certificate: x509.Certificate) -> list[str] | None:
    """
    The names that an authority may issue for, or None if it is not constrained.
    """
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None
    return [str(each.value) for each in constraints.permitted_subtrees or () if each.value != _NOWHERE]


def fingerprint(certificate: x509.Certificate) -> str:
    """
    SHA-256, as people compare it.
    """
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def as_pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """
    Certificates as PEM.
    """
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def key_as_pem(key: PrivateKey) -> bytes:
    """
    A private key as PEM, without a passphrase.
    """
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _constraints(hosts: Iterable[str]) -> x509.NameConstraints:
    names = [_general_name(host) for host in hosts]
    addresses = [ipaddress.ip_network(each.value) for each in names if isinstance(each, x509.IPAddress)]
    permitted: list[x509.GeneralName] = [each for each in names if isinstance(each, x509.DNSName)]
    permitted = permitted or [x509.DNSName(_NOWHERE)]
    permitted.extend(x509.IPAddress(each) for each in addresses)
    versions = {each.version for each in addresses}
    excluded = [x509.IPAddress(each) for each in (_ALL_4, _ALL_6) if each.version not in versions]
    return x509.NameConstraints(permitted, excluded or None)


def _is_within(name: x509.GeneralName, subtree: x509.GeneralName) -> bool:
    if isinstance(name, x509.IPAddress):
        return name.value in subtree.value
    base = subtree.value.lower().removeprefix(".")
    host = str(name.value).lower()
    return not base or host == base or host.endswith(f".{base}")


def _key_usage(**used: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: used.get(name, False) for name in names})


def _issued_by(certificate: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier(
            x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest, None, None
        )
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _read_key(pem: bytes) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except TypeError:
        raise Unusable("the key has a passphrase, for which there is nobody to ask") from None
    except ValueError:
        raise Unusable("there is no private key in it") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise Unusable("the key is neither one of RSA nor of an elliptic curve that certificates are signed with")
    return key


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _public_bytes(key: CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
