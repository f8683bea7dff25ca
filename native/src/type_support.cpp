#include "type_support.hpp"

#include <bit>
#include <cstdio>
#include <cstring>

namespace tapehub::py {

// ---------------------------------------------------------------- arguments

bool Signature::init() {
  for (int i = 0; i <= count; ++i) {
    if (keys[i] == nullptr) keys[i] = PyUnicode_InternFromString(names[i]);
    if (keys[i] == nullptr) return false;
  }
  return true;
}

bool bad_value(const Signature& signature, int param, PyObject* value, const char* expected) {
  PyErr_Format(PyExc_ValueError, "%s.%s is %.100R (%s), expected %s", signature.type, signature.names[param], value,
               Py_TYPE(value)->tp_name, expected);
  return false;
}

Arguments::~Arguments() {
  if (!owned_) return;
  for (int i = 0; i <= signature_.count; ++i) Py_XDECREF(values_[i]);
}

bool Arguments::put(int param, PyObject* value) {
  if (values_[param] != nullptr) {
    PyErr_Format(PyExc_TypeError, "%s() got two values for '%s'", signature_.type, signature_.names[param]);
    return false;
  }
  values_[param] = value;
  return true;
}

bool Arguments::put_keyword(PyObject* name, PyObject* value) {
  for (int i = 0; i < signature_.count; ++i) {  // keyword names in code are interned
    if (signature_.keys[i] == name) return put(i, value);
  }
  for (int i = 0; i < signature_.count; ++i) {
    if (PyUnicode_Check(name) && PyUnicode_Compare(name, signature_.keys[i]) == 0) return put(i, value);
  }
  std::string known;
  for (int i = 0; i < signature_.count; ++i) known.append(i == 0 ? "" : ", ").append(signature_.names[i]);
  PyErr_Format(PyExc_TypeError, "%s() has no parameter %R, it has %s", signature_.type, name, known.c_str());
  return false;
}

bool Arguments::check_required() const {
  for (int i = 0; i < signature_.required; ++i) {
    if (values_[i] != nullptr) continue;
    PyErr_Format(PyExc_TypeError, "%s() needs a value for '%s'", signature_.type, signature_.names[i]);
    return false;
  }
  return true;
}

bool Arguments::from_call(PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  const Py_ssize_t keywords = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
  if (nargs > signature_.positional && !(nargs == signature_.count && keywords == 0)) {
    PyErr_Format(PyExc_TypeError, "%s() takes %d values by position, got %zd; pass '%s' and what follows it by name",
                 signature_.type, signature_.positional, nargs, signature_.names[signature_.positional]);
    return false;
  }
  for (Py_ssize_t i = 0; i < nargs; ++i) values_[i] = args[i];
  for (Py_ssize_t i = 0; i < keywords; ++i) {
    if (!put_keyword(PyTuple_GET_ITEM(kwnames, i), args[nargs + i])) return false;
  }
  return check_required();
}

bool Arguments::from_call(PyObject* args, PyObject* kwargs) {
  if (kwargs != nullptr && PyDict_GET_SIZE(kwargs) > 0) {
    if (PyTuple_GET_SIZE(args) > signature_.positional) {
      PyErr_Format(PyExc_TypeError, "%s() takes %d values by position, got %zd", signature_.type, signature_.positional,
                   PyTuple_GET_SIZE(args));
      return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); ++i) values_[i] = PyTuple_GET_ITEM(args, i);
    PyObject *name, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(kwargs, &position, &name, &value)) {
      if (!put_keyword(name, value)) return false;
    }
    return check_required();
  }
  return from_call(reinterpret_cast<PyTupleObject*>(args)->ob_item, PyTuple_GET_SIZE(args), nullptr);
}

namespace {

// A missing attribute without the cost of an exception.
int optional_attribute(PyObject* object, PyObject* name, PyObject** out) {
#if PY_VERSION_HEX >= 0x030D0000
  return PyObject_GetOptionalAttr(object, name, out);
#else
  return _PyObject_LookupAttr(object, name, out);
#endif
}

}  // namespace

bool Arguments::from_object(PyObject* object) {
  owned_ = true;
  const bool is_dict = PyDict_Check(object);
  for (int i = 0; i <= signature_.count; ++i) {
    PyObject* value = nullptr;
    if (is_dict) {
      value = PyDict_GetItemWithError(object, signature_.keys[i]);
      if (value == nullptr && PyErr_Occurred()) return false;
      Py_XINCREF(value);
    } else if (optional_attribute(object, signature_.keys[i], &value) < 0) {
      return false;
    }
    values_[i] = value;
    if (value == nullptr && i < signature_.required) {
      PyErr_Format(PyExc_TypeError,
                   "no %s can be read from %.100R (%s): it has no %s '%s'; expected a tapehub.%s, its to_dict(), "
                   "or an object with the same attributes",
                   signature_.type, object, Py_TYPE(object)->tp_name, is_dict ? "key" : "attribute",
                   signature_.names[i], signature_.type);
      return false;
    }
  }
  return true;
}

