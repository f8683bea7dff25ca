"""Log what the gate refused, no more of it than helps: a broken feed must not fill the tape with its rubbish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapehub.hub import marks
from tapehub.quality import Gate, Reason
from tapehub.quality.gate import Batch
from tapehub.quality.prices import likely_factor

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Quarantine"]

_MINUTE = 60_000_000_000
STORED_PER_MINUTE = 10
"""For each instrument, source and reason; the others are counted, and the count stands in the next one."""


class _Lane:
    """What was stored of one instrument, source and reason this minute."""

    __slots__ = ("not_stored", "since_ns", "stored")

    def __init__(self, now_ns: int) -> None:
        self.since_ns = now_ns
        self.stored = 0
        self.not_stored = 0


class Quarantine:
    """Keep what was refused. One thread."""

    def __init__(self, hub: DataHub) -> None:
        self._hub = hub
        self._lanes: dict[tuple[str, str, int], _Lane] = {}

    def quote(self, symbol: str, source: str, reason: Reason, row: tuple[float, ...], now_ns: int, detail: str) -> None:
        """Keep a quote: ts_event, ts_recv, bid, ask, bid_size, ask_size."""
        if (not_stored := self._due(symbol, source, reason, now_ns)) is not None:
            values = (int(row[0]), int(row[1]), row[2], row[3], row[4], row[5])
            marks.quarantine(
                self._hub, symbol, source, reason, now_ns, quote=values, detail=detail, not_stored=not_stored
            )

    def quotes(
        self, bad: Batch, reasons: list[int], symbols: tuple[str, ...], source: str, now_ns: int, gate: Gate
    ) -> None:
        """Keep what a verdict set aside."""
        for row, number in zip(bad if isinstance(bad, list) else bad.tolist(), reasons, strict=True):
            symbol, reason = symbols[row[-1]] if row[-1] < len(symbols) else "", Reason(number)
            self.quote(symbol, source, reason, row, now_ns, _detail(reason, symbol, source, row, now_ns, gate))

    def message(self, raw: bytes, why: str, source: str, now_ns: int, symbol: str = "") -> None:
        """Keep a message that could not be read; no symbol where it tells none."""
        if (not_stored := self._due(symbol, source, Reason.MALFORMED, now_ns)) is not None:
            marks.quarantine(
                self._hub, symbol, source, Reason.MALFORMED, now_ns, raw=raw, detail=why, not_stored=not_stored
            )

    def on_time(self, now_ns: int) -> None:
        """Log the counts of what was not stored, where nothing came after it to carry them."""
        for (symbol, source, reason), lane in list(self._lanes.items()):
            if now_ns - lane.since_ns >= _MINUTE:
                del self._lanes[symbol, source, reason]
                self._settle(symbol, source, reason, lane, now_ns)

    def stop(self, now_ns: int) -> None:
        """Log all counts that have not been."""
        for (symbol, source, reason), lane in self._lanes.items():
            self._settle(symbol, source, reason, lane, now_ns)
        self._lanes.clear()

    def _settle(self, symbol: str, source: str, reason: int, lane: _Lane, now_ns: int) -> None:
        if lane.not_stored:
            marks.quarantine(
                self._hub, symbol, source, reason, now_ns, detail="more of the same", not_stored=lane.not_stored
            )

    def _due(self, symbol: str, source: str, reason: Reason, now_ns: int) -> int | None:
        """Say whether to store one more, and how many were left out before it; None when this one is."""
        key = (symbol, source, int(reason))
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(now_ns)
        elif now_ns - lane.since_ns >= _MINUTE:
            lane.since_ns, lane.stored = now_ns, 0
        if lane.stored >= STORED_PER_MINUTE:
            lane.not_stored += 1
            return None
        lane.stored += 1
        left_out, lane.not_stored = lane.not_stored, 0
        return left_out


def _detail(reason: Reason, symbol: str, source: str, row: tuple[float, ...], now_ns: int, gate: Gate) -> str:
    """Say what was expected instead, where that helps."""
    if reason is Reason.FUTURE:
        return f"{(row[0] - now_ns) / 1e9:.1f} s ahead of the hub clock; check NTP"
    if reason is Reason.UNKNOWN_INSTRUMENT:
        return f"{symbol or 'no symbol'}: declare it in the configuration"
    if reason not in (Reason.SCALE, Reason.SPIKE):
        return ""
    mid, plausible = (row[2] + row[3]) / 2, gate.channel(symbol, source).plausible
    if reason is Reason.SCALE:
        return f"expected about {plausible:g}; input_scale = {likely_factor(mid, plausible):g} would convert it"
    return f"expected about {plausible:g}"
