"""Hold each candle that the hub built against the one that the venue built.

Open and close compare exactly. The venue gives bid and ask candles; where the hub builds mid candles, the mid of the
venue's two highs is an upper bound of the mid's high (the two need not have been at one instant), and the lows' a lower
bound: only what lies beyond them counts as a difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tapehub.feeds.feed import VenueCandle
from tapehub.hub import marks, reading
from tapehub.model.policies import PriceBasis
from tapehub.model.timeframes import parse

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Reconciler"]

_SECOND = 1_000_000_000
SETTLES_NS = 2 * _SECOND
"""After the interval's end: ticks of its last moments may come on another subscription than the candle."""
LOST_AFTER_NS = 10 * _SECOND
AGREE_PIPS = 0.05
"""Prices of one decimal less than a tenth of a pip are rounding."""

_Prices = tuple[float, float, float, float]


class Reconciler:
    """Compare candles once both are complete. One thread."""

    def __init__(self, hub: DataHub) -> None:
        self._hub = hub
        self._waiting: dict[tuple[str, str, str, int], VenueCandle] = {}
        self._expected: dict[tuple[str, str, str], int] = {}  # the start that the venue has to confirm next
        self._confirmed: dict[tuple[str, str, str], set[int]] = {}

    def on_candle(self, candle: VenueCandle) -> None:
        """Take in what the venue built; the last one of an interval holds."""
        self._waiting[candle.symbol, candle.source, candle.timeframe, candle.start] = candle
        self._expected.setdefault((candle.symbol, candle.source, candle.timeframe), candle.start)

    def on_time(self, now_ns: int) -> int:
        """Compare what is due, and name the candles whose venue's own was lost. Returns how many were logged."""
        logged = 0
        for key, candle in sorted(self._waiting.items(), key=lambda pair: pair[1].start):
            if candle.start + parse(candle.timeframe).span_ns + SETTLES_NS <= now_ns:
                del self._waiting[key]
                logged += self._compare(candle, now_ns)
        for (symbol, source, timeframe), start in list(self._expected.items()):
            span = parse(timeframe).span_ns
            confirmed = self._confirmed.setdefault((symbol, source, timeframe), set())
            while start + span + LOST_AFTER_NS <= now_ns:
                if start not in confirmed:
                    logged += self._unconfirmed(symbol, source, timeframe, start, now_ns)
                confirmed.discard(start)
                start += span
            self._expected[symbol, source, timeframe] = start
        return logged

    def _compare(self, venue: VenueCandle, now_ns: int) -> int:
        if venue.start >= self._expected[key := (venue.symbol, venue.source, venue.timeframe)]:
            self._confirmed.setdefault(key, set()).add(venue.start)
        built = self._built(venue.symbol, venue.source, venue.timeframe, venue.start)
        basis = PriceBasis(int(self._hub._hub_state()["price_basis"]))
        theirs = _prices(venue, basis)
        told: dict[str, Any] = {
            "timeframe": venue.timeframe,
            # False when the venue's mark of its last update was lost: an update of the candle may be, too.
            "confirmed": venue.confirmed,
            "venue": theirs,
            "venue_ticks": venue.ticks,
        }
        if built is None:
            told |= {"built": None, "ticks": 0, "agrees": venue.ticks == 0, "difference_pips": None}
        else:
            ours: _Prices = (float(built["open"]), float(built["high"]), float(built["low"]), float(built["close"]))
            pip = float(self._hub.instruments[self._hub._names.canonical(venue.symbol)]["pip_size"] or 1.0)
            off = [(mine - its) / pip for mine, its in zip(ours, theirs, strict=True)]
            if basis is PriceBasis.MID:
                off[1], off[2] = max(0.0, off[1]), min(0.0, off[2])
            told |= {
                "built": ours,
                "ticks": int(built["ticks"]),
                "difference_pips": [round(one, 3) for one in off],
                "agrees": all(abs(one) <= AGREE_PIPS for one in off),
            }
        self._log(venue.symbol, venue.source, venue.timeframe, venue.start, told, now_ns)
        return 1

    def _unconfirmed(self, symbol: str, source: str, timeframe: str, start: int, now_ns: int) -> int:
        built = self._built(symbol, source, timeframe, start)
        if built is None:  # nothing traded, so there was nothing to confirm
            return 0
        told = {"timeframe": timeframe, "confirmed": False, "ticks": int(built["ticks"]), "agrees": None}
        self._log(symbol, source, timeframe, start, told, now_ns)
        return 1

    def _built(self, symbol: str, source: str, timeframe: str, start: int) -> Any:
        channel = reading.find_channel(self._hub, symbol, source)
        return None if channel is None else reading.candle_at(self._hub, channel, parse(timeframe), start)

    def _log(self, symbol: str, source: str, timeframe: str, start: int, told: dict[str, Any], now_ns: int) -> None:
        marks.comparison(self._hub, symbol, source, start, parse(timeframe).index, told, now_ns)


def _prices(venue: VenueCandle, basis: PriceBasis) -> _Prices:
    if basis is PriceBasis.BID:
        return venue.bid
    if basis is PriceBasis.ASK:
        return venue.ask
    first, high, low, last = ((bid + ask) / 2 for bid, ask in zip(venue.bid, venue.ask, strict=True))
    return first, high, low, last
