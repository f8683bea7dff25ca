#include "py_follower.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace tapehub::py {

PyObject* Follower::take(Hub& hub) {
  const TickLine& line = buffer_[at_++];
  PyObject* symbol = python_.symbol_name(hub, line.instrument);
  if (!symbol) return nullptr;
  return tick_new(line, symbol, python_.source_name(hub, line.source), python_.pip_size(hub, line.instrument));
}

// True when there are ticks to take. The position never passes a record that Python has to see.
bool Follower::refill(Hub& hub, u64 head) {
  const Scan found = scan(hub, position, head, reinterpret_cast<const u8*>(channels_.data()), channels_.size(), kinds_,
                          kTimeNever, INT64_MAX, reinterpret_cast<unsigned char*>(buffer_), kBuffer);
  at_ = 0;
  count_ = found.ticks;
  if (found.lost_before != 0 && found.ticks == 0) return false;
  position = found.other != 0 ? found.other : found.next;
  passed += found.records - (found.other != 0);
  return count_ != 0;
}

PyObject* Follower::next(i64 timeout_ns) {
  Hub& hub = python_.live();
  const PyHub::Call call(python_);
  stopped = python_.incarnation() != incarnation;
  if (stopped) return Py_NewRef(Py_None);
  if (at_ < count_) return take(hub);
  const i64 deadline = boot_ns() + timeout_ns;
  for (;;) {
    const u64 head = peek_acquire(hub.hot().head);
    if (position < head) {
      const u64 before = position;
      if (refill(hub, head)) return take(hub);
      stopped = position == before || position < head;
      if (stopped) return Py_NewRef(Py_None);
      continue;
    }
    const i64 left = deadline - boot_ns();
    if (left <= 0) return Py_NewRef(Py_None);
    bool news;
    {
      nb::gil_scoped_release released;
      news = hub.wait(position, left, spins_);
    }
    if (!news) return Py_NewRef(Py_None);
  }
}

void add_follower(nb::module_& m) {
  nb::class_<Follower>(m, "Follower", "The position of one stream. tapehub.Stream is the public class.")
      .def("__init__", [](Follower* self, PyHub& hub, u64 position, u64 kinds, nb::bytes channels, u32 spins) {
        new (self) Follower(hub, position, kinds, std::string(channels.c_str(), channels.size()), spins);
      }, nb::keep_alive<1, 2>(), "hub"_a, "position"_a, "kinds"_a, "channels"_a, "spins"_a)
      .def("next", [](Follower& self, i64 timeout_ns) {
        PyObject* tick = self.next(timeout_ns);
        if (!tick) throw nb::python_error();
        return nb::steal(tick);
      }, "timeout_ns"_a, "Return the next tick; None when there is none yet, or something else comes first.")
      .def("rewind", &Follower::rewind, "Give back what is buffered: the position is that of the next tick again.")
      .def("set_channels", [](Follower& self, nb::bytes channels) {
        self.set_channels(std::string(channels.c_str(), channels.size()));
      })
      .def("take_passed", [](Follower& self) { return std::exchange(self.passed, 0); })
      .def_ro("stopped", &Follower::stopped, "The last None was for something that is not a tick, and not for want of any.")
      .def_rw("position", &Follower::position)
      .def_ro("incarnation", &Follower::incarnation);
}

}  // namespace tapehub::py
