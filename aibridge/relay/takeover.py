"""
From one protocol to the next on the same connection: what CONNECT comes to, on either side of it.
"""

from __future__ import annotations

from typing import Any

from twisted.protocols.policies import ProtocolWrapper


def take_over(transport: Any, protocol: Any, rest: bytes = b"") -> None:
    """
    Let `protocol` have a transport that is connected, whoever had it before.

    :param rest: what has come, and nobody has looked at.
    """
    if isinstance(transport, ProtocolWrapper):
        transport.wrappedProtocol = protocol
    else:
        transport.protocol = protocol
    protocol.makeConnection(transport)
    if rest:
        # What it has put between itself and the transport has to see them too.
        receiver = protocol if isinstance(transport, ProtocolWrapper) else transport.protocol
        receiver.dataReceived(rest)
