// A hub and its model side by side: publish to both, compare all that can be seen.
#pragma once

#include "model.hpp"

namespace tapehub::test {

inline TickInput tick_input(Hub& hub, const Operation& o) {
  TickInput input{};
  input.ts_event = o.ts;
  input.bid = o.bid;
  input.ask = o.ask;
  input.bid_size = o.bid_size;
  input.ask_size = o.ask_size;
  input.instrument = o.instrument;
  input.source = o.source;
  input.flags = o.flags;
  input.channel = u16(peek(hub.views().channel_slot(o.instrument, o.source)) - 1);
  return input;
}

inline u64 publish(Hub& hub, const Operation& o) {
  if (o.kind == Kind::Tick) return hub.publish_tick(tick_input(hub, o));
  RecordInput record;
  record.kind = o.kind;
  record.ts_event = o.ts;
  record.instrument = o.instrument;
  record.source = o.source;
  record.flags = o.flags;
  OrderFlowBody flow{};
  switch (o.kind) {
    case Kind::Candle: record.payload = &o.body; record.payload_bytes = sizeof o.body; break;
    case Kind::OrderFlow:
      flow.updates_count = i64(o.value);
      record.payload = &flow;
      record.payload_bytes = sizeof flow;
      break;
    case Kind::State:
    case Kind::Channel: record.fixed1 = o.value; break;
    case Kind::Gap: record.fixed1 = u64(o.from); record.fixed2 = u64(o.to); break;
    case Kind::Clock: record.payload = &o.clock; record.payload_bytes = sizeof o.clock; break;
    case Kind::Definition: record.payload = &o.row; record.payload_bytes = sizeof o.row; break;
    case Kind::Source: record.payload = &o.source_row; record.payload_bytes = sizeof o.source_row; break;
    case Kind::Calendar:
      if (o.flags & kCalendarSessions) {
        record.fixed1 = o.value;
        record.payload = &o.sessions;
        record.payload_bytes = sizeof o.sessions;
        break;
      }
      record.fixed1 = o.zone.size() / 2;
      record.payload = o.zone.data();
      record.payload_bytes = u32(o.zone.size() * 8);
      break;
    default: break;
  }
  return hub.publish_record(record);
}

inline u64 publish_all(Hub& hub, const std::vector<Operation>& ticks) {
  std::vector<TickInput> rows;
  for (const Operation& o : ticks) rows.push_back(tick_input(hub, o));
  u64 published = 0;
  hub.publish_ticks(rows.data(), rows.size(), &published);
  return published;
}

// ---------------------------------------------------------------- comparing

class Differences {
 public:
  template <class A, class B>
  void same(const char* what, const A& hub, const B& model) {
    if (text_.empty() && !(hub == static_cast<A>(model))) {
      std::ostringstream out;
      out.precision(17);
      out << where_ << what << ": hub " << +hub << ", model " << +static_cast<A>(model);
      text_ = out.str();
    }
  }
  void at(const std::string& where) { where_ = where + " "; }
  const std::string& text() const { return text_; }

