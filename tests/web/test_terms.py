"""
What exchanges share, and what a reload replaces.
"""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from aibridge.web.exchange import Exchange
from fakes import Asked, Fixture, bridge


def begin(fixture: Fixture) -> Asked:
    """
    Begin an exchange.
    """
    request = Asked()
    Exchange(fixture.bridge, request).begin()  # type: ignore[arg-type]  # it does what the real one does
    return request


class TermsTests(SynchronousTestCase):
    """
    Terms and the bridge that holds them.
    """

    def test_frozen(self) -> None:
        """
        Terms do not change under an exchange.
        """
        terms = bridge().bridge.terms
        self.assertRaises(attrs.exceptions.FrozenInstanceError, setattr, terms, "max_body", 1)

    def test_new_terms_for_new_exchanges(self) -> None:
        """
        An exchange keeps the terms it began with; the next one has the new.
        """
        fixture = bridge(max_body=10000)
        waiting = Asked()
        waiting.body_comes_at_once = False
        Exchange(fixture.bridge, waiting).begin()  # type: ignore[arg-type]  # as above
        fixture.bridge.terms = attrs.evolve(fixture.bridge.terms, max_body=1)
        assert waiting.body_wanted is not None
        waiting.body_wanted[0](b'{"model":"m"}')
        self.assertEqual((waiting.status, len(fixture.upstream.calls)), (0, 1))
        self.assertEqual(begin(fixture).status, 413)

    def test_now_is_the_clocks(self) -> None:
        """
        The time is the monotonic one that was given.
        """
        fixture = bridge()
        fixture.clock.advance(5)
        self.assertEqual(fixture.bridge.now(), fixture.clock.seconds())
