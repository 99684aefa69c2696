"""
`aibridge try-proxy`: what it prints can be pasted, and both daemons end with it.
"""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemons import PATIENCE_S, Process

ANY = ["--port", "0", "--admin-port", "0", "--bridge", "0"]


class Trial(Process):
    """
    The command as a process.
    """

    def __init__(self, directory: Path, arguments: list[str]) -> None:
        code = "import sys; from aibridge.cli import main; sys.exit(main())"
        super().__init__([sys.executable, "-c", code, "try-proxy", *arguments], directory)

    def greeted(self) -> str:
        """
        Wait until it says how it is used, and return the line.
        """
        return self.wait_for(r"^ +curl ").string


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    """
    One on any ports.
    """
    made = Trial(tmp_path, ANY)
    yield made
    made.stop()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_paste(trial: Trial, end: signal.Signals) -> None:
    """
    The line streams an answer under a real provider's name. Then both end, and nothing is left of them.
    """
    words = shlex.split(trial.greeted())
    directory = Path(words[words.index("--cacert") + 1]).parent
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert done.stdout.count("data: ") > 3 and done.stdout.endswith("data: [DONE]\n\n")
    assert json.loads(done.stdout.partition("data: ")[2].partition("\n")[0])["object"] == "chat.completion.chunk"
    trial.signal(end)
    assert trial.wait() == 0
    assert trial.output.count(": Stopped.") == 2
    assert not directory.exists()


def test_port_in_use(tmp_path: Path) -> None:
    """
    If one cannot start, the other ends too, and it is said what is wrong.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        trial = Trial(tmp_path, [*ANY[2:], "--port", port])
        try:
            assert trial.wait() == 2
        finally:
            trial.stop()
    assert "in use" in trial.output
    assert "aibridge try-proxy: twistd aibridge-proxy did not start; it has said why" in trial.output
    assert trial.output.count(": Stopped.") == 1


def test_one_ends(trial: Trial) -> None:
    """
    If one ends by itself, so does the other.
    """
    trial.greeted()
    children = Path(f"/proc/{trial.pid}/task/{trial.pid}/children").read_text().split()
    assert len(children) == 2
    subprocess.run(["kill", "-KILL", children[0]], check=True)
    assert trial.wait() == 2
    assert "aibridge try-proxy: aibridge ended" in trial.output
