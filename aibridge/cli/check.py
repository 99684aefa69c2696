"""
``aibridge check``: whether a daemon would start with a configuration, and everything that is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from twisted.python import usage

from aibridge.cli.terminal import say
from aibridge.daemon.config import ConfigErrors, Loaded
from aibridge.daemon.config import load as load_bridge
from aibridge.daemon.proxy.config import ProxyLoaded
from aibridge.daemon.proxy.config import load as load_proxy

FINE = 0
WARNINGS = 1
ERRORS = 2


class Options(usage.Options):
    """
    The command line of the check.
    """

    synopsis = "aibridge check [--proxy] [--config FILE]"
    longdesc = (
        "Checks the configuration, the environment and the secrets they refer to. Problems go to standard error, one "
        "line each. Exit status: 0 fine, 1 warnings only, 2 errors."
    )
    optParameters = [
        ["config", "c", None, "The file to check instead of the one that the daemon would read."],
    ]
    optFlags = [["proxy", None, "Check the configuration of the AI Proxy, not of the bridge."]]


def run(arguments: list[str], stdout: TextIO, stderr: TextIO, environ: Mapping[str, str]) -> int:
    """
    Check a configuration and say so.

    :return: the exit status: 0 fine, 1 warnings only, 2 errors (wrong arguments among them).
    """
    options = Options()
    if {"--help", "-h"} & set(arguments):
        for line in str(options).splitlines():
            say(stdout, line)
        return FINE
    try:
        options.parseOptions(arguments)
    except usage.UsageError as error:
        say(stderr, f"aibridge check: {error}")
        return ERRORS
    try:
        load = load_proxy if options["proxy"] else load_bridge
        loaded: Loaded | ProxyLoaded = load(options["config"], environ, {})
    except ConfigErrors as errors:
        for problem in (*errors.problems, *errors.warnings):
            say(stderr, f"{problem.severity.value}: {problem}")
        daemon = "proxy" if options["proxy"] else "daemon"
        say(stdout, f"The {daemon} would not start: {_count(len(errors.problems), 'error')}.")
        return ERRORS
    for problem in loaded.warnings:
        say(stderr, f"{problem.severity.value}: {problem}")
    say(stdout, _summary(loaded))
    return WARNINGS if loaded.warnings else FINE


def _summary(loaded: Loaded | ProxyLoaded) -> str:
    place = loaded.path or "There is no configuration file. The embedded default"
    judgement = f"can be used, with {_count(len(loaded.warnings), 'warning')}" if loaded.warnings else "is good"
    if isinstance(loaded, ProxyLoaded):
        return f"{place} {judgement}. Intercepted: {', '.join(loaded.hosts.names())}."
    providers = ", ".join(provider.name for provider in loaded.settings.provider)
    return f"{place} {judgement}. Providers: {providers}."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
