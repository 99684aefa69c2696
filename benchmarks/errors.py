"""
What can go wrong with a benchmark.
"""


class BenchError(Exception):
    """
    A measurement did not come about, or is not to be trusted; says why in words.
    """
