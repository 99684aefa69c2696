"""
Who of those that wait gets the next permit.

Note [What is scarce]: it goes to whoever has fewest of what is fought for. If fewer permits of the daemon are left than
the providers could give out to those who wait, it is fought for the daemon's, and all that a principal holds counts.
Otherwise each provider's own permits are what there is too little of, and what a principal holds of others takes
nothing from anybody who waits for this one.
"""

from __future__ import annotations

from collections.abc import Mapping

from aibridge.admission.fair import FairQueue
from aibridge.admission.lanes import LAST, Flow
from aibridge.admission.permit import Waiter
from aibridge.admission.shares import Pool

Pools = Mapping[str, Pool[Waiter]]


def next_flow(queue: FairQueue[Waiter], everyone: Pool[Waiter], pools: Pools) -> Flow[Waiter] | None:
    """
    The flow whose first request is next, or None if nobody can go.

    :param everyone: the daemon's permits.
    :param pools: the providers'.
    """
    if not everyone.has_room(True):
        return None
    found: Flow[Waiter] | None = None
    best = (True, LAST, 0)
    others_too, is_kept = everyone.has_room(False), everyone.interactive < everyone.kept
    by_all = _is_scarce(everyone, pools, others_too)
    for pool in pools.values():
        if not pool.waiting or not pool.has_room(True):
            continue
        for interactive, lane in enumerate(pool.line.lanes):
            if interactive or (others_too and pool.has_room(False)):
                flow = queue.front(lane, by_all)
                if flow is not None:
                    # Those within the share that is kept for them come first.
                    is_late = not (interactive and is_kept and pool.interactive < pool.kept)
                    turn = (is_late, flow.party.turn if by_all else flow.turn, flow.items[flow.first])
                    if turn < best:
                        best, found = turn, flow
    return found


def _is_scarce(everyone: Pool[Waiter], pools: Pools, others_too: bool) -> bool:
    """
    Whether the daemon's permits are what is fought for.
    """
    left = everyone.limit - everyone.in_use
    for pool in pools.values():
        if pool.waiting and pool.has_room(True):
            others, interactive = pool.line.lanes
            able = interactive.ready + (others.ready if others_too and pool.has_room(False) else 0)
            left -= min(able, pool.limit - pool.in_use)
    return left < 0
