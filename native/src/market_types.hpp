// Tick, Candle and OrderFlowMetrics: the values that callers hold.
//
// Hand-written CPython types, because a returned object costs more than the read that fills it: an instance comes from
// a free list, is not tracked by the garbage collector (it refers to exact strings only, so it cannot be in a cycle),
// and everything derived (mid, spread, datetimes) is computed when it is asked for. Instances never change.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstring>
#include <limits>

#include "tapehub/layout.hpp"
#include "timestamps.hpp"

namespace tapehub::py {

inline constexpr i64 kNoTime = std::numeric_limits<i64>::min();  // not given: the hub stamps it

struct PyTick {
  PyObject_HEAD
  PyObject* symbol;  // exact str
  PyObject* source;  // exact str, or NULL: not given
  i64 ts_event;      // kNoTime when not given; from here to ask_size as in TickLine, copied in one go
  i64 ts_recv;
  i64 ts_publish;
  double bid;
  double ask;
  float bid_size;  // 0: not given
  float ask_size;
  u64 seq;              // 0: not from a hub
  double pip_size;      // 0: undeclared, spread is in price units; NaN: ask the pip lookup on first use
  double given_mid;     // 0 or NaN: not given
  double given_spread;  // 0 or NaN: not given
  u8 flags;
};

struct PyCandle {
  PyObject_HEAD
  PyObject* symbol;
  PyObject* source;
  CandleBody body;  // its instrument and source ids mean something only to the hub that filled them
};

struct PyOrderFlow {
  PyObject_HEAD
  PyObject* symbol;
  PyObject* futures_symbol;   // never NULL, may be empty
  PyObject* order_flow_bias;  // never NULL
  i64 ts_event;               // kNoTime when not given
  i64 ts_recv;
  i64 ts_publish;
  u64 seq;
  OrderFlowBody body;  // the two byte counts at its end belong to the record, and are 0 here
};

// Blocks kept for the next object. A block owns one reference to its type from malloc to free, also while it waits
// here, so a reuse touches no count but the object's own. Debug and free-threaded interpreters do without.
template <class Object, int kKept>
class FreeList {
 public:
  Object* take(PyTypeObject* type) noexcept {
    if (count_ != 0) [[likely]] {
      Object* object = kept_[--count_];
      Py_SET_REFCNT(reinterpret_cast<PyObject*>(object), 1);
      return object;
    }
    return allocate(type);
  }
  void give(Object* object) noexcept {
    if (kPooled && count_ < kKept) [[likely]] {
      kept_[count_++] = object;
      return;
    }
    PyTypeObject* type = Py_TYPE(reinterpret_cast<PyObject*>(object));
    PyObject_Free(object);
    Py_DECREF(reinterpret_cast<PyObject*>(type));
  }

 private:
#if defined(Py_REF_DEBUG) || defined(Py_TRACE_REFS) || defined(Py_GIL_DISABLED)
  static constexpr bool kPooled = false;
#else
  static constexpr bool kPooled = true;
#endif
  [[gnu::noinline]] static Object* allocate(PyTypeObject* type) noexcept {
    void* block = PyObject_Malloc(sizeof(Object));
    if (block == nullptr) {
      PyErr_NoMemory();
      return nullptr;
    }
    return reinterpret_cast<Object*>(PyObject_Init(static_cast<PyObject*>(block), type));
  }
  // Not linked through the blocks: making a hundred objects would wait for one cache line after the other.
  Object* kept_[kKept];
  int count_ = 0;
};

inline FreeList<PyTick, 1024> tick_pool;
inline FreeList<PyCandle, 1024> candle_pool;
inline FreeList<PyOrderFlow, 64> order_flow_pool;

extern PyTypeObject* TickType;
extern PyTypeObject* CandleType;
extern PyTypeObject* OrderFlowType;

// Create the types and add them, and set_pip_lookup, to `module`. 0, or -1 with an exception set.
int add_types(PyObject* module);

// The types are final, so an exact match is an instance.
inline bool tick_check(PyObject* object) { return Py_IS_TYPE(object, TickType); }
inline bool candle_check(PyObject* object) { return Py_IS_TYPE(object, CandleType); }
inline bool order_flow_check(PyObject* object) { return Py_IS_TYPE(object, OrderFlowType); }

// ---------------------------------------------------------------- out of the hub
// `symbol`, `source` and the texts are borrowed, must be exact str, and get a new reference. `source` may be NULL.

static_assert(offsetof(PyTick, seq) - offsetof(PyTick, ts_event) == 48 &&
              offsetof(PyTick, ask_size) - offsetof(PyTick, ts_event) ==
                  offsetof(TickLine, ask_size) - offsetof(TickLine, ts_event) &&
              offsetof(PyTick, bid) - offsetof(PyTick, ts_event) ==
                  offsetof(TickLine, bid) - offsetof(TickLine, ts_event));

inline PyObject* tick_new(const TickLine& line, PyObject* symbol, PyObject* source, double pip_size) noexcept {
  PyTick* tick = tick_pool.take(TickType);
  if (tick == nullptr) [[unlikely]] return nullptr;
  Py_INCREF(symbol);
  Py_XINCREF(source);
  tick->symbol = symbol;
  tick->source = source;
  std::memcpy(reinterpret_cast<char*>(tick) + offsetof(PyTick, ts_event),
              reinterpret_cast<const char*>(&line) + offsetof(TickLine, ts_event), 48);
  tick->seq = word_seq(line.word);
  tick->pip_size = pip_size;
  tick->given_mid = 0.0;
  tick->given_spread = 0.0;
  tick->flags = line.flags;
  return reinterpret_cast<PyObject*>(tick);
}

// Many references at once: counted one by one, each would wait for the store of the one before.
inline void add_references(PyObject* object, Py_ssize_t count) noexcept {
#if PY_VERSION_HEX < 0x030C0000
  Py_SET_REFCNT(object, Py_REFCNT(object) + count);
#else
  while (count-- > 0) Py_INCREF(object);
#endif
}

inline PyObject* candle_new(const CandleBody& body, PyObject* symbol, PyObject* source) noexcept {
  PyCandle* candle = candle_pool.take(CandleType);
  if (candle == nullptr) [[unlikely]] return nullptr;
  Py_INCREF(symbol);
  Py_XINCREF(source);
  candle->symbol = symbol;
  candle->source = source;
  candle->body = body;
  return reinterpret_cast<PyObject*>(candle);
}

PyObject* order_flow_new(const RecordHead& head, const OrderFlowBody& body, PyObject* symbol, PyObject* futures_symbol,
                         PyObject* bias) noexcept;

// ---------------------------------------------------------------- into the hub
// Take the type itself (a new reference to it), a dict in the form of to_dict(), or any object with the documented
// attributes, such as a caller's own dataclass. False with TypeError (not such an object) or ValueError (a bad value).

bool tick_from_object(PyObject* object, PyTick** out);
bool candle_from_object(PyObject* object, PyCandle** out);
bool order_flow_from_object(PyObject* object, PyOrderFlow** out);

// Pip size of the tick's instrument, 0 when undeclared; asks the registered lookup once. Below 0: exception set.
double tick_pip_size(PyTick* tick);

// "1m", or an alias such as "1min", "M1", "MINUTE": its row in kTimeframes. False with ValueError.
bool timeframe_from_object(PyObject* name, u8* out);
PyObject* timeframe_name(u8 timeframe);  // borrowed

}  // namespace tapehub::py