 private:
  std::string where_, text_;
};

inline std::string compare_candles(const std::string& where, const std::vector<CandleBody>& hub,
                                   const std::vector<CandleBody>& model) {
  Differences d;
  d.at(where);
  d.same("count", hub.size(), model.size());
  for (size_t i = 0; i < hub.size() && i < model.size() && d.text().empty(); ++i) {
    const CandleBody &a = hub[i], &b = model[i];
    d.at(where + "[" + std::to_string(i) + " of " + std::to_string(hub.size()) + "]");
    d.same("timestamp", a.timestamp, b.timestamp);
    d.same("open", a.open, b.open);
    d.same("high", a.high, b.high);
    d.same("low", a.low, b.low);
    d.same("close", a.close, b.close);
    d.same("volume", a.volume, b.volume);
    d.same("ts_first", a.ts_first, b.ts_first);
    d.same("ts_last", a.ts_last, b.ts_last);
    d.same("ticks", a.ticks, b.ticks);
    d.same("revision", a.revision, b.revision);
    d.same("status", a.status, b.status);
    d.same("timeframe", a.timeframe, b.timeframe);
    d.same("coverage", a.coverage, b.coverage);
    d.same("flags", a.flags, b.flags);
    d.same("source", a.source, b.source);
    d.same("instrument", a.instrument, b.instrument);
  }
  return d.text();
}

inline std::vector<CandleBody> read_ring(Hub& hub, u32 channel, u32 frame, u64 limit, bool forming) {
  thread_local std::vector<CandleBody> found(5000);  // longer than any ring; zeroing a new one costs more than reading
  CHECK(limit <= found.size());
  RingQuery query;
  query.frame = frame;
  query.limit = limit;
  query.forming = forming;
  const u64 count = hub.rings().read(hub.views().channel(channel), query, found.data());
  return {found.begin(), found.begin() + std::ptrdiff_t(count)};
}

// One channel's views against the model; empty when all agree.
inline std::string compare_channel(Hub& hub, const Model& model, u32 id) {
  const Model::Channel& c = model.channels[id];
  const std::string name = "channel " + std::to_string(id);
  for (u32 frame = 0; frame < kTimeframeCount; ++frame) {
    const u32 capacity = kTimeframes[frame].capacity;
    const std::vector<CandleBody>& expected = model.ring(id, frame);
    std::vector<CandleBody> found = read_ring(hub, id, frame, capacity + 1, true);
    if (found.size() > capacity) found.erase(found.begin());  // the pending one has not pushed the oldest out yet
    const std::string where = name + " " + kTimeframes[frame].name;
    if (std::string text = compare_candles(where, found, expected); !text.empty()) return text;
    std::vector<CandleBody> final;
    for (const CandleBody& body : expected) {
      if (CandleStatus(body.status) != CandleStatus::Forming) final.push_back(body);
    }
    if (final.size() > 3) final.erase(final.begin(), final.end() - 3);
    found = read_ring(hub, id, frame, 3, false);
    if (std::string text = compare_candles(where + " final", found, final); !text.empty()) return text;
  }
  const ChannelState state = read_channel(hub.views().channel(id));
  const ChannelBlock& block = state.block;
  const ChannelRare& rare = state.rare;
  Differences d;
  d.at(name);
  d.same("ticks", block.ticks, c.ticks.size());
  d.same("ts_event_max", block.ts_event_max, c.ts_event_max);
  d.same("has latest", block.latest.word != 0, c.has_latest);
  if (c.has_latest) {
    d.same("latest ts_event", block.latest.ts_event, c.latest.ts);
    d.same("latest bid", block.latest.bid, c.latest.bid);
    d.same("latest ask", block.latest.ask, c.latest.ask);
    d.same("latest bid_size", block.latest.bid_size, c.latest.bid_size);
    d.same("latest ask_size", block.latest.ask_size, c.latest.ask_size);
    d.same("latest crc32c", block.latest.crc32c, record_crc(&block.latest, sizeof block.latest));
  }
  d.same("ticks_at_clear", rare.ticks_at_clear, c.ticks_at_clear);
  d.same("cleared", rare.cleared_seq != 0, c.clears != 0);
  d.same("flow_updates", rare.flow_updates, c.flow_updates);
  d.same("has flow", rare.flow_seq != 0, c.flow != 0);
  d.same("candles_received", rare.candles_received, c.received);
  d.same("candles_warm", rare.candles_warm, c.warm);
  d.same("late_applied", rare.late_applied, c.late_applied);
  d.same("late_unapplied", rare.late_unapplied, c.late_unapplied);
  d.same("corrected", rare.corrected, c.corrected);
  d.same("state", rare.state, c.state);
  d.same("ts_state", rare.ts_state, c.ts_state);
  const GapSpans spans = GapSpans::of(rare);
  for (u32 i = 0; i < GapSpans::kKept; ++i) {
    const bool there = i < c.gaps.size();
    d.same("gap start", spans.start[i], there ? c.gaps[c.gaps.size() - 1 - i].first : 0);
    d.same("gap end", spans.end[i], there ? c.gaps[c.gaps.size() - 1 - i].second : 0);
  }
  {
    u64 built = rare.candles_built, superseded = rare.superseded_ticks;
    if (block.pending.ticks != 0) {
      const i64 minute = block.pending.start / kMinute * kMinute;
      bool there = false, pushed = false;
      for (u64 k = RingReader::lowest(rare, kMinuteFrame); k < rare.ring_end[kMinuteFrame]; ++k) {
        const CandleBody* pair = hub.views().entry(hub.views().channel(id), kMinuteFrame, k);
        CandleBody body;
        if (!pair || !read_tagged(pair, block.applied_seq, body)) return name + " has an unreadable minute";
        if (body.timestamp == minute) {
          there = true;
          pushed = body.flags & kCandlePushed;
        }
      }
      built += !there;
      if (pushed) superseded += block.pending.ticks;
    }
    d.same("candles_built", built, c.built);
    d.same("superseded_ticks", superseded, c.superseded);
  }
  if (!d.text().empty()) return d.text();
  if (c.flow != 0 && rare.flow_seq >= peek(hub.hot().oldest_line)) {
    const unsigned char* line = hub.log().line(rare.flow_seq);
    OrderFlowBody flow;
    std::memcpy(&flow, line + kLineBytes, sizeof flow);
    d.same("flow", u64(flow.updates_count), c.flow);
  }
  const u64 kept = std::min<u64>(c.ticks.size(), 500);
  for (u64 k = c.ticks.size() - kept; k < c.ticks.size() && d.text().empty(); ++k) {
    const u64* entry = hub.views().index_entry(hub.views().channel(id), k);
    if (!entry) return name + " has no index entry for tick " + std::to_string(k);
    if (peek(*entry) < peek(hub.hot().oldest_line)) continue;  // its segment was dropped
    const TickLine* line = hub.log().tick(peek(*entry));
    d.same("indexed tick's ts_event", line->ts_event, model.log[c.ticks[k]].ts);
    d.same("indexed tick's bid", line->bid, model.log[c.ticks[k]].bid);
  }
  return d.text();
}

// One instrument's row, every byte of it.
inline std::string compare_row(Hub& hub, const Model& model, u32 id) {
  const InstrumentRow row = read_instrument(hub.views(), id);
  InstrumentRow expected = model.instruments[id];
  expected.primary_channel = kNone16;
  for (size_t c = model.channels.size(); c-- > 0;) {
    if (model.channels[c].instrument == id) expected.primary_channel = u16(c);
  }
  if (std::memcmp(row.symbol, expected.symbol, sizeof row.symbol) != 0) return "instrument " + std::to_string(id) + " has another symbol";
  Differences d;
  d.at("instrument " + std::to_string(id));
  d.same("pip_size", row.pip_size, expected.pip_size);
  d.same("price_low", row.price_low, expected.price_low);
  d.same("price_high", row.price_high, expected.price_high);
  d.same("id", row.id, expected.id);
  d.same("primary_channel", row.primary_channel, expected.primary_channel);
  d.same("decimals", row.decimals, expected.decimals);
  d.same("difference", std::memcmp(&row, &expected, sizeof row), 0);
  return d.text();
}

// Which session table a calendar has.
inline std::string compare_sessions(Hub& hub, const Model& model, u32 id) {
  const SessionTableBody found = read_sessions(hub.views(), id), &expected = model.sessions[id];
  if (std::memcmp(&found, &expected, sizeof found) == 0) return {};
  return "calendar " + std::to_string(id) + " has table " + std::string(found.blob, 4) + ", model " + std::string(expected.blob, 4);
}

// The log, line by line as far back as it is kept, and the hub's own counters.
inline std::string compare_hub(Hub& hub, const Model& model) {
  const HubState state = read_hub(hub.hot());
  Differences d;
  d.at("hub");
  d.same("records", state.block.records, model.log.size());
  for (u32 kind = 1; kind < kKindsCounted; ++kind) d.same("by_kind", state.rare.by_kind[kind], model.by_kind[kind]);
  d.same("watermark", state.block.watermark_ns, model.watermark);
  d.same("ts_event_max", state.block.ts_event_max, model.ts_event_max);
  d.same("clock_mode", state.block.clock_mode, model.clock_body.mode);
  d.same("watermark_mode", state.block.watermark_mode, model.clock_body.watermark_mode);
  d.same("head", peek(hub.hot().head), state.block.head);
  d.same("instruments", peek(hub.hot().instruments), model.instruments.size());
  d.same("sources", peek(hub.hot().sources), model.sources.size());
  d.same("channels", peek(hub.hot().channels), model.channels.size());
  if (!d.text().empty()) return d.text();
  for (u32 id = 0; id < kCalendarsMax; ++id) {
    if (std::string text = compare_sessions(hub, model, id); !text.empty()) return text;
  }
  for (u32 id = 0; id < model.instruments.size(); ++id) {
    if (std::string text = compare_row(hub, model, id); !text.empty()) return text;
  }
  for (size_t i = 0; i < model.sources.size(); ++i) {
    if (std::strcmp(hub.views().source(u32(i)).name, model.sources[i].name) != 0) return "source " + std::to_string(i) + " has another name";
  }
  const Geometry& geometry = hub.log().geometry();
  size_t at = 0;
  u64 line = kHeaderLines;
  if (const u64 oldest = peek(hub.hot().oldest_line); geometry.segment_of(oldest) != 0) {
    line = geometry.segment_of(oldest) << geometry.shift;
    const unsigned char* header = hub.log().line(line);
    if (!header) return "the oldest segment is missing";
    at = reinterpret_cast<const SegmentHeader*>(header)->records_before;
  }
  while (line < state.block.head && d.text().empty()) {
    u64 word;
    const unsigned char* bytes = hub.log().line(line);
    if (!bytes || examine(bytes, line, geometry, &word) != Found::Record) return "line " + std::to_string(line) + " is no whole record";
    const Kind kind = word_kind(word);
    line += word_lines(word);
    if (kind == Kind::Pad || kind == Kind::Segment) {
      if (kind == Kind::Segment) {
        d.at("header of line " + std::to_string(line));
        d.same("records_before", reinterpret_cast<const SegmentHeader*>(bytes)->records_before, at);
      }
      continue;
    }
    if (at >= model.log.size()) return "the log holds more records than were published";
    const Logged& expected = model.log[at++];
    d.at("record " + std::to_string(at - 1) + " before line " + std::to_string(line));
    d.same("kind", u32(kind), u32(expected.kind));
    auto* head = reinterpret_cast<const RecordHead*>(bytes);
    if (kind == Kind::Tick) {
      auto* tick = reinterpret_cast<const TickLine*>(bytes);
      d.same("ts_event", tick->ts_event, expected.ts);
      d.same("bid", tick->bid, expected.bid);
      d.same("ask", tick->ask, expected.bid + 0.0625);
      d.same("instrument", tick->instrument, expected.instrument);
    } else if (expected.revision != 0) {
      CandleBody body;
      std::memcpy(&body, bytes + kLineBytes, sizeof body);
      d.same("announced start", body.timestamp, expected.start);
      d.same("announced timeframe", u32(body.timeframe), expected.frame);
      d.same("announced revision", u32(body.revision), expected.revision);
      d.same("announced instrument", head->instrument, expected.instrument);
    }
  }
  d.at("log");
  d.same("length", at, model.log.size());
  return d.text();
}

inline std::string compare(Hub& hub, const Model& model) {
  if (std::string text = compare_hub(hub, model); !text.empty()) return text;
  for (u32 id = 0; id < model.channels.size(); ++id) {
    if (std::string text = compare_channel(hub, model, id); !text.empty()) return text;
  }
  return {};
}

// ---------------------------------------------------------------- the world of a test

inline constexpr i64 kTuesday = 1'700'000'000 * kSecond / kMinute * kMinute;

inline Operation definition(const Model& model, const std::string& symbol) {
  Operation o;
  o.kind = Kind::Definition;
  o.instrument = u16(model.instruments.size());
  std::strncpy(o.row.symbol, symbol.c_str(), kSymbolBytes - 1);
  o.row.pip_size = 1e-4;
  o.row.id = o.instrument;
  o.row.primary_channel = kNone16;
  o.row.week_days = 5;
  return o;
}
inline Operation source(const Model& model, const std::string& name) {
  Operation o;
  o.kind = Kind::Source;
  o.source_row.id = o.source = u8(model.sources.size());
  std::strncpy(o.source_row.name, name.c_str(), kSymbolBytes - 1);
  return o;
}
// As Python names one: 64 hex digits.
inline Operation sessions(u64 calendar, u64 number) {
  Operation o;
  o.kind = Kind::Calendar;
  o.instrument = kNone16;
  o.flags = kCalendarSessions | kRecordNamesBlob;
  o.value = calendar;
  std::memset(o.sessions.blob, "0123456789abcdef"[number % 16], sizeof o.sessions.blob);
  return o;
}
inline Operation channel(const Model& model, u16 instrument, u8 source) {
  Operation o;
  o.kind = Kind::Channel;
  o.instrument = instrument;
  o.source = source;
  o.value = model.channels.size();
  return o;
}
inline Operation of_kind(Kind kind, u16 instrument, i64 ts, u64 value = 0) {
  Operation o;
  o.kind = kind;
  o.instrument = instrument;
  o.ts = ts;
  o.value = value;
  return o;
}
inline Operation gap(u16 instrument, i64 from, i64 to) {
  Operation o = of_kind(Kind::Gap, instrument, from);
  o.from = from;
  o.to = to;
  return o;
}
inline Operation candle(u16 instrument, i64 ts, double price, u8 flags = 0) {
  Operation o = of_kind(Kind::Candle, instrument, ts);
  o.body.timestamp = ts;
  o.body.open = price;
  o.body.high = price + 0.5;
  o.body.low = price - 0.5;
  o.body.close = price + 0.25;
  o.body.volume = 7;
  o.body.ticks = 7;
  o.body.coverage = 1.0f;
  o.body.flags = flags;
  return o;
}

struct World {
  Model model;
  i64 now = kTuesday;
  u64 count = 0;

