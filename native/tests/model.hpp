// What a hub must show, told a second time and simply: lists of ticks, sorted and folded when somebody asks.
//
// Nothing here is shared with the core but the record types: intervals, candles, lateness, roll-ups and counters are
// worked out from the operations alone.
#pragma once

#include <map>

#include "support.hpp"

namespace tapehub::test {

struct Operation {
  Kind kind = Kind::Tick;
  u16 instrument = 0;
  u8 source = 0;
  i64 ts = 0;
  double bid = 0, ask = 0;
  float bid_size = 0, ask_size = 0;
  u8 flags = 0;
  CandleBody body{};       // Candle
  i64 from = 0, to = 0;    // Gap
  u64 value = 0;           // OrderFlow: updates_count; State: the state; Channel: its number
  ClockBody clock{};
  InstrumentRow row{};
  SourceRow source_row{};
  std::vector<i64> zone;   // Calendar: pairs, or
  SessionTableBody sessions{};  // with kCalendarSessions a table's name; value: the calendar's
};

inline Operation tick(u16 instrument, i64 ts, double bid, u8 source = 0) {
  Operation o;
  o.instrument = instrument;
  o.source = source;
  o.ts = ts;
  o.bid = bid;
  o.ask = bid + 0.0625;
  o.bid_size = float(bid * 2);
  o.ask_size = float(bid * 4);
  return o;
}

struct Logged {  // one record of the log, as far as it can be told beforehand
  Kind kind;
  i64 ts = 0;
  u16 instrument = kNone16;
  double bid = 0;
  u64 value = 0;
  i64 start = 0;  // an announced candle
  u32 frame = 0, revision = 0;
};

class Model {
 public:
  struct Mark {
    i64 ts;
    u64 order;
    double price;
    bool operator<(const Mark& o) const { return ts != o.ts ? ts < o.ts : order < o.order; }
  };
  struct Value {
    double open = 0, high = 0, low = 0, close = 0, volume = 0;
    i64 first = 0, last = 0;
    u64 ticks = 0;
    u8 flags = 0;
  };
  struct Bar {
    i64 start = 0, end = 0, close = 0;
    std::vector<Mark> ticks;
    bool pushed = false, rolled = false;
    Value given;
    u32 revision = 1;
    float coverage = 1;
  };
  using Ring = std::map<i64, Bar>;
  struct Channel {
    u16 instrument = 0;
    u8 source = 0, week_days = 5;
    Ring rings[kTimeframeCount];
    std::vector<size_t> ticks;  // places in the log list
    bool has_latest = false;
    Operation latest;
    i64 ts_event_max = kTimeNever;
    u64 clock = 0;
    std::vector<std::pair<i64, i64>> gaps;  // newest last, as many as the views keep
    u64 flow = 0, flow_updates = 0, received = 0, warm = 0, built = 0, late_applied = 0, late_unapplied = 0,
        superseded = 0, corrected = 0, state = 0, ticks_at_clear = 0, clears = 0;
    i64 ts_state = 0, ts_flow = 0;
    u64 flow_clock = 0;
  };

  explicit Model(i64 grace_ns = kSecond / 2) : grace_(grace_ns) {}

  std::vector<Logged> log;
  std::vector<Channel> channels;
  std::map<std::pair<u16, u8>, size_t> by_pair;
  std::vector<InstrumentRow> instruments;
  std::vector<SourceRow> sources;
  u64 by_kind[kKindsCounted]{};
  i64 watermark = kTimeNever, ts_event_max = kTimeNever;
  u64 clock = 0;
  ClockBody clock_body{};
  SessionTableBody sessions[kCalendarsMax]{};

  i64 closed_up_to(const Channel& c) const {
    if (clock_body.watermark_mode == u32(WatermarkMode::Server) || c.ts_event_max == kTimeNever) return watermark;
    return std::max(watermark, c.ts_event_max - grace_);
  }

