"""
Tests for `aibridge.web.unread`.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from aibridge.errors import BodiesFull, BridgeError
from aibridge.web.unread import Unread
from channels import Deciding, Talk, chunked, get, post

MOST = 1000
MIB = 1 << 20


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 400))))
def test_bound(comes: list[tuple[str, int]]) -> None:
    """
    Where those for whom there is no room drop what has come, there is never more than was said, whoever comes finds
    some room, and nothing is left behind at the end.
    """
    unread, mine = Unread(MOST), dict.fromkeys("abcd", 0)
    for place, size in comes:
        if unread.add(place, size):
            mine[place] += size
        else:
            unread.add(place, -size)
        assert unread.held == sum(mine.values()) < MOST
        assert unread.add("new", 1) or unread.held == MOST - 1
        unread.add("new", -1)
    for place, size in mine.items():
        unread.add(place, -size)
    assert (unread.held, len(unread)) == (0, 0)


def test_shares() -> None:
    """
    One alone has half, two have a third each.
    """

    def fill(place: str) -> int:
        count = 0
        while unread.add(place, 1):
            count += 1
        unread.add(place, -1)
        return count

    unread = Unread(900)
    assert fill("a") == 450
    unread.add("a", -150)
    assert (fill("b"), fill("a")) == (300, 0)


class RoomTests(SynchronousTestCase):
    """
    Many connections that send what nobody reads.
    """

    def setUp(self) -> None:
        """
        A client at an office, and room for a megabyte.
        """
        self.resource = Deciding()
        self.office = Talk(self.resource, address=IPv4Address("TCP", "192.0.2.1", 1), max_unread=MIB)
        self.site = self.office.site
        self.talks: list[Talk] = []
        self.failed: list[BridgeError] = []

    def crowd(self, data: bytes, first: bytes = b"") -> int:
        """
        Clients of one address send `data` until one of them is ended.

        :return: how many there were before it.
        """
        for number in range(1000):
            talk = Talk(site=self.site, address=IPv4Address("TCP", "198.51.100.1", number))
            self.talks.append(talk)
            if first:
                talk.send(first)
            talk.send(data)
            self.assertLessEqual(self.site.unread.held, MIB // 2)
            if talk.transport.ended:
                return number
        raise AssertionError("Nobody was refused.")

    def others_are_served(self) -> None:
        """
        What the office sends in parts is kept, and answered when it is complete; at last nothing is kept any more.
        """
        before = len(self.resource.requests)
        request = post(b"x" * 20000)
        for at in range(0, len(request), 50):
            self.office.send(request[at : at + 50])
        asked = self.resource.requests[before]
        bodies: list[bytes] = []
        asked.read_body(100000, bodies.append, self.failed.append)
        self.assertEqual(bodies, [b"x" * 20000])
        asked.answer(200, b"", b"")
        self.assertEqual(self.office.answers()[-1].status, 200)
        for talk in (*self.talks, self.office):
            talk.transport.leave()
        self.assertEqual((self.site.unread.held, len(self.site.unread)), (0, 0))

    def test_heads_in_part(self) -> None:
        """
        The next one is told that there is no room.
        """
        count = self.crowd(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 50000)
        self.assertEqual((count, self.talks[-1].answers()[0].status), (10, 503))
        self.others_are_served()

    def test_requests_sent_ahead(self) -> None:
        """
        Behind one that is being answered: they can only be cut.
        """
        self.assertEqual(self.crowd(get() * 1000, get()), MIB // 2 // len(get() * 1000))
        self.assertEqual((self.talks[-1].transport.ended, self.talks[0].transport.ended), ("aborted", ""))
        self.others_are_served()

    def test_bodies_nobody_asked_for(self) -> None:
        """
        They are given up; whoever asks for one is told why. Those that came before can still be read.
        """
        for unread in (post(b"x" * 70000)[:-1000], chunked(b"x" * 69000, end=b"")):
            self.talks.clear()
            first = len(self.resource.requests)
            for number in range(12):
                self.talks.append(Talk(site=self.site, address=IPv4Address("TCP", "198.51.100.1", number)))
                self.talks[-1].send(unread)
                self.assertLessEqual(self.site.unread.held, MIB // 2)
            bodies: list[bytes] = []
            self.failed.clear()
            for request in self.resource.requests[first:]:
                request.read_body(100000, bodies.append, self.failed.append)
            self.assertEqual([type(error) for error in self.failed], [BodiesFull] * 5)
            self.assertEqual(self.site.unread.held, 0)
            for talk in self.talks:
                talk.transport.leave()
        self.others_are_served()

    def test_what_was_read_counts_no_longer(self) -> None:
        """
        However it came: whole, in parts, ahead of its turn, in small chunks.
        """
        talk = Talk(site=self.site, address=IPv4Address("TCP", "198.51.100.1", 1))
        small = chunked(*[b"x"] * 300)
        for data in (get(), post(b"x" * 100), chunked(b"x" * 100), small, get() + post(b"xy") + small + get()):
            for step in (1, 37, len(data)):
                first = len(self.resource.requests)
                for at in range(0, len(data), step):
                    talk.send(data[at : at + step])
                while first < len(self.resource.requests):
                    request = self.resource.requests[first]
                    first += 1
                    request.read_body(1000, lambda body: None, self.fail)
                    talk.wait(0.01)
                    request.answer(200, b"", b"")
                    talk.wait(0.01)
                self.assertEqual((self.site.unread.held, talk.transport.ended), (0, ""))
        self.others_are_served()
