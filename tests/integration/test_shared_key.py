"""
The vendors' own SDKs behind one key, at a provider that refuses some of what one of them asks: that one ends as without
the bridge, after as many attempts, and the others never notice.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import attrs
import openai
import pytest

from daemons import PATIENCE_S, Deployment
from held import KEYS, table
from moods import ALWAYS, Mood, Moody

CLIENTS = Path(__file__).resolve().parent.parent / "clients"
NODE = shutil.which("node")
HAS_NODE = NODE is not None and (CLIENTS / "node_modules" / "openai").exists()


@attrs.frozen
class Place:
    """
    Where an SDK finds its API, and what it shows there.
    """

    openai: str
    anthropic: str
    token: Callable[[str], str]


MOODS = [
    Mood("maker", status, times, after_ms)
    for status in (429, 529, 500)
    for times in (1, 2, ALWAYS)
    for after_ms in (None, 50, 700)
]
"""Refused once, twice, and for good; with and without a word about when to come back."""


# -- the SDKs ----------------------------------------------------------------------------------------------------

Ask = Callable[[Place, str, Mood], str]


def model_of(mood: Mood) -> str:
    """
    That of everybody; but whoever was told to wait, and asks for something else at once, is kept waiting, and is not to
    be here.
    """
    return f"m-{mood.status}-{mood.after_ms}" if mood.times == ALWAYS and mood.after_ms is not None else "m"


def gpt(place: Place, name: str, mood: Mood) -> str:
    """
    A chat completion.
    """
    with openai.OpenAI(base_url=place.openai, api_key=place.token(name)) as client:
        answer = client.chat.completions.create(model=model_of(mood), messages=[{"role": "user", "content": str(mood)}])
        return str(answer.choices[0].message.content)


def claude(place: Place, name: str, mood: Mood) -> str:
    """
    A stream of messages.
    """
    text = ""
    with anthropic.Anthropic(base_url=place.anthropic, api_key=place.token(name)) as client:
        messages: Any = [{"role": "user", "content": str(mood)}]
        for event in client.messages.create(model=model_of(mood), max_tokens=50, messages=messages, stream=True):
            text += event.delta.text if event.type == "content_block_delta" and event.delta.type == "text_delta" else ""
    return text


PYTHON: dict[str, Ask] = {"openai": gpt, "anthropic": claude}


def outcome(ask: Ask, place: Place, name: str, mood: Mood) -> str:
    """
    The text, or the error.
    """
    try:
        return ask(place, name, mood)
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        return f"{type(error).__name__} {error.status_code}"


def of_python(vendor: str, place: Place) -> list[str]:
    """
    What comes of calls of the maker's, one after the other.
    """
    return [outcome(PYTHON[vendor], place, "maker", mood) for mood in MOODS]


def of_node(vendor: str, place: Place) -> list[str]:
    """
    The same, by the SDKs for Node.
    """
    calls = [part for mood in MOODS for part in (model_of(mood), str(mood))]
    base_url = place.openai if vendor == "openai" else place.anthropic
    done = subprocess.run(
        [str(NODE), str(CLIENTS / "outcomes.mjs"), vendor, base_url, place.token("maker"), *calls],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
        timeout=3 * PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told: list[str] = json.loads(done.stdout)
    return told


# -- the others --------------------------------------------------------------------------------------------------


class Bystander:
    """
    Asks for nothing that is refused, one request after the other, for as long as the maker is at it.

    :ivar outcomes: what came of it.
    """

    def __init__(self, vendor: str, place: Place) -> None:
        self.outcomes: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, args=(vendor, place), daemon=True)
        self._thread.start()

    def _ask(self, vendor: str, place: Place) -> None:
        while not self._over.wait(0.05):
            self.outcomes.append(outcome(PYTHON[vendor], place, f"other-{vendor}", Mood(f"other{vendor}")))

    def end(self) -> None:
        """
        Let it finish.
        """
        self._over.set()
        self._thread.join(PATIENCE_S)


WITH_NODE = pytest.mark.skipif(not HAS_NODE, reason="the SDKs for Node are installed by `make test`, with npm")


@pytest.mark.parametrize(
    ("made_by", "vendor"),
    [
        pytest.param(of_python, "openai", id="python-openai"),
        pytest.param(of_node, "anthropic", id="node-anthropic", marks=WITH_NODE),
        pytest.param(of_python, "anthropic", id="python-anthropic", marks=pytest.mark.slow),
        pytest.param(of_node, "openai", id="node-openai", marks=[WITH_NODE, pytest.mark.slow]),
    ],
)
def test_one_is_refused_and_nobody_else(
    deployment: Deployment, made_by: Callable[[str, Place], list[str]], vendor: str
) -> None:
    """
    The same texts and errors come of it, and as many attempts, as without the bridge, whatever the provider says and
    how often; two others use the same key and model all the while, and need one attempt each.
    """
    alone, shared = Moody(), Moody()
    tokens = {name: deployment.token(name) for name in ("maker", "other-openai", "other-anthropic")}
    # As shipped, with one key for both dialects.
    deployment.configure(table(shared) + table(shared, "", "claude", "anthropic"))
    daemon = deployment.start(environ=KEYS)
    direct = Place(f"{alone.url}/v1", alone.url, lambda _: "sk-central")
    behind = Place(f"{daemon.url}/up/v1", f"{daemon.url}/claude", tokens.__getitem__)
    contents = [str(mood) for mood in MOODS]

    others = [Bystander(each, behind) for each in PYTHON]
    with ThreadPoolExecutor(2) as pool:
        without, through = pool.map(lambda place: made_by(vendor, place), (direct, behind))
    for other in others:
        other.end()
    assert dict(zip(contents, through, strict=True)) == dict(zip(contents, without, strict=True))
    assert {each: shared.attempts[each] for each in contents} == dict(alone.attempts)
    for other in others:
        assert len(other.outcomes) > 3
        assert set(other.outcomes) == {"Hi"}
    for vendor, other in zip(PYTHON, others, strict=True):
        assert shared.attempts[str(Mood(f"other{vendor}"))] == len(other.outcomes)
    alone.close()
    shared.close()
