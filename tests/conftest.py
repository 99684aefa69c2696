"""
What holds for all tests, and the fixtures of those against real processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from daemons import Daemon, Deployment
from held import Holder
from intercepting import Pair, ProxyDeployment, simulated

# How long an example takes is the machine's affair: no test fails for being slow.
settings.register_profile("aibridge", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("aibridge")

# What measures is not installed, so its tests run where the tree is on the path.
collect_ignore = [] if find_spec("benchmarks") and find_spec("benchmarks.rig") else ["benchmarks"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Everything below ``integration`` is an integration test.
    """
    for item in items:
        if "integration" in item.path.parts:
            item.add_marker(pytest.mark.integration)


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """
    An empty deployment; its daemons end with the test.
    """
    made = Deployment(tmp_path)
    yield made
    made.close()


@pytest.fixture
def holder() -> Iterator[Holder]:
    """
    A provider that answers when it is told to.
    """
    made = Holder()
    yield made
    made.close()


DEMO = """
[[provider]]
name = "demo"
type = "demo"
"""


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """
    A daemon with the demo provider and a token, without limits, shared by the tests that leave it as it is.
    """
    made = Deployment(tmp_path_factory.mktemp("demo"))
    token = made.token("tests")
    made.configure(DEMO)
    daemon = made.start()
    daemon.token = token
    yield daemon
    made.close()


@pytest.fixture
def proxy_deployment(tmp_path: Path) -> Iterator[ProxyDeployment]:
    """
    An empty deployment of bridge and proxy; its daemons end with the test.
    """
    made = ProxyDeployment(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """
    A bridge with simulated providers under real ones' names, and a proxy before it, shared by the tests that leave
    them as they are.
    """
    made = ProxyDeployment(tmp_path_factory.mktemp("pair"))
    token = made.token("tests")
    made.configure(simulated())
    bridge = made.start()
    made.configure_proxy(bridge.url)
    proxy = made.start_proxy()
    bridge.token = proxy.token = token
    yield Pair(made, bridge, proxy)
    made.close()
