// tapehub._native: what Python may do with a hub. Names, policy and lifetime are Python's (tapehub.hub); here are bytes.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "py_follower.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace tapehub::py {

PyHub* py_hub(PyObject* self) { return nb::inst_ptr<PyHub>(self); }

namespace {

template <class T>
using Column = nb::ndarray<const T, nb::ndim<1>, nb::device::cpu>;
using ConstBytes = nb::ndarray<const u8, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<u8, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// ---------------------------------------------------------------- publishing

struct Rows {
  Column<i64> ts_event;
  Column<double> bid, ask;
  std::optional<Column<float>> bid_size, ask_size;
  std::optional<Column<i64>> ts_recv;
  std::optional<Column<u16>> index;
};

template <class T>
T at(const Column<T>& column, u64 i) {
  return column.data()[i64(i) * column.stride(0)];
}

// Returns how many were published and, when a row is bad, why. Rows before the bad one are published.
std::pair<u64, std::string> publish_rows(PyHub& python, const Column<i64>& ts_event, const Column<double>& bid,
                                         const Column<double>& ask, const std::optional<Column<float>>& bid_size,
                                         const std::optional<Column<float>>& ask_size,
                                         const std::optional<Column<i64>>& ts_recv,
                                         const std::optional<Column<u16>>& index, const std::vector<u16>& channels,
                                         u8 flags) {
  Hub& hub = python.live();
  struct Target {
    u16 channel, instrument;
    u8 source;
  };
  std::vector<Target> targets;
  for (u16 channel : channels) {
    const Channel& shared = hub.views().channel(channel);
    targets.push_back({channel, peek(shared.instrument), peek(shared.source)});
  }
  const u64 count = ts_event.shape(0);
  const i64 latest = latest_allowed(hub);
  std::string fault;
  u64 done = 0;
  try {
    nb::gil_scoped_release released;
    while (done < count && fault.empty()) {
      const u64 end = std::min(count, done + 4096);  // checked and published while it is in the cache
      u64 good = done;
      for (; good < end; ++good) {
        if (index && at(*index, good) >= targets.size()) {
          fault = "symbol index is " + std::to_string(at(*index, good)) + ", expected below " + std::to_string(targets.size());
          break;
        }
        const double b = at(bid, good), a = at(ask, good);
        const float bs = bid_size ? at(*bid_size, good) : 0, as = ask_size ? at(*ask_size, good) : 0;
        const i64 ts = at(ts_event, good);
        const bool plain = b > 0 && a >= b && a < HUGE_VAL && bs >= 0 && as >= 0 && bs < HUGE_VALF && as < HUGE_VALF &&
                           ts >= kTimeMin && ts <= latest;
        if (plain) [[likely]] continue;
        fault = tick_fault(ts, b, a, bs, as, latest);
        if (!fault.empty()) break;
      }
      const u64 first = done;
      hub.publish_ticks(good - first, &done, [&](u64 i, TickInput* input) {
        const u64 row = first + i;
        const Target& target = targets[index ? at(*index, row) : 0];
        input->ts_event = at(ts_event, row);
        input->ts_recv = ts_recv ? at(*ts_recv, row) : 0;
        input->bid = at(bid, row);
        input->ask = at(ask, row);
        input->bid_size = bid_size ? at(*bid_size, row) : 0;
        input->ask_size = ask_size ? at(*ask_size, row) : 0;
        input->channel = target.channel;
        input->instrument = target.instrument;
        input->source = target.source;
        input->flags = flags;
      });
    }
    if (SyncMode(hub.at().control().sync_mode) == SyncMode::Always) hub.at().flush();
  } catch (const Error& error) {
    raise(error, done);
    throw nb::python_error();
  }
  return {done, fault};
}

u64 publish_record(PyHub& python, u8 kind, i64 ts_event, i64 ts_recv, u64 fixed1, u64 fixed2, u16 instrument, u8 source,
                   u8 flags, nb::bytes payload) {
  Hub& hub = python.live();
  RecordInput input;
  input.kind = Kind(kind);
  input.ts_event = ts_event;
  input.ts_recv = ts_recv;
  input.fixed1 = fixed1;
  input.fixed2 = fixed2;
  input.instrument = instrument;
  input.source = source;
  input.flags = flags;
  input.payload = payload.c_str();
  input.payload_bytes = u32(payload.size());
  nb::gil_scoped_release released;
  const u64 seq = hub.publish_record(input);
  if (SyncMode(hub.at().control().sync_mode) == SyncMode::Always) hub.at().flush();
  return seq;
}

template <class Row>
Row row_of(nb::bytes bytes) {
  Row row;
  if (bytes.size() != sizeof row) throw nb::value_error("row has the wrong size");
  std::memcpy(&row, bytes.c_str(), sizeof row);
  return row;
}
template <class Row>
nb::bytes bytes_of(const Row& shared) {
  Row row;
  read_words(row, shared);
  return nb::bytes(reinterpret_cast<const char*>(&row), sizeof row);
}

// ---------------------------------------------------------------- reading

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
    nb::gil_scoped_release released;
    result = scan(hub, from, to, reinterpret_cast<const u8*>(channels.c_str()), channels.size(), kinds, from_ts, to_ts,
                  out.data(), out.shape(0) / kLineBytes);
  }
  return nb::make_tuple(result.next, result.ticks, result.records, result.other, result.lost_before);
}

