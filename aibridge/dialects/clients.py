"""
Which program is speaking, out of a closed set, by what it calls itself.
"""

from __future__ import annotations

from functools import lru_cache

UNKNOWN = "Unknown"

_PREFIXES = (
    (b"claude", "Claude Code"),
    (b"codex", "Codex"),
    (b"zed/", "Zed"),
    (b"githubcopilotchat/", "GitHub Copilot (VS Code)"),
    (b"copilot/", "GitHub Copilot (CLI)"),
    (b"kilo-code/", "Kilo Code"),
    (b"roo-code/", "Roo Code"),
    (b"coder-agents/", "Coder Agents"),
    (b"charm crush/", "Charm Crush"),
    (b"charm-crush/", "Charm Crush"),
    (b"mux/", "Mux"),
    (b"xum/", "Mux"),
    (b"opencode/", "OpenCode"),
    (b"junie:", "Junie"),
    (b"openai/", "OpenAI SDK"),
    (b"anthropic/", "Anthropic SDK"),
    (b"curl/", "curl"),
)
_LONGEST = max(len(prefix) for prefix, _ in _PREFIXES)


def client_of(user_agent: bytes | None) -> str:
    """
    The program behind a ``User-Agent``; ``Unknown`` for any that is not listed.
    """
    # Only the beginning is looked at, and only that is remembered: the rest may be as long as a head.
    return _client_of(user_agent[:_LONGEST]) if user_agent else UNKNOWN


@lru_cache(1024)
def _client_of(beginning: bytes) -> str:
    lower = beginning.lower()
    for prefix, name in _PREFIXES:
        if lower.startswith(prefix):
            return name
    return UNKNOWN
