"""
The gate: how many are in, and that each goes out once.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from aibridge.admission.gate import Gate, Permit


def test_one_more_than_the_limit() -> None:
    """
    The third of three is refused; when one of the others goes, the next comes in.
    """
    gate = Gate(2)
    first, second = gate.enter(), gate.enter()
    assert first is not None
    assert second is not None
    assert gate.enter() is None
    assert gate.in_use == 2
    first.give_back()
    assert gate.enter() is not None
    assert gate.enter() is None


def test_refused_ones_do_not_count() -> None:
    """
    However many ask, one place that becomes free is free.
    """
    gate = Gate(1)
    permit = gate.enter()
    assert permit is not None
    assert not any(gate.enter() for _ in range(100))
    permit.give_back()
    assert gate.enter() is not None


def test_zero_is_no_limit() -> None:
    """
    All come in, and are counted all the same.
    """
    gate = Gate(0)
    permits = [gate.enter() for _ in range(1000)]
    assert all(permits)
    assert gate.in_use == 1000


def test_giving_back_twice_counts_once() -> None:
    """
    The second time takes nobody else's place away.
    """
    gate = Gate(2)
    first = gate.enter()
    gate.enter()
    assert first is not None
    for _ in range(3):
        first.give_back()
    assert gate.in_use == 1


def test_a_lowered_limit() -> None:
    """
    Nobody is put out, and nobody comes in until there are fewer than the new limit.
    """
    gate = Gate(3)
    permits = [gate.enter() for _ in range(3)]
    gate.limit = 2
    assert gate.in_use == 3
    for permit in permits[:1]:
        assert permit is not None
        permit.give_back()
    assert gate.enter() is None
    assert permits[1] is not None
    permits[1].give_back()
    assert gate.enter() is not None
    assert gate.enter() is None


def test_a_raised_limit() -> None:
    """
    It holds at once; so does none at all.
    """
    gate = Gate(1)
    gate.enter()
    assert gate.enter() is None
    gate.limit = 2
    assert gate.enter() is not None
    assert gate.enter() is None
    gate.limit = 0
    assert gate.enter() is not None


class GateMachine(RuleBasedStateMachine):
    """
    Any order of coming, going, going again, and limits that change in between.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate(2)
        self.out: set[int] = set()
        self.most = 2

    held: Bundle[Permit | None] = Bundle("held")
    returned: Bundle[Permit | None] = Bundle("returned")

    @rule(target=held)
    def enter(self) -> Permit | None:
        """
        One comes in if there is room, and only then.
        """
        before = len(self.out)
        permit = self.gate.enter()
        limit = self.gate.limit
        assert (permit is not None) == (not limit or before < limit)
        if permit is not None:
            self.out.add(id(permit))
        return permit

    @rule(target=returned, permit=consumes(held))
    def leave(self, permit: Permit | None) -> Permit | None:
        """
        One goes.
        """
        if permit is not None:
            permit.give_back()
            self.out.remove(id(permit))
        return permit

    @rule(permit=returned)
    def leave_again(self, permit: Permit | None) -> None:
        """
        One that has gone goes once more. It is kept by the machine, so that no other permit has its identity.
        """
        if permit is not None:
            permit.give_back()

    @rule(limit=st.integers(0, 4))
    def reload(self, limit: int) -> None:
        """
        The limit changes.
        """
        self.gate.limit = limit
        self.most = len(self.out)

    @invariant()
    def counted(self) -> None:
        """
        As many are in use as are out: never more than the limit, or than there were when it was lowered.
        """
        assert self.gate.in_use == len(self.out) >= 0
        if self.gate.limit:
            assert self.gate.in_use <= max(self.gate.limit, self.most)


GateMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
GateMachineTests = GateMachine.TestCase
