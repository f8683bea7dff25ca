"""One instrument at one instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapehub._native import Candle, OrderFlowMetrics, Tick

__all__ = ["Snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Say everything about one instrument in one consistent read.

    Attributes:
        symbol, source: the instrument and the source that was read (its primary one).
        tick: the latest tick, or None.
        candles: newest candles of ``timeframe``, oldest first; the last may be forming.
        order_flow: the latest metrics, or None.
        state: ``unverified``, ``live``, ``quiet``, ``stale``, ``dead``, ``closed`` or ``empty`` (no tick yet).
        age_s: hub clock minus the latest tick's ``ts_event``, in seconds; None without a tick. Below 0 the tick is
            stamped ahead: by a minute as clocks differ, by more it is ``stale``.
        completeness: coverage of the newest final candle, 0 to 1; None without one.
        now_ns: the hub clock when it was read, ns UTC.
        seq: the last record of this instrument that is in here.
    """

    symbol: str
    source: str
    timeframe: str
    tick: Tick | None
    candles: list[Candle]
    order_flow: OrderFlowMetrics | None
    state: str
    age_s: float | None
    completeness: float | None
    now_ns: int
    seq: int
