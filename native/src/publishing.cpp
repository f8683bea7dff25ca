// Arrays and records from Python into the log.
#include "bound.hpp"

#define PY_ARRAY_UNIQUE_SYMBOL tapehub_numpy
#define NO_IMPORT_ARRAY
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>

namespace tapehub::py {

namespace {

// One field of a structured array, wherever it lies in the row: a packed row's field may be aligned to nothing. The caller has
// checked its type and that it has one dimension.
template <class T>
class Column {
 public:
  explicit Column(nb::handle array) {
    if (array.is_none()) return;
    if (!PyArray_Check(array.ptr())) throw nb::type_error("a column is no numpy array");
    auto* column = reinterpret_cast<PyArrayObject*>(array.ptr());
    if (PyArray_NDIM(column) != 1 || PyArray_ITEMSIZE(column) != sizeof(T)) throw nb::type_error("a column of another type");
    data_ = PyArray_BYTES(column);
    stride_ = PyArray_STRIDE(column, 0);
    size_ = u64(PyArray_DIM(column, 0));
  }
  explicit operator bool() const { return data_ != nullptr; }
  u64 size() const { return size_; }
  T operator[](u64 row) const {
    T value;
    std::memcpy(&value, data_ + i64(row) * stride_, sizeof value);
    return value;
  }
  T get(u64 row, T otherwise) const { return data_ ? (*this)[row] : otherwise; }

 private:
  const char* data_ = nullptr;
  i64 stride_ = 0;
  u64 size_ = 0;
};

}  // namespace

// Returns how many were published and, when a row is bad, why. Rows before the bad one are published.
std::pair<u64, std::string> publish_rows(PyHub& python, nb::handle ts_event_of, nb::handle bid_of, nb::handle ask_of,
                                         nb::handle bid_size_of, nb::handle ask_size_of, nb::handle ts_recv_of,
                                         nb::handle index_of, const std::vector<u16>& channels, u8 flags) {
  const Column<i64> ts_event(ts_event_of), ts_recv(ts_recv_of);
  const Column<double> bid(bid_of), ask(ask_of);
  const Column<float> bid_size(bid_size_of), ask_size(ask_size_of);
  const Column<u16> index(index_of);
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
  const u64 count = ts_event.size();
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
        const u64 which = index.get(row, 0);
        if (which >= targets.size()) [[unlikely]] {
          fault = "symbol index is " + std::to_string(which) + ", expected below " + std::to_string(targets.size());
          break;
        }
        const Target& target = targets[which];
        input->ts_event = ts_event[row];
        input->ts_recv = ts_recv.get(row, 0);
        input->bid = bid[row];
        input->ask = ask[row];
        input->bid_size = bid_size.get(row, 0);
        input->ask_size = ask_size.get(row, 0);
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
