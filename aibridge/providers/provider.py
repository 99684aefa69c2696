"""
One configured provider: its type, where it is, and its key.
"""

from __future__ import annotations

from aibridge.providers.anthropic import ANTHROPIC
from aibridge.providers.copilot import COPILOT
from aibridge.providers.counting import counting_of
from aibridge.providers.demo import DEMO
from aibridge.providers.openai import COMPATIBLE, OPENAI
from aibridge.providers.settings import ProviderSettings
from aibridge.providers.types import ProviderType
from aibridge.relay.headers import configured
from aibridge.secret import Secret

TYPES: dict[str, ProviderType] = {type_.name: type_ for type_ in (OPENAI, COMPATIBLE, ANTHROPIC, COPILOT, DEMO)}


class Provider:
    """
    A provider as requests meet it.

    :ivar name: the first segment of its paths, and its label.
    :ivar credentials: whose key it is shown, one of `aibridge.providers.settings.CREDENTIALS`.
    :ivar key_style: how it is shown one.
    :ivar counting: how it counts what a request takes of its limits.
    :ivar base_url: scheme, authority and path, without a slash at the end, ready for the wire.
    :ivar key: the configured key, or None if clients bring theirs.
    :ivar headers: the fields that go with it.
    """

    __slots__ = ("base_url", "counting", "credentials", "headers", "key", "key_style", "name", "settings", "type")

    def __init__(self, settings: ProviderSettings, type: ProviderType, base_url: bytes, key: Secret | None) -> None:
        self.settings = settings
        self.type = type
        self.name = settings.name
        self.credentials = settings.credentials
        self.key_style = type.key_style
        self.base_url = base_url
        self.key = key
        self.headers = [configured(text) for text in settings.headers]
        self.counting = counting_of(type.name, base_url.decode("ascii"))

    @staticmethod
    def from_settings(settings: ProviderSettings, key: Secret | None, demo_url: str = "") -> Provider:
        """
        Make the provider that `settings` describe.

        :param demo_url: where the simulated provider listens, for those of type ``demo`` that name no other place.
        """
        type_ = TYPES[settings.type]
        base_url = settings.base_url or type_.base_url or demo_url
        return Provider(settings, type_, base_url.rstrip("/").encode("ascii"), key)