  void apply(const Operation& o) {
    const size_t at = log.size();
    shown_.clear();
    Logged logged{o.kind, o.ts, o.instrument, o.bid, o.value};
    log.push_back(logged);
    if (u32(o.kind) != 0) ++by_kind[u32(o.kind)];
    Channel* c = nullptr;
    if (auto it = by_pair.find({o.instrument, o.source}); it != by_pair.end()) c = &channels[it->second];
    switch (o.kind) {
      case Kind::Tick: add_tick(touched(*c), o, at); break;
      case Kind::Candle: push(touched(*c), o); break;
      case Kind::OrderFlow: add_flow(touched(*c), o); break;
      case Kind::State: touched(*c).state = o.value; c->ts_state = o.ts; break;
      case Kind::Gap: add_gap(touched(*c), o.from, o.to); break;
      case Kind::Watermark: watermark = std::max(watermark, o.ts); break;
      case Kind::Clear:
        for (Channel& one : channels) {
          if (o.instrument == kNone16 || one.instrument == o.instrument) clear(touched(one));
        }
        break;
      case Kind::Clock:
        clock_body = o.clock;
        if (o.flags & 1) break;
        clock = at + 1;
        watermark = o.clock.watermark_ns;
        ts_event_max = kTimeNever;
        break;
      case Kind::Calendar:
        if (o.flags & kCalendarSessions) sessions[o.value] = o.sessions; else zone_ = o.zone;
        break;
      case Kind::Definition:
        if (o.row.id == instruments.size()) instruments.push_back(o.row); else instruments[o.row.id] = o.row;
        break;
      case Kind::Source: sources.push_back(o.source_row); break;
      case Kind::Channel: {
        by_pair[{o.instrument, o.source}] = channels.size();
        channels.emplace_back();
        channels.back().instrument = o.instrument;
        channels.back().source = o.source;
        channels.back().week_days = instruments[o.instrument].week_days;
        break;
      }
      default: break;
    }
  }

  // ------------------------------------------------------------ intervals

  i64 offset_at(i64 ts) const {
    i64 found = zone_.empty() ? -5 * kHour : zone_[1];
    for (size_t i = 0; i + 1 < zone_.size(); i += 2) {
      if (zone_[i] <= ts) found = zone_[i + 1];
    }
    return found;
  }
  static i64 down(i64 a, i64 b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }
  i64 utc(i64 local) const {  // of a local time that no shift makes ambiguous
    for (i64 hours = -24; hours <= 24; ++hours) {
      const i64 ts = local - hours * kHour;
      if (offset_at(ts) == hours * kHour) return ts;
    }
    return local + 5 * kHour;
  }
  void interval(u32 frame, i64 ts, u32 week_days, i64* start, i64* end, i64* close) const {
    static constexpr i64 kSpans[] = {1, 5, 15, 60, 300, 900, 1800, 3600, 14400, 86400, 604800};
    const i64 span = kSpans[frame] * kSecond;
    if (frame < 8) {
      *start = down(ts, span) * span;
      *end = *close = *start + span;
      return;
    }
    i64 day = down(ts + offset_at(ts) - 17 * kHour, kDay);
    const auto begin = [&](i64 d) { return utc(d * kDay + 17 * kHour); };
    if (frame == 10) {
      while ((day % 7 + 7) % 7 != 3) --day;  // back to Sunday
      *start = begin(day);
      *end = begin(day + 7);
      *close = week_days == 7 ? *end : begin(day + 5);
    } else if (frame == 9) {
      *start = begin(day);
      *end = *close = begin(day + 1);
    } else {
      *start = begin(day);
      while (*start + span <= ts) *start += span;
      *end = *close = std::min(*start + span, begin(day + 1));
    }
  }

  // ------------------------------------------------------------ candles

  Value value(const Channel& c, u32 frame, const Bar& bar) const {
    if (bar.pushed) return bar.given;
    Value v;
    if (bar.rolled) {
      bool first = true;
      for (auto it = c.rings[frame - 1].lower_bound(bar.start); it != c.rings[frame - 1].end() && it->first < bar.end; ++it) {
        const Value child = value(c, frame - 1, it->second);
        if (first) {
          v = child;
          v.flags &= kCandleBackfill;
          first = false;
          continue;
        }
        v.high = std::max(v.high, child.high);
        v.low = std::min(v.low, child.low);
        if (child.last >= v.last) { v.close = child.close; v.last = child.last; }
        if (child.first < v.first) { v.open = child.open; v.first = child.first; }
        v.volume += child.volume;
        v.ticks += child.ticks;
        v.flags |= child.flags & kCandleBackfill;
      }
      return v;
    }
    std::vector<Mark> sorted = bar.ticks;
    std::sort(sorted.begin(), sorted.end());
    v.open = sorted.front().price;
    v.close = sorted.back().price;
    v.first = sorted.front().ts;
    v.last = sorted.back().ts;
    v.high = v.low = v.open;
    for (const Mark& mark : sorted) {
      v.high = std::max(v.high, mark.price);
      v.low = std::min(v.low, mark.price);
    }
    v.ticks = sorted.size();
    v.volume = double(sorted.size());
    return v;
  }

