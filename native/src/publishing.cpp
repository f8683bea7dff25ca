// Arrays and records from Python into the log.
#include "bound.hpp"

#define PY_ARRAY_UNIQUE_SYMBOL tapehub_numpy
#define NO_IMPORT_ARRAY
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>

namespace tapehub::py {

namespace {

// One field of the rows, wherever it lies in them: a packed row's field may be aligned to nothing.
template <class T>
class Column {
 public:
  Column(PyArrayObject* rows, i64 offset)  // below 0: there is no such field
      : data_(offset < 0 ? nullptr : PyArray_BYTES(rows) + offset), stride_(PyArray_STRIDE(rows, 0)) {}
  // A column of its own. The caller has checked its type and that it has one dimension.
  explicit Column(nb::handle array) {
    if (array.is_none()) return;
    auto* column = reinterpret_cast<PyArrayObject*>(array.ptr());
    if (!PyArray_Check(array.ptr()) || PyArray_NDIM(column) != 1 || PyArray_ITEMSIZE(column) != sizeof(T)) {
      throw nb::type_error("a column is no array of its type");
    }
    data_ = PyArray_BYTES(column);
    stride_ = PyArray_STRIDE(column, 0);
  }
  T operator[](u64 row) const {
    T value;
    std::memcpy(&value, data_ + i64(row) * stride_, sizeof value);
    return value;
  }
  T get(u64 row, T otherwise) const { return data_ ? (*this)[row] : otherwise; }

 private:
  const char* data_ = nullptr;
  i64 stride_ = 0;
};

struct Columns {
  Column<i64> ts_event, ts_recv;
  Column<double> bid, ask;
  Column<float> bid_size, ask_size;
  Column<u16> index;
};

// Returns how many were published and, when a row is bad, why. Rows before the bad one are published.
std::pair<u64, std::string> publish(PyHub& python, const Columns& from, u64 count, const std::vector<u16>& channels, u8 flags) {
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
  const i64 latest = latest_allowed(hub);
  std::string fault;
  u64 done = 0;
  try {
    nb::gil_scoped_release released;
    // Gathered and checked before the lock is taken, where a page of the caller's array may be missing.
    TickInput rows[kBatchRecords];
    while (done < count && fault.empty()) {
      const u64 first = done, end = std::min<u64>(count, first + kBatchRecords);
      u64 row = first;
      for (TickInput* input = rows; row < end; ++row, ++input) {
        const u64 which = from.index.get(row, 0);
        if (which >= targets.size()) [[unlikely]] {
          fault = "symbol index is " + std::to_string(which) + ", expected below " + std::to_string(targets.size());
          break;
        }
        const Target& target = targets[which];
        input->ts_event = from.ts_event[row];
        input->ts_recv = from.ts_recv.get(row, 0);
        input->bid = from.bid[row];
        input->ask = from.ask[row];
        input->bid_size = from.bid_size.get(row, 0);
        input->ask_size = from.ask_size.get(row, 0);
        input->channel = target.channel;
        input->instrument = target.instrument;
        input->source = target.source;
        input->flags = flags;
        if (plain_tick(*input) && input->ts_event <= latest) [[likely]] continue;
        fault = tick_fault(input->ts_event, input->bid, input->ask, input->bid_size, input->ask_size, latest);
        if (!fault.empty()) break;
      }
      hub.publish_ticks(rows, row - first, &done);
    }
    if (SyncMode(hub.at().control().sync_mode) == SyncMode::Always) hub.at().flush();
  } catch (const Error& error) {
    raise(error, done);
    throw nb::python_error();
  }
  return {done, fault};
}

}  // namespace

// Rows whose fields lie at `offsets`, -1 for one that is absent, and are of the types that a tick has: Python has checked
// that, once for each dtype.
std::pair<u64, std::string> publish_array(PyHub& python, nb::handle array, const std::array<i64, 7>& offsets,
                                          const std::vector<u16>& channels, u8 flags) {
  auto* rows = reinterpret_cast<PyArrayObject*>(array.ptr());
  if (!PyArray_Check(array.ptr()) || PyArray_NDIM(rows) != 1) throw nb::type_error("expected an array of shape (n,)");
  for (i64 offset : offsets) {
    if (offset + 2 > PyArray_ITEMSIZE(rows)) throw nb::index_error("a field lies beyond the row");
  }
  const auto [ts_event, bid, ask, bid_size, ask_size, ts_recv, index] = offsets;
  const Columns columns{{rows, ts_event}, {rows, ts_recv}, {rows, bid}, {rows, ask}, {rows, bid_size}, {rows, ask_size},
                        {rows, index}};
  return publish(python, columns, u64(PyArray_DIM(rows, 0)), channels, flags);
}

// The same of columns that Python has checked and converted, all of one length.
std::pair<u64, std::string> publish_columns(PyHub& python, nb::handle ts_event, nb::handle bid, nb::handle ask,
                                            nb::handle bid_size, nb::handle ask_size, nb::handle ts_recv,
                                            nb::handle index, const std::vector<u16>& channels, u8 flags) {
  const Columns columns{Column<i64>(ts_event), Column<i64>(ts_recv), Column<double>(bid), Column<double>(ask),
                        Column<float>(bid_size), Column<float>(ask_size), Column<u16>(index)};
  return publish(python, columns, u64(PyArray_DIM(reinterpret_cast<PyArrayObject*>(ts_event.ptr()), 0)), channels, flags);
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

}  // namespace tapehub::py
