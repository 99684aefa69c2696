"""
Tests for `benchmarks.profiling`.
"""

from __future__ import annotations

from benchmarks.profiling import read_folded


def test_samples_become_shares() -> None:
    """
    A function's own share is of the samples in which it was innermost; its whole one counts each sample once, however
    often it stands in the stack.
    """
    text = read_folded(["main (a.py:1);read (b.py:2) 30", "main (a.py:1);f (c.py:3);f (c.py:3) 60", "main (a.py:1) 10"])
    assert text.splitlines() == [
        "   own   whole  function, by what it did itself",
        " 60.0%   60.0%  f (c.py:3)",
        " 30.0%   30.0%  read (b.py:2)",
        " 10.0%  100.0%  main (a.py:1)",
        "",
        "   own   whole  function, by what it and those it called did",
        " 10.0%  100.0%  main (a.py:1)",
        " 60.0%   60.0%  f (c.py:3)",
        " 30.0%   30.0%  read (b.py:2)",
    ]
