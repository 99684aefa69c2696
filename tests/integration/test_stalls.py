"""
Who holds up the reactor is found out.
"""

from __future__ import annotations

from daemons import Daemon, Deployment
from lag import LagProbe


def test_ordinary_work_is_short(demo: Daemon) -> None:
    """
    Admin pages, again and again: no turn comes near a tenth of a second.
    """
    with LagProbe(demo) as probe:
        for _ in range(20):
            demo.page("/readyz")
    assert probe.longest_s <= 0.1, probe


def test_a_long_turn_is_found(deployment: Deployment) -> None:
    """
    A reload reads the whole configuration in one turn; with a few thousand limits, that takes long, and is told.
    """
    limits = "".join(
        f'\n[[limit]]\nscope = "principal"\nunit = "requests/s"\nlimit = {number + 1}\nname = "l{number}"\n'
        for number in range(500)
    )
    text = '[[provider]]\nname = "demo"\ntype = "demo"\n'
    deployment.token("tests")
    deployment.configure(text)
    daemon = deployment.start()
    with LagProbe(daemon) as probe:
        deployment.configure(text + limits)
        daemon.reload()
    assert probe.longest_s > 0.0, probe
    assert daemon.metric("aibridge_reactor_lag_seconds_count") > 0
