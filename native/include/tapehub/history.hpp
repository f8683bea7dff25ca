// Candles straight from the log, for spans that have left the rings. The same fold, into memory of this process.
#pragma once

#include "hub.hpp"

namespace tapehub {

class HistoryBuilder {
 public:
  HistoryBuilder(Hub& hub, u16 channel, u32 frame)
      : hub_(hub), channel_(hub.views().channel(channel)), zone_(hub.views().zone()),
        basis_(PriceBasis(hub.at().control().price_basis)), frame_(frame), base_frame_(std::min(frame, kMinuteFrame)) {}

  // Fold every record of the channel in lines [from, to) whose interval opens in [from_ts, to_ts).
  void scan(u64 from, u64 to, i64 from_ts, i64 to_ts) {
    const Geometry& geometry = hub_.log().geometry();
    // Whole intervals: a week of ticks may lie around either bound.
    const i64 low = from_ts > kTimeMin ? from_ts - 8 * kDay : kTimeNever;
    const i64 high = to_ts < INT64_MAX - 8 * kDay ? to_ts + 8 * kDay : INT64_MAX;
    bool first = from <= geometry.first_line(0);  // the next tick is the channel's first
    for (u64 line = from; line < to;) {
      const unsigned char* bytes = hub_.log().line(line);
      if (!bytes) {  // this segment was dropped
        line = (geometry.segment_of(line) + 1) << geometry.shift;
        continue;
      }
      const u64 word = peek_acquire(*reinterpret_cast<const Word*>(bytes));
      if (word == 0) return;
      auto* head = reinterpret_cast<const RecordHead*>(bytes);
      if (head->instrument == channel_.instrument && head->source == channel_.source) {
        const Kind kind = word_kind(word);
        if (kind == Kind::Tick) {
          auto* tick = reinterpret_cast<const TickLine*>(bytes);
          if (first && gaps_.empty()) gaps_.push_back({kTimeNever, tick->ts_event});
          first = false;
          if (tick->ts_event >= low && tick->ts_event < high) add(*tick);
        } else if (kind == Kind::Candle && base_frame_ == kMinuteFrame) {
          CandleBody body;
          read_words(body, *reinterpret_cast<const CandleBody*>(bytes + kLineBytes));
          if (body.status != u8(CandleStatus::Revised) && body.status != u8(CandleStatus::Superseded)) {
            pushed(body, head->ts_publish, word_seq(word));
          }
        } else if (kind == Kind::Gap && !(head->flags & kGapNoted)) {
          gap(i64(head->fixed[1]), head->flags & kGapLasts ? INT64_MAX : i64(head->fixed[2]));
        }
      }
      line += word_lines(word);
    }
  }

  // Oldest first, opening in [from_ts, to_ts), at most `limit` newest; status by the watermark.
  std::vector<CandleBody> finish(i64 from_ts, i64 to_ts, u64 limit, bool forming) {
    std::vector<CandleBody> out;
    unite_gaps();
    for (const CandleBody& child : bodies_) {
      const Interval interval = interval_of_start(frame_, child.timestamp);
      if (interval.start < from_ts || interval.start >= to_ts) continue;
      if (frame_ == base_frame_ || out.empty() || out.back().timestamp != interval.start) {
        out.push_back(child);
        out.back().timestamp = interval.start;
        out.back().timeframe = u8(frame_);
        if (frame_ != base_frame_) out.back().flags &= u8(kCandleRealVolume | kCandleBackfill);
      } else {
        merge(out.back(), child);
      }
    }
    HubBlock block;
    read_flipped(hub_.hot().flip, hub_.hot().block, block);
    const i64 mark = watermark_of(block, read_channel(channel_).block.ts_event_max, hub_.at().control().grace_ns);
    for (CandleBody& body : out) {
      const Interval interval = interval_of_start(frame_, body.timestamp);
      if (!(body.flags & kCandlePushed)) body.coverage = coverage(interval);
      const bool final = interval.close <= mark || (body.flags & kCandlePushed);
      body.status = u8(!final ? CandleStatus::Forming : body.revision > 1 ? CandleStatus::Revised : CandleStatus::Final);
    }
    if (!forming) std::erase_if(out, [](const CandleBody& body) { return body.status == u8(CandleStatus::Forming); });
    if (out.size() > limit) out.erase(out.begin(), out.end() - std::ptrdiff_t(limit));
    return out;
  }

