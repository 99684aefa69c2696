"""
The standard reason phrases.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

PHRASES: Final[dict[int, bytes]] = {status.value: status.phrase.encode() for status in HTTPStatus}
"""Status → phrase (RFC 9110, 15)."""
