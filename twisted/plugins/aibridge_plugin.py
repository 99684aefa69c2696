"""
Makes ``twistd aibridge`` known. This directory has no ``__init__.py``, so that Twisted's own stays in charge.
"""

from twisted.application.service import ServiceMaker

aibridge = ServiceMaker(
    "aibridge",
    "aibridge.daemon.tap",
    "A bridge between AI clients and AI providers.",
    "aibridge",
)
