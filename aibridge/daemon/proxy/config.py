"""
The proxy's configuration: read as the bridge's is, with what it refers to (its authority, the bridge's providers, the
credentials of an upstream proxy).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import attrs

from aibridge.daemon import config
from aibridge.daemon.config import Problem, Reading, read_toml
from aibridge.daemon.decode import Document, decode
from aibridge.daemon.egress import proxy_url
from aibridge.daemon.problems import Fault, Origin, Unacceptable, quoted
from aibridge.daemon.proxy.checks import check, check_authority
from aibridge.daemon.proxy.settings import SCHEMA, ProxyDaemonSettings
from aibridge.daemon.schema import Schema
from aibridge.daemon.settings import PROVIDER, SECTIONS, leaves
from aibridge.daemon.values import REFERENCE
from aibridge.mitm.authority import Authority, Unusable
from aibridge.mitm.files import load_authority
from aibridge.mitm.hosts import BUILTIN, Hosts
from aibridge.mitm.settings import CASettings, ProxiedProvider, ProxySettings
from aibridge.mitm.targets import Malformed, read_authority
from aibridge.providers.provider import TYPES
from aibridge.relay.proxyurl import ProxyURL

DEFAULT_PATH: Final = "/etc/aibridge/aibridge-proxy.toml"
PATH_VARIABLE: Final = "AIBRIDGE_PROXY_CONFIG"

_HTTPS: Final = 443

Value = TypeVar("Value")


@attrs.frozen(kw_only=True)
class ProxyLoaded:
    """
    One configuration, checked whole.

    :ivar hosts: all that is intercepted.
    :ivar authority: in whose name.
    :ivar upstream: the proxy through which tunnels go, or None.
    :ivar origins: where each value comes from, by its dotted name.
    :ivar path: the file, or empty if there is none.
    """

    settings: ProxyDaemonSettings
    hosts: Hosts
    authority: Authority
    upstream: ProxyURL | None
    origins: Mapping[str, Origin]
    warnings: tuple[Problem, ...] = ()
    path: str = ""


def load(
    path: str | None, environ: Mapping[str, str], options: Mapping[str, object], *, default_path: str = DEFAULT_PATH
) -> ProxyLoaded:
    """
    Read the configuration and everything that it refers to.

    :param path: the file, or None for the one that $AIBRIDGE_PROXY_CONFIG names, else the default one, else none.
    :param options: the command line by option name without dashes.
    :raises ConfigErrors: it cannot be used. All that is wrong with it is in there.
    """
    loaded: ProxyLoaded = ProxyReading(_file(path, environ, default_path), environ, options).load()
    return loaded


def load_for_ca(
    path: str | None, environ: Mapping[str, str], *, default_path: str = DEFAULT_PATH
) -> tuple[CASettings, Hosts]:
    """
    Where the authority belongs, and for which hosts. There may be none yet.

    :raises ConfigErrors: the configuration is not one.
    """
    found: tuple[CASettings, Hosts] = _CAReading(_file(path, environ, default_path), environ, {}).load()
    return found


def _file(path: str | None, environ: Mapping[str, str], default_path: str) -> str:
    return path or environ.get(PATH_VARIABLE) or (default_path if Path(default_path).exists() else "")


@attrs.frozen
class _Fetched:
    """
    What the settings refer to; None where it cannot be had, which was reported.
    """

    hosts: Hosts
    authority: Authority | None
    upstream: ProxyURL | None


class ProxyReading(Reading):
    """
    One reading of the proxy's configuration.
    """

    schema: ClassVar[Schema] = SCHEMA
    others_variables: ClassVar[tuple[str, ...]] = ()

    def _is_embedded(self) -> bool:
        # It needs an authority that somebody has made.
        return False

    def _fit_together(self, document: Document) -> _Fetched:
        settings: ProxyDaemonSettings = self._settings
        self._report_all(check(settings, self._chosen()))
        hosts = self._hosts(settings)
        authority = self._had(lambda: _authority(settings.ca))
        if authority is not None:
            self._report_all(check_authority(authority, hosts, datetime.now(UTC)))
        return _Fetched(hosts, authority, self._had(lambda: _upstream(settings.proxy, self._environ)))

    def _loaded(self, fetched: _Fetched, warnings: tuple[Problem, ...]) -> Any:
        assert fetched.authority is not None
        return ProxyLoaded(
            settings=self._settings,
            hosts=fetched.hosts,
            authority=fetched.authority,
            upstream=fetched.upstream,
            origins=self._origins,
            warnings=warnings,
            path=self._path,
        )

    def _had(self, fetch: Callable[[], Value | None]) -> Value | None:
        try:
            return fetch()
        except _Missing as missing:
            self._report_all([missing.fault])
            return None

    def _hosts(self, settings: ProxyDaemonSettings) -> Hosts:
        """
        All that is intercepted: what is configured here, then at the bridge, then what everybody means.
        """
        configured, faults = _configured(settings.provider)
        self._report_all(faults)
        claimed = Hosts(configured)
        for clash in claimed.clashes:
            index = next(index for index, each in enumerate(settings.provider) if each.name == clash.second)
            found = f"{quoted(clash.host)}, which {clash.first} has"
            self._report_all([Fault(path=(PROVIDER, index, "hosts"), found=found, allowed="hosts of its own")])
        bridges = self._had(lambda: _of_bridge(settings.bridge.config)) or ()
        return Hosts([*configured, *bridges, *(BUILTIN if settings.proxy.builtin_hosts else ())])

    def _known_variables(self) -> set[str]:
        known = {PATH_VARIABLE, config.PATH_VARIABLE}
        for cls in (*self.schema.sections.values(), *SECTIONS.values()):
            known.update(name for leaf in leaves(cls) for name in leaf.declared.env)
        reference = REFERENCE.fullmatch(self._settings.proxy.upstream)
        if reference and reference["env"]:
            known.add(reference["variable"])
        return known


class _CAReading(ProxyReading):
    """
    As much of it as those need to know who are about to make the authority.
    """

    def _fit_together(self, document: Document) -> Any:
        return self._settings.ca, self._hosts(self._settings)

    def _loaded(self, fetched: Any, warnings: tuple[Problem, ...]) -> Any:
        return fetched


class _Missing(Exception):
    """
    Something cannot be had.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


