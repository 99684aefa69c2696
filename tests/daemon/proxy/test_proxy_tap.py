"""
Tests for `aibridge.daemon.proxy.tap`: the command line, and the daemon that it makes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from aibridge.daemon.proxy.tap import Options

ROOT = Path(__file__).resolve().parents[3]


class OptionsTests(SynchronousTestCase):
    """
    What can be said on the command line.
    """

    def test_given(self) -> None:
        """
        Only what was said is handed on, by its name.
        """
        options = Options()
        options.parseOptions(["--bridge", "http://b", "--listen", "tcp:1", "--config", "/f"])
        self.assertEqual(options.given(), {"bridge": "http://b", "listen": "tcp:1"})
        self.assertEqual(options["config"], "/f")

    def test_unknown(self) -> None:
        """
        The bridge's own are.
        """
        self.assertRaises(UsageError, Options().parseOptions, ["--max-concurrency", "1"])


class PluginTests(SynchronousTestCase):
    """
    The dropin.
    """

    def test_registered(self) -> None:
        """
        ``twistd aibridge-proxy`` is known, and leads to the options and the service.
        """
        (maker,) = [plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname == "aibridge-proxy"]
        self.assertIs(maker.options, Options)
        self.assertTrue(callable(maker.makeService))


def test_its_clock_is_monotonic() -> None:
    """
    As the bridge's; and a configuration with errors ends it with 2, after all of them were told.
    """
    code = """
import time
from twisted.internet import reactor
from aibridge.daemon.proxy.tap import Options, makeService
options = Options()
options.parseOptions(["--config", "/nowhere"])
try:
    makeService(options)
except SystemExit as ended:
    print(ended.code, abs(reactor.seconds() - time.monotonic()) < 60)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "2 True\n"
    assert ran.stderr.startswith("aibridge-proxy: /nowhere: ")
