// What Python reads beyond the hot methods: rings, runs of the log, single records, and whether they are whole.
#include "bound.hpp"

namespace tapehub::py {

u64 read_candles(PyHub& python, u16 channel, u32 frame, u64 limit, i64 from, i64 to, bool forming, Bytes out) {
  Hub& hub = python.live();
  if (frame >= kTimeframeCount || channel >= kChannelsMax) throw nb::index_error("no such timeframe or channel");
  RingQuery query{frame, std::min<u64>(limit, out.shape(0) / sizeof(CandleBody)), from, to, forming};
  if (query.limit == 0) return 0;
  return hub.rings().read(hub.views().channel(channel), query, reinterpret_cast<CandleBody*>(out.data()));
}

// Everything of one channel in one consistent state: its block, its rare counters and its newest candles.
nb::tuple read_snapshot(PyHub& python, u16 channel, u32 frame, u64 limit) {
  Hub& hub = python.live();
  const Channel& shared = hub.views().channel(channel);
  limit = std::min<u64>(limit, kTimeframes[frame].capacity + 1);
  std::vector<CandleBody> bodies(std::max<u64>(limit, 1));
  ChannelState state;
  HubBlock block;
  for (u32 attempt = 0; attempt < kReadAttempts; ++attempt) {
    if (!try_read_channel(shared, state)) continue;
    read_flipped(hub.hot().flip, hub.hot().block, block);
    const i64 count = hub.rings().try_read(shared, state, block, {frame, limit, kTimeNever, INT64_MAX, true}, bodies.data());
    if (count < 0 || !hub.rings().account_pending(shared, state)) continue;
    return nb::make_tuple(nb::bytes(reinterpret_cast<const char*>(&state.block), sizeof state.block),
                          nb::bytes(reinterpret_cast<const char*>(&state.rare), sizeof state.rare),
                          nb::bytes(reinterpret_cast<const char*>(bodies.data()), size_t(count) * sizeof(CandleBody)));
  }
  fail_lapped("a snapshot");
}

std::vector<u64> read_index(PyHub& python, u16 channel, u64 limit) {
  Hub& hub = python.live();
  const Channel& shared = hub.views().channel(channel);
  std::vector<u64> out;
  for (u32 attempt = 0; attempt < kReadAttempts; ++attempt) {
    const ChannelState state = read_channel(shared);
    const u64 end = state.block.ticks;
    const u64 reach = std::min<u64>({limit, end - state.rare.ticks_at_clear, kIndexCapacity - 2 * kBatchRecords});
    out.clear();
    for (u64 k = end - reach; k < end; ++k) {
      const u64* entry = hub.views().index_entry(shared, k);
      if (entry) out.push_back(peek(*entry));
    }
    fence_acquire();
    const u64 now = read_channel(shared).block.ticks;
    if (now + kBatchRecords <= end - reach + kIndexCapacity) return out;
  }
  fail_lapped("a tick index");
}

// Copies the ticks at the given sequences; those that were dropped with their segment are left out.
u64 gather(PyHub& python, const std::vector<u64>& sequences, Bytes out) {
  Hub& hub = python.live();
  u64 count = 0;
  for (u64 seq : sequences) {
    const TickLine* line = hub.log().tick(seq);
    if (!line || word_seq(peek_acquire(line->word)) != seq || (count + 1) * kLineBytes > out.shape(0)) continue;
    std::memcpy(out.data() + count++ * kLineBytes, line, kLineBytes);
  }
  return count;
}

nb::tuple scan_into(PyHub& python, u64 from, u64 to, nb::bytes channels, u64 kinds, i64 from_ts, i64 to_ts, Bytes out) {
  Hub& hub = python.live();
  Scan result;
  {
    const PyHub::Call call(python);
    nb::gil_scoped_release released;
    result = scan(hub, from, to, reinterpret_cast<const u8*>(channels.c_str()), channels.size(), kinds, from_ts, to_ts,
                  out.data(), out.shape(0) / kLineBytes);
  }
  return nb::make_tuple(result.next, result.ticks, result.records, result.other, result.lost_before);
}

// The last `limit` ticks of a channel below line `to`, newest first into the end of `out`: for what the index has lost.
u64 count_before(Hub& hub, u64 line) {
  const Geometry& geometry = hub.log().geometry();
  const u64 segment = geometry.segment_of(line);
  const unsigned char* header = hub.log().line(segment << geometry.shift);
  if (!header) return 0;
  u64 count = peek(reinterpret_cast<const SegmentHeader*>(header)->records_before);
  for (u64 n = geometry.first_line(segment); n < line;) {
    const unsigned char* bytes = hub.log().line(n);
    if (!bytes) break;
    const u64 word = peek_acquire(*reinterpret_cast<const Word*>(bytes));
    if (word == 0) break;
    count += word_kind(word) != Kind::Pad && word_kind(word) != Kind::Segment;
    n += word_lines(word);
  }
  return count;
}

u64 records_before(PyHub& python, u64 line) { return count_before(python.live(), line); }

nb::object record(PyHub& python, u64 line) {
  Hub& hub = python.live();
  const unsigned char* bytes = line < peek_acquire(hub.hot().head) ? hub.log().line(line) : nullptr;
  if (!bytes) return nb::none();
  const u64 word = peek_acquire(*reinterpret_cast<const Word*>(bytes));
  if (word_seq(word) != line || word == 0) return nb::none();
  auto* head = reinterpret_cast<const RecordHead*>(bytes);
  const u32 lines = word_lines(word);
  const bool tick = word_kind(word) == Kind::Tick;
  const u64 payload = tick ? 0 : std::min<u64>(head->fixed[0], u64(lines - 1) * kLineBytes);
  return nb::make_tuple(u8(word_kind(word)), lines, head->ts_event, head->ts_recv, head->ts_publish, head->fixed[1],
                        head->fixed[2], head->instrument, head->source, head->flags,
                        nb::bytes(reinterpret_cast<const char*>(tick ? bytes : bytes + kLineBytes), tick ? kLineBytes : payload));
}

// Tick objects of raw lines, for iteration.
nb::list tick_objects(PyHub& python, ConstBytes lines) {
  Hub& hub = python.live();
  nb::list out;
  for (u64 i = 0; i < lines.shape(0) / kLineBytes; ++i) {
    TickLine line;
    std::memcpy(&line, lines.data() + i * kLineBytes, kLineBytes);
    out.append(nb::steal(tick_new(line, python.symbol_name(hub, line.instrument), python.source_name(hub, line.source),
                                  python.pip_size(hub, line.instrument))));
  }
  return out;
}
// The same without a hub, for recorded files: a line's instrument is an index into all three lists.
nb::list recorded_ticks(ConstBytes lines, nb::list symbols, nb::list sources, const std::vector<double>& pips) {
  if (symbols.size() != pips.size() || sources.size() != pips.size()) throw nb::value_error("expected lists of one length");
  for (u64 i = 0; i < pips.size(); ++i) {
    if (!PyUnicode_Check(symbols[i].ptr()) || !PyUnicode_Check(sources[i].ptr())) throw nb::type_error("expected lists of str");
  }
  nb::list out;
  for (u64 i = 0; i < lines.shape(0) / kLineBytes; ++i) {
    TickLine line;
    std::memcpy(&line, lines.data() + i * kLineBytes, kLineBytes);
    if (line.instrument >= pips.size()) throw nb::index_error("a line's instrument is beyond the lists");
    out.append(nb::steal(tick_new(line, PyList_GET_ITEM(symbols.ptr(), line.instrument),
                                  PyList_GET_ITEM(sources.ptr(), line.instrument), pips[line.instrument])));
  }
  return out;
}
nb::list candle_objects(PyHub& python, ConstBytes bodies) {
  Hub& hub = python.live();
  nb::list out;
  for (u64 i = 0; i < bodies.shape(0) / sizeof(CandleBody); ++i) {
    CandleBody body;
    std::memcpy(&body, bodies.data() + i * sizeof body, sizeof body);
    out.append(nb::steal(candle_new(body, python.symbol_name(hub, body.instrument), python.source_name(hub, body.source))));
  }
  return out;
}
nb::object order_flow_object(PyHub& python, u64 line) {
  Hub& hub = python.live();
  const unsigned char* bytes = line == 0 ? nullptr : hub.log().line(line);
  if (!bytes) return nb::none();
  auto* head = reinterpret_cast<const RecordHead*>(bytes);
  if (word_seq(peek_acquire(head->word)) != line || word_kind(head->word) != Kind::OrderFlow) return nb::none();
  OrderFlowBody body;
  std::memcpy(&body, bytes + kLineBytes, sizeof body);
  auto* text = reinterpret_cast<const char*>(bytes + kLineBytes + sizeof body);
  nb::str symbol(hub.views().instrument(head->instrument % kInstrumentsMax).symbol);
  nb::str futures(text, body.futures_symbol_bytes);
  nb::str bias(text + body.futures_symbol_bytes, body.order_flow_bias_bytes);
  return nb::steal(order_flow_new(*head, body, symbol.ptr(), futures.ptr(), bias.ptr()));
}

nb::bytes history(PyHub& python, u16 channel, u32 frame, u64 from, u64 to, i64 from_ts, i64 to_ts, u64 limit, bool forming) {
  Hub& hub = python.live();
  std::vector<CandleBody> bodies;
  {
    const PyHub::Call call(python);
    nb::gil_scoped_release released;
    HistoryBuilder builder(hub, channel, frame);
    builder.scan(from, to, from_ts, to_ts);
    bodies = builder.finish(from_ts, to_ts, limit, forming);
  }
  return nb::bytes(reinterpret_cast<const char*>(bodies.data()), bodies.size() * sizeof(CandleBody));
}

// Checks every record of one segment up to the head: (records, line of the first bad one or 0, what is wrong).
nb::tuple verify_segment(PyHub& python, u64 segment) {
  Hub& hub = python.live();
  const Geometry& geometry = hub.log().geometry();
  const u64 head = peek_acquire(hub.hot().head);
  u64 records = 0, bad = 0;
  const char* why = "";
  {
    const PyHub::Call call(python);
    nb::gil_scoped_release released;
    for (u64 line = segment << geometry.shift, end = std::min(head, geometry.end_line(segment)); line < end;) {
      const unsigned char* bytes = hub.log().line(line);
      u64 word = 0;
      if (!bytes) {
        bad = line;
        why = "the segment is missing or shorter than it was made";
        break;
      }
      const Found found = examine(bytes, line, geometry, &word);
      if (found != Found::Record) {
        bad = line;
        why = found == Found::Nothing ? "nothing was written there" : "the checksum does not match";
        break;
      }
      const Kind kind = word_kind(word);
      records += kind != Kind::Pad && kind != Kind::Segment;
      line += word_lines(word);
    }
  }
  return nb::make_tuple(records, bad, why);
}

}  // namespace tapehub::py
