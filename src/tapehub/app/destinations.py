"""Where messages go: apprise's destinations, a thread for each, so that one that hangs holds up nobody.

Addresses hold passwords. What is said of a destination is its number in the settings and the name of its service.
"""

from __future__ import annotations

import io
import logging
import queue
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tapehub.app.alerting import Message
from tapehub.errors import ConfigError, MissingExtra

try:
    import apprise
except ImportError as error:
    raise MissingExtra(error.name or "apprise", "alerts", "sending alerts") from error

__all__ = ["Destination", "Destinations", "Report"]

_WAITING_MAX = 8
_WAITS_S = (2.0, 10.0)
"""Between attempts: a message that nobody takes is given up after the third, as a later one says how things stand."""
_SECRET_LENGTH_MIN = 4

# What apprise logs names hosts and paths: `Destination.send` reads it when asked to, and it goes nowhere else.
_apprise_log = logging.getLogger("apprise")
_apprise_log.propagate = False
_apprise_log.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Report:
    """Say what became of a message at one destination; `why` is empty where it was taken."""

    name: str
    ok: bool
    why: str = ""


class Destination:
    """Be one address that messages are sent to.

    Raises:
        ConfigError: apprise does not know what it means; the message names its number and kind alone.
    """

    def __init__(self, number: int, url: str) -> None:
        kind = url.partition("://")[0] if "://" in url else ""
        self._secrets = _secrets(url)
        try:
            with warnings.catch_warnings():  # of what its services import, the first time
                warnings.simplefilter("ignore", DeprecationWarning)
                made = apprise.Apprise.instantiate(url, suppress_exceptions=False)
        except Exception:  # its message may repeat the address
            made = None
        if not isinstance(made, apprise.NotifyBase):
            raise ConfigError(
                f"[alerts] urls: number {number}{f' ({kind}://)' if kind.isalnum() else ''} is no address that apprise "
                "knows: expected one such as mailtos://user:password@example.com; see apprise's list of services"
            )
        self._service = apprise.Apprise()
        self._service.add(made)
        self.name = f"{number} {made.service_name}"

    def send(self, message: Message, *, explain: bool = False) -> Report:
        """Send a message and wait for what becomes of it.

        Args:
            explain: also find out why it was not taken; one destination at a time.
        """
        kind = apprise.NotifyType.SUCCESS if message.good else apprise.NotifyType.WARNING
        told = io.StringIO()
        listener = logging.StreamHandler(told)
        if explain:
            _apprise_log.addHandler(listener)
        try:
            ok = self._service.notify(
                title=message.title, body=message.body, notify_type=kind, body_format=apprise.NotifyFormat.TEXT
            )
        except Exception as error:  # whatever a service's code makes of an answer
            return Report(self.name, False, self._scrubbed(f"{type(error).__name__}: {error}"))
        finally:
            _apprise_log.removeHandler(listener)
        why = self._scrubbed(told.getvalue()) or ("it gave no reason" if explain else "tapehub alerts test shows why")
        return Report(self.name, bool(ok), "" if ok else why)

    def _scrubbed(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return " ".join(text.split())[:300]


def _secrets(url: str) -> list[str]:
    """List the pieces of an address that must not be repeated, the longest first: all but its kind and its loopback."""
    _, _, rest = url.partition("://")
    pieces = {piece for piece in re.split(r"[/:@?&=,]+", rest) if len(piece) >= _SECRET_LENGTH_MIN}
    harmless = {"localhost", "127.0.0.1"}
    return sorted({url, rest, *pieces} - harmless - {""}, key=len, reverse=True)


class Destinations:
    """Send messages to all, each in a thread of its own. One caller.

    Args:
        on_report: takes what became of each message, in those threads.
    """

    def __init__(self, urls: Sequence[str], on_report: Callable[[Report], Any]) -> None:
        self.all = [Destination(number, url) for number, url in enumerate(urls, 1)]
        self._on_report = on_report
        self._stop = threading.Event()
        self._queues: list[queue.Queue[Message | None]] = [queue.Queue(_WAITING_MAX) for _ in self.all]
        self._threads = [
            threading.Thread(target=self._work, args=pair, name=f"to {pair[0].name}", daemon=True)
            for pair in zip(self.all, self._queues, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def send(self, message: Message) -> None:
        """Hand a message over, and wait for nobody; where one does not keep up, the oldest that waits is left out."""
        for destination, waiting in zip(self.all, self._queues, strict=True):
            while True:
                try:
                    waiting.put_nowait(message)
                    break
                except queue.Full:
                    left_out = waiting.get_nowait()
                    if left_out is not None:
                        self._on_report(Report(destination.name, False, f"left out, as others wait: {left_out.title}"))

    def close(self, patience_s: float = 1.0) -> None:
        """Let what is on its way arrive, for a moment."""
        self._stop.set()
        for waiting in self._queues:
            try:
                waiting.put_nowait(None)
            except queue.Full:
                continue
        for thread in self._threads:
            thread.join(patience_s / max(len(self._threads), 1))

    def _work(self, destination: Destination, waiting: queue.Queue[Message | None]) -> None:
        while (message := waiting.get()) is not None:
            report = destination.send(message)
            for wait_s in _WAITS_S:
                if report.ok or self._stop.wait(wait_s):
                    break
                report = destination.send(message)
            self._on_report(report)
