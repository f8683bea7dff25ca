#include "py_hub.hpp"

#include <cmath>

namespace tapehub::py {

void raise(const Error& error, u64 published) {
  const char* name = "HubError";
  switch (error.cause) {
    case Cause::Hub: break;
    case Cause::Format: name = "HubFormatError"; break;
    case Cause::NotRunning: name = "HubNotRunning"; break;
    case Cause::Closed: name = "HubClosed"; break;
    case Cause::Stalled: name = "HubStalled"; break;
    case Cause::Invalid: name = "InvalidRecord"; break;
  }
  PyObject* errors = PyImport_ImportModule("tapehub.errors");
  PyObject* type = errors ? PyObject_GetAttrString(errors, name) : nullptr;
  // A message may quote bytes of another process, or of a damaged file.
  PyObject* text = PyUnicode_DecodeUTF8(error.what(), Py_ssize_t(std::strlen(error.what())), "replace");
  PyObject* raised = type && text ? PyObject_CallOneArg(type, text) : nullptr;
  PyObject* count = raised && published ? PyLong_FromUnsignedLongLong(published) : nullptr;
  if (count) PyObject_SetAttrString(raised, "published", count);
  if (raised) PyErr_SetObject(type, raised);
  Py_XDECREF(count);
  Py_XDECREF(raised);
  Py_XDECREF(text);
  Py_XDECREF(type);
  Py_XDECREF(errors);
}
void raise_invalid(const std::string& message) { raise(Error(Cause::Invalid, message)); }

bool to_limit(PyObject* object, u64* out) {
  int beyond = 0;
  const long long limit = PyLong_AsLongLongAndOverflow(object, &beyond);
  if (limit == -1 && PyErr_Occurred()) {
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) return false;
    PyErr_Clear();
    PyObject* shown = PyObject_Repr(object);
    const char* text = shown ? PyUnicode_AsUTF8(shown) : nullptr;
    if (text) raise_invalid("limit is " + std::string(text) + ", expected a whole number; start and end come after it, or go by name");
    Py_XDECREF(shown);
    return false;
  }
  if (beyond < 0 || (beyond == 0 && limit < 0)) {
    raise_invalid("limit is " + (beyond ? std::string("far below 0") : std::to_string(limit)) + ", expected 0 or more");
    return false;
  }
  *out = beyond ? u64(INT64_MAX) : u64(limit);
  return true;
}

// ---------------------------------------------------------------- life

PyHub::~PyHub() {
  close();
  forget();
  Py_XDECREF(normalise);
  Py_XDECREF(define);
}

void PyHub::close() {
  if (closed_) return;
  closed_ = true;
  Hub* hub = hub_.release();
  const bool ours = hub && hub->at().of_this_process();
  forget_calls_before_fork();
  Py_BEGIN_ALLOW_THREADS
  while (calls_.load(std::memory_order_acquire) != 0) ::usleep(200);
  if (ours) delete hub;  // in a forked child it is the parent's: left alone
  for (Hub* old : retired_) {
    if (old->at().of_this_process()) delete old;
  }
  Py_END_ALLOW_THREADS
  retired_.clear();
  Py_CLEAR(normalise);  // they refer back to this object
  Py_CLEAR(define);
}

Hub& PyHub::reattach() {
  if (closed_) fail(Cause::Closed, "this hub handle was closed: " + directory_ + "; open or connect again");
  if (hub_) {
    const bool forked = !hub_->at().of_this_process();
    if (!forked && hub_->at().lost() == Lost::Deleted) {
      // It may have been moved away for good, or be made again in a moment: each call looks anew.
      FileId id;
      if (!file_id(directory_ + "/control", &id)) {
        fail(Cause::NotRunning, "the hub directory was deleted while this process was attached: " + directory_ +
                                    "; start a hub there again, this handle will find it");
      }
    }
    if (!forked) hub_->leave_roles();
    keep_end(*hub_, forked);
    retired_.push_back(hub_.release());
  }
  forget();
  Options options = options_;
  options.create = false;
  hub_ = std::make_unique<Hub>(directory_, options);
  ++incarnation_;
  return *hub_;
}

