"""
The gate, case by case: limits, order, shares, displacement, reload, shadow.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from aibridge.admission.permit import Claim, Permit
from aibridge.admission.seats import EXPIRE_AT_ONCE, Seats
from aibridge.admission.seatterms import SeatTerms
from aibridge.admission.shares import Obstacle
from aibridge.errors import AtCapacity
from aibridge.model import Class

CLASSES = {"i": Class.INTERACTIVE, "d": Class.DEFAULT, "b": Class.BATCH}


class SeatsCase(SynchronousTestCase):
    """
    A gate with a model clock. Principals are named by a letter of their class, and more if there are several.
    """

    def gate(self, **terms: Any) -> Seats:
        """
        A gate with these terms; it is 0.0.
        """
        self.now = 0.0
        self.seats = Seats(SeatTerms(**terms), lambda: self.now, lambda: 0.0)
        return self.seats

    def ask(self, principal: str = "d", provider: str = "p", most: int = 0) -> Permit | Deferred[Permit] | AtCapacity:
        """
        Ask now.
        """
        return self.seats.enter(Claim(principal, CLASSES[principal[0]], provider, most), self.now)

    def got(self, principal: str = "d", provider: str = "p", most: int = 0) -> Permit:
        """
        Ask, and get it at once.
        """
        found = self.ask(principal, provider, most)
        assert isinstance(found, Permit)
        return found

    def waits(self, principal: str = "d", provider: str = "p", most: int = 0) -> Deferred[Permit]:
        """
        Ask, and have to wait.
        """
        found = self.ask(principal, provider, most)
        assert isinstance(found, Deferred)
        self.assertNoResult(found)
        return found

    def refused(self, principal: str = "d", provider: str = "p", most: int = 0) -> str:
        """
        Ask in vain: what stood in the way.
        """
        return self.refusal(principal, provider, most).policy

    def refusal(self, principal: str, provider: str, most: int) -> AtCapacity:
        """
        Ask in vain.
        """
        error = self.ask(principal, provider, most)
        assert isinstance(error, AtCapacity)
        return error

    def sent_away(self, deferred: Deferred[Permit]) -> str:
        """
        Why one that waited does so no more.
        """
        return str(self.failureResultOf(deferred, AtCapacity).value.policy)

    def give_back(self, permit: Permit) -> None:
        """
        Give back now.
        """
        permit.give_back(self.now)


class LimitTests(SeatsCase):
    """
    No queue: there is a permit, or there is none.
    """

    def test_off(self) -> None:
        """
        Without a limit everyone gets one, and is counted all the same.
        """
        seats = self.gate()
        permits = [self.got("d", provider) for provider in "pq" * 500]
        self.assertEqual((seats.in_use, seats.in_use_by_provider()), (1000, {"p": 500, "q": 500}))
        for permit in permits:
            self.give_back(permit)
        self.assertEqual((seats.in_use, seats.in_use_by_provider(), seats.principals), (0, {"p": 0, "q": 0}, 0))

    def test_the_daemons(self) -> None:
        """
        One more than there are is refused, until one comes back.
        """
        self.gate(max_concurrency=2)
        permit = self.got()
        self.got("i", "q")
        self.assertEqual(self.refused(), "daemon")
        self.give_back(permit)
        self.got()

    def test_a_providers(self) -> None:
        """
        Another provider has room; and what it refuses costs the daemon nothing.
        """
        seats = self.gate(max_concurrency=3, providers={"p": 1})
        self.got()
        self.assertEqual(self.refused(), "provider")
        self.assertEqual(seats.in_use, 1)
        self.got("d", "q")
        self.got("d", "q")
        self.assertEqual(self.refused("d", "q"), "daemon")

    def test_a_principals(self) -> None:
        """
        Over all providers; another principal is not concerned.
        """
        seats = self.gate()
        permit = self.got("d", most=2)
        self.got("d", "q", most=2)
        self.assertEqual(self.refused("d", most=2), "principal")
        self.assertEqual((seats.held("d"), seats.held("d2")), (2, 0))
        self.got("d2", most=2)
        self.give_back(permit)
        self.got("d", most=2)

    def test_giving_back_twice_counts_once(self) -> None:
        """
        The second time takes nobody else's place away.
        """
        seats = self.gate(max_concurrency=2)
        permit = self.got()
        self.got()
        for _ in range(3):
            self.give_back(permit)
        self.assertEqual((seats.in_use, seats.held("d")), (1, 1))

    def test_foreseen(self) -> None:
        """
        What is refused at once can be foreseen, and nothing else is; the question changes nothing.
        """
        for terms in ({"max_concurrency": 2}, {"max_concurrency": 2, "queue_size": 2, "providers": {"y": 1}}):
            self.gate(**terms)
            for principal, provider in (("d1", "y"), ("d1", "y"), ("d1", "x"), ("b", "x"), ("b", "y"), ("i", "x")) * 2:
                claim = Claim(principal, CLASSES[principal[0]], provider)
                before = self.seats.in_use, self.seats.waiting
                foreseen = self.seats.foresee(claim, self.now)
                self.assertEqual((self.seats.in_use, self.seats.waiting), before)
                found = self.seats.enter(claim, self.now)
                if isinstance(found, Deferred):
                    found.addErrback(lambda _: None)
                self.assertEqual(foreseen is not None, isinstance(found, AtCapacity), (terms, principal, provider))
                if foreseen is not None and isinstance(found, AtCapacity):
                    self.assertEqual(foreseen.policy, found.policy)

    def test_refusals_tell_when_to_come_back(self) -> None:
        """
        From how long exchanges last and how many are served at once, the slowest limit in the way; never above the
        cap.
        """
        self.gate(max_concurrency=2, providers={"q": 1}, max_retry_after_s=50.0)
        permits = [self.got(), self.got("d", "q")]
        self.now = 3.0
        for permit in permits:
            self.give_back(permit)
        self.got("d", "q", most=1)
        # one exchange, and three times as long until its turn among those sent away
        self.assertEqual(self.told_to_wait("d2", "q"), 3 + 9)
        self.got("d")
        self.assertEqual(self.told_to_wait("d2"), 6)
        self.assertEqual(self.told_to_wait("d2"), 11)
        self.assertEqual(self.told_to_wait("d2", "q"), 3 + 18)
        self.now = 99.0
        self.assertEqual(self.told_to_wait("d2"), 6)
        self.seats.adopt(SeatTerms(max_retry_after_s=2.0), self.now)
        self.assertEqual(self.told_to_wait("d", "q", most=1), 1.6)

    def told_to_wait(self, principal: str, provider: str = "p", most: int = 0) -> float | None:
        """
        Ask in vain: when to come back.
        """
        return self.refusal(principal, provider, most).retry_after_s


class QueueTests(SeatsCase):
    """
    Waiting for a permit.
    """

    def test_the_next_one_is_let_in(self) -> None:
        """
        At once when a permit comes back, and is told how long it waited.
        """
        seats = self.gate(max_concurrency=1, queue_size=2)
        first = self.got()
        self.now = 1.0
        second, third = self.waits(), self.waits()
        self.assertEqual(seats.waiting, 2)
        self.now = 3.5
        self.give_back(first)
        permit = self.successResultOf(second)
        self.assertEqual((permit.waited_s, seats.waiting, seats.in_use), (2.5, 1, 1))
        self.assertNoResult(third)
        self.now = 4.0
        self.give_back(permit)
        self.assertEqual(self.successResultOf(third).waited_s, 3.0)

    def test_a_full_queue(self) -> None:
        """
        One more is refused, by name; a principal cannot displace its own.
        """
        self.gate(max_concurrency=1, queue_size=1)
        self.got()
        self.waits()
        self.assertEqual(self.refused(), "queue")
        self.assertEqual(self.refused("d2"), "queue")

    def test_the_longest_queue_makes_room(self) -> None:
        """
        The newest of the principal with most requests, for one with fewer.
        """
        self.gate(max_concurrency=1, queue_size=3)
        self.got()
        crowd = [self.waits("d") for _ in range(3)]
        other = self.waits("d2")
        self.assertEqual(self.sent_away(crowd[2]), "displaced")
        self.assertNoResult(crowd[1])
        self.assertEqual(self.refused("d2"), "queue")
        self.waits("d3")
        self.assertEqual(self.sent_away(crowd[1]), "displaced")
        self.assertNoResult(other)
        self.assertEqual(self.refused("d4"), "queue")

    def test_batch_makes_room_first(self) -> None:
        """
        Whatever the others have, and never the other way round.
        """
        seats = self.gate(max_concurrency=1, queue_size=3)
        self.got()
        polite = self.waits("b")
        for _ in range(2):
            self.waits("d")
        self.assertEqual(self.refused("b2"), "queue")
        self.assertEqual(self.refused("b"), "queue")
        self.waits("d")
        self.assertEqual(self.sent_away(polite), "displaced")
        self.assertEqual(seats.waiting_by_class(), {Class.INTERACTIVE: 0, Class.DEFAULT: 3, Class.BATCH: 0})

    def test_leaving_without_a_trace(self) -> None:
        """
        A caller that cancels is not let in, not counted and not remembered.
        """
        seats = self.gate(max_concurrency=1, queue_size=9)
        permit = self.got("d")
        gone, stays = self.waits("d2", most=1), self.waits("d3")
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.assertEqual((seats.waiting, seats.principals), (1, 2))
        self.give_back(permit)
        self.give_back(self.successResultOf(stays))
        self.assertEqual((seats.waiting, seats.principals, seats.in_use, seats.next_expiry()), (0, 0, 0, None))

    def test_waiting_for_too_long(self) -> None:
        """
        Each has its own time, and the gate tells when the next one's is up.
        """
        seats = self.gate(max_concurrency=1, queue_size=9, queue_timeout_s=0.1)
        self.got()
        self.assertIsNone(seats.next_expiry())
        first = self.waits()
        self.now = 0.05
        second = self.waits()
        due = seats.next_expiry()
        assert due is not None
        seats.expire(due - 0.01)
        self.assertNoResult(first)
        seats.expire(due)
        self.assertEqual(self.sent_away(first), "timeout")
        self.assertNoResult(second)
        seats.expire(99.0)
        self.assertEqual(self.sent_away(second), "timeout")
        self.assertIsNone(seats.next_expiry())

    def test_a_crowd_is_sent_away_bit_by_bit(self) -> None:
        """
        So many each time; until all are, the gate tells that it is overdue.
        """
        seats = self.gate(max_concurrency=1, queue_size=999, queue_timeout_s=5.0)
        self.got()
        waiting = [self.waits() for _ in range(2 * EXPIRE_AT_ONCE + 7)]
        for _ in range(2):
            self.assertEqual(seats.next_expiry(), 5.0)
            seats.expire(5.0)
        self.assertEqual((seats.waiting, seats.next_expiry()), (7, 5.0))
        seats.expire(5.0)
        self.assertEqual({self.sent_away(each) for each in waiting}, {"timeout"})
        self.assertIsNone(seats.next_expiry())

    def test_the_timer_is_never_early(self) -> None:
        """
        What `next_expiry` names is over at that very moment, however the sum is rounded.
        """
        for start in (0.1, 1 / 3, 12345.678, 3e7 + 0.1):
            seats = self.gate(max_concurrency=1, queue_size=1, queue_timeout_s=0.1)
            self.got()
            self.now = start
            waiting = self.waits()
            due = seats.next_expiry()
            assert due is not None
            seats.expire(due)
            self.assertEqual(self.sent_away(waiting), "timeout")

    def test_a_full_provider_holds_up_nobody_else(self) -> None:
        """
        Those who wait for another one are let in first, and one who comes new may pass.
        """
        self.gate(max_concurrency=3, providers={"p": 1}, queue_size=9)
        self.got("d", "p")
        permits = [self.got("d", "q") for _ in range(2)]
        for_p = self.waits("d2", "p")
        for_q = self.waits("d3", "q")
        self.give_back(permits[0])
        self.assertNoResult(for_p)
        self.successResultOf(for_q)
        self.give_back(permits[1])
        self.got("d4", "q")

    def test_a_principal_at_its_own_limit_holds_up_nobody_else(self) -> None:
        """
        Its second waits for its first; the others do not.
        """
        self.gate(max_concurrency=2, queue_size=9)
        own, foreign = self.got("d", most=1), self.got("d2")
        second, third = self.waits("d", most=1), self.waits("d3")
        self.give_back(foreign)
        self.assertNoResult(second)
        permit = self.successResultOf(third)
        self.give_back(permit)
        self.assertNoResult(second)
        self.got("d4")
        self.give_back(own)
        self.successResultOf(second)

    def test_a_principals_requests_for_one_provider_stay_in_order(self) -> None:
        """
        The first that came is the first that goes.
        """
        self.gate(providers={"p": 1}, queue_size=9)
        permit = self.got("d", "p")
        first, second = self.waits("d2", "p"), self.waits("d2", "p")
        self.give_back(permit)
        self.successResultOf(first)
        self.assertNoResult(second)

    def test_a_principal_that_waits_for_a_full_provider_may_go_to_another(self) -> None:
        """
        At once if that has room; when the queue is full just as well, and nobody is displaced for it.
        """
        for principal in ("i", "d", "b"):
            for queue_size in (1, 2, 9):
                seats = self.gate(max_concurrency=10, providers={"y": 2}, queue_size=queue_size, interactive_share=0.2)
                for _ in range(2):
                    self.got("d9", "y")
                waiting = [self.waits(principal, "y") for _ in range(min(queue_size, 2))]
                self.got(principal, "x")
                for each in waiting:
                    self.assertNoResult(each)
                self.assertEqual(seats.in_use, 3)

    def test_ones_own_are_never_displaced(self) -> None:
        """
        Neither within the share that is kept, where anybody else makes room.
        """
        self.gate(providers={"x": 1, "y": 1}, queue_size=3, interactive_share=1.0)
        self.got("i", "x")
        self.got("i", "y")
        own = [self.waits("i", "y") for _ in range(3)]
        self.assertEqual(self.refused("i", "x"), "queue")
        self.waits("d", "x")
        self.assertEqual(self.sent_away(own[2]), "displaced")
        for each in own[:2]:
            self.assertNoResult(each)

    def test_the_last_that_waits_for_a_provider_is_not_displaced_for_another(self) -> None:
        """
        Its permit would lie idle when it comes back; so an older one of the same principal makes room, or nobody.
        """
        self.gate(providers={"x": 1, "y": 1}, queue_size=3)
        permits = [self.got("d9", "x"), self.got("d9", "y")]
        own = [self.waits("d", "y"), self.waits("d", "y"), self.waits("d", "x")]
        self.waits("d2", "y")
        self.assertEqual(self.sent_away(own[1]), "displaced")
        self.waits("d3", "y")
        self.assertEqual(self.sent_away(own[0]), "displaced")
        self.assertEqual(self.refused("d4", "y"), "queue")
        self.give_back(permits[0])
        self.successResultOf(own[2])

    def test_another_number_of_permits_holds_for_those_who_wait(self) -> None:
        """
        A principal may have more than when they came: the next one that it asks for says so, and they go first.
        """
        self.gate(queue_size=9)
        self.got("d", most=1)
        for_p, for_q = self.waits("d", "p", most=1), self.waits("d", "q", most=1)
        third = self.waits("d", "r", most=3)
        for each in (for_p, for_q):
            self.successResultOf(each)
        self.assertNoResult(third)

    def test_what_is_held_elsewhere_does_not_count_where_a_provider_is_short(self) -> None:
        """
        A crowd of exchanges with an idle provider costs nobody its turn at a full one.
        """
        self.gate(providers={"y": 2}, queue_size=9)
        permits = [self.got("d1", "y"), self.got("d1", "y")]
        for _ in range(5):
            self.got("d2", "x")
        other, own = self.waits("d1", "y"), self.waits("d2", "y")
        self.give_back(permits[0])
        self.successResultOf(own)
        self.assertNoResult(other)

    def test_all_that_is_held_counts_where_the_daemon_is_short(self) -> None:
        """
        Whoever has spread over providers has had its part.
        """
        self.gate(max_concurrency=4, queue_size=9)
        permits = [self.got("d1", name) for name in "wxy"] + [self.got("d2", "x")]
        spread, other = self.waits("d1", "z"), self.waits("d2", "x")
        self.give_back(permits[0])
        self.successResultOf(other)
        self.assertNoResult(spread)

    def test_a_class_that_is_changed_meanwhile(self) -> None:
        """
        Those who wait of a principal wait as one class, which is what they then hold their permits as.
        """
        seats = self.gate(max_concurrency=1, queue_size=9)
        permit = self.got("d")
        waiting = [seats.enter(Claim("x", class_, "p"), 0.0) for class_ in (Class.BATCH, Class.INTERACTIVE)]
        self.assertEqual(seats.waiting_by_class()[Class.BATCH], 2)
        for each in waiting:
            self.give_back(permit)
            assert isinstance(each, Deferred)
            permit = self.successResultOf(each)
            self.assertFalse(permit.interactive)

    def test_a_thousand_that_fail_at_once_do_not_nest(self) -> None:
        """
        Each permit comes back within the callback that brought it.
        """
        seats = self.gate(max_concurrency=1, queue_size=5000)
        permit = self.got()
        back = []

        def fail(permit: Permit) -> None:
            permit.give_back(0.0)
            back.append(permit)

        for _ in range(5000):
            self.waits().addCallback(fail)
        self.give_back(permit)
        self.assertEqual((len(back), seats.in_use, seats.waiting), (5000, 0, 0))

    def test_one_that_is_told_may_send_another_away(self) -> None:
        """
        Two are let in together; the first one's callback cancels the second: its permit goes to the third.
        """
        seats = self.gate(max_concurrency=2, queue_size=9)
        self.got("d")
        self.got("d")
        waiting = [self.waits(name) for name in ("d1", "d2", "d3")]
        waiting[0].addCallback(lambda _: waiting[1].cancel())
        seats.adopt(SeatTerms(max_concurrency=4, queue_size=9), 0.0)
        self.failureResultOf(waiting[1], CancelledError)
        self.successResultOf(waiting[2])
        self.assertEqual((seats.in_use, seats.held("d2"), seats.held("d3")), (4, 0, 1))


class ShareTests(SeatsCase):
    """
    What is kept for `interactive`. See Note [The kept share].
    """

    def test_without_a_queue_nothing_is_lent(self) -> None:
        """
        The kept permits are free when an interactive request comes, and others may have the rest.
        """
        self.gate(max_concurrency=10, interactive_share=0.3)
        for _ in range(7):
            self.got("d")
        self.assertEqual(self.refused("b"), "daemon")
        self.assertEqual(self.refused("d"), "daemon")
        for _ in range(3):
            self.got("i")
        self.assertEqual(self.refused("i"), "daemon")

    def test_interactive_may_have_more_than_its_share(self) -> None:
        """
        All of it, while nobody else is there.
        """
        self.gate(max_concurrency=10, interactive_share=0.3)
        for _ in range(10):
            self.got("i")
        self.assertEqual(self.refused("d"), "daemon")

    def test_of_a_provider_as_well(self) -> None:
        """
        Each limit keeps its own.
        """
        self.gate(providers={"p": 2}, interactive_share=0.5)
        self.got("b")
        self.assertEqual(self.refused("b"), "provider")
        self.got("b", "q")
        self.got("i")

    def test_with_a_queue_idle_permits_are_lent(self) -> None:
        """
        And the next ones that come back go to interactive requests, before anybody else's turn, until it has its
        share; from then on in turn.
        """
        self.gate(max_concurrency=4, interactive_share=0.5, queue_size=20)
        permits = [self.got("d") for _ in range(4)]
        crowd = [self.waits("d2") for _ in range(5)]
        quick = [self.waits("i") for _ in range(6)]
        self.give_back(permits[0])
        self.give_back(permits[1])
        first = [self.successResultOf(each) for each in quick[:2]]
        self.assertNoResult(crowd[0])
        self.give_back(permits[2])
        self.successResultOf(crowd[0])
        self.give_back(first[0])
        self.assertNoResult(crowd[1])
        self.successResultOf(quick[2])

    def test_within_the_share_nobody_is_displaced_or_refused(self) -> None:
        """
        The longest of the others makes room, be it alone; beyond the share the longest is the longest.
        """
        self.gate(max_concurrency=4, interactive_share=0.5, queue_size=2)
        for _ in range(4):
            self.got("d")
        others = [self.waits("d1"), self.waits("d2")]
        quick = [self.waits("i") for _ in range(2)]
        self.assertEqual(sorted(self.sent_away(each) for each in others), ["displaced"] * 2)
        self.assertEqual(self.refused("d3"), "queue")
        self.assertEqual(self.refused("i"), "queue")
        for each in quick:
            self.assertNoResult(each)

    def test_a_long_queue_within_the_share_is_left_alone(self) -> None:
        """
        Though it is much longer than anybody else's; another one more, and it is not any more.
        """
        self.gate(max_concurrency=8, interactive_share=0.75, queue_size=6)
        for _ in range(8):
            self.got("d")
        quick = [self.waits("i") for _ in range(6)]
        self.assertEqual(self.refused("d2"), "queue")
        self.seats.adopt(SeatTerms(max_concurrency=8, interactive_share=0.7, queue_size=6), 0.0)
        self.waits("d2")
        self.assertEqual(self.sent_away(quick[-1]), "displaced")

    def test_the_share_of_one_that_blocks_itself_is_not_kept(self) -> None:
        """
        Requests that wait for their own principal's limit are displaced like others.
        """
        self.gate(max_concurrency=8, interactive_share=1.0, queue_size=8)
        self.got("i", most=1)
        blocked = [self.waits("i", most=1) for _ in range(7)]
        for number in range(7):
            self.got(f"d{number}")
        others = [self.waits("d7"), self.waits("d8")]
        self.assertEqual(self.sent_away(blocked[-1]), "displaced")
        for each in blocked[:-1] + others:
            self.assertNoResult(each)


class ReloadTests(SeatsCase):
    """
    Other terms while permits are out and others wait.
    """

    def test_a_lowered_limit(self) -> None:
        """
        Nobody is put out, nobody who waits is sent away, and nobody comes in until there are fewer.
        """
        seats = self.gate(max_concurrency=3, queue_size=9)
        permits = [self.got() for _ in range(3)]
        waiting = self.waits()
        seats.adopt(SeatTerms(max_concurrency=1), 0.0)
        self.assertEqual(self.refused("d2"), "daemon")
        for permit in permits[:2]:
            self.give_back(permit)
        self.assertNoResult(waiting)
        self.give_back(permits[2])
        self.successResultOf(waiting)

    def test_a_raised_limit(self) -> None:
        """
        As many as fit are let in at once, in turn.
        """
        seats = self.gate(max_concurrency=1, queue_size=9)
        self.got()
        waiting = [self.waits(name) for name in ("d1", "d1", "d1", "d2", "d2")]
        seats.adopt(SeatTerms(max_concurrency=4, queue_size=9, weights=dict.fromkeys(Class, 1.0)), 0.0)
        for index in (0, 1, 3):
            self.successResultOf(waiting[index])
        for index in (2, 4):
            self.assertNoResult(waiting[index])
        seats.adopt(SeatTerms(), 0.0)
        for index in (2, 4):
            self.successResultOf(waiting[index])

    def test_a_providers_limit_comes_and_goes(self) -> None:
        """
        It counts what is out already; a provider that is gone is forgotten once nothing of it is out.
        """
        seats = self.gate(queue_size=9)
        permit = self.got("d", "p")
        seats.adopt(SeatTerms(providers={"p": 1, "q": 5}, queue_size=9), 0.0)
        waiting = self.waits("d", "p")
        seats.adopt(SeatTerms(queue_size=9), 0.0)
        self.give_back(self.successResultOf(waiting))
        self.assertEqual(seats.in_use_by_provider(), {"p": 1})
        self.give_back(permit)
        seats.adopt(SeatTerms(), 0.0)
        self.assertEqual(seats.in_use_by_provider(), {})

    def test_another_time_to_wait(self) -> None:
        """
        It holds for those who wait already.
        """
        seats = self.gate(max_concurrency=1, queue_size=9, queue_timeout_s=10.0)
        self.got()
        waiting = self.waits()
        seats.adopt(SeatTerms(max_concurrency=1, queue_size=9, queue_timeout_s=2.0), 1.0)
        self.assertEqual(seats.next_expiry(), 2.0)
        seats.expire(2.0)
        self.assertEqual(self.sent_away(waiting), "timeout")


class ShadowTests(SeatsCase):
    """
    Limits that are only tried out.
    """

    def test_nobody_is_refused_and_all_are_counted(self) -> None:
        """
        By what stood in their way; those in flight beside the limit are in flight, but take nobody's place.
        """
        seats = self.gate(max_concurrency=2, providers={"q": 1}, shadow=True)
        permits = [self.got("d", "q") for _ in range(2)]
        permits += [self.got("d", most=1)]
        permits += [self.got("d2") for _ in range(3)]
        counted = {policy.value: count for policy, count in seats.would_have_refused.items() if count}
        self.assertEqual(counted, {"provider": 1, "principal": 1, "daemon": 2})
        self.assertEqual((seats.in_use, seats.in_use_by_provider()), (6, {"p": 4, "q": 2}))
        for permit in permits * 2:
            self.give_back(permit)
        self.assertEqual((seats.in_use, seats.in_use_by_provider(), seats.principals), (0, {"p": 0, "q": 0}, 0))
        self.assertEqual(sum(seats.would_have_refused.values()), 4)

    def test_the_queue_is_played_through(self) -> None:
        """
        One that would have waited runs at once. It would not have been refused if a permit comes back in time, and
        would have been if its time is up, or if it had been displaced.
        """
        seats = self.gate(max_concurrency=1, queue_size=1, queue_timeout_s=5.0, shadow=True)
        permit = self.got("d")
        served = self.got("b")
        self.assertEqual((seats.waiting, served.waited_s), (1, 0.0))
        self.give_back(permit)
        self.assertEqual((seats.waiting, seats.in_use), (0, 1))
        displaced = self.got("b")
        late = self.got("d2")
        self.now = 5.0
        seats.expire(5.0)
        counted = {policy.value: count for policy, count in seats.would_have_refused.items() if count}
        self.assertEqual(counted, {"displaced": 1, "timeout": 1})
        left = self.got("d3")
        for each in (served, displaced, late, left):
            self.give_back(each)
        self.assertEqual((seats.waiting, seats.in_use, seats.principals), (0, 0, 0))

    def test_switched_on(self) -> None:
        """
        Those who wait are let through.
        """
        seats = self.gate(max_concurrency=1, queue_size=9)
        self.got()
        waiting, gone = self.waits("d2"), self.waits("d3")

        def send_away(permit: Permit) -> Permit:
            gone.cancel()
            return permit

        waiting.addCallback(send_away)
        seats.adopt(SeatTerms(max_concurrency=1, queue_size=9, shadow=True), 2.0)
        permit = self.successResultOf(waiting)
        self.failureResultOf(gone, CancelledError)
        self.assertEqual((permit.waited_s, seats.in_use, sum(seats.would_have_refused.values())), (2.0, 2, 0))
        self.give_back(permit)
        self.assertEqual((seats.in_use, seats.waiting), (1, 0))

    def test_switched_off(self) -> None:
        """
        All that run count from now on, and nobody comes in until there are fewer than the limit.
        """
        seats = self.gate(max_concurrency=1, queue_size=1, shadow=True)
        permits = [self.got(), self.got("d2"), self.got("d3")]
        self.assertEqual(seats.would_have_refused[Obstacle.QUEUE], 1)
        seats.adopt(SeatTerms(max_concurrency=1), 0.0)
        self.assertEqual((seats.in_use, seats.waiting, seats.held("d3")), (3, 0, 1))
        for permit in permits:
            self.assertEqual(self.refused("d4"), "daemon")
            self.give_back(permit)
        self.got("d4")
