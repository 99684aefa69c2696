"""
Makes ``twistd aibridge`` and ``twistd aibridge-proxy`` known. This directory has no ``__init__.py``, so that Twisted's
own stays in charge.
"""

from twisted.application.service import ServiceMaker

aibridge = ServiceMaker(
    "aibridge",
    "aibridge.daemon.tap",
    "A bridge between AI clients and AI providers.",
    "aibridge",
)

aibridge_proxy = ServiceMaker(
    "aibridge-proxy",
    "aibridge.daemon.proxy.tap",
    "A forward proxy that hands intercepted requests for AI providers to the bridge.",
    "aibridge-proxy",
)