  // As a reader sees a ring, oldest first, the unfinished candle included. Kept until the next record.
  const std::vector<CandleBody>& ring(size_t channel, u32 frame) const {
    const auto [it, missing] = shown_.try_emplace({channel, frame});
    if (missing) it->second = show(channels[channel], frame);
    return it->second;
  }

 private:
  std::vector<CandleBody> show(const Channel& c, u32 frame) const {
    std::vector<CandleBody> out;
    const i64 mark = closed_up_to(c);
    for (const auto& [start, bar] : c.rings[frame]) {
      const Value v = value(c, frame, bar);
      CandleBody body{};
      body.timestamp = start;
      body.open = v.open;
      body.high = v.high;
      body.low = v.low;
      body.close = v.close;
      body.volume = v.volume;
      body.ts_first = v.first;
      body.ts_last = v.last;
      body.ticks = u32(v.ticks);
      body.revision = u16(bar.revision);
      const bool final = bar.close <= mark || bar.pushed;
      body.status = u8(!final ? CandleStatus::Forming : bar.revision > 1 ? CandleStatus::Revised : CandleStatus::Final);
      body.timeframe = u8(frame);
      body.coverage = bar.coverage;
      body.flags = v.flags;
      body.source = c.source;
      body.instrument = c.instrument;
      out.push_back(body);
    }
    return out;
  }
  Channel& touched(Channel& c) {
    if (c.clock != clock) c.ts_event_max = kTimeNever;
    c.clock = clock;
    return c;
  }

  static u32 capacity(u32 frame) {
    static constexpr u32 kCapacities[] = {2048, 1024, 1024, 4096, 2048, 1024, 1024, 1024, 512, 512, 128};
    return kCapacities[frame];
  }
  // The bar of an interval, made when it is missing; null when it is older than a full ring.
  Bar* bar_at(Channel& c, u32 frame, i64 ts, bool* made) {
    i64 start, end, close;
    interval(frame, ts, c.week_days, &start, &end, &close);
    Ring& ring = c.rings[frame];
    auto it = ring.find(start);
    *made = it == ring.end();
    if (!*made) return &it->second;
    if (ring.size() == capacity(frame) && start < ring.begin()->first) return nullptr;
    Bar& bar = ring[start];
    bar.start = start;
    bar.end = end;
    bar.close = close;
    if (ring.size() > capacity(frame)) ring.erase(ring.begin());
    return &bar;
  }
  // Of the bar's part in [from, to), what is in a known gap, or what is in none. Between two edges nothing changes.
  static float share(const Channel& c, const Bar& bar, i64 from, i64 to, bool known) {
    const i64 first = std::max(bar.start, from), last = std::min(bar.close, to);
    if (first >= last) return 0.0f;
    std::vector<i64> edges{first, last};
    for (const auto& [start, end] : c.gaps) {
      if (start > first && start < last) edges.push_back(start);
      if (end > first && end < last) edges.push_back(end);
    }
    std::sort(edges.begin(), edges.end());
    i64 sum = 0;
    for (size_t i = 0; i + 1 < edges.size(); ++i) {
      const bool inside = std::any_of(c.gaps.begin(), c.gaps.end(), [&](const auto& gap) {
        return gap.first <= edges[i] && gap.second >= edges[i + 1];
      });
      if (inside == known) sum += edges[i + 1] - edges[i];
    }
    return float(double(sum) / double(bar.close - bar.start));
  }

