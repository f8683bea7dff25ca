// Reads that answer with numpy arrays, where the array costs as much as the read: a batch of candles, a view of the log.
#include "py_hub.hpp"

#define PY_ARRAY_UNIQUE_SYMBOL tapehub_numpy
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>
#include <structmember.h>

#include <cstdlib>

namespace tapehub::py {

namespace {

PyArray_Descr* tick_dtype = nullptr;
PyArray_Descr* candle_dtype = nullptr;
PyTypeObject* batch_type = nullptr;

// What a Batch holds; the class of that name in Python adds the doors to pandas, polars and Arrow.
struct PyRows {
  PyObject_HEAD
  PyObject* rows;
  PyObject* hub;
  PyObject* records;
  PyObject* symbols;
  Py_ssize_t lost;
};

int rows_traverse(PyObject* self, visitproc visit, void* arg) {
  auto* rows = reinterpret_cast<PyRows*>(self);
  Py_VISIT(rows->rows);
  Py_VISIT(rows->hub);
  Py_VISIT(rows->records);
  Py_VISIT(rows->symbols);
  Py_VISIT(Py_TYPE(self));
  return 0;
}
int rows_clear(PyObject* self) {
  auto* rows = reinterpret_cast<PyRows*>(self);
  Py_CLEAR(rows->rows);
  Py_CLEAR(rows->hub);
  Py_CLEAR(rows->records);
  Py_CLEAR(rows->symbols);
  return 0;
}
void rows_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  rows_clear(self);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(reinterpret_cast<PyObject*>(type));
}
int rows_init(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"rows", "hub", "lost", "records", nullptr};
  PyObject *array, *hub, *records = nullptr;
  Py_ssize_t lost = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|nO", const_cast<char**>(names), &array, &hub, &lost, &records)) return -1;
  auto* rows = reinterpret_cast<PyRows*>(self);
  Py_XSETREF(rows->rows, Py_NewRef(array));
  Py_XSETREF(rows->hub, Py_NewRef(hub));
  Py_XSETREF(rows->records, records ? Py_NewRef(records) : PyTuple_New(0));
  rows->lost = lost;
  return 0;
}
PyObject* rows_numpy(PyObject* self, PyObject*) { return Py_NewRef(reinterpret_cast<PyRows*>(self)->rows); }
PyObject* rows_records(PyObject* self, void*) {
  auto* rows = reinterpret_cast<PyRows*>(self);
  return rows->records ? Py_NewRef(rows->records) : PyTuple_New(0);
}

PyMethodDef rows_methods[] = {
    {"numpy", rows_numpy, METH_NOARGS,
     PyDoc_STR("numpy($self, /)\n--\n\nGive the rows, shape (n,), dtype tapehub.TICK or tapehub.CANDLE. No copy.")},
    {nullptr, nullptr, 0, nullptr}};
PyMemberDef rows_members[] = {
    {"_rows", T_OBJECT_EX, offsetof(PyRows, rows), READONLY, nullptr},
    {"_hub", T_OBJECT_EX, offsetof(PyRows, hub), READONLY, nullptr},
    {"_symbols", T_OBJECT, offsetof(PyRows, symbols), 0, nullptr},
    {"lost", T_PYSSIZET, offsetof(PyRows, lost), READONLY, "records overwritten before a stream could read them, 0 elsewhere"},
    {nullptr, 0, 0, 0, nullptr}};
