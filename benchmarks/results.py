"""
What was measured, in one run: every sample is kept, and medians are made when they are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

Samples = dict[str, list[float]]
"""Metric → its value in each round."""


OTHERS = "others"
"""The metric that every sample has: the share of the target's core that went to others."""


@dataclass
class Results:
    """
    A run.

    :ivar machine: what it was done on.
    :ivar versions: target → version.
    :ivar absent: target → why it was not measured.
    :ivar settings: rounds, seconds and the like.
    :ivar measurements: measurement → target → samples.
    :ivar failures: what did not come about, or not without errors.
    """

    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    measurements: dict[str, dict[str, Samples]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, measurement: str, target: str, sample: Mapping[str, float]) -> None:
        """
        Keep the sample of one round.
        """
        samples = self.measurements.setdefault(measurement, {}).setdefault(target, {})
        for metric, value in sample.items():
            samples.setdefault(metric, []).append(value)

    def values(self, measurement: str, target: str, metric: str) -> list[float]:
        """
        One value for each round; empty where nothing was measured.
        """
        return self.measurements.get(measurement, {}).get(target, {}).get(metric, [])

    def median(self, measurement: str, target: str, metric: str) -> float | None:
        """
        The median of the rounds, None where nothing was measured.
        """
        values = self.values(measurement, target, metric)
        return median(values) if values else None

    def ratio(self, measurement: str, metric: str, target: str, reference: str) -> float | None:
        """
        The ratio of two medians; None where either is missing.
        """
        own, other = self.median(measurement, target, metric), self.median(measurement, reference, metric)
        return own / other if own is not None and other else None

    def ratios(self, measurement: str, metric: str, target: str, reference: str) -> list[float]:
        """
        The ratio in each round.
        """
        pairs = zip(self.values(measurement, target, metric), self.values(measurement, reference, metric), strict=False)
        return [own / other for own, other in pairs if other]

    def disturbance(self) -> float | None:
        """
        The share of the targets' core that went to others while something was measured, in the median.
        """
        values = [
            value
            for targets in self.measurements.values()
            for samples in targets.values()
            for value in samples.get(OTHERS, [])
        ]
        return median(values) if values else None

    def to_json(self) -> str:
        """
        As text.
        """
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Results:
        """
        Read what `to_json` wrote.
        """
        return cls(**json.loads(text))

    def save(self, path: Path) -> None:
        """
        Write it to a file.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json())
