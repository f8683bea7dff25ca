// A hub as a Python object: names to channels, errors to exceptions, and re-attaching when the hub was replaced.
//
// The calls that must cost tens of nanoseconds are plain CPython methods (hot_methods), the rest is bound with nanobind.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "market_types.hpp"
#include "tapehub/history.hpp"

namespace tapehub::py {

// Raise what the native core threw as the class of tapehub.errors that fits its cause.
void raise(const Error& error, u64 published = 0);
void raise_invalid(const std::string& message);
// Reads a limit as `check_limit` of hub/arguments.py does; false with an error set.
bool to_limit(PyObject* object, u64* out);

class PyHub {
 public:
  PyHub(std::string directory, const Options& options)
      : directory_(std::move(directory)), options_(options), hub_(std::make_unique<Hub>(directory_, options_)) {}
  ~PyHub();
  PyHub(const PyHub&) = delete;

  // The present incarnation. Throws tapehub::Error when it is closed or gone; re-attaches when it was replaced, or when
  // this is a forked child.
  Hub& live() {
    Hub* hub = hub_.get();
    if (hub && hub->at().lost() == Lost::No && hub->at().of_this_process()) [[likely]] return *hub;
    return reattach();
  }
  // Waits for the calls of other threads that have let go of the interpreter: at most a slice of their waiting.
  void close();
  bool closed() const { return closed_; }
  u64 incarnation() const { return incarnation_; }
  const std::string& directory() const { return directory_; }
  const Options& options() const { return options_; }

  // Held by a call that lets go of the interpreter, from live() to its end: close() would take the hub from under it.
  // A forked child has copies of its parent's counts and none of the threads that would take them back: so a count is
  // that of one generation of forks, and of another one nothing is counted.
  class Call {
   public:
    explicit Call(PyHub& hub) : hub_(hub), forks_(ProcessLocks::forks()) {
      hub_.forget_calls_before_fork();
      hub_.calls_.fetch_add(1, std::memory_order_relaxed);
    }
    ~Call() {
      // Release: pairs with the load in close().
      if (forks_ == hub_.calls_forks_) hub_.calls_.fetch_sub(1, std::memory_order_release);
    }
    Call(const Call&) = delete;

   private:
    PyHub& hub_;
    u32 forks_;
  };

  // How far an incarnation went that another one has taken the place of: a reader may have been left behind by several.
  struct End {
    u64 incarnation, epoch, oldest, oldest_records, head, records;
    u8 hub_id[16];
  };
  const std::vector<End>& ends() const { return ends_; }

  struct Known {
    PyObject* key = nullptr;     // strong: the str that was asked for
    PyObject* source_key = nullptr;
    PyObject* symbol = nullptr;  // strong: the canonical name
    double pip_size = 0;
    Channel* shared = nullptr;
    u16 instrument = 0, channel = 0;
    u8 source = 0;
  };
  // The primary channel of a symbol, or null without an exception when there is none.
  const Known* find(Hub& hub, PyObject* symbol);
  // The channel that a caller's tick goes to, defined on first use; null with an exception.
  const Known* find_for_writing(Hub& hub, PyObject* symbol, PyObject* source);
  PyObject* source_name(Hub& hub, u8 source);          // borrowed, interned
  PyObject* symbol_name(Hub& hub, u16 instrument);     // borrowed, interned
  double pip_size(Hub& hub, u16 instrument) { return peek(hub.views().instrument(instrument % kInstrumentsMax).pip_size); }

  // Python callables: (symbol) -> canonical name; (symbol, source) -> channel id, defining what is missing.
  PyObject* normalise = nullptr;
  PyObject* define = nullptr;
  std::vector<PyCandle*> scratch;  // of one call, kept for its memory

 private:
  static constexpr u32 kCached = 256;
  Hub& reattach();
  void keep_end(Hub& hub, bool forked);
  void forget();
  void check_definitions(Hub& hub) {
    const u64 now = peek_acquire(hub.hot().definitions);
    if (now != definitions_seen_) [[unlikely]] {
      forget();
      definitions_seen_ = now;
    }
  }
  static void fill(Known& known, Hub& hub, PyObject* key, PyObject* source_key, u16 channel);

  std::string directory_;
  Options options_;
  std::unique_ptr<Hub> hub_;
  std::vector<Hub*> retired_;  // other threads, or views, may still be in there
  bool closed_ = false;
  void forget_calls_before_fork() {  // with the interpreter held, as whoever counts has it
    if (calls_forks_ == ProcessLocks::forks()) [[likely]] return;
    calls_forks_ = ProcessLocks::forks();
    calls_.store(0, std::memory_order_relaxed);  // pairs with nothing: the child has one thread
  }
  std::atomic<u32> calls_{0};
  u32 calls_forks_ = ProcessLocks::forks();
  std::vector<End> ends_;
  u64 incarnation_ = 1;
  u64 definitions_seen_ = 0;
  Known readable_[kCached], writable_[kCached];
  PyObject* sources_[kSourcesMax] = {};
  PyObject* symbols_[kInstrumentsMax] = {};
};

// A timeframe by any of its names; false with UnknownTimeframe.
bool parse_timeframe(PyObject* object, u32* frame);

extern PyMethodDef hot_methods[];
extern PyMethodDef row_methods[];    // of a feed's few quotes
extern PyMethodDef array_methods[];  // those that answer with arrays
int add_arrays(PyObject* module);
bool set_array_types(PyObject* tick, PyObject* candle, PyObject* batch);
PyHub* py_hub(PyObject* self);  // defined in bindings.cpp, which knows nanobind

struct WithoutGil {
  PyThreadState* state = PyEval_SaveThread();
  ~WithoutGil() { PyEval_RestoreThread(state); }
};

// reading.cpp: how many records lie before a line, and 0 where its segment is gone.
u64 count_before(Hub& hub, u64 line);

// Another thread or process is in the lock right now: wait for it without the interpreter.
inline bool lock_is_free(Hub& hub) { return peek(hub.hot().lock) == 0; }

// Everything that tick_fault looks for, but the times that depend on the hub clock, in one go.
inline bool plain_tick(const TickInput& tick) {
  return tick.bid > 0 && tick.ask >= tick.bid && tick.ask < HUGE_VAL && tick.bid_size >= 0 && tick.ask_size >= 0 &&
         tick.bid_size < HUGE_VALF && tick.ask_size < HUGE_VALF && tick.ts_event >= kTimeMin;
}
// Checks of one tick, shared by update_tick and publish. Empty when it may be published.
std::string tick_fault(i64 ts_event, double bid, double ask, float bid_size, float ask_size, i64 latest_allowed);
i64 latest_allowed(Hub& hub);

}  // namespace tapehub::py
