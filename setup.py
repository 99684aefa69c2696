"""
Compiles what is on the path of every request and every event; everything else about the package stands in setup.cfg.

mypyc translates the modules below, as they are, to C: the same sources, the same types, two thirds of the time. Where
that cannot be done (no C compiler, no headers of Python's, AIBRIDGE_PURE in the environment) they are installed as
Python, and everything works but takes longer. See docs/decisions/0004-compiled.md.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_ext import build_ext

COMPILED = (
    "aibridge/admission/breakers.py",
    "aibridge/admission/bucket.py",
    "aibridge/admission/charge.py",
    "aibridge/admission/choice.py",
    "aibridge/admission/cooldown.py",
    "aibridge/admission/displacement.py",
    "aibridge/admission/fair.py",
    "aibridge/admission/forecast.py",
    "aibridge/admission/keypool.py",
    "aibridge/admission/lanes.py",
    "aibridge/admission/learned.py",
    "aibridge/admission/limit.py",
    "aibridge/admission/meter.py",
    "aibridge/admission/pace.py",
    "aibridge/admission/permit.py",
    "aibridge/admission/policies.py",
    "aibridge/admission/promises.py",
    "aibridge/admission/ratelimitheaders.py",
    "aibridge/admission/reservation.py",
    "aibridge/admission/retries.py",
    "aibridge/admission/seats.py",
    "aibridge/admission/shares.py",
    "aibridge/admission/verdict.py",
    "aibridge/auth/credentials.py",
    "aibridge/auth/tokens.py",
    "aibridge/daemon/loop.py",
    "aibridge/deadlines.py",
    "aibridge/dialects/asked.py",
    "aibridge/dialects/chat.py",
    "aibridge/dialects/clients.py",
    "aibridge/dialects/decoding.py",
    "aibridge/dialects/errorbody.py",
    "aibridge/dialects/facts.py",
    "aibridge/dialects/inband.py",
    "aibridge/dialects/includeusage.py",
    "aibridge/dialects/large.py",
    "aibridge/dialects/limits.py",
    "aibridge/dialects/made.py",
    "aibridge/dialects/messages.py",
    "aibridge/dialects/named.py",
    "aibridge/dialects/parts.py",
    "aibridge/dialects/pruned.py",
    "aibridge/dialects/reader.py",
    "aibridge/dialects/reading.py",
    "aibridge/dialects/references.py",
    "aibridge/dialects/responses.py",
    "aibridge/dialects/sse.py",
    "aibridge/dialects/usage.py",
    "aibridge/dialects/weight.py",
    "aibridge/log.py",
    "aibridge/metrics.py",
    "aibridge/providers/counting.py",
    "aibridge/providers/objects.py",
    "aibridge/providers/provider.py",
    "aibridge/providers/routes.py",
    "aibridge/relay/agent.py",
    "aibridge/relay/call.py",
    "aibridge/relay/client.py",
    "aibridge/relay/connection.py",
    "aibridge/relay/headers.py",
    "aibridge/relay/pool.py",
    "aibridge/relay/pump.py",
    "aibridge/relay/response.py",
    "aibridge/relay/slices.py",
    "aibridge/relay/sockets.py",
    "aibridge/relay/upload.py",
    "aibridge/relay/waiting.py",
    "aibridge/secret.py",
    "aibridge/tally.py",
    "aibridge/web/account.py",
    "aibridge/web/addedusage.py",
    "aibridge/web/along.py",
    "aibridge/web/attempts.py",
    "aibridge/web/bodies.py",
    "aibridge/web/body.py",
    "aibridge/web/bodystream.py",
    "aibridge/web/channel.py",
    "aibridge/web/claims.py",
    "aibridge/web/collected.py",
    "aibridge/web/eager.py",
    "aibridge/web/ending.py",
    "aibridge/web/entrance.py",
    "aibridge/web/exchange.py",
    "aibridge/web/faults.py",
    "aibridge/web/hearing.py",
    "aibridge/web/ids.py",
    "aibridge/web/intake.py",
    "aibridge/web/link.py",
    "aibridge/web/outcome.py",
    "aibridge/web/passing.py",
    "aibridge/web/request.py",
    "aibridge/web/rounds.py",
    "aibridge/web/sluice.py",
    "aibridge/web/status.py",
    "aibridge/web/terms.py",
    "aibridge/web/turns.py",
    "aibridge/web/unread.py",
    "aibridge/web/upstreamrequest.py",
    "aibridge/wire/chunked.py",
    "aibridge/wire/records.py",
    "aibridge/wire/request.py",
    "aibridge/wire/response.py",
)


FLAGS = () if os.name == "nt" else ("-fvisibility=hidden", "-Wno-all")
"""
All of it is one library whose functions nobody else calls, so that the compiler may put one into another, or leave it
out: a request is a tenth cheaper for it. And what it would say of code that nobody wrote takes it longer than the code.
"""


class Compile(build_ext):
    """
    Compiles all or nothing: half of it would not be importable.
    """

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:
            print(f"aibridge: not compiled, and slower for it: {error}", file=sys.stderr)
            for extension in self.extensions:
                Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            self.extensions = []
        # What was compiled when the list was another one.
        made = {Path(self.get_ext_fullpath(extension.name)).resolve() for extension in self.extensions}
        for path in Path(self.build_lib).rglob("*.so"):
            if path.resolve() not in made:
                path.unlink()


def extensions() -> list[Any]:
    """
    The compiled modules, or none.
    """
    if os.environ.get("AIBRIDGE_PURE") or not any(map(shutil.which, ("cc", "gcc", "clang"))):
        return []
    try:
        from mypyc.build import mypycify
    except ImportError:
        return []
    made: list[Any] = mypycify(
        ["--config-file=setup.cfg", *COMPILED], opt_level="3", debug_level="0", group_name="aibridge"
    )
    for extension in made:
        extension.extra_compile_args += FLAGS
    return made


setup(ext_modules=extensions(), cmdclass={"build_ext": Compile})
