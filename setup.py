"""
Compiles the modules on the path of every request and every event, where there is a C compiler; see docs/performance.md.

Everything else about the package stands in setup.cfg. Without a compiler, without mypyc, or with AIBRIDGE_PURE set in
the environment, the same modules are installed as they are, and only slower.
"""

from __future__ import annotations

import os

from setuptools import setup

COMPILED = (
    "admission/bucket",
    "admission/gate",
    "auth/credentials",
    "auth/tokens",
    "deadlines",
    "dialects/clients",
    "dialects/facts",
    "dialects/sse",
    "log",
    "relay/agent",
    "relay/call",
    "relay/client",
    "relay/connection",
    "relay/headers",
    "relay/pool",
    "relay/pump",
    "relay/response",
    "relay/upload",
    "tally",
    "metrics",
    "web/body",
    "web/channel",
    "web/eager",
    "web/exchange",
    "web/faults",
    "web/link",
    "web/request",
    "wire/chunked",
    "wire/request",
    "wire/response",
)


def extensions() -> list[object]:
    """
    The compiled modules, or none.
    """
    if os.environ.get("AIBRIDGE_PURE"):
        return []
    try:
        from mypyc.build import mypycify
    except ImportError:
        return []
    made = mypycify(["--config-file", "setup.cfg", *(f"aibridge/{name}.py" for name in COMPILED)], opt_level="3")
    for extension in made:
        extension.optional = True
    return made


setup(ext_modules=extensions())
