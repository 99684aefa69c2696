"""
What systemd is told (sd_notify(3)): ready, reloading, stopping, and how it goes.

The protocol is one datagram of lines to the socket named in ``NOTIFY_SOCKET``; without that variable nothing is sent.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping


class Notifier:
    """
    Tells the service manager that started this process, if it asked to be told.

    :param environ: where ``NOTIFY_SOCKET`` is looked up, once.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")

    def tell(self, *lines: str) -> bool:
        """
        Send state lines, for example ``READY=1``.

        :return: whether they were sent. A manager that does not listen is no reason to fail.
        """
        if not self._address:
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto("\n".join(lines).encode(), address)
        except OSError:
            return False
        return True

    def ready(self, status: str) -> None:
        """
        Everything is listening.
        """
        self.tell("READY=1", f"STATUS={status}")

    def reloading(self, now: float) -> None:
        """
        A new configuration is being read; `ready` follows.

        :param now: monotonic seconds.
        """
        self.tell("RELOADING=1", f"MONOTONIC_USEC={int(now * 1e6)}", "STATUS=Reloading")

    def stopping(self, status: str, more_s: float = 0.0) -> None:
        """
        No new exchanges; the running ones are waited for.

        :param more_s: ask the manager to be patient for this long from now.
        """
        lines = ["STOPPING=1", f"STATUS={status}"]
        if more_s:
            lines.append(f"EXTEND_TIMEOUT_USEC={int(more_s * 1e6)}")
        self.tell(*lines)
