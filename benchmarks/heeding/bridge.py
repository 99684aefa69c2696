"""
The bridge as the daemon puts it together, from a configuration on, with nothing but its sockets, clock and chance
replaced.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from prometheus_client import CollectorRegistry
from twisted.internet.task import Clock
from zope.interface import implementer

from aibridge.admission.breaker import BreakerTerms
from aibridge.admission.breakers import Breakers
from aibridge.admission.configured import breaker_terms, seat_terms
from aibridge.admission.seats import Seats
from aibridge.daemon.assembly import Shop, Upstreams
from aibridge.daemon.decode import decode
from aibridge.daemon.settings import Settings
from aibridge.errors import Unauthenticated
from aibridge.interfaces import IIdentity
from aibridge.log import as_text
from aibridge.metrics import Metrics
from aibridge.model import Principal
from aibridge.secret import Secret
from aibridge.web.bodies import Bodies
from aibridge.web.bridge import BridgeResource
from aibridge.web.completions import Completions
from aibridge.web.site import BridgeSite
from aibridge.web.terms import Bridge
from aibridge.web.turns import Turns
from benchmarks.heeding.vendor import Vendor

BEGAN = 1_795_478_400.0
"""The wall time at which every simulation begins; its clock is at 0 then."""

PROVIDER = "up"


@implementer(IIdentity)
class ByName:
    """
    Everybody is who the token says.
    """

    verifies_tokens = True

    def identify(self, token: bytes | None, client_host: str, now: float) -> Principal:
        """
        See `IIdentity`.
        """
        if token is None:
            raise Unauthenticated
        name = token.decode().removeprefix("aib_")
        return Principal(id=name, name=name)

    def principal_named(self, name: str) -> Principal | None:
        """
        See `IIdentity`.
        """
        return Principal(id=name, name=name)

    def start(self) -> None:
        """
        Nothing.
        """

    def stop(self) -> None:
        """
        Nothing.
        """


class InMemory(Upstreams):
    """
    The way to one provider, without connections.
    """

    def __init__(self, clock: Clock, vendor: Vendor) -> None:
        super().__init__(clock)
        self._vendor = vendor

    def adopt(self, prepared: Any) -> Mapping[str, Any]:
        """
        See `Upstreams`.
        """
        return {PROVIDER: self._vendor}


def settings(type_: str, *, heeds: bool, limits: str = "") -> Settings:
    """
    A configuration with one provider; all that is not said is as shipped.

    :param limits: further tables.
    """
    heeding = "" if heeds else "heed_limits = false\n"
    text = f'[[provider]]\nname = "{PROVIDER}"\ntype = "{type_}"\n{heeding}{limits}'
    read, faults = decode(tomllib.loads(text))
    assert not faults, faults
    assert isinstance(read, Settings)
    return read


class Simulated:
    """
    A bridge in virtual time.

    :ivar clock: begins at 0.
    """

    def __init__(self, configured: Settings, keys: int, vendor: Callable[[Clock], Vendor], seed: int) -> None:
        clock = self.clock = Clock()
        self.vendor = vendor(clock)
        chance = Random(seed).random
        ids = iter(range(10**9))

        def new_id() -> str:
            return f"{next(ids):024x}"

        upstreams = InMemory(clock, self.vendor)
        shop = Shop(upstreams, lambda: "", lambda name, cause: None)
        secrets = {PROVIDER: [Secret(f"sk-central-key-number-{number}") for number in range(keys)]}
        terms = shop.terms(configured, secrets, ByName(), {}, clock.seconds())
        gate = Seats(seat_terms(configured.admission, configured.provider), clock.seconds, chance)
        self.bridge = Bridge(
            terms=terms,
            clock=clock,
            wall_clock=self.wall,
            new_id=new_id,
            chance=chance,
            turns=Turns(clock, gate),
            breakers=Breakers(breaker_terms(configured.breaker) or BreakerTerms()),
            metrics=Metrics(CollectorRegistry()),
            completions=Completions(clock, None, as_text),
            bodies=Bodies(clock, configured.http.bodies, configured.http.max_bodies_wait),
        )
        resource = BridgeResource(self.bridge)
        self.site = BridgeSite(resource, configured.http, clock, wall_clock=self.wall, new_id=new_id)

    def wall(self) -> float:
        """
        Unix seconds.
        """
        return BEGAN + self.clock.seconds()

    def run(self, until_s: float) -> None:
        """
        Let time pass, from one thing that is due to the next.
        """
        clock = self.clock
        while clock.calls and clock.calls[0].getTime() <= until_s:
            clock.advance(max(0.0, clock.calls[0].getTime() - clock.seconds()))
        clock.advance(max(0.0, until_s - clock.seconds()))
