"""
Coding agents themselves, two at once behind one key: the provider refuses what one of them asks, which ends as without
the bridge, and the other never notices.

`make clients` installs them; what they would ask of other hosts than ours is switched off.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from daemons import Deployment
from held import KEYS, table
from moods import ALWAYS, TEXT, Mood, Moody

INSTALLED = Path(__file__).resolve().parent.parent / "clients" / "cli" / "node_modules"
NODE = shutil.which("node")
CLAUDE = INSTALLED / "@anthropic-ai" / "claude-code" / "cli-wrapper.cjs"
CODEX = INSTALLED / "@openai" / "codex" / "bin" / "codex.js"

PATIENCE_S = 100.0
"""For one answer; both take some seconds to start, and a loaded machine takes longer."""

RETRIES = 2
"""After which the agents are told to give up; by themselves they go on for minutes."""


@attrs.frozen
class Agent:
    """
    A coding agent, and how it is used without a terminal.

    :ivar script: that node runs.
    :ivar provider: as which the bridge is configured for it.
    :ivar told: what it said, of what it printed.
    """

    script: Path
    provider: str
    arguments: Callable[[str, str], list[str]]
    environ: Callable[[Path, str, str], dict[str, str]]
    told: Callable[[str], str]


def _claude_arguments(url: str, prompt: str) -> list[str]:
    return ["-p", prompt, "--output-format", "json", "--max-turns", "1"]


def _claude_environ(home: Path, url: str, token: str) -> dict[str, str]:
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": token,
        "CLAUDE_CODE_MAX_RETRIES": str(RETRIES),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }


def _claude_told(printed: str) -> str:
    answer = json.loads(printed.strip().splitlines()[-1])
    return f"{answer['is_error']} {answer.get('api_error_status')} {answer['result']}"


def _codex_arguments(url: str, prompt: str) -> list[str]:
    settings = {
        "name": "bridge",
        "base_url": f"{url}/v1",
        "env_key": "TOKEN",
        "wire_api": "responses",
    }
    pairs = [f'model_providers.bridge.{name}="{value}"' for name, value in settings.items()]
    pairs += ['model="gpt-5.4"', 'model_provider="bridge"']
    pairs += [f"model_providers.bridge.{name}={RETRIES}" for name in ("request_max_retries", "stream_max_retries")]
    options = [part for pair in pairs for part in ("-c", pair)]
    return ["exec", "--skip-git-repo-check", "--json", *options, prompt]


def _codex_environ(home: Path, url: str, token: str) -> dict[str, str]:
    return {"CODEX_HOME": str(home), "TOKEN": token}


def _codex_told(printed: str) -> str:
    events = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    texts = [event["item"]["text"] for event in events if event.get("item", {}).get("type") == "agent_message"]
    failed = [event["error"]["message"] for event in events if event["type"] == "turn.failed"]
    return " ".join([*texts, *failed])


AGENTS = {
    "claude": Agent(CLAUDE, "claude", _claude_arguments, _claude_environ, _claude_told),
    "codex": Agent(CODEX, "up", _codex_arguments, _codex_environ, _codex_told),
}

MOODS = [
    Mood("maker", 429, 1),
    Mood("maker", 429, 1, 1500),
    Mood("maker", 529, 2),
    Mood("maker", 500, 1),
    Mood("maker", 429, ALWAYS, 300),
]


def run(agent: Agent, home: Path, url: str, token: str, mood: Mood) -> str:
    """
    Have it answer one prompt, in a home of its own.
    """
    home.mkdir(parents=True)
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), **agent.environ(home, url, token)}
    done = subprocess.run(
        [str(NODE), str(agent.script), *agent.arguments(url, f"Say hi. {mood}")],
        cwd=home,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    try:
        return agent.told(done.stdout).replace(url, "URL")
    except (LookupError, ValueError) as error:
        raise AssertionError(done.stdout + done.stderr) from error


@pytest.mark.slow
@pytest.mark.parametrize("mood", MOODS, ids=str)
@pytest.mark.parametrize("name", sorted(AGENTS))
def test_one_is_refused_and_the_other_is_not(deployment: Deployment, tmp_path: Path, name: str, mood: Mood) -> None:
    """
    The same is said in the end, after as many attempts, as without the bridge; the other one is answered at its first.
    """
    agent = AGENTS[name]
    if NODE is None or not agent.script.exists():
        pytest.skip(f"{name} is installed by `make clients`, where npm is")
    alone, shared = Moody(), Moody()
    tokens = {who: deployment.token(who) for who in ("maker", "other")}
    deployment.configure(table(shared) + table(shared, "", "claude", "anthropic"))
    daemon = deployment.start(environ=KEYS)
    behind = f"{daemon.url}/{agent.provider}"
    other = Mood("other")
    with ThreadPoolExecutor(3) as pool:
        without = pool.submit(run, agent, tmp_path / "alone", alone.url, "sk-central", mood)
        through = pool.submit(run, agent, tmp_path / "maker", behind, tokens["maker"], mood)
        meanwhile = pool.submit(run, agent, tmp_path / "other", behind, tokens["other"], other)
    assert through.result() == without.result()
    assert without.result()
    assert shared.attempts[str(mood)] == alone.attempts[str(mood)]
    assert TEXT in meanwhile.result()
    assert shared.attempts[str(other)] == 1
    alone.close()
    shared.close()
