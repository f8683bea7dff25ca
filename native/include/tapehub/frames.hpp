// Which interval of a timeframe an instant belongs to.
//
// Up to one hour intervals are aligned to UTC. Days and weeks begin at 17:00 New York and four-hour bars count from
// there, so they need the zone's offsets: a table of UTC instants, written at creation from the IANA zone.
#pragma once

#include <algorithm>

#include "layout.hpp"

namespace tapehub {

struct Interval {
  i64 start;
  i64 end;    // first instant of the next one
  i64 close;  // when it can be final: end, but Friday's close for a week that trades five days
};

struct Zone {
  const i64* from = nullptr;
  const i64* offset = nullptr;
  u64 count = 0;

  i64 offset_at(i64 ts) const {
    if (count == 0) return -5 * kHour;
    auto* it = std::upper_bound(from, from + count, ts);
    return offset[it == from ? 0 : (it - from) - 1];
  }
};

constexpr i64 floor_div(i64 a, i64 b) { return a / b - (a % b < 0); }

inline constexpr i64 kSessionStart = 17 * kHour;

inline i64 day_start_utc(const Zone& zone, i64 day) {
  const i64 local = day * kDay + kSessionStart;
  const i64 guess = local - zone.offset_at(local - zone.offset_at(local));
  return local - zone.offset_at(guess);  // no zone shifts at 17:00, so this is a fixed point
}

inline i64 day_of(const Zone& zone, i64 ts) {
  return floor_div(ts + zone.offset_at(ts) - kSessionStart, kDay);
}

inline Interval interval_of(const Zone& zone, u32 frame, i64 ts, u32 week_days) {
  const i64 span = kTimeframes[frame].span_ns;
  if (frame <= kHourFrame) {
    const i64 start = floor_div(ts, span) * span;
    return {start, start + span, start + span};
  }
  const i64 day = day_of(zone, ts);
  if (frame == kWeekFrame) {
    const i64 first = floor_div(day - 3, 7) * 7 + 3;  // day 3 of the epoch is a Sunday
    return {day_start_utc(zone, first), day_start_utc(zone, first + 7),
            day_start_utc(zone, first + (week_days == 7 ? 7 : 5))};
  }
  const i64 start = day_start_utc(zone, day);
  const i64 end = day_start_utc(zone, day + 1);
  if (frame == kDayFrame) return {start, end, end};
  const i64 bar = start + (ts - start) / span * span;
  const i64 bar_end = std::min(bar + span, end);
  return {bar, bar_end, bar_end};
}

// The last interval of each timeframe, since the next tick nearly always falls into the same one.
class IntervalCache {
 public:
  const Interval& of(const Zone& zone, u32 frame, i64 ts, u32 week_days) {
    Slot& slot = slots_[frame][week_days == 7];
    if (ts >= slot.start && ts < slot.end) return slot;
    static_cast<Interval&>(slot) = interval_of(zone, frame, ts, week_days);
    return slot;
  }

 private:
  struct Slot : Interval {
    Slot() : Interval{0, 0, 0} {}
  };
  Slot slots_[kTimeframeCount][2];
};

}  // namespace tapehub
