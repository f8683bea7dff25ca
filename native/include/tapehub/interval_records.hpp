// What records other than ticks do to the intervals that are followed. Included by intervals.hpp.
#pragma once

#include "intervals.hpp"

namespace tapehub {

inline void IntervalFold::define(Hub& hub, u16 id) {
  const Channel& shared = hub.views().channel(id);
  if (id >= works_.size()) works_.resize(id + 1u);
  Work& work = works_[id] = Work{};
  work.known = true;
  work.instrument = peek(shared.instrument);
  work.source = peek(shared.source);
  work.week_days = peek(shared.week_days);
  if (watermark_ != kTimeNever) open_after(work, watermark_);
}

// Every timeframe that has not begun begins with the first interval that is not closed.
inline void IntervalFold::open_after(Work& work, i64 mark) {
  if (mark == kTimeNever) return;
  for (u32 frame = 0; frame <= longest_; ++frame) {
    if (!asked_[frame] || work.open[frame] != kTimeNever) continue;
    const Interval interval = interval_at(work, frame, mark);
    work.open[frame] = interval.close > mark ? interval.start : interval.end;
  }
}

// A new clock may go back to intervals that were closed under the one before, and the rings still hold their candles:
// what was forgotten of them is read once more.
inline void IntervalFold::clock(Hub& hub, const RecordHead& head, const unsigned char* bytes) {
  ClockBody body;
  read_words(body, *reinterpret_cast<const ClockBody*>(bytes + kLineBytes));
  const u64 seq = word_seq(head.word);
  const bool same_time_line = head.flags & kClockGoesOn;
  if (!same_time_line && !keep_all_) {
    IntervalFold again = *this;
    again.works_.clear();
    again.by_ticks_ = true;
    again.watermark_ = kTimeNever;
    again.keep_all_ = true;
    const u64 oldest = std::max(peek_acquire(hub.hot().oldest_line), u64{kHeaderLines});
    again.begin(hub, oldest, peek_acquire(hub.hot().head));
    again.read(hub, oldest, seq);
    works_ = std::move(again.works_);
  }
  by_ticks_ = WatermarkMode(body.watermark_mode) == WatermarkMode::Ticks;
  if (same_time_line) {
    close_all(seq);
    return;
  }
  watermark_ = body.watermark_ns;
  for (Work& work : works_) {
    work.ts_event_max = work.closed = kTimeNever;
    std::fill(std::begin(work.open), std::end(work.open), kTimeNever);
    if (work.known && watermark_ != kTimeNever) open_after(work, watermark_);
  }
}

inline void IntervalFold::gap(Work& work, const RecordHead& head) {
  if (head.flags & kGapNoted) return;
  const i64 from = i64(head.fixed[1]), to = head.flags & kGapLasts ? INT64_MAX : i64(head.fixed[2]);
  for (u32 frame = 0; frame <= longest_ && to != INT64_MAX; ++frame) {
    for (CandleBody& body : work.rings[frame]) {
      if (frame == kMinuteFrame && (body.flags & kCandlePushed)) continue;
      body.coverage = work.gaps.reduced(body.coverage, interval_at(work, frame, body.timestamp), from, to);
    }
  }
  work.gaps.note(from, to);
}

inline void IntervalFold::pushed(Work& work, const RecordHead& head, const unsigned char* bytes) {
  CandleBody body;
  read_words(body, *reinterpret_cast<const CandleBody*>(bytes + kLineBytes));
  const auto status = CandleStatus(body.status);
  if (status == CandleStatus::Revised || status == CandleStatus::Superseded || longest_ < kMinuteFrame) return;
  const Interval minute = interval_at(work, kMinuteFrame, body.timestamp);
  body = pushed_body(body, minute, head.ts_publish, work.instrument);
  Ring& ring = work.rings[kMinuteFrame];
  const size_t at = place_of(ring, minute.start);
  if (CandleBody* old = there(ring, at, minute.start)) {
    body.revision = u16(old->revision + 1);
    *old = body;
  } else if (outside(kMinuteFrame, ring, at)) {
    return;
  } else {
    insert(kMinuteFrame, ring, at, body);
  }
  for (u32 frame = kMinuteFrame + 1; frame <= longest_; ++frame) roll_up(work, frame, minute.start);
}

inline void IntervalFold::roll_up(Work& work, u32 frame, i64 ts) {
  const Interval interval = interval_at(work, frame, ts);
  const Ring& below = work.rings[frame - 1];
  const size_t first = place_of(below, interval.start);
  CandleBody sum{};
  u32 children = 0;
  for (size_t k = first; k < below.size() && below[k].timestamp < interval.end; ++k) {
    if (children++ == 0) sum = below[k]; else merge(sum, below[k]);
  }
  if (children == 0) return;
  sum.timestamp = interval.start;
  sum.timeframe = u8(frame);
  sum.flags &= u8(kCandleRealVolume | kCandleBackfill);
  sum.revision = 1;
  Ring& ring = work.rings[frame];
  const size_t at = place_of(ring, interval.start);
  if (CandleBody* old = there(ring, at, interval.start)) {
    const bool full = below.size() == kTimeframes[frame - 1].capacity;
    if (first == 0 && full && below[0].timestamp > interval.start) return;  // older children have left their ring
    sum.revision = interval.close <= mark_of(work) ? u16(old->revision + 1) : old->revision;
    sum.coverage = old->coverage;
    *old = sum;
  } else if (!outside(frame, ring, at)) {
    sum.coverage = work.gaps.coverage(interval);
    insert(frame, ring, at, sum);
  }
}

}  // namespace tapehub
