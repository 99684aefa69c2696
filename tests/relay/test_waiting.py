"""
Who waits for a connection, and whose turn it is.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aibridge import errors
from aibridge.relay.call import Call
from aibridge.relay.waiting import Waiting
from upstreams import ANSWER, URL, Lab

SENDERS = ("ada", "bob", "eve")


class Sending:
    """
    Receives for somebody.
    """

    def __init__(self, sender: str) -> None:
        self.sender = sender
        self.outcome: Any = None

    def answered(self, response: Any) -> None:
        """
        It is served.
        """
        self.outcome = response

    def failed(self, failure: Any) -> None:
        """
        It is not.
        """
        self.outcome = failure.value


def call_of(lab: Lab, sender: str) -> Call:
    """
    A call of somebody's, which nothing is done with.
    """
    return Call(lab.agent._waits, Sending(sender), b"POST", URL, [], b"")


@given(st.lists(st.tuples(st.sampled_from(["add", "first", "take", "leave"]), st.sampled_from(SENDERS))))
def test_one_sender_after_the_other(steps: list[tuple[str, str]]) -> None:
    """
    Of each, first come, first served; as a list of lists has it.
    """
    lab, waiting = Lab(), Waiting()
    model: OrderedDict[str, list[Call]] = OrderedDict()
    for step, sender in steps:
        if step in ("add", "first"):
            call = call_of(lab, sender)
            waiting.add(call, first=step == "first")
            line = model.setdefault(sender, [])
            line.insert(0 if step == "first" else len(line), call)
            if step == "first":
                model.move_to_end(sender, last=False)
        elif step == "take" and model:
            name, line = next(iter(model.items()))
            assert waiting.take() is line.pop(0)
            model.move_to_end(name)
        elif step == "leave" and sender in model:
            gone = model[sender].pop()
            waiting.leave(gone)
            waiting.leave(gone)
        for name in [name for name, line in model.items() if not line]:
            del model[name]
        assert len(waiting) == sum(map(len, model.values()))
        last = waiting.giving_way(sender)
        longest = max(map(len, model.values()), default=0)
        if longest > len(model.get(sender, ())) + 1:
            assert last is not None
            assert len(model[last.sender]) == longest
            assert model[last.sender][-1] is last
        else:
            assert last is None


def test_whose_turn_it_is() -> None:
    """
    Whoever has many waiting keeps nobody else waiting for more than one of them.
    """
    lab = Lab(max_connections=1)
    served: list[str] = []
    callers = [Sending("bob") for _ in range(5)] + [Sending("ada"), Sending("")]
    for number, caller in enumerate(callers):
        lab.agent.ask(caller, b"POST", URL + b"?%d" % number, [], b"")
    for _ in callers:
        told = lab.transport.sent.rsplit(b"?", 1)[1]
        served.append(callers[int(told[:1])].sender)
        lab.transport.receive(ANSWER)
        lab.turn()
    assert served == ["bob", "bob", "ada", "", "bob", "bob", "bob"]


def test_who_gives_way() -> None:
    """
    Where no more may wait, the last of whoever has most; and of nobody who has no more than the one who comes.
    """
    lab = Lab(connects=False, max_connections=1)
    bobs = [Sending("bob") for _ in range(65)]
    for caller in bobs:
        lab.agent.ask(caller, b"POST", URL, [], b"")
    ada, more = Sending("ada"), Sending("bob")
    lab.agent.ask(ada, b"POST", URL, [], b"")
    lab.agent.ask(more, b"POST", URL, [], b"")
    assert ada.outcome is None
    assert [type(caller.outcome) for caller in (bobs[-2], bobs[-1], more)] == [
        type(None),
        errors.PoolTimeout,
        errors.PoolTimeout,
    ]
    assert lab.agent.waiting == 64
