"""
Who holds up the reactor is found out.
"""

from __future__ import annotations

import time
from urllib.error import HTTPError

import pytest

from daemons import PATIENCE_S, ROOT, Daemon, Deployment
from lag import TURN_S, LagProbe
from wires import connect, read_all, reset


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


@pytest.mark.parametrize("principals", [1000, 3000])
def test_a_long_page_of_metrics_holds_up_nobody(deployment: Deployment, principals: int) -> None:
    """
    Thousands of principals, each with three models and two clients: every series is told, and no turn is long.
    """
    deployment.token("tests")
    deployment.configure('[[provider]]\nname = "demo"\ntype = "demo"\n')
    through = [ROOT / "tests" / "crowdedmetrics.py"]
    daemon = deployment.start(environ={"PRINCIPALS": str(principals)}, through=through)
    with LagProbe(daemon) as probe:
        page = daemon.page("/metrics")
    assert page.count("\naibridge_interceptions_total{") == principals * 6
    assert page.count("\naibridge_tokens_total{") == principals * 18
    assert probe.longest_s <= TURN_S, probe


def until_scraped(daemon: Daemon) -> None:
    """
    Wait until there is room for one more scrape.
    """
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            daemon.page("/metrics")
            return
        except HTTPError as error:
            assert error.code == 503
            assert time.monotonic() < until


def test_a_crowd_of_scrapers_holds_up_nobody(deployment: Deployment) -> None:
    """
    Twenty at once, of which some read nothing, some leave, and those beyond what may be on its way are sent away.
    """
    deployment.token("tests")
    deployment.configure('[[provider]]\nname = "demo"\ntype = "demo"\n')
    through = [ROOT / "tests" / "crowdedmetrics.py"]
    daemon = deployment.start(environ={"PRINCIPALS": "2000"}, through=through)
    request = b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with LagProbe(daemon) as probe:
        streams = [connect(daemon.admin) for _ in range(20)]
        for stream in streams:
            stream.sendall(request)
        for stream in streams[:4]:
            stream.recv(1000)
            reset(stream)
        told = [read_all(stream) for stream in streams[8:]]
        for stream in streams[4:]:
            stream.close()
        until_scraped(daemon)
    statuses = {page.split(b" ", 2)[1] for page in told}
    assert statuses <= {b"200", b"503"}
    assert b"503" in statuses
    for page in told:
        assert page.startswith(b"HTTP/1.1 503") or page.endswith(b"\r\n0\r\n\r\n")
    assert probe.longest_s <= TURN_S, probe
