"""
Long pages are made bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.task import Cooperator
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from aibridge.web.scrape import MOST_AT_ONCE, SLICE, SLICE_S, STUCK_S, Scrapes
from channels import Talk, get

PIECE = "x" * (SLICE // 4)


class Turns:
    """
    A cooperator whose turns are made by hand.

    :ivar made: how many pieces have been made.
    """

    def __init__(self) -> None:
        self.made = 0
        self.now = 0.0
        self._next: list[Callable[[], object]] = []
        self.cooperator = Cooperator(
            terminationPredicateFactory=lambda: lambda: True, scheduler=self._schedule, started=True
        )

    def _schedule(self, step: Callable[[], object]) -> Any:
        self._next.append(step)

        class Call:
            def cancel(_) -> None:
                self._next.remove(step)

        return Call()

    def turn(self) -> bool:
        """
        One turn, if there is something to do.
        """
        steps, self._next = self._next, []
        for step in steps:
            step()
        return bool(steps)

    def pieces(self, count: int, error: Exception | None = None, seconds: float = 0.0) -> Iterator[str]:
        """
        A page of so many; then it fails, or ends.
        """
        for _ in range(count):
            self.made += 1
            self.now += seconds
            yield PIECE
        if error is not None:
            raise error


class Page(Resource):
    """
    A page.
    """

    isLeaf = True

    def __init__(self, scrapes: Scrapes) -> None:
        super().__init__()
        self.render_GET = scrapes.render


class ScrapeTests(SynchronousTestCase):
    """
    `Scrapes`, asked on a connection in memory.
    """

    def page(self, count: int, error: Exception | None = None, seconds: float = 0.0) -> None:
        """
        There is a page of so many pieces.
        """
        self.turns = turns = Turns()
        self.scrapes = Scrapes(lambda: turns.pieces(count, error, seconds), turns.cooperator, lambda: turns.now)
        self.talk = Talk(Page(self.scrapes))

    def another(self) -> Talk:
        """
        One more client.
        """
        return Talk(site=self.talk.site)

    def test_a_short_page(self) -> None:
        """
        It is sent at once, with its length.
        """
        self.page(3)
        self.talk.send(get())
        (answer,) = self.talk.answers()
        self.assertEqual((answer.status, answer.body), (200, PIECE.encode() * 3))
        self.assertIn((b"Content-Length", b"%d" % len(answer.body)), answer.fields)
        self.assertFalse(self.turns.turn())

    def test_a_long_page(self) -> None:
        """
        One slice in each turn, and the connection lives on.
        """
        self.page(18)
        self.talk.send(get())
        made = [self.turns.made]
        while self.turns.turn():
            made.append(self.turns.made)
        self.assertEqual(made[:5], [4, 8, 12, 16, 18])
        self.talk.send(get())
        while self.turns.turn():
            pass
        self.assertEqual([answer.body for answer in self.talk.answers()], [PIECE.encode() * 18] * 2)
        self.assertFalse(self.scrapes.running)

    def test_slow_pieces(self) -> None:
        """
        A slice ends when its time is up, too.
        """
        self.page(9, seconds=SLICE_S)
        self.talk.send(get())
        self.assertEqual(self.turns.made, 1)
        self.turns.turn()
        self.assertEqual(self.turns.made, 2)

    def test_several_share_the_turns(self) -> None:
        """
        In each turn one slice is made, for one of them.
        """
        self.page(16)
        talks = [self.talk, self.another(), self.another()]
        for talk in talks:
            talk.send(get())
        while True:
            before = self.turns.made
            if not self.turns.turn():
                break
            self.assertLessEqual(self.turns.made - before, 4)
        for talk in talks:
            self.assertEqual([answer.body for answer in talk.answers()], [PIECE.encode() * 16])

    def test_too_many(self) -> None:
        """
        Further ones are told to come back, and may when one has ended.
        """
        self.page(8)
        talks = [self.another() for _ in range(MOST_AT_ONCE)]
        for talk in talks:
            talk.send(get())
        self.talk.send(get())
        (answer,) = self.talk.answers()
        self.assertEqual((answer.status, dict(answer.fields)[b"Retry-After"]), (503, b"1"))
        talks[0].transport.leave()
        self.talk.send(get())
        while self.turns.turn():
            pass
        self.assertEqual([answer.status for answer in self.talk.answers()], [503, 200])

    def test_a_slow_client(self) -> None:
        """
        No more is made than it takes; meanwhile others get theirs.
        """
        self.page(40)
        self.talk.transport.takes = False
        self.talk.send(get())
        while self.turns.turn():
            pass
        self.assertLess(self.turns.made, 20)
        other = self.another()
        other.send(get())
        while self.turns.turn():
            pass
        self.assertEqual([len(answer.body) for answer in other.answers()], [40 * len(PIECE)])
        self.talk.transport.takes = True
        self.talk.transport.take()
        while self.turns.turn():
            pass
        self.assertEqual([len(answer.body) for answer in self.talk.answers()], [40 * len(PIECE)])

    def test_stuck_clients_make_room(self) -> None:
        """
        Those that take nothing keep the page from others for some seconds at most; one that takes is never cut.
        """
        self.page(40)
        stuck = [self.another() for _ in range(MOST_AT_ONCE - 1)]
        for talk in stuck:
            talk.transport.takes = False
            talk.send(get())
        self.turns.turn()
        self.turns.now += STUCK_S / 2
        while self.turns.turn():
            pass
        reading, late = self.another(), self.another()
        reading.send(get())
        late.send(get())
        self.turns.now += STUCK_S
        late.send(get())
        self.assertEqual(sum(talk.transport.ended == "aborted" for talk in stuck), 1)
        while self.turns.turn():
            pass
        self.assertEqual([answer.status for answer in reading.answers()], [200])
        self.assertEqual([answer.status for answer in late.answers()], [503, 200])
        self.assertEqual(len(self.scrapes.running), MOST_AT_ONCE - 2)

    def test_a_client_that_leaves(self) -> None:
        """
        Nothing more is made for it, taken up or not.
        """
        for takes in (True, False):
            self.page(40)
            self.talk.transport.takes = takes
            self.talk.send(get())
            self.turns.turn()
            self.talk.transport.leave()
            made = self.turns.made
            while self.turns.turn():
                pass
            self.assertEqual(self.turns.made, made)
            self.assertFalse(self.scrapes.running)

    def test_a_page_that_cannot_be_made(self) -> None:
        """
        At its beginning it is a 500, later the connection is cut, so that half of it does not look whole.
        """
        for count in (1, 6):
            self.page(count, ValueError("broken"))
            self.talk.send(get())
            while self.turns.turn():
                pass
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
            self.assertFalse(self.scrapes.running)
            if count == 1:
                self.assertEqual(self.talk.answers()[0].status, 500)
            else:
                self.assertTrue(self.talk.transport.ended)
                self.assertFalse(self.talk.received.endswith(b"0\r\n\r\n"))
