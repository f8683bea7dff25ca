#include "market_types.hpp"

#include "type_support.hpp"

namespace tapehub::py {

PyTypeObject* TickType = nullptr;
PyTypeObject* CandleType = nullptr;
PyTypeObject* OrderFlowType = nullptr;

namespace {

PyMethodDef module_functions[] = {
    {"set_pip_lookup", set_pip_lookup, METH_O,
     "set_pip_lookup($module, lookup, /)\n--\n\n"
     "Register `lookup(symbol)`, a function that returns a float: the pip size of ticks made by callers.\n\n"
     "Asked once a tick, when its spread or pip_size is first read. 0.0 or None means undeclared (spread in price\n"
     "units); None instead of a function takes the lookup away. Returns the lookup that was registered before."},
    {}};

bool add_type(PyObject* module, const char* name, PyTypeObject* type) {
  return PyModule_AddObjectRef(module, name, reinterpret_cast<PyObject*>(type)) == 0;
}

}  // namespace

int add_types(PyObject* module) {
  // A module that is imported a second time gets the types of the first, or two kinds of Tick would be about.
  const bool good = timestamps_init() && (TickType != nullptr || tick_type_init()) &&
                    (CandleType != nullptr || candle_type_init()) &&
                    (OrderFlowType != nullptr || order_flow_type_init()) && add_type(module, "Tick", TickType) &&
                    add_type(module, "Candle", CandleType) && add_type(module, "OrderFlowMetrics", OrderFlowType) &&
                    PyModule_AddFunctions(module, module_functions) == 0;
  return good ? 0 : -1;
}

}  // namespace tapehub::py
