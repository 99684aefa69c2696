"""
The pool: its laws, whatever happens in whatever order.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionRefusedError
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone

from aibridge import errors
from aibridge.relay.pool import LEAST_QUEUE, QUEUE_PER_CONNECTION
from upstreams import ANSWER, URL, Asked, Lab


def answer(lab: Lab, number: int = -1) -> None:
    """
    The provider answers on one of the connections.
    """
    lab.endpoint.transports[number].receive(ANSWER)


class IdleTests(SynchronousTestCase):
    """
    Connections that are kept.
    """

    def three_idle(self, **settings: Any) -> Lab:
        """
        A lab with three connections that have served a call each, in the order in which they were made.
        """
        lab = Lab(**settings)
        for _ in range(3):
            lab.ask()
        for number in range(3):
            answer(lab, number)
        lab.turn()
        return lab

    def test_last_used_first(self) -> None:
        """
        The connection that was used last is used next, so that the others may grow old and go.
        """
        lab = self.three_idle()
        lab.ask()
        self.assertEqual([t.sent.count(b"POST") for t in lab.endpoint.transports], [1, 1, 2])
        lab.ask()
        self.assertEqual([t.sent.count(b"POST") for t in lab.endpoint.transports], [1, 2, 2])

    def test_most_idle(self) -> None:
        """
        Of more idle connections than may be kept, the one that has been idle longest is closed.
        """
        lab = self.three_idle(max_idle_connections=2)
        self.assertEqual([t.connected for t in lab.endpoint.transports], [False, True, True])
        self.assertEqual(lab.agent.open_connections, 2)

    def test_none_idle(self) -> None:
        """
        None is kept if none may be, or not for any time.
        """
        for settings_ in ({"max_idle_connections": 0}, {"idle_timeout": 0.0}):
            lab = self.three_idle(**settings_)
            self.assertEqual((lab.live, lab.agent.open_connections), ([], 0))


class QueueTests(SynchronousTestCase):
    """
    Calls that wait.
    """

    def test_first_come(self) -> None:
        """
        Calls are served in the order in which they came.
        """
        lab = Lab(max_connections=1)
        calls = [lab.ask(url=URL + b"?%d" % number) for number in range(5)]
        for number in range(5):
            self.assertIn(b"?%d " % number, lab.transport.sent)
            self.assertNotIn(b"?%d " % (number + 1), lab.transport.sent)
            answer(lab)
            self.assertIsInstance(calls[number].body.reason, ResponseDone)
        self.assertEqual(lab.endpoint.asked, 1)

    def test_nobody_overtakes(self) -> None:
        """
        A call that is made when another one ends does not get the connection that others wait for.
        """
        lab = Lab(max_connections=1)
        late: list[Asked] = []
        first = lab.ask(reads=False)
        lab.ask(url=URL + b"?waiting")
        first.deferred.addCallback(lambda _: late.append(lab.ask(url=URL + b"?late")))
        answer(lab)
        self.assertIn(b"?waiting ", lab.transport.sent)
        self.assertNotIn(b"?late ", lab.transport.sent)
        answer(lab)
        self.assertIn(b"?late ", lab.transport.sent)

    def test_nobody_overtakes_after_a_failure(self) -> None:
        """
        Nor does one that is made when a call fails.
        """
        lab = Lab(connects=False, max_connections=1)
        first = lab.agent.send(b"POST", URL, [], b"")
        lab.ask(url=URL + b"?waiting")
        first.addErrback(lambda _: lab.ask(url=URL + b"?late"))
        lab.endpoint.dials[0].fail(ConnectionRefusedError())
        lab.endpoint.dials[0].succeed()
        self.assertIn(b"?waiting ", lab.transport.sent)
        self.assertEqual(lab.agent.waiting, 1)

    def test_freed_slot(self) -> None:
        """
        A connection that ends makes room for a new one for whoever waits.
        """
        lab = Lab(max_connections=1)
        lab.ask()
        waiting = lab.ask()
        lab.transport.receive(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(lab.endpoint.asked, 1)
        lab.turn()
        self.assertEqual(lab.endpoint.asked, 2)
        answer(lab)
        self.assertEqual(waiting.body.data, b"{}")

    def test_full(self) -> None:
        """
        More calls than may wait are refused at once.
        """
        for connections in (1, 100):
            most = max(LEAST_QUEUE, QUEUE_PER_CONNECTION * connections)
            lab = Lab(connects=False, max_connections=connections)
            calls = [lab.ask() for _ in range(connections + most)]
            self.assertEqual([call.error for call in calls], [None] * len(calls))
            self.assertIsInstance(lab.ask().error, errors.PoolTimeout)
            self.assertEqual(lab.agent.waiting, most)

    def test_every_attempt_fails_at_once(self) -> None:
        """
        A queue of any length is worked off when connecting fails without a wait.
        """
        lab = Lab(connects=False, max_connections=500, pool_timeout=100.0)
        calls = [lab.ask() for _ in range(2500)]

        def refused(_: object) -> Any:
            raise OSError(24, "Too many open files")

        lab.endpoint.connect = refused  # type: ignore[assignment, method-assign]  # a process without descriptors
        lab.endpoint.dials[0].fail(ConnectionRefusedError())
        failed = [call for call in calls if call.error is not None]
        self.assertEqual(len(failed), 2001)
        self.assertEqual({type(call.error) for call in failed}, {errors.ConnectFailed})
        self.assertEqual((lab.agent.waiting, lab.agent.open_connections), (0, 499))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["ask", "get", "connect", "refuse", "answer", "part", "close", "reset", "cancel", "abort", "wait", "turn"]
        ),
        st.integers(0, 30),
    ),
    max_size=60,
)


class Play:
    """
    A lab in which anything may happen, and what has to hold whatever does.
    """

    def __init__(self, cap: int, idle: int) -> None:
        self.lab = Lab(
            connects=False,
            max_connections=cap,
            max_idle_connections=idle,
            pool_timeout=20.0,
            connect_timeout=20.0,
            first_byte_timeout=50.0,
            silence_timeout=50.0,
            idle_timeout=30.0,
        )
        self.cap, self.idle = cap, idle
        self.calls: list[Asked] = []

    def step(self, what: str, which: int) -> None:
        lab = self.lab
        dials, live = lab.endpoint.dials, [transport for transport in lab.live if not transport.aborted]
        if what == "ask":
            self.calls.append(lab.ask())
        elif what == "get":
            self.calls.append(lab.ask(b"GET", None))
        elif what == "wait":
            lab.wait(which)
        elif what == "turn":
            lab.turn()
        elif what in ("connect", "refuse") and dials:
            dial = dials[which % len(dials)]
            dial.succeed() if what == "connect" else dial.fail(ConnectionRefusedError())
        elif what in ("answer", "part", "close", "reset") and live:
            transport = live[which % len(live)]
            if what == "answer":
                transport.receive(ANSWER)
            elif what == "part":
                transport.receive(ANSWER[: which + 5])
            elif what == "close":
                transport.finish()
            else:
                transport.reset()
        elif what in ("cancel", "abort") and self.calls:
            call = self.calls[which % len(self.calls)]
            if what == "cancel":
                call.deferred.cancel()
            elif call.response is not None:
                call.response.abortConnection()

    def check(self) -> None:
        """
        Never more than the cap, every socket accounted for, nobody waits while there is room, and nobody twice.
        """
        lab, agent = self.lab, self.lab.agent
        open_ = len(lab.live) + len(lab.endpoint.dials)
        assert open_ == agent.open_connections <= self.cap
        assert agent.idle_connections <= min(self.idle, open_)
        if agent.waiting:
            assert agent.open_connections == self.cap
            assert agent.idle_connections == 0
        assert all(call.body.endings + (call.error is not None) <= 1 for call in self.calls)

    def end(self) -> None:
        """
        After any play, a call is served, and closing leaves nothing.
        """
        lab = self.lab
        for call in self.calls:
            call.deferred.cancel()
            if call.response is not None:
                call.response.abortConnection()
        lab.turn()
        self.check()
        assert all(call.is_over for call in self.calls)
        assert (lab.agent.waiting, lab.agent.open_connections) == (0, lab.agent.idle_connections)
        last = lab.ask()
        if lab.endpoint.dials:
            lab.endpoint.dials[0].succeed()
        for transport in lab.live:
            if transport.sent.endswith(b"{}") and last.response is None:
                transport.receive(ANSWER)
        closed: list[object] = []
        lab.agent.close().addCallback(closed.append)
        last.deferred.cancel()
        lab.turn()
        assert (closed, lab.live, lab.clock.getDelayedCalls()) == ([None], [], [])


@settings(max_examples=200)
@given(steps=STEPS, cap=st.integers(1, 4), idle=st.integers(0, 3))
def test_laws(steps: list[tuple[str, int]], cap: int, idle: int) -> None:
    """
    Whatever is asked, answered, cancelled, closed and waited for, in whatever order, the pool's laws hold.
    """
    play = Play(cap, idle)
    for what, which in steps:
        play.step(what, which)
        play.check()
    play.end()


@pytest.mark.parametrize("cap", [1, 3])
def test_load(cap: int) -> None:
    """
    Many calls share few connections, and each gets its own answer.
    """
    lab = Lab(max_connections=cap)
    calls = [lab.ask(url=URL + b"?%d" % number) for number in range(60)]
    served: set[bytes] = set()
    while len(served) < 60:
        for transport in lab.live:
            number = transport.sent.rsplit(b"?", 1)[1].split(b" ")[0]
            if number not in served:
                served.add(number)
                transport.receive(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(number) + number)
    assert [call.body.data for call in calls] == [b"%d" % number for number in range(60)]
    assert lab.endpoint.asked == cap
