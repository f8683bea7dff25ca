"""Made-up FX quotes that look like the real thing: no file, no network, the same ticks for the same seed.

The series is a function of (seed, symbol, time): any window of it can be made without what came before, and two
windows that overlap agree there. Time is cut into blocks of fifteen minutes, each with a random generator of its
own; the price at block boundaries is a sum of waves of all periods from hours to years with Brownian weights, and
within a block a Brownian bridge between them.

What is modelled: log-normal gaps between ticks, busier in the London and New York day; spreads that widen at 17:00
New York, when banks roll their positions; markets closed as their calendar says. What is not: jumps at news,
correlation between pairs.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from tapehub.errors import ConfigError
from tapehub.feeds.feed import Guarantees, Quotes, RecordedFeed, Records, empty_quotes, in_time, joined
from tapehub.feeds.instants import instant_ns
from tapehub.model.calendars import Calendar, local_ns
from tapehub.model.instruments import Instrument, InstrumentBook, meant

__all__ = ["Synthetic"]

_SECOND = 1_000_000_000
_HOUR = 3600 * _SECOND
_DAY = 24 * _HOUR
_BLOCK = 900 * _SECOND
_STEP_US = 1_000  # event times are whole microseconds, and no two ticks of an instrument share one
_GAP_SIGMA = 1.2  # of the logarithm of the gap between ticks
_YEARLY_MOVE = 0.09  # standard deviation of the logarithm of price over a year
_PERIODS_H = 3.0 * 1.7 ** np.arange(17)  # three hours to a decade
# Ticks by hour of the New York day, relative; from midnight. Asia's morning is the evening here.
_BUSY = np.array(
    [
        0.6,
        0.7,
        1.2,
        1.8,
        1.7,
        1.4,
        1.3,
        1.4,
        2.0,
        2.1,
        2.0,
        1.6,
        1.2,
        1.1,
        1.0,
        0.9,
        0.6,
        0.2,
        0.3,
        0.5,
        0.7,
        0.7,
        0.6,
        0.6,
    ]
)
_BUSY_MEAN = float(_BUSY.mean())
_SPREAD_PIPS = {"EUR_USD": 0.6, "USD_JPY": 0.7, "GBP_USD": 0.9, "AUD_USD": 0.8, "XAU_USD": 25.0}
_SPREAD_OTHER = 1.5
_SIZES = np.array([1e5, 2.5e5, 5e5, 1e6, 2e6, 5e6], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Waves:
    """Give the logarithm of an instrument's price at any time."""

    amplitude: npt.NDArray[np.float64]
    phase: npt.NDArray[np.float64]
    level: float

    def at(self, ts_ns: int) -> float:
        angle = 2 * np.pi * (ts_ns / _HOUR) / _PERIODS_H + self.phase
        return self.level + float(self.amplitude @ np.sin(angle))


