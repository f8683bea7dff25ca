// How ticks become candles. Pure functions: the same ticks in the same order give the same bytes, whoever folds them.
//
// Open and close go by (ts_event, sequence). Whatever is merged in has higher sequences than what is there, so an equal
// ts_event takes the close and never the open.
#pragma once

#include "frames.hpp"

namespace tapehub {

inline double price_of(PriceBasis basis, double bid, double ask) {
  return basis == PriceBasis::Mid ? (bid + ask) / 2 : basis == PriceBasis::Bid ? bid : ask;
}

inline Pending pending_of(i64 start, i64 ts, double price) { return {start, price, price, price, price, ts, ts, 1}; }

inline void fold(Pending& into, i64 ts, double price) {
  if (price > into.high) into.high = price;
  if (price < into.low) into.low = price;
  if (ts >= into.ts_last) {
    into.close = price;
    into.ts_last = ts;
  }
  if (ts < into.ts_first) {
    into.open = price;
    into.ts_first = ts;
  }
  ++into.ticks;
}

inline CandleBody candle_of(const Pending& part, i64 start, u32 frame, i64 arrival, u8 source, u16 instrument) {
  CandleBody body{};
  body.timestamp = start;
  body.open = part.open;
  body.high = part.high;
  body.low = part.low;
  body.close = part.close;
  body.volume = double(part.ticks);
  body.ts_first = part.ts_first;
  body.ts_last = part.ts_last;
  body.ts_arrival = arrival;
  body.ticks = u32(part.ticks);
  body.revision = 1;
  body.timeframe = u8(frame);
  body.coverage = 1.0f;
  body.source = source;
  body.instrument = instrument;
  return body;
}

// A caller's minute as it goes into the rings: final as given, floored to its interval.
inline CandleBody pushed_body(CandleBody body, const Interval& minute, i64 arrival, u16 instrument) {
  body.timestamp = minute.start;
  body.timeframe = kMinuteFrame;
  body.flags |= kCandlePushed;
  body.ts_first = minute.start;
  body.ts_last = minute.end - 1;
  body.ts_arrival = arrival;
  body.instrument = instrument;  // its source stays as labelled by the caller
  body.revision = 1;
  body.status = 0;
  return body;
}

template <class Candle, class Part>
inline void merge_prices(Candle& into, const Part& part) {
  if (part.high > into.high) into.high = part.high;
  if (part.low < into.low) into.low = part.low;
  if (part.ts_last >= into.ts_last) {
    into.close = part.close;
    into.ts_last = part.ts_last;
  }
  if (part.ts_first < into.ts_first) {
    into.open = part.open;
    into.ts_first = part.ts_first;
  }
}

inline void merge_parts(Pending& into, const Pending& part) {
  merge_prices(into, part);
  into.ticks += part.ticks;
}

inline void merge(CandleBody& into, const Pending& part, i64 arrival) {
  merge_prices(into, part);
  into.volume += double(part.ticks);
  into.ticks += u32(part.ticks);
  into.ts_arrival = arrival;
}

// A child candle into its parent, for roll-ups from pushed minutes.
inline void merge(CandleBody& into, const CandleBody& child) {
  merge_prices(into, child);
  into.volume += child.volume;
  into.ticks += child.ticks;
  if (child.ts_arrival > into.ts_arrival) into.ts_arrival = child.ts_arrival;
  into.flags = u8((into.flags & child.flags & kCandleRealVolume) | ((into.flags | child.flags) & kCandleBackfill));
}

}  // namespace tapehub
