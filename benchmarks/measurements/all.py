"""
The measurements by name, in the order of the report.
"""

from __future__ import annotations

from benchmarks.measurements.closed import Large, Latency, Relay
from benchmarks.measurements.measurement import Measurement
from benchmarks.measurements.memory import Idle, Stalled
from benchmarks.measurements.refusal import Limited, Overloaded, Unauthorised
from benchmarks.measurements.sse import Sse
from benchmarks.measurements.tunnel import IdleTunnel, Tunnelled

MEASUREMENTS: dict[str, Measurement] = {
    measurement.name: measurement
    for measurement in (
        Relay(),
        Sse(),
        Large(),
        Latency(),
        Tunnelled(),
        Unauthorised(),
        Limited(),
        Overloaded(),
        Idle(),
        Stalled(),
        IdleTunnel(),
    )
}
