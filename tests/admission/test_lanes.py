"""
Where those stand who wait.
"""

from __future__ import annotations

from aibridge.admission.lanes import LAST, Flow, Line, Party
from aibridge.model import Class


def test_a_flow_is_in_the_order_of_its_numbers() -> None:
    """
    The first came first, the newest last.
    """
    line: Line[str] = Line()
    flow = Flow(Party("a", Class.DEFAULT, 0), line.lanes[0])
    for number, item in enumerate("abc"):
        flow.items[item] = number
    assert (flow.first, flow.newest) == ("a", "c")
    assert flow.lane.line is line


def test_what_is_struck_off_is_taken_out() -> None:
    """
    All of it when nobody stands any more, and else when it is more than half; what stands stays, in order.
    """
    line: Line[str] = Line()
    lane = line.lanes[0]
    party = Party[str]("a", Class.DEFAULT, 0)
    for number in range(100, 0, -1):
        flow = Flow(party, lane)
        flow.number = number if number <= 10 else 0
        entry = ((float(number), 0.0, number), number, flow)
        lane.by_all.append(entry)
        lane.by_own.append(entry)
    lane.standing = 10
    lane.tidy()
    for heap in (lane.by_all, lane.by_own):
        assert sorted(number for _, number, _ in heap) == list(range(1, 11))
        assert heap[0][1] == 1
    lane.standing = 0
    lane.tidy()
    assert not lane.by_all
    assert not lane.by_own


def test_the_last_turn() -> None:
    """
    Comes after everybody's.
    """
    assert LAST > (1e300, 1e300, 1 << 62)
