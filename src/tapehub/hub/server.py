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
        self.started = datetime.now(UTC)
        self._calendars = None if calendars is None else tuple(calendars)
        self._retention: dict[str, Any] = {"bytes_max": retention_bytes, "days_max": retention_days}
        self._served = 0
        try:
            self._take()
        except BaseException:  # nobody has this object, so nobody else can close it
            self.hub.close()
            raise

    def _take(self) -> None:
        """Take the lock of the hub that lies there now, and give it what a served hub has."""
        hub = self.hub
        hub._head()
        incarnation = hub._incarnation
        if not hub._try_serve():
            holder = hub.server()
            who = f"process {holder[0]}, started {holder[1]:%Y-%m-%d %H:%M:%S} UTC" if holder else "another process"
            raise HubHeld(f"{who}, serves this hub already: {hub.path}; attach to it, or stop it first")
        try:
            log_sessions(hub, self._calendars or (), replace=self._calendars is not None)
            set_retention(hub, **self._retention)
            hub._names.apply_overrides()
            clock.set_watermark_mode(hub, clock.WATERMARK_SERVER)
        except BaseException:  # a full disk: who has the lock beats
            hub._stop_serving()
            raise
        self._served = incarnation

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
        """Log a watermark when a second of the hub clock has passed; returns the seconds until the next one.

        Raises:
            HubHeld: the hub was replaced, and another server holds the one that lies there now.
        """
        hub = self.hub
        state = hub._hub_state()
        if hub._incarnation != self._served:  # its lock went with the hub that was
            self._take()
            _log.warning("the hub was replaced or opened anew, and is served again: %s", hub.path)
            state = hub._hub_state()
        hub._beat()
        grace = int(state["grace_ns"])
        reading = clock.clock_of(hub)
        now = reading.now_ns
        mark = (now - grace) // _SECOND * _SECOND
        if now > -(1 << 62) and mark > int(state["watermark_ns"]):
            hub.advance(mark + grace)
        if not reading.rate:  # events move it: nobody can tell when it will have gone a second further
            return 0.05
        left_s = (mark + _SECOND + grace - now) / 1e9 / max(reading.rate, 1e-9)
        return min(max(left_s, 0.001), 0.25)

    def status(self) -> dict[str, Any]:
        """Describe the hub as `DataHub.get_status` does."""
        return self.hub.get_status()

    def close(self) -> None:
        """Hand the hub back to its ticks and leave."""
        if self.hub.closed:
            return
        try:
            if self.hub._incarnation == self._served:  # else it is another server's, or nobody's
                try:
                    clock.set_watermark_mode(self.hub, clock.WATERMARK_TICKS)
                finally:
                    self.hub._stop_serving()
        finally:
            self.hub.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
