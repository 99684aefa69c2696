"""
Compiles the programs that are not Python, when their sources are newer.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import BenchError

HERE = Path(__file__).resolve().parent
BIN = HERE / "bin"

_COMMON = HERE / "c" / "common.h"


def c_program(name: str) -> Path:
    """
    One of ``c/``, compiled with ``cc -O2``.
    """
    source, program = HERE / "c" / f"{name}.c", BIN / name
    flags = ("-O2", "-Wall", "-Wextra", "-std=gnu11")
    return _built(program, (source, _COMMON), ["cc", *flags, "-o", str(program), str(source), "-lm"])


def go_proxy() -> Path:
    """
    ``goproxy/main.go``, compiled.
    """
    source, program = HERE / "goproxy" / "main.go", BIN / "goproxy"
    return _built(program, (source,), ["go", "build", "-o", str(program), str(source)])


def _built(program: Path, sources: Sequence[Path], command: list[str]) -> Path:
    if program.exists() and all(program.stat().st_mtime > source.stat().st_mtime for source in sources):
        return program
    if shutil.which(command[0]) is None:
        raise BenchError(f"{command[0]} is not installed, and {program.name} has to be compiled")
    BIN.mkdir(exist_ok=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{program.name} does not compile:\n{done.stderr}")
    return program
