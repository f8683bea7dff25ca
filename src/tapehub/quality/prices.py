"""Judge prices by those before them: wrong scale, spikes, blown spreads, and quotes that were sent twice.

One `Channel` holds what is remembered of one instrument from one source. `passes` accepts a quote that is within all
limits at their tightest, as nearly every one is; `judge` looks closer at the others; `judge_many` takes a run of them:
at once where no quote of it is suspect, else one by one by the same rules. A property test compares the three.

The rules, with their numbers below:

- *Scale*: the mid is over 20 times above or below the last accepted one, or as far outside the plausible band.
- *Blown spread*: wider than both half a percent of the price and 30 times the learnt spread. Half a percent is 57 pips
  of EUR/USD, so that the widening at 17:00 New York (some 5 to 20 pips) passes. The learnt spread is the median of 256
  quotes, renewed each 256, moving by a factor of two at the most; blown ones count in it, so that a market that stays
  wide is believed after a while. Until it is learnt, only a spread of over 5 % is blown.
- *Spike*: the mid moved from the last accepted one by more than the jump an instrument is granted (FX 0.5 %, indices
  and metals 1 %, what trades around the clock 2 %) times the square root of 1 + seconds between them / 60, at most
  50 %. A jump that persists gets through: the third quote of those that agree with each other is accepted, and is what
  the next ones are compared with. Quotes that were sent twice confirm nothing.
"""

from __future__ import annotations

import math
import sys

import numpy as np
import numpy.typing as npt

from tapehub.model.calendars import CalendarId
from tapehub.model.instruments import Instrument
from tapehub.quality.duplicates import Duplicates
from tapehub.quality.reasons import Reason

__all__ = ["ACCEPTED", "CONFIRMATIONS", "DUPLICATE", "EARLIEST_NS", "Channel", "likely_factor"]

ACCEPTED = 0
DUPLICATE = 255
EARLIEST_NS = 631_152_000_000_000_000  # 1990-01-01

SCALE_RATIO = 20.0
CONFIRMATIONS = 3
JUMP_SHARE = {CalendarId.FX: 0.005, CalendarId.METALS: 0.01, CalendarId.ALWAYS: 0.02}
JUMP_SHARE_MAX = 0.5
JUMP_GROWS_OVER_NS = 60e9
BLOWN_SHARE = 0.005
BLOWN_RATIO = 30.0
BLOWN_SHARE_UNLEARNT = 0.05
SPREADS_LEARNT = 256

_SCALE, _SPIKE, _BLOWN = int(Reason.SCALE), int(Reason.SPIKE), int(Reason.BLOWN_SPREAD)
_Floats = npt.NDArray[np.float64]


def likely_factor(mid: float, plausible: float) -> float:
    """Give the power of ten that would bring a price where it belongs: 0.0001 for EUR/USD at 11515.4."""
    return 10.0 ** round(math.log10(plausible / mid)) if mid > 0 and plausible > 0 else 1.0


