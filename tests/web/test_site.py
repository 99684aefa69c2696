"""
Tests for `aibridge.web.site`.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from zope.interface.verify import verifyObject

from aibridge.errors import BodyTooSlow
from aibridge.web.settings import HttpSettings
from aibridge.web.site import MOST_ACCEPTED, BridgeSite, most_connections
from aibridge.wire.request import METHODS
from channels import DATE, WALL, Deciding, Echo, Talk, get


class Port:
    """
    A listening port.
    """

    numberAccepts = 100

    def __init__(self) -> None:
        self.reads = True

    def stopReading(self) -> None:
        """
        Accept nobody.
        """
        self.reads = False

    def startReading(self) -> None:
        """
        Accept again.
        """
        self.reads = True


@pytest.mark.parametrize(
    ("configured", "descriptors", "each", "most"),
    [
        (0, 256, 2, 112),
        (0, 256, 3, 74),
        (0, 1024, 2, 496),
        (0, 33, 2, 1),
        (0, 8, 2, 1),
        (100, 256, 3, 100),
        (5000, 1024, 2, 5000),
    ],
)
def test_how_many_connections_there_may_be(configured: int, descriptors: int, each: int, most: int) -> None:
    """
    As configured, or what there are descriptors for.
    """
    assert most_connections(configured, descriptors, each) == most


class FactoryTests(SynchronousTestCase):
    """
    A site to those who listen.
    """

    def test_t11_nothing_but_http_1_1_is_negotiated(self) -> None:
        """
        Whatever is installed.
        """
        site = Talk().site
        verifyObject(IProtocolNegotiationFactory, site)
        self.assertEqual(site.acceptableProtocols(), [b"http/1.1"])

    def test_it_needs_no_timer_of_its_own(self) -> None:
        """
        Starting and stopping it leaves nothing behind, and its connections alone.
        """
        clock = Clock()
        site = BridgeSite(Deciding(), HttpSettings(), clock)
        site.doStart()
        self.assertEqual(clock.getDelayedCalls(), [])
        talk = Talk(site=site)
        site.doStop()
        talk.send(get())
        self.assertEqual(len(talk.resource.requests), 1)

    def test_other_methods_may_be_served(self) -> None:
        """
        As a forward proxy does.
        """
        raw = b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n"
        talk = Talk()
        talk.send(raw)
        self.assertEqual([answer.status for answer in talk.answers()], [501])
        site = BridgeSite(Deciding(), HttpSettings(), Clock(), methods=METHODS | {b"CONNECT"})
        talk = Talk(site=site)
        talk.send(raw)
        self.assertEqual((talk.request.method, talk.request.uri), (b"CONNECT", b"api.test:443"))

    def test_a_tree_is_walked_unless_its_root_is_a_leaf(self) -> None:
        """
        A leaf sees every path.
        """
        root, below = Resource(), Deciding()
        root.putChild(b"a", below)
        talk = Talk(root)
        talk.send(get(b"/a/b"))
        request: Any
        (request,) = below.requests
        self.assertEqual((request.prepath, request.postpath), ([b"a"], [b"b"]))

    def test_the_settings_are_its_limits(self) -> None:
        """
        All that concern heads.
        """
        limits: Any
        for limits, raw, status in (
            ({"max_request_line": 100}, get(b"/" + b"a" * 100), 414),
            ({"max_head": 300}, get(b"/", b"X: " + b"a" * 300), 431),
            ({"max_headers": 8}, get(b"/", *[b"X: a"] * 8), 431),
        ):
            talk = Talk(**limits)
            talk.send(raw)
            self.assertEqual([answer.status for answer in talk.answers()], [status])


class LinesTests(SynchronousTestCase):
    """
    The first lines of answers.
    """

    def test_the_date_is_renewed_each_second(self) -> None:
        """
        By the wall clock, which is looked at when the monotonic one says that a second is over.
        """
        now = [WALL]
        clock = Clock()
        site = BridgeSite(Deciding(), HttpSettings(), clock, wall_clock=lambda: now[0])
        expected = b"HTTP/1.1 200 OK\r\nDate: %b\r\n"
        self.assertEqual(site.status_lines(200), expected % DATE)
        now[0] += 1
        self.assertEqual(site.status_lines(200), expected % DATE)
        self.assertEqual(
            site.status_lines(204), b"HTTP/1.1 204 No Content\r\nDate: " + DATE.replace(b"37", b"38") + b"\r\n"
        )
        clock.advance(1)
        self.assertEqual(site.status_lines(200), expected % DATE.replace(b"37", b"38"))

    def test_without_a_wall_clock_it_has_one(self) -> None:
        """
        The system's.
        """
        site = BridgeSite(Deciding(), HttpSettings(), Clock())
        self.assertRegex(site.status_lines(200), rb"Date: \w{3}, \d\d \w{3} 20\d\d \d\d:\d\d:\d\d GMT\r\n")


class CrowdTests(SynchronousTestCase):
    """
    More connections than there may be.
    """

    def setUp(self) -> None:
        """
        Three are allowed.
        """
        self.first = Talk(Echo(), max_connections=3)
        self.site = self.first.site
        self.port = Port()
        self.site.accept_from([self.port])

    def connect(self) -> Talk:
        """
        One more.
        """
        return Talk(site=self.site)

    def test_the_one_that_is_idle_for_longest_makes_room(self) -> None:
        """
        Before any that has not asked anything yet.
        """
        silent, idle, idler = self.first, self.connect(), self.connect()
        idler.send(get())
        idle.send(get())
        self.connect()
        self.assertEqual([talk.transport.ended for talk in (silent, idle, idler)], ["", "", "closed"])
        self.first.wait(0)
        self.assertEqual(len(self.site.connections), 3)

    def test_the_one_that_is_silent_for_longest_makes_room(self) -> None:
        """
        If none is idle.
        """
        second, third = self.connect(), self.connect()
        self.first.send(get())
        self.first.wait(1)
        self.connect()
        self.assertEqual([talk.transport.ended for talk in (second, third)], ["", ""])
        self.assertEqual(self.first.transport.ended, "closed")
        self.connect()
        self.assertEqual(second.transport.ended, "closed")
        self.assertTrue(self.port.reads)

    def test_a_few_are_accepted_at_a_time(self) -> None:
        """
        However many ask: those that make room for them have to be gone first.
        """
        self.assertEqual(self.port.numberAccepts, MOST_ACCEPTED)
        self.port.numberAccepts += 20
        self.connect()
        self.assertEqual(self.port.numberAccepts, MOST_ACCEPTED)

    def test_none_are_accepted_while_all_are_busy(self) -> None:
        """
        Until one of them is done, which it is with its answer.
        """
        waiting = Deciding()
        first = Talk(waiting, max_connections=2)
        site, port = first.site, Port()
        site.accept_from([port])
        second = Talk(site=site)
        first.send(get())
        second.send(get())
        self.assertTrue(port.reads)
        late = Talk(site=site)
        self.assertFalse(port.reads)
        self.assertEqual([talk.transport.ended for talk in (first, second, late)], ["", "", ""])
        late.send(get())
        for talk, request in zip((first, second), waiting.requests, strict=False):
            self.assertFalse(port.reads)
            request.respond(200, [], 0)
            request.finish()
            self.assertTrue(talk.answers()[0].closes)
            self.assertTrue(talk.transport.is_lost)
        self.assertTrue(port.reads)
        waiting.requests[2].respond(200, [], 0)
        waiting.requests[2].finish()
        self.assertFalse(late.answers()[0].closes)


class PlaceTests(SynchronousTestCase):
    """
    More connections than are allowed, from several addresses.
    """

    def setUp(self) -> None:
        """
        Four are allowed. One comes from an office, and is idle for longest.
        """
        self.waiting = Deciding()
        self.office = Talk(self.waiting, address=at("192.0.2.1"), max_connections=4)
        self.site = self.office.site
        self.port = Port()
        self.site.accept_from([self.port])
        self.office.send(get())
        self.answer(0)

    def answer(self, number: int) -> None:
        """
        Answer a request.
        """
        request = self.waiting.requests[number]
        request.respond(200, [], 0)
        request.finish()

    def connect(self, host: str) -> Talk:
        """
        One more.
        """
        return Talk(site=self.site, address=at(host))

    def ended(self, *talks: Talk) -> list[str]:
        """
        How they have ended.
        """
        self.site.clock.advance(0)
        return [talk.transport.ended for talk in talks]

    def test_whoever_has_most_makes_room(self) -> None:
        """
        Not whoever has been idle for longest: who opens one after the other closes his own.
        """
        crowd = [self.connect("198.51.100.1") for _ in range(10)]
        self.assertEqual(self.ended(self.office, *crowd[-3:]), [""] * 4)
        self.assertEqual(self.ended(*crowd[:7]), ["closed"] * 7)
        newcomer = self.connect("203.0.113.1")
        self.assertEqual(self.ended(self.office, newcomer, *crowd[-3:]), ["", "", "closed", "", ""])
        self.assertTrue(self.port.reads)

    def test_busy_ones_make_no_room_for_their_own(self) -> None:
        """
        When nearly all are busy with one address, that gets no more, and idle ones of others stay.
        """
        crowd = [self.connect("198.51.100.1") for _ in range(3)]
        for talk in crowd:
            talk.send(get())
        late = self.connect("198.51.100.1")
        self.assertEqual(self.ended(self.office, late, *crowd), ["", "closed", "", "", ""])
        self.assertTrue(self.port.reads)

    def test_bodies_that_are_not_there_make_room_for_others(self) -> None:
        """
        Where nothing else does: whoever waits for the rest of most bodies waits for one less.
        """
        crowd = [self.connect("198.51.100.1") for _ in range(3)]
        for number, talk in enumerate(crowd):
            talk.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
            self.waiting.requests[number + 1].read_body(100, lambda body: None, lambda error: None)
        newcomer = self.connect("203.0.113.1")
        self.assertEqual(self.ended(newcomer, self.office), ["", ""])
        self.assertEqual(sorted(self.ended(*crowd)), ["", "", "aborted"])

    def sends(self, talk: Talk, sender: str) -> Any:
        """
        A body of somebody begins to come.
        """
        talk.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        request = talk.request
        request.sender = sender
        request.read_body(100, lambda body: None, lambda error: None)
        return request

    def test_bodies_of_one_token_from_everywhere(self) -> None:
        """
        Make room for others, where each address has a few of them only, or all have the same.
        """
        for hosts in ([f"198.51.100.{number}" for number in range(4)], ["192.0.2.1"] * 4):
            office = Talk(Deciding(), address=at("192.0.2.1"), max_connections=4)
            self.site = office.site
            office.transport.leave()
            port = Port()
            self.site.accept_from([port])
            crowd = [self.connect(host) for host in hosts]
            for talk in crowd:
                self.sends(talk, "batch")
            newcomer = self.connect("203.0.113.1")
            self.assertEqual((self.ended(newcomer), port.reads), ([""], True))
            self.assertEqual(sorted(self.ended(*crowd)), ["", "", "", "aborted"])

    def test_bodies_of_many_tokens(self) -> None:
        """
        None of whom has many: they are all as good as whoever comes, and may go on.
        """
        self.office.transport.leave()
        for number in range(4):
            self.sends(self.connect(f"198.51.100.{number}"), f"token {number}")
        self.connect("203.0.113.1")
        self.assertFalse(self.port.reads)

    def test_bodies_that_have_come(self) -> None:
        """
        Or are given up, or lost, do not count.
        """
        talks = [self.connect("198.51.100.1") for _ in range(3)]
        requests = [self.sends(talk, "batch") for talk in talks]
        self.assertEqual(self.site.senders.most, 3)
        talks[0].send(b"x" * 10)
        self.assertEqual(self.site.senders.most, 2)
        requests[1].body.fail(BodyTooSlow())
        self.assertEqual(self.site.senders.most, 1)
        talks[2].transport.leave()
        self.assertEqual(self.site.senders.most, 0)

    def test_one_network_is_one_place(self) -> None:
        """
        Of IPv6.
        """
        crowd = [self.connect(f"2001:db8::{number}") for number in range(1, 10)]
        self.assertEqual(self.ended(self.office, *crowd[-3:]), [""] * 4)


def at(host: str) -> IPv4Address:
    """
    A client's address.
    """
    return IPv4Address("TCP", host, 12345)


class EndTests(SynchronousTestCase):
    """
    How all of them end.
    """

    def test_all_can_be_cut(self) -> None:
        """
        Whatever they do.
        """
        idle, busy = Talk(), None
        busy = Talk(site=idle.site)
        busy.send(get())
        left: list[Any] = []
        busy.request.on_departure = lambda: left.append("left")
        idle.site.abort_all()
        idle.wait(0)
        self.assertEqual((idle.site.connections, left), (set(), ["left"]))
