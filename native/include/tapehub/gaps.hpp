// Spans of a channel without a live feed, and what share of an interval lies outside of all of them. The newest few are
// remembered: an interval that opens is charged for each of them that reaches into it, and once for what two share.
#pragma once

#include <algorithm>

#include "frames.hpp"

namespace tapehub {

struct GapSpans {
  static constexpr u32 kKept = 1 + kGapsOlder;
  i64 start[kKept] = {}, end[kKept] = {};  // newest first; an end of 0 for none, INT64_MAX while it lasts

  static GapSpans of(const ChannelRare& rare) {
    GapSpans spans;
    spans.start[0] = rare.gap_start;
    spans.end[0] = rare.gap_end;
    for (u32 i = 0; i < kGapsOlder; ++i) {
      spans.start[i + 1] = rare.gaps_older[2 * i];
      spans.end[i + 1] = rare.gaps_older[2 * i + 1];
    }
    return spans;
  }
  void keep_in(ChannelRare& rare) const {
    rare.gap_start = start[0];
    rare.gap_end = end[0];
    for (u32 i = 0; i < kGapsOlder; ++i) {
      rare.gaps_older[2 * i] = start[i + 1];
      rare.gaps_older[2 * i + 1] = end[i + 1];
    }
  }

  bool none() const { return end[0] == 0; }
  // Nothing was live before the first tick, unless a gap says more.
  void first_tick(i64 ts) {
    if (none()) {
      start[0] = kTimeNever;
      end[0] = ts;
    }
  }
  // The same start is the same gap, of which the last record holds.
  void note(i64 from, i64 to) {
    for (u32 i = 0; i < kKept; ++i) {
      if (end[i] == 0 || start[i] != from) continue;
      end[i] = to;
      for (; i > 0; --i) {  // it is the newest again
        std::swap(start[i], start[i - 1]);
        std::swap(end[i], end[i - 1]);
      }
      return;
    }
    for (u32 i = kKept - 1; i > 0; --i) {
      start[i] = start[i - 1];
      end[i] = end[i - 1];
    }
    start[0] = from;
    end[0] = to;
  }

  // How much of [from, to) lies in no span whose end is known: what lasts is charged when it ends.
  i64 outside(i64 from, i64 to) const {
    i64 left = 0;
    while (from < to) {
      i64 reached = from, next = to;
      for (u32 i = 0; i < kKept; ++i) {
        if (end[i] == 0 || end[i] == INT64_MAX || end[i] <= from) continue;
        if (start[i] <= from) reached = std::max(reached, end[i]); else next = std::min(next, start[i]);
      }
      if (reached == from) {
        left += next - from;
        reached = next;
      }
      from = reached;
    }
    return left;
  }
  // Of an interval that opens now.
  float coverage(const Interval& interval) const {
    const i64 length = interval.close - interval.start, live = outside(interval.start, interval.close);
    return live == length ? 1.0f : 1.0f - float(double(length - live) / double(length));
  }
  // Of a candle that is there, by a span that is not among these yet.
  float reduced(float coverage, const Interval& interval, i64 from, i64 to) const {
    const i64 lost = outside(std::max(interval.start, from), std::min(interval.close, to));
    return lost <= 0 ? coverage : std::max(0.0f, coverage - float(double(lost) / double(interval.close - interval.start)));
  }
  // Whether a feed is known to have been down in some of [from, to). Before its first tick it was only not there yet.
  bool touches(i64 from, i64 to) const {
    for (u32 i = 0; i < kKept; ++i) {
      if (end[i] != 0 && start[i] != kTimeNever && start[i] < to && end[i] > from) return true;
    }
    return false;
  }
};

}  // namespace tapehub