  // Prices are multiples of 1/64, so that sums and means are exact.
  double price() {
    ++count;
    return 100 + double(count * 37 % 640) / 64;
  }
  Operation next_tick(u16 instrument, i64 step) { return tick(instrument, now += step, price()); }

  void publish(Hub& hub, const Operation& o) {
    const Chunks chunks(hub);
    test::publish(hub, o);
    CHECK(chunks.taken() <= chunks.expected(1));
    model.apply(o);
  }
  void publish_batch(Hub& hub, const std::vector<Operation>& ticks) {
    const Chunks chunks(hub);
    u64 parts = 1 + ticks.size() / kBatchRecords;  // of the batch, each published by itself: late ticks end one
    for (size_t i = 1; i < ticks.size(); ++i) parts += 2 * (ticks[i].ts < ticks[i - 1].ts);
    CHECK(publish_all(hub, ticks) == ticks.size());
    CHECK(chunks.taken() <= chunks.expected(ticks.size()) + parts * Applier::kChunksPerRecord);
    for (const Operation& o : ticks) model.apply(o);
  }
  // Nothing takes more of the arena under the lock than room was made for before it.
  class Chunks {
   public:
    explicit Chunks(Hub& hub) : applier_((hub.at().writable(), hub.at().applier())), hot_(hub.hot()), before_(peek(hot_.arena_next)) {}
    u64 taken() const { return peek(hot_.arena_next) - before_; }
    u64 expected(u64 records) const { return applier_.chunks_for(records); }

   private:
    const Applier& applier_;
    const Hot& hot_;
    u64 before_;
  };
  // `instruments` of them, one channel each, under source 0.
  void define(Hub& hub, u16 instruments = 3) {
    publish(hub, source(model, "direct"));
    for (u16 i = 0; i < instruments; ++i) {
      publish(hub, definition(model, "SYM_" + std::to_string(model.instruments.size())));
      publish(hub, channel(model, i, 0));
    }
  }
  // Some minutes of ticks on every channel.
  void fill(Hub& hub, u32 ticks, i64 step) {
    std::vector<Operation> batch;
    for (u32 i = 0; i < ticks; ++i) batch.push_back(next_tick(u16(i % model.channels.size()), step));
    publish_batch(hub, batch);
  }
};

}  // namespace tapehub::test