PyObject* Arguments::given(int param) const {
  PyObject* value = values_[param];
  return value == Py_None && param >= signature_.required ? nullptr : value;
}

bool Arguments::number(int param, double* out) const {
  PyObject* value = given(param);
  if (value == nullptr) return true;
  if (PyFloat_CheckExact(value)) [[likely]] {
    *out = PyFloat_AS_DOUBLE(value);
    return true;
  }
  if (PyBool_Check(value)) return bad_value(signature_, param, value, "a real number");
  const double converted = PyFloat_AsDouble(value);
  if (converted == -1.0 && PyErr_Occurred()) {
    if (!PyErr_ExceptionMatches(PyExc_TypeError) && !PyErr_ExceptionMatches(PyExc_OverflowError)) return false;
    PyErr_Clear();
    return bad_value(signature_, param, value, PyUnicode_Check(value) ? "a real number; convert it with float()"
                                                                      : "a real number");
  }
  *out = converted;
  return true;
}

bool Arguments::number(int param, float* out) const {
  double wide = *out;
  if (!number(param, &wide)) return false;
  *out = float(wide);
  return true;
}

bool Arguments::integer(int param, i64 low, i64 high, i64* out) const {
  PyObject* value = given(param);
  if (value == nullptr) return true;
  const auto refuse = [&] {  // formatted only now: a constructor call costs less than one snprintf
    char expected[80];
    std::snprintf(expected, sizeof expected, "an integer from %lld to %lld", static_cast<long long>(low),
                  static_cast<long long>(high));
    return bad_value(signature_, param, value, expected);
  };
  PyObject* whole = nullptr;
  if (PyFloat_Check(value)) {  // a table column of counts with a hole in it comes as float
    const double number = PyFloat_AS_DOUBLE(value);
    if (number != double(i64(number < 9e18 && number > -9e18 ? number : 0.5))) {
      return refuse();
    }
    whole = PyLong_FromDouble(number);
  } else {
    whole = PyIndex_Check(value) ? PyNumber_Index(value) : nullptr;
    if (whole == nullptr && !PyErr_Occurred()) return refuse();
  }
  if (whole == nullptr) return false;
  int overflow = 0;
  const i64 converted = PyLong_AsLongLongAndOverflow(whole, &overflow);
  Py_DECREF(whole);
  if (converted == -1 && PyErr_Occurred()) return false;
  if (overflow != 0 || converted < low || converted > high) return refuse();
  *out = converted;
  return true;
}

bool Arguments::truth(int param, u32* out) const {
  PyObject* value = given(param);
  if (value == nullptr) return true;
  if (PyUnicode_Check(value)) return bad_value(signature_, param, value, "True or False");  // "False" is true
  const int truth = PyObject_IsTrue(value);
  if (truth < 0) return false;
  *out = u32(truth);
  return true;
}

bool Arguments::time_ns(int param, i64* out) const {
  PyObject* value = given(param);
  return value == nullptr || timestamp_to_ns(value, out);
}

bool Arguments::time(int param, i64* out) const {
  PyObject* exact = values_[signature_.count];  // "ts_event"; to_dict() has 0 for not given
  i64 exact_ns = 0;
  if (exact != nullptr && exact != Py_None && !timestamp_to_ns(exact, &exact_ns)) return false;
  PyObject* value = given(param);
  if (exact_ns == 0) return value == nullptr || timestamp_to_ns(value, out);
  *out = exact_ns;
  // Text (a datetime that went through JSON) is not read, ts_event says the same.
  if (value == nullptr || value == Py_None || PyUnicode_Check(value)) return true;
  i64 rounded_ns = 0;
  if (!timestamp_to_ns(value, &rounded_ns)) return false;
  const i64 apart = exact_ns - rounded_ns;
  if (apart > -1'000 && apart < 1'000) return true;
  PyErr_Format(PyExc_ValueError, "%s.%s is %.100R but ts_event is %R: expected the same instant; give only one",
               signature_.type, signature_.names[param], value, exact);
  return false;
}

