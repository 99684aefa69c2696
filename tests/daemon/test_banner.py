"""
What a person reads first.
"""

from __future__ import annotations

import io
import json
import shlex
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibridge.daemon.banner import banner
from aibridge.daemon.settings import Settings
from aibridge.providers.settings import ProviderSettings
from aibridge.secret import Secret


def service() -> Any:
    """
    As much of a service as is greeted about.
    """
    return SimpleNamespace(
        loaded=SimpleNamespace(settings=Settings(provider=(ProviderSettings(name="demo", type="demo"),))),
        api=SimpleNamespace(addresses=lambda: ["http://127.0.0.1:4000"]),
        admin=SimpleNamespace(addresses=lambda: ["http://127.0.0.1:4001"]),
    )


class BannerTests(SynchronousTestCase):
    """
    The greeting.
    """

    def test_curl(self) -> None:
        """
        The curl line can be pasted: a shell reads it as one command with a JSON body and the token.
        """
        stream = io.StringIO()
        banner(stream, Secret("aib_t_s"))(service())
        (line,) = [line.strip() for line in stream.getvalue().splitlines() if "curl" in line]
        words = shlex.split(line)
        self.assertEqual(words[:3], ["curl", "-sN", "http://127.0.0.1:4000/demo/v1/chat/completions"])
        self.assertIn("Authorization: Bearer aib_t_s", words)
        self.assertIs(json.loads(words[-1])["stream"], True)

    def test_says_where(self) -> None:
        """
        It says where it listens, and which providers there are.
        """
        stream = io.StringIO()
        banner(stream, Secret("aib_t_s"))(service())
        for text in ("http://127.0.0.1:4000", "http://127.0.0.1:4001/healthz", "Providers: demo.", "Ctrl-C"):
            self.assertIn(text, stream.getvalue())

    def test_quiet(self) -> None:
        """
        A configured daemon has no token of its own to show, and says nothing.
        """
        stream = io.StringIO()
        banner(stream, None)(service())
        self.assertEqual(stream.getvalue(), "")
