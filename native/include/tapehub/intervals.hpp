// The ends of intervals, derived from the log record by record: which interval a record closes, and the candle it has
// then. A function of the log alone, whoever reads it, when, and from where on, so nothing of it is taken from the views
// while records are followed; only whoever begins at the head may begin with what they hold then.
//
// The same rules as in candle_writer.hpp and records.hpp, for a few timeframes in memory of this process. A candle's `seq`
// is that of the record that closed its interval.
#pragma once

#include <algorithm>
#include <deque>
#include <vector>

#include "hub.hpp"

namespace tapehub {

struct IntervalEnd {
  u16 channel;
  u8 frame;
  bool has_candle;
  bool in_gap;  // a feed was known to be down in some of it
  i64 start, end;
  CandleBody candle;
};

class IntervalFold {
 public:
  IntervalFold(Hub& hub, const std::vector<u32>& frames)
      : basis_(PriceBasis(hub.at().control().price_basis)), grace_ns_(hub.at().control().grace_ns) {
    for (u32 frame : frames) {
      asked_[frame] = true;
      longest_ = std::max(longest_, frame);
    }
    for (u32 frame = 0; frame <= longest_; ++frame) {  // longer candles are added up from all below, down to the minute
      kept_[frame] = asked_[frame] || frame >= kMinuteFrame;
    }
    renew_zone(hub);
  }

  // Which channels are followed, by id; empty: all.
  void want(const u8* mask, u64 size) {
    all_ = size == 0;
    wanted_.assign(mask, mask + size);
  }

  // Begin at the oldest line there is. When the beginning of the log is gone, so are the records that defined channels;
  // what is defined further on begins there.
  void begin(Hub& hub, u64 oldest, u64 head) {
    const Geometry& geometry = hub.log().geometry();
    if (geometry.segment_of(oldest) == 0) return;
    by_ticks_ = WatermarkMode(read_hub(hub.hot()).block.watermark_mode) == WatermarkMode::Ticks;
    for (u64 id = 0, n = peek_acquire(hub.hot().channels); id < n; ++id) define(hub, u16(id));
    bool clock_seen = false;
    each_record(hub, oldest, head, [&](const unsigned char* bytes, Kind kind) {
      auto* record = reinterpret_cast<const RecordHead*>(bytes);
      if (kind == Kind::Channel && record->fixed[1] < works_.size()) works_[record->fixed[1]] = Work{};
      if (kind != Kind::Clock || clock_seen) return;
      clock_seen = true;  // who closed intervals before: one on the same time line is logged for a change, or says it is none
      const bool now = WatermarkMode(reinterpret_cast<const ClockBody*>(bytes + kLineBytes)->watermark_mode) == WatermarkMode::Ticks;
      by_ticks_ = (record->flags & (kClockGoesOn | kClockSameAuthor)) == kClockGoesOn ? !now : now;
    });
  }

  // Read lines [from, to) without a word about what they close.
  void replay(Hub& hub, u64 from, u64 to) {
    keep_all_ = true;
    read(hub, from, to);
    keep_all_ = false;
    for (Work& work : works_) forget(work);
  }

  // Take what the views hold, all of one instant: the line that is read next, or 0 when it cannot be had from them.
  u64 seed(Hub& hub) {
    for (u32 attempt = 0; attempt < 256; ++attempt) {
      const u64 line = try_seed(hub);
      if (line != kUnset) return line;
      cpu_pause();
    }
    return 0;
  }

  void tick(Hub& hub, const TickLine& line) {
    const u16 id = channel_of(hub, line.instrument, line.source);
    if (!followed(id)) return;
    Work& work = works_[id];
    const i64 before = mark_of(work), ts = line.ts_event;
    const bool late = ts < before && floor_div(ts, kSecond) * kSecond + kSecond <= before;
    if (++work.ticks == 1) work.gaps.first_tick(ts);
    work.ts_event_max = std::max(work.ts_event_max, ts);
    const double price = price_of(basis_, line.bid, line.ask);
    for (u32 frame = 0; frame <= longest_; ++frame) {
      if (!kept_[frame]) continue;
      const Interval interval = interval_at(work, frame, ts);
      if (asked_[frame] && interval.close > std::max(before, work.closed) && (work.open[frame] == kTimeNever || interval.start < work.open[frame])) {
        work.open[frame] = interval.start;
      }
      auto& ring = work.rings[frame];
      const Pending part = pending_of(interval.start, ts, price);
      const size_t at = place_of(ring, interval.start);
      CandleBody* body = there(ring, at, interval.start);
      if (body && frame == kMinuteFrame && (body->flags & kCandlePushed)) break;
      if (body) {
        merge(*body, part, line.ts_publish);
      } else if (outside(frame, ring, at)) {
        continue;
      } else {
        CandleBody made = candle_of(part, interval.start, frame, line.ts_publish, line.source, line.instrument);
        made.coverage = work.gaps.coverage(interval);
        body = insert(frame, ring, at, made);
      }
      if (body && late && interval.close <= before) ++body->revision;
    }
    if (by_ticks_) close(id, work, word_seq(line.word));
  }

