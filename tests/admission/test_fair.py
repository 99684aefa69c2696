"""
The fair queue: whose turn it is, and that one principal's crowd is that principal's own trouble.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aibridge.admission.fair import FairQueue
from aibridge.admission.lanes import Flow, Lane, Line, Party
from aibridge.model import Class

Item = tuple[str, int]

ONE_EACH = dict.fromkeys(Class, 1.0)
WEIGHTS = {Class.INTERACTIVE: 4.0, Class.DEFAULT: 2.0, Class.BATCH: 1.0}


class Fixture:
    """
    A queue whose requests are a principal's name and a number.

    :ivar held: how many permits each principal has.
    :ivar blocked: principals that have as many permits as they may.
    :ivar lanes: of two providers.
    """

    MOST = 1000

    def __init__(self, weights: dict[Class, float] = ONE_EACH) -> None:
        self.blocked: set[str] = set()
        self.held: Counter[str] = Counter()
        self.queue: FairQueue[Item] = FairQueue(
            weights, lambda key: self.MOST if key in self.blocked else self.held[key]
        )
        self.lines: list[Line[Item]] = [Line(), Line()]
        self.lanes: list[Lane[Item]] = [line.lanes[0] for line in self.lines]
        self.by_all = True
        self._numbers: Counter[str] = Counter()

    def push(self, keys: Iterable[str], provider: int = 0, class_: Class = Class.DEFAULT) -> list[Item]:
        """
        One request of each principal, as often as it is named.
        """
        items = []
        for key in keys:
            items.append((key, self._numbers[key]))
            self._numbers[key] += 1
            self.queue.push(key, class_, self.MOST, items[-1], self.lanes[provider])
        return items

    def front(self, provider: int = 0) -> Flow[Item] | None:
        """
        Whose turn it is, if this provider has room.
        """
        return self.queue.front(self.lanes[provider], self.by_all)

    def block(self, *keys: str) -> None:
        """
        These, and no others, have as many permits as they may.
        """
        changed = self.blocked ^ set(keys)
        self.blocked = set(keys)
        for key in changed:
            self.queue.reconsider(key)

    def remove(self, item: Item, provider: int = 0) -> None:
        """
        One leaves.
        """
        self.queue.remove(item[0], item, self.lanes[provider])

    def take(self, provider: int = 0) -> str | None:
        """
        Whose request is taken next.
        """
        flow = self.front(provider)
        return None if flow is None else self.queue.take(flow)[0]

    def take_all(self, provider: int = 0) -> str:
        """
        All that can be taken, one letter each.
        """
        taken = ""
        while (key := self.take(provider)) is not None:
            taken += key
        return taken


def test_a_principals_requests_stay_in_order() -> None:
    """
    First come, first served, within one principal.
    """
    fixture = Fixture()
    fixture.push("aaa")
    flow = fixture.front()
    assert flow is not None
    assert [fixture.queue.take(flow) for _ in range(3)] == [("a", 0), ("a", 1), ("a", 2)]
    assert fixture.front() is None


def test_principals_take_turns() -> None:
    """
    However many one of them has in the queue, each gets one at a time.
    """
    fixture = Fixture()
    fixture.push("aaaaabbc")
    assert fixture.take_all() == "abcabaaa"


def test_one_who_comes_new_stands_at_the_end() -> None:
    """
    Behind everyone once, not behind everything that they ask for.
    """
    fixture = Fixture()
    fixture.push("aaaabbbb")
    assert fixture.take() == "a"
    fixture.push("c")
    assert fixture.take_all() == "bacbabab"


def test_weights() -> None:
    """
    A class of four times the weight has four turns for one; they are spread, not in a row.
    """
    fixture = Fixture(WEIGHTS)
    fixture.push("iiiiiiii", class_=Class.INTERACTIVE)
    fixture.push("dddd")
    fixture.push("bb", class_=Class.BATCH)
    assert fixture.take_all() == "idiibdiidiibdi"


def test_weights_need_not_be_whole() -> None:
    """
    Only their ratio counts: three for two.
    """
    fixture = Fixture({Class.INTERACTIVE: 3.0, Class.DEFAULT: 1.5, Class.BATCH: 1.0})
    fixture.push("dddddd")
    fixture.push("bbbb", class_=Class.BATCH)
    assert fixture.take_all() == "dbdbddbddb"


def test_nothing_is_saved_up() -> None:
    """
    One who had nothing waiting for a long time has its turn after the others like anybody who is new.
    """
    fixture = Fixture()
    fixture.push("ab")
    assert fixture.take() == "a"
    fixture.push("b" * 20)
    assert [fixture.take() for _ in range(20)] == ["b"] * 20
    fixture.push("aaaa")
    fixture.push("bbb")
    assert fixture.take_all() == "babababa"


def test_other_weights() -> None:
    """
    They hold from the next turn of each on.
    """
    fixture = Fixture({**ONE_EACH, Class.DEFAULT: 2.0})
    fixture.push("dddd")
    fixture.push("bbbbb", class_=Class.BATCH)
    assert fixture.take() == "d"
    fixture.queue.weigh({**ONE_EACH, Class.BATCH: 2.0})
    assert fixture.take_all() == "bdbdbbdb"


def test_those_who_hold_fewest_come_first() -> None:
    """
    Then those who hold one more, and among equals in turn.
    """
    fixture = Fixture()
    fixture.held.update({"a": 2, "b": 1, "c": 1})
    fixture.push("aabbccdd")
    assert fixture.take_all() == "ddbcbcaa"


def test_what_is_held_counts_by_the_weight() -> None:
    """
    Four of the highest class are as much as one of the lowest.
    """
    fixture = Fixture(WEIGHTS)
    fixture.held.update({"i": 3, "d": 2, "b": 1})
    fixture.push("b", class_=Class.BATCH)
    fixture.push("d")
    fixture.push("i", class_=Class.INTERACTIVE)
    assert fixture.take_all() == "idb"


def test_a_permit_that_came_or_went_changes_the_turn() -> None:
    """
    With the one that is taken, and when the queue is told.
    """
    fixture = Fixture()
    fixture.push("aaabbb")
    for expected in "abab":
        flow = fixture.front()
        assert flow is not None
        assert flow.party.key == expected
        fixture.held[expected] += 1
        fixture.queue.take(flow)
    fixture.push("c")
    fixture.held["b"] = 0
    fixture.queue.reconsider("b")
    assert fixture.take_all() == "bca"


def test_lanes_are_taken_from_apart() -> None:
    """
    A full provider holds up those who need it, and nobody else.
    """
    fixture = Fixture()
    fixture.push("aab")
    fixture.push("cd", 1)
    assert fixture.take_all(1) == "cd"
    assert fixture.take_all() == "aba"


def test_turns_tell_who_is_next_among_lanes() -> None:
    """
    The lower one has waited longer.
    """
    fixture = Fixture()
    fixture.push("a")
    assert fixture.take() == "a"
    fixture.push("aaa")
    fixture.take()
    fixture.push("b", 1)
    first, other = fixture.front(), fixture.front(1)
    assert first is not None
    assert other is not None
    assert first.party.turn[:2] == other.party.turn[:2]
    fixture.take()
    fixture.push("c")
    first = fixture.front()
    assert first is not None
    assert first.party.key == "a"
    assert first.party.turn > other.party.turn


def test_a_principal_stands_in_every_lane_that_it_needs() -> None:
    """
    What it has in one does not wait for what it has in another.
    """
    fixture = Fixture()
    fixture.push("a")
    fixture.push("a", 1)
    fixture.push("b", 1)
    assert fixture.take_all(1) == "ab"
    assert fixture.take() == "a"


def test_the_two_orders() -> None:
    """
    In the one all that is held counts, in the other what is held of the provider; among equals both go round.
    """
    for by_all, expected in ((True, "bbbaaa"), (False, "aaabbb")):
        fixture = Fixture()
        fixture.by_all = by_all
        fixture.held.update({"a": 5, "b": 1})
        fixture.lines[0].held["b"] = 1
        fixture.push("aaabbb")
        assert fixture.take_all() == expected
        fixture.push("ccdd")
        assert fixture.take_all() == "cdcd"


def test_weights_hold_in_the_order_of_a_provider() -> None:
    """
    For each provider by itself, whatever is served by others meanwhile.
    """
    fixture = Fixture(WEIGHTS)
    fixture.by_all = False
    fixture.push("i" * 8, class_=Class.INTERACTIVE)
    fixture.push("bb", class_=Class.BATCH)
    taken = ""
    while (key := fixture.take()) is not None:
        taken += key
        fixture.push("d", 1)
        fixture.take(1)
    assert taken == "iiibiiiibi"


def test_a_principal_may_have_more_or_fewer() -> None:
    """
    That holds for all that it has waiting.
    """
    fixture = Fixture()
    fixture.held["a"] = 2
    fixture.push("ab")
    fixture.push("a", 1)
    assert fixture.queue.allow("a", 2)
    assert (fixture.take(), fixture.take(1)) == ("b", None)
    assert not fixture.queue.allow("a", 2)
    assert not fixture.queue.allow("nobody", 2)
    fixture.queue.push("a", Class.DEFAULT, 3, ("a", 9), fixture.lanes[1])
    assert (fixture.take_all(), fixture.take_all(1)) == ("a", "aa")


def test_one_that_is_not_ready_steps_aside() -> None:
    """
    The next one has its turn; asked again, it has its own at once.
    """
    fixture = Fixture()
    fixture.push("aabbcc")
    fixture.block("a")
    assert [fixture.take(), fixture.take(), fixture.take()] == ["b", "c", "b"]
    assert fixture.take() == "c"
    assert fixture.take() is None
    fixture.block()
    fixture.push("b")
    assert fixture.take_all() == "aba"


def test_one_that_stepped_aside_keeps_its_place() -> None:
    """
    It was before those who came later, and is again.
    """
    fixture = Fixture()
    fixture.push("ab")
    fixture.block("a")
    assert fixture.take() == "b"
    fixture.push("cd")
    assert fixture.take() == "c"
    fixture.block()
    assert fixture.take_all() == "ad"


def test_asked_again_in_vain() -> None:
    """
    It steps aside once more; and one that never did, or does not wait, is none the wiser.
    """
    fixture = Fixture()
    fixture.push("ab")
    fixture.block("a")
    assert fixture.take() == "b"
    for _ in range(3):
        fixture.queue.reconsider("a")
        fixture.queue.reconsider("nobody")
        assert fixture.take() is None
    fixture.block()
    fixture.queue.reconsider("a")
    assert fixture.take_all() == "a"


def test_those_that_stepped_aside_do_not_starve_the_others() -> None:
    """
    Ten that may have one in flight each, and take turns in giving theirs back, and one that may have any number: it
    has its turn as well.
    """
    fixture = Fixture()
    limited = "abcdefghij"
    fixture.push(limited * 20)
    fixture.push("z" * 20)
    fixture.block(*limited)
    taken = ""
    for number in range(100):
        back = limited[number % 10]
        fixture.block(*(fixture.blocked - {back}))
        key = fixture.take()
        assert key is not None
        taken += key
        if key in limited:
            fixture.block(*fixture.blocked, key)
    assert 9 <= taken.count("z") <= 11


def test_forgotten_without_a_trace() -> None:
    """
    The first, one between, the last, and then the only one of a principal.
    """
    fixture = Fixture()
    items = fixture.push("aaaab")
    for number in (0, 2, 3):
        fixture.remove(items[number])
    assert len(fixture.queue) == 2
    assert fixture.take_all() == "ab"
    (only,) = fixture.push("c")
    fixture.remove(only)
    assert fixture.front() is None
    assert list(fixture.queue) == []
    assert len(fixture.queue) == 0
    assert not fixture.lanes[0].by_all
    assert not fixture.lanes[0].by_own


def test_a_first_request_that_leaves_reveals_the_next() -> None:
    """
    In its own lane.
    """
    fixture = Fixture()
    first, _ = fixture.push("aa")
    fixture.push("a", 1)
    fixture.remove(first)
    fixture.block("a")
    assert (fixture.take(), fixture.take(1)) == (None, None)
    fixture.block()
    flow = fixture.front()
    assert flow is not None
    assert fixture.queue.take(flow) == ("a", 1)
    fixture.remove(("a", 2), 1)
    assert fixture.take_all(1) == ""


def test_a_principal_has_one_class_while_it_waits() -> None:
    """
    That with which it began.
    """
    fixture = Fixture()
    fixture.push("a", class_=Class.BATCH)
    fixture.push("a", class_=Class.INTERACTIVE)
    assert fixture.queue.waiting(Class.BATCH) == 2
    assert fixture.queue.waiting(Class.INTERACTIVE) == 0


@pytest.mark.parametrize(
    ("waiting", "asks", "is_safe", "safe", "gives_up"),
    [
        # batch first, whatever the others have, and the longest of batch
        ({"b": 1, "d": 9}, "d2", False, "", "b"),
        ({"b": 1, "d": 9}, "d", False, "", "b"),
        ({"b": 1, "d": 9}, "i", False, "", "b"),
        ({"b": 1, "b2": 2, "d": 9}, "i", False, "", "b2"),
        ({"b": 1, "b2": 2, "d": 9}, "i", False, "b2", "b"),
        # batch against batch, and against nobody else
        ({"b": 2, "d": 9}, "b2", False, "", "b"),
        ({"b": 1, "d": 9}, "b2", False, "", None),
        ({"d": 9, "i": 9}, "b2", False, "", None),
        # the longest for its weight, and nobody if nobody's is longer than that of the one that asks
        ({"d": 2}, "d2", False, "", "d"),
        ({"d": 2, "d2": 1}, "d2", False, "", None),
        ({"d": 1}, "i", False, "", "d"),
        ({"d": 1, "i": 1}, "i", False, "", None),
        ({"i": 2, "d": 1}, "d2", False, "", None),
        ({"i": 3, "d": 1}, "d2", False, "", "i"),
        ({"i": 3, "d": 2}, "d2", False, "", "d"),
        # never one's own
        ({"d": 9}, "d", False, "", None),
        ({"b": 9}, "b", False, "", None),
        ({"i": 9}, "i", True, "", None),
        ({"i": 9, "d": 1}, "i", True, "", "d"),
        ({"i": 9, "i2": 1}, "i", True, "", "i2"),
        # within their share: neither displaced nor refused
        ({"i": 9, "d": 2}, "d2", False, "i", "d"),
        ({"i": 9, "d": 1}, "d2", False, "i", None),
        ({"i": 9, "d": 1}, "i2", True, "i", "d"),
        ({"i": 9}, "i2", True, "", "i"),
    ],
)
def test_whose_room(waiting: dict[str, int], asks: str, is_safe: bool, safe: str, gives_up: str | None) -> None:
    """
    Who gives up a place in a full queue to one more.
    """
    fixture = Fixture(WEIGHTS)
    classes = {"b": Class.BATCH, "d": Class.DEFAULT, "i": Class.INTERACTIVE}
    for key, count in waiting.items():
        fixture.push([key] * count, class_=classes[key[0]])

    def newest(party: Party[Item]) -> Item | None:
        (flow,) = party.flows.values()
        return None if party.key == safe else flow.newest

    found = fixture.queue.whose_room(classes[asks[0]], asks, is_safe, newest)
    assert found == (None if gives_up is None else (gives_up, waiting[gives_up] - 1))


def test_of_several_equally_long_the_last_one_makes_room() -> None:
    """
    The one that came to have so many last.
    """
    fixture = Fixture()
    fixture.push("aaabbbc")

    def newest(party: Party[Item]) -> Item:
        (flow,) = party.flows.values()
        return flow.newest

    assert fixture.queue.whose_room(Class.DEFAULT, "d", False, newest) == ("b", 2)
    fixture.remove(("b", 1))
    assert fixture.queue.whose_room(Class.DEFAULT, "d", False, newest) == ("a", 2)


@given(counts=st.lists(st.integers(1, 30), min_size=1, max_size=8), rounds=st.integers(1, 30))
def test_one_each_between_two_of_one(counts: list[int], rounds: int) -> None:
    """
    With equal weights, while two principals wait neither is ever more than one ahead of the other.
    """
    fixture = Fixture()
    for number, count in enumerate(counts):
        fixture.push(chr(97 + number) * count)
    taken: Counter[str] = Counter()
    for _ in range(min(rounds, sum(counts))):
        key = fixture.take()
        assert key is not None
        taken[key] += 1
        behind = [taken[flow_key] for flow_key in fixture.queue]
        assert max(behind, default=0) - min(behind, default=0) <= 1


@given(weights=st.tuples(*[st.sampled_from([0.5, 1.0, 1.5, 2.0, 5.0])] * 3))
def test_shares_follow_the_weights(weights: tuple[float, ...]) -> None:
    """
    Of what is taken while all wait, each class gets its part, give or take a turn.
    """
    fixture = Fixture(dict(zip(Class, weights, strict=True)))
    for class_ in Class:
        fixture.push(class_.value[0] * 300, class_=class_)
    taken = Counter(fixture.take() for _ in range(300))
    for class_, weight in zip(Class, weights, strict=True):
        part = 300 * weight / sum(weights)
        assert abs(taken[class_.value[0]] - part) <= sum(weights) / min(weights)


class QueueMachine(RuleBasedStateMachine):
    """
    Any order of coming, being taken, leaving and becoming ready, against lists.
    """

    KEYS = "abcd"

    def __init__(self) -> None:
        super().__init__()
        self.fixture = Fixture(WEIGHTS)
        self.model: dict[str, list[tuple[Item, int]]] = {key: [] for key in self.KEYS}
        self.classes = dict(zip(self.KEYS, (*Class, Class.DEFAULT), strict=True))

    @rule(key=st.sampled_from(KEYS), lane=st.integers(0, 1), count=st.integers(1, 3))
    def push(self, key: str, lane: int, count: int) -> None:
        """
        Requests of one principal come.
        """
        for item in self.fixture.push(key * count, lane, self.classes[key]):
            self.model[key].append((item, lane))

    @rule(lane=st.integers(0, 1), by_all=st.booleans())
    def take(self, lane: int, by_all: bool) -> None:
        """
        Somebody's first request for a provider is taken, if one of them is ready.
        """
        able = {
            key
            for key, waiting in self.model.items()
            if any(entry[1] == lane for entry in waiting) and key not in self.fixture.blocked
        }
        self.fixture.by_all = by_all
        flow = self.fixture.front(lane)
        if flow is None:
            assert not able
            return
        key = flow.party.key
        assert key in able
        entry = next(entry for entry in self.model[key] if entry[1] == lane)
        self.model[key].remove(entry)
        assert self.fixture.queue.take(flow) == entry[0]

    @precondition(lambda self: any(self.model.values()))
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """
        Some request leaves.
        """
        item, lane = data.draw(st.sampled_from([entry for waiting in self.model.values() for entry in waiting]))
        self.model[item[0]].remove((item, lane))
        self.fixture.remove(item, lane)

    @rule(keys=st.sets(st.sampled_from(KEYS)))
    def block(self, keys: set[str]) -> None:
        """
        Other principals have as many as they may.
        """
        self.fixture.block(*keys)

    @invariant()
    def agrees(self) -> None:
        """
        The same requests wait, in the same order for each provider; nobody is remembered for nothing.
        """
        queue = self.fixture.queue
        assert len(queue) == sum(map(len, self.model.values()))
        assert set(queue) == {key for key, waiting in self.model.items() if waiting}
        for key, waiting in self.model.items():
            party = queue.party(key)
            assert (key in queue) == bool(waiting) == (party is not None)
            if party is not None:
                assert party.length == len(waiting)
                for number, lane in enumerate(self.fixture.lanes):
                    items = list(party.flows[lane].items) if lane in party.flows else []
                    assert items == [item for item, where in waiting if where == number]
        for class_ in Class:
            lengths = [len(waiting) for key, waiting in self.model.items() if self.classes[key] is class_]
            assert queue.waiting(class_) == sum(lengths)
        for lane in self.fixture.lanes:
            for heap in (lane.by_all, lane.by_own):
                standing = [flow for _, number, flow in heap if flow.number == number]
                assert len(standing) == lane.standing == len(set(standing))
                assert len(heap) <= 2 * lane.standing + 17
            assert lane.ready == sum(len(flow.items) for flow in standing)
            for flow in standing:
                assert flow.lane is lane
                assert flow.party.key not in self.fixture.blocked


QueueMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
QueueMachineTests = QueueMachine.TestCase
