"""
What exchanges share, and what a reload replaces.
"""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from fakes import Asked, Fixture, bridge


def begin(fixture: Fixture) -> Asked:
    """
    Begin an exchange.
    """
    return Asked().ask(fixture.bridge)


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
        waiting = Asked(body_comes_at_once=False).ask(fixture.bridge)
        fixture.bridge.terms = attrs.evolve(fixture.bridge.terms, max_body=1)
        waiting.send(b'{"model":"m"}')
        self.assertEqual((waiting.status, len(fixture.upstream.calls)), (0, 1))
        self.assertEqual(begin(fixture).status, 413)

    def test_now_is_the_clocks(self) -> None:
        """
        The time is the monotonic one that was given.
        """
        fixture = bridge()
        fixture.clock.advance(5)
        self.assertEqual(fixture.bridge.now(), fixture.clock.seconds())
