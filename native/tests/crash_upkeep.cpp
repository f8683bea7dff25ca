// A process killed while it checkpoints, leaves, prepares or drops segments, repairs, opens, or first writes.
#include "crash.hpp"

using namespace tapehub;
using namespace tapehub::test;

namespace {

Case a_checkpoint() {
  Case c;
  c.before = [](World& w, Hub& hub) { w.fill(hub, 12, kSecond); };
  c.make = [](World&) { return Attempt{[](Hub& hub) { hub.at().checkpoint(); }, {}}; };
  return c;
}
Case leaving_as_the_last() {
  Case c = a_checkpoint();
  c.child = [](const Home& home, const Attempt&, const std::function<void()>& count) {
    Hub hub(home.hub(), home.options("leaving"));
    hub.at().writable();
    count();
  };
  return c;
}
Case publishing_and_leaving() {
  Case c = leaving_as_the_last();
  c.make = [](World& w) { return attempt(w.next_tick(1, kSecond)); };
  c.child = [](const Home& home, const Attempt& attempt, const std::function<void()>& count) {
    Hub hub(home.hub(), home.options("leaving"));
    hub.at().writable();
    count();
    attempt.run(hub);
  };
  return c;
}

// What the helper thread does for segments, here step by step.
Case preparing_segments() {
  Case c;
  c.before = [](World& w, Hub& hub) { approach_end(w, hub, 900); };
  c.make = [](World&) {
    return Attempt{[](Hub& hub) {
                     hub.upkeep(true);
                     const Geometry& geometry = hub.log().geometry();
                     hub.at().prepare_segment(geometry.segment_of(peek(hub.hot().head)) + 2);
                   },
                   {}};
  };
  return c;
}
Case dropping_segments() {
  Case c;
  c.setup = [](World& w, Hub& hub) {
    w.define(hub);
    w.publish(hub, sessions(0, 1));  // its record goes with the first segment
    w.fill(hub, 60, 900'000'000);
    for (u32 i = 0; i < 4; ++i) fill_segment(w, hub);
    w.fill(hub, 60, 900'000'000);
  };
  c.retention_bytes = 1;
  c.log_is_enough = false;  // what its instruments are called was in the first segment
  c.make = [](World&) { return Attempt{[](Hub& hub) { hub.upkeep(true); }, {}}; };
  return c;
}

// Its successor dies in the repair, and the successor's successor has to do it all.
template <int kPercent>
Case repairing() {
  Case c;
  c.before = [](World& w, Hub& hub) { approach_end(w, hub, 60); };
  c.make = [](World& w) {
    std::vector<Operation> ticks;
    for (u32 i = 0; i < 6; ++i) ticks.push_back(w.next_tick(u16(i % 3), 400'000'000));
    return attempt_batch(ticks);
  };
  c.wounded = kPercent / 100.0;
  return c;
}
template <int kPercent>
Case repairing_a_late_tick() {
  Case c = repairing<kPercent>();
  c.make = [](World& w) { return attempt(tick(1, w.now - 30 * kSecond, w.price())); };
  return c;
}

// The memory files are gone, so that opening rebuilds; and what a killed rebuild leaves behind is taken away.
Case rebuilding() {
  Case c;
  c.setup = [](World& w, Hub& hub) {
    w.define(hub, 1);
    w.fill(hub, 2, kSecond);
  };
  c.before = [](World& w, Hub& hub) { w.fill(hub, 3, kSecond); };
  c.make = [](World&) { return Attempt{}; };
  c.rebuilds = true;
  c.child = [](const Home& home, const Attempt&, const std::function<void()>& count) {
    count();
    Hub hub(home.hub(), home.options("dying"));
    hub.repair_if_needed();
    hub.at().release_slot();  // it leaves nothing behind and takes nothing along
  };
  return c;
}

// A segment that was never finished is nobody's: whoever opens next takes it away.
void a_half_made_segment_is_swept_at_the_next_opening() {
  Home home(memory_backed());
  World w;
  {
    Hub hub(home.hub(), home.options());
    w.define(hub);
    w.fill(hub, 30, kSecond);
    hub.at().release_slot();
  }
  const auto unfinished = [&home] {
    u32 count = 0;
    for (const std::string& path : files_below(home.hub() + "/log")) count += !path.ends_with(".tape");
    return count;
  };
  CHECK(was_killed(in_child([&] {
    Hub hub(home.hub(), home.options("dying"));
    hub.at().writable();
    crash_countdown = 1;  // created, not yet named
    hub.at().prepare_segment(1);
  })));
  tally = {1, 1, 0, {0}};
  CHECK(unfinished() == 1);
  Hub hub(home.hub(), home.options());
  CHECK(unfinished() == 0);
  hub.at().prepare_segment(1);
  CHECK_EMPTY(compare(hub, w.model));
}

void killed_while_it_creates_a_hub() {
  for (i64 n = 1;; n += try_all() ? 1 : 23 * kSlow) {
    Home home(memory_backed());
    const int status = in_child([&] {
      crash_countdown = n;
      Hub hub(home.hub(), home.options("dying"));
      World w;
      w.define(hub, 1);
      ::_exit(0);
    });
    Hub hub(home.hub(), home.options());
    if (came_to_its_end(status)) return;
    tally.stores = n;
    ++tally.tried;
    World w;
    hub.repair_if_needed();
    const u64 records = read_hub(hub.hot()).block.records;
    tally.states.insert(records);
    if (records == 0) {
      w.define(hub, 2);
      w.fill(hub, 10, kSecond);
      CHECK_EMPTY(compare(hub, w.model));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_crash_tests({{"killed in a checkpoint", live<a_checkpoint>},
                          {"killed in a checkpoint, nobody else attached", alone<a_checkpoint>},
                          {"killed while it leaves as the last", alone<leaving_as_the_last>},
                          {"killed while it publishes and leaves", alone<publishing_and_leaving>},
                          {"killed while it prepares segments", live<preparing_segments>},
                          {"a half-made segment is swept at the next opening", a_half_made_segment_is_swept_at_the_next_opening},
                          {"killed while it drops old segments", live<dropping_segments>},
                          {"killed while it drops old segments, nobody else attached", alone<dropping_segments>},
                          {"killed while it repairs an early death", live<repairing<4>>},
                          {"killed while it repairs a death half-way", live<repairing<50>>},
                          {"killed while it repairs a late death", live<repairing<90>>},
                          {"killed while it repairs a late tick that was not committed", live<repairing_a_late_tick<50>>},
                          {"killed while it repairs a late tick that was committed", live<repairing_a_late_tick<95>>},
                          {"killed while it repairs, nobody else attached", alone<repairing<4>>},
                          {"killed while it rebuilds", alone<rebuilding>},
                          {"killed while it creates a hub", killed_while_it_creates_a_hub}},
                         argc, argv);
}
