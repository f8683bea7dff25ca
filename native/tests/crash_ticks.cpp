// A writer killed after each single store of a tick.
#include "crash.hpp"

using namespace tapehub;
using namespace tapehub::test;

namespace {

Case within_a_second() {
  Case c;
  c.before = [](World& w, Hub& hub) { w.publish(hub, w.next_tick(1, 20'000'000)); };
  c.make = [](World& w) { return attempt(w.next_tick(1, 1'000'000)); };
  return c;
}
Case of_a_new_second() {
  Case c;
  c.before = [](World& w, Hub& hub) { w.publish(hub, w.next_tick(1, kSecond)); };
  c.make = [](World& w) { return attempt(w.next_tick(1, kSecond)); };
  return c;
}
Case of_a_new_channel() {
  Case c;
  c.before = [](World& w, Hub& hub) {
    const u16 instrument = u16(w.model.instruments.size());
    w.publish(hub, definition(w.model, "NEW_" + std::to_string(instrument)));
    w.publish(hub, channel(w.model, instrument, 0));
    w.publish(hub, w.next_tick(instrument, 0));  // the next one merges it: every ring takes a chunk
  };
  c.make = [](World& w) { return attempt(w.next_tick(u16(w.model.instruments.size() - 1), kSecond)); };
  return c;
}
Case of_a_new_chunk() {
  Case c;
  c.before = [](World& w, Hub& hub) {
    do w.publish(hub, w.next_tick(1, kSecond));
    while (read_channel(hub.views().channel(1)).rare.ring_end[0] % kChunkEntries != 0);
  };
  c.make = [](World& w) { return attempt(w.next_tick(1, kSecond)); };
  return c;
}
Case out_of_order() {
  Case c;
  c.before = [](World& w, Hub& hub) {
    w.now = (w.now / kSecond + 2) * kSecond + 100'000'000;
    w.publish(hub, w.next_tick(1, 0));
  };
  c.make = [](World& w) { return attempt(tick(1, w.now - 300'000'000, w.price())); };  // opens a second in the middle
  return c;
}

Case that_rolls_the_segment() {
  Case c;
  c.before = [](World& w, Hub& hub) { fill_segment(w, hub); };
  c.make = [](World& w) { return attempt(w.next_tick(1, kSecond)); };
  return c;
}

}  // namespace

int main(int argc, char** argv) {
  return run_crash_tests({{"a tick within its second", live<within_a_second>},
                          {"a tick within its second, nobody attached", alone<within_a_second>},
                          {"a tick of a new second", live<of_a_new_second>},
                          {"a tick of a new second, nobody attached", alone<of_a_new_second>},
                          {"a tick of a new channel", live<of_a_new_channel>},
                          {"a tick of a new channel, nobody attached", alone<of_a_new_channel>},
                          {"a tick of a new chunk", live<of_a_new_chunk>},
                          {"a tick that rolls the segment", live<that_rolls_the_segment>},
                          {"a tick that rolls the segment, nobody attached", alone<that_rolls_the_segment>},
                          {"a tick out of order inside the grace window", live<out_of_order>},
                          {"a tick out of order, nobody attached", alone<out_of_order>}},
                         argc, argv);
}
