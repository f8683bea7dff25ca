// A writer killed after each single store of a record that is not a tick.
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
  c.step = 2;
  return c;
}
Case candle_over_nothing() {
  Case c;
  c.before = [](World& w, Hub& hub) { w.publish(hub, w.next_tick(1, 4 * kMinute)); };
  c.make = [](World& w) { return attempt(candle(1, w.now - 2 * kMinute, w.price(), kCandleWarm)); };
  c.step = 3;
  return c;
}
Case candle_ahead() {
  Case c;
  c.before = [](World& w, Hub& hub) { w.publish(hub, w.next_tick(1, kMinute)); };
  c.make = [](World& w) { return attempt(candle(1, w.now + kMinute, w.price())); };
  c.step = 3;
  return c;
}
Case order_flow() {
  Case c;
  c.make = [](World& w) { return attempt(of_kind(Kind::OrderFlow, 1, w.now, ++w.count)); };
  return c;
}
Case state_change() {
  Case c;
  c.make = [](World& w) { return attempt(of_kind(Kind::State, 1, w.now, ++w.count)); };
  return c;
}
Case a_gap() {
  Case c;
  c.before = [](World& w, Hub& hub) { w.fill(hub, 6, 20 * kSecond); };
  c.make = [](World& w) { return attempt(gap(1, w.now - 50 * kSecond, w.now - 5 * kSecond)); };
  c.step = 3;
  return c;
}
Case clear_one() {
  Case c;
  c.before = [](World& w, Hub& hub) { w.fill(hub, 9, 3 * kSecond); };
  c.make = [](World& w) { return attempt(of_kind(Kind::Clear, 1, w.now)); };
  return c;
}
Case clear_all() {
  Case c = clear_one();
  c.make = [](World& w) { return attempt(of_kind(Kind::Clear, kNone16, w.now)); };
  c.step = 2;
  return c;
}
Case a_definition() {
  Case c;
  c.make = [](World& w) { return attempt(definition(w.model, "NEW_" + std::to_string(w.model.instruments.size()))); };
  return c;
}
Case a_source() {
  Case c;
  c.make = [](World& w) { return attempt(source(w.model, "source" + std::to_string(w.model.sources.size()))); };
  c.step = 4;  // there are 32 at the most
  return c;
}
Case a_channel() {
  Case c;
  c.before = [](World& w, Hub& hub) { w.publish(hub, definition(w.model, "NEW_" + std::to_string(w.model.instruments.size()))); };
  c.make = [](World& w) { return attempt(channel(w.model, u16(w.model.instruments.size() - 1), 0)); };
  return c;
}
Case a_watermark() {
  Case c;
  c.make = [](World& w) { return attempt(of_kind(Kind::Watermark, kNone16, w.now - 200'000'000)); };
  return c;
}
Case a_clock() {
  Case c;
  c.make = [](World& w) {
    Operation o = of_kind(Kind::Clock, kNone16, w.now);
    o.clock.mode = u32(ClockMode::Event);
    o.clock.watermark_mode = u32(++w.count % 2);
    o.clock.watermark_ns = w.now - kMinute;
    return attempt(o);
  };
  return c;
}
Case a_calendar() {
  Case c;
  c.make = [](World& w) {
    Operation o = of_kind(Kind::Calendar, kNone16, w.now);
    o.zone = {0, -5 * kHour, w.now / kDay * kDay + 90 * kDay, -4 * kHour};
    return attempt(o);
  };
  return c;
}
Case a_record_that_rolls_the_segment() {
  Case c;
  c.before = [](World& w, Hub& hub) {
    w.publish(hub, w.next_tick(1, kMinute));
    w.publish(hub, w.next_tick(1, kMinute));
    approach_end(w, hub, 30 + w.count % 9);
  };
  c.make = [](World& w) { return attempt(candle(1, w.now - kMinute, w.price())); };
  c.step = 5;
  return c;
}

template <Case (*kCase)()>
void live() { die_at_every_store(kCase()); }
template <Case (*kCase)()>
void alone() { die_at_every_store_alone(kCase()); }

}  // namespace

int main(int argc, char** argv) {
  return run_tests({{"a candle over a built one", live<candle_over_a_built_one>},
                    {"a candle over a built one, nobody attached", alone<candle_over_a_built_one>},
                    {"a candle over nothing", live<candle_over_nothing>},
                    {"a candle ahead of the ticks", live<candle_ahead>},
                    {"an order flow", live<order_flow>},
                    {"an order flow, nobody attached", alone<order_flow>},
                    {"a state change", live<state_change>},
                    {"a gap", live<a_gap>},
                    {"a gap, nobody attached", alone<a_gap>},
                    {"a clear of one instrument", live<clear_one>},
                    {"a clear of all", live<clear_all>},
                    {"a clear of all, nobody attached", alone<clear_all>},
                    {"a definition", live<a_definition>},
                    {"a source", live<a_source>},
                    {"a channel", live<a_channel>},
                    {"a channel, nobody attached", alone<a_channel>},
                    {"a watermark", live<a_watermark>},
                    {"a clock", live<a_clock>},
                    {"a calendar", live<a_calendar>},
                    {"a record that rolls the segment", live<a_record_that_rolls_the_segment>},
                    {"a record that rolls the segment, nobody attached", alone<a_record_that_rolls_the_segment>}},
                   argc, argv);
}
