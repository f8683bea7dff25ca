// What the three market types share: binding arguments, reading a caller's object, converting, comparing, printing.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>  // not self-contained before 3.12

#include <initializer_list>
#include <limits>
#include <string>

#include "timestamps.hpp"

namespace tapehub::py {

inline constexpr int kParamsMax = 28;
inline constexpr Py_ssize_t kSymbolBytesMax = kSymbolBytes - 1;

// The parameters of one type: of its constructor, of its pickled form (all by position) and of to_dict().
struct Signature {
  const char* type;          // "Tick"
  const char* const* names;  // `count` of them, then the dict-only "ts_event"
  int count;
  int positional;  // the first ones may be given by position; so may all `count`, which is how pickle does it
  int required;
  PyObject* keys[kParamsMax];  // interned names

  bool init();
};

// Arguments by parameter. Owned when they were read from an object, borrowed when they came with a call.
class Arguments {
 public:
  explicit Arguments(const Signature& signature) : signature_(signature) {}
  ~Arguments();
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  bool from_call(PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames);  // vectorcall: values follow args
  bool from_call(PyObject* args, PyObject* kwargs);                            // tp_new
  bool from_object(PyObject* object);                                          // dict, or attributes

  // Each leaves `out` as it is when the argument was not given (or is None where it is optional), and is false with
  // ValueError when it cannot be converted.
  bool number(int param, double* out) const;
  bool number(int param, float* out) const;
  bool integer(int param, i64 low, i64 high, i64* out) const;
  bool truth(int param, u32* out) const;
  bool time(int param, i64* out) const;  // "ts_event" of a dict or object wins: it has the nanoseconds
  bool time_ns(int param, i64* out) const;
  // New reference to an exact str; NULL with no exception when not given.
  bool text(int param, Py_ssize_t bytes_min, Py_ssize_t bytes_max, PyObject** out) const;
  PyObject* given(int param) const;  // borrowed, or NULL

  template <class Small>
  bool small(int param, Small* out) const {
    i64 value = i64(*out);
    constexpr i64 high = sizeof(Small) == 8 ? INT64_MAX : i64(std::numeric_limits<Small>::max());
    if (!integer(param, 0, high, &value)) return false;
    *out = Small(value);
    return true;
  }

 private:
  bool put(int param, PyObject* value);
  bool put_keyword(PyObject* name, PyObject* value);
  bool check_required() const;

  const Signature& signature_;
  PyObject* values_[kParamsMax] = {};
  bool owned_ = false;
};

// "Tick.bid is 'x' (str), expected a real number". Sets ValueError and returns false.
bool bad_value(const Signature& signature, int param, PyObject* value, const char* expected);

// Equality of values: a NaN equals a NaN, or a tick with an unknown field would differ from its own copy.
inline bool same(double a, double b) { return a == b || (a != a && b != b); }
inline bool same_text(PyObject* a, PyObject* b) {
  return a == b || (a != nullptr && b != nullptr && PyUnicode_Compare(a, b) == 0);
}

class Hasher {
 public:
  void add(double value);
  void add(i64 value);
  void add(PyObject* text);
  Py_hash_t result() const { return state_ == u64(-1) ? -2 : Py_hash_t(state_); }

 private:
  u64 state_ = 0x9E3779B97F4A7C15ull;
};

// "Tick('EUR_USD', bid=1.15154, ...)"
class Printer {
 public:
  Printer(const char* type, PyObject* symbol);
  void text(const char* name, PyObject* value);
  void number(const char* name, double value);              // shortest form that reads back the same
  void rounded(const char* name, double value, int digits);  // significant digits, for derived values
  void integer(const char* name, i64 value);
  void time(const char* name, i64 ns);
  PyObject* finish();

 private:
  void name(const char* name);
  std::string out_;
  bool failed_ = false;
};

// A dict from name and new reference; steals the values, so that a chain of puts needs one check at its end.
class DictBuilder {
 public:
  DictBuilder() : dict_(PyDict_New()) {}
  void put(const char* name, PyObject* value);
  PyObject* finish();

 private:
  PyObject* dict_;
  bool failed_ = false;
};

inline PyObject* new_reference(PyObject* object) {
  Py_INCREF(object);
  return object;
}
inline PyObject* or_none(PyObject* object) { return new_reference(object == nullptr ? Py_None : object); }

// (type, args) for pickle; steals args, which may be NULL with an exception set.
PyObject* reduce_to(PyTypeObject* type, PyObject* args);

// __copy__ and __deepcopy__: a value that never changes is its own copy.
PyObject* return_self(PyObject* self, PyObject*);

// Create a final, immutable type with `match_args`, and its fast constructor.
PyTypeObject* make_type(PyType_Spec* spec, std::initializer_list<const char*> match_args, vectorcallfunc construct);

bool tick_type_init();
bool candle_type_init();
bool order_flow_type_init();
PyObject* set_pip_lookup(PyObject* module, PyObject* lookup);

}  // namespace tapehub::py
