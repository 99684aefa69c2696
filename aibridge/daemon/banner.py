"""
What a person reads who has just started the daemon in a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from aibridge import __version__
from aibridge.secret import Secret

if TYPE_CHECKING:
    from aibridge.daemon.service import BridgeService


def banner(stream: TextIO, token: Secret | None) -> Callable[[BridgeService], None]:
    """
    A function that greets on `stream`, once the daemon listens.

    :param token: the one made for this run, if there is one; it is shown, since nobody could know it otherwise.
    """

    def greet(service: BridgeService) -> None:
        if token is None:
            return
        settings = service.loaded.settings
        api = next(iter(service.api.addresses()), "")
        admin = ", ".join(f"{address}/healthz" for address in service.admin.addresses())
        names = ", ".join(provider.name for provider in settings.provider)
        lines = [
            "",
            f"aibridge {__version__} is listening on {api}" + (f"   (health: {admin})" if admin else ""),
            f"There is no configuration file, so the embedded default is in force. Providers: {names}.",
            "",
            "A token for this run (a new one is made at each start):",
            f"    {token.reveal()}",
            "",
            "Try it; this streams an answer from the simulated provider:",
            f"    {_curl(api, token)}",
            "",
            "Stop with Ctrl-C.",
            "",
        ]
        stream.write("\n".join(lines) + "\n")
        stream.flush()

    return greet


def _curl(api: str, token: Secret) -> str:
    body = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": "Hello, bridge"}]}
    return (
        f"curl -sN {api}/demo/v1/chat/completions -H 'Authorization: Bearer {token.reveal()}' "
        f"-H 'Content-Type: application/json' -d '{json.dumps(body)}'"
    )
