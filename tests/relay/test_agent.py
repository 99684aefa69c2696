from __future__ import annotations
import pytest
from twisted.trial.unittest import SynchronousTestCase
from upstream_faults import CLOSE, FAULTS, HANG, HANG_S, PAUSE, PAUSE_S, RESET, SETTINGS, Fault
from upstreams import ANSWER, Lab, FakeTransport


def play(lab, transport, steps, bytewise=False):
    for step in steps:
        if step == CLOSE: transport.finish()
        elif step == RESET: transport.reset()
        elif step == HANG: lab.wait(HANG_S)
        elif step == PAUSE: lab.wait(PAUSE_S)
        elif bytewise: transport.receive(*(step[i:i+1] for i in range(len(step))))
        else: transport.receive(step)

@pytest.mark.parametrize("bytewise",[False,True])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_fault(fault, bytewise):
    lab = Lab(**SETTINGS)
    asked = lab.ask(fault.method, b"{}" if fault.method==b"POST" else None)
    first = lab.transport
    play(lab, first, fault.steps, bytewise)
    lab.turn()
    if fault.error is None:
        assert asked.error is None
        assert asked.response.code == fault.status
        assert type(asked.body.reason).__name__ in ("ResponseDone","PotentialDataLoss")
    elif fault.status:
        assert type(asked.body.reason) is fault.error, (asked.body.reason, asked.error)
    else:
        assert type(asked.error) is fault.error, (asked.error, asked.body.reason)
        assert asked.response is None
    assert asked.body.data == fault.body
    nxt = lab.ask()
    assert (lab.transport is first) == fault.keeps
    lab.transport.receive(ANSWER)
    assert nxt.response.code == 200 and nxt.body.data == b"{}"
    assert lab.agent.open_connections == 1 == lab.agent.idle_connections, (lab.agent.open_connections, lab.agent.idle_connections)
