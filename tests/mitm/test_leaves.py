"""
Tests for `aibridge.mitm.leaves`: certificates on demand, as clients see them.
"""

from __future__ import annotations

import ssl
from collections import Counter
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.trial.unittest import SynchronousTestCase

from aibridge.mitm.leaves import Leaves
from authorities import HOST, authority, shake, trusting

DAY_S = 86400.0


class LeavesTests(SynchronousTestCase):
    """
    What is made, and what is kept.
    """

    def setUp(self) -> None:
        """
        Leaves of a week's life, of which three are kept.
        """
        self.now = datetime.now(UTC).timestamp()
        self.counts: Counter[str] = Counter()
        self.leaves = Leaves(authority(), 7, 3, lambda: self.now, lambda outcome: self.counts.update([outcome]))

    def served(self, host: str) -> x509.Certificate:
        """
        The certificate that a client is shown.
        """
        shaken = shake(self.leaves.context_for(host), trusting(authority().certificate), host)
        assert shaken.client is not None, shaken.said
        shown = shaken.client.getpeercert(binary_form=True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown)

    def test_kept(self) -> None:
        """
        A host's certificate is made once, and used again.
        """
        first, second = self.served(HOST), self.served(HOST)
        self.assertEqual(first, second)
        self.assertEqual(self.counts, {"miss": 1, "hit": 1})
        self.assertIn(HOST, self.leaves)
        self.assertNotIn("api.anthropic.com", self.leaves)

    def test_one_key_for_all(self) -> None:
        """
        ECDSA P-256, and none of the authority's.
        """
        keys = [self.served(host).public_key() for host in (HOST, "api.anthropic.com")]
        numbers = set()
        for key in keys:
            assert isinstance(key, ec.EllipticCurvePublicKey)
            self.assertIsInstance(key.curve, ec.SECP256R1)
            numbers.add(key.public_numbers())
        self.assertEqual(len(numbers), 1)
        self.assertNotIn(authority().key.public_key().public_numbers(), numbers)

    def test_bounded(self) -> None:
        """
        The one unused for longest goes.
        """
        for number in range(3):
            self.leaves.context_for(f"{number}.{HOST}")
        self.leaves.context_for(f"0.{HOST}")
        for number in range(3, 50):
            self.leaves.context_for(f"{number}.{HOST}")
            self.leaves.context_for(f"0.{HOST}")
        self.assertEqual(len(self.leaves), 3)
        self.assertEqual([f"{number}.{HOST}" in self.leaves for number in (0, 1, 47, 48, 49)], [1, 0, 0, 1, 1])

    def test_renewed_in_time(self) -> None:
        """
        When half of what was left of its time is over, the next client is shown a new one.
        """
        first = self.served(HOST)
        self.now += 2.9 * DAY_S
        self.assertEqual(self.served(HOST), first)
        self.now += 0.2 * DAY_S
        context = self.leaves.context_for(HOST)
        self.assertEqual(self.counts["miss"], 2)
        self.assertIs(self.leaves.context_for(HOST), context)

    def test_a_month_at_most(self) -> None:
        """
        Of whatever is configured.
        """
        self.leaves = Leaves(authority(), 30, 3, lambda: self.now)
        leaf = self.served(HOST)
        life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
        self.assertEqual(life.days, 30)


def context() -> Leaves:
    """
    Leaves as they are by default.
    """
    return Leaves(authority(), 7, 256, lambda: datetime.now(UTC).timestamp())


class TestHandshakes:
    """
    What clients meet.
    """

    @pytest.mark.parametrize(
        ("offers", "agreed"),
        [
            (("h2", "http/1.1"), "http/1.1"),
            (("http/1.1", "h2"), "http/1.1"),
            (("http/1.1",), "http/1.1"),
            (("http/1.0", "http/1.1"), "http/1.1"),
            (("h2",), None),
            ((), None),
        ],
    )
    def test_alpn(self, offers: tuple[str, ...], agreed: str | None) -> None:
        """
        HTTP/1.1 or nothing, whatever is offered; a hello without ALPN is served.
        """
        shaken = shake(context().context_for(HOST), trusting(authority().certificate), offers=offers)
        assert shaken.client is not None
        assert shaken.client.selected_alpn_protocol() == agreed

    @pytest.mark.parametrize("name", ["api.openai.com", "API.OpenAI.com"])
    def test_its_own_name(self, name: str) -> None:
        """
        In either case of letters.
        """
        assert shake(context().context_for(HOST), trusting(authority().certificate), name).client is not None

    @pytest.mark.parametrize("name", ["api.anthropic.com", "evil.test", "xapi.openai.com", "api.openai.com.evil.test"])
    def test_another_name(self, name: str) -> None:
        """
        A server name that is not the host's ends the handshake with an alert, before any certificate is shown.
        """
        shaken = shake(context().context_for(HOST), trusting(authority().certificate), name)
        assert shaken.client is None
        assert "handshake failure" in shaken.said

    def test_no_name(self) -> None:
        """
        Clients that name nobody are served in the name of the host that they connected to.
        """
        trusts = trusting(authority().certificate)
        trusts.check_hostname = False
        assert shake(context().context_for(HOST), trusts, None).client is not None

    def test_nobody_who_does_not_trust(self) -> None:
        """
        The server hears why.
        """
        shaken = shake(context().context_for(HOST), ssl.create_default_context(cadata=_other()), HOST)
        assert shaken.client is None
        assert "unknown ca" in shaken.heard

    def test_outside_the_constraints(self) -> None:
        """
        Clients that check refuse what the authority was not made for.
        """
        shaken = shake(context().context_for("evil.test"), trusting(authority().certificate), "evil.test")
        assert "permitted subtree violation" in shaken.said

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_versions(self, version: ssl.TLSVersion) -> None:
        """
        1.2 and 1.3.
        """
        trusts = trusting(authority().certificate)
        trusts.minimum_version = trusts.maximum_version = version
        shaken = shake(context().context_for(HOST), trusts)
        assert shaken.client is not None

    def test_nothing_older(self) -> None:
        """
        A client that speaks nothing newer than 1.1 is not served.
        """
        trusts = trusting(authority().certificate)
        trusts.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning):
            trusts.minimum_version = ssl.TLSVersion.TLSv1
            trusts.maximum_version = ssl.TLSVersion.TLSv1_1
        assert shake(context().context_for(HOST), trusts).client is None


def _other() -> str:
    from aibridge.mitm.authority import as_pem, create

    return as_pem([create("Another", [HOST], datetime.now(UTC)).certificate]).decode()
