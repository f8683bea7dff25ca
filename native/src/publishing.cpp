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
  T operator[](u64 row) const {
    T value;
    std::memcpy(&value, data_ + i64(row) * stride_, sizeof value);
    return value;
  }
  T get(u64 row, T otherwise) const { return data_ ? (*this)[row] : otherwise; }

 private:
  const char* data_;
  i64 stride_;
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
    const PyHub::Call call(python);
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

// One row of a feed: (ts_event, ts_recv, bid, ask, bid_size, ask_size, index of its channel). False with an exception.
bool tick_of_row(PyObject* row, PyObject* channels, Hub& hub, TickInput* input) {
  if (!PyTuple_Check(row) || PyTuple_GET_SIZE(row) != 7) {
    PyErr_Format(PyExc_TypeError, "expected rows of 7 values, got %R", row);
    return false;
  }
  const auto number = [row](Py_ssize_t at) { return PyFloat_AsDouble(PyTuple_GET_ITEM(row, at)); };
  const Py_ssize_t index = PyLong_AsSsize_t(PyTuple_GET_ITEM(row, 6));
  input->ts_event = PyLong_AsLongLong(PyTuple_GET_ITEM(row, 0));
  input->ts_recv = PyLong_AsLongLong(PyTuple_GET_ITEM(row, 1));
  input->bid = number(2);
  input->ask = number(3);
  input->bid_size = float(number(4));
  input->ask_size = float(number(5));
  if (PyErr_Occurred()) return false;
  if (index < 0 || index >= PyList_GET_SIZE(channels)) {
    PyErr_Format(PyExc_IndexError, "symbol index is %zd, expected below %zd", index, PyList_GET_SIZE(channels));
    return false;
  }
  const u64 channel = PyLong_AsUnsignedLongLong(PyList_GET_ITEM(channels, index));
  if (channel >= peek_acquire(hub.hot().channels)) {
    if (!PyErr_Occurred()) PyErr_Format(PyExc_IndexError, "there is no channel %llu", static_cast<unsigned long long>(channel));
    return false;
  }
  const Channel& shared = hub.views().channel(u32(channel));
  input->channel = u16(channel);
  input->instrument = peek(shared.instrument);
  input->source = peek(shared.source);
  input->flags = 0;
  return true;
}

// (rows, channels): what publish_array does for an array, for the few that a live feed gives at a time.
PyObject* publish_rows(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs != 2 || !PyList_Check(args[0]) || !PyList_Check(args[1])) {
    return PyErr_Format(PyExc_TypeError, "expected a list of rows and a list of channels");
  }
  PyHub& python = *py_hub(self);
  u64 done = 0;
  std::string fault;
  try {
    Hub& hub = python.live();
    const PyHub::Call call(python);
    const bool always = SyncMode(hub.at().control().sync_mode) == SyncMode::Always;
    const i64 latest = latest_allowed(hub);
    TickInput ticks[kBatchRecords];
    // Its size is asked for each time: while the interpreter is let go, somebody else may shorten it.
    while (fault.empty() && done < u64(PyList_GET_SIZE(args[0]))) {
      const u64 count = std::min<u64>(u64(PyList_GET_SIZE(args[0])) - done, kBatchRecords);
      u64 row = 0;
      for (; row < count; ++row) {
        TickInput& tick = ticks[row];
        if (!tick_of_row(PyList_GET_ITEM(args[0], Py_ssize_t(done + row)), args[1], hub, &tick)) return nullptr;
        if (plain_tick(tick) && tick.ts_event <= latest) [[likely]] continue;
        fault = tick_fault(tick.ts_event, tick.bid, tick.ask, tick.bid_size, tick.ask_size, latest);
        break;
      }
      if (lock_is_free(hub) && !always) [[likely]] {
        hub.publish_ticks(ticks, row, &done);
      } else {
        const WithoutGil guard;
        hub.publish_ticks(ticks, row, &done);
        if (always) hub.at().flush();
      }
    }
  } catch (const Error& error) {
    raise(error, done);
    return nullptr;
  }
  PyObject* const number = PyLong_FromUnsignedLongLong(done);
  PyObject* const why = PyUnicode_FromStringAndSize(fault.data(), Py_ssize_t(fault.size()));
  PyObject* const pair = number && why ? PyTuple_Pack(2, number, why) : nullptr;
  Py_XDECREF(number);
  Py_XDECREF(why);
  return pair;
}

PyObject* receive(PyObject* self, PyObject* count) {
  const unsigned long long more = PyLong_AsUnsignedLongLong(count);
  if (more == ~0ull && PyErr_Occurred()) return nullptr;
  try {
    Slot& slot = py_hub(self)->live().slot();
    put(slot.received, slot.received + more);
  } catch (const Error& error) {
    raise(error);
    return nullptr;
  }
  Py_RETURN_NONE;
}

}  // namespace

PyMethodDef row_methods[] = {
    {"_publish_rows", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(publish_rows)), METH_FASTCALL,
     PyDoc_STR("_publish_rows($self, rows, channels, /)\n--\n\n")},
    {"_receive", receive, METH_O, PyDoc_STR("_receive($self, count, /)\n--\n\n")},
    {nullptr, nullptr, 0, nullptr},
};

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

// 0 when the hub is not the incarnation that was asked for, as it is that of the blob which the record names.
u64 publish_record(PyHub& python, u8 kind, i64 ts_event, i64 ts_recv, u64 fixed1, u64 fixed2, u16 instrument, u8 source,
                   u8 flags, nb::bytes payload, u64 incarnation) {
  Hub& hub = python.live();
  if (incarnation != 0 && incarnation != python.incarnation()) return 0;
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
  const PyHub::Call call(python);
  nb::gil_scoped_release released;
  const u64 seq = hub.publish_record(input);
  if (SyncMode(hub.at().control().sync_mode) == SyncMode::Always) hub.at().flush();
  return seq;
}

}  // namespace tapehub::py
