"""
From ``[auth]`` to the identity it describes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.threads import deferToThreadPool

from aibridge.auth.settings import AuthSettings
from aibridge.identity.anyone import Anyone
from aibridge.identity.coder import CoderIdentity
from aibridge.identity.coderclient import treq_client
from aibridge.identity.failures import Failures
from aibridge.identity.file import FileIdentity
from aibridge.identity.lookupqueue import MOST_AT_ONCE
from aibridge.interfaces import IIdentity
from aibridge.model import Class
from aibridge.providers.settings import TransportSettings
from aibridge.relay.agent import RelayAgent

WallClock = Callable[[], float]

CODER_CONNECTIONS: Final = MOST_AT_ONCE
"""Most connections to Coder at once: those that may be on their way do not wait for each other again."""


def build_identity(settings: AuthSettings, reactor: Any, wall_clock: WallClock) -> IIdentity:
    """
    The identity that `settings` describe; it does nothing until it is started or asked.

    :param reactor: its time is monotonic.
    :param wall_clock: Unix seconds.
    :raises ValueError: they cannot be followed.
    """
    return _BACKENDS[settings.backend](settings, reactor, wall_clock)


def _file(settings: AuthSettings, reactor: Any, wall_clock: WallClock) -> IIdentity:
    return FileIdentity(
        settings.tokens_file,
        Failures.from_settings(settings),
        reactor,
        wall_clock,
        lambda read: deferToThreadPool(reactor, reactor.getThreadPool(), read),
    )


def _coder(settings: AuthSettings, reactor: Any, wall_clock: WallClock) -> IIdentity:
    if not settings.coder_url:
        raise ValueError('auth.coder_url has to be given where auth.backend is "coder"')
    # The identity has a deadline for the whole question; these only keep the parts from outliving it.
    transport = TransportSettings(
        max_connections=CODER_CONNECTIONS,
        max_idle_connections=CODER_CONNECTIONS,
        pool_timeout=settings.coder_timeout,
        connect_timeout=settings.coder_timeout,
        first_byte_timeout=settings.coder_timeout,
        silence_timeout=settings.coder_timeout,
        ca_file=settings.coder_ca_file,
    )
    agent = RelayAgent(reactor, transport)
    return CoderIdentity(settings, treq_client(agent), Failures.from_settings(settings), reactor, agent.close)


def _none(settings: AuthSettings, reactor: Any, wall_clock: WallClock) -> IIdentity:
    return Anyone(Class(settings.default_class))


_BACKENDS: Final[dict[str, Callable[[AuthSettings, Any, WallClock], IIdentity]]] = {
    "file": _file,
    "coder": _coder,
    "none": _none,
}
"""One for each of `aibridge.auth.settings.BACKENDS`."""
