"""
The reference of the proxy's configuration, written from its settings classes as the bridge's is.

``python -m aibridge.daemon.proxy.reference [DIRECTORY]`` writes both files below the source tree's root.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from aibridge.daemon.proxy.config import DEFAULT_PATH, PATH_VARIABLE
from aibridge.daemon.proxy.settings import SCHEMA
from aibridge.daemon.reference import page_tables, toml_tables, variables, write

TOML_PATH = "etc/aibridge/aibridge-proxy.toml"
PAGE_PATH = "docs/proxy-configuration.md"


_TOML_HEAD = f"""\
# Configuration of the AI Proxy, installed as {DEFAULT_PATH}.
#
# Every option is here with its default. To change one, remove the "# " in front of it. The command line goes before
# the environment, the environment before this file. `aibridge check --proxy` tells everything that is wrong with it;
# `systemctl reload aibridge-proxy` brings it into force for new connections and requests, except for options marked
# (restart).
#
# Secrets are never written here, only where they are: file:/PATH, env:NAME, or credential:NAME for what systemd hands
# out (LoadCredential=).
"""

_PAGE_HEAD = f"""\
# Configuration of the AI Proxy

This page and `{TOML_PATH}` are written from the settings classes by
`python -m aibridge.daemon.proxy.reference`, and a test compares them: change the classes, not the files. What the
proxy is for, and how it is set up, is on [its own page](proxy.md).

The file is the one that `--config` names, else `${PATH_VARIABLE}`, else `{DEFAULT_PATH}` if it exists. Where values
come from, how they are written, how secrets are referred to and what a reload does is as for
[the bridge](configuration.md). The tables `[auth]`, `[http]`, `[log]` and `[daemon]` have the same options, and so the
same variables: a machine that runs both sets them once for both.
"""

_PAGE_TAIL = """\
## Exit statuses

| Command | Status | Meaning |
| --- | --- | --- |
| `aibridge check --proxy` | 0 | nothing is wrong |
| | 1 | warnings only: the proxy would start |
| | 2 | errors: the proxy would not start |
| `twistd aibridge-proxy` | 0 | it was told to stop, and did |
| | 1 | it cannot start, for example since an address is in use |
| | 2 | the configuration has errors |
"""


def toml() -> str:
    """
    The configuration file as it is installed: every option as a comment, with its default.
    """
    return _TOML_HEAD + toml_tables(SCHEMA)


def page() -> str:
    """
    The reference page.
    """
    tables = page_tables(SCHEMA)
    return f"{_PAGE_HEAD}{tables}\n{variables(SCHEMA, [(PATH_VARIABLE, 'the file to read')])}\n{_PAGE_TAIL}"


def main(arguments: Sequence[str]) -> None:
    """
    Write both files below the directory given, or the current one.
    """
    write({TOML_PATH: toml(), PAGE_PATH: page()}, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