// Its views stay mapped, whoever has removed the files.
void PyHub::keep_end(Hub& hub, bool forked) {
  const HubBlock block = read_hub(hub.hot()).block;
  const ControlFile& control = hub.at().control();
  End end{incarnation_, control.epoch, peek(hub.hot().oldest_line), 0, block.head, block.records, {}};
  std::memcpy(end.hub_id, control.hub_id, sizeof end.hub_id);
  try {
    if (!forked && end.oldest != 0) end.oldest_records = count_before(hub, end.oldest);
  } catch (const Error&) {
    // Dropped, or deleted, before anybody here had mapped it: then all it ever held counts as what could be read.
  }
  ends_.push_back(end);
}

// ---------------------------------------------------------------- names

void PyHub::forget() {
  for (Known* cache : {readable_, writable_}) {
    for (u32 i = 0; i < kCached; ++i) {
      Py_CLEAR(cache[i].key);
      Py_CLEAR(cache[i].source_key);
      Py_CLEAR(cache[i].symbol);
    }
  }
  for (PyObject*& name : sources_) Py_CLEAR(name);
  for (PyObject*& name : symbols_) Py_CLEAR(name);
  definitions_seen_ = 0;
}

void PyHub::fill(Known& known, Hub& hub, PyObject* key, PyObject* source_key, u16 channel) {
  Channel& shared = hub.views().channel(channel);
  const u16 instrument = peek(shared.instrument);
  const InstrumentRow row = read_instrument(hub.views(), instrument);
  PyObject* symbol = PyUnicode_FromString(row.symbol);
  if (symbol) PyUnicode_InternInPlace(&symbol);
  Py_XSETREF(known.key, Py_NewRef(key));
  Py_XSETREF(known.source_key, Py_XNewRef(source_key));
  Py_XSETREF(known.symbol, symbol);
  known.pip_size = row.pip_size;
  known.shared = &shared;
  known.instrument = instrument;
  known.channel = channel;
  known.source = peek(shared.source);
}

namespace {

int instrument_by_name(Hub& hub, const char* name) {
  const u64 count = peek_acquire(hub.hot().instruments);
  for (u64 i = 0; i < count; ++i) {
    if (std::strncmp(hub.views().instrument(u32(i)).symbol, name, kSymbolBytes) == 0) return int(i);
  }
  return -1;
}

// The channel that an instrument and a source, both named exactly, have already; -1: Python finds or defines it.
int channel_by_names(Hub& hub, const char* symbol, const char* source) {
  const int instrument = instrument_by_name(hub, symbol);
  if (instrument < 0) return -1;
  const u64 count = peek_acquire(hub.hot().sources);
  for (u64 i = 0; i < count; ++i) {
    if (std::strncmp(hub.views().source(u32(i)).name, source, kSymbolBytes) == 0) {
      return int(peek(hub.views().channel_slot(u32(instrument), u32(i)))) - 1;
    }
  }
  return -1;
}

u32 bucket(const void* pointer) { return u32(reinterpret_cast<std::uintptr_t>(pointer) >> 4 ^ reinterpret_cast<std::uintptr_t>(pointer) >> 12) % 256; }

}  // namespace

const PyHub::Known* PyHub::find(Hub& hub, PyObject* symbol) {
  check_definitions(hub);
  Known& known = readable_[bucket(symbol)];
  if (known.key == symbol) [[likely]] return &known;
  if (!PyUnicode_Check(symbol)) {
    PyErr_Format(PyExc_TypeError, "symbol is %R (%s), expected a str such as 'EUR_USD'", symbol, Py_TYPE(symbol)->tp_name);
    return nullptr;
  }
  const char* name = PyUnicode_AsUTF8(symbol);
  if (!name) return nullptr;
  int instrument = instrument_by_name(hub, name);
  if (instrument < 0 && normalise) {
    PyObject* canonical = PyObject_CallOneArg(normalise, symbol);
    if (!canonical) return nullptr;
    const char* text = PyUnicode_Check(canonical) ? PyUnicode_AsUTF8(canonical) : nullptr;
    if (text) instrument = instrument_by_name(hub, text);
    Py_DECREF(canonical);
    if (PyErr_Occurred()) return nullptr;
  }
  if (instrument < 0) return nullptr;
  const u16 channel = peek(hub.views().instrument(u32(instrument)).primary_channel);
  if (channel == kNone16) return nullptr;
  fill(known, hub, symbol, nullptr, channel);
  return &known;
}

