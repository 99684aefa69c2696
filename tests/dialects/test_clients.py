"""
Which program is speaking.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.clients import UNKNOWN, client_of

# As the programs really send it.
AGENTS = {
    b"claude-cli/2.1.330 (external, sdk-cli)": "Claude Code",
    b"claude-cli/2.1.330 (external, sdk-py, agent-sdk/0.2.187)": "Claude Code",
    b"codex_exec/0.169.0 (Debian 12; x86_64)": "Codex",
    b"Codex Desktop/1.0": "Codex",
    b"Zed/0.200.0 (linux; x86_64)": "Zed",
    b"GitHubCopilotChat/0.40.0": "GitHub Copilot (VS Code)",
    b"copilot/1.0.102": "GitHub Copilot (CLI)",
    b"Kilo-Code/5.0": "Kilo Code",
    b"Roo-Code/4.0": "Roo Code",
    b"coder-agents/v2.36.0": "Coder Agents",
    b"Charm Crush/0.96": "Charm Crush",
    b"Charm-Crush/0.96": "Charm Crush",
    b"mux/1.0": "Mux",
    b"xum/1.0": "Mux",
    b"opencode/1.18.33 ai-sdk/provider-utils/4.0 runtime/bun/1.4.4": "OpenCode",
    b"junie:1.0": "Junie",
    b"OpenAI/Python 3.54.0": "OpenAI SDK",
    b"OpenAI/JS 7.57.0": "OpenAI SDK",
    b"Anthropic/Python 1.17.0": "Anthropic SDK",
    b"curl/7.88.1": "curl",
}


@pytest.mark.parametrize(("agent", "client"), AGENTS.items())
def test_known_programs(agent: bytes, client: str) -> None:
    """
    By how their name begins, in any case.
    """
    assert client_of(agent) == client
    assert client_of(agent.upper()) == client
    assert client_of(agent.lower()) == client


@pytest.mark.parametrize(
    "agent", [None, b"", b" ", b"Mozilla/5.0 (claude)", b"my-claude/1", b"zed", b"copilot", b"\xff\xfe", b"Bun/1.4.4"]
)
def test_others_are_unknown(agent: bytes | None) -> None:
    """
    None, an empty one, and those that have a known name elsewhere than at the beginning.
    """
    assert client_of(agent) == UNKNOWN


@given(st.binary(max_size=60))
def test_the_answers_are_a_closed_set(agent: bytes) -> None:
    """
    Whatever a client calls itself, the answer can be a label.
    """
    assert client_of(agent) in {UNKNOWN, *AGENTS.values()}


@pytest.mark.parametrize(("agent", "client"), AGENTS.items())
def test_what_follows_does_not_matter(agent: bytes, client: str) -> None:
    """
    However long it is; nor is it remembered.
    """
    assert client_of(agent + b"x" * 60000) == client
    assert client_of(b"x" * 60000 + agent) == UNKNOWN
