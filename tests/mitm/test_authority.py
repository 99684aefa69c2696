"""
Tests for `aibridge.mitm.authority`.
"""

from __future__ import annotations

import ipaddress
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from aibridge.mitm.authority import (
    BACKDATED,
    CA_DAYS,
    LEAF_NAME,
    Authority,
    Unusable,
    as_pem,
    constrained_to,
    create,
    fingerprint,
    key_as_pem,
    load,
    permits,
    read_certificates,
)
from authorities import HOST, NOW

HOSTS = (HOST, "api.anthropic.com", "10.1.2.3", "2001:db8::1")


@pytest.fixture(scope="module")
def authority() -> Authority:
    """
    One for some hosts, two of them addresses.
    """
    return create("Test CA", HOSTS, NOW)


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    """
    A host's.
    """
    return ec.generate_private_key(ec.SECP256R1())


class TestAuthority:
    """
    What is made by `aibridge ca init`.
    """

    def test_it_can_do_little(self, authority: Authority) -> None:
        """
        It issues no authorities, and for the hosts alone; all of this is critical.
        """
        certificate = authority.certificate
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert (usage.critical, usage.value.key_cert_sign, usage.value.digital_signature) == (True, True, False)
        names = certificate.extensions.get_extension_for_class(x509.NameConstraints)
        assert names.critical
        assert names.value.permitted_subtrees == [
            x509.DNSName(HOST),
            x509.DNSName("api.anthropic.com"),
            x509.IPAddress(ipaddress.ip_network("10.1.2.3/32")),
            x509.IPAddress(ipaddress.ip_network("2001:db8::1/128")),
        ]

    def test_what_is_not_named_is_excluded(self) -> None:
        """
        Names of a kind that no constraint names would not be constrained.
        """
        names = create("CA", [HOST], NOW).certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        everywhere = [x509.IPAddress(ipaddress.ip_network(text)) for text in ("0.0.0.0/0", "::/0")]
        assert names.excluded_subtrees == everywhere
        alone = create("CA", ["10.1.2.3"], NOW).certificate
        assert constrained_to(alone) == ["10.1.2.3/32"]
        assert not permits(alone, HOST) and not permits(alone, "::1") and permits(alone, "10.1.2.3")

    def test_it_lasts_five_years(self, authority: Authority) -> None:
        """
        From a day ago, for clients whose clocks are slow.
        """
        assert authority.certificate.not_valid_before_utc == NOW - BACKDATED
        assert authority.certificate.not_valid_after_utc == NOW + timedelta(days=CA_DAYS)
        assert CA_DAYS == 5 * 365 + 1

    def test_its_key(self, authority: Authority) -> None:
        """
        ECDSA P-256, never in a `repr`.
        """
        assert isinstance(authority.key, ec.EllipticCurvePrivateKey)
        assert isinstance(authority.key.curve, ec.SECP256R1)
        assert "PrivateKey" not in repr(authority)

    @pytest.mark.parametrize(
        ("host", "permitted"),
        [
            (HOST, True),
            ("eu.api.openai.com", True),
            ("openai.com", False),
            ("xapi.openai.com", False),
            ("evil.test", False),
            ("10.1.2.3", True),
            ("10.1.2.4", False),
            ("2001:db8::1", True),
            ("2001:db8::2", False),
        ],
    )
    def test_permits(self, authority: Authority, host: str, permitted: bool) -> None:
        """
        The hosts, and what is below them.
        """
        assert authority.permits(host) is permitted

    def test_of_another_making(self) -> None:
        """
        One without constraints may speak for everybody.
        """
        certificate = _company()[0].certificate
        assert constrained_to(certificate) is None
        assert permits(certificate, "anything.test")