  void add_tick(Channel& c, const Operation& o, size_t at) {
    const i64 second = down(o.ts, kSecond) * kSecond;
    const bool late = second + kSecond <= closed_up_to(c);
    c.ticks.push_back(at);
    if (c.ticks.size() == 1 && c.gaps.empty()) c.gaps.push_back({kTimeNever, o.ts});
    if (o.flags & kTickCorrected) ++c.corrected;
    if (!c.has_latest || o.ts >= c.latest.ts || c.ts_event_max == kTimeNever) c.latest = o;
    c.has_latest = true;
    c.ts_event_max = std::max(c.ts_event_max, o.ts);
    ts_event_max = std::max(ts_event_max, o.ts);
    const i64 mark = closed_up_to(c);
    bool applied_late = false;
    for (u32 frame = 0; frame < kTimeframeCount; ++frame) {
      bool made;
      Bar* bar = bar_at(c, frame, o.ts, &made);
      if (!bar) {
        if (frame == kMinuteFrame) ++c.late_unapplied;
        continue;
      }
      if (frame == kMinuteFrame && bar->pushed) {
        ++c.superseded;
        break;
      }
      bar->ticks.push_back({o.ts, at, (o.bid + o.ask) / 2});
      if (made) {
        bar->coverage = 1.0f - share(c, *bar, kTimeNever, INT64_MAX, true);
        if (frame == kMinuteFrame) ++c.built;
      }
      if (late && bar->close <= mark) {
        ++bar->revision;
        applied_late = true;
        announce(c, bar->start, frame, bar->revision);
      }
    }
    c.late_applied += applied_late;
  }
  void announce(const Channel& c, i64 start, u32 frame, u32 revision) {
    Logged logged{Kind::Candle};
    logged.instrument = c.instrument;
    logged.start = start;
    logged.frame = frame;
    logged.revision = revision;
    log.push_back(logged);
    ++by_kind[u32(Kind::Candle)];
  }

  void push(Channel& c, const Operation& o) {
    ++(o.body.flags & kCandleWarm ? c.warm : c.received);
    bool made;
    Bar* minute = bar_at(c, kMinuteFrame, o.body.timestamp, &made);
    if (!minute) return;
    const u32 before = minute->revision;
    if (!made) minute->revision = before + 1;
    if (!made && !minute->pushed) announce(c, minute->start, kMinuteFrame, before);
    minute->pushed = true;
    minute->ticks.clear();
    minute->coverage = o.body.coverage;
    minute->given = Value{o.body.open, o.body.high, o.body.low, o.body.close, o.body.volume, minute->start,
                          minute->end - 1, o.body.ticks, u8(o.body.flags | kCandlePushed)};
    const i64 start = minute->start;
    for (u32 frame = kMinuteFrame + 1; frame < kTimeframeCount; ++frame) {
      Bar* bar = bar_at(c, frame, start, &made);
      if (!bar) continue;
      const Ring& children = c.rings[frame - 1];
      const bool some_left = children.size() == capacity(frame - 1) && children.begin()->first > bar->start;
      if (!made && some_left) continue;  // it keeps what it was made of
      bar->rolled = true;
      if (made) {
        bar->coverage = 1.0f - share(c, *bar, kTimeNever, INT64_MAX, true);
      } else if (bar->close <= closed_up_to(c)) {
        ++bar->revision;
        announce(c, bar->start, frame, bar->revision);
      }
    }
  }

  void add_flow(Channel& c, const Operation& o) {
    ++c.flow_updates;
    if (c.flow != 0 && c.flow_clock == clock && o.ts < c.ts_flow) return;
    c.flow = o.value;
    c.ts_flow = o.ts;
    c.flow_clock = clock;
  }
  void add_gap(Channel& c, i64 from, i64 to) {
    for (Ring& ring : c.rings) {
      for (auto& [start, bar] : ring) {
        if (bar.pushed) continue;
        if (const float lost = share(c, bar, from, to, false); lost > 0) bar.coverage = std::max(0.0f, bar.coverage - lost);
      }
    }
    const auto same = std::find_if(c.gaps.begin(), c.gaps.end(), [&](const auto& gap) { return gap.first == from; });
    if (same != c.gaps.end()) c.gaps.erase(same);
    c.gaps.push_back({from, to});
    if (c.gaps.size() > GapSpans::kKept) c.gaps.erase(c.gaps.begin());
  }
  void clear(Channel& c) {
    for (Ring& ring : c.rings) ring.clear();
    c.has_latest = false;
    c.flow = 0;
    c.ticks_at_clear = c.ticks.size();
    ++c.clears;
  }

  i64 grace_;
  std::vector<i64> zone_;
  mutable std::map<std::pair<size_t, u32>, std::vector<CandleBody>> shown_;
};

}  // namespace tapehub::test