// The last `limit` ticks of a channel below line `to`, newest first into the end of `out`: for what the index has lost.
u64 records_before(PyHub& python, u64 line) {
  Hub& hub = python.live();
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
    nb::gil_scoped_release released;
    HistoryBuilder builder(hub, channel, frame);
    builder.scan(from, to, from_ts, to_ts);
    bodies = builder.finish(from_ts, to_ts, limit, forming);
  }
  return nb::bytes(reinterpret_cast<const char*>(bodies.data()), bodies.size() * sizeof(CandleBody));
}

// ---------------------------------------------------------------- integrity

// Checks every record of one segment up to the head: (records, line of the first bad one or 0, what is wrong).
nb::tuple verify_segment(PyHub& python, u64 segment) {
  Hub& hub = python.live();
  const Geometry& geometry = hub.log().geometry();
  const u64 head = peek_acquire(hub.hot().head);
  u64 records = 0, bad = 0;
  const char* why = "";
  {
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

// ---------------------------------------------------------------- state

nb::dict hub_state(PyHub& python) {
  Hub& hub = python.live();
  const HubState state = read_hub(hub.hot());
  const Hot& hot = hub.hot();
  nb::dict out;
  out["head"] = state.block.head;
  out["records"] = state.block.records;
  out["watermark_ns"] = state.block.watermark_ns;
  out["ts_event_max"] = state.block.ts_event_max;
  out["clock_seq"] = state.block.clock_seq;
  out["clock_mode"] = state.rare.clock.mode;
  out["watermark_mode"] = state.rare.clock.watermark_mode;
  out["anchor_ns"] = state.rare.clock.anchor_ns;
  out["anchor_boot_ns"] = state.rare.clock.anchor_boot_ns;
  out["rate"] = state.rare.clock.rate;
  out["skew_ns"] = state.rare.clock.skew_ns;
  nb::list kinds;
  for (u64 count : state.rare.by_kind) kinds.append(count);
  out["by_kind"] = kinds;
  out["oldest"] = peek(hot.oldest_line);
  out["synced"] = peek(hot.synced_line);
  out["checkpoint"] = peek(hot.checkpoint_line);
  out["ready"] = peek(hot.ready_line);
  out["repairs"] = peek(hot.repairs);
  out["syncs"] = peek(hot.sync_count);
  out["arena_chunks"] = peek(hot.arena_next);
  out["server_heartbeat_ns"] = peek(hot.ts_server_heartbeat);
  out["epoch"] = hub.at().control().epoch;
  out["segment_lines"] = hub.at().control().segment_lines;
  out["price_basis"] = hub.at().control().price_basis;
  out["sync_mode"] = hub.at().control().sync_mode;
  out["grace_ns"] = hub.at().control().grace_ns;
  out["created_ns"] = hub.at().control().created_ns;
  out["hub_id"] = nb::bytes(reinterpret_cast<const char*>(hub.at().control().hub_id), 16);
  out["memory_dir"] = hub.at().memory_dir();
  out["lost_in_producers"] = peek(hub.at().slots().header().lost);
  out["replayed"] = hub.at().replayed();
  out["cut_tail"] = hub.at().cut_tail();
  return out;
}

nb::list slots(PyHub& python) {
  Hub& hub = python.live();
  nb::list out;
  for (u32 i = 0; i < kSlots; ++i) {
    Slot& slot = hub.at().slots().slot(i);
    if (peek(slot.generation) == 0) continue;
    nb::dict row;
    row["slot"] = i;
    row["alive"] = hub.at().locks().holder(kByteSlots + i) != 0;
    row["pid"] = peek(slot.pid);
    row["attached_ns"] = peek(slot.ts_attach);
    row["name"] = nb::str(slot.name);
    row["get_tick_calls"] = peek(slot.get_tick_calls);
    row["get_candles_calls"] = peek(slot.get_candles_calls);
    row["get_flow_calls"] = peek(slot.get_flow_calls);
    row["published"] = peek(slot.published);
    row["others"] = peek(slot.others);
    row["received"] = peek(slot.received);
    row["refused"] = peek(slot.refused);
    row["duplicates"] = peek(slot.duplicates);
    row["quarantined"] = peek(slot.quarantined);
    out.append(row);
  }
  return out;
}

u32 open_cursor(PyHub& python, const std::string& name, u64 position) {
  Hub& hub = python.live();
  for (u32 i = 0; i < kCursors; ++i) {
    Cursor& cursor = hub.at().slots().cursor(i);
    u64 owner = peek(cursor.owner);
    if (owner != 0 && hub.at().owner_alive(Owner::of(owner))) continue;
    if (!__atomic_compare_exchange_n(&cursor.owner, &owner, hub.at().me().word(), false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) continue;
    put(cursor.start, position);
    put(cursor.position, position);
    put(cursor.delivered, 0);
    put(cursor.lost, 0);
    put(cursor.waiting, 0);
    char text[kSymbolBytes] = {};
    std::strncpy(text, name.c_str(), kSymbolBytes - 1);
    std::memcpy(cursor.name, text, sizeof text);
    return i;
  }
  fail(Cause::Hub, "all " + std::to_string(kCursors) + " reader places are taken; close streams that are not used");
}

nb::list cursors(PyHub& python) {
  Hub& hub = python.live();
  nb::list out;
  for (u32 i = 0; i < kCursors; ++i) {
    Cursor& cursor = hub.at().slots().cursor(i);
    const u64 owner = peek(cursor.owner);
    if (owner == 0 || !hub.at().owner_alive(Owner::of(owner))) continue;
    nb::dict row;
    row["name"] = nb::str(cursor.name);
    row["pid"] = peek(hub.at().slots().slot(Owner::of(owner).slot).pid);
    row["position"] = peek(cursor.position);
    row["delivered"] = peek(cursor.delivered);
    row["lost"] = peek(cursor.lost);
    row["waiting"] = peek(cursor.waiting) != 0;
    out.append(row);
  }
  return out;
}

}  // namespace

void add_hub(nb::module_& m) {
  static std::vector<PyMethodDef> methods;
  for (const PyMethodDef* table : {hot_methods, array_methods}) {
    for (; table->ml_name; ++table) methods.push_back(*table);
  }
  methods.push_back({nullptr, nullptr, 0, nullptr});
  static PyType_Slot slots_of_type[] = {{Py_tp_methods, methods.data()}, {0, nullptr}};
  nb::class_<PyHub>(m, "Hub", nb::type_slots(slots_of_type), nb::dynamic_attr(), nb::is_weak_referenceable(),
                    "One process's attachment to a hub directory. tapehub.DataHub is the public class.")
      .def(
          "__init__",
          [](PyHub* self, const std::string& path, bool create, bool read_only, const std::string& name,
             const std::string& memory_root, u32 segment_lines, u32 price_basis, u32 sync_mode, i64 sync_interval_ns,
             i64 grace_ns, i64 lock_timeout_ns, u64 segments_ahead, u64 retention_bytes, i64 retention_ns,
             bool helper_thread, nb::object normalise, nb::object define) {
            Options options;
            options.create = create;
            options.read_only = read_only;
            options.name = name;
            options.memory_root = memory_root;
            options.segment_lines = segment_lines;
            options.price_basis = PriceBasis(price_basis);
            options.sync_mode = SyncMode(sync_mode);
            options.sync_interval_ns = sync_interval_ns;
            options.grace_ns = grace_ns;
            options.lock_timeout_ns = lock_timeout_ns;
            options.segments_ahead = segments_ahead;
            options.retention_bytes = retention_bytes;
            options.retention_ns = retention_ns;
            options.helper_thread = helper_thread;
            {
              nb::gil_scoped_release released;
              new (self) PyHub(path, options);
            }
            self->normalise = normalise.release().ptr();
            self->define = define.release().ptr();
          },
          "path"_a, nb::kw_only(), "create"_a = false, "read_only"_a = false, "name"_a = "", "memory_root"_a = "",
          "segment_lines"_a = kSegmentLinesDefault, "price_basis"_a = 0, "sync_mode"_a = 0,
          "sync_interval_ns"_a = kSecond, "grace_ns"_a = kSecond / 2, "lock_timeout_ns"_a = 2 * kSecond,
          "segments_ahead"_a = 1, "retention_bytes"_a = u64(10) << 30, "retention_ns"_a = 14 * kDay,
          "helper_thread"_a = true, "normalise"_a, "define"_a)
      .def("_close", &PyHub::close)
      .def_prop_ro("closed", &PyHub::closed)
      .def_prop_ro("_incarnation", &PyHub::incarnation)
      .def_prop_ro("_directory", &PyHub::directory)
      .def("_head", [](PyHub& self) { return peek_acquire(self.live().hot().head); })
      .def("now", [](PyHub& self) { return self.live().now(); },
           "Return the hub clock's reading: int64 ns UTC. It is the clock of ages, states and lateness in every process.")
      .def("_lost", [](PyHub& self) { Hub& hub = self.live(); hub.at().look_around(); return int(hub.at().lost()); })
      .def("_hub_state", &hub_state)
      .def("_slots", &slots)
      .def("_slot", [](PyHub& self) { return self.live().at().me().slot; })
      .def("_count", [](PyHub& self, u64 received, u64 refused, u64 duplicates, u64 quarantined) {
        Slot& slot = self.live().slot();
        put(slot.received, slot.received + received);
        put(slot.refused, slot.refused + refused);
        put(slot.duplicates, slot.duplicates + duplicates);
        put(slot.quarantined, slot.quarantined + quarantined);
      }, "received"_a = 0, "refused"_a = 0, "duplicates"_a = 0, "quarantined"_a = 0)
      .def("_count_flow_call", [](PyHub& self) {
        Slot& slot = self.live().slot();
        put(slot.get_flow_calls, slot.get_flow_calls + 1);
      })
      // names
      .def("_find", [](PyHub& self, nb::str symbol) -> nb::object {
        const PyHub::Known* known = self.find(self.live(), symbol.ptr());
        if (!known) {
          if (PyErr_Occurred()) throw nb::python_error();
          return nb::none();
        }
        return nb::make_tuple(known->instrument, known->channel, known->source);
      })
      .def("_instrument", [](PyHub& self, u32 id) { return bytes_of(self.live().views().instrument(id % kInstrumentsMax)); })
      .def("_instrument_count", [](PyHub& self) { return peek_acquire(self.live().hot().instruments); })
      .def("_source", [](PyHub& self, u32 id) { return bytes_of(self.live().views().source(id % kSourcesMax)); })
      .def("_source_count", [](PyHub& self) { return peek_acquire(self.live().hot().sources); })
      .def("_channels", [](PyHub& self) {
        Hub& hub = self.live();
        std::vector<std::tuple<u16, u8>> out;
        for (u64 i = 0, n = peek_acquire(hub.hot().channels); i < n; ++i) {
          const Channel& channel = hub.views().channel(u32(i));
          out.emplace_back(peek(channel.instrument), peek(channel.source));
        }
        return out;
      })
      .def("_define", [](PyHub& self, nb::bytes row, bool redefine) { return self.live().define(row_of<InstrumentRow>(row), redefine); },
           "row"_a, "redefine"_a = false)
      .def("_define_source", [](PyHub& self, const std::string& name) { return self.live().define_source(name); })
      .def("_define_channel", [](PyHub& self, u16 instrument, u8 source) { return self.live().define_channel(instrument, source); })
      .def("_define_zone", [](PyHub& self, nb::bytes rows, u64 count) {
        // Several processes may open a new hub at once: the first one's record counts.
        Hub& hub = self.live();
        RecordInput input;
        input.kind = Kind::Calendar;
        input.fixed1 = count;
        input.payload = rows.c_str();
        input.payload_bytes = u32(rows.size());
        nb::gil_scoped_release released;
        return hub.publish_record(input, [&](RecordInput&) {
          return read_hub(hub.hot()).rare.by_kind[u32(Kind::Calendar)] == 0 ? kUnset : u64{0};
        });
      }, "rows"_a, "count"_a)
      // publishing
      .def("_publish_rows", &publish_rows, "ts_event"_a, "bid"_a, "ask"_a, "bid_size"_a.none(), "ask_size"_a.none(),
           "ts_recv"_a.none(), "index"_a.none(), "channels"_a, "flags"_a)
      .def("_publish_record", &publish_record, "kind"_a, "ts_event"_a = 0, "ts_recv"_a = 0, "fixed1"_a = 0, "fixed2"_a = 0,
           "instrument"_a = kNone16, "source"_a = 0, "flags"_a = 0, "payload"_a = nb::bytes("", 0))
      .def("_flush", [](PyHub& self) {
        Hub& hub = self.live();
        nb::gil_scoped_release released;
        hub.at().writable();
        hub.at().flush();
        return peek(hub.hot().synced_line);
      })
      .def("_checkpoint", [](PyHub& self) {
        Hub& hub = self.live();
        nb::gil_scoped_release released;
        hub.at().checkpoint();
      })
      .def("_upkeep", [](PyHub& self) {
        Hub& hub = self.live();
        nb::gil_scoped_release released;
        hub.upkeep(true);
      })
      .def("_repair", [](PyHub& self) {
        Hub& hub = self.live();
        nb::gil_scoped_release released;
        hub.repair_if_needed();
      })
      // reading
      .def("_read_candles", &read_candles)
      .def("_read_snapshot", &read_snapshot)
      .def("_read_index", &read_index)
      .def("_gather", &gather)
      .def("_scan", &scan_into)
      .def("_records_before", &records_before)
      .def("_record", &record)
      .def("_tick_objects", &tick_objects)
      .def("_candle_objects", &candle_objects)
      .def("_order_flow_object", &order_flow_object)
      .def("_history", &history)
      .def("_verify_segment", &verify_segment)
      .def("_segments", [](PyHub& self) { return self.live().log().segments(); })
      .def("_wait", [](PyHub& self, u64 seen, i64 timeout_ns, u32 spins) {
        Hub& hub = self.live();
        nb::gil_scoped_release released;
        return hub.wait(seen, timeout_ns, spins);
      })
      // cursors
      .def("_open_cursor", &open_cursor)
      .def("_move_cursor", [](PyHub& self, u32 id, u64 position, u64 delivered, u64 lost, bool waiting) {
        Cursor& cursor = self.live().at().slots().cursor(id % kCursors);
        put(cursor.position, position);
        put(cursor.delivered, delivered);
        put(cursor.lost, lost);
        put(cursor.waiting, waiting ? 1 : 0);
      })
      .def("_close_cursor", [](PyHub& self, u32 id) {
        Hub& hub = self.live();
        Cursor& cursor = hub.at().slots().cursor(id % kCursors);
        if (peek(cursor.owner) == hub.at().me().word()) put_release(cursor.owner, 0);
      })
      .def("_cursors", &cursors)
      // the server
      .def("_try_serve", [](PyHub& self) {
        Hub& hub = self.live();
        if (!hub.at().locks().try_lock(kByteServer)) return false;
        put(hub.slot().is_server, 1u);
        return true;
      })
      .def("_stop_serving", [](PyHub& self) {
        Hub& hub = self.live();
        put(hub.slot().is_server, 0u);
        hub.at().locks().unlock(kByteServer);
      })
      .def("_server", [](PyHub& self) -> nb::object {
        Hub& hub = self.live();
        const pid_t pid = hub.at().locks().holder(kByteServer);
        if (pid == 0) return nb::none();
        for (u32 i = 0; i < kSlots; ++i) {
          Slot& slot = hub.at().slots().slot(i);
          if (peek(slot.is_server) && hub.at().locks().holder(kByteSlots + i) != 0) {
            return nb::make_tuple(peek(slot.pid), peek(slot.ts_attach), nb::str(slot.name));
          }
        }
        return nb::make_tuple(u64(pid), i64(0), "");
      })
      .def("_beat", [](PyHub& self) {
        Hub& hub = self.live();
        put(hub.at().writable().hot().ts_server_heartbeat, boot_ns());
      });
}

}  // namespace tapehub::py

NB_MODULE(_native, m) {
  using namespace tapehub;
  using namespace tapehub::py;
  nb::set_leak_warnings(false);  // hubs that live until the interpreter ends are meant
  m.doc() = "The native core of tapehub: the tape, its views, and the market types.";
  if (add_types(m.ptr()) != 0 || add_arrays(m.ptr()) != 0) throw nb::python_error();
  m.def("set_array_types", [](nb::handle tick, nb::handle candle, nb::handle batch) {
    if (!set_array_types(tick.ptr(), candle.ptr(), batch.ptr())) throw nb::python_error();
  }, "tick"_a, "candle"_a, "batch"_a);
  nb::register_exception_translator([](const std::exception_ptr& p, void*) {
    try {
      std::rethrow_exception(p);
    } catch (const Error& error) {
      raise(error);
    }
  });
  add_hub(m);
  add_follower(m);
  // A caller's own object, or a dict, as one of ours; ours come back as they are.
  m.def("as_tick", [](nb::handle object) {
    PyTick* out;
    if (!tick_from_object(object.ptr(), &out)) throw nb::python_error();
    return nb::steal(reinterpret_cast<PyObject*>(out));
  }, "value"_a);
  m.def("as_candle", [](nb::handle object) {
    PyCandle* out;
    if (!candle_from_object(object.ptr(), &out)) throw nb::python_error();
    return nb::steal(reinterpret_cast<PyObject*>(out));
  }, "value"_a);
  m.def("as_order_flow", [](nb::handle object) {
    PyOrderFlow* out;
    if (!order_flow_from_object(object.ptr(), &out)) throw nb::python_error();
    return nb::steal(reinterpret_cast<PyObject*>(out));
  }, "value"_a);
  m.def("candle_bytes", [](nb::handle candle) {
    if (!candle_check(candle.ptr())) throw nb::type_error("expected a Candle");
    return nb::bytes(reinterpret_cast<const char*>(&reinterpret_cast<PyCandle*>(candle.ptr())->body), sizeof(CandleBody));
  }, "candle"_a);
  m.def("crc32c", [](nb::bytes data) { return crc32c(data.c_str(), data.size()); }, "data"_a,
        "Return the CRC32C (Castagnoli) of some bytes.");
  m.def("boot_ns", &boot_ns, "Return CLOCK_BOOTTIME in ns: it goes on while the machine sleeps.");
  m.def("layout", [] {
    nb::dict out;
    auto field = [&](const char* name, size_t offset) { out[name] = offset; };
#define FIELD(type, name) field(#type "." #name, offsetof(type, name))
    FIELD(TickLine, word); FIELD(TickLine, ts_event); FIELD(TickLine, ts_recv); FIELD(TickLine, ts_publish);
    FIELD(TickLine, bid); FIELD(TickLine, ask); FIELD(TickLine, bid_size); FIELD(TickLine, ask_size);
    FIELD(TickLine, instrument); FIELD(TickLine, source); FIELD(TickLine, flags); FIELD(TickLine, crc32c);
    FIELD(CandleBody, timestamp); FIELD(CandleBody, open); FIELD(CandleBody, high); FIELD(CandleBody, low);
    FIELD(CandleBody, close); FIELD(CandleBody, volume); FIELD(CandleBody, ts_first); FIELD(CandleBody, ts_last);
    FIELD(CandleBody, ts_arrival); FIELD(CandleBody, seq); FIELD(CandleBody, ticks); FIELD(CandleBody, revision);
    FIELD(CandleBody, status); FIELD(CandleBody, timeframe); FIELD(CandleBody, coverage); FIELD(CandleBody, flags);
    FIELD(CandleBody, source); FIELD(CandleBody, instrument);
    FIELD(InstrumentRow, symbol); FIELD(InstrumentRow, pip_size); FIELD(InstrumentRow, price_scale);
    FIELD(InstrumentRow, price_low); FIELD(InstrumentRow, price_high); FIELD(InstrumentRow, id);
    FIELD(InstrumentRow, primary_channel); FIELD(InstrumentRow, calendar); FIELD(InstrumentRow, decimals);
    FIELD(InstrumentRow, declared); FIELD(InstrumentRow, week_days); FIELD(InstrumentRow, base); FIELD(InstrumentRow, quote);
    FIELD(SourceRow, name); FIELD(SourceRow, fencing_token); FIELD(SourceRow, id);
    FIELD(ClockBody, mode); FIELD(ClockBody, watermark_mode); FIELD(ClockBody, anchor_ns); FIELD(ClockBody, anchor_boot_ns);
    FIELD(ClockBody, rate); FIELD(ClockBody, skew_ns); FIELD(ClockBody, watermark_ns);
    FIELD(ChannelBlock, applied_seq); FIELD(ChannelBlock, ticks); FIELD(ChannelBlock, ts_event_max);
    FIELD(ChannelBlock, ts_tick_arrival); FIELD(ChannelBlock, last_tick_seq); FIELD(ChannelBlock, latest);
    FIELD(ChannelBlock, pending); FIELD(ChannelBlock, ts_pending_arrival);
    FIELD(ChannelRare, seq); FIELD(ChannelRare, cleared_seq); FIELD(ChannelRare, ticks_at_clear);
    FIELD(ChannelRare, ts_candle_arrival); FIELD(ChannelRare, ts_flow_arrival); FIELD(ChannelRare, flow_seq);
    FIELD(ChannelRare, flow_updates); FIELD(ChannelRare, candles_received); FIELD(ChannelRare, candles_warm);
    FIELD(ChannelRare, candles_built); FIELD(ChannelRare, late_applied); FIELD(ChannelRare, late_unapplied);
    FIELD(ChannelRare, superseded_ticks); FIELD(ChannelRare, corrected); FIELD(ChannelRare, state);
    FIELD(ChannelRare, ts_state); FIELD(ChannelRare, gap_start); FIELD(ChannelRare, gap_end);
    FIELD(ChannelRare, ring_end); FIELD(ChannelRare, ring_base);
#undef FIELD
    out["sizeof.TickLine"] = sizeof(TickLine);
    out["sizeof.CandleBody"] = sizeof(CandleBody);
    out["sizeof.InstrumentRow"] = sizeof(InstrumentRow);
    out["sizeof.SourceRow"] = sizeof(SourceRow);
    out["sizeof.ClockBody"] = sizeof(ClockBody);
    out["sizeof.ChannelBlock"] = sizeof(ChannelBlock);
    out["sizeof.ChannelRare"] = sizeof(ChannelRare);
    out["sizeof.OrderFlowBody"] = sizeof(OrderFlowBody);
    nb::list frames;
    for (const TimeframeRow& row : kTimeframes) frames.append(nb::make_tuple(row.name, row.span_ns, row.capacity));
    out["timeframes"] = frames;
    out["format"] = kFormat;
    return out;
  }, "Return offsets and sizes of the shared structures, for comparison with the numpy dtypes.");
}
