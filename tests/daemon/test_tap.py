"""
The command line, and the daemon that it makes.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from aibridge.daemon.tap import Options, log_observer


class OptionsTests(SynchronousTestCase):
    """
    What can be said on the command line.
    """

    def test_given(self) -> None:
        """
        Only what was said is handed on, by its name.
        """
        options = Options()
        options.parseOptions(["--max-concurrency", "7", "--rate-limit", "2.5", "--config", "/f"])
        self.assertEqual(options.given(), {"max-concurrency": "7", "rate-limit": "2.5"})
        self.assertEqual(options["config"], "/f")

    def test_unknown(self) -> None:
        """
        An unknown option is refused.
        """
        self.assertRaises(UsageError, Options().parseOptions, ["--no-such-thing"])

    def logger(self, *arguments: str) -> Any:
        """
        How twistd is told to log.
        """
        twistd: Any = ServerOptions()
        options = Options()
        options.parent = twistd
        twistd["nodaemon"] = "-n" in arguments
        options.parseOptions([])
        return twistd.get("logger")

    def test_logs_by_itself(self) -> None:
        """
        In the foreground it logs its own way, by a name that leads to the observer.
        """
        name = self.logger("-n")
        self.assertEqual(name, "aibridge.daemon.tap.log_observer")
        self.assertIs(log_observer(), log_observer())

    def test_leaves_twistd_alone(self) -> None:
        """
        In the background twistd's own way stays.
        """
        self.assertIsNone(self.logger())


class PluginTests(SynchronousTestCase):
    """
    The dropin.
    """

    def test_registered(self) -> None:
        """
        ``twistd aibridge`` is known, and leads to the options and the service.
        """
        (maker,) = [plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname == "aibridge"]
        self.assertIs(maker.options, Options)
        self.assertTrue(callable(maker.makeService))
