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
  c.step = 3;
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
  c.step = 17;
  c.copy_step = 9;
  return c;
}
Case of_a_full_ring() {
  Case c = late_into_the_middle_of_full_rings();
  c.make = [](World& w) { return attempt(w.next_tick(0, 16 * kSecond)); };
  c.step = 7;
  return c;
}
Case batch_over_three_channels() {
  Case c;
  c.make = [](World& w) {
    std::vector<Operation> ticks;
    for (u32 i = 0; i < 9; ++i) ticks.push_back(w.next_tick(u16(i % 3), 170'000'000));
    ticks.push_back(tick(1, w.now - 260'000'000, w.price()));
    ticks.push_back(tick(2, w.now - 70 * kSecond, w.price()));  // late: a chunk of its own
    ticks.push_back(w.next_tick(0, kSecond));
    return attempt_batch(ticks);
  };
  c.step = 11;
  c.copy_step = 40;
  return c;
}
Case batch_that_rolls_the_segment() {
  Case c;
  c.before = [](World& w, Hub& hub) { approach_end(w, hub, 4); };
  c.make = [](World& w) {
    std::vector<Operation> ticks;
    for (u32 i = 0; i < 8; ++i) ticks.push_back(w.next_tick(u16(i % 3), 170'000'000));
    return attempt_batch(ticks);
  };
  c.step = 17;
  return c;
}

template <Case (*kCase)()>
void live() { die_at_every_store(kCase()); }
template <Case (*kCase)()>
void alone() { die_at_every_store_alone(kCase()); }

}  // namespace

int main(int argc, char** argv) {
  return run_tests({{"a late tick with its revisions", live<late>},
                    {"a late tick, nobody attached", alone<late>},
                    {"a late tick into the middle of full rings", live<late_into_the_middle_of_full_rings>},
                    {"a tick that pushes the oldest candle out", live<of_a_full_ring>},
                    {"a batch over three channels", live<batch_over_three_channels>},
                    {"a batch over three channels, nobody attached", alone<batch_over_three_channels>},
                    {"a batch that rolls the segment", live<batch_that_rolls_the_segment>}},
                   argc, argv);
}
