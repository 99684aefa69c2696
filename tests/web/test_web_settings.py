"""
What can be configured about HTTP on the way in.
"""

from __future__ import annotations

import attrs

from aibridge.options import declaration
from aibridge.web.settings import BridgeHttpSettings
from making import faulty_declarations


def test_declarations() -> None:
    """
    Each option has a reason, a range, and a default within it.
    """
    assert not faulty_declarations(BridgeHttpSettings)


def test_everything_is_bounded() -> None:
    """
    No deadline and no size can be turned off; what all have together may be left to be found out.
    """
    unbounded = [field.name for field in attrs.fields(BridgeHttpSettings) if not declaration(field).least]
    assert unbounded == ["max_connections", "max_bodies"]


def test_real_clients_fit() -> None:
    """
    Heads with several KB of metadata, and bodies of 32 MB.
    """
    settings = BridgeHttpSettings()
    assert settings.max_head >= 16384
    assert settings.max_body == 32 * 1024 * 1024


def test_what_a_reload_can_change() -> None:
    """
    What connections are made with needs a restart; what each request is asked does not.
    """
    live = [field.name for field in attrs.fields(BridgeHttpSettings) if not declaration(field).restart]
    assert live == ["max_body", "max_upload", "max_bodies", "max_bodies_wait"]
