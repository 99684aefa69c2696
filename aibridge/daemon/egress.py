"""
The way out to each provider: through the proxy that is configured for it, through the one that the environment names,
or through none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import attrs

from aibridge.daemon.admissionchecks import warning
from aibridge.daemon.checks import check_certificates
from aibridge.daemon.problems import NOT_SHOWN, Fault, Unacceptable
from aibridge.daemon.secrets import fetch
from aibridge.daemon.settings import PROVIDER, Settings
from aibridge.daemon.values import REFERENCE
from aibridge.providers.provider import TYPES
from aibridge.providers.settings import ProviderSettings
from aibridge.relay.noproxy import goes_direct
from aibridge.relay.proxyurl import ProxyURL, read_proxy_url

_HTTPS: Final = 443
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def resolve_proxies(settings: Settings, environ: Mapping[str, str]) -> tuple[dict[str, ProxyURL], list[Fault]]:
    """
    Find the proxy of every provider.

    :return: that of each provider that has one, by the provider's name; and a fault for what cannot be used.
    """
    proxies: dict[str, ProxyURL] = {}
    faults: list[Fault] = []
    common: ProxyURL | None = None
    if settings.daemon.trust_env:
        try:
            common = _of_environment(environ)
        except Unacceptable as refusal:
            faults.append(refusal.at(("daemon", "trust_env")))
    for index, provider in enumerate(settings.provider):
        path = (PROVIDER, index)
        faults += check_certificates((*path, "proxy_ca_file"), provider.proxy_ca_file)
        base_url = _base_url(provider)
        if provider.proxy and not base_url:
            faults.append(warning((*path, "proxy"), f"a proxy that type {provider.type} never needs", "no proxy"))
        elif provider.proxy:
            try:
                proxies[provider.name] = proxy_url(provider.proxy, provider.proxy_ca_file, environ)
            except Unacceptable as refusal:
                faults.append(refusal.at((*path, "proxy")))
        elif common is not None and not _goes_direct(base_url, environ):
            proxies[provider.name] = attrs.evolve(common, ca_file=provider.proxy_ca_file)
    return proxies, faults


def proxy_url(text: str, ca_file: str, environ: Mapping[str, str]) -> ProxyURL:
    """
    What a proxy's URL, or a reference to one, says.

    :raises Unacceptable: it is none, or cannot be had. What that says has nothing of it.
    """
    if REFERENCE.fullmatch(text):
        text = fetch(text, environ).reveal()
    try:
        return read_proxy_url(text, ca_file)
    except ValueError as error:
        raise Unacceptable(f"{NOT_SHOWN}: {error}", "") from None


def _base_url(provider: ProviderSettings) -> str:
    type_ = TYPES.get(provider.type)
    return provider.base_url or (type_.base_url if type_ is not None else "")


def _of_environment(environ: Mapping[str, str]) -> ProxyURL | None:
    name = "https_proxy" if "https_proxy" in environ else "HTTPS_PROXY"
    text = environ.get(name, "")
    if not text:
        return None
    try:
        # Most programs take a host and a port for a URL there.
        return read_proxy_url(text if _SCHEME.match(text) else f"http://{text}")
    except ValueError as error:
        raise Unacceptable(f"environment variable {name}, {NOT_SHOWN}: {error}", "") from None


def _goes_direct(base_url: str, environ: Mapping[str, str]) -> bool:
    """
    Whether a provider is reached without the environment's proxy; as everywhere, that one is for https:// alone.
    """
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname or "", parts.port or _HTTPS
    except ValueError:
        # Which is reported where the URL is checked.
        return True
    no_proxy = environ.get("no_proxy", environ.get("NO_PROXY", ""))
    return parts.scheme != "https" or goes_direct(no_proxy, host, port)