def _authority(ca: CASettings) -> Authority:
    try:
        return load_authority(ca.cert_file, ca.key_file)
    except Unusable as error:
        path = ("ca", "key_file" if str(error).startswith(f"{ca.key_file}:") else "cert_file")
        raise _Missing(Fault(path=path, found=str(error), allowed="")) from None


def _upstream(proxy: ProxySettings, environ: Mapping[str, str]) -> ProxyURL | None:
    if not proxy.upstream:
        return None
    try:
        return proxy_url(proxy.upstream, proxy.upstream_ca_file, environ)
    except Unacceptable as refusal:
        raise _Missing(refusal.at(("proxy", "upstream"))) from None


def _configured(providers: Iterable[ProxiedProvider]) -> tuple[list[ProxiedProvider], list[Fault]]:
    """
    Those that can be used, and what is wrong with the others.
    """
    usable, faults = [], []
    names: dict[str, int] = {}
    for index, provider in enumerate(providers):
        found = list(_provider(index, provider, names))
        faults += found
        if not found and provider.type in TYPES:
            usable.append(provider)
    return usable, faults


def _provider(index: int, provider: ProxiedProvider, names: dict[str, int]) -> Iterator[Fault]:
    first = names.setdefault(provider.name, index)
    if first != index:
        found = f"{quoted(provider.name)}, which {PROVIDER}[{first}] has too"
        yield Fault(path=(PROVIDER, index, "name"), found=found, allowed="a name of its own")
    type_ = TYPES.get(provider.type)
    if type_ is not None and not (provider.hosts or provider.base_url or type_.base_url):
        found, allowed = "nothing", f"at least one host, since type {provider.type} has none of its own"
        yield Fault(path=(PROVIDER, index, "hosts"), found=found, allowed=allowed)
    hosts = [("hosts", host) for host in provider.hosts]
    if provider.base_url:
        hosts.append(("base_url", provider.base_url.split("//")[1].split("/")[0]))
    for name, host in hosts:
        try:
            read_authority(host, _HTTPS)
        except Malformed:
            yield Fault(path=(PROVIDER, index, name), found=quoted(host), allowed="a host, with or without a port")


def _of_bridge(path: str) -> list[ProxiedProvider]:
    """
    The providers that the bridge has, by its own configuration.
    """
    if not path:
        return []
    where = ("bridge", "config")
    try:
        settings, faults = decode(read_toml(path))
    except Unacceptable as refusal:
        raise _Missing(refusal.at(where)) from None
    providers = [
        ProxiedProvider(name=each.name, type=each.type, base_url=each.base_url)
        for each in settings.provider
        if each.base_url or (each.type in TYPES and TYPES[each.type].base_url)
    ]
    usable, further = _configured(providers)
    if faults or further:
        raise _Missing(
            Fault(path=where, found=f"{quoted(path)}, which has errors", allowed="", hint="`aibridge check` tells them")
        )
    return usable
