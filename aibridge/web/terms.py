"""
What holds for the exchanges that begin now, and what they all share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import attrs
from twisted.internet.interfaces import IReactorTime

from aibridge.admission.breakers import Breakers
from aibridge.admission.learned import Learned
from aibridge.admission.policies import Policies
from aibridge.dialects.sse import Memory
from aibridge.interfaces import IIdentity
from aibridge.log import Completion
from aibridge.metrics import Metrics
from aibridge.providers.objects import Objects
from aibridge.providers.routes import Routes
from aibridge.relay.slices import Slices
from aibridge.web.account import Account
from aibridge.web.bodies import Bodies
from aibridge.web.claims import Ledger
from aibridge.web.completions import Completions
from aibridge.web.turns import Turns

if TYPE_CHECKING:
    from aibridge.web.exchange import Exchange


@attrs.frozen(kw_only=True, eq=False)
class Terms:
    """
    One reading of the configuration. An exchange keeps the terms it began with; a reload makes new ones.

    :ivar accounts: provider name → what exchanges need of it.
    :ivar policies: the buckets that each request meets.
    :ivar max_body: bytes of a body that is held.
    :ivar max_upload: bytes of one that is not.
    :ivar max_in_flight: of one principal; 0 is no limit.
    :ivar breaks: calls go through circuit breakers.
    :ivar count_passthrough: passthrough requests count towards the rate.
    :ivar default_output: tokens that an answer is taken for while nothing is known of its kind.
    :ivar max_retry_after_s: the longest wait that a client is told.
    """

    routes: Routes
    identity: IIdentity
    accounts: Mapping[str, Account]
    policies: Policies
    max_body: int
    max_upload: int = 536870912
    max_in_flight: int = 0
    breaks: bool = False
    count_passthrough: bool = False
    default_output: int = 1024
    max_retry_after_s: float = 45.0


class Bridge:
    """
    What all exchanges share for as long as the daemon runs.

    :ivar terms: for exchanges that begin from now on.
    :ivar now: monotonic seconds.
    :ivar wall_clock: Unix seconds, for the log and for headers that tell a time.
    :ivar new_id: makes request ids.
    :ivar chance: random numbers from 0 to 1.
    :ivar learned: what exchanges are expected to use; it outlives every reading of the configuration.
    :ivar bodies: the memory that request bodies take.
    :ivar slices: does what takes long, such as reading what stands for much, between other things.
    :ivar memory: what is held of answers to read them.
    :ivar ledger: who made which stored object.
    :ivar draining: no exchange begins any more.
    :ivar exchanges: those that are running.
    :ivar emptied: called when the last of them has ended.
    """

    def __init__(
        self,
        *,
        terms: Terms,
        clock: IReactorTime,
        wall_clock: Callable[[], float],
        new_id: Callable[[], str],
        chance: Callable[[], float],
        turns: Turns,
        breakers: Breakers,
        metrics: Metrics,
        completions: Completions[Completion],
        bodies: Bodies,
        ledger: Ledger | None = None,
    ) -> None:
        self.terms = terms
        self.clock = clock
        self.now: Callable[[], float] = clock.seconds
        self.wall_clock = wall_clock
        self.new_id = new_id
        self.chance = chance
        self.turns = turns
        self.breakers = breakers
        self.metrics = metrics
        self.completions = completions
        self.learned = Learned()
        self.bodies = bodies
        self.ledger = Ledger(Objects()) if ledger is None else ledger
        self.draining = False
        self.slices = Slices(clock)
        self.memory = Memory()
        self.exchanges: set[Exchange] = set()
        self.emptied: Callable[[], None] | None = None
