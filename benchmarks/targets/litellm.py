"""
LiteLLM's proxy: one worker, no database, a master key.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from benchmarks.targets.target import Mode, Server, Started, Target, first_line, free_port

VARIABLE = "BENCH_LITELLM"
"""Names its virtual environment, if that is not ``.venv-litellm`` in the root of the tree."""

DEFAULT = Path(__file__).resolve().parent.parent.parent / ".venv-litellm"

_KEY = "sk-bench-master"
_CONFIGURATION = """\
model_list:
  - model_name: "bench-*"
    litellm_params:
      model: "openai/bench-*"
      api_base: "http://127.0.0.1:{upstream}/v1"
      api_key: "upstream-key"
general_settings:
  master_key: "{key}"
litellm_settings:
  num_retries: 0
  request_timeout: 600
  telemetry: false
"""


class LiteLLM(Target):
    """
    The gateway that most people know.
    """

    name = "litellm"
    settling_s = 3.0

    @property
    def _bin(self) -> Path:
        return Path(os.environ.get(VARIABLE) or DEFAULT) / "bin"

    def lacking(self) -> str | None:
        """
        Its virtual environment, if anything.
        """
        if shutil.which(self._bin / "litellm"):
            return None
        return f"no LiteLLM in {DEFAULT.name}, nor where {VARIABLE} says"

    def version(self) -> str:
        """
        LiteLLM's.
        """
        code = "from importlib.metadata import version; print(version('litellm'))"
        return first_line(self._bin / "python", "-c", code)

    def start(self, mode: Mode, upstream: int, directory: Path, core: int) -> Started:
        """
        Start it without its looking anything up on the network.
        """
        port = free_port()
        path = directory / "litellm.yaml"
        path.write_text(_CONFIGURATION.format(upstream=upstream, key=_KEY))
        command: list[str | Path] = [
            self._bin / "litellm",
            "--config",
            path,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        environ = {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_TELEMETRY": "False",
        }
        command += ["--num_workers", "1", "--telemetry", "False"]
        server = Server(self.name, command, port=port, directory=directory, cores={core}, environ=environ)
        return Started(server, headers=(("Authorization", f"Bearer {_KEY}"),), keeps_lengths=False)