  void record(Hub& hub, const unsigned char* bytes) {
    RecordHead head;
    read_words(head, *reinterpret_cast<const RecordHead*>(bytes));
    const u64 seq = word_seq(head.word);
    switch (word_kind(head.word)) {
      case Kind::Watermark:
        if (head.ts_event <= watermark_) break;
        watermark_ = head.ts_event;
        close_all(seq);
        break;
      case Kind::Clock: clock(hub, head, bytes); break;
      case Kind::Calendar: renew_zone(hub); break;
      case Kind::Channel:
        if (head.fixed[1] < kChannelsMax) define(hub, u16(head.fixed[1]));
        break;
      case Kind::Clear:
        for (Work& work : works_) {
          if (!work.known || (head.instrument != kNone16 && work.instrument != head.instrument)) continue;
          for (auto& ring : work.rings) ring.clear();
        }
        break;
      default: {
        const u16 id = channel_of(hub, head.instrument, head.source);
        if (!followed(id)) break;
        if (word_kind(head.word) == Kind::Gap) gap(works_[id], head);
        if (word_kind(head.word) == Kind::Candle) pushed(works_[id], head, bytes);
      }
    }
  }

  // What the records since the last call have closed, in their order; of one record by end, channel and timeframe.
  std::vector<IntervalEnd> take() { return std::exchange(ended_, {}); }

 private:
  using Ring = std::deque<CandleBody>;
  struct Work {
    bool known = false;
    u16 instrument = 0;
    u8 source = 0;
    u8 week_days = 5;
    u64 ticks = 0;
    i64 ts_event_max = kTimeNever;
    i64 closed = kTimeNever;      // the greatest mark so far: a server that comes has a lower one than the ticks before it
    i64 open[kTimeframeCount];  // start of the first interval that is not closed; kTimeNever before there is one
    GapSpans gaps;
    Ring rings[kTimeframeCount];
    Work() { std::fill(std::begin(open), std::end(open), kTimeNever); }
  };

  template <class Take>
  static void each_record(Hub& hub, u64 from, u64 to, Take take) {
    const Geometry& geometry = hub.log().geometry();
    for (u64 line = from; line < to;) {
      const unsigned char* bytes = hub.log().line(line);
      if (!bytes) {  // this segment was dropped
        line = (geometry.segment_of(line) + 1) << geometry.shift;
        continue;
      }
      const u64 word = peek_acquire(*reinterpret_cast<const Word*>(bytes));
      if (word == 0 || word_seq(word) != line) return;
      take(bytes, word_kind(word));
      line += word_lines(word);
    }
  }

  void read(Hub& hub, u64 from, u64 to) {
    each_record(hub, from, to, [&](const unsigned char* bytes, Kind kind) {
      if (kind == Kind::Tick) tick(hub, *reinterpret_cast<const TickLine*>(bytes)); else record(hub, bytes);
      ended_.clear();
    });
  }
  bool wanted(u16 id) const { return all_ || (id < wanted_.size() && wanted_[id] != 0); }
  bool followed(u16 id) const { return id < works_.size() && works_[id].known && wanted(id); }
  u16 channel_of(Hub& hub, u16 instrument, u8 source) const {
    if (instrument >= kInstrumentsMax || source >= kSourcesMax) return kNone16;
    return u16(peek(hub.views().channel_slot(instrument, source)) - 1);  // kNone16 of 0
  }
  void renew_zone(Hub& hub) {
    const Zone zone = hub.views().zone();
    from_.assign(zone.from, zone.from + zone.count);
    offset_.assign(zone.offset, zone.offset + zone.count);
    intervals_ = IntervalCache();
  }
  Interval interval_at(const Work& work, u32 frame, i64 ts) {
    return intervals_.of({from_.data(), offset_.data(), from_.size()}, frame, ts, work.week_days);
  }
  i64 mark_of(const Work& work) const {
    const bool ticks = by_ticks_ && work.ts_event_max != kTimeNever;
    return ticks ? std::max(watermark_, work.ts_event_max - grace_ns_) : watermark_;
  }

  // ------------------------------------------------------------ rings, oldest first

