#include "market_types.hpp"
#include "type_support.hpp"

namespace tapehub::py {
namespace {

enum Param : int {
  kSymbol, kFuturesSymbol, kTimestamp, kWindowSeconds, kOfi, kNetVolumeDelta, kBuyVolume, kSellVolume, kTotalVolume,
  kBestBid, kBestAsk, kBidSize, kAskSize, kImbalance, kBuySweeps, kSellSweeps, kVwap, kBias, kToxicity, kUpdates,
  kIsStale, kTsRecv, kTsPublish, kSeq, kCount,
};
constexpr const char* kNames[] = {
    "symbol", "futures_symbol", "timestamp", "window_seconds", "ofi_60s", "net_volume_delta", "buy_volume",
    "sell_volume", "total_volume", "best_bid", "best_ask", "bid_size", "ask_size", "top_of_book_imbalance",
    "buy_sweep_count", "sell_sweep_count", "vwap_60s", "order_flow_bias", "toxicity_score", "updates_count", "is_stale",
    "ts_recv", "ts_publish", "seq", "ts_event"};
static_assert(sizeof kNames / sizeof *kNames == kCount + 1 && kCount < kParamsMax);
Signature signature{"OrderFlowMetrics", kNames, kCount, kIsStale + 1, kFuturesSymbol + 1, {}};

constexpr Py_ssize_t kBiasBytesMax = 255;  // head, body, futures symbol and bias stay far below a 4 KiB record

struct NumberField {
  int param;
  double OrderFlowBody::*field;
};
constexpr NumberField kNumbers[] = {
    {kWindowSeconds, &OrderFlowBody::window_seconds}, {kOfi, &OrderFlowBody::ofi_60s},
    {kNetVolumeDelta, &OrderFlowBody::net_volume_delta}, {kBuyVolume, &OrderFlowBody::buy_volume},
    {kSellVolume, &OrderFlowBody::sell_volume}, {kTotalVolume, &OrderFlowBody::total_volume},
    {kBestBid, &OrderFlowBody::best_bid}, {kBestAsk, &OrderFlowBody::best_ask}, {kBidSize, &OrderFlowBody::bid_size},
    {kAskSize, &OrderFlowBody::ask_size}, {kImbalance, &OrderFlowBody::top_of_book_imbalance},
    {kVwap, &OrderFlowBody::vwap_60s}, {kToxicity, &OrderFlowBody::toxicity_score}};

struct CountField {
  int param;
  i64 OrderFlowBody::*field;
};
constexpr CountField kCounts[] = {{kBuySweeps, &OrderFlowBody::buy_sweep_count},
                                  {kSellSweeps, &OrderFlowBody::sell_sweep_count},
                                  {kUpdates, &OrderFlowBody::updates_count}};

PyObject* empty_text;
PyObject* neutral;

PyOrderFlow* as_flow(PyObject* self) { return reinterpret_cast<PyOrderFlow*>(self); }

// ---------------------------------------------------------------- life

bool fill(PyOrderFlow* flow, const Arguments& args) {
  if (!args.text(kSymbol, 1, kSymbolBytesMax, &flow->symbol) ||
      !args.text(kFuturesSymbol, 0, kSymbolBytesMax, &flow->futures_symbol) ||
      !args.time(kTimestamp, &flow->ts_event) || !args.text(kBias, 0, kBiasBytesMax, &flow->order_flow_bias) ||
      !args.truth(kIsStale, &flow->body.is_stale) || !args.time_ns(kTsRecv, &flow->ts_recv) ||
      !args.time_ns(kTsPublish, &flow->ts_publish) || !args.small(kSeq, &flow->seq)) {
    return false;
  }
  for (const NumberField& number : kNumbers) {
    if (!args.number(number.param, &(flow->body.*number.field))) return false;
  }
  for (const CountField& count : kCounts) {
    if (!args.integer(count.param, 0, INT64_MAX, &(flow->body.*count.field))) return false;
  }
  if (flow->order_flow_bias == nullptr) flow->order_flow_bias = new_reference(neutral);
  return true;
}

PyObject* build(const Arguments& args) {
  PyOrderFlow* flow = order_flow_pool.take(OrderFlowType);
  if (flow == nullptr) return nullptr;
  flow->symbol = flow->futures_symbol = flow->order_flow_bias = nullptr;
  flow->ts_event = kNoTime;
  flow->ts_recv = flow->ts_publish = 0;
  flow->seq = 0;
  flow->body = OrderFlowBody{};
  flow->body.window_seconds = 60.0;
  if (fill(flow, args)) return reinterpret_cast<PyObject*>(flow);
  Py_DECREF(reinterpret_cast<PyObject*>(flow));
  return nullptr;
}

PyObject* construct(PyObject*, PyObject* const* values, size_t nargs, PyObject* kwnames) {
  Arguments args(signature);
  return args.from_call(values, PyVectorcall_NARGS(nargs), kwnames) ? build(args) : nullptr;
}

PyObject* flow_tp_new(PyTypeObject*, PyObject* values, PyObject* kwargs) {
  Arguments args(signature);
  return args.from_call(values, kwargs) ? build(args) : nullptr;
}

void flow_dealloc(PyObject* self) {
  PyOrderFlow* flow = as_flow(self);
  Py_XDECREF(flow->symbol);
  Py_XDECREF(flow->futures_symbol);
  Py_XDECREF(flow->order_flow_bias);
  order_flow_pool.give(flow);
}

PyObject* from_dict(PyObject*, PyObject* form) {
  PyOrderFlow* flow = nullptr;
  return order_flow_from_object(form, &flow) ? reinterpret_cast<PyObject*>(flow) : nullptr;
}

// ---------------------------------------------------------------- attributes

PyObject* get_timestamp(PyObject* self, void*) {
  const i64 ns = as_flow(self)->ts_event;
  return ns == kNoTime ? new_reference(Py_None) : ns_to_datetime(ns);
}

PyObject* get_ts_event(PyObject* self, void*) {
  const i64 ns = as_flow(self)->ts_event;
  return PyLong_FromLongLong(ns == kNoTime ? 0 : ns);
}

PyObject* get_is_stale(PyObject* self, void*) { return PyBool_FromLong(as_flow(self)->body.is_stale != 0); }

// New reference to the value of one parameter.
PyObject* value_of(PyObject* self, int param) {
  const PyOrderFlow* flow = as_flow(self);
  for (const NumberField& number : kNumbers) {
    if (number.param == param) return PyFloat_FromDouble(flow->body.*number.field);
  }
  for (const CountField& count : kCounts) {
    if (count.param == param) return PyLong_FromLongLong(flow->body.*count.field);
  }
  switch (param) {
    case kSymbol: return new_reference(flow->symbol);
    case kFuturesSymbol: return new_reference(flow->futures_symbol);
    case kBias: return new_reference(flow->order_flow_bias);
    case kTimestamp: return get_timestamp(self, nullptr);
    case kIsStale: return get_is_stale(self, nullptr);
    case kTsRecv: return PyLong_FromLongLong(flow->ts_recv);
    case kTsPublish: return PyLong_FromLongLong(flow->ts_publish);
    case kSeq: return PyLong_FromUnsignedLongLong(flow->seq);
    default: return get_ts_event(self, nullptr);
  }
}

PyObject* reduce(PyObject* self, PyObject*) {
  PyObject* args = PyTuple_New(kCount);
  for (int param = 0; args != nullptr && param < kCount; ++param) {
    const bool exact = param == kTimestamp && as_flow(self)->ts_event != kNoTime;
    PyObject* value = exact ? get_ts_event(self, nullptr) : value_of(self, param);
    if (value == nullptr) {
      Py_CLEAR(args);
    } else {
      PyTuple_SET_ITEM(args, param, value);
    }
  }
  return reduce_to(OrderFlowType, args);
}

PyObject* to_dict(PyObject* self, PyObject*) {
  DictBuilder dict;
  for (int param = 0; param <= kCount; ++param) dict.put(kNames[param], value_of(self, param));
  return dict.finish();
}

// ---------------------------------------------------------------- value

PyObject* compare(PyObject* self, PyObject* other, int operation) {
  if (!order_flow_check(other) || (operation != Py_EQ && operation != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
  const PyOrderFlow *a = as_flow(self), *b = as_flow(other);
  bool equal = a->ts_event == b->ts_event && same_text(a->symbol, b->symbol) &&
               same_text(a->futures_symbol, b->futures_symbol) && same_text(a->order_flow_bias, b->order_flow_bias) &&
               (a->body.is_stale != 0) == (b->body.is_stale != 0);
  for (const NumberField& number : kNumbers) equal = equal && same(a->body.*number.field, b->body.*number.field);
  for (const CountField& count : kCounts) equal = equal && a->body.*count.field == b->body.*count.field;
  return PyBool_FromLong(equal == (operation == Py_EQ));
}

Py_hash_t hash(PyObject* self) {
  const PyOrderFlow* flow = as_flow(self);
  Hasher hasher;
  hasher.add(flow->symbol);
  hasher.add(flow->ts_event);
  hasher.add(flow->body.net_volume_delta);
  hasher.add(flow->body.ofi_60s);
  hasher.add(flow->body.updates_count);
  return hasher.result();
}

PyObject* repr(PyObject* self) {
  const PyOrderFlow* flow = as_flow(self);
  Printer out("OrderFlowMetrics", flow->symbol);
  out.text("futures_symbol", flow->futures_symbol);
  if (flow->ts_event == kNoTime) {
    out.text("timestamp", nullptr);
  } else {
    out.time("timestamp", flow->ts_event);
  }
  out.text("order_flow_bias", flow->order_flow_bias);
  for (const NumberField& number : kNumbers) {  // the zeros of a field nobody fills would hide the rest
    const double value = flow->body.*number.field;
    if (value != 0.0) out.number(kNames[number.param], value);
  }
  for (const CountField& count : kCounts) {
    if (flow->body.*count.field != 0) out.integer(kNames[count.param], flow->body.*count.field);
  }
  if (flow->body.is_stale) out.text("is_stale", Py_True);
  if (flow->seq != 0) out.integer("seq", i64(flow->seq));
  return out.finish();
}

// ---------------------------------------------------------------- the type

constexpr char kDoc[] =
    "OrderFlowMetrics(symbol, futures_symbol, timestamp=None, window_seconds=60.0, ofi_60s=0.0, net_volume_delta=0.0, "
    "buy_volume=0.0, sell_volume=0.0, total_volume=0.0, best_bid=0.0, best_ask=0.0, bid_size=0.0, ask_size=0.0, "
    "top_of_book_imbalance=0.0, buy_sweep_count=0, sell_sweep_count=0, vwap_60s=0.0, order_flow_bias='NEUTRAL', "
    "toxicity_score=0.0, updates_count=0, is_stale=False, *, ts_recv=0, ts_publish=0, seq=0)\n--\n\n"
    "What the order book of a future says about the pair that follows it, over one window.\n\n"
    "Immutable. Two are equal when all but ts_recv, ts_publish and seq are.\n\n"
    "Args:\n"
    "    symbol: the pair, 1 to 31 UTF-8 bytes, such as 'EUR_USD'.\n"
    "    futures_symbol: the future it was measured on, such as '6E'; may be empty.\n"
    "    timestamp: end of the window; datetime (naive is read as UTC), numpy.datetime64 or int ns. None: the hub\n"
    "        stamps it.\n"
    "    window_seconds: length of the window.\n"
    "    ofi_60s, net_volume_delta, buy_volume, sell_volume, total_volume, best_bid, best_ask, bid_size, ask_size,\n"
    "        top_of_book_imbalance, vwap_60s, toxicity_score: numbers, in the future's units.\n"
    "    buy_sweep_count, sell_sweep_count, updates_count: whole numbers, 0 or more.\n"
    "    order_flow_bias: a word, at most 255 UTF-8 bytes.\n"
    "    is_stale: the source of the numbers was silent when they were made.\n"
    "    ts_recv, ts_publish, seq: set by the hub and by pickle.\n\n"
    "Raises:\n"
    "    ValueError: a value that is no number, time or symbol; the message names it.";

#define BODY(field) (offsetof(PyOrderFlow, body) + offsetof(OrderFlowBody, field))
PyMemberDef members[] = {
    {"symbol", T_OBJECT_EX, offsetof(PyOrderFlow, symbol), READONLY, "The pair, such as 'EUR_USD'."},
    {"futures_symbol", T_OBJECT_EX, offsetof(PyOrderFlow, futures_symbol), READONLY, "The future, such as '6E'."},
    {"order_flow_bias", T_OBJECT_EX, offsetof(PyOrderFlow, order_flow_bias), READONLY, "Such as 'NEUTRAL'."},
    {"window_seconds", T_DOUBLE, BODY(window_seconds), READONLY, "Length of the window."},
    {"ofi_60s", T_DOUBLE, BODY(ofi_60s), READONLY, "Order-flow imbalance."},
    {"net_volume_delta", T_DOUBLE, BODY(net_volume_delta), READONLY, "Bought less sold."},
    {"buy_volume", T_DOUBLE, BODY(buy_volume), READONLY, "Volume of aggressive buyers."},
    {"sell_volume", T_DOUBLE, BODY(sell_volume), READONLY, "Volume of aggressive sellers."},
    {"total_volume", T_DOUBLE, BODY(total_volume), READONLY, "All volume."},
    {"best_bid", T_DOUBLE, BODY(best_bid), READONLY, "Best bid of the future."},
    {"best_ask", T_DOUBLE, BODY(best_ask), READONLY, "Best ask of the future."},
    {"bid_size", T_DOUBLE, BODY(bid_size), READONLY, "Size at the best bid."},
    {"ask_size", T_DOUBLE, BODY(ask_size), READONLY, "Size at the best ask."},
    {"top_of_book_imbalance", T_DOUBLE, BODY(top_of_book_imbalance), READONLY, "Bid size against ask size."},
    {"vwap_60s", T_DOUBLE, BODY(vwap_60s), READONLY, "Volume-weighted average price."},
    {"toxicity_score", T_DOUBLE, BODY(toxicity_score), READONLY, "How one-sided the flow is."},
    {"buy_sweep_count", T_LONGLONG, BODY(buy_sweep_count), READONLY, "Buys that took more than one level."},
    {"sell_sweep_count", T_LONGLONG, BODY(sell_sweep_count), READONLY, "Sells that took more than one level."},
    {"updates_count", T_LONGLONG, BODY(updates_count), READONLY, "Messages in the window."},
    {"ts_recv", T_LONGLONG, offsetof(PyOrderFlow, ts_recv), READONLY, "When it was received, ns UTC; 0 is unknown."},
    {"ts_publish", T_LONGLONG, offsetof(PyOrderFlow, ts_publish), READONLY, "When the hub took it, ns UTC."},
    {"seq", T_ULONGLONG, offsetof(PyOrderFlow, seq), READONLY, "Sequence number in the log; 0 before that."},
    {}};
#undef BODY

PyGetSetDef properties[] = {
    {"timestamp", get_timestamp, nullptr, "End of the window, an aware UTC datetime; None until stamped.", nullptr},
    {"ts_event", get_ts_event, nullptr, "End of the window, ns UTC; 0 until the hub stamps it.", nullptr},
    {"is_stale", get_is_stale, nullptr, "The source of the numbers was silent when they were made.", nullptr},
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
    {Py_tp_new, reinterpret_cast<void*>(flow_tp_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(flow_dealloc)},
    {Py_tp_members, members},
    {Py_tp_getset, properties},
    {Py_tp_methods, methods},
    {Py_tp_richcompare, reinterpret_cast<void*>(compare)},
    {Py_tp_hash, reinterpret_cast<void*>(hash)},
    {Py_tp_repr, reinterpret_cast<void*>(repr)},
    {0, nullptr}};

PyType_Spec spec{"tapehub.OrderFlowMetrics", sizeof(PyOrderFlow), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                 slots};

}  // namespace

bool order_flow_type_init() {
  empty_text = PyUnicode_InternFromString("");
  neutral = PyUnicode_InternFromString("NEUTRAL");
  if (empty_text == nullptr || neutral == nullptr || !signature.init()) return false;
  OrderFlowType = make_type(&spec, {"symbol", "futures_symbol", "timestamp"}, construct);
  return OrderFlowType != nullptr;
}

bool order_flow_from_object(PyObject* object, PyOrderFlow** out) {
  if (order_flow_check(object)) {
    *out = as_flow(new_reference(object));
    return true;
  }
  Arguments args(signature);
  *out = args.from_object(object) ? as_flow(build(args)) : nullptr;
  return *out != nullptr;
}

PyObject* order_flow_new(const RecordHead& head, const OrderFlowBody& body, PyObject* symbol, PyObject* futures_symbol,
                         PyObject* bias) noexcept {
  PyOrderFlow* flow = order_flow_pool.take(OrderFlowType);
  if (flow == nullptr) return nullptr;
  flow->symbol = new_reference(symbol);
  flow->futures_symbol = new_reference(futures_symbol == nullptr ? empty_text : futures_symbol);
  flow->order_flow_bias = new_reference(bias == nullptr ? neutral : bias);
  flow->ts_event = head.ts_event;
  flow->ts_recv = head.ts_recv;
  flow->ts_publish = head.ts_publish;
  flow->seq = word_seq(head.word);
  flow->body = body;
  flow->body.futures_symbol_bytes = flow->body.order_flow_bias_bytes = 0;
  return reinterpret_cast<PyObject*>(flow);
}

}  // namespace tapehub::py
