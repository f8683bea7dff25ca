#include <cstring>

#include "market_types.hpp"
#include "type_support.hpp"

namespace tapehub::py {
namespace {

enum Param : int {
  kSymbol, kTimestamp, kOpen, kHigh, kLow, kClose, kVolume, kSource, kVolumeType, kTimeframe, kStatus, kRevision,
  kCoverage, kTicks, kSeq, kTsFirst, kTsLast, kTsArrival, kFlags, kCount,
};
constexpr const char* kNames[] = {"symbol",   "timestamp", "open",     "high",    "low",        "close", "volume",
                                  "source",   "volume_type", "timeframe", "status", "revision", "coverage", "ticks",
                                  "seq",      "ts_first",  "ts_last",  "ts_arrival", "flags", "ts_event"};
static_assert(sizeof kNames / sizeof *kNames == kCount + 1 && kCount < kParamsMax);
Signature signature{"Candle", kNames, kCount, kTimeframe + 1, kClose + 1, {}};

constexpr const char* kStatusNames[] = {"forming", "final", "revised", "superseded"};
constexpr const char* kVolumeNames[] = {"tick", "real"};
PyObject* status_names[4];
PyObject* volume_names[2];
PyObject* timeframe_names[kTimeframeCount];
PyObject* default_source;

// How brokers and libraries write the same intervals. Case counts: "1M" is a month wherever it is used.
struct Alias {
  const char* name;
  const char* timeframe;
};
constexpr Alias kAliases[] = {
    {"1sec", "1s"},       {"S1", "1s"},         {"SECOND", "1s"},   {"5sec", "5s"},   {"S5", "5s"},
    {"15sec", "15s"},     {"S15", "15s"},       {"1min", "1m"},     {"M1", "1m"},     {"MINUTE", "1m"},
    {"MINUTE_1", "1m"},   {"60s", "1m"},        {"5min", "5m"},     {"M5", "5m"},     {"MINUTE_5", "5m"},
    {"15min", "15m"},     {"M15", "15m"},       {"MINUTE_15", "15m"}, {"30min", "30m"}, {"M30", "30m"},
    {"MINUTE_30", "30m"}, {"60min", "1h"},      {"60m", "1h"},      {"1hour", "1h"},  {"H1", "1h"},
    {"HOUR", "1h"},       {"HOUR_1", "1h"},     {"4hour", "4h"},    {"240m", "4h"},   {"H4", "4h"},
    {"HOUR_4", "4h"},     {"1day", "1d"},       {"D1", "1d"},       {"D", "1d"},      {"DAY", "1d"},
    {"1week", "1w"},      {"W1", "1w"},         {"W", "1w"},        {"WEEK", "1w"},
};

PyCandle* as_candle(PyObject* self) { return reinterpret_cast<PyCandle*>(self); }

int row_of(const char* name) {
  for (u32 i = 0; i < kTimeframeCount; ++i) {
    if (std::strcmp(name, kTimeframes[i].name) == 0) return int(i);
  }
  return -1;
}

// Index of an argument's text in `names`; false with ValueError.
template <std::size_t n>
bool choice(const Arguments& args, int param, const char* const (&names)[n], const char* expected, u8* out) {
  PyObject* value = args.given(param);
  if (value == nullptr) return true;
  for (std::size_t i = 0; PyUnicode_Check(value) && i < n; ++i) {
    if (PyUnicode_CompareWithASCIIString(value, names[i]) != 0) continue;
    *out = u8(i);
    return true;
  }
  return bad_value(signature, param, value, expected);
}

// ---------------------------------------------------------------- life

bool fill(PyCandle* candle, const Arguments& args) {
  CandleBody& body = candle->body;
  u8 volume_type = 0;
  if (!args.text(kSymbol, 1, kSymbolBytesMax, &candle->symbol) || !args.time(kTimestamp, &body.timestamp) ||
      !args.number(kOpen, &body.open) || !args.number(kHigh, &body.high) || !args.number(kLow, &body.low) ||
      !args.number(kClose, &body.close) || !args.number(kVolume, &body.volume) ||
      !args.text(kSource, 1, kSymbolBytesMax, &candle->source) || !args.small(kRevision, &body.revision) ||
      !args.number(kCoverage, &body.coverage) || !args.small(kTicks, &body.ticks) || !args.small(kSeq, &body.seq) ||
      !args.time_ns(kTsFirst, &body.ts_first) || !args.time_ns(kTsLast, &body.ts_last) ||
      !args.time_ns(kTsArrival, &body.ts_arrival) || !args.small(kFlags, &body.flags) ||
      !choice(args, kStatus, kStatusNames, "'forming', 'final', 'revised' or 'superseded'", &body.status)) {
    return false;
  }
  volume_type = body.flags & kCandleRealVolume ? 1 : 0;
  if (!choice(args, kVolumeType, kVolumeNames, "'tick' or 'real'", &volume_type)) return false;
  body.flags = u8(volume_type ? body.flags | kCandleRealVolume : body.flags & ~kCandleRealVolume);
  PyObject* timeframe = args.given(kTimeframe);
  if (timeframe != nullptr && !timeframe_from_object(timeframe, &body.timeframe)) return false;
  if (candle->source == nullptr) candle->source = new_reference(default_source);
  return true;
}

PyObject* build(const Arguments& args) {
  PyCandle* candle = candle_pool.take(CandleType);
  if (candle == nullptr) return nullptr;
  candle->symbol = candle->source = nullptr;
  candle->body = CandleBody{};
  candle->body.revision = 1;
  candle->body.coverage = 1.0f;
  candle->body.status = u8(CandleStatus::Final);
  candle->body.timeframe = kMinuteFrame;
  candle->body.instrument = kNone16;
  if (fill(candle, args)) return reinterpret_cast<PyObject*>(candle);
  Py_DECREF(reinterpret_cast<PyObject*>(candle));
  return nullptr;
}

PyObject* construct(PyObject*, PyObject* const* values, size_t nargs, PyObject* kwnames) {
  Arguments args(signature);
  return args.from_call(values, PyVectorcall_NARGS(nargs), kwnames) ? build(args) : nullptr;
}

PyObject* candle_tp_new(PyTypeObject*, PyObject* values, PyObject* kwargs) {
  Arguments args(signature);
  return args.from_call(values, kwargs) ? build(args) : nullptr;
}

void candle_dealloc(PyObject* self) {
  PyCandle* candle = as_candle(self);
  Py_XDECREF(candle->symbol);
  Py_XDECREF(candle->source);
  candle_pool.give(candle);
}

PyObject* from_dict(PyObject*, PyObject* form) {
  PyCandle* candle = nullptr;
  return candle_from_object(form, &candle) ? reinterpret_cast<PyObject*>(candle) : nullptr;
}

// ---------------------------------------------------------------- attributes

// A body from shared memory may hold what a newer writer put there; show it rather than read past a table.
PyObject* known(PyObject* const* names, std::size_t count, unsigned index) {
  return index < count ? new_reference(names[index]) : PyUnicode_FromFormat("unknown-%u", index);
}

PyObject* get_status(PyObject* self, void*) { return known(status_names, 4, as_candle(self)->body.status); }

PyObject* get_timeframe(PyObject* self, void*) {
  return known(timeframe_names, kTimeframeCount, as_candle(self)->body.timeframe);
}

PyObject* get_volume_type(PyObject* self, void*) {
  return new_reference(volume_names[as_candle(self)->body.flags & kCandleRealVolume ? 1 : 0]);
}

PyObject* get_timestamp(PyObject* self, void*) { return ns_to_datetime(as_candle(self)->body.timestamp); }

PyObject* reduce(PyObject* self, PyObject*) {
  const PyCandle* candle = as_candle(self);
  const CandleBody& b = candle->body;
  return reduce_to(
      CandleType,
      Py_BuildValue("(OLdddddONNNHdIKLLLB)", candle->symbol, static_cast<long long>(b.timestamp), b.open, b.high, b.low,
                    b.close, b.volume, candle->source == nullptr ? Py_None : candle->source,
                    get_volume_type(self, nullptr), get_timeframe(self, nullptr), get_status(self, nullptr), b.revision,
                    double(b.coverage), b.ticks, static_cast<unsigned long long>(b.seq),
                    static_cast<long long>(b.ts_first), static_cast<long long>(b.ts_last),
                    static_cast<long long>(b.ts_arrival), b.flags));
}

PyObject* to_dict(PyObject* self, PyObject*) {
  const PyCandle* candle = as_candle(self);
  const CandleBody& body = candle->body;
  DictBuilder dict;
  dict.put("symbol", new_reference(candle->symbol));
  dict.put("timestamp", get_timestamp(self, nullptr));
  dict.put("open", PyFloat_FromDouble(body.open));
  dict.put("high", PyFloat_FromDouble(body.high));
  dict.put("low", PyFloat_FromDouble(body.low));
  dict.put("close", PyFloat_FromDouble(body.close));
  dict.put("volume", PyFloat_FromDouble(body.volume));
  dict.put("source", or_none(candle->source));
  dict.put("volume_type", get_volume_type(self, nullptr));
  dict.put("timeframe", get_timeframe(self, nullptr));
  dict.put("status", get_status(self, nullptr));
  dict.put("revision", PyLong_FromLong(body.revision));
  dict.put("coverage", PyFloat_FromDouble(body.coverage));
  dict.put("ticks", PyLong_FromUnsignedLong(body.ticks));
  dict.put("seq", PyLong_FromUnsignedLongLong(body.seq));
  dict.put("ts_event", PyLong_FromLongLong(body.timestamp));
  dict.put("ts_first", PyLong_FromLongLong(body.ts_first));
  dict.put("ts_last", PyLong_FromLongLong(body.ts_last));
  dict.put("ts_arrival", PyLong_FromLongLong(body.ts_arrival));
  dict.put("flags", PyLong_FromLong(body.flags));
  return dict.finish();
}

// ---------------------------------------------------------------- value

PyObject* compare(PyObject* self, PyObject* other, int operation) {
  if (!candle_check(other) || (operation != Py_EQ && operation != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
  const CandleBody &a = as_candle(self)->body, &b = as_candle(other)->body;
  const bool equal = a.timestamp == b.timestamp && a.timeframe == b.timeframe && a.status == b.status &&
                     ((a.flags ^ b.flags) & kCandleRealVolume) == 0 && same(a.open, b.open) && same(a.high, b.high) &&
                     same(a.low, b.low) && same(a.close, b.close) && same(a.volume, b.volume) &&
                     same_text(as_candle(self)->symbol, as_candle(other)->symbol) &&
                     same_text(as_candle(self)->source, as_candle(other)->source);
  return PyBool_FromLong(equal == (operation == Py_EQ));
}

Py_hash_t hash(PyObject* self) {
  const PyCandle* candle = as_candle(self);
  Hasher hasher;
  hasher.add(candle->symbol);
  hasher.add(candle->body.timestamp ^ i64(candle->body.timeframe));
  hasher.add(candle->body.close);
  hasher.add(candle->body.volume);
  return hasher.result();
}

PyObject* repr(PyObject* self) {
  const PyCandle* candle = as_candle(self);
  const CandleBody& body = candle->body;
  PyObject* timeframe = get_timeframe(self, nullptr);
  PyObject* status = get_status(self, nullptr);
  if (timeframe == nullptr || status == nullptr) {
    Py_XDECREF(timeframe);
    Py_XDECREF(status);
    return nullptr;
  }
  Printer out("Candle", candle->symbol);
  out.time("timestamp", body.timestamp);
  out.number("open", body.open);
  out.number("high", body.high);
  out.number("low", body.low);
  out.number("close", body.close);
  out.number("volume", body.volume);
  out.text("source", candle->source);
  if (body.flags & kCandleRealVolume) out.text("volume_type", volume_names[1]);
  out.text("timeframe", timeframe);
  out.text("status", status);
  if (body.revision > 1) out.integer("revision", body.revision);
  if (body.coverage != 1.0f) out.rounded("coverage", body.coverage, 4);
  if (body.ticks != 0) out.integer("ticks", body.ticks);
  if (body.seq != 0) out.integer("seq", i64(body.seq));
  Py_DECREF(timeframe);
  Py_DECREF(status);
  return out.finish();
}

// ---------------------------------------------------------------- the type

constexpr char kDoc[] =
    "Candle(symbol, timestamp, open, high, low, close, volume=0.0, source='IG', volume_type='tick', timeframe='1m', *, "
    "status='final', revision=1, coverage=1.0, ticks=0, seq=0, ts_first=0, ts_last=0, ts_arrival=0, flags=0)\n--\n\n"
    "The prices of one interval.\n\n"
    "Immutable. Two candles are equal when they say the same about the market (symbol, timeframe, time, prices,\n"
    "volume and its type, source, status), whenever and wherever they were recorded.\n\n"
    "Args:\n"
    "    symbol: 1 to 31 UTF-8 bytes, such as 'EUR_USD'.\n"
    "    timestamp: open time; datetime (naive is read as UTC), numpy.datetime64 or int ns. The hub floors it.\n"
    "    open, high, low, close: prices in market units. The constructor checks that they are numbers, the hub\n"
    "        the rest.\n"
    "    volume: count of ticks (volume_type 'tick') or traded size ('real').\n"
    "    source: name of the feed.\n"
    "    timeframe: 1s 5s 15s 1m 5m 15m 30m 1h 4h 1d 1w, or as in 1min, M1, MINUTE.\n"
    "    status: 'forming', 'final', 'revised' or 'superseded'.\n"
    "    revision: 1, or more after late ticks.\n"
    "    coverage: share of the interval that the feed was live, kept as float32.\n"
    "    ticks, seq, ts_first, ts_last, ts_arrival, flags: set by the hub and by pickle.\n\n"
    "Raises:\n"
    "    ValueError: a value that is no number, time, symbol or known word; the message names it.";

#define BODY(field) (offsetof(PyCandle, body) + offsetof(CandleBody, field))
PyMemberDef members[] = {
    {"symbol", T_OBJECT_EX, offsetof(PyCandle, symbol), READONLY, "Instrument, such as 'EUR_USD'."},
    {"source", T_OBJECT, offsetof(PyCandle, source), READONLY, "Name of the feed."},
    {"open", T_DOUBLE, BODY(open), READONLY, "First price, by (ts_event, seq)."},
    {"high", T_DOUBLE, BODY(high), READONLY, "Highest price."},
    {"low", T_DOUBLE, BODY(low), READONLY, "Lowest price."},
    {"close", T_DOUBLE, BODY(close), READONLY, "Last price, by (ts_event, seq)."},
    {"volume", T_DOUBLE, BODY(volume), READONLY, "Count of ticks, or traded size: see volume_type."},
    {"revision", T_USHORT, BODY(revision), READONLY, "1, or more after late ticks."},
    {"coverage", T_FLOAT, BODY(coverage), READONLY, "Share of the interval that the feed was live."},
    {"ticks", T_UINT, BODY(ticks), READONLY, "Ticks in it; 0 when the author did not say."},
    {"seq", T_ULONGLONG, BODY(seq), READONLY, "Record that wrote this version; 0 before the hub has it."},
    {"ts_event", T_LONGLONG, BODY(timestamp), READONLY, "Open time, ns UTC."},
    {"ts_first", T_LONGLONG, BODY(ts_first), READONLY, "ts_event of the opening tick; 0 is unknown."},
    {"ts_last", T_LONGLONG, BODY(ts_last), READONLY, "ts_event of the closing tick; 0 is unknown."},
    {"ts_arrival", T_LONGLONG, BODY(ts_arrival), READONLY, "Hub clock of the last change; 0 before the hub has it."},
    {"flags", T_UBYTE, BODY(flags), READONLY,
     "Bits: 1 pushed, 2 warm start, 4 real volume, 8 backfill, 16 end not confirmed by the venue."},
    {}};
#undef BODY

PyGetSetDef properties[] = {
    {"timestamp", get_timestamp, nullptr, "Open time as an aware UTC datetime.", nullptr},
    {"volume_type", get_volume_type, nullptr, "'tick' or 'real'.", nullptr},
    {"timeframe", get_timeframe, nullptr, "Such as '1m'.", nullptr},
    {"status", get_status, nullptr, "'forming', 'final', 'revised' or 'superseded'.", nullptr},
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
    {Py_tp_new, reinterpret_cast<void*>(candle_tp_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(candle_dealloc)},
    {Py_tp_members, members},
    {Py_tp_getset, properties},
    {Py_tp_methods, methods},
    {Py_tp_richcompare, reinterpret_cast<void*>(compare)},
    {Py_tp_hash, reinterpret_cast<void*>(hash)},
    {Py_tp_repr, reinterpret_cast<void*>(repr)},
    {0, nullptr}};

PyType_Spec spec{"tapehub.Candle", sizeof(PyCandle), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots};

bool intern(const char* name, PyObject** out) {
  *out = PyUnicode_InternFromString(name);
  return *out != nullptr;
}

}  // namespace

bool candle_type_init() {
  bool good = signature.init() && intern("IG", &default_source);
  for (int i = 0; good && i < 4; ++i) good = intern(kStatusNames[i], &status_names[i]);
  for (int i = 0; good && i < 2; ++i) good = intern(kVolumeNames[i], &volume_names[i]);
  for (u32 i = 0; good && i < kTimeframeCount; ++i) good = intern(kTimeframes[i].name, &timeframe_names[i]);
  if (good) CandleType = make_type(&spec, {"symbol", "timestamp", "open", "high", "low", "close", "volume"}, construct);
  return CandleType != nullptr;
}

bool candle_from_object(PyObject* object, PyCandle** out) {
  if (candle_check(object)) {
    *out = as_candle(new_reference(object));
    return true;
  }
  Arguments args(signature);
  *out = args.from_object(object) ? as_candle(build(args)) : nullptr;
  return *out != nullptr;
}

bool timeframe_from_object(PyObject* name, u8* out) {
  const char* text = PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : nullptr;
  int row = text == nullptr ? -1 : row_of(text);
  for (const Alias& alias : kAliases) {
    if (row < 0 && text != nullptr && std::strcmp(text, alias.name) == 0) row = row_of(alias.timeframe);
  }
  if (row >= 0) {
    *out = u8(row);
    return true;
  }
  if (PyErr_Occurred()) return false;
  PyErr_Format(PyExc_ValueError,
               "timeframe is %.100R (%s), expected one of 1s 5s 15s 1m 5m 15m 30m 1h 4h 1d 1w "
               "(or as in 1min, M1, MINUTE)",
               name, Py_TYPE(name)->tp_name);
  return false;
}

PyObject* timeframe_name(u8 timeframe) { return timeframe < kTimeframeCount ? timeframe_names[timeframe] : Py_None; }

}  // namespace tapehub::py
