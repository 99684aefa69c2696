"""
From a configuration to the terms that exchanges begin with: which objects there are, and which survive a reload.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
from twisted.internet.interfaces import IReactorTime

from aibridge.daemon.settings import Settings
from aibridge.interfaces import IIdentity
from aibridge.providers.provider import Provider
from aibridge.providers.routes import Routes
from aibridge.providers.settings import TransportSettings
from aibridge.relay.agent import RelayAgent
from aibridge.relay.client import RelayClient
from aibridge.secret import Secret
from aibridge.web.terms import Terms


@attrs.frozen(eq=False)
class _Upstream:
    transport: TransportSettings
    agent: RelayAgent
    client: RelayClient


class Upstreams:
    """
    The clients of all providers. One whose transport settings have not changed keeps its connections over a reload.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._current: dict[str, _Upstream] = {}
        self._leaving: set[RelayAgent] = set()

    def prepare(self, settings: Settings) -> dict[str, _Upstream]:
        """
        Make what `settings` need, and change nothing yet.

        :raises ValueError: a certificate file cannot be used.
        """
        prepared: dict[str, _Upstream] = {}
        for provider in settings.provider:
            transport = transport_of(provider)
            known = self._current.get(provider.name)
            if known is not None and known.transport == transport:
                prepared[provider.name] = known
            else:
                agent = RelayAgent(self._reactor, transport)
                prepared[provider.name] = _Upstream(transport, agent, RelayClient(agent))
        return prepared

    def adopt(self, prepared: dict[str, _Upstream]) -> Mapping[str, RelayClient]:
        """
        Use what was prepared. The agents that nobody needs any more close when their last call has ended.
        """
        staying = {upstream.agent for upstream in prepared.values()}
        for upstream in self._current.values():
            if upstream.agent not in staying:
                self._retire(upstream.agent)
        self._current = prepared
        return {name: upstream.client for name, upstream in prepared.items()}

    def agents(self) -> dict[str, RelayAgent]:
        """
        The agent of each provider, by name.
        """
        return {name: upstream.agent for name, upstream in self._current.items()}

    def close(self) -> None:
        """
        Close all connections that are not in use, and the others as soon as they are not.
        """
        for agent in self.agents().values():
            self._retire(agent)

    def _retire(self, agent: RelayAgent) -> None:
        self._leaving.add(agent)
        agent.close().addBoth(lambda _: self._leaving.discard(agent))


def transport_of(provider: TransportSettings) -> TransportSettings:
    """
    The part of a provider's settings that its connections depend on.
    """
    names = [field.name for field in attrs.fields(TransportSettings)]
    return TransportSettings(**{name: getattr(provider, name) for name in names})


def make_terms(
    settings: Settings,
    secrets: Mapping[str, Sequence[Secret]],
    identity: IIdentity,
    clients: Mapping[str, RelayClient],
    demo_url: Callable[[], str],
) -> Terms:
    """
    The terms that `settings` describe.

    :param secrets: provider name → its keys, of which the first is shown.
    :param demo_url: where the simulated provider listens.
    """
    admission = settings.admission
    providers = [
        Provider.from_settings(
            provider,
            next(iter(secrets.get(provider.name, ())), None),
            demo_url() if provider.type == "demo" else "",
        )
        for provider in settings.provider
    ]
    return Terms(
        routes=Routes(providers),
        identity=identity,
        clients=clients,
        max_body=settings.http.max_body,
        rate_limit=admission.rate_limit,
        rate_burst=admission.burst,
        count_passthrough=admission.count_passthrough,
        max_retry_after_s=admission.max_retry_after,
    )
