"""
The backend ``none``: nobody is asked for a token, and everyone is told apart by what they show.
"""

from __future__ import annotations

import ipaddress
from hashlib import sha256

from zope.interface import implementer

from aibridge.identity.address import place_of, site_of
from aibridge.identity.parties import Parties
from aibridge.interfaces import IIdentity
from aibridge.model import Class, Principal


@implementer(IIdentity)
class Anyone:
    """
    Lets everybody pass. What a client shows is its own provider key, which crosses; its requests are counted by a
    hash of it, or else by its address.

    A client that shows something else each time is somebody else each time: limits by principal hold only for those
    who need their key to be a good one. The gate holds for all. What is remembered of principals is shared out by
    where they come from, so that keys that were made up cost those who come from there: see Note [Origins] in
    `aibridge.admission.bucket`, and Note [Parties] in `aibridge.identity.parties`.

    :param class_: of everybody.
    """

    verifies_tokens = False

    def __init__(self, class_: Class = Class.DEFAULT) -> None:
        self._class = class_
        self._parties = Parties()

    def identify(self, token: bytes | None, client_host: str, now: float) -> Principal:
        """
        See `IIdentity.identify`; never fails.
        """
        place = place_of(client_host)
        origin = site_of(place)
        if token is None:
            id, name = f"address:{place}", place or "unknown"
        else:
            digest = sha256(token).hexdigest()
            id, name = f"shown:{digest[:32]}", f"shown-{digest[:8]}"
        party = self._parties.party_of(id, origin, now)
        return Principal(id=id, name=name, class_=self._class, origin=origin, party=party)

    def principal_named(self, name: str) -> Principal | None:
        """
        See `IIdentity.principal_named`. Nobody is remembered; but an address tells who comes from there, and an id is
        somebody's.
        """
        if name.startswith(("shown:", "address:")):
            return Principal(id=name, name=name, class_=self._class)
        try:
            ipaddress.ip_network(name, strict=False)
        except ValueError:
            return None
        return self._at(place_of(name))

    def _at(self, place: str) -> Principal:
        return Principal(id=f"address:{place}", name=place or "unknown", class_=self._class, origin=site_of(place))

    def start(self) -> None:
        """
        There is nothing to follow.
        """

    def stop(self) -> None:
        """
        There is nothing to give up.
        """
