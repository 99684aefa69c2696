"""
Fixtures for tests against real processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemons import Daemon, Deployment


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Everything here is an integration test.
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
