"""
The command line, and the daemon that it makes.
"""

from __future__ import annotations

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from aibridge.daemon.tap import Options


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