const PyHub::Known* PyHub::find_for_writing(Hub& hub, PyObject* symbol, PyObject* source) {
  check_definitions(hub);
  Known& known = writable_[bucket(symbol)];
  if (known.key == symbol && known.source_key == source) [[likely]] return &known;
  // What is defined needs no interpreter: the first tick of each symbol in a process would take thirty times as long.
  const char* const name = PyUnicode_AsUTF8(symbol);
  const char* const of = source ? PyUnicode_AsUTF8(source) : "direct";
  if (!name || !of) return nullptr;
  if (const int found = channel_by_names(hub, name, of); found >= 0) {
    fill(known, hub, symbol, source, u16(found));
    return &known;
  }
  PyObject* channel = PyObject_CallFunctionObjArgs(define, symbol, source ? source : Py_None, nullptr);
  if (!channel) return nullptr;
  const long id = PyLong_AsLong(channel);
  Py_DECREF(channel);
  if (id < 0 && PyErr_Occurred()) return nullptr;
  check_definitions(hub);
  fill(known, hub, symbol, source, u16(id));
  return &known;
}

PyObject* PyHub::source_name(Hub& hub, u8 source) {
  if (source >= kSourcesMax) return nullptr;
  if (!sources_[source]) [[unlikely]] {
    PyObject* name = PyUnicode_FromString(hub.views().source(source).name);
    if (name) PyUnicode_InternInPlace(&name);
    sources_[source] = name;
  }
  return sources_[source];
}

PyObject* PyHub::symbol_name(Hub& hub, u16 instrument) {
  PyObject*& name = symbols_[instrument % kInstrumentsMax];
  if (!name) [[unlikely]] {
    name = PyUnicode_FromString(hub.views().instrument(instrument % kInstrumentsMax).symbol);
    if (name) PyUnicode_InternInPlace(&name);
  }
  return name;
}

// ---------------------------------------------------------------- checks

i64 latest_allowed(Hub& hub) {
  const HubState state = read_hub(hub.hot());
  if (ClockMode(state.rare.clock.mode) == ClockMode::Event) return INT64_MAX;
  return hub.now_under(state.rare.clock, state.block) + kMinute;
}

std::string tick_fault(i64 ts_event, double bid, double ask, float bid_size, float ask_size, i64 latest_allowed) {
  auto number = [](double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.10g", value);
    return std::string(text);
  };
  if (!std::isfinite(bid)) return "bid is " + number(bid) + ", expected a finite price";
  if (!std::isfinite(ask)) return "ask is " + number(ask) + ", expected a finite price";
  if (bid <= 0) return "bid is " + number(bid) + ", expected a price above 0";
  if (ask <= 0) return "ask is " + number(ask) + ", expected a price above 0";
  if (ask < bid) return "quote is crossed: bid " + number(bid) + " is above ask " + number(ask) + ", expected bid <= ask";
  if (!std::isfinite(bid_size) || bid_size < 0) return "bid_size is " + number(bid_size) + ", expected 0 (not known) or more";
  if (!std::isfinite(ask_size) || ask_size < 0) return "ask_size is " + number(ask_size) + ", expected 0 (not known) or more";
  char when[32];
  if (ts_event < kTimeMin) {
    ns_to_iso(ts_event, when);
    return std::string("timestamp is ") + when + ", expected 1990 or later, in UTC (integers are nanoseconds)";
  }
  if (ts_event > latest_allowed) {
    ns_to_iso(ts_event, when);
    char now[32];
    ns_to_iso(latest_allowed - kMinute, now);
    return std::string("timestamp is ") + when + ", over a minute ahead of the hub clock, which reads " + now +
           "; check the sender's clock and time zone";
  }
  return {};
}

// ---------------------------------------------------------------- hot methods

namespace {

}  // namespace

bool parse_timeframe(PyObject* object, u32* frame) {
  u8 found;
  if (timeframe_from_object(object, &found)) [[likely]] {
    *frame = found;
    return true;
  }
  // A Timeframe, a rarer alias, or nothing: the model decides, and raises its own error.
  PyErr_Clear();
  PyObject* model = PyImport_ImportModule("tapehub.model.timeframes");
  PyObject* row = model ? PyObject_CallMethod(model, "parse", "O", object) : nullptr;
  PyObject* index = row ? PyObject_GetAttrString(row, "index") : nullptr;
  if (index) *frame = u32(PyLong_AsUnsignedLong(index));
  Py_XDECREF(index);
  Py_XDECREF(row);
  Py_XDECREF(model);
  return !PyErr_Occurred();
}