class Synthetic(RecordedFeed):
    """Make quotes of any instruments for a span of event time. Any number of iterations, each its own.

    Args:
        symbols: any names; each needs a plausible price in the instrument table or in `book`.
        start, end: event time, from `start` up to `end`, exclusive: UTC ns, datetime or ISO text.
        seed: same seed, same ticks (for one version of numpy).
        ticks_per_s: mean rate of each instrument over a trading day.
        book: instruments of the configuration.
    """

    def __init__(
        self,
        symbols: Iterable[str],
        start: int | str | datetime,
        end: int | str | datetime,
        seed: int = 1,
        ticks_per_s: float = 1.0,
        book: InstrumentBook | None = None,
        name: str = "synthetic",
    ) -> None:
        book = book or InstrumentBook()
        rows = [book.find(symbol) for symbol in dict.fromkeys(book.name(symbol) for symbol in symbols)]
        start_ns, end_ns = instant_ns(start, "start"), instant_ns(end, "end")
        if not rows or start_ns is None or end_ns is None or end_ns < start_ns or not 0 < ticks_per_s <= 20_000:
            raise ConfigError(
                f"synthetic feed of {len(rows)} symbols from {start} to {end} at {ticks_per_s} ticks/s: expected "
                "at least one symbol, start before end, and a rate above 0 and up to 20000"
            )
        if unpriced := [row.symbol for row in rows if not (row.price_typical and row.pip_size)]:
            raise ConfigError(
                f"no plausible price of {', '.join(unpriced)} to make quotes up around: expected pip_size, price_low "
                f"and price_high of each in tapehub.toml, as [instruments.{unpriced[0]}]{meant(unpriced[0])}"
            )
        self.name = name
        self.symbols = tuple(row.symbol for row in rows)
        self.guarantees = Guarantees(ordered=True, merged=True, repeatable=True, complete=True)
        self._start_ns, self._end_ns = start_ns, end_ns
        self._rate = ticks_per_s
        self._lanes = [_Lane(row, seed) for row in rows]

    def batches(self) -> Iterator[Quotes]:
        """Iterate over the quotes, one batch for each quarter of an hour that has any."""
        sources = (self.name,) * len(self.symbols)
        for block in range(self._start_ns // _BLOCK, -(-self._end_ns // _BLOCK)):
            parts = [lane.block(block, i, self._rate) for i, lane in enumerate(self._lanes)]
            records = in_time(joined(parts))
            begin, end = np.searchsorted(records["ts_event"], [self._start_ns, self._end_ns])
            if end > begin:
                yield Quotes(records[begin:end], self.symbols, sources)


class _Lane:
    """Make the ticks of one instrument."""

    def __init__(self, row: Instrument, seed: int) -> None:
        self._row = row
        self._calendar = Calendar(row.calendar)
        self._key = (seed, zlib.crc32(row.symbol.encode()))
        random = np.random.default_rng(self._key)
        # Brownian motion has waves of amplitude proportional to their period's square root ... over a year.
        weight = np.sqrt(np.minimum(_PERIODS_H, 24.0 * 365)) / math.sqrt(24.0 * 365)
        amplitude = _YEARLY_MOVE * 0.35 * weight * np.abs(random.standard_normal(len(_PERIODS_H)))
        self._waves = _Waves(amplitude, random.uniform(0, 2 * np.pi, len(_PERIODS_H)), math.log(row.price_typical))

    def block(self, number: int, index: int, rate: float) -> Records:
        """Make the ticks of the block that begins at `number` quarters of an hour after 1970."""
        random = np.random.default_rng((*self._key, number))
        begin = number * _BLOCK
        ts_event = self._arrivals(random, begin, rate)
        quotes = empty_quotes(len(ts_event))
        if not len(ts_event):
            return quotes
        scale = 10.0**self._row.decimals
        bid, spread = self._points(random, begin, ts_event, scale)
        quotes["ts_event"] = ts_event
        quotes["bid"] = bid / scale
        quotes["ask"] = (bid + spread) / scale
        sizes = random.choice(_SIZES, size=(2, len(ts_event)))
        quotes["bid_size"], quotes["ask_size"] = sizes
        quotes["instrument"] = index
        return quotes

    def _arrivals(self, random: np.random.Generator, begin: int, rate: float) -> npt.NDArray[np.int64]:
        minutes = begin + np.arange(16, dtype=np.int64) * (_BLOCK // 15)
        hours = (local_ns(minutes[:-1]) % _DAY) // _HOUR
        busy = _BUSY[hours] / _BUSY_MEAN * self._calendar.is_open(minutes[:-1])
        expected = np.concatenate([[0.0], np.cumsum(busy * rate * 60)])
        total = float(expected[-1])
        if total <= 0:
            return np.empty(0, dtype=np.int64)
        draws = int(total + 12 * math.sqrt(total * math.exp(_GAP_SIGMA**2)) + 16)
        gaps = random.lognormal(-(_GAP_SIGMA**2) / 2, _GAP_SIGMA, draws)  # of mean 1
        passed = np.cumsum(gaps) - gaps[0] * random.uniform()
        passed = passed[passed < total]
        # Where nobody trades `expected` is flat, and interpolation jumps over it.
        ts_us = np.interp(passed, expected, (minutes - begin) / _STEP_US).astype(np.int64)
        order = np.arange(len(ts_us))
        ts_us = np.maximum.accumulate(ts_us - order) + order
        ts_event = begin + ts_us[ts_us < _BLOCK // _STEP_US] * _STEP_US
        return ts_event[self._calendar.is_open(ts_event)]

    def _points(
        self, random: np.random.Generator, begin: int, ts_event: npt.NDArray[np.int64], scale: float
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        first, last = self._waves.at(begin), self._waves.at(begin + _BLOCK)
        share = (ts_event - begin) / _BLOCK
        step = np.sqrt(np.diff(share, prepend=0.0, append=1.0))
        walk = np.cumsum(random.standard_normal(len(step)) * step)
        bridge = walk[:-1] - share * walk[-1]
        sigma = _YEARLY_MOVE * math.sqrt(_BLOCK / (260 * _DAY))
        mid = np.exp(first + (last - first) * share + sigma * bridge)
        base = _SPREAD_PIPS.get(self._row.symbol, _SPREAD_OTHER) * self._row.pip_size
        # Up to eight times as wide in the minutes around 17:00 New York, fading over an hour.
        from_roll_h = np.abs((local_ns(ts_event) - 17 * _HOUR + _DAY // 2) % _DAY - _DAY // 2) / _HOUR
        wide = 1 + 7 * np.exp(-((from_roll_h / 0.35) ** 2))
        spread = base * wide * random.lognormal(0.0, 0.2, len(ts_event))
        spread_points = np.maximum(np.rint(spread * scale), 1.0)
        bid_points = np.maximum(np.rint(mid * scale - spread_points / 2), 1.0)
        return bid_points, spread_points
