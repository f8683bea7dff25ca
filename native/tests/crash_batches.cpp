// A writer killed after each single store of a batch, a late tick, or a tick that meets full rings.
#include "crash.hpp"

using namespace tapehub;
using namespace tapehub::test;

namespace {

Case late() {
  Case c;
  c.before = [](World& w, Hub& hub) {
    w.publish(hub, w.next_tick(1, 4 * kSecond));
    w.publish(hub, w.next_tick(1, kSecond));
  };
  c.make = [](World& w) { return attempt(tick(1, w.now - 80 * kSecond, w.price())); };
  return c;
}
Case late_that_rolls_the_segment() {
  Case c = late();
  c.before = [](World& w, Hub& hub) {
    approach_end(w, hub, 24);  // the tick would fit, what it revises would not
    w.publish(hub, w.next_tick(1, 4 * kSecond));
    w.publish(hub, w.next_tick(1, kSecond));
  };
  return c;
}
Case late_into_the_middle_of_full_rings() {
  Case c;
  c.setup = [](World& w, Hub& hub) {
    w.define(hub, 1);
    w.fill(hub, 2200, 16 * kSecond);
  };
  c.before = [](World& w, Hub& hub) {
    for (int i = 0; i < 3; ++i) w.publish(hub, w.next_tick(0, 16 * kSecond));
  };
  c.make = [](World& w) { return attempt(tick(0, w.now - 20 * 16 * kSecond - 5 * kSecond, w.price())); };
  return c;
}
Case of_a_full_ring() {
  Case c = late_into_the_middle_of_full_rings();
  c.make = [](World& w) { return attempt(w.next_tick(0, 16 * kSecond)); };
  return c;
}
Case batch_within_a_segment() {
  Case c;
  c.before = [](World& w, Hub& hub) { approach_end(w, hub, 48); };
  c.make = [](World& w) {
    std::vector<Operation> ticks;
    for (u32 i = 0; i < 6; ++i) ticks.push_back(w.next_tick(u16(i % 3), 170'000'000));
    ticks.push_back(tick(1, w.now - 260'000'000, w.price()));  // out of order
    return attempt_batch(ticks);
  };
  return c;
}
Case batch_with_a_late_tick() {
  Case c = batch_within_a_segment();
  c.make = [](World& w) {
    std::vector<Operation> ticks;
    for (u32 i = 0; i < 3; ++i) ticks.push_back(w.next_tick(u16(i % 3), 170'000'000));
    ticks.push_back(tick(2, w.now - 70 * kSecond, w.price()));  // a chunk of its own
    ticks.push_back(w.next_tick(0, kSecond));
    return attempt_batch(ticks);
  };
  return c;
}
Case batch_that_rolls_the_segment() {
  Case c;
  c.before = [](World& w, Hub& hub) { approach_end(w, hub, 4); };
  c.make = [](World& w) {
    std::vector<Operation> ticks;
    for (u32 i = 0; i < 6; ++i) ticks.push_back(w.next_tick(u16(i % 3), 170'000'000));
    return attempt_batch(ticks);
  };
  return c;
}

}  // namespace

int main(int argc, char** argv) {
  return run_crash_tests({{"a late tick with its revisions", live<late>},
                          {"a late tick, nobody attached", alone<late>},
                          {"a late tick that rolls the segment", live<late_that_rolls_the_segment>},
                          {"a late tick into the middle of full rings", live<late_into_the_middle_of_full_rings>},
                          {"a tick that pushes the oldest candle out", live<of_a_full_ring>},
                          {"a batch within a segment", live<batch_within_a_segment>},
                          {"a batch within a segment, nobody attached", alone<batch_within_a_segment>},
                          {"a batch with a late tick", live<batch_with_a_late_tick>},
                          {"a batch that rolls the segment", live<batch_that_rolls_the_segment>},
                          {"a batch that rolls the segment, nobody attached", alone<batch_that_rolls_the_segment>}},
                         argc, argv);
}