PyGetSetDef rows_getset[] = {
    {"records", rows_records, nullptr, "the records of other kinds that a stream was asked for, in log order", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};
PyType_Slot rows_slots[] = {
    {Py_tp_doc, const_cast<char*>("Rows of one dtype, and the hub they are of.")},
    {Py_tp_new, reinterpret_cast<void*>(PyType_GenericNew)},
    {Py_tp_init, reinterpret_cast<void*>(rows_init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(rows_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(rows_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(rows_clear)},
    {Py_tp_methods, rows_methods},
    {Py_tp_members, rows_members},
    {Py_tp_getset, rows_getset},
    {0, nullptr}};
PyType_Spec rows_spec = {"tapehub._native.Rows", sizeof(PyRows), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, rows_slots};

PyObject* new_batch(PyObject* hub, PyObject* array) {  // takes the reference to array
  PyObject* batch = batch_type->tp_alloc(batch_type, 0);
  if (!batch) {
    Py_DECREF(array);
    return nullptr;
  }
  auto* rows = reinterpret_cast<PyRows*>(batch);
  rows->rows = array;
  rows->hub = Py_NewRef(hub);
  return batch;
}

void drop_memory(PyObject* capsule) { std::free(PyCapsule_GetPointer(capsule, nullptr)); }

// An array over memory of our own: when numpy allocates for a structured dtype, it walks the fields to clear them, which
// takes longer than the read.
PyObject* new_array(PyArray_Descr* dtype, npy_intp count) {
  void* memory = std::malloc(size_t(std::max<npy_intp>(count, 1)) * size_t(PyDataType_ELSIZE(dtype)));
  if (!memory) return PyErr_NoMemory();
  Py_INCREF(reinterpret_cast<PyObject*>(dtype));
  PyObject* array = PyArray_NewFromDescr(&PyArray_Type, dtype, 1, &count, nullptr, memory,
                                         NPY_ARRAY_ALIGNED | NPY_ARRAY_WRITEABLE, nullptr);
  PyObject* owner = array ? PyCapsule_New(memory, nullptr, drop_memory) : nullptr;
  if (owner && PyArray_SetBaseObject(reinterpret_cast<PyArrayObject*>(array), owner) == 0) return array;
  if (!owner) std::free(memory);
  Py_XDECREF(array);
  return nullptr;
}

bool to_u64(PyObject* object, const char* name, u64* out) {
  const long long value = PyLong_AsLongLong(object);
  if (value == -1 && PyErr_Occurred()) return false;
  if (value < 0) {
    raise_invalid(std::string(name) + " is " + std::to_string(value) + ", expected 0 or more");
    return false;
  }
  *out = u64(value);
  return true;
}

// candles(symbol, timeframe="1m", limit=None, start=None, end=None, *, forming=False, source=None). Anything beyond the
// first three is the general case, in Python.
PyObject* candles(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  const Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
  PyObject* given[3] = {};
  bool simple = nargs >= 1 && nargs <= 3;
  for (Py_ssize_t i = 0; i < nargs && simple; ++i) given[i] = args[i];
  for (Py_ssize_t i = 0; i < named && simple; ++i) {
    PyObject* name = PyTuple_GET_ITEM(names, i);
    const int which = PyUnicode_CompareWithASCIIString(name, "limit") == 0 ? 2
                      : PyUnicode_CompareWithASCIIString(name, "timeframe") == 0 ? 1 : -1;
    simple = which > 0 && !given[which];
    if (simple) given[which] = args[nargs + i];
  }
  if (!simple || given[2] == Py_None) {
    static PyObject* general = PyUnicode_InternFromString("_candles_between");
    PyObject* method = PyObject_GetAttr(self, general);
    if (!method) return nullptr;
    PyObject* result = PyObject_Vectorcall(method, args, size_t(nargs), names);
    Py_DECREF(method);
    return result;
  }
  RingQuery query{};
  query.frame = kMinuteFrame;
  query.limit = 100;
  if (given[1] && !parse_timeframe(given[1], &query.frame)) return nullptr;
  if (given[2] && !to_limit(given[2], &query.limit)) return nullptr;
  query.limit = std::min<u64>(query.limit, kTimeframes[query.frame].capacity + 1);
  PyHub& python = *py_hub(self);
  PyObject* array = nullptr;
  try {
    Hub& hub = python.live();
    const PyHub::Known* known = python.find(hub, given[0]);
    if (!known && PyErr_Occurred()) return nullptr;
    array = new_array(candle_dtype, known ? npy_intp(query.limit) : 0);
    if (!array || !known) return array ? new_batch(self, array) : nullptr;
    auto* bodies = static_cast<CandleBody*>(PyArray_DATA(reinterpret_cast<PyArrayObject*>(array)));
    const u64 count = query.limit == 0 ? 0 : hub.rings().read(*known->shared, query, bodies);
    if (count < query.limit) {
      PyObject* part = PySequence_GetSlice(array, 0, Py_ssize_t(count));
      Py_SETREF(array, part);
      if (!array) return nullptr;
    }
    return new_batch(self, array);
  } catch (const Error& error) {
    Py_XDECREF(array);
    raise(error);
    return nullptr;
  }
}

void drop_window(PyObject* capsule) {
  delete static_cast<std::shared_ptr<Window>*>(PyCapsule_GetPointer(capsule, nullptr));
}

// log(start=0, n=None): lines without a copy. The capsule keeps their mapping, also after the hub was closed.
PyObject* log_lines(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  PyObject* given[2] = {nargs > 0 ? args[0] : nullptr, nargs > 1 ? args[1] : nullptr};
  const Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
  for (Py_ssize_t i = 0; i < named; ++i) {
    PyObject* name = PyTuple_GET_ITEM(names, i);
    const int which = PyUnicode_CompareWithASCIIString(name, "start") == 0 ? 0
                      : PyUnicode_CompareWithASCIIString(name, "n") == 0 ? 1 : -1;
    if (which < 0) return PyErr_Format(PyExc_TypeError, "log got an unexpected argument %R, expected start and n", name);
    given[which] = args[nargs + i];
  }
  if (nargs > 2) return PyErr_Format(PyExc_TypeError, "log takes start and n, got %zd arguments", nargs);
  u64 start = 0, count = UINT64_MAX;
  if (given[0] && !to_u64(given[0], "start", &start)) return nullptr;
  if (given[1] && given[1] != Py_None && !to_u64(given[1], "n", &count)) return nullptr;
  PyHub& python = *py_hub(self);
  try {
    Hub& hub = python.live();
    const u64 head = peek_acquire(hub.hot().head), oldest = peek_acquire(hub.hot().oldest_line);
    start = std::min(std::max(start, oldest), head);
    count = std::min(count, head - start);
    std::shared_ptr<Window> window;
    const unsigned char* at = count == 0 ? nullptr : hub.log().view(start, count, &window);
    if (!at) return new_array(tick_dtype, 0);
    npy_intp shape = npy_intp(count);
    Py_INCREF(reinterpret_cast<PyObject*>(tick_dtype));
    PyObject* array = PyArray_NewFromDescr(&PyArray_Type, tick_dtype, 1, &shape, nullptr,
                                           const_cast<unsigned char*>(at), NPY_ARRAY_ALIGNED, nullptr);
    if (!array) return nullptr;
    auto* keep = new std::shared_ptr<Window>(std::move(window));
    PyObject* owner = PyCapsule_New(keep, nullptr, drop_window);
    if (!owner || PyArray_SetBaseObject(reinterpret_cast<PyArrayObject*>(array), owner) != 0) {
      if (!owner) delete keep;
      Py_DECREF(array);
      return nullptr;
    }
    return array;
  } catch (const Error& error) {
    raise(error);
    return nullptr;
  }
}

}  // namespace

PyMethodDef array_methods[] = {
    {"candles", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(candles)), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("candles($self, symbol, timeframe='1m', limit=None, start=None, end=None, *, forming=False, source=None)\n--\n\n"
               "Read the newest candles that open in [start, end), from memory, as a Batch; `history` goes further back.\n\n"
               "``forming=True`` adds the one that is not finished. Default limit: 100, or all in memory when bounded.")},
    {"log", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(log_lines)), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("log($self, start=0, n=None)\n--\n\n"
               "View raw log lines [start, start + n) without copying, dtype tapehub.TICK, read-only.\n\n"
               "Lines of other records are in there too: a tick's ``seq`` is its line number, theirs has high bits set.")},
    {nullptr, nullptr, 0, nullptr}};

int add_arrays(PyObject* module) {
  import_array1(-1);
  PyObject* type = PyType_FromModuleAndSpec(module, &rows_spec, nullptr);
  if (!type) return -1;
  const int failed = PyModule_AddObjectRef(module, "Rows", type);
  Py_DECREF(type);
  return failed;
}

bool set_array_types(PyObject* tick, PyObject* candle, PyObject* batch) {
  if (!PyArray_DescrCheck(tick) || !PyArray_DescrCheck(candle) || !PyType_Check(batch)) {
    PyErr_SetString(PyExc_TypeError, "expected two numpy dtypes and the Batch class");
    return false;
  }
  Py_XSETREF(tick_dtype, reinterpret_cast<PyArray_Descr*>(Py_NewRef(tick)));
  Py_XSETREF(candle_dtype, reinterpret_cast<PyArray_Descr*>(Py_NewRef(candle)));
  Py_XSETREF(batch_type, reinterpret_cast<PyTypeObject*>(Py_NewRef(batch)));
  return true;
}

}  // namespace tapehub::py
