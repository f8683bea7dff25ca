// tapehub._native: what Python may do with a hub. Names, policy and lifetime are Python's (tapehub.hub); here are bytes.
#include "bound.hpp"

namespace tapehub::py {

PyHub* py_hub(PyObject* self) { return nb::inst_ptr<PyHub>(self); }

void add_hub(nb::module_& m) {
  static std::vector<PyMethodDef> methods;
  for (const PyMethodDef* table : {hot_methods, row_methods, array_methods}) {
    for (; table->ml_name; ++table) methods.push_back(*table);
  }
  methods.push_back({nullptr, nullptr, 0, nullptr});
  static PyType_Slot slots_of_type[] = {{Py_tp_methods, methods.data()}, {0, nullptr}};
  nb::class_<PyHub>(m, "Hub", nb::type_slots(slots_of_type), nb::dynamic_attr(), nb::is_weak_referenceable(),
                    "One process's attachment to a hub directory. tapehub.DataHub is the public class.")
      .def(
          "__init__",
          [](PyHub* self, const std::string& path, bool create, bool read_only, const std::string& name,
             const std::string& memory_root, std::optional<u32> group, u32 segment_lines, u32 price_basis, u32 sync_mode, i64 sync_interval_ns,
             i64 grace_ns, i64 lock_timeout_ns, u64 segments_ahead, u64 retention_bytes, i64 retention_ns,
             bool helper_thread, nb::object normalise, nb::object define) {
            Options options;
            options.create = create;
            options.read_only = read_only;
            options.name = cut_name(name);
            options.memory_root = memory_root;
            if (group) options.group = gid_t(*group);
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
          "group"_a = nb::none(), "segment_lines"_a = kSegmentLinesDefault, "price_basis"_a = 0, "sync_mode"_a = 0,
          "sync_interval_ns"_a = kSecond, "grace_ns"_a = kSecond / 2, "lock_timeout_ns"_a = 2 * kSecond,
          "segments_ahead"_a = 1, "retention_bytes"_a = 0, "retention_ns"_a = 0,
          "helper_thread"_a = true, "normalise"_a, "define"_a)
      .def("_close", &PyHub::close)
      .def_prop_ro("closed", &PyHub::closed)
      .def_prop_ro("_incarnation", &PyHub::incarnation)
      .def_prop_ro("_directory", &PyHub::directory)
      // Of the incarnations from one on: (hub_id, epoch, oldest, records before it, head, records) as each was left.
      .def("_ends", [](PyHub& self, u64 since) {
        nb::list out;
        for (const PyHub::End& end : self.ends()) {
          if (end.incarnation < since) continue;
          out.append(nb::make_tuple(nb::bytes(reinterpret_cast<const char*>(end.hub_id), sizeof end.hub_id), end.epoch,
                                    end.oldest, end.oldest_records, end.head, end.records));
        }
        return out;
      }, "since"_a)
      // A descriptor of this very hub's directory, for the caller to close, and the incarnation that it is of.
      .def("_open_home", [](PyHub& self) {
        const Directory& home = self.live().at().home();
        const File opened = home.open(".", O_RDONLY | O_DIRECTORY);
        const int fd = ::fcntl(opened.fd(), F_DUPFD_CLOEXEC, 0);
        if (fd < 0) fail_errno("open", home.path());
        return std::make_pair(fd, self.incarnation());
      })
      .def("_head", [](PyHub& self) { return peek_acquire(self.live().hot().head); })
      .def("now", [](PyHub& self) { return self.live().now(); },
           "Return the hub clock's reading: int64 ns UTC. It is the clock of ages, states and lateness in every process.")
      .def("_lost", [](PyHub& self) { Hub& hub = self.live(); hub.at().look_around(); return int(hub.at().lost()); })
      .def("_hub_state", &hub_state)
      .def("_accounts", &accounts)
      .def("_retention", [](PyHub& self) {
        const Retention found = self.live().at().retention();
        return std::make_pair(found.bytes, found.ns);
      })
      .def("_set_retention", [](PyHub& self, u64 bytes, i64 ns) { self.live().at().set_retention(bytes, ns); })
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
      .def("_instrument", [](PyHub& self, u32 id) { return bytes_of(read_instrument(self.live().views(), id % kInstrumentsMax)); })
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
      .def("_define_source", [](PyHub& self, const std::string& name) { return self.live().define_source(cut_name(name)); })
      .def("_define_channel", [](PyHub& self, u16 instrument, u8 source) { return self.live().define_channel(instrument, source); })
      .def("_define_zone", [](PyHub& self, nb::bytes rows, u64 count) {
        // Several processes may open a new hub at once: the first one's record counts.
        Hub& hub = self.live();
        RecordInput input;
        input.kind = Kind::Calendar;
        input.fixed1 = count;
        input.payload = rows.c_str();
        input.payload_bytes = u32(rows.size());
        const PyHub::Call call(self);
        nb::gil_scoped_release released;
        return hub.publish_record(input, [&](RecordInput&) {
          return peek(hub.hot().zone_count) == 0 ? kUnset : u64{0};
        });
      }, "rows"_a, "count"_a)
      .def("_sessions", [](PyHub& self, u32 calendar) -> nb::object {
        const SessionTableBody body = read_sessions(self.live().views(), calendar % kCalendarsMax);
        if (body.blob[0] == 0) return nb::none();
        return nb::str(body.blob, sizeof body.blob);
      }, "calendar"_a)
      // 0 when the hub has this table already, or any table and `replace` is false.
      .def("_define_sessions", [](PyHub& self, u32 calendar, const std::string& blob, u64 rows, bool replace) {
        SessionTableBody body;
        if (calendar >= kCalendarsMax || blob.size() != sizeof body.blob) throw nb::value_error("no such calendar, or no name of a blob");
        std::memcpy(body.blob, blob.data(), sizeof body.blob);
        Hub& hub = self.live();
        RecordInput input;
        input.kind = Kind::Calendar;
        input.ts_event = hub.now();
        input.flags = kCalendarSessions | kRecordNamesBlob;
        input.fixed1 = calendar;
        input.fixed2 = rows;
        input.payload = &body;
        input.payload_bytes = sizeof body;
        const PyHub::Call call(self);
        nb::gil_scoped_release released;
        return hub.publish_record(input, [&](RecordInput&) {  // several processes may log the same one at once
          const SessionTableBody known = read_sessions(hub.views(), calendar);
          const bool there = known.blob[0] != 0 && (!replace || std::memcmp(known.blob, body.blob, sizeof body.blob) == 0);
          return there ? u64{0} : kUnset;
        });
      }, "calendar"_a, "blob"_a, "rows"_a, "replace"_a)
      // publishing
      .def("_publish_array", &publish_array, "array"_a, "offsets"_a, "channels"_a, "flags"_a)
      .def("_publish_record", &publish_record, "kind"_a, "ts_event"_a = 0, "ts_recv"_a = 0, "fixed1"_a = 0, "fixed2"_a = 0,
           "instrument"_a = kNone16, "source"_a = 0, "flags"_a = 0, "payload"_a = nb::bytes("", 0), "incarnation"_a = 0)
      .def("_flush", [](PyHub& self) {
        Hub& hub = self.live();
        const PyHub::Call call(self);
        nb::gil_scoped_release released;
        hub.at().writable();
        hub.at().flush();
        return peek(hub.hot().synced_line);
      })
      .def("_checkpoint", [](PyHub& self) {
        Hub& hub = self.live();
        const PyHub::Call call(self);
        nb::gil_scoped_release released;
        hub.at().checkpoint();
      })
      .def("_upkeep", [](PyHub& self) {
        Hub& hub = self.live();
        const PyHub::Call call(self);
        nb::gil_scoped_release released;
        hub.upkeep(true);
      })
      .def("_repair", [](PyHub& self) {
        Hub& hub = self.live();
        const PyHub::Call call(self);
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
        const PyHub::Call call(self);
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
      .def("_try_serve", [](PyHub& self) { return self.live().serve(); })
      .def("_stop_serving", [](PyHub& self) { self.live().stop_serving(); })
      .def("_server", [](PyHub& self) -> nb::object {
        Hub& hub = self.live();
        const pid_t pid = hub.at().locks().holder(kByteServer);
        if (pid == 0) return nb::none();
        for (u32 i = 0; i < kSlots; ++i) {
          Slot& slot = hub.at().slots().slot(i);
          if (peek(slot.is_server) && hub.at().locks().holder(kByteSlots + i) != 0) {
            return nb::make_tuple(peek(slot.pid), peek(slot.ts_attach), shown(slot.name));
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
  add_intervals(m);
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
  m.def("recorded_ticks", &recorded_ticks, "lines"_a, "symbols"_a, "sources"_a, "pip_sizes"_a,
        "Return Tick objects of rows of dtype TICK, whose instrument is an index into the lists.");
  m.def("crc32c", [](nb::bytes data) { return crc32c(data.c_str(), data.size()); }, "data"_a,
        "Return the CRC32C (Castagnoli) of some bytes.");
  m.def("boot_ns", &boot_ns, "Return CLOCK_BOOTTIME in ns: it goes on while the machine sleeps.");
  m.def("layout", &layout, "Return offsets and sizes of the shared structures, for comparison with the numpy dtypes.");
}
