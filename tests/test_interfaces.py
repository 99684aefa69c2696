"""
The seams: what stands in for one in tests makes the same promises.
"""

from __future__ import annotations

from inspect import getdoc

import pytest
from twisted.internet.defer import Deferred
from zope.interface import Attribute, implementer
from zope.interface.exceptions import Invalid
from zope.interface.interface import InterfaceClass, Method
from zope.interface.verify import verifyObject

from aibridge.interfaces import IIdentity, IPairsAgent
from fakes import AsksSomebody, KnowsOne


@pytest.mark.parametrize("identity", [KnowsOne(), AsksSomebody()])
def test_stand_ins_keep_the_promise(identity: KnowsOne) -> None:
    """
    The identities of the tests are identities.
    """
    assert verifyObject(IIdentity, identity)


def test_an_agent_of_pairs() -> None:
    """
    An agent is one that has `ask`, with these five arguments.
    """

    @implementer(IPairsAgent)
    class Agent:
        def ask(self, receiver: object, method: bytes, uri: bytes, pairs: object, body: object) -> object:
            """
            Never.
            """
            return Deferred()

    @implementer(IPairsAgent)
    class Another:
        def ask(self, method: bytes, uri: bytes) -> object:  # type: ignore[override]  # that it is refused is the point
            """
            Never.
            """
            return Deferred()

    assert verifyObject(IPairsAgent, Agent())
    with pytest.raises(Invalid):
        verifyObject(IPairsAgent, Another())


@pytest.mark.parametrize("interface", [IIdentity, IPairsAgent])
def test_every_promise_is_written_down(interface: InterfaceClass) -> None:
    """
    Each interface, method and attribute says what it is.
    """
    assert getdoc(interface)
    for name in interface.names():
        promised = interface[name]
        assert isinstance(promised, Method | Attribute)
        assert promised.getDoc() or promised.getName(), name