bool Arguments::text(int param, Py_ssize_t bytes_min, Py_ssize_t bytes_max, PyObject** out) const {
  *out = nullptr;
  PyObject* value = given(param);
  if (value == nullptr) return true;
  const auto refuse = [&] {
    char expected[80];
    std::snprintf(expected, sizeof expected, "text of %zd to %zd UTF-8 bytes without a zero byte", bytes_min,
                  bytes_max);
    return bad_value(signature_, param, value, expected);
  };
  if (!PyUnicode_Check(value)) return refuse();
  Py_ssize_t bytes = 0;
  const char* utf8 = PyUnicode_AsUTF8AndSize(value, &bytes);
  if (utf8 == nullptr) return false;  // a lone surrogate: UnicodeEncodeError is a ValueError
  if (bytes < bytes_min || bytes > bytes_max || std::memchr(utf8, 0, std::size_t(bytes)) != nullptr) {
    return refuse();
  }
  *out = PyUnicode_FromObject(value);  // a subclass (an enum member) could be in a reference cycle, its text cannot
  return *out != nullptr;
}

// ---------------------------------------------------------------- hash

void Hasher::add(double value) {
  if (value == 0.0) value = 0.0;  // -0.0 equals 0.0
  add(value != value ? i64(0x7FF8000000000000) : std::bit_cast<i64>(value));
}

void Hasher::add(i64 value) {  // splitmix64
  u64 z = state_ ^ u64(value);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  state_ = (z ^ (z >> 31)) + 0x9E3779B97F4A7C15ull;
}

void Hasher::add(PyObject* text) { add(text == nullptr ? i64(0) : i64(PyObject_Hash(text))); }  // str: cannot fail

// ---------------------------------------------------------------- print

Printer::Printer(const char* type, PyObject* symbol) : out_(type) {
  out_ += '(';
  text(nullptr, symbol);
}

void Printer::name(const char* name) {
  if (name != nullptr) out_.append(", ").append(name).append("=");
}

void Printer::text(const char* name, PyObject* value) {
  this->name(name);
  PyObject* repr = PyObject_Repr(value == nullptr ? Py_None : value);
  const char* utf8 = repr == nullptr ? nullptr : PyUnicode_AsUTF8(repr);
  if (utf8 == nullptr) {
    failed_ = true;
  } else {
    out_ += utf8;
  }
  Py_XDECREF(repr);
}

void Printer::number(const char* name, double value) {
  this->name(name);
  char* text = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, nullptr);
  if (text == nullptr) {
    failed_ = true;
    return;
  }
  out_ += text;
  PyMem_Free(text);
}

void Printer::rounded(const char* name, double value, int digits) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  this->name(name);
  out_ += text;
}

void Printer::integer(const char* name, i64 value) {
  this->name(name);
  out_ += std::to_string(value);
}

void Printer::time(const char* name, i64 ns) {
  char text[32];
  ns_to_iso(ns, text);
  this->name(name);
  out_.append("'").append(text).append("'");
}

PyObject* Printer::finish() {
  if (failed_) return PyErr_Occurred() ? nullptr : PyErr_NoMemory();
  out_ += ')';
  return PyUnicode_FromStringAndSize(out_.data(), Py_ssize_t(out_.size()));
}

// ---------------------------------------------------------------- dict, pickle, type

void DictBuilder::put(const char* name, PyObject* value) {
  if (failed_ || dict_ == nullptr || value == nullptr || PyDict_SetItemString(dict_, name, value) < 0) failed_ = true;
  Py_XDECREF(value);
}

PyObject* DictBuilder::finish() {
  if (failed_) Py_CLEAR(dict_);
  return dict_;
}

PyObject* reduce_to(PyTypeObject* type, PyObject* args) {
  if (args == nullptr) return nullptr;
  PyObject* result = PyTuple_Pack(2, reinterpret_cast<PyObject*>(type), args);
  Py_DECREF(args);
  return result;
}

PyObject* return_self(PyObject* self, PyObject*) { return new_reference(self); }

PyTypeObject* make_type(PyType_Spec* spec, std::initializer_list<const char*> match_args, vectorcallfunc construct) {
  PyObject* object = PyType_FromSpec(spec);
  if (object == nullptr) return nullptr;
  PyTypeObject* type = reinterpret_cast<PyTypeObject*>(object);
  PyObject* names = PyTuple_New(Py_ssize_t(match_args.size()));
  Py_ssize_t i = 0;
  for (const char* name : match_args) {
    PyObject* text = names == nullptr ? nullptr : PyUnicode_InternFromString(name);
    if (text == nullptr) break;
    PyTuple_SET_ITEM(names, i++, text);
  }
  // Written to the dict itself: an immutable type takes no attributes, and there is no slot for this one.
  if (names == nullptr || i != Py_ssize_t(match_args.size()) ||
      PyDict_SetItemString(type->tp_dict, "__match_args__", names) < 0) {
    Py_XDECREF(names);
    Py_DECREF(object);
    return nullptr;
  }
  Py_DECREF(names);
  type->tp_vectorcall = construct;
  PyType_Modified(type);
  return type;
}

}  // namespace tapehub::py
