"""The hub server: the one process that adds the clock's watermarks and the upkeep. A hub also works without it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tapehub.errors import HubHeld, TapehubError
from tapehub.hub import clock
from tapehub.hub.calendars import log_sessions
from tapehub.hub.datahub import DataHub
from tapehub.hub.retention import checked, set_retention
from tapehub.model.policies import ClockMode
from tapehub.model.sessions import Sessions

__all__ = ["HubServer"]

_SECOND = 1_000_000_000
_log = logging.getLogger(__name__)


class HubServer:
    """Serve one hub directory: hold its server lock, close its intervals, keep its segments ready.

    Args:
        calendars: the markets' hours with their holidays, in place of those that the hub has; None leaves these.
        retention_bytes, retention_days: how much of the log is kept from now on; None leaves what the hub has.
        options: as of `DataHub.open`.

    Raises:
        HubHeld: another server holds the directory; the message says which process since when.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        name: str = "server",
        calendars: Iterable[Sessions] | None = None,
        retention_bytes: int | None = None,
        retention_days: float | None = None,
        **options: Any,
    ) -> None:
        checked(retention_bytes, retention_days)
        self.hub = DataHub.open(path, create=True, name=name, **options)
        if not self.hub._try_serve():
            holder = self.hub.server()
            self.hub.close()
            who = f"process {holder[0]}, started {holder[1]:%Y-%m-%d %H:%M:%S} UTC" if holder else "another process"
            raise HubHeld(f"{who}, serves this hub already: {self.hub.path}; attach to it, or stop it first")
        self.started = datetime.now(UTC)
        log_sessions(self.hub, calendars or (), replace=calendars is not None)
        set_retention(self.hub, bytes_max=retention_bytes, days_max=retention_days)
        self.hub._names.apply_overrides()
        clock.set_watermark_mode(self.hub, clock.WATERMARK_SERVER)
        self._incarnation = self.hub._incarnation

    def set_clock(self, mode: ClockMode | str, **options: Any) -> None:
        """Set the hub clock: see `DataHub.set_clock`."""
        self.hub.set_clock(mode, **options)

    def run(self, stop: threading.Event) -> None:
        """Beat until told to stop. A full disk, a stalled writer or a clock before 1990 delays a beat, no more."""
        while not stop.is_set():
            try:
                wait_s = self.beat()
            except TapehubError as error:
                if str(error) != self.last_error:  # not ten times a second while a disk is full
                    _log.error("a beat failed: %s", error)
                self.last_error = str(error)
                wait_s = 0.1
            stop.wait(wait_s)

    last_error: str = ""

    def beat(self) -> float:
        """Log a watermark when a second of the hub clock has passed; returns the seconds until the next one."""
        hub = self.hub
        hub._beat()
        if hub._incarnation != self._incarnation:
            self._serve_anew()
        state = hub._hub_state()
        grace = int(state["grace_ns"])
        now = hub.now()
        mark = (now - grace) // _SECOND * _SECOND
        if now > -(1 << 62) and mark > int(state["watermark_ns"]):
            hub.advance(mark + grace)
        if int(state["clock_mode"]) == ClockMode.EVENT:
            return 0.05
        rate = float(state["rate"]) if int(state["clock_mode"]) == ClockMode.VIRTUAL else 1.0
        left_s = (mark + _SECOND + grace - now) / 1e9 / max(rate, 1e-9)
        return min(max(left_s, 0.001), 0.25)

    def _serve_anew(self) -> None:
        """Say in a hub whose memory was lost who serves it: what stood in its slots is gone, the lock is still held.

        Raises:
            HubHeld: a hub was put in its place, and another server holds that one.
        """
        self.hub._stop_serving()  # this process would refuse itself the lock that it still holds
        if not self.hub._try_serve():
            raise HubHeld(f"another server serves the hub that now lies at {self.hub.path}; end this one")
        clock.set_watermark_mode(self.hub, clock.WATERMARK_SERVER)
        self._incarnation = self.hub._incarnation

    def status(self) -> dict[str, Any]:
        """Describe the hub as `DataHub.get_status` does."""
        return self.hub.get_status()

    def close(self) -> None:
        """Hand the hub back to its ticks and leave."""
        if self.hub.closed:
            return
        try:
            clock.set_watermark_mode(self.hub, clock.WATERMARK_TICKS)
            self.hub._stop_serving()
        finally:
            self.hub.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