 private:
  Interval interval_of_start(u32 frame, i64 ts) { return intervals_.of(zone_, frame, ts, channel_.week_days); }

  // As the views do it, but of every gap there was: the same start is the same gap, what lasts is not charged yet.
  void gap(i64 from, i64 to) {
    for (Span& known : gaps_) {
      if (known.start == from) {
        known.end = to;
        return;
      }
    }
    gaps_.push_back({from, to});
  }
  void unite_gaps() {
    if (gaps_.empty() || gaps_.front().start != kTimeNever) {  // the views may know what was before these lines
      const GapSpans known = GapSpans::of(read_channel(channel_).rare);
      for (u32 i = 0; i < GapSpans::kKept; ++i) {
        if (known.end[i] != 0 && known.start[i] == kTimeNever) gaps_.push_back({kTimeNever, known.end[i]});
      }
    }
    std::erase_if(gaps_, [](const Span& gap) { return gap.end == INT64_MAX || gap.end <= gap.start; });
    std::sort(gaps_.begin(), gaps_.end(), [](const Span& a, const Span& b) { return a.start < b.start; });
    std::vector<Span> united;
    for (const Span& gap : gaps_) {
      if (united.empty() || gap.start > united.back().end) {
        united.push_back(gap);
      } else {
        united.back().end = std::max(united.back().end, gap.end);
      }
    }
    gaps_.swap(united);
  }
  float coverage(const Interval& interval) const {
    i64 lost = 0;
    auto gap = std::lower_bound(gaps_.begin(), gaps_.end(), interval.start,
                                [](const Span& one, i64 ts) { return one.end <= ts; });
    for (; gap != gaps_.end() && gap->start < interval.close; ++gap) {
      lost += std::min(interval.close, gap->end) - std::max(interval.start, gap->start);
    }
    return lost == 0 ? 1.0f : 1.0f - float(double(lost) / double(interval.close - interval.start));
  }

  CandleBody* find(i64 start) {
    if (!bodies_.empty() && bodies_.back().timestamp == start) return &bodies_.back();
    auto it = std::lower_bound(bodies_.begin(), bodies_.end(), start,
                               [](const CandleBody& body, i64 ts) { return body.timestamp < ts; });
    return it != bodies_.end() && it->timestamp == start ? &*it : nullptr;
  }
  void insert(const CandleBody& body) {
    if (bodies_.empty() || bodies_.back().timestamp < body.timestamp) {
      bodies_.push_back(body);
      return;
    }
    bodies_.insert(std::lower_bound(bodies_.begin(), bodies_.end(), body.timestamp,
                                    [](const CandleBody& a, i64 ts) { return a.timestamp < ts; }), body);
  }
  void add(const TickLine& tick) {
    const Interval interval = interval_of_start(base_frame_, tick.ts_event);
    const Pending part = pending_of(interval.start, tick.ts_event, price_of(basis_, tick.bid, tick.ask));
    if (CandleBody* body = find(interval.start)) {
      if (body->flags & kCandlePushed) return;
      merge(*body, part, tick.ts_publish);
      body->seq = word_seq(tick.word);
      return;
    }
    CandleBody body = candle_of(part, interval.start, base_frame_, tick.ts_publish, tick.source, tick.instrument);
    body.seq = word_seq(tick.word);
    insert(body);
  }
  void pushed(const CandleBody& given, i64 arrival, u64 seq) {
    const Interval minute = interval_of_start(kMinuteFrame, given.timestamp);
    CandleBody body = pushed_body(given, minute, arrival, channel_.instrument);
    body.seq = seq;
    if (CandleBody* old = find(minute.start)) {
      body.revision = u16(old->revision + 1);
      *old = body;
    } else {
      insert(body);
    }
  }

  Hub& hub_;
  const Channel& channel_;
  Zone zone_;
  PriceBasis basis_;
  u32 frame_, base_frame_;
  IntervalCache intervals_;
  std::vector<CandleBody> bodies_;
  struct Span {
    i64 start, end;
  };
  std::vector<Span> gaps_;
};

}  // namespace tapehub
