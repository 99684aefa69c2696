"""
The targets by name, in the order of the tables.
"""

from __future__ import annotations

from benchmarks.targets.aibridge import AIBridge, Earlier
from benchmarks.targets.go import GoProxy
from benchmarks.targets.haproxy import HAProxy
from benchmarks.targets.litellm import LiteLLM
from benchmarks.targets.nginx import Nginx
from benchmarks.targets.plain import Plain
from benchmarks.targets.target import Target
from benchmarks.targets.tunnels import AIProxy, HAProxyTCP

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (Nginx(), HAProxy(), GoProxy(), AIBridge(), Earlier(), Plain(), LiteLLM(), HAProxyTCP(), AIProxy())
}
