"""
A connection being made, and every way in which that fails; `test_tls` has those of handshakes.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionRefusedError, DNSLookupError, NoRouteError, TimeoutError, UnknownHostError
from twisted.trial.unittest import SynchronousTestCase

from aibridge import errors
from upstreams import ANSWER, Lab


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DNSLookupError(), errors.ResolveFailed),
        (UnknownHostError(), errors.ResolveFailed),
        (ValueError("invalid hostname"), errors.ResolveFailed),
        (ConnectionRefusedError(), errors.ConnectFailed),
        (NoRouteError(), errors.ConnectFailed),
        (OSError(24, "Too many open files"), errors.ConnectFailed),
        (TimeoutError(), errors.ConnectTimeout),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_no_connection(error: Exception, expected: type[errors.UpstreamError]) -> None:
    """
    Each way of not being connected has its error, which names neither host nor port, and leaves nothing behind.
    """
    lab = Lab(connects=False, max_connections=1)
    asked = lab.ask()
    lab.endpoint.dials[0].fail(error)
    assert type(asked.error) is expected
    assert str(asked.error) == ""
    assert asked.error is not None
    assert asked.error.__cause__ is error
    assert lab.agent.open_connections == 0
    following = lab.ask()
    lab.endpoint.dials[0].succeed().receive(ANSWER)
    assert following.body.data == b"{}"


class AttemptTests(SynchronousTestCase):
    """
    An attempt, and the call that it is made for.
    """

    def test_resolving(self) -> None:
        """
        A name that is not found in time is not resolved.
        """
        lab = Lab(connects=False, connect_timeout=3.0)
        lab.endpoint.given_up_with = "resolving"
        asked = lab.ask()
        lab.wait(2.9)
        self.assertIsNone(asked.error)
        lab.wait(0.2)
        self.assertIsInstance(asked.error, errors.ResolveFailed)
        self.assertEqual((lab.endpoint.dials, lab.agent.open_connections), ([], 0))

    def test_connecting(self) -> None:
        """
        A provider that does not accept in time is a matter of connecting.
        """
        lab = Lab(connects=False, connect_timeout=3.0)
        asked = lab.ask()
        lab.wait(3.1)
        self.assertIsInstance(asked.error, errors.ConnectTimeout)
        self.assertEqual((lab.endpoint.dials, lab.agent.open_connections), ([], 0))

    def test_in_time(self) -> None:
        """
        An attempt that was made in time leaves no deadline behind.
        """
        lab = Lab(connects=False, connect_timeout=3.0)
        asked = lab.ask()
        lab.wait(2.9)
        lab.endpoint.dials[0].succeed()
        lab.wait(10)
        lab.transport.receive(ANSWER)
        self.assertEqual(asked.body.data, b"{}")

    def test_endpoint_that_cannot_be_cancelled(self) -> None:
        """
        A connection that comes although nobody wants it any more is kept for the next call.
        """
        lab = Lab(connects=False, max_connections=1)
        asked = lab.ask()
        dial = lab.endpoint.dials[0]
        attempt: Any = next(iter(next(iter(lab.agent._pools.values())).attempts))
        attempt._call = None
        dial.succeed()
        asked.deferred.cancel()
        self.assertEqual((lab.agent.open_connections, lab.agent.idle_connections), (1, 1))
        following = lab.ask()
        lab.transport.receive(ANSWER)
        self.assertEqual((following.body.data, lab.endpoint.asked), (b"{}", 1))

    def test_gone_before_it_was_there(self) -> None:
        """
        A connection that is lost before its endpoint hands it over was never made.
        """
        lab = Lab(connects=False, max_connections=1)
        asked = lab.ask()
        dial = lab.endpoint.dials[0]
        protocol = dial.factory.buildProtocol(None)
        lab.endpoint.dials.remove(dial)
        dial.deferred.callback(protocol)
        self.assertIsInstance(asked.error, errors.ConnectFailed)
        self.assertEqual(lab.agent.open_connections, 0)