  static size_t place_of(const Ring& ring, i64 start) {
    if (ring.empty() || ring.back().timestamp < start) return ring.size();
    if (ring.back().timestamp == start) return ring.size() - 1;
    return size_t(std::lower_bound(ring.begin(), ring.end(), start, [](const CandleBody& body, i64 ts) {
                    return body.timestamp < ts;
                  }) - ring.begin());
  }
  static CandleBody* there(Ring& ring, size_t at, i64 start) {
    return at < ring.size() && ring[at].timestamp == start ? &ring[at] : nullptr;
  }
  static bool outside(u32 frame, const Ring& ring, size_t at) {
    return at == 0 && ring.size() == kTimeframes[frame].capacity;
  }
  static CandleBody* insert(u32 frame, Ring& ring, size_t at, const CandleBody& body) {
    ring.insert(ring.begin() + std::ptrdiff_t(at), body);
    if (ring.size() <= kTimeframes[frame].capacity) return &ring[at];
    ring.pop_front();
    return &ring[at - 1];
  }
  // What no record under this clock can bring into an interval that is still open: a longer candle is added up from those
  // within it. Under another clock it could, see clock().
  void forget(Work& work) {
    if (keep_all_ || work.closed == kTimeNever) return;
    const i64 longest = interval_at(work, longest_, work.closed).start;
    for (u32 frame = 0; frame <= longest_; ++frame) {
      Ring& ring = work.rings[frame];
      const i64 keep_from = frame >= kMinuteFrame ? longest : interval_at(work, frame, work.closed).start;
      if (!ring.empty() && ring.front().timestamp < keep_from) {
        ring.erase(ring.begin(), ring.begin() + std::ptrdiff_t(place_of(ring, keep_from)));
      }
    }
  }

  // ------------------------------------------------------------ records: interval_records.hpp

  void define(Hub& hub, u16 id);
  void open_after(Work& work, i64 mark);
  void clock(Hub& hub, const RecordHead& head, const unsigned char* bytes);
  void gap(Work& work, const RecordHead& head);
  void pushed(Work& work, const RecordHead& head, const unsigned char* bytes);
  void roll_up(Work& work, u32 frame, i64 ts);

  // ------------------------------------------------------------ ends

  void close_all(u64 seq) {
    const size_t first = ended_.size();
    for (size_t id = 0; id < works_.size(); ++id) {
      if (followed(u16(id))) close(u16(id), works_[id], seq);
    }
    order(first);
  }
  void close(u16 id, Work& work, u64 seq) {
    const i64 mark = mark_of(work);
    if (mark == kTimeNever) return;
    work.closed = std::max(work.closed, mark);
    const size_t before = ended_.size();
    for (u32 frame = 0; frame <= longest_; ++frame) {
      if (!asked_[frame] || work.open[frame] == kTimeNever) continue;
      for (;;) {
        const Interval interval = interval_at(work, frame, work.open[frame]);
        if (interval.close > mark) break;
        end(id, work, frame, interval, seq);
        work.open[frame] = interval.end;
      }
    }
    if (watermark_ != kTimeNever) open_after(work, watermark_);
    if (ended_.size() == before) return;
    order(before);
    forget(work);
  }
  void order(size_t first) {
    std::stable_sort(ended_.begin() + std::ptrdiff_t(first), ended_.end(),
                     [](const IntervalEnd& a, const IntervalEnd& b) { return a.end < b.end; });
  }
  void end(u16 id, Work& work, u32 frame, const Interval& interval, u64 seq) {
    IntervalEnd ended{};
    ended.channel = id;
    ended.frame = u8(frame);
    ended.start = interval.start;
    ended.end = interval.close;
    ended.in_gap = work.gaps.touches(interval.start, interval.close);
    auto& ring = work.rings[frame];
    if (const CandleBody* body = there(ring, place_of(ring, interval.start), interval.start)) {
      ended.has_candle = true;
      ended.candle = *body;
      ended.candle.status = u8(CandleStatus::Final);
      ended.candle.seq = seq;
    }
    ended_.push_back(ended);
  }

  u64 try_seed(Hub& hub);
  bool seed_open(Hub& hub, const Channel& shared, const ChannelState& state, const HubBlock& block, Work& work);

  PriceBasis basis_;
  i64 grace_ns_;
  u32 longest_ = 0;
  bool asked_[kTimeframeCount] = {}, kept_[kTimeframeCount] = {};
  bool all_ = true, keep_all_ = false;
  std::vector<u8> wanted_;
  std::vector<i64> from_, offset_;
  IntervalCache intervals_;
  bool by_ticks_ = true;
  i64 watermark_ = kTimeNever;
  std::vector<Work> works_;  // by channel
  std::vector<IntervalEnd> ended_;
};

}  // namespace tapehub

#include "interval_records.hpp"
#include "interval_seed.hpp"
