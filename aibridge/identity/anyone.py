"""
The backend ``none``: nobody is asked for a token, and everyone is told apart by what they show.
"""

from __future__ import annotations

from hashlib import sha256

from zope.interface import implementer

from aibridge.identity.address import place_of
from aibridge.interfaces import IIdentity
from aibridge.model import Principal


@implementer(IIdentity)
class Anyone:
    """
    Lets everybody pass. What a client shows is its own provider key, which crosses; its requests are counted by a
    hash of it, or else by its address.

    A client that shows something else each time is somebody else each time: limits by principal hold only for those
    who need their key to be a good one. The gate holds for all.
    """

    verifies_tokens = False

    def identify(self, token: bytes | None, client_host: str, now: float) -> Principal:
        """
        See `IIdentity.identify`; never fails.
        """
        if token is None:
            place = place_of(client_host)
            return Principal(id=f"address:{place}", name=place or "unknown")
        digest = sha256(token).hexdigest()
        return Principal(id=f"shown:{digest[:32]}", name=f"shown-{digest[:8]}")

    def start(self) -> None:
        """
        There is nothing to follow.
        """

    def stop(self) -> None:
        """
        There is nothing to give up.
        """