class TestIssue:
    """
    Certificates of hosts.
    """

    @pytest.mark.parametrize("host", HOSTS)
    def test_one_name(self, authority: Authority, key: ec.EllipticCurvePrivateKey, host: str) -> None:
        """
        The host is its only name; the common one is none that could be taken for a host.
        """
        leaf = authority.issue(host, key.public_key(), NOW, 7)
        (name,) = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert str(name.value) == host
        (common,) = leaf.subject
        assert (common.oid, common.value) == (NameOID.COMMON_NAME, LEAF_NAME)
        assert leaf.issuer == authority.certificate.subject

    def test_what_it_is_for(self, authority: Authority, key: ec.EllipticCurvePrivateKey) -> None:
        """
        A server, no authority, and anew each time.
        """
        one, two = (authority.issue(HOST, key.public_key(), NOW, 7) for _ in range(2))
        assert one.serial_number != two.serial_number
        usage = one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
        basic = one.extensions.get_extension_for_class(x509.BasicConstraints)
        assert basic.critical and not basic.value.ca

    @pytest.mark.parametrize("days", [1, 7, 30])
    def test_how_long(self, authority: Authority, key: ec.EllipticCurvePrivateKey, days: int) -> None:
        """
        As long as it was asked for in all, a part of it already gone, so that it is good on slow clocks too.
        """
        leaf = authority.issue(HOST, key.public_key(), NOW, days)
        assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=days)
        assert leaf.not_valid_before_utc < NOW - timedelta(hours=5)
        assert leaf.not_valid_after_utc > NOW + timedelta(hours=17)

    def test_not_longer_than_its_issuer(self, key: ec.EllipticCurvePrivateKey) -> None:
        """
        Some clients refuse what is.
        """
        soon = create("CA", [HOST], NOW, days=2)
        assert soon.issue(HOST, key.public_key(), NOW, 30).not_valid_after_utc == NOW + timedelta(days=2)

    @pytest.mark.parametrize("host", HOSTS)
    def test_verifies(self, authority: Authority, key: ec.EllipticCurvePrivateKey, host: str) -> None:
        """
        By a verifier that has nothing to do with OpenSSL, too.
        """
        leaf = authority.issue(host, key.public_key(), NOW, 7)
        try:
            name: x509.DNSName | x509.IPAddress = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        verifier = PolicyBuilder().store(Store([authority.certificate])).time(NOW).build_server_verifier(name)
        assert verifier.verify(leaf, []) == [leaf, authority.certificate]


def _company() -> tuple[Authority, x509.Certificate]:
    """
    An authority below another one, as companies have them.
    """
    root_key, own_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name, own_name = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("Root", "Proxies"))

    def certified(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(root_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=100))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(root_key, hashes.SHA256())
        )

    return Authority(certified(own_name, own_key), own_key), certified(root_name, root_key)


class TestLoad:
    """
    From files.
    """

    def test_what_was_kept(self, authority: Authority) -> None:
        """
        Is what is loaded.
        """
        loaded = load(as_pem([authority.certificate]), key_as_pem(authority.key))
        assert loaded.certificate == authority.certificate
        assert loaded.key.private_numbers() == authority.key.private_numbers()
        assert loaded.chain == ()

    def test_a_compound_file(self, authority: Authority) -> None:
        """
        Whatever else is in the files, in whatever order.
        """
        both = b"# a comment\n" + key_as_pem(authority.key) + as_pem([authority.certificate])
        loaded = load(both, both)
        assert loaded.certificate == authority.certificate

    def test_below_another(self) -> None:
        """
        What clients need to find the root is sent along; the root itself is theirs.
        """
        own, root = _company()
        loaded = load(as_pem([own.certificate, root]), key_as_pem(own.key))
        assert loaded.chain == (own.certificate,)

    def test_rsa(self) -> None:
        """
        Its key may be of either kind that clients verify.
        """
        key = rsa.generate_private_key(65537, 2048)
        own = create("CA", [HOST], NOW)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(own.certificate.subject)
            .issuer_name(own.certificate.subject)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(NOW)
            .not_valid_after(NOW + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        loaded = load(as_pem([certificate]), key_as_pem(key))
        leaf = loaded.issue(HOST, ec.generate_private_key(ec.SECP256R1()).public_key(), NOW, 1)
        leaf.verify_directly_issued_by(certificate)

    def test_unusable(self, authority: Authority) -> None:
        """
        Each in words that say what is wrong, and have nothing of the key in them.
        """
        certificate, key = as_pem([authority.certificate]), key_as_pem(authority.key)
        leaf = as_pem([authority.issue(HOST, authority.key.public_key(), NOW, 1)])  # type: ignore[arg-type]  # it is one
        private = serialization.BestAvailableEncryption(b"secret")
        locked = authority.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, private)
        edwards = ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        other = key_as_pem(create("Other", [HOST], NOW).key)
        broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        for certificates, keys, words in (
            (b"", key, "no certificate"),
            (key, key, "no certificate"),
            (broken, key, "cannot be read"),
            (certificate, b"", "no private key"),
            (certificate, certificate, "no private key"),
            (certificate, locked, "passphrase"),
            (certificate, edwards, "neither"),
            (certificate, other, "not the certificate's"),
            (leaf, key, "not an authority's"),
        ):
            with pytest.raises(Unusable, match=words) as caught:
                load(certificates, keys)
            assert "BEGIN" not in str(caught.value)

    def test_certificates_alone(self, authority: Authority) -> None:
        """
        However many there are.
        """
        own, root = _company()
        pem = as_pem([authority.certificate, own.certificate]) + key_as_pem(own.key) + as_pem([root])
        assert read_certificates(pem) == [authority.certificate, own.certificate, root]
        assert read_certificates(b"nothing") == []

    def test_fingerprint(self, authority: Authority) -> None:
        """
        As `openssl x509 -fingerprint -sha256` has it.
        """
        text = fingerprint(authority.certificate)
        assert len(text) == 32 * 3 - 1
        assert bytes.fromhex(text.replace(":", "")) == authority.certificate.fingerprint(hashes.SHA256())
        assert text == text.upper()
