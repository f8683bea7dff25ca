// The ends of intervals for Python: what tapehub.hub.intervals asks of the fold.
#include "bound.hpp"

#include <tapehub/intervals.hpp>

namespace tapehub::py {

namespace {

// (channel, timeframe, start, end, in a gap, candle body or None) of each.
nb::list told(IntervalFold& fold) {
  nb::list out;
  for (const IntervalEnd& one : fold.take()) {
    nb::object body = nb::none();
    if (one.has_candle) body = nb::bytes(reinterpret_cast<const char*>(&one.candle), sizeof one.candle);
    out.append(nb::make_tuple(one.channel, one.frame, one.start, one.end, one.in_gap, body));
  }
  return out;
}

class Intervals {
 public:
  Intervals(PyHub& python, const std::vector<u32>& frames) : python_(python), fold_(python.live(), checked(frames)) {}

  void want(nb::bytes channels) { fold_.want(reinterpret_cast<const u8*>(channels.c_str()), channels.size()); }
  u64 seed() { return fold_.seed(python_.live()); }
  void replay(u64 from, u64 to) {
    Hub& hub = python_.live();
    const PyHub::Call call(python_);
    const nb::gil_scoped_release released;
    fold_.begin(hub, from, peek_acquire(hub.hot().head));
    fold_.replay(hub, from, to);
  }
  nb::list ticks(ConstBytes lines) {
    Hub& hub = python_.live();
    for (u64 i = 0; i < lines.shape(0) / kLineBytes; ++i) {
      TickLine line;
      std::memcpy(&line, lines.data() + i * kLineBytes, kLineBytes);
      fold_.tick(hub, line);
    }
    return told(fold_);
  }
  nb::list record(u64 line) {
    Hub& hub = python_.live();
    const unsigned char* bytes = hub.log().line(line);
    if (bytes && word_seq(peek_acquire(*reinterpret_cast<const Word*>(bytes))) == line) fold_.record(hub, bytes);
    return told(fold_);
  }

 private:
  static const std::vector<u32>& checked(const std::vector<u32>& frames) {
    for (u32 frame : frames) {
      if (frame >= kTimeframeCount) throw nb::index_error("no such timeframe");
    }
    return frames;
  }
  PyHub& python_;
  IntervalFold fold_;
};

}  // namespace

void add_intervals(nb::module_& m) {
  nb::class_<Intervals>(m, "Intervals", "What the records of a log close, one after the other. tapehub.Stream is the public class.")
      .def("__init__", [](Intervals* self, PyHub& hub, const std::vector<u32>& timeframes) {
        new (self) Intervals(hub, timeframes);
      }, nb::keep_alive<1, 2>(), "hub"_a, "timeframes"_a)
      .def("want", &Intervals::want, "channels"_a, "Follow these channels alone, by their mask; empty: all.")
      .def("seed", &Intervals::seed, "Begin with what the views hold: the line to read next, or 0 when they cannot tell.")
      .def("replay", &Intervals::replay, "start"_a, "end"_a, "Begin at one line and take up what is before the other.")
      .def("ticks", &Intervals::ticks, "lines"_a, "Take ticks, and give what they closed.")
      .def("record", &Intervals::record, "line"_a, "Take a record of another kind, and give what it closed.");
}

}  // namespace tapehub::py
