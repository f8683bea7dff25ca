#include <cmath>

#include "market_types.hpp"
#include "type_support.hpp"

namespace tapehub::py {
namespace {

PyObject* pip_lookup = nullptr;  // symbol -> pip size, registered by the package

enum Param : int {
  kSymbol, kBid, kAsk, kMid, kSpread, kTimestamp, kBidSize, kAskSize, kSource, kTsRecv, kTsPublish, kSeq, kFlags,
  kPipSize, kCount,
};
constexpr const char* kNames[] = {"symbol",   "bid",    "ask",     "mid",        "spread", "timestamp", "bid_size",
                                  "ask_size", "source", "ts_recv", "ts_publish", "seq",    "flags",     "pip_size",
                                  "ts_event"};
static_assert(sizeof kNames / sizeof *kNames == kCount + 1 && kCount < kParamsMax);
Signature signature{"Tick", kNames, kCount, kTimestamp + 1, kAsk + 1, {}};

PyTick* as_tick(PyObject* self) { return reinterpret_cast<PyTick*>(self); }
double mid_of(const PyTick* tick) { return (tick->bid + tick->ask) / 2; }

bool spread_of(PyTick* tick, double* out) {
  const double pip = tick_pip_size(tick);
  if (pip < 0) return false;
  *out = pip > 0 ? (tick->ask - tick->bid) / pip : tick->ask - tick->bid;
  return true;
}

// ---------------------------------------------------------------- life

PyObject* build(const Arguments& args) {
  PyTick* tick = tick_pool.take(TickType);
  if (tick == nullptr) return nullptr;
  tick->symbol = tick->source = nullptr;
  tick->ts_event = kNoTime;
  tick->ts_recv = tick->ts_publish = 0;
  tick->bid = tick->ask = tick->given_mid = tick->given_spread = 0.0;
  tick->bid_size = tick->ask_size = 0.0f;
  tick->seq = 0;
  tick->flags = 0;
  tick->pip_size = std::nan("");
  if (args.text(kSymbol, 1, kSymbolBytesMax, &tick->symbol) && args.number(kBid, &tick->bid) &&
      args.number(kAsk, &tick->ask) && args.number(kMid, &tick->given_mid) &&
      args.number(kSpread, &tick->given_spread) && args.time(kTimestamp, &tick->ts_event) &&
      args.number(kBidSize, &tick->bid_size) && args.number(kAskSize, &tick->ask_size) &&
      args.text(kSource, 1, kSymbolBytesMax, &tick->source) && args.time_ns(kTsRecv, &tick->ts_recv) &&
      args.time_ns(kTsPublish, &tick->ts_publish) && args.small(kSeq, &tick->seq) && args.small(kFlags, &tick->flags) &&
      args.number(kPipSize, &tick->pip_size)) {
    if (!(tick->pip_size < 0) && !std::isinf(tick->pip_size)) return reinterpret_cast<PyObject*>(tick);
    bad_value(signature, kPipSize, args.given(kPipSize), "a positive number, or 0 for undeclared");
  }
  Py_DECREF(reinterpret_cast<PyObject*>(tick));
  return nullptr;
}

PyObject* construct(PyObject*, PyObject* const* values, size_t nargs, PyObject* kwnames) {
  Arguments args(signature);
  return args.from_call(values, PyVectorcall_NARGS(nargs), kwnames) ? build(args) : nullptr;
}

PyObject* tick_tp_new(PyTypeObject*, PyObject* values, PyObject* kwargs) {
  Arguments args(signature);
  return args.from_call(values, kwargs) ? build(args) : nullptr;
}

void tick_dealloc(PyObject* self) {
  PyTick* tick = as_tick(self);
  Py_XDECREF(tick->symbol);
  Py_XDECREF(tick->source);
  tick_pool.give(tick);
}

PyObject* from_dict(PyObject*, PyObject* form) {
  PyTick* tick = nullptr;
  return tick_from_object(form, &tick) ? reinterpret_cast<PyObject*>(tick) : nullptr;
}

PyObject* reduce(PyObject* self, PyObject*) {
  const PyTick* t = as_tick(self);
  PyObject* when = t->ts_event == kNoTime ? new_reference(Py_None) : PyLong_FromLongLong(t->ts_event);
  PyObject* pip = std::isnan(t->pip_size) ? new_reference(Py_None) : PyFloat_FromDouble(t->pip_size);
  return reduce_to(TickType,
                   Py_BuildValue("(OddddNddOLLKBN)", t->symbol, t->bid, t->ask, t->given_mid, t->given_spread, when,
                                 double(t->bid_size), double(t->ask_size), t->source == nullptr ? Py_None : t->source,
                                 static_cast<long long>(t->ts_recv), static_cast<long long>(t->ts_publish),
                                 static_cast<unsigned long long>(t->seq), t->flags, pip));
}

// ---------------------------------------------------------------- attributes

PyObject* get_mid(PyObject* self, void*) { return PyFloat_FromDouble(mid_of(as_tick(self))); }

PyObject* get_spread(PyObject* self, void*) {
  double spread = 0;
  return spread_of(as_tick(self), &spread) ? PyFloat_FromDouble(spread) : nullptr;
}

PyObject* get_pip_size(PyObject* self, void*) {
  const double pip = tick_pip_size(as_tick(self));
  return pip < 0 ? nullptr : PyFloat_FromDouble(pip);
}

PyObject* get_timestamp(PyObject* self, void*) {
  const i64 ns = as_tick(self)->ts_event;
  return ns == kNoTime ? new_reference(Py_None) : ns_to_datetime(ns);
}

PyObject* get_ts_event(PyObject* self, void*) {
  const i64 ns = as_tick(self)->ts_event;
  return PyLong_FromLongLong(ns == kNoTime ? 0 : ns);
}

PyObject* to_dict(PyObject* self, PyObject*) {
  const PyTick* tick = as_tick(self);
  DictBuilder dict;
  dict.put("symbol", new_reference(tick->symbol));
  dict.put("bid", PyFloat_FromDouble(tick->bid));
  dict.put("ask", PyFloat_FromDouble(tick->ask));
  dict.put("mid", get_mid(self, nullptr));
  dict.put("spread", get_spread(self, nullptr));
  dict.put("timestamp", get_timestamp(self, nullptr));
  dict.put("bid_size", PyFloat_FromDouble(tick->bid_size));
  dict.put("ask_size", PyFloat_FromDouble(tick->ask_size));
  dict.put("source", or_none(tick->source));
  dict.put("ts_event", get_ts_event(self, nullptr));
  dict.put("ts_recv", PyLong_FromLongLong(tick->ts_recv));
  dict.put("ts_publish", PyLong_FromLongLong(tick->ts_publish));
  dict.put("seq", PyLong_FromUnsignedLongLong(tick->seq));
  dict.put("flags", PyLong_FromLong(tick->flags));
  // None when nobody is there to tell, so that whoever reads the dict asks its own lookup.
  dict.put("pip_size", std::isnan(tick->pip_size) ? new_reference(Py_None) : PyFloat_FromDouble(tick->pip_size));
  return dict.finish();
}

// ---------------------------------------------------------------- value

PyObject* compare(PyObject* self, PyObject* other, int operation) {
  if (!tick_check(other) || (operation != Py_EQ && operation != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
  const PyTick *a = as_tick(self), *b = as_tick(other);
  const bool equal = a->ts_event == b->ts_event && same(a->bid, b->bid) && same(a->ask, b->ask) &&
                     same(a->bid_size, b->bid_size) && same(a->ask_size, b->ask_size) &&
                     same_text(a->symbol, b->symbol);
  return PyBool_FromLong(equal == (operation == Py_EQ));
}

Py_hash_t hash(PyObject* self) {
  const PyTick* tick = as_tick(self);
  Hasher hasher;
  hasher.add(tick->symbol);
  hasher.add(tick->ts_event);
  hasher.add(tick->bid);
  hasher.add(tick->ask);
  return hasher.result();
}

PyObject* repr(PyObject* self) {
  PyTick* tick = as_tick(self);
  double spread = 0;
  if (!spread_of(tick, &spread)) return nullptr;
  Printer out("Tick", tick->symbol);
  out.number("bid", tick->bid);
  out.number("ask", tick->ask);
  out.rounded("mid", mid_of(tick), 12);
  out.rounded("spread", spread, 6);
  if (tick->ts_event == kNoTime) {
    out.text("timestamp", nullptr);
  } else {
    out.time("timestamp", tick->ts_event);
  }
  if (tick->bid_size != 0 || tick->ask_size != 0) {
    out.rounded("bid_size", tick->bid_size, 7);
    out.rounded("ask_size", tick->ask_size, 7);
  }
  if (tick->source != nullptr) out.text("source", tick->source);
  if (tick->seq != 0) out.integer("seq", i64(tick->seq));
  return out.finish();
}

// ---------------------------------------------------------------- the type

constexpr char kDoc[] =
    "Tick(symbol, bid, ask, mid=0.0, spread=0.0, timestamp=None, *, bid_size=0.0, ask_size=0.0, source=None, "
    "ts_recv=0, ts_publish=0, seq=0, flags=0, pip_size=None)\n--\n\n"
    "One quote: what could be sold (bid) and bought (ask) at, in market units, and when.\n\n"
    "Immutable. mid and spread are derived from bid and ask; a value given for them is only kept so that the hub can\n"
    "count a contradiction. Two ticks are equal when they say the same about the market (symbol, event time, prices,\n"
    "sizes), whichever way they came (source, ts_recv, ts_publish, seq, flags).\n\n"
    "Args:\n"
    "    symbol: 1 to 31 UTF-8 bytes, such as 'EUR_USD'.\n"
    "    bid, ask: price in market units. The constructor checks that they are numbers, the hub that they make sense.\n"
    "    mid, spread: ignored but for a contradiction; 0.0 is not given.\n"
    "    timestamp: venue time; datetime (naive is read as UTC), numpy.datetime64 or int ns. None: the hub stamps it.\n"
    "    bid_size, ask_size: kept as float32; 0.0 is not given.\n"
    "    source: name of the feed; None is the hub's 'direct'.\n"
    "    ts_recv, ts_publish, seq, flags: set by the hub and by pickle.\n"
    "    pip_size: 0.0 is undeclared; None asks the instrument table when it is first needed.\n\n"
    "Raises:\n"
    "    ValueError: a value that is no number, time or symbol; the message names it.";

PyMemberDef members[] = {
    {"symbol", T_OBJECT_EX, offsetof(PyTick, symbol), READONLY, "Instrument, such as 'EUR_USD'."},
    {"bid", T_DOUBLE, offsetof(PyTick, bid), READONLY, "Price to sell at, in market units."},
    {"ask", T_DOUBLE, offsetof(PyTick, ask), READONLY, "Price to buy at, in market units."},
    {"bid_size", T_FLOAT, offsetof(PyTick, bid_size), READONLY, "Size at the bid; 0.0 when the venue gives none."},
    {"ask_size", T_FLOAT, offsetof(PyTick, ask_size), READONLY, "Size at the ask; 0.0 when the venue gives none."},
    {"source", T_OBJECT, offsetof(PyTick, source), READONLY, "Name of the feed, or None before the hub has it."},
    {"ts_recv", T_LONGLONG, offsetof(PyTick, ts_recv), READONLY, "When the receiver got it, ns UTC; 0 is unknown."},
    {"ts_publish", T_LONGLONG, offsetof(PyTick, ts_publish), READONLY, "When the hub took it, ns UTC; 0 before that."},
    {"seq", T_ULONGLONG, offsetof(PyTick, seq), READONLY, "Sequence number in the log; 0 before the hub has it."},
    {"flags", T_UBYTE, offsetof(PyTick, flags), READONLY, "Bits: 1 unverified, 2 mid or spread corrected, 4 backfill."},
    {}};

PyGetSetDef properties[] = {
    {"mid", get_mid, nullptr, "(bid + ask) / 2.", nullptr},
    {"spread", get_spread, nullptr, "(ask - bid) / pip_size: in pips; in price units when undeclared.", nullptr},
    {"timestamp", get_timestamp, nullptr, "Venue time, an aware UTC datetime; None until the hub stamps it.", nullptr},
    {"ts_event", get_ts_event, nullptr, "Venue time, ns UTC; 0 until the hub stamps it.", nullptr},
    {"pip_size", get_pip_size, nullptr, "Pip of the instrument, in price units; 0.0 when undeclared.", nullptr},
    {}};

PyMethodDef methods[] = {
    {"to_dict", to_dict, METH_NOARGS,
     "to_dict($self, /)\n--\n\nReturn every attribute by name; timestamp stays a datetime, ts_* are int ns."},
    {"from_dict", from_dict, METH_O | METH_CLASS,
     "from_dict($type, form, /)\n--\n\nRead the form of to_dict(), or any object with such attributes."},
    {"__reduce__", reduce, METH_NOARGS, nullptr},
    {"__copy__", return_self, METH_NOARGS, nullptr},
    {"__deepcopy__", return_self, METH_O, nullptr},
    {}};

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>(kDoc)},
    {Py_tp_new, reinterpret_cast<void*>(tick_tp_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(tick_dealloc)},
    {Py_tp_members, members},
    {Py_tp_getset, properties},
    {Py_tp_methods, methods},
    {Py_tp_richcompare, reinterpret_cast<void*>(compare)},
    {Py_tp_hash, reinterpret_cast<void*>(hash)},
    {Py_tp_repr, reinterpret_cast<void*>(repr)},
    {0, nullptr}};

PyType_Spec spec{"tapehub.Tick", sizeof(PyTick), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots};

}  // namespace

bool tick_type_init() {
  if (!signature.init()) return false;
  TickType = make_type(&spec, {"symbol", "bid", "ask", "mid", "spread", "timestamp"}, construct);
  return TickType != nullptr;
}

bool tick_from_object(PyObject* object, PyTick** out) {
  if (tick_check(object)) {
    *out = as_tick(new_reference(object));
    return true;
  }
  Arguments args(signature);
  *out = args.from_object(object) ? as_tick(build(args)) : nullptr;
  return *out != nullptr;
}

double tick_pip_size(PyTick* tick) {
  if (!std::isnan(tick->pip_size)) return tick->pip_size;
  if (pip_lookup == nullptr) return 0.0;  // not remembered: a lookup may be registered later
  PyObject* lookup = new_reference(pip_lookup);
  PyObject* answer = PyObject_CallOneArg(lookup, tick->symbol);
  Py_DECREF(lookup);
  if (answer == nullptr) return -1.0;
  double pip = answer == Py_None ? 0.0 : PyFloat_AsDouble(answer);
  if (!PyErr_Occurred() && !(pip >= 0.0 && std::isfinite(pip))) {
    PyErr_Format(PyExc_ValueError, "pip size of %R is %R, expected a positive number, or 0.0 for undeclared",
                 tick->symbol, answer);
  }
  Py_DECREF(answer);
  if (PyErr_Occurred()) return -1.0;
  tick->pip_size = pip;
  return pip;
}

PyObject* set_pip_lookup(PyObject*, PyObject* lookup) {
  if (lookup != Py_None && !PyCallable_Check(lookup)) {
    PyErr_Format(PyExc_TypeError, "lookup is %.100R, expected a function from symbol to pip size, or None", lookup);
    return nullptr;
  }
  PyObject* previous = pip_lookup == nullptr ? new_reference(Py_None) : pip_lookup;
  pip_lookup = lookup == Py_None ? nullptr : new_reference(lookup);
  return previous;
}

}  // namespace tapehub::py