class Channel:
    """Remember what the next quotes of one instrument and source are judged by. One thread."""

    __slots__ = (
        "_agreeing",
        "_candidate",
        "_ceiling",
        "_duplicates",
        "_floor",
        "_high",
        "_jump",
        "_low",
        "_spreads",
        "_ts_candidate",
        "_ts_last",
        "declared",
        "input_scale",
        "mid",
        "spread_learnt",
    )

    def __init__(self, instrument: Instrument) -> None:
        self.declared = instrument.declared
        self.input_scale = instrument.input_scale
        self.mid = 0.0
        """The last accepted one; 0 before the first."""
        self.spread_learnt = -1.0
        """In market units; below 0 until it is learnt."""
        self._duplicates = Duplicates(EARLIEST_NS - 1)
        self._ts_last = 0
        self._jump = JUMP_SHARE[instrument.calendar]
        self._high = instrument.price_high * SCALE_RATIO if instrument.price_high > 0 else math.inf
        self._low = instrument.price_low / SCALE_RATIO
        # What no price may cross that passes without a closer look; of an instrument that is not declared, none does.
        self._floor = max(self._low, sys.float_info.min) if instrument.declared else math.inf
        self._ceiling = min(self._high, sys.float_info.max)
        self._candidate = 0.0  # where the price may have jumped to
        self._ts_candidate = 0
        self._agreeing = 0
        self._spreads: list[float] = []

    @property
    def plausible(self) -> float:
        """Give a price to measure others by: the last accepted, or the middle of the band; 0 when nothing is known."""
        if self.mid:
            return self.mid
        return math.sqrt(self._low * self._high) if self._low and self._high < math.inf else 0.0

    def passes(self, ts_event: int, bid: float, ask: float, latest_ns: int) -> bool:
        """Accept a quote, sound or not, that nothing speaks against; False, and nothing remembered, is for `judge`.

        One call and one chain of comparisons, since this is what becomes of all but a few: it is newer than all before
        and no newer than `latest_ns`, its prices are those of a sound quote of a declared instrument, and neither the
        step from the last accepted price nor the spread needs a limit to be worked out.
        """
        last, mid, spread = self.mid, (bid + ask) * 0.5, ask - bid
        duplicates = self._duplicates
        if not (
            duplicates.newest_ns < ts_event <= latest_ns
            and self._floor <= bid <= ask <= self._ceiling
            and abs(mid - last) <= last * self._jump
            and spread <= mid * BLOWN_SHARE
        ):
            return False
        duplicates.newest_ns = ts_event
        duplicates.aside.append((ts_event, bid, ask))
        self.mid, self._ts_last, self._agreeing = mid, ts_event, 0
        spreads = self._spreads
        spreads.append(spread)
        if len(spreads) >= SPREADS_LEARNT:
            self._learn()
            duplicates.trim()
        return True

    def judge(self, ts_event: int, bid: float, ask: float) -> int:
        """Give the fate of a quote that is sound in itself: `ACCEPTED`, `DUPLICATE` or the number of a `Reason`."""
        if self._duplicates.repeats(ts_event, bid, ask):
            return DUPLICATE
        mid, spread, last = (bid + ask) * 0.5, ask - bid, self.mid
        calm = abs(mid - last) <= last * self._jump and spread <= mid * BLOWN_SHARE
        if not (calm and self._low <= mid <= self._high):
            return self._judge_price(ts_event, mid, spread)
        self.mid, self._ts_last, self._agreeing = mid, ts_event, 0
        self._spreads.append(spread)
        self._learn()
        return ACCEPTED

    def judge_many(self, ts_event: npt.NDArray[np.int64], bid: _Floats, ask: _Floats) -> npt.NDArray[np.uint8] | None:
        """Judge a run of quotes, in order, as `judge` would one by one.

        Returns:
            uint8, shape (n,), or None when every one of them is accepted.
        """
        repeated = self._duplicates.marks(ts_event, bid, ask)
        if repeated is None:
            return self._judge_prices(ts_event, (bid + ask) * 0.5, ask - bid)
        fates = np.full(len(ts_event), DUPLICATE, dtype=np.uint8)
        kept = np.flatnonzero(~repeated)
        if len(kept):
            bid, ask = bid[kept], ask[kept]
            judged = self._judge_prices(ts_event[kept], (bid + ask) * 0.5, ask - bid)
            fates[kept] = ACCEPTED if judged is None else judged
        return fates

    def _judge_prices(
        self, ts_event: npt.NDArray[np.int64], mid: _Floats, spread: _Floats
    ) -> npt.NDArray[np.uint8] | None:
        # Within all limits at their tightest: then no limit needs to be worked out.
        first, last = float(mid[0]), self.mid or float(mid[0])
        calm = (
            abs(first - last) <= last * self._jump
            and bool((np.abs(mid[1:] - mid[:-1]) <= mid[:-1] * self._jump).all())
            and bool((spread <= mid * BLOWN_SHARE).all())
            and self._low <= float(mid.min())
            and float(mid.max()) <= self._high
        )
        if not calm:
            rows = zip(ts_event.tolist(), mid.tolist(), spread.tolist(), strict=True)
            return np.array([self._judge_price(*row) for row in rows], dtype=np.uint8)
        self.mid, self._ts_last, self._agreeing = float(mid[-1]), int(ts_event[-1]), 0
        while len(spread):
            taken = SPREADS_LEARNT - len(self._spreads)
            self._spreads += spread[:taken].tolist()
            self._learn()
            spread = spread[taken:]
        return None

    def _judge_price(self, ts_event: int, mid: float, spread: float) -> int:
        last = self.mid
        if mid > self._high or mid < self._low or (last and (mid > last * SCALE_RATIO or mid * SCALE_RATIO < last)):
            return _SCALE
        learnt = self.spread_learnt
        blown = spread > (max(mid * BLOWN_SHARE, learnt * BLOWN_RATIO) if learnt >= 0 else mid * BLOWN_SHARE_UNLEARNT)
        self._spreads.append(spread)
        self._learn()
        if last and abs(mid - last) > last * self._granted(ts_event - self._ts_last):
            if blown or not self._persists(ts_event, mid):
                return _SPIKE
        else:
            self._agreeing = 0
            if blown:
                return _BLOWN
        self.mid, self._ts_last = mid, ts_event
        return ACCEPTED

    def _granted(self, after_ns: int) -> float:
        """Give the share of its price by which an instrument may move in this time."""
        if after_ns <= 0:
            return self._jump
        return min(JUMP_SHARE_MAX, self._jump * math.sqrt(1.0 + after_ns / JUMP_GROWS_OVER_NS))

    def _persists(self, ts_event: int, mid: float) -> bool:
        """Tell whether enough quotes in a row agree on where the price has jumped to."""
        known = self._candidate
        near = self._agreeing and abs(mid - known) <= known * self._granted(ts_event - self._ts_candidate)
        self._agreeing = self._agreeing + 1 if near else 1
        self._candidate, self._ts_candidate = mid, ts_event
        if self._agreeing < CONFIRMATIONS:
            return False
        self._agreeing = 0
        return True

    def _learn(self) -> None:
        if len(self._spreads) < SPREADS_LEARNT:
            return
        ranked = sorted(self._spreads)
        median = (ranked[SPREADS_LEARNT // 2 - 1] + ranked[SPREADS_LEARNT // 2]) / 2
        known = self.spread_learnt
        self.spread_learnt = median if known <= 0 else min(max(median, known / 2), known * 2)
        self._spreads.clear()
