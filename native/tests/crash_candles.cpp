// A writer killed after each single store of what changes many candles: a pushed candle, a gap.
#include "crash.hpp"

using namespace tapehub;
using namespace tapehub::test;

namespace {

Case candle_over_a_built_one() {
  Case c;
  c.before = [](World& w, Hub& hub) {
    w.publish(hub, w.next_tick(1, kMinute));
    w.publish(hub, w.next_tick(1, kMinute));
  };
  c.make = [](World& w) { return attempt(candle(1, w.now - kMinute, w.price())); };
  return c;
}
Case candle_over_a_pushed_one() {
  Case c = candle_over_a_built_one();
  c.before = [](World& w, Hub& hub) {
    w.publish(hub, w.next_tick(1, kMinute));
    w.publish(hub, candle(1, w.now, w.price()));
    w.publish(hub, w.next_tick(1, kMinute));
  };
  return c;
}
Case candle_into_the_middle() {  // every later entry moves up by one
  Case c;
  c.before = [](World& w, Hub& hub) {
    w.publish(hub, w.next_tick(1, 4 * kMinute));
    for (int i = 0; i < 12; ++i) w.publish(hub, w.next_tick(1, kMinute));
  };
  c.make = [](World& w) { return attempt(candle(1, w.now - 14 * kMinute, w.price())); };
  return c;
}
Case candle_over_nothing() {
  Case c;
  c.before = [](World& w, Hub& hub) { w.publish(hub, w.next_tick(1, 4 * kMinute)); };
  c.make = [](World& w) { return attempt(candle(1, w.now - 2 * kMinute, w.price(), kCandleWarm)); };
  return c;
}
Case candle_ahead() {
  Case c;
  c.before = [](World& w, Hub& hub) { w.publish(hub, w.next_tick(1, kMinute)); };
  c.make = [](World& w) { return attempt(candle(1, w.now + kMinute, w.price())); };
  return c;
}
Case a_gap() {
  Case c;
  c.before = [](World& w, Hub& hub) { w.fill(hub, 6, 20 * kSecond); };
  c.make = [](World& w) { return attempt(gap(1, w.now - 50 * kSecond, w.now - 5 * kSecond)); };
  return c;
}
Case a_record_that_rolls_the_segment() {
  Case c;
  c.before = [](World& w, Hub& hub) {
    w.publish(hub, w.next_tick(1, kMinute));
    w.publish(hub, w.next_tick(1, kMinute));
    approach_end(w, hub, 30);
  };
  c.make = [](World& w) { return attempt(candle(1, w.now - kMinute, w.price())); };
  return c;
}

}  // namespace

int main(int argc, char** argv) {
  return run_crash_tests({{"a candle over a built one", live<candle_over_a_built_one>},
                          {"a candle over a built one, nobody attached", alone<candle_over_a_built_one>},
                          {"a candle over a pushed one", live<candle_over_a_pushed_one>},
                          {"a candle into the middle of the ring", live<candle_into_the_middle>},
                          {"a candle over nothing", live<candle_over_nothing>},
                          {"a candle over nothing, nobody attached", alone<candle_over_nothing>},
                          {"a candle ahead of the ticks", live<candle_ahead>},
                          {"a gap", live<a_gap>},
                          {"a gap, nobody attached", alone<a_gap>},
                          {"a record that rolls the segment", live<a_record_that_rolls_the_segment>},
                          {"a record that rolls the segment, nobody attached", alone<a_record_that_rolls_the_segment>}},
                         argc, argv);
}
