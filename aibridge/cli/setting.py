"""
One option of the daemon's configuration, for commands that need no more of it.

Nothing else is looked at, so that a command works while something else is wrong, or cannot be read by whoever runs it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aibridge.daemon.config import DEFAULT_PATH, PATH_VARIABLE
from aibridge.daemon.problems import Unacceptable
from aibridge.daemon.settings import SECTIONS, leaves
from aibridge.daemon.values import accept, allowed, parse


class Unsettled(Exception):
    """
    The option has no value that could be used; says why in one line.
    """


class Configuration:
    """
    What the file and the environment say, in the daemon's order: environment, file, default.

    :param config: the file, or None for the one that the environment names, else the default one, if it exists.
    :raises OSError: it cannot be read.
    :raises Unsettled: it is no TOML.
    """

    def __init__(self, config: str | None, environ: Mapping[str, str], default_config: str = DEFAULT_PATH) -> None:
        named = config or environ.get(PATH_VARIABLE)
        self._environ = environ
        self._document = _read(named or default_config, may_be_absent=not named)

    def value(self, option: str) -> Any:
        """
        The value of an option.

        :param option: dotted, of a table that occurs once: ``log.completions``.
        :raises Unsettled: it is not what the option allows.
        """
        section, _, name = option.partition(".")
        (leaf,) = (leaf for leaf in leaves(SECTIONS[section]) if leaf.name == name)
        table = self._document.get(section)
        try:
            for variable in leaf.declared.env:
                if text := self._environ.get(variable):
                    return parse(text, leaf.type, leaf.declared)
            if isinstance(table, dict) and name in table:
                return accept(table[name], leaf.type, leaf.declared)
        except Unacceptable:
            raise Unsettled(f"{option} has to be {allowed(leaf.type, leaf.declared)}") from None
        return leaf.default


def _read(path: str, *, may_be_absent: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text("utf-8-sig"))
    except FileNotFoundError:
        if may_be_absent:
            return {}
        raise
    except (ValueError, RecursionError):
        raise Unsettled(f"{path}: it is not valid TOML; aibridge check says where") from None