namespace {

PyObject* get_latest_tick(PyObject* self, PyObject* symbol) {
  PyHub& python = *py_hub(self);
  try {
    Hub& hub = python.live();
    Slot& slot = hub.slot();
    put(slot.get_tick_calls, slot.get_tick_calls + 1);
    const PyHub::Known* known = python.find(hub, symbol);
    if (!known) return PyErr_Occurred() ? nullptr : Py_NewRef(Py_None);
    const Channel& channel = *known->shared;
    TickLine line;
    for (u32 attempt = 0;; ++attempt) {
      const u64 seen = peek_acquire(channel.flip);
      read_words(line, channel.block[seen & 1].latest);
      fence_acquire();
      if (peek(channel.flip) == seen) break;
      if (attempt > kReadAttempts) fail_lapped("a tick");
      cpu_pause();
    }
    if (line.word == 0) Py_RETURN_NONE;
    return tick_new(line, known->symbol, python.source_name(hub, line.source), known->pip_size);
  } catch (const Error& error) {
    raise(error);
    return nullptr;
  }
}

bool contradicts(const PyTick& tick, double pip_size) {
  const double unit = pip_size > 0 ? pip_size : 1e-9 * tick.bid;
  if (tick.given_mid != 0 && !std::isnan(tick.given_mid) &&
      std::fabs(tick.given_mid - (tick.bid + tick.ask) / 2) > 0.051 * unit) return true;
  const double spread = (tick.ask - tick.bid) / (pip_size > 0 ? pip_size : 1.0);
  return tick.given_spread != 0 && !std::isnan(tick.given_spread) &&
         std::fabs(tick.given_spread - spread) > (pip_size > 0 ? 0.051 : 1e-9 * tick.bid);
}

PyObject* update_tick(PyObject* self, PyObject* object) {
  PyHub& python = *py_hub(self);
  PyTick* tick;
  if (tick_check(object)) [[likely]] {
    tick = reinterpret_cast<PyTick*>(Py_NewRef(object));
  } else if (!tick_from_object(object, &tick)) {
    return nullptr;
  }
  PyObject* result = nullptr;
  try {
    Hub& hub = python.live();
    // Before anything is defined or written.
    TickInput input;
    input.ts_event = tick->ts_event == kNoTime ? hub.now() : tick->ts_event;
    input.ts_recv = tick->ts_recv;
    input.bid = tick->bid;
    input.ask = tick->ask;
    input.bid_size = tick->bid_size;
    input.ask_size = tick->ask_size;
    input.flags = kTickUnverified;
    const auto refuse = [&] {
      put(hub.slot().refused, hub.slot().refused + 1);
      raise_invalid("tick of " + std::string(PyUnicode_AsUTF8(tick->symbol)) + ": " +
                    tick_fault(input.ts_event, tick->bid, tick->ask, tick->bid_size, tick->ask_size, latest_allowed(hub)));
    };
    if (!plain_tick(input)) {
      refuse();
    } else if (const PyHub::Known* known = python.find_for_writing(hub, tick->symbol, tick->source)) {
      input.channel = known->channel;
      input.instrument = known->instrument;
      input.source = known->source;
      if (contradicts(*tick, known->pip_size)) input.flags |= kTickCorrected;
      u64 seq;
      const bool always = SyncMode(hub.at().control().sync_mode) == SyncMode::Always;
      if (lock_is_free(hub) && !always) [[likely]] {
        seq = hub.publish_tick(input);
      } else {
        const PyHub::Call call(python);
        const WithoutGil guard;
        seq = hub.publish_tick(input);
        if (always) hub.at().flush();
      }
      if (seq == kUnset) [[unlikely]] {
        refuse();
      } else {
        result = PyLong_FromUnsignedLongLong(seq);
      }
    }
  } catch (const Error& error) {
    raise(error);
  }
  Py_DECREF(reinterpret_cast<PyObject*>(tick));
  return result;
}

// Candles are read straight into the objects that are returned. Until the end they have neither symbol nor source.
PyObject* candle_list(PyHub& python, Hub& hub, const PyHub::Known& known, const RingQuery& query) {
  std::vector<PyCandle*>& made = python.scratch;
  made.clear();
  made.reserve(query.limit);
  const auto drop = [&made](u64 from, u64 to) {
    for (u64 i = from; i < to; ++i) {
      made[i]->symbol = made[i]->source = nullptr;
      Py_DECREF(reinterpret_cast<PyObject*>(made[i]));
    }
  };
  while (made.size() < query.limit) {
    PyCandle* candle = candle_pool.take(CandleType);
    if (!candle) {
      drop(0, made.size());
      return nullptr;
    }
    made.push_back(candle);
  }
  u64 count = 0;
  PyObject* list = nullptr;
  try {
    if (query.limit != 0) {
      PyCandle** const at = made.data();
      count = hub.rings().fill(*known.shared, query, [at](u64 i) -> CandleBody& { return at[i]->body; });
    }
    list = PyList_New(Py_ssize_t(count));
  } catch (...) {
    drop(0, query.limit);
    throw;
  }
  const u64 unused = list ? query.limit - count : query.limit;
  drop(0, unused);
  u8 named = 0;
  PyObject* source = nullptr;
  Py_ssize_t run = 0;  // of one source; nearly always they are all of one
  for (u64 i = unused; i < query.limit; ++i, ++run) {
    PyCandle* candle = made[i];
    if (run == 0 || candle->body.source != named) {
      if (source) add_references(source, run);
      run = 0;
      named = candle->body.source;
      source = python.source_name(hub, named);
    }
    candle->symbol = known.symbol;
    candle->source = source;
    PyList_SET_ITEM(list, Py_ssize_t(i - unused), reinterpret_cast<PyObject*>(candle));
  }
  if (source) add_references(source, run);
  if (list) add_references(known.symbol, Py_ssize_t(count));
  return list;
}

PyObject* get_latest_candles(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  static const char* const kNames[] = {"symbol", "limit", "timeframe"};
  PyObject* given[3] = {};
  for (Py_ssize_t i = 0; i < nargs && i < 3; ++i) given[i] = args[i];
  const Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
  if (nargs > 3) return PyErr_Format(PyExc_TypeError, "get_latest_candles takes symbol, limit and timeframe, got %zd arguments", nargs);
  for (Py_ssize_t i = 0; i < named; ++i) {
    int which = 0;
    while (which < 3 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, i), kNames[which]) != 0) ++which;
    if (which == 3 || given[which]) {
      return PyErr_Format(PyExc_TypeError, "get_latest_candles got %s argument %R", which == 3 ? "an unexpected" : "a second",
                          PyTuple_GET_ITEM(names, i));
    }
    given[which] = args[nargs + i];
  }
  if (!given[0]) return PyErr_Format(PyExc_TypeError, "get_latest_candles needs a symbol");
  PyHub& python = *py_hub(self);
  RingQuery query{};
  query.frame = kMinuteFrame;
  query.limit = 100;
  if (given[1] && given[1] != Py_None && !to_limit(given[1], &query.limit)) return nullptr;
  if (given[2] && !parse_timeframe(given[2], &query.frame)) return nullptr;
  try {
    Hub& hub = python.live();
    Slot& slot = hub.slot();
    put(slot.get_candles_calls, slot.get_candles_calls + 1);
    const PyHub::Known* known = python.find(hub, given[0]);
    if (!known) return PyErr_Occurred() ? nullptr : PyList_New(0);
    query.limit = std::min<u64>(query.limit, hub.rings().bound(*known->shared, query));
    return candle_list(python, hub, *known, query);
  } catch (const Error& error) {
    raise(error);
    return nullptr;
  }
}

}  // namespace

PyMethodDef hot_methods[] = {
    {"get_latest_tick", get_latest_tick, METH_O,
     PyDoc_STR("get_latest_tick($self, symbol, /)\n--\n\nReturn the tick with the greatest ts_event, or None.\n\n"
               "Reads the primary source's view: no lock, no system call, whatever its writers do.")},
    {"update_tick", update_tick, METH_O,
     PyDoc_STR("update_tick($self, tick, /)\n--\n\nPublish one tick and return its sequence number.\n\n"
               "Any number of processes and threads may call it. The tick is never de-duplicated.\n\n"
               "Raises:\n    InvalidRecord: a price, size, symbol or timestamp that no hub may hold.\n"
               "    HubStalled: another writer is alive but stopped inside its publish.\n"
               "    HubError: the disk is full; nothing was written.")},
    {"get_latest_candles", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(get_latest_candles)),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("get_latest_candles($self, symbol, limit=100, timeframe='1m')\n--\n\n"
               "Return the newest final candles as a list, oldest first.")},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace tapehub::py
