"""
Which of a principal's requests makes room when the queue is full.

Note [Not the last one]: a provider's permit that comes back finds its next user among those who wait for that provider.
So the last one that waits for a provider is not displaced for one more that waits for another, full one: its place
would not be taken, and the permit would lie idle beside a full queue.
"""

from __future__ import annotations

from collections.abc import Callable

from aibridge.admission.fair import FairQueue
from aibridge.admission.lanes import Flow, Party
from aibridge.admission.permit import Waiter
from aibridge.admission.shares import Obstacle, Pool
from aibridge.model import Class


def in_share(everyone: Pool[Waiter], pool: Pool[Waiter], more: int) -> bool:
    """
    Whether `interactive`, with so many more requests than there are, is within its share of the daemon's permits and
    of a provider's; see Note [The kept share] in `aibridge.admission.shares`.
    """
    return (everyone.limited or pool.limited) and everyone.in_share(more) and pool.in_share(more)


def victim(
    party: Party[Waiter], is_ready: bool, everyone: Pool[Waiter], spare_for: Pool[Waiter] | None
) -> Waiter | None:
    """
    The newest request of a principal that may be displaced, or None if none may.

    :param is_ready: whether the principal may have one more permit.
    :param everyone: the daemon's permits.
    :param spare_for: what the one that comes waits for, if the last ones are to be spared that wait for others, see
        Note [Not the last one].
    """
    found, number = None, 0
    for flow in party.flows.values():
        newest = flow.newest
        if flow.items[newest] > number and not _is_spared(flow, newest.pool, is_ready, everyone, spare_for):
            found, number = newest, flow.items[newest]
    return found


def _is_spared(
    flow: Flow[Waiter], pool: Pool[Waiter], is_ready: bool, everyone: Pool[Waiter], spare_for: Pool[Waiter] | None
) -> bool:
    if spare_for is not None and pool is not spare_for and pool.waiting == 1:
        return True
    return is_ready and flow.newest.interactive and in_share(everyone, pool, 0)


def whose_room(
    queue: FairQueue[Waiter],
    everyone: Pool[Waiter],
    pool: Pool[Waiter],
    principal: str,
    class_: Class,
    is_safe: bool,
    allows: Callable[[str, int], bool],
) -> Waiter | None:
    """
    Who would have to make room in a full queue for one more request of a principal, or None if nobody has to.

    :param is_safe: it is within the share that is kept for its class.
    :param allows: whether a principal that may have so many permits may have another one.
    """
    # Where nobody waits for this provider yet, one place is as good as the other.
    spare_for = pool if pool.limited and pool.waiting else None

    def newest(party: Party[Waiter]) -> Waiter | None:
        return victim(party, allows(party.key, party.most), everyone, spare_for)

    found = queue.whose_room(class_, principal, is_safe, newest)
    if found is None and is_safe and spare_for is not None:
        spare_for = None
        found = queue.whose_room(class_, principal, is_safe, newest)
    return found


def obstacle(everyone: Pool[Waiter], pool: Pool[Waiter], interactive: bool, is_ready: bool) -> Obstacle:
    """
    What keeps a request out where there is no queue.
    """
    if not is_ready:
        return Obstacle.PRINCIPAL
    if not pool.has_room(interactive):
        return Obstacle.PROVIDER
    return Obstacle.QUEUE if everyone.has_room(interactive) else Obstacle.DAEMON
