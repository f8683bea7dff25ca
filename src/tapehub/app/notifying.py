"""Tell systemd how a service stands, by its protocol: a datagram to the socket that ``NOTIFY_SOCKET`` names.

Source: sd_notify(3). Where nobody listens, nothing is said.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

__all__ = ["Notifier"]


class Notifier:
    """Tell systemd that the service is up, lives, and ends. One thread.

    The variables are taken out of the environment: they are meant for this process, not for those it starts.
    """

    def __init__(self) -> None:
        name = os.environ.pop("NOTIFY_SOCKET", "")
        watched_us = os.environ.pop("WATCHDOG_USEC", "")
        os.environ.pop("WATCHDOG_PID", None)
        self._address = "\0" + name[1:] if name.startswith("@") else name
        # Half of what is allowed, as the manual asks for.
        self._alive_every_s = int(watched_us) / 2e6 if watched_us.isdigit() else 0.0
        self._alive_s = 0.0
        self._said: set[str] = set()

    def ready(self, status: str) -> None:
        """Say once that the service is up."""
        self._once("READY=1", status)

    def stopping(self) -> None:
        """Say once that it ends."""
        self._once("STOPPING=1", "stopping")

    def alive(self) -> None:
        """Say that it is not stuck, as often as is asked for."""
        now_s = time.monotonic()
        if self._alive_every_s and now_s - self._alive_s >= self._alive_every_s:
            self._alive_s = now_s
            self._send("WATCHDOG=1")

    def _once(self, word: str, status: str) -> None:
        if word not in self._said:
            self._said.add(word)
            self._send(f"{word}\nSTATUS={status}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
            told.setblocking(False)
            told.sendto(text.encode(), self._address)
