"""
What holds where nothing is configured: providers that can be tried at once.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from aibridge.providers.settings import ProviderSettings


@attrs.frozen(kw_only=True)
class _Vendor:
    """
    A provider that is there as soon as the environment has a key or an address for it.
    """

    type: str
    keys: tuple[str, ...]
    base_url: str


VENDORS = (
    _Vendor(
        type="openai",
        keys=("CODER_AIBRIDGE_OPENAI_KEY", "OPENAI_API_KEY"),
        base_url="CODER_AIBRIDGE_OPENAI_BASE_URL",
    ),
    _Vendor(
        type="anthropic",
        keys=("CODER_AIBRIDGE_ANTHROPIC_KEY", "ANTHROPIC_API_KEY"),
        base_url="CODER_AIBRIDGE_ANTHROPIC_BASE_URL",
    ),
)


def providers(environ: Mapping[str, str]) -> list[tuple[ProviderSettings, str]]:
    """
    The providers that are there when none is configured: the simulated one, and each vendor that the environment has
    a key or an address for. Its key is a reference to the variable; its address is not checked here.

    :return: each with the variable that its address comes from, or an empty text.
    """
    found = [(ProviderSettings(name="demo", type="demo"), "")]
    for vendor in VENDORS:
        key = next((f"env:{name}" for name in vendor.keys if environ.get(name)), "")
        base_url = environ.get(vendor.base_url, "")
        if key or base_url:
            settings = ProviderSettings(name=vendor.type, type=vendor.type, key=key, base_url=base_url)
            found.append((settings, vendor.base_url if base_url else ""))
    return found
