"""
From a configuration to the terms that exchanges begin with: which objects there are, and which survive a reload.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import attrs
from twisted.internet.interfaces import IReactorTime

from aibridge.admission.configured import policies_of
from aibridge.admission.keypools import KeyPools
from aibridge.admission.policies import Policies
from aibridge.admission.retries import RetryBudget
from aibridge.daemon.settings import Settings
from aibridge.interfaces import IIdentity
from aibridge.providers.provider import Provider
from aibridge.providers.routes import Routes
from aibridge.providers.settings import TransportSettings
from aibridge.relay.agent import RelayAgent
from aibridge.relay.client import RelayClient
from aibridge.relay.proxyurl import ProxyURL
from aibridge.relay.viaproxy import ForwardProxy
from aibridge.secret import Secret
from aibridge.web.account import Account
from aibridge.web.terms import Terms


@attrs.frozen(eq=False)
class Upstream:
    transport: TransportSettings
    proxy: ProxyURL | None
    agent: RelayAgent
    client: RelayClient


class Upstreams:
    """
    The clients of all providers. One that is reached as before keeps its connections over a reload.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._current: dict[str, Upstream] = {}
        self._leaving: set[RelayAgent] = set()

    def prepare(
        self, settings: Settings, proxies: Mapping[str, ProxyURL] = MappingProxyType({})
    ) -> dict[str, Upstream]:
        """
        Make what `settings` need, and change nothing yet.

        :param proxies: provider name → the proxy that it is reached through.
        :raises ValueError: a certificate file cannot be used.
        """
        prepared: dict[str, Upstream] = {}
        for provider in settings.provider:
            transport = transport_of(provider)
            proxy = proxies.get(provider.name)
            known = self._current.get(provider.name)
            if known is not None and (known.transport, known.proxy) == (transport, proxy):
                prepared[provider.name] = known
            else:
                agent = self._agent(transport, proxy)
                prepared[provider.name] = Upstream(transport, proxy, agent, RelayClient(agent))
        return prepared

    def _agent(self, transport: TransportSettings, proxy: ProxyURL | None) -> RelayAgent:
        if proxy is None:
            return RelayAgent(self._reactor, transport)
        way_out = ForwardProxy(self._reactor, proxy, transport.connect_timeout)
        return RelayAgent(self._reactor, transport, endpoints=lambda _, host, port: way_out.to(host, port))

    def adopt(self, prepared: dict[str, Upstream]) -> Mapping[str, RelayClient]:
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


class Shop:
    """
    Makes terms, one after the other, of what outlives each of them: connections, keys, budgets, the levels of buckets.

    :param demo_url: where the simulated provider listens.
    :param on_rest: told the provider and the status each time a key goes to rest.
    """

    def __init__(
        self,
        upstreams: Upstreams,
        demo_url: Callable[[], str],
        on_rest: Callable[[str, int], None],
    ) -> None:
        self._upstreams = upstreams
        self._demo_url = demo_url
        self._pools = KeyPools(on_rest)
        self._budgets: dict[str, RetryBudget] = {}
        self._policies: Policies | None = None

    def terms(
        self,
        settings: Settings,
        secrets: Mapping[str, Sequence[Secret]],
        identity: IIdentity,
        prepared: dict[str, Upstream],
        now: float,
    ) -> Terms:
        """
        The terms that `settings` describe; those made before hold no longer.

        :param secrets: provider name → its keys, in the order of their use.
        :param prepared: by `Upstreams.prepare`, of these settings.
        :param now: monotonic seconds.
        """
        admission = settings.admission
        providers = [
            Provider.from_settings(
                provider,
                next(iter(secrets.get(provider.name, ())), None),
                self._demo_url() if provider.type == "demo" else "",
            )
            for provider in settings.provider
        ]
        self._policies = policies = Policies(
            policies_of(admission, settings.limit).values(),
            memory=admission.bucket_memory,
            before=self._policies,
            now=now,
            overshoot=admission.token_overshoot,
        )
        return Terms(
            routes=Routes(providers),
            identity=identity,
            accounts=self._accounts(settings, secrets, self._upstreams.adopt(prepared)),
            policies=policies,
            max_body=settings.http.max_body,
            max_upload=settings.http.max_upload,
            max_in_flight=admission.max_in_flight,
            breaks=settings.breaker.enabled,
            count_passthrough=admission.count_passthrough,
            default_output=admission.token_default_output,
            max_retry_after_s=float(admission.max_retry_after),
        )

    def _accounts(
        self, settings: Settings, secrets: Mapping[str, Sequence[Secret]], clients: Mapping[str, RelayClient]
    ) -> dict[str, Account]:
        pools = self._pools.adopt(settings.provider, secrets)
        names = {provider.name for provider in settings.provider}
        self._budgets = {name: self._budgets.get(name) or RetryBudget() for name in names}
        return {
            provider.name: Account(
                clients[provider.name],
                pools.get(provider.name),
                self._budgets[provider.name],
                retries=provider.retries,
                heeds=provider.heed_limits,
            )
            for provider in settings.provider
        }
